//! The values of one statement: what stands in a plan's slots, literals decoded. It decides nothing.

use crate::error::{Code, SqlError};
use crate::plan::numbering::{BY_ID, Id, Ids, Numbering, RowId};
use crate::plan::slot::Slot;
use crate::sql::literal::decode;
use crate::sql::scan::Scan;
use crate::sql::{Facts, syntax_error};
use crate::value::Datum;

/// The values of one statement.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) sql: &'a [u8],
    pub(super) scan: &'a Scan,
    pub(super) args: &'a [Datum<'a>],
    pub(super) facts: Facts,
    pub(super) ids: Ids<'a>,
    pub(super) numbering: Option<&'a Numbering>,
}

impl<'a> Values<'a> {
    /// The value in a slot; none if its meaning is not known here.
    ///
    /// # Errors
    /// 1210 for a parameter that was not given.
    pub(super) fn datum(&self, slot: Slot) -> Result<Option<Datum<'a>>, SqlError> {
        Ok(match slot {
            Slot::Null => Some(Datum::Null),
            Slot::Bool(value) => Some(Datum::Int(i64::from(value))),
            Slot::Id(row) => return self.id(row),
            Slot::Literal { index, negative } => self
                .scan
                .literals
                .get(index as usize)
                .and_then(|literal| decode(literal.span.of(self.sql), literal.kind, negative, self.facts)),
            Slot::Param { index, negative } => match self.args.get(usize::from(index)) {
                None => return Err(SqlError::new(Code::WrongArguments, "Incorrect arguments to EXECUTE")),
                Some(datum) if !negative => Some(datum.clone()),
                Some(datum) => negated(datum),
            },
        })
    }

    /// The id of a row of an INSERT.
    fn id(&self, row: u32) -> Result<Option<Datum<'a>>, SqlError> {
        match self.ids.of(row) {
            Some(Id::Number(number)) => return Ok(Some(Datum::UInt(number))),
            Some(Id::Uuid(text)) => return Ok(Some(Datum::Text(text.to_vec().into()))),
            Some(Id::Given) | None => {}
        }
        match (self.ids, self.numbering.and_then(|numbering| numbering.rows.get(row as usize))) {
            (_, Some(RowId::Given(slot))) if !matches!(slot, Slot::Id(_)) => self.datum(*slot),
            _ => Err(SqlError::refuse(BY_ID)),
        }
    }

    /// That none of these is NULL or 0, which an AUTO_INCREMENT column takes for "the next number".
    pub(super) fn check_numbered(&self, slots: &[Slot]) -> Result<(), SqlError> {
        for slot in slots {
            let numbers = |datum: &Datum<'_>| match datum {
                Datum::Int(value) => *value != 0,
                Datum::UInt(value) => *value != 0,
                Datum::Text(text) => text.iter().any(|byte| (b'1'..=b'9').contains(byte)),
                _ => false,
            };
            if !self.datum(*slot)?.as_ref().is_some_and(numbers) {
                let why =
                    "each server would number the AUTO_INCREMENT column by itself: give it a whole number other than 0";
                return Err(SqlError::refuse(why));
            }
        }
        Ok(())
    }

    /// A number of rows in LIMIT or OFFSET.
    ///
    /// # Errors
    /// 1064 for a literal that is none; 1235 for a parameter that is none, of which vendors and protocols think otherwise.
    pub(super) fn count(&self, slot: Slot) -> Result<u64, SqlError> {
        let count = match self.datum(slot)? {
            Some(Datum::Int(value)) => u64::try_from(value).ok(),
            Some(Datum::UInt(value)) => Some(value),
            // As a parameter, not as a word.
            Some(Datum::Null) => Some(0),
            _ => None,
        };
        count.ok_or_else(|| match slot {
            Slot::Literal { index, negative } => {
                let start = self.scan.literals.get(index as usize).map_or(0, |literal| literal.span.start as usize);
                let sign = self.sql[..start].iter().rposition(|byte| *byte == b'-');
                syntax_error(self.sql, sign.filter(|_| negative).unwrap_or(start))
            }
            _ => SqlError::refuse("Shardloom does not support a LIMIT by a parameter that is no whole number"),
        })
    }
}

/// The value behind a minus sign; none if it is not a number here.
fn negated<'a>(datum: &Datum<'a>) -> Option<Datum<'a>> {
    match datum {
        Datum::Null => Some(Datum::Null),
        Datum::Int(value) => value.checked_neg().map(Datum::Int),
        Datum::UInt(value) => {
            i128::from(*value).checked_neg().and_then(|value| i64::try_from(value).ok()).map(Datum::Int)
        }
        Datum::Decimal(value) => Some(Datum::Decimal(value.negate())),
        Datum::Double(value) => Some(Datum::Double(-value)),
        Datum::Text(_) | Datum::Bytes(_) | Datum::Moment(_) | Datum::Time(_) => None,
    }
}
