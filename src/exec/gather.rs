//! The rows of many targets on one server: creates a temporary table for each source of a gather, fills it with the
//! rows that its targets give, and hands over the connection on which the client's statement can run.
//!
//! The connection that gathers is never that of the session's transaction: it reads nothing but copies. The
//! transaction's own connections are read from, so that its writes are in the copies. Whatever goes wrong, the
//! connection that gathers is closed, and the temporary tables are gone with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::conn::{Answer, BackendError};
use crate::backend::lease::Lease;
use crate::backend::settings::Settings;
use crate::error::{Code, SqlError};
use crate::exec::Place;
use crate::exec::drain::drain;
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::logical;
use crate::exec::relay::lost;
use crate::plan::gather::{Extent, Gather, Source};
use crate::plan::semijoin::Reduction;
use crate::plan::text::{put_name, quote};
use crate::plan::{Bound, Gathered, Target};
use crate::rules::GroupId;
use crate::txn::{self, Access, Txn, Wanted};
use crate::wire::command::com;
use crate::wire::cursor::Cursor;
use crate::wire::link::{Link, Packet};
use crate::wire::reply::ErrPacket;
use crate::wire::response::{Event, Kind, Response};

/// Rows of a source's first INSERT, which does not wait for many; each has twice as many as the last.
const FIRST_ROWS: usize = 250;
/// Rows of one INSERT, and bytes of its text, beyond which it is sent.
const BATCH_ROWS: usize = 1_000;
const BATCH_BYTES: usize = 512 << 10;

/// The modes under which every value is stored as it came: no mode makes it stricter, none changes how it is read.
const FILL_MODE: &[u8] = b"'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'";

/// A statement whose rows are gathered.
pub struct Gathering<'a> {
    /// The statement.
    pub bound: &'a Bound<'a>,
    /// What is gathered.
    pub gather: &'a Gather,
    /// Where it is, and where it goes.
    pub gathered: &'a Gathered<'a>,
    /// Bytes of rows that may be gathered.
    pub limit: usize,
    /// Which member of a group may be asked.
    pub access: Access,
    /// The session holds connections, or will by this statement: they are the ones to read from.
    pub shared: bool,
    /// How much of the sources is copied.
    pub extent: Extent,
}

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
    ready(home, gathering, place).await
}

/// Takes the copies off, so that the connection can go back to its pool; else it will be closed.
pub async fn clear(lease: &mut Lease, gathering: &Gathering<'_>) {
    let mut text = b"DROP TEMPORARY TABLE ".to_vec();
    for (index, source) in gathering.gather.sources.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        gathering.bound.put_copy(source, &mut text);
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

/// Settings under which values are stored as they came.
fn fill_settings(mariadb: bool) -> Arc<Settings> {
    let settings = Settings::default().with_names("utf8mb4").with("sql_mode", Some(FILL_MODE));
    let settings = settings.with("time_zone", Some(b"'+00:00'"));
    // The rows met their constraints where they came from, under the settings they were written with.
    Arc::new(if mariadb { settings.with("check_constraint_checks", Some(b"0")) } else { settings })
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
    let stored = batch.stored(client, home, patience).await?;
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

/// The definitions of the tables that the gathering group does not have, from where they are. Asked before any other
/// connection is held.
async fn definitions(
    txn: &Txn,
    gathering: &Gathering<'_>,
    place: Place<'_, '_>,
) -> Result<Vec<Option<String>>, SqlError> {
    let mut found = Vec::with_capacity(gathering.gather.sources.len());
    for (source, like) in gathering.gather.sources.iter().zip(&gathering.gathered.like) {
        if like.group == gathering.gathered.group {
            found.push(None);
            continue;
        }
        let (group, wanted) = place(like.group);
        let mut lease = txn.side_lease(like.group, group, Access::Primary, &wanted).await?;
        let settings = fill_settings(lease.info.mariadb);
        txn::adapt(&mut lease, &Wanted { settings: &settings, ..wanted }).await?;
        let answer = ask(&mut lease, &show_create(source, *like, gathering)).await;
        let answer = answer.map_err(|error| error.to_client(&lease.server().name));
        found.push(answer.map_err(|error| refused(source, *like, gathering, &error))?.text(0, 1));
    }
    Ok(found)
}

fn show_create(source: &Source, like: Target, gathering: &Gathering<'_>) -> Vec<u8> {
    let mut text = b"SHOW CREATE TABLE ".to_vec();
    if let Some(name) = gathering.bound.name(source.table, like) {
        put_name(name.physical_schema, name.physical, &mut text);
    }
    text
}

/// Creates the copies, empty: like a table of the same group, which keeps every key, else by their definitions.
async fn create(
    client: &mut Link,
    home: &mut Lease,
    gathering: &Gathering<'_>,
    definitions: &[Option<String>],
    patience: &mut Patience<'_>,
) -> Result<(), Stop> {
    // Until the copies are gone again nobody else may have the connection.
    home.taint();
    for (number, source) in gathering.gather.sources.iter().enumerate() {
        let like = gathering.gathered.like[number];
        let mut failed = None;
        let mut definition = definitions[number].clone();
        if definition.is_none() {
            let Some(name) = gathering.bound.name(source.table, like) else { continue };
            let mut text = b"CREATE TEMPORARY TABLE ".to_vec();
            gathering.bound.put_copy(source, &mut text);
            text.extend_from_slice(b" LIKE ");
            put_name(name.physical_schema, name.physical, &mut text);
            match on_home(client, home, &text, patience).await? {
                Ok(_) => continue,
                Err(error) => failed = Some(error),
            }
            // Partitions and full-text keys are not for temporary tables.
            let shown = on_home(client, home, &show_create(source, like, gathering), patience).await?;
            definition = shown.ok().and_then(|answer| answer.text(0, 1));
        }
        let mut text = Vec::new();
        gathering.bound.put_copy(source, &mut text);
        let copy = String::from_utf8_lossy(&text);
        let created = match definition.as_deref().and_then(|definition| temporary(definition, &copy)) {
            Some(text) => on_home(client, home, text.as_bytes(), patience).await?.map(drop),
            None => Err(failed.unwrap_or_else(|| SqlError::new(Code::Unknown, "its definition is not known"))),
        };
        created.map_err(|error| refused(source, like, gathering, &error))?;
    }
    Ok(())
}

/// `CREATE TEMPORARY TABLE copy (...)` from what SHOW CREATE TABLE tells, one clause a line: without constraints, which
/// the rows met already, and without full-text keys and partitions, which temporary tables do not have.
fn temporary(definition: &str, copy: &str) -> Option<String> {
    let mut lines = definition.lines();
    lines.next().filter(|first| first.starts_with("CREATE TABLE ") && first.ends_with('('))?;
    let mut clauses = Vec::new();
    let options = loop {
        let line = lines.next()?;
        if line.starts_with(')') {
            break line;
        }
        let clause = line.trim().trim_end_matches(',');
        let left_out = ["CONSTRAINT ", "FULLTEXT KEY ", "SPATIAL KEY "];
        if !left_out.iter().any(|kind| clause.starts_with(kind)) {
            clauses.push(clause);
        }
    };
    Some(format!("CREATE TEMPORARY TABLE {copy} (\n{}\n{options}", clauses.join(",\n")))
}

/// Why a table has no copy, under the client's names.
fn refused(source: &Source, like: Target, gathering: &Gathering<'_>, error: &SqlError) -> SqlError {
    let name = gathering.bound.name(source.table, like);
    let table = name.map_or_else(|| source.label.to_string(), |name| format!("{}.{}", name.schema, name.table));
    let message = logical(&error.message, name.into_iter().chain(gathering.bound.names(like)));
    let why = format!("the rows of {table} cannot be gathered on one server: {message} (errno {})", error.errno);
    SqlError::refuse(why)
}

/// Runs a statement on the connection that gathers; its own error is in the inner result.
async fn on_home(
    client: &mut Link,
    home: &mut Lease,
    text: &[u8],
    patience: &mut Patience<'_>,
) -> Result<Result<Answer, SqlError>, Stop> {
    home.send(com::QUERY, text);
    answer_of_home(client, home, patience).await
}

/// The answer to what was sent to the connection that gathers.
async fn answer_of_home(
    client: &mut Link,
    home: &mut Lease,
    patience: &mut Patience<'_>,
) -> Result<Result<Answer, SqlError>, Stop> {
    let name = home.server().name.clone();
    let (conn, server) = home.split();
    let thread_id = conn.thread_id;
    let answered = async {
        conn.link.flush().await?;
        conn.read_answer().await
    };
    let answer = patience.watch(client, server, thread_id, answered).await?;
    if let Some(error) = patience.ended() {
        return Err(Stop::Error(error));
    }
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(BackendError::Server(error)) => Ok(Err(error)),
        // It has no part in the session's transaction, which goes on without it.
        Err(error) => Err(Stop::Error(error.to_client(&name))),
    }
}

async fn ask(lease: &mut Lease, text: &[u8]) -> Result<Answer, BackendError> {
    lease.send(com::QUERY, text);
    lease.link.flush().await?;
    lease.read_answer().await
}

/// Rows on their way into the copies. One INSERT is under way while the rows of the next are read.
struct Batch<'a> {
    gathering: &'a Gathering<'a>,
    source: usize,
    /// Which column of a row goes to which list of the reduction.
    fills: Vec<(usize, usize)>,
    rows: usize,
    /// Rows with which it is full.
    most: usize,
    text: Vec<u8>,
    /// Bytes of all rows so far.
    gathered: usize,
    /// What was sent, and is not known to be stored.
    under_way: Option<UnderWay>,
}

/// Rows that were sent.
struct UnderWay {
    source: usize,
    /// Behind a statement that takes keys off the copy.
    lightened: bool,
}

impl<'a> Batch<'a> {
    fn new(gathering: &'a Gathering<'a>) -> Batch<'a> {
        let (fills, text) = (Vec::new(), Vec::new());
        Batch { gathering, source: 0, fills, rows: 0, most: FIRST_ROWS, text, gathered: 0, under_way: None }
    }

    /// The rows that come are those of another source.
    fn begin(&mut self, source: usize, fills: Vec<(usize, usize)>) {
        self.source = source;
        self.fills = fills;
        self.most = FIRST_ROWS;
    }

    fn source(&self) -> &Source {
        &self.gathering.gather.sources[self.source]
    }

    fn is_full(&self) -> bool {
        self.rows >= self.most || self.text.len() >= BATCH_BYTES
    }

    /// Takes a row of the source in the text protocol.
    fn add(&mut self, row: &[u8], reduction: &mut Reduction<'_>) -> Result<(), SqlError> {
        self.gathered += row.len();
        if self.gathered > self.gathering.limit {
            return Err(self.too_much());
        }
        let mut text = std::mem::take(&mut self.text);
        if text.is_empty() {
            self.put_insert(&mut text);
        }
        text.extend_from_slice(if self.rows == 0 { b"(" } else { b",(" });
        let mut cursor = Cursor::new("text row", row);
        for (place, column) in self.source().pulled(self.gathering.extent).enumerate() {
            if place > 0 {
                text.push(b',');
            }
            let cell = cursor.lenenc_or_null()?;
            if !column.form.put_literal(cell, &mut text) {
                return Err(self.lossy(&column.name));
            }
            for (_, list) in self.fills.iter().filter(|(column, _)| *column == place) {
                cell.into_iter().for_each(|value| reduction.take(*list, value));
            }
        }
        cursor.end()?;
        text.push(b')');
        self.rows += 1;
        self.text = text;
        Ok(())
    }

    fn put_insert(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(b"INSERT INTO ");
        self.gathering.bound.put_copy(self.source(), text);
        text.push(b'(');
        for (index, column) in self.source().pulled(self.gathering.extent).enumerate() {
            if index > 0 {
                text.push(b',');
            }
            quote(column.name.as_bytes(), text);
        }
        text.extend_from_slice(b") VALUES ");
    }

    /// Sends the rows that are held; `false` if the rows sent before were refused.
    async fn send(&mut self, client: &mut Link, home: &mut Lease, patience: &mut Patience<'_>) -> Result<bool, Stop> {
        if self.rows == 0 {
            return Ok(true);
        }
        if !self.stored(client, home, patience).await? {
            return Ok(false);
        }
        let name = home.server().name.clone();
        let (conn, server) = home.split();
        let thread_id = conn.thread_id;
        let lighten = if self.most == FIRST_ROWS && self.is_full() { self.without_spare_keys() } else { None };
        if let Some(text) = &lighten {
            conn.send(com::QUERY, text);
        }
        conn.send(com::QUERY, &self.text);
        let sent = patience.watch(client, server, thread_id, conn.link.flush()).await?;
        sent.map_err(|error| Stop::Error(BackendError::from(error).to_client(&name)))?;
        self.under_way = Some(UnderWay { source: self.source, lightened: lighten.is_some() });
        self.most = BATCH_ROWS.min(2 * self.most);
        self.text.clear();
        self.rows = 0;
        Ok(true)
    }

    /// Takes off the copy, before it has rows, the keys that nobody needs, as each of them costs with each row.
    fn without_spare_keys(&self) -> Option<Vec<u8>> {
        let spare = &self.source().spare;
        if spare.is_empty() || self.gathering.extent == Extent::Whole {
            return None;
        }
        let mut text = b"ALTER TABLE ".to_vec();
        self.gathering.bound.put_copy(self.source(), &mut text);
        for (index, key) in spare.iter().enumerate() {
            text.extend_from_slice(if index == 0 { b" DROP KEY " } else { b",DROP KEY " });
            quote(key.as_bytes(), &mut text);
        }
        Some(text)
    }

    /// Waits until the rows that were sent are stored; `false` if the copy refuses them, which may be for want of a
    /// column.
    async fn stored(&mut self, client: &mut Link, home: &mut Lease, patience: &mut Patience<'_>) -> Result<bool, Stop> {
        let Some(UnderWay { source, lightened }) = self.under_way.take() else { return Ok(true) };
        if lightened {
            // A copy that does not have one of the keys keeps the others: it is only slower.
            answer_of_home(client, home, patience).await?.ok();
        }
        match answer_of_home(client, home, patience).await? {
            Ok(_) => Ok(true),
            Err(_) if self.gathering.extent == Extent::Needed => Ok(false),
            Err(error) => {
                self.source = source;
                Err(self.refused(&error).into())
            }
        }
    }

    fn table(&self) -> String {
        let name = self.gathering.bound.name(self.source().table, self.gathering.gathered.like[self.source]);
        name.map_or_else(|| self.source().label.to_string(), |name| format!("{}.{}", name.schema, name.table))
    }

    fn too_much(&self) -> SqlError {
        SqlError::refuse(format!(
            "the statement needs more than {} bytes of rows together on one server (limits.gather; it was reading \
             {}): name fewer rows by conditions on a sharding key, or raise the limit",
            self.gathering.limit,
            self.table()
        ))
    }

    fn lossy(&self, column: &str) -> SqlError {
        SqlError::refuse(format!(
            "{}.{column} has a JSON value with a date, time, decimal or binary string in it, which its text does not \
             tell: rows with it cannot be gathered",
            self.table()
        ))
    }

    fn refused(&self, error: &SqlError) -> SqlError {
        if error.errno == 1062 {
            return SqlError::refuse(format!(
                "the shards of {} hold rows with the same unique key, which one table could not: {}",
                self.table(),
                logical(&error.message, self.gathering.bound.names(self.gathering.gathered.like[self.source]))
            ));
        }
        SqlError::refuse(format!(
            "rows of {} cannot be gathered: {} (errno {})",
            self.table(),
            error.message,
            error.errno
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_lose_what_temporary_tables_cannot_have() {
        let shown = "CREATE TABLE `a` (\n  `id` int NOT NULL COMMENT 'x, (',\n  `t` text,\n  PRIMARY KEY (`id`),\n  \
                     FULLTEXT KEY `t` (`t`),\n  CONSTRAINT `f` FOREIGN KEY (`id`) REFERENCES `b` (`id`)\n) \
                     ENGINE=InnoDB DEFAULT CHARSET=utf8mb4\n/*!50100 PARTITION BY HASH (`id`)\nPARTITIONS 4 */";
        assert_eq!(
            temporary(shown, "`s`.`c`").as_deref(),
            Some(
                "CREATE TEMPORARY TABLE `s`.`c` (\n`id` int NOT NULL COMMENT 'x, (',\n`t` text,\nPRIMARY KEY \
                 (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
            )
        );
        assert_eq!(temporary("CREATE ALGORITHM=UNDEFINED VIEW `v` AS select 1", "`s`.`c`"), None);
    }
}
