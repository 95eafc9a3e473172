//! A write that several targets do their part of: one transaction per group, one OK that tells the sum.
//! Several groups are committed as the user's transaction mode says.

use crate::backend::conn::{Answer as Told, BackendError};
use crate::backend::lease::Lease;
use crate::error::{Code, SqlError};
use crate::exec::ask::{self, Ask};
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::Naming;
use crate::exec::outcome::Outcome;
use crate::exec::relay::lost;
use crate::exec::scatter::{CLOCK_RUNS, Place};
use crate::plan::Bound;
use crate::plan::carry::Carry;
use crate::plan::limited::Stage;
use crate::plan::{Answer, Target};
use crate::rules::GroupId;
use crate::txn::{Access, Mode, Start, State, Txn};
use crate::wire::link::Link;

/// The errors with which a server may roll back a whole transaction: lock wait timeout (if so configured), too many locks,
/// deadlock, and the last two of XA.
const ROLLS_BACK: [u16; 5] = [1205, 1206, 1213, 1613, 1614];

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
}

/// How many rows each target of a write may write, as its LIMIT says.
#[derive(Clone, Copy, Debug)]
pub enum Share<'a> {
    /// All that it has.
    Whole,
    /// As many as this for each target, which it has.
    Each(&'a [u64]),
    /// As many as those before have left of this.
    Left(u64),
}

impl Write<'_> {
    /// It has ON DUPLICATE KEY UPDATE.
    fn updates(&self) -> bool {
        self.selected.map_or_else(|| self.bound.updates_duplicates(), |carry| carry.updates)
    }
}

/// Errors of names and numbers of columns, which a server finds before it touches a table.
const UNBEGUN: &[u16] = &[1046, 1049, 1051, 1052, 1054, 1064, 1109, 1110, 1136, 1146, 1305];

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
    let closed = *txn.state() == State::Auto;
    let own = closed && write.autocommit;
    if closed {
        txn.begin(Start::default());
    }
    let first = attempt(client, txn, write, place, patience, own, Order::AtOnce).await;
    if closed
        && !own
        && let Err(Stop::Error(error)) = &first
        && UNBEGUN.contains(&error.errno)
    {
        // With autocommit off a server begins a transaction with the first table that it locks.
        txn.end(false, place(write.targets[0].group).1.ledger).await?;
    }
    if !(own && patience.is_victim() && matches!(first, Err(Stop::Error(_)))) {
        return first;
    }
    // Only together with what others do can the groups' order have been wrong, and nobody has seen anything of it yet.
    txn.begin(Start::default());
    patience.renew();
    attempt(client, txn, write, place, patience, own, Order::InTurn).await
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
    own: bool,
    order: Order,
) -> Result<Outcome, Stop> {
    let mut reached = Vec::new();
    let total = parts(client, txn, write, place, patience, (own, order), &mut reached).await;
    let mut outcome = total.and_then(|total| Ok(total.outcome()?));
    if !own
        && !patience.is_victim()
        && let Err(Stop::Error(error)) = &mut outcome
    {
        txn.rollback_statement(&reached, b"ROLLBACK TO SAVEPOINT shardloom_statement").await;
        // Behind the group whose error is told, one has rolled back all of the transaction.
        if reached.len() > 1 && !txn.is_open() && !ROLLS_BACK.contains(&error.errno) {
            *error = SqlError::deadlock();
        }
    }
    if own {
        let ledger = place(write.targets[0].group).1.ledger;
        let ended = txn.end(outcome.is_ok(), ledger).await;
        if outcome.is_ok() {
            ended?;
        }
    }
    outcome
}

/// That a statement may write to these targets, which are sorted: to those of one group, or of several where that is
/// allowed.
pub(super) fn may_span(txn: &Txn, targets: &[Target], place: Place<'_, '_>) -> Result<(), SqlError> {
    let (first, last) = (targets[0].group, targets[targets.len() - 1].group);
    let (group, wanted) = place(first);
    if first == last || txn.mode(wanted.mode) != Mode::Single {
        return Ok(());
    }
    Err(SqlError::refuse(format!(
        "The statement writes to several groups ({}, {} ...), which transaction_mode = \"single\" refuses: narrow it by \
         the sharding key, or allow \"atomic\" for the user",
        group.name,
        place(last).0.name
    )))
}

/// What all groups did; `reached` are those on which the statement's savepoint stands.
async fn parts<'w>(
    client: &mut Link,
    txn: &mut Txn,
    write: &'w Write<'w>,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
    (own, order): (bool, Order),
    reached: &mut Vec<GroupId>,
) -> Result<Total<'w>, Stop> {
    let (mut total, mut lanes) = (Total::new(write), Vec::new());
    let groups: Vec<&[Target]> = write.targets.chunk_by(|a, b| a.group == b.group).collect();
    // What one target may write can depend on those before.
    let in_turn = order == Order::InTurn || matches!(write.share, Share::Left(_));
    let mut outcome = Ok(());
    for some in groups.chunks(if in_turn { 1 } else { groups.len() }) {
        let from = lanes.len();
        outcome = match lease(txn, write, some, own, place, &mut lanes, reached).await {
            Ok(()) => at_once(client, &mut lanes[from..], &mut total, patience).await,
            Err(error) => Err(error.into()),
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
            let why = match &stop {
                Stop::Lost(error) => error.message.clone(),
                _ => "the client left".to_owned(),
            };
            drop(lanes);
            txn.lost(write.targets[0].group, why);
            Err(stop)
        }
    }
}

/// A group's part: its connection, and the targets that it does one after the other.
struct Lane<'w> {
    group: GroupId,
    lease: Lease,
    targets: &'w [Target],
    /// The number of the first of them among all of the statement's.
    first: usize,
    /// What those that are done have answered, until all are added up.
    told: Vec<(Target, Told)>,
}

/// Connections to these groups, in their order, as every statement takes them: no two wait for each other. What goes in
/// front of the statement is queued on all of them, if all could be had.
async fn lease<'w>(
    txn: &mut Txn,
    write: &'w Write<'w>,
    groups: &[&'w [Target]],
    own: bool,
    place: Place<'_, '_>,
    lanes: &mut Vec<Lane<'w>>,
    reached: &mut Vec<GroupId>,
) -> Result<(), SqlError> {
    let from = lanes.len();
    for targets in groups {
        let id = targets[0].group;
        let (group, wanted) = place(id);
        let lease = txn.lease(id, group, Access::Write, &wanted).await?;
        txn.wrote(id);
        let first = write.targets.partition_point(|target| target.group < id);
        lanes.push(Lane { group: id, lease, targets, first, told: Vec::new() });
    }
    for Lane { group, lease, .. } in &mut lanes[from..] {
        reached.push(*group);
        if !own {
            lease.send_prelude(b"SAVEPOINT shardloom_statement");
        }
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
/// that failed do the rest of their targets, and those behind it are only waited for.
async fn at_once(
    client: &mut Link,
    lanes: &mut [Lane<'_>],
    total: &mut Total<'_>,
    patience: &mut Patience<'_>,
) -> Result<(), Stop> {
    let mut live = lanes.len();
    let mut failure = None;
    let rounds = lanes.iter().map(|lane| lane.targets.len()).max().unwrap_or(0);
    for round in 0..rounds {
        if total.is_enough() {
            break;
        }
        let (mut asked, mut refusal) = (live, None);
        for (at, lane) in lanes[..live].iter_mut().enumerate() {
            let Some(target) = lane.targets.get(round) else { continue };
            let stage = total.stage(lane.first + round);
            match send(&mut lane.lease, total.write, *target, stage, patience).await {
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
            let Some(target) = lane.targets.get(round).copied() else { continue };
            match answer(client, lane, total, target, patience, at < live).await {
                // Behind one that failed.
                Err(Stop::Error(_)) if at >= live => {}
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
            alone.told.drain(..).for_each(|(target, told)| total.add(target, &told));
        }
    }
    let told = lanes.iter_mut().flat_map(|lane| lane.told.drain(..));
    told.for_each(|(target, told)| total.add(target, &told));
    failure.map_or(Ok(()), |error| Err(Stop::Error(error)))
}

/// Sends one target its statement.
async fn send(
    lease: &mut Lease,
    write: &Write<'_>,
    target: Target,
    stage: Stage,
    patience: &Patience<'_>,
) -> Result<(), Stop> {
    let naming = Naming::Of(write.bound, target);
    let mut text = Vec::new();
    let params = match stage {
        Stage::Whole => write.bound.render(target, &mut text),
        stage => write.bound.at(stage).render(target, &mut text),
    };
    ask::send(lease, write.ask, &text, &params, patience, naming).await?;
    lease.link.flush().await.map_err(|error| patience.lost(lease, error))
}

/// Reads what one target answers; `counts`: it is of use.
async fn answer(
    client: &mut Link,
    lane: &mut Lane<'_>,
    total: &mut Total<'_>,
    target: Target,
    patience: &mut Patience<'_>,
    counts: bool,
) -> Result<(), Stop> {
    let lease = &mut lane.lease;
    if !counts {
        // Its error is not told, so it must not be explained.
        return read(client, lease, patience).await?.map(drop).map_err(Stop::Error);
    }
    let naming = Naming::Of(total.write.bound, target);
    let told = answered(client, lease, patience, naming).await?;
    look_behind(lease, total, target, &told).await?;
    lane.told.push((target, told));
    Ok(())
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
    let told = read(client, lease, patience).await?;
    told.map_err(|error| Stop::Error(naming.error(patience.explain(error))))
}

/// Reads an answer whole; the server's refusal is in the inner result.
async fn read(
    client: &mut Link,
    lease: &mut Lease,
    patience: &mut Patience<'_>,
) -> Result<Result<Told, SqlError>, Stop> {
    lease.finish_preludes().await.map_err(|error| lost(lease, patience, error))?;
    let (conn, server) = lease.split();
    let thread_id = conn.thread_id;
    match patience.watch(client, server, thread_id, conn.read_answer()).await? {
        Ok(told) => Ok(Ok(told)),
        Err(BackendError::Server(error)) => Ok(Err(error)),
        Err(error) => Err(lost(lease, patience, error)),
    }
}

/// Gives the connections back, with their own clocks.
async fn give_back(txn: &mut Txn, lanes: Vec<Lane<'_>>, write: &Write<'_>) {
    for Lane { group, mut lease, .. } in lanes {
        if !txn.begin_unasked(group, &mut lease).await {
            continue;
        }
        if write.clock.is_some() && !lease.is_busy() && lease.query(CLOCK_RUNS).await.is_err() {
            lease.taint();
        }
        txn.settle(group, lease);
    }
}

/// After a target's part, on the same connection: which of the ids that were made are in its rows, and what its warnings
/// say.
async fn look_behind(lease: &mut Lease, total: &mut Total<'_>, target: Target, told: &Told) -> Result<(), Stop> {
    let write = total.write;
    if told.last_insert_id != 0 {
        lease.insert_id = None;
    }
    // Every copy of a broadcast table has the same to warn of.
    let told_already = matches!(write.answer, Answer::Same) && !total.outcome.conditions.is_empty();
    if told.warnings > 0 && !told_already {
        let conditions = lease.query("SHOW WARNINGS").await.map_err(|error| gone(lease, &error))?;
        total.outcome.conditions.push((target, conditions));
    }
    // The server numbered the rows by itself; the packet may tell a number that the client gave.
    if write.selected.is_some()
        && write.targets.len() == 1
        && write.bound.made_id().is_none()
        && told.last_insert_id != 0
    {
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

/// What all parts did together.
struct Total<'a> {
    write: &'a Write<'a>,
    outcome: Outcome,
    matched: u64,
    changed: u64,
    records: u64,
    duplicates: u64,
    /// Parts answered without a sentence: INSERTs of one row.
    alone: u64,
    /// Those of them whose row was there already.
    lone_duplicates: u64,
    info: Info,
    same: Option<(u64, bool)>,
    /// The ids of a broadcast table's rows were looked for on one group.
    looked: bool,
    parts: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Info {
    None,
    Matched,
    Records,
}

impl<'a> Total<'a> {
    fn new(write: &'a Write<'a>) -> Total<'a> {
        Total {
            write,
            outcome: Outcome::default(),
            matched: 0,
            changed: 0,
            records: 0,
            duplicates: 0,
            alone: 0,
            lone_duplicates: 0,
            info: Info::None,
            same: None,
            looked: false,
            parts: 0,
        }
    }

    /// What a target, by its number, is told of LIMIT.
    fn stage(&self, number: usize) -> Stage {
        match self.write.share {
            Share::Whole => Stage::Whole,
            // Where nothing was found, a server says so in its own words: LIMIT 0 is another matter to MariaDB.
            Share::Each(shares) => match shares.get(number) {
                None | Some(0) => Stage::Whole,
                Some(share) => Stage::Share(*share),
            },
            Share::Left(all) => Stage::Share(all.saturating_sub(self.written())),
        }
    }

    /// How many rows count for LIMIT: an UPDATE's are those that it found, changed or not.
    fn written(&self) -> u64 {
        if self.info == Info::Matched { self.matched } else { self.outcome.affected_rows }
    }

    /// Whether no target need be asked any more.
    fn is_enough(&self) -> bool {
        self.parts > 0 && self.stage(self.parts) == Stage::Share(0)
    }

    fn add(&mut self, target: Target, told: &Told) {
        self.parts += 1;
        if matches!(self.write.answer, Answer::Same) {
            match &mut self.same {
                None => {
                    self.same = Some((told.affected_rows, true));
                    self.outcome.affected_rows = told.affected_rows;
                    self.outcome.last_insert_id = told.last_insert_id;
                    self.outcome.warnings = told.warnings;
                    self.outcome.info = told.info.clone();
                    if told.info.is_empty() {
                        self.alone = 1;
                        self.lone_duplicates = self.lone_duplicate(told);
                    }
                }
                Some((rows, agree)) => *agree &= *rows == told.affected_rows,
            }
            return;
        }
        self.outcome.warnings = self.outcome.warnings.saturating_add(told.warnings);
        self.outcome.affected_rows += told.affected_rows;
        if self.write.bound.last() == Some(target) || self.outcome.last_insert_id == 0 {
            self.outcome.last_insert_id = told.last_insert_id;
        }
        let number = |label: &str| -> Option<u64> {
            let rest = told.info.split(label).nth(1)?;
            rest.trim_start().split(' ').next()?.parse().ok()
        };
        if let (Some(matched), Some(changed)) = (number("Rows matched:"), number("Changed:")) {
            self.info = Info::Matched;
            self.outcome.matched.push(matched);
            self.matched += matched;
            self.changed += changed;
        } else if let (Some(records), Some(duplicates)) = (number("Records:"), number("Duplicates:")) {
            self.info = Info::Records;
            self.records += records;
            self.duplicates += duplicates;
        } else {
            // An INSERT of one row alone is answered without the sentence that several rows get.
            self.alone += 1;
            self.lone_duplicates += self.lone_duplicate(told);
        }
    }

    /// Whether the row of an INSERT of one row was there already.
    fn lone_duplicate(&self, told: &Told) -> u64 {
        match told.affected_rows {
            // A row that ON DUPLICATE KEY UPDATE left as it was is none that MySQL counts.
            0 => u64::from(!self.write.updates()),
            1 => 0,
            _ => 1,
        }
    }

    fn outcome(mut self) -> Result<Outcome, SqlError> {
        // One part alone tells what there is to tell.
        let rows_split =
            self.parts > 1 && matches!(self.write.answer, Answer::Sum) && self.write.bound.last().is_some();
        if (rows_split || self.write.selected.is_some()) && self.alone > 0 {
            self.info = Info::Records;
            self.records += self.alone;
            // What MySQL counts as a duplicate of one row shows only in its rows: 2 for a row that was
            // there (REPLACE, ON DUPLICATE KEY UPDATE), 0 for one that was ignored.
            self.duplicates += self.lone_duplicates;
        }
        if let Some((_, false)) = self.same {
            return Err(SqlError::new(
                Code::Unknown,
                "The copies of a broadcast table differ: the groups did not change the same number of rows",
            ));
        }
        if let Share::Each(shares) = self.write.share
            && shares.iter().sum::<u64>() != self.written()
        {
            let why = "The rows that were found for a write with LIMIT are not those that were written";
            return Err(SqlError::new(Code::Unknown, why));
        }
        let bound = self.write.bound;
        if let (Some(first), false) = (bound.made_id(), bound.is_unsure()) {
            // Of one row alone the servers tell whether it came to be.
            let came = bound.is_certain() || self.outcome.last_insert_id == first;
            self.outcome.made_id = came.then_some(first);
        }
        self.outcome.last_insert_id = self.outcome.made_id.unwrap_or(self.outcome.last_insert_id);
        let warnings = self.outcome.warnings;
        match self.info {
            Info::None => {}
            Info::Matched => {
                self.outcome.info =
                    format!("Rows matched: {}  Changed: {}  Warnings: {warnings}", self.matched, self.changed);
            }
            Info::Records => {
                self.outcome.info =
                    format!("Records: {}  Duplicates: {}  Warnings: {warnings}", self.records, self.duplicates);
            }
        }
        Ok(self.outcome)
    }
}
