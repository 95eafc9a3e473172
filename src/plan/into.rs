//! SELECT ... INTO of user variables, as data: which variables take the one row, and what a server says about where the
//! clause stands. It knows no row.
//!
//! <https://dev.mysql.com/doc/refman/9.7/en/select-into.html>

use crate::plan::resolve::Model;
use crate::sql::Flavour;
use crate::sql::ast::{Body, Query, Span, TableRef};
use crate::sql::head::variables_of_into;

/// The variables that take the columns of a statement's one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Into {
    /// Lower-case names without the `@`, in the order of the columns; one may be there twice.
    pub variables: Box<[Box<str>]>,
    /// The warning that the place of the clause earns.
    pub deprecated: Option<Deprecated>,
}

/// A place of the clause that a server warns of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deprecated {
    /// MySQL: in front of a clause that locks.
    Inside,
    /// MariaDB: behind FROM.
    Behind,
}

impl Deprecated {
    /// Number and text of the warning.
    pub fn warning(self) -> (u16, &'static str) {
        match self {
            Deprecated::Inside => (
                3962,
                "The INTO clause is deprecated inside query blocks of query expressions and will be removed in a future \
                 release. Please move the INTO clause to the end of statement instead.",
            ),
            Deprecated::Behind => (
                1287,
                "'<select expression> INTO <destination>;' is deprecated and will be removed in a future release. \
                 Please use 'SELECT <select list> INTO <destination> FROM...' instead",
            ),
        }
    }
}

impl Model<'_> {
    /// The clause of a SELECT that fills user variables, which is then no obstacle any more: where it stands, and what
    /// it says; none for a statement without one, or with one that writes a file.
    pub(super) fn takes_into(&mut self, query: &Query) -> Option<(Span, Into)> {
        let clause = query.into?;
        let facts = self.session.facts;
        let variables = variables_of_into(clause.of(self.sql), facts)?;
        self.obstacles.retain(|obstacle| obstacle.at != clause.start);
        let behind = match &query.body {
            Body::Select(select) => select.from.first().is_some_and(|first| starts_before(first, clause.start)),
            _ => true,
        };
        let locked = query.locking.is_some_and(|locking| clause.start < locking.start);
        let deprecated = match facts.flavour {
            Flavour::MySql => (behind && locked).then_some(Deprecated::Inside),
            Flavour::MariaDb => behind.then_some(Deprecated::Behind),
        };
        Some((clause, Into { variables, deprecated }))
    }
}

/// Whether a table reference begins in front of this place.
fn starts_before(table: &TableRef, at: u32) -> bool {
    match table {
        TableRef::Table { span, .. } | TableRef::Derived { span, .. } | TableRef::Function { span, .. } => {
            span.start < at
        }
        TableRef::Join { left, .. } => starts_before(left, at),
        TableRef::Nested(tables) => tables.first().is_some_and(|first| starts_before(first, at)),
    }
}
