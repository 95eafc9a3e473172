//! INSERT ... SELECT whose rows are read in one place and stored in another: the SELECT runs as a statement of its own,
//! whose answer is kept here, and an INSERT ... VALUES of its rows is planned, split and stored like any other; both in
//! one transaction.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::SqlError;
use crate::exec::carry::{Into, Reading, Rows, kept, rows};
use crate::exec::interrupt::Stop;
use crate::exec::outcome::Outcome;
use crate::exec::write::Share;
use crate::plan::bind::{Binding, bind};
use crate::plan::carry::Carry;
use crate::plan::numbering::Ids;
use crate::plan::{self, Answer, Plan, Planned, Route, Target, Wishes};
use crate::rules::catalog::{ColumnInfo, TableInfo};
use crate::session::Session;
use crate::session::lookup::Keeping;
use crate::session::run::Execution;
use crate::session::topology::Topology;
use crate::sql::SqlMode;
use crate::sql::head::head;
use crate::sql::scan::{Scan, scan};
use crate::value::Datum;

/// A piece of a statement from `start` on, with all of the statement's parameters written out: none can stand behind
/// it, or in front. `what` the statement is.
pub(super) fn with_params<'q>(
    piece: &'q [u8],
    start: usize,
    (scan, args): (&Scan, &[Datum<'_>]),
    reading: Reading,
    what: &str,
) -> Result<Cow<'q, [u8]>, SqlError> {
    if scan.params.is_empty() {
        return Ok(Cow::Borrowed(piece));
    }
    let refused = || SqlError::refuse(format!("Shardloom does not support this parameter in {what}"));
    let (mut out, mut copied) = (Vec::with_capacity(piece.len()), 0);
    for (number, at) in scan.params.iter().enumerate() {
        let at = (*at as usize).checked_sub(start).filter(|at| *at < piece.len());
        let (Some(at), Some(value)) = (at, args.get(number)) else { return Err(refused()) };
        out.extend_from_slice(&piece[copied..at]);
        if is_sorted_by(&piece[..at]) || !put_value(value, reading, &mut out) {
            return Err(refused());
        }
        copied = at + 1;
    }
    out.extend_from_slice(&piece[copied..]);
    Ok(Cow::Owned(out))
}

/// Whether what follows may be an item of ORDER BY or GROUP BY, where a number written out is a column's.
fn is_sorted_by(before: &[u8]) -> bool {
    let before = before.trim_ascii_end();
    let by = before.windows(2).any(|word| word.eq_ignore_ascii_case(b"by"));
    by && [&b"by"[..], b",", b"(", b"/"]
        .iter()
        .any(|end| before.len() >= end.len() && before[before.len() - end.len()..].eq_ignore_ascii_case(end))
}

/// Appends a parameter as a literal; `false` if that would be another value.
fn put_value(value: &Datum<'_>, reading: Reading, out: &mut Vec<u8>) -> bool {
    match value {
        Datum::Null => out.extend_from_slice(b"NULL"),
        Datum::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Datum::UInt(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Datum::Text(text) if reading.utf8 => reading.put_text(text, out),
        _ => return false,
    }
    true
}

/// What the statement is called in refusals.
const WHAT: &str = "an INSERT ... SELECT between servers";

const TWICE: &str = "Shardloom does not support a subquery that is read first in a write that needs several steps itself: \
                     one that moves rows, or has LIMIT, on several shards";

const UNKNOWN_TABLE: &str = "Shardloom does not support this INSERT ... SELECT: its table is not known";

/// The table that the rows go to.
fn table_of(topology: &Topology, planned: &Planned, carry: &Carry) -> Result<Arc<TableInfo>, SqlError> {
    let table = planned.tables.get(usize::from(carry.table));
    let info = table.and_then(|table| topology.catalog.table(&table.schema, &table.name).cloned());
    info.ok_or_else(|| SqlError::refuse(UNKNOWN_TABLE))
}

/// That reading first and writing afterwards leaves the session as one statement would; `what` the statement is.
pub(super) fn may_read_first(planned: &Planned, what: &str) -> Result<(), SqlError> {
    let effects = planned.effects;
    let part = if effects.sets_variables || effects.sets_last_insert_id || effects.calc_found_rows {
        "an assignment to what the session knows"
    } else if effects.user_locks || effects.stored_function {
        "a function that does more than compute"
    } else {
        return Ok(());
    };
    Err(SqlError::refuse(format!("Shardloom does not support {part} in {what}")))
}

/// What is known of a SELECT that is read first.
#[derive(Clone, Copy)]
pub(super) struct Reads {
    /// A clause that locks its rows can stand behind it.
    pub(super) lockable: bool,
    /// It reads tables.
    pub(super) reads_tables: bool,
    /// The transaction is the statement's own.
    pub(super) own: bool,
    /// What the hints of the statement say.
    pub(super) wishes: Wishes,
}

impl Session {
    /// Reads the rows, stores them, and tells the client what one server would have told.
    pub(super) async fn run_carry(&mut self, of: &Execution<'_>, carry: &Carry) -> Result<(), Stop> {
        may_read_first(of.planned, WHAT)?;
        let parts = self.begin_parts(of.planned);
        let outcome = self.read_and_store(of, carry, parts.own).await;
        let outcome = self.end_parts(parts, outcome).await?;
        self.wrote(&outcome, of.add);
        Ok(())
    }

    async fn read_and_store(&mut self, of: &Execution<'_>, carry: &Carry, own: bool) -> Result<Outcome, Stop> {
        let nothing = || SqlError::refuse(UNKNOWN_TABLE);
        let info = table_of(of.topology, of.planned, carry)?;
        let [before, query, behind] = carry.pieces(of.sql, of.scan).ok_or_else(nothing)?;
        let query = &*with_params(query, before.len(), (of.scan, of.args), self.reading(), WHAT)?;
        let into = Into {
            columns: self.carried_columns(carry, &info)?,
            compared: false,
            divides: carry.divides,
            reading: self.reading(),
            limit: self.proxy.config.limits.statement,
            what: WHAT,
        };
        let Carry { lockable, reads_tables, .. } = *carry;
        let of_query = Reads { lockable, reads_tables, own, wishes: of.planned.wishes() };
        let rows = self.carried_rows(of.topology, query, &into, of_query).await?;
        if rows.count == 0 {
            return self.nothing_carried(carry, &info).map_err(Stop::Error);
        }
        let mut text = before.to_vec();
        text.extend_from_slice(b" VALUES ");
        text.extend_from_slice(&rows.text);
        text.extend_from_slice(b" ");
        text.extend_from_slice(behind);
        if text.len() > into.limit {
            return Err(into.too_much().into());
        }
        self.store(of.topology, &text, Some(carry)).await
    }

    /// That the table has the columns which the statement names: what can be told before it runs.
    pub(super) fn check_carried(&self, topology: &Topology, planned: &Planned, carry: &Carry) -> Result<(), SqlError> {
        let info = table_of(topology, planned, carry)?;
        self.carried_columns(carry, &info).map(drop)
    }

    /// The columns that the values of a row go to.
    fn carried_columns<'t>(&self, carry: &Carry, info: &'t TableInfo) -> Result<Vec<&'t ColumnInfo>, SqlError> {
        let Some(columns) = &carry.columns else { return Ok(info.visible().collect()) };
        let found = columns.iter().map(|name| {
            info.column(name).map(|(_, column)| column).ok_or_else(|| SqlError {
                errno: 1054,
                state: *b"42S22",
                message: format!("Unknown column '{name}' in 'field list'"),
            })
        });
        found.collect()
    }

    /// How the session's servers read the literals of its statements.
    pub(super) fn reading(&self) -> Reading {
        let settings = &self.needs.settings;
        let alone = ["character_set_client", "character_set_connection", "character_set_results"];
        let connection = settings.variable("collation_connection");
        let utf8 = settings.names().is_some_and(|names| names.starts_with("utf8mb4"))
            && alone.iter().all(|name| settings.variable(name).is_none())
            && connection
                .is_none_or(|collation| collation.starts_with(b"'utf8mb4") || collation.starts_with(b"utf8mb4"));
        Reading { utf8, plain_backslash: self.facts_of_now().mode.has(SqlMode::NO_BACKSLASH_ESCAPES) }
    }

    /// Runs the SELECT; its answer is kept, not sent.
    pub(super) async fn carried_rows(
        &mut self,
        topology: &Topology,
        query: &[u8],
        into: &Into<'_>,
        of: Reads,
    ) -> Result<Rows, Stop> {
        let mut text = query.to_vec();
        let mut locks = of.lockable;
        if locks {
            text.extend_from_slice(b" LOCK IN SHARE MODE");
            locks = self.plan_text(topology, &text).is_ok();
        }
        if !locks {
            text.truncate(query.len());
            // One server locks what it reads, and so reads what is newest; a snapshot of this very statement is that.
            if !of.own && of.reads_tables {
                let why = format!("{}, in a transaction, whose SELECT can take no locks", into.what);
                return Err(SqlError::refuse(format!("Shardloom does not support {why}")).into());
            }
        }
        let (scan, planned) = self.plan_text(topology, &text)?;
        // The hints stand in front of the query.
        let planned = planned.with_wishes(of.wishes);
        let part = Execution::own(&text, &scan, topology, &planned);
        let (found_rows, row_count, kind) = (self.found_rows, self.row_count, self.kind);
        let kept = kept(into.limit);
        let client = std::mem::replace(&mut self.client, kept);
        let outcome = self.run(&part).await;
        let flushed = self.client.flush().await;
        let kept = std::mem::replace(&mut self.client, client);
        (self.found_rows, self.row_count, self.kind) = (found_rows, row_count, kind);
        outcome?;
        flushed.map_err(Stop::Client)?;
        Ok(rows(&kept, self.capabilities, into)?)
    }

    /// Scans and plans a text of our own, and sees that it can be bound.
    pub(super) fn plan_text(&self, topology: &Topology, text: &[u8]) -> Result<(Scan, Planned), SqlError> {
        let mut found = Scan::default();
        scan(text, self.facts, self.proxy.seed, &mut found)?;
        let head = head(text, self.facts)?;
        let session = plan::Session { schema: self.needs.schema.as_deref(), facts: self.facts };
        let planned = plan::build::plan(text, &found, &head, session, &topology.rules, &topology.catalog);
        match &planned.plan {
            Plan::Refuse(refusal) => return Err(refusal.clone()),
            _ if planned.numbering.is_none() => drop(bind(&planned, &topology.rules, text, &found, &[])?),
            _ => {}
        }
        Ok((found, planned))
    }

    /// Runs a text of our own that writes, each row where it belongs; `selected` if it stores the rows of a SELECT.
    pub(super) async fn store(
        &mut self,
        topology: &Topology,
        text: &[u8],
        selected: Option<&Carry>,
    ) -> Result<Outcome, Stop> {
        let (scan, planned) = self.plan_text(topology, text)?;
        let of = Execution::own(text, &scan, topology, &planned);
        let made = match &planned.numbering {
            Some(numbering) => Box::pin(self.make_ids(&of, numbering)).await?,
            None => Vec::new(),
        };
        let ids = if made.is_empty() { Ids::None } else { Ids::Written(&made) };
        let bound = Binding::new(&planned, &topology.rules, text, &scan, &[]).with(ids).bind()?;
        if let Some(upkeep) = &planned.upkeep {
            let keeping = Keeping { of: &of, bound: &bound, upkeep, selected };
            return Box::pin(self.write_keeping(&keeping)).await;
        }
        let answer = match bound.answer {
            Answer::Relay | Answer::Sum => Answer::Sum,
            Answer::Same => Answer::Same,
            _ => return Err(SqlError::refuse(TWICE).into()),
        };
        let targets = match &bound.route {
            Route::One(target) => vec![*target],
            Route::Many(targets) => targets.clone(),
            Route::Any => vec![Target { group: self.any_group(topology), shard: None }],
        };
        self.write(&of, &bound, &targets, answer, Share::Whole, selected).await
    }

    /// The answer where there is nothing to store.
    fn nothing_carried(&mut self, carry: &Carry, info: &TableInfo) -> Result<Outcome, SqlError> {
        let named = |column: &ColumnInfo| {
            carry.columns.as_ref().is_none_or(|names| names.iter().any(|name| name.eq_ignore_ascii_case(&column.name)))
        };
        let wanting = info.columns.iter().find(|column| {
            !named(column)
                && !column.nullable
                && column.default.is_none()
                && !column.auto_increment
                && !column.generated
        });
        if let Some(column) = wanting {
            // In strict modes this is an error even without a row.
            return Err(SqlError::refuse(format!(
                "Shardloom does not support an INSERT ... SELECT between servers that has no rows, and no value for \
                 column {}",
                column.name
            )));
        }
        self.diagnostics.clear();
        self.row_count = 0;
        Ok(Outcome { info: "Records: 0  Duplicates: 0  Warnings: 0".to_owned(), ..Outcome::default() })
    }
}
