//! LOAD DATA LOCAL INFILE into several targets: the client's file is cut into lines, and what belongs to a target is
//! loaded there by LOAD DATA statements of some hundred kilobytes, all groups at the same time, in one transaction.
//! The bytes of a line are passed on as they are: what a field becomes in its column is the server's business.
//!
//! ```text
//! client --packets--> File --lines--> Pending for each target --Part--> Lane of each group: one statement at a time
//! ```
//!
//! It holds no more than `memory` bytes: above that the client is not read from until a server has taken its part.

mod conditions;
mod file;
mod lane;
mod lines;
pub mod made;
mod tally;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use crate::backend::conn::BackendError;
use crate::error::{Code, SqlError};
use crate::exec::Place;
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::load::conditions::{Condition, Conditions, Numbers};
use crate::exec::load::file::{File, Mark, Next};
use crate::exec::load::lane::{Asked, Asking, Done, Lane, LaneState, Part, load_part, poll_lanes};
use crate::exec::load::lines::{Pending, ROW};
use crate::exec::load::made::{Block, Maker};
use crate::exec::load::tally::{Sum, Tally};
use crate::exec::names::Naming;
use crate::exec::variables::UserVariable;
use crate::exec::whole::{self, Whole, may_span};
use crate::plan::load::{Destination, Encoding, Load, RowId};
use crate::plan::made::{with_id, with_id_at};
use crate::plan::{Bound, Target};
use crate::rules::id::IdKind;
use crate::rules::{Family, GroupId};
use crate::txn::{Access, Txn};
use crate::value::delimited::Field;
use crate::wire::link::Link;
use crate::wire::reply::LOCAL_INFILE;

/// How long a server may take to end its part after another one has failed, or after it was told to.
const SETTLE: Duration = Duration::from_secs(30);
/// Into how many parts the memory is divided: a target's lines are sent when they are one of them.
const PARTS: usize = 16;
/// A load that several targets have a part in.
pub struct Loading<'a> {
    /// The statement.
    pub bound: &'a Bound<'a>,
    /// How it is split.
    pub load: &'a Load,
    /// All targets that lines can go to, sorted.
    pub targets: &'a [Target],
    /// The family of its table, if it is sharded.
    pub family: Option<&'a Family>,
    /// Statements outside of a transaction commit themselves.
    pub autocommit: bool,
    /// The statement that gives all rows the same time, and all servers.
    pub clock: Option<String>,
    /// Who makes the ids of rows that bring none along, where there is a column of them.
    pub maker: Option<Maker<'a>>,
    /// Whether 0 is an id like any other (`NO_AUTO_VALUE_ON_ZERO`).
    pub zero_is_id: bool,
    /// Whether an id that a row brings along may be stored.
    pub may_store: &'a (dyn Fn(u64) -> Result<(), SqlError> + Sync),
    /// The user variables that it names.
    pub variables: &'a [String],
    /// Bytes that it may hold.
    pub memory: usize,
    /// How long the client may say nothing while its file is waited for.
    pub patience: Duration,
}

/// What a load did.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Rows added, and rows that gave way to others.
    pub affected_rows: u64,
    /// The sentence of the OK packet.
    pub info: String,
    /// How many warnings there are.
    pub warnings: u64,
    /// The first of them, in the order of the file.
    pub conditions: Vec<Condition>,
    /// User variables as the last row left them.
    pub variables: Vec<UserVariable>,
    /// The first number that was made for a row.
    pub made_id: Option<u64>,
}

/// Runs the statement; what it did is for the caller to tell the client.
///
/// Outside of a transaction it has one of its own, or with `commit=` one after the other. Inside, a savepoint makes the
/// statement atomic.
///
/// # Errors
/// Why nothing was loaded, or with `commit=` how much was.
pub async fn run(
    client: &mut Link,
    txn: &mut Txn,
    loading: &Loading<'_>,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
) -> Result<Loaded, Stop> {
    may_span(txn, loading.targets, place)?;
    let mut run = Run::new(loading);
    loop {
        let portion = run.transaction(client, txn, place, patience).await;
        if let Err(stop @ (Stop::Error(_) | Stop::Lost(_))) = portion {
            run.drain(client, patience).await?;
            return Err(run.explained(stop));
        }
        portion?;
        if run.file.is_over() {
            return Ok(run.loaded()?);
        }
    }
}

/// One load on its way.
struct Run<'a> {
    loading: &'a Loading<'a>,
    file: File,
    /// Lines that were cut and not sent, of each target.
    pending: Vec<Pending>,
    lanes: Vec<Lane<'a>>,
    /// Bytes in `pending` and on their way.
    held: usize,
    /// Told by the servers before the file was asked for.
    facts: Option<Facts>,
    tally: Tally,
    conditions: Conditions,
    /// Of the part with the last row so far: its number, and the user variables it left.
    last: (u64, Vec<UserVariable>),
    /// The first rows of the file that are committed, with the lines that they are to IGNORE.
    committed: Mark,
    /// The row at which a server has failed.
    failed_at: Option<u64>,
    fields: Vec<Field>,
    /// Ids for the next rows.
    ids: Block,
    /// The next row needs an id.
    wants_id: bool,
    /// Ids of rows that were cut, which their counter has to know before they are sent.
    given: Vec<u64>,
}

/// What the servers told.
struct Facts {
    encoding: Encoding,
    charset: String,
    /// Warnings that the statement has whatever its file holds.
    warnings: Conditions,
}

impl<'a> Run<'a> {
    fn new(loading: &'a Loading<'a>) -> Run<'a> {
        let file = File::new(loading.load.ignored);
        Run {
            loading,
            pending: loading.targets.iter().map(|_| Pending::default()).collect(),
            lanes: Vec::new(),
            held: 0,
            facts: None,
            tally: Tally::default(),
            conditions: Conditions::default(),
            last: (0, Vec::new()),
            committed: file.cut,
            file,
            failed_at: None,
            fields: Vec::new(),
            ids: Block::new(),
            wants_id: loading.load.made.as_ref().is_some_and(|made| made.field.is_none()),
            given: Vec::new(),
        }
    }

    /// One transaction, or a part of the client's: all of the file, or with `commit=` the next rows of it.
    async fn transaction(
        &mut self,
        client: &mut Link,
        txn: &mut Txn,
        place: Place<'_, '_>,
        patience: &mut Patience<'_>,
    ) -> Result<(), Stop> {
        let whole = Whole::begin(txn, self.loading.autocommit);
        let mut outcome = self.lease(txn, place, whole).await;
        if outcome.is_ok() {
            outcome = self.load(client, place, patience).await;
        }
        let reached: Vec<GroupId> = self.lanes.iter().map(|lane| lane.group).collect();
        self.give_back(txn, &outcome).await;
        let ledger = place(self.loading.targets[0].group).1.ledger;
        whole.end(txn, &reached, outcome, ledger, patience).await?;
        self.committed = self.file.cut;
        Ok(())
    }

    /// Takes a connection of each group, in the order of the groups, so that loads cannot wait for each other in a
    /// circle.
    async fn lease(&mut self, txn: &mut Txn, place: Place<'_, '_>, whole: Whole) -> Result<(), Stop> {
        for (number, target) in self.loading.targets.iter().enumerate() {
            if let Some(lane) = self.lanes.last_mut().filter(|lane| lane.group == target.group) {
                lane.targets.push_back(number);
                continue;
            }
            let (group, wanted) = place(target.group);
            let mut lease = txn.lease(target.group, group, Access::Write, &wanted).await?;
            txn.wrote(target.group);
            whole.mark(&mut lease);
            if let Some(clock) = &self.loading.clock {
                lease.send_prelude(clock.as_bytes());
            }
            let lane = Lane { group: target.group, targets: VecDeque::from([number]), state: LaneState::Idle(lease) };
            self.lanes.push(lane);
        }
        Ok(())
    }

    async fn load(&mut self, client: &mut Link, place: Place<'_, '_>, patience: &mut Patience<'_>) -> Result<(), Stop> {
        if !self.file.asked {
            let name = self.prepare(client, place, patience).await?;
            client.push_with(|out| {
                out.push(LOCAL_INFILE);
                out.extend_from_slice(&name);
            });
            self.file.asked = true;
            patience.write(client.flush()).await?;
        }
        let mut outcome = self.stream(client, patience).await;
        if outcome.is_ok() {
            // Before anything is committed.
            outcome = self.tally.total().and_then(|sum| self.is_numbered(sum)).map_err(Stop::Error);
        }
        match outcome {
            Err(stop @ (Stop::Error(_) | Stop::Lost(_))) => Err(self.settle_down(stop, patience).await),
            outcome => outcome,
        }
    }

    /// Asks each group what decides how the file is read, and has the first target load an empty file: whatever is wrong
    /// with the statement is known before the client is asked for its file, as from one server. Gives the file's name.
    async fn prepare(
        &mut self,
        client: &mut Link,
        place: Place<'_, '_>,
        patience: &mut Patience<'_>,
    ) -> Result<Vec<u8>, Stop> {
        let mut asked: Option<(String, usize)> = None;
        for lane in &mut self.lanes {
            let told = lane.ask(client, patience, Asked::Facts).await?;
            let Asking::Facts { charset, conditions } = told else { continue };
            match &asked {
                Some((known, _)) if *known != charset => {
                    return Err(SqlError::refuse(format!(
                        "the groups have other default character sets for this schema ({known}, {charset}): say that \
                         of the file by CHARACTER SET"
                    ))
                    .into());
                }
                _ => asked = Some((charset, conditions)),
            }
        }
        let (default, most) = asked.unwrap_or_default();
        let charset = self.loading.load.charset.as_deref().unwrap_or(&default).to_owned();
        let Some(encoding) = Encoding::of(&charset) else {
            return Err(SqlError::refuse(format!(
                "a file in {charset}, in which bytes of longer characters may look like separators: load it in utf8mb4 \
                 or in a character set of one byte a character"
            ))
            .into());
        };
        self.conditions = Conditions::new(most);
        let target = self.loading.targets[0];
        let text = self.text(0);
        let Some(first) = self.lanes.first_mut() else { return Ok(Vec::new()) };
        let told = first.ask(client, patience, Asked::Empty(text)).await;
        let server = place(target.group).0.name.clone();
        let told = told.map_err(|stop| match stop {
            Stop::Error(error) => Stop::Error(disabled(Naming::Of(self.loading.bound, target).error(error), &server)),
            stop => stop,
        })?;
        let Asking::Empty { name, warnings } = told else { return Ok(Vec::new()) };
        let naming = Naming::Of(self.loading.bound, target);
        let mut standing = Conditions::new(most);
        standing.add(&warnings, 0, Numbers::none(), |message| naming.text(message));
        self.conditions.extend(&standing);
        self.tally.standing = standing.len() as u64;
        self.facts = Some(Facts { encoding, charset, warnings: standing });
        Ok(name)
    }

    /// The statement of a target.
    fn text(&self, target: usize) -> Vec<u8> {
        let mut text = Vec::new();
        self.loading.bound.render(self.loading.targets[target], &mut text);
        text
    }

    /// Cuts, sends and listens until all of the file is loaded, or the next rows that are to be committed are.
    async fn stream(&mut self, client: &mut Link, patience: &mut Patience<'_>) -> Result<(), Stop> {
        loop {
            self.cut()?;
            while self.wants_ids() {
                self.count_given().await?;
                let Some(maker) = &self.loading.maker else { break };
                self.ids.fill(maker).await?;
                self.cut()?;
            }
            self.count_given().await?;
            self.start();
            let is_running = self.lanes.iter().any(|lane| matches!(lane.state, LaneState::Running { .. }));
            let is_whole = self.file.is_over() || self.is_full();
            if is_whole && !is_running {
                return Ok(());
            }
            let reads = !self.file.ended && !self.is_full() && self.held < self.loading.memory;
            let lanes = &mut self.lanes;
            tokio::select! {
                biased;
                done = poll_fn(|context| poll_lanes(lanes, context)) => self.absorb(done, patience)?,
                stop = patience.interrupted() => {
                    self.kill();
                    return Err(stop);
                }
                packet = next_packet(client, self.loading.patience), if reads => {
                    self.file.receive(packet?);
                }
            }
        }
    }

    /// Tells the counter of the ids that rows have brought along.
    async fn count_given(&mut self) -> Result<(), SqlError> {
        match self.loading.maker.as_ref().filter(|_| !self.given.is_empty()) {
            Some(maker) => maker.ids.given(&maker.counted, &std::mem::take(&mut self.given)).await,
            None => Ok(()),
        }
    }

    /// Whether as many rows were cut as are to be committed together.
    fn is_full(&self) -> bool {
        self.loading.load.commit.is_some_and(|most| self.file.cut.rows - self.committed.rows >= most)
    }

    fn has_room(&self) -> bool {
        self.held < self.loading.memory && !self.is_full()
    }

    fn is_out_of_ids(&self) -> bool {
        self.wants_id && self.loading.maker.is_some() && self.ids.is_empty()
    }

    /// Whether rows are not cut because there are no ids for them.
    fn wants_ids(&self) -> bool {
        self.is_out_of_ids() && self.has_room() && !self.file.rest().is_empty()
    }

    /// That the first id that was made is the one that LAST_INSERT_ID() tells: its row came to be.
    fn is_numbered(&self, sum: Sum) -> Result<(), SqlError> {
        if self.ids.first.is_none() || sum.skipped == 0 {
            return Ok(());
        }
        let why = "LOAD DATA makes ids for rows of which servers leave some out (duplicates of another unique key, or rows \
                   that constraints keep out): LAST_INSERT_ID() would not be known. Nothing of them is stored";
        Err(SqlError::refuse(why))
    }

    /// Cuts what has come into lines, each for its target, as far as there is room.
    fn cut(&mut self) -> Result<(), SqlError> {
        let Some(encoding) = self.facts.as_ref().map(|facts| facts.encoding) else { return Ok(()) };
        while self.has_room() && !self.is_out_of_ids() {
            match self.file.next(self.loading.load, encoding, &mut self.fields) {
                Next::Line(bytes) => self.line(bytes, encoding)?,
                Next::Unsound => {
                    let charset = self.facts.as_ref().map_or("", |facts| facts.charset.as_str());
                    return Err(SqlError::refuse(format!(
                        "row {} of the file, or a line that is ignored before it, is no text in the file's character set \
                         ({charset}), and servers differ in where it ends",
                        self.file.cut.rows + 1
                    )));
                }
                Next::Nothing if self.file.rest().len() <= self.loading.memory => break,
                Next::Nothing => {
                    let message = format!(
                        "row {} of the file is longer than {} bytes (limits.load)",
                        self.file.cut.rows + 1,
                        self.loading.memory
                    );
                    return Err(SqlError::new(Code::PacketTooLarge, message));
                }
            }
        }
        Ok(())
    }

    /// Puts the line of so many bytes among those of its target, or of all.
    fn line(&mut self, bytes: usize, encoding: Encoding) -> Result<(), SqlError> {
        let row = self.file.cut.rows + 1;
        let refuse = |why: String| SqlError::refuse(format!("row {row} of the file: {why}"));
        let (load, mut line) = (self.loading.load, Cow::Borrowed(&self.file.rest()[..bytes]));
        match (&self.loading.maker, load.made.as_ref().map(|made| made.field)) {
            (Some(maker), Some(None)) => {
                let id = self.ids.take(maker)?;
                let with = with_id(&line, &id, &load.format);
                line =
                    Cow::Owned(with.ok_or_else(|| refuse("it does not begin as LINES STARTING BY says".to_owned()))?);
                self.fields.push(Field::Text(id));
            }
            (maker, made) => match (load.id(&self.fields, self.loading.zero_is_id).map_err(refuse)?, maker, made) {
                (RowId::Made, Some(_), _) if self.ids.is_empty() => {
                    self.wants_id = true;
                    return Ok(());
                }
                (RowId::Made, Some(maker), Some(Some(field))) => {
                    let id = self.ids.take(maker)?;
                    let with = with_id_at(&line, field, &id, &load.format);
                    line = Cow::Owned(with.ok_or_else(|| refuse("it has no field for its id".to_owned()))?);
                    let known = load.numbered.as_ref().and_then(|numbered| self.fields.get_mut(numbered.field));
                    known.into_iter().for_each(|known| *known = Field::Text(id.clone()));
                    self.wants_id = false;
                }
                (RowId::Made, ..) => return Err(refuse("nobody makes its id".to_owned())),
                (RowId::Given(Some(id)), ..) => {
                    (self.loading.may_store)(id).map_err(|error| refuse(error.message))?;
                    self.ids.skip(id);
                    if maker.as_ref().is_some_and(|maker| maker.made.kind == IdKind::Segment) {
                        self.given.push(id);
                    }
                }
                (RowId::Given(None), ..) => {}
            },
        }
        let shard = load.place(self.loading.family, &self.fields, encoding).map_err(refuse)?;
        for (target, pending) in self.loading.targets.iter().zip(&mut self.pending) {
            if shard.is_none() || target.shard == shard {
                pending.push(row, &line);
                self.held += line.len() + ROW;
            }
        }
        self.file.pass(bytes, load);
        Ok(())
    }

    /// Sends what is ready on connections that have nothing to do.
    fn start(&mut self) {
        let part = self.loading.memory / PARTS;
        let all = self.file.is_over() || self.file.stopped || self.is_full() || self.held >= self.loading.memory;
        for number in 0..self.lanes.len() {
            let lane = &mut self.lanes[number];
            if !matches!(lane.state, LaneState::Idle(_)) {
                continue;
            }
            let size = |target: &usize| self.pending[*target].data.len();
            let Some(target) = lane.targets.iter().copied().max_by_key(size) else { continue };
            if size(&target) == 0 || !(all || size(&target) >= part) {
                continue;
            }
            let lines = std::mem::take(&mut self.pending[target]);
            let text = self.text(target);
            let lane = &mut self.lanes[number];
            if let LaneState::Idle(lease) = std::mem::replace(&mut lane.state, LaneState::Lost(String::new())) {
                let variables = if self.loading.load.variables { self.loading.variables } else { &[] };
                let at = (lease.server().clone(), lease.thread_id);
                let part = load_part(lease, Part { target, lines }, text, variables, self.tally.standing);
                lane.state = LaneState::Running { part: Box::pin(part), at };
            }
        }
    }

    /// Takes note of what a server told of its part.
    fn absorb(&mut self, (lane, done): (usize, Done), patience: &Patience<'_>) -> Result<(), Stop> {
        let Done { lease, part, told } = done;
        self.held -= part.lines.size();
        let target = self.loading.targets[part.target];
        let naming = Naming::Of(self.loading.bound, target);
        let numbers = Numbers::of(&part.lines.rows);
        let told = match told {
            Ok(told) => told,
            Err(BackendError::Server(error)) if !lease.is_busy() => {
                self.lanes[lane].state = LaneState::Idle(lease);
                let (row, message) = numbers.in_file(&error.message);
                self.failed_at = row;
                return Err(Stop::Error(naming.error(patience.explain(SqlError { message, ..error }))));
            }
            Err(error) => {
                let error = error.to_client(&lease.server().name);
                self.lanes[lane].state = LaneState::Lost(error.message.clone());
                return Err(Stop::Lost(patience.explain(error)));
            }
        };
        self.lanes[lane].state = LaneState::Idle(lease);
        let copies = matches!(self.loading.load.to, Destination::Copies);
        self.tally.add(copies.then_some(lane), &told.answer, part.lines.rows.len() as u64)?;
        if !copies || lane == 0 {
            let standing = self.facts.as_ref().map_or(0, |facts| facts.warnings.len());
            self.conditions.add(&told.conditions, standing, numbers, |message| naming.text(message));
        }
        let row = part.lines.rows.last().map_or(0, |row| row.number);
        if row > self.last.0 {
            self.last = (row, told.variables);
        }
        Ok(())
    }

    /// Has the servers end what they do.
    fn kill(&self) {
        for lane in &self.lanes {
            if let LaneState::Running { at: (server, thread_id), .. } = &lane.state {
                server.kill_query(*thread_id);
            }
        }
    }

    /// After an error: waits for the parts that run, as the transaction goes on, and so must its connections. Has rows
    /// loaded that come before the one that failed: the first error in the file is the one that one server tells.
    async fn settle_down(&mut self, mut first: Stop, patience: &Patience<'_>) -> Stop {
        let settled = async {
            let mut before = self.failed_at.take();
            loop {
                self.pending.iter_mut().for_each(|pending| pending.cut_off(before.unwrap_or(0)));
                self.file.stopped = true;
                self.start();
                let is_running = |lane: &Lane<'_>| matches!(lane.state, LaneState::Running { .. });
                if !self.lanes.iter().any(is_running) {
                    return;
                }
                let lanes = &mut self.lanes;
                let done = poll_fn(|context| poll_lanes(lanes, context)).await;
                let failed = self.absorb(done, patience);
                if let (Err(stop), Some(row)) = (failed, self.failed_at.take())
                    && before.is_some_and(|before| row < before)
                {
                    (first, before) = (stop, Some(row));
                }
            }
        };
        if tokio::time::timeout(SETTLE, settled).await.is_err() {
            for lane in &mut self.lanes {
                if matches!(lane.state, LaneState::Running { .. }) {
                    lane.state = LaneState::Lost("a server did not end its part of the statement".to_owned());
                }
            }
        }
        first
    }

    /// Gives the connections back to the transaction.
    async fn give_back(&mut self, txn: &mut Txn, outcome: &Result<(), Stop>) {
        let gone = matches!(outcome, Err(Stop::Client(_) | Stop::Killed));
        for lane in std::mem::take(&mut self.lanes) {
            match lane.state {
                LaneState::Idle(lease) if !gone => {
                    whole::give_back(txn, lane.group, lease, self.loading.clock.is_some()).await;
                }
                LaneState::Lost(why) => txn.lost(lane.group, why),
                LaneState::Idle(_) | LaneState::Running { .. } => txn.lost(lane.group, "the client left".to_owned()),
            }
        }
    }

    /// Reads the rest of the file, which the client sends before it listens.
    async fn drain(&mut self, client: &mut Link, patience: &mut Patience<'_>) -> Result<(), Stop> {
        while self.file.asked && !self.file.ended {
            tokio::select! {
                biased;
                stop = patience.interrupted() => if let Stop::Killed = stop { return Err(stop) },
                packet = next_packet(client, self.loading.patience) => self.file.ended = packet?.is_empty(),
            }
        }
        Ok(())
    }

    /// The error with what is stored nevertheless.
    fn explained(&self, stop: Stop) -> Stop {
        let Some(_) = self.loading.load.commit else { return stop };
        let stored = match self.committed {
            Mark { rows: 0, .. } => "no row of the file is stored".to_owned(),
            Mark { rows, lines: Some(lines) } => {
                format!("the first {rows} rows of the file are stored: go on with IGNORE {lines} LINES")
            }
            Mark { rows, lines: None } => {
                format!("the first {rows} rows of the file are stored, which are not lines that IGNORE counts")
            }
        };
        let with = |error: SqlError| SqlError { message: format!("{} ({stored})", error.message), ..error };
        match stop {
            Stop::Error(error) => Stop::Error(with(error)),
            Stop::Lost(error) => Stop::Lost(with(error)),
            stop => stop,
        }
    }

    fn loaded(self) -> Result<Loaded, SqlError> {
        let total = self.tally.total()?;
        Ok(Loaded {
            affected_rows: total.affected_rows,
            info: total.info(),
            warnings: total.warnings,
            conditions: self.conditions.in_order(),
            variables: self.last.1,
            made_id: self.ids.first,
        })
    }
}

/// The next packet of the file; empty: it is over.
async fn next_packet(client: &mut Link, limit: Duration) -> Result<&[u8], Stop> {
    match tokio::time::timeout(limit, client.read_packet()).await {
        Ok(Ok(Some(packet))) => Ok(client.payload(&packet)),
        Ok(Ok(None)) => Err(Stop::Client(io::ErrorKind::UnexpectedEof.into())),
        Ok(Err(error)) => Err(Stop::Client(io::Error::other(error))),
        Err(_) => Err(Stop::Client(io::ErrorKind::TimedOut.into())),
    }
}

/// The error with what to do, if it is that of a server that takes no files from clients.
fn disabled(error: SqlError, group: &str) -> SqlError {
    match error.errno {
        3948 | 4166 | 1148 => SqlError {
            message: format!("{} (on {group}: SET GLOBAL local_infile = 1, on every server of it)", error.message),
            ..error
        },
        _ => error,
    }
}
