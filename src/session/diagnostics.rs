//! The diagnostics area: what SHOW WARNINGS tells of the last statement. Pooled connections forget it, so
//! the session fetches it as long as it still holds the connection.

use crate::backend::conn::Answer;
use crate::error::SqlError;
use crate::session::reply::{CellKind, Table};

/// The conditions of the last statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    conditions: Vec<Condition>,
    /// How many warnings there were beyond `max_error_count`: they are counted, not listed.
    unlisted: usize,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `Note`, `Warning` or `Error`.
    pub level: String,
    /// MySQL's number.
    pub code: u16,
    /// The sentence.
    pub message: String,
}

impl Diagnostics {
    /// A new statement begins.
    pub fn clear(&mut self) {
        self.conditions.clear();
        self.unlisted = 0;
    }

    /// The statement failed.
    pub fn fail(&mut self, error: &SqlError) {
        self.unlisted = 0;
        self.conditions =
            vec![Condition { level: "Error".to_owned(), code: error.errno, message: error.message.clone() }];
    }

    /// Adds a condition.
    pub fn push(&mut self, level: String, code: u16, message: String) {
        self.conditions.push(Condition { level, code, message });
    }

    /// Adds what a server answered to SHOW WARNINGS; `logical` puts messages into the client's names.
    pub fn add(&mut self, answer: &Answer, logical: impl Fn(&str) -> String) {
        for row in 0..answer.rows.len() {
            self.conditions.push(Condition {
                level: answer.text(row, 0).unwrap_or_default(),
                code: answer.text(row, 1).and_then(|code| code.parse().ok()).unwrap_or(0),
                message: logical(&answer.text(row, 2).unwrap_or_default()),
            });
        }
    }

    /// The servers counted so many warnings, of which they may have listed the first only.
    pub fn counted(&mut self, warnings: u64) {
        self.unlisted = usize::try_from(warnings).unwrap_or(usize::MAX).saturating_sub(self.conditions.len());
    }

    /// How many conditions there are.
    pub fn len(&self, errors_only: bool) -> usize {
        self.matching(errors_only).count() + if errors_only { 0 } else { self.unlisted }
    }

    /// How many conditions there are, as `SHOW COUNT(*) WARNINGS` or `ERRORS`.
    pub fn count(&self, errors_only: bool) -> Table {
        let name = if errors_only { "@@session.error_count" } else { "@@session.warning_count" };
        Table::number(name, CellKind::Unsigned, self.len(errors_only))
    }

    /// The answer to SHOW WARNINGS or SHOW ERRORS.
    pub fn table(&self, errors_only: bool, skip: u64, take: u64) -> Table {
        let mut table = Table::of(&["Level", "Code", "Message"]);
        table.columns[1].1 = CellKind::Unsigned;
        let rows = self.matching(errors_only).skip(skip as usize).take(take as usize);
        table.rows =
            rows.map(|c| vec![Some(c.level.clone()), Some(c.code.to_string()), Some(c.message.clone())]).collect();
        table
    }

    fn matching(&self, errors_only: bool) -> impl Iterator<Item = &Condition> {
        self.conditions.iter().filter(move |c| !errors_only || c.level == "Error")
    }
}
