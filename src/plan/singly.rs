//! REPLACE, IGNORE and ON DUPLICATE KEY UPDATE of several rows of a table with lookups, as data: one row after the other,
//! as each has to meet what those before it did. It knows no row.

use std::ops::Range;

use crate::plan::{Duplicates, Plan, Planned};
use crate::sql::scan::Scan;
use crate::sql::splice::{Anchor, range};

/// An INSERT or REPLACE whose rows are stored one by one.
#[derive(Clone, Debug, PartialEq)]
pub struct Singly {
    /// Where each row begins and ends in the client's text, parentheses included.
    pub rows: Box<[(Anchor, Anchor)]>,
    /// Which of them MySQL's sentence calls duplicates.
    pub duplicates: Duplicates,
}

impl Singly {
    /// Where the rows are in a text; none for one with another key.
    pub fn rows(&self, scan: &Scan) -> Option<Vec<Range<usize>>> {
        self.rows.iter().map(|row| range(*row, scan)).collect()
    }
}

impl Planned {
    /// The rows that are stored one by one, if it is such a statement.
    pub fn singly(&self) -> Option<&Singly> {
        match &self.plan {
            Plan::Singly(singly) => Some(singly),
            _ => None,
        }
    }
}
