//! A planned statement: bound to its targets, and run in the way that its plan says. How each way goes is for its own
//! file; the one of nearly all statements, an answer of one target that is passed on, is here.

use std::pin::pin;

use crate::backend::lease::Lease;
use crate::error::{Code, SqlError};
use crate::exec::ask::{self, Ask};
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::Naming;
use crate::exec::relay::{Style, relay};
use crate::metrics::Kind;
use crate::plan::bind::Binding;
use crate::plan::gather::Gather;
use crate::plan::numbering::Ids;
use crate::plan::{self, Answer, Bound, Params, Place, Plan, Planned, Role, Route, Target};
use crate::rare::boxed;
use crate::rules::GroupId;
use crate::session::limited::Limiting;
use crate::session::lookup::Keeping;
use crate::session::registry::Entry;
use crate::session::topology::Topology;
use crate::session::{NextTransaction, Session};
use crate::sql::scan::Scan;
use crate::txn::{Access, Mode, Pin, Start, State};
use crate::value::Datum;
use crate::wire::capabilities::Status;

/// One execution of a statement: what the client has sent, and what is made of it.
#[derive(Clone, Copy)]
pub(super) struct Execution<'a> {
    pub(super) sql: &'a [u8],
    pub(super) scan: &'a Scan,
    pub(super) topology: &'a Topology,
    pub(super) planned: &'a Planned,
    pub(super) ask: Ask<'a>,
    /// The parameters.
    pub(super) args: &'a [Datum<'a>],
    /// Flags of the answer.
    pub(super) add: Status,
}

impl<'a> Execution<'a> {
    /// Of a text of our own, whose answer nobody but the session hears.
    pub(super) fn own(sql: &'a [u8], scan: &'a Scan, topology: &'a Topology, planned: &'a Planned) -> Execution<'a> {
        Execution { sql, scan, topology, planned, ask: Ask::Query, args: &[], add: Status::default() }
    }
}

impl Session {
    /// Whether a statement opens the transaction that SET TRANSACTION spoke of: one that touches a table does.
    fn is_next(&self, planned: &Planned) -> bool {
        self.next.is_some() && *self.txn.state() == State::Auto && !planned.tables.is_empty()
    }

    /// Runs such a statement: it opens the transaction, or with autocommit it is the whole of it, and has the session's
    /// settings be those of that transaction for as long as it runs.
    async fn run_next(&mut self, of: &Execution<'_>) -> Result<(), Stop> {
        let NextTransaction { isolation, read_only } = std::mem::take(&mut self.next);
        if !self.autocommit() {
            self.txn.begin(Start { isolation, read_only: self.access_mode(read_only), ..Start::default() });
            return self.run(of).await;
        }
        let isolation = isolation.map(|level| format!("'{}'", level.replace(' ', "-")).into_bytes());
        let read_only = read_only.map(|only| if only { b"1".to_vec() } else { b"0".to_vec() });
        let before = self.needs.settings.clone();
        for (name, value) in [("transaction_isolation", isolation), ("transaction_read_only", read_only)] {
            if let Some(value) = value {
                self.needs.settings = self.needs.settings.with(name, Some(&value)).into();
            }
        }
        let outcome = self.run(of).await;
        // The statement may have set variables meanwhile.
        for name in ["transaction_isolation", "transaction_read_only"] {
            self.needs.settings = self.needs.settings.with(name, before.variable(name)).into();
        }
        outcome
    }

    /// Runs a planned statement of the client's.
    pub(super) async fn run(&mut self, of: &Execution<'_>) -> Result<(), Stop> {
        let Execution { sql, scan, topology, planned, args, .. } = *of;
        if self.is_next(planned) {
            return boxed(self.run_next(of)).await;
        }
        self.txn.check()?;
        self.may_touch(planned)?;
        if !self.temporary.is_empty() {
            boxed(self.begin_where_they_are(topology, planned)).await?;
        }
        if !planned.is_plain() {
            return boxed(self.run_special(of)).await;
        }
        self.needs.mode = self.guest.mode;
        let bound = Binding::new(planned, &topology.rules, sql, scan, args).bind()?;
        match (&bound.route, bound.answer) {
            (Route::One(target), Answer::Relay) if !bound.is_unsure() => {
                let target = *target;
                self.relay_to(of, &bound, target, None).await
            }
            _ => boxed(self.run_bound(of, bound)).await,
        }
    }

    /// A statement that wants something of its session, or has effects on it, or parts beside itself.
    async fn run_special(&mut self, of: &Execution<'_>) -> Result<(), Stop> {
        let Execution { sql, scan, topology, planned, ask, args, .. } = *of;
        self.may_ask_for_file(planned)?;
        self.needs.mode = planned.wishes().transaction.map_or(self.guest.mode, Mode::from);
        if let Some(wish) = planned.wishes().transaction
            && self.txn.is_open()
            && self.txn.mode(wish.into()) != wish.into()
        {
            let why = "The transaction has begun in another mode than this statement's hint says: say it on BEGIN";
            return Err(SqlError::refuse(why).into());
        }
        let effects = planned.effects;
        if effects.asks_session() {
            return self.session_function(of).await;
        }
        if effects.implicit_commit {
            self.end_transaction(true).await?;
        }
        if effects.table_locks && boxed(self.lock_anew(of)).await? {
            return Ok(());
        }
        let made = match &planned.numbering {
            Some(numbering) => self.make_ids(of, numbering).await?,
            None => Vec::new(),
        };
        let ids = match (made.is_empty(), ask.is_binary()) {
            (true, _) => Ids::None,
            (false, true) => Ids::Params(&made),
            (false, false) => Ids::Written(&made),
        };
        let binding = Binding::new(planned, &topology.rules, sql, scan, args);
        let shards = match &planned.seek {
            Some(seek) if !binding.with(ids).bind().is_ok_and(|bound| is_of_one(&bound)) => {
                self.sought(of, seek).await?
            }
            _ => None,
        };
        let found = shards.as_ref().and_then(|shards| binding.on(shards).bind().ok());
        let bound = found.map_or_else(|| binding.with(ids).bind(), Ok)?;
        self.run_bound(of, bound).await
    }

    /// A statement that is bound: in the way its plan says.
    async fn run_bound(&mut self, of: &Execution<'_>, bound: Bound<'_>) -> Result<(), Stop> {
        let Execution { topology, planned, .. } = *of;
        let of_one = is_of_one(&bound);
        if !of_one {
            self.kind = kind_of(bound.answer);
        }
        if (!of_one || planned.upkeep.is_some()) && self.txn.is_doubtful() {
            boxed(self.txn.review()).await;
        }
        if !of_one || planned.upkeep.is_some() {
            self.may_write(planned)?;
        }
        if let Some(upkeep) = &planned.upkeep {
            let keeping = Keeping { of, bound: &bound, upkeep, selected: None };
            return boxed(self.run_keeping(&keeping)).await;
        }
        // Each in a box, as the largest would else be the size of all.
        let target = match (&bound.route, bound.answer) {
            (Route::One(target), Answer::Relay) if bound.is_unsure() => {
                let targets = [*target];
                return boxed(self.run_write(of, &bound, &targets, Answer::Sum)).await;
            }
            (_, Answer::Gather(Gather { fills: Some(fill), .. })) => {
                return boxed(self.run_fill(of, &bound, fill)).await;
            }
            (_, Answer::Gather(gather)) => {
                return boxed(self.run_gather(of, &bound, gather)).await;
            }
            (_, Answer::Define(define)) if define.steps.len() > 1 => {
                return boxed(self.run_define(of, define)).await;
            }
            (Route::One(target), Answer::Catalogue(catalogue)) => {
                let target = *target;
                return boxed(self.run_catalogue(of, bound, catalogue, target)).await;
            }
            (_, Answer::Maintain(maintain)) => {
                return boxed(self.run_maintain(of, maintain)).await;
            }
            (_, Answer::Load(load)) => {
                return boxed(self.run_load(of, &bound, load)).await;
            }
            (_, Answer::Carry(carry)) => {
                return boxed(self.run_carry(of, carry)).await;
            }
            (_, Answer::Ahead(ahead)) => {
                return boxed(self.run_ahead(of, ahead)).await;
            }
            (_, Answer::Singly(singly)) => {
                return boxed(self.run_singly(of, singly)).await;
            }
            (_, Answer::Computed(computed)) => {
                return boxed(self.run_computed(of, computed)).await;
            }
            (_, Answer::Joined(joined)) => {
                return boxed(self.run_joined(of, joined)).await;
            }
            (Route::Many(targets), Answer::Limited(limited)) => {
                let limiting = Limiting { of, bound: &bound, targets, limited };
                return boxed(self.run_limited(&limiting)).await;
            }
            (_, Answer::Move(rule)) => {
                return boxed(self.run_moved(of, &bound, rule)).await;
            }
            (Route::Many(targets), Answer::Merge(merge)) if let Some(into) = &planned.into => {
                return boxed(self.run_into(of, &bound, targets, merge, into)).await;
            }
            (Route::Many(targets), Answer::Merge(merge)) => {
                return boxed(self.run_merge(of, &bound, targets, merge)).await;
            }
            (Route::Many(targets), answer) => {
                return boxed(self.run_write(of, &bound, targets, answer)).await;
            }
            (Route::One(target), _) => *target,
            (Route::Any, _) => Target { group: self.any_group(topology), shard: None },
        };
        let outcome = boxed(self.relay_to(of, &bound, target, None)).await;
        if planned.effects.defines {
            boxed(self.look_again()).await;
        }
        outcome
    }

    /// That all schemas in a plan are among the user's, two of the servers' own being open to everyone, and that LOCK
    /// TABLES keeps no table from the statement.
    pub(super) fn may_touch(&self, planned: &Planned) -> Result<(), SqlError> {
        if self.txn.pins().next().is_some() {
            self.may_see_under_locks(planned)?;
        }
        let open = |schema: &str| {
            let open = ["information_schema", "performance_schema"];
            self.guest.may_use(schema) || open.iter().any(|open| open.eq_ignore_ascii_case(schema))
        };
        match planned.tables.iter().find(|table| !open(&table.schema)) {
            None => Ok(()),
            Some(table) => Err(self.denied(&table.schema)),
        }
    }

    /// Under LOCK TABLES a statement sees the tables that it locked, which lie on one group, and temporary ones.
    fn may_see_under_locks(&self, planned: &Planned) -> Result<(), SqlError> {
        let Some((locked, _)) = self.txn.pins().find(|(_, pin)| *pin == Pin::LockTables) else { return Ok(()) };
        let effects = planned.effects;
        if effects.implicit_commit || !(effects.replica_ok || effects.writes || effects.locking) {
            return Ok(());
        }
        let elsewhere = |table: &&plan::Table| match table.place {
            Place::Single(group) => group != locked && !self.temporary.has(&table.schema, &table.name),
            Place::Sharded(_) | Place::Broadcast => true,
            Place::System => false,
        };
        match planned.tables.iter().find(elsewhere) {
            None => Ok(()),
            Some(table) => {
                let message = format!("Table '{}' was not locked with LOCK TABLES", table.name);
                Err(SqlError { errno: 1100, state: *b"HY000", message })
            }
        }
    }

    /// Error 1044 for a schema that is not among the user's.
    pub(super) fn denied(&self, schema: &str) -> SqlError {
        let message = format!("Access denied for user '{}'@'{}' to database '{schema}'", self.login.user, self.host);
        SqlError::new(Code::SchemaDenied, message)
    }

    /// One target: its answer is passed on as it is. `text` is what to send where that is not the bound statement.
    pub(super) async fn relay_to(
        &mut self,
        of: &Execution<'_>,
        bound: &Bound<'_>,
        target: Target,
        text: Option<&[u8]>,
    ) -> Result<(), Stop> {
        let Execution { topology, planned, ask, add, .. } = *of;
        let group = target.group;
        let effects = planned.effects;
        if effects.temporary_table || !self.temporary.is_empty() {
            self.may_see_temporary(planned, group)?;
        }
        let free = self.has_no_part(planned, group);
        // A lock is no part of the transaction either, but its connection stays.
        let locks = effects.user_locks && planned.tables.is_empty();
        let aside = free || (locks && self.txn.is_open() && !self.txn.holds(group));
        let access = self.access(planned);
        let wanted = self.needs.wanted(topology, group);
        // Of the fields themselves, as the client's is written to meanwhile.
        let mut patience = Patience::new(&self.seat.entry.kill, self.limit, self.proxy.config.timeouts.write);
        let (client, members) = (&mut self.client, topology.group(group));
        let mut lease = match aside {
            true => {
                let lease = pin!(self.txn.side_lease(group, members, access, &wanted));
                patience.reach(client, false, lease).await??
            }
            false => {
                let holds = self.txn.holds(group);
                let lease = pin!(self.txn.lease(group, members, access, &wanted));
                patience.reach(client, holds, lease).await??
            }
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
        let (in_trans, read_only) = match self.txn.state() {
            State::Open(start) if aside => (true, start.read_only == Some(true)),
            _ => (false, false),
        };
        let style = Style {
            capabilities: self.capabilities,
            add: add
                .when(Status::IN_TRANS, in_trans || add.has(Status::IN_TRANS))
                .when(Status::IN_TRANS_READONLY, read_only || add.has(Status::IN_TRANS_READONLY)),
            naming,
            definitions: &[],
            statement: None,
            // The server tells the last of several ids that are written out, MySQL the first of those it made.
            insert_id: bound.made_id().filter(|_| bound.is_certain()),
        };
        let sent = match text {
            None => ask::send_at_once(&mut lease, ask, bound, target, &mut self.text),
            Some(text) => {
                self.text.extend_from_slice(text);
                Err(Params::Same)
            }
        };
        let sent = match sent {
            Ok(statement) => Ok(statement),
            Err(params) => {
                let send = ask::send(&mut self.client, &mut lease, ask, &self.text, &params, &mut patience, naming);
                boxed(send).await
            }
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
                if !planned.is_plain() || outcome.status.has(Status::CURSOR_EXISTS) {
                    self.pin_for(group, &mut lease, planned, &outcome, statement);
                }
                self.remember(&mut lease, planned, &outcome, naming, bound.made_id()).await;
                if planned.is_plain() {
                    self.give_back(group, lease, free);
                    return Ok(());
                }
                let defines = effects.temporary_table || (effects.defines && !self.temporary.is_empty());
                if defines && outcome.error.is_none() {
                    let followed = boxed(self.follow_temporary(&mut lease, planned, bound, target)).await;
                    if let Err(error) = followed {
                        // What is not known of a table would be guessed: the session has lost what was on there.
                        let why = error.to_client(&lease.server().name).message;
                        drop(lease);
                        self.txn.lost(group, why);
                        return Ok(());
                    }
                }
                if effects.sets_variables {
                    boxed(self.carry_variables(&mut lease, bound.sql())).await;
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
        let replica = match planned.wishes().role {
            Some(Role::Primary) => false,
            Some(Role::Replica) => planned.effects.replica_ok,
            None => planned.effects.replica_ok && self.guest.replicas,
        };
        // With autocommit off a read opens a transaction, which belongs to the primary.
        if replica && self.autocommit() && !self.txn.is_open() { Access::Replica } else { Access::Primary }
    }

    /// How long the running statement is waited for. The entry is the session's own, held apart because the session
    /// itself is written to meanwhile.
    ///
    /// # Errors
    /// 3024 if its time is over: a part of it does not begin then.
    pub(super) fn patience<'e>(&self, entry: &'e Entry) -> Result<Patience<'e>, SqlError> {
        self.limit.check()?;
        Ok(Patience::new(&entry.kill, self.limit, self.proxy.config.timeouts.write))
    }
}

/// Whether a statement is one target's, whose answer is passed on.
fn is_of_one(bound: &Bound<'_>) -> bool {
    matches!(bound.route, Route::One(_) | Route::Any)
        && !matches!(
            bound.answer,
            Answer::Gather(_)
                | Answer::Carry(_)
                | Answer::Ahead(_)
                | Answer::Computed(_)
                | Answer::Joined(_)
                | Answer::Singly(_)
                | Answer::Load(_)
                | Answer::Maintain(_)
                | Answer::Move(_)
        )
}

/// What a statement counts as that is not one target's.
fn kind_of(answer: Answer<'_>) -> Kind {
    match answer {
        Answer::Relay | Answer::Describe | Answer::Catalogue(_) => Kind::Relay,
        Answer::Merge(_) => Kind::Merge,
        Answer::Gather(_) => Kind::Gather,
        Answer::Sum | Answer::Same | Answer::Limited(_) | Answer::Move(_) => Kind::Write,
        Answer::Define(_)
        | Answer::Maintain(_)
        | Answer::Carry(_)
        | Answer::Ahead(_)
        | Answer::Computed(_)
        | Answer::Joined(_)
        | Answer::Singly(_)
        | Answer::Load(_) => Kind::Write,
    }
}
