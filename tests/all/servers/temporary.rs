//! Temporary tables of a session beside rows of several servers: what goes wrong leaves it its tables and its transaction,
//! and leaves nothing on any server when it ends.

use shardloom::demo::cluster::Cluster;
use shardloom::demo::install::account;
use shardloom::sql::Flavour;
use shardloom::wire::command::com;

use crate::servers::atomic::{RULES, bank, connect};
use crate::servers::lookup::cut;
use crate::servers::proxy::{Client, TestProxy};
use crate::servers::testbed::{installations, wait_until};

const MINE: &str = "SELECT SUM(m.w) FROM acct a JOIN mine m ON m.id = a.id";

fn with_table(proxy: &TestProxy) -> Client {
    let mut client = connect(proxy, "atomic");
    client.run("CREATE TEMPORARY TABLE mine (id INT PRIMARY KEY, w INT)");
    client.run("INSERT INTO mine VALUES (1, 10), (2, 20)");
    client
}

fn server(cluster: &Cluster, group: usize) -> Client {
    Client::connect(&cluster.groups[group].primary.addr(), account::USER, account::PASSWORD, "bank")
}

/// Waits until a server runs as many SELECTs that lock rows.
fn wait_for_locking(cluster: &Cluster, group: usize, count: &str) {
    let mut server = server(cluster, group);
    let running = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%FOR UPDATE%' AND ID <> \
                   CONNECTION_ID()";
    wait_until("a SELECT waits for a row, or none does", || server.show(running) == count);
}

/// An error ends its statement alone.
#[test]
fn errors_leave_a_session_its_tables_and_its_transaction() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start_with(&cluster.cluster, RULES, |config| config.limits.gather = 100);
        let (mut client, mut other) = (with_table(&proxy), connect(&proxy, "atomic"));
        let many = "SELECT COUNT(*) FROM acct a JOIN acct b ON b.v = a.v LEFT JOIN mine m ON m.id = a.id";
        let locked = format!("{MINE} WHERE a.id = 1 FOR UPDATE");
        for (begin, sum) in [("DO 0", "30"), ("BEGIN", "70"), ("SET autocommit = 0", "70")] {
            client.run(begin);
            if sum == "70" {
                client.run("UPDATE acct SET v = v + 1 WHERE id = 2");
                client.run("INSERT INTO mine VALUES (4, 40)");
            }
            assert_eq!(client.show(MINE), sum, "{begin}");
            let told = client.show(many);
            assert!(told.starts_with("error 1235: the statement needs more than 100 bytes"), "{told}");
            let told = client.show("SELECT m.nothing FROM acct a JOIN mine m ON m.id = a.id");
            assert!(told.starts_with("error 1054"), "{told}");
            other.run("BEGIN");
            other.run("UPDATE acct SET v = v + 1 WHERE id = 1");
            client.run("SET innodb_lock_wait_timeout = 1");
            let told = client.show(&locked);
            assert!(told.starts_with("error 1205"), "{told}");
            other.run("ROLLBACK");
            assert_eq!(client.show(MINE), sum, "{begin}");
            let told = client.show("SELECT 1 FROM _shardloom_gather_0");
            assert!(told.starts_with("error 1146"), "{told}");
            client.run("ROLLBACK");
            assert_eq!(client.show("SELECT SUM(w) FROM mine"), "30", "{begin}");
            assert_eq!(client.show("SELECT SUM(v) FROM acct"), "0", "{begin}");
        }
    }
}

/// A client that leaves while rows are gathered takes all of it along.
#[test]
fn a_client_that_leaves_leaves_nothing() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        for begin in ["DO 0", "BEGIN"] {
            let (mut client, mut other) = (with_table(&proxy), connect(&proxy, "atomic"));
            client.run(begin);
            leave_waiting(client, &mut other, &cluster.cluster, &format!("{MINE} FOR UPDATE"));
            if installation.flavour == Flavour::MySql {
                (0..3).for_each(|group| no_temporary_table_is_left(&cluster.cluster, group));
            }
            for _ in 0..8 {
                let mut client = connect(&proxy, "atomic");
                for table in ["mine", "_shardloom_gather_0"] {
                    let told = client.show(&format!("SELECT 1 FROM {table}"));
                    assert!(told.starts_with("error 1146"), "{told}");
                }
            }
        }
    }
}

/// The session ends whose table was on a connection that is lost while rows are gathered.
#[test]
fn a_session_ends_that_loses_its_tables_in_the_middle() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let (mut client, mut other) = (with_table(&proxy), connect(&proxy, "atomic"));
        other.run("BEGIN");
        other.run("UPDATE acct SET v = v + 1 WHERE id = 1");
        let gathers = std::thread::spawn(move || {
            let told = client.show(&format!("{MINE} FOR UPDATE"));
            (told, client.show("SELECT 1"))
        });
        wait_for_locking(&cluster.cluster, 1, "1");
        cut(&cluster.cluster, 0);
        other.run("ROLLBACK");
        let (told, then) = gathers.join().unwrap();
        assert!(told.starts_with("error"), "{told}");
        assert!(then.starts_with("error 2013") || then.starts_with("lost"), "{then}");
    }
}

/// A table like a shard tells nothing of it: neither the shard's name, nor those of its checks.
#[test]
fn a_table_like_a_sharded_one_has_its_names() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut client = connect(&proxy, "atomic");
        client.run("DROP TABLE acct");
        client.run(
            "CREATE TABLE acct (id INT PRIMARY KEY, v INT NOT NULL CHECK (v <> 9), n INT CHECK (n > 1), CONSTRAINT low \
             CHECK (v < 100), CHECK (n <> v))",
        );
        client.run("CREATE TEMPORARY TABLE mine LIKE acct");
        let shown = client.show("SHOW CREATE TABLE mine");
        assert!(!shown.contains("acct") && !shown.contains("low_"), "{shown}");
        let of_check = if installation.flavour == Flavour::MariaDb { "low" } else { "mine_chk_" };
        assert!(shown.contains(&format!("`{of_check}")), "{shown}");
        let told = client.show("INSERT INTO mine VALUES (1, 200, 3)");
        assert!(told.starts_with("error") && told.contains(of_check), "{told}");
        assert_eq!(client.show("INSERT INTO mine VALUES (1, 2, 3)"), "ok 1");
    }
}

/// A temporary table of rows of several servers is made where the session's others are, and what fails in the middle
/// leaves these.
#[test]
fn tables_are_made_of_rows_of_several_servers_or_not_at_all() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start_with(&cluster.cluster, RULES, |config| config.limits.gather = 200);
        let (mut fresh, mut other) = (connect(&proxy, "atomic"), connect(&proxy, "atomic"));
        let make = "CREATE TEMPORARY TABLE made AS SELECT a.id, a.v FROM acct a JOIN acct b ON b.id = a.id";
        let too_much = "CREATE TEMPORARY TABLE much AS SELECT a.id FROM acct a, acct b, acct c, acct d, acct e, acct f, \
                        acct g, acct h, acct i, acct j, acct k";
        let told = fresh.show(too_much);
        assert!(told.starts_with("error 1235: the statement needs more than 200 bytes"), "{told}");
        assert_eq!(fresh.show(make), "ok 12");
        assert_eq!(fresh.show("SELECT COUNT(*) FROM made m JOIN acct a ON a.id = m.id"), "12");

        let mut client = with_table(&proxy);
        assert_eq!(client.show(make), "ok 12");
        let third = "CREATE TEMPORARY TABLE third AS SELECT m.w, n.v FROM mine m JOIN acct a ON a.id = m.id JOIN made n \
                     ON n.id = a.id";
        assert_eq!(client.show(third), "ok 2");
        assert_eq!(client.show("SELECT SUM(w) FROM third"), "30");
        for (sql, error) in [
            (too_much, "error 1235: the statement needs more"),
            (third, "error 1050"),
            ("CREATE TEMPORARY TABLE bad AS SELECT a.nothing FROM mine m JOIN acct a ON a.id = m.id", "error 1054"),
            (
                "CREATE TEMPORARY TABLE bad (UNIQUE KEY (v)) AS SELECT a.v FROM mine m JOIN acct a ON a.id = m.id",
                "error 1062",
            ),
        ] {
            let told = client.show(sql);
            assert!(told.starts_with(error), "{sql}: {told}");
            for copy in 0..11 {
                let told = client.show(&format!("SELECT 1 FROM _shardloom_gather_{copy}"));
                assert!(told.starts_with("error 1146"), "{sql}: {told}");
            }
            assert_eq!(client.show(MINE), "30", "{sql}");
        }

        // Where its rows would have to be rolled back, and where others are locked.
        for (begin, end, error) in
            [("BEGIN", "ROLLBACK", "error 1235"), ("LOCK TABLES prefs WRITE", "UNLOCK TABLES", "error 1100")]
        {
            if begin.starts_with("LOCK") {
                client.run("CREATE TABLE prefs (id INT)");
            }
            client.run(begin);
            let told = client.show(&make.replace("made", "bad"));
            assert!(told.starts_with(error), "{begin}: {told}");
            client.run(end);
        }

        // A client that leaves in the middle.
        let waits = "CREATE TEMPORARY TABLE bad AS SELECT m.w FROM mine m JOIN acct a ON a.id = m.id FOR UPDATE";
        leave_waiting(client, &mut other, &cluster.cluster, waits);
        if installation.flavour == Flavour::MySql {
            drop(fresh);
            no_temporary_table_is_left(&cluster.cluster, 0);
        }
    }
}

/// Waits until a group's primary (MySQL) has no temporary table any more.
fn no_temporary_table_is_left(cluster: &Cluster, group: usize) {
    let mut server = server(cluster, group);
    let tables = "SELECT COUNT(*) FROM information_schema.INNODB_TEMP_TABLE_INFO";
    wait_until("no temporary table is left", || server.show(tables) == "0");
}

/// A client that leaves while its statement waits for a row that another one has locked.
fn leave_waiting(mut client: Client, other: &mut Client, cluster: &Cluster, sql: &str) {
    other.run("BEGIN");
    other.run("UPDATE acct SET v = v + 1 WHERE id = 1");
    client.conn.send(com::QUERY, sql.as_bytes());
    client.flush();
    wait_for_locking(cluster, 1, "1");
    drop(client);
    wait_for_locking(cluster, 1, "0");
    other.run("ROLLBACK");
}
