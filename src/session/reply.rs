//! Answers that the proxy makes itself: OK, small result sets, errors. It frames them on the client's
//! link and leaves flushing to the caller.

use crate::error::SqlError;
use crate::exec::write::returned::Rows;
use crate::wire::capabilities::{Capabilities, Status};
use crate::wire::column::{ColumnDef, ColumnType, flags};
use crate::wire::cursor::{put_lenenc, put_lenenc_bytes};
use crate::wire::link::Link;
use crate::wire::reply::{EofPacket, OkPacket, put_error};

/// A small table, as SHOW statements of the proxy's own answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Names and types of the columns.
    pub columns: Vec<(String, CellKind)>,
    /// Cells as text; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Texts are defined as MariaDB does it, with 39 "decimals" where MySQL has 31.
    pub mariadb: bool,
}

/// The type of a column of a [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// VARCHAR in utf8mb4.
    Text,
    /// BIGINT.
    Int,
    /// BIGINT UNSIGNED.
    Unsigned,
    /// BIGINT UNSIGNED that may be NULL, as system variables are.
    UnsignedOrNull,
    /// VARCHAR in utf8mb4, of so many characters, NULL or not.
    Varchar(u32, Null),
    /// INT, of so many digits.
    Long(u32),
    /// INT UNSIGNED, of so many digits.
    UnsignedLong(u32),
    /// BIGINT, of so many digits.
    LongLong(u32),
    /// DOUBLE, of so many digits with three behind the point.
    Double(u32),
}

/// Whether a column may be NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Null {
    /// It may.
    Yes,
    /// It may not.
    No,
}

impl Table {
    /// A table of texts without rows.
    pub fn of(columns: &[&str]) -> Table {
        let columns = columns.iter().map(|name| ((*name).to_owned(), CellKind::Text)).collect();
        Table { columns, ..Table::default() }
    }

    /// A table with these columns, without rows.
    pub fn with(columns: &[(&str, CellKind)]) -> Table {
        let columns = columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        Table { columns, ..Table::default() }
    }

    /// One row of one number.
    pub fn number(name: &str, kind: CellKind, value: impl ToString) -> Table {
        Table { columns: vec![(name.to_owned(), kind)], rows: vec![vec![Some(value.to_string())]], ..Table::default() }
    }
}

/// Queues an OK packet.
pub fn ok(client: &mut Link, capabilities: Capabilities, ok: &OkPacket<'_>) {
    client.push_with(|out| ok.encode(capabilities, out));
}

/// Queues an ERR packet.
pub fn error(client: &mut Link, error: &SqlError) {
    client.push_with(|out| put_error(out, error));
}

/// Queues a result set, in the text or the binary protocol.
pub fn rows(client: &mut Link, capabilities: Capabilities, status: Status, table: &Table, binary: bool) {
    client.push_with(|out| put_lenenc(out, table.columns.len() as u64));
    for (name, kind) in &table.columns {
        let mut column = definition(name, *kind);
        if table.mariadb && column.ty == ColumnType::VAR_STRING {
            column.decimals = 39;
        }
        client.push_with(|out| column.encode(out));
    }
    if !capabilities.has(Capabilities::DEPRECATE_EOF) {
        client.push_with(|out| EofPacket { warnings: 0, status }.encode(out));
    }
    for row in &table.rows {
        client.push_with(|out| match binary {
            true => put_binary_row(out, row, &table.columns),
            false => put_text_row(out, row),
        });
    }
    client.push_with(|out| OkPacket { status, ..OkPacket::default() }.encode_end(capabilities, out));
}

/// Queues a result set that servers have encoded.
pub fn returned(client: &mut Link, capabilities: Capabilities, status: Status, warnings: u16, rows: &Rows) {
    client.push_with(|out| put_lenenc(out, rows.definitions.len() as u64));
    rows.definitions.iter().for_each(|definition| client.push(definition));
    if !capabilities.has(Capabilities::DEPRECATE_EOF) {
        client.push_with(|out| EofPacket { warnings: 0, status }.encode(out));
    }
    rows.rows.iter().for_each(|row| client.push(row));
    client.push_with(|out| OkPacket { status, warnings, ..OkPacket::default() }.encode_end(capabilities, out));
}

fn definition(name: &str, kind: CellKind) -> ColumnDef<'_> {
    let number = |ty, length, flags| ColumnDef { ty, length, flags, ..ColumnDef::integer(name, false) };
    let signed = flags::NOT_NULL | flags::BINARY;
    match kind {
        CellKind::Text => ColumnDef::text(name, 4 * 1024),
        CellKind::Int => ColumnDef::integer(name, false),
        CellKind::Unsigned => ColumnDef::integer(name, true),
        CellKind::UnsignedOrNull => number(ColumnType::LONGLONG, 21, flags::BINARY | flags::UNSIGNED),
        CellKind::Varchar(characters, null) => {
            let flags = if null == Null::No { flags::NOT_NULL } else { 0 };
            ColumnDef { flags, ..ColumnDef::text(name, 4 * characters) }
        }
        CellKind::Long(digits) => number(ColumnType::LONG, digits, signed),
        CellKind::UnsignedLong(digits) => number(ColumnType::LONG, digits, signed | flags::UNSIGNED),
        CellKind::LongLong(digits) => number(ColumnType::LONGLONG, digits, signed),
        CellKind::Double(digits) => ColumnDef { decimals: 3, ..number(ColumnType::DOUBLE, digits, signed) },
    }
}

/// A row of the text protocol.
fn put_text_row(out: &mut Vec<u8>, row: &[Option<String>]) {
    for cell in row {
        match cell {
            Some(text) => put_lenenc_bytes(out, text.as_bytes()),
            None => out.push(0xFB),
        }
    }
}

/// A row of the binary protocol: header, NULL bitmap with two bits offset, values.
fn put_binary_row(out: &mut Vec<u8>, row: &[Option<String>], columns: &[(String, CellKind)]) {
    out.push(0);
    let nulls = out.len();
    out.resize(nulls + (row.len() + 9) / 8, 0);
    for (i, (cell, (_, kind))) in row.iter().zip(columns).enumerate() {
        match (cell, kind) {
            (None, _) => out[nulls + (i + 2) / 8] |= 1 << ((i + 2) % 8),
            (Some(text), CellKind::Text | CellKind::Varchar(..)) => put_lenenc_bytes(out, text.as_bytes()),
            // Cells of these kinds are made from numbers.
            (Some(text), CellKind::Long(_) | CellKind::UnsignedLong(_)) => {
                out.extend_from_slice(&(text.parse::<i64>().unwrap_or(0) as u32).to_le_bytes());
            }
            (Some(text), CellKind::Double(_)) => {
                out.extend_from_slice(&text.parse::<f64>().unwrap_or(0.0).to_le_bytes());
            }
            (Some(text), _) => {
                let number = text.parse::<i128>().unwrap_or(0) as u64;
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
    }
}
