//! What MySQL takes the parameters of a prepared statement for: what they were in earlier executions, unless a column
//! says what they are. The servers' own statements are shared, so this is the session's to see.
//!
//! <https://dev.mysql.com/doc/refman/9.7/en/prepare.html>

use crate::error::SqlError;
use crate::plan::standing::{Standing, standing};
use crate::session::Session;
use crate::session::prepared::Statement;
use crate::sql::Flavour;
use crate::value::Datum;
use crate::wire::column::ColumnType;
use crate::wire::statement::Param;
use crate::wire::value::Value;

/// What a parameter was given as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Given {
    /// Nothing but NULL so far.
    #[default]
    Null,
    /// Text or bytes.
    Text,
    /// A whole number.
    Integer,
    /// An exact number.
    Decimal,
    /// FLOAT or DOUBLE.
    Double,
    /// A day.
    Date,
    /// A day with a time, TIMESTAMP included.
    DateTime,
    /// A time.
    Time,
}

/// Whole numbers beyond this are not exact as DOUBLE.
const EXACT: i64 = 1 << 53;

impl Session {
    /// That one MySQL would take these values for what they are now: `given`, as the client sends them, and `args`, what
    /// they mean. MariaDB types each execution for itself.
    ///
    /// # Errors
    /// 1235 for a value that it would convert to what an earlier execution had there.
    pub(super) fn keeps_types(
        &self,
        statement: &mut Statement,
        given: impl ExactSizeIterator<Item = Given>,
        args: &[Datum<'_>],
    ) -> Result<(), SqlError> {
        if self.facts.flavour == Flavour::MariaDb {
            return Ok(());
        }
        statement.given.resize(given.len(), Given::Null);
        let mut standings = None;
        for (number, now) in given.enumerate() {
            let before = statement.given[number];
            if before.gives_way_to(now) {
                if now != Given::Null {
                    statement.given[number] = now;
                }
                continue;
            }
            let standings = standings.get_or_insert_with(|| self.standings(statement));
            if !stays(standings[number], before, &args[number]) {
                let why = "a parameter of another type than in an earlier execution: prepare the statement again";
                return Err(SqlError::refuse(format!("Shardloom does not support {why}")));
            }
        }
        Ok(())
    }

    fn standings(&self, statement: &Statement) -> Vec<Standing> {
        let topology = self.proxy.topology.load();
        let (schema, count) = (statement.schema.as_deref(), usize::from(statement.params));
        standing(&statement.sql, statement.facts, schema, &topology.catalog, count)
    }
}

impl Given {
    /// Of a parameter in the binary protocol.
    pub(super) fn of_param(param: &Param<'_>) -> Given {
        match param.value {
            Value::Null => Given::Null,
            Value::Int(_) | Value::UInt(_) => Given::Integer,
            Value::Float(_) | Value::Double(_) => Given::Double,
            Value::Bytes(_) => match param.ty.ty {
                ColumnType::NEWDECIMAL | ColumnType::DECIMAL => Given::Decimal,
                _ => Given::Text,
            },
            Value::DateTime(_) if param.ty.ty == ColumnType::DATE => Given::Date,
            Value::DateTime(_) => Given::DateTime,
            Value::Time(_) => Given::Time,
        }
    }

    /// Of the value of a user variable.
    pub(super) fn of_variable(value: &Datum<'_>) -> Given {
        match value {
            Datum::Null => Given::Null,
            Datum::Int(_) | Datum::UInt(_) => Given::Integer,
            Datum::Decimal(_) => Given::Decimal,
            Datum::Double(_) => Given::Double,
            Datum::Text(_) | Datum::Bytes(_) => Given::Text,
            Datum::Moment(_) => Given::DateTime,
            Datum::Time(_) => Given::Time,
        }
    }

    /// Whether a value of another kind has the statement prepared anew for it, as on one server.
    fn gives_way_to(self, now: Given) -> bool {
        use Given::{Date, DateTime, Decimal, Double, Integer, Null, Text, Time};
        match (self, now) {
            (Null | Text, _) | (_, Null) => true,
            (Integer, Decimal | Double) | (Decimal, Double) => true,
            (Integer | Decimal | Double, Date | DateTime | Time) => true,
            (Date, DateTime | Time) | (Time, Date) => true,
            _ => self == now,
        }
    }
}

/// Whether a value that is converted to the kind from before is the same where it stands.
fn stays(standing: Standing, before: Given, value: &Datum<'_>) -> bool {
    match standing {
        Standing::Stored => before != Given::Time,
        Standing::Compared => {
            matches!(before, Given::Integer | Given::Decimal | Given::Double)
                && match value {
                    Datum::Int(number) => (-EXACT..=EXACT).contains(number),
                    Datum::UInt(number) => *number <= EXACT as u64,
                    Datum::Text(text) | Datum::Bytes(text) => {
                        (1..=15).contains(&text.len()) && text.iter().all(u8::is_ascii_digit)
                    }
                    _ => false,
                }
        }
        Standing::Free => false,
    }
}
