//! The connections to one server: a bound on them, and those that idle. It opens none and knows no server;
//! `lease` does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::backend::conn::{Class, Conn};
use crate::error::{Code, SqlError};

/// How many connections one server may have, and how long one waits for them.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Connections to the server at most, idle ones included.
    pub connections: usize,
    /// Statements that may wait for a connection at most; one more is refused at once.
    pub queue: usize,
    /// How long a statement waits for a connection.
    pub wait: Duration,
    /// How long a connection may idle before it is closed.
    pub idle: Duration,
    /// How old a connection may become before it is replaced.
    pub lifetime: Duration,
}

/// The connections to one server.
///
/// Idle ones lie in a list per worker, because a connection is woken by the event loop of the worker
/// that opened it; another worker takes one over only when its own list has none and the bound is reached.
pub struct Pool {
    limits: PoolLimits,
    permits: Semaphore,
    waiting: AtomicUsize,
    open: AtomicUsize,
    idle: Box<[Mutex<Idle>]>,
}

/// Boxed, because a connection goes in and out with every statement and is hundreds of bytes long.
#[allow(clippy::vec_box, reason = "moved more often than looked at")]
type Idle = Vec<Box<Conn>>;

/// What a pool holds now, for metrics and admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// Connections held by somebody.
    pub leased: usize,
    /// Connections that idle.
    pub idle: usize,
    /// Statements waiting for one.
    pub waiting: usize,
    /// The bound.
    pub limit: usize,
}

impl Pool {
    /// An empty pool for `workers` workers.
    pub fn new(limits: PoolLimits, workers: usize) -> Pool {
        Pool {
            permits: Semaphore::new(limits.connections),
            waiting: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            idle: (0..workers.max(1)).map(|_| Mutex::default()).collect(),
            limits,
        }
    }

    /// What the pool holds now.
    pub fn state(&self) -> PoolState {
        let leased = self.limits.connections.saturating_sub(self.permits.available_permits());
        PoolState {
            leased,
            idle: self.idle.iter().map(|list| lock(list).len()).sum(),
            waiting: self.waiting.load(Ordering::Relaxed),
            limit: self.limits.connections,
        }
    }

    /// Closes connections that idled or lived too long; to be called every now and then.
    pub fn prune(&self, now: Instant) {
        for list in &self.idle {
            let mut list = lock(list);
            let before = list.len();
            list.retain_mut(|conn| {
                let idle = *conn.idle_since.get_or_insert(now);
                now.duration_since(idle) < self.limits.idle && now.duration_since(conn.opened) < self.limits.lifetime
            });
            self.open.fetch_sub(before - list.len(), Ordering::Relaxed);
        }
    }

    /// Closes all idle connections.
    pub fn clear(&self) {
        for list in &self.idle {
            let closed = std::mem::take(&mut *lock(list));
            self.open.fetch_sub(closed.len(), Ordering::Relaxed);
        }
    }

    /// Takes permission to hold `count` connections, if it can be had at once.
    pub(super) fn try_take(&self, count: usize) -> bool {
        self.permits.try_acquire_many(count as u32).map(SemaphorePermit::forget).is_ok()
    }

    /// Waits for permission to hold `count` connections at once, all or none, so that statements which
    /// need several never hold some while they wait for the rest.
    pub(super) async fn wait(&self, count: usize, server: &str) -> Result<(), SqlError> {
        if self.try_take(count) {
            return Ok(());
        }
        if count > self.limits.connections {
            return Err(SqlError::new(
                Code::TooManyConnections,
                format!(
                    "The statement needs {count} connections to {server} at once, its pool has {}; \
                     raise pool.connections or narrow the statement by its sharding key",
                    self.limits.connections
                ),
            ));
        }
        let waiting = Waiting::enter(&self.waiting);
        if waiting.number > self.limits.queue {
            return Err(SqlError::new(
                Code::TooManyConnections,
                format!(
                    "All {} connections to {server} are busy and {} statements wait",
                    self.limits.connections, self.limits.queue
                ),
            ));
        }
        match tokio::time::timeout(self.limits.wait, self.permits.acquire_many(count as u32)).await {
            Ok(Ok(permits)) => {
                permits.forget();
                Ok(())
            }
            _ => Err(SqlError::new(
                Code::WaitTimeout,
                format!(
                    "No connection to {server} became free within {:?}: all {} are busy",
                    self.limits.wait, self.limits.connections
                ),
            )),
        }
    }

    /// An idle connection of the class, the settings' own if there is one.
    pub(super) fn pick(&self, worker: usize, class: Class, settings: u64) -> Option<Box<Conn>> {
        let mut list = lock(&self.idle[worker % self.idle.len()]);
        let mut fits = None;
        for (i, conn) in list.iter().enumerate().rev() {
            if conn.class == class {
                if conn.settings.hash() == settings {
                    return Some(list.swap_remove(i));
                }
                fits.get_or_insert(i);
            }
        }
        fits.map(|i| list.swap_remove(i))
    }

    /// Gives back permission to hold a connection.
    pub(super) fn release(&self) {
        self.permits.add_permits(1);
    }

    /// Takes a clean connection back.
    pub(super) fn put_back(&self, worker: usize, mut conn: Box<Conn>) {
        conn.idle_since = None;
        lock(&self.idle[worker % self.idle.len()]).push(conn);
    }

    /// Counts a connection that is being opened; the count is taken back when the guard is dropped, unless
    /// it was kept.
    pub(super) fn opening(&self) -> Opening<'_> {
        self.open.fetch_add(1, Ordering::Relaxed);
        Opening { open: &self.open, kept: false }
    }

    /// A connection was closed.
    pub(super) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// At the bound, something idle must go before a connection may be opened: one of the class on
    /// another worker is used as it is, any other is closed.
    pub(super) fn make_room(&self, class: Class) -> Option<Box<Conn>> {
        if self.open.load(Ordering::Relaxed) < self.limits.connections {
            return None;
        }
        let mut victim = None;
        for list in &self.idle {
            let mut list = lock(list);
            if let Some(i) = list.iter().position(|conn| conn.class == class) {
                return Some(list.swap_remove(i));
            }
            victim = victim.or_else(|| list.pop());
        }
        if victim.is_some() {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
        None
    }
}

/// Counts a waiting statement for as long as it waits, however the wait ends.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    number: usize,
}

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Waiting<'a> {
        Waiting { number: count.fetch_add(1, Ordering::Relaxed) + 1, count }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a connection as open from before it is opened; takes that back if opening fails or is dropped.
pub(super) struct Opening<'a> {
    open: &'a AtomicUsize,
    kept: bool,
}

impl Opening<'_> {
    /// It is open.
    pub(super) fn done(mut self) {
        self.kept = true;
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A poisoned list is still a list of whole connections: the panic was elsewhere.
fn lock(list: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
