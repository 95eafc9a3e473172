//! Atomic commit over several groups: the names of transactions and the rules of the protocol, as pure decisions. It
//! knows no connection, no clock and no SQL; `txn` carries its decisions out.
//!
//! The first group that a transaction touches is its **commit point**: there it is a plain local transaction. On each
//! further group it is an XA branch.
//!
//! ```text
//! round 1   branches: INSERT marker; XA END; XA PREPARE      commit point: INSERT decision, if before the deadline
//! round 2   commit point: COMMIT                             after all answers; this is the global commit
//! round 3   branches: XA COMMIT
//! ```
//!
//! Any proxy can finish what another began: a branch that stays prepared is committed if its commit point has the
//! decision to commit, rolled back if it has one to abort, and if it has none, an abort is written there first (the
//! *fence*), which the coordinator's own decision then collides with.
//!
//! This is right under four conditions, each of which `tests/all/commit.rs` shows to be needed:
//!
//! 1. the fence is committed before any branch is rolled back;
//! 2. a fence is forgotten only when the commit point's own clock refuses the coordinator's decision;
//! 3. a decision is forgotten only when every branch was seen to be committed (its marker);
//! 4. what a server has acknowledged survives it: flushed, and on a replica before the acknowledgement.

pub mod id;
pub mod protocol;
