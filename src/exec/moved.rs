//! Carries the rows of a table that were given the key of another shard there: reads them as they are, deletes them, and
//! stores them anew, on the connections of the transaction in which they were updated. It computes no value.

use std::sync::Arc;

use crate::backend::conn::Answer;
use crate::backend::lease::Lease;
use crate::backend::settings::Settings;
use crate::error::{Code, SqlError};
use crate::exec::Place;
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::Naming;
use crate::exec::relay::{lost, preludes};
use crate::exec::whole::{Whole, take_back};
use crate::exec::write::answered;
use crate::plan::moved::{Move, Moved};
use crate::plan::render::Name;
use crate::plan::{Bound, Target};
use crate::rules::GroupId;
use crate::txn::{Access, Txn, Wanted};
use crate::wire::command::com;
use crate::wire::cursor::Cursor;
use crate::wire::link::Link;
use crate::wire::reply::ErrPacket;
use crate::wire::response::{Event, Kind, Response};

/// Bytes of an INSERT's text beyond which another one is begun.
const BATCH_BYTES: usize = 512 << 10;

/// Rows that go to another shard.
pub struct Relocation<'a> {
    /// The statement.
    pub bound: &'a Bound<'a>,
    /// How its rows are carried.
    pub rule: &'a Move,
    /// Which rows, and where they belong.
    pub moved: &'a Moved,
    /// The targets that may have some, sorted, each with how many of its rows were given the key.
    pub from: Vec<(Target, u64)>,
    /// Bytes of rows that may be carried.
    pub limit: usize,
}

/// Sees that nothing hangs on the rows that a move would disturb.
pub async fn check(
    client: &mut Link,
    txn: &mut Txn,
    of: &Relocation<'_>,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
) -> Result<(), Stop> {
    let Some((first, _)) = of.from.first() else { return Ok(()) };
    let mut text = Vec::new();
    of.rule.put_question(of.name(*first)?, &mut text);
    let mut lease = lease(txn, first.group, place).await?;
    let answer = ask(client, &mut lease, &text, of, *first, patience).await;
    let answer = settle(txn, first.group, lease, answer)?;
    let count = |column: usize| answer.text(0, column);
    let why = match (count(0).as_deref(), count(1).as_deref()) {
        (Some("0"), Some("0")) => return Ok(()),
        (Some("0"), _) => "a foreign key that changes other rows with it",
        _ => "triggers that would fire for the move",
    };
    Err(SqlError::refuse(format!("a row that would move to another shard has {why}")).into())
}

/// Carries the rows. `reached`: the groups on which the statement's savepoint stands, if the transaction is not its own.
pub async fn run(
    client: &mut Link,
    txn: &mut Txn,
    of: &Relocation<'_>,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
    own: bool,
    mut reached: Vec<GroupId>,
) -> Result<(), Stop> {
    let outcome = carry(client, txn, of, place, patience, own, &mut reached).await;
    if own { outcome } else { take_back(txn, &reached, outcome, patience).await }
}

async fn carry(
    client: &mut Link,
    txn: &mut Txn,
    of: &Relocation<'_>,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
    own: bool,
    reached: &mut Vec<GroupId>,
) -> Result<(), Stop> {
    let to = of.moved.to;
    let mut rows = Rows { head: Vec::new(), texts: Vec::new(), bytes: 0, count: 0 };
    of.rule.put_insert(of.name(to)?, &mut rows.head);
    for (target, given) in &of.from {
        let mut lease = lease(txn, target.group, place).await?;
        let taken = take(client, &mut lease, of, (*target, *given), &mut rows, patience).await;
        settle(txn, target.group, lease, taken)?;
    }
    if rows.count == 0 {
        return Ok(());
    }
    let mut lease = lease(txn, to.group, place).await?;
    txn.wrote(to.group);
    if !own && !reached.contains(&to.group) {
        Whole::Part.mark(&mut lease);
        reached.push(to.group);
    }
    let mut stored = Ok(());
    for text in &rows.texts {
        stored = ask(client, &mut lease, text, of, to, patience).await.map(drop);
        if stored.is_err() {
            break;
        }
    }
    settle(txn, to.group, lease, stored)
}

/// Takes the rows of a target away.
async fn take(
    client: &mut Link,
    lease: &mut Lease,
    of: &Relocation<'_>,
    (target, given): (Target, u64),
    rows: &mut Rows,
    patience: &mut Patience<'_>,
) -> Result<(), Stop> {
    let before = rows.count;
    read(client, lease, of, target, rows, patience).await?;
    if rows.count - before < given {
        let why = "The rows that were given the key of another shard were not all found again";
        return Err(SqlError::new(Code::Unknown, why).into());
    }
    let mut text = Vec::new();
    of.rule.put_delete(of.name(target)?, of.moved, &mut text);
    let gone = ask(client, lease, &text, of, target, patience).await?.affected_rows;
    match gone == rows.count - before {
        true => Ok(()),
        false => Err(SqlError::new(Code::Unknown, "The rows that were to move are not those that were read").into()),
    }
}

/// Reads the rows of a target.
async fn read(
    client: &mut Link,
    lease: &mut Lease,
    of: &Relocation<'_>,
    target: Target,
    rows: &mut Rows,
    patience: &mut Patience<'_>,
) -> Result<(), Stop> {
    let mut text = Vec::new();
    of.rule.put_select(of.name(target)?, of.moved, &mut text);
    lease.send(com::QUERY, &text);
    lease.link.flush().await.map_err(|error| patience.lost(lease, error))?;
    preludes(client, lease, patience).await?;
    lease.expect_answer();
    let mut response = Response::new(Kind::Query, lease.capabilities);
    let mut failure = None;
    loop {
        let (conn, server) = lease.split();
        let packet = patience.watch(client, server, conn.thread_id, conn.link.expect_packet()).await?;
        let packet = packet.map_err(|error| lost(lease, patience, error.into()))?;
        let payload = lease.link.payload(&packet);
        match response.packet(payload).map_err(|error| lost(lease, patience, error.into()))? {
            // Behind a failure the rows are read on, because the connection stays.
            Event::Rows { .. } if failure.is_none() => failure = rows.add(payload, of).err(),
            Event::End(end) | Event::Ok(end) => {
                lease.answered(end.status);
                return failure.map_or(Ok(()), |error| Err(Stop::Error(error)));
            }
            Event::Err { .. } => {
                let error = ErrPacket::decode(payload).map(|error| error.to_sql_error());
                let error = error.map_err(|error| lost(lease, patience, error.into()))?;
                lease.failed();
                return Err(Stop::Error(Naming::Of(of.bound, target).error(patience.explain(error))));
            }
            _ => {}
        }
    }
}

impl<'a> Relocation<'a> {
    fn name(&self, target: Target) -> Result<Name<'a>, SqlError> {
        let name = self.bound.name(self.rule.table, target);
        name.ok_or_else(|| SqlError::new(Code::Unknown, "A target without the table"))
    }
}

/// Rows on their way, as INSERTs.
struct Rows {
    head: Vec<u8>,
    texts: Vec<Vec<u8>>,
    bytes: usize,
    count: u64,
}

impl Rows {
    /// Takes a row in the text protocol.
    fn add(&mut self, row: &[u8], of: &Relocation<'_>) -> Result<(), SqlError> {
        self.bytes += row.len();
        if self.bytes > of.limit {
            let why = "the rows that would move to another shard take more than";
            return Err(SqlError::refuse(format!("{why} {} bytes (limits.gather): move fewer at once", of.limit)));
        }
        if self.texts.last().is_none_or(|text| text.len() > BATCH_BYTES) {
            self.texts.push(Vec::new());
        }
        let Some(text) = self.texts.last_mut() else { return Ok(()) };
        match text.is_empty() {
            true => text.extend_from_slice(&self.head),
            false => text.push(b','),
        }
        let mut cursor = Cursor::new("text row", row);
        for (place, column) in of.rule.columns.iter().enumerate() {
            text.push(if place == 0 { b'(' } else { b',' });
            if !column.form.put_literal(cursor.lenenc_or_null()?, text) {
                let why = "has a JSON value with a date, time, decimal or binary string in it, which its text does not \
                           tell: rows with it cannot be moved to another shard";
                return Err(SqlError::refuse(format!("{} {why}", column.name)));
            }
        }
        cursor.end()?;
        text.push(b')');
        self.count += 1;
        Ok(())
    }
}

/// A connection of the transaction, under settings by which rows are read and stored as they are.
async fn lease(txn: &mut Txn, id: GroupId, place: Place<'_, '_>) -> Result<Lease, SqlError> {
    let (group, wanted) = place(id);
    let settings = as_they_are(wanted.settings);
    txn.lease(id, group, Access::Write, &Wanted { settings: &settings, ..wanted }).await
}

/// The session's settings, but such that rows are read and stored as they are.
pub(super) fn as_they_are(settings: &Settings) -> Arc<Settings> {
    let settings = settings.with_names("utf8mb4").with("character_set_results", Some(b"NULL"));
    let settings = settings.with("sql_mode", Some(b"'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'"));
    let settings = settings.with("time_zone", Some(b"'+00:00'")).with("sql_safe_updates", Some(b"0"));
    let settings = settings.with("sql_select_limit", Some(b"18446744073709551615"));
    // The rows keep to their foreign keys, wherever they are: the UPDATE has seen to it.
    Arc::new(settings.with("foreign_key_checks", Some(b"0")))
}

/// Runs a statement on a target and reads its answer.
async fn ask(
    client: &mut Link,
    lease: &mut Lease,
    text: &[u8],
    of: &Relocation<'_>,
    target: Target,
    patience: &mut Patience<'_>,
) -> Result<Answer, Stop> {
    lease.send(com::QUERY, text);
    answered(client, lease, patience, Naming::Of(of.bound, target)).await
}

/// Gives a connection back to the transaction, or tells it that the connection is lost.
fn settle<T>(txn: &mut Txn, id: GroupId, lease: Lease, outcome: Result<T, Stop>) -> Result<T, Stop> {
    match &outcome {
        Ok(_) | Err(Stop::Error(_)) => txn.settle(id, lease),
        Err(stop) => {
            drop(lease);
            txn.lost(id, stop.why());
        }
    }
    outcome
}
