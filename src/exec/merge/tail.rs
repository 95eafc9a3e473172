//! What happens to whole rows: HAVING, the sort that holds them, OFFSET and LIMIT, and leaving hidden columns out.
//! It knows neither sources nor groups.

use crate::error::SqlError;
use crate::exec::merge::budget::Budget;
use crate::exec::merge::compute::Condition;
use crate::exec::merge::kway::Row;
use crate::exec::merge::layout::Layout;
use crate::exec::merge::order::Order;
use crate::exec::merge::sort::{Sort, Sorted};
use crate::plan::Window;
use crate::wire::row::Cell;

/// The end of a merge.
#[derive(Debug)]
pub(super) struct Tail {
    having: Option<Condition>,
    sort: Sorting,
    window: Window,
    cells: Vec<Cell>,
}

#[derive(Debug)]
enum Sorting {
    /// Rows are in the order of the answer.
    None,
    /// Rows are held.
    Holding(Box<Sort>),
    /// All rows have come, and are given.
    Giving(Sorted),
}

impl Tail {
    pub(super) fn new(having: Option<Condition>, sort: Option<Order>, window: Option<Window>) -> Tail {
        let window = window.unwrap_or(Window { skip: 0, take: u64::MAX });
        let wanted = window.skip.saturating_add(window.take);
        let sort = sort.map_or(Sorting::None, |order| Sorting::Holding(Box::new(Sort::new(order, wanted))));
        Tail { having, sort, window, cells: Vec::new() }
    }

    /// Whether the client has all the rows that it asked for.
    pub(super) fn is_full(&self) -> bool {
        self.window.take == 0
    }

    /// How many bytes of rows are held.
    pub(super) fn held(&self) -> usize {
        match &self.sort {
            Sorting::None => 0,
            Sorting::Holding(sort) => sort.held(),
            Sorting::Giving(sorted) => sorted.held(),
        }
    }

    /// Takes a row, and appends it to `out` if it is the next of the answer; it may hold what `budget` allows.
    pub(super) fn take(
        &mut self,
        layout: &Layout,
        row: Row,
        budget: Budget,
        out: &mut Vec<u8>,
    ) -> Result<bool, SqlError> {
        if let Some(having) = &self.having {
            let located = layout.locate(row.bytes, layout.columns(), &mut self.cells)?;
            if having.test(located)? != Some(true) {
                return Ok(false);
            }
        }
        match &mut self.sort {
            Sorting::Holding(sort) => {
                sort.push(layout, row, budget)?;
                return Ok(false);
            }
            Sorting::None | Sorting::Giving(_) => {}
        }
        if !pass(&mut self.window) {
            return Ok(false);
        }
        layout.project(row.bytes, row.cut, out);
        Ok(true)
    }

    /// All rows have come: appends the next of those held; false if there is none.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> bool {
        if let Sorting::Holding(_) = self.sort
            && let Sorting::Holding(sort) = std::mem::replace(&mut self.sort, Sorting::None)
        {
            self.sort = Sorting::Giving(sort.finish());
        }
        let Sorting::Giving(sorted) = &mut self.sort else { return false };
        while let Some(row) = sorted.next() {
            if pass(&mut self.window) {
                out.extend_from_slice(row);
                return true;
            }
        }
        false
    }
}

/// Whether the next row is inside the window.
fn pass(window: &mut Window) -> bool {
    if window.skip > 0 {
        window.skip -= 1;
        return false;
    }
    window.take -= 1;
    true
}
