//! What the relations of information_schema, and the lists that SHOW gives, tell of schemas and tables: which of their
//! columns hold names, and which hold numbers that a sharded table has once for every shard.
//! It knows no rules and no rows.
//!
//! <https://dev.mysql.com/doc/refman/9.7/en/information-schema.html>

use crate::sql::Flavour;

/// A relation whose rows tell of schemas, tables or what is in them.
#[derive(Debug, PartialEq, Eq)]
pub struct Relation {
    /// Its name in upper case.
    pub name: &'static str,
    /// Whom a row belongs to.
    pub owner: Owner,
    /// The columns that hold physical names.
    pub told: &'static [Told],
    /// The columns that are numbers of one shard.
    pub numbers: &'static [(&'static str, Fold)],
    /// The columns that tell the rows of one table apart, if there are numbers and several rows.
    pub key: &'static [&'static str],
}

/// Whom a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A table: expressions over the relation, known as `r`, that give its schema and its name.
    Table(&'static str, &'static str),
    /// A schema, or something in it that is no table; it is its home that tells.
    Schema(&'static str),
    /// A server. Clients see no servers, so the relation is empty.
    Server,
    /// A client's connection, of which the proxy itself tells. Servers have the relation in this schema.
    Client(&'static str),
}

/// A column with a physical name in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A schema.
    Schema(&'static str),
    /// A schema and a table in it.
    Table(&'static str, &'static str),
    /// A table in the schema of the row's owner.
    Beside(&'static str),
    /// A foreign key or check; a key among them has the same name everywhere.
    Constraint(&'static str),
    /// SQL, with names in backquotes.
    Sql(&'static str),
    /// The CREATE TABLE of a row's table.
    Create(&'static str),
    /// The CREATE DATABASE of a row's schema.
    CreateSchema(&'static str),
}

/// How the numbers of all shards become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// Their sum.
    Sum,
    /// The largest, as bytes if they are no numbers: moments.
    Max,
    /// Column `.1` divided by column `.0`, both summed before.
    Mean(&'static str, &'static str),
}

/// The numbers of a table, as information_schema calls them.
const SIZES: &[(&str, Fold)] = &[
    ("TABLE_ROWS", Fold::Sum),
    ("DATA_LENGTH", Fold::Sum),
    ("MAX_DATA_LENGTH", Fold::Sum),
    ("INDEX_LENGTH", Fold::Sum),
    ("DATA_FREE", Fold::Sum),
    ("AVG_ROW_LENGTH", Fold::Mean("TABLE_ROWS", "DATA_LENGTH")),
    ("AUTO_INCREMENT", Fold::Max),
    ("UPDATE_TIME", Fold::Max),
    ("CHECK_TIME", Fold::Max),
];

/// The same, as SHOW TABLE STATUS calls them.
pub(super) const STATUS_SIZES: &[(&str, Fold)] = &[
    ("Rows", Fold::Sum),
    ("Data_length", Fold::Sum),
    ("Max_data_length", Fold::Sum),
    ("Index_length", Fold::Sum),
    ("Data_free", Fold::Sum),
    ("Avg_row_length", Fold::Mean("Rows", "Data_length")),
    ("Auto_increment", Fold::Max),
    ("Update_time", Fold::Max),
    ("Check_time", Fold::Max),
];

const OF_TABLE: Owner = Owner::Table("r.TABLE_SCHEMA", "r.TABLE_NAME");
const TABLE: Told = Told::Table("TABLE_SCHEMA", "TABLE_NAME");

/// A relation without numbers.
const fn plain(name: &'static str, owner: Owner, told: &'static [Told]) -> Relation {
    Relation { name, owner, told, numbers: &[], key: &[] }
}

/// A relation that is empty for clients.
const fn of_server(name: &'static str) -> Relation {
    plain(name, Owner::Server, &[])
}

/// MySQL's CHECK_CONSTRAINTS does not say which table a row is of.
const CHECKED: Owner = Owner::Table(
    "r.CONSTRAINT_SCHEMA",
    "(SELECT c.TABLE_NAME FROM information_schema.TABLE_CONSTRAINTS AS c \
     WHERE c.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME = r.CONSTRAINT_NAME \
     AND c.CONSTRAINT_TYPE = 'CHECK' LIMIT 1)",
);

static RELATIONS: &[Relation] = &[
    plain("SCHEMATA", Owner::Schema("r.SCHEMA_NAME"), &[Told::Schema("SCHEMA_NAME")]),
    plain("SCHEMATA_EXTENSIONS", Owner::Schema("r.SCHEMA_NAME"), &[Told::Schema("SCHEMA_NAME")]),
    Relation { name: "TABLES", owner: OF_TABLE, told: &[TABLE], numbers: SIZES, key: &[] },
    plain("TABLES_EXTENSIONS", OF_TABLE, &[TABLE]),
    plain("COLUMNS", OF_TABLE, &[TABLE]),
    plain("COLUMNS_EXTENSIONS", OF_TABLE, &[TABLE]),
    Relation {
        name: "STATISTICS",
        owner: OF_TABLE,
        told: &[TABLE, Told::Schema("INDEX_SCHEMA")],
        numbers: &[("CARDINALITY", Fold::Sum)],
        key: &["INDEX_NAME", "SEQ_IN_INDEX"],
    },
    Relation {
        name: "PARTITIONS",
        owner: OF_TABLE,
        told: &[TABLE],
        numbers: SIZES,
        key: &["PARTITION_NAME", "SUBPARTITION_NAME"],
    },
    plain("VIEWS", OF_TABLE, &[TABLE, Told::Sql("VIEW_DEFINITION")]),
    plain(
        "VIEW_TABLE_USAGE",
        Owner::Table("r.VIEW_SCHEMA", "r.VIEW_NAME"),
        &[Told::Table("VIEW_SCHEMA", "VIEW_NAME"), TABLE],
    ),
    plain("VIEW_ROUTINE_USAGE", OF_TABLE, &[TABLE, Told::Schema("SPECIFIC_SCHEMA")]),
    plain(
        "KEY_COLUMN_USAGE",
        OF_TABLE,
        &[
            TABLE,
            Told::Schema("CONSTRAINT_SCHEMA"),
            Told::Constraint("CONSTRAINT_NAME"),
            Told::Table("REFERENCED_TABLE_SCHEMA", "REFERENCED_TABLE_NAME"),
        ],
    ),
    plain(
        "TABLE_CONSTRAINTS",
        OF_TABLE,
        &[TABLE, Told::Schema("CONSTRAINT_SCHEMA"), Told::Constraint("CONSTRAINT_NAME")],
    ),
    plain(
        "TABLE_CONSTRAINTS_EXTENSIONS",
        Owner::Table("r.CONSTRAINT_SCHEMA", "r.TABLE_NAME"),
        &[Told::Table("CONSTRAINT_SCHEMA", "TABLE_NAME")],
    ),
    plain(
        "REFERENTIAL_CONSTRAINTS",
        Owner::Table("r.CONSTRAINT_SCHEMA", "r.TABLE_NAME"),
        &[
            Told::Table("CONSTRAINT_SCHEMA", "TABLE_NAME"),
            Told::Constraint("CONSTRAINT_NAME"),
            Told::Table("UNIQUE_CONSTRAINT_SCHEMA", "REFERENCED_TABLE_NAME"),
        ],
    ),
    plain(
        "TRIGGERS",
        Owner::Table("r.EVENT_OBJECT_SCHEMA", "r.EVENT_OBJECT_TABLE"),
        &[
            Told::Table("EVENT_OBJECT_SCHEMA", "EVENT_OBJECT_TABLE"),
            Told::Schema("TRIGGER_SCHEMA"),
            Told::Sql("ACTION_STATEMENT"),
        ],
    ),
    plain(
        "COLUMN_STATISTICS",
        Owner::Table("r.SCHEMA_NAME", "r.TABLE_NAME"),
        &[Told::Table("SCHEMA_NAME", "TABLE_NAME")],
    ),
    plain("ROUTINES", Owner::Schema("r.ROUTINE_SCHEMA"), &[Told::Schema("ROUTINE_SCHEMA")]),
    plain("PARAMETERS", Owner::Schema("r.SPECIFIC_SCHEMA"), &[Told::Schema("SPECIFIC_SCHEMA")]),
    plain("EVENTS", Owner::Schema("r.EVENT_SCHEMA"), &[Told::Schema("EVENT_SCHEMA")]),
    plain("LIBRARIES", Owner::Schema("r.LIBRARY_SCHEMA"), &[Told::Schema("LIBRARY_SCHEMA")]),
    of_server("FILES"),
    of_server("TABLESPACES"),
    of_server("TABLESPACES_EXTENSIONS"),
    of_server("SCHEMA_PRIVILEGES"),
    of_server("TABLE_PRIVILEGES"),
    of_server("COLUMN_PRIVILEGES"),
    plain("PROCESSLIST", Owner::Client("information_schema"), &[]),
];

/// The same where MySQL has it a second time. Its name is written as servers know it whose files do not tell all letters
/// to be equal.
static PROCESSES: Relation = plain("processlist", Owner::Client("performance_schema"), &[]);

static MYSQL: &[Relation] = &[
    plain("CHECK_CONSTRAINTS", CHECKED, &[Told::Schema("CONSTRAINT_SCHEMA"), Told::Constraint("CONSTRAINT_NAME")]),
    plain("ST_GEOMETRY_COLUMNS", OF_TABLE, &[TABLE]),
];

static MARIADB: &[Relation] = &[
    plain(
        "CHECK_CONSTRAINTS",
        Owner::Table("r.CONSTRAINT_SCHEMA", "r.TABLE_NAME"),
        &[Told::Table("CONSTRAINT_SCHEMA", "TABLE_NAME"), Told::Constraint("CONSTRAINT_NAME")],
    ),
    plain(
        "GEOMETRY_COLUMNS",
        Owner::Table("r.F_TABLE_SCHEMA", "r.F_TABLE_NAME"),
        &[Told::Table("F_TABLE_SCHEMA", "F_TABLE_NAME"), Told::Table("G_TABLE_SCHEMA", "G_TABLE_NAME")],
    ),
    plain("PERIODS", OF_TABLE, &[TABLE]),
    plain("KEY_PERIOD_USAGE", OF_TABLE, &[TABLE, Told::Schema("CONSTRAINT_SCHEMA")]),
    plain(
        "SEQUENCES",
        Owner::Table("r.SEQUENCE_SCHEMA", "r.SEQUENCE_NAME"),
        &[Told::Table("SEQUENCE_SCHEMA", "SEQUENCE_NAME")],
    ),
];

/// The relations that name nothing of a client's: they are the server's own words.
const OF_ALL: &[&str] = &[
    "ADMINISTRABLE_ROLE_AUTHORIZATIONS",
    "ALL_PLUGINS",
    "APPLICABLE_ROLES",
    "CHARACTER_SETS",
    "COLLATIONS",
    "COLLATION_CHARACTER_SET_APPLICABILITY",
    "ENABLED_ROLES",
    "ENGINES",
    "GLOBAL_STATUS",
    "GLOBAL_VARIABLES",
    "KEYWORDS",
    "LOCALES",
    "OPTIMIZER_TRACE",
    "PLUGINS",
    "PROFILING",
    "SESSION_STATUS",
    "SESSION_VARIABLES",
    "SPATIAL_REF_SYS",
    "SQL_FUNCTIONS",
    "ST_SPATIAL_REFERENCE_SYSTEMS",
    "ST_UNITS_OF_MEASURE",
    "SYSTEM_VARIABLES",
];

/// What a name in information_schema stands for.
pub(crate) enum Found {
    /// It tells of schemas and tables.
    Names(&'static Relation),
    /// It tells of the server, and any server tells the same.
    OfAll,
    /// It tells of one server, and names what clients call otherwise; or nobody knows it.
    Refused,
}

/// The relation of this name, without case, as servers of a flavour have it.
pub(crate) fn find(name: &str, flavour: Flavour) -> Found {
    let own = match flavour {
        Flavour::MySql => MYSQL,
        Flavour::MariaDb => MARIADB,
    };
    match own.iter().chain(RELATIONS).find(|relation| relation.name.eq_ignore_ascii_case(name)) {
        Some(relation) => Found::Names(relation),
        None if OF_ALL.iter().any(|known| known.eq_ignore_ascii_case(name)) => Found::OfAll,
        None => Found::Refused,
    }
}

/// The relation of this name in performance_schema, if it is about clients.
pub(crate) fn find_in_performance(name: &str) -> Option<&'static Relation> {
    PROCESSES.name.eq_ignore_ascii_case(name).then_some(&PROCESSES)
}

impl Relation {
    /// The schema that servers have it in.
    pub(crate) fn schema(&self) -> &'static str {
        match self.owner {
            Owner::Client(schema) => schema,
            Owner::Table(..) | Owner::Schema(_) | Owner::Server => "information_schema",
        }
    }

    /// The column that tells a row's schema, or the schema that it is.
    pub(crate) fn schema_column(&self) -> Option<&'static str> {
        match self.owner {
            Owner::Table(schema, _) | Owner::Schema(schema) => Some(schema.trim_start_matches("r.")),
            Owner::Server | Owner::Client(_) => None,
        }
    }

    /// The column that tells a row's table, where there is one.
    pub(crate) fn table_column(&self) -> Option<&'static str> {
        match self.owner {
            Owner::Table(_, table) => table.strip_prefix("r."),
            Owner::Schema(_) | Owner::Server | Owner::Client(_) => None,
        }
    }
}
