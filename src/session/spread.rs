//! Statements of several targets: rows that are merged, rows that are gathered, writes whose parts add up. It knows what
//! the session remembers of them; how the targets are asked is for `exec`.

use crate::backend::lease::Lease;
use crate::error::{Code, SqlError};
use crate::exec::ask;
use crate::exec::gather;
use crate::exec::gather::home::Gathering;
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::Naming;
use crate::exec::outcome::Outcome;
use crate::exec::relay::{Style, relay};
use crate::exec::scatter::{self, Scatter};
use crate::exec::write::{self, Share};
use crate::plan::carry::Carry;
use crate::plan::gather::{Extent, Gather};
use crate::plan::merge::Merge;
use crate::plan::{Answer, Bound, Plan, Planned, Target};
use crate::rules::GroupId;
use crate::session::parts::now;
use crate::session::run::Execution;
use crate::session::{OpenCursor, Session, reply};
use crate::txn::{Pin, Start, State};
use crate::wire::capabilities::Status;
use crate::wire::reply::OkPacket;

impl Session {
    /// Several targets whose rows become one answer.
    pub(super) async fn run_merge(
        &mut self,
        of: &Execution<'_>,
        bound: &Bound<'_>,
        targets: &[Target],
        merge: &Merge,
    ) -> Result<(), Stop> {
        let Execution { topology, planned, ask, add, .. } = *of;
        if self.needs.settings.variable("sql_select_limit").is_some() {
            let why = "a SELECT over several shards while sql_select_limit is set: give it a LIMIT of its own";
            return Err(SqlError::refuse(format!("Shardloom does not support {why}")).into());
        }
        self.open_without_autocommit();
        let access = self.access(planned);
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
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
    pub(super) async fn run_gather(
        &mut self,
        of: &Execution<'_>,
        bound: &Bound<'_>,
        gather: &Gather,
    ) -> Result<(), Stop> {
        let Execution { planned, ask, add, .. } = *of;
        let mut gathering = self.gathering(planned, bound, gather)?;
        if planned.effects.defines {
            self.may_define()?;
        }
        if planned.effects.temporary_table {
            self.may_make_temporary()?;
            (gathering.keeps, gathering.shared) = (true, false);
        }
        self.open_without_autocommit();
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        let mut lease = self.gathered_on(of, &mut gathering, &mut patience).await?;
        let target = Target { group: gathering.gathered.group, shard: None };
        let mut text = Vec::new();
        let params = bound.render(target, &mut text);
        let naming = Naming::Of(bound, target);
        // It has no part in the transaction, of which the client is told.
        let held = self.status();
        let shown = |flag: Status| held.has(flag) || add.has(flag);
        let add = add.when(Status::IN_TRANS, shown(Status::IN_TRANS));
        let add = add.when(Status::IN_TRANS_READONLY, shown(Status::IN_TRANS_READONLY));
        let style =
            Style { capabilities: self.capabilities, add, naming, statement: None, definitions: &[], insert_id: None };
        // A cursor would need the copies for as long as it is open: all rows are sent at once, as a server may do.
        let ask = ask.without_cursor();
        let sent = ask::send(&mut self.client, &mut lease, ask, &text, &params, &mut patience, naming).await;
        let outcome = match sent {
            Ok(_) => relay(&mut self.client, &mut lease, ask.kind(), &mut patience, &style).await,
            Err(stop) => Err(stop),
        };
        let outcome = match outcome {
            Err(stop) => {
                gather::give_back(&mut self.txn, lease, &gathering).await;
                return Err(stop);
            }
            Ok(outcome) => outcome,
        };
        self.remember(&mut lease, planned, &outcome, naming, None).await;
        if planned.effects.sets_variables {
            self.carry_variables(&mut lease, bound.sql()).await;
        }
        if let Some(statement) = lease.prepared.forget(&text) {
            lease.close_statement(statement);
        }
        if planned.effects.defines {
            self.txn.wrote(target.group);
            self.look_again().await;
        }
        if gathering.keeps {
            match outcome.error {
                None => self.keep_made(lease, planned, bound, &gathering).await,
                Some(_) => gather::give_back(&mut self.txn, lease, &gathering).await,
            }
            return Ok(());
        }
        // The client need not wait for the copies to go.
        self.client.flush().await.map_err(Stop::Client)?;
        gather::clear(&mut lease, &gathering).await;
        Ok(())
    }

    /// The rows of a statement on the connection where it can run over them.
    pub(super) async fn gathered_on(
        &mut self,
        of: &Execution<'_>,
        gathering: &mut Gathering<'_>,
        patience: &mut Patience<'_>,
    ) -> Result<Lease, Stop> {
        let Execution { topology, planned, .. } = *of;
        let needs = &self.needs;
        let place = |id: GroupId| (topology.group(id), needs.wanted(topology, id));
        let mut lease = gather::run(&mut self.client, &mut self.txn, gathering, &place, patience).await?;
        if planned.effects.last_insert_id {
            lease.set_insert_id(self.last_insert_id);
        }
        Ok(lease)
    }

    /// That a definition which needs rows of several places commits itself, and finds nothing in its way.
    pub(super) fn may_define(&self) -> Result<(), SqlError> {
        let what = match self.txn.pins().next() {
            Some((_, Pin::TemporaryTable)) => "in a session with temporary tables: drop these first",
            Some(_) => "in a session that holds locks",
            None if !self.autocommit() => "with autocommit off",
            None => return Ok(()),
        };
        let why = format!("a CREATE TABLE ... AS SELECT over several servers {what}");
        Err(SqlError::refuse(format!("Shardloom does not support {why}")))
    }

    /// With autocommit off a statement opens a transaction if none is open: before it takes connections to several
    /// groups, which are then parts of one.
    pub(super) fn open_without_autocommit(&mut self) {
        if *self.txn.state() == State::Auto && !self.autocommit() {
            self.txn.begin(Start { read_only: self.access_mode(None), ..Start::default() });
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
        for (source, like) in gather.sources.iter().zip(&gathered.like).filter(|(source, _)| source.temporary) {
            debug_assert!(self.txn.holds(like.group), "{} is nowhere", source.label);
            self.may_see_temporary(planned, like.group)?;
        }
        let shared = self.txn.is_open() || self.txn.pins().next().is_some() || !self.autocommit();
        let limit = self.proxy.config.limits.gather;
        Ok(Gathering {
            bound,
            gather,
            gathered,
            limit,
            access: self.access(planned),
            shared,
            keeps: false,
            extent: Extent::Needed,
        })
    }

    /// Several targets that each do their part of a write.
    pub(super) async fn run_write(
        &mut self,
        of: &Execution<'_>,
        bound: &Bound<'_>,
        targets: &[Target],
        answer: Answer<'_>,
    ) -> Result<(), Stop> {
        let outcome = self.write(of, bound, targets, answer, Share::Whole, None).await?;
        self.wrote(&outcome, of.add);
        Ok(())
    }

    /// The same; the client is told later. `selected`: what it is to the client, if its rows were carried.
    pub(super) async fn write(
        &mut self,
        of: &Execution<'_>,
        bound: &Bound<'_>,
        targets: &[Target],
        answer: Answer<'_>,
        share: Share<'_>,
        selected: Option<&Carry>,
    ) -> Result<Outcome, Stop> {
        let Execution { topology, planned, ask, .. } = *of;
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        let needs = &self.needs;
        let place = |id: GroupId| (topology.group(id), needs.wanted(topology, id));
        let numbers = selected.is_some() || (planned.effects.numbers && matches!(planned.plan, Plan::Relay { .. }));
        let part = write::Write {
            bound,
            targets,
            answer,
            ask: ask.without_cursor(),
            autocommit: self.autocommit(),
            clock: self.one_clock(planned),
            last_insert_id: (planned.effects.last_insert_id || numbers).then_some(self.last_insert_id),
            share,
            selected,
            numbers,
            room: self.proxy.config.limits.merge_memory_per_query,
        };
        let mut outcome = write::run(&mut self.client, &mut self.txn, &part, &place, &mut patience).await?;
        self.diagnostics.clear();
        self.row_count = if outcome.has_rows { -1 } else { outcome.affected_rows as i64 };
        self.last_insert_id = outcome.made_id.unwrap_or(self.last_insert_id);
        // Groups answer side by side.
        outcome.conditions.sort_by_key(|part| (part.row, part.target));
        for part in &outcome.conditions {
            let naming = Naming::Of(bound, part.target);
            let row_of = |row: usize| part.row.map_or_else(|| bound.row_of(part.target, row), |only| Some(only + 1));
            let alone = part.row.map(|only| only + 1);
            self.diagnostics.add_part(&part.told, |message| naming.text(message), row_of, alone);
        }
        self.diagnostics.put_together(outcome.warnings.into());
        Ok(outcome)
    }

    /// Tells the client what a write did.
    pub(super) fn wrote(&mut self, outcome: &Outcome, add: Status) {
        let status = self.status().with(add);
        if let Some(rows) = &outcome.returned {
            return reply::returned(&mut self.client, self.capabilities, status, outcome.warnings, rows);
        }
        let packet = OkPacket {
            affected_rows: outcome.affected_rows,
            last_insert_id: outcome.last_insert_id,
            status,
            warnings: outcome.warnings,
            info: outcome.info.as_bytes(),
            session_state: &[],
        };
        reply::ok(&mut self.client, self.capabilities, &packet);
    }

    /// For a statement that reads the clock on several targets: the SET that makes it the same for all of them,
    /// with the microseconds that NOW(6) shows. A session that has set its clock has it everywhere.
    pub(super) fn one_clock(&self, planned: &Planned) -> Option<String> {
        if !planned.effects.clock || self.needs.settings.variable("timestamp").is_some() {
            return None;
        }
        Some(format!("SET timestamp={}", now()))
    }
}
