//! Warnings of the parts of a file, as of the whole file: numbers of rows in their texts become those of the file, and
//! their order that of its rows. It asks no server.

use crate::backend::conn::Answer;
use crate::exec::load::lines::Row;

/// One condition, as SHOW WARNINGS tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `Note`, `Warning` or `Error`.
    pub level: String,
    /// MySQL's number.
    pub code: u16,
    /// The sentence.
    pub message: String,
}

/// The conditions of a load, the first `most` of them.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// Each with the row it belongs to; 0: to the statement.
    known: Vec<(u64, Condition)>,
    /// `max_error_count`.
    most: usize,
}

impl Conditions {
    pub(super) fn new(most: usize) -> Conditions {
        Conditions { known: Vec::new(), most }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn extend(&mut self, other: &Conditions) {
        self.known.extend_from_slice(&other.known);
    }

    /// Adds what a server told of a part, but for the first `standing`, which each part has; `logical` puts messages
    /// into the client's names.
    ///
    /// A sentence without a row (a duplicate key) belongs to the row of the one before it.
    pub(super) fn add(
        &mut self,
        told: &Answer,
        standing: usize,
        numbers: Numbers<'_>,
        logical: impl Fn(&str) -> String,
    ) {
        let mut at = numbers.rows.first().map_or(0, |row| row.number);
        for row in standing..told.rows.len() {
            let (number, message) = numbers.in_file(&told.text(row, 2).unwrap_or_default());
            at = number.unwrap_or(at);
            let level = told.text(row, 0).unwrap_or_default();
            let code = told.text(row, 1).and_then(|code| code.parse().ok()).unwrap_or(0);
            self.known.push((at, Condition { level, code, message: logical(&message) }));
        }
        if self.known.len() > 4 * self.most {
            self.sort();
        }
    }

    fn sort(&mut self) {
        self.known.sort_by_key(|(row, _)| *row);
        self.known.truncate(self.most);
    }

    /// The first ones in the order of the file.
    pub(super) fn in_order(mut self) -> Vec<Condition> {
        self.sort();
        self.known.into_iter().map(|(_, condition)| condition).collect()
    }
}

/// Which rows of the file those of a part are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers<'a> {
    rows: &'a [Row],
}

impl<'a> Numbers<'a> {
    pub(super) fn of(rows: &'a [Row]) -> Numbers<'a> {
        Numbers { rows }
    }

    pub(super) fn none() -> Numbers<'a> {
        Numbers { rows: &[] }
    }

    /// A message with the file's number of its row, and that number; servers write `... at row 3` or `Row 3 ...`.
    pub(super) fn in_file(self, message: &str) -> (Option<u64>, String) {
        let number = |digits: &str| {
            let row: usize = digits.parse().ok()?;
            self.rows.get(row.checked_sub(1)?).map(|row| row.number)
        };
        if let Some((before, digits)) = message.rsplit_once(" at row ")
            && let Some(row) = number(digits)
        {
            return (Some(row), format!("{before} at row {row}"));
        }
        if let Some((digits, behind)) = message.strip_prefix("Row ").and_then(|rest| rest.split_once(' '))
            && let Some(row) = number(digits)
        {
            return (Some(row), format!("Row {row} {behind}"));
        }
        (None, message.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(numbers: &[u64]) -> Vec<Row> {
        numbers.iter().map(|number| Row { number: *number, end: 0 }).collect()
    }

    #[test]
    fn rows_have_the_numbers_that_they_have_in_the_file() {
        let rows = rows(&[7, 11]);
        let numbers = Numbers::of(&rows);
        for (told, row, expected) in [
            ("Data truncated for column 'b' at row 2", Some(11), "Data truncated for column 'b' at row 11"),
            ("Row 1 doesn't contain data for all columns", Some(7), "Row 7 doesn't contain data for all columns"),
            (
                "Incorrect integer value: 'at row 1' for column 'a' at row 1",
                Some(7),
                "Incorrect integer value: 'at row 1' for column 'a' at row 7",
            ),
            ("Duplicate entry '1' for key 't.PRIMARY'", None, "Duplicate entry '1' for key 't.PRIMARY'"),
            ("Incorrect value at row 3", None, "Incorrect value at row 3"),
        ] {
            assert_eq!(numbers.in_file(told), (row, expected.to_owned()), "{told}");
        }
    }

    fn told(messages: &[&str]) -> Answer {
        let row =
            |message: &&str| [&b"Warning"[..], b"1265", message.as_bytes()].map(|cell| Some(cell.to_vec())).to_vec();
        Answer { rows: messages.iter().map(row).collect(), ..Answer::default() }
    }

    #[test]
    fn conditions_come_in_the_order_of_the_file() {
        let mut all = Conditions::new(4);
        all.add(
            &told(&["deprecated", "x at row 1", "duplicate", "y at row 2"]),
            1,
            Numbers::of(&rows(&[2, 5])),
            str::to_owned,
        );
        all.add(&told(&["deprecated", "x at row 1", "z at row 3"]), 1, Numbers::of(&rows(&[1, 3, 4])), str::to_owned);
        let messages: Vec<String> = all.in_order().into_iter().map(|condition| condition.message).collect();
        assert_eq!(messages, ["x at row 1", "x at row 2", "duplicate", "z at row 4"]);
    }
}
