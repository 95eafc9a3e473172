//! Transactions that wait for each other on different groups: no server sees it, the proxy does.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use shardloom::demo::install::{Installation, account};
use shardloom::demo::server::SHOWING_WAITS;
use shardloom::sql::Flavour;

use crate::servers::atomic::{RULES, bank_with, connect, wait_until_clean};
use crate::servers::proxy::{Client, TestProxy};
use crate::servers::testbed::{TestCluster, installations, wait_until};

const DEADLOCK: &str = "error 1213: Deadlock found when trying to get lock; try restarting transaction";

/// Servers that show their lock waits, and wait for long; else MySQL's performance schema is off to save memory.
fn bank(installation: &Installation) -> TestCluster {
    let shown = ["--performance-schema=ON", "--performance-schema-instrument=%=OFF", "--innodb-lock-wait-timeout=100"];
    bank_with(installation, &shown)
}

/// Has a client run a statement in a thread of its own; gives the client back, and what it was told.
fn run(mut client: Client, sql: String) -> JoinHandle<(Client, String)> {
    thread::spawn(move || {
        let told = client.show(&sql);
        (client, told)
    })
}

/// Two and three that wait in a circle: the youngest is rolled back, on all groups, and the others go on.
#[test]
fn the_youngest_in_a_circle_is_rolled_back() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        for count in [2, 3_usize] {
            let clients: Vec<Client> = (0..count)
                .map(|n| {
                    let mut client = connect(&proxy, "atomic");
                    client.run("BEGIN");
                    // One's own account on the group of its number, and one that nobody wants on the next.
                    client.run(&format!("UPDATE acct SET v = v + 1 WHERE id = {n}"));
                    client.run(&format!("UPDATE acct SET v = v + 1 WHERE id = {}", (n + 1) % count + 3 + 3 * n));
                    client
                })
                .collect();
            let threads: Vec<_> = (clients.into_iter().enumerate())
                .map(|(n, mut client)| {
                    thread::spawn(move || {
                        let sql = format!("UPDATE acct SET v = v + 1 WHERE id = {}", (n + 1) % count);
                        // The victim's transaction is over, and a COMMIT commits nothing.
                        [client.show(&sql), client.show("COMMIT")]
                    })
                })
                .collect();
            let told: Vec<[String; 2]> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            for (n, told) in told.iter().enumerate() {
                assert_eq!(*told, [if n + 1 == count { DEADLOCK } else { "ok 1" }, "ok 0"], "{n} of {count}");
            }
            let mut other = connect(&proxy, "atomic");
            assert_eq!(other.show("SELECT SUM(v) FROM acct"), (3 * (count - 1)).to_string());
            other.run("UPDATE acct SET v = 0");
        }
        wait_until_clean(&cluster.cluster);
    }
}

/// Who merely waits, however long the chain, is left alone.
#[test]
fn a_chain_is_no_circle() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut clients: Vec<Client> = (0..3)
            .map(|n| {
                let mut client = connect(&proxy, "atomic");
                client.run("BEGIN");
                client.run(&format!("UPDATE acct SET v = v + 1 WHERE id = {n}"));
                client.run(&format!("UPDATE acct SET v = v + 1 WHERE id = {}", (n + 1) % 3 + 3 + 3 * n));
                client
            })
            .collect();
        // The first waits for the second, which waits for the third, which is idle for long enough for many looks.
        let mut third = clients.pop().unwrap();
        let waiting = clients
            .into_iter()
            .enumerate()
            .map(|(n, client)| run(client, format!("UPDATE acct SET v = v + 1 WHERE id = {}", n + 1)));
        let waiting: Vec<_> = waiting.collect();
        let mut other = connect(&proxy, "atomic");
        let shown = "SHOW SHARDLOOM TRANSACTIONS";
        wait_until("two wait", || other.show(shown).matches("|running|").count() == 2);
        thread::sleep(Duration::from_millis(1500));
        assert_eq!(third.show("COMMIT"), "ok 0");
        for thread in waiting.into_iter().rev() {
            let (mut client, told) = thread.join().unwrap();
            assert_eq!((told.as_str(), client.show("COMMIT").as_str()), ("ok 1", "ok 0"));
        }
        wait_until_clean(&cluster.cluster);
    }
}

/// A statement over all groups in a transaction of its own locks them in any order, and does not feel it: the one that
/// is in a circle with a transaction is run again, group after group, as one server would have had it wait.
#[test]
fn a_statement_of_its_own_is_run_again() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut older = connect(&proxy, "atomic");
        older.run("BEGIN");
        older.run("UPDATE acct SET v = v + 1 WHERE id IN (1, 2)");
        let other = connect(&proxy, "atomic");
        let all = run(other, "UPDATE acct SET v = v + 10".to_owned());
        // It has locked the first group when it waits for the others.
        let mut server = Client::connect(
            &cluster.cluster.groups[0].primary.addr(),
            account::USER,
            account::PASSWORD,
            "information_schema",
        );
        let writers = "SELECT COUNT(*) FROM INNODB_TRX WHERE trx_rows_modified > 0";
        wait_until("it has locked the first group", || server.show(writers) != "0");
        assert_eq!(older.show("UPDATE acct SET v = v + 1 WHERE id = 0"), "ok 1");
        assert_eq!(older.show("COMMIT"), "ok 0");
        let (mut other, told) = all.join().unwrap();
        assert_eq!(told, "ok 12");
        assert_eq!(other.show("SELECT SUM(v) FROM acct"), "123");
        wait_until_clean(&cluster.cluster);
    }
}

/// Two clients that wait for each other on the first two groups, as proxies and their servers see it in the end.
fn cross(proxies: [&TestProxy; 2]) -> Vec<String> {
    let clients: Vec<Client> = (0..2)
        .map(|n| {
            let mut client = connect(proxies[n], "atomic");
            client.run("BEGIN");
            client.run(&format!("UPDATE acct SET v = v + 1 WHERE id = {n}"));
            client.run(&format!("UPDATE acct SET v = v + 1 WHERE id = {}", 4 - n));
            client
        })
        .collect();
    let waiting: Vec<_> = (clients.into_iter().zip([1, 0]))
        .map(|(client, other)| run(client, format!("UPDATE acct SET v = v + 1 WHERE id = {other}")))
        .collect();
    waiting
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .map(|(mut client, told)| told + "; " + &client.show("COMMIT"))
        .collect()
}

/// Where the servers show whose their branches are, two proxies find what their transactions have made together, and agree
/// on which one of them is rolled back.
#[test]
fn two_proxies_agree_on_one_victim() {
    let shown = [&SHOWING_WAITS[..], &["--innodb-lock-wait-timeout=100"]].concat();
    for installation in installations() {
        let cluster = bank_with(&installation, &shown);
        let proxies = [TestProxy::start(&cluster.cluster, RULES), TestProxy::start(&cluster.cluster, RULES)];
        let mut told = cross([&proxies[0], &proxies[1]]);
        told.sort();
        assert_eq!(told, [format!("{DEADLOCK}; ok 0"), "ok 1; ok 0".to_owned()]);
        assert_eq!(connect(&proxies[0], "atomic").show("SELECT SUM(v) FROM acct"), "3");
        wait_until_clean(&cluster.cluster);
    }
}

/// Where they do not, their time limit ends it; so it does a deadlock of one proxy's, where MySQL shows no lock waits at
/// all. MariaDB shows those without a performance schema.
#[test]
fn what_is_not_shown_ends_by_the_time_limit() {
    for installation in installations() {
        let cluster = bank_with(&installation, &["--performance-schema=OFF", "--innodb-lock-wait-timeout=2"]);
        let proxies = [TestProxy::start(&cluster.cluster, RULES), TestProxy::start(&cluster.cluster, RULES)];
        let alone = (installation.flavour == Flavour::MySql).then_some([&proxies[0], &proxies[0]]);
        for pair in alone.into_iter().chain([[&proxies[0], &proxies[1]]]) {
            let told = cross(pair);
            assert!(told.iter().any(|told| told.starts_with("error 1205")), "{told:?}");
            // The statement is undone, not the transaction.
            assert!(told.iter().all(|told| told.ends_with("; ok 0")), "{told:?}");
            assert!(told.iter().all(|told| told.starts_with("error 1205") || told.starts_with("ok 1")), "{told:?}");
        }
        wait_until_clean(&cluster.cluster);
    }
}

/// Without the right to see lock waits, they end by the servers' own time limit.
#[test]
fn without_the_rights_the_time_limit_ends_it() {
    for installation in installations() {
        let cluster = bank(&installation);
        for group in &cluster.cluster.groups {
            let mut server = Client::connect(&group.primary.addr(), account::USER, account::PASSWORD, "");
            server.run("SET GLOBAL innodb_lock_wait_timeout = 2");
            server.run("CREATE USER blind@'%' IDENTIFIED BY 'x'");
            server.run("GRANT ALL ON bank.* TO blind@'%'");
            server.run("GRANT ALL ON _shardloom.* TO blind@'%'");
            if !server.conn.info.mariadb {
                server.run("GRANT XA_RECOVER_ADMIN ON *.* TO blind@'%'");
            }
        }
        let proxy = TestProxy::start_as(&cluster.cluster, RULES, "blind", "x");
        let waiting: Vec<_> = (0..2)
            .map(|n| {
                let mut client = connect(&proxy, "atomic");
                client.run("BEGIN");
                client.run(&format!("UPDATE acct SET v = v + 1 WHERE id = {n}"));
                (client, format!("UPDATE acct SET v = v + 1 WHERE id = {}", 1 - n))
            })
            .collect();
        let waiting: Vec<_> = waiting.into_iter().map(|(client, sql)| run(client, sql)).collect();
        let told: Vec<String> = waiting.into_iter().map(|thread| thread.join().unwrap().1).collect();
        assert!(told.iter().any(|told| told.starts_with("error 1205")), "{told:?}");
        assert!(told.iter().all(|told| told.starts_with("error 1205") || told == "ok 1"), "{told:?}");
    }
}
