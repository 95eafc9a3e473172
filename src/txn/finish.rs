//! How a transaction ends on the groups it has reached: at once where one group has all there is to commit, else by the
//! protocol of `commit`. Each round is sent to all groups before the first answer is read.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::backend::conn::BackendError;
use crate::backend::lease::Lease;
use crate::commit::id::{BranchId, GlobalId};
use crate::commit::protocol::{Decision, after_silence, decide};
use crate::error::{Code, SqlError};
use crate::rules::GroupId;
use crate::txn::ledger::{Ledger, sql};
use crate::txn::recovery;
use crate::txn::{First, Mode, Part, Pin, Reach, Savepoints, State, Txn};
use crate::wire::command::com;

/// How long the first round may take: it only writes what is ready to the logs.
const FIRST_ROUND: Duration = Duration::from_secs(30);
/// How long the answer to a COMMIT that did not come is looked for, before the client is told that it is unknown.
const LOOK_FOR: Duration = Duration::from_secs(10);

/// One group of a transaction that ends.
struct Member {
    group: GroupId,
    lease: Lease,
    /// Its name, unless it is plain.
    branch: Option<(GlobalId, BranchId)>,
    wrote: bool,
    /// Rows changed by the last statement of the last round.
    rows: u64,
    /// The first error of the last round.
    error: Option<BackendError>,
}

impl Txn {
    /// COMMIT or ROLLBACK on every group of the transaction.
    ///
    /// # Errors
    /// Why nothing is committed; that of a group that may have committed or not, if the message says so. With ROLLBACK
    /// a lost server is no error, because it rolls back by itself.
    pub async fn end(&mut self, commit: bool, ledger: &Ledger) -> Result<(), SqlError> {
        let failed = match std::mem::take(&mut self.state) {
            State::Failed(why) => Some(why),
            State::Auto | State::Open(_) => {
                let gone = self.reach.parts.keys().find(|group| !self.held.contains_key(group));
                gone.map(|_| "the connection to a group was given up".to_owned())
            }
        };
        if let Some(why) = failed {
            self.roll_back().await;
            return match commit {
                false => Ok(()),
                true => Err(SqlError::new(
                    Code::Aborted,
                    format!("The transaction was rolled back because {why}; nothing was committed"),
                )),
            };
        }
        if !commit {
            self.roll_back().await;
            return Ok(());
        }
        let (mut members, reach) = self.members();
        let several = reach.wrote().nth(1).is_some();
        let outcome = match (reach.mode, reach.global, &reach.first) {
            (Some(Mode::Atomic), Some(global), Some(first)) if several => {
                together(&mut members, global, first, ledger).await
            }
            _ => one_by_one(&mut members, several).await,
        };
        self.give_back(members);
        outcome
    }

    /// ROLLBACK on every group of the transaction, which is over then. Who does not answer rolls back by itself.
    pub async fn roll_back(&mut self) {
        self.state = State::Auto;
        let (mut members, _) = self.members();
        round(&mut members, Member::roll_back).await;
        members.iter_mut().for_each(Member::judge_rollback);
        self.give_back(members);
    }

    /// Takes the groups of the transaction out; connections that are only pinned stay.
    fn members(&mut self) -> (Vec<Member>, Reach) {
        self.pending = Savepoints::default();
        self.close();
        let reach = std::mem::take(&mut self.reach);
        let mut members = Vec::with_capacity(reach.parts.len());
        for (group, part) in &reach.parts {
            let Some(lease) = self.held.remove(group) else { continue };
            let branch = match (part, reach.global) {
                (Part::Branch(branch), Some(global)) => Some((global, *branch)),
                _ => None,
            };
            let wrote = reach.writers.contains(group);
            members.push(Member { group: *group, lease, branch, wrote, rows: 0, error: None });
        }
        (members, reach)
    }

    /// Gives the connections back behind the end; those on which something is left are closed.
    fn give_back(&mut self, members: Vec<Member>) {
        for Member { group, mut lease, error, .. } in members {
            if error.is_some() || lease.is_busy() || lease.in_transaction() {
                lease.taint();
                self.pinned.remove(&(group, Pin::Cursor));
                continue;
            }
            self.settle(group, lease);
        }
        self.release();
    }
}

/// Sends each member its statements, then reads all answers.
async fn round(members: &mut [Member], statements: impl Fn(&Member) -> Vec<String>) {
    let mut owed = Vec::with_capacity(members.len());
    for member in members.iter_mut() {
        // Nothing more is said on a connection that owes an answer.
        let statements = if member.lease.is_busy() { Vec::new() } else { statements(member) };
        if !member.lease.is_busy() {
            (member.rows, member.error) = (0, None);
        }
        for sql in &statements {
            member.lease.send(com::QUERY, sql.as_bytes());
        }
        if !statements.is_empty()
            && let Err(error) = member.lease.link.flush().await
        {
            member.error = Some(error.into());
        }
        owed.push(statements.len());
    }
    for (member, owed) in members.iter_mut().zip(owed) {
        for _ in 0..owed {
            match member.lease.read_answer().await {
                Ok(answer) => member.rows = answer.affected_rows,
                Err(error) => {
                    let lost = !matches!(error, BackendError::Server(_));
                    member.error.get_or_insert(error);
                    if lost {
                        break;
                    }
                }
            }
        }
    }
}

impl Member {
    /// What commits this group alone.
    fn commit_alone(&self) -> Vec<String> {
        match self.branch {
            Some((global, branch)) => {
                vec![sql::xa("END", global, branch), format!("{} ONE PHASE", sql::xa("COMMIT", global, branch))]
            }
            None if self.lease.in_transaction() => vec!["COMMIT".to_owned()],
            None => Vec::new(),
        }
    }

    fn roll_back(&self) -> Vec<String> {
        match self.branch {
            // Of a branch that a deadlock has rolled back XA END is refused, and XA ROLLBACK ends it.
            Some((global, branch)) => vec![sql::xa("END", global, branch), sql::xa("ROLLBACK", global, branch)],
            None => vec!["ROLLBACK".to_owned()],
        }
    }

    /// Behind a ROLLBACK: it is well if the last statement was.
    fn judge_rollback(&mut self) {
        if !self.lease.is_busy() && !self.lease.is_doubtful() {
            self.error = None;
        }
    }

    /// Behind a ROLLBACK of what was prepared: whether this branch, which wrote, was still there for it.
    fn is_rolled_back(&self) -> bool {
        self.branch.is_some() && self.wrote && self.error.is_none() && !self.lease.is_busy()
    }

    /// Round 1: the branch with its marker, prepared; on the commit point the decision.
    fn prepare(&self, global: GlobalId, branches: &[BranchId]) -> Vec<String> {
        if let Some((_, branch)) = self.branch {
            let marker = sql::marker(global, branch);
            return vec![marker, sql::xa("END", global, branch), sql::xa("PREPARE", global, branch)];
        }
        let decision = sql::decision(global, branches);
        // The deadline is the server's clock's, which the session may have stopped.
        match self.lease.settings.variable("timestamp") {
            Some(_) => vec!["SET timestamp=DEFAULT".to_owned(), decision],
            None => vec![decision],
        }
    }

    /// What gives a commit point its clock back, which round 1 let run.
    fn stop_clock(&self) -> Option<String> {
        let value = self.lease.settings.variable("timestamp").filter(|_| self.branch.is_none())?;
        Some(format!("SET timestamp={}", String::from_utf8_lossy(value)))
    }

    /// The error of the last round, for the client.
    fn told(&self) -> Option<SqlError> {
        self.error.as_ref().map(|error| error.to_client(&self.lease.server().name))
    }
}

/// Where one group at most has written, or each may commit for itself: the writers one after the other, then the rest,
/// which decides nothing. Locks of what was only read last until the commit, because clients use them as a mutex.
async fn one_by_one(members: &mut [Member], several: bool) -> Result<(), SqlError> {
    members.sort_by_key(|member| !member.wrote);
    let writers = members.iter().filter(|member| member.wrote).count();
    let mut first_error = None;
    let (writers, readers) = members.split_at_mut(writers);
    let nobody_wrote = writers.is_empty();
    for writer in writers.chunks_mut(1) {
        round(writer, Member::commit_alone).await;
        if let Some(mut error) = writer[0].told() {
            error.message.push_str(if several { "; other groups may have committed" } else { "" });
            first_error.get_or_insert(error);
        }
    }
    round(readers, Member::commit_alone).await;
    if nobody_wrote && let Some(error) = readers.iter().find_map(Member::told) {
        first_error.get_or_insert(error);
    }
    first_error.map_or(Ok(()), Err)
}

/// Several groups have written: all commit, or none does.
async fn together(members: &mut [Member], global: GlobalId, first: &First, ledger: &Ledger) -> Result<(), SqlError> {
    // The commit point in front, then the branches that wrote, then those that only read.
    members.sort_by_key(|member| (member.branch.is_some(), !member.wrote));
    let acting = members.iter().take_while(|member| member.branch.is_none() || member.wrote).count();
    let acting = &mut members[..acting];
    let branches: Vec<BranchId> = acting.iter().filter_map(|member| Some(member.branch?.1)).collect();

    let refusal = first_round(acting, global, &branches).await;
    let recorded = acting[0].error.is_none() && acting[0].rows == 1;
    let prepared = acting[1..].iter().map(|member| refusal.is_none() && member.error.is_none());
    if decide(recorded && refusal.is_none(), prepared) == Decision::Abort {
        let error = refusal.or_else(|| acting.iter().find_map(Member::told));
        abort(members, ledger).await;
        ledger.counts().aborted.fetch_add(1, Ordering::Relaxed);
        return Err(aborted(error, global));
    }

    round(&mut acting[..1], |_| vec!["COMMIT".to_owned()]).await;
    let silence = acting[0].told();
    let decision = match &silence {
        None => Some(Decision::Commit),
        Some(error) => {
            tracing::warn!(%global, %error, "the answer to COMMIT did not come");
            ledger.counts().unanswered.fetch_add(1, Ordering::Relaxed);
            let recorded = recovery::settle(&first.group, global, LOOK_FOR).await;
            if recorded == Some(Decision::Abort) {
                abort(members, ledger).await;
            }
            after_silence(recorded, members.iter().any(Member::is_rolled_back))
        }
    };
    match decision {
        Some(Decision::Commit) => {
            last_round(members, ledger).await;
            ledger.counts().committed.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        Some(Decision::Abort) => {
            ledger.counts().aborted.fetch_add(1, Ordering::Relaxed);
            Err(aborted(silence, global))
        }
        None => {
            // Whatever was decided, recovery will see to the branches.
            members.iter_mut().for_each(|member| member.lease.taint());
            ledger.leave();
            Err(SqlError::new(
                Code::CommitFailed,
                format!(
                    "The answer of {} to COMMIT did not come, and what became of it cannot be told now: transaction \
                     {global} is committed on all groups or will be rolled back on all",
                    first.group.name
                ),
            ))
        }
    }
}

/// Round 1. Gives why it cannot succeed, if that is no server's answer.
async fn first_round(acting: &mut [Member], global: GlobalId, branches: &[BranchId]) -> Option<SqlError> {
    let aborted = |why: String| Some(SqlError::new(Code::Aborted, why));
    let commit_point = &mut acting[0];
    // Outside of a transaction the decision would commit itself.
    if commit_point.branch.is_some() || !commit_point.lease.in_transaction() || commit_point.lease.is_doubtful() {
        return aborted(format!("{} does not hold the transaction any more", commit_point.lease.server().name));
    }
    let all = round(acting, |member| member.prepare(global, branches));
    if tokio::time::timeout(FIRST_ROUND, all).await.is_err() {
        return aborted(format!("not all groups were ready to commit within {FIRST_ROUND:?}"));
    }
    if matches!(&acting[0].error, Some(BackendError::Server(error)) if error.errno == 1062) {
        return aborted("another proxy took this one for dead while it was about to commit".to_owned());
    }
    if acting.iter().all(|member| member.error.is_none()) && acting[0].rows != 1 {
        return aborted("it was open for longer than timeouts.transaction".to_owned());
    }
    None
}

/// The commit point has not committed and never will, so nobody else can have decided otherwise.
async fn abort(members: &mut [Member], ledger: &Ledger) {
    if members.iter().any(|member| member.lease.is_busy()) {
        ledger.leave();
    }
    round(members, |member| member.roll_back().into_iter().chain(member.stop_clock()).collect()).await;
    members.iter_mut().for_each(Member::judge_rollback);
}

/// Round 3, behind which the client is told: what it reads next, it must find. A branch that cannot be told now is
/// left for recovery; the transaction is committed all the same.
async fn last_round(members: &mut [Member], ledger: &Ledger) {
    for member in members.iter_mut() {
        // That of XA PREPARE is not the one behind which the rows can be seen.
        if member.branch.is_some() {
            member.lease.take_gtid();
        }
    }
    round(members, |member| match member.branch {
        Some((global, branch)) if member.wrote => vec![sql::xa("COMMIT", global, branch)],
        Some(_) => member.commit_alone(),
        None => member.stop_clock().into_iter().collect(),
    })
    .await;
    for member in members.iter().filter(|member| member.branch.is_some() && member.wrote) {
        if let Some(error) = member.told() {
            tracing::warn!(%error, "a branch of a committed transaction is left for recovery");
        }
    }
    // If only to forget the decision and the markers.
    ledger.leave();
}

fn aborted(error: Option<SqlError>, global: GlobalId) -> SqlError {
    let error = error.unwrap_or_else(|| SqlError::new(Code::CommitFailed, "a group could not commit"));
    tracing::info!(%global, %error, "a transaction over several groups was rolled back at COMMIT");
    let message = format!("{}; the transaction was rolled back on all groups", error.message);
    SqlError { message, ..error }
}
