//! INSERT ... SELECT whose rows are read in one place and stored in another: the SELECT runs as a statement of its own,
//! whose answer is kept here, and an INSERT ... VALUES of its rows is planned, split and stored like any other; both in
//! one transaction.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::sync::Arc;

use crate::backend::settings::Settings;
use crate::error::SqlError;
use crate::exec::carry::{Into, Reading, Rows, kept, rows};
use crate::exec::interrupt::Stop;
use crate::exec::outcome::Outcome;
use crate::exec::write::{Share, not_alone};
use crate::plan::bind::{Binding, bind};
use crate::plan::carry::Carry;
use crate::plan::locks::shared;
use crate::plan::numbering::Ids;
use crate::plan::{self, Answer, Plan, Planned, Route, Target, Wishes};
use crate::rules::catalog::{ColumnInfo, ColumnType as Stored, TableInfo};
use crate::session::Session;
use crate::session::lookup::Keeping;
use crate::session::run::Execution;
use crate::session::topology::Topology;
use crate::sql::head::head;
use crate::sql::scan::{Scan, scan};
use crate::sql::{Flavour, SqlMode};
use crate::value::Datum;
use crate::wire::link::Link;

/// A text of our own as it was read: its tokens and its plan.
pub(super) type Anew = (Scan, Planned);

/// A statement with its parameters written out; `what` it is.
fn with_params<'q>(
    sql: &'q [u8],
    (scan, args): (&Scan, &[Datum<'_>]),
    reading: Reading,
    what: &str,
) -> Result<Cow<'q, [u8]>, SqlError> {
    if scan.params.is_empty() {
        return Ok(Cow::Borrowed(sql));
    }
    let refused = || SqlError::refuse(format!("Shardloom does not support this parameter in {what}"));
    let (mut out, mut copied) = (Vec::with_capacity(sql.len()), 0);
    for (number, at) in scan.params.iter().enumerate() {
        let at = *at as usize;
        let Some(value) = args.get(number).filter(|_| at < sql.len()) else { return Err(refused()) };
        out.extend_from_slice(&sql[copied..at]);
        if is_sorted_by(&sql[..at], scan) || !put_value(value, reading, &mut out) {
            return Err(refused());
        }
        copied = at + 1;
    }
    out.extend_from_slice(&sql[copied..]);
    Ok(Cow::Owned(out))
}

/// Whether what follows may be an item of ORDER BY or GROUP BY, where a number written out is a column's.
fn is_sorted_by(before: &[u8], scan: &Scan) -> bool {
    let before = before.trim_ascii_end();
    let word = |word: &[u8]| before.windows(word.len()).rposition(|part| part.eq_ignore_ascii_case(word));
    let quoted = |at: usize| {
        scan.literals.iter().any(|literal| literal.span.start as usize <= at && at < literal.span.end as usize)
    };
    let Some(by) = word(b"by") else { return false };
    // Behind the last clauses of a query.
    if word(b"duplicate key update").is_some_and(|update| update > by && !quoted(update)) {
        return false;
    }
    before.ends_with(b",") || before.ends_with(b"(") || before.ends_with(b"/") || by + 2 == before.len()
}

/// Appends a parameter as a literal; `false` if that would be another value.
fn put_value(value: &Datum<'_>, reading: Reading, out: &mut Vec<u8>) -> bool {
    match value {
        Datum::Null => out.extend_from_slice(b"NULL"),
        Datum::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Datum::UInt(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Datum::Double(number) if number.is_finite() => out.extend_from_slice(format!("{number:e}").as_bytes()),
        Datum::Text(text) if reading.utf8 => reading.put_text(text, out),
        // Of a day at midnight nobody sees whether it was sent as a DATE, and one that is none is no literal.
        Datum::Moment(moment) if moment.day > 0 && moment.month > 0 && !moment.is_midnight() => {
            out.extend_from_slice(b"TIMESTAMP'");
            moment.write(out);
            out.push(b'\'');
        }
        _ => return false,
    }
    true
}

/// Whether a statement has a parameter that MySQL would take for another year if it stood there as a literal, and names a
/// column of years, which it could be compared with.
fn names_year(of: &Execution<'_>, sql: &[u8]) -> bool {
    let is_short = |value: &Datum<'_>| match value {
        Datum::Int(number) => (0..100).contains(number),
        Datum::UInt(number) => *number < 100,
        Datum::Double(number) => (0.0..100.0).contains(number),
        Datum::Text(text) => {
            str::from_utf8(text).is_ok_and(|text| text.trim().parse().is_ok_and(|n: f64| (0.0..100.0).contains(&n)))
        }
        _ => false,
    };
    let is_word =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte > 127);
    let named = |column: &&ColumnInfo| {
        let name = column.name.as_bytes();
        let mut found = sql.windows(name.len()).enumerate().filter(|(_, word)| word.eq_ignore_ascii_case(name));
        found
            .any(|(at, _)| !is_word(at.checked_sub(1).and_then(|at| sql.get(at))) && !is_word(sql.get(at + name.len())))
    };
    of.args.iter().any(is_short)
        && of.planned.tables.iter().any(|table| {
            let info = of.topology.catalog.table(&table.schema, &table.name);
            let mut years = info.iter().flat_map(|info| &info.columns).filter(|column| column.ty == Stored::Year);
            years.any(|column| named(&column))
        })
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

/// A column that gets no value and has none by itself, which is an error before the first row in strict modes.
fn wanting<'t>(carry: &Carry, info: &'t TableInfo) -> Option<&'t ColumnInfo> {
    let named = |column: &ColumnInfo| {
        carry.columns.as_ref().is_none_or(|names| names.iter().any(|name| name.eq_ignore_ascii_case(&column.name)))
    };
    info.columns.iter().find(|column| {
        !named(column) && !column.nullable && column.default.is_none() && !column.auto_increment && !column.generated
    })
}

/// Whether a server can convert rows for a table as if it stored them there. A temporary table is seen by the session's
/// own connection only, and another table may have its name elsewhere; what is wrong with the statement's columns is
/// told before any value is.
fn is_convertible(carry: &Carry, info: &TableInfo, columns: &[&ColumnInfo]) -> bool {
    !info.temporary && wanting(carry, info).is_none() && columns.iter().all(|column| !column.generated)
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

/// A part of the statement is not where its plan says; `what` the statement is.
pub(super) fn lost(what: &str) -> SqlError {
    SqlError::refuse(format!("Shardloom does not support {what} that it cannot find again"))
}

/// What is known of a SELECT that is read first.
#[derive(Clone, Copy)]
pub(super) struct Reads {
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
        let lost = || lost(WHAT);
        let info = table_of(of.topology, of.planned, carry)?;
        let (sql, anew) = self.written_out(of, WHAT)?;
        let (scan, carry) = match &anew {
            None => (of.scan, carry),
            Some((scan, planned)) => (scan, planned.carry().ok_or_else(lost)?),
        };
        let [before, query, behind] = carry.pieces(&sql, scan).ok_or_else(lost)?;
        let into = Into {
            columns: self.carried_columns(carry, &info)?,
            compared: false,
            computed: false,
            divides: carry.divides,
            members: carry.members,
            reading: self.reading(),
            limit: self.proxy.config.limits.statement,
            what: WHAT,
        };
        let of_query = Reads { reads_tables: carry.reads_tables, own, wishes: of.planned.wishes() };
        let (rows, told) = match self.carried_rows(of.topology, query, &into, of_query).await {
            Ok(rows) => (rows, None),
            Err(Stop::Error(refusal))
                if refusal.errno == 1235
                    && refusal != into.too_much()
                    && is_convertible(carry, &info, &into.columns) =>
            {
                let settings = self.reads_literals();
                let rows = Box::pin(self.converted_rows(of, carry, query, (&into, of_query), refusal)).await;
                self.needs.settings = settings;
                rows?
            }
            Err(stop) => return Err(stop),
        };
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
        let among = |stop| match stop {
            Stop::Error(error) if of.planned.effects.strict_alone == Some(error.errno) => not_alone(&error).into(),
            stop => stop,
        };
        let mut outcome = self.store(of.topology, &text, own, Some(carry)).await.map_err(among)?;
        if let Some(told) = told {
            told.add_to(&mut outcome, &mut self.diagnostics);
        }
        Ok(outcome)
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
        // Rows are read in the character set of the literals, whatever the client wants of its own: see `reads_literals`.
        let alone = ["character_set_client", "character_set_connection", "collation_connection"];
        let is_utf8 = |name: &str| {
            let value = settings.variable(name);
            value.is_none_or(|value| value.starts_with(b"'utf8mb4") || value.starts_with(b"utf8mb4"))
        };
        let utf8 = settings.names().is_some_and(|names| names.starts_with("utf8mb4")) && alone.into_iter().all(is_utf8);
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
        let locked = shared(query, self.facts);
        let planned = locked.as_ref().and_then(|text| self.plan_text(topology, text).ok());
        let text = locked.as_deref().filter(|_| planned.is_some()).unwrap_or(query);
        let (scan, planned) = match planned {
            Some(planned) => planned,
            // One server locks what it reads, and so reads what is newest; a snapshot of this very statement is that.
            None if of.own || !of.reads_tables => self.plan_text(topology, query)?,
            None => {
                let why = format!("{}, in a transaction, whose SELECT can take no locks", into.what);
                return Err(SqlError::refuse(format!("Shardloom does not support {why}")).into());
            }
        };
        // The hints stand in front of the query.
        let planned = planned.with_wishes(of.wishes);
        let part = Execution::own(text, &scan, topology, &planned);
        let kept = self.kept_answer(&part, into.limit).await?;
        Ok(rows(&kept, self.capabilities, into)?)
    }

    /// Runs a SELECT of our own; its answer is kept, not sent.
    pub(super) async fn kept_answer(&mut self, part: &Execution<'_>, limit: usize) -> Result<Link, Stop> {
        let (found_rows, row_count, kind) = (self.found_rows, self.row_count, self.kind);
        let settings = self.reads_literals();
        let outcome = self.unheard(limit, async |session| session.run(part).await).await;
        self.needs.settings = settings;
        (self.found_rows, self.row_count, self.kind) = (found_rows, row_count, kind);
        outcome.map(|((), kept)| kept)
    }

    /// From here on rows come in the character set that SET NAMES said, and not as the client has them (Connector/J has
    /// them as they are). Gives the settings before.
    pub(super) fn reads_literals(&mut self) -> Arc<Settings> {
        let read = Arc::new(self.needs.settings.with("character_set_results", None));
        std::mem::replace(&mut self.needs.settings, read)
    }

    /// Does something whose answer is kept, up to `limit` bytes, and not sent.
    ///
    /// Who writes to itself hears nothing of the client, so that is listened to here: if it goes, what is done is dropped,
    /// which leaves no connection behind that could be used again, and none busy.
    pub(super) async fn unheard<T>(
        &mut self,
        limit: usize,
        run: impl AsyncFnOnce(&mut Session) -> Result<T, Stop>,
    ) -> Result<(T, Link), Stop> {
        let mut client = std::mem::replace(&mut self.client, kept(limit));
        let outcome = tokio::select! {
            biased;
            outcome = run(self) => outcome,
            () = client.closed() => Err(Stop::Client(ErrorKind::ConnectionAborted.into())),
        };
        let flushed = self.client.flush().await;
        let kept = std::mem::replace(&mut self.client, client);
        let done = outcome?;
        flushed.map_err(Stop::Client)?;
        Ok((done, kept))
    }

    /// A statement with its parameters written out, and its plan then, which is another one if it had some; `what` it is.
    pub(super) fn written_out<'q>(
        &self,
        of: &Execution<'q>,
        what: &str,
    ) -> Result<(Cow<'q, [u8]>, Option<Anew>), SqlError> {
        let whole = &of.sql[..of.scan.end as usize];
        if self.facts.flavour == Flavour::MySql && names_year(of, whole) {
            let why = format!("a parameter from 0 to 99 beside a YEAR in {what}");
            return Err(SqlError::refuse(format!("Shardloom does not support {why}: MySQL takes a literal for 20..")));
        }
        let sql = with_params(whole, (of.scan, of.args), self.reading(), what)?;
        let anew = match of.scan.params.is_empty() {
            true => None,
            false => Some(self.plan_text(of.topology, &sql)?),
        };
        Ok((sql, anew))
    }

    /// Scans and plans a text of our own, and sees that it can be bound.
    pub(super) fn plan_text(&self, topology: &Topology, text: &[u8]) -> Result<Anew, SqlError> {
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

    /// Runs a text of our own that writes, each row where it belongs; `selected` if it stores the rows of a SELECT, `own`
    /// if the transaction is the statement's.
    pub(super) async fn store(
        &mut self,
        topology: &Topology,
        text: &[u8],
        own: bool,
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
        let targets = match &bound.route {
            Route::One(target) => vec![*target],
            Route::Many(targets) => targets.clone(),
            Route::Any => vec![Target { group: self.any_group(topology), shard: None }],
        };
        let answer = match bound.answer {
            Answer::Move(rule) => return Box::pin(self.update_and_move(&of, &bound, rule, &targets, own)).await,
            // What is left to be read.
            Answer::Ahead(ahead) => return Box::pin(self.read_and_write(&of, ahead, own)).await,
            Answer::Computed(computed) => return Box::pin(self.compute_and_write(&of, computed, own)).await,
            Answer::Singly(singly) => return Box::pin(self.store_singly(&of, singly, own)).await,
            Answer::Relay | Answer::Sum => Answer::Sum,
            Answer::Same => Answer::Same,
            _ => return Err(SqlError::refuse(TWICE).into()),
        };
        self.write(&of, &bound, &targets, answer, Share::Whole, selected).await
    }

    /// The answer where there is nothing to store.
    fn nothing_carried(&mut self, carry: &Carry, info: &TableInfo) -> Result<Outcome, SqlError> {
        if let Some(column) = wanting(carry, info) {
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
