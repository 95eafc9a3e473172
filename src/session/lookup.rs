//! Writes of tables with lookups: the client's statement and the statements that keep the lookups, as one. Rows that go
//! or change are locked and read first; the owner's rows are written before the lookups', always in this order, so that
//! no two sessions hold what the other one waits for next.

use std::pin::pin;
use std::sync::Arc;

use crate::backend::conn::Answer as Told;
use crate::error::SqlError;
use crate::exec::interrupt::Stop;
use crate::exec::lookup::{
    ROWS_AT_ONCE, ROWS_MOST, Row, cell, delete, insert, literal, put_columns, put_datum, put_rows, told,
};
use crate::exec::names::Naming;
use crate::exec::outcome::Outcome;
use crate::exec::write::{Share, answered};
use crate::plan::bind::Binding;
use crate::plan::carry::Carry;
use crate::plan::upkeep::{Change, Given, Kept, Reach, Upkeep, Value};
use crate::plan::{Answer, Bound, Plan, Planned, Route, Target};
use crate::rules::catalog::ColumnInfo;
use crate::session::Session;
use crate::session::query::Understood;
use crate::session::run::Execution;
use crate::session::topology::Topology;
use crate::sql::ast::Span;
use crate::sql::scan::{Scan, scan};
use crate::txn::{Access, Mode};
use crate::wire::command::com;

/// The savepoint of a statement in several parts, inside of a transaction.
pub(super) const SAVEPOINT: &str = "shardloom_parts";

/// A write whose lookups are kept.
#[derive(Clone, Copy)]
pub(super) struct Keeping<'a> {
    pub(super) of: &'a Execution<'a>,
    pub(super) bound: &'a Bound<'a>,
    pub(super) upkeep: &'a Upkeep,
    /// What it is to the client, if its rows were carried.
    pub(super) selected: Option<&'a Carry>,
}

/// The rows of a table that a write concerns, as they are in its lookups.
pub(super) struct Before {
    /// The columns that were read.
    pub(super) columns: Vec<ColumnInfo>,
    pub(super) rows: Vec<Row>,
    /// Where each of them is.
    pub(super) places: Vec<Target>,
}

impl Session {
    /// Runs the write and tells the client.
    pub(super) async fn run_keeping(&mut self, keeping: &Keeping<'_>) -> Result<(), Stop> {
        let outcome = self.write_keeping(keeping).await?;
        self.wrote(&outcome, keeping.of.add);
        Ok(())
    }

    /// The same; the client is told later.
    pub(super) async fn write_keeping(&mut self, keeping: &Keeping<'_>) -> Result<Outcome, Stop> {
        self.may_keep(keeping)?;
        let parts = self.begin_parts(keeping.of.planned);
        let outcome =
            self.as_one(parts.own, SAVEPOINT, async |session: &mut Session| session.write_parts(keeping).await).await;
        self.end_parts(parts, outcome).await
    }

    /// What no plan knows of the session.
    fn may_keep(&self, keeping: &Keeping<'_>) -> Result<(), SqlError> {
        let table = &keeping.upkeep.table;
        let refuse = |why: &str| {
            Err(SqlError::refuse(format!(
                "Shardloom does not support {why} in a write that concerns a lookup of {table}"
            )))
        };
        if self.txn.mode(self.needs.mode) == Mode::BestEffort {
            return refuse("transaction_mode = \"best_effort\", which may lose one half of it,");
        }
        if self.facts != self.facts_of_now() {
            return refuse("another sql_mode or character set than the statement was prepared under");
        }
        match &keeping.of.planned.plan {
            Plan::Sharded(sharded) if sharded.routing.shard.is_some() => refuse("the hint shard="),
            _ => Ok(()),
        }
    }

    async fn write_parts(&mut self, keeping: &Keeping<'_>) -> Result<Outcome, Stop> {
        match &keeping.upkeep.change {
            Change::Insert(given) => self.keep_inserted(keeping, given).await,
            Change::Upsert(upsert) => Box::pin(self.keep_upserted(keeping, upsert)).await,
            Change::Delete(reach) => self.keep_deleted(keeping, reach).await,
            Change::Update { reach, identity, computed } => {
                self.keep_updated(keeping, reach, identity, computed.is_some()).await
            }
        }
    }

    /// The client's own statement.
    async fn write_owner(&mut self, keeping: &Keeping<'_>) -> Result<Outcome, Stop> {
        let targets = self.targets(keeping.of.topology, keeping.bound);
        let answer = if let Answer::Relay = keeping.bound.answer { Answer::Sum } else { keeping.bound.answer };
        self.write(keeping.of, keeping.bound, &targets, answer, Share::Whole, keeping.selected).await
    }

    /// INSERT: a row in each lookup for each row that has the whole key.
    async fn keep_inserted(&mut self, keeping: &Keeping<'_>, given: &[Box<[Given]>]) -> Result<Outcome, Stop> {
        let reading = self.reading();
        let (mut texts, mut unknown) = (Vec::new(), None);
        for (kept, given) in keeping.upkeep.lookups.iter().zip(given) {
            let mut rows: Vec<Row> = Vec::new();
            for given in given.chunks(kept.columns.len()) {
                let mut row = Row::new();
                for (column, given) in kept.columns.iter().zip(given) {
                    let value = keeping.bound.given(*given)?;
                    // Into a column without NULL the server puts something else, or refuses the row.
                    let doubtful = value == Value::Unknown || (value == Value::Null && !column.nullable);
                    unknown = unknown.or(doubtful.then(|| column.name.clone()));
                    row.push(if doubtful { None } else { literal(&value, reading)? });
                }
                rows.push(row);
            }
            rows.retain(|row| has_key(kept, row));
            texts.extend(rows.chunks(ROWS_AT_ONCE).map(|rows| (kept, insert(kept, rows))));
        }
        let outcome = self.write_owner(keeping).await?;
        if let Some(column) = unknown {
            let why = format!(
                "column {column} is in a lookup of {}, and its value is not in the statement",
                keeping.upkeep.table
            );
            return Err(SqlError::refuse(why).into());
        }
        for (kept, text) in texts {
            self.write_lookup(keeping, kept, &text).await?;
        }
        Ok(outcome)
    }

    /// DELETE: what the rows had in the lookups goes with them.
    async fn keep_deleted(&mut self, keeping: &Keeping<'_>, reach: &Reach) -> Result<Outcome, Stop> {
        let before = self.before(keeping, reach, &[]).await?;
        let outcome = self.write_owner(keeping).await?;
        self.same_rows(keeping, outcome.affected_rows, &before)?;
        for kept in &keeping.upkeep.lookups {
            self.take_out(keeping, kept, before.of(kept)).await?;
        }
        Ok(outcome)
    }

    /// UPDATE of unique columns: the rows are read before and behind it.
    async fn keep_updated(
        &mut self,
        keeping: &Keeping<'_>,
        reach: &Reach,
        identity: &[ColumnInfo],
        computed: bool,
    ) -> Result<Outcome, Stop> {
        let before = self.before(keeping, reach, identity).await?;
        if computed && before.rows.len() > 1 {
            return Err(SqlError::refuse(format!(
                "an expression for a unique column of {} that has a lookup, in several rows at once: one server compares \
                 them one after the other; UPDATE them one by one",
                keeping.upkeep.table
            ))
            .into());
        }
        let outcome = self.write_owner(keeping).await?;
        let matched = outcome.info.strip_prefix("Rows matched: ").and_then(|rest| rest.split(' ').next());
        self.same_rows(keeping, matched.and_then(|matched| matched.parse().ok()).unwrap_or(u64::MAX), &before)?;
        let mut after = before.none();
        let rows: Vec<Row> = before.rows.iter().map(|row| row[..identity.len()].to_vec()).collect();
        self.read_locked(keeping, identity, &rows, &mut after).await?;
        self.keep_difference(keeping, &before, &after).await?;
        Ok(outcome)
    }

    /// Locks and reads the rows of the table that have one of these for some columns.
    pub(super) async fn read_locked(
        &mut self,
        keeping: &Keeping<'_>,
        columns: &[ColumnInfo],
        rows: &[Row],
        into: &mut Before,
    ) -> Result<(), Stop> {
        for rows in rows.chunks(ROWS_AT_ONCE) {
            let mut text = into.select();
            text.extend_from_slice(keeping.upkeep.quoted.as_bytes());
            text.extend_from_slice(b" WHERE ");
            put_rows(columns, rows, &mut text);
            text.extend_from_slice(b" FOR UPDATE");
            self.read_rows(keeping, &text, None, into).await?;
        }
        Ok(())
    }

    /// Takes out of the lookups what is not there any more, then puts in what is new.
    pub(super) async fn keep_difference(
        &mut self,
        keeping: &Keeping<'_>,
        before: &Before,
        after: &Before,
    ) -> Result<(), Stop> {
        let mut added = Vec::new();
        for kept in &keeping.upkeep.lookups {
            let (old, new) = (before.of(kept), after.of(kept));
            let differs = |rows: &[Row], row: &Row| !rows.contains(row);
            added.push(new.iter().filter(|row| differs(&old, row)).cloned().collect::<Vec<Row>>());
            self.take_out(keeping, kept, old.iter().filter(|row| differs(&new, row)).cloned().collect()).await?;
        }
        for (kept, rows) in keeping.upkeep.lookups.iter().zip(added) {
            for rows in rows.chunks(ROWS_AT_ONCE) {
                self.write_lookup(keeping, kept, &insert(kept, rows)).await?;
            }
        }
        Ok(())
    }

    async fn take_out(&mut self, keeping: &Keeping<'_>, kept: &Kept, rows: Vec<Row>) -> Result<(), Stop> {
        for rows in rows.chunks(ROWS_AT_ONCE) {
            self.write_lookup(keeping, kept, &delete(kept, rows)).await?;
        }
        Ok(())
    }

    /// That the statement concerned the rows which were read and locked before. With READ COMMITTED another session may
    /// have added some in between.
    fn same_rows(&self, keeping: &Keeping<'_>, found: u64, before: &Before) -> Result<(), SqlError> {
        if found == before.rows.len() as u64 {
            return Ok(());
        }
        let message = format!("Record has changed since last read in table '{}'", keeping.upkeep.table);
        Err(SqlError { errno: 1020, state: *b"HY000", message })
    }

    /// Locks and reads the rows that the statement concerns.
    async fn before(&mut self, keeping: &Keeping<'_>, reach: &Reach, identity: &[ColumnInfo]) -> Result<Before, Stop> {
        let mut before = Before::of_lookups(keeping.upkeep, identity);
        let gone = || SqlError::refuse("the statement cannot be read anew");
        let (from, filter) = reach.spans(keeping.of.scan).ok_or_else(gone)?;
        let mut text = before.select();
        self.put_piece(keeping, from, &mut text)?;
        if let Some(filter) = filter {
            text.extend_from_slice(b" WHERE ");
            self.put_piece(keeping, filter, &mut text)?;
        }
        text.extend_from_slice(format!(" LIMIT {} FOR UPDATE", ROWS_MOST + 1).as_bytes());
        // Where the statement goes, which a lookup may have told.
        let targets = self.targets(keeping.of.topology, keeping.bound);
        self.read_rows(keeping, &text, Some(targets), &mut before).await?;
        Ok(before)
    }

    /// Appends a piece of the client's text, its parameters written out.
    fn put_piece(&self, keeping: &Keeping<'_>, piece: Span, out: &mut Vec<u8>) -> Result<(), SqlError> {
        let (mut copied, reading) = (piece.start, self.reading());
        for (number, at) in
            keeping.of.scan.params.iter().enumerate().filter(|(_, at)| piece.start <= **at && **at < piece.end)
        {
            out.extend_from_slice(Span { start: copied, end: *at }.of(keeping.bound.sql()));
            let missing = || SqlError::new(crate::error::Code::WrongArguments, "Incorrect arguments to EXECUTE");
            out.push(b'(');
            put_datum(keeping.of.args.get(number).ok_or_else(missing)?, reading, out)?;
            out.push(b')');
            copied = at + 1;
        }
        out.extend_from_slice(Span { start: copied, end: piece.end }.of(keeping.bound.sql()));
        Ok(())
    }

    /// Runs a SELECT of our own in the open transaction, on each of its targets or of these.
    pub(super) async fn read_rows(
        &mut self,
        keeping: &Keeping<'_>,
        text: &[u8],
        targets: Option<Vec<Target>>,
        into: &mut Before,
    ) -> Result<(), Stop> {
        let reading = self.reading();
        let (found, planned) = self.own_text(keeping.of.topology, text)?;
        let mut bound = Binding::new(&planned, &keeping.of.topology.rules, text, &found, &[]).own().bind()?;
        bound.answer = Answer::Relay;
        for target in targets.unwrap_or_else(|| self.targets(keeping.of.topology, &bound)) {
            let mut sql = Vec::new();
            bound.render(target, &mut sql);
            let answer = self.ask_primary(keeping, target, &sql, Naming::Of(&bound, target)).await?;
            for row in answer.rows {
                let cells = row.iter().zip(&into.columns);
                let literals =
                    cells.map(|(value, column)| value.as_ref().map(|text| cell(text, column, reading)).transpose());
                into.rows.push(literals.collect::<Result<Row, SqlError>>()?);
                into.places.push(target);
            }
            if into.rows.len() > ROWS_MOST {
                return Err(SqlError::refuse(format!(
                    "more than {ROWS_MOST} rows of {}, whose lookups are to be kept, in one statement: narrow its condition",
                    keeping.upkeep.table
                ))
                .into());
            }
        }
        Ok(())
    }

    /// One target's answer to a text, on the connection of the open transaction.
    async fn ask_primary(
        &mut self,
        keeping: &Keeping<'_>,
        target: Target,
        sql: &[u8],
        naming: Naming<'_>,
    ) -> Result<Told, Stop> {
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        let wanted = self.needs.wanted(keeping.of.topology, target.group);
        let group = keeping.of.topology.group(target.group);
        let holds = self.txn.holds(target.group);
        let lease = self.txn.lease(target.group, group, Access::Write, &wanted);
        let mut lease = patience.reach(&mut self.client, holds, pin!(lease)).await??;
        lease.send(com::QUERY, sql);
        let answer = answered(&mut self.client, &mut lease, &mut patience, naming).await;
        match &answer {
            Ok(_) => self.txn.settle(target.group, lease),
            Err(stop) => self.give_up(target.group, lease, false, stop),
        }
        answer
    }

    /// Writes to a lookup, whose errors are those of the owner's key.
    async fn write_lookup(&mut self, keeping: &Keeping<'_>, kept: &Kept, text: &[u8]) -> Result<(), Stop> {
        match self.write_own(keeping, text).await {
            Ok(_) => Ok(()),
            Err(Stop::Error(error)) => Err(Stop::Error(told(error, &keeping.upkeep.table, &kept.key))),
            Err(stop) => Err(stop),
        }
    }

    /// Runs a write of our own; what the session remembers is of the client's statement alone.
    pub(super) async fn write_own(&mut self, keeping: &Keeping<'_>, text: &[u8]) -> Result<Outcome, Stop> {
        let (found, planned) = self.own_text(keeping.of.topology, text)?;
        let bound = Binding::new(&planned, &keeping.of.topology.rules, text, &found, &[]).own().bind()?;
        let of = Execution::own(text, &found, keeping.of.topology, &planned);
        let targets = self.targets(of.topology, &bound);
        let answer = if let Answer::Relay = bound.answer { Answer::Sum } else { bound.answer };
        let (rows, id, known) = (self.row_count, self.last_insert_id, std::mem::take(&mut self.diagnostics));
        let outcome = self.write(&of, &bound, &targets, answer, Share::Whole, None).await;
        (self.row_count, self.last_insert_id, self.diagnostics) = (rows, id, known);
        outcome
    }

    /// The plan of a text of our own.
    pub(super) fn own_text(&mut self, topology: &Topology, text: &[u8]) -> Result<(Scan, Arc<Planned>), SqlError> {
        let mut found = Scan::default();
        scan(text, self.facts, self.proxy.seed, &mut found)?;
        match self.understand(text, &found, topology)? {
            Understood::Plan(planned) => Ok((found, planned)),
            Understood::Head(_) => Err(SqlError::refuse("the statement cannot be read anew")),
        }
    }

    /// Where a bound statement goes.
    pub(super) fn targets(&self, topology: &Topology, bound: &Bound<'_>) -> Vec<Target> {
        match &bound.route {
            Route::One(target) => vec![*target],
            Route::Many(targets) => targets.clone(),
            Route::Any => vec![Target { group: self.any_group(topology), shard: None }],
        }
    }
}

impl Before {
    /// No rows yet, of the columns that tell a row and of those of the lookups.
    pub(super) fn of_lookups(upkeep: &Upkeep, identity: &[ColumnInfo]) -> Before {
        let mut columns = identity.to_vec();
        for column in upkeep.lookups.iter().flat_map(|kept| &kept.columns) {
            if !columns.iter().any(|known| known.is_named(&column.name)) {
                columns.push(column.clone());
            }
        }
        Before { columns, rows: Vec::new(), places: Vec::new() }
    }

    /// No rows of the same columns.
    pub(super) fn none(&self) -> Before {
        Before { columns: self.columns.clone(), rows: Vec::new(), places: Vec::new() }
    }

    /// `SELECT columns FROM `.
    pub(super) fn select(&self) -> Vec<u8> {
        let mut text = b"SELECT ".to_vec();
        put_columns(&self.columns, &mut text);
        text.extend_from_slice(b" FROM ");
        text
    }

    /// The rows as a lookup has them.
    fn of(&self, kept: &Kept) -> Vec<Row> {
        let place = |column: &ColumnInfo| self.columns.iter().position(|known| known.is_named(&column.name));
        let places: Vec<usize> = kept.columns.iter().filter_map(place).collect();
        let rows = self.rows.iter().map(|row| places.iter().map(|place| row[*place].clone()).collect::<Row>());
        rows.filter(|row| has_key(kept, row)).collect()
    }
}

/// Whether a row has the whole unique key: NULL is no duplicate of anything.
fn has_key(kept: &Kept, row: &Row) -> bool {
    row[..kept.unique].iter().all(Option::is_some)
}
