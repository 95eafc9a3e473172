//! The layout that all rows of one answer share: where cells are found, and which of them the client gets.
//! It knows no value.

use crate::error::SqlError;
use crate::exec::merge::columns::Columns;
use crate::wire::row::{self, Cell, RowForm, RowWriter};
use crate::wire::value::{Shape, Value};

/// A row, and where its cells are.
#[derive(Clone, Copy)]
pub(super) struct Located<'a> {
    pub(super) form: RowForm,
    pub(super) row: &'a [u8],
    pub(super) cells: &'a [Cell],
}

impl<'a> Located<'a> {
    /// Whether a cell is NULL.
    pub(super) fn is_null(&self, index: usize) -> bool {
        self.cells[index].is_null()
    }

    /// A cell as it stands in the row; none if NULL.
    pub(super) fn raw(&self, index: usize) -> Option<&'a [u8]> {
        let cell = &self.cells[index];
        (!cell.is_null()).then(|| cell.raw(self.row))
    }

    /// The value of a cell.
    pub(super) fn value(&self, index: usize, shape: Shape) -> Result<Value<'a>, SqlError> {
        Ok(self.cells[index].value(self.row, self.form, shape)?)
    }
}

/// The layout of all rows of one answer.
#[derive(Debug)]
pub(super) struct Layout {
    form: RowForm,
    shapes: Box<[Shape]>,
    visible: usize,
}

impl Layout {
    pub(super) fn new(columns: &Columns) -> Layout {
        let shapes = columns.defs().iter().map(Shape::of).collect();
        Layout { form: columns.form(), shapes, visible: columns.visible() }
    }

    /// The number of columns, hidden ones included.
    pub(super) fn columns(&self) -> usize {
        self.shapes.len()
    }

    /// The number of columns that the client gets.
    pub(super) fn visible(&self) -> usize {
        self.visible
    }

    /// How many cells have to be located so that [`Layout::cut`] knows where the client's end.
    pub(super) fn needed_to_cut(&self) -> usize {
        if self.visible < self.columns() { self.visible + 1 } else { 0 }
    }

    /// Finds the first `count` cells of a row; `cells` is room for them.
    pub(super) fn locate<'a>(
        &self,
        row: &'a [u8],
        count: usize,
        cells: &'a mut Vec<Cell>,
    ) -> Result<Located<'a>, SqlError> {
        row::split_first(row, self.form, &self.shapes, count, cells)?;
        Ok(Located { form: self.form, row, cells })
    }

    /// Where the client's cells end, given the first [`Layout::needed_to_cut`] cells.
    pub(super) fn cut(&self, located: Located) -> usize {
        if self.visible < self.columns() { located.cells[self.visible].start() } else { located.row.len() }
    }

    /// Begins a row behind what `out` holds.
    pub(super) fn writer<'a>(&self, out: &'a mut Vec<u8>) -> RowWriter<'a> {
        RowWriter::new(out, self.form, self.columns())
    }

    /// Appends the row without its hidden columns, given where these begin.
    pub(super) fn project(&self, row: &[u8], cut: usize, out: &mut Vec<u8>) {
        row::put_first(row, self.form, self.columns(), self.visible, cut, out);
    }
}
