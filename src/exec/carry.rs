//! The rows of a SELECT as the VALUES of an INSERT: each value as a literal that a column takes as it would take the
//! value itself. Where the two could differ, by the types of both, the statement is refused. It sends nothing.

use std::ops::Range;

use crate::backend::conn::Packets;
use crate::error::SqlError;
use crate::plan::gather::Form as Travelling;
use crate::plan::text::{put_hex, quote};
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
    /// They are those of expressions that stood among VALUES themselves: NULL is taken there as it is here.
    pub computed: bool,
    /// Decimals may have more digits than are shown.
    pub divides: bool,
    /// A value may be MIN or MAX of an ENUM, SET or ZEROFILL, whose text or number a server stores by its plan.
    pub members: bool,
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
    /// Where the values of the first row are in the text.
    pub first: Vec<Range<usize>>,
    /// Another row differs from the first.
    pub differ: bool,
}

/// Writes the answer to a SELECT, which a [`kept`] link was given in the text protocol, as rows of VALUES.
///
/// # Errors
/// The error that is the answer; 1136 if it has another number of columns; 1235 for values that might be stored
/// otherwise than one server stores them, for an answer with warnings, and above a limit.
pub fn rows(kept: &Link, capabilities: Capabilities, into: &Into<'_>) -> Result<Rows, SqlError> {
    let mut rows = Rows::default();
    each(kept, capabilities, &[into], |row, columns| {
        into.put_row(row, columns, &mut rows)?;
        if rows.text.len() > into.limit { Err(into.too_much()) } else { Ok(()) }
    })?;
    Ok(rows)
}

/// The literals of one row; none for NULL.
pub type Cells = Vec<Option<Vec<u8>>>;

/// The same, value by value, of columns that go to several places, one behind the other.
///
/// # Errors
/// As [`rows`].
pub fn cells(kept: &Link, capabilities: Capabilities, places: &[&Into<'_>]) -> Result<Vec<Cells>, SqlError> {
    let into: Vec<&Into<'_>> = places.iter().flat_map(|into| into.columns.iter().map(|_| *into)).collect();
    let (mut rows, mut taken) = (Vec::new(), 0);
    each(kept, capabilities, places, |row, columns| {
        let (mut cursor, mut cells) = (Cursor::new("text row", row), Cells::new());
        for ((to, form), into) in columns.iter().zip(&into) {
            let mut text = Vec::new();
            let cell = cursor.lenenc_or_null()?;
            into.put_cell(cell, to, form, &mut text)?;
            taken += text.len();
            cells.push(cell.map(|_| text));
        }
        cursor.end()?;
        rows.push(cells);
        match places {
            [into, ..] if taken > into.limit => Err(into.too_much()),
            _ => Ok(()),
        }
    })?;
    Ok(rows)
}

/// How values are read back from columns of the very types that they go to.
#[derive(Debug)]
pub struct ReadBack {
    /// The select list.
    pub list: Vec<u8>,
    forms: Vec<Form>,
}

/// How the values of these columns are read; none if a type has no literal.
pub fn read_back(columns: &[&ColumnInfo]) -> Option<ReadBack> {
    let (mut list, mut forms) = (Vec::new(), Vec::new());
    for column in columns {
        let mut name = Vec::new();
        quote(column.name.as_bytes(), &mut name);
        let name = String::from_utf8(name).ok()?;
        let (form, text) = match &column.ty {
            Stored::Int { .. } | Stored::Decimal { .. } | Stored::Year => (Form::Number, name),
            // As the double that it is: its own text has six digits only.
            Stored::Float { bits: 32, .. } => (Form::Plain, format!("{name}+0e0")),
            Stored::Float { .. } | Stored::Time(_) | Stored::Uuid => (Form::Plain, name),
            Stored::Bit(_) => (Form::Number, format!("CAST({name} AS UNSIGNED)")),
            Stored::Date | Stored::DateTime(_) => (Form::Day, name),
            // A text that means another instant, where clocks go back, is left out.
            Stored::Timestamp(_) => {
                let again = format!("UNIX_TIMESTAMP(CAST({name} AS DATETIME(6)))");
                let text = format!("IF({again}<=>UNIX_TIMESTAMP({name}),CAST({name} AS CHAR),'')");
                (Form::Instant, format!("IF({name} IS NULL,NULL,{text})"))
            }
            Stored::Enum(_) => (Form::Member, name),
            Stored::Char(_) | Stored::Varchar(_) | Stored::Text(_) | Stored::Set(_) => (Form::Text, name),
            Stored::Binary(_) | Stored::Varbinary(_) | Stored::Blob(_) => (Form::Bytes, name),
            Stored::Json => {
                let mut text = Vec::new();
                Travelling::Json.put_expression(&column.name, &mut text);
                (Form::Json, String::from_utf8(text).ok()?)
            }
            Stored::Other(_) if column.ty.is_spatial() => (Form::Bytes, name),
            Stored::Other(_) => return None,
        };
        if !list.is_empty() {
            list.push(b',');
        }
        list.extend_from_slice(text.as_bytes());
        forms.push(form);
    }
    Some(ReadBack { list, forms })
}

/// Writes rows that were read back as rows of VALUES.
///
/// # Errors
/// 1235 for a value whose literal might be stored otherwise, and above a limit.
pub fn converted(packets: &Packets, of: &ReadBack, into: &Into<'_>) -> Result<Rows, SqlError> {
    if packets.room.is_none() {
        return Err(into.too_much());
    }
    let columns: Vec<_> = into.columns.iter().copied().zip(of.forms.iter().map(|form| Ok(*form))).collect();
    let mut rows = Rows::default();
    for row in &packets.rows {
        into.put_row(row, &columns, &mut rows)?;
        if rows.text.len() > into.limit {
            return Err(into.too_much());
        }
    }
    Ok(rows)
}

/// Reads an answer row by row, each with how the values of its columns are written.
fn each(
    kept: &Link,
    capabilities: Capabilities,
    places: &[&Into<'_>],
    mut take: impl FnMut(&[u8], &[(&ColumnInfo, Result<Form, SqlError>)]) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    let Some(first) = places.first() else { return Ok(()) };
    let Some(mut packets) = packets(kept) else { return Err(first.too_much()) };
    let wanted: Vec<(&Into<'_>, &ColumnInfo)> =
        places.iter().flat_map(|into| into.columns.iter().map(|column| (*into, *column))).collect();
    let mut response = Response::new(Kind::Query, capabilities);
    let (mut at, mut columns) = (0, Vec::new());
    while let Some(packet) = packets.next()? {
        match response.packet(&packet)? {
            Event::Err { payload } => return Err(ErrPacket::decode(&packet[payload])?.to_sql_error()),
            Event::ColumnCount { columns: count } if count != wanted.len() => {
                let message = "Column count doesn't match value count at row 1".to_owned();
                return Err(SqlError { errno: 1136, state: *b"21S01", message });
            }
            Event::ColumnDef { payload } => {
                let Some((into, column)) = wanted.get(at) else { break };
                let form = into.form(&ColumnDef::decode(&packet[payload])?, column);
                columns.push((*column, if into.computed { form } else { Ok(form?) }));
                at += 1;
            }
            Event::Rows { range, .. } => take(&packet[range], &columns)?,
            Event::End(end) | Event::Ok(end) if end.warnings > 0 => {
                // In a statement that writes, strict modes make errors of some of them.
                let why = format!("{} whose SELECT gives warnings", first.what);
                return Err(SqlError::refuse(format!("Shardloom does not support {why}")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The packets that a [`kept`] link was given; none if they were more than its limit.
pub(super) fn packets(kept: &Link) -> Option<KeptPackets<'_>> {
    let bytes = match kept.stream() {
        Stream::Plain(Plain::Kept(kept)) => kept.bytes()?,
        _ => &[],
    };
    Some(KeptPackets { bytes, at: 0 })
}

/// The packets of an answer, their frames joined.
pub(super) struct KeptPackets<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl KeptPackets<'_> {
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, WireError> {
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
    /// Its digits, if it is a whole number that every type has exactly.
    Whole,
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
    /// The text of an instant, as a day; empty if the text means another one.
    Instant,
    /// The text of a JSON value; one byte 0 if the value is more than its text tells.
    Json,
}

impl Into<'_> {
    /// How the values of a column of the answer are written, so that the column that they go to takes them as it takes
    /// the values themselves.
    fn form(&self, def: &ColumnDef<'_>, to: &ColumnInfo) -> Result<Form, SqlError> {
        let is_text = matches!(to.ty, Stored::Char(_) | Stored::Varchar(_) | Stored::Text(_));
        let is_number = matches!(to.ty, Stored::Int { .. } | Stored::Decimal { .. } | Stored::Float { .. });
        let has = |flag: u16| def.flags & flag != 0;
        let binary = def.charset == BINARY_CHARSET;
        // A text that is a key is to be written as one.
        let number = if self.computed && is_text { Form::Plain } else { Form::Number };
        let form = match def.ty {
            ColumnType::NULL => Some(Form::Null),
            ColumnType::TINY | ColumnType::SHORT | ColumnType::INT24 | ColumnType::LONG | ColumnType::LONGLONG
                if !has(flags::ZEROFILL) =>
            {
                (is_number || is_text && !self.members || to.ty == Stored::Year).then_some(number)
            }
            ColumnType::NEWDECIMAL | ColumnType::DECIMAL if self.divides => {
                scale_of(&to.ty).filter(|scale| *scale <= def.decimals).map(|_| Form::Quotient)
            }
            ColumnType::NEWDECIMAL | ColumnType::DECIMAL if !has(flags::ZEROFILL) => {
                (is_number || is_text).then_some(number)
            }
            // With a fixed number of digits its text tells less than it is.
            ColumnType::DOUBLE if def.decimals >= 31 && !has(flags::ZEROFILL) => match to.ty {
                Stored::Float { .. } => Some(Form::Plain),
                _ => (self.computed && is_number).then_some(Form::Whole),
            },
            ColumnType::JSON if self.computed && self.reading.utf8 => match is_text {
                true => Some(Form::Text),
                false => is_number.then_some(Form::Whole),
            },
            // MySQL stores YEAR 0000 in a text as 0, which as a text is the year 2000.
            ColumnType::YEAR => (to.ty == Stored::Year).then_some(Form::Number),
            ColumnType::DATE | ColumnType::NEWDATE => {
                (is_text || matches!(to.ty, Stored::Date | Stored::DateTime(_))).then_some(Form::Day)
            }
            ColumnType::DATETIME | ColumnType::TIMESTAMP => {
                (is_text || matches!(to.ty, Stored::DateTime(_))).then_some(Form::Day)
            }
            ColumnType::TIME => (is_text || matches!(to.ty, Stored::Time(_))).then_some(Form::Plain),
            // An expression has more bytes than the column that it is of.
            ColumnType::BIT if !def.org_table.is_empty() => matches!(to.ty, Stored::Bit(_)).then_some(Form::Bytes),
            ty if is_string(ty) && binary => {
                matches!(to.ty, Stored::Binary(_) | Stored::Varbinary(_) | Stored::Blob(_)).then_some(Form::Bytes)
            }
            ty if is_string(ty) && self.reading.utf8 && is_utf8(def.charset) => {
                let listed = matches!(to.ty, Stored::Enum(_) | Stored::Set(_));
                let member = has(flags::ENUM) || has(flags::SET);
                let moment = matches!(to.ty, Stored::Date | Stored::DateTime(_) | Stored::Time(_));
                match member {
                    true => (is_text || listed).then_some(Form::Member),
                    false if is_text => Some(Form::Text),
                    false => (!self.members && (listed || is_number || moment)).then_some(Form::Text),
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

    fn put_row(
        &self,
        row: &[u8],
        columns: &[(&ColumnInfo, Result<Form, SqlError>)],
        rows: &mut Rows,
    ) -> Result<(), SqlError> {
        let mut cursor = Cursor::new("text row", row);
        let text = &mut rows.text;
        text.extend_from_slice(if rows.count == 0 { b"(" } else { b",(" });
        let begin = text.len();
        for (place, (to, form)) in columns.iter().enumerate() {
            if place > 0 {
                text.push(b',');
            }
            let start = text.len();
            self.put_cell(cursor.lenenc_or_null()?, to, form, text)?;
            if rows.count == 0 {
                rows.first.push(start..text.len());
            }
        }
        cursor.end()?;
        text.push(b')');
        if rows.count > 0 {
            let first =
                rows.first.first().map_or(0, |value| value.start)..rows.first.last().map_or(0, |value| value.end);
            rows.differ |= text[first] != text[begin..text.len() - 1];
        }
        rows.count += 1;
        Ok(())
    }

    fn put_cell(
        &self,
        cell: Option<&[u8]>,
        to: &ColumnInfo,
        form: &Result<Form, SqlError>,
        text: &mut Vec<u8>,
    ) -> Result<(), SqlError> {
        match cell {
            Some(cell) if *form == Ok(Form::Quotient) && !self.is_decided(cell, to) => {
                Err(refused(to, "the quotient may have more digits than are shown, and they would matter"))
            }
            Some(cell) => self.put(cell, form.clone()?, text).map_err(|why| refused(to, why)),
            None if !self.compared && !self.computed && !to.nullable && !to.auto_increment => {
                Err(refused(to, "NULL for a column that has none is handled otherwise among VALUES"))
            }
            None => {
                text.extend_from_slice(b"NULL");
                Ok(())
            }
        }
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
            Form::Day | Form::Instant if cell.starts_with(b"0000") || cell.windows(3).any(|part| part == b"-00") => {
                return Err("a day that is none is checked otherwise when it is written out");
            }
            Form::Member if cell.is_empty() => {
                return Err("the empty text of an ENUM or SET may be a wrong value");
            }
            Form::Whole => {
                let digits = cell.strip_prefix(b"-").unwrap_or(cell);
                if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_digit) {
                    return Err("it is no whole number of at most 15 digits");
                }
                out.extend_from_slice(cell);
            }
            Form::Instant if cell.is_empty() => {
                return Err("its text means another instant, as clocks went back then");
            }
            Form::Json if cell == [0] => {
                return Err(
                    "its text does not tell all of a JSON value with a date, time, decimal or binary string in it",
                );
            }
            Form::Plain | Form::Day | Form::Instant => {
                out.push(b'\'');
                out.extend_from_slice(cell);
                out.push(b'\'');
            }
            Form::Text | Form::Member | Form::Json => self.reading.put_text(cell, out),
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
        Form::Whole | Form::Plain | Form::Member | Form::Instant | Form::Json => false,
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
