//! A sort that holds rows, within a bound, and only as many as can be asked for.
//! It knows what a row sorts by, and nothing else of it.

use crate::error::SqlError;
use crate::exec::merge::budget::Budget;
use crate::exec::merge::kway::Row;
use crate::exec::merge::layout::Layout;
use crate::exec::merge::order::Order;
use crate::wire::row::Cell;

/// Rows that are held until all have come; of equal ones, the first that came comes first.
#[derive(Debug)]
pub(super) struct Sort {
    order: Order,
    /// How many rows can be asked for.
    wanted: usize,
    /// For each entry its key and the row without hidden columns.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Rows that do not come before this key are not among those wanted.
    bar: Option<Vec<u8>>,
    cells: Vec<Cell>,
    key: Vec<u8>,
}

/// A row that is held. Of two with equal keys that with the lower `start` came first.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    key: u32,
    row: u32,
}

impl Entry {
    fn key(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start..][..self.key as usize]
    }

    fn row(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start + self.key as usize..][..self.row as usize]
    }

    fn len(self) -> usize {
        self.key as usize + self.row as usize
    }
}

/// Below this many rows nothing is gained by dropping some.
const WORTH_PRUNING: usize = 512;

impl Sort {
    /// Only the first `wanted` rows will be asked for.
    pub(super) fn new(order: Order, wanted: u64) -> Sort {
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let (bytes, entries, cells, key) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Sort { order, wanted, bytes, entries, bar: None, cells, key }
    }

    /// Takes a row; what `budget` allows may be held.
    pub(super) fn push(&mut self, layout: &Layout, row: Row, budget: Budget) -> Result<(), SqlError> {
        self.order.put(layout.locate(row.bytes, self.order.needs(), &mut self.cells)?, &mut self.key)?;
        if self.bar.as_ref().is_some_and(|bar| self.key >= *bar) {
            return Ok(());
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&self.key);
        layout.project(row.bytes, row.cut, &mut self.bytes);
        let (key, row) = (self.key.len(), self.bytes.len() - start - self.key.len());
        self.entries.push(Entry { start, key: key as u32, row: row as u32 });
        if self.entries.len() / 2 >= self.wanted.max(WORTH_PRUNING)
            || (!budget.allows(self.held()) && self.is_prunable())
        {
            self.prune();
        }
        budget.check(self.held())
    }

    /// Sorts what is held, and gives the rows one after the other.
    pub(super) fn finish(mut self) -> Sorted {
        self.arrange();
        Sorted { bytes: self.bytes, entries: self.entries.into_iter() }
    }

    /// How many bytes are held.
    pub(super) fn held(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    /// Whether dropping rows makes so much room that the work pays.
    fn is_prunable(&self) -> bool {
        self.entries.len() > self.wanted.saturating_add(self.wanted / 8)
    }

    fn arrange(&mut self) {
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|a, b| a.key(bytes).cmp(b.key(bytes)).then(a.start.cmp(&b.start)));
        self.entries.truncate(self.wanted);
    }

    /// Drops the rows that are not wanted.
    fn prune(&mut self) {
        self.arrange();
        self.bar = self.entries.last().map(|last| last.key(&self.bytes).to_vec());
        let mut kept = Vec::with_capacity(self.entries.iter().map(|entry| entry.len()).sum());
        for entry in &mut self.entries {
            let start = kept.len();
            kept.extend_from_slice(&self.bytes[entry.start..][..entry.len()]);
            entry.start = start;
        }
        self.bytes = kept;
    }
}

/// Sorted rows.
#[derive(Debug)]
pub(super) struct Sorted {
    bytes: Vec<u8>,
    entries: std::vec::IntoIter<Entry>,
}

impl Sorted {
    /// How many bytes are held.
    pub(super) fn held(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    /// The next row, without hidden columns.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        self.entries.next().map(|entry| entry.row(&self.bytes))
    }
}
