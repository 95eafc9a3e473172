//! What a statement did, as far as its session must know it afterwards.

use crate::backend::conn::Answer;
use crate::backend::statements::Prepared;
use crate::exec::spool::Spooled;
use crate::exec::write::returned::Rows;
use crate::plan::Target;
use crate::wire::capabilities::Status;

/// What SHOW WARNINGS told behind a part of a write.
#[derive(Debug)]
pub struct Conditions {
    /// Where.
    pub target: Target,
    /// The one row of an INSERT, counted from 0, that they are about, if the target got this one alone.
    pub row: Option<usize>,
    /// Its rows.
    pub told: Answer,
}

/// The end of a statement whose answer was passed on or made.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rows changed (or found); for a SELECT 0.
    pub affected_rows: u64,
    /// The insert id of the OK packet.
    pub last_insert_id: u64,
    /// The first id that the proxy made for a row which came to be.
    pub made_id: Option<u64>,
    /// Warnings counted by the servers.
    pub warnings: u16,
    /// The sentence of the OK packet, of a write that was put together.
    pub info: String,
    /// What SHOW WARNINGS told after each target's part of a write.
    pub conditions: Vec<Conditions>,
    /// Rows that each target of an UPDATE found, in the order of targets.
    pub matched: Vec<u64>,
    /// Flags of the last packet.
    pub status: Status,
    /// Rows passed on.
    pub rows: u64,
    /// It had a result set.
    pub has_rows: bool,
    /// The rows that RETURNING gives, of a write that was put together.
    pub returned: Option<Rows>,
    /// Rows of several targets that wait for COM_STMT_FETCH.
    pub spooled: Option<Spooled>,
    /// The statement that was prepared.
    pub prepared: Option<Prepared>,
    /// The error that the servers answered with, already told to the client.
    pub error: Option<crate::error::SqlError>,
}
