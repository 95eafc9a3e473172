//! Which rows of one INSERT want an id that the proxy makes, and which ids it gives itself. It makes none.

use crate::error::SqlError;
use crate::plan::Planned;
use crate::plan::numbering::{Id, Ids, Numbering, RowId};
use crate::plan::values::Values;
use crate::rules::id::IdKind;
use crate::sql::scan::Scan;
use crate::value::Datum;

/// The ids that one execution wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// For each row whether an id is to be made.
    pub made: Vec<bool>,
    /// The ids that the statement itself gives, as far as they are not negative.
    pub given: Vec<u64>,
}

impl Wanted {
    /// Which rows of the statement at hand need an id; `zero_is_value`: sql_mode has NO_AUTO_VALUE_ON_ZERO now.
    ///
    /// # Errors
    /// 1210 for missing parameters; 1235 for a value that may or may not be a number.
    pub fn of(
        numbering: &Numbering,
        planned: &Planned,
        sql: &[u8],
        scan: &Scan,
        args: &[Datum<'_>],
        zero_is_value: bool,
    ) -> Result<Wanted, SqlError> {
        let values = Values { sql, scan, args, facts: planned.facts, ids: Ids::None, numbering: None };
        let mut wanted = Wanted { made: Vec::with_capacity(numbering.rows.len()), given: Vec::new() };
        for row in &numbering.rows {
            let RowId::Given(slot) = row else {
                wanted.made.push(true);
                continue;
            };
            if numbering.kind == IdKind::Uuid {
                wanted.made.push(false);
                continue;
            }
            let given = match values.datum(*slot)? {
                Some(Datum::Null) => None,
                Some(Datum::Int(value)) => Some(i128::from(value)),
                Some(Datum::UInt(value)) => Some(i128::from(value)),
                Some(Datum::Text(text)) => Some(whole(&text).ok_or_else(|| uncertain(numbering))?),
                _ => return Err(uncertain(numbering)),
            };
            let made = given.is_none_or(|value| value == 0 && !zero_is_value);
            wanted.made.push(made);
            if let (false, Some(value)) = (made, given.and_then(|value| u64::try_from(value).ok())) {
                wanted.given.push(value);
            }
        }
        Ok(wanted)
    }

    /// How many ids are to be made.
    pub fn count(&self) -> u64 {
        self.made.iter().filter(|made| **made).count() as u64
    }

    /// Ids for all rows, those that are made counted up from `first`.
    pub fn fill(&self, first: u64) -> Vec<Id> {
        let mut next = first;
        let number = |made: &bool| {
            if !*made {
                return Id::Given;
            }
            next += 1;
            Id::Number(next - 1)
        };
        self.made.iter().map(number).collect()
    }
}

fn uncertain(numbering: &Numbering) -> SqlError {
    let why = format!(
        "the value for {}, whose ids Shardloom makes, has to be a whole number, NULL or DEFAULT",
        numbering.column
    );
    SqlError::refuse(why)
}

/// A whole number as text: nothing that MySQL would round or cut.
fn whole(text: &[u8]) -> Option<i128> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let plain = !digits.is_empty() && digits.len() <= 20 && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_whole_numbers() {
        for (text, number) in
            [("12", Some(12)), ("-3", Some(-3)), ("0", Some(0)), ("1.5", None), ("", None), ("1e3", None), (" 7", None)]
        {
            assert_eq!(whole(text.as_bytes()), number, "{text}");
        }
    }
}
