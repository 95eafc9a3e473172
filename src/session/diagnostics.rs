//! The diagnostics area: what SHOW WARNINGS and GET DIAGNOSTICS tell of the last statement. Pooled connections forget
//! it, so the session fetches it as long as it still holds the connection.

use crate::backend::conn::Answer;
use crate::error::SqlError;
use crate::exec::names::row_in;
use crate::session::reply::{CellKind, Null, Table};
use crate::sql::Flavour;

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
    /// SQLSTATE, where it is known.
    pub state: Option<[u8; 5]>,
    /// The sentence.
    pub message: String,
    /// The row of the statement that it is about, where that is known.
    row: Option<usize>,
}

impl Diagnostics {
    /// A new statement begins.
    pub fn clear(&mut self) {
        self.conditions.clear();
        self.unlisted = 0;
    }

    /// The statement failed.
    pub fn fail(&mut self, error: &SqlError) {
        self.clear();
        self.add_error(error);
    }

    /// An error beside what there is.
    pub fn add_error(&mut self, error: &SqlError) {
        let (level, state) = ("Error".to_owned(), Some(error.state));
        self.conditions.push(Condition { level, code: error.errno, state, message: error.message.clone(), row: None });
    }

    /// Adds a condition.
    pub fn push(&mut self, level: String, code: u16, message: String) {
        self.conditions.push(Condition { level, code, state: state_of(code), message, row: None });
    }

    /// Adds what a server answered to SHOW WARNINGS; `logical` puts messages into the client's names.
    pub fn add(&mut self, answer: &Answer, logical: impl Fn(&str) -> String) {
        self.add_part(answer, logical, |_| None, None);
    }

    /// The same for a part of a statement; `row_of` tells which row of the statement a row of the part is, `alone` the only
    /// row that it is about.
    pub fn add_part(
        &mut self,
        answer: &Answer,
        logical: impl Fn(&str) -> String,
        row_of: impl Fn(usize) -> Option<usize>,
        alone: Option<usize>,
    ) {
        for row in 0..answer.rows.len() {
            let level = answer.text(row, 0).unwrap_or_default();
            let code = answer.text(row, 1).and_then(|code| code.parse().ok()).unwrap_or(0);
            let message = logical(&answer.text(row, 2).unwrap_or_default());
            let found = row_in(&message).and_then(|(head, number)| Some((head, row_of(number)?)));
            let (message, row) = match found {
                Some((head, number)) => (format!("{head}{number}"), Some(number)),
                None => (message, alone),
            };
            self.conditions.push(Condition { level, code, state: state_of(code), message, row });
        }
    }

    /// All parts were added, of which the servers counted so many warnings: in the order of the statement's rows, where
    /// these are known.
    pub fn put_together(&mut self, counted: u64) {
        self.conditions.sort_by_key(|condition| condition.row.unwrap_or(usize::MAX));
        self.unlisted = usize::try_from(counted).unwrap_or(usize::MAX).saturating_sub(self.conditions.len());
    }

    /// Puts those in front that came before, all of them rows of this statement, of which the servers counted so many
    /// warnings.
    pub fn lead_with(&mut self, part: Diagnostics, counted: u64) {
        let own = std::mem::replace(&mut self.conditions, part.conditions);
        let is_alone = own.is_empty();
        self.conditions.extend(own);
        match is_alone {
            true => {
                self.unlisted = usize::try_from(counted).unwrap_or(usize::MAX).saturating_sub(self.conditions.len())
            }
            false => self.put_together(counted),
        }
    }

    /// Whether each is told of a row.
    pub fn tell_rows(&self) -> bool {
        self.conditions.iter().all(|condition| condition.row.is_some())
    }

    /// Adds those of a statement of one row, which is the row of this number here; gives how many warnings are left out,
    /// which a server gives once for a whole text (1287: something in it is deprecated).
    pub fn take_in(&mut self, part: Diagnostics, number: usize) -> u16 {
        let mut left_out = 0;
        self.unlisted += part.unlisted;
        for mut condition in part.conditions {
            if number > 1 && condition.code == 1287 {
                left_out += 1;
                continue;
            }
            if let Some((head, 1)) = row_in(&condition.message) {
                condition.message = format!("{head}{number}");
            }
            condition.row = Some(number);
            self.conditions.push(condition);
        }
        left_out
    }

    /// How many conditions there are.
    pub fn len(&self, errors_only: bool) -> usize {
        self.matching(errors_only).count() + if errors_only { 0 } else { self.unlisted }
    }

    /// The condition of this number, counted from 1.
    pub fn condition(&self, number: usize) -> Option<&Condition> {
        self.conditions.get(number.checked_sub(1)?)
    }

    /// How many conditions there are, as `SHOW COUNT(*) WARNINGS` or `ERRORS`.
    pub fn count(&self, errors_only: bool) -> Table {
        let name = if errors_only { "@@session.error_count" } else { "@@session.warning_count" };
        Table::number(name, CellKind::UnsignedOrNull, self.len(errors_only))
    }

    /// The answer to SHOW WARNINGS or SHOW ERRORS; `kept`: how many conditions the session wants to be kept.
    pub fn table(&self, errors_only: bool, (skip, take): (u64, u64), kept: usize, flavour: Flavour) -> Table {
        let mut table = Table::with(&[
            ("Level", CellKind::Varchar(7, Null::No)),
            ("Code", CellKind::UnsignedLong(if flavour == Flavour::MariaDb { 4 } else { 5 })),
            ("Message", CellKind::Varchar(512, Null::No)),
        ]);
        let kept = self.conditions.iter().take(kept).filter(|c| !errors_only || c.level == "Error");
        let rows = kept.skip(skip as usize).take(take as usize);
        table.rows =
            rows.map(|c| vec![Some(c.level.clone()), Some(c.code.to_string()), Some(c.message.clone())]).collect();
        table
    }

    fn matching(&self, errors_only: bool) -> impl Iterator<Item = &Condition> {
        self.conditions.iter().filter(move |c| !errors_only || c.level == "Error")
    }
}

/// The SQLSTATE of the warnings that statements over tables give; a server tells it for errors only.
///
/// <https://dev.mysql.com/doc/mysql-errors/9.0/en/server-error-reference.html>
fn state_of(code: u16) -> Option<[u8; 5]> {
    Some(*match code {
        1048 | 1062 => b"23000",
        1050 => b"42S01",
        1051 | 1146 => b"42S02",
        1054 => b"42S22",
        1172 => b"42000",
        1261 | 1262 | 1265 | 1311 => b"01000",
        1264 => b"22003",
        1292 => b"22007",
        1329 => b"02000",
        1365 => b"22012",
        1406 => b"22001",
        1364 | 1366 | 1411 | 1525 | 1452 => b"HY000",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(messages: &[&str]) -> Answer {
        let row = |message: &&str| ["Warning", "1264", message].map(|cell| Some(cell.as_bytes().to_vec())).to_vec();
        Answer { rows: messages.iter().map(row).collect(), ..Answer::default() }
    }

    #[test]
    fn rows_of_a_part_become_those_of_the_statement() {
        let mut diagnostics = Diagnostics::default();
        let same = |message: &str| message.to_owned();
        diagnostics.add_part(
            &answer(&["x at row 1", "about the whole", "x at row 2"]),
            same,
            |row| Some(row * 3),
            None,
        );
        diagnostics.add_part(&answer(&["x at row 1", "x at row 9"]), same, |row| (row == 1).then_some(4), None);
        diagnostics.put_together(7);
        let messages: Vec<&str> = diagnostics.conditions.iter().map(|condition| &*condition.message).collect();
        assert_eq!(messages, ["x at row 3", "x at row 4", "x at row 6", "about the whole", "x at row 9"]);
        assert_eq!((diagnostics.len(false), diagnostics.len(true)), (7, 0));
        assert_eq!(diagnostics.table(false, (0, u64::MAX), 2, Flavour::MySql).rows.len(), 2);
    }
}
