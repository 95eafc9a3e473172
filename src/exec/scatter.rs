//! Many targets, one answer: sends each its statement, checks that they agree on their columns, and
//! drives `merge` with their rows. A slow client stops the servers, because rows are read only as needed.
//!
//! Outside of a transaction each target has a connection of its own and all run at once. Inside, a group
//! has one connection, on which its targets run one after the other.

use std::collections::VecDeque;
use std::pin::pin;

use crate::backend::lease::Lease;
use crate::error::{Code, SqlError};
use crate::exec::Place;
use crate::exec::ask::{self, Ask};
use crate::exec::drain::drain;
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::merge::{Merger, Step, Want};
use crate::exec::names::Naming;
use crate::exec::outcome::Outcome;
use crate::exec::relay::{lost, preludes};
use crate::exec::spool::Spool;
use crate::exec::whole;
use crate::exec::write::returned::too_much;
use crate::plan::Bound;
use crate::plan::merge::Merge;
use crate::plan::{Params, Target};
use crate::rules::GroupId;
use crate::txn::{Access, Txn};
use crate::wire::capabilities::{Capabilities, Status};
use crate::wire::column::{ColumnDef, ColumnType};
use crate::wire::cursor::put_lenenc;
use crate::wire::link::Link;
use crate::wire::reply::{EofPacket, ErrPacket, OkPacket};
use crate::wire::response::{Event, Response};
use crate::wire::row::{Cell, RowForm, recast};
use crate::wire::value::Shape;

/// Queued bytes beyond which the client is written to.
const FLUSH_AT: usize = 16 << 10;

/// What a target may still send after the answer is complete before its connection is given up instead of
/// read to the end. A pushed-down LIMIT keeps it far below.
const DRAIN: usize = 1 << 20;

/// A statement whose rows come from several targets.
pub struct Scatter<'a> {
    /// The statement.
    pub bound: &'a Bound<'a>,
    /// Its targets, sorted.
    pub targets: &'a [Target],
    /// What becomes of the rows.
    pub merge: &'a Merge,
    /// Its form: never one with a cursor, because the servers' rows are wanted at once.
    pub ask: Ask<'a>,
    /// For a client that wants a cursor: bytes of rows it may hold. They are in the outcome, and the client was sent
    /// nothing yet but the columns.
    pub cursor: Option<usize>,
    /// Bytes of rows that may be held.
    pub budget: usize,
    /// What the client can read.
    pub capabilities: Capabilities,
    /// The session's flags, and those of a multi-statement.
    pub status: Status,
    /// The statement that gives all targets the same clock, if this one reads it.
    pub clock: Option<String>,
    /// The session's LAST_INSERT_ID(), if this one reads it: a pooled connection has another's.
    pub last_insert_id: Option<u64>,
}

/// Runs the statement and queues its answer.
pub async fn run(
    client: &mut Link,
    txn: &mut Txn,
    scatter: &Scatter<'_>,
    access: Access,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
) -> Result<Outcome, Stop> {
    let shared = txn.is_open() || txn.pins().next().is_some();
    let mut lanes = lease(client, txn, scatter.targets, access, place, patience, shared).await?;
    let outcome = match start(client, &mut lanes, scatter, patience).await {
        Ok(()) => answer(client, &mut lanes, scatter, patience).await,
        Err(stop) => Err(stop),
    };
    end(client, txn, lanes, scatter, patience, shared, outcome).await
}

/// Where the rows of a merged answer are, by the numbers of targets.
#[derive(Debug, Default)]
pub struct Drawn {
    /// How many each target sent.
    pub shares: Vec<u64>,
    /// Which of them sent each row, if that is asked for.
    pub order: Vec<u32>,
}

/// Which targets sent the rows of the answer, row by row if they are `ordered`; the client gets nothing. Rows must be
/// merged by key.
pub async fn sources(
    client: &mut Link,
    txn: &mut Txn,
    (scatter, ordered): (&Scatter<'_>, bool),
    access: Access,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
) -> Result<Drawn, Stop> {
    let shared = txn.is_open() || txn.pins().next().is_some();
    let mut lanes = lease(client, txn, scatter.targets, access, place, patience, shared).await?;
    let sources = match start(client, &mut lanes, scatter, patience).await {
        Ok(()) => drawn(client, &mut lanes, (scatter, ordered), patience).await,
        Err(stop) => Err(stop),
    };
    end(client, txn, lanes, scatter, patience, shared, sources).await
}

/// Reads what is left of the answers and gives the connections back.
async fn end<T>(
    client: &mut Link,
    txn: &mut Txn,
    mut lanes: Vec<Lane>,
    scatter: &Scatter<'_>,
    patience: &mut Patience<'_>,
    shared: bool,
    outcome: Result<T, Stop>,
) -> Result<T, Stop> {
    let kept = match &outcome {
        // Elsewhere connections that still run are killed and closed, which is cheaper than reading on.
        Ok(_) | Err(Stop::Error(_)) => read_rest(client, &mut lanes, patience, shared).await,
        Err(_) => Ok(()),
    };
    for mut lane in lanes {
        if shared {
            whole::give_back(txn, lane.group, lane.lease, scatter.clock.is_some()).await;
        } else if scatter.clock.is_some() {
            whole::run_clock(&mut lane.lease).await;
        }
    }
    kept?;
    outcome
}

/// A connection and the targets that run on it, one after the other.
struct Lane {
    group: GroupId,
    lease: Lease,
    /// The sources (numbers of targets) still to be started.
    waiting: VecDeque<usize>,
    /// The source that runs.
    running: Option<(usize, Response)>,
    /// How its rows come, if not as the answer's.
    shapes: Vec<Shape>,
}

impl Lane {
    fn new(group: GroupId, lease: Lease, waiting: VecDeque<usize>) -> Lane {
        Lane { group, lease, waiting, running: None, shapes: Vec::new() }
    }
}

async fn lease(
    client: &mut Link,
    txn: &mut Txn,
    targets: &[Target],
    access: Access,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
    shared: bool,
) -> Result<Vec<Lane>, Stop> {
    let mut lanes = Vec::with_capacity(targets.len());
    let mut from = 0;
    // Targets are sorted by group, and every statement asks for connections in that order: no two
    // statements wait for each other.
    for of_group in targets.chunk_by(|a, b| a.group == b.group) {
        let id = of_group[0].group;
        let (group, wanted) = place(id);
        let sources = from..from + of_group.len();
        from = sources.end;
        if shared {
            let holds = txn.holds(id);
            let leased = patience.reach(client, holds, pin!(txn.lease(id, group, access, &wanted))).await;
            match leased.and_then(|leased| Ok(leased?)) {
                Ok(lease) => lanes.push(Lane::new(id, lease, sources.collect())),
                Err(stop) => {
                    for lane in lanes {
                        let Lane { group, lease, .. } = lane;
                        txn.settle_unasked(group, lease).await;
                    }
                    return Err(stop);
                }
            }
        } else {
            let wanted = vec![wanted; of_group.len()];
            let leases = patience.reach(client, false, pin!(txn.side_leases(id, group, access, &wanted))).await??;
            for (lease, source) in leases.into_iter().zip(sources) {
                lanes.push(Lane::new(id, lease, VecDeque::from([source])));
            }
        }
    }
    Ok(lanes)
}

/// Sends the first statement of every lane.
async fn start(
    client: &mut Link,
    lanes: &mut [Lane],
    scatter: &Scatter<'_>,
    patience: &mut Patience<'_>,
) -> Result<(), Stop> {
    for lane in lanes {
        if let Some(clock) = &scatter.clock {
            lane.lease.send_prelude(clock.as_bytes());
        }
        if let Some(id) = scatter.last_insert_id {
            lane.lease.set_insert_id(id);
        }
        send_next(client, lane, scatter, patience).await?;
    }
    Ok(())
}

/// Sends the next statement of a lane, if it has one.
async fn send_next(
    client: &mut Link,
    lane: &mut Lane,
    scatter: &Scatter<'_>,
    patience: &mut Patience<'_>,
) -> Result<(), Stop> {
    let Some(source) = lane.waiting.pop_front() else { return Ok(()) };
    if let Some(error) = patience.ended() {
        // The target before was done before it heard of it.
        return Err(Stop::Error(error));
    }
    let target = scatter.targets[source];
    let mut text = Vec::new();
    let params: Params = scatter.bound.render(target, &mut text);
    let naming = Naming::Of(scatter.bound, target);
    ask::send(client, &mut lane.lease, scatter.ask, &text, &params, patience, naming).await?;
    lane.lease.link.flush().await.map_err(|error| patience.lost(&lane.lease, error))?;
    lane.lease.expect_answer();
    lane.running = Some((source, Response::new(scatter.ask.kind(), lane.lease.capabilities)));
    Ok(())
}

/// Reads and merges the rows.
async fn answer(
    client: &mut Link,
    lanes: &mut [Lane],
    scatter: &Scatter<'_>,
    patience: &mut Patience<'_>,
) -> Result<Outcome, Stop> {
    let mut outcome = Outcome { has_rows: true, ..Outcome::default() };
    let mut columns = Columns::default();
    // Every lane's first definitions are read before the client hears anything, so that targets which
    // disagree are an error and not half an answer.
    for lane in lanes.iter_mut() {
        read_columns(client, lane, scatter, patience, &mut columns).await?;
    }
    let definitions = columns.decode()?;
    let mut merger = merger(scatter, &definitions)?;
    let head = logical(scatter, &definitions[..merger.visible()]);
    let mut spool = scatter.cursor.map(Spool::new);
    if spool.is_none() {
        put_head(client, &head);
        if !scatter.capabilities.has(Capabilities::DEPRECATE_EOF) {
            client.push_with(|out| EofPacket { warnings: 0, status: scatter.status }.encode(out));
        }
    }
    let mut row = Vec::new();
    loop {
        row.clear();
        match merger.next(&mut row)? {
            Step::Row => {
                outcome.rows += 1;
                if let Some(spool) = &mut spool {
                    spool.push(&row)?;
                    continue;
                }
                client.push(&row);
                if client.queued() >= FLUSH_AT {
                    patience.write(client.flush()).await?;
                }
            }
            Step::NeedInput => {
                let Some(lane) = choose(lanes, merger.want()) else {
                    return Err(SqlError::new(Code::Unknown, "A merge waits for rows that nobody sends").into());
                };
                pump(client, lane, scatter, patience, &mut columns, &mut merger, &mut outcome).await?;
            }
            Step::Finished => break,
        }
    }
    outcome.status = scatter.status;
    if let Some(spool) = spool {
        outcome.spooled = Some(spool.finish()?);
        outcome.status = outcome.status.with(Status::CURSOR_EXISTS);
        put_head(client, &head);
    }
    let end = OkPacket { status: outcome.status, warnings: outcome.warnings, ..OkPacket::default() };
    client.push_with(|out| end.encode_end(scatter.capabilities, out));
    Ok(outcome)
}

/// The merge of a statement whose columns are known.
fn merger(scatter: &Scatter<'_>, definitions: &[ColumnDef<'_>]) -> Result<Merger, SqlError> {
    let format = if scatter.ask.is_binary() { RowForm::Binary } else { RowForm::Text };
    let slots = |slot| scatter.bound.datum(slot);
    let (window, sources) = (scatter.bound.window, scatter.targets.len());
    Merger::new(scatter.merge, window, definitions, format, sources, scatter.budget, &slots)
}

/// Reads and merges the rows, and keeps where they came from.
async fn drawn(
    client: &mut Link,
    lanes: &mut [Lane],
    (scatter, ordered): (&Scatter<'_>, bool),
    patience: &mut Patience<'_>,
) -> Result<Drawn, Stop> {
    let (mut outcome, mut columns) = (Outcome::default(), Columns::default());
    for lane in lanes.iter_mut() {
        read_columns(client, lane, scatter, patience, &mut columns).await?;
    }
    let definitions = columns.decode()?;
    let mut merger = merger(scatter, &definitions)?;
    let most = scatter.budget / size_of::<u32>();
    let mut drawn = Drawn { shares: vec![0; scatter.targets.len()], order: Vec::new() };
    let mut row = Vec::new();
    loop {
        row.clear();
        match merger.next(&mut row)? {
            Step::Row => {
                let nobody = || SqlError::new(Code::Unknown, "A row that nobody sent");
                let source = merger.source().ok_or_else(nobody)?;
                *drawn.shares.get_mut(source).ok_or_else(nobody)? += 1;
                if ordered && drawn.order.len() == most {
                    return Err(too_much().into());
                }
                if ordered {
                    drawn.order.push(source as u32);
                }
            }
            Step::NeedInput => {
                let Some(lane) = choose(lanes, merger.want()) else {
                    return Err(SqlError::new(Code::Unknown, "A merge waits for rows that nobody sends").into());
                };
                pump(client, lane, scatter, patience, &mut columns, &mut merger, &mut outcome).await?;
            }
            Step::Finished => break,
        }
    }
    match outcome.warnings {
        0 => Ok(drawn),
        // In a statement that writes, strict modes make errors of some of them.
        _ => Err(SqlError::refuse(
            "a condition that gives warnings, in a write with ORDER BY and LIMIT, needs rows of \
                                   several shards",
        )
        .into()),
    }
}

/// The lane that can bring what the merge wants.
fn choose(lanes: &mut [Lane], want: Want) -> Option<&mut Lane> {
    match want {
        Want::Nothing => None,
        Want::Any => lanes.iter_mut().find(|lane| lane.running.is_some() || !lane.waiting.is_empty()),
        Want::One(wanted) => lanes.iter_mut().find(|lane| {
            lane.waiting.contains(&wanted) || lane.running.as_ref().is_some_and(|(source, _)| *source == wanted)
        }),
    }
}

/// Brings the next packet of a lane to the merge, or starts its next target.
async fn pump(
    client: &mut Link,
    lane: &mut Lane,
    scatter: &Scatter<'_>,
    patience: &mut Patience<'_>,
    columns: &mut Columns,
    merger: &mut Merger,
    outcome: &mut Outcome,
) -> Result<(), Stop> {
    if lane.running.is_none() {
        send_next(client, lane, scatter, patience).await?;
        return read_columns(client, lane, scatter, patience, columns).await;
    }
    let packet = packet(client, lane, patience).await?;
    let Some((source, response)) = &mut lane.running else { return Ok(()) };
    let payload = lane.lease.link.payload(&packet);
    let event = response.packet(payload).map_err(|error| lost(&lane.lease, patience, error.into()))?;
    match event {
        Event::Rows { .. } if lane.shapes.is_empty() => merger.row(*source, payload)?,
        Event::Rows { .. } => merger.row(*source, columns.fitted(payload, &lane.shapes)?)?,
        Event::End(end) => {
            outcome.warnings = outcome.warnings.saturating_add(end.warnings);
            merger.end(*source);
            lane.lease.answered(end.status);
            lane.running = None;
        }
        Event::Err { .. } => return Err(failed(lane, scatter, patience, packet)),
        _ => return Err(not_rows(lane).into()),
    }
    Ok(())
}

/// Reads the answer of a lane's target up to its first row, and checks its columns against the others'.
async fn read_columns(
    client: &mut Link,
    lane: &mut Lane,
    scatter: &Scatter<'_>,
    patience: &mut Patience<'_>,
    columns: &mut Columns,
) -> Result<(), Stop> {
    preludes(client, &mut lane.lease, patience).await?;
    lane.lease.expect_answer();
    let (mut expected, mut seen) = (0, 0);
    let first = !columns.complete;
    lane.shapes.clear();
    loop {
        let packet = packet(client, lane, patience).await?;
        let Some((_, response)) = &mut lane.running else { return Ok(()) };
        let payload = lane.lease.link.payload(&packet);
        match response.packet(payload).map_err(|error| lost(&lane.lease, patience, error.into()))? {
            Event::ColumnCount { columns } => expected = columns,
            Event::ColumnDef { .. } if first => {
                columns.packets.push(payload.into());
                seen += 1;
            }
            Event::ColumnDef { .. } => {
                match columns.agrees(seen, payload)? {
                    None => return Err(disagree(lane, columns, seen).into()),
                    Some((_, true)) if lane.shapes.is_empty() => {}
                    Some((shape, _)) if scatter.ask.is_binary() => {
                        if lane.shapes.is_empty() {
                            lane.shapes = (0..seen).map(|at| columns.shape(at)).collect::<Result<_, _>>()?;
                        }
                        lane.shapes.push(shape);
                    }
                    Some(_) => {}
                }
                seen += 1;
            }
            Event::ColumnsEnd(_) => break,
            Event::Err { .. } => return Err(failed(lane, scatter, patience, packet)),
            _ => return Err(not_rows(lane).into()),
        }
        // Under DEPRECATE_EOF no packet stands between definitions and rows.
        if seen == expected && lane.lease.class.deprecate_eof {
            break;
        }
    }
    if !first && seen != columns.packets.len() {
        return Err(disagree(lane, columns, seen).into());
    }
    columns.complete = true;
    Ok(())
}

/// The next packet of a lane's answer, while watching the client.
async fn packet(
    client: &mut Link,
    lane: &mut Lane,
    patience: &mut Patience<'_>,
) -> Result<crate::wire::link::Packet, Stop> {
    let (conn, server) = lane.lease.split();
    let thread_id = conn.thread_id;
    match patience.watch(client, server, thread_id, conn.link.expect_packet()).await? {
        Ok(packet) => Ok(packet),
        Err(error) => Err(lost(&lane.lease, patience, error.into())),
    }
}

/// The error that a target answered with; its connection stays good.
fn failed(lane: &mut Lane, scatter: &Scatter<'_>, patience: &Patience<'_>, packet: crate::wire::link::Packet) -> Stop {
    let source = lane.running.take().map_or(0, |(source, _)| source);
    let error = match ErrPacket::decode(lane.lease.link.payload(&packet)) {
        Ok(error) => error.to_sql_error(),
        Err(error) => return lost(&lane.lease, patience, error.into()),
    };
    lane.lease.failed();
    Stop::Error(Naming::Of(scatter.bound, scatter.targets[source]).error(patience.explain(error)))
}

fn not_rows(lane: &Lane) -> SqlError {
    SqlError::new(Code::Unknown, format!("{} did not answer with rows where others did", lane.lease.server().name))
}

fn disagree(lane: &Lane, columns: &Columns, at: usize) -> SqlError {
    let name = columns.packets.get(at).and_then(|packet| ColumnDef::decode(packet).ok());
    let name = name.map_or_else(
        || "the number of columns".to_owned(),
        |column| format!("column '{}'", String::from_utf8_lossy(column.name)),
    );
    SqlError::new(
        Code::Unknown,
        format!(
            "The shards disagree on {name}: the table on {} differs from the others; \
             compare them with `shardloom check`",
            lane.lease.server().name
        ),
    )
}

/// The definitions that the first target sent.
#[derive(Default)]
struct Columns {
    packets: Vec<Box<[u8]>>,
    complete: bool,
    /// Room to work in, where another target's rows have another form.
    shapes: Vec<Shape>,
    cells: Vec<Cell>,
    row: Vec<u8>,
}

impl Columns {
    fn decode(&self) -> Result<Vec<ColumnDef<'_>>, SqlError> {
        self.packets.iter().map(|packet| ColumnDef::decode(packet).map_err(SqlError::from)).collect()
    }

    /// The shape of a column that there is.
    fn shape(&self, at: usize) -> Result<Shape, SqlError> {
        Ok(Shape::of(&ColumnDef::decode(&self.packets[at])?))
    }

    /// The shape of another target's column, if that means the same by it, and whether its type is the same. Its display
    /// width may differ, and so may what keys the optimiser knows of; what values mean may not.
    fn agrees(&self, at: usize, payload: &[u8]) -> Result<Option<(Shape, bool)>, SqlError> {
        let Some(first) = self.packets.get(at) else { return Ok(None) };
        let (a, b) = (ColumnDef::decode(first)?, ColumnDef::decode(payload)?);
        // Which of its string types a server says, and with which decimals, depends on how it ran the statement, as does
        // the width of whole numbers that it took from a table of its own, and the character set of JSON.
        let both = |is: fn(ColumnType) -> bool| is(a.ty) && is(b.ty);
        let json = both(|ty| ty == ColumnType::JSON);
        let ty = both(ColumnType::is_string) || both(ColumnType::is_whole) || json;
        let agrees = a.name == b.name
            && (ty || (a.ty == b.ty && a.decimals == b.decimals))
            && (json || a.charset == b.charset)
            && a.unsigned() == b.unsigned();
        Ok(agrees.then(|| (Shape::of(&b), a.ty == b.ty)))
    }

    /// A row of the binary protocol whose cells have these shapes, with those of the answer.
    fn fitted(&mut self, row: &[u8], from: &[Shape]) -> Result<&[u8], SqlError> {
        if self.shapes.is_empty() {
            self.shapes = (0..self.packets.len()).map(|at| self.shape(at)).collect::<Result<_, _>>()?;
        }
        self.row.clear();
        recast(row, from, &self.shapes, &mut self.cells, &mut self.row)?;
        Ok(&self.row)
    }
}

/// The definitions of the client's columns, under its own names.
fn logical(scatter: &Scatter<'_>, columns: &[ColumnDef<'_>]) -> Vec<Vec<u8>> {
    let naming = Naming::Of(scatter.bound, scatter.targets[0]);
    let encoded = |column: &ColumnDef<'_>| {
        let mut out = Vec::new();
        naming.logical(column).unwrap_or(*column).encode(&mut out);
        out
    };
    columns.iter().map(encoded).collect()
}

/// Queues the head of the answer.
fn put_head(client: &mut Link, columns: &[Vec<u8>]) {
    client.push_with(|out| put_lenenc(out, columns.len() as u64));
    for column in columns {
        client.push(column);
    }
}

/// Reads what is left of the answers, so that the connections are clean: in a transaction all of it,
/// because the connections must be kept; else only if it is little.
async fn read_rest(client: &mut Link, lanes: &mut [Lane], patience: &mut Patience<'_>, all: bool) -> Result<(), Stop> {
    let most = if all { usize::MAX } else { DRAIN };
    for lane in lanes.iter_mut() {
        lane.waiting.clear();
        if let Some((_, response)) = &mut lane.running
            && drain(client, &mut lane.lease, response, patience, most).await?
        {
            lane.running = None;
        }
    }
    Ok(())
}
