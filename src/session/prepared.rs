//! Prepared statements of the binary protocol: numbers of our own, metadata from a server, and a route at
//! each execution by its parameters. What is prepared on which server is for `exec` to know.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use crate::backend::statements::UNTYPED;
use crate::error::{Code, SqlError};
use crate::exec::ask::Ask;
use crate::exec::gather;
use crate::exec::interrupt::Stop;
use crate::exec::names::Naming;
use crate::exec::outcome::Outcome;
use crate::exec::relay::{Style, relay};
use crate::exec::spool::Spooled;
use crate::exec::variables::doubt_variables;
use crate::plan::bind::Binding;
use crate::plan::gather::Gather;
use crate::plan::{Answer, Bound, Plan, Planned, Route, Target};
use crate::rules::GroupId;
use crate::session::query::Understood;
use crate::session::topology::Topology;
use crate::session::typing::Given;
use crate::session::{Flow, OpenCursor, Session};
use crate::sql::head::{Head, Show, ShowKind};
use crate::sql::scan::{Scan, scan};
use crate::sql::{Facts, Flavour, literal};
use crate::txn::{Access, Pin};
use crate::value::Datum;
use crate::value::moment::Moment;
use crate::wire::capabilities::{Capabilities, Status};
use crate::wire::column::ColumnDef;
use crate::wire::command::{Execute, com};
use crate::wire::reply::{EofPacket, OkPacket, PrepareOk};
use crate::wire::response::Kind;
use crate::wire::statement::{Param, ParamType, decode_params};
use crate::wire::value::Value;

/// Queued bytes beyond which the client is written to.
const FLUSH_AT: usize = 16 << 10;

/// The prepared statements of a session.
#[derive(Default)]
pub struct Prepared {
    /// None: it is taken out while it runs.
    statements: BTreeMap<u32, Option<Box<Statement>>>,
    /// The numbers of those that were prepared by SQL text, by their lower-case names.
    pub(super) names: BTreeMap<String, u32>,
    next: u32,
}

/// One prepared statement.
pub(super) struct Statement {
    pub(super) sql: Arc<[u8]>,
    pub(super) scan: Scan,
    /// The meaning of its text, as of its preparation.
    pub(super) facts: Facts,
    pub(super) schema: Option<Arc<str>>,
    pub(super) params: u16,
    /// What its parameters have been so far.
    pub(super) given: Vec<Given>,
    /// Types of the parameters, as the client sent them last.
    types: Vec<ParamType>,
    /// Values sent ahead.
    long_data: HashMap<u16, Vec<u8>>,
    /// An error of sending ahead, told at the next execution.
    long_error: Option<SqlError>,
    cursor: Option<OpenCursor>,
}

impl Session {
    /// COM_STMT_PREPARE.
    pub(super) async fn prepare(&mut self, sql: &[u8]) -> Flow {
        self.begins(Instant::now());
        let outcome = self.prepare_statement(sql).await;
        match self.finish(outcome.map(drop)) {
            Ok(()) => Flow::Next,
            Err(flow) => flow,
        }
    }

    /// Prepares a statement and tells the client as COM_STMT_PREPARE does; none if a server refused it, which the
    /// client was told.
    pub(super) async fn prepare_statement(&mut self, sql: &[u8]) -> Result<Option<u32>, Stop> {
        let limit = self.proxy.config.limits.prepared_per_session;
        if self.prepared.statements.len() >= limit as usize {
            let message =
                format!("Can't create more than limits.prepared_per_session statements (current value: {limit})");
            return Err(SqlError { errno: 1461, state: *b"42000", message }.into());
        }
        let mut found = Scan::default();
        scan(sql, self.facts, self.proxy.seed, &mut found)?;
        if let Some(at) = found.rest {
            return Err(crate::sql::syntax_error(sql, at as usize).into());
        }
        let sql: Arc<[u8]> = sql[..found.end as usize].into();
        let params = u16::try_from(found.params.len())
            .map_err(|_| SqlError::new(Code::TooManyParams, "Prepared statement contains too many placeholders"))?;
        let topology = self.topology();
        let id = self.prepared.free_number();
        let planned = match self.understand(&sql, &found, &topology)? {
            Understood::Plan(planned) => planned,
            // The session answers these itself, but servers know which of them can be prepared, and their columns.
            Understood::Head(head) => {
                if is_known_to_servers(&head) {
                    let target = Target { group: self.any_group(&topology), shard: None };
                    if !self.describe_at(id, &topology, target, Naming::Same, (&sql, true)).await? {
                        return Ok(None);
                    }
                } else {
                    self.put_head(id, params, 0);
                }
                self.keep(id, sql, found, params);
                return Ok(Some(id));
            }
        };
        if let Plan::Refuse(refusal) = &planned.plan {
            return Err(refusal.clone().into());
        }
        self.may_touch(&planned)?;
        if let Plan::Load(_) = &planned.plan {
            // MariaDB takes it.
            let message = "This command is not supported in the prepared statement protocol yet".to_owned();
            return Err(match self.facts.flavour {
                Flavour::MySql => SqlError { errno: 1295, state: *b"HY000", message },
                Flavour::MariaDb => SqlError::refuse("LOAD DATA as a prepared statement: send it as text"),
            }
            .into());
        }
        if let Plan::Carry(carry) = &planned.plan {
            if self.facts.flavour == Flavour::MySql {
                // MariaDB looks for them when it runs.
                self.check_carried(&topology, &planned, carry)?;
            }
            // No server has all tables of it, and it has no columns to be described.
            self.put_head(id, params, 0);
            self.keep(id, sql, found, params);
            return Ok(Some(id));
        }
        let in_steps = planned.ahead().is_some() || planned.joined().is_some();
        let sample = in_steps.then(|| Binding::new(&planned, &topology.rules, &sql, &found, &[]).sample());
        let steps = matches!(sample, Some(Ok(Bound { answer: Answer::Ahead(_) | Answer::Joined(_), .. })));
        if planned.computed().is_some() || planned.singly().is_some() || steps {
            // Likewise.
            self.put_head(id, params, 0);
            self.keep(id, sql, found, params);
            return Ok(Some(id));
        }
        if !self.describe(id, &topology, &planned, &sql, &found).await? {
            return Ok(None);
        }
        self.keep(id, sql, found, params);
        Ok(Some(id))
    }

    /// Has a server prepare the statement, and passes its description on under our number. `false` if the
    /// server refused, which the client was told.
    async fn describe(
        &mut self,
        id: u32,
        topology: &Topology,
        planned: &Planned,
        sql: &[u8],
        scan: &Scan,
    ) -> Result<bool, Stop> {
        let bound = Binding::new(planned, &topology.rules, sql, scan, &[]).sample()?;
        if let Answer::Gather(gather) = bound.answer {
            return self.describe_gather(id, topology, planned, &bound, gather).await;
        }
        let target = match &bound.route {
            Route::One(target) => *target,
            Route::Many(targets) => targets[0],
            Route::Any => Target { group: self.any_group(topology), shard: None },
        };
        if planned.effects.temporary_table || !self.temporary.is_empty() {
            self.may_see_temporary(planned, target.group)?;
        }
        let mut text = Vec::new();
        bound.render(target, &mut text);
        let text = (&*text, planned.effects.sets_variables);
        self.describe_at(id, topology, target, Naming::Of(&bound, target), text).await
    }

    /// The same for the text that a target is to prepare, and whether it may set user variables.
    async fn describe_at(
        &mut self,
        id: u32,
        topology: &Topology,
        target: Target,
        naming: Naming<'_>,
        (text, assigns): (&[u8], bool),
    ) -> Result<bool, Stop> {
        let wanted = self.needs.wanted(topology, target.group);
        let group = topology.group(target.group);
        // Describing has no part in a transaction, but must see what it has: temporary tables.
        let held = self.txn.holds(target.group);
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        let client = &mut self.client;
        let mut lease = match held {
            true => {
                let lease = pin!(self.txn.lease(target.group, group, Access::Primary, &wanted));
                patience.reach(client, true, lease).await??
            }
            false => {
                let lease = pin!(self.txn.side_lease(target.group, group, Access::Primary, &wanted));
                patience.reach(client, false, lease).await??
            }
        };
        lease.send(com::STMT_PREPARE, text);
        let style = Style {
            capabilities: self.capabilities,
            add: Status::default(),
            naming,
            definitions: &[],
            statement: Some(id),
            insert_id: None,
        };
        let outcome = relay(&mut self.client, &mut lease, Kind::Prepare, &mut patience, &style).await;
        match outcome {
            Ok(outcome) => {
                if let Some(prepared) = outcome.prepared {
                    lease.remember_prepared(text, UNTYPED, prepared);
                }
                if assigns {
                    doubt_variables(&mut lease, text, self.facts);
                }
                self.prepared_badly(&outcome);
                if held {
                    self.txn.settle(target.group, lease);
                }
                Ok(outcome.error.is_none())
            }
            Err(stop) => {
                self.give_up(target.group, lease, !held, &stop);
                Err(stop)
            }
        }
    }

    /// The same over empty copies of the tables, where no server has them all.
    async fn describe_gather(
        &mut self,
        id: u32,
        topology: &Topology,
        planned: &Planned,
        bound: &Bound<'_>,
        gather: &Gather,
    ) -> Result<bool, Stop> {
        let gathering = self.gathering(planned, bound, gather)?;
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        let needs = &self.needs;
        let place = |id: GroupId| (topology.group(id), needs.wanted(topology, id));
        let mut lease = gather::describe(&mut self.client, &mut self.txn, &gathering, &place, &mut patience).await?;
        let target = Target { group: gathering.gathered.group, shard: None };
        let mut text = Vec::new();
        bound.render(target, &mut text);
        let naming = Naming::Of(bound, target);
        lease.send(com::STMT_PREPARE, &text);
        let style = Style {
            capabilities: self.capabilities,
            add: Status::default(),
            naming,
            statement: Some(id),
            insert_id: None,
            definitions: &[],
        };
        let outcome = relay(&mut self.client, &mut lease, Kind::Prepare, &mut patience, &style).await?;
        if let Some(prepared) = outcome.prepared {
            lease.close_statement(prepared.id);
        }
        gather::clear(&mut lease, &gathering).await;
        self.prepared_badly(&outcome);
        Ok(outcome.error.is_none())
    }

    /// What a PREPARE that a server refused leaves, as any statement that fails.
    fn prepared_badly(&mut self, outcome: &Outcome) {
        if let Some(error) = &outcome.error {
            self.diagnostics.fail(error);
            self.row_count = -1;
        }
    }

    /// COM_STMT_EXECUTE.
    pub(super) async fn execute(&mut self, execute: Execute<'_>) -> Flow {
        let Some(mut statement) = self.prepared.take(execute.statement) else {
            self.error(&unknown(execute.statement, "mysqld_stmt_execute"));
            return Flow::Next;
        };
        self.close_cursor(&mut statement);
        let flow = self.execute_statement(&mut statement, &execute).await;
        self.prepared.put_back(execute.statement, statement);
        flow
    }

    async fn execute_statement(&mut self, statement: &mut Statement, execute: &Execute<'_>) -> Flow {
        // What was sent ahead is for one execution, whatever becomes of it.
        let long_data = std::mem::take(&mut statement.long_data);
        if let Some(error) = statement.long_error.take() {
            self.error(&error);
            return Flow::Next;
        }
        let mut params: Vec<Param<'_>> = Vec::new();
        let ahead = |i: usize| long_data.get(&(i as u16)).map(Vec::as_slice);
        let count = usize::from(statement.params);
        if decode_params(execute, count, &mut statement.types, ahead, &mut params).is_err() {
            self.error(&SqlError::new(Code::WrongArguments, "Incorrect arguments to mysqld_stmt_execute"));
            return Flow::Next;
        }
        let args: Vec<Datum<'_>> = match params.iter().map(|param| datum(param.value, statement.facts)).collect() {
            Some(args) => args,
            None => {
                self.error(&SqlError::new(Code::WrongArguments, "A parameter is not text in character_set_client"));
                return Flow::Next;
            }
        };
        let given = params.iter().map(Given::of_param);
        if let Err(error) = self.reads_alike(statement).and_then(|()| self.keeps_types(statement, given, &args)) {
            self.error(&error);
            return Flow::Next;
        }
        let before = self.as_prepared(statement);
        let ask = Ask::Execute { params: &params, flags: execute.flags };
        let outcome = self.statement(&statement.sql, &statement.scan, ask, &args, Status::default()).await;
        self.as_now(statement, before);
        statement.cursor = self.cursor.take();
        match outcome {
            Ok(()) => Flow::Next,
            Err(flow) => flow,
        }
    }

    /// The text means what it meant when it was prepared, whatever the session has set since; what it has is returned.
    pub(super) fn as_prepared(&mut self, statement: &Statement) -> (Facts, Option<Arc<str>>) {
        let facts = std::mem::replace(&mut self.facts, statement.facts);
        (facts, std::mem::replace(&mut self.needs.schema, statement.schema.clone()))
    }

    /// Back to what the session had set, unless the statement itself has changed it (SET, USE).
    pub(super) fn as_now(&mut self, statement: &Statement, (facts, schema): (Facts, Option<Arc<str>>)) {
        if self.facts == statement.facts {
            self.facts = facts;
        }
        if self.needs.schema == statement.schema {
            self.needs.schema = schema;
        }
    }

    /// COM_STMT_SEND_LONG_DATA; has no answer, so an error waits for the execution.
    pub(super) fn long_data(&mut self, id: u32, param: u16, data: &[u8]) {
        let limit = self.proxy.config.limits.packet;
        let Some(statement) = self.prepared.get_mut(id) else { return };
        if param >= statement.params {
            let error = SqlError::new(Code::WrongArguments, "Incorrect arguments to mysqld_stmt_send_long_data");
            statement.long_error.get_or_insert(error);
            return;
        }
        let held: usize = statement.long_data.values().map(Vec::len).sum();
        if held + data.len() > limit {
            let message = "Parameter of prepared statement which is set through mysql_send_long_data() is longer than \
                           'max_allowed_packet' bytes";
            statement.long_error.get_or_insert(SqlError::new(Code::Unknown, message));
            return;
        }
        statement.long_data.entry(param).or_default().extend_from_slice(data);
    }

    /// COM_STMT_CLOSE; has no answer.
    pub(super) fn close_statement(&mut self, id: u32) {
        if let Some(mut statement) = self.prepared.remove(id) {
            self.close_cursor(&mut statement);
        }
    }

    /// COM_STMT_RESET.
    pub(super) fn reset_statement(&mut self, id: u32) -> Result<(), SqlError> {
        let Some(mut statement) = self.prepared.take(id) else {
            return Err(unknown(id, "mysqld_stmt_reset"));
        };
        self.close_cursor(&mut statement);
        statement.long_data.clear();
        statement.long_error = None;
        self.prepared.put_back(id, statement);
        Ok(())
    }

    /// COM_STMT_FETCH.
    pub(super) async fn fetch(&mut self, id: u32, rows: u32) -> Flow {
        self.begins(Instant::now());
        let Some(statement) = self.prepared.get_mut(id) else {
            self.error(&unknown(id, "mysqld_stmt_fetch"));
            return Flow::Next;
        };
        let outcome = match statement.cursor.take() {
            None => {
                let message = format!("The statement ({id}) has no open cursor.");
                Err(SqlError::new(Code::NoCursor, message).into())
            }
            Some(OpenCursor::Spooled(spooled)) => self.fetch_spooled(id, spooled, rows).await,
            Some(OpenCursor::Server { group, statement }) => self.fetch_from(id, group, statement, rows).await,
        };
        match self.finish(outcome) {
            Ok(()) => Flow::Next,
            Err(flow) => flow,
        }
    }

    /// Rows that are held here.
    async fn fetch_spooled(&mut self, id: u32, mut spooled: Spooled, rows: u32) -> Result<(), Stop> {
        let mut row = Vec::new();
        let mut left = rows;
        while left > 0 {
            row.clear();
            if !spooled.next(&mut row)? {
                break;
            }
            left -= 1;
            self.client.push(&row);
            if self.client.queued() >= FLUSH_AT {
                let wait = self.proxy.config.timeouts.write;
                let flushed = tokio::time::timeout(wait, self.client.flush()).await;
                flushed.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())).map_err(Stop::Client)?;
            }
        }
        // A server, too, tells of the last row only with a fetch that looks for one more.
        let status = match left {
            0 => Status::CURSOR_EXISTS,
            _ => Status::LAST_ROW_SENT,
        };
        if left == 0
            && let Some(statement) = self.prepared.get_mut(id)
        {
            statement.cursor = Some(OpenCursor::Spooled(spooled));
        }
        let end = OkPacket { status: self.status().with(status), ..OkPacket::default() };
        let capabilities = self.capabilities;
        self.client.push_with(|out| end.encode_end(capabilities, out));
        Ok(())
    }

    /// Rows of a cursor that a server holds.
    async fn fetch_from(&mut self, id: u32, group: GroupId, statement: u32, rows: u32) -> Result<(), Stop> {
        let topology = self.topology();
        let wanted = self.needs.wanted(&topology, group);
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        let lease = self.txn.lease(group, topology.group(group), Access::Primary, &wanted);
        let mut lease = patience.reach(&mut self.client, true, pin!(lease)).await??;
        lease.send_with(|out| {
            out.push(com::STMT_FETCH);
            out.extend_from_slice(&statement.to_le_bytes());
            out.extend_from_slice(&rows.to_le_bytes());
        });
        let style = Style {
            capabilities: self.capabilities,
            add: Status::default(),
            naming: Naming::Same,
            definitions: &[],
            statement: None,
            insert_id: None,
        };
        let outcome = relay(&mut self.client, &mut lease, Kind::Fetch, &mut patience, &style).await;
        match outcome {
            Ok(outcome) => {
                self.txn.settle(group, lease);
                if outcome.status.has(Status::LAST_ROW_SENT) || outcome.error.is_some() {
                    self.unpin_cursors();
                } else if let Some(open) = self.prepared.get_mut(id) {
                    open.cursor = Some(OpenCursor::Server { group, statement });
                }
                Ok(())
            }
            Err(stop) => {
                self.give_up(group, lease, false, &stop);
                Err(stop)
            }
        }
    }

    /// The first packet of our own answer to COM_STMT_PREPARE, and definitions of parameters that say
    /// nothing, as MySQL's own do.
    fn put_head(&mut self, statement: u32, params: u16, columns: u16) {
        let status = self.status();
        let capabilities = self.reads();
        self.client.push_with(|out| PrepareOk { statement, columns, params, warnings: 0 }.encode(out));
        if params > 0 {
            for _ in 0..params {
                let param = ColumnDef::text("?", 0);
                self.client.push_with(|out| param.encode(out));
            }
            if !capabilities.has(Capabilities::DEPRECATE_EOF) {
                self.client.push_with(|out| EofPacket { warnings: 0, status }.encode(out));
            }
        }
    }

    fn keep(&mut self, id: u32, sql: Arc<[u8]>, scan: Scan, params: u16) {
        let statement = Statement {
            sql,
            scan,
            facts: self.facts,
            schema: self.needs.schema.clone(),
            params,
            given: Vec::new(),
            types: Vec::new(),
            long_data: HashMap::new(),
            long_error: None,
            cursor: None,
        };
        self.prepared.put_back(id, Box::new(statement));
    }

    /// Gives up a cursor that is open: its connection is closed with it.
    fn close_cursor(&mut self, statement: &mut Statement) {
        if statement.cursor.take().is_some() {
            self.unpin_cursors();
        }
    }

    /// Connections are kept for cursors as long as any statement has one.
    fn unpin_cursors(&mut self) {
        let mut cursors = self.prepared.statements.values().flatten().filter_map(|statement| statement.cursor.as_ref());
        if !cursors.any(|cursor| matches!(cursor, OpenCursor::Server { .. })) {
            self.txn.unpin(Pin::Cursor);
        }
    }
}

impl Prepared {
    /// The text of a statement.
    pub(super) fn text(&self, id: u32) -> Option<&[u8]> {
        self.statements.get(&id)?.as_ref().map(|statement| &*statement.sql)
    }

    /// Takes a statement out while it runs.
    pub(super) fn take(&mut self, id: u32) -> Option<Box<Statement>> {
        self.statements.get_mut(&id)?.take()
    }

    /// Puts it back, or puts in a new one.
    pub(super) fn put_back(&mut self, id: u32, statement: Box<Statement>) {
        *self.statements.entry(id).or_default() = Some(statement);
    }

    /// Takes it out for good.
    pub(super) fn remove(&mut self, id: u32) -> Option<Box<Statement>> {
        self.statements.remove(&id)?
    }

    fn get_mut(&mut self, id: u32) -> Option<&mut Statement> {
        self.statements.get_mut(&id)?.as_deref_mut()
    }

    fn free_number(&mut self) -> u32 {
        loop {
            self.next = self.next.wrapping_add(1);
            if self.next != 0 && !self.statements.contains_key(&self.next) {
                return self.next;
            }
        }
    }
}

/// Whether a server can prepare a statement that the session itself answers: it is of its grammar, and names no tables.
fn is_known_to_servers(head: &Head) -> bool {
    match head {
        Head::Set(items) => items.iter().all(|item| item.tables.is_empty()),
        Head::Show(Show { kind, .. }) => *kind != ShowKind::Shardloom,
        Head::Explain { .. } | Head::SetStatement { .. } | Head::ShardloomDdl { .. } => false,
        _ => true,
    }
}

fn unknown(id: u32, function: &str) -> SqlError {
    let message = format!("Unknown prepared statement handler ({id}) given to {function}");
    SqlError::new(Code::UnknownStatement, message)
}

/// What a parameter means to routing; `None` for text that is not in the client's character set.
fn datum(value: Value<'_>, facts: Facts) -> Option<Datum<'_>> {
    Some(match value {
        Value::Null => Datum::Null,
        Value::Int(n) => Datum::Int(n),
        Value::UInt(n) => Datum::UInt(n),
        Value::Float(n) => Datum::Double(f64::from(n)),
        Value::Double(n) => Datum::Double(n),
        Value::Bytes(bytes) => {
            literal::text(Cow::Borrowed(bytes), facts.charset).unwrap_or(Datum::Bytes(Cow::Borrowed(bytes)))
        }
        Value::DateTime(at) => Datum::Moment(Moment {
            year: at.year,
            month: at.month,
            day: at.day,
            hour: at.hour,
            minute: at.minute,
            second: at.second,
            micros: at.micros,
        }),
        Value::Time(time) => {
            let seconds = i64::from(time.hours) * 3_600 + i64::from(time.minutes) * 60 + i64::from(time.seconds);
            let micros = seconds * 1_000_000 + i64::from(time.micros);
            Datum::Time(if time.negative { -micros } else { micros })
        }
    })
}
