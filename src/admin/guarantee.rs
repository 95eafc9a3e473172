//! What transactions over several groups can rely on, by what a group's primary is and how it is set up. It reads only.

use std::collections::BTreeMap;
use std::fmt;

use crate::backend::cluster::Group;
use crate::backend::conn::{BackendError, Class};
use crate::error::SqlError;
use crate::txn::deadlock;
use crate::txn::ledger::MYSQL_XA_IS_SAFE;

/// What may die without a transaction being committed on some groups only. The groups' least is that of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// There are no such transactions.
    Refused,
    /// Proxies and servers, if they are started again.
    Processes,
    /// Machines too, if they come back with their disks.
    Machines,
    /// Machines that never come back, too, if the replica that takes over has not followed a server through a crash.
    Promotion,
    /// Machines that never come back, too: a replica takes over.
    Failover,
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Guarantee::Refused => "refused, as the warnings tell",
            Guarantee::Processes => "atomic whatever process dies, but not if a machine does",
            Guarantee::Machines => "atomic whatever dies and comes back, but not if a replica is promoted",
            Guarantee::Promotion => {
                "atomic whatever dies, and if a replica is promoted that has followed no crashed server"
            }
            Guarantee::Failover => "atomic whatever dies, and if a replica is promoted",
        })
    }
}

/// What matters of a primary.
struct Facts {
    mariadb: bool,
    number: u32,
    version: String,
    /// The group has replicas.
    replicas: bool,
    /// The account may see prepared transactions.
    recovers: bool,
    /// Why the account does not see lock waits.
    blind: Option<String>,
    variables: BTreeMap<String, String>,
}

/// A replica that does not answer for so long, in milliseconds, is a matter for people.
const HOUR_MS: u64 = 3_600_000;

/// The guarantee of one group, and what keeps it from more.
///
/// # Errors
/// That of a primary that cannot be asked.
pub async fn of(group: &Group) -> Result<(Guarantee, Vec<String>), SqlError> {
    let server = group.primary().await?;
    let mut conn = server.connect(Class { deprecate_eof: true, found_rows: false }).await?;
    let told = |error: BackendError| error.to_client(&server.name);
    let recovers = match conn.query("XA RECOVER").await {
        Err(BackendError::Server(error)) if error.errno == 1401 => false,
        answer => answer.map(|_| true).map_err(told)?,
    };
    let blind = match conn.query(deadlock::waits(conn.info.mariadb)).await {
        Err(BackendError::Server(error)) => Some(error.to_string()),
        answer => answer.map(|_| None).map_err(told)?,
    };
    let found = conn.query(
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('performance_schema','sync_binlog','log_bin',\
         'innodb_flush_log_at_trx_commit') OR Variable_name LIKE 'rpl_semi_sync%'",
    );
    let found = found.await.map_err(told)?;
    let variable = |row| Some((found.text(row, 0)?, found.text(row, 1)?));
    let facts = Facts {
        mariadb: conn.info.mariadb,
        number: conn.info.number,
        version: conn.info.version.clone(),
        replicas: group.members().len() > 1,
        recovers,
        blind,
        variables: (0..found.rows.len()).filter_map(variable).collect(),
    };
    let (guarantee, warnings) = facts.judge();
    Ok((guarantee, warnings.into_iter().map(|warning| format!("{}: {warning}", server.name)).collect()))
}

impl Facts {
    fn judge(&self) -> (Guarantee, Vec<String>) {
        let (mut guarantee, mut warnings) = (Guarantee::Failover, Vec::new());
        let mut limit = |to: Guarantee, why: String| {
            guarantee = guarantee.min(to);
            warnings.push(why);
        };
        let refused = "transactions over several groups are refused";
        if !self.mariadb && self.number < MYSQL_XA_IS_SAFE {
            limit(Guarantee::Refused, format!("MySQL {} is older than 8.0.30: {refused}", self.version));
        }
        if !self.recovers {
            limit(Guarantee::Refused, format!("the account has not the right XA_RECOVER_ADMIN: {refused}"));
        }
        let lost = "a commit over several groups can be lost on this one when";
        if self.value("innodb_flush_log_at_trx_commit") != "1" {
            limit(Guarantee::Processes, format!("innodb_flush_log_at_trx_commit is not 1: {lost} the machine dies"));
        }
        if self.value("log_bin") == "ON" && self.value("sync_binlog") != "1" {
            limit(Guarantee::Processes, format!("sync_binlog is not 1: {lost} the machine dies"));
        }
        for why in self.replication() {
            limit(Guarantee::Machines, format!("{why}: {lost} a replica is promoted"));
        }
        if self.mariadb && self.replicas {
            let crash = "replicas of MariaDB that followed a server through its crash may stop or hang (MDEV-21469)";
            let anew = "promote one instead of starting that server again, or make them anew";
            limit(Guarantee::Promotion, format!("{crash}: {anew}"));
        }
        let until = "deadlocks over several groups are not found and end by innodb_lock_wait_timeout";
        if let Some(why) = &self.blind {
            let rights = if self.mariadb { "PROCESS" } else { "PROCESS and SELECT on performance_schema.*" };
            warnings.push(format!("the account may not see lock waits ({rights}): {until} ({why})"));
        }
        if !self.mariadb && self.value("performance_schema") != "ON" {
            warnings.push(format!("performance_schema is OFF: {until}"));
        }
        // Whoever promotes a server that no rule names does so unseen.
        let most = if self.replicas { Guarantee::Failover } else { Guarantee::Machines };
        (guarantee.min(most), warnings)
    }

    /// What lets a replica be promoted that has not all that was acknowledged.
    fn replication(&self) -> Vec<String> {
        let mut why = Vec::new();
        if !self.replicas {
            return why;
        }
        if self.semi_sync("enabled") != "ON" {
            return vec!["no semi-synchronous replication".to_owned()];
        }
        if self.semi_sync("wait_point") != "AFTER_SYNC" {
            why.push("semi-synchronous replication does not wait AFTER_SYNC".to_owned());
        }
        let timeout = self.semi_sync("timeout");
        if timeout.parse::<u64>().is_ok_and(|timeout| timeout < HOUR_MS) {
            why.push(format!("semi-synchronous replication falls back to asynchronous after {timeout} ms"));
        }
        if ["wait_no_replica", "wait_no_slave"].iter().any(|what| self.semi_sync(what) == "OFF") {
            why.push("semi-synchronous replication goes on alone while no replica is connected".to_owned());
        }
        why
    }

    /// A setting of semi-synchronous replication, by either of its names.
    fn semi_sync(&self, what: &str) -> &str {
        let names = ["source", "master"].map(|role| format!("rpl_semi_sync_{role}_{what}"));
        names.iter().map(|name| self.value(name)).find(|value| !value.is_empty()).unwrap_or_default()
    }

    fn value(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "innodb_flush_log_at_trx_commit=1 log_bin=ON sync_binlog=1 performance_schema=ON";
    const SYNC: &str = "rpl_semi_sync_source_enabled=ON rpl_semi_sync_source_wait_point=AFTER_SYNC \
                        rpl_semi_sync_source_timeout=4294967295";

    fn facts(replicas: bool, variables: &[&str]) -> Facts {
        let pairs = variables.iter().flat_map(|some| some.split_whitespace()).filter_map(|pair| pair.split_once('='));
        Facts {
            mariadb: false,
            number: 90_704,
            version: "9.7.4".to_owned(),
            replicas,
            recovers: true,
            blind: None,
            variables: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }

    #[test]
    fn a_guarantee_is_what_the_weakest_setting_leaves_of_it() {
        let sync = |replicas, more: &[&str]| facts(replicas, &[&[GOOD, SYNC], more].concat());
        for (facts, expected, why) in [
            (sync(true, &[]), Guarantee::Failover, &[][..]),
            (facts(false, &[GOOD]), Guarantee::Machines, &[]),
            (facts(true, &[GOOD]), Guarantee::Machines, &["no semi-synchronous replication"]),
            (
                sync(true, &["rpl_semi_sync_source_wait_point=AFTER_COMMIT rpl_semi_sync_source_timeout=10000"]),
                Guarantee::Machines,
                &["does not wait AFTER_SYNC", "falls back to asynchronous after 10000 ms"],
            ),
            (
                sync(true, &["rpl_semi_sync_source_wait_no_replica=OFF"]),
                Guarantee::Machines,
                &["goes on alone while no replica is connected"],
            ),
            (sync(true, &["sync_binlog=0"]), Guarantee::Processes, &["sync_binlog is not 1"]),
            (sync(true, &["log_bin=OFF sync_binlog=0"]), Guarantee::Failover, &[]),
            (
                sync(true, &["innodb_flush_log_at_trx_commit=2 performance_schema=OFF"]),
                Guarantee::Processes,
                &["innodb_flush_log_at_trx_commit is not 1", "performance_schema is OFF"],
            ),
            (
                Facts { mariadb: true, number: 101_119, ..sync(true, &["performance_schema=OFF"]) },
                Guarantee::Promotion,
                &["promote one instead of starting that server again"],
            ),
            (
                Facts { mariadb: true, number: 101_119, ..facts(true, &[GOOD]) },
                Guarantee::Machines,
                &["no semi-synchronous replication", "promote one instead"],
            ),
            (Facts { mariadb: true, number: 101_119, ..facts(false, &[GOOD]) }, Guarantee::Machines, &[]),
            (Facts { number: 80_029, ..sync(true, &[]) }, Guarantee::Refused, &["is older than 8.0.30"]),
            (
                Facts { recovers: false, blind: Some("1142".to_owned()), ..sync(true, &[]) },
                Guarantee::Refused,
                &["XA_RECOVER_ADMIN", "may not see lock waits (PROCESS and SELECT on performance_schema.*)"],
            ),
        ] {
            let (guarantee, warnings) = facts.judge();
            assert_eq!((guarantee, warnings.len()), (expected, why.len()), "{warnings:?}");
            assert!(warnings.iter().zip(why).all(|(warning, why)| warning.contains(why)), "{warnings:?} {why:?}");
        }
    }
}
