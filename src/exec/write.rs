//! A write that several targets do their part of: one transaction per group, one OK that tells the sum.
//! Several groups are committed as the user's transaction mode says.

mod first;
pub mod returned;
mod total;

use std::pin::pin;

use crate::backend::conn::{Answer as Told, BackendError, Packets};
use crate::backend::lease::Lease;
use crate::error::SqlError;
use crate::exec::Place;
use crate::exec::ask::{self, Ask};
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::Naming;
use crate::exec::outcome::{Conditions, Outcome};
use crate::exec::relay::{lost, preludes};
use crate::exec::whole::{self, Whole, may_span};
use crate::exec::write::first::Failure;
use crate::exec::write::total::Total;
use crate::plan::Bound;
use crate::plan::carry::Carry;
use crate::plan::limited::Stage;
use crate::plan::{Answer, Duplicates, Target};
use crate::rules::GroupId;
use crate::txn::{Access, Txn};
use crate::wire::link::Link;

/// A statement that writes to several targets.
pub struct Write<'a> {
    /// The statement.
    pub bound: &'a Bound<'a>,
    /// Its targets, sorted.
    pub targets: &'a [Target],
    /// Whether parts add up or must agree.
    pub answer: Answer<'a>,
    /// Its form.
    pub ask: Ask<'a>,
    /// Statements outside of a transaction commit themselves.
    pub autocommit: bool,
    /// The statement that gives all targets the same clock, if this one reads it.
    pub clock: Option<String>,
    /// What LAST_INSERT_ID() is, if the statement reads it.
    pub last_insert_id: Option<u64>,
    /// How many rows each target may write.
    pub share: Share<'a>,
    /// To the client it is an INSERT ... SELECT, whose answer always says how many rows there were.
    pub selected: Option<&'a Carry>,
    /// The server may number its rows by itself, and the number is asked for.
    pub numbers: bool,
    /// How many bytes of the rows that RETURNING gives may be held until all targets have done their part.
    pub room: usize,
}

/// How many rows each target of a write may write, as its LIMIT says.
#[derive(Clone, Copy, Debug)]
pub enum Share<'a> {
    /// All that it has.
    Whole,
    /// As many for each target as it has of the first rows.
    Each {
        /// How many, target by target.
        shares: &'a [u64],
        /// The target of each of these rows, in their order.
        order: &'a [Target],
    },
    /// As many as those before have left of this.
    Left(u64),
}

/// What one text of the statement does.
#[derive(Clone, Copy, Debug)]
struct Piece {
    target: Target,
    /// The one row of an INSERT, counted from 0, where targets get them one by one.
    row: Option<usize>,
}

impl Write<'_> {
    /// Whether the rows of an INSERT go to several targets.
    fn splits_rows(&self) -> bool {
        matches!(self.answer, Answer::Sum) && self.targets.len() > 1 && self.bound.last().is_some()
    }

    /// What a group's targets do, in this order.
    fn pieces(&self, targets: &[Target]) -> Vec<Piece> {
        if !self.bound.is_singly() {
            return targets.iter().map(|target| Piece { target: *target, row: None }).collect();
        }
        let mut pieces = Vec::new();
        for target in targets {
            pieces.extend(self.bound.rows_of(*target).map(|row| Piece { target: *target, row: Some(row - 1) }));
        }
        pieces.sort_by_key(|piece| piece.row);
        pieces
    }

    /// Which of an INSERT's rows are called duplicates.
    fn duplicates(&self) -> Duplicates {
        self.selected.map_or_else(|| self.bound.duplicates(), |carry| carry.duplicates)
    }
}

/// Runs the statement; what it did is for the caller to tell the client.
///
/// Outside of a transaction it has one of its own. Inside, a savepoint makes the statement atomic.
pub async fn run(
    client: &mut Link,
    txn: &mut Txn,
    write: &Write<'_>,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
) -> Result<Outcome, Stop> {
    may_span(txn, write.targets, place)?;
    let whole = Whole::begin(txn, write.autocommit);
    let first = attempt(client, txn, write, place, patience, whole, Order::AtOnce).await;
    if !(whole.is_own() && patience.is_victim() && matches!(first, Err(Stop::Error(_)))) {
        return first;
    }
    // Only together with what others do can the groups' order have been wrong, and nobody has seen anything of it yet.
    let again = Whole::begin(txn, write.autocommit);
    patience.renew();
    attempt(client, txn, write, place, patience, again, Order::InTurn).await
}

/// In which order the groups do their parts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// All at once: two statements can each have locked what the other waits for.
    AtOnce,
    /// One after the other, as all statements would: of two such, one waits and holds nothing that the other wants.
    InTurn,
}

async fn attempt(
    client: &mut Link,
    txn: &mut Txn,
    write: &Write<'_>,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
    whole: Whole,
    order: Order,
) -> Result<Outcome, Stop> {
    let mut reached = Vec::new();
    let total = parts(client, txn, write, place, patience, (whole, order), &mut reached).await;
    let outcome = total.and_then(|total| Ok(total.outcome()?));
    let ledger = place(write.targets[0].group).1.ledger;
    whole.end(txn, &reached, outcome, ledger, patience).await
}

/// What all groups did; `reached` are those on which the statement's savepoint stands.
async fn parts<'w>(
    client: &mut Link,
    txn: &mut Txn,
    write: &'w Write<'w>,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
    (whole, order): (Whole, Order),
    reached: &mut Vec<GroupId>,
) -> Result<Total<'w>, Stop> {
    let (mut total, mut lanes) = (Total::new(write), Vec::new());
    let groups: Vec<&[Target]> = write.targets.chunk_by(|a, b| a.group == b.group).collect();
    // What one target may write can depend on those before.
    let in_turn = order == Order::InTurn || matches!(write.share, Share::Left(_));
    let mut outcome = Ok(());
    for some in groups.chunks(if in_turn { 1 } else { groups.len() }) {
        let from = lanes.len();
        outcome = match lease(client, txn, write, some, whole, place, patience, &mut lanes, reached).await {
            Ok(()) => at_once(client, &mut lanes[from..], &mut total, patience).await,
            Err(stop) => Err(stop),
        };
        if outcome.is_err() || total.is_enough() {
            break;
        }
    }
    match outcome {
        Ok(()) => {
            give_back(txn, lanes, write).await;
            Ok(total)
        }
        Err(Stop::Error(error)) => {
            give_back(txn, lanes, write).await;
            Err(Stop::Error(error))
        }
        Err(stop) => {
            drop(lanes);
            txn.lost(write.targets[0].group, stop.why());
            Err(stop)
        }
    }
}

/// A group's part: its connection, and the targets that it does one after the other.
struct Lane {
    group: GroupId,
    lease: Lease,
    pieces: Vec<Piece>,
    /// The number of the first of its targets among all of the statement's.
    first: usize,
    /// What those that are done have answered, until all are added up.
    told: Vec<(Piece, Told, Packets)>,
}

/// Connections to these groups, in their order, as every statement takes them: no two wait for each other. What goes in
/// front of the statement is queued on all of them, if all could be had.
#[allow(clippy::too_many_arguments, reason = "a piece of `parts`")]
async fn lease<'w>(
    client: &mut Link,
    txn: &mut Txn,
    write: &'w Write<'w>,
    groups: &[&'w [Target]],
    whole: Whole,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
    lanes: &mut Vec<Lane>,
    reached: &mut Vec<GroupId>,
) -> Result<(), Stop> {
    let from = lanes.len();
    for targets in groups {
        let id = targets[0].group;
        let (group, wanted) = place(id);
        let holds = txn.holds(id);
        let lease = patience.reach(client, holds, pin!(txn.lease(id, group, Access::Write, &wanted))).await??;
        txn.wrote(id);
        let first = write.targets.partition_point(|target| target.group < id);
        lanes.push(Lane { group: id, lease, pieces: write.pieces(targets), first, told: Vec::new() });
    }
    for Lane { group, lease, .. } in &mut lanes[from..] {
        reached.push(*group);
        whole.mark(lease);
        if let Some(clock) = &write.clock {
            lease.send_prelude(clock.as_bytes());
        }
        if let Some(id) = write.last_insert_id {
            lease.set_insert_id(id);
        }
    }
    Ok(())
}

/// All these groups at once, each its targets in turn: the next one is sent to all when all have answered the last.
///
/// The error is that of the first target in their order, as if they had run one by one: so groups in front of the one
/// that failed do the rest of their targets, and those behind it are only waited for. Where the rows of an INSERT were
/// split, it is that of the first row: so all targets do their part, and what rows they failed at is compared.
async fn at_once(
    client: &mut Link,
    lanes: &mut [Lane],
    total: &mut Total<'_>,
    patience: &mut Patience<'_>,
) -> Result<(), Stop> {
    let mut live = lanes.len();
    let (mut failure, mut of_rows) = (None, Vec::new());
    let by_row = total.write.splits_rows();
    let rounds = lanes.iter().map(|lane| lane.pieces.len()).max().unwrap_or(0);
    for round in 0..rounds {
        if total.is_enough() {
            break;
        }
        if round > 0
            && let Some(error) = patience.ended()
        {
            // The servers were done before they heard of it.
            failure = Some(error);
            break;
        }
        let (mut asked, mut refusal) = (live, None);
        for (at, lane) in lanes[..live].iter_mut().enumerate() {
            let Some(piece) = lane.pieces.get(round).copied() else { continue };
            let stage = total.stage(piece, lane.first + round);
            match send(client, &mut lane.lease, total.write, piece.target, stage, patience).await {
                Ok(()) => {}
                Err(Stop::Error(error)) => {
                    (asked, refusal) = (at, Some(error));
                    break;
                }
                Err(stop) => return Err(stop),
            }
        }
        if let Some(error) = refusal {
            (live, failure) = (asked, Some(error));
        }
        for (at, lane) in lanes[..asked].iter_mut().enumerate() {
            let Some(piece) = lane.pieces.get(round).copied() else { continue };
            match answer(client, lane, total, piece, patience, at < live).await {
                // Behind one that failed.
                Err(Stop::Error(_)) if at >= live => {}
                Err(Stop::Error(error)) if by_row && first::is_of_row(&error) && !patience.is_ended() => {
                    of_rows.push(Failure { lane: at, piece, error });
                }
                Err(Stop::Error(error)) => {
                    (live, failure) = (at, Some(error));
                }
                answered => answered?,
            }
        }
        if failure.is_some() && patience.is_ended() {
            break;
        }
        if let [alone] = lanes {
            alone.told.drain(..).for_each(|(piece, told, rows)| total.add(piece, &told, rows));
        }
    }
    if failure.is_none() && !of_rows.is_empty() {
        failure = Some(first::of_first_row(client, lanes, total.write, of_rows, patience).await?);
    }
    let told = lanes.iter_mut().flat_map(|lane| lane.told.drain(..));
    told.for_each(|(piece, told, rows)| total.add(piece, &told, rows));
    failure.map_or(Ok(()), |error| Err(Stop::Error(error)))
}

/// Sends one target its statement.
async fn send(
    client: &mut Link,
    lease: &mut Lease,
    write: &Write<'_>,
    target: Target,
    stage: Stage,
    patience: &mut Patience<'_>,
) -> Result<(), Stop> {
    let naming = Naming::Of(write.bound, target);
    let mut text = Vec::new();
    let params = match stage {
        Stage::Whole => write.bound.render(target, &mut text),
        stage => write.bound.at(stage).render(target, &mut text),
    };
    ask::send(client, lease, write.ask, &text, &params, patience, naming).await?;
    lease.link.flush().await.map_err(|error| patience.lost(lease, error))
}

/// Reads what one target answers; `counts`: it is of use.
async fn answer(
    client: &mut Link,
    lane: &mut Lane,
    total: &mut Total<'_>,
    piece: Piece,
    patience: &mut Patience<'_>,
    counts: bool,
) -> Result<(), Stop> {
    let lease = &mut lane.lease;
    if !counts {
        // Its error is not told, so it must not be explained.
        return read(client, lease, patience, Some(&mut Packets::new(0))).await?.map(drop).map_err(Stop::Error);
    }
    let alone = piece.row.map(|row| total.write.bound.at(Stage::Row(row)));
    let naming = Naming::Of(alone.as_ref().unwrap_or(total.write.bound), piece.target);
    let mut rows = Packets::new(total.room);
    let told = read(client, lease, patience, Some(&mut rows)).await?;
    total.room = rows.room.unwrap_or(0);
    let bound = total.write.bound;
    let one = piece.row.is_some() || bound.is_alone(piece.target);
    let told = told.map_err(|error| match naming.error(patience.explain(error)) {
        error if one && bound.strict_alone() == Some(error.errno) => Stop::Error(not_alone(&error)),
        error => Stop::Error(error),
    })?;
    look_behind(lease, total, piece, &told).await?;
    lane.told.push((piece, told, rows));
    Ok(())
}

/// Why the error of a row that was alone is not told: among others it would have been a warning.
pub fn not_alone(error: &SqlError) -> SqlError {
    SqlError::refuse(format!(
        "a row that has to be stored by a statement of its own, for which a server says: {}; among the other rows of its \
         statement it would be stored with a warning, or left out: send it alone, or put it right",
        error.message
    ))
}

/// Sends what is queued on a connection and reads the answer whole.
///
/// # Errors
/// That of the server, with the client's names; a lost connection; what ends the patience.
pub async fn answered(
    client: &mut Link,
    lease: &mut Lease,
    patience: &mut Patience<'_>,
    naming: Naming<'_>,
) -> Result<Told, Stop> {
    lease.link.flush().await.map_err(|error| patience.lost(lease, error))?;
    let told = read(client, lease, patience, None).await?;
    told.map_err(|error| Stop::Error(naming.error(patience.explain(error))))
}

/// Reads an answer whole, its result set into `rows` if they are given; the server's refusal is in the inner result.
async fn read(
    client: &mut Link,
    lease: &mut Lease,
    patience: &mut Patience<'_>,
    rows: Option<&mut Packets>,
) -> Result<Result<Told, SqlError>, Stop> {
    preludes(client, lease, patience).await?;
    let (conn, server) = lease.split();
    let thread_id = conn.thread_id;
    let answer = async {
        match rows {
            Some(rows) => conn.read_packets(rows).await,
            None => conn.read_answer().await,
        }
    };
    match patience.watch(client, server, thread_id, answer).await? {
        Ok(told) => Ok(Ok(told)),
        Err(BackendError::Server(error)) => Ok(Err(error)),
        Err(error) => Err(lost(lease, patience, error)),
    }
}

/// Gives the connections back, with their own clocks.
async fn give_back(txn: &mut Txn, lanes: Vec<Lane>, write: &Write<'_>) {
    for Lane { group, lease, .. } in lanes {
        whole::give_back(txn, group, lease, write.clock.is_some()).await;
    }
}

/// After a target's part, on the same connection: which of the ids that were made are in its rows, and what its warnings
/// say.
async fn look_behind(lease: &mut Lease, total: &mut Total<'_>, piece: Piece, told: &Told) -> Result<(), Stop> {
    let (write, Piece { target, row }) = (total.write, piece);
    if told.last_insert_id != 0 {
        lease.insert_id = None;
    }
    // Every copy of a broadcast table has the same to warn of.
    let told_already = matches!(write.answer, Answer::Same) && !total.outcome.conditions.is_empty();
    if told.warnings > 0 && !told_already {
        let conditions = lease.query("SHOW WARNINGS").await.map_err(|error| gone(lease, &error))?;
        total.outcome.conditions.push(Conditions { target, row, told: conditions });
    }
    // The server numbered the rows by itself; the packet may tell a number that the client gave.
    if write.numbers && write.targets.len() == 1 && write.bound.made_id().is_none() && told.last_insert_id != 0 {
        let made = lease.query("SELECT LAST_INSERT_ID()").await.map_err(|error| gone(lease, &error))?;
        let made = made.text(0, 0).and_then(|id| id.parse::<u64>().ok());
        lease.insert_id = made;
        total.outcome.made_id = made.filter(|made| *made == told.last_insert_id);
    }
    let mut ask = Vec::new();
    if write.bound.is_unsure() && !total.looked && write.bound.put_first_id(target, &mut ask) {
        // Every copy of a broadcast table has the same ids.
        total.looked = matches!(write.answer, Answer::Same);
        let found = lease.query(&String::from_utf8_lossy(&ask)).await.map_err(|error| gone(lease, &error))?;
        let first = found.text(0, 0).and_then(|id| id.parse::<u64>().ok());
        let known = total.outcome.made_id.into_iter().chain(first).min();
        total.outcome.made_id = known;
    }
    Ok(())
}

fn gone(lease: &Lease, error: &BackendError) -> Stop {
    Stop::Lost(error.to_client(&lease.server().name))
}
