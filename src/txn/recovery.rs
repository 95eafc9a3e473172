//! Finishes what others began: looks for branches that stay prepared, decides them by their commit point, and clears the
//! traces of what is over. Every proxy does this, without a leader; what is safe is decided by `commit::protocol`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::cluster::Group;
use crate::commit::id::{BranchId, GlobalId, Identity};
use crate::commit::protocol::{Decision, Step, after_fence, may_forget, may_unmark, resolve};
use crate::error::{Code, SqlError};
use crate::txn::ledger::Ledger;
use crate::txn::site::Site;

/// Between two looks, if nothing was left for recovery.
const INTERVAL: Duration = Duration::from_secs(5);
/// The least time between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Looks of [`finish_now`].
const TRIES: u32 = 6;
/// A look that takes longer is given up.
const LOOK_LIMIT: Duration = Duration::from_secs(60);
/// How long one group may take to tell what is left on it, if somebody waits for that.
const ASK_LIMIT: Duration = Duration::from_secs(10);
/// How far the clocks of a group's servers may be apart, in seconds.
const SKEW: u64 = 60;
/// Looks that miss a branch before it is called lost.
const MISSED_LOOKS: u32 = 5;

/// Looks again and again, until the task is dropped. `suspect`: a branch prepared for longer belongs to nobody.
pub async fn watch(ledger: Arc<Ledger>, suspect: Duration, groups: impl Fn() -> Vec<Arc<Group>>) {
    let mut memory = Memory::default();
    loop {
        let groups = groups();
        let look = look(&ledger, suspect, &groups, &mut memory);
        let busy = tokio::time::timeout(LOOK_LIMIT, look).await.unwrap_or(true);
        tokio::time::sleep(PAUSE).await;
        if !busy {
            let _ = tokio::time::timeout(INTERVAL - PAUSE, ledger.wait()).await;
        }
    }
}

/// The decision on a transaction whose COMMIT was not answered: asks its commit point, and if that knows nothing of it,
/// writes there that it is aborted. `None` if that cannot be done within `limit`. What it means: `after_silence`.
pub(super) async fn settle(group: &Group, global: GlobalId, limit: Duration) -> Option<Decision> {
    let ask = async {
        loop {
            if let Ok(primary) = group.primary().await
                && let Ok(Some(mut site)) = Site::open(primary).await
                && site.identity == global.commit_point
                && let Ok(known) = site.decision(global).await
            {
                if known.is_some() {
                    return known;
                }
                if let Some(decision) = after_fence(site.fence(global).await) {
                    return Some(decision);
                }
            }
            tokio::time::sleep(PAUSE / 4).await;
        }
    };
    tokio::time::timeout(limit, ask).await.ok().flatten()
}

/// What a commit point says of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Said {
    /// It has decided.
    Decided(Decision),
    /// It knows nothing of it, or is not among the groups.
    #[default]
    Nothing,
    /// It could not be asked, or may be a group that could not be.
    Unasked,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Said::Decided(Decision::Commit) => "commit",
            Said::Decided(Decision::Abort) => "abort",
            Said::Nothing => "none",
            Said::Unasked => "unknown",
        })
    }
}

/// A transaction over several groups that has left something on the servers.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// What its commit point says of it.
    pub said: Said,
    /// The server that is its commit point's primary now (the group, if that could not be asked), if it is among them.
    pub commit_point: Option<String>,
    /// Where a branch of it is prepared.
    pub prepared: Vec<String>,
    /// Where a branch of it is committed.
    pub committed: Vec<String>,
}

/// A group that could not be asked what is left on it.
#[derive(Clone, Debug)]
pub struct Unasked {
    /// Its name in the rules.
    pub group: String,
    /// What its primary's error was, or why there is none.
    pub why: String,
}

/// What is left on all groups: what is being committed right now, and what waits for recovery. Groups that cannot be asked
/// are told; of the others all is.
pub async fn left(groups: &[Arc<Group>]) -> (BTreeMap<GlobalId, Left>, Vec<Unasked>) {
    let mut left: BTreeMap<GlobalId, Left> = BTreeMap::new();
    let (mut names, mut unasked, mut silent) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    for group in groups {
        match tokio::time::timeout(ASK_LIMIT, ask(group, &mut left)).await {
            Ok(Ok(Some((identity, name)))) => drop(names.insert(identity, name)),
            Ok(Ok(None)) => {}
            failed => {
                let late = || format!("no answer within {ASK_LIMIT:?}");
                let why =
                    failed.map_or_else(|_| late(), |answer| answer.err().map_or_else(late, |error| error.message));
                // Whom this process knows already.
                let known = group.members().iter().find_map(|member| member.server.group_identity.get());
                silent.extend(known.map(|identity| (*identity, group.name.clone())));
                unasked.push(Unasked { group: group.name.clone(), why });
            }
        }
    }
    for (global, left) in &mut left {
        left.commit_point = names.get(&global.commit_point).or_else(|| silent.get(&global.commit_point)).cloned();
        if !names.contains_key(&global.commit_point) && !unasked.is_empty() {
            left.said = Said::Unasked;
        }
    }
    (left, unasked)
}

/// Adds what is left on one group; its name among transactions and that of its primary, if it ever had a part in any.
async fn ask(group: &Group, left: &mut BTreeMap<GlobalId, Left>) -> Result<Option<(Identity, String)>, SqlError> {
    // To look is no reason to wait until there is one.
    let Some(primary) = group.current_primary() else { return Err(group.no_primary()) };
    let Some(mut site) = Site::open(primary).await? else { return Ok(None) };
    site.see_branches().await?;
    site.see_decisions().await?;
    let name = || site.server.name.clone();
    for (global, _) in &site.prepared {
        left.entry(*global).or_default().prepared.push(name());
    }
    for (global, _) in &site.markers {
        left.entry(*global).or_default().committed.push(name());
    }
    for (global, (decision, _)) in &site.decisions {
        left.entry(*global).or_default().said = Said::Decided(*decision);
    }
    Ok(Some((site.identity, name())))
}

/// Finishes what is prepared on any group now, without waiting for its coordinator; `only`: of that transaction.
///
/// # Errors
/// If something is prepared still, nothing is of that one transaction, or a group cannot be asked.
pub async fn finish_now(groups: &[Arc<Group>], only: Option<GlobalId>, ledger: &Ledger) -> Result<(), SqlError> {
    let concerns =
        |(global, left): (&GlobalId, &Left)| only.is_none_or(|only| only == *global) && !left.prepared.is_empty();
    if let Some(only) = only {
        let (left, unasked) = left(groups).await;
        if !left.iter().any(concerns) {
            all_asked(&unasked)?;
            return Err(SqlError::new(Code::Unknown, format!("nothing is prepared of a transaction {only}")));
        }
    }
    let mut memory = Memory { only, ..Memory::default() };
    for _ in 0..TRIES {
        look(ledger, Duration::ZERO, groups, &mut memory).await;
        let (left, unasked) = left(groups).await;
        if !left.iter().any(concerns) {
            return all_asked(&unasked);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(SqlError::new(Code::Unknown, "some transactions are prepared still: the log tells why"))
}

/// That there is nothing on the groups that were asked means little if there are others.
fn all_asked(unasked: &[Unasked]) -> Result<(), SqlError> {
    match unasked.first() {
        None => Ok(()),
        Some(Unasked { group, why }) => Err(SqlError::new(
            Code::BackendLost,
            format!("group {group} cannot be asked what is prepared there: {why}"),
        )),
    }
}

/// What is remembered from look to look.
#[derive(Default)]
struct Memory {
    /// The one transaction that is to be finished.
    only: Option<GlobalId>,
    /// When a branch was first seen prepared.
    prepared: BTreeMap<(GlobalId, BranchId), Instant>,
    /// How often a fence was tried.
    fences: BTreeMap<GlobalId, u32>,
    /// How often a branch that must be committed was not found.
    missed: BTreeMap<(GlobalId, BranchId), u32>,
    /// Whose alarm was raised.
    told: BTreeSet<(GlobalId, BranchId)>,
}

/// One look at all groups; whether there was anything.
async fn look(ledger: &Ledger, suspect: Duration, groups: &[Arc<Group>], memory: &mut Memory) -> bool {
    let mut sites = Vec::new();
    for primary in groups.iter().filter_map(|group| group.current_primary()) {
        match Site::open(primary).await {
            Ok(Some(site)) => sites.push(site),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "recovery of transactions passes a group over"),
        }
    }
    // What vouches for a branch is read before what vouches for its transaction: whoever clears up deletes in the
    // other order. A group that shows nothing is left out, and nothing that concerns it is decided.
    let mut seen = Vec::with_capacity(sites.len());
    for mut site in sites {
        match site.see_branches().await {
            Ok(()) => seen.push(site),
            Err(error) => tracing::warn!(server = site.server.name, %error, "cannot see prepared transactions"),
        }
    }
    let mut sites = Vec::with_capacity(seen.len());
    for mut site in seen {
        match site.see_decisions().await {
            Ok(()) => sites.push(site),
            Err(error) => tracing::warn!(server = site.server.name, %error, "cannot see decisions"),
        }
    }
    let busy = sites.iter().any(|s| !(s.prepared.is_empty() && s.markers.is_empty() && s.decisions.is_empty()));
    if busy {
        finish(ledger, suspect, &mut sites, memory).await;
        collect(ledger, &mut sites, memory).await;
    }
    // Those that are being committed at the moment are seen once.
    let stays = |key: &&(GlobalId, BranchId)| memory.prepared.get(key).is_some_and(|since| since.elapsed() >= PAUSE);
    let in_doubt = sites.iter().flat_map(|site| site.prepared.iter().filter(stays).map(|(global, _)| *global));
    let in_doubt = in_doubt.collect::<BTreeSet<_>>().len() as u64;
    ledger.counts().in_doubt.store(in_doubt, Ordering::Relaxed);
    busy
}

/// Decides the branches that were prepared at the last look already.
async fn finish(ledger: &Ledger, suspect: Duration, sites: &mut [Site<'_>], memory: &mut Memory) {
    let found: Vec<(usize, GlobalId, BranchId)> = sites
        .iter()
        .enumerate()
        .flat_map(|(at, site)| site.prepared.iter().map(move |(global, branch)| (at, *global, *branch)))
        .filter(|(_, global, _)| memory.only.is_none_or(|only| only == *global))
        .collect();
    let now = Instant::now();
    let before = std::mem::take(&mut memory.prepared);
    for (at, global, branch) in found {
        let since = before.get(&(global, branch)).copied();
        memory.prepared.insert((global, branch), since.unwrap_or(now));
        let Some(since) = since else { continue };
        let old = now.duration_since(since) >= suspect;
        let Some(point) = sites.iter().position(|site| site.identity == global.commit_point) else {
            if old && memory.told.insert((global, branch)) {
                let server = &sites[at].server.name;
                tracing::error!(server, %global, %branch, "a prepared transaction whose commit point is not to be seen");
            }
            continue;
        };
        let known = match (sites[point].decisions.get(&global), sites[point].truncated) {
            (Some((decision, _)), _) => Ok(Some(*decision)),
            (None, false) => Ok(None),
            (None, true) => sites[point].decision(global).await,
        };
        let Ok(known) = known else { continue };
        let decision = match resolve(known, old) {
            Step::Wait => continue,
            Step::Commit => Decision::Commit,
            Step::RollBack => Decision::Abort,
            Step::Fence => {
                let tries = memory.fences.entry(global).or_default();
                *tries += 1;
                match after_fence(sites[point].fence_at_last(global, *tries).await) {
                    Some(decision) => decision,
                    None => continue,
                }
            }
        };
        sites[at].finish(global, branch, decision, old, ledger).await;
    }
    let prepared = &memory.prepared;
    memory.fences.retain(|global, _| prepared.keys().any(|(other, _)| other == global));
}

/// Forgets what is over, and looks for branches that should be there.
async fn collect(ledger: &Ledger, sites: &mut [Site<'_>], memory: &mut Memory) {
    let site_of = |sites: &[Site<'_>], identity| sites.iter().position(|site| site.identity == identity);
    for point in 0..sites.len() {
        let mut over = Vec::new();
        for (global, (decision, branches)) in &sites[point].decisions {
            let mut all = !branches.is_empty();
            for branch in branches {
                let key = (*global, *branch);
                let site = site_of(sites, branch.group).map(|at| &sites[at]);
                let committed = site.is_some_and(|site| site.markers.contains(&key));
                all &= committed;
                match site {
                    Some(site) if !committed && !site.markers_truncated && !site.prepared.contains(&key) => {
                        *memory.missed.entry(key).or_default() += 1;
                    }
                    _ => {
                        memory.missed.remove(&key);
                    }
                }
                if memory.missed.get(&key).is_some_and(|looks| *looks >= MISSED_LOOKS) && memory.told.insert(key) {
                    ledger.counts().lost.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(%global, %branch, "a branch of a committed transaction is lost: what it wrote is not there");
                }
            }
            if may_forget(*decision, all, sites[point].now > u64::from(global.deadline) + SKEW) {
                over.push(*global);
            }
        }
        sites[point].forget(&over).await;
    }
    let known = |key: &(GlobalId, BranchId)| sites.iter().any(|site| site.decisions.contains_key(&key.0));
    memory.missed.retain(|key, _| known(key));
    let Memory { told, prepared, .. } = memory;
    told.retain(|key| known(key) || prepared.contains_key(key));
    for at in 0..sites.len() {
        let free = |(global, _): &&(GlobalId, BranchId)| {
            site_of(sites, global.commit_point).is_some_and(|point| {
                let point = &sites[point];
                !point.truncated && may_unmark(point.decisions.get(global).map(|(decision, _)| *decision))
            })
        };
        let free: Vec<GlobalId> = sites[at].markers.iter().filter(free).map(|(global, _)| *global).collect();
        sites[at].unmark(&free).await;
    }
}
