//! UPDATE and DELETE whose rows hang on rows of other servers, as data: which rows they write is read first, by the key
//! of each written table, with the values that other tables give; then they are written by these keys. It knows no row.

use crate::plan::text::quote;
use crate::plan::{Many, Plan, Planned};
use crate::rules::catalog::ColumnInfo;
use crate::sql::scan::Scan;
use crate::sql::splice::{Anchor, range};

/// A piece of the client's text.
pub type Piece = (Anchor, Anchor);

/// A write that is done by the keys of its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// The references to tables, with the conditions of joins.
    pub tables: Piece,
    /// The condition.
    pub filter: Option<Piece>,
    /// The clauses that lock the rows which are read.
    pub locks: Box<str>,
    /// The tables that are written, in the order in which the statement names them.
    pub written: Box<[Written]>,
    /// Decimals that are read may have more digits than a server shows of them.
    pub divides: bool,
}

/// A table that is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The table as a statement names it: `` `schema`.`table` ``.
    pub table: Box<str>,
    /// What its columns are qualified with.
    pub label: Box<str>,
    /// That is an alias.
    pub aliased: bool,
    /// The columns that tell a row from all others and where it is: those of its key, then sharding columns.
    pub key: Box<[ColumnInfo]>,
    /// What an UPDATE gives to its columns; none for a DELETE.
    pub set: Box<[Given]>,
}

/// A column that is given a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// The column.
    pub column: ColumnInfo,
    /// The value, as an expression.
    pub value: Piece,
    /// It hangs on other rows, and is read with them; else the row that is written is enough for it.
    pub read: bool,
}

impl Joined {
    /// It is an UPDATE.
    pub fn updates(&self) -> bool {
        self.written.iter().any(|written| !written.set.is_empty())
    }

    /// The SELECT of the keys of all written tables, then of the values that are read; none for a text with another key.
    pub fn select(&self, sql: &[u8], scan: &Scan) -> Option<Vec<u8>> {
        let read = || self.written.iter().flat_map(|written| &written.set).filter(|given| given.read);
        let mut text = b"SELECT ".to_vec();
        if read().next().is_none() {
            // Only keys: of texts that are equal one is as good as another.
            text.extend_from_slice(b"DISTINCT ");
        }
        let mut before: &[u8] = b"";
        for written in &self.written {
            for column in &written.key {
                text.extend_from_slice(before);
                quote(written.label.as_bytes(), &mut text);
                text.push(b'.');
                quote(column.name.as_bytes(), &mut text);
                before = b", ";
            }
        }
        for given in read() {
            text.extend_from_slice(before);
            text.extend_from_slice(piece(given.value, sql, scan)?);
        }
        text.extend_from_slice(b" FROM ");
        text.extend_from_slice(piece(self.tables, sql, scan)?);
        if let Some(filter) = self.filter {
            text.extend_from_slice(b" WHERE ");
            text.extend_from_slice(piece(filter, sql, scan)?);
        }
        text.extend_from_slice(self.locks.as_bytes());
        Some(text)
    }
}

impl Written {
    /// What stands before the rows of a statement that writes the table: `DELETE FROM t`, or `UPDATE t AS a SET ...` with
    /// these literals for the values that are read; none for a text with another key.
    pub fn verb(&self, read: &[Option<Vec<u8>>], sql: &[u8], scan: &Scan) -> Option<Vec<u8>> {
        if self.set.is_empty() {
            return Some(format!("DELETE FROM {}", self.table).into_bytes());
        }
        let mut text = format!("UPDATE {}", self.table).into_bytes();
        if self.aliased {
            text.extend_from_slice(b" AS ");
            quote(self.label.as_bytes(), &mut text);
        }
        let (mut before, mut read): (&[u8], _) = (b" SET ", read.iter());
        for given in &self.set {
            text.extend_from_slice(before);
            quote(given.column.name.as_bytes(), &mut text);
            text.extend_from_slice(b" = ");
            match given.read {
                true => text.extend_from_slice(read.next()?.as_deref().unwrap_or(b"NULL")),
                false => text.extend_from_slice(piece(given.value, sql, scan)?),
            }
            before = b", ";
        }
        Some(text)
    }
}

impl Written {
    /// A statement that writes no row of the table, of the form of those that do.
    pub fn sample(&self, sql: &[u8], scan: &Scan) -> Option<Vec<u8>> {
        let read: Vec<_> = self.set.iter().filter(|given| given.read).map(|_| None).collect();
        let mut text = self.verb(&read, sql, scan)?;
        for (number, column) in self.key.iter().enumerate() {
            text.extend_from_slice(if number == 0 { b" WHERE " } else { b" AND " });
            quote(column.name.as_bytes(), &mut text);
            text.extend_from_slice(b" = NULL");
        }
        Some(text)
    }
}

fn piece<'a>(piece: Piece, sql: &'a [u8], scan: &Scan) -> Option<&'a [u8]> {
    sql.get(range(piece, scan)?)
}

impl Planned {
    /// How the statement is done by the keys of its rows, if that is its way.
    pub fn joined(&self) -> Option<&Joined> {
        match &self.plan {
            Plan::Joined(joined) => Some(joined),
            Plan::Sharded(sharded) => match &sharded.many {
                Many::Joined(joined) => Some(joined),
                _ => None,
            },
            _ => None,
        }
    }
}
