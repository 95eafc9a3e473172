//! SELECT ... INTO of user variables over several shards: the merged row is kept here, and the session's settings take it.
//! A gather needs none of this, as its server sets the variables.

use std::sync::Arc;

use crate::error::SqlError;
use crate::exec::ask::Ask;
use crate::exec::interrupt::Stop;
use crate::exec::into::{Answered, taken};
use crate::exec::outcome::Outcome;
use crate::exec::variables::quoted_variable;
use crate::plan::into::{Deprecated, Into};
use crate::plan::merge::Merge;
use crate::plan::{Bound, Target, Window};
use crate::session::Session;
use crate::session::run::Execution;
use crate::wire::capabilities::Status;

const NO_DATA: &str = "No data - zero rows fetched, selected, or processed";

impl Session {
    /// Merges the rows, and gives the one there is to the variables.
    pub(super) async fn run_into(
        &mut self,
        of: &Execution<'_>,
        bound: &Bound<'_>,
        targets: &[Target],
        merge: &Merge,
        into: &Into,
    ) -> Result<(), Stop> {
        let (before, calls) = (self.needs.settings.clone(), of.ask.kind());
        // Texts come as they are, in the character sets that the variables get.
        self.needs.settings = Arc::new(before.with("character_set_results", Some(b"NULL")));
        let part = Execution { ask: of.ask.without_cursor(), add: Status::default(), ..*of };
        let mut bound = bound.clone();
        // A second row is as many as it takes.
        bound.window.get_or_insert(Window { skip: 0, take: 2 });
        let limit = self.proxy.config.limits.statement;
        let merged = self.unheard(limit, async |session| session.run_merge(&part, &bound, targets, merge).await);
        let merged = Box::pin(merged).await;
        self.needs.settings = before;
        let ((), kept) = merged?;
        let collation = |number: u16| {
            let (charset, collation) = of.topology.collation(number)?;
            Some((charset.to_owned(), collation.to_owned()))
        };
        let row = taken(&kept, Answered { kind: calls, capabilities: self.capabilities, collation: &collation })?;
        if row.columns != into.variables.len() {
            let message = "The used SELECT statements have a different number of columns".to_owned();
            return Err(SqlError { errno: 1222, state: *b"21000", message }.into());
        }
        let mut settings = (*self.needs.settings).clone();
        for (name, value) in into.variables.iter().zip(&row.values) {
            settings = settings.with(&quoted_variable(name), value.as_deref());
        }
        self.needs.settings = Arc::new(settings);
        if row.rows > 1 {
            // The first one has been taken by then.
            let message = "Result consisted of more than one row".to_owned();
            return Err(SqlError { errno: 1172, state: *b"42000", message }.into());
        }
        // A prepared statement has had it when it was prepared.
        let deprecated = into.deprecated.filter(|_| matches!(of.ask, Ask::Query));
        if let Some((code, message)) = deprecated.map(Deprecated::warning) {
            self.diagnostics.push("Warning".to_owned(), code, message.to_owned());
        }
        if row.rows == 0 {
            self.diagnostics.push("Warning".to_owned(), 1329, NO_DATA.to_owned());
        }
        self.row_count = row.rows as i64;
        self.found_rows = Some(row.rows as u64);
        let warnings = u16::try_from(self.diagnostics.len(false)).unwrap_or(u16::MAX);
        let outcome = Outcome { affected_rows: row.rows as u64, warnings, ..Outcome::default() };
        self.wrote(&outcome, of.add);
        Ok(())
    }
}
