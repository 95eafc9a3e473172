//! Transactions over several groups while a group's primary dies for good and its replica takes over: with what was
//! acknowledged on the replica, all groups agree; without, the branch that is lost raises the alarm and is never called
//! committed.

use std::time::Duration;

use shardloom::demo::cluster::{Group, Layout};
use shardloom::demo::install::{Installation, account};
use shardloom::demo::server::Server;
use shardloom::sql::Flavour;

use crate::servers::atomic::{RULES, bank_on, connect, leftovers, metrics};
use crate::servers::proxy::{Client, TestProxy};
use crate::servers::taps::{Fault, Taps, Victim};
use crate::servers::testbed::{PATIENCE, TestCluster, installations, wait_until};

/// Three groups with a replica each, which has what the primary acknowledges as long as it follows.
pub(crate) fn layout(installation: &Installation) -> Layout {
    let options: &[&str] = match installation.flavour {
        Flavour::MySql => &["--rpl-semi-sync-source-timeout=120000", "--rpl-semi-sync-source-wait-no-replica=OFF"],
        Flavour::MariaDb => &[
            "--rpl-semi-sync-master-timeout=120000",
            "--rpl-semi-sync-master-wait-no-slave=OFF",
            "--rpl-semi-sync-master-wait-point=AFTER_SYNC",
        ],
    };
    let options = options.iter().map(ToString::to_string).collect();
    Layout { semi_sync: true, options, ..Layout::new(3, 1) }
}

/// Whether the primary acknowledges only what the replica has.
pub(crate) fn follows(group: &Group) -> bool {
    let status = "SHOW GLOBAL STATUS WHERE Variable_name RLIKE '^rpl_semi_sync_(source|master)_(status|clients)$'";
    let status = group.primary.sql(status).unwrap();
    let has = |what: &str, value: &str| {
        status.lines().any(|line| line.split_once('\t').is_some_and(|(name, is)| name.ends_with(what) && is == value))
    };
    has("_status", "ON") && has("_clients", "1")
}

/// The primary dies, and the replica takes its place with all that it has received.
pub(crate) fn fail_over(group: &mut Group) {
    group.primary.kill();
    let replica = &mut group.replicas[0];
    let mut client = Client::connect(&replica.addr(), account::USER, account::PASSWORD, "");
    let mysql = replica.installation().flavour == Flavour::MySql;
    let (status, column) =
        if mysql { ("SHOW REPLICA STATUS", "Retrieved_Gtid_Set") } else { ("SHOW SLAVE STATUS", "Gtid_IO_Pos") };
    let status = client.run(status);
    let received = status.text(0, status.column(column).unwrap()).unwrap().replace('\n', "");
    let wait = if mysql { "WAIT_FOR_EXECUTED_GTID_SET" } else { "MASTER_GTID_WAIT" };
    assert_eq!(replica.sql(&format!("SELECT {wait}('{received}', 60)")).unwrap(), "0");
    replica.lead().unwrap();
    std::mem::swap(&mut group.primary, &mut group.replicas[0]);
}

/// Adds one to an account on each group, while the primary of one dies at a statement; what the client is told.
fn add(cluster: &mut TestCluster, taps: &Taps, proxy: &TestProxy, fault: Fault) -> String {
    let mut client = connect(proxy, "atomic");
    taps.arm(fault);
    let adding = std::thread::spawn(move || client.show("UPDATE acct SET v = v + 1 WHERE id IN (0, 1, 2)"));
    let group = taps.struck.recv_timeout(PATIENCE).expect("the statement comes");
    fail_over(&mut cluster.cluster.groups[group]);
    taps.go_on.send(()).unwrap();
    adding.join().unwrap()
}

fn proxy(taps: &Taps, cluster: &TestCluster) -> TestProxy {
    taps.proxy(&cluster.cluster, RULES, |config| {
        config.timeouts.in_doubt = Duration::from_secs(1);
        config.timeouts.drain = Duration::ZERO;
    })
}

fn counters(cluster: &TestCluster) -> Vec<String> {
    let read = |(g, group): (usize, &Group)| {
        group.primary.sql(&format!("SELECT v FROM bank.acct_{g} WHERE id = {g}")).unwrap()
    };
    cluster.cluster.groups.iter().enumerate().map(read).collect()
}

#[test]
fn a_promoted_replica_ends_what_the_primary_began() {
    let fault = |group, at, after| Fault { group, at, after, victim: Victim::Server };
    for installation in installations() {
        let mut cluster = bank_on(&installation, &layout(&installation));
        let taps = Taps::before(&cluster.cluster);
        let proxy = proxy(&taps, &cluster);
        assert_eq!(connect(&proxy, "atomic").show("UPDATE acct SET v = v + 1 WHERE id IN (0, 1, 2)"), "ok 3");
        let mut value = 1;
        // A branch between the decision and its own commit; one before it is prepared; the commit point behind COMMIT.
        for fault in [fault(1, "XA COMMIT", false), fault(2, "XA PREPARE", false), fault(0, "COMMIT", true)] {
            // The proxy has to see who leads since the last one died.
            let mut client = connect(&proxy, "atomic");
            let all = "UPDATE acct SET v = v WHERE id IN (0, 1, 2)";
            wait_until("all groups take writes", || client.show(all).starts_with("ok"));
            let told = add(&mut cluster, &taps, &proxy, fault);
            wait_until("everything is ended", || leftovers(&cluster.cluster).is_empty());
            let now = counters(&cluster);
            let committed = now == vec![(value + 1).to_string(); 3];
            assert!(committed || now == vec![value.to_string(); 3], "{fault:?}: {told}: torn: {now:?}");
            match fault.at {
                "XA PREPARE" => assert!(!committed && told.starts_with("error"), "{fault:?}: {told}"),
                _ => assert!(committed, "{fault:?}: {told}: {now:?}"),
            }
            assert!(committed || !told.starts_with("ok"), "{fault:?}: a commit is lost");
            value += i32::from(committed);
        }
        assert!(metrics(&proxy).contains("shardloom_branches_lost_total 0"));
    }
}

/// Without semi-synchronous replication a primary may acknowledge what dies with it.
#[test]
fn a_branch_that_a_failover_lost_raises_the_alarm() {
    for installation in installations() {
        let mut cluster = bank_on(&installation, &Layout::new(3, 1));
        let taps = Taps::before(&cluster.cluster);
        let proxy = proxy(&taps, &cluster);
        assert_eq!(connect(&proxy, "atomic").show("UPDATE acct SET v = v + 1 WHERE id IN (0, 1, 2)"), "ok 3");
        wait_until("everything is ended", || leftovers(&cluster.cluster).is_empty());
        cluster.cluster.groups[1].catch_up(PATIENCE).unwrap();
        let stop = if installation.flavour == Flavour::MySql { "STOP REPLICA" } else { "STOP SLAVE" };
        cluster.cluster.groups[1].replicas[0].sql(&format!("{stop} IO_THREAD")).unwrap();

        let fault = Fault { group: 1, at: "XA COMMIT", after: false, victim: Victim::Server };
        assert_eq!(add(&mut cluster, &taps, &proxy, fault), "ok 3");
        wait_until("there is an alarm", || metrics(&proxy).contains("shardloom_branches_lost_total 1"));
        assert_eq!(counters(&cluster), ["2", "1", "2"]);
        let shown = connect(&proxy, "atomic").show("SHOW SHARDLOOM TRANSACTIONS");
        assert!(shown.contains("|commit|"), "{shown}");
    }
}

/// A server writes to its binary log first and does what it says only when the replica has that, too: one that dies in
/// between knows less of a branch than the replica that takes over.
#[test]
fn a_replica_may_know_more_than_the_primary_that_died() {
    for installation in installations() {
        let mut cluster = bank_on(&installation, &layout(&installation));
        let taps = Taps::before(&cluster.cluster);
        // On a busy machine a second is not enough: recovery would take the coordinator for dead before the statement comes.
        let proxy = taps.proxy(&cluster.cluster, RULES, |config| {
            config.timeouts.in_doubt = Duration::from_secs(20);
            config.timeouts.drain = Duration::ZERO;
        });
        let mut value = 0;
        for (group, at) in [(1, "XA PREPARE"), (2, "XA COMMIT"), (0, "COMMIT")] {
            let mut client = connect(&proxy, "atomic");
            let all = "UPDATE acct SET v = v + 1 WHERE id IN (0, 1, 2)";
            wait_until("all groups take writes", || client.show(all).starts_with("ok"));
            value += 1;
            wait_until("everything is ended", || leftovers(&cluster.cluster).is_empty());

            let servers = &mut cluster.cluster.groups[group];
            wait_until("the replica follows", || follows(servers));
            taps.arm(Fault { group, at, after: false, victim: Victim::Nobody });
            let adding = std::thread::spawn(move || client.show(all));
            taps.struck.recv_timeout(PATIENCE).expect("the statement comes");
            servers.replicas[0].freeze();
            taps.go_on.send(()).unwrap();
            wait_until("the primary waits for the replica", || {
                let running = servers.primary.sql("SHOW PROCESSLIST").unwrap();
                let waits = running.lines().any(|line| line.contains("semi-sync ACK") && line.contains(at));
                // Recovery may have been quicker with the XA COMMIT.
                waits || adding.is_finished()
            });
            servers.primary.kill();
            servers.replicas[0].thaw();
            wait_until("the replica has read all that was sent", || lost_its_primary(&servers.replicas[0]));
            fail_over(servers);

            let told = adding.join().unwrap();
            wait_until("everything is ended", || leftovers(&cluster.cluster).is_empty());
            let now = counters(&cluster);
            let committed = now == vec![(value + 1).to_string(); 3];
            assert!(committed || now == vec![value.to_string(); 3], "{at}: {told}: torn: {now:?}");
            match at {
                "XA PREPARE" => assert!(!committed && told.starts_with("error"), "{told}"),
                "XA COMMIT" => assert!(committed && told.starts_with("ok"), "{told}"),
                // What nobody was told of may be lost, if it had not been sent.
                _ => assert!(committed || !told.starts_with("ok"), "{told}"),
            }
            value += i32::from(committed);
        }
        assert!(metrics(&proxy).contains("shardloom_branches_lost_total 0"));
    }
}

fn lost_its_primary(replica: &Server) -> bool {
    let (status, column) = match replica.installation().flavour {
        Flavour::MySql => ("SHOW REPLICA STATUS", "Replica_IO_Running"),
        Flavour::MariaDb => ("SHOW SLAVE STATUS", "Slave_IO_Running"),
    };
    let status = Client::connect(&replica.addr(), account::USER, account::PASSWORD, "").run(status);
    status.text(0, status.column(column).unwrap()).as_deref() == Some("Connecting")
}
