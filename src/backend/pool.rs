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
/// Permits that are not in use lie there too, so that workers touch what they share only when one runs out.
pub struct Pool {
    limits: PoolLimits,
    permits: Semaphore,
    waiting: AtomicUsize,
    open: AtomicUsize,
    own: Box<[Own]>,
}

/// What lies ready for one worker, on cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Own(Mutex<Ready>);

#[derive(Default)]
struct Ready {
    idle: Idle,
    /// Permits that the worker gave back while nobody waited.
    permits: usize,
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
            own: (0..workers.max(1)).map(|_| Own::default()).collect(),
            limits,
        }
    }

    /// What the pool holds now.
    pub fn state(&self) -> PoolState {
        let (mut idle, mut free) = (0, self.permits.available_permits());
        for own in &self.own {
            let ready = own.lock();
            idle += ready.idle.len();
            free += ready.permits;
        }
        PoolState {
            leased: self.limits.connections.saturating_sub(free),
            idle,
            waiting: self.waiting.load(Ordering::Relaxed),
            limit: self.limits.connections,
        }
    }

    /// Closes connections that idled or lived too long; to be called every now and then.
    pub fn prune(&self, now: Instant) {
        for own in &self.own {
            let list = &mut own.lock().idle;
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
        for own in &self.own {
            let closed = std::mem::take(&mut own.lock().idle);
            self.open.fetch_sub(closed.len(), Ordering::Relaxed);
        }
    }

    /// Takes permission for a worker to hold `count` connections, if it can be had at once.
    pub(super) fn try_take(&self, worker: usize, count: usize) -> bool {
        {
            let mut ready = self.own(worker).lock();
            if let Some(left) = ready.permits.checked_sub(count) {
                ready.permits = left;
                return true;
            }
        }
        let shared = || self.permits.try_acquire_many(count as u32).map(SemaphorePermit::forget).is_ok();
        shared() || self.share() && shared()
    }

    /// Lets all workers have what lies ready for one; whether there was anything.
    fn share(&self) -> bool {
        let permits = self.own.iter().map(|own| std::mem::take(&mut own.lock().permits)).sum();
        self.permits.add_permits(permits);
        permits > 0
    }

    fn own(&self, worker: usize) -> &Own {
        &self.own[worker % self.own.len()]
    }

    /// Waits for permission to hold `count` connections at once, all or none, so that statements which
    /// need several never hold some while they wait for the rest.
    pub(super) async fn wait(&self, worker: usize, count: usize, server: &str) -> Result<(), SqlError> {
        if self.try_take(worker, count) {
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
        // From here on nobody keeps a permit for themselves; this takes those that were kept before.
        self.share();
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
        let list = &mut self.own(worker).lock().idle;
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

    /// Gives back a worker's permission to hold a connection.
    pub(super) fn release(&self, worker: usize) {
        let mut ready = self.own(worker).lock();
        // Whoever begins to wait counts as waiting before they look here.
        if self.waiting.load(Ordering::Relaxed) == 0 {
            ready.permits += 1;
        } else {
            drop(ready);
            self.permits.add_permits(1);
        }
    }

    /// Takes a clean connection back.
    pub(super) fn put_back(&self, worker: usize, mut conn: Box<Conn>) {
        conn.idle_since = None;
        self.own(worker).lock().idle.push(conn);
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
        for own in &self.own {
            let list = &mut own.lock().idle;
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

impl Own {
    /// What was poisoned is still a list of whole connections: the panic was elsewhere.
    fn lock(&self) -> MutexGuard<'_, Ready> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn pool(connections: usize, wait: Duration) -> Arc<Pool> {
        let hour = Duration::from_secs(3600);
        Arc::new(Pool::new(PoolLimits { connections, queue: 10, wait, idle: hour, lifetime: hour }, 3))
    }

    #[tokio::test]
    async fn what_lies_ready_for_one_worker_is_there_for_all() {
        let pool = pool(4, Duration::from_millis(20));
        assert!(pool.try_take(0, 2) && pool.try_take(1, 2));
        assert!(!pool.try_take(2, 1));
        (0..2).for_each(|worker| pool.release(worker));
        assert_eq!(pool.state().leased, 2);
        assert!(pool.try_take(2, 2), "one from each of the others");
        let error = pool.wait(0, 1, "s").await.unwrap_err();
        assert!(error.message.contains("all 4 are busy") && pool.state().waiting == 0, "{error}");
        (0..4).for_each(|_| pool.release(2));
        assert_eq!(pool.state(), PoolState { leased: 0, idle: 0, waiting: 0, limit: 4 });
    }

    /// Workers take and give back, one at a time and several at once; were a permit kept from somebody who waits, or
    /// given twice, this would not end or the count be exceeded.
    #[test]
    fn nobody_waits_for_a_permit_that_nobody_holds() {
        const ROUNDS: usize = 3000;
        let (pool, held) = (pool(4, Duration::from_secs(60)), AtomicUsize::new(0));
        let session = async |worker: usize, number: usize| {
            for round in 0..ROUNDS {
                let count = 1 + (number + round) % 4;
                pool.wait(worker, count, "s").await.unwrap();
                assert!(held.fetch_add(count, Ordering::SeqCst) + count <= 4);
                if round % 3 == 0 {
                    tokio::task::yield_now().await;
                }
                held.fetch_sub(count, Ordering::SeqCst);
                (0..count).for_each(|_| pool.release(worker));
            }
        };
        let work = async |worker: usize| tokio::join!(session(worker, 0), session(worker, 1), session(worker, 2));
        std::thread::scope(|scope| {
            for worker in 0..3 {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                let work = &work;
                scope.spawn(move || runtime.block_on(work(worker)));
            }
        });
        assert_eq!(pool.state().leased, 0);
    }
}
