//! MySQL's values as far as a proxy has to understand them: what a client gave, what a sharding key is, exact
//! decimals, moments in time, the order of rows, the fields of a delimited file. It knows no statement, no rule and no connection.

pub mod charset;
pub mod collation;
pub mod decimal;
pub mod delimited;
pub mod fold;
pub mod key;
pub mod moment;
pub mod sortable;
mod wide;

pub use key::{Canon, CanonRange, Key, KeyKind, canonical, canonical_range, stored};

use std::borrow::Cow;

use crate::value::decimal::Decimal;
use crate::value::moment::Moment;

/// A value as a client gave it: a literal, decoded, or a parameter of a prepared statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum<'a> {
    /// NULL.
    Null,
    /// An integer; TRUE and FALSE are 1 and 0.
    Int(i64),
    /// An integer above `i64::MAX`, or an unsigned parameter.
    UInt(u64),
    /// An exact number.
    Decimal(Decimal),
    /// A number with an exponent, or a FLOAT or DOUBLE parameter.
    Double(f64),
    /// Text in UTF-8, whatever the character set of the connection.
    Text(Cow<'a, [u8]>),
    /// Bytes: hexadecimal and bit literals, `_binary'...'`, a binary connection.
    Bytes(Cow<'a, [u8]>),
    /// DATE'...', TIMESTAMP'...' or a DATE, DATETIME, TIMESTAMP parameter.
    Moment(Moment),
    /// TIME'...' or a TIME parameter, in microseconds.
    Time(i64),
}
