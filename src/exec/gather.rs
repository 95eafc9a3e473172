//! The rows of many targets on one server: creates a temporary table for each source of a gather, fills it with the
//! rows that its targets give, and hands over the connection on which the client's statement can run.
//!
//! The connection that gathers is never that of the session's transaction: it reads nothing but copies. The
//! transaction's own connections are read from, so that its writes are in the copies. Whatever goes wrong, the
//! connection that gathers is closed, and the temporary tables are gone with it.

mod batch;
mod copies;
pub mod home;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::lease::Lease;
use crate::backend::settings::Settings;
use crate::error::{Code, SqlError};
use crate::exec::Place;
use crate::exec::drain::drain;
use crate::exec::gather::batch::Batch;
use crate::exec::gather::copies::{copy_again, create, definitions, fill_settings};
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

/// Gathers the rows, and gives the connection that has them, in the session's settings; none if not all that is
/// needed can be told beforehand, and the sources have to be copied whole.
///
/// The connection is tainted: [`clear`] takes the copies off again.
pub async fn run(
    client: &mut Link,
    txn: &mut Txn,
    gathering: &Gathering<'_>,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
) -> Result<Option<Lease>, Stop> {
    let definitions = definitions(txn, gathering, place).await?;
    let (mut home, mut lanes) = lease(txn, gathering, place).await?;
    let outcome = fill(client, &mut home, &mut lanes, gathering, place, &definitions, patience).await;
    let drained = match (&outcome, gathering.shared) {
        (Ok(Filled::Unsure) | Err(Stop::Error(_)), true) => read_rest(client, &mut lanes, patience).await,
        _ => Ok(()),
    };
    if gathering.shared {
        // No row of a group mattered: then nothing but the transaction's own beginning was queued there.
        for lane in lanes {
            txn.settle_unasked(lane.group, lane.lease).await;
        }
    }
    let filled = outcome?;
    drained?;
    match filled {
        Filled::Unsure => Ok(None),
        Filled::Done => ready(home, gathering, place).await.map(Some),
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
    txn: &Txn,
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

/// Takes the copies off, so that the connection can go back to its pool; else it will be closed.
pub async fn clear(lease: &mut Lease, gathering: &Gathering<'_>) {
    let mut text = b"DROP TEMPORARY TABLE ".to_vec();
    for (index, (_, copy)) in gathering.gather.copies().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        gathering.bound.put_copy(copy, &mut text);
    }
    if let Ok(answer) = ask(lease, &text).await
        && answer.warnings == 0
        && !lease.in_transaction()
    {
        lease.untaint();
    }
}

/// The connections to read from, in the order of their groups, each with what it has to read; first the one that
/// gathers.
struct Lane {
    group: GroupId,
    lease: Lease,
    /// The answer that is being read.
    running: Option<Response>,
}

async fn lease(txn: &mut Txn, gathering: &Gathering<'_>, place: Place<'_, '_>) -> Result<(Lease, Vec<Lane>), SqlError> {
    let home_group = gathering.gathered.group;
    let mut groups: BTreeMap<GroupId, bool> = BTreeMap::from([(home_group, false)]);
    groups.extend(gathering.gathered.pulls.iter().flatten().map(|target| (target.group, true)));
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
        if !gathering.shared {
            // The one that gathers is left in the session's settings each time, the others in those for reading.
            let own = (id == home_group).then_some(wanted);
            let all: Vec<Wanted<'_>> = own.into_iter().chain(is_read.then_some(reading)).collect();
            let mut leases = txn.side_leases(id, group, gathering.access, &all).await?.into_iter();
            if own.is_some() {
                home = leases.next();
            }
            lanes.extend(leases.next().map(|lease| Lane { group: id, lease, running: None }));
        } else if is_read {
            match txn.lease(id, group, Access::Primary, &reading).await {
                Ok(lease) => lanes.push(Lane { group: id, lease, running: None }),
                Err(error) => {
                    for lane in lanes {
                        txn.settle_unasked(lane.group, lane.lease).await;
                    }
                    return Err(error);
                }
            }
        }
    }
    home.map(|home| (home, lanes)).ok_or_else(|| SqlError::new(Code::Unknown, "no connection to gather on"))
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
    let mut next = send_next(lanes, &mut reduction, gathering, patience).await?;
    prepare(home, gathering, place).await?;
    create(client, home, gathering, definitions, patience).await?;
    let mut batch = Batch::new(gathering);
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
                        batch.add(lane.lease.link.payload(&packet), &mut reduction)?;
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
        next = send_next(lanes, &mut reduction, gathering, patience).await?;
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
