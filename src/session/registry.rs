//! Who is connected: numbers, names and kill switches of all sessions, and the bounds on how many there
//! may be. It knows nothing of what they do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Code, SqlError};
use crate::txn::active::Active;
use crate::txn::kill::Kill;

/// All sessions of the process.
pub struct Registry {
    limit: u32,
    next: AtomicU32,
    /// Seconds since the start, moved on by [`Registry::sweep`]: cheaper to read than a clock.
    clock: Arc<AtomicU32>,
    started: Instant,
    open: Mutex<HashMap<u32, Arc<Entry>>>,
}

/// What others may know of a session.
#[derive(Debug)]
pub struct Entry {
    /// Its number, as CONNECTION_ID() and KILL mean it.
    pub id: u32,
    /// `address:port`, or `localhost` for a unix socket.
    pub peer: String,
    /// Who logged in; empty before the login.
    user: Mutex<Arc<str>>,
    /// What it does.
    activity: Mutex<Activity>,
    /// Ends what it does.
    pub kill: Arc<Kill>,
    /// Its transaction.
    pub transaction: Arc<Active>,
    clock: Arc<AtomicU32>,
    /// When its last command came, by the registry's clock.
    active: AtomicU32,
}

/// What a session does, as SHOW PROCESSLIST tells it.
#[derive(Clone, Debug)]
pub struct Activity {
    /// `Sleep`, `Query`, `Prepare`, ....
    pub command: &'static str,
    /// The default schema.
    pub schema: Option<Arc<str>>,
    /// The beginning of the statement that runs, up to [`INFO`] bytes; empty if none does.
    pub text: Vec<u8>,
}

/// As much of a statement as SHOW FULL PROCESSLIST tells of another session.
pub const INFO: usize = 1024;

impl Default for Activity {
    fn default() -> Activity {
        Activity { command: "Sleep", schema: None, text: Vec::new() }
    }
}

/// How long a session has been idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// It was just active.
    No,
    /// Long enough to give its buffers back.
    Awhile,
    /// Longer than it may.
    TooLong,
}

/// Seconds after which an idle session gives its buffers back.
const AWHILE: u32 = 2;

/// A session's place among the others; leaving is dropping it.
pub struct Seat {
    registry: Arc<Registry>,
    /// What others see of the session.
    pub entry: Arc<Entry>,
}

impl Registry {
    /// Room for `limit` connections, those that have not logged in yet included.
    pub fn new(limit: u32) -> Registry {
        Registry {
            limit,
            next: AtomicU32::new(1),
            clock: Arc::default(),
            started: Instant::now(),
            open: Mutex::default(),
        }
    }

    /// Takes a seat; error 1040 if there is none.
    pub fn enter(self: &Arc<Registry>, peer: String) -> Result<Seat, SqlError> {
        let mut open = lock(&self.open);
        if open.len() >= self.limit as usize {
            return Err(SqlError::new(Code::TooManyConnections, "Too many connections"));
        }
        let mut id = self.next.fetch_add(1, Ordering::Relaxed);
        while id == 0 || open.contains_key(&id) {
            id = self.next.fetch_add(1, Ordering::Relaxed);
        }
        let kill = Arc::<Kill>::default();
        let entry = Arc::new(Entry {
            id,
            peer,
            user: Mutex::default(),
            activity: Mutex::default(),
            transaction: Arc::new(Active::new(id, kill.clone())),
            kill,
            clock: self.clock.clone(),
            active: AtomicU32::new(self.clock.load(Ordering::Relaxed)),
        });
        open.insert(id, entry.clone());
        Ok(Seat { registry: self.clone(), entry })
    }

    /// The session with this number.
    pub fn find(&self, id: u32) -> Option<Arc<Entry>> {
        lock(&self.open).get(&id).cloned()
    }

    /// All sessions, by number.
    pub fn list(&self) -> Vec<Arc<Entry>> {
        let mut entries: Vec<_> = lock(&self.open).values().cloned().collect();
        entries.sort_by_key(|entry| entry.id);
        entries
    }

    /// Moves the clock on and wakes the sessions that have something to do about being idle, or about a statement that
    /// has been running for a while. To be called once a second; `limit` is how long a session may idle.
    pub fn sweep(&self, limit: Duration) {
        let now = self.started.elapsed().as_secs() as u32;
        let before = self.clock.swap(now, Ordering::Relaxed);
        // Twice each, however late a sweep comes.
        let awhile = AWHILE..AWHILE + (now - before).max(1) + 1;
        for entry in lock(&self.open).values() {
            let idle = entry.idle_seconds();
            // A command may consist of several statements, each of which has to be told that it lasts.
            if awhile.contains(&idle) || u64::from(idle) >= limit.as_secs() || (idle > AWHILE && entry.is_busy()) {
                entry.kill.wake();
            }
        }
    }

    /// How long the process has served.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        lock(&self.open).len()
    }
}

impl Seat {
    /// Says who logged in; error 1203 if that user already has `limit` connections.
    pub fn name(&self, user: &str, limit: Option<u32>) -> Result<(), SqlError> {
        let open = lock(&self.registry.open);
        if let Some(limit) = limit {
            let mine = open.values().filter(|e| e.id != self.entry.id && &*e.user() == user).count();
            if mine >= limit as usize {
                return Err(SqlError::new(
                    Code::UserConnections,
                    format!("User {user} already has more than 'max_user_connections' active connections"),
                ));
            }
        }
        *lock(&self.entry.user) = user.into();
        Ok(())
    }
}

impl Entry {
    /// The session is active now.
    pub fn touch(&self) {
        self.active.store(self.clock.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// A command begins, or nothing more runs.
    pub fn does(&self, command: &'static str, schema: Option<&Arc<str>>, text: &[u8]) {
        let mut activity = lock(&self.activity);
        activity.command = command;
        activity.text.clear();
        activity.text.extend_from_slice(&text[..text.len().min(INFO)]);
        if activity.schema.as_ref().map(Arc::as_ptr) != schema.map(Arc::as_ptr) {
            activity.schema = schema.cloned();
        }
        drop(activity);
        self.touch();
    }

    /// Whether a command runs.
    fn is_busy(&self) -> bool {
        lock(&self.activity).command != Activity::default().command
    }

    /// What the session does.
    pub fn activity(&self) -> Activity {
        lock(&self.activity).clone()
    }

    /// Gives back the room that the text of a statement took.
    pub fn rest(&self) {
        lock(&self.activity).text = Vec::new();
    }

    /// Seconds since the last command came, or ended.
    pub fn idle_seconds(&self) -> u32 {
        self.clock.load(Ordering::Relaxed).saturating_sub(self.active.load(Ordering::Relaxed))
    }

    /// How long the session has been idle, where `limit` is how long it may.
    pub fn idle(&self, limit: Duration) -> Idle {
        match self.idle_seconds() {
            idle if u64::from(idle) >= limit.as_secs() => Idle::TooLong,
            AWHILE.. => Idle::Awhile,
            _ => Idle::No,
        }
    }

    /// Who logged in; empty before the login.
    pub fn user(&self) -> Arc<str> {
        lock(&self.user).clone()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.registry.open).remove(&self.entry.id);
    }
}

/// The data under these locks is whole after every single call, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Whatever a command waits for may have begun to be waited for just now.
    #[test]
    fn a_session_that_is_busy_for_long_is_woken_by_every_sweep() {
        let mut registry = Registry::new(2);
        registry.started = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
        let registry = Arc::new(registry);
        let (busy, idle) = (registry.enter("a".into()).unwrap(), registry.enter("b".into()).unwrap());
        busy.entry.does("Query", None, b"SELECT SLEEP(600)");
        let woken = |seat: &Seat| {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            std::pin::pin!(seat.entry.kill.pulled()).poll(&mut context).is_ready()
        };
        // The first sweep comes late: it may be about what is short, too.
        registry.sweep(Duration::from_secs(1000));
        woken(&idle);
        for _ in 0..3 {
            registry.sweep(Duration::from_secs(1000));
            assert!(woken(&busy));
        }
        assert!(!woken(&idle));
    }

    #[test]
    fn a_seat_is_free_again_when_its_session_ends() {
        let registry = Arc::new(Registry::new(2));
        let one = registry.enter("a".into()).unwrap();
        let two = registry.enter("b".into()).unwrap();
        assert_eq!(registry.enter("c".into()).err().unwrap().errno, 1040);
        one.name("ann", Some(1)).unwrap();
        assert_eq!(two.name("ann", Some(1)).unwrap_err().errno, 1203);
        drop(one);
        two.name("ann", Some(1)).unwrap();
        let three = registry.enter("c".into()).unwrap();
        assert_ne!(three.entry.id, two.entry.id);
        assert!(registry.find(three.entry.id).is_some());
    }
}
