//! Merging the rows of several targets into one answer, as a plan describes it.
//! Pure: it takes rows as bytes and gives rows as bytes; who reads them from where, and when, is not known here.
//!
//! ```text
//! row(source, bytes) -> sources by order -> fold or distinct -> having -> sort -> window -> next(out)
//!                       kway                combine             tail ------------------>
//! ```
//!
//! Rows stay encoded. Only cells that are compared or computed with are read, and a row is copied once on its way in
//! and once on its way out.

mod budget;
mod columns;
mod combine;
mod compute;
mod fold;
mod kind;
mod kway;
mod layout;
mod number;
mod order;
mod queue;
mod sort;
mod tail;

pub use compute::ValueOf;
pub use kway::Want;

use crate::error::SqlError;
use crate::exec::merge::budget::Budget;
use crate::exec::merge::columns::Columns;
use crate::exec::merge::combine::Combined;
use crate::exec::merge::compute::Condition;
use crate::exec::merge::kway::{Head, Sources};
use crate::exec::merge::layout::Layout;
use crate::exec::merge::order::Order;
use crate::exec::merge::tail::Tail;
use crate::plan::Window;
use crate::plan::merge::Merge;
use crate::wire::column::ColumnDef;
use crate::wire::row::RowForm;

/// What [`Merger::next`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A row of the answer was appended.
    Row,
    /// What [`Merger::want`] says has to come first.
    NeedInput,
    /// The answer is complete; sources that have more rows are not wanted any more.
    Finished,
}

/// The merge of one answer. After an error it must not be used any more.
#[derive(Debug)]
pub struct Merger {
    layout: Layout,
    sources: Sources,
    combined: Combined,
    tail: Tail,
    budget: Budget,
    finished: bool,
    source: Option<usize>,
}

impl Merger {
    /// `columns`: the definitions that the first target sent, hidden ones last. `sources`: how many targets answer.
    /// `budget`: how many bytes of rows may be held, by a sort and by rows that come before they are needed.
    /// `value_of`: the values that the plan left open.
    ///
    /// Errors: 1235 for columns that cannot be compared or computed with exactly; 1105 if there are other columns
    /// than the plan speaks of.
    pub fn new(
        merge: &Merge,
        window: Option<Window>,
        columns: &[ColumnDef],
        form: RowForm,
        sources: usize,
        budget: usize,
        value_of: &ValueOf,
    ) -> Result<Merger, SqlError> {
        let columns = Columns::new(merge, columns, form)?;
        let layout = Layout::new(&columns);
        let (combined, group) = Combined::new(merge, &columns, value_of)?;
        let order = (!merge.order.is_empty()).then(|| Order::new(&merge.order, group, &columns)).transpose()?;
        let sources = Sources::new(sources, order, combined.needs_order());
        let having = merge.having.as_ref().map(|test| Condition::new(test, &columns, value_of)).transpose()?;
        let sort = match merge.sort.is_empty() {
            true => None,
            false => Some(Order::of_folded(&merge.sort, &columns)?),
        };
        let tail = Tail::new(having, sort, window);
        let budget = Budget::new(budget);
        Ok(Merger { layout, sources, combined, tail, budget, finished: false, source: None })
    }

    /// How many of the columns, from the first, the client gets; their definitions are right as the server sent them.
    pub fn visible(&self) -> usize {
        self.layout.visible()
    }

    /// What has to come before [`Merger::next`] can do more than it did.
    pub fn want(&self) -> Want {
        if self.finished || self.tail.is_full() { Want::Nothing } else { self.sources.want() }
    }

    /// Takes the payload of a row packet. Rows may come before they are wanted: they are held.
    ///
    /// Errors: 1235 if more than the budget would be held.
    pub fn row(&mut self, source: usize, row: &[u8]) -> Result<(), SqlError> {
        if !self.finished {
            self.sources.push(source, row);
            self.budget.check(self.held())?;
        }
        Ok(())
    }

    /// How many bytes of rows are held.
    pub fn held(&self) -> usize {
        self.sources.held() + self.tail.held()
    }

    /// The source of the row that [`Merger::next`] gave last, where rows are merged by key and not folded.
    pub fn source(&self) -> Option<usize> {
        self.source
    }

    /// A source has sent all its rows.
    pub fn end(&mut self, source: usize) {
        self.sources.end(source);
    }

    /// Appends the payload of the next row of the answer, if it is known.
    ///
    /// Errors: 1235 if a server's rows are not in the order that was asked for, if more than the budget would be held;
    /// 1690 if a number leaves its type; 1105 if a row is malformed.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Result<Step, SqlError> {
        let step = self.step(out)?;
        if step == Step::Finished && !self.finished {
            self.finished = true;
            self.sources.clear();
        }
        Ok(step)
    }

    fn step(&mut self, out: &mut Vec<u8>) -> Result<Step, SqlError> {
        let layout = &self.layout;
        let budget = self.budget.beside(self.sources.held());
        loop {
            if self.finished || self.tail.is_full() {
                return Ok(Step::Finished);
            }
            let given = match self.sources.head(layout)? {
                Head::Unknown => return Ok(Step::NeedInput),
                Head::Row(row) => {
                    self.source = row.source;
                    let given = match self.combined.take(layout, row)? {
                        Some(row) => self.tail.take(layout, row, budget, out)?,
                        None => false,
                    };
                    self.sources.pop();
                    given
                }
                Head::End => match self.combined.finish(layout)? {
                    Some(row) => self.tail.take(layout, row, budget, out)?,
                    None if self.tail.finish(out) => true,
                    None => return Ok(Step::Finished),
                },
            };
            if given {
                return Ok(Step::Row);
            }
        }
    }
}

#[cfg(test)]
mod tests;
