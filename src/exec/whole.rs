//! What makes the parts of a statement one: a transaction of its own, or a savepoint in the client's. It knows nothing
//! of what the parts do.

use crate::backend::lease::Lease;
use crate::error::SqlError;
use crate::exec::Place;
use crate::exec::interrupt::{Patience, Stop};
use crate::plan::Target;
use crate::rules::GroupId;
use crate::txn::ledger::Ledger;
use crate::txn::{Mode, STATEMENT, Start, State, Txn};

/// Errors of names and numbers of columns, which a server finds before it touches a table.
const UNBEGUN: &[u16] = &[1046, 1049, 1051, 1052, 1054, 1064, 1109, 1110, 1136, 1146, 1305];

/// What a statement has around its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// A transaction of its own.
    Own,
    /// With autocommit off: a transaction that it has opened for the client, and a savepoint.
    Opened,
    /// A savepoint in the client's transaction.
    Part,
}

impl Whole {
    /// Opens a transaction if none is open.
    pub fn begin(txn: &mut Txn, autocommit: bool) -> Whole {
        let whole = match *txn.state() {
            State::Auto if autocommit => Whole::Own,
            State::Auto => Whole::Opened,
            _ => return Whole::Part,
        };
        txn.begin(Start::default());
        whole
    }

    /// Whether the transaction is the statement's own.
    pub fn is_own(self) -> bool {
        self == Whole::Own
    }

    /// Queues the savepoint on a connection, if one is needed.
    pub fn mark(self, lease: &mut Lease) {
        if !self.is_own() {
            lease.send_prelude(format!("SAVEPOINT {STATEMENT}").as_bytes());
        }
    }

    /// Behind the last part, or the one that failed: commits what is the statement's own, or takes back what it did on
    /// the groups where its savepoint stands.
    ///
    /// # Errors
    /// The statement's, or why it could not be committed, or 1213 if all of the client's transaction is gone.
    pub async fn end<T>(
        self,
        txn: &mut Txn,
        reached: &[GroupId],
        outcome: Result<T, Stop>,
        ledger: &Ledger,
        patience: &Patience<'_>,
    ) -> Result<T, Stop> {
        if self.is_own() {
            let ended = txn.end(outcome.is_ok(), ledger).await;
            if outcome.is_ok() {
                ended?;
            }
            return outcome;
        }
        let outcome = take_back(txn, reached, outcome, patience).await;
        if let (Whole::Opened, Err(Stop::Error(error))) = (self, &outcome)
            && UNBEGUN.contains(&error.errno)
        {
            // With autocommit off a server begins a transaction with the first table that it locks.
            txn.end(false, ledger).await?;
        }
        outcome
    }
}

/// Takes a statement that failed in the client's transaction back to its savepoint, on the groups where that stands.
pub async fn take_back<T>(
    txn: &mut Txn,
    reached: &[GroupId],
    outcome: Result<T, Stop>,
    patience: &Patience<'_>,
) -> Result<T, Stop> {
    match outcome {
        // Of the victim of a deadlock all is rolled back anyway.
        Err(Stop::Error(error)) if !patience.is_victim() => {
            Err(Stop::Error(txn.take_back(reached, STATEMENT, error).await))
        }
        outcome => outcome,
    }
}

/// Gives a connection back to the transaction, with its own clock if it was given another one.
pub async fn give_back(txn: &mut Txn, group: GroupId, mut lease: Lease, clock: bool) {
    if !txn.begin_unasked(group, &mut lease).await {
        return;
    }
    if clock {
        run_clock(&mut lease).await;
    }
    txn.settle(group, lease);
}

/// The clock of a connection, which was stopped for a statement, runs again.
pub async fn run_clock(lease: &mut Lease) {
    if !lease.is_busy() && lease.query_aside("SET timestamp=DEFAULT").await.is_err() {
        lease.taint();
    }
}

/// That a statement may write to these targets, which are sorted: to those of one group, or of several where that is
/// allowed.
pub fn may_span(txn: &Txn, targets: &[Target], place: Place<'_, '_>) -> Result<(), SqlError> {
    let (first, last) = (targets[0].group, targets[targets.len() - 1].group);
    let (group, wanted) = place(first);
    if first == last || txn.mode(wanted.mode) != Mode::Single {
        return Ok(());
    }
    Err(SqlError::refuse(format!(
        "The statement writes to several groups ({}, {} ...), which transaction_mode = \"single\" refuses: narrow it by \
         the sharding key, or allow \"atomic\" for the user",
        group.name,
        place(last).0.name
    )))
}
