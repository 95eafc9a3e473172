//! Maintenance of tables at each of their places: one connection to each group, on which its places are seen to one after
//! the other, beside those of other groups. What all places say is told once; what some say, with their names.

pub mod told;

use std::collections::VecDeque;
use std::pin::pin;

use crate::backend::conn::{Answer, BackendError, Packets};
use crate::backend::lease::Lease;
use crate::error::{Code, SqlError};
use crate::exec::Place;
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::maintain::told::{Said, encoded, renamed, together};
use crate::exec::names::logical;
use crate::exec::relay::{lost, preludes};
use crate::exec::whole;
use crate::exec::write::returned::Rows;
use crate::plan::maintain::{Maintain, Maintained, Visit};
use crate::rules::GroupId;
use crate::txn::{Access, Txn};
use crate::wire::command::com;
use crate::wire::error::WireError;
use crate::wire::link::Link;
use crate::wire::row::{RowForm, text_cells};

/// A statement of maintenance that runs.
#[derive(Clone, Copy)]
pub struct Maintaining<'a> {
    /// What is done.
    pub maintain: &'a Maintain,
    /// The form of the client's rows.
    pub form: RowForm,
    /// The most bytes of rows that are held of each place.
    pub room: usize,
}

/// What the places say, as one server would tell it.
#[derive(Debug)]
pub struct Told {
    /// For the client.
    pub rows: Rows,
    /// What servers warned of, each thing once.
    pub warnings: Vec<told::Warning>,
}

/// A connection, and what is still to be asked on it: numbers of tables, and of visits of these.
struct Lane {
    group: GroupId,
    lease: Lease,
    waiting: VecDeque<(usize, usize)>,
    running: bool,
}

/// Runs the statements.
///
/// # Errors
/// The first server's, once all that run have ended; a lost connection.
pub async fn run(
    client: &mut Link,
    txn: &mut Txn,
    of: Maintaining<'_>,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
) -> Result<Told, Stop> {
    let shared = txn.is_open() || txn.pins().next().is_some();
    let mut lanes: Vec<Lane> = Vec::new();
    for target in of.maintain.targets() {
        if lanes.last().is_some_and(|lane| lane.group == target.group) {
            continue;
        }
        let (group, wanted) = place(target.group);
        // In the order of groups: no two statements wait for each other in a circle.
        let leased = match shared {
            true => {
                let holds = txn.holds(target.group);
                patience.reach(client, holds, pin!(txn.lease(target.group, group, Access::Primary, &wanted))).await
            }
            false => {
                patience.reach(client, false, pin!(txn.side_lease(target.group, group, Access::Primary, &wanted))).await
            }
        };
        match leased.and_then(|leased| Ok(leased?)) {
            Ok(lease) => {
                lanes.push(Lane { group: target.group, lease, waiting: VecDeque::new(), running: false });
            }
            Err(stop) => {
                give_back(txn, lanes, shared).await;
                return Err(stop);
            }
        }
    }
    for (number, table) in of.maintain.tables.iter().enumerate() {
        for (at, visit) in table.visits.iter().enumerate() {
            let lane = lanes.iter_mut().find(|lane| lane.group == visit.target.group);
            lane.into_iter().for_each(|lane| lane.waiting.push_back((number, at)));
        }
    }
    let told = visit_all(client, &mut lanes, of, place, patience).await;
    give_back(txn, lanes, shared).await;
    told
}

async fn give_back(txn: &mut Txn, lanes: Vec<Lane>, shared: bool) {
    for lane in lanes.into_iter().filter(|_| shared) {
        whole::give_back(txn, lane.group, lane.lease, false).await;
    }
}

/// Round by round: each group is sent the next statement of its own, then all answers are read.
async fn visit_all(
    client: &mut Link,
    lanes: &mut [Lane],
    of: Maintaining<'_>,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
) -> Result<Told, Stop> {
    let mut said: Vec<Vec<Option<Said>>> =
        of.maintain.tables.iter().map(|table| table.visits.iter().map(|_| None).collect()).collect();
    let mut definitions = Vec::new();
    while lanes.iter().any(|lane| !lane.waiting.is_empty()) {
        for lane in lanes.iter_mut() {
            if let Some((table, at)) = lane.waiting.front() {
                lane.lease.send(com::QUERY, &of.maintain.tables[*table].visits[*at].sql);
                lane.lease.link.flush().await.map_err(|error| lost(&lane.lease, patience, error.into()))?;
                lane.running = true;
            }
        }
        let mut failed = None;
        for lane in lanes.iter_mut().filter(|lane| lane.running) {
            let Some((number, at)) = lane.waiting.pop_front() else { continue };
            lane.running = false;
            let table = &of.maintain.tables[number];
            let mut packets = Packets::new(of.room);
            let visit = &table.visits[at];
            let name = match visit.target.shard {
                Some(shard) => format!("{}/{shard}", place(lane.group).0.name),
                None => place(lane.group).0.name.clone(),
            };
            match ask(client, &mut lane.lease, table, visit, &mut packets, patience).await {
                Ok(warnings) => {
                    definitions = packets.definitions;
                    let rows = packets.rows.iter().map(|row| Ok(renamed(&text_cells(row)?, &table.name(visit))));
                    let rows = rows.collect::<Result<_, WireError>>().map_err(SqlError::from)?;
                    said[number][at] = Some(Said { place: name, rows, warnings });
                }
                Err(Stop::Error(error)) => {
                    failed.get_or_insert(error);
                }
                Err(stop) => return Err(stop),
            }
        }
        if let Some(error) = failed.or_else(|| patience.ended()) {
            return Err(error.into());
        }
    }
    let said: Vec<Vec<Said>> = said.into_iter().map(|said| said.into_iter().flatten().collect()).collect();
    let warnings = told::warnings(&said);
    let rows = together(of.maintain.verb, said).iter().map(|row| encoded(row, of.maintain.verb, of.form)).collect();
    Ok(Told { rows: Rows { definitions, rows }, warnings })
}

/// Reads an answer, and what it warns of.
async fn ask(
    client: &mut Link,
    lease: &mut Lease,
    table: &Maintained,
    visit: &Visit,
    packets: &mut Packets,
    patience: &mut Patience<'_>,
) -> Result<Vec<told::Warning>, Stop> {
    preludes(client, lease, patience).await?;
    let told = |message: &str| logical(message, std::iter::once(table.name(visit)));
    let (conn, server) = lease.split();
    let thread = conn.thread_id;
    let answer = match patience.watch(client, server, thread, conn.read_packets(packets)).await? {
        Ok(answer) => answer,
        Err(BackendError::Server(error)) => {
            let error = patience.explain(error);
            return Err(Stop::Error(SqlError { message: told(&error.message), ..error }));
        }
        Err(error) => return Err(lost(lease, patience, error)),
    };
    if packets.definitions.is_empty() || packets.room.is_none() {
        let why = format!("{} did not answer with a few rows to a statement of maintenance", lease.server().name);
        return Err(Stop::Lost(SqlError::new(Code::Unknown, why)));
    }
    if answer.warnings == 0 {
        return Ok(Vec::new());
    }
    let asked = lease.query_aside("SHOW WARNINGS").await.map_err(|error| lost(lease, patience, error))?;
    let warning = |row: usize| warning(&asked, row, &told);
    Ok((0..asked.rows.len()).map(warning).collect())
}

fn warning(asked: &Answer, row: usize, told: &impl Fn(&str) -> String) -> told::Warning {
    let text = |column: usize| asked.text(row, column).unwrap_or_default();
    (text(0), text(1).parse().unwrap_or(0), told(&text(2)))
}
