//! ANALYZE, CHECK, CHECKSUM, OPTIMIZE and REPAIR TABLE of tables that do not all lie on one group, as the session sees
//! them. How the places are asked is for `exec` to know.

use crate::error::SqlError;
use crate::exec::interrupt::Stop;
use crate::exec::maintain::{Maintaining, run};
use crate::plan::maintain::Maintain;
use crate::rules::GroupId;
use crate::session::run::Execution;
use crate::session::{Session, reply};
use crate::txn::Pin;
use crate::wire::row::RowForm;

impl Session {
    /// Asks every place, and tells what one server would.
    pub(super) async fn run_maintain(&mut self, of: &Execution<'_>, maintain: &Maintain) -> Result<(), Stop> {
        let Execution { topology, planned, ask, add, .. } = *of;
        if self.txn.pins().any(|(_, pin)| pin == Pin::LockTables) {
            let why = "maintenance of tables in several places under LOCK TABLES: UNLOCK TABLES first";
            return Err(SqlError::refuse(format!("Shardloom does not support {why}")).into());
        }
        if !planned.effects.implicit_commit {
            self.open_without_autocommit();
        }
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        let needs = &self.needs;
        let place = |id: GroupId| (topology.group(id), needs.wanted(topology, id));
        let form = if ask.is_binary() { RowForm::Binary } else { RowForm::Text };
        let asked = Maintaining { maintain, form, room: self.proxy.config.limits.merge_memory_per_query };
        let told = run(&mut self.client, &mut self.txn, asked, &place, &mut patience).await?;
        self.diagnostics.clear();
        for (level, code, message) in told.warnings {
            self.diagnostics.push(level, code, message);
        }
        // FOUND_ROWS() stays that of the last SELECT.
        self.row_count = -1;
        let warnings = u16::try_from(self.diagnostics.len(false)).unwrap_or(u16::MAX);
        let status = self.status().with(add);
        reply::returned(&mut self.client, self.capabilities, status, warnings, &told.rows);
        Ok(())
    }
}
