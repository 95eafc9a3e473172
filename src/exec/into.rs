//! The one row of a merged SELECT ... INTO as values of user variables: each a literal of the type, and with the
//! collation, that one server gives the variable by the column. It sends nothing.

use crate::error::SqlError;
use crate::exec::carry::packets;
use crate::exec::variables::{decimal_text, double_text, integer_text, string_text};
use crate::wire::capabilities::Capabilities;
use crate::wire::column::{ColumnDef, ColumnType};
use crate::wire::link::Link;
use crate::wire::reply::ErrPacket;
use crate::wire::response::{Event, Kind, Response};
use crate::wire::row::{RowForm, split};
use crate::wire::value::Shape;

/// What a SELECT gave.
#[derive(Debug, Default)]
pub struct Taken {
    /// How many columns it has.
    pub columns: usize,
    /// The values of the first row as SQL text, `None` for NULL.
    pub values: Vec<Option<Vec<u8>>>,
    /// How many rows there are: one more than one counts as all of them.
    pub rows: usize,
}

/// What a session says about the answer.
#[derive(Clone, Copy)]
pub struct Answered<'a> {
    /// Its protocol.
    pub kind: Kind,
    /// What was agreed on with the client.
    pub capabilities: Capabilities,
    /// Character set and collation of a number.
    pub collation: &'a dyn Fn(u16) -> Option<(String, String)>,
}

/// Reads the answer that a link kept, whose texts came in their own character sets.
///
/// # Errors
/// The error that is the answer; 1235 for a column whose variable would get another type, for an answer with warnings,
/// and above the limit of the link.
pub fn taken(kept: &Link, answered: Answered<'_>) -> Result<Taken, SqlError> {
    let refuse = |why: &str| SqlError::refuse(format!("Shardloom does not support INTO over several shards of {why}"));
    let Some(mut packets) = packets(kept) else { return Err(refuse("a row longer than limits.statement")) };
    let form = if answered.kind == Kind::Execute { RowForm::Binary } else { RowForm::Text };
    let mut response = Response::new(answered.kind, answered.capabilities);
    let (mut taken, mut typed, mut shapes, mut cells) = (Taken::default(), Vec::new(), Vec::new(), Vec::new());
    while let Some(packet) = packets.next()? {
        match response.packet(&packet)? {
            Event::Err { payload } => return Err(ErrPacket::decode(&packet[payload])?.to_sql_error()),
            Event::ColumnDef { payload } => {
                let column = ColumnDef::decode(&packet[payload])?;
                let made = Typed::of(&column, answered);
                let name = String::from_utf8_lossy(column.name);
                typed.push(made.ok_or_else(|| refuse(&format!("column {name}, whose type a variable does not keep")))?);
                shapes.push(Shape::of(&column));
            }
            Event::Rows { range, .. } => {
                taken.rows += 1;
                if taken.rows > 1 {
                    continue;
                }
                let row = &packet[range];
                split(row, form, &shapes, &mut cells)?;
                for ((cell, shape), typed) in cells.iter().zip(&shapes).zip(&typed) {
                    let mut text = Vec::new();
                    cell.value(row, form, *shape)?.put_text(*shape, &mut text);
                    taken.values.push(if cell.is_null() { None } else { Some(typed.literal(&text)) });
                }
            }
            Event::End(end) | Event::Ok(end) if end.warnings > 0 => return Err(refuse("a SELECT that gives warnings")),
            _ => {}
        }
    }
    taken.columns = typed.len();
    Ok(taken)
}

/// The type that a variable gets.
#[derive(Debug, PartialEq, Eq)]
enum Typed {
    Integer { unsigned: bool },
    Bits,
    Decimal,
    Double,
    Text { charset: String, collation: String },
}

impl Typed {
    /// The type for a column; none for one whose values are not all told.
    fn of(column: &ColumnDef<'_>, answered: Answered<'_>) -> Option<Typed> {
        let text =
            |charset: &str, collation: &str| Typed::Text { charset: charset.into(), collation: collation.into() };
        Some(match column.ty {
            ColumnType::TINY | ColumnType::SHORT | ColumnType::INT24 | ColumnType::LONG | ColumnType::LONGLONG => {
                Typed::Integer { unsigned: column.unsigned() }
            }
            ColumnType::YEAR => Typed::Integer { unsigned: true },
            ColumnType::BIT => Typed::Bits,
            ColumnType::NEWDECIMAL => Typed::Decimal,
            // With a fixed number of digits its text tells less than it is; of a FLOAT it does so always.
            ColumnType::DOUBLE if column.decimals >= 31 => Typed::Double,
            ColumnType::DATE
            | ColumnType::NEWDATE
            | ColumnType::TIME
            | ColumnType::DATETIME
            | ColumnType::TIMESTAMP => text("latin1", "latin1_swedish_ci"),
            ColumnType::JSON => text("utf8mb4", "utf8mb4_bin"),
            ColumnType::NULL => text("binary", "binary"),
            ty if ty.is_string() => {
                let (charset, collation) = (answered.collation)(column.charset)?;
                Typed::Text { charset, collation }
            }
            _ => return None,
        })
    }

    fn literal(&self, text: &[u8]) -> Vec<u8> {
        match self {
            Typed::Integer { unsigned } => integer_text(text, *unsigned),
            Typed::Bits => {
                let number = text.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
                integer_text(number.to_string().as_bytes(), true)
            }
            Typed::Decimal => decimal_text(text),
            Typed::Double => double_text(text),
            Typed::Text { charset, collation } => string_text(text, charset, collation),
        }
    }
}
