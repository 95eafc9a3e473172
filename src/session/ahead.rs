//! UPDATE and DELETE whose subqueries read what lies elsewhere: each runs as a SELECT of its own, and the statement then
//! runs with their values written out; all in one transaction.

use std::borrow::Cow;

use crate::error::SqlError;
use crate::exec::carry::{Into, Rows};
use crate::exec::interrupt::Stop;
use crate::exec::outcome::Outcome;
use crate::plan::ahead::{Ahead, Pieces, Prior, Purpose};
use crate::session::Session;
use crate::session::carry::{Reads, lost, may_read_first};
use crate::session::run::Execution;

/// What the statement is called in refusals.
const WHAT: &str = "a write with a subquery over rows of other servers";

impl Session {
    /// Reads, writes, and tells the client what one server would have told.
    pub(super) async fn run_ahead(&mut self, of: &Execution<'_>, ahead: &Ahead) -> Result<(), Stop> {
        may_read_first(of.planned, WHAT)?;
        if self.needs.settings.variable("sql_safe_updates").is_some() {
            // Values that are written out may lead to a key, a subquery not.
            return Err(
                SqlError::refuse(format!("Shardloom does not support {WHAT} while sql_safe_updates is set")).into()
            );
        }
        let parts = self.begin_parts(of.planned);
        let outcome = self.read_and_write(of, ahead, parts.own).await;
        let outcome = self.end_parts(parts, outcome).await?;
        self.wrote(&outcome, of.add);
        Ok(())
    }

    /// The same in a transaction that is open; the client is told later.
    pub(super) async fn read_and_write(
        &mut self,
        of: &Execution<'_>,
        ahead: &Ahead,
        own: bool,
    ) -> Result<Outcome, Stop> {
        let lost = || lost(WHAT);
        let (sql, anew) = self.written_out(of, WHAT)?;
        let sql = &*sql;
        let (scan, ahead) = match &anew {
            None => (of.scan, ahead),
            Some((scan, planned)) => (scan, planned.ahead().ok_or_else(lost)?),
        };
        let (mut text, mut copied) = (Vec::with_capacity(sql.len()), 0);
        for prior in &ahead.queries {
            let pieces = prior.pieces(sql, scan).ok_or_else(lost)?;
            let into = Into {
                columns: prior.columns.iter().collect(),
                compared: matches!(prior.purpose, Purpose::Compare | Purpose::Among { .. }),
                computed: false,
                divides: prior.divides,
                members: false,
                reading: self.reading(),
                limit: self.proxy.config.limits.statement,
                what: WHAT,
            };
            let reads = Reads { reads_tables: true, own, wishes: of.planned.wishes() };
            let query = match prior.purpose {
                Purpose::Exists => Cow::Owned([&b"SELECT EXISTS ("[..], pieces.query, b")"].concat()),
                _ => Cow::Borrowed(pieces.query),
            };
            let rows = self.carried_rows(of.topology, &query, &into, reads).await.map_err(refused)?;
            text.extend_from_slice(&sql[copied..pieces.at.start]);
            put(prior, &pieces, &rows, &mut text)?;
            copied = pieces.at.end;
            if text.len() > into.limit {
                return Err(into.too_much().into());
            }
        }
        text.extend_from_slice(&sql[copied..]);
        let mut outcome = self.store(of.topology, &text, own, None).await?;
        if ahead.updates && outcome.info.is_empty() {
            // MariaDB says nothing where it sees that there can be no row; of a subquery it does not see that.
            outcome.info = "Rows matched: 0  Changed: 0  Warnings: 0".to_owned();
        }
        Ok(outcome)
    }
}

/// Appends what the statement has in place of the query.
fn put(prior: &Prior, pieces: &Pieces<'_>, rows: &Rows, out: &mut Vec<u8>) -> Result<(), SqlError> {
    match (prior.purpose, rows.count) {
        (Purpose::Among { negated }, 0) => out.extend_from_slice(if negated { b"TRUE" } else { b"FALSE" }),
        (Purpose::Among { .. }, _) => {
            [pieces.before, &rows.text, pieces.behind].iter().for_each(|piece| out.extend_from_slice(piece))
        }
        (Purpose::Store, 0) if prior.columns.iter().any(|column| !column.nullable) => {
            let why = format!("Shardloom does not support {WHAT} that gives NULL to a column that has none");
            return Err(SqlError::refuse(why));
        }
        (Purpose::Store | Purpose::Compare | Purpose::Compute | Purpose::Exists, 0) => out.extend_from_slice(b"(NULL)"),
        (Purpose::Store | Purpose::Compare | Purpose::Compute | Purpose::Exists, 1) => {
            out.extend_from_slice(&rows.text)
        }
        // An error to a server, if it comes to need it.
        (Purpose::Store | Purpose::Compare | Purpose::Compute | Purpose::Exists, _) => {
            out.extend_from_slice(b"(SELECT 1 UNION ALL SELECT 1)")
        }
    }
    Ok(())
}

/// What is wrong with a query alone may be right where it stands, and the other way round.
fn refused(stop: Stop) -> Stop {
    match stop {
        Stop::Error(error) if matches!(error.errno, 1054 | 1136) => Stop::Error(SqlError::refuse(format!(
            "Shardloom does not support {WHAT} that is none by itself: {}",
            error.message
        ))),
        stop => stop,
    }
}
