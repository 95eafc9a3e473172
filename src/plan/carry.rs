//! INSERT ... SELECT whose rows do not stay where they are read, as data: the SELECT is a statement of its own, and its
//! rows are written out as the VALUES of another. It knows no row.

use crate::plan::{Duplicates, Many, Plan, Planned};
use crate::sql::scan::Scan;
use crate::sql::splice::Anchor;

/// An INSERT or REPLACE whose rows are carried from where they are read to where they belong.
#[derive(Clone, Debug, PartialEq)]
pub struct Carry {
    /// Where its query begins and ends in the client's text.
    pub query: (Anchor, Anchor),
    /// The number of its table among the plan's.
    pub table: u16,
    /// The columns that it names; none: all that are visible.
    pub columns: Option<Box<[Box<str>]>>,
    /// The query reads tables.
    pub reads_tables: bool,
    /// What does not fit becomes what does, with a warning.
    pub ignores: bool,
    /// Its decimals may have more digits than a server shows of them.
    pub divides: bool,
    /// A column of its answer that a server names a table of is that table's.
    pub of_tables: bool,
    /// Among its values is MIN or MAX of an ENUM, SET or ZEROFILL, whose text or number a server stores by its plan.
    pub members: bool,
    /// Which of its rows MySQL's sentence calls duplicates.
    pub duplicates: Duplicates,
}

impl Carry {
    /// The statement in three pieces: what stands before the query, the query, and what stands behind it; none for a
    /// text with another key.
    pub fn pieces<'a>(&self, sql: &'a [u8], scan: &Scan) -> Option<[&'a [u8]; 3]> {
        let (from, to) = (self.query.0.resolve(scan)? as usize, self.query.1.resolve(scan)? as usize);
        Some([sql.get(..from)?, sql.get(from..to)?, sql.get(to..scan.end as usize)?])
    }
}

impl Planned {
    /// How the rows are carried, if that may be the statement's way.
    pub fn carry(&self) -> Option<&Carry> {
        match &self.plan {
            Plan::Carry(carry) => Some(carry),
            Plan::Sharded(sharded) => match &sharded.many {
                Many::Carry(carry) => Some(carry),
                _ => None,
            },
            _ => None,
        }
    }
}
