//! The ids of an INSERT's rows that the proxy makes: which rows need one, and what the others have. It makes none: a
//! plan holds places for ids, filled for each execution.

use crate::error::{Code, SqlError};
use crate::plan::slot::Slot;
use crate::rules::id::IdKind;

/// How the rows of an INSERT are numbered.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbering {
    /// Who makes the ids.
    pub kind: IdKind,
    /// The table, by its number among the plan's.
    pub table: u16,
    /// The column.
    pub column: Box<str>,
    /// The greatest id that the column holds; of no meaning for UUIDs.
    pub max: u64,
    /// What each row has for its id.
    pub rows: Box<[RowId]>,
    /// IGNORE or ON DUPLICATE KEY UPDATE: a row may not come to be, and its id with it.
    pub unsure: bool,
    /// ON DUPLICATE KEY UPDATE gives the column another value.
    pub renumbers: bool,
}

/// What a row has for its id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RowId {
    /// Nothing, NULL or DEFAULT: one is made.
    Made,
    /// A value; one is made if that is NULL or 0.
    Given(Slot),
}

/// The id of one row in one execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    /// As the statement gives it.
    Given,
    /// A number that was made.
    Number(u64),
    /// A UUID that was made.
    Uuid([u8; 36]),
}

/// Why a statement cannot be shown with its shards.
pub(super) const BY_ID: &str = "the row goes to the shard of its id, which is made when the statement runs";

/// What stands for an id where a statement is shown.
pub(super) const SHOWN: &str = "(generated)";

/// The ids of all rows of one execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids<'a> {
    /// None were made: the statement is described, not executed; or it makes none.
    None,
    /// None were made, and where some would be is shown.
    Shown,
    /// One for each row, written into the text.
    Written(&'a [Id]),
    /// One for each row, as parameters of a prepared statement.
    Params(&'a [Id]),
}

impl Ids<'_> {
    /// The id that was made for a row.
    pub fn of(&self, row: u32) -> Option<Id> {
        let (Ids::Written(ids) | Ids::Params(ids)) = self else { return None };
        ids.get(row as usize).copied().filter(|id| *id != Id::Given)
    }

    /// The first number that was made: what LAST_INSERT_ID() tells of a statement whose rows all came to be.
    pub fn first(&self) -> Option<u64> {
        let (Ids::Written(ids) | Ids::Params(ids)) = self else { return None };
        ids.iter().find_map(|id| match id {
            Id::Number(number) => Some(*number),
            Id::Given | Id::Uuid(_) => None,
        })
    }
}

impl Numbering {
    /// That ids which the statement gives fit the column: the server would cut them to its greatest, which may be made
    /// again.
    ///
    /// # Errors
    /// 1235.
    pub fn check_given(&self, ids: &[u64]) -> Result<(), SqlError> {
        match ids.iter().find(|id| **id > self.max) {
            None => Ok(()),
            Some(id) => Err(SqlError::refuse(format!("{id} is beyond what column {} holds", self.column))),
        }
    }

    /// That the last id that was made fits the column.
    ///
    /// # Errors
    /// 1467, as MySQL's when a table has used up its numbers.
    pub fn check_fit(&self, last: u64) -> Result<(), SqlError> {
        match last <= self.max {
            true => Ok(()),
            false => Err(SqlError::new(Code::NoMoreIds, "Failed to read auto-increment value from storage engine")),
        }
    }
}
