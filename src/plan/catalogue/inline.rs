//! Rows written into a statement: the derived table that takes the place of a relation, and the SELECT that takes the
//! place of a SHOW. It knows no rules.

use std::fmt::Write;

use crate::plan::catalogue::ask::{literal, quoted, text};
use crate::plan::catalogue::list::List;
use crate::plan::catalogue::relation::Relation;
use crate::plan::catalogue::rows::Row;
use crate::sql::Flavour;

/// A column of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its cells are.
    pub shape: Shape,
}

/// What cells are, as far as that changes how they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A whole number that may be negative.
    Signed,
    /// A whole number that may not.
    Unsigned,
    /// Any other number.
    Number,
    /// DATETIME or TIMESTAMP.
    Moment,
    /// JSON.
    Json,
    /// A string, or anything else, as a string.
    Text,
}

/// The derived table, in parentheses and without a name: the server's own rows of the schemas `system`, then `rows`.
pub fn relation(relation: &Relation, columns: &[Column], rows: &[Row], system: &[&str], flavour: Flavour) -> String {
    let mut sql = format!("(SELECT * FROM {}.{} WHERE ", relation.schema(), relation.name);
    match relation.schema_column() {
        Some(column) if !system.is_empty() => {
            let names: Vec<String> = system.iter().map(|name| text(name)).collect();
            let _ = write!(sql, "{column} IN ({})", names.join(", "));
        }
        _ => sql.push_str("FALSE"),
    }
    values(columns, rows, flavour, false, &mut sql);
    sql.push(')');
    sql
}

/// `SELECT ... FROM (...) AS rows`, to be continued with WHERE and `ORDER BY #`. The columns `names` are compared as the
/// servers compare names.
pub fn list(list: &List, columns: &[Column], rows: &[Row], flavour: Flavour) -> String {
    let shown: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    let typed = columns.iter().zip(&shown).map(|(column, name)| {
        let value = match column.shape {
            Shape::Signed => "CAST(NULL AS SIGNED)".to_owned(),
            Shape::Unsigned => "CAST(NULL AS UNSIGNED)".to_owned(),
            Shape::Number => "NULL".to_owned(),
            Shape::Moment => "CAST(NULL AS DATETIME)".to_owned(),
            Shape::Json | Shape::Text => {
                let is_name = column.name == list.name_column() || column.name == "Db";
                let collation = if is_name { "bin" } else { "general_ci" };
                format!("CAST(NULL AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_{collation}")
            }
        };
        format!("{value} AS {name}")
    });
    let typed: Vec<String> = typed.collect();
    let mut sql = format!(
        "SELECT {} FROM (SELECT {}, CAST(NULL AS SIGNED) AS `#` FROM DUAL WHERE FALSE",
        shown.join(", "),
        typed.join(", ")
    );
    values(columns, rows, flavour, true, &mut sql);
    sql.push_str(") AS `rows`");
    sql
}

/// ` UNION ALL VALUES ...`, with the number of each row as its last cell if `numbered`.
fn values(columns: &[Column], rows: &[Row], flavour: Flavour, numbered: bool, sql: &mut String) {
    let open = match flavour {
        Flavour::MySql => "ROW(",
        Flavour::MariaDb => "(",
    };
    for (number, row) in rows.iter().enumerate() {
        sql.push_str(if number == 0 { " UNION ALL VALUES " } else { "," });
        sql.push_str(open);
        for (at, (cell, column)) in row.iter().zip(columns).enumerate() {
            if at > 0 {
                sql.push(',');
            }
            value(cell.as_deref(), column.shape, sql);
        }
        if numbered {
            let _ = write!(sql, ",{number}");
        }
        sql.push(')');
    }
}

fn value(cell: Option<&[u8]>, shape: Shape, sql: &mut String) {
    let Some(cell) = cell else {
        sql.push_str("NULL");
        return;
    };
    let plain = || String::from_utf8_lossy(cell);
    let is_number = cell.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte)) && !cell.is_empty();
    let _ = match shape {
        Shape::Signed | Shape::Number if is_number => write!(sql, "{}", plain()),
        Shape::Unsigned if is_number => write!(sql, "CAST({} AS UNSIGNED)", plain()),
        Shape::Moment => write!(sql, "CAST({} AS DATETIME)", literal(cell)),
        Shape::Json => write!(sql, "CAST({} AS JSON)", literal(cell)),
        _ => write!(sql, "{}", literal(cell)),
    };
}
