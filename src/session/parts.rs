//! A client's statement that is done by several of our own: one transaction around them, and one clock.

use std::sync::Arc;
use std::time::SystemTime;

use crate::backend::settings::Settings;
use crate::error::SqlError;
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
        self.begin_parts_at(planned.effects.clock)
    }

    /// The same; `clock`: whether it is to be the same time for all parts.
    pub(super) fn begin_parts_at(&mut self, clock: bool) -> Parts {
        let own = *self.txn.state() == State::Auto && self.autocommit();
        if own {
            self.txn.begin(Start::default());
        }
        self.open_without_autocommit();
        let settings = self.needs.settings.clone();
        if clock {
            self.stop_clock();
        }
        Parts { own, settings }
    }

    /// Stops the clock, for a statement of several parts.
    pub(super) fn stop_clock(&mut self) {
        if self.needs.settings.variable("timestamp").is_none() {
            self.needs.settings = self.needs.settings.with("timestamp", Some(now().as_bytes())).into();
        }
    }

    /// Does what is one statement to the client. In the client's transaction (not the statement's `own`) all of it is
    /// undone if a part fails.
    pub(super) async fn as_one<T>(
        &mut self,
        own: bool,
        savepoint: &str,
        parts: impl AsyncFnOnce(&mut Session) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        if own {
            return Box::pin(parts(self)).await;
        }
        self.mark(savepoint).await?;
        match Box::pin(parts(self)).await {
            Err(Stop::Error(error)) => {
                let touched = self.txn.touched();
                Err(Stop::Error(self.txn.take_back(&touched, savepoint, error).await))
            }
            outcome => outcome,
        }
    }

    /// A savepoint of our own in all that the transaction touches.
    pub(super) async fn mark(&mut self, savepoint: &str) -> Result<(), SqlError> {
        self.txn.savepoint(format!("SAVEPOINT {savepoint}").as_bytes(), savepoint, true).await
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

/// The time, as `SET timestamp` takes it.
pub(super) fn now() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:06}", now.as_secs(), now.subsec_micros())
}
