//! What coordinator, recoverer and collector do with what they see of a transaction. Each rule is a function, so that
//! the model in `tests/all/commit.rs` checks the very rules that run.

/// What a row of the decision table says of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Decision {
    /// It is committed on the commit point and will be on every branch. The row is part of the transaction itself.
    Commit,
    /// It never will be. Also called a fence: no decision to commit can be written beside it.
    Abort,
}

/// The coordinator, when round 1 is over: `recorded`, its decision is written (not yet committed) on the commit point;
/// `prepared`, for each branch whether it was acknowledged as prepared. An answer that did not come is a no.
pub fn decide(recorded: bool, prepared: impl IntoIterator<Item = bool>) -> Decision {
    match recorded && prepared.into_iter().all(|prepared| prepared) {
        true => Decision::Commit,
        false => Decision::Abort,
    }
}

/// What to do about a branch that was found prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// XA COMMIT.
    Commit,
    /// XA ROLLBACK.
    RollBack,
    /// Write a decision to abort on the commit point and commit it.
    Fence,
    /// Its coordinator is probably at work: look again later.
    Wait,
}

/// A recoverer that found a branch prepared and then read the decision on the commit point's primary. `suspect`: the
/// branch has been prepared for longer than a commit takes.
pub fn resolve(decision: Option<Decision>, suspect: bool) -> Step {
    match (decision, suspect) {
        (Some(Decision::Commit), _) => Step::Commit,
        (Some(Decision::Abort), _) => Step::RollBack,
        (None, true) => Step::Fence,
        (None, false) => Step::Wait,
    }
}

/// How the commit point answered to a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// It is committed.
    Written,
    /// A decision is there already (duplicate key).
    Present,
    /// The coordinator's decision is there and not committed: the row is locked.
    Locked,
    /// No answer, or another error.
    Unknown,
}

/// What a recoverer knows behind its fence; `None`: nothing, it has to read the decision again.
pub fn after_fence(fenced: Fenced) -> Option<Decision> {
    match fenced {
        Fenced::Written => Some(Decision::Abort),
        Fenced::Present | Fenced::Locked | Fenced::Unknown => None,
    }
}

/// What a coordinator knows whose COMMIT on the commit point was not answered. `recorded`: the decision that is there now,
/// if need be its own fence; `rolled_back`: behind that, it could roll a branch back that was prepared. `None`: the client
/// is to be told that nobody knows.
///
/// A decision to abort alone proves nothing: others may have seen the decision to commit, finished the branches and
/// forgotten it, before the fence was written. But they forget it only when all branches are committed, so one that can
/// still be rolled back tells that it was never made.
pub fn after_silence(recorded: Option<Decision>, rolled_back: bool) -> Option<Decision> {
    match recorded {
        Some(Decision::Commit) => Some(Decision::Commit),
        Some(Decision::Abort) if rolled_back => Some(Decision::Abort),
        Some(Decision::Abort) | None => None,
    }
}

/// What can be seen of a branch of a transaction that was decided to be committed, but whose server does not know it
/// (XAER_NOTA). To be read in this order: whoever clears up deletes the decision before the markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traces {
    /// XA RECOVER lists it.
    pub listed: bool,
    /// Its marker row is there, which is written by the branch itself.
    pub marker: bool,
    /// The decision now.
    pub decision: Option<Decision>,
}

/// What became of a branch that its server does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is committed.
    Committed,
    /// It is prepared, and belongs to a connection that must be closed first (MariaDB).
    Attached,
    /// It was prepared and is gone: what it wrote is lost. Never to be taken for committed.
    Lost,
}

/// The fate of a branch that was to be committed, when its server answered XAER_NOTA.
pub fn fate(traces: Traces) -> Fate {
    match traces {
        Traces { listed: true, .. } => Fate::Attached,
        Traces { marker: true, .. } => Fate::Committed,
        Traces { decision: Some(Decision::Commit), .. } => Fate::Lost,
        // The decision is only ever forgotten after all markers were seen. A fence in its place is that of a recoverer
        // that looked before the decision was made and wrote after it was forgotten.
        Traces { decision: None | Some(Decision::Abort), .. } => Fate::Committed,
    }
}

/// Whether a decision may be forgotten. `markers`: the markers of all its branches were seen. `late`: the commit point's
/// clock is past the transaction's deadline by more than clocks of its servers differ.
pub fn may_forget(decision: Decision, markers: bool, late: bool) -> bool {
    match decision {
        Decision::Commit => markers,
        Decision::Abort => late,
    }
}

/// Whether a marker may be deleted; `decision` was read after the marker was.
pub fn may_unmark(decision: Option<Decision>) -> bool {
    decision.is_none()
}
