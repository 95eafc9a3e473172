//! What the session remembers of a statement that one target answered, and what pooled connections forget.

use crate::backend::lease::Lease;
use crate::exec::names::Naming;
use crate::exec::outcome::Outcome;
use crate::plan::Planned;
use crate::rare::boxed;
use crate::rules::GroupId;
use crate::session::{OpenCursor, Session};
use crate::txn::Pin;
use crate::wire::capabilities::Status;

impl Session {
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
        // Those that RETURNING gives were not looked for.
        if !(outcome.has_rows && planned.effects.writes && !planned.effects.stored_function) {
            self.found_rows = outcome.has_rows.then_some(outcome.rows);
        }
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
        boxed(self.remember_more(lease, outcome, naming, calc, insert_id)).await;
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
    pub(super) fn pin_for(
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
        } else if effects.handler {
            Some(Pin::Handler)
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
}
