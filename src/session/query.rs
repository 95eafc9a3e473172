//! COM_QUERY, statement by statement: scan, plan, run, and the end of each. One version of the rules serves a statement from
//! its first byte to its last.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::error::{Code, SqlError};
use crate::exec::ask::Ask;
use crate::exec::interrupt::{Limit, Patience, Stop};
use crate::metrics::Kind;
use crate::plan::cache::PlanKey;
use crate::plan::{self, Planned};
use crate::rare::boxed;
use crate::session::run::Execution;
use crate::session::topology::Topology;
use crate::session::{Flow, Session};
use crate::sql::head::{self, Head, Show, ShowKind};
use crate::sql::scan::{Scan, scan};
use crate::sql::{self, Facts};
use crate::txn::State;
use crate::value::Datum;
use crate::wire::capabilities::Status;

const MISSES: &str = "Lost connection to a server on which this session had locks or temporary tables: they are gone";

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
            // As a server does: the next statement may take its time.
            if let Err(flow) = Box::pin(self.send_answer()).await {
                return flow;
            }
        }
    }

    /// Sends what is queued for the client.
    async fn send_answer(&mut self) -> Result<(), Flow> {
        let patience = Patience::new(&self.seat.entry.kill, self.limit, self.proxy.config.timeouts.write);
        let sent = patience.write(self.client.flush()).await;
        self.finish(sent)
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
        self.begins(started);
        self.failed = false;
        if self.txn.misses_state_now() {
            self.txn.running(None);
            self.fail(SqlError::new(Code::BackendLost, MISSES));
            return Err(Flow::End);
        }
        let mut topology = self.topology();
        let mut understood = self.understand(sql, scan, &topology).map_err(Stop::Error);
        if let Ok(Understood::Plan(planned)) = &understood
            && self.is_behind(planned, &topology)
        {
            understood = boxed(self.understand_behind(sql, scan, &mut topology)).await;
        }
        let (kind, outcome) = match understood {
            Err(stop) => (Kind::Refused, Err(stop)),
            Ok(Understood::Plan(planned)) => {
                self.kind = Kind::Relay;
                self.limit.hint(planned.wishes().timeout_ms);
                let of = Execution { sql, scan, topology: &topology, planned: &planned, ask, args, add };
                let outcome = self.run(&of).await;
                (self.kind, outcome)
            }
            // Boxed, as its many branches must not make each idle session larger.
            Ok(Understood::Head(head)) => (Kind::Local, boxed(self.local(sql, scan, *head, &topology, ask, add)).await),
        };
        if self.seat.entry.kill.take_victim() && matches!(self.txn.state(), State::Open(_)) {
            boxed(self.txn.roll_back()).await;
        }
        if self.txn.needs_review() {
            boxed(self.txn.review()).await;
        }
        self.txn.running(None);
        let refused = matches!(&outcome, Err(Stop::Error(error)) if error.errno == 1235);
        let kind = if refused { Kind::Refused } else { kind };
        self.counters().answered(kind, started.elapsed());
        self.finish(outcome)
    }

    /// A statement begins, or another command that waits for servers.
    pub(super) fn begins(&mut self, at: Instant) {
        self.seat.entry.kill.begin_statement();
        self.limit = Limit::new(at, self.proxy.config.timeouts.query);
    }

    /// Tells a failed statement's error to the client; decides whether the connection can go on.
    pub(super) fn finish(&mut self, outcome: Result<(), Stop>) -> Result<(), Flow> {
        match outcome {
            Ok(()) if self.txn.misses_state() => Err(Flow::End),
            Ok(()) => Ok(()),
            Err(Stop::Error(error) | Stop::Lost(error)) => {
                self.fail(error);
                // As with one server: the locks and temporary tables of a client are gone with its connection.
                Err(if self.txn.misses_state() { Flow::End } else { Flow::Next })
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
