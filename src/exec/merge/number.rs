//! Numbers as MySQL computes with them, read from cells and written to cells.
//! It knows no expression, and refuses results that MySQL would cut or has no type for.

use std::cmp::Ordering;

use crate::error::{Code, SqlError};
use crate::exec::merge::columns::disagreement;
use crate::exec::merge::kind::{Kind, malformed};
use crate::value::Datum;
use crate::value::decimal::{Decimal, Inexact, MAX_DIGITS, MAX_SCALE};
use crate::wire::column::ColumnDef;
use crate::wire::row::RowWriter;
use crate::wire::value::{Shape, Value};

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

fn too_long() -> SqlError {
    SqlError::refuse("Numbers of more than 65 digits cannot be added up over several shards")
}

/// The operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
}

impl Number {
    /// The value of a cell; none if NULL.
    pub(super) fn read(kind: Kind, value: Value) -> Result<Option<Number>, SqlError> {
        Ok(Some(match (kind, value) {
            (_, Value::Null) => return Ok(None),
            (_, Value::Int(value)) => Number::Int { value: value.into(), unsigned: false },
            (_, Value::UInt(value)) => Number::Int { value: value.into(), unsigned: true },
            (_, Value::Float(value)) if value.is_finite() => Number::Double(value.into()),
            (_, Value::Double(value)) if value.is_finite() => Number::Double(value),
            // A server adds to 81 digits before it says that a DECIMAL has 65.
            (Kind::Decimal, Value::Bytes(text)) if text.len() > MAX_DIGITS as usize => {
                Number::Decimal(Decimal::parse(text).ok_or_else(too_long)?)
            }
            (Kind::Decimal, Value::Bytes(text)) => Number::Decimal(Decimal::parse(text).ok_or_else(malformed)?),
            _ => return Err(malformed()),
        }))
    }

    /// A literal or parameter; none if NULL, and refused (1235) if it is no number.
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
    kind: Kind,
    shape: Shape,
}

impl Output {
    /// The type of a column; refuses (1235) those in which nothing is computed.
    pub(super) fn new(def: &ColumnDef) -> Result<Output, SqlError> {
        match Kind::of(def) {
            Kind::Decimal if def.decimals > MAX_SCALE => Err(uncomputable(def)),
            kind @ (Kind::Integer | Kind::Decimal | Kind::Double) => Ok(Output { kind, shape: Shape::of(def) }),
            _ => Err(uncomputable(def)),
        }
    }

    pub(super) fn kind(self) -> Kind {
        self.kind
    }

    /// Digits behind the point; 31 for a DOUBLE with as many as it needs.
    pub(super) fn decimals(self) -> u8 {
        self.shape.decimals
    }

    /// Writes a number as the next cell.
    pub(super) fn write(self, number: Option<Number>, writer: &mut RowWriter) -> Result<(), SqlError> {
        match (self.kind, number) {
            (_, None) => {
                writer.null();
                Ok(())
            }
            (Kind::Decimal, Some(number)) => {
                let number = number.to_decimal()?.ok_or_else(disagreement)?;
                let mut text = Vec::new();
                number.round(self.decimals()).map_err(inexact)?.write(&mut text);
                writer.bytes(&text);
                Ok(())
            }
            (Kind::Double, Some(number)) => match number.to_double() {
                number if number.is_finite() => Ok(writer.value(&Value::Double(number), self.shape)?),
                _ => Err(out_of_range("DOUBLE")),
            },
            (_, Some(Number::Int { value, .. })) => {
                let name = if self.shape.is_unsigned() { "BIGINT UNSIGNED" } else { "BIGINT" };
                let value = match self.shape.is_unsigned() {
                    true => u64::try_from(value).map(Value::UInt),
                    false => i64::try_from(value).map(Value::Int),
                };
                let fits = writer.value(&value.map_err(|_| out_of_range(name))?, self.shape);
                fits.map_err(|_| out_of_range(name))
            }
            (_, Some(_)) => Err(disagreement()),
        }
    }
}

pub(super) fn uncomputable(def: &ColumnDef) -> SqlError {
    let name = String::from_utf8_lossy(def.name);
    SqlError::refuse(format!(
        "Column '{name}' of several shards cannot be computed with: it is no number, or printed with fewer digits than it has"
    ))
}
