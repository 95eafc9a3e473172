//! Rows of one group become one row: aggregates are added up, and what depends on them is computed.
//! It relies on the rows of a group following each other, and knows no order.
//!
//! Sums of DOUBLE are added up in the order of the merge: as on a single server, their last digits depend on the order
//! in which rows come.

use crate::error::SqlError;
use crate::exec::merge::cells::{Layout, RowWriter, Span};
use crate::exec::merge::columns::{Columns, disagreement};
use crate::exec::merge::compute::{Cells, Expr, NumberCell, Quotient, ValueOf};
use crate::exec::merge::kway::Row;
use crate::exec::merge::number::{Number, Operator, Output};
use crate::exec::merge::order::{Key, Purpose};
use crate::plan::merge::{Aggregate, SortKey};

/// The group that is being folded.
#[derive(Debug)]
pub(super) struct Fold {
    columns: Box<[Column]>,
    /// Whether some columns are computed from others.
    computes: bool,
    open: bool,
    group: Vec<u8>,
    /// The first row of the group: where any cell will do, its own does.
    first: Vec<u8>,
    first_spans: Vec<Span>,
    spans: Vec<Span>,
    /// Aggregates added up, computed columns as in the first row.
    summed: Vec<u8>,
    folded: Vec<u8>,
    key: Vec<u8>,
}

/// One column at work.
#[derive(Debug)]
enum Column {
    Any,
    Sum { cell: NumberCell, output: Output, sum: Option<Number> },
    Extreme(Extreme),
    Bits { operator: BitOperator, cell: NumberCell, bits: u64 },
    Average(Quotient),
    Compute { expr: Expr, output: Output },
}

/// MIN or MAX.
#[derive(Debug)]
struct Extreme {
    key: Key,
    /// The column that is shown.
    column: usize,
    /// What the best cell so far compares by; none before the first that is not NULL.
    best: Option<Vec<u8>>,
    cell: Vec<u8>,
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
            first_spans: Vec::new(),
            spans: Vec::new(),
            summed: Vec::new(),
            folded: Vec::new(),
            key: Vec::new(),
        })
    }

    /// Takes the next row; if it begins another group, gives the one before.
    pub(super) fn take(&mut self, layout: &Layout, row: Row) -> Result<Option<Row<'_>>, SqlError> {
        let same = self.open && self.group == row.group;
        let before = self.open && !same;
        let cut = if before { self.fold(layout)? } else { 0 };
        if !same {
            self.begin(layout, row)?;
        }
        layout.locate(row.bytes, layout.columns(), &mut self.spans)?;
        let cells = Cells { format: layout.format(), row: row.bytes, spans: &self.spans };
        for column in &mut self.columns {
            column.absorb(cells, &mut self.key)?;
        }
        Ok(before.then_some(Row { bytes: &self.folded, cut, group: &[] }))
    }

    /// There are no more rows: gives the last group.
    pub(super) fn finish(&mut self, layout: &Layout) -> Result<Option<Row<'_>>, SqlError> {
        if !std::mem::take(&mut self.open) {
            return Ok(None);
        }
        let cut = self.fold(layout)?;
        Ok(Some(Row { bytes: &self.folded, cut, group: &[] }))
    }

    fn begin(&mut self, layout: &Layout, row: Row) -> Result<(), SqlError> {
        self.open = true;
        self.group.clear();
        self.group.extend_from_slice(row.group);
        self.first.clear();
        self.first.extend_from_slice(row.bytes);
        layout.locate(row.bytes, layout.columns(), &mut self.first_spans)?;
        self.columns.iter_mut().for_each(Column::begin);
        Ok(())
    }

    /// Writes the row of the group, and says where its hidden columns begin.
    fn fold(&mut self, layout: &Layout) -> Result<usize, SqlError> {
        let first = Cells { format: layout.format(), row: &self.first, spans: &self.first_spans };
        let mut writer = RowWriter::new(layout, &mut self.summed);
        for (index, column) in self.columns.iter().enumerate() {
            column.write_sum(index, first, &mut writer)?;
        }
        layout.locate(&self.summed, layout.columns(), &mut self.spans)?;
        if self.computes {
            let summed = Cells { format: layout.format(), row: &self.summed, spans: &self.spans };
            let mut writer = RowWriter::new(layout, &mut self.folded);
            for (index, column) in self.columns.iter().enumerate() {
                column.write_computed(index, summed, &mut writer)?;
            }
            layout.locate(&self.folded, layout.columns(), &mut self.spans)?;
        } else {
            std::mem::swap(&mut self.summed, &mut self.folded);
        }
        Ok(layout.cut(&self.folded, &self.spans))
    }
}

impl Column {
    fn new(index: usize, aggregate: &Aggregate, columns: &Columns, value_of: &ValueOf) -> Result<Column, SqlError> {
        let number = || NumberCell::new(index, columns);
        let output = || Output::new(&columns.defs()[index], columns.format());
        let bits = |operator| Ok(Column::Bits { operator, cell: NumberCell::of_bits(index, columns)?, bits: 0 });
        match aggregate {
            Aggregate::Any => Ok(Column::Any),
            Aggregate::Sum => Ok(Column::Sum { cell: number()?, output: output()?, sum: None }),
            Aggregate::Min(key) => Extreme::new(index, *key, false, columns).map(Column::Extreme),
            Aggregate::Max(key) => Extreme::new(index, *key, true, columns).map(Column::Extreme),
            Aggregate::BitAnd => bits(BitOperator::And),
            Aggregate::BitOr => bits(BitOperator::Or),
            Aggregate::BitXor => bits(BitOperator::Xor),
            Aggregate::Average { sum, count } => Ok(Column::Average(Quotient::new(index, *sum, *count, columns)?)),
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
            Column::Any | Column::Average(_) | Column::Compute { .. } => {}
            Column::Sum { sum, .. } => *sum = None,
            Column::Extreme(extreme) => extreme.best = None,
            Column::Bits { operator, bits, .. } => {
                *bits = if matches!(operator, BitOperator::And) { u64::MAX } else { 0 };
            }
        }
    }

    fn absorb(&mut self, cells: Cells, scratch: &mut Vec<u8>) -> Result<(), SqlError> {
        match self {
            Column::Any | Column::Average(_) | Column::Compute { .. } => {}
            Column::Sum { cell, sum, .. } => {
                *sum = match (*sum, cell.read(cells)?) {
                    (Some(sum), Some(more)) => Some(Number::apply(Operator::Add, sum, more)?),
                    (sum, more) => sum.or(more),
                };
            }
            Column::Extreme(extreme) => extreme.absorb(cells, scratch)?,
            Column::Bits { operator, cell, bits } => {
                // BIT_AND, BIT_OR and BIT_XOR are never NULL.
                if let Some(Number::Int { value, .. }) = cell.read(cells)? {
                    match operator {
                        BitOperator::And => *bits &= value as u64,
                        BitOperator::Or => *bits |= value as u64,
                        BitOperator::Xor => *bits ^= value as u64,
                    }
                }
            }
        }
        Ok(())
    }

    /// The column in a row in which only aggregates count.
    fn write_sum(&self, index: usize, first: Cells, writer: &mut RowWriter) -> Result<(), SqlError> {
        match self {
            Column::Any | Column::Average(_) | Column::Compute { .. } => writer.cell(first.raw(index)),
            Column::Sum { output, sum, .. } => output.write(*sum, writer)?,
            Column::Extreme(extreme) => writer.cell(extreme.best.as_ref().map(|_| &extreme.cell[..])),
            Column::Bits { bits, .. } => {
                Output::BITS.write(Some(Number::Int { value: (*bits).into(), unsigned: true }), writer)?;
            }
        }
        Ok(())
    }

    /// The column in the finished row, given one with the aggregates.
    fn write_computed(&self, index: usize, summed: Cells, writer: &mut RowWriter) -> Result<(), SqlError> {
        match self {
            Column::Average(average) => average.output().write(average.value(summed, true)?, writer),
            Column::Compute { expr, output } => match expr.value(summed, true)? {
                // Here the expression may have had a value for NULL, such as IFNULL(SUM(x), 0).
                None => {
                    writer.cell(summed.raw(index));
                    Ok(())
                }
                number => output.write(number, writer),
            },
            Column::Any | Column::Sum { .. } | Column::Extreme(_) | Column::Bits { .. } => {
                writer.cell(summed.raw(index));
                Ok(())
            }
        }
    }
}

impl Extreme {
    fn new(column: usize, key: SortKey, greatest: bool, columns: &Columns) -> Result<Extreme, SqlError> {
        // The least by the turned order is the greatest.
        let key = Key::new(&SortKey { desc: greatest, ..key }, columns, Purpose::Extreme)?;
        Ok(Extreme { key, column, best: None, cell: Vec::new() })
    }

    fn absorb(&mut self, cells: Cells, scratch: &mut Vec<u8>) -> Result<(), SqlError> {
        let Some(cell) = cells.raw(self.column) else { return Ok(()) };
        if self.key.is_null(cells.row, cells.spans) {
            return Ok(());
        }
        scratch.clear();
        self.key.put(cells.format, cells.row, cells.spans, true, scratch)?;
        match &mut self.best {
            Some(best) if *best <= *scratch => return Ok(()),
            Some(best) => std::mem::swap(best, scratch),
            None => self.best = Some(scratch.clone()),
        }
        self.cell.clear();
        self.cell.extend_from_slice(cell);
        Ok(())
    }
}
