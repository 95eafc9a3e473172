//! Writes that give what a server computes where the value has to be known before a server is chosen, as data: which
//! expressions are computed first, and where their values are written out. It computes nothing.

use std::ops::Range;

use crate::plan::{Plan, Planned};
use crate::rules::catalog::ColumnInfo;
use crate::sql::ast::Span;
use crate::sql::scan::Scan;
use crate::sql::splice::{Anchor, range};

/// What is computed before a write.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed {
    /// Where something is written into the client's text, in the order of the text.
    pub items: Box<[Item]>,
    /// The columns that values are given to.
    pub columns: Box<[ColumnInfo]>,
    /// Rows of tables are read for it.
    pub reads: bool,
    /// IGNORE: what is an error alone may be a warning there.
    pub ignores: bool,
}

/// What is written into the client's text at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What it takes the place of; nothing if both are the same.
    pub place: (Anchor, Anchor),
    /// What it is.
    pub with: With,
}

/// What is written.
#[derive(Clone, Debug, PartialEq)]
pub enum With {
    /// This text: a default.
    Text(Box<str>),
    /// The value of the expression that stands there.
    Value {
        /// The number of its column.
        column: u16,
        /// Its decimals may have more digits than a server shows of them.
        divides: bool,
        /// It has subqueries that read tables.
        reads: bool,
    },
    /// The value of the subquery that stands there.
    Query {
        /// The subquery without its parentheses.
        query: (Anchor, Anchor),
        /// The number of its column.
        column: u16,
        /// Its decimals may have more digits than a server shows of them.
        divides: bool,
        /// A server may not come to need it: that it has several rows is an error only then.
        lazy: bool,
    },
    /// The one value that the expression which stands there has in all rows of an UPDATE.
    Rows {
        /// The number of its column.
        column: u16,
        /// Its decimals may have more digits than a server shows of them.
        divides: bool,
        /// The table with its alias.
        from: (Anchor, Anchor),
        /// The condition; none: all rows.
        filter: Option<(Anchor, Anchor)>,
        /// The column that it is given to, which stays as it is if there are no rows.
        own: (Anchor, Anchor),
    },
}

impl Item {
    /// Where it stands in a text; none for one with another key.
    pub fn at(&self, scan: &Scan) -> Option<Range<usize>> {
        range(self.place, scan)
    }
}

/// A place in front of which something is put.
pub fn gap(at: u32) -> Span {
    Span { start: at, end: at }
}

impl Planned {
    /// What is computed before the statement, if it is such a one.
    pub fn computed(&self) -> Option<&Computed> {
        match &self.plan {
            Plan::Computed(computed) => Some(computed),
            _ => None,
        }
    }
}
