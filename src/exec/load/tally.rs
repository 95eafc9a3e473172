//! What the parts of a load did, added up. It knows numbers and sentences, no rows.

use std::collections::BTreeMap;

use crate::backend::conn::Answer;
use crate::error::{Code, SqlError};

/// Sums of what servers told.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// By lane for a table with copies, else all in one.
    sums: BTreeMap<usize, Sum>,
    /// Warnings that the statement has whatever its file holds, which each part tells anew.
    pub(super) standing: u64,
}

/// What some parts did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) affected_rows: u64,
    records: u64,
    deleted: u64,
    pub(super) skipped: u64,
    pub(super) warnings: u64,
}

impl Tally {
    /// Adds what a server told of a part with so many rows; `copy`: the lane, where each loads all rows.
    ///
    /// # Errors
    /// That the server has read another number of rows than were sent, so that something is cut otherwise than here.
    pub(super) fn add(&mut self, copy: Option<usize>, told: &Answer, rows: u64) -> Result<(), SqlError> {
        let number = |label: &str| -> Option<u64> {
            told.info.split(label).nth(1)?.trim_start().split(' ').next()?.parse().ok()
        };
        let all = (number("Records:"), number("Deleted:"), number("Skipped:"), number("Warnings:"));
        let (Some(records), Some(deleted), Some(skipped), Some(warnings)) = all else {
            return Err(SqlError::new(Code::Unknown, format!("a server told of a load: '{}'", told.info)));
        };
        if records != rows {
            let message = format!(
                "a server read {records} rows where Shardloom cut the file into {rows}: nothing of them is stored; \
                 please report the format of the file"
            );
            return Err(SqlError::new(Code::Unknown, message));
        }
        let sum = self.sums.entry(copy.unwrap_or(0)).or_default();
        sum.affected_rows += told.affected_rows;
        sum.records += records;
        sum.deleted += deleted;
        sum.skipped += skipped;
        sum.warnings += warnings.saturating_sub(self.standing);
        Ok(())
    }

    /// The sum, or what each of the copies did.
    ///
    /// # Errors
    /// That copies differ.
    pub(super) fn total(&self) -> Result<Sum, SqlError> {
        let mut sums = self.sums.values();
        let first = sums.next().copied().unwrap_or_default();
        if sums.any(|other| *other != first) {
            return Err(differ());
        }
        Ok(Sum { warnings: first.warnings + self.standing, ..first })
    }
}

fn differ() -> SqlError {
    let why = "The copies of a broadcast table differ: the groups did not load the same number of rows";
    SqlError::new(Code::Unknown, why)
}

impl Sum {
    /// The sentence of the OK packet.
    pub(super) fn info(&self) -> String {
        let Sum { records, deleted, skipped, warnings, .. } = self;
        format!("Records: {records}  Deleted: {deleted}  Skipped: {skipped}  Warnings: {warnings}")
    }
}
