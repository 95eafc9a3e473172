//! A gather as data: which rows of which tables are copied to one server, and the client's statement over the copies.
//! It knows no connection; how a value travels is said here, because it follows from the column's type alone.

use crate::plan::Target;
use crate::plan::route::Routing;
use crate::plan::text::{Rewrite, Text, put_hex, quote};
use crate::rules::{FamilyId, GroupId, PhysicalName};
use crate::sql::ast::Span;
use crate::sql::splice::Anchor;

/// What the copies are called; their numbers stand behind it.
pub const COPY: &str = "_shardloom_gather_";

/// A SELECT that needs rows of several targets together.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// Where the rows have to go; none: to the group that has most of the tables.
    pub home: Option<(GroupId, Box<str>)>,
    /// The tables to be copied, one for each reference: MySQL opens a temporary table only once in a statement (1137).
    pub sources: Box<[Source]>,
    /// Copies of copies, for what is read again: they count on behind the sources.
    pub twins: Box<[Twin]>,
    /// The client's statement, in which `Part::Table(n)` and `Part::Schema(n)` mean the copy of source `n`.
    pub text: Text,
    /// Of CREATE TABLE ... AS SELECT: the table in several places that is to have the rows.
    pub fills: Option<Box<Fill>>,
}

/// A table in several places that CREATE TABLE ... AS SELECT makes. The statement makes a temporary table of its name on
/// the group that gathers, of which the server says how it is defined, and what is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fill {
    /// Its logical schema.
    pub schema: Box<str>,
    /// Its logical name, which the temporary table has, too.
    pub table: Box<str>,
    /// The temporary table.
    pub stage: PhysicalName,
    /// IF NOT EXISTS.
    pub guarded: bool,
    /// Where it is to be, sorted.
    pub places: Box<[(Target, PhysicalName)]>,
    /// How its rows are split; none if every place has all of them.
    pub split: Option<(FamilyId, Box<[Box<str>]>)>,
}

/// Where the rows of a statement have to go that makes a table of them, and how the table is called there.
pub(super) struct Home {
    /// The group.
    pub(super) group: GroupId,
    /// The physical schema there that the copies are created in.
    pub(super) schema: Box<str>,
    /// What else is edited in the statement.
    pub(super) edits: Vec<(Span, Rewrite)>,
    /// The table in several places that is to have the rows.
    pub(super) fills: Option<Box<Fill>>,
}

impl Gather {
    /// The name of a copy by its number.
    pub fn copy(&self, number: u16) -> Option<&str> {
        let number = usize::from(number);
        match number.checked_sub(self.sources.len()) {
            None => self.sources.get(number).map(|source| &*source.copy),
            Some(twin) => self.twins.get(twin).map(|twin| &*twin.copy),
        }
    }

    /// The names of all copies, each with the source that it has the rows of.
    pub fn copies(&self) -> impl Iterator<Item = (&Source, &str)> {
        let own = self.sources.iter().map(|source| (source, &*source.copy));
        let twins = self.twins.iter().filter_map(|twin| Some((self.sources.get(usize::from(twin.of))?, &*twin.copy)));
        own.chain(twins)
    }
}

/// A copy of the copy of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twin {
    /// The source's number.
    pub of: u16,
    /// Its name.
    pub copy: Box<str>,
}

/// A table reference, and what is copied of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Number of its table among the plan's.
    pub table: u16,
    /// What the statement calls it.
    pub label: Box<str>,
    /// The name of its copy.
    pub copy: Box<str>,
    /// Which shards hold the rows that matter; none if the table is not sharded.
    pub routing: Option<Routing>,
    /// It is a temporary table of the session's, of which only the connection that is kept for it knows.
    pub temporary: bool,
    /// What is copied of each row.
    pub columns: Box<[Pulled]>,
    /// Conditions that every row meets which matters, as pieces of the client's text: they name no other table.
    pub filter: Box<[(Anchor, Anchor)]>,
    /// Columns that have to equal those of other sources.
    pub links: Box<[Link]>,
    /// Keys that a copy of the rows that matter does well without.
    pub spare: Box<[Box<str>]>,
    /// The clause that locks its rows where they are, if the statement has one for them: `FOR UPDATE`.
    pub locks: Option<Box<str>>,
}

/// A column of which only those rows matter that have a value that a column of another source has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The column.
    pub column: Box<str>,
    /// The number of the other source.
    pub source: u16,
    /// The other's column, of the same type and collation.
    pub other: Box<str>,
    /// How a value is written, so that it compares with the column as the other column does.
    pub literal: Literal,
    /// Its number among the keys of its source's routing, if it is one: a shard is asked for its own values only.
    pub key: Option<u8>,
}

/// How the values of a list are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// Whole numbers, as their digits.
    Digits,
    /// Texts of this character set, as their bytes.
    Text(Box<str>),
}

impl Literal {
    /// Appends a value.
    pub(super) fn put(&self, value: &[u8], out: &mut Vec<u8>) {
        match self {
            Literal::Digits => out.extend_from_slice(value),
            Literal::Text(charset) => {
                out.push(b'_');
                out.extend_from_slice(charset.as_bytes());
                put_hex(b" x'", value, out);
            }
        }
    }
}

/// How much of the sources is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The rows that meet the filters, and of them the columns that the statement can need.
    Needed,
    /// All rows of the targets, whole: where a filter gave a warning, of which one server may give more or fewer, and
    /// where a copy does not take rows without some of their columns.
    Whole,
}

/// A column that is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Its name.
    pub name: Box<str>,
    /// How its values travel.
    pub form: Form,
    /// The statement may name it, or it is part of a unique key.
    pub needed: bool,
}

impl Source {
    /// The columns that are copied.
    pub fn pulled(&self, extent: Extent) -> impl Iterator<Item = &Pulled> {
        self.columns.iter().filter(move |column| column.needed || extent == Extent::Whole)
    }
}

/// How a value travels from one server to another, so that it arrives as it was under any sql_mode, time zone and
/// character set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Its digits: whole numbers, decimals, years.
    Number,
    /// As the number that stands for it: BIT, ENUM and SET, of which even the wrong value (0) arrives.
    Code,
    /// Its text, which is ASCII: dates, times, doubles, UUIDs.
    Plain,
    /// FLOAT, as the double that it is: its own text has six digits only.
    Single,
    /// Seconds since 1970: a TIMESTAMP's text is told twice when clocks go back.
    Epoch,
    /// Its bytes: texts in the column's own character set, and binary strings.
    Bytes,
    /// The servers' own bytes of a spatial value: its reference system, then WKB.
    Shape,
    /// JSON of MySQL, as text, where reading the text again gives the same.
    Json,
}

impl Form {
    /// Appends the expression that a source server gives for the column.
    pub fn put_expression(self, column: &str, out: &mut Vec<u8>) {
        let mut put = |before: &[u8], after: &[u8]| {
            out.extend_from_slice(before);
            quote(column.as_bytes(), out);
            out.extend_from_slice(after);
        };
        match self {
            Form::Number | Form::Plain | Form::Shape => put(b"", b""),
            Form::Code => put(b"CAST(", b" AS UNSIGNED)"),
            Form::Single => put(b"", b"+0e0"),
            Form::Epoch => put(b"UNIX_TIMESTAMP(", b")"),
            Form::Bytes => put(b"CAST(", b" AS BINARY)"),
            Form::Json => {
                // Dates and decimals in a JSON value are more than their text tells: such a value shows as one byte 0.
                put(b"IF(", b"=CAST(CAST(");
                put(b"", b" AS CHAR CHARACTER SET utf8mb4) AS JSON) AND CAST(CAST(CAST(");
                put(b"", b" AS CHAR CHARACTER SET utf8mb4) AS JSON) AS CHAR CHARACTER SET utf8mb4)=CAST(");
                put(b"", b" AS CHAR CHARACTER SET utf8mb4),CAST(CAST(");
                put(b"", b" AS CHAR CHARACTER SET utf8mb4) AS BINARY),IF(");
                put(b"", b" IS NULL,NULL,x'00'))");
            }
        }
    }

    /// Appends the literal that stores a cell of the source's answer, in the text protocol; `None` is NULL.
    ///
    /// `false` if the value does not arrive as it was.
    pub fn put_literal(self, cell: Option<&[u8]>, out: &mut Vec<u8>) -> bool {
        let Some(cell) = cell else {
            out.extend_from_slice(b"NULL");
            return true;
        };
        match self {
            Form::Number | Form::Code => out.extend_from_slice(cell),
            Form::Plain | Form::Single => {
                out.push(b'\'');
                out.extend_from_slice(cell);
                out.push(b'\'');
            }
            // The zero timestamp is no instant.
            Form::Epoch if cell.iter().all(|byte| matches!(byte, b'0' | b'.')) => out.push(b'0'),
            Form::Epoch => {
                out.extend_from_slice(b"FROM_UNIXTIME(");
                out.extend_from_slice(cell);
                out.push(b')');
            }
            Form::Bytes | Form::Shape if cell.iter().all(|byte| is_plain(*byte)) => {
                out.extend_from_slice(b"_binary'");
                out.extend_from_slice(cell);
                out.push(b'\'');
            }
            Form::Bytes | Form::Shape => put_hex(b"x'", cell, out),
            Form::Json if cell == [0] => return false,
            Form::Json => put_hex(b"_utf8mb4 x'", cell, out),
        }
        true
    }
}

/// Whether a byte means itself in a string literal.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(form: Form, cell: &[u8]) -> String {
        let mut out = Vec::new();
        assert!(form.put_literal(Some(cell), &mut out));
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn values_travel_as_literals_that_no_setting_changes() {
        assert_eq!(literal(Form::Number, b"-12.50"), "-12.50");
        assert_eq!(literal(Form::Plain, b"0000-00-00"), "'0000-00-00'");
        assert_eq!(literal(Form::Plain, b"-0"), "'-0'");
        assert_eq!(literal(Form::Epoch, b"0.000000"), "0");
        assert_eq!(literal(Form::Epoch, b"1700000000.5"), "FROM_UNIXTIME(1700000000.5)");
        assert_eq!(literal(Form::Bytes, b"a \"word\""), "_binary'a \"word\"'");
        assert_eq!(literal(Form::Bytes, b"a'\\\x00"), "x'61275C00'");
        assert_eq!(literal(Form::Json, b"{}"), "_utf8mb4 x'7B7D'");
    }

    #[test]
    fn a_json_value_that_is_more_than_its_text_does_not_travel() {
        assert!(!Form::Json.put_literal(Some(&[0]), &mut Vec::new()));
    }
}
