//! What the targets of a write told, put together as one server would have told it. It asks nobody.

use crate::backend::conn::{Answer as Told, Packets};
use crate::error::{Code, SqlError};
use crate::exec::outcome::Outcome;
use crate::exec::write::returned::{Order, Returned};
use crate::exec::write::{Piece, Share, Write};
use crate::plan::limited::Stage;
use crate::plan::{Answer, Duplicates};

/// What all parts did together.
pub(super) struct Total<'a> {
    pub(super) write: &'a Write<'a>,
    pub(super) outcome: Outcome,
    matched: u64,
    changed: u64,
    records: u64,
    duplicates: u64,
    /// Parts answered without a sentence: INSERTs of one row.
    alone: u64,
    /// Those of them whose row was there already.
    lone_duplicates: u64,
    info: Info,
    same: Option<(u64, bool)>,
    /// The ids of a broadcast table's rows were looked for on one group.
    pub(super) looked: bool,
    parts: usize,
    returned: Returned,
    /// What is left for rows that RETURNING gives.
    pub(super) room: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Info {
    None,
    Matched,
    Records,
}

impl<'a> Total<'a> {
    pub(super) fn new(write: &'a Write<'a>) -> Total<'a> {
        Total {
            write,
            outcome: Outcome::default(),
            matched: 0,
            changed: 0,
            records: 0,
            duplicates: 0,
            alone: 0,
            lone_duplicates: 0,
            info: Info::None,
            same: None,
            looked: false,
            parts: 0,
            returned: Returned::default(),
            room: write.room,
        }
    }

    /// The statement for a piece, which has this number among all.
    pub(super) fn stage(&self, piece: Piece, number: usize) -> Stage {
        if let Some(row) = piece.row {
            return Stage::Row(row);
        }
        self.limit(number)
    }

    /// What a target, by its number, is told of LIMIT.
    fn limit(&self, number: usize) -> Stage {
        match self.write.share {
            Share::Whole => Stage::Whole,
            // Where nothing was found, a server says so in its own words: LIMIT 0 is another matter to MariaDB.
            Share::Each { shares, .. } => match shares.get(number) {
                None | Some(0) => Stage::Whole,
                Some(share) => Stage::Share(*share),
            },
            Share::Left(all) => Stage::Share(all.saturating_sub(self.written())),
        }
    }

    /// How many rows count for LIMIT: an UPDATE's are those that it found, changed or not, and of rows that are returned
    /// no other number is told.
    fn written(&self) -> u64 {
        if self.info == Info::Matched { self.matched } else { self.outcome.affected_rows + self.returned.count() }
    }

    /// Whether no target need be asked any more.
    pub(super) fn is_enough(&self) -> bool {
        self.parts > 0 && self.limit(self.parts) == Stage::Share(0)
    }

    pub(super) fn add(&mut self, piece: Piece, told: &Told, rows: Packets) {
        let target = piece.target;
        self.parts += 1;
        self.returned.add(piece, rows);
        if matches!(self.write.answer, Answer::Same) {
            match &mut self.same {
                None => {
                    self.same = Some((told.affected_rows, true));
                    self.outcome.affected_rows = told.affected_rows;
                    self.outcome.last_insert_id = told.last_insert_id;
                    self.outcome.warnings = told.warnings;
                    self.outcome.info = told.info.clone();
                    if told.info.is_empty() {
                        self.alone = 1;
                        self.lone_duplicates = self.lone_duplicate(told);
                    }
                }
                Some((rows, agree)) => *agree &= *rows == told.affected_rows,
            }
            return;
        }
        self.outcome.warnings = self.outcome.warnings.saturating_add(told.warnings);
        self.outcome.affected_rows += told.affected_rows;
        if self.write.bound.last() == Some(target) || self.outcome.last_insert_id == 0 {
            self.outcome.last_insert_id = told.last_insert_id;
        }
        let number = |label: &str| -> Option<u64> {
            let rest = told.info.split(label).nth(1)?;
            rest.trim_start().split(' ').next()?.parse().ok()
        };
        if let (Some(matched), Some(changed)) = (number("Rows matched:"), number("Changed:")) {
            self.info = Info::Matched;
            self.outcome.matched.push(matched);
            self.matched += matched;
            self.changed += changed;
        } else if let (Some(records), Some(duplicates)) = (number("Records:"), number("Duplicates:")) {
            self.info = Info::Records;
            self.records += records;
            self.duplicates += duplicates;
        } else {
            // An INSERT of one row alone is answered without the sentence that several rows get.
            self.alone += 1;
            self.lone_duplicates += self.lone_duplicate(told);
        }
    }

    /// Whether the row of an INSERT of one row was there already.
    fn lone_duplicate(&self, told: &Told) -> u64 {
        u64::from(match (told.affected_rows, self.write.duplicates()) {
            (1, _) => false,
            (0, duplicates) => duplicates != Duplicates::Changing,
            (_, duplicates) => duplicates != Duplicates::Unchanging,
        })
    }

    pub(super) fn outcome(mut self) -> Result<Outcome, SqlError> {
        // One part alone tells what there is to tell.
        let rows_split =
            self.parts > 1 && matches!(self.write.answer, Answer::Sum) && self.write.bound.last().is_some();
        if (rows_split || self.write.selected.is_some()) && self.alone > 0 {
            self.info = Info::Records;
            self.records += self.alone;
            // What MySQL counts as a duplicate of one row shows only in its rows: 2 for a row that was
            // there (REPLACE, ON DUPLICATE KEY UPDATE), 0 for one that was ignored.
            self.duplicates += self.lone_duplicates;
        }
        if let Some((_, false)) = self.same {
            return Err(SqlError::new(
                Code::Unknown,
                "The copies of a broadcast table differ: the groups did not change the same number of rows",
            ));
        }
        if let Share::Each { shares, .. } = self.write.share
            && shares.iter().sum::<u64>() != self.written()
        {
            let why = "The rows that were found for a write with LIMIT are not those that were written";
            return Err(SqlError::new(Code::Unknown, why));
        }
        let bound = self.write.bound;
        if let (Some(first), false) = (bound.made_id(), bound.is_unsure()) {
            // Of one row alone the servers tell whether it came to be.
            let came = bound.is_certain() || self.outcome.last_insert_id == first;
            self.outcome.made_id = came.then_some(first);
        }
        self.outcome.last_insert_id = self.outcome.made_id.unwrap_or(self.outcome.last_insert_id);
        let order = match (self.write.answer, self.write.share) {
            (Answer::Same, _) => Order::Copies,
            (_, Share::Each { order, .. }) => Order::Drawn(order),
            _ if bound.last().is_some() => Order::Rows,
            _ => Order::Any,
        };
        self.outcome.returned = self.returned.together(bound, order)?;
        self.outcome.has_rows = self.outcome.returned.is_some();
        let warnings = self.outcome.warnings;
        match self.info {
            Info::None => {}
            Info::Matched => {
                self.outcome.info =
                    format!("Rows matched: {}  Changed: {}  Warnings: {warnings}", self.matched, self.changed);
            }
            Info::Records => {
                self.outcome.info =
                    format!("Records: {}  Duplicates: {}  Warnings: {warnings}", self.records, self.duplicates);
            }
        }
        Ok(self.outcome)
    }
}
