//! A client's statement that is done by several of our own: one transaction around them, and one clock.

use std::sync::Arc;
use std::time::SystemTime;

use crate::backend::settings::Settings;
use crate::exec::interrupt::Stop;
use crate::plan::Planned;
use crate::session::Session;
use crate::txn::{Start, State};

/// The session as it was before the first part of a statement.
pub(super) struct Parts {
    /// The transaction is the statement's own.
    pub(super) own: bool,
    settings: Arc<Settings>,
}

impl Session {
    /// Before the first part: opens a transaction if none is open, and stops the clock if the statement reads it.
    pub(super) fn begin_parts(&mut self, planned: &Planned) -> Parts {
        let own = *self.txn.state() == State::Auto && self.autocommit();
        if own {
            self.txn.begin(Start::default());
        }
        self.open_without_autocommit();
        let settings = self.needs.settings.clone();
        if planned.effects.clock && settings.variable("timestamp").is_none() {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let now = format!("{}.{:06}", now.as_secs(), now.subsec_micros());
            self.needs.settings = settings.with("timestamp", Some(now.as_bytes())).into();
        }
        Parts { own, settings }
    }

    /// After the last: the clock runs again, and the statement's own transaction ends.
    pub(super) async fn end_parts<T>(&mut self, parts: Parts, outcome: Result<T, Stop>) -> Result<T, Stop> {
        self.needs.settings = parts.settings;
        if parts.own {
            let ended = self.txn.end(outcome.is_ok(), &self.needs.ledger).await;
            if outcome.is_ok() {
                ended?;
            }
        }
        outcome
    }
}
