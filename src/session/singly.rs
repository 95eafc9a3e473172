//! REPLACE, IGNORE and ON DUPLICATE KEY UPDATE of several rows of a table with lookups: each row is a statement of its own,
//! all of them in one transaction, and what they did is told as one.

use crate::exec::interrupt::Stop;
use crate::exec::names::row_in;
use crate::exec::outcome::Outcome;
use crate::exec::write::not_alone;
use crate::plan::Duplicates;
use crate::plan::singly::Singly;
use crate::session::Session;
use crate::session::carry::lost;
use crate::session::diagnostics::Diagnostics;
use crate::session::run::Execution;

/// What the statement is called in refusals.
const WHAT: &str = "a write of several rows of a table with a lookup";

/// The savepoint of the statement, behind which each row has one of its own.
const SAVEPOINT: &str = "shardloom_rows";

impl Session {
    /// Stores the rows, and tells the client what one server would have told.
    pub(super) async fn run_singly(&mut self, of: &Execution<'_>, singly: &Singly) -> Result<(), Stop> {
        let parts = self.begin_parts(of.planned);
        let outcome = self.store_singly(of, singly, parts.own).await;
        let outcome = self.end_parts(parts, outcome).await?;
        self.wrote(&outcome, of.add);
        Ok(())
    }

    /// The same in a transaction that is open; the client is told later.
    pub(super) async fn store_singly(
        &mut self,
        of: &Execution<'_>,
        singly: &Singly,
        own: bool,
    ) -> Result<Outcome, Stop> {
        self.as_one(own, SAVEPOINT, async |session: &mut Session| session.store_rows(of, singly).await).await
    }

    async fn store_rows(&mut self, of: &Execution<'_>, singly: &Singly) -> Result<Outcome, Stop> {
        let (sql, anew) = self.written_out(of, WHAT)?;
        let rows = match &anew {
            None => singly.rows(of.scan),
            Some((scan, planned)) => planned.singly().and_then(|singly| singly.rows(scan)),
        };
        let lost = || lost(WHAT);
        let rows = rows.ok_or_else(lost)?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Err(lost().into()) };
        let (before, behind) = (&sql[..first.start], &sql[last.end..]);
        let (mut all, mut duplicates, mut known) = (Outcome::default(), 0, Diagnostics::default());
        for (number, row) in rows.iter().enumerate() {
            let text = [before, &sql[row.clone()], behind].concat();
            let one = Box::pin(self.store(of.topology, &text, false, None)).await;
            let one = one.map_err(|stop| match stop {
                Stop::Error(error) if rows.len() > 1 && of.planned.effects.strict_alone == Some(error.errno) => {
                    not_alone(&error).into()
                }
                stop => of_row(stop, number + 1),
            })?;
            duplicates += duplicates_of(singly.duplicates, one.affected_rows);
            all.affected_rows += one.affected_rows;
            all.last_insert_id = if one.last_insert_id == 0 { all.last_insert_id } else { one.last_insert_id };
            all.warnings = all.warnings.saturating_add(one.warnings);
            let again = known.take_in(std::mem::take(&mut self.diagnostics), number + 1);
            all.warnings = all.warnings.saturating_sub(again);
        }
        all.info = format!("Records: {}  Duplicates: {duplicates}  Warnings: {}", rows.len(), all.warnings);
        self.diagnostics = known;
        self.row_count = all.affected_rows as i64;
        Ok(all)
    }
}

/// How many duplicates MySQL's sentence counts for a row that changed so many.
fn duplicates_of(kind: Duplicates, affected: u64) -> u64 {
    match kind {
        // IGNORE leaves the row out; REPLACE counts those that it deletes.
        Duplicates::All if affected == 0 => 1,
        Duplicates::All => affected - 1,
        Duplicates::Changing => u64::from(affected > 1),
        Duplicates::Unchanging => u64::from(affected == 0),
    }
}

/// An error of a statement of one row, as one of several tells it.
fn of_row(stop: Stop, number: usize) -> Stop {
    match stop {
        Stop::Error(mut error) => {
            if let Some((head, 1)) = row_in(&error.message) {
                error.message = format!("{head}{number}");
            }
            Stop::Error(error)
        }
        stop => stop,
    }
}
