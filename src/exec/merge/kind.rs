//! What the bytes of a column's cells mean, by its definition: how they are read, and whether they can be compared.
//! It knows no row and no plan.

use crate::error::SqlError;
use crate::exec::merge::cells::{RowFormat, malformed};
use crate::value::moment::Moment;
use crate::value::{sortable, time};
use crate::wire::column::{BINARY_CHARSET, ColumnDef, ColumnType, flags};

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole number.
    Signed,
    /// A whole number that is not negative; YEAR too.
    Unsigned,
    /// DECIMAL: text in both formats.
    Decimal,
    /// FLOAT.
    Float,
    /// DOUBLE.
    Double,
    /// DATE, DATETIME, TIMESTAMP.
    Moment,
    /// TIME.
    Time,
    /// BIT: up to eight bytes, high byte first, in both formats.
    Bit,
    /// A string that is compared by its bytes.
    Bytes,
    /// A string that is compared by the weights of its collation.
    Text,
    /// NULL and nothing else.
    Null,
    /// A type without an order that rows show.
    Opaque,
}

impl Kind {
    /// By the definition of a column.
    pub(super) fn of(column: &ColumnDef) -> Kind {
        match column.ty {
            _ if column.flags & (flags::ENUM | flags::SET) != 0 => Kind::Opaque,
            ColumnType::YEAR => Kind::Unsigned,
            ColumnType::TINY | ColumnType::SHORT | ColumnType::INT24 | ColumnType::LONG | ColumnType::LONGLONG => {
                if column.unsigned() {
                    Kind::Unsigned
                } else {
                    Kind::Signed
                }
            }
            ColumnType::DECIMAL | ColumnType::NEWDECIMAL => Kind::Decimal,
            ColumnType::FLOAT => Kind::Float,
            ColumnType::DOUBLE => Kind::Double,
            ColumnType::DATE | ColumnType::NEWDATE | ColumnType::DATETIME | ColumnType::TIMESTAMP => Kind::Moment,
            ColumnType::TIME => Kind::Time,
            ColumnType::BIT => Kind::Bit,
            ColumnType::VARCHAR
            | ColumnType::VAR_STRING
            | ColumnType::STRING
            | ColumnType::TINY_BLOB
            | ColumnType::MEDIUM_BLOB
            | ColumnType::LONG_BLOB
            | ColumnType::BLOB => {
                if column.charset == BINARY_CHARSET {
                    Kind::Bytes
                } else {
                    Kind::Text
                }
            }
            ColumnType::NULL => Kind::Null,
            _ => Kind::Opaque,
        }
    }

    /// Appends the bytes by which a value sorts; `last` says that nothing can follow them.
    pub(super) fn sortable(
        self,
        format: RowFormat,
        value: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), SqlError> {
        match self {
            Kind::Signed => sortable::put_signed(signed(format, value).ok_or_else(malformed)?, out),
            Kind::Unsigned => sortable::put_unsigned(unsigned(format, value).ok_or_else(malformed)?, out),
            Kind::Decimal => return sortable::put_decimal(value, out).then_some(()).ok_or_else(malformed),
            Kind::Float | Kind::Double => sortable::put_double(double(format, value).ok_or_else(malformed)?, out),
            Kind::Moment => sortable::put_moment(moment(format, value).ok_or_else(malformed)?, out),
            Kind::Time => sortable::put_signed(span(format, value).ok_or_else(malformed)?, out),
            Kind::Bit => sortable::put_unsigned(bits(value).ok_or_else(malformed)?, out),
            Kind::Bytes | Kind::Text if last => sortable::put_last_bytes(value, out),
            Kind::Bytes | Kind::Text => sortable::put_bytes(value, out),
            Kind::Null | Kind::Opaque => return Err(malformed()),
        }
        Ok(())
    }
}

/// How many bytes a whole number has in the binary format.
pub(super) fn integer_width(ty: ColumnType) -> u8 {
    match ty {
        ColumnType::TINY => 1,
        ColumnType::SHORT | ColumnType::YEAR => 2,
        ColumnType::INT24 | ColumnType::LONG => 4,
        _ => 8,
    }
}

/// A whole number of a signed column.
pub(super) fn signed(format: RowFormat, value: &[u8]) -> Option<i64> {
    if format == RowFormat::Text {
        let (negative, digits) = match value.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, value),
        };
        let magnitude = decimal_digits(digits)?;
        return if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
    }
    Some(match *value {
        [a] => i64::from(a as i8),
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        _ => i64::from_le_bytes(value.try_into().ok()?),
    })
}

/// A whole number of an unsigned column.
pub(super) fn unsigned(format: RowFormat, value: &[u8]) -> Option<u64> {
    if format == RowFormat::Text {
        return decimal_digits(value);
    }
    let mut bytes = [0; 8];
    bytes.get_mut(..value.len())?.copy_from_slice(value);
    Some(u64::from_le_bytes(bytes))
}

/// A number of a FLOAT or DOUBLE column.
pub(super) fn double(format: RowFormat, value: &[u8]) -> Option<f64> {
    let number = if format == RowFormat::Text {
        str::from_utf8(value).ok()?.parse().ok()?
    } else if let Ok(float) = <[u8; 4]>::try_from(value) {
        f64::from(f32::from_le_bytes(float))
    } else {
        f64::from_le_bytes(value.try_into().ok()?)
    };
    number.is_finite().then_some(number)
}

/// A value of a DATE, DATETIME or TIMESTAMP column; binary: without its length byte, 0, 4, 7 or 11 bytes
/// (<https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>).
fn moment(format: RowFormat, value: &[u8]) -> Option<Moment> {
    if format == RowFormat::Text {
        return Moment::parse(value);
    }
    let (clock, micros) = match value {
        [] => return Some(Moment::default()),
        [_, _, _, _] => ([0; 3], 0),
        [_, _, _, _, hour, minute, second] => ([*hour, *minute, *second], 0),
        [_, _, _, _, hour, minute, second, a, b, c, d] => {
            ([*hour, *minute, *second], u32::from_le_bytes([*a, *b, *c, *d]))
        }
        _ => return None,
    };
    let [hour, minute, second] = clock;
    let year = u16::from_le_bytes([value[0], value[1]]);
    let moment = Moment { year, month: value[2], day: value[3], hour, minute, second, micros };
    moment.is_possible().then_some(moment)
}

/// A value of a TIME column in microseconds; binary: without its length byte, 0, 8 or 12 bytes.
fn span(format: RowFormat, value: &[u8]) -> Option<i64> {
    if format == RowFormat::Text {
        return time::parse(value);
    }
    let micros = match value {
        [] => return Some(0),
        [_, _, _, _, _, _, _, _] => 0,
        [_, _, _, _, _, _, _, _, a, b, c, d] => u32::from_le_bytes([*a, *b, *c, *d]),
        _ => return None,
    };
    let days = u32::from_le_bytes([value[1], value[2], value[3], value[4]]);
    let hours = i64::from(days) * 24 + i64::from(value[5]);
    Some(time::span(value[0] != 0, hours, i64::from(value[6]), i64::from(value[7]), i64::from(micros)))
}

/// A value of a BIT column.
fn bits(value: &[u8]) -> Option<u64> {
    let mut bytes = [0; 8];
    let start = bytes.len().checked_sub(value.len())?;
    bytes[start..].copy_from_slice(value);
    Some(u64::from_be_bytes(bytes))
}

fn decimal_digits(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}
