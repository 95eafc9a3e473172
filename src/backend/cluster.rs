//! The groups of a rule set as live servers: which member is primary now, which replicas may be read.
//! It decides from what probes said; it runs no probe and no statement itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::backend::gtid::Gtid;
use crate::backend::server::{HealthState, Lag, Server};
use crate::error::{Code, SqlError};

/// A group: servers that hold the same data.
pub struct Group {
    /// Its name in the rules.
    pub name: String,
    members: Vec<Member>,
    policy: ReadPolicy,
    roles: ArcSwap<Roles>,
    /// Whether there is a readable replica; apart, for it is asked for with every statement.
    readable: AtomicBool,
    primary: watch::Sender<Option<usize>>,
    turn: AtomicUsize,
}

/// One server of a group.
pub struct Member {
    /// The server.
    pub server: Arc<Server>,
    /// Its share of reads as a replica; 0: none.
    pub weight: u32,
}

/// Which replicas may be read, and how long statements wait while there is no primary.
#[derive(Clone, Copy, Debug)]
pub struct ReadPolicy {
    /// Reads outside of transactions may go to replicas.
    pub replicas: bool,
    /// A replica further behind is not read.
    pub max_lag: Duration,
    /// How long a statement waits for a primary.
    pub primary_wait: Duration,
}

/// Who may serve what, as of the last probes.
#[derive(Default)]
struct Roles {
    /// Readable replicas, each with the sum of the weights up to and including its own.
    readable: Vec<(u32, Arc<Server>)>,
}

impl Group {
    /// A group whose first member is the primary by configuration.
    pub fn new(name: String, members: Vec<Member>, policy: ReadPolicy) -> Group {
        let (primary, _) = watch::channel((!members.is_empty()).then_some(0));
        Group {
            name,
            members,
            policy,
            roles: ArcSwap::default(),
            readable: AtomicBool::new(false),
            primary,
            turn: AtomicUsize::new(0),
        }
    }

    /// All servers of the group, the configured primary first.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The primary; waits, bounded, while there is none.
    pub async fn primary(&self) -> Result<&Arc<Server>, SqlError> {
        if let Some(index) = *self.primary.borrow() {
            return Ok(&self.members[index].server);
        }
        let mut primary = self.primary.subscribe();
        let found = tokio::time::timeout(self.policy.primary_wait, primary.wait_for(Option::is_some)).await;
        match found.ok().and_then(Result::ok).and_then(|index| *index) {
            Some(index) => Ok(&self.members[index].server),
            None => {
                let waited = format!(" (waited {:?})", self.policy.primary_wait);
                Err(self.has_no_primary(&waited))
            }
        }
    }

    /// What to tell whoever does not wait for a primary, while there is none.
    pub fn no_primary(&self) -> SqlError {
        self.has_no_primary("")
    }

    fn has_no_primary(&self, waited: &str) -> SqlError {
        let message = format!("Group {} has no writable primary{waited}: {}", self.name, self.describe());
        SqlError::new(Code::BackendLost, message)
    }

    /// The primary, if there is one now.
    pub fn current_primary(&self) -> Option<&Arc<Server>> {
        let index = *self.primary.borrow();
        index.map(|index| &self.members[index].server)
    }

    /// A replica to read from, by weight; `None` if none may be read. With `after`, only one that has
    /// applied that transaction, so that a session reads its own writes.
    pub fn replica(&self, after: Option<&Gtid>) -> Option<Arc<Server>> {
        if !self.policy.replicas || !self.readable.load(Ordering::Relaxed) {
            return None;
        }
        let roles = self.roles.load();
        let total = roles.readable.last()?.0;
        let turn = (self.turn.fetch_add(1, Ordering::Relaxed) as u32) % total;
        let first = roles.readable.partition_point(|(sum, _)| *sum <= turn);
        let count = roles.readable.len();
        (0..count)
            .map(|i| &roles.readable[(first + i) % count].1)
            .find(|server| after.is_none_or(|gtid| server.health.load().applied.contains(gtid)))
            .cloned()
    }

    /// Takes over what the probes of all members have said: who is primary, who may be read.
    pub fn decide_roles(&self) {
        let health: Vec<_> = self.members.iter().map(|member| member.server.health.load_full()).collect();
        let now = *self.primary.borrow();
        let elected = elect(&health.iter().map(|h| Candidate::of(h)).collect::<Vec<_>>(), now);
        if elected != now {
            let name = |index: Option<usize>| index.map(|i| self.members[i].server.name.clone());
            tracing::warn!(group = self.name, from = ?name(now), to = ?name(elected), "primary changed");
            if let Some(old) = now {
                // Connections to the old primary could still write to it, or sit in its socket queues.
                self.members[old].server.pool.clear();
            }
            self.primary.send_replace(elected);
        }
        let mut sum = 0;
        let readable = self
            .members
            .iter()
            .zip(&health)
            .enumerate()
            .filter(|(i, (member, health))| {
                let fresh = matches!(health.replica, Some(Lag::Behind(lag)) if lag <= self.policy.max_lag);
                Some(*i) != elected && member.weight > 0 && health.state == HealthState::Up && fresh
            })
            .map(|(_, (member, _))| {
                sum += member.weight;
                (sum, member.server.clone())
            })
            .collect::<Vec<_>>();
        self.readable.store(!readable.is_empty(), Ordering::Relaxed);
        self.roles.store(Arc::new(Roles { readable }));
    }

    fn describe(&self) -> String {
        let members = self.members.iter().map(|member| {
            let health = member.server.health.load();
            match &health.state {
                HealthState::Down(why) => format!("{} is down ({why})", member.server.name),
                HealthState::Unknown => format!("{} was not asked yet", member.server.name),
                HealthState::Up if health.read_only => format!("{} is read-only", member.server.name),
                HealthState::Up => format!("{} is writable but follows another server", member.server.name),
            }
        });
        members.collect::<Vec<_>>().join("; ")
    }
}

/// What matters of a server for being primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Candidate {
    Unknown,
    Down,
    ReadOnly,
    /// It takes writes, but replicates from another server: two such at once would be a split brain.
    WritableReplica,
    Writable,
}

impl Candidate {
    fn of(health: &crate::backend::server::Health) -> Candidate {
        match &health.state {
            HealthState::Unknown => Candidate::Unknown,
            HealthState::Down(_) => Candidate::Down,
            HealthState::Up if health.read_only => Candidate::ReadOnly,
            HealthState::Up if health.replica.is_some() => Candidate::WritableReplica,
            HealthState::Up => Candidate::Writable,
        }
    }
}

/// The member that is primary now. One that is stays so while it is writable; else the only other
/// writable server that follows nobody. Two candidates are a split brain, and nobody is elected.
fn elect(candidates: &[Candidate], now: Option<usize>) -> Option<usize> {
    if let Some(index) = now
        && matches!(candidates.get(index), Some(Candidate::Writable | Candidate::WritableReplica | Candidate::Unknown))
    {
        return now;
    }
    let mut writable = candidates.iter().enumerate().filter(|(_, c)| **c == Candidate::Writable).map(|(i, _)| i);
    match (writable.next(), writable.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Candidate::*;
    use super::*;

    #[test]
    fn a_primary_stays_until_it_cannot_write_and_a_split_brain_elects_nobody() {
        for (what, candidates, now, expected) in [
            ("before the first probe", &[Unknown, Unknown][..], Some(0), Some(0)),
            ("all well", &[Writable, ReadOnly], Some(0), Some(0)),
            ("the primary died, nobody promoted yet", &[Down, ReadOnly], Some(0), None),
            ("the replica was promoted", &[Down, Writable], Some(0), Some(1)),
            ("a replica that still follows is no primary", &[Down, WritableReplica], Some(0), None),
            ("a planned switch", &[ReadOnly, Writable], Some(0), Some(1)),
            ("the old one comes back read-only", &[ReadOnly, Writable], Some(1), Some(1)),
            ("the old one comes back writable: the elected one stays", &[Writable, Writable], Some(1), Some(1)),
            ("two writable, none elected", &[Writable, Writable, ReadOnly], None, None),
            ("after an outage", &[Writable, ReadOnly], None, Some(0)),
        ] {
            assert_eq!(elect(candidates, now), expected, "{what}");
        }
    }
}
