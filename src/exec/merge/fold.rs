//! Rows of one group become one row: aggregates are added up, and what depends on them is computed.
//! It relies on the rows of a group following each other, and knows no order.
//!
//! Sums of DOUBLE are added up in the order of the merge: as on a single server, their last digits depend on the order
//! in which rows come.

use crate::error::SqlError;
use crate::exec::merge::columns::{Columns, disagreement};
use crate::exec::merge::compute::{Average, Expr, NumberCell, ValueOf};
use crate::exec::merge::kway::Row;
use crate::exec::merge::layout::{Layout, Located};
use crate::exec::merge::number::{Number, Operator, Output};
use crate::exec::merge::order::{Key, Purpose, weightless};
use crate::plan::merge::{Aggregate, SortKey};
use crate::wire::row::{Cell, RowWriter};
use crate::wire::value::Value;

/// The group that is being folded.
#[derive(Debug)]
pub(super) struct Fold {
    columns: Box<[Column]>,
    /// Whether some columns are computed from others.
    computes: bool,
    open: bool,
    group: Vec<u8>,
    /// The first row of the group, for what no aggregate says.
    first: Vec<u8>,
    /// Aggregates added up, computed columns as in the first row.
    summed: Vec<u8>,
    folded: Vec<u8>,
    cells: Vec<Cell>,
    key: Vec<u8>,
}

/// One column at work.
#[derive(Debug)]
enum Column {
    /// The first cell that is not NULL.
    Any(Kept),
    Sum {
        cell: NumberCell,
        output: Output,
        sum: Option<Number>,
    },
    Extreme(Extreme),
    Bits {
        operator: BitOperator,
        cell: NumberCell,
        bits: u64,
    },
    Average(Average),
    Compute {
        expr: Expr,
        output: Output,
    },
}

/// MIN or MAX.
#[derive(Debug)]
struct Extreme {
    key: Key,
    /// What the best row so far compares by; empty before the first that is not NULL.
    best: Vec<u8>,
    /// The cell of this column in that row.
    cell: Kept,
}

/// A cell that is kept, as it stood in its row; its room is used again.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    null: bool,
}

impl Kept {
    fn set(&mut self, raw: Option<&[u8]>) {
        self.null = raw.is_none();
        self.bytes.clear();
        self.bytes.extend_from_slice(raw.unwrap_or_default());
    }

    fn raw(&self) -> Option<&[u8]> {
        (!self.null).then_some(&self.bytes)
    }
}

#[derive(Clone, Copy, Debug)]
enum BitOperator {
    And,
    Or,
    Xor,
}

impl Fold {
    /// Errors: 1235 for what is not folded exactly, 1105 for columns of other types than the plan expects.
    pub(super) fn new(aggregates: &[Aggregate], columns: &Columns, value_of: &ValueOf) -> Result<Fold, SqlError> {
        let folded: Box<[Column]> = aggregates
            .iter()
            .enumerate()
            .map(|(index, aggregate)| Column::new(index, aggregate, columns, value_of))
            .collect::<Result<_, _>>()?;
        let computes = folded.iter().any(|column| matches!(column, Column::Average(_) | Column::Compute { .. }));
        Ok(Fold {
            columns: folded,
            computes,
            open: false,
            group: Vec::new(),
            first: Vec::new(),
            summed: Vec::new(),
            folded: Vec::new(),
            cells: Vec::new(),
            key: Vec::new(),
        })
    }

    /// Takes the next row; if it begins another group, gives the one before.
    pub(super) fn take(&mut self, layout: &Layout, row: Row) -> Result<Option<Row<'_>>, SqlError> {
        let same = self.open && self.group == row.group;
        let before = self.open && !same;
        let cut = if before { self.fold(layout)? } else { 0 };
        if !same {
            self.begin(row);
        }
        let located = layout.locate(row.bytes, layout.columns(), &mut self.cells)?;
        for (index, column) in self.columns.iter_mut().enumerate() {
            column.absorb(index, located, &mut self.key)?;
        }
        Ok(before.then_some(Row { bytes: &self.folded, cut, group: &[], source: None }))
    }

    /// There are no more rows: gives the last group.
    pub(super) fn finish(&mut self, layout: &Layout) -> Result<Option<Row<'_>>, SqlError> {
        if !std::mem::take(&mut self.open) {
            return Ok(None);
        }
        let cut = self.fold(layout)?;
        Ok(Some(Row { bytes: &self.folded, cut, group: &[], source: None }))
    }

    fn begin(&mut self, row: Row) {
        self.open = true;
        self.group.clear();
        self.group.extend_from_slice(row.group);
        if self.computes {
            self.first.clear();
            self.first.extend_from_slice(row.bytes);
        }
        self.columns.iter_mut().for_each(Column::begin);
    }

    /// Writes the row of the group, and says where its hidden columns begin.
    fn fold(&mut self, layout: &Layout) -> Result<usize, SqlError> {
        self.folded.clear();
        if self.computes {
            let first = layout.locate(&self.first, layout.columns(), &mut self.cells)?;
            self.summed.clear();
            let mut writer = layout.writer(&mut self.summed);
            for (index, column) in self.columns.iter().enumerate() {
                match column {
                    Column::Average(_) | Column::Compute { .. } => put_cell(first.raw(index), &mut writer),
                    summed => summed.write_sum(&mut writer)?,
                }
            }
            let summed = layout.locate(&self.summed, layout.columns(), &mut self.cells)?;
            let mut writer = layout.writer(&mut self.folded);
            for (index, column) in self.columns.iter().enumerate() {
                column.write_computed(index, summed, &mut writer)?;
            }
        } else {
            let mut writer = layout.writer(&mut self.folded);
            self.columns.iter().try_for_each(|column| column.write_sum(&mut writer))?;
        }
        Ok(layout.cut(layout.locate(&self.folded, layout.needed_to_cut(), &mut self.cells)?))
    }
}

impl Column {
    fn new(index: usize, aggregate: &Aggregate, columns: &Columns, value_of: &ValueOf) -> Result<Column, SqlError> {
        let number = || NumberCell::new(index, columns);
        let output = || Output::new(&columns.defs()[index]);
        let bits = |operator| Ok(Column::Bits { operator, cell: NumberCell::of_bits(index, columns)?, bits: 0 });
        match aggregate {
            Aggregate::Any => Ok(Column::Any(Kept::default())),
            Aggregate::Sum => Ok(Column::Sum { cell: number()?, output: output()?, sum: None }),
            Aggregate::Min(key) => Extreme::new(*key, false, columns).map(Column::Extreme),
            Aggregate::Max(key) => Extreme::new(*key, true, columns).map(Column::Extreme),
            Aggregate::BitAnd => bits(BitOperator::And),
            Aggregate::BitOr => bits(BitOperator::Or),
            Aggregate::BitXor => bits(BitOperator::Xor),
            Aggregate::Average { sum, count } => Ok(Column::Average(Average::new(index, *sum, *count, columns)?)),
            Aggregate::Compute(scalar) => {
                let expr = Expr::new(scalar, columns, value_of)?;
                if expr.has_rounding() {
                    return Err(SqlError::refuse(
                        "An expression over an AVG of several shards is not computed: servers round it differently",
                    ));
                }
                if expr.reads(&|index| matches!(columns.aggregate(index), Some(Aggregate::Compute(_)))) {
                    return Err(disagreement());
                }
                Ok(Column::Compute { expr, output: output()? })
            }
        }
    }

    fn begin(&mut self) {
        match self {
            Column::Any(cell) => cell.set(None),
            Column::Sum { sum, .. } => *sum = None,
            Column::Extreme(extreme) => extreme.best.clear(),
            Column::Bits { operator, bits, .. } => {
                *bits = if matches!(operator, BitOperator::And) { u64::MAX } else { 0 };
            }
            Column::Average(_) | Column::Compute { .. } => {}
        }
    }

    fn absorb(&mut self, index: usize, row: Located, scratch: &mut Vec<u8>) -> Result<(), SqlError> {
        match self {
            Column::Any(cell) if cell.null => cell.set(row.raw(index)),
            Column::Sum { cell, sum, .. } => {
                *sum = match (*sum, cell.read(row)?) {
                    (Some(sum), Some(more)) => Some(Number::apply(Operator::Add, sum, more)?),
                    (sum, more) => sum.or(more),
                };
            }
            Column::Extreme(extreme) => extreme.absorb(index, row, scratch)?,
            Column::Bits { operator, cell, bits } => {
                // BIT_AND, BIT_OR and BIT_XOR are never NULL.
                if let Some(Number::Int { value, .. }) = cell.read(row)? {
                    match operator {
                        BitOperator::And => *bits &= value as u64,
                        BitOperator::Or => *bits |= value as u64,
                        BitOperator::Xor => *bits ^= value as u64,
                    }
                }
            }
            Column::Any(_) | Column::Average(_) | Column::Compute { .. } => {}
        }
        Ok(())
    }

    /// The cell of a column that is not computed from others.
    fn write_sum(&self, writer: &mut RowWriter) -> Result<(), SqlError> {
        match self {
            Column::Any(cell) => put_cell(cell.raw(), writer),
            Column::Sum { output, sum, .. } => output.write(*sum, writer)?,
            Column::Extreme(Extreme { best, cell, .. }) if !best.is_empty() => put_cell(cell.raw(), writer),
            Column::Extreme(_) | Column::Average(_) | Column::Compute { .. } => writer.null(),
            Column::Bits { cell, bits, .. } => {
                writer.value(&Value::UInt(*bits), cell.shape())?;
            }
        }
        Ok(())
    }

    /// The cell in the finished row, given one in which only aggregates count.
    fn write_computed(&self, index: usize, summed: Located, writer: &mut RowWriter) -> Result<(), SqlError> {
        let number = match self {
            Column::Average(average) => return average.output().write(average.value(summed, true)?, writer),
            Column::Compute { expr, output } => expr.value(summed, true)?.map(|number| (number, output)),
            _ => None,
        };
        match number {
            Some((number, output)) => output.write(Some(number), writer),
            // An expression may have a value where an operand is NULL, such as IFNULL(SUM(x), 0): that of a target.
            None => {
                put_cell(summed.raw(index), writer);
                Ok(())
            }
        }
    }
}

fn put_cell(raw: Option<&[u8]>, writer: &mut RowWriter) {
    match raw {
        Some(raw) => writer.raw(raw),
        None => writer.null(),
    }
}

impl Extreme {
    fn new(key: SortKey, greatest: bool, columns: &Columns) -> Result<Extreme, SqlError> {
        // The least by the turned order is the greatest.
        let key = Key::new(&SortKey { desc: greatest, ..key }, columns, Purpose::Extreme)?;
        Ok(Extreme { key, best: Vec::new(), cell: Kept::default() })
    }

    fn absorb(&mut self, column: usize, row: Located, scratch: &mut Vec<u8>) -> Result<(), SqlError> {
        if self.key.is_null(row) {
            // A value without a weight would be passed over.
            return if row.is_null(column) { Ok(()) } else { Err(weightless()) };
        }
        scratch.clear();
        self.key.put(row, true, scratch)?;
        if self.best.is_empty() || *scratch < self.best {
            std::mem::swap(&mut self.best, scratch);
            self.cell.set(row.raw(column));
        }
        Ok(())
    }
}
