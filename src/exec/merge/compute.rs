//! Expressions and conditions over the cells of a merged row, computed as MySQL would.
//! What it would compute in another way than here is refused; it knows neither sources nor groups.

use crate::error::SqlError;
use crate::exec::merge::columns::{Columns, disagreement};
use crate::exec::merge::kind::{Kind, malformed};
use crate::exec::merge::layout::Located;
use crate::exec::merge::number::{Number, Operator, Output, inexact, uncomputable};
use crate::plan::merge::{Aggregate, Cell, Comparison, Scalar, Test};
use crate::plan::slot::Slot;
use crate::value::Datum;
use crate::value::decimal::MAX_SCALE;
use crate::wire::column::flags;
use crate::wire::value::Shape;

/// Tells the value in a slot, decoded.
pub type ValueOf<'a> = dyn Fn(Slot) -> Option<Datum<'a>> + 'a;

/// A cell that is read as a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumberCell {
    index: usize,
    kind: Kind,
    shape: Shape,
}

impl NumberCell {
    /// Refuses (1235) cells that do not show the whole number.
    pub(super) fn new(index: usize, columns: &Columns) -> Result<NumberCell, SqlError> {
        let def = &columns.defs()[index];
        let kind = Kind::of(def);
        match kind {
            Kind::Integer | Kind::Null => {}
            // MariaDB has DECIMALs with 38 of them.
            Kind::Decimal if def.decimals <= MAX_SCALE => {}
            Kind::Float | Kind::Double if columns.is_exact(index) => {}
            _ => return Err(uncomputable(def)),
        }
        Ok(NumberCell { index, kind, shape: Shape::of(def) })
    }

    /// A cell of BIT_AND, BIT_OR or BIT_XOR over numbers: unsigned, whatever its definition says.
    pub(super) fn of_bits(index: usize, columns: &Columns) -> Result<NumberCell, SqlError> {
        let cell = NumberCell::new(index, columns)?;
        let shape = Shape { flags: cell.shape.flags | flags::UNSIGNED, ..cell.shape };
        if cell.kind == Kind::Integer { Ok(NumberCell { shape, ..cell }) } else { Err(disagreement()) }
    }

    pub(super) fn shape(self) -> Shape {
        self.shape
    }

    /// The number; none if NULL.
    pub(super) fn read(self, row: Located) -> Result<Option<Number>, SqlError> {
        Number::read(self.kind, row.value(self.index, self.shape)?)
    }
}

/// AVG, from SUM and COUNT.
#[derive(Clone, Copy, Debug)]
pub(super) struct Average {
    sum: NumberCell,
    count: NumberCell,
    output: Output,
}

impl Average {
    pub(super) fn new(index: usize, sum: Cell, count: Cell, columns: &Columns) -> Result<Average, SqlError> {
        let number = |cell| match columns.index(cell)? {
            index if columns.aggregate(index) == Some(&Aggregate::Sum) => NumberCell::new(index, columns),
            _ => Err(disagreement()),
        };
        let output = Output::new(&columns.defs()[index])?;
        Ok(Average { sum: number(sum)?, count: number(count)?, output })
    }

    /// The average; none if NULL. DECIMALs are rounded as the server shows them, or have the digits of before.
    pub(super) fn value(self, row: Located, rounded: bool) -> Result<Option<Number>, SqlError> {
        let (Some(sum), Some(Number::Int { value: count, .. })) = (self.sum.read(row)?, self.count.read(row)?) else {
            return Ok(None);
        };
        let count = u64::try_from(count).map_err(|_| malformed())?;
        if count == 0 {
            return Ok(None);
        }
        if self.output.kind() == Kind::Double {
            return Ok(Some(Number::Double(sum.to_double() / count as f64)));
        }
        let sum = sum.to_decimal()?.ok_or_else(disagreement)?;
        let average = match rounded {
            true => sum.average(count, self.output.decimals()),
            false => sum.quotient(count, self.output.decimals()),
        };
        Ok(Some(Number::Decimal(average.map_err(inexact)?)))
    }

    pub(super) fn output(self) -> Output {
        self.output
    }
}

/// A [`Scalar`] over columns that are known.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    Cell(NumberCell),
    Average(Average),
    Constant(Option<Number>),
    Negate(Box<Expr>),
    Apply(Operator, Box<[Expr; 2]>),
}

impl Expr {
    /// Errors: 1235 for what is not computed exactly.
    pub(super) fn new(scalar: &Scalar, columns: &Columns, value_of: &ValueOf) -> Result<Expr, SqlError> {
        let pair = |operator, pair: &[Scalar; 2]| -> Result<Expr, SqlError> {
            let [a, b] = pair;
            let pair = [Expr::new(a, columns, value_of)?, Expr::new(b, columns, value_of)?];
            Ok(Expr::Apply(operator, Box::new(pair)))
        };
        match scalar {
            Scalar::Cell(cell) => {
                let index = columns.index(*cell)?;
                match columns.aggregate(index) {
                    Some(&Aggregate::Average { sum, count }) => {
                        Ok(Expr::Average(Average::new(index, sum, count, columns)?))
                    }
                    _ => Ok(Expr::Cell(NumberCell::new(index, columns)?)),
                }
            }
            Scalar::Slot(slot) => Ok(Expr::Constant(Number::constant(value_of(*slot))?)),
            Scalar::Negate(scalar) => Ok(Expr::Negate(Box::new(Expr::new(scalar, columns, value_of)?))),
            Scalar::Add(both) => pair(Operator::Add, both),
            Scalar::Subtract(both) => pair(Operator::Subtract, both),
            Scalar::Multiply(both) => pair(Operator::Multiply, both),
        }
    }

    /// Whether this holds for the expression or a part of it.
    fn any(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        test(self)
            || match self {
                Expr::Cell(_) | Expr::Average(_) | Expr::Constant(_) => false,
                Expr::Negate(inner) => inner.any(test),
                Expr::Apply(_, both) => both.iter().any(|inner| inner.any(test)),
            }
    }

    /// Whether it reads a cell for whose column this holds.
    pub(super) fn reads(&self, column: &dyn Fn(usize) -> bool) -> bool {
        self.any(&|part| matches!(part, Expr::Cell(cell) if column(cell.index)))
    }

    /// Whether it contains AVG of DECIMAL, which MySQL 9 computes with before rounding and MariaDB 10.11 after.
    pub(super) fn has_rounding(&self) -> bool {
        self.any(&|part| matches!(part, Expr::Average(average) if average.output.kind() == Kind::Decimal))
    }

    /// The number; none if NULL. `rounded`: whether averages in it are.
    pub(super) fn value(&self, row: Located, rounded: bool) -> Result<Option<Number>, SqlError> {
        match self {
            Expr::Cell(cell) => cell.read(row),
            Expr::Average(average) => average.value(row, rounded),
            Expr::Constant(number) => Ok(*number),
            Expr::Negate(inner) => inner.value(row, rounded)?.map(Number::negate).transpose(),
            Expr::Apply(operator, both) => {
                let [a, b] = &**both;
                match (a.value(row, rounded)?, b.value(row, rounded)?) {
                    (Some(a), Some(b)) => Number::apply(*operator, a, b).map(Some),
                    _ => Ok(None),
                }
            }
        }
    }
}

/// A [`Test`] over columns that are known.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    And(Box<[Condition]>),
    Or(Box<[Condition]>),
    Not(Box<Condition>),
    Compare(Comparison, Expr, Expr),
    IsNull(Expr),
    Cell(NumberCell),
}

impl Condition {
    /// Errors: 1235 for what is not computed exactly.
    pub(super) fn new(test: &Test, columns: &Columns, value_of: &ValueOf) -> Result<Condition, SqlError> {
        let all = |tests: &[Test]| -> Result<Box<[Condition]>, SqlError> {
            tests.iter().map(|test| Condition::new(test, columns, value_of)).collect()
        };
        let expr = |scalar| Expr::new(scalar, columns, value_of);
        Ok(match test {
            Test::And(tests) => Condition::And(all(tests)?),
            Test::Or(tests) => Condition::Or(all(tests)?),
            Test::Not(test) => Condition::Not(Box::new(Condition::new(test, columns, value_of)?)),
            Test::Compare(comparison, a, b) => {
                let (a, b) = (expr(a)?, expr(b)?);
                let tolerant = |part: &Expr| match part {
                    Expr::Cell(cell) => has_tolerance(cell.kind, cell.shape.decimals),
                    Expr::Average(average) => has_tolerance(average.output.kind(), average.output.decimals()),
                    _ => false,
                };
                if a.any(&tolerant) || b.any(&tolerant) {
                    return Err(SqlError::refuse(
                        "HAVING over several shards does not compare FLOAT and DOUBLE with a fixed number of decimals",
                    ));
                }
                Condition::Compare(*comparison, a, b)
            }
            Test::IsNull(scalar) => Condition::IsNull(expr(scalar)?),
            Test::Cell(cell) => Condition::Cell(NumberCell::new(columns.index(*cell)?, columns)?),
        })
    }

    /// True, false or, as none, NULL. Like MySQL it stops at the first part that decides.
    pub(super) fn test(&self, row: Located) -> Result<Option<bool>, SqlError> {
        match self {
            Condition::And(parts) => decide(parts, false, row),
            Condition::Or(parts) => decide(parts, true, row),
            Condition::Not(part) => Ok(part.test(row)?.map(|truth| !truth)),
            Condition::Compare(comparison, a, b) => {
                let shown = compare(*comparison, a, b, row, true)?;
                if (a.has_rounding() || b.has_rounding()) && shown != compare(*comparison, a, b, row, false)? {
                    return Err(SqlError::refuse(
                        "HAVING compares an AVG with a value so near that rounding it decides, which servers do differently",
                    ));
                }
                Ok(shown)
            }
            Condition::IsNull(expr) => Ok(Some(expr.value(row, true)?.is_none())),
            Condition::Cell(cell) => Ok(cell.read(row)?.map(|number| !number.is_zero())),
        }
    }
}

/// Whether MySQL compares such numbers with a tolerance: FLOAT and DOUBLE with a fixed number of decimals.
fn has_tolerance(kind: Kind, decimals: u8) -> bool {
    matches!(kind, Kind::Float | Kind::Double) && decimals < 31
}

/// AND (`decisive`: false) or OR (true).
fn decide(parts: &[Condition], decisive: bool, row: Located) -> Result<Option<bool>, SqlError> {
    let mut outcome = Some(!decisive);
    for part in parts {
        match part.test(row)? {
            Some(truth) if truth == decisive => return Ok(Some(decisive)),
            Some(_) => {}
            None => outcome = None,
        }
    }
    Ok(outcome)
}

fn compare(comparison: Comparison, a: &Expr, b: &Expr, row: Located, rounded: bool) -> Result<Option<bool>, SqlError> {
    let (Some(a), Some(b)) = (a.value(row, rounded)?, b.value(row, rounded)?) else { return Ok(None) };
    let ordering = Number::compare(a, b)?;
    Ok(Some(match comparison {
        Comparison::Eq => ordering.is_eq(),
        Comparison::Ne => ordering.is_ne(),
        Comparison::Lt => ordering.is_lt(),
        Comparison::Le => ordering.is_le(),
        Comparison::Gt => ordering.is_gt(),
        Comparison::Ge => ordering.is_ge(),
    }))
}
