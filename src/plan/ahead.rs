//! UPDATE and DELETE with subqueries over rows that lie elsewhere, as data: which subqueries are read before the
//! statement runs, and what their values are for. It knows no row.

use std::ops::Range;

use crate::plan::{Many, Plan, Planned};
use crate::rules::catalog::ColumnInfo;
use crate::sql::scan::Scan;
use crate::sql::splice::Anchor;

/// What is read before a write.
#[derive(Clone, Debug, PartialEq)]
pub struct Ahead {
    /// The subqueries, in the order of the text.
    pub queries: Box<[Prior]>,
    /// It is an UPDATE.
    pub updates: bool,
}

/// A subquery that is read first.
#[derive(Clone, Debug, PartialEq)]
pub struct Prior {
    /// Where it begins and ends in the client's text, without its parentheses.
    pub query: (Anchor, Anchor),
    /// The expression that its values take the place of: `(SELECT ...)`, `x IN (SELECT ...)`.
    pub place: (Anchor, Anchor),
    /// The columns that its own are stored in or compared with, one for each.
    pub columns: Box<[ColumnInfo]>,
    /// What its values are for.
    pub purpose: Purpose,
    /// Its decimals may have more digits than a server shows of them.
    pub divides: bool,
}

/// What the values of a subquery are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// One is given to a column.
    Store,
    /// One is compared with a column.
    Compare,
    /// One is computed with: a number whose literal has its type.
    Compute,
    /// Whether there are any rows.
    Exists,
    /// Columns are looked for among all of them.
    Among {
        /// NOT IN.
        negated: bool,
    },
}

/// A subquery's place in a client's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pieces<'a> {
    /// Where the place begins and ends.
    pub at: Range<usize>,
    /// What stands in it before the query: `x IN (`.
    pub before: &'a [u8],
    /// The query.
    pub query: &'a [u8],
    /// What stands behind it.
    pub behind: &'a [u8],
}

impl Prior {
    /// The pieces of its place; none for a text with another key.
    pub fn pieces<'a>(&self, sql: &'a [u8], scan: &Scan) -> Option<Pieces<'a>> {
        let at = |anchor: Anchor| anchor.resolve(scan).map(|at| at as usize);
        let (start, end) = (at(self.place.0)?, at(self.place.1)?);
        let (from, to) = (at(self.query.0)?, at(self.query.1)?);
        let (before, query, behind) = (sql.get(start..from)?, sql.get(from..to)?, sql.get(to..end)?);
        Some(Pieces { at: start..end, before, query, behind })
    }
}

impl Planned {
    /// What is read before the statement, if it has such subqueries.
    pub fn ahead(&self) -> Option<&Ahead> {
        match &self.plan {
            Plan::Ahead(ahead) => Some(ahead),
            Plan::Sharded(sharded) => match &sharded.many {
                Many::Ahead(ahead) => Some(ahead),
                _ => None,
            },
            _ => None,
        }
    }
}
