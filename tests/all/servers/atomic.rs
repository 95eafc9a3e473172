//! Transactions over several groups on real servers: what they mean while all is well.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use shardloom::demo::cluster::{Cluster, Layout};
use shardloom::demo::install::{Installation, account};
use shardloom::sql::Flavour;

use crate::servers::proxy::{Client, PASSWORD, TestProxy};
use crate::servers::testbed::{TestCluster, installations, wait_until};

/// Three groups; an account's group is its id modulo 3.
pub(crate) const RULES: &str = r#"
[schema.bank]
home = "g0"

[schema.bank.family.by_id]
column = "id"
method = { mod = 3 }
groups = ["g0", "g1", "g2"]
table  = "{table}_{shard}"

[schema.bank.table]
acct  = { family = "by_id" }
rates = { broadcast = true }
"#;

/// The bank's servers with twelve empty accounts.
pub(crate) fn bank(installation: &Installation) -> TestCluster {
    bank_with(installation, &[])
}

/// The same, with further options for the servers.
pub(crate) fn bank_with(installation: &Installation, options: &[&str]) -> TestCluster {
    let options = options.iter().map(ToString::to_string).collect();
    bank_on(installation, &Layout { options, ..Layout::new(3, 0) })
}

/// The same on any three groups.
pub(crate) fn bank_on(installation: &Installation, layout: &Layout) -> TestCluster {
    let cluster = TestCluster::start(installation, layout);
    for (g, group) in cluster.cluster.groups.iter().enumerate() {
        let accounts: Vec<String> = (0..4).map(|i| format!("({}, 0)", 3 * i + g)).collect();
        let ddl = format!(
            "CREATE DATABASE bank; USE bank; CREATE TABLE acct_{g} (id INT PRIMARY KEY, v INT NOT NULL); \
             CREATE TABLE rates (id INT PRIMARY KEY, v INT NOT NULL); INSERT INTO rates VALUES (1, 0); \
             INSERT INTO acct_{g} VALUES {};",
            accounts.join(", ")
        );
        group.primary.sql(&ddl).unwrap();
    }
    cluster
}

pub(crate) fn connect(proxy: &TestProxy, user: &str) -> Client {
    Client::connect(&proxy.address().to_string(), user, PASSWORD, "bank")
}

/// What transactions over several groups have left on the servers, decisions to abort apart, which stay until their
/// deadline.
pub(crate) fn leftovers(cluster: &Cluster) -> Vec<String> {
    let mut left = Vec::new();
    for group in &cluster.groups {
        let address = group.primary.addr();
        match Client::try_connect(&address, account::USER, account::PASSWORD, "") {
            Err(error) => left.push(format!("{address} cannot be asked: {error}")),
            Ok(mut server) => {
                for sql in [
                    "XA RECOVER",
                    "SELECT * FROM _shardloom.branch",
                    "SELECT * FROM _shardloom.decision WHERE verdict='C'",
                ] {
                    left.push(server.show(sql));
                }
            }
        }
    }
    // The tables come with the first transaction.
    left.retain(|shown| !(shown.is_empty() || shown.starts_with("error 1146") || shown.starts_with("error 1049")));
    left
}

/// Asks all servers until nothing is left.
pub(crate) fn wait_until_clean(cluster: &Cluster) {
    let deadline = Instant::now() + Duration::from_secs(240);
    let mut left = leftovers(cluster);
    while !left.is_empty() {
        assert!(Instant::now() < deadline, "left on the servers: {left:#?}");
        std::thread::sleep(Duration::from_millis(100));
        left = leftovers(cluster);
    }
}

/// Accounts 0, 1 and 2, one on each group.
fn three(client: &mut Client) -> String {
    client.show("SELECT v FROM acct WHERE id < 3 ORDER BY id").replace('\n', " ")
}

/// What RETURNING gives on all groups together fits into memory, or nothing of the write is done (MariaDB).
#[test]
fn what_a_write_returns_is_bounded() {
    for installation in installations().into_iter().filter(|installation| installation.flavour == Flavour::MariaDb) {
        let cluster = bank(&installation);
        // Each group's part has room, all of them have not.
        let proxy = TestProxy::start_with(&cluster.cluster, RULES, |config| config.limits.merge_memory_per_query = 200);
        let mut client = connect(&proxy, "atomic");
        let told = client.show("DELETE FROM acct RETURNING id");
        assert!(told.starts_with("error 1235: RETURNING of several shards gives more rows"), "{told}");
        assert_eq!(client.show("SELECT COUNT(*) FROM acct"), "12");
        assert_eq!(client.show("DELETE FROM acct WHERE id IN (0, 1, 2, 4) RETURNING id").lines().count(), 4);
        assert_eq!(client.show("SELECT COUNT(*) FROM acct"), "8");
        wait_until("nothing is left", || leftovers(&cluster.cluster).is_empty());
    }
}

#[test]
fn several_groups_commit_together_or_not_at_all() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut c = connect(&proxy, "atomic");
        let mut other = connect(&proxy, "atomic");
        let script =
            |c: &mut Client, statements: &[&str]| -> Vec<String> { statements.iter().map(|sql| c.show(sql)).collect() };

        let told = script(
            &mut c,
            &[
                "BEGIN",
                "UPDATE acct SET v = v + 1 WHERE id = 0",
                "UPDATE acct SET v = v + 1 WHERE id = 1",
                "UPDATE acct SET v = v + 1 WHERE id = 2",
            ],
        );
        assert_eq!(told, ["ok 0", "ok 1", "ok 1", "ok 1"]);
        assert_eq!((three(&mut c), three(&mut other)), ("1 1 1".into(), "0 0 0".into()));
        assert_eq!(c.show("COMMIT"), "ok 0");
        assert_eq!((three(&mut c), three(&mut other)), ("1 1 1".into(), "1 1 1".into()));

        script(&mut c, &["BEGIN", "UPDATE acct SET v = 9 WHERE id IN (0, 1, 2)", "ROLLBACK"]);
        assert_eq!(three(&mut c), "1 1 1");

        // One statement over all groups, alone and in a transaction of its own length.
        assert_eq!(c.show("UPDATE acct SET v = v + 1"), "ok 12");
        assert_eq!(three(&mut other), "2 2 2");
        assert!(c.show("UPDATE acct SET v = IF(id = 2, NULL, v + 1)").starts_with("error 1048"));
        assert_eq!(three(&mut other), "2 2 2");
        let told = script(
            &mut c,
            &["BEGIN", "UPDATE acct SET v = 5 WHERE id = 1", "UPDATE acct SET v = IF(id = 2, NULL, v + 1)", "COMMIT"],
        );
        assert!(told[2].starts_with("error 1048"), "{told:?}");
        assert_eq!(three(&mut other), "2 5 2");

        // A duplicate in a branch is an error of that statement only.
        let told = script(
            &mut c,
            &[
                "BEGIN",
                "UPDATE acct SET v = 6 WHERE id = 0",
                "INSERT INTO acct VALUES (1, 0)",
                "UPDATE acct SET v = 6 WHERE id = 1",
                "COMMIT",
            ],
        );
        assert!(told[2].starts_with("error 1062"), "{told:?}");
        assert_eq!((told[4].as_str(), three(&mut other)), ("ok 0", "6 6 2".into()));

        // Savepoints hold on groups that join behind them.
        let told = script(
            &mut c,
            &[
                "BEGIN",
                "UPDATE acct SET v = 7 WHERE id = 0",
                "SAVEPOINT a",
                "UPDATE acct SET v = 8 WHERE id IN (0, 1)",
                "SAVEPOINT b",
                "UPDATE acct SET v = 9",
                "ROLLBACK TO b",
                "UPDATE acct SET v = 8 WHERE id = 2",
                "ROLLBACK TO a",
                "UPDATE acct SET v = 7 WHERE id = 2",
                "RELEASE SAVEPOINT a",
                "COMMIT",
            ],
        );
        assert!(told.iter().all(|told| told.starts_with("ok")), "{told:?}");
        assert_eq!(three(&mut other), "7 6 7");

        // Autocommit off, and a broadcast table.
        let told = script(
            &mut c,
            &[
                "SET autocommit = 0",
                "UPDATE acct SET v = 1 WHERE id = 2",
                "UPDATE acct SET v = 1 WHERE id = 0",
                "UPDATE rates SET v = v + 1",
                "SELECT COUNT(*) FROM acct",
            ],
        );
        assert_eq!(told[1..], ["ok 1", "ok 1", "ok 1", "12"]);
        assert_eq!(three(&mut other), "7 6 7");
        assert_eq!(script(&mut c, &["COMMIT", "UPDATE acct SET v = 2", "ROLLBACK", "SET autocommit = 1"])[0], "ok 0");
        assert_eq!((three(&mut other), other.show("SELECT v FROM rates")), ("1 6 1".into(), "1".into()));

        // Autocommit off, and what opens the transaction reads several groups, by a gather and by a merge.
        for (read, value) in
            [("SELECT COUNT(*) FROM acct a JOIN acct b ON a.v < b.v", 3), ("SELECT SUM(v) FROM acct", 1)]
        {
            let updates = [2, 0].map(|id| format!("UPDATE acct SET v = {value} WHERE id = {id}"));
            let told = script(&mut c, &["SET autocommit = 0", read, &updates[0], &updates[1], "COMMIT"]);
            assert_eq!(told[2..], ["ok 1", "ok 1", "ok 0"], "{read}");
            assert_eq!(three(&mut other), format!("{value} 6 {value}"), "{read}");
        }
        script(&mut c, &["SET autocommit = 1"]);

        // What only reads elsewhere; levels, snapshots, a clock that stands.
        for begin in ["BEGIN", "START TRANSACTION WITH CONSISTENT SNAPSHOT", "START TRANSACTION READ WRITE"] {
            let told = script(
                &mut c,
                &[
                    "SET timestamp = 5",
                    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
                    begin,
                    "SELECT v FROM acct WHERE id = 0 FOR UPDATE",
                    "SELECT SUM(v) FROM acct",
                    "UPDATE acct SET v = v + 1 WHERE id = 1",
                    "COMMIT",
                    "SELECT UNIX_TIMESTAMP()",
                ],
            );
            assert_eq!(
                (told[5].as_str(), told[6].as_str(), told[7].as_str()),
                ("ok 1", "ok 0", "5"),
                "{begin}: {told:?}"
            );
            let told = script(
                &mut c,
                &[
                    begin,
                    "SELECT SUM(v) FROM acct",
                    "UPDATE acct SET v = v + 1 WHERE id IN (0, 1)",
                    "COMMIT",
                    "SELECT UNIX_TIMESTAMP()",
                    "SET timestamp = DEFAULT",
                ],
            );
            assert_eq!(
                (told[2].as_str(), told[3].as_str(), told[4].as_str()),
                ("ok 2", "ok 0", "5"),
                "{begin}: {told:?}"
            );
        }
        assert_eq!(three(&mut other), "4 12 1");
        let told = script(
            &mut c,
            &["START TRANSACTION READ ONLY", "SELECT SUM(v) FROM acct", "UPDATE acct SET v = 0", "COMMIT"],
        );
        assert!(told[2].starts_with("error 1792"), "{told:?}");

        // What a transaction may not be.
        assert!(c.show("XA START 'a'").starts_with("error 1235"));
        let mut single = connect(&proxy, "app");
        let told = script(
            &mut single,
            &[
                "UPDATE acct SET v = 0",
                "BEGIN",
                "UPDATE acct SET v = 0 WHERE id = 0",
                "UPDATE acct SET v = 0 WHERE id = 1",
                "ROLLBACK",
            ],
        );
        assert!(told[0].starts_with("error 1235") && told[3].starts_with("error 1235"), "{told:?}");

        // The first statement of a transaction can say what it shall be.
        assert!(c.show("UPDATE /*+ shardloom(transaction=single) */ acct SET v = 0").starts_with("error 1235"));
        let told = script(
            &mut single,
            &[
                "BEGIN",
                "UPDATE /*+ shardloom(transaction=atomic) */ acct SET v = v + 1 WHERE id = 0",
                "UPDATE acct SET v = v - 1 WHERE id = 1",
                "COMMIT",
            ],
        );
        assert_eq!(told, ["ok 0", "ok 1", "ok 1", "ok 0"]);

        wait_until_clean(&cluster.cluster);
        assert_eq!(three(&mut other), "5 11 1");
    }
}

/// A deadlock rolls a whole transaction back on one server; so it does on several.
#[test]
fn a_deadlock_on_one_group_rolls_all_back() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        // The deadlock is on a branch (accounts 1 and 4), then on the commit point (accounts 0 and 3).
        for (elsewhere, one, two) in [(0, 1, 4), (1, 0, 3)] {
            let mut told = Vec::new();
            let mut clients = [connect(&proxy, "atomic"), connect(&proxy, "atomic")];
            for (i, client) in clients.iter_mut().enumerate() {
                client.run("BEGIN");
                let own = if i == 0 { one } else { two };
                let places = [elsewhere + 6 * i, own];
                // The commit point is what is touched first.
                let places = if elsewhere == 0 { places } else { [own, places[0]] };
                for id in places {
                    client.run(&format!("UPDATE acct SET v = v + 1 WHERE id = {id}"));
                }
            }
            let [mut first, mut second] = clients;
            let waiting = std::thread::spawn(move || {
                let shown = first.show(&format!("UPDATE acct SET v = v + 1 WHERE id = {two}"));
                (first, shown)
            });
            // Whoever comes second finds the deadlock, wherever the other is by then.
            told.push(second.show(&format!("UPDATE acct SET v = v + 1 WHERE id = {one}")));
            let victim_is_second = told[0].starts_with("error 1213");
            if victim_is_second {
                let (mut first, shown) = waiting.join().unwrap();
                assert_eq!(shown, "ok 1");
                assert_eq!(second.show("COMMIT"), "ok 0");
                assert_eq!(first.show("ROLLBACK"), "ok 0");
            } else {
                assert_eq!(told[0], "ok 1");
                let (mut first, shown) = waiting.join().unwrap();
                assert!(shown.starts_with("error 1213"), "{shown}");
                assert_eq!(first.show("COMMIT"), "ok 0");
                assert_eq!(second.show("ROLLBACK"), "ok 0");
            }
            let mut fresh = connect(&proxy, "atomic");
            assert_eq!(fresh.show("SELECT SUM(v) FROM acct"), "0", "a part of the victim was committed");
        }
        wait_until_clean(&cluster.cluster);
    }
}

pub(crate) fn wait_for_metric(proxy: &TestProxy, line: &str) {
    wait_until(line, || metrics(proxy).lines().any(|told| told == line));
}

pub(crate) fn metrics(proxy: &TestProxy) -> String {
    let mut stream = TcpStream::connect(proxy.addresses.admin.unwrap()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

/// A statement that cannot even begin on its last group leaves no trace on the first.
#[test]
fn a_statement_that_finds_no_connection_is_taken_back() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start_with(&cluster.cluster, RULES, |config| {
            config.limits.pool_primary = 1;
            config.timeouts.pool_wait = Duration::from_millis(200);
        });
        let (mut holder, mut c) = (connect(&proxy, "atomic"), connect(&proxy, "atomic"));
        holder.run("BEGIN");
        holder.run("UPDATE acct SET v = 9 WHERE id = 4");
        c.run("BEGIN");
        assert_eq!(c.show("UPDATE acct SET v = 1 WHERE id = 0"), "ok 1");
        let told = c.show("UPDATE acct SET v = v + 1 WHERE id IN (0, 1)");
        assert!(told.starts_with("error 1"), "{told}");
        assert_eq!(c.show("SELECT v FROM acct WHERE id = 0"), "1");
        let read = c.show("SELECT v FROM acct WHERE id IN (0, 1) ORDER BY id");
        assert!(read.starts_with("error 1"), "{read}");
        assert_eq!(c.show("COMMIT"), "ok 0");
        assert_eq!(holder.show("ROLLBACK"), "ok 0");
        assert_eq!(three(&mut c), "1 0 0");
        assert!(c.show("UPDATE acct SET v = 5").starts_with("ok 12"));
    }
}

/// The same where it would have been the transaction's first: what begins the transaction on the groups that had a
/// connection is then all that happens there, and the transaction goes on.
#[test]
fn a_first_statement_that_finds_no_connection_leaves_the_transaction_open() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start_with(&cluster.cluster, RULES, |config| {
            config.limits.pool_primary = 2;
            config.timeouts.pool_wait = Duration::from_millis(200);
        });
        let mut c = connect(&proxy, "atomic");
        // Names for the groups, before their connections are taken.
        assert_eq!(c.show("UPDATE acct SET v = 0"), "ok 0");
        let mut holders = [connect(&proxy, "atomic"), connect(&proxy, "atomic")];
        for (holder, id) in holders.iter_mut().zip([4, 7]) {
            holder.run("BEGIN");
            holder.run(&format!("UPDATE acct SET v = 9 WHERE id = {id}"));
        }
        for (n, first) in [
            "SELECT v FROM acct WHERE id IN (0, 1) ORDER BY id",
            "SELECT COUNT(*) FROM acct a JOIN acct b ON a.v < b.v WHERE a.id IN (0, 1) AND b.id IN (0, 1)",
            "UPDATE acct SET v = 100 WHERE id IN (0, 1)",
        ]
        .into_iter()
        .enumerate()
        {
            c.run("BEGIN");
            c.run("SAVEPOINT a");
            let told = c.show(first);
            assert!(told.contains("No connection to g1"), "{first}: {told}");
            assert_eq!(c.show("UPDATE acct SET v = v + 1 WHERE id = 2"), "ok 1", "{first}");
            assert_eq!(c.show("UPDATE acct SET v = v + 1 WHERE id = 0"), "ok 1", "{first}");
            assert_eq!((c.show("RELEASE SAVEPOINT a"), c.show("COMMIT")), ("ok 0".into(), "ok 0".into()), "{first}");
            assert_eq!(c.show("SELECT v FROM acct WHERE id = 0"), format!("{}", n + 1));
        }
        holders.iter_mut().for_each(|holder| assert_eq!(holder.show("ROLLBACK"), "ok 0"));
        assert_eq!(three(&mut c), "3 0 3");
    }
}

/// A write that found no connection has written nowhere: it makes no second writer of a transaction, which would keep
/// one of `transaction_mode = "single"` from writing elsewhere, and have one group commit by a decision that nobody forgets.
#[test]
fn a_write_that_finds_no_connection_is_none() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start_with(&cluster.cluster, RULES, |config| {
            config.limits.pool_primary = 1;
            config.timeouts.pool_wait = Duration::from_millis(200);
        });
        assert_eq!(connect(&proxy, "atomic").show("UPDATE acct SET v = 0"), "ok 0");
        let mut holder = connect(&proxy, "atomic");
        holder.run("BEGIN");
        holder.run("UPDATE acct SET v = 9 WHERE id = 4");
        for user in ["app", "atomic"] {
            let mut c = connect(&proxy, user);
            c.run("BEGIN");
            let told = c.show("UPDATE acct SET v = 1 WHERE id = 1");
            assert!(told.contains("No connection to g1"), "{user}: {told}");
            assert_eq!(c.show("UPDATE acct SET v = v + 1 WHERE id = 0"), "ok 1", "{user}");
            assert_eq!(c.show("SELECT COUNT(*) FROM acct WHERE id = 2"), "1", "{user}");
            assert_eq!(c.show("COMMIT"), "ok 0", "{user}");
        }
        assert_eq!(holder.show("ROLLBACK"), "ok 0");
        assert_eq!(three(&mut connect(&proxy, "atomic")), "2 0 0");
        wait_until_clean(&cluster.cluster);
        assert!(metrics(&proxy).contains("shardloom_commits_total 1"), "all of them were of one group");
        for (sql, plan) in [
            ("SELECT v FROM acct WHERE id = 1", "relay"),
            ("SELECT COUNT(*) FROM acct", "merge"),
            ("SELECT v, ROW_NUMBER() OVER (ORDER BY id) FROM acct", "gather"),
            ("UPDATE acct SET v = 0", "write"),
            ("INSERT INTO acct SELECT id + 90, v FROM acct", "write"),
        ] {
            let count = || {
                let line = format!("shardloom_statement_seconds_count{{plan=\"{plan}\"}} ");
                metrics(&proxy).lines().find_map(|told| told.strip_prefix(&line)?.parse::<u64>().ok()).unwrap()
            };
            let before = count();
            connect(&proxy, "atomic").show(sql);
            assert_eq!(count(), before + 1, "{sql} is a {plan}");
        }
    }
}

/// A server that rolls a whole transaction back ends it, for a session that holds a connection for something else as for
/// any: what it writes next commits itself, and its savepoints are gone.
#[test]
fn a_transaction_that_its_server_ended_is_over() {
    for installation in installations() {
        let options = ["--innodb-rollback-on-timeout=ON", "--innodb-lock-wait-timeout=1"];
        let cluster = bank_with(&installation, &options);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut holder = connect(&proxy, "atomic");
        holder.run("BEGIN");
        holder.run("UPDATE acct SET v = 9 WHERE id = 4");
        // The lock is held on the home group, the transaction there or elsewhere.
        for (own, held) in [(1, 4), (0, 3)] {
            holder.run(&format!("UPDATE acct SET v = 9 WHERE id = {held}"));
            let mut c = connect(&proxy, "atomic");
            assert_eq!(c.show("SELECT GET_LOCK('mine', 0)"), "1");
            for (sql, expected) in [
                ("BEGIN".to_owned(), "ok 0"),
                (format!("UPDATE acct SET v = 100 WHERE id = {own}"), "ok 1"),
                ("SAVEPOINT a".to_owned(), "ok 0"),
                (format!("UPDATE acct SET v = 100 WHERE id = {held}"), "error 1205"),
                (format!("UPDATE acct SET v = v + 1 WHERE id = {own}"), "ok 1"),
                (format!("UPDATE acct SET v = v + 2 WHERE id = {own}"), "ok 1"),
                ("ROLLBACK TO SAVEPOINT a".to_owned(), "error 1305"),
            ] {
                let told = c.show(&sql);
                assert!(told.starts_with(expected), "{sql}: {told}");
            }
            let mut other = connect(&proxy, "atomic");
            assert_eq!(other.show(&format!("SELECT v FROM acct WHERE id = {own}")), "3");
            assert_eq!(other.show("SELECT IS_FREE_LOCK('mine')"), "0", "the lock is held still");
        }
    }
}

/// Open transactions are shown, with who has them and where they are; other users by number only.
#[test]
fn open_transactions_are_shown() {
    let cluster = bank(&installations().remove(0));
    let proxy = TestProxy::start(&cluster.cluster, RULES);
    let groups = &cluster.cluster.groups;
    let name = |g: usize| format!("g{g} ({})", groups[g].primary.addr());
    let (mut one, mut other) = (connect(&proxy, "atomic"), connect(&proxy, "wide"));
    let shown = |client: &mut Client| -> Vec<Vec<String>> {
        let shown = client.show("SHOW SHARDLOOM TRANSACTIONS");
        shown.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
    };
    assert_eq!(shown(&mut other), Vec::<Vec<String>>::new());
    one.run("BEGIN");
    one.run("UPDATE acct SET v = 1 WHERE id = 1");
    let seen = shown(&mut one);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0][..6], ["NULL", "NULL", "NULL", "", "", "running"]);
    assert!(seen[0][6].parse::<u64>().is_ok() && seen[0][7].starts_with("atomic@127.0.0.1:"), "{seen:?}");
    assert_eq!(seen[0][8], name(1));
    one.run("UPDATE acct SET v = 1 WHERE id = 0");
    let seen = shown(&mut other);
    assert!(seen[0][0].starts_with("sl1-"), "{seen:?}");
    assert_eq!(seen[0][1..6], [name(1).as_str(), "NULL", "", "", "open"]);
    assert!(seen[0][7].starts_with('#'), "{seen:?}");
    assert_eq!(seen[0][8], format!("{}, {}", name(1), name(0)));
    wait_for_metric(&proxy, "shardloom_transactions_open 1");
    assert_eq!(one.show("COMMIT"), "ok 0");
    wait_until_clean(&cluster.cluster);
    assert_eq!(shown(&mut other), Vec::<Vec<String>>::new());
    wait_for_metric(&proxy, "shardloom_transactions_open 0");
    // It is gone with its client, too, and with a statement of its own.
    other.run("BEGIN");
    drop(other);
    one.run("UPDATE acct SET v = 2");
    wait_for_metric(&proxy, "shardloom_transactions_open 0");
}

/// Rules that number the groups anew, or place rows elsewhere, are those of the next transaction.
#[test]
fn a_transaction_keeps_the_rules_it_began_by() {
    let cluster = bank(&installations().remove(0));
    let proxy = TestProxy::start(&cluster.cluster, RULES);
    let (mut c, mut other) = (connect(&proxy, "atomic"), connect(&proxy, "atomic"));
    let first_group = |client: &mut Client, name: &str| {
        wait_until("the new rules are in force", || client.show("SHOW SHARDLOOM SERVERS").starts_with(name));
    };
    c.run("BEGIN");
    assert_eq!(c.show("UPDATE acct SET v = v + 1 WHERE id = 0"), "ok 1");
    assert_eq!(c.show("UPDATE acct SET v = v + 1 WHERE id = 1"), "ok 1");
    // A connection that is held for something else keeps them too.
    let mut pinned = connect(&proxy, "atomic");
    pinned.run("CREATE TEMPORARY TABLE mine (id INT) SELECT 7 AS id");

    // g2 is group 0 now.
    proxy.reload_reversed(&cluster.cluster, RULES);
    first_group(&mut other, "g2");
    assert!(c.show("SHOW SHARDLOOM SERVERS").starts_with("g0"));
    assert_eq!(c.show("UPDATE acct SET v = v + 1 WHERE id IN (0, 2)"), "ok 2");
    assert_eq!(three(&mut c), "2 1 1");
    assert_eq!(three(&mut other), "0 0 0");
    assert_eq!(pinned.show("SELECT id FROM mine"), "7");
    assert_eq!(c.show("COMMIT"), "ok 0");
    assert_eq!((three(&mut c), three(&mut other)), ("2 1 1".into(), "2 1 1".into()));
    assert!(c.show("SHOW SHARDLOOM SERVERS").starts_with("g2"));

    // Rows placed elsewhere: by the new rules, no table is where it is looked for.
    c.run("BEGIN");
    assert_eq!(c.show("UPDATE acct SET v = v + 1 WHERE id = 0"), "ok 1");
    let moved = RULES.replace(r#"["g0", "g1", "g2"]"#, r#"["g1", "g2", "g0"]"#);
    proxy.reload(&cluster.cluster, &moved);
    first_group(&mut other, "g0");
    assert!(other.show("SELECT v FROM acct WHERE id = 0").starts_with("error 1146"));
    assert_eq!(c.show("UPDATE acct SET v = v + 1"), "ok 12");
    assert_eq!(c.show("SELECT v FROM acct WHERE id = 0"), "4");
    assert_eq!(c.show("COMMIT"), "ok 0");
    assert!(c.show("SELECT v FROM acct WHERE id = 0").starts_with("error 1146"));
    // A definition commits first, and goes by the rules of now.
    proxy.reload(&cluster.cluster, RULES);
    first_group(&mut other, "g0");
    wait_until("the rules are back", || three(&mut other) == "4 2 2");
    c.run("BEGIN");
    assert_eq!(c.show("UPDATE acct SET v = v + 1 WHERE id = 0"), "ok 1");
    proxy.reload(&cluster.cluster, &moved);
    wait_until("the rules are in force", || three(&mut other).starts_with("error 1146"));
    assert!(c.show("ALTER TABLE acct ADD w INT").starts_with("error"));
    proxy.reload(&cluster.cluster, RULES);
    wait_until("it is committed", || three(&mut other) == "5 2 2");
    wait_until_clean(&cluster.cluster);
}

/// BEGIN can say what its transaction shall be; the user's own mode does not matter then.
#[test]
fn begin_says_what_the_transaction_may_be() {
    let cluster = bank(&installations().remove(0));
    let proxy = TestProxy::start(&cluster.cluster, RULES);
    let (mut atomic, mut single) = (connect(&proxy, "atomic"), connect(&proxy, "app"));
    atomic.run("BEGIN /*+ shardloom(transaction=single) */");
    assert!(atomic.show("UPDATE acct SET v = 1").starts_with("error 1235"));
    assert_eq!(atomic.show("UPDATE acct SET v = 1 WHERE id = 0"), "ok 1");
    assert!(atomic.show("UPDATE acct SET v = 1 WHERE id = 1").starts_with("error 1235"));
    assert_eq!(atomic.show("COMMIT AND CHAIN"), "ok 0");
    assert_eq!(atomic.show("UPDATE acct SET v = 2 WHERE id = 0"), "ok 1");
    assert!(atomic.show("UPDATE acct SET v = 2 WHERE id = 1").starts_with("error 1235"));
    assert_eq!(atomic.show("COMMIT"), "ok 0");
    assert_eq!(three(&mut atomic), "2 0 0");

    single.run("START TRANSACTION /*+ shardloom(transaction=atomic) */");
    assert_eq!(single.show("UPDATE acct SET v = 3"), "ok 12");
    assert_eq!(single.show("COMMIT"), "ok 0");
    assert_eq!(three(&mut atomic), "3 3 3");
    assert!(single.show("UPDATE acct SET v = 4").starts_with("error 1235"), "it holds for one transaction");
    single.run("BEGIN /*+ shardloom(transaction=atomic) */");
    assert!(
        single
            .show("UPDATE /*+ shardloom(transaction=single) */ acct SET v = 5 WHERE id = 0")
            .starts_with("error 1235")
    );
    assert_eq!(single.show("UPDATE /*+ shardloom(transaction=atomic) */ acct SET v = 3 WHERE id = 0"), "ok 0");
    assert_eq!(single.show("COMMIT"), "ok 0");
    // Rows that are carried are written as the statement's hint says, too.
    let carry = "INTO acct (id, v) SELECT id + 100, v FROM acct";
    assert!(single.show(&format!("INSERT {carry}")).starts_with("error 1235"));
    assert_eq!(single.show(&format!("INSERT /*+ shardloom(transaction=atomic) */ {carry}")), "ok 12");
    assert!(atomic.show(&format!("REPLACE /*+ shardloom(transaction=single) */ {carry}")).starts_with("error 1235"));
    assert!(single.show("BEGIN /*+ shardloom(shard=1) */").starts_with("error 1235"));
    assert!(single.show("BEGIN /*+ shardloom(transaction=bold) */").starts_with("error 1064"));
    wait_until_clean(&cluster.cluster);
}

/// SET TRANSACTION is about the next one: a statement of its own, or what a statement opens with autocommit off.
#[test]
fn set_transaction_is_about_the_next_one() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let (mut c, mut other) = (connect(&proxy, "atomic"), connect(&proxy, "atomic"));
        other.run("BEGIN");
        assert_eq!(other.show("UPDATE acct SET v = 77 WHERE id IN (0, 1, 2)"), "ok 3");
        let dirty = "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED";
        let (one, all) = ("SELECT v FROM acct WHERE id = 0", "SELECT SUM(v) FROM acct");
        c.run(&format!("PREPARE one FROM '{one}'"));
        for (read, without, with) in [(one, "0", "77"), (all, "0", "231"), ("EXECUTE one", "0", "77")] {
            c.run(dirty);
            assert_eq!((c.show(read).as_str(), c.show(read).as_str()), (with, without), "{read}");
            c.run("SET autocommit = 0");
            c.run(dirty);
            assert_eq!((c.show(read).as_str(), c.show(read).as_str()), (with, with), "{read}");
            c.run("COMMIT");
            assert_eq!(c.show(read), without, "{read}");
            c.run("SET autocommit = 1");
        }
        assert_eq!(other.show("ROLLBACK"), "ok 0");
        for write in ["UPDATE acct SET v = 1 WHERE id = 0", "UPDATE acct SET v = v + 1"] {
            c.run("SET TRANSACTION READ ONLY");
            let told = c.show(write);
            assert!(told.starts_with("error 1792"), "{write}: {told}");
            assert!(c.show(write).starts_with("ok"), "{write}");
        }
        assert_eq!(three(&mut other), "2 1 1");
    }
}

/// A connection that is held for a temporary table has no part in a transaction elsewhere, nor in its savepoints.
#[test]
fn savepoints_do_not_concern_pinned_connections() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut c = connect(&proxy, "atomic");
        c.run("CREATE TEMPORARY TABLE mine (id INT)");
        for begin in ["BEGIN", "SET autocommit = 0"] {
            for sql in [
                begin,
                "SAVEPOINT a",
                "UPDATE acct SET v = v + 1 WHERE id = 1",
                "SAVEPOINT b",
                "UPDATE acct SET v = v + 1 WHERE id = 1",
                "ROLLBACK TO b",
                "ROLLBACK TO a",
                "UPDATE acct SET v = v + 1 WHERE id = 1",
                "RELEASE SAVEPOINT a",
                "COMMIT",
            ] {
                let told = c.show(sql);
                assert!(told.starts_with("ok"), "{begin}, {sql}: {told}");
            }
        }
        assert_eq!(c.show("SELECT v FROM acct WHERE id = 1"), "2");
    }
}
