//! Plain counters, one set per worker, summed when somebody reads them.
//! It knows no exposition format; `admin` turns what is counted here into Prometheus text.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How a statement was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One target, bytes passed on.
    Relay,
    /// Several targets, rows merged.
    Merge,
    /// Rows gathered on one server, where the statement ran.
    Gather,
    /// A write to several targets.
    Write,
    /// By the proxy itself: session settings, transaction control, SHOW SHARDLOOM.
    Local,
    /// Not answered: error 1235 or another of the proxy's own.
    Refused,
}

impl Kind {
    /// All kinds, in the order of the counters.
    pub const ALL: [Kind; 6] = [Kind::Relay, Kind::Merge, Kind::Gather, Kind::Write, Kind::Local, Kind::Refused];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Relay => "relay",
            Kind::Merge => "merge",
            Kind::Gather => "gather",
            Kind::Write => "write",
            Kind::Local => "local",
            Kind::Refused => "refused",
        }
    }
}

/// Upper bounds of the latency buckets, in microseconds; one more bucket holds what is slower.
pub const BUCKETS_US: [u64; 16] = [
    50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_500, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
    30_000_000,
];

/// What one worker counts. Only that worker writes, so the cache line stays its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    latency: [Latency; Kind::ALL.len()],
    /// Plans found in the cache.
    pub plan_hits: AtomicU64,
    /// Plans built.
    pub plan_misses: AtomicU64,
    /// Bytes of answers sent to clients, frame headers included.
    pub bytes_out: AtomicU64,
    /// Clients that are connected now.
    pub clients: AtomicU64,
    /// Clients that ever connected.
    pub accepted: AtomicU64,
    /// Logins refused.
    pub logins_failed: AtomicU64,
}

/// Statements of one kind by how long they took.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
}

/// The sum of a [`Latency`] over all workers.
#[derive(Clone, Debug, Default)]
pub struct LatencySum {
    /// Statements per bucket, not cumulated; the last holds what is slower than all bounds.
    pub buckets: [u64; BUCKETS_US.len() + 1],
    /// Microseconds in all.
    pub sum_us: u64,
}

/// What became of transactions that wrote to several groups.
#[derive(Debug, Default)]
pub struct Commits {
    /// Committed by their coordinator.
    pub committed: AtomicU64,
    /// Rolled back by their coordinator at COMMIT.
    pub aborted: AtomicU64,
    /// Those whose COMMIT was not answered; each is one of the others too, if it could be found out.
    pub unanswered: AtomicU64,
    /// Branches that recovery committed.
    pub recovered: AtomicU64,
    /// Branches that recovery rolled back.
    pub rolled_back: AtomicU64,
    /// Branches that should be committed and are gone. Each is an alarm.
    pub lost: AtomicU64,
    /// Transactions of any proxy with branches that stay prepared, as recovery saw last.
    pub in_doubt: AtomicU64,
    /// Transactions rolled back because they and others waited for each other on different groups.
    pub deadlocks: AtomicU64,
}

/// All counters of the process.
#[derive(Debug)]
pub struct Metrics {
    /// What became of transactions over several groups.
    pub commits: Commits,
    workers: Vec<Counters>,
    errors: Mutex<BTreeMap<u16, u64>>,
}

impl Metrics {
    /// Counters for `workers` workers.
    pub fn new(workers: usize) -> Metrics {
        Metrics {
            commits: Commits::default(),
            workers: (0..workers.max(1)).map(|_| Counters::default()).collect(),
            errors: Mutex::default(),
        }
    }

    /// The counters of one worker.
    pub fn worker(&self, worker: usize) -> &Counters {
        &self.workers[worker % self.workers.len()]
    }

    /// One more error with this number was sent to a client.
    pub fn error(&self, errno: u16) {
        if let Ok(mut errors) = self.errors.lock() {
            *errors.entry(errno).or_default() += 1;
        }
    }

    /// Errors sent to clients, by number.
    pub fn errors(&self) -> BTreeMap<u16, u64> {
        self.errors.lock().map(|errors| errors.clone()).unwrap_or_default()
    }

    /// One counter summed over the workers.
    pub fn sum(&self, pick: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        self.workers.iter().map(|counters| pick(counters).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    /// Statements answered so far, of all kinds.
    pub fn statements(&self) -> u64 {
        Kind::ALL.iter().map(|kind| self.latency(*kind).buckets.iter().sum::<u64>()).sum()
    }

    /// Statements of one kind by latency, summed over the workers.
    pub fn latency(&self, kind: Kind) -> LatencySum {
        let mut sum = LatencySum::default();
        for counters in &self.workers {
            let latency = &counters.latency[kind as usize];
            for (total, bucket) in sum.buckets.iter_mut().zip(&latency.buckets) {
                *total += bucket.load(Ordering::Relaxed);
            }
            sum.sum_us += latency.sum_us.load(Ordering::Relaxed);
        }
        sum
    }
}

impl Counters {
    /// Counts a statement that was answered.
    pub fn answered(&self, kind: Kind, took: Duration) {
        let us = took.as_micros() as u64;
        let bucket = BUCKETS_US.partition_point(|bound| *bound < us);
        let latency = &self.latency[kind as usize];
        latency.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        latency.sum_us.fetch_add(us, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_falls_into_the_bucket_that_bounds_it() {
        let metrics = Metrics::new(2);
        metrics.worker(0).answered(Kind::Relay, Duration::from_micros(50));
        metrics.worker(1).answered(Kind::Relay, Duration::from_micros(51));
        metrics.worker(1).answered(Kind::Relay, Duration::from_secs(60));
        let sum = metrics.latency(Kind::Relay);
        assert_eq!((sum.buckets[0], sum.buckets[1], sum.buckets[BUCKETS_US.len()]), (1, 1, 1));
        assert_eq!(sum.sum_us, 60_000_101);
        assert_eq!(metrics.latency(Kind::Merge).sum_us, 0);
    }
}
