//! Numbers as MySQL computes with them, read from cells and written to cells.
//! It knows no expression, and refuses results that MySQL would cut or has no type for.

use std::cmp::Ordering;

use crate::error::{Code, SqlError};
use crate::exec::merge::cells::{RowFormat, RowWriter, malformed};
use crate::exec::merge::columns::{NOT_FIXED, disagreement};
use crate::exec::merge::kind::{self, Kind};
use crate::value::decimal::{Decimal, Inexact, MAX_SCALE};
use crate::value::{Datum, double};
use crate::wire::column::ColumnDef;

/// A number as MySQL computes with it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    /// BIGINT or BIGINT UNSIGNED. A result may be outside of it, until it is used.
    Int {
        value: i128,
        unsigned: bool,
    },
    Decimal(Decimal),
    Double(f64),
}

/// The operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
}

impl Number {
    /// The value of a cell that is not NULL.
    pub(super) fn read(kind: Kind, format: RowFormat, value: &[u8]) -> Result<Number, SqlError> {
        let number = match kind {
            Kind::Signed => {
                kind::signed(format, value).map(|value| Number::Int { value: value.into(), unsigned: false })
            }
            Kind::Unsigned => {
                kind::unsigned(format, value).map(|value| Number::Int { value: value.into(), unsigned: true })
            }
            Kind::Decimal => Decimal::parse(value).map(Number::Decimal),
            Kind::Float | Kind::Double => kind::double(format, value).map(Number::Double),
            _ => None,
        };
        number.ok_or_else(malformed)
    }

    /// A literal or parameter; none: NULL.
    pub(super) fn constant(datum: Option<Datum>) -> Result<Option<Number>, SqlError> {
        match datum {
            Some(Datum::Null) => Ok(None),
            Some(Datum::Int(value)) => Ok(Some(Number::Int { value: value.into(), unsigned: false })),
            Some(Datum::UInt(value)) => Ok(Some(Number::Int { value: value.into(), unsigned: true })),
            Some(Datum::Decimal(value)) => Ok(Some(Number::Decimal(value))),
            Some(Datum::Double(value)) => Ok(Some(Number::Double(value))),
            _ => Err(SqlError::refuse("Rows of several shards cannot be computed with a value that is not a number")),
        }
    }

    /// The number, if its type can hold it: else MySQL's error 1690.
    fn in_range(self) -> Result<Number, SqlError> {
        match self {
            Number::Int { value, unsigned: false } if i64::try_from(value).is_err() => Err(out_of_range("BIGINT")),
            Number::Int { value, unsigned: true } if u64::try_from(value).is_err() => {
                Err(out_of_range("BIGINT UNSIGNED"))
            }
            Number::Double(value) if !value.is_finite() => Err(out_of_range("DOUBLE")),
            number => Ok(number),
        }
    }

    pub(super) fn to_double(self) -> f64 {
        match self {
            Number::Int { value, .. } => value as f64,
            // The nearest one, which is what parsing gives; a decimal always parses.
            Number::Decimal(value) => value.to_string().parse().unwrap_or(f64::NAN),
            Number::Double(value) => value,
        }
    }

    /// The number as a DECIMAL; none for DOUBLE.
    pub(super) fn to_decimal(self) -> Result<Option<Decimal>, SqlError> {
        match self.in_range()? {
            Number::Int { value, .. } if value < 0 => Ok(Some(Decimal::from(value as i64))),
            Number::Int { value, .. } => Ok(Some(Decimal::from(value as u64))),
            Number::Decimal(value) => Ok(Some(value)),
            Number::Double(_) => Ok(None),
        }
    }

    pub(super) fn negate(self) -> Result<Number, SqlError> {
        Ok(match self.in_range()? {
            Number::Int { value, .. } => Number::Int { value: -value, unsigned: false },
            Number::Decimal(value) => Number::Decimal(value.negate()),
            Number::Double(value) => Number::Double(-value),
        })
    }

    /// In the type that MySQL chooses: DOUBLE if one is, else DECIMAL if one is, else BIGINT, which is unsigned if one is.
    pub(super) fn apply(operator: Operator, a: Number, b: Number) -> Result<Number, SqlError> {
        let (a, b) = (a.in_range()?, b.in_range()?);
        if let (Number::Int { value: x, unsigned: u }, Number::Int { value: y, unsigned: v }) = (a, b) {
            let value = match operator {
                Operator::Add => x + y,
                Operator::Subtract => x - y,
                // Two factors below 2^64 in size may give 2^128.
                Operator::Multiply => x.checked_mul(y).ok_or_else(|| out_of_range("BIGINT"))?,
            };
            return Ok(Number::Int { value, unsigned: u || v });
        }
        if let (Some(x), Some(y)) = (a.to_decimal()?, b.to_decimal()?) {
            let result = match operator {
                Operator::Add => x.add(y),
                Operator::Subtract => x.subtract(y),
                Operator::Multiply => x.multiply(y),
            };
            return Ok(Number::Decimal(result.map_err(inexact)?));
        }
        let (x, y) = (a.to_double(), b.to_double());
        Ok(Number::Double(match operator {
            Operator::Add => x + y,
            Operator::Subtract => x - y,
            Operator::Multiply => x * y,
        }))
    }

    pub(super) fn compare(a: Number, b: Number) -> Result<Ordering, SqlError> {
        let (a, b) = (a.in_range()?, b.in_range()?);
        if let (Number::Int { value: x, .. }, Number::Int { value: y, .. }) = (a, b) {
            return Ok(x.cmp(&y));
        }
        if let (Some(x), Some(y)) = (a.to_decimal()?, b.to_decimal()?) {
            return Ok(x.cmp(&y));
        }
        // No number is NaN here.
        Ok(a.to_double().partial_cmp(&b.to_double()).unwrap_or(Ordering::Equal))
    }

    pub(super) fn is_zero(self) -> bool {
        match self {
            Number::Int { value, .. } => value == 0,
            Number::Decimal(value) => value.is_zero(),
            Number::Double(value) => value == 0.0,
        }
    }
}

/// Error 1690, as a number leaves its type.
fn out_of_range(name: &str) -> SqlError {
    SqlError::new(Code::OutOfRange, format!("{name} value is out of range in an expression over merged rows"))
}

pub(super) fn inexact(why: Inexact) -> SqlError {
    match why {
        Inexact::Overflow => out_of_range("DECIMAL"),
        Inexact::Scale => SqlError::refuse(format!(
            "An expression over merged rows has more than the {MAX_SCALE} decimals that a DECIMAL keeps"
        )),
    }
}

/// The type in which a computed number is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) kind: Kind,
    /// Bytes of a whole number.
    width: u8,
    /// Digits behind the point of a DECIMAL.
    pub(super) decimals: u8,
}

impl Output {
    /// BIGINT UNSIGNED.
    pub(super) const BITS: Output = Output { kind: Kind::Unsigned, width: 8, decimals: 0 };

    /// The type of a column; refuses (1235) those in which nothing is computed.
    pub(super) fn new(def: &ColumnDef, format: RowFormat) -> Result<Output, SqlError> {
        let kind = Kind::of(def);
        match kind {
            Kind::Signed | Kind::Unsigned => {}
            Kind::Decimal if def.decimals <= MAX_SCALE => {}
            // Each server rounded already what it printed.
            Kind::Double if format == RowFormat::Binary || def.decimals >= NOT_FIXED => {}
            _ => return Err(uncomputable(def)),
        }
        Ok(Output { kind, width: kind::integer_width(def.ty), decimals: def.decimals })
    }

    /// Writes a number as the next cell.
    pub(super) fn write(self, number: Option<Number>, writer: &mut RowWriter) -> Result<(), SqlError> {
        let Some(number) = number else {
            writer.cell(None);
            return Ok(());
        };
        let text = writer.format() == RowFormat::Text;
        match (self.kind, number) {
            (Kind::Double, number) => {
                let number = number.to_double();
                if !number.is_finite() {
                    return Err(out_of_range("DOUBLE"));
                }
                match text {
                    true => writer.prefixed(|out| double::write(number, out)),
                    false => writer.fixed(&number.to_le_bytes()),
                }
            }
            (Kind::Decimal, number) => {
                let number = number.to_decimal()?.ok_or_else(disagreement)?;
                let rounded = number.round(self.decimals).map_err(inexact)?;
                writer.prefixed(|out| rounded.write(out));
            }
            (kind, Number::Int { value, .. }) => {
                let bits = 8 * u32::from(self.width);
                let range =
                    if kind == Kind::Unsigned { 0..1_i128 << bits } else { -(1 << (bits - 1))..1 << (bits - 1) };
                if !range.contains(&value) {
                    return Err(out_of_range(if kind == Kind::Unsigned { "BIGINT UNSIGNED" } else { "BIGINT" }));
                }
                match text {
                    true => writer.prefixed(|out| out.extend_from_slice(value.to_string().as_bytes())),
                    false => writer.fixed(&value.to_le_bytes()[..usize::from(self.width)]),
                }
            }
            _ => return Err(disagreement()),
        }
        Ok(())
    }
}

pub(super) fn uncomputable(def: &ColumnDef) -> SqlError {
    let name = String::from_utf8_lossy(def.name);
    SqlError::refuse(format!(
        "Column '{name}' of several shards cannot be computed with: it is no number, or printed with fewer digits than it has"
    ))
}
