//! The rows of many targets on one server: creates a temporary table for each source of a gather, fills it with the
//! rows that its targets give, and hands over the connection on which the client's statement can run.
//!
//! The connection that gathers is never that of the session's transaction: it reads nothing but copies. The
//! transaction's own connections are read from, so that its writes are in the copies. Whatever goes wrong, the
//! connection that gathers is closed, and the temporary tables are gone with it; only where the session has temporary
//! tables of its own on it, as a statement that makes another one wants, the copies are dropped.

mod batch;
pub(super) mod copies;
pub mod home;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::lease::Lease;
use crate::backend::settings::Settings;
use crate::error::{Code, SqlError};
use crate::exec::Place;
use crate::exec::drain::drain;
use crate::exec::gather::batch::Batch;
use crate::exec::gather::copies::{copy_again, copy_there, create, definitions, fill_settings};
use crate::exec::gather::home::{Gathering, ask};
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::logical;
use crate::exec::relay::lost;
use crate::plan::Target;
use crate::plan::gather::Extent;
use crate::plan::semijoin::Reduction;
use crate::rules::GroupId;
use crate::txn::{self, Access, Txn, Wanted};
use crate::wire::command::com;
use crate::wire::link::{Link, Packet};
use crate::wire::reply::ErrPacket;
use crate::wire::response::{Event, Kind, Response};

/// Gathers the rows, and gives the connection that has them, in the session's settings: what is needed of the sources,
/// or all of them where that cannot be told beforehand.
///
/// The connection is tainted: [`clear`] takes the copies off again.
pub async fn run(
    client: &mut Link,
    txn: &mut Txn,
    gathering: &mut Gathering<'_>,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
) -> Result<Lease, Stop> {
    if let Some(lease) = attempt(client, txn, gathering, place, patience).await? {
        return Ok(lease);
    }
    gathering.extent = Extent::Whole;
    let lease = attempt(client, txn, gathering, place, patience).await?;
    lease.ok_or_else(|| SqlError::new(Code::Unknown, "nothing was gathered").into())
}

async fn attempt(
    client: &mut Link,
    txn: &mut Txn,
    gathering: &Gathering<'_>,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
) -> Result<Option<Lease>, Stop> {
    let definitions = definitions(txn, gathering, place).await?;
    let (mut home, mut lanes) = lease(txn, gathering, place).await?;
    let outcome = fill(client, &mut home, &mut lanes, gathering, place, &definitions, patience).await;
    lanes.retain(|lane| lane.held);
    let drained = match &outcome {
        Ok(Filled::Unsure) | Err(Stop::Error(_)) => read_rest(client, &mut lanes, patience).await,
        _ => Ok(()),
    };
    // No row of a group mattered: then nothing but the transaction's own beginning was queued there.
    for lane in lanes {
        txn.settle_unasked(lane.group, lane.lease).await;
    }
    if let Ok(Filled::Done) = outcome {
        return ready(home, gathering, place).await.map(Some);
    }
    give_back(txn, home, gathering).await;
    outcome?;
    drained.map(|()| None)
}

/// Gives back the connection that gathered without the copies, where something of the session's is on it. Any other is
/// closed, and so is one that they stay on, whose session has lost what was there.
pub async fn give_back(txn: &mut Txn, mut home: Lease, gathering: &Gathering<'_>) {
    let group = gathering.gathered.group;
    let kept = gathering.keeps && txn.pins().any(|(of, _)| of == group);
    if kept && !home.is_busy() && clear(&mut home, gathering).await {
        home.taint();
        txn.settle(group, home);
    }
}

/// How copying ended.
enum Filled {
    /// All rows are there.
    Done,
    /// A filter gave a warning, or a copy refused what it got.
    Unsure,
}

/// The copies without any rows, for what only describes the statement.
pub async fn describe(
    client: &mut Link,
    txn: &mut Txn,
    gathering: &Gathering<'_>,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
) -> Result<Lease, Stop> {
    let definitions = definitions(txn, gathering, place).await?;
    let (group, wanted) = place(gathering.gathered.group);
    let mut home = txn.side_lease(gathering.gathered.group, group, Access::Primary, &wanted).await?;
    prepare(&mut home, gathering, place).await?;
    create(client, &mut home, gathering, &definitions, patience).await?;
    copy_again(client, &mut home, gathering, patience).await?;
    ready(home, gathering, place).await
}

/// Takes the copies off, so that the connection can go back to its pool; else it will be closed. Whether they are off.
pub async fn clear(lease: &mut Lease, gathering: &Gathering<'_>) -> bool {
    let mut text =
        if gathering.keeps { b"DROP TEMPORARY TABLE IF EXISTS ".to_vec() } else { b"DROP TEMPORARY TABLE ".to_vec() };
    if gathering.gather.sources.is_empty() && !lease.in_transaction() {
        lease.untaint();
        return true;
    }
    for (index, (_, copy)) in gathering.gather.copies().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        gathering.bound.put_copy(copy, &mut text);
    }
    let answer = ask(lease, &text).await;
    // Some of those that it could not make are not there.
    let cleared = answer.is_ok_and(|answer| answer.warnings == 0 || gathering.keeps) && !lease.in_transaction();
    if cleared {
        lease.untaint();
    }
    cleared
}

/// The connections to read from, in the order of their groups, each with what it has to read; first the one that
/// gathers.
struct Lane {
    group: GroupId,
    lease: Lease,
    /// It is the session's own, and goes back to it.
    held: bool,
    /// The answer that is being read.
    running: Option<Response>,
}

async fn lease(txn: &mut Txn, gathering: &Gathering<'_>, place: Place<'_, '_>) -> Result<(Lease, Vec<Lane>), SqlError> {
    let home_group = gathering.gathered.group;
    let mut groups: BTreeMap<GroupId, bool> = BTreeMap::from([(home_group, false)]);
    let read = gathering.gathered.pulls.iter().enumerate().filter(|(source, _)| !gathering.is_there(*source));
    groups.extend(read.flat_map(|(_, targets)| targets).map(|target| (target.group, true)));
    let is_kept = gathering.keeps && txn.holds(home_group);
    // The session's own connections are taken last, one by one, because they have to be given back whatever happens.
    let mut home = None;
    if gathering.shared {
        let (group, wanted) = place(home_group);
        home = Some(txn.side_lease(home_group, group, Access::Primary, &wanted).await?);
    }
    let mut lanes: Vec<Lane> = Vec::with_capacity(groups.len());
    // In the order of groups, and all of a group at once: no two statements wait for each other in a circle.
    for (id, is_read) in groups {
        let (group, wanted) = place(id);
        let settings = pull_settings(wanted.settings);
        let reading = Wanted { settings: &settings, ..wanted };
        // Only its own connection knows a temporary table of the session's.
        let has_temporary = |(source, like): (usize, &Target)| {
            gathering.gather.sources[source].temporary && like.group == id && id != home_group
        };
        let held = gathering.shared || gathering.gathered.like.iter().enumerate().any(has_temporary);
        if !held {
            // The one that gathers is left in the session's settings each time, the others in those for reading.
            let own = (id == home_group && !is_kept).then_some(wanted);
            let all: Vec<Wanted<'_>> = own.into_iter().chain(is_read.then_some(reading)).collect();
            match txn.side_leases(id, group, gathering.access, &all).await {
                Ok(leases) => {
                    let mut leases = leases.into_iter();
                    if own.is_some() {
                        home = leases.next();
                    }
                    lanes.extend(leases.next().map(|lease| Lane { group: id, lease, held, running: None }));
                }
                Err(error) => return Err(give_up(txn, lanes, error).await),
            }
        } else if is_read {
            match txn.lease(id, group, Access::Primary, &reading).await {
                Ok(lease) => lanes.push(Lane { group: id, lease, held, running: None }),
                Err(error) => return Err(give_up(txn, lanes, error).await),
            }
        }
    }
    if is_kept {
        let (group, wanted) = place(home_group);
        match txn.lease(home_group, group, Access::Primary, &wanted).await {
            Ok(lease) => home = Some(lease),
            Err(error) => return Err(give_up(txn, lanes, error).await),
        }
    }
    home.map(|home| (home, lanes)).ok_or_else(|| SqlError::new(Code::Unknown, "no connection to gather on"))
}

/// Gives the session its connections back, as not all that are wanted can be had.
async fn give_up(txn: &mut Txn, lanes: Vec<Lane>, error: SqlError) -> SqlError {
    for lane in lanes.into_iter().filter(|lane| lane.held) {
        txn.settle_unasked(lane.group, lane.lease).await;
    }
    error
}

/// The session's settings for reading: its predicates mean what they mean, but rows come as they are, and all.
fn pull_settings(settings: &Settings) -> Arc<Settings> {
    let settings = settings.with("character_set_results", Some(b"NULL"));
    let settings = settings.with("sql_select_limit", Some(b"18446744073709551615"));
    Arc::new(settings.with("sql_big_selects", Some(b"1")))
}

/// Puts the connection that gathers into the settings for storing.
async fn prepare(home: &mut Lease, gathering: &Gathering<'_>, place: Place<'_, '_>) -> Result<(), SqlError> {
    let (_, wanted) = place(gathering.gathered.group);
    let settings = fill_settings(home.info.mariadb);
    txn::adapt(home, &Wanted { settings: &settings, ..wanted }).await
}

/// Puts the connection that gathered into the session's settings.
async fn ready(mut home: Lease, gathering: &Gathering<'_>, place: Place<'_, '_>) -> Result<Lease, Stop> {
    let (_, wanted) = place(gathering.gathered.group);
    txn::adapt(&mut home, &wanted).await?;
    Ok(home)
}

async fn fill(
    client: &mut Link,
    home: &mut Lease,
    lanes: &mut [Lane],
    gathering: &Gathering<'_>,
    place: Place<'_, '_>,
    definitions: &[Option<String>],
    patience: &mut Patience<'_>,
) -> Result<Filled, Stop> {
    let mut reduction = Reduction::new(&gathering.gather.sources, gathering.extent);
    // What is on the connection already is copied there.
    let there: Vec<usize> = (0..gathering.gather.sources.len()).filter(|source| gathering.is_there(*source)).collect();
    there.iter().for_each(|source| reduction.skip(*source));
    let next = send_next(lanes, &mut reduction, gathering, patience).await?;
    prepare(home, gathering, place).await?;
    create(client, home, gathering, definitions, patience).await?;
    for source in there {
        copy_there(client, home, gathering, source, patience).await?;
    }
    let mut batch = Batch::new(gathering);
    let outcome = pour(client, (home, lanes), gathering, (&mut reduction, &mut batch), next, patience).await;
    if gathering.keeps && !matches!(outcome, Ok(Filled::Done)) {
        // It is still wanted.
        batch.stored(client, home, patience).await.ok();
    }
    outcome
}

/// Reads the rows, source by source, and sends them on.
async fn pour(
    client: &mut Link,
    (home, lanes): (&mut Lease, &mut [Lane]),
    gathering: &Gathering<'_>,
    (reduction, batch): (&mut Reduction<'_>, &mut Batch<'_>),
    mut next: Option<usize>,
    patience: &mut Patience<'_>,
) -> Result<Filled, Stop> {
    while let Some(source) = next {
        batch.begin(source, reduction.fills(source));
        for lane in lanes.iter_mut() {
            while let Some(response) = &mut lane.running {
                let (conn, server) = lane.lease.split();
                let packet = patience.watch(client, server, conn.thread_id, conn.link.expect_packet()).await?;
                let packet = packet.map_err(|error| lost(&lane.lease, patience, error.into()))?;
                let payload = lane.lease.link.payload(&packet);
                match response.packet(payload).map_err(|error| lost(&lane.lease, patience, error.into()))? {
                    Event::Rows { .. } => {
                        // Not behind the row: the next source is asked for before the last rows of this one are sent.
                        if batch.is_full() && !batch.send(client, home, patience).await? {
                            return Ok(Filled::Unsure);
                        }
                        batch.add(lane.lease.link.payload(&packet), reduction)?;
                    }
                    Event::End(end) => {
                        lane.lease.answered(end.status);
                        lane.running = None;
                        if end.warnings > 0 && gathering.extent == Extent::Needed {
                            return Ok(Filled::Unsure);
                        }
                    }
                    Event::Err { .. } => return Err(failed(lane, packet, source, gathering, patience)),
                    Event::Ok(_) | Event::LocalInfile { .. } => {
                        let message = format!("{} did not answer with rows", lane.lease.server().name);
                        return Err(SqlError::new(Code::Unknown, message).into());
                    }
                    _ => {}
                }
            }
        }
        next = send_next(lanes, reduction, gathering, patience).await?;
        if !batch.send(client, home, patience).await? {
            return Ok(Filled::Unsure);
        }
    }
    let stored = batch.stored(client, home, patience).await? && copy_again(client, home, gathering, patience).await?;
    match patience.ended() {
        Some(error) => Err(Stop::Error(error)),
        None => Ok(if stored { Filled::Done } else { Filled::Unsure }),
    }
}

/// Asks for the rows of the next source of which rows can matter, one statement for all its targets of a group.
async fn send_next(
    lanes: &mut [Lane],
    reduction: &mut Reduction<'_>,
    gathering: &Gathering<'_>,
    patience: &mut Patience<'_>,
) -> Result<Option<usize>, Stop> {
    while let Some(source) = reduction.choose() {
        if reduction.excludes(source) {
            continue;
        }
        for lane in lanes.iter_mut() {
            let targets = targets(source, lane.group, gathering);
            let mut text = Vec::new();
            gathering.bound.render_pull(source, &targets, reduction, &mut text);
            if text.is_empty() {
                continue;
            }
            lane.lease.send(com::QUERY, &text);
            lane.lease.link.flush().await.map_err(|error| patience.lost(&lane.lease, error))?;
            lane.lease.finish_preludes().await.map_err(|error| lost(&lane.lease, patience, error))?;
            lane.lease.expect_answer();
            lane.running = Some(Response::new(Kind::Query, lane.lease.capabilities));
        }
        return Ok(Some(source));
    }
    Ok(None)
}

/// The targets of a source in one group.
fn targets(source: usize, group: GroupId, gathering: &Gathering<'_>) -> Vec<Target> {
    gathering.gathered.pulls[source].iter().filter(|target| target.group == group).copied().collect()
}

/// The error that a group answered with, under the client's names; its connection stays good.
fn failed(lane: &mut Lane, packet: Packet, source: usize, gathering: &Gathering<'_>, patience: &Patience<'_>) -> Stop {
    let error = match ErrPacket::decode(lane.lease.link.payload(&packet)) {
        Ok(error) => patience.explain(error.to_sql_error()),
        Err(error) => return lost(&lane.lease, patience, error.into()),
    };
    lane.running = None;
    lane.lease.failed();
    let table = gathering.gather.sources[source].table;
    let targets = targets(source, lane.group, gathering);
    let message = logical(&error.message, targets.iter().filter_map(|target| gathering.bound.name(table, *target)));
    Stop::Error(SqlError { message, ..error })
}

/// Reads what is left of the answers on the session's own connections, which must stay.
async fn read_rest(client: &mut Link, lanes: &mut [Lane], patience: &mut Patience<'_>) -> Result<(), Stop> {
    for lane in lanes {
        if let Some(response) = &mut lane.running {
            drain(client, &mut lane.lease, response, patience, usize::MAX).await?;
            lane.running = None;
        }
    }
    Ok(())
}
