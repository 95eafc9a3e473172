//! Who makes the ids of a table, and which column can have them. It makes none.

use crate::diagnostic::Place;
use crate::rules::catalog::{ColumnType, TableInfo};

/// How a table gets its ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdRule {
    /// Who makes them.
    pub kind: IdKind,
    /// The column that they are made for; none: its AUTO_INCREMENT column. UUIDs have one always.
    pub column: Option<String>,
    /// Where the rule stands.
    pub place: Place,
}

/// A generator of ids that are unique over all shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    /// 63 bits: time, worker, sequence ([`crate::sequence::snowflake`]).
    Snowflake,
    /// Blocks taken from a table ([`crate::sequence::segment`]).
    Segment,
    /// UUIDs of version 7 ([`crate::sequence::uuid`]).
    Uuid,
}

impl IdRule {
    /// The column of a table that ids are made for, and the greatest id that it holds (of no meaning for UUIDs).
    ///
    /// # Errors
    /// Why it cannot have them, as the end of a sentence about the table.
    pub fn column<'i>(&self, info: &'i TableInfo) -> Result<(&'i str, u64), String> {
        let column = match &self.column {
            Some(name) => {
                info.column(name).map(|(_, column)| column).ok_or(format!("it has no column {name} for its ids"))?
            }
            None => info.auto_increment().ok_or("it has no AUTO_INCREMENT column for its ids")?,
        };
        let name = column.name.as_str();
        let (bits, unsigned) = match (self.kind, &column.ty) {
            (IdKind::Uuid, ColumnType::Uuid) => return Ok((name, 0)),
            (IdKind::Uuid, ColumnType::Char(chars) | ColumnType::Varchar(chars)) if *chars >= 36 => {
                return Ok((name, 0));
            }
            (IdKind::Uuid, other) => return Err(format!("its column {name} is {other}, and a UUID needs CHAR(36)")),
            _ if !column.auto_increment => return Err(format!("its column {name} is not AUTO_INCREMENT")),
            (IdKind::Snowflake, ColumnType::Int { bits, .. }) if *bits < 64 => {
                return Err(format!("its column {name} is {}, and snowflake ids need BIGINT", column.ty));
            }
            (_, ColumnType::Int { bits, unsigned, .. }) => (*bits, *unsigned),
            (_, other) => return Err(format!("its column {name} is {other}, and ids need an integer")),
        };
        let bits = u32::from(bits) - u32::from(!unsigned);
        // The last number of BIGINT UNSIGNED means "none left" to the servers.
        Ok((name, u64::MAX.checked_shr(64 - bits).unwrap_or(0).min(u64::MAX - 1)))
    }
}
