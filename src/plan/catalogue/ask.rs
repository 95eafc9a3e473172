//! What is asked of each group about its physical tables, before a statement about the catalogue can run.
//! It sends nothing.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::plan::catalogue::inventory::Inventory;
use crate::plan::catalogue::list::{List, ListKind};
use crate::plan::catalogue::relation::{Owner, Relation};
use crate::plan::catalogue::{Source, Wanted};
use crate::plan::text::quote;
use crate::rules::{GroupId, Placement, RuleSet};

/// A question to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The group.
    pub group: GroupId,
    /// The statement.
    pub sql: String,
    /// Whose the rows of the answer are.
    pub about: About,
}

/// Whose the rows of an answer are, by physical names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// Its first two columns tell schema and table, and are no part of the relation.
    Told,
    /// Its first column is the schema.
    Schemas,
    /// Of this schema; the column of this name tells the table, if there is one.
    Schema(String, &'static str),
    /// Of this schema and table.
    Table(String, String),
}

/// The questions for a relation. `tables`: names of tables whose rows suffice.
pub fn questions(
    wanted: &Wanted,
    inventory: &Inventory<'_>,
    rules: &RuleSet,
    tables: Option<&[String]>,
) -> Vec<Question> {
    match &wanted.source {
        Source::Relation(relation) => of_relation(relation, inventory, tables),
        Source::List(list) if list.kind.is_of_table() => of_table(list, rules),
        Source::List(list) => of_list(list, inventory),
    }
}

fn of_relation(relation: &Relation, inventory: &Inventory<'_>, tables: Option<&[String]>) -> Vec<Question> {
    let (schema, table) = match relation.owner {
        Owner::Table(schema, table) => (schema, table),
        Owner::Schema(schema) => (schema, "NULL"),
        Owner::Server | Owner::Client(_) => return Vec::new(),
    };
    let mut found = Vec::new();
    for (group, schemas) in inventory.places(!relation.numbers.is_empty()) {
        let mut sql = format!(
            "SELECT {schema}, {table}, r.* FROM information_schema.{} AS r WHERE {schema} IN ({})",
            relation.name,
            texts(schemas.iter().copied())
        );
        // A name with letters of other alphabets may equal others that are written otherwise.
        if let (Some(tables), Owner::Table(..)) = (tables, relation.owner)
            && tables.iter().all(|name| name.is_ascii())
        {
            let names: BTreeSet<String> =
                tables.iter().flat_map(|table| inventory.physical_names(*group, table)).collect();
            let _ = write!(sql, " AND {table} IN ({})", texts(names.iter().map(String::as_str)));
        }
        found.push(Question { group: *group, sql, about: About::Told });
    }
    found
}

fn of_list(list: &List, inventory: &Inventory<'_>) -> Vec<Question> {
    let mut found = Vec::new();
    match list.kind {
        ListKind::Databases => {
            let homes: BTreeSet<GroupId> = inventory.schemas().map(|schema| schema.home).collect();
            let ask = |group| Question { group, sql: "SHOW DATABASES".into(), about: About::Schemas };
            found.extend(homes.into_iter().map(ask));
        }
        ListKind::CreateDatabase => {
            for schema in inventory.schemas() {
                let name = schema.physical(schema.home);
                let words = if list.full { "IF NOT EXISTS " } else { "" };
                let sql = format!("SHOW CREATE DATABASE {words}{}", quoted(name));
                found.push(Question { group: schema.home, sql, about: About::Schema(name.into(), "") });
            }
        }
        ListKind::Events | ListKind::ProcedureStatus | ListKind::FunctionStatus => {
            let homes: BTreeSet<(GroupId, &str)> =
                inventory.schemas().map(|schema| (schema.home, schema.physical(schema.home))).collect();
            for (group, schema) in homes {
                let sql = match list.kind {
                    ListKind::Events => format!("SHOW EVENTS FROM {}", quoted(schema)),
                    ListKind::ProcedureStatus => format!("SHOW PROCEDURE STATUS WHERE Db = {}", text(schema)),
                    _ => format!("SHOW FUNCTION STATUS WHERE Db = {}", text(schema)),
                };
                found.push(Question { group, sql, about: About::Schema(schema.into(), "") });
            }
        }
        kind => {
            let words = match (kind, list.full) {
                (ListKind::Tables, true) => "FULL TABLES",
                (ListKind::TableStatus, _) => "TABLE STATUS",
                (ListKind::OpenTables, _) => "OPEN TABLES",
                (ListKind::Triggers, _) => "TRIGGERS",
                _ => "TABLES",
            };
            for (group, schemas) in inventory.places(!kind.relation().numbers.is_empty()) {
                for schema in schemas {
                    let sql = format!("SHOW {words} FROM {}", quoted(schema));
                    let about = About::Schema((*schema).into(), kind.table_column());
                    found.push(Question { group: *group, sql, about });
                }
            }
        }
    }
    found
}

/// The server of a view, or of a sharded table: every shard tells where numbers are folded, else the first one.
fn of_table(list: &List, rules: &RuleSet) -> Vec<Question> {
    let (Some(schema), Some(table)) = (&list.schema, &list.table) else { return Vec::new() };
    let found = match rules.schema(schema).map(|schema| (schema, schema.table(table))) {
        Some((_, Placement::Sharded(found))) => found,
        Some((schema, Placement::Single(group))) => {
            let physical = schema.physical(group);
            let sql = format!("SHOW CREATE VIEW {}.{}", quoted(physical), quoted(table));
            return vec![Question { group, sql, about: About::Table(physical.into(), table.to_string()) }];
        }
        _ => return Vec::new(),
    };
    let Some(family) = rules.family(found.family) else { return Vec::new() };
    let shards = if list.kind.relation().numbers.is_empty() { 1 } else { family.shards };
    let words = if list.kind == ListKind::Index { "INDEX FROM" } else { "CREATE TABLE" };
    let ask = |shard: u32| {
        let name = found.physical(shard);
        Question {
            group: family.home(shard),
            sql: format!("SHOW {words} {}.{}", quoted(&name.schema), quoted(&name.table)),
            about: About::Table(name.schema.clone(), name.table.clone()),
        }
    };
    (0..shards).map(ask).collect()
}

/// A name in backquotes.
pub(super) fn quoted(name: &str) -> String {
    let mut out = Vec::new();
    quote(name.as_bytes(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// A text as a literal that means the same in every character set and sql_mode.
pub(super) fn text(value: &str) -> String {
    literal(value.as_bytes())
}

/// The same of bytes in UTF-8.
pub(super) fn literal(value: &[u8]) -> String {
    let mut out = String::with_capacity(12 + 2 * value.len());
    // Some columns of information_schema have the collation of a literal only. Unicode of another kind would take its
    // place; letters of an alphabet that every Unicode has do not.
    out.push_str(if value.is_ascii() { "_latin1 X'" } else { "_utf8mb4 X'" });
    for byte in value {
        let _ = write!(out, "{byte:02X}");
    }
    out.push('\'');
    out
}

fn texts<'t>(values: impl Iterator<Item = &'t str>) -> String {
    let all: Vec<String> = values.map(text).collect();
    if all.is_empty() { "NULL".into() } else { all.join(", ") }
}
