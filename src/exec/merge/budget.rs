//! How many bytes of rows a statement may hold while it merges; it knows no row.

use crate::error::SqlError;

/// A bound on bytes, and how many of them are taken elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    bytes: usize,
    taken: usize,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Budget {
        Budget { bytes, taken: 0 }
    }

    /// What is left of it beside `taken` bytes.
    pub(super) fn beside(self, taken: usize) -> Budget {
        Budget { taken, ..self }
    }

    /// Whether so many bytes can be held.
    pub(super) fn allows(self, held: usize) -> bool {
        self.taken.saturating_add(held) <= self.bytes
    }

    /// Error 1235 if so many bytes can't be held.
    pub(super) fn check(self, held: usize) -> Result<(), SqlError> {
        if self.allows(held) {
            return Ok(());
        }
        Err(SqlError::refuse(format!(
            "Merging the rows of several shards needs more than the {} bytes that a statement may hold \
             (limits.merge_memory_per_query): add a LIMIT, order by what is grouped by, or read outside the transaction",
            self.bytes
        )))
    }
}
