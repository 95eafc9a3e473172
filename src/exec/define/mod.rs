//! A data definition at every place of its tables: one place after the other, under a record that is written before
//! the first of them changes. Whoever resumes a record asks each place whether it was done, and does nothing twice.
//!
//! ```text
//! lock the tables' names -> is another one half done? -> what is there now -> record
//!   -> for each place: note, send, note -> are all places alike? -> forget the record
//! ```

pub mod record;
mod trace;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use twox_hash::XxHash3_128;

use crate::backend::cluster::Group;
use crate::backend::conn::{Answer, BackendError, Class, Conn};
use crate::backend::gtid::Gtid;
use crate::backend::metadata::{self, Metadata, PATIENT};
use crate::backend::schema;
use crate::backend::server::Server;
use crate::error::{Code, SqlError};
use crate::exec::define::record::{Job, State, Step};
use crate::exec::define::trace::{ABSENT, trace};
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::{constraint, logical};
use crate::plan::render::Name;
use crate::rules::PhysicalName;
use crate::wire::command::com;
use crate::wire::link::Link;

/// Places that an error message names at most.
const PLACES: usize = 6;

/// How often a statement that nobody waits for any more is told to end, and how long it has for it each time.
const ORPHAN_ROUNDS: u32 = 100;
const ORPHAN_PAUSE: Duration = Duration::from_millis(100);

/// The lock on the names of tables, as part of the session that has it, and how long it is waited for.
const LOCK_TABLE: metadata::Table = metadata::Table { name: "ddl", columns: "" };

/// What servers warned of: level, number and sentence with the client's names.
pub type Warning = (String, u16, String);

/// What a definition did.
#[derive(Debug, Default)]
pub struct Defined {
    /// Rows, as one server would count them.
    pub affected_rows: u64,
    /// The sentence of the OK packet.
    pub info: String,
    /// What servers warned of, each thing once.
    pub warnings: Vec<Warning>,
    /// The last write to each group that a server told of.
    pub written: Vec<(String, Option<Gtid>)>,
}

/// Where a definition's servers are, and what waits for it.
pub struct Ground<'a> {
    /// All groups.
    pub groups: &'a [Arc<Group>],
    /// The one that keeps its record.
    pub home: &'a Group,
    /// How many seconds other definitions of the same tables are waited for; none: as the server does for tables.
    pub lock_wait: Option<u64>,
}

/// What DROP does with tables that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropping {
    /// It has IF EXISTS.
    IfExists,
    /// It has not: the whole is refused.
    MustExist,
}

/// What a DBA wants of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Do what is left.
    Resume,
    /// Forget it; the tables stay as they are.
    Drop,
}

/// Does a definition that has no record yet.
///
/// # Errors
/// The first server's own, if nothing was changed; else an error with the number of the cause that tells what was done
/// where, and then the record is kept.
pub async fn run(
    client: &mut Link,
    ground: &Ground<'_>,
    mut job: Job,
    dropping: Option<Dropping>,
    patience: &mut Patience<'_>,
) -> Result<Defined, Stop> {
    let home = ground.home.primary().await?;
    let mut work = Work::new(ground, home, Metadata::open(home).await?, job.settings.clone());
    work.lock(client, &job, ground.lock_wait, patience).await?;
    if let Some(other) = record::all(&mut work.metadata).await?.iter().find(|other| other.concerns(&job)) {
        return Err(unfinished(other).into());
    }
    for step in &mut job.steps {
        step.before = work.trace(step, job.by_number).await?;
    }
    if dropping == Some(Dropping::MustExist) {
        missing(&job, work.mariadb())?;
    }
    work.referred_first(&mut job, dropping.is_some()).await?;
    record::write(&mut work.metadata, &mut job).await?;
    work.steps(client, &mut job, patience).await
}

/// Goes on with a record, or forgets it.
///
/// # Errors
/// 1235 if there is none, if somebody else is at it, or if it cannot be told what was done; else as [`run`].
pub async fn settle(
    client: &mut Link,
    ground: &Ground<'_>,
    id: u64,
    wish: Wish,
    patience: &mut Patience<'_>,
) -> Result<Defined, Stop> {
    let home = ground.home.primary().await?;
    let mut metadata = Metadata::open(home).await?;
    let Some(job) = record::find(&mut metadata, id).await? else { return Err(unknown(id).into()) };
    let mut work = Work::new(ground, home, metadata, job.settings.clone());
    work.lock(client, &job, Some(0), patience).await.map_err(|stop| match stop {
        Stop::Error(error) if error.errno == 1205 => SqlError::refuse(format!("DDL {id} is still running")).into(),
        stop => stop,
    })?;
    // It may have ended before the lock was ours.
    let Some(mut job) = record::find(&mut work.metadata, id).await? else { return Err(unknown(id).into()) };
    if wish == Wish::Drop {
        record::remove(&mut work.metadata, id).await?;
        return Ok(Defined::default());
    }
    for at in 0..job.steps.len() {
        let step = &job.steps[at];
        if step.state != State::Running {
            continue;
        }
        work.end_orphans(id, step).await?;
        let now = work.trace(step, job.by_number).await?;
        if step.before.is_empty() || now.is_empty() {
            let why = format!(
                "whether DDL {id} was done at {} cannot be told: look there, then SHARDLOOM DDL DROP {id}",
                step.place()
            );
            return Err(SqlError::refuse(why).into());
        }
        let found = if now == step.before { State::Waiting } else { State::Done };
        work.note(&mut job, at, found, "").await?;
    }
    work.steps(client, &mut job, patience).await
}

/// Drops tables that a statement has made and could not fill, wherever that is possible now. `job` is a DROP with IF
/// EXISTS, which may be done twice.
///
/// # Errors
/// What kept a place from it; then the record is kept, which says where it is left to be done.
pub async fn undo(
    client: &mut Link,
    ground: &Ground<'_>,
    mut job: Job,
    patience: &mut Patience<'_>,
) -> Result<(), Stop> {
    let home = ground.home.primary().await?;
    let mut work = Work::new(ground, home, Metadata::open(home).await?, job.settings.clone());
    work.lock(client, &job, ground.lock_wait, patience).await?;
    record::write(&mut work.metadata, &mut job).await?;
    let (mut left, mut unreached) = (None, Vec::new());
    for at in 0..job.steps.len() {
        // Whoever waited for its servers once need not do so for each of its tables.
        if unreached.contains(&job.steps[at].group) {
            continue;
        }
        match work.step(client, &job, at, &mut Total::new(true), patience).await {
            Ok(()) => work.note(&mut job, at, State::Done, "").await?,
            Err(Stop::Error(error) | Stop::Lost(error)) => {
                work.note(&mut job, at, State::Failed, &error.message).await?;
                unreached.push(job.steps[at].group.clone());
                left.get_or_insert((at, error));
            }
            Err(stop) => return Err(stop),
        }
    }
    match left {
        None => Ok(record::remove(&mut work.metadata, job.id).await?),
        Some((at, error)) => Err(half_done(&job, at, error).into()),
    }
}

/// All records of a home group, each with whether somebody is at it.
///
/// # Errors
/// The server's.
pub async fn list(home: &Group) -> Result<Vec<(Job, bool)>, SqlError> {
    let mut metadata = Metadata::open(home.primary().await?).await?;
    let mut found = Vec::new();
    for job in record::all(&mut metadata).await? {
        let mut busy = false;
        for name in job.locks() {
            let answer = metadata.query(LOCK_TABLE, &format!("SELECT IS_USED_LOCK('{name}')")).await?;
            busy |= answer.text(0, 0).is_some();
        }
        found.push((job, busy));
    }
    Ok(found)
}

impl Job {
    /// Names of the user locks of its tables, in the order in which all take them.
    fn locks(&self) -> Vec<String> {
        let lock = |table: &String| {
            let name = format!("{}.{}", self.schema.to_lowercase(), table.to_lowercase());
            format!("_shardloom.ddl.{:032x}", XxHash3_128::oneshot(name.as_bytes()))
        };
        let mut locks: Vec<String> = self.tables.iter().map(lock).collect();
        locks.sort();
        locks
    }

    /// Whether both define some table.
    fn concerns(&self, other: &Job) -> bool {
        let same = |a: &String| other.tables.iter().any(|b| a.eq_ignore_ascii_case(b));
        self.schema.eq_ignore_ascii_case(&other.schema) && self.tables.iter().any(same)
    }

    fn in_state(&self, states: &[State]) -> Vec<String> {
        self.steps.iter().filter(|step| states.contains(&step.state)).map(Step::place).collect()
    }
}

impl Step {
    /// A message of its server with the client's names.
    fn told(&self, message: &str, job: &Job) -> String {
        // 1091 does not say what the name stands for: if the client did not write it, it is that of a constraint.
        let dropped = message.strip_prefix("Can't DROP '").and_then(|rest| rest.split_once('\''));
        if let Some((name, rest)) = dropped
            && !String::from_utf8_lossy(&job.statement).contains(name)
        {
            let names: Vec<Name<'_>> = self.names(&job.schema).collect();
            return format!("Can't DROP '{}'{rest}", constraint(name, &names));
        }
        logical(message, self.names(&job.schema))
    }

    /// The client's names for the physical ones of its place.
    fn names<'s>(&'s self, schema: &'s str) -> impl Iterator<Item = Name<'s>> {
        self.tables.iter().map(move |(name, table)| Name {
            physical_schema: &name.schema,
            physical: &name.table,
            schema,
            table,
        })
    }
}

/// What is said of a record that is not there.
pub fn unknown(id: u64) -> SqlError {
    SqlError::refuse(format!("There is no unfinished DDL {id}; SHOW SHARDLOOM DDL lists them"))
}

fn unfinished(other: &Job) -> SqlError {
    let id = other.id;
    SqlError::refuse(format!(
        "DDL {id} on {}.{} is half done: SHARDLOOM DDL RESUME {id} goes on with it, SHARDLOOM DDL DROP {id} leaves the \
         tables as they are; SHOW SHARDLOOM DDL tells more",
        other.schema,
        other.tables.join(", ")
    ))
}

/// DROP of several tables, one of which is nowhere: MySQL drops none, MariaDB the others.
fn missing(job: &Job, mariadb: bool) -> Result<(), SqlError> {
    let there = |logical: &String| {
        let named = |step: &&Step| step.tables.iter().any(|(_, name)| name.eq_ignore_ascii_case(logical));
        job.steps.iter().filter(named).any(|step| {
            let at = step.tables.iter().position(|(_, name)| name.eq_ignore_ascii_case(logical));
            at.and_then(|at| step.before.split(' ').nth(at)).is_some_and(|trace| trace != ABSENT)
        })
    };
    let missing: Vec<String> =
        job.tables.iter().filter(|table| !there(table)).map(|table| format!("{}.{table}", job.schema)).collect();
    if missing.is_empty() || job.tables.len() < 2 {
        return Ok(());
    }
    if mariadb {
        let why = format!("DROP of several tables of which {} is missing: add IF EXISTS", missing.join(", "));
        return Err(SqlError::refuse(why));
    }
    Err(SqlError { errno: 1051, state: *b"42S02", message: format!("Unknown table '{}'", missing.join(",")) })
}

/// A definition at work: its connections are its own, and close with it.
struct Work<'a> {
    ground: &'a Ground<'a>,
    home: &'a Arc<Server>,
    metadata: Metadata<'a>,
    settings: Vec<u8>,
    conns: BTreeMap<String, (Arc<Server>, Conn)>,
}

impl<'a> Work<'a> {
    fn new(ground: &'a Ground<'a>, home: &'a Arc<Server>, metadata: Metadata<'a>, settings: Vec<u8>) -> Work<'a> {
        Work { ground, home, metadata, settings, conns: BTreeMap::new() }
    }

    fn mariadb(&self) -> bool {
        self.conns.values().any(|(_, conn)| conn.info.mariadb)
    }

    /// Takes the names of the job's tables, so that no other definition of them runs meanwhile.
    async fn lock(
        &mut self,
        client: &mut Link,
        job: &Job,
        wait: Option<u64>,
        patience: &mut Patience<'_>,
    ) -> Result<(), Stop> {
        let own = self.metadata.query(LOCK_TABLE, "SELECT CONNECTION_ID()").await?;
        let thread = own.text(0, 0).and_then(|id| id.parse().ok()).unwrap_or(0);
        let wait = wait.map_or("@@global.lock_wait_timeout".to_owned(), |wait| wait.to_string());
        for name in job.locks() {
            let sql = format!("SELECT GET_LOCK('{name}', {wait})");
            let ask = self.metadata.query(LOCK_TABLE, &sql);
            let answer = patience.watch(client, self.home, thread, ask).await?;
            let answer = answer.map_err(|error| patience.explain(error))?;
            if let Some(ended) = patience.ended() {
                return Err(ended.into());
            }
            if answer.text(0, 0).as_deref() != Some("1") {
                let why = "Lock wait timeout exceeded; try restarting transaction";
                return Err(SqlError::new(Code::WaitTimeout, why).into());
            }
        }
        Ok(())
    }

    /// The connection to a group, in the client's settings.
    async fn conn(&mut self, group: &str, database: &str) -> Result<&mut (Arc<Server>, Conn), SqlError> {
        if !self.conns.contains_key(group) {
            let Some(found) = self.ground.groups.iter().find(|found| found.name == group) else {
                return Err(SqlError::refuse(format!("no rule knows the group {group} any more")));
            };
            let server = found.primary().await?.clone();
            let mut conn = server.connect(Class { deprecate_eof: true, found_rows: false }).await?;
            if !self.settings.is_empty() {
                ask(&mut conn, com::QUERY, &self.settings).await.map_err(|error| error.to_client(&server.name))?;
            }
            let told = conn.query(&format!("SET wait_timeout={PATIENT}")).await;
            told.map_err(|error| error.to_client(&server.name))?;
            self.conns.insert(group.to_owned(), (server, conn));
        }
        let Some(found) = self.conns.get_mut(group) else {
            return Err(SqlError::new(Code::Unknown, "a connection that was just opened is gone"));
        };
        let (server, conn) = found;
        if conn.database.as_deref() != Some(database) {
            ask(conn, com::INIT_DB, database.as_bytes()).await.map_err(|error| error.to_client(&server.name))?;
            conn.database = Some(database.into());
        }
        Ok(found)
    }

    /// What tells the tables of a step apart from how they are before or after it.
    async fn trace(&mut self, step: &Step, by_number: bool) -> Result<String, SqlError> {
        let (server, conn) = self.conn(&step.group, &step.database).await?;
        trace(conn, &step.tables, by_number).await.map_err(|error| error.to_client(&server.name))
    }

    /// Puts those places first whose tables others refer to by foreign keys: only there servers refuse what one server
    /// with all tables would refuse, and what the first place refuses is done nowhere.
    async fn referred_first(&mut self, job: &mut Job, drops: bool) -> Result<(), SqlError> {
        let mut known: BTreeMap<(String, String), Vec<(PhysicalName, String)>> = BTreeMap::new();
        let mut referred = Vec::new();
        for step in &job.steps {
            let mut outside = false;
            for (position, (name, _)) in step.tables.iter().enumerate() {
                let key = (step.group.clone(), name.schema.clone());
                if !known.contains_key(&key) {
                    let (server, conn) = self.conn(&step.group, &step.database).await?;
                    let found = references(conn, &name.schema).await.map_err(|error| error.to_client(&server.name))?;
                    known.insert(key.clone(), found);
                }
                for (child, parent) in known.get(&key).into_iter().flatten() {
                    if !parent.eq_ignore_ascii_case(&name.table) || child == name {
                        continue;
                    }
                    let earlier = step.tables[..position].iter().any(|(dropped, _)| dropped == child);
                    if drops && job.tables.len() > 1 && self.mariadb() && !earlier {
                        let why = "DROP of several tables, one of which foreign keys of a later one refer to: MariaDB \
                                   drops them one after the other, so do the same";
                        return Err(SqlError::refuse(why));
                    }
                    let here = job.steps.iter().filter(|other| other.group == step.group);
                    outside |= !here.flat_map(|other| &other.tables).any(|(dropped, _)| dropped == child);
                }
            }
            referred.push(outside);
        }
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for (step, referred) in std::mem::take(&mut job.steps).into_iter().zip(referred) {
            if referred { first.push(step) } else { last.push(step) }
        }
        first.append(&mut last);
        job.steps = first;
        Ok(())
    }

    /// Ends what still runs at a place for somebody who is gone: what is there would change behind our back.
    async fn end_orphans(&mut self, id: u64, step: &Step) -> Result<(), SqlError> {
        let (server, conn) = self.conn(&step.group, &step.database).await?;
        let told = |error: BackendError| error.to_client(&server.name);
        for _ in 0..ORPHAN_ROUNDS {
            let list = conn.query("SHOW FULL PROCESSLIST").await.map_err(told)?;
            let info = list.column("Info").unwrap_or(usize::MAX);
            // Its text has physical names: nobody else sends it.
            let same = |row: &usize| list.rows[*row].get(info).is_some_and(|cell| cell.as_deref() == Some(&*step.sql));
            let orphans: Vec<u64> =
                (0..list.rows.len()).filter(same).filter_map(|row| list.text(row, 0)?.parse().ok()).collect();
            if orphans.is_empty() {
                return Ok(());
            }
            for orphan in orphans {
                match conn.query(&format!("KILL {orphan}")).await {
                    // 1094: it is gone already.
                    Ok(_) | Err(BackendError::Server(SqlError { errno: 1094, .. })) => {}
                    Err(error) => return Err(told(error)),
                }
            }
            tokio::time::sleep(ORPHAN_PAUSE).await;
        }
        let why = format!("the statement of DDL {id} still runs at {} and does not end when told to", step.place());
        Err(SqlError::refuse(why))
    }

    /// Does the steps that are left, and forgets the record if all are done.
    async fn steps(&mut self, client: &mut Link, job: &mut Job, patience: &mut Patience<'_>) -> Result<Defined, Stop> {
        let resumed = job.steps.iter().any(|step| step.state == State::Done);
        let mut total = Total::new(job.copies);
        let mut before = None;
        for at in 0..job.steps.len() {
            if job.steps[at].state == State::Done {
                continue;
            }
            record::advance(&mut self.metadata, job.id, before, at).await?;
            job.steps[at].state = State::Running;
            match self.step(client, job, at, &mut total, patience).await {
                Ok(()) => {
                    job.steps[at].state = State::Done;
                    before = Some(at);
                }
                // Whatever becomes of the record, the client is told what the server said.
                Err(Stop::Error(error)) => {
                    let first = job.in_state(&[State::Done]).is_empty();
                    let noted = match first {
                        true => record::remove(&mut self.metadata, job.id).await,
                        false => self.note(job, at, State::Failed, &error.message).await,
                    };
                    told_late(job, noted);
                    return Err(if first { error } else { half_done(job, at, error) }.into());
                }
                // Nobody knows what the server made of it.
                Err(Stop::Lost(error)) => {
                    let noted = self.note(job, at, State::Running, &error.message).await;
                    told_late(job, noted);
                    return Err(half_done(job, at, error).into());
                }
                Err(stop) => return Err(stop),
            }
        }
        let differences = self.differences(job).await;
        if let (true, Some((at, difference))) = (resumed, differences.first()) {
            self.note(job, *at, State::Failed, difference).await?;
            let message = format!("DDL {} is done everywhere, but {difference}", job.id);
            return Err(SqlError::new(Code::Unknown, message).into());
        }
        let warning = |(_, difference): (usize, String)| ("Warning".to_owned(), 1105, difference);
        total.defined.warnings.extend(differences.into_iter().map(warning));
        record::remove(&mut self.metadata, job.id).await?;
        let mut done = total.defined();
        done.written = self.conns.iter_mut().map(|(group, (_, conn))| (group.clone(), conn.take_gtid())).collect();
        Ok(done)
    }

    async fn note(&mut self, job: &mut Job, at: usize, state: State, error: &str) -> Result<(), SqlError> {
        job.steps[at].state = state;
        error.clone_into(&mut job.steps[at].error);
        record::note(&mut self.metadata, job.id, at, state, error).await
    }

    async fn step(
        &mut self,
        client: &mut Link,
        job: &Job,
        at: usize,
        total: &mut Total,
        patience: &mut Patience<'_>,
    ) -> Result<(), Stop> {
        let step = &job.steps[at];
        let (server, conn) = self.conn(&step.group, &step.database).await?;
        let thread = conn.thread_id;
        let told = |error: BackendError, patience: &Patience<'_>| match error {
            BackendError::Server(error) => {
                let error = patience.explain(error);
                Stop::Error(SqlError { message: step.told(&error.message, job), ..error })
            }
            error => Stop::Lost(error.to_client(&server.name)),
        };
        let answer = patience.watch(client, server, thread, ask(conn, com::QUERY, &step.sql)).await?;
        let answer = answer.map_err(|error| told(error, patience))?;
        let mut warnings = Vec::new();
        if answer.warnings > 0 {
            let asked = conn.query("SHOW WARNINGS").await.unwrap_or_default();
            for row in 0..asked.rows.len() {
                let message = asked.text(row, 2).unwrap_or_default();
                warnings.push((
                    asked.text(row, 0).unwrap_or_default(),
                    asked.text(row, 1).and_then(|code| code.parse().ok()).unwrap_or(0),
                    step.told(&message, job),
                ));
            }
        }
        total.add(&answer, warnings);
        Ok(())
    }

    /// How tables differ from those of the first place; what cannot be asked is no difference.
    async fn differences(&mut self, job: &Job) -> Vec<(usize, String)> {
        let mut seen = BTreeMap::new();
        let mut first = BTreeMap::new();
        let mut found = Vec::new();
        for (at, step) in job.steps.iter().enumerate() {
            for (name, logical) in &step.tables {
                let key = (step.group.clone(), name.schema.clone());
                if !seen.contains_key(&key) {
                    let Ok((_, conn)) = self.conn(&step.group, &step.database).await else { continue };
                    let Ok(tables) = schema::tables(conn, &name.schema).await else { continue };
                    seen.insert(key.clone(), tables);
                }
                let tables = seen.get(&key).into_iter().flatten();
                let info = tables.into_iter().find(|(table, _)| table.eq_ignore_ascii_case(&name.table));
                let info = info.map(|(_, info)| info.clone());
                let (place, other) = first.entry(logical.clone()).or_insert_with(|| (step.place(), info.clone()));
                let differences = match (&*other, &info) {
                    (Some(other), Some(info)) => other.differences(info),
                    (None, None) => Vec::new(),
                    (Some(_), None) => vec!["it is missing".to_owned()],
                    (None, Some(_)) => vec!["it is there".to_owned()],
                };
                let told = |difference| {
                    (at, format!("{}.{logical} at {} differs from {place}: {difference}", job.schema, step.place()))
                };
                found.extend(differences.into_iter().map(told));
            }
        }
        found
    }
}

/// The foreign keys to tables of a schema: the table that refers, and the name of the other.
async fn references(conn: &mut Conn, schema: &str) -> Result<Vec<(PhysicalName, String)>, BackendError> {
    let sql = format!(
        "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, REFERENCED_TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS \
         WHERE UNIQUE_CONSTRAINT_SCHEMA = {}",
        metadata::literal(schema)
    );
    let found = conn.query(&sql).await?;
    let text = |row: usize, column: usize| found.text(row, column).unwrap_or_default();
    let one = |row: usize| (PhysicalName::new(text(row, 0), text(row, 1)), text(row, 2));
    Ok((0..found.rows.len()).map(one).collect())
}

async fn ask(conn: &mut Conn, command: u8, body: &[u8]) -> Result<Answer, BackendError> {
    conn.send(command, body);
    conn.link.flush().await?;
    conn.read_answer().await
}

/// The record could not follow what happened; who resumes will look at the place itself.
fn told_late(job: &Job, noted: Result<(), SqlError>) {
    if let Err(error) = noted {
        tracing::warn!(%error, ddl = job.id, "the record could not be brought up to date");
    }
}

/// The cause, and what was done where; the number is the cause's.
fn half_done(job: &Job, at: usize, cause: SqlError) -> SqlError {
    let some = |places: Vec<String>| match places.len() {
        0 => "nowhere".to_owned(),
        many if many > PLACES => format!("{} and {} more", places[..PLACES].join(", "), many - PLACES),
        _ => places.join(", "),
    };
    let id = job.id;
    let place = job.steps[at].place();
    let what = if job.steps[at].state == State::Failed { "refused" } else { "of unknown outcome" };
    let message = format!(
        "{}; DDL {id} is half done: done at {}, {what} at {place}, not tried at {}; SHARDLOOM DDL RESUME {id} goes on, \
         SHOW SHARDLOOM DDL tells more",
        cause.message,
        some(job.in_state(&[State::Done])),
        some(job.in_state(&[State::Waiting])),
    );
    SqlError { message, ..cause }
}

/// What all places told, as one server would.
struct Total {
    copies: bool,
    places: usize,
    defined: Defined,
    records: u64,
    duplicates: u64,
    sentence: bool,
}

impl Total {
    fn new(copies: bool) -> Total {
        Total { copies, places: 0, defined: Defined::default(), records: 0, duplicates: 0, sentence: false }
    }

    fn add(&mut self, told: &Answer, warnings: Vec<Warning>) {
        let number = |label: &str| -> Option<u64> {
            told.info.split(label).nth(1)?.trim_start().split(' ').next()?.parse().ok()
        };
        // All shards warn of the same: each thing is told as often as the place that told it most often.
        for warning in &warnings {
            let here = warnings.iter().filter(|other| *other == warning).count();
            let known = self.defined.warnings.iter().filter(|other| *other == warning).count();
            if known < here {
                self.defined.warnings.push(warning.clone());
            }
        }
        if !self.copies || self.places == 0 {
            self.defined.affected_rows += told.affected_rows;
            self.records += number("Records:").unwrap_or(0);
            self.duplicates += number("Duplicates:").unwrap_or(0);
            self.sentence |= number("Records:").is_some();
        }
        self.places += 1;
    }

    fn defined(mut self) -> Defined {
        if self.sentence {
            self.defined.info = format!(
                "Records: {}  Duplicates: {}  Warnings: {}",
                self.records,
                self.duplicates,
                self.defined.warnings.len()
            );
        }
        self.defined
    }
}
