//! The columns of an answer, as a plan counts them and as a server defined them.
//! It knows no row.

use crate::error::{Code, SqlError};
use crate::plan::merge::{Aggregate, Cell, Combine, Merge};
use crate::wire::column::ColumnDef;
use crate::wire::row::RowForm;
use crate::wire::value::Shape;

/// The columns of an answer, the client's first and the hidden ones behind them.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    defs: &'a [ColumnDef<'a>],
    visible: usize,
    form: RowForm,
    /// How each column is folded; empty if rows are not.
    aggregates: &'a [Aggregate],
}

impl<'a> Columns<'a> {
    /// Error 1105 if the plan speaks of more columns than there are.
    pub(super) fn new(merge: &'a Merge, defs: &'a [ColumnDef<'a>], form: RowForm) -> Result<Columns<'a>, SqlError> {
        let visible = defs.len().checked_sub(usize::from(merge.hidden)).ok_or_else(disagreement)?;
        let aggregates = match &merge.combine {
            Combine::Fold { columns, .. } if columns.len() != defs.len() => return Err(disagreement()),
            Combine::Fold { columns, .. } => &columns[..],
            Combine::None | Combine::Distinct(_) => &[],
        };
        Ok(Columns { defs, visible, form, aggregates })
    }

    pub(super) fn defs(&self) -> &'a [ColumnDef<'a>] {
        self.defs
    }

    pub(super) fn visible(&self) -> usize {
        self.visible
    }

    pub(super) fn form(&self) -> RowForm {
        self.form
    }

    /// Whether every digit of a column's numbers is in its rows.
    pub(super) fn is_exact(&self, index: usize) -> bool {
        self.form == RowForm::Binary || Shape::of(&self.defs[index]).text_is_exact()
    }

    /// How a column is folded; none if rows are not.
    pub(super) fn aggregate(&self, index: usize) -> Option<&'a Aggregate> {
        self.aggregates.get(index)
    }

    /// The position of a cell in the row.
    pub(super) fn index(&self, cell: Cell) -> Result<usize, SqlError> {
        let (index, end) = match cell {
            Cell::Item(item) => (usize::from(item), self.visible),
            Cell::Hidden(hidden) => (self.visible + usize::from(hidden), self.defs.len()),
        };
        if index < end { Ok(index) } else { Err(disagreement()) }
    }
}

/// A server answered other columns than the plan asked for.
pub(super) fn disagreement() -> SqlError {
    SqlError::new(Code::Unknown, "A server answered other columns than the merge of its rows expects")
}
