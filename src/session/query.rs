//! One statement, top to bottom: scan, plan, bind, run, and what the session remembers of it afterwards.
//! One version of the rules serves it from its first byte to its last.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::backend::lease::Lease;
use crate::error::{Code, SqlError};
use crate::exec::ask::{self, Ask};
use crate::exec::gather::{self, Gathering};
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::Naming;
use crate::exec::outcome::Outcome;
use crate::exec::relay::{Style, relay};
use crate::exec::scatter::{self, Scatter};
use crate::exec::write::{self, Share};
use crate::metrics::Kind;
use crate::plan::bind::Binding;
use crate::plan::cache::PlanKey;
use crate::plan::carry::Carry;
use crate::plan::gather::{Extent, Gather};
use crate::plan::numbering::Ids;
use crate::plan::{self, Answer, Bound, Params, Plan, Planned, Role, Route, Target};
use crate::rules::GroupId;
use crate::session::ahead::Preceded;
use crate::session::carry::Carrying;
use crate::session::limited::Limiting;
use crate::session::lookup::Keeping;
use crate::session::moved::Relocating;
use crate::session::registry::Entry;
use crate::session::seek::Seeking;
use crate::session::topology::Topology;
use crate::session::{Flow, NextTransaction, OpenCursor, Session};
use crate::sql::head::{self, Head, Show, ShowKind};
use crate::sql::scan::{Scan, scan};
use crate::sql::{self, Facts};
use crate::txn::{Access, Mode, Pin, Start, State};
use crate::value::Datum;
use crate::wire::capabilities::Status;

/// What a statement turned out to be.
pub(super) enum Understood {
    /// Something for servers.
    Plan(Arc<Planned>),
    /// Something for the session itself, or with effects on it that no plan tells.
    Head(Box<Head>),
}

impl Session {
    /// COM_QUERY: one statement or, if the client may, several.
    pub(super) async fn query(&mut self, sql: &[u8], found: &mut Scan) -> Flow {
        let mut rest = sql;
        loop {
            if rest.len() > self.proxy.config.limits.statement {
                let limit = self.proxy.config.limits.statement;
                let message = format!("The statement is longer than limits.statement ({limit} bytes)");
                self.error(&SqlError::new(Code::PacketTooLarge, message));
                return Flow::Next;
            }
            if let Err(error) = scan(rest, self.facts, self.proxy.seed, found) {
                self.fail(error);
                return Flow::Next;
            }
            let next = found.rest;
            if let (Some(at), false) = (next, self.multi_statements) {
                self.fail(sql::syntax_error(rest, at as usize));
                return Flow::Next;
            }
            let statement = &rest[..found.end as usize];
            let add = Status::default().when(Status::MORE_RESULTS_EXISTS, next.is_some());
            if let Err(flow) = self.statement(statement, found, Ask::Query, &[], add).await {
                return flow;
            }
            match next {
                // Nothing comes behind an error.
                _ if self.failed => return Flow::Next,
                Some(at) => rest = &rest[at as usize..],
                None => return Flow::Next,
            }
        }
    }

    /// One statement, already scanned; its answer is queued, whatever happens. `Err` ends the command.
    pub(super) async fn statement(
        &mut self,
        sql: &[u8],
        scan: &Scan,
        ask: Ask<'_>,
        args: &[Datum<'_>],
        add: Status,
    ) -> Result<(), Flow> {
        let started = Instant::now();
        // In this order: see `Active::kill`.
        self.txn.running(Some(started));
        self.seat.entry.kill.begin_statement();
        self.failed = false;
        let mut topology = self.topology();
        let mut understood = self.understand(sql, scan, &topology).map_err(Stop::Error);
        if let Ok(Understood::Plan(planned)) = &understood
            && self.is_behind(planned, &topology)
        {
            understood = Box::pin(self.understand_behind(sql, scan, &mut topology)).await;
        }
        let (kind, outcome) = match understood {
            Err(stop) => (Kind::Refused, Err(stop)),
            Ok(Understood::Plan(planned)) => {
                self.kind = Kind::Relay;
                let outcome = self.run(sql, scan, &topology, &planned, ask, args, add).await;
                (self.kind, outcome)
            }
            // Boxed, as its many branches must not make each idle session larger.
            Ok(Understood::Head(head)) => {
                (Kind::Local, Box::pin(self.local(sql, scan, *head, &topology, ask, add)).await)
            }
        };
        if self.seat.entry.kill.take_victim() && matches!(self.txn.state(), State::Open(_)) {
            Box::pin(self.txn.roll_back()).await;
        }
        if self.txn.needs_review() {
            Box::pin(self.txn.review()).await;
        }
        self.txn.running(None);
        let refused = matches!(&outcome, Err(Stop::Error(error)) if error.errno == 1235);
        let kind = if refused { Kind::Refused } else { kind };
        self.counters().answered(kind, started.elapsed());
        self.finish(outcome)
    }

    /// Tells a failed statement's error to the client; decides whether the connection can go on.
    pub(super) fn finish(&mut self, outcome: Result<(), Stop>) -> Result<(), Flow> {
        match outcome {
            Ok(()) => Ok(()),
            Err(Stop::Error(error) | Stop::Lost(error)) => {
                self.fail(error);
                Err(Flow::Next)
            }
            Err(Stop::Killed) => {
                self.error(&SqlError::new(Code::Aborted, "Connection was killed"));
                Err(Flow::End)
            }
            Err(Stop::Client(error)) => {
                tracing::debug!(%error, session = self.seat.entry.id, "client lost");
                Err(Flow::End)
            }
        }
    }

    /// An error ends the statement: the client is told, and SHOW WARNINGS knows it.
    fn fail(&mut self, error: SqlError) {
        self.diagnostics.fail(&error);
        self.row_count = -1;
        self.error(&error);
    }

    /// The plan of a statement that was just scanned, from the cache or made now.
    pub(super) fn understand(&mut self, sql: &[u8], scan: &Scan, topology: &Topology) -> Result<Understood, SqlError> {
        let number = self.meaning.number(self.needs.schema.as_ref(), self.facts, self.proxy.seed);
        let session = plan::Session { schema: self.needs.schema.as_deref(), facts: self.facts };
        let key = PlanKey { text: scan.key, session: number, rules: topology.rules.version, catalog: topology.version };
        if let Some(planned) = self.proxy.plans.find(key, sql, scan) {
            self.counters().plan_hits.fetch_add(1, Ordering::Relaxed);
            return Ok(Understood::Plan(planned));
        }
        let head = head::head(sql, self.facts)?;
        if !is_planned(&head) || self.explains_sharded(sql, &head, topology) {
            return Ok(Understood::Head(Box::new(head)));
        }
        self.counters().plan_misses.fetch_add(1, Ordering::Relaxed);
        let planned = plan::build::plan(sql, scan, &head, session, &topology.rules, &topology.catalog);
        let planned = Arc::new(planned);
        self.proxy.plans.keep(key, sql, scan, &planned);
        Ok(Understood::Plan(planned))
    }

    /// Whether a statement that commits comes behind a transaction which goes by older rules: it has no part in that.
    pub(super) fn is_behind(&self, planned: &Planned, topology: &Topology) -> bool {
        planned.effects.implicit_commit && !Arc::ptr_eq(&topology.rules, &self.proxy.topology.load().rules)
    }

    /// Commits, and plans the statement by the rules of now.
    pub(super) async fn understand_behind(
        &mut self,
        sql: &[u8],
        scan: &Scan,
        topology: &mut Arc<Topology>,
    ) -> Result<Understood, Stop> {
        self.end_transaction(true).await?;
        *topology = self.topology();
        Ok(self.understand(sql, scan, topology)?)
    }

    /// Whether a statement opens the transaction that SET TRANSACTION spoke of: one that touches a table does.
    fn is_next(&self, planned: &Planned) -> bool {
        self.next.is_some() && *self.txn.state() == State::Auto && !planned.tables.is_empty()
    }

    /// Runs such a statement: it opens the transaction, or with autocommit it is the whole of it, and has the session's
    /// settings be those of that transaction for as long as it runs.
    #[allow(clippy::too_many_arguments, reason = "the parts of one statement, used once")]
    async fn run_next(
        &mut self,
        sql: &[u8],
        scan: &Scan,
        topology: &Topology,
        planned: &Planned,
        ask: Ask<'_>,
        args: &[Datum<'_>],
        add: Status,
    ) -> Result<(), Stop> {
        let NextTransaction { isolation, read_only } = std::mem::take(&mut self.next);
        if !self.autocommit() {
            self.txn.begin(Start { isolation, read_only, ..Start::default() });
            return self.run(sql, scan, topology, planned, ask, args, add).await;
        }
        let isolation = isolation.map(|level| format!("'{}'", level.replace(' ', "-")).into_bytes());
        let read_only = read_only.map(|only| if only { b"1".to_vec() } else { b"0".to_vec() });
        let before = self.needs.settings.clone();
        for (name, value) in [("transaction_isolation", isolation), ("transaction_read_only", read_only)] {
            if let Some(value) = value {
                self.needs.settings = self.needs.settings.with(name, Some(&value)).into();
            }
        }
        let outcome = self.run(sql, scan, topology, planned, ask, args, add).await;
        // The statement may have set variables meanwhile.
        for name in ["transaction_isolation", "transaction_read_only"] {
            self.needs.settings = self.needs.settings.with(name, before.variable(name)).into();
        }
        outcome
    }

    /// Runs a planned statement of the client's.
    #[allow(clippy::too_many_arguments, reason = "the parts of one statement, used once")]
    pub(super) async fn run(
        &mut self,
        sql: &[u8],
        scan: &Scan,
        topology: &Topology,
        planned: &Planned,
        ask: Ask<'_>,
        args: &[Datum<'_>],
        add: Status,
    ) -> Result<(), Stop> {
        if self.is_next(planned) {
            return Box::pin(self.run_next(sql, scan, topology, planned, ask, args, add)).await;
        }
        self.txn.check()?;
        self.may_touch(planned)?;
        self.may_ask_for_file(planned)?;
        self.needs.mode = planned.wishes.transaction.map_or(self.guest.mode, Mode::from);
        if let Some(wish) = planned.wishes.transaction
            && self.txn.is_open()
            && self.txn.mode(wish.into()) != wish.into()
        {
            let why = "The transaction has begun in another mode than this statement's hint says: say it on BEGIN";
            return Err(SqlError::refuse(why).into());
        }
        let effects = planned.effects;
        if effects.connection_id || effects.found_rows || effects.row_count || effects.account {
            return Box::pin(self.session_function(sql, effects, ask, add)).await;
        }
        if effects.implicit_commit {
            Box::pin(self.end_transaction(true)).await?;
        }
        let made = match &planned.numbering {
            Some(numbering) => Box::pin(self.make_ids(topology, planned, numbering, sql, scan, args)).await?,
            None => Vec::new(),
        };
        let ids = match (made.is_empty(), ask.is_binary()) {
            (true, _) => Ids::None,
            (false, true) => Ids::Params(&made),
            (false, false) => Ids::Written(&made),
        };
        let is_of_one = |bound: &Bound<'_>| {
            matches!(bound.route, Route::One(_) | Route::Any)
                && !matches!(
                    bound.answer,
                    Answer::Gather(_) | Answer::Carry(_) | Answer::Ahead(_) | Answer::Load(_) | Answer::Move(_)
                )
        };
        let binding = Binding::new(planned, &topology.rules, sql, scan, args);
        // Bound twice rather than kept over the question, as it must not make each idle session larger.
        let shards = match &planned.seek {
            Some(seek) if !binding.with(ids).bind().is_ok_and(|bound| is_of_one(&bound)) => {
                let seeking = Seeking { sql, scan, topology, planned, seek, args };
                Box::pin(self.sought(&seeking)).await?
            }
            _ => None,
        };
        let found = shards.as_ref().and_then(|shards| binding.on(shards).bind().ok());
        let bound = found.map_or_else(|| binding.with(ids).bind(), Ok)?;
        let of_one = is_of_one(&bound);
        if !of_one {
            self.kind = kind_of(bound.answer);
        }
        if (!of_one || planned.upkeep.is_some()) && self.txn.is_doubtful() {
            Box::pin(self.txn.review()).await;
        }
        if let Some(upkeep) = &planned.upkeep {
            let keeping = Keeping { topology, planned, bound: &bound, upkeep, scan, args, ask, selected: None };
            return Box::pin(self.run_keeping(&keeping, add)).await;
        }
        // Boxed but for the last, as they must not make each idle session larger.
        let target = match (&bound.route, bound.answer) {
            (Route::One(target), Answer::Relay) if bound.is_unsure() => {
                let targets = [*target];
                return Box::pin(self.run_write(topology, planned, &bound, &targets, Answer::Sum, ask, add)).await;
            }
            (_, Answer::Gather(gather)) => {
                return Box::pin(self.run_gather(topology, planned, &bound, gather, ask, add)).await;
            }
            (_, Answer::Define(define)) if define.steps.len() > 1 => {
                let limit = self.time_limit(planned);
                return Box::pin(self.run_define(topology, define, &sql[..scan.end as usize], limit, add)).await;
            }
            (Route::One(target), Answer::Catalogue(catalogue)) => {
                let target = *target;
                return Box::pin(self.run_catalogue(topology, planned, bound, catalogue, target, ask, add)).await;
            }
            (_, Answer::Load(load)) => {
                return Box::pin(self.run_load(topology, planned, &bound, load, add)).await;
            }
            (_, Answer::Carry(carry)) => {
                let of = Carrying { sql, scan, topology, planned, carry, args };
                return Box::pin(self.run_carry(&of, add)).await;
            }
            (_, Answer::Ahead(ahead)) => {
                let of = Preceded { sql, scan, topology, planned, ahead, args };
                return Box::pin(self.run_ahead(&of, add)).await;
            }
            (Route::Many(targets), Answer::Limited(limited)) => {
                let of = Limiting { topology, planned, bound: &bound, targets, limited, ask };
                return Box::pin(self.run_limited(&of, add)).await;
            }
            (_, Answer::Move(rule)) => {
                let of = Relocating { topology, planned, bound: &bound, rule, ask };
                return Box::pin(self.run_moved(&of, add)).await;
            }
            (Route::Many(targets), Answer::Merge(merge)) => {
                return Box::pin(self.run_merge(topology, planned, &bound, targets, merge, ask, add)).await;
            }
            (Route::Many(targets), answer) => {
                return Box::pin(self.run_write(topology, planned, &bound, targets, answer, ask, add)).await;
            }
            (Route::One(target), _) => *target,
            (Route::Any, _) => Target { group: self.any_group(topology), shard: None },
        };
        if effects.defines {
            let outcome = Box::pin(self.relay_to(topology, planned, &bound, target, None, ask, add)).await;
            Box::pin(self.look_again()).await;
            return outcome;
        }
        self.relay_to(topology, planned, &bound, target, None, ask, add).await
    }

    /// That all schemas in a plan are among the user's. Two of the servers' own are open to everyone.
    pub(super) fn may_touch(&self, planned: &Planned) -> Result<(), SqlError> {
        let open = |schema: &str| {
            let open = ["information_schema", "performance_schema"];
            self.guest.may_use(schema) || open.iter().any(|open| open.eq_ignore_ascii_case(schema))
        };
        match planned.tables.iter().find(|table| !open(&table.schema)) {
            None => Ok(()),
            Some(table) => Err(self.denied(&table.schema)),
        }
    }

    /// Error 1044 for a schema that is not among the user's.
    pub(super) fn denied(&self, schema: &str) -> SqlError {
        let message = format!("Access denied for user '{}'@'{}' to database '{schema}'", self.login.user, self.host);
        SqlError::new(Code::SchemaDenied, message)
    }

    /// One target: its answer is passed on as it is. `text` is what to send where that is not the bound statement.
    #[allow(clippy::too_many_arguments, reason = "the parts of one statement, used once")]
    pub(super) async fn relay_to(
        &mut self,
        topology: &Topology,
        planned: &Planned,
        bound: &Bound<'_>,
        target: Target,
        text: Option<&[u8]>,
        ask: Ask<'_>,
        add: Status,
    ) -> Result<(), Stop> {
        let group = target.group;
        let effects = planned.effects;
        let free = self.has_no_part(planned, group);
        let access = self.access(planned);
        let wanted = self.needs.wanted(topology, group);
        let mut lease = match free {
            true => self.txn.side_lease(group, topology.group(group), access, &wanted).await?,
            false => self.txn.lease(group, topology.group(group), access, &wanted).await?,
        };
        if effects.writes {
            self.txn.wrote(group);
        }
        // A pooled connection has that of another session, and a statement may leave it as it is.
        let numbers = effects.numbers && planned.numbering.is_none();
        if effects.last_insert_id || effects.sets_last_insert_id || numbers {
            lease.set_insert_id(self.last_insert_id);
        }
        let naming = Naming::Of(bound, target);
        let in_trans = free && matches!(self.txn.state(), State::Open(_));
        let style = Style {
            capabilities: self.capabilities,
            add: add.when(Status::IN_TRANS, in_trans || add.has(Status::IN_TRANS)),
            naming,
            definitions: &[],
            statement: None,
            // The server tells the last of several ids that are written out, MySQL the first of those it made.
            insert_id: bound.made_id().filter(|_| bound.is_certain()),
        };
        let limit = self.time_limit(planned);
        // Of the fields themselves, as the client's is written to meanwhile.
        let mut patience = Patience::new(&self.seat.entry.kill, limit, self.proxy.config.timeouts.write);
        let sent = match text {
            None => ask::send_at_once(&mut lease, ask, bound, target, &mut self.text),
            Some(text) => {
                self.text.extend_from_slice(text);
                Err(Params::Same)
            }
        };
        let sent = match sent {
            Ok(statement) => Ok(statement),
            Err(params) => Box::pin(ask::send(&mut lease, ask, &self.text, &params, &patience, naming)).await,
        };
        self.text.clear();
        self.text.shrink_to(super::KEPT_INPUT);
        let statement = sent.as_ref().ok().copied().flatten();
        let outcome = match sent {
            Ok(_) => relay(&mut self.client, &mut lease, ask.kind(), &mut patience, &style).await,
            Err(stop) => Err(stop),
        };
        match outcome {
            Ok(outcome) => {
                self.pin_for(group, &mut lease, planned, &outcome, statement);
                self.remember(&mut lease, planned, &outcome, naming, bound.made_id()).await;
                let defines = effects.temporary_table || (effects.defines && !self.temporary.is_empty());
                if defines && outcome.error.is_none() {
                    Box::pin(self.follow_temporary(&mut lease, bound, target)).await;
                }
                if planned.effects.sets_variables {
                    Box::pin(self.carry_variables(&mut lease, bound.sql())).await;
                }
                self.give_back(group, lease, free);
                if defines && self.temporary.is_empty() {
                    self.txn.unpin(Pin::TemporaryTable);
                }
                Ok(())
            }
            Err(stop) => {
                self.give_up(group, lease, free, &stop);
                Err(stop)
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one statement, used once")]
    /// Several targets whose rows become one answer.
    async fn run_merge(
        &mut self,
        topology: &Topology,
        planned: &Planned,
        bound: &Bound<'_>,
        targets: &[Target],
        merge: &plan::merge::Merge,
        ask: Ask<'_>,
        add: Status,
    ) -> Result<(), Stop> {
        if self.needs.settings.variable("sql_select_limit").is_some() {
            let why = "a SELECT over several shards while sql_select_limit is set: give it a LIMIT of its own";
            return Err(SqlError::refuse(format!("Shardloom does not support {why}")).into());
        }
        self.open_without_autocommit();
        let access = self.access(planned);
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat, self.time_limit(planned));
        let run = Scatter {
            bound,
            targets,
            merge,
            ask: ask.without_cursor(),
            cursor: ask.wants_cursor().then_some(self.proxy.config.limits.cursor),
            budget: self.proxy.config.limits.merge_memory_per_query,
            capabilities: self.capabilities,
            // With autocommit off, this statement opens a transaction if none is open.
            status: self.status().with(add.when(Status::IN_TRANS, add.has(Status::IN_TRANS) || !self.autocommit())),
            clock: self.one_clock(planned),
            last_insert_id: planned.effects.last_insert_id.then_some(self.last_insert_id),
        };
        let needs = &self.needs;
        let place = |id: GroupId| (topology.group(id), needs.wanted(topology, id));
        let outcome = scatter::run(&mut self.client, &mut self.txn, &run, access, &place, &mut patience).await?;
        self.diagnostics.clear();
        self.row_count = -1;
        self.found_rows = Some(outcome.rows);
        self.cursor = outcome.spooled.map(OpenCursor::Spooled);
        Ok(())
    }

    /// Rows of several targets on one server, which answers the statement over them.
    async fn run_gather(
        &mut self,
        topology: &Topology,
        planned: &Planned,
        bound: &Bound<'_>,
        gather: &Gather,
        ask: Ask<'_>,
        add: Status,
    ) -> Result<(), Stop> {
        let mut gathering = self.gathering(planned, bound, gather)?;
        self.open_without_autocommit();
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat, self.time_limit(planned));
        let needs = &self.needs;
        let place = |id: GroupId| (topology.group(id), needs.wanted(topology, id));
        let mut lease = gather::run(&mut self.client, &mut self.txn, &gathering, &place, &mut patience).await?;
        if lease.is_none() {
            gathering.extent = Extent::Whole;
            lease = gather::run(&mut self.client, &mut self.txn, &gathering, &place, &mut patience).await?;
        }
        let Some(mut lease) = lease else { return Err(SqlError::new(Code::Unknown, "nothing was gathered").into()) };
        if planned.effects.last_insert_id {
            lease.set_insert_id(self.last_insert_id);
        }
        let target = Target { group: gathering.gathered.group, shard: None };
        let mut text = Vec::new();
        let params = bound.render(target, &mut text);
        let naming = Naming::Of(bound, target);
        let open = matches!(self.txn.state(), State::Open(_));
        let add = add.when(Status::IN_TRANS, open || add.has(Status::IN_TRANS));
        let style =
            Style { capabilities: self.capabilities, add, naming, statement: None, definitions: &[], insert_id: None };
        // A cursor would need the copies for as long as it is open: all rows are sent at once, as a server may do.
        let ask = ask.without_cursor();
        ask::send(&mut lease, ask, &text, &params, &patience, naming).await?;
        let outcome = relay(&mut self.client, &mut lease, ask.kind(), &mut patience, &style).await?;
        self.remember(&mut lease, planned, &outcome, naming, None).await;
        if let Some(statement) = lease.prepared.forget(&text) {
            lease.close_statement(statement);
        }
        // The client need not wait for the copies to go.
        self.client.flush().await.map_err(Stop::Client)?;
        gather::clear(&mut lease, &gathering).await;
        Ok(())
    }

    /// With autocommit off a statement opens a transaction if none is open: before it takes connections to several
    /// groups, which are then parts of one.
    pub(super) fn open_without_autocommit(&mut self) {
        if *self.txn.state() == State::Auto && !self.autocommit() {
            self.txn.begin(Start::default());
        }
    }

    /// What is to be gathered for a statement.
    pub(super) fn gathering<'g>(
        &self,
        planned: &Planned,
        bound: &'g Bound<'g>,
        gather: &'g Gather,
    ) -> Result<Gathering<'g>, SqlError> {
        let unbound = || SqlError::new(Code::Unknown, "a gather was bound without its rows");
        let gathered = bound.gathered.as_ref().ok_or_else(unbound)?;
        if planned.tables.iter().any(|table| self.temporary.may_have(&table.schema, &table.name)) {
            let why = "a statement that needs rows of several shards together with those of a temporary table";
            return Err(SqlError::refuse(format!("Shardloom does not support {why}")));
        }
        let shared = self.txn.is_open() || self.txn.pins().next().is_some() || !self.autocommit();
        let limit = self.proxy.config.limits.gather;
        Ok(Gathering { bound, gather, gathered, limit, access: self.access(planned), shared, extent: Extent::Needed })
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one statement, used once")]
    /// Several targets that each do their part of a write.
    async fn run_write(
        &mut self,
        topology: &Topology,
        planned: &Planned,
        bound: &Bound<'_>,
        targets: &[Target],
        answer: Answer<'_>,
        ask: Ask<'_>,
        add: Status,
    ) -> Result<(), Stop> {
        let outcome = self.write(topology, planned, bound, targets, answer, ask, Share::Whole, None).await?;
        self.wrote(&outcome, add);
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one statement, used once")]
    /// The same; the client is told later. `selected`: what it is to the client, if its rows were carried.
    pub(super) async fn write(
        &mut self,
        topology: &Topology,
        planned: &Planned,
        bound: &Bound<'_>,
        targets: &[Target],
        answer: Answer<'_>,
        ask: Ask<'_>,
        share: Share<'_>,
        selected: Option<&Carry>,
    ) -> Result<Outcome, Stop> {
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat, self.time_limit(planned));
        let needs = &self.needs;
        let place = |id: GroupId| (topology.group(id), needs.wanted(topology, id));
        let part = write::Write {
            bound,
            targets,
            answer,
            ask: ask.without_cursor(),
            autocommit: self.autocommit(),
            clock: self.one_clock(planned),
            last_insert_id: (planned.effects.last_insert_id || selected.is_some()).then_some(self.last_insert_id),
            share,
            selected,
        };
        let mut outcome = write::run(&mut self.client, &mut self.txn, &part, &place, &mut patience).await?;
        self.diagnostics.clear();
        self.row_count = outcome.affected_rows as i64;
        self.last_insert_id = outcome.made_id.unwrap_or(self.last_insert_id);
        // Groups answer side by side.
        outcome.conditions.sort_by_key(|(target, _)| *target);
        for (target, conditions) in &outcome.conditions {
            let naming = Naming::Of(bound, *target);
            let row_of = |row: usize| bound.row_of(*target, row);
            self.diagnostics.add_part(conditions, |message| naming.text(message), row_of);
        }
        self.diagnostics.put_together(outcome.warnings.into());
        Ok(outcome)
    }

    /// Tells the client what a write did.
    pub(super) fn wrote(&mut self, outcome: &Outcome, add: Status) {
        let packet = crate::wire::reply::OkPacket {
            affected_rows: outcome.affected_rows,
            last_insert_id: outcome.last_insert_id,
            status: self.status().with(add),
            warnings: outcome.warnings,
            info: outcome.info.as_bytes(),
            session_state: &[],
        };
        super::reply::ok(&mut self.client, self.capabilities, &packet);
    }

    /// After a relayed statement, while its connection is still here: what pooled connections forget.
    pub(super) async fn remember(
        &mut self,
        lease: &mut Lease,
        planned: &Planned,
        outcome: &Outcome,
        naming: Naming<'_>,
        made: Option<u64>,
    ) {
        self.diagnostics.clear();
        self.failed = outcome.error.is_some();
        self.found_rows = outcome.has_rows.then_some(outcome.rows);
        self.row_count = if outcome.has_rows || outcome.error.is_some() { -1 } else { outcome.affected_rows as i64 };
        let calc = planned.effects.calc_found_rows && outcome.error.is_none();
        // Of ids that were made here nobody need be asked: the server tells whether the row came to be.
        let told = |first: &u64| outcome.error.is_none() && (outcome.has_rows || outcome.last_insert_id == *first);
        let made = made.filter(told);
        self.last_insert_id = made.unwrap_or(self.last_insert_id);
        let numbers = planned.effects.numbers && planned.numbering.is_none();
        let numbers_itself = numbers && (outcome.last_insert_id != 0 || outcome.error.is_some());
        let insert_id = made.is_none() && (numbers_itself || planned.effects.sets_last_insert_id);
        if planned.effects.writes && outcome.last_insert_id != 0 || insert_id || planned.effects.stored_function {
            lease.insert_id = None;
        }
        let wants_more = outcome.warnings > 0 || outcome.error.is_some() || calc || insert_id;
        if !wants_more && !planned.effects.sets_variables {
            return;
        }
        Box::pin(self.remember_more(lease, outcome, naming, calc, insert_id)).await;
    }

    /// The rare cases of [`Session::remember`], each a round of its own behind the answer.
    async fn remember_more(
        &mut self,
        lease: &mut Lease,
        outcome: &Outcome,
        naming: Naming<'_>,
        calc: bool,
        insert_id: bool,
    ) {
        // The client need not wait for what only we want to know.
        if self.client.flush().await.is_err() {
            lease.taint();
            return;
        }
        if calc && let Ok(answer) = lease.query("SELECT FOUND_ROWS()").await {
            self.found_rows = answer.text(0, 0).and_then(|rows| rows.parse().ok());
        }
        if outcome.warnings > 0
            && let Ok(answer) = lease.query("SHOW WARNINGS").await
        {
            let logical = |message: &str| naming.text(message);
            self.diagnostics.add(&answer, logical);
            self.diagnostics.put_together(outcome.warnings.into());
        }
        // The packet's number may be one that the client gave, which LAST_INSERT_ID() does not tell; and of a statement
        // that failed the rows before the error have had their ids. What the connection had before was the session's.
        if insert_id && let Ok(answer) = lease.query("SELECT LAST_INSERT_ID()").await {
            let told = answer.text(0, 0).and_then(|id| id.parse().ok());
            self.last_insert_id = told.unwrap_or(self.last_insert_id);
            lease.insert_id = told;
        }
        if let Some(error) = &outcome.error {
            self.diagnostics.fail(error);
            self.proxy.metrics.error(error.errno);
        }
    }

    /// Keeps the connection with the session if the statement left something on it.
    fn pin_for(
        &mut self,
        group: GroupId,
        lease: &mut Lease,
        planned: &Planned,
        outcome: &Outcome,
        statement: Option<u32>,
    ) {
        let effects = planned.effects;
        let pin = if outcome.error.is_some() {
            None
        } else if effects.temporary_table {
            Some(Pin::TemporaryTable)
        } else if effects.table_locks {
            Some(Pin::LockTables)
        } else if effects.user_locks {
            Some(Pin::UserLock)
        } else if outcome.status.has(Status::CURSOR_EXISTS) {
            self.cursor = statement.map(|statement| OpenCursor::Server { group, statement });
            Some(Pin::Cursor)
        } else if effects.stored_function && effects.writes {
            Some(Pin::SessionState)
        } else {
            None
        };
        if let Some(pin) = pin {
            self.txn.pin(group, pin, lease);
        }
    }

    pub(super) fn give_back(&mut self, group: GroupId, lease: Lease, free: bool) {
        if free { drop(lease) } else { self.txn.settle(group, lease) }
    }

    pub(super) fn give_up(&mut self, group: GroupId, lease: Lease, free: bool, stop: &Stop) {
        match stop {
            _ if free => drop(lease),
            Stop::Error(_) => self.txn.settle(group, lease),
            Stop::Lost(error) => {
                drop(lease);
                self.txn.lost(group, error.message.clone());
            }
            Stop::Client(_) | Stop::Killed => drop(lease),
        }
    }

    /// Whether a statement has no part in the open transaction: it reads no table (or broadcast ones
    /// only) before the transaction has touched any group, and must not choose that group for it.
    fn has_no_part(&self, planned: &Planned, group: GroupId) -> bool {
        let untouched = self.txn.is_open() && !self.txn.groups().any(|held| held == group);
        untouched && planned.effects.replica_ok && matches!(planned.plan, Plan::Relay { group: None, .. })
    }

    /// The group for a statement that any group can answer: one that the session holds, or the home.
    pub(super) fn any_group(&self, topology: &Topology) -> GroupId {
        let held = self.txn.groups().next();
        held.unwrap_or_else(|| topology.home(self.needs.schema.as_deref()))
    }

    /// Which member may run the statement.
    pub(super) fn access(&self, planned: &Planned) -> Access {
        if planned.effects.writes || planned.effects.stored_function {
            return Access::Write;
        }
        let replica = match planned.wishes.role {
            Some(Role::Primary) => false,
            Some(Role::Replica) => planned.effects.replica_ok,
            None => planned.effects.replica_ok && self.guest.replicas,
        };
        // With autocommit off a read opens a transaction, which belongs to the primary.
        if replica && self.autocommit() && !self.txn.is_open() { Access::Replica } else { Access::Primary }
    }

    /// How long a statement of this session is waited for. The entry is the session's own, held apart
    /// because the session itself is written to meanwhile.
    pub(super) fn patience<'e>(&self, entry: &'e Entry, limit: Option<Duration>) -> Patience<'e> {
        Patience::new(&entry.kill, limit, self.proxy.config.timeouts.write)
    }

    /// For a statement that reads the clock on several targets: the SET that makes it the same for all of them,
    /// with the microseconds that NOW(6) shows. A session that has set its clock has it everywhere.
    pub(super) fn one_clock(&self, planned: &Planned) -> Option<String> {
        if !planned.effects.clock || self.needs.settings.variable("timestamp").is_some() {
            return None;
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Some(format!("SET timestamp={}.{:06}", now.as_secs(), now.subsec_micros()))
    }

    pub(super) fn time_limit(&self, planned: &Planned) -> Option<Duration> {
        planned.wishes.timeout_ms.map(Duration::from_millis).or(self.proxy.config.timeouts.query)
    }
}

/// Whether a plan is made for such a statement; else the session itself sees to it.
fn is_planned(head: &Head) -> bool {
    !matches!(
        head,
        Head::Empty
            | Head::Begin { .. }
            | Head::Commit { .. }
            | Head::Rollback { .. }
            | Head::Savepoint(_)
            | Head::RollbackTo(_)
            | Head::Release(_)
            | Head::Xa(_)
            | Head::Set(_)
            | Head::SetTransaction { .. }
            | Head::SetStatement { .. }
            | Head::SetRole
            | Head::Use(_)
            | Head::Kill { .. }
            | Head::Explain { shardloom: true, .. }
            | Head::ExplainConnection(_)
            | Head::ShardloomDdl { .. }
            | Head::Show(Show {
                kind: ShowKind::Warnings
                    | ShowKind::Errors
                    | ShowKind::WarningCount
                    | ShowKind::ErrorCount
                    | ShowKind::Processlist
                    | ShowKind::Grants
                    | ShowKind::Shardloom,
                ..
            })
            | Head::Unlock
            | Head::Prepare { .. }
            | Head::Execute { .. }
            | Head::ExecuteImmediate { .. }
            | Head::Deallocate(_)
            | Head::Diagnostics
            | Head::GetDiagnostics(_)
    )
}

/// A number that stands for all that a session adds to a statement's meaning, and what it was computed of.
#[derive(Default)]
pub(super) struct Meaning {
    of: Option<(Option<Arc<str>>, Facts)>,
    number: u64,
}

impl Meaning {
    /// The number for statements that are read with this schema and these facts: mostly those of the last one.
    fn number(&mut self, schema: Option<&Arc<str>>, facts: Facts, seed: u64) -> u64 {
        let known = self.of.as_ref().is_some_and(|(known, known_facts)| {
            // The schema is held here, so an equal address is an equal name.
            known.as_ref().map(Arc::as_ptr) == schema.map(Arc::as_ptr) && *known_facts == facts
        });
        if !known {
            // The seed is a secret, so nobody can look for equal numbers.
            let mut hasher = DefaultHasher::new();
            (seed, schema, facts).hash(&mut hasher);
            self.number = hasher.finish();
            self.of = Some((schema.cloned(), facts));
        }
        self.number
    }
}

/// What a statement counts as that is not one target's.
fn kind_of(answer: Answer<'_>) -> Kind {
    match answer {
        Answer::Relay | Answer::Describe | Answer::Catalogue(_) => Kind::Relay,
        Answer::Merge(_) => Kind::Merge,
        Answer::Gather(_) => Kind::Gather,
        Answer::Sum | Answer::Same | Answer::Limited(_) | Answer::Move(_) => Kind::Write,
        Answer::Define(_) | Answer::Carry(_) | Answer::Ahead(_) | Answer::Load(_) => Kind::Write,
    }
}
