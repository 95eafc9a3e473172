//! The definition of a result's column, and the types and flags it speaks of.
//! It knows no row.

use crate::wire::cursor::{Cursor, put_lenenc_bytes};
use crate::wire::error::WireError;

/// The type of a column or of a parameter, by its byte on the wire
/// (<https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html>).
///
/// A byte and not an enum: a server newer than this list must pass through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ColumnType(pub u8);

#[allow(missing_docs)]
impl ColumnType {
    pub const DECIMAL: ColumnType = ColumnType(0x00);
    pub const TINY: ColumnType = ColumnType(0x01);
    pub const SHORT: ColumnType = ColumnType(0x02);
    pub const LONG: ColumnType = ColumnType(0x03);
    pub const FLOAT: ColumnType = ColumnType(0x04);
    pub const DOUBLE: ColumnType = ColumnType(0x05);
    pub const NULL: ColumnType = ColumnType(0x06);
    pub const TIMESTAMP: ColumnType = ColumnType(0x07);
    pub const LONGLONG: ColumnType = ColumnType(0x08);
    pub const INT24: ColumnType = ColumnType(0x09);
    pub const DATE: ColumnType = ColumnType(0x0A);
    pub const TIME: ColumnType = ColumnType(0x0B);
    pub const DATETIME: ColumnType = ColumnType(0x0C);
    pub const YEAR: ColumnType = ColumnType(0x0D);
    pub const NEWDATE: ColumnType = ColumnType(0x0E);
    pub const VARCHAR: ColumnType = ColumnType(0x0F);
    pub const BIT: ColumnType = ColumnType(0x10);
    pub const VECTOR: ColumnType = ColumnType(0xF2);
    pub const JSON: ColumnType = ColumnType(0xF5);
    pub const NEWDECIMAL: ColumnType = ColumnType(0xF6);
    pub const ENUM: ColumnType = ColumnType(0xF7);
    pub const SET: ColumnType = ColumnType(0xF8);
    pub const TINY_BLOB: ColumnType = ColumnType(0xF9);
    pub const MEDIUM_BLOB: ColumnType = ColumnType(0xFA);
    pub const LONG_BLOB: ColumnType = ColumnType(0xFB);
    pub const BLOB: ColumnType = ColumnType(0xFC);
    pub const VAR_STRING: ColumnType = ColumnType(0xFD);
    pub const STRING: ColumnType = ColumnType(0xFE);
    pub const GEOMETRY: ColumnType = ColumnType(0xFF);

    /// Whether it is one of the types of whole numbers, YEAR among them.
    pub fn is_whole(self) -> bool {
        matches!(
            self,
            ColumnType::TINY
                | ColumnType::SHORT
                | ColumnType::INT24
                | ColumnType::LONG
                | ColumnType::LONGLONG
                | ColumnType::YEAR
        )
    }

    /// Whether it is one of the types of strings, which are sent alike.
    pub fn is_string(self) -> bool {
        matches!(
            self,
            ColumnType::VARCHAR
                | ColumnType::VAR_STRING
                | ColumnType::STRING
                | ColumnType::TINY_BLOB
                | ColumnType::MEDIUM_BLOB
                | ColumnType::LONG_BLOB
                | ColumnType::BLOB
        )
    }
}

impl ColumnType {
    /// Whether cells of both types have the same form in the binary protocol.
    pub fn is_sent_like(self, other: ColumnType) -> bool {
        let form = |ty: ColumnType| match ty {
            ColumnType::LONG | ColumnType::INT24 => 4,
            ColumnType::SHORT | ColumnType::YEAR => 2,
            ColumnType::DATE | ColumnType::DATETIME | ColumnType::TIMESTAMP => 7,
            ColumnType::TINY
            | ColumnType::LONGLONG
            | ColumnType::FLOAT
            | ColumnType::DOUBLE
            | ColumnType::TIME
            | ColumnType::NULL => 16 + ty.0,
            // All others are bytes behind their length.
            _ => 0,
        };
        form(self) == form(other)
    }
}

macro_rules! column_flags {
    ($($(#[$doc:meta])* $flag:ident = $value:expr;)*) => {
        /// Bits of [`ColumnDef::flags`]
        /// (<https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__column__definition__flags.html>).
        pub mod flags {
            $($(#[$doc])* pub const $flag: u16 = $value;)*
        }
    };
}

column_flags! {
    /// Never NULL.
    NOT_NULL = 1;
    /// Part of the primary key.
    PRI_KEY = 2;
    /// Part of a unique key.
    UNIQUE_KEY = 4;
    /// Part of a key that is not unique.
    MULTIPLE_KEY = 8;
    /// A BLOB or TEXT.
    BLOB = 16;
    /// Unsigned.
    UNSIGNED = 32;
    /// Padded with zeros to the display width.
    ZEROFILL = 64;
    /// Binary collation.
    BINARY = 128;
    /// An ENUM.
    ENUM = 256;
    /// AUTO_INCREMENT.
    AUTO_INCREMENT = 512;
    /// A TIMESTAMP that sets itself.
    TIMESTAMP = 1024;
    /// A SET.
    SET = 2048;
    /// Has no default.
    NO_DEFAULT_VALUE = 4096;
    /// Set to NOW on UPDATE.
    ON_UPDATE_NOW = 8192;
    /// A number.
    NUM = 32768;
}

/// The character set number of binary strings and of numbers.
pub const BINARY_CHARSET: u16 = 63;

/// A column definition
/// (<https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset_column_definition.html>).
///
/// To put a column back to its logical names, decode it, replace the names and encode it: nothing is copied between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnDef<'a> {
    /// Always `def`.
    pub catalog: &'a [u8],
    /// Schema of the table.
    pub schema: &'a [u8],
    /// Alias of the table.
    pub table: &'a [u8],
    /// Name of the table.
    pub org_table: &'a [u8],
    /// Alias of the column: what clients show.
    pub name: &'a [u8],
    /// Name of the column in its table.
    pub org_name: &'a [u8],
    /// Number of the collation in which the values are sent; 63 is binary.
    pub charset: u16,
    /// Longest value in bytes, or display width.
    pub length: u32,
    /// The type.
    pub ty: ColumnType,
    /// Bits as in [`flags`].
    pub flags: u16,
    /// Digits behind the point; 31 where there is no fixed number.
    pub decimals: u8,
    /// The column's default, only in the answer to COM_FIELD_LIST: `Some(None)` is NULL.
    pub default: Option<Option<&'a [u8]>>,
}

/// The table that a column definition speaks of, and the rest of the packet, which is not looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Schema of the table.
    pub schema: &'a [u8],
    /// Alias of the table.
    pub table: &'a [u8],
    /// Name of the table.
    pub org_table: &'a [u8],
    /// What stands behind the names.
    pub rest: &'a [u8],
}

impl<'a> Origin<'a> {
    /// Reads the front of a column definition.
    pub fn decode(payload: &'a [u8]) -> Result<Origin<'a>, WireError> {
        let mut cursor = Cursor::new("column definition", payload);
        cursor.lenenc_bytes()?;
        Ok(Origin {
            schema: cursor.lenenc_bytes()?,
            table: cursor.lenenc_bytes()?,
            org_table: cursor.lenenc_bytes()?,
            rest: cursor.rest(),
        })
    }

    /// Writes the definition with these names.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_lenenc_bytes(out, b"def");
        for name in [self.schema, self.table, self.org_table] {
            put_lenenc_bytes(out, name);
        }
        out.extend_from_slice(self.rest);
    }
}

impl<'a> ColumnDef<'a> {
    /// Reads a column definition.
    pub fn decode(payload: &'a [u8]) -> Result<ColumnDef<'a>, WireError> {
        let mut cursor = Cursor::new("column definition", payload);
        let catalog = cursor.lenenc_bytes()?;
        let schema = cursor.lenenc_bytes()?;
        let table = cursor.lenenc_bytes()?;
        let org_table = cursor.lenenc_bytes()?;
        let name = cursor.lenenc_bytes()?;
        let org_name = cursor.lenenc_bytes()?;
        if cursor.lenenc()? != 12 {
            return Err(cursor.malformed());
        }
        let charset = cursor.u16()?;
        let length = cursor.u32()?;
        let ty = ColumnType(cursor.u8()?);
        let flags = cursor.u16()?;
        let decimals = cursor.u8()?;
        cursor.u16()?;
        let default = if cursor.is_empty() { None } else { Some(cursor.lenenc_or_null()?) };
        cursor.end()?;
        Ok(ColumnDef {
            catalog,
            schema,
            table,
            org_table,
            name,
            org_name,
            charset,
            length,
            ty,
            flags,
            decimals,
            default,
        })
    }

    /// Writes a column definition.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for name in [self.catalog, self.schema, self.table, self.org_table, self.name, self.org_name] {
            put_lenenc_bytes(out, name);
        }
        out.push(12);
        out.extend_from_slice(&self.charset.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.push(self.ty.0);
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(&[self.decimals, 0, 0]);
        match self.default {
            None => {}
            Some(None) => out.push(0xFB),
            Some(Some(text)) => put_lenenc_bytes(out, text),
        }
    }

    /// A column of text that no table has, such as the proxy's own answers are made of.
    pub fn text(name: &'a str, length: u32) -> ColumnDef<'a> {
        ColumnDef {
            catalog: b"def",
            schema: b"",
            table: b"",
            org_table: b"",
            name: name.as_bytes(),
            org_name: b"",
            // utf8mb4_0900_ai_ci would be unknown to MariaDB's clients: utf8mb4_general_ci is known to all.
            charset: 45,
            length,
            ty: ColumnType::VAR_STRING,
            flags: 0,
            decimals: 31,
            default: None,
        }
    }

    /// A column of whole numbers that no table has.
    pub fn integer(name: &'a str, unsigned: bool) -> ColumnDef<'a> {
        ColumnDef {
            charset: BINARY_CHARSET,
            length: 21,
            ty: ColumnType::LONGLONG,
            flags: flags::NOT_NULL | flags::BINARY | if unsigned { flags::UNSIGNED } else { 0 },
            decimals: 0,
            ..ColumnDef::text(name, 0)
        }
    }

    /// Whether the column is unsigned.
    pub fn unsigned(&self) -> bool {
        self.flags & flags::UNSIGNED != 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    // Definitions from real servers are read and written in `response`, from captures.

    #[test]
    fn names_are_replaced_and_nothing_else() {
        let physical = b"\x03def\x06shop_3\x08users_03\x08users_03\x02id\x02id\x0C\x3F\0\x14\0\0\0\x08\x03\x42\0\0\0";
        let column = ColumnDef::decode(physical).unwrap();
        assert_eq!((column.name, column.ty, column.length), (&b"id"[..], ColumnType::LONGLONG, 20));
        let mut logical = Vec::new();
        ColumnDef { schema: b"shop", table: b"u", org_table: b"users", ..column }.encode(&mut logical);
        assert_eq!(logical, b"\x03def\x04shop\x01u\x05users\x02id\x02id\x0C\x3F\0\x14\0\0\0\x08\x03\x42\0\0\0");
        for cut in 0..physical.len() {
            assert!(ColumnDef::decode(&physical[..cut]).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written(
            names in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 6),
            charset: u16, length: u32, ty: u8, flags: u16, decimals: u8,
            default in proptest::option::of(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9))),
        ) {
            let column = ColumnDef {
                catalog: &names[0], schema: &names[1], table: &names[2], org_table: &names[3], name: &names[4],
                org_name: &names[5], charset, length, ty: ColumnType(ty), flags, decimals,
                default: default.as_ref().map(|text| text.as_deref()),
            };
            let mut out = Vec::new();
            column.encode(&mut out);
            prop_assert_eq!(ColumnDef::decode(&out).unwrap(), column);
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = ColumnDef::decode(&bytes);
        }
    }
}
