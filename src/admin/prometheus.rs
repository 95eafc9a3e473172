//! Turns the counters of the process and the state of its pools into Prometheus text.
//! It counts nothing itself.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::backend::cluster::Group;
use crate::backend::server::{HealthState, Lag};
use crate::metrics::{BUCKETS_US, Kind, Metrics};

/// Everything there is to read, as Prometheus text (version 1.0.0 of OpenMetrics); `open`: how many transactions are.
///
/// # Errors
/// Only if formatting into a string fails.
pub fn render(metrics: &Arc<Metrics>, open: usize, groups: Vec<Arc<Group>>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("shardloom");
    registry.register_collector(Box::new(Process { metrics: metrics.clone(), open }));
    registry.register_collector(Box::new(Pools(groups)));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

#[derive(Debug)]
struct Process {
    metrics: Arc<Metrics>,
    /// Open transactions.
    open: usize,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let metrics = &self.metrics;
        let mut family = encoder.encode_descriptor(
            "statement_seconds",
            "Statements by how they were answered, and how long that took",
            None,
            MetricType::Histogram,
        )?;
        for kind in Kind::ALL {
            let sum = metrics.latency(kind);
            let bounds = BUCKETS_US.iter().map(|us| *us as f64 / 1e6).chain([f64::MAX]);
            let buckets: Vec<(f64, u64)> = bounds.zip(sum.buckets).collect();
            let labels = [("plan", kind.name())];
            family.encode_family(&labels)?.encode_histogram::<[(&str, &str); 0]>(
                sum.sum_us as f64 / 1e6,
                sum.buckets.iter().sum(),
                &buckets,
                None,
            )?;
        }
        let mut family =
            encoder.encode_descriptor("errors", "Errors sent to clients, by number", None, MetricType::Counter)?;
        for (errno, count) in metrics.errors() {
            let labels = [("errno", errno.to_string())];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        let commits = &metrics.commits;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = [
            ("plan_cache_hits", "Plans found in the cache", metrics.sum(|c| &c.plan_hits)),
            ("plan_cache_misses", "Plans built", metrics.sum(|c| &c.plan_misses)),
            ("sent_bytes", "Bytes of answers sent to clients", metrics.sum(|c| &c.bytes_out)),
            ("connections", "Client connections accepted", metrics.sum(|c| &c.accepted)),
            ("logins_failed", "Logins refused", metrics.sum(|c| &c.logins_failed)),
            ("commits", "Transactions over several groups that were committed", read(&commits.committed)),
            ("commits_aborted", "The same, rolled back at COMMIT", read(&commits.aborted)),
            ("commits_unanswered", "The same, whose COMMIT was not answered", read(&commits.unanswered)),
            ("branches_recovered", "Branches that recovery committed", read(&commits.recovered)),
            ("branches_rolled_back", "Branches that recovery rolled back", read(&commits.rolled_back)),
            (
                "deadlocks",
                "Transactions rolled back as victims of deadlocks over several groups",
                read(&commits.deadlocks),
            ),
            ("branches_lost", "Branches of committed transactions that are gone: an alarm", read(&commits.lost)),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        let gauges = [
            ("clients", "Client connections now", metrics.sum(|c| &c.clients)),
            ("transactions_open", "Open transactions of these clients", self.open as u64),
            (
                "transactions_in_doubt",
                "Transactions, of any proxy, with branches that stay prepared",
                read(&commits.in_doubt),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value as i64);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

struct Pools(Vec<Arc<Group>>);

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|group| &group.name)).finish()
    }
}

impl Collector for Pools {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family = encoder.encode_descriptor(
            "pool_connections",
            "Connections to a server, by what they do; `limit` is the bound",
            None,
            MetricType::Gauge,
        )?;
        for (group, member) in self.members() {
            let state = member.server.pool.state();
            for (what, value) in
                [("leased", state.leased), ("idle", state.idle), ("waiting", state.waiting), ("limit", state.limit)]
            {
                let labels = [("group", group), ("server", &member.server.spec.address), ("state", what)];
                ConstGauge::new(value as i64).encode(family.encode_family(&labels)?)?;
            }
        }
        let mut family =
            encoder.encode_descriptor("server_up", "Whether the last probe was answered", None, MetricType::Gauge)?;
        for (group, member) in self.members() {
            let up = member.server.health.load().state == HealthState::Up;
            let primary = self.0.iter().any(|g| g.current_primary().is_some_and(|p| Arc::ptr_eq(p, &member.server)));
            let role = if primary { "primary" } else { "replica" };
            let labels = [("group", group), ("server", &member.server.spec.address), ("role", role)];
            ConstGauge::new(i64::from(up)).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "replica_lag_seconds",
            "How far a replica is behind; -1 if replication stands still",
            None,
            MetricType::Gauge,
        )?;
        for (group, member) in self.members() {
            let lag = match member.server.health.load().replica {
                Some(Lag::Behind(lag)) => lag.as_secs_f64(),
                Some(Lag::Stopped) => -1.0,
                None => continue,
            };
            let labels = [("group", group), ("server", &member.server.spec.address)];
            ConstGauge::new(lag).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Pools {
    fn members(&self) -> impl Iterator<Item = (&str, &crate::backend::cluster::Member)> {
        self.0.iter().flat_map(|group| group.members().iter().map(move |member| (group.name.as_str(), member)))
    }
}
