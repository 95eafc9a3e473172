//! What a column's values are compared and computed by, as its definition says.
//! It knows no row and no plan.

use crate::error::SqlError;
use crate::value::moment::Moment;
use crate::value::sortable;
use crate::wire::column::{BINARY_CHARSET, ColumnDef, ColumnType, flags};
use crate::wire::error::WireError;
use crate::wire::value::{DateTime, Time, Value};

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole numbers, YEAR too.
    Integer,
    /// DECIMAL: text in both forms of rows.
    Decimal,
    /// FLOAT.
    Float,
    /// DOUBLE.
    Double,
    /// DATE, DATETIME, TIMESTAMP.
    Moment,
    /// TIME.
    Time,
    /// BIT: up to eight bytes, high byte first, in both forms of rows.
    Bit,
    /// Strings that are compared by their bytes.
    Bytes,
    /// Strings that are compared by the weights of their collation.
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
            ColumnType::TINY
            | ColumnType::SHORT
            | ColumnType::INT24
            | ColumnType::LONG
            | ColumnType::LONGLONG
            | ColumnType::YEAR => Kind::Integer,
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
            | ColumnType::BLOB => match column.charset {
                BINARY_CHARSET => Kind::Bytes,
                _ => Kind::Text,
            },
            ColumnType::NULL => Kind::Null,
            _ => Kind::Opaque,
        }
    }

    /// Appends the bytes by which a value that is not NULL sorts; `last` says that nothing can follow them.
    pub(super) fn sortable(self, value: Value, last: bool, out: &mut Vec<u8>) -> Result<(), SqlError> {
        match (self, value) {
            // One column has the one or the other.
            (Kind::Integer, Value::Int(number)) => sortable::put_signed(number, out),
            (Kind::Integer, Value::UInt(number)) => sortable::put_unsigned(number, out),
            (Kind::Decimal, Value::Bytes(text)) => {
                return sortable::put_decimal(text, out).then_some(()).ok_or_else(malformed);
            }
            (Kind::Float, Value::Float(number)) if number.is_finite() => sortable::put_double(number.into(), out),
            (Kind::Double, Value::Double(number)) if number.is_finite() => sortable::put_double(number, out),
            (Kind::Moment, Value::DateTime(value)) => {
                let DateTime { year, month, day, hour, minute, second, micros } = value;
                sortable::put_moment(Moment { year, month, day, hour, minute, second, micros }, out);
            }
            (Kind::Time, Value::Time(time)) => sortable::put_signed(micros(time).ok_or_else(malformed)?, out),
            (Kind::Bit, Value::Bytes(bytes)) => sortable::put_unsigned(bits(bytes).ok_or_else(malformed)?, out),
            (Kind::Bytes | Kind::Text, Value::Bytes(bytes)) if last => sortable::put_last_bytes(bytes, out),
            (Kind::Bytes | Kind::Text, Value::Bytes(bytes)) => sortable::put_bytes(bytes, out),
            _ => return Err(malformed()),
        }
        Ok(())
    }
}

/// A TIME in microseconds.
fn micros(time: Time) -> Option<i64> {
    let minutes = i64::from(time.hours) * 60 + i64::from(time.minutes);
    let seconds = minutes * 60 + i64::from(time.seconds);
    let micros = seconds.checked_mul(1_000_000)?.checked_add(i64::from(time.micros))?;
    Some(if time.negative { -micros } else { micros })
}

fn bits(value: &[u8]) -> Option<u64> {
    let mut bytes = [0; 8];
    let start = bytes.len().checked_sub(value.len())?;
    bytes[start..].copy_from_slice(value);
    Some(u64::from_be_bytes(bytes))
}

/// The error for a value that is not what its column says.
pub(super) fn malformed() -> SqlError {
    WireError::Malformed { packet: "value of a row" }.into()
}
