//! Which REPLACE, IGNORE and ON DUPLICATE KEY UPDATE of several rows of a table with lookups can be done row by row: those
//! whose single rows mean alone what they mean beside others.

use crate::error::SqlError;
use crate::plan::Plan;
use crate::plan::numbering::Numbering;
use crate::plan::singly::Singly;
use crate::plan::write::{Writing, duplicates};
use crate::sql::SqlMode;
use crate::sql::ast::{Insert, InsertSource};

/// The most rows of such a statement: each takes some ten questions to servers.
const ROWS_MOST: usize = 1_000;

impl<'a> Writing<'_, '_, 'a> {
    /// The plan of an INSERT that would be refused for its number of rows, if these can be stored one by one.
    pub(in crate::plan) fn singly(
        &self,
        insert: &'a Insert,
        table: u16,
        numbers: Option<&Numbering>,
    ) -> Option<Result<Plan, SqlError>> {
        let InsertSource::Values(rows) = &insert.source else { return None };
        let kinds = [insert.replace, insert.ignore && !insert.replace, !insert.on_duplicate.is_empty()];
        let one_kind = kinds.into_iter().filter(|kind| *kind).count() == 1;
        // Of one row alone NULL is an error where of several it is not.
        let strict = self.model.session.facts.mode.has(SqlMode::STRICT) || insert.ignore;
        let effects = &self.model.effects;
        let fits = rows.len() > 1
            && one_kind
            && strict
            && numbers.is_none()
            && !insert.returning
            && !effects.random
            && self.only_computes()
            && self.has_lookups(table)
            && self.model.refs.is_empty();
        if !fits {
            return None;
        }
        if rows.len() > ROWS_MOST {
            let why = format!(
                "more than {ROWS_MOST} rows of a table with a lookup in one REPLACE, IGNORE or ON DUPLICATE KEY UPDATE:"
            );
            return Some(Err(SqlError::refuse_at(&why, self.model.sql, insert.span.start as usize)));
        }
        let composer = self.composer();
        let rows: Result<Box<[_]>, SqlError> = rows.iter().map(|(_, span)| composer.anchors(*span)).collect();
        Some(rows.map(|rows| Plan::Singly(Box::new(Singly { rows, duplicates: duplicates(insert) }))))
    }
}
