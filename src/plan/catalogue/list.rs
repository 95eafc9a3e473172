//! The lists that SHOW gives of schemas and tables: how a server is asked for one, and what is in it.
//! It knows no rules and no rows.

use crate::plan::catalogue::relation::{Fold, Owner, Relation, STATUS_SIZES, Told};
use crate::sql::head::{Show, ShowKind};

/// A SHOW of schemas, tables or what is in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Which.
    pub kind: ListKind,
    /// FULL, or IF NOT EXISTS.
    pub full: bool,
    /// The logical schema that it is of; none: all.
    pub schema: Option<Box<str>>,
    /// The logical table that it is of.
    pub table: Option<Box<str>>,
}

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named as it is written")]
pub enum ListKind {
    Databases,
    Tables,
    TableStatus,
    OpenTables,
    Triggers,
    Events,
    ProcedureStatus,
    FunctionStatus,
    Index,
    CreateTable,
    CreateView,
    CreateDatabase,
}

const fn list(name: &'static str, owner: Owner, told: &'static [Told]) -> Relation {
    Relation { name, owner, told, numbers: &[], key: &[] }
}

const OF_TABLE: Owner = Owner::Table("", "");
const OF_SCHEMA: Owner = Owner::Schema("");

static DATABASES: Relation = list("SHOW DATABASES", OF_SCHEMA, &[Told::Schema("Database")]);
static TABLES: Relation = list("SHOW TABLES", OF_TABLE, &[Told::Beside(ListKind::FIRST)]);
static TABLE_STATUS: Relation = Relation {
    name: "SHOW TABLE STATUS",
    owner: OF_TABLE,
    told: &[Told::Beside("Name")],
    numbers: STATUS_SIZES,
    key: &[],
};
static OPEN_TABLES: Relation = Relation {
    name: "SHOW OPEN TABLES",
    owner: OF_TABLE,
    told: &[Told::Schema("Database"), Told::Beside("Table")],
    numbers: &[("In_use", Fold::Sum), ("Name_locked", Fold::Max)],
    key: &[],
};
static TRIGGERS: Relation = list("SHOW TRIGGERS", OF_TABLE, &[Told::Beside("Table"), Told::Sql("Statement")]);
static EVENTS: Relation = list("SHOW EVENTS", OF_SCHEMA, &[Told::Schema("Db")]);
static ROUTINES: Relation = list("SHOW ROUTINE STATUS", OF_SCHEMA, &[Told::Schema("Db")]);
static INDEX: Relation = Relation {
    name: "SHOW INDEX",
    owner: OF_TABLE,
    told: &[Told::Beside("Table")],
    numbers: &[("Cardinality", Fold::Sum)],
    key: &["Key_name", "Seq_in_index"],
};
static CREATE_TABLE: Relation =
    list("SHOW CREATE TABLE", OF_TABLE, &[Told::Beside("Table"), Told::Create("Create Table")]);

static CREATE_VIEW: Relation = list("SHOW CREATE VIEW", OF_TABLE, &[Told::Sql("Create View")]);
static CREATE_DATABASE: Relation =
    list("SHOW CREATE DATABASE", OF_SCHEMA, &[Told::Schema("Database"), Told::CreateSchema("Create Database")]);

impl List {
    /// The column that LIKE is about.
    pub fn name_column(&self) -> String {
        match (self.kind, &self.schema) {
            (ListKind::Tables, Some(schema)) => format!("Tables_in_{schema}"),
            (ListKind::Tables, None) => ListKind::FIRST.to_owned(),
            (ListKind::Databases | ListKind::CreateDatabase, _) => "Database".to_owned(),
            (ListKind::CreateView, _) => "View".to_owned(),
            (ListKind::OpenTables | ListKind::Triggers | ListKind::Index | ListKind::CreateTable, _) => {
                "Table".to_owned()
            }
            (ListKind::TableStatus | ListKind::Events | ListKind::ProcedureStatus | ListKind::FunctionStatus, _) => {
                "Name".to_owned()
            }
        }
    }
}

impl ListKind {
    /// The name under which the first column of SHOW TABLES is known here: its own has the schema's name in it.
    pub const FIRST: &'static str = "Tables_in";

    /// The kind of a SHOW, if it is such a list.
    pub fn of(show: &Show) -> Option<ListKind> {
        Some(match show.kind {
            ShowKind::Databases => ListKind::Databases,
            ShowKind::Tables => ListKind::Tables,
            ShowKind::TableStatus => ListKind::TableStatus,
            ShowKind::OpenTables => ListKind::OpenTables,
            ShowKind::Triggers => ListKind::Triggers,
            ShowKind::Events => ListKind::Events,
            ShowKind::Index => ListKind::Index,
            ShowKind::CreateTable => ListKind::CreateTable,
            ShowKind::CreateView => ListKind::CreateView,
            ShowKind::CreateDatabase => ListKind::CreateDatabase,
            ShowKind::ProcedureStatus => ListKind::ProcedureStatus,
            ShowKind::FunctionStatus => ListKind::FunctionStatus,
            _ => return None,
        })
    }

    /// What its rows are like.
    pub fn relation(self) -> &'static Relation {
        match self {
            ListKind::Databases => &DATABASES,
            ListKind::Tables => &TABLES,
            ListKind::TableStatus => &TABLE_STATUS,
            ListKind::OpenTables => &OPEN_TABLES,
            ListKind::Triggers => &TRIGGERS,
            ListKind::Events => &EVENTS,
            ListKind::ProcedureStatus | ListKind::FunctionStatus => &ROUTINES,
            ListKind::Index => &INDEX,
            ListKind::CreateTable => &CREATE_TABLE,
            ListKind::CreateView => &CREATE_VIEW,
            ListKind::CreateDatabase => &CREATE_DATABASE,
        }
    }

    /// The column that tells a row's table.
    pub(super) fn table_column(self) -> &'static str {
        match self {
            ListKind::Tables => ListKind::FIRST,
            ListKind::TableStatus => "Name",
            _ => "Table",
        }
    }

    /// Whether a table is asked for by its name, and not all tables of a schema.
    pub fn is_of_table(self) -> bool {
        matches!(self, ListKind::Index | ListKind::CreateTable | ListKind::CreateView)
    }
}
