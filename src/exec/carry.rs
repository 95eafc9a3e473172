//! The rows of a SELECT as the VALUES of an INSERT: each value as a literal that a column takes as it would take the
//! value itself. Where the two could differ, by the types of both, the statement is refused. It sends nothing.

use crate::error::SqlError;
use crate::plan::text::put_hex;
use crate::rules::catalog::{ColumnInfo, ColumnType as Stored};
use crate::wire::capabilities::Capabilities;
use crate::wire::column::{BINARY_CHARSET, ColumnDef, ColumnType, flags};
use crate::wire::cursor::Cursor;
use crate::wire::error::WireError;
use crate::wire::link::Link;
use crate::wire::reply::ErrPacket;
use crate::wire::response::{Event, Kind, Response};
use crate::wire::stream::{Plain, Stream};

/// How the literals of a session are read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// A literal is UTF-8 with all characters, as are the rows.
    pub utf8: bool,
    /// `\` means itself in a string.
    pub plain_backslash: bool,
}

impl Reading {
    /// Appends a string literal.
    pub fn put_text(self, text: &[u8], out: &mut Vec<u8>) {
        out.push(b'\'');
        for byte in text {
            if *byte == b'\'' || (*byte == b'\\' && !self.plain_backslash) {
                out.push(*byte);
            }
            out.push(*byte);
        }
        out.push(b'\'');
    }
}

/// The columns that the rows go to.
#[derive(Debug)]
pub struct Into<'a> {
    /// In the order of the values.
    pub columns: Vec<&'a ColumnInfo>,
    /// The values are not stored in them, but compared.
    pub compared: bool,
    /// Decimals may have more digits than are shown.
    pub divides: bool,
    /// How literals are read.
    pub reading: Reading,
    /// Bytes that the rows may take as text.
    pub limit: usize,
    /// What the statement is called in refusals.
    pub what: &'static str,
}

/// A client that keeps the answer.
pub fn kept(limit: usize) -> Link {
    let mut link = Link::new(Stream::kept(limit), limit);
    link.set_sequence(1);
    link
}

/// What was read.
#[derive(Debug, Default)]
pub struct Rows {
    /// `(1,'a'),(2,'b')`, without the word VALUES.
    pub text: Vec<u8>,
    /// How many.
    pub count: u64,
}

/// Writes the answer to a SELECT, which a [`kept`] link was given in the text protocol, as rows of VALUES.
///
/// # Errors
/// The error that is the answer; 1136 if it has another number of columns; 1235 for values that might be stored
/// otherwise than one server stores them, for an answer with warnings, and above a limit.
pub fn rows(kept: &Link, capabilities: Capabilities, into: &Into<'_>) -> Result<Rows, SqlError> {
    let Stream::Plain(Plain::Kept(kept)) = kept.stream() else { return Ok(Rows::default()) };
    let Some(bytes) = kept.bytes() else { return Err(into.too_much()) };
    let mut response = Response::new(Kind::Query, capabilities);
    let (mut packets, mut at, mut columns, mut rows) = (Packets { bytes, at: 0 }, 0, Vec::new(), Rows::default());
    while let Some(packet) = packets.next()? {
        match response.packet(&packet)? {
            Event::Err { payload } => return Err(ErrPacket::decode(&packet[payload])?.to_sql_error()),
            Event::ColumnCount { columns: count } if count != into.columns.len() => {
                let message = "Column count doesn't match value count at row 1".to_owned();
                return Err(SqlError { errno: 1136, state: *b"21S01", message });
            }
            Event::ColumnDef { payload } => {
                let Some(column) = into.columns.get(at) else { break };
                columns.push((*column, into.form(&ColumnDef::decode(&packet[payload])?, column)?));
                at += 1;
            }
            Event::Rows { range, .. } => {
                into.put_row(&packet[range], &columns, &mut rows)?;
                if rows.text.len() > into.limit {
                    return Err(into.too_much());
                }
            }
            Event::End(end) | Event::Ok(end) if end.warnings > 0 => {
                // In a statement that writes, strict modes make errors of some of them.
                let why = format!("{} whose SELECT gives warnings", into.what);
                return Err(SqlError::refuse(format!("Shardloom does not support {why}")));
            }
            _ => {}
        }
    }
    Ok(rows)
}

/// The packets of an answer, their frames joined.
struct Packets<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Packets<'_> {
    fn next(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        let mut packet = Vec::new();
        loop {
            let rest = &self.bytes[self.at..];
            let Some(head) = rest.first_chunk::<4>() else {
                return if rest.is_empty() && packet.is_empty() { Ok(None) } else { Err(WireError::Closed) };
            };
            let len = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
            packet.extend_from_slice(rest.get(4..4 + len).ok_or(WireError::Closed)?);
            self.at += 4 + len;
            if len < 0xFF_FFFF {
                return Ok(Some(packet));
            }
        }
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// It is always NULL.
    Null,
    /// Its digits: whole numbers and decimals.
    Number,
    /// The same of a decimal that may have more digits than it shows: as far as these make no difference.
    Quotient,
    /// Its text, which is ASCII and has no quotes in it: doubles, years, times.
    Plain,
    /// The same for a day, which must have all its parts.
    Day,
    /// Its text, character by character.
    Text,
    /// Its text, which is one of those that the column it is from may have: the empty one is a wrong value.
    Member,
    /// Its bytes.
    Bytes,
}

impl Into<'_> {
    /// How the values of a column of the answer are written, so that the column that they go to takes them as it takes
    /// the values themselves.
    fn form(&self, def: &ColumnDef<'_>, to: &ColumnInfo) -> Result<Form, SqlError> {
        let is_text = matches!(to.ty, Stored::Char(_) | Stored::Varchar(_) | Stored::Text(_));
        let is_number = matches!(to.ty, Stored::Int { .. } | Stored::Decimal { .. } | Stored::Float { .. });
        let has = |flag: u16| def.flags & flag != 0;
        let binary = def.charset == BINARY_CHARSET;
        let form = match def.ty {
            ColumnType::NULL => Some(Form::Null),
            ColumnType::TINY | ColumnType::SHORT | ColumnType::INT24 | ColumnType::LONG | ColumnType::LONGLONG
                if !has(flags::ZEROFILL) =>
            {
                (is_number || is_text || to.ty == Stored::Year).then_some(Form::Number)
            }
            ColumnType::NEWDECIMAL | ColumnType::DECIMAL if self.divides => {
                scale_of(&to.ty).filter(|scale| *scale <= def.decimals).map(|_| Form::Quotient)
            }
            ColumnType::NEWDECIMAL | ColumnType::DECIMAL if !has(flags::ZEROFILL) => {
                (is_number || is_text).then_some(Form::Number)
            }
            // With a fixed number of digits its text tells less than it is.
            ColumnType::DOUBLE if def.decimals >= 31 && !has(flags::ZEROFILL) => {
                matches!(to.ty, Stored::Float { .. }).then_some(Form::Plain)
            }
            // MySQL stores YEAR 0000 in a text as 0.
            ColumnType::YEAR => (to.ty == Stored::Year).then_some(Form::Plain),
            ColumnType::DATE | ColumnType::NEWDATE => {
                (is_text || matches!(to.ty, Stored::Date | Stored::DateTime(_))).then_some(Form::Day)
            }
            ColumnType::DATETIME | ColumnType::TIMESTAMP => {
                (is_text || matches!(to.ty, Stored::DateTime(_))).then_some(Form::Day)
            }
            ColumnType::TIME => (is_text || matches!(to.ty, Stored::Time(_))).then_some(Form::Plain),
            ColumnType::BIT => matches!(to.ty, Stored::Bit(_)).then_some(Form::Bytes),
            ty if is_string(ty) && binary => {
                matches!(to.ty, Stored::Binary(_) | Stored::Varbinary(_) | Stored::Blob(_)).then_some(Form::Bytes)
            }
            ty if is_string(ty) && self.reading.utf8 && is_utf8(def.charset) => {
                let listed = matches!(to.ty, Stored::Enum(_) | Stored::Set(_));
                let member = has(flags::ENUM) || has(flags::SET);
                let moment = matches!(to.ty, Stored::Date | Stored::DateTime(_) | Stored::Time(_));
                match member {
                    true => (is_text || listed).then_some(Form::Member),
                    false => (is_text || listed || is_number || moment).then_some(Form::Text),
                }
            }
            _ => None,
        };
        form.filter(|form| !self.compared || is_compared(*form, def.ty, &to.ty)).ok_or_else(|| {
            SqlError::refuse(format!(
                "column {} of the SELECT cannot be carried to another server as it is for column {} ({}): Shardloom \
                 does not support this pair of types, or the character set of the session, in {}",
                String::from_utf8_lossy(def.name),
                to.name,
                to.ty,
                self.what
            ))
        })
    }

    fn put_row(&self, row: &[u8], columns: &[(&ColumnInfo, Form)], rows: &mut Rows) -> Result<(), SqlError> {
        let mut cursor = Cursor::new("text row", row);
        let text = &mut rows.text;
        text.extend_from_slice(if rows.count == 0 { b"(" } else { b",(" });
        for (place, (to, form)) in columns.iter().enumerate() {
            if place > 0 {
                text.push(b',');
            }
            match cursor.lenenc_or_null()? {
                Some(cell) if *form == Form::Quotient && !self.is_decided(cell, to) => {
                    return Err(refused(to, "the quotient may have more digits than are shown, and they would matter"));
                }
                Some(cell) => self.put(cell, *form, text).map_err(|why| refused(to, why))?,
                None if !self.compared && !to.nullable && !to.auto_increment => {
                    return Err(refused(to, "NULL for a column that has none is handled otherwise among VALUES"));
                }
                None => text.extend_from_slice(b"NULL"),
            }
        }
        cursor.end()?;
        text.push(b')');
        rows.count += 1;
        Ok(())
    }

    /// Whether digits that a decimal does not show make no difference to a column: what is shown is no value of the
    /// column that it would be compared with, or is not just in the middle of two to one of which it is rounded.
    fn is_decided(&self, cell: &[u8], to: &ColumnInfo) -> bool {
        let shown = cell.iter().position(|byte| *byte == b'.').map_or(&[][..], |point| &cell[point + 1..]);
        let scale = usize::from(scale_of(&to.ty).unwrap_or_default());
        let rest = shown.get(scale..).unwrap_or_default();
        let is_zero = |digits: &[u8]| digits.iter().all(|digit| *digit == b'0');
        match (self.compared, rest) {
            (true, rest) => !is_zero(rest),
            (false, [b'5', rest @ ..]) => !is_zero(rest),
            (false, _) => true,
        }
    }

    fn put(&self, cell: &[u8], form: Form, out: &mut Vec<u8>) -> Result<(), &'static str> {
        match form {
            Form::Null => return Err("a value where there can be none"),
            Form::Number | Form::Quotient => out.extend_from_slice(cell),
            Form::Day if cell.starts_with(b"0000") || cell.windows(3).any(|part| part == b"-00") => {
                return Err("a day that is none is checked otherwise when it is written out");
            }
            Form::Member if cell.is_empty() => {
                return Err("the empty text of an ENUM or SET may be a wrong value");
            }
            Form::Plain | Form::Day => {
                out.push(b'\'');
                out.extend_from_slice(cell);
                out.push(b'\'');
            }
            Form::Text | Form::Member => self.reading.put_text(cell, out),
            Form::Bytes => put_hex(b"x'", cell, out),
        }
        Ok(())
    }

    /// Why the rows are refused that take more bytes than the limit.
    pub fn too_much(&self) -> SqlError {
        SqlError::refuse(format!(
            "the rows of the SELECT need more than {} bytes (limits.statement) on their way to another server: write \
             them by several statements, or raise the limit",
            self.limit
        ))
    }
}

fn refused(to: &ColumnInfo, why: &str) -> SqlError {
    SqlError::refuse(format!("a value for column {} cannot be carried to another server as it is: {why}", to.name))
}

/// How many digits the values of an exact number have behind the point; none of another type.
fn scale_of(ty: &Stored) -> Option<u8> {
    match ty {
        Stored::Int { .. } => Some(0),
        Stored::Decimal { scale, .. } => Some(*scale),
        _ => None,
    }
}

/// Whether a literal is compared with a column as the value itself is: both are of one kind.
fn is_compared(form: Form, of: ColumnType, to: &Stored) -> bool {
    match form {
        Form::Null => true,
        Form::Number | Form::Quotient => {
            matches!(to, Stored::Int { .. } | Stored::Decimal { .. } | Stored::Float { .. })
        }
        Form::Day => match of {
            ColumnType::DATE | ColumnType::NEWDATE => *to == Stored::Date,
            _ => matches!(to, Stored::DateTime(_)) && of == ColumnType::DATETIME,
        },
        Form::Text => matches!(to, Stored::Char(_) | Stored::Varchar(_) | Stored::Text(_)),
        Form::Bytes => matches!(to, Stored::Binary(_) | Stored::Varbinary(_) | Stored::Blob(_)),
        Form::Plain | Form::Member => false,
    }
}

fn is_string(ty: ColumnType) -> bool {
    matches!(
        ty,
        ColumnType::VARCHAR
            | ColumnType::VAR_STRING
            | ColumnType::STRING
            | ColumnType::TINY_BLOB
            | ColumnType::BLOB
            | ColumnType::MEDIUM_BLOB
            | ColumnType::LONG_BLOB
            | ColumnType::ENUM
            | ColumnType::SET
    )
}

/// Whether a collation's number is one of utf8mb4, of MySQL or MariaDB.
fn is_utf8(collation: u16) -> bool {
    matches!(collation, 45 | 46 | 224..=247 | 255..=323 | 2304..=2559)
}
