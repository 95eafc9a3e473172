//! The rows of a new table in several places, as they lie in the temporary table that says what it is: how they are read
//! there, where each belongs, and how it is stored. It knows no connection.

use crate::error::SqlError;
use crate::plan::Target;
use crate::plan::gather::{Fill, Form, Pulled};
use crate::plan::sources::form;
use crate::plan::text::quote;
use crate::rules::catalog::{ColumnType, TableInfo};
use crate::rules::{Family, PhysicalName, RuleSet};
use crate::value::decimal::Decimal;
use crate::value::{Canon, Datum, KeyKind, stored};

/// How rows go from the temporary table to their places.
#[derive(Debug)]
pub struct Pouring<'a> {
    fill: &'a Fill,
    /// What a row has, but for what a table computes by itself.
    columns: Vec<Pulled>,
    /// The columns that say where a row belongs, and the family that knows it; none if every place has all rows.
    split: Option<(&'a Family, Vec<Key<'a>>)>,
}

#[derive(Debug)]
struct Key<'a> {
    column: &'a str,
    kind: KeyKind,
}

impl<'a> Pouring<'a> {
    /// Of a table with these columns.
    ///
    /// # Errors
    /// 1235 for a column whose values do not travel, and for a sharding key by which rows cannot be placed.
    pub fn new(fill: &'a Fill, info: &TableInfo, rules: &'a RuleSet) -> Result<Pouring<'a>, SqlError> {
        let table = format!("{}.{}", fill.schema, fill.table);
        let mut columns = Vec::with_capacity(info.columns.len());
        let zoned = info.columns.iter().any(|column| matches!(column.ty, ColumnType::Timestamp(_)));
        if zoned && info.columns.iter().any(|column| column.generated) {
            let why = "with a generated column that may follow the session's time zone";
            return Err(SqlError::refuse(format!("CREATE TABLE ... AS SELECT of {table} {why}")));
        }
        for column in info.columns.iter().filter(|column| !column.generated) {
            let Some(form) = form(&column.ty) else {
                let why = format!("with a column {} of type {}, whose values do not travel", column.name, column.ty);
                return Err(SqlError::refuse(format!("CREATE TABLE ... AS SELECT of {table} {why}")));
            };
            columns.push(Pulled { name: column.name.as_str().into(), form, needed: true });
        }
        let split = match &fill.split {
            None => None,
            Some((family, names)) => {
                let family = rules.family(*family).ok_or_else(|| SqlError::refuse("a family that no rule knows"))?;
                let mut keys = Vec::with_capacity(names.len());
                for (level, name) in names.iter().enumerate() {
                    let kind = match info.column(name) {
                        Some((_, column)) => column.key_kind(),
                        None => Err("is none of the columns".to_owned()),
                    };
                    let kind = kind.and_then(|kind| family.accepts(level, &kind).map(|()| kind));
                    let refuse = |why| SqlError::refuse(format!("the rules split {table} by {name}, which {why}"));
                    keys.push(Key { column: name, kind: kind.map_err(refuse)? });
                }
                Some((family, keys))
            }
        };
        Ok(Pouring { fill, columns, split })
    }

    /// The places, sorted.
    pub fn places(&self) -> &'a [(Target, PhysicalName)] {
        &self.fill.places
    }

    /// Appends the SELECT of all rows, with the sharding key behind the columns.
    pub fn put_select(&self, out: &mut Vec<u8>) {
        let mut before: &[u8] = b"SELECT ";
        for column in &self.columns {
            out.extend_from_slice(before);
            column.form.put_expression(&column.name, out);
            before = b",";
        }
        for key in self.split.iter().flat_map(|(_, keys)| keys) {
            out.extend_from_slice(before);
            match key.kind {
                KeyKind::Str { .. } => {
                    out.extend_from_slice(b"CAST(CONVERT(");
                    quote(key.column.as_bytes(), out);
                    out.extend_from_slice(b" USING utf8mb4) AS BINARY)");
                }
                _ => Form::Plain.put_expression(key.column, out),
            }
            before = b",";
        }
        out.extend_from_slice(b" FROM ");
        out.extend_from_slice(self.fill.stage.quoted.as_bytes());
    }

    /// Appends the INSERT for rows at a place, up to the word VALUES.
    pub fn put_insert(&self, place: &PhysicalName, out: &mut Vec<u8>) {
        out.extend_from_slice(b"INSERT INTO ");
        out.extend_from_slice(place.quoted.as_bytes());
        for (index, column) in self.columns.iter().enumerate() {
            out.push(if index == 0 { b'(' } else { b',' });
            quote(column.name.as_bytes(), out);
        }
        out.extend_from_slice(b") VALUES ");
    }

    /// Appends a row, in parentheses, of what the SELECT gave in the text protocol: its columns, then its sharding key.
    /// Gives the shard to which it belongs, none if every place has it.
    ///
    /// # Errors
    /// 1235 for a row that no shard may have, and for a value that would not arrive as it is.
    pub fn put_row(&self, cells: &[Option<&[u8]>], out: &mut Vec<u8>) -> Result<Option<u32>, SqlError> {
        let (row, keys) = cells.split_at_checked(self.columns.len()).unwrap_or((cells, &[]));
        for (index, (cell, column)) in row.iter().zip(&self.columns).enumerate() {
            out.push(if index == 0 { b'(' } else { b',' });
            if !column.form.put_literal(*cell, out) {
                let why = "has a JSON value with a date, time, decimal or binary string in it, which its text does not \
                           tell: rows with it cannot be carried to other servers";
                return Err(SqlError::refuse(format!("{} {why}", column.name)));
            }
        }
        out.push(b')');
        let Some((family, columns)) = &self.split else { return Ok(None) };
        let mut found = Vec::with_capacity(columns.len());
        for (key, cell) in columns.iter().zip(keys) {
            match stored(&datum(*cell, &key.kind), &key.kind) {
                Canon::Key(key) => found.push(key),
                Canon::Refused(why) => return Err(SqlError::refuse(format!("{}: {why}", key.column))),
                Canon::Never | Canon::Unknown => {
                    let why = "the value of the sharding key does not fit its column";
                    return Err(SqlError::refuse(format!("{}: {why}", key.column)));
                }
            }
        }
        let shard = family.shard(&found).ok_or_else(|| {
            let shown = |cell: &Option<&[u8]>| {
                cell.map_or("NULL".to_owned(), |cell| String::from_utf8_lossy(cell).into_owned())
            };
            let names: Vec<&str> = columns.iter().map(|key| key.column).collect();
            let values: Vec<String> = keys.iter().map(shown).collect();
            let (names, values) = (names.join(", "), values.join(", "));
            SqlError::refuse(format!("no shard of {} has {names} = {values}", family.name))
        })?;
        Ok(Some(shard))
    }
}

/// A key as a server shows it.
fn datum<'c>(cell: Option<&'c [u8]>, kind: &KeyKind) -> Datum<'c> {
    let Some(cell) = cell else { return Datum::Null };
    let text = std::str::from_utf8(cell).unwrap_or_default();
    let integer = || text.parse().map(Datum::Int).or_else(|_| text.parse().map(Datum::UInt)).ok();
    let number = match kind {
        KeyKind::Int { .. } => integer(),
        KeyKind::Decimal { .. } => Decimal::parse(cell).map(Datum::Decimal),
        KeyKind::Bytes { .. } => Some(Datum::Bytes(cell.into())),
        _ => None,
    };
    number.unwrap_or_else(|| Datum::Text(cell.into()))
}
