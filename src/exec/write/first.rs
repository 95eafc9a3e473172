//! Which error is told where several targets of a split INSERT have failed: that of the row which one server would have
//! come to first. What is wrong with a row it does not know.

use crate::backend::conn::Packets;
use crate::error::{Code, SqlError};
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::{Naming, row_in};
use crate::exec::write::{Lane, Piece, Write, read, send};
use crate::plan::limited::Stage;
use crate::wire::link::Link;

/// How many rows are sent anew at most, to find out which of them fails.
const ROWS_MOST: usize = 1_000;

/// The errors of servers that are about a statement, a transaction or a connection as a whole: waits (1205, 3572),
/// deadlocks (1213, 1614), rows that others have changed (1020), ends (1317, 1969, 3024), and those that are asked of nobody (1235).
const OF_THE_WHOLE: [u16; 9] = [1020, 1205, 1213, 1235, 1317, 1614, 1969, 3024, 3572];

/// What a target answered, instead of doing its part.
#[derive(Debug)]
pub(super) struct Failure {
    /// Its group's number.
    pub(super) lane: usize,
    pub(super) piece: Piece,
    /// With the client's names, and the number of its row among all of the statement's if it tells one.
    pub(super) error: SqlError,
}

/// Whether an error may be that of a row.
pub(super) fn is_of_row(error: &SqlError) -> bool {
    !OF_THE_WHOLE.contains(&error.errno)
}

/// The error of the first row that fails. Where a target does not say which of its rows that is, they are sent to it one
/// by one, in the statement's transaction, of which nothing will be left.
///
/// # Errors
/// What ends the patience; a lost connection.
pub(super) async fn of_first_row(
    client: &mut Link,
    lanes: &mut [Lane],
    write: &Write<'_>,
    mut failures: Vec<Failure>,
    patience: &mut Patience<'_>,
) -> Result<SqlError, Stop> {
    failures.sort_by_key(|failure| failure.piece.target);
    let (mut first, mut unknown) = (None::<(usize, SqlError)>, Vec::new());
    let alike = failures.windows(2).all(|two| two[0].error == two[1].error);
    let mut told = None;
    for failure in failures {
        match row_of(write, &failure) {
            _ if alike => return Ok(failure.error),
            Some(row) if first.as_ref().is_some_and(|(known, _)| *known <= row) => {}
            Some(row) => first = Some((row, failure.error)),
            None => unknown.push(failure),
        }
    }
    for failure in unknown {
        let before = first.as_ref().map_or(usize::MAX, |(row, _)| *row);
        let rows: Vec<usize> = write.bound.rows_of(failure.piece.target).filter(|row| *row < before).collect();
        told.get_or_insert_with(|| failure.error.clone());
        if rows.len() > ROWS_MOST {
            first = None;
            break;
        }
        for row in rows {
            let told = alone(client, &mut lanes[failure.lane], write, &failure, row, patience).await?;
            if told.is_err_and(|error| is_same(&error, &failure.error)) {
                first = Some((row, failure.error));
                break;
            }
        }
    }
    // Where nobody knows, that of the first target.
    let error = first.map(|(_, error)| error).or(told);
    error.ok_or_else(|| Stop::Error(SqlError::new(Code::Unknown, "a write that failed without an error")))
}

/// The row at which a target has failed, counted from 1, if that is sure.
fn row_of(write: &Write<'_>, failure: &Failure) -> Option<usize> {
    let mut rows = write.bound.rows_of(failure.piece.target);
    match (failure.piece.row, rows.next(), rows.next()) {
        (Some(row), ..) => Some(row + 1),
        (None, only, None) => only,
        _ => row_in(&failure.error.message).map(|(_, row)| row),
    }
}

/// Sends one row alone.
async fn alone(
    client: &mut Link,
    lane: &mut Lane,
    write: &Write<'_>,
    failure: &Failure,
    row: usize,
    patience: &mut Patience<'_>,
) -> Result<Result<(), SqlError>, Stop> {
    let (target, stage) = (failure.piece.target, Stage::Row(row - 1));
    lane.lease.insert_id = None;
    send(client, &mut lane.lease, write, target, stage, patience).await?;
    let told = read(client, &mut lane.lease, patience, Some(&mut Packets::new(0))).await?;
    let bound = write.bound.at(stage);
    match told {
        Err(error) if patience.is_ended() => Err(Stop::Error(patience.explain(error))),
        Err(error) => Ok(Err(Naming::Of(&bound, target).error(error))),
        Ok(_) => Ok(Ok(())),
    }
}

/// Whether two errors are one, whatever rows they name.
fn is_same(one: &SqlError, other: &SqlError) -> bool {
    let text = |error: &'_ SqlError| row_in(&error.message).map_or(error.message.clone(), |(head, _)| head.to_owned());
    one.errno == other.errno && text(one) == text(other)
}
