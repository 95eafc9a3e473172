//! A write whose values have to be known before a server is chosen: a server computes them, and the statement then runs
//! with them written out, as if the client had sent it so. What they are read from, if anything, is read in the same
//! transaction.

use crate::error::SqlError;
use crate::exec::carry::{Into, Rows};
use crate::exec::interrupt::Stop;
use crate::exec::outcome::Outcome;
use crate::plan::computed::{Computed, With};
use crate::plan::{Plan, Planned};
use crate::rules::catalog::ColumnInfo;
use crate::session::Session;
use crate::session::carry::{Reads, lost, may_read_first};
use crate::session::run::Execution;
use crate::sql::scan::Scan;
use crate::sql::splice::range;

/// What the statement is called in refusals.
const WHAT: &str = "a write whose values are computed first";

/// A text whose values are computed.
#[derive(Clone, Copy)]
struct Computing<'a> {
    sql: &'a [u8],
    scan: &'a Scan,
    computed: &'a Computed,
    /// Of the client's statement.
    of: &'a Execution<'a>,
    /// The transaction is the statement's own.
    own: bool,
}

impl Session {
    /// Computes, and runs what this gives.
    pub(super) async fn run_computed(&mut self, of: &Execution<'_>, computed: &Computed) -> Result<(), Stop> {
        may_read_first(of.planned, WHAT)?;
        if !computed.reads {
            let settings = self.needs.settings.clone();
            if of.planned.effects.clock {
                self.stop_clock();
            }
            let outcome = self.compute_and_run(of, computed).await;
            self.needs.settings = settings;
            return outcome;
        }
        let parts = self.begin_parts(of.planned);
        let outcome = self.compute_and_write(of, computed, parts.own).await;
        let outcome = self.end_parts(parts, outcome).await?;
        self.wrote(&outcome, of.add);
        Ok(())
    }

    async fn compute_and_run(&mut self, of: &Execution<'_>, computed: &Computed) -> Result<(), Stop> {
        let (text, _) = self.with_values(of, computed, true).await?;
        let (scan, planned) = self.plan_text(of.topology, &text)?;
        if planned.computed().is_some() {
            return Err(again());
        }
        let planned = planned.with_wishes(of.planned.wishes());
        let whole = Execution { add: of.add, ..Execution::own(&text, &scan, of.topology, &planned) };
        Box::pin(self.run(&whole)).await
    }

    /// The same in a transaction that is open; the client is told later.
    pub(super) async fn compute_and_write(
        &mut self,
        of: &Execution<'_>,
        computed: &Computed,
        own: bool,
    ) -> Result<Outcome, Stop> {
        let (text, found) = self.with_values(of, computed, own).await?;
        let outcome = self.store(of.topology, &text, own, None).await?;
        let matched = outcome.info.strip_prefix("Rows matched: ").and_then(|rest| rest.split(' ').next());
        match found {
            // With READ COMMITTED another session may have added some in between.
            Some(found) if matched.and_then(|matched| matched.parse().ok()) != Some(found) && found > 0 => {
                let message = "Record has changed since last read".to_owned();
                Err(SqlError { errno: 1020, state: *b"HY000", message }.into())
            }
            _ => Ok(outcome),
        }
    }

    /// The client's statement with the values written out, and how many rows these were read from, if they were those
    /// that it changes.
    async fn with_values(
        &mut self,
        of: &Execution<'_>,
        computed: &Computed,
        own: bool,
    ) -> Result<(Vec<u8>, Option<u64>), Stop> {
        let (sql, anew) = self.written_out(of, WHAT)?;
        let sql = &*sql;
        match &anew {
            None => self.write_out(&Computing { sql, scan: of.scan, computed, of, own }).await,
            Some((scan, Planned { plan: Plan::Computed(computed), .. })) => {
                self.write_out(&Computing { sql, scan, computed, of, own }).await
            }
            Some(_) => Ok((sql.to_vec(), None)),
        }
    }

    async fn write_out(&mut self, of: &Computing<'_>) -> Result<(Vec<u8>, Option<u64>), Stop> {
        let mut found = None;
        let values = self.values(of, &mut found).await?;
        let (mut text, mut copied) = (Vec::with_capacity(of.sql.len()), 0);
        for (item, value) in of.computed.items.iter().zip(values) {
            let at = item.at(of.scan).ok_or_else(|| lost(WHAT))?;
            text.extend_from_slice(&of.sql[copied..at.start]);
            text.extend_from_slice(&value);
            copied = at.end;
        }
        text.extend_from_slice(&of.sql[copied..]);
        Ok((text, found))
    }

    /// What is written out for each item.
    async fn values(&mut self, of: &Computing<'_>, found: &mut Option<u64>) -> Result<Vec<Vec<u8>>, Stop> {
        let columns = &of.computed.columns;
        let (mut select, mut into, mut divided, mut read) = (b"SELECT ".to_vec(), Vec::new(), false, false);
        for item in &of.computed.items {
            let With::Value { column, divides, reads } = &item.with else { continue };
            if !into.is_empty() {
                select.push(b',');
            }
            select.extend_from_slice(&of.sql[item.at(of.scan).ok_or_else(|| lost(WHAT))?]);
            read |= reads;
            divided |= divides;
            into.push(&columns[usize::from(*column)]);
        }
        let mut computed = Vec::new();
        if !into.is_empty() {
            let rows = self.computed_row(of, &select, (into, divided), read).await?;
            computed = rows.first.iter().map(|value| rows.text[value.clone()].to_vec()).collect();
        }
        let mut computed = computed.into_iter();
        let mut values = Vec::with_capacity(of.computed.items.len());
        for item in &of.computed.items {
            values.push(match &item.with {
                With::Text(text) => text.as_bytes().to_vec(),
                With::Value { .. } => computed.next().ok_or_else(|| lost(WHAT))?,
                With::Query { query, column, divides, lazy } => {
                    let query = range(*query, of.scan).ok_or_else(|| lost(WHAT))?;
                    let into = (vec![&columns[usize::from(*column)]], *divides);
                    let rows = self.computed_row(of, &of.sql[query], into, true).await?;
                    match rows.count {
                        0 => b"NULL".to_vec(),
                        // Arithmetic may stand around it.
                        1 if *lazy => match rows.first.first() {
                            Some(value) => [b"(", &rows.text[value.clone()], b")"].concat(),
                            None => return Err(lost(WHAT).into()),
                        },
                        1 => rows.first.first().map_or_else(Vec::new, |value| rows.text[value.clone()].to_vec()),
                        _ if of.computed.ignores => return Err(several_ignored()),
                        _ if *lazy => b"(SELECT 1 UNION ALL SELECT 1)".to_vec(),
                        _ => return Err(several_rows()),
                    }
                }
                With::Rows { column, divides, from, filter, own } => {
                    let piece = |anchors| range(anchors, of.scan).map(|at| &of.sql[at]).ok_or_else(|| lost(WHAT));
                    let place = item.at(of.scan).ok_or_else(|| lost(WHAT))?;
                    let mut select = [b"SELECT ", &of.sql[place], b" FROM ", piece(*from)?].concat();
                    if let Some(filter) = filter {
                        select.extend_from_slice(b" WHERE ");
                        select.extend_from_slice(piece(*filter)?);
                    }
                    select.extend_from_slice(b" FOR UPDATE");
                    let into = (vec![&columns[usize::from(*column)]], *divides);
                    let rows = self.computed_row(of, &select, into, false).await?;
                    *found = Some(rows.count);
                    match rows.first.first() {
                        None => piece(*own)?.to_vec(),
                        Some(_) if rows.differ => return Err(several_values(&columns[usize::from(*column)])),
                        Some(value) => rows.text[value.clone()].to_vec(),
                    }
                }
            });
        }
        Ok(values)
    }

    /// The rows of a SELECT of our own.
    async fn computed_row(
        &mut self,
        of: &Computing<'_>,
        select: &[u8],
        (columns, divides): (Vec<&ColumnInfo>, bool),
        reads_tables: bool,
    ) -> Result<Rows, Stop> {
        let into = Into {
            columns,
            compared: false,
            computed: true,
            divides,
            members: false,
            reading: self.reading(),
            limit: self.proxy.config.limits.statement,
            what: WHAT,
        };
        let reads = Reads { reads_tables, own: of.own, wishes: of.of.planned.wishes() };
        match self.carried_rows(of.of.topology, select, &into, reads).await {
            Err(Stop::Error(error)) if of.computed.ignores && error.errno != 1235 => Err(ignored(&error).into()),
            rows => rows.map_err(refused),
        }
    }
}

fn several_rows() -> Stop {
    SqlError { errno: 1242, state: *b"21000", message: "Subquery returns more than 1 row".to_owned() }.into()
}

fn several_ignored() -> Stop {
    SqlError::refuse(format!("Shardloom does not support {WHAT}, with IGNORE and a subquery of several rows")).into()
}

fn several_values(column: &ColumnInfo) -> Stop {
    SqlError::refuse(format!(
        "the sharding key {} would get several values at once: whether a unique key is violated would follow the order in \
         which rows are written; UPDATE them one by one",
        column.name
    ))
    .into()
}

/// With IGNORE it may be a warning.
fn ignored(error: &SqlError) -> SqlError {
    SqlError::refuse(format!(
        "Shardloom does not support {WHAT}, with IGNORE, of which one is an error: {}",
        error.message
    ))
}

fn again() -> Stop {
    SqlError::refuse(format!("Shardloom does not support {WHAT} that have to be computed once more")).into()
}

/// What is wrong with an expression alone may be right where it stands, and the other way round.
fn refused(stop: Stop) -> Stop {
    match stop {
        Stop::Error(error) if matches!(error.errno, 1054 | 1136) => Stop::Error(SqlError::refuse(format!(
            "Shardloom does not support {WHAT}, of which one is none by itself: {}",
            error.message
        ))),
        stop => stop,
    }
}
