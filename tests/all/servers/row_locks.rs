//! Row locks that a statement takes on several servers: other sessions wait for the rows that a gathered SELECT, or what
//! is read before a write, has locked, until the transaction ends.

use shardloom::demo::cluster::Layout;
use shardloom::demo::install::account;

use super::atomic::{RULES, bank, connect};
use super::proxy::{Client, TestProxy};
use super::testbed::{TestCluster, installations, wait_until};

/// What a session is told that does not wait for a row.
const BUSY: [&str; 2] = ["error 3572", "error 1205"];

/// What a session is told that gives NULL to a column that has none; to MariaDB it is one error or another, by its plan.
const NULL: [&str; 2] = ["error 1048", "error 1235"];

/// Whether the row is locked by another session: against writing, and against reading with a shared lock.
fn locks(other: &mut Client, id: u32) -> (bool, bool) {
    let mut is_busy = |lock: &str| {
        let told = other.show(&format!("SELECT id FROM acct WHERE id = {id} {lock}"));
        assert!(told == id.to_string() || BUSY.iter().any(|busy| told.starts_with(busy)), "{told}");
        told != id.to_string()
    };
    (is_busy("FOR UPDATE"), is_busy("LOCK IN SHARE MODE"))
}

const FREE: (bool, bool) = (false, false);
const SHARED: (bool, bool) = (true, false);
const EXCLUSIVE: (bool, bool) = (true, true);

/// The clause of a block locks what is copied for that block, on all groups, and nothing else.
#[test]
fn what_is_gathered_is_locked_where_it_is() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let (mut a, mut b) = (connect(&proxy, "atomic"), connect(&proxy, "atomic"));
        b.run("SET innodb_lock_wait_timeout = 1");
        let pairs = "FROM acct a JOIN acct b ON b.v = a.v AND b.id = a.id + 1 WHERE a.id IN (1, 4)";
        for (sql, locked) in [
            (format!("SELECT a.id, b.id {pairs} FOR UPDATE"), [EXCLUSIVE, EXCLUSIVE]),
            (format!("SELECT a.id, b.id {pairs} LOCK IN SHARE MODE"), [SHARED, SHARED]),
            (format!("SELECT COUNT(*) {pairs}"), [FREE, FREE]),
            (
                "SELECT id FROM acct WHERE id = 1 AND v IN (SELECT v FROM acct WHERE id = 2) FOR UPDATE".to_owned(),
                [EXCLUSIVE, FREE],
            ),
            (
                "SELECT a.id FROM acct a JOIN (SELECT * FROM acct WHERE id = 2 FOR UPDATE) b ON b.v = a.v WHERE a.id = 1"
                    .to_owned(),
                [FREE, EXCLUSIVE],
            ),
        ] {
            a.run("BEGIN");
            let told = a.show(&sql);
            assert!(!told.starts_with("error"), "{sql}: {told}");
            assert_eq!([locks(&mut b, 1), locks(&mut b, 2)], locked, "{sql}");
            a.run("ROLLBACK");
            wait_until("nothing is locked", || locks(&mut b, 1) == FREE && locks(&mut b, 2) == FREE);
        }
        // Alone a statement keeps no lock.
        a.run(&format!("SELECT a.id, b.id {pairs} FOR UPDATE"));
        wait_until("nothing is locked", || locks(&mut b, 1) == FREE && locks(&mut b, 2) == FREE);
    }
}

/// What SKIP LOCKED and NOWAIT say of rows that another session has locked is what one server says.
#[test]
fn rows_that_others_have_locked_are_skipped_or_told() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let reference = TestCluster::start(&installation, &Layout::new(1, 0));
        let ddl = "CREATE DATABASE bank; USE bank; CREATE TABLE acct (id INT PRIMARY KEY, v INT NOT NULL); \
                   INSERT INTO acct SELECT n * 3 + m, 0 FROM (SELECT 0 AS n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3) a, \
                   (SELECT 0 AS m UNION SELECT 1 UNION SELECT 2) b";
        reference.cluster.groups[0].primary.sql(ddl).unwrap();
        let address = reference.cluster.groups[0].primary.addr();
        let one = || Client::connect(&address, account::USER, account::PASSWORD, "bank");
        let (mut busy, mut through) = (connect(&proxy, "atomic"), connect(&proxy, "atomic"));
        let (mut busy_there, mut server) = (one(), one());
        for client in [&mut busy, &mut busy_there] {
            client.run("UPDATE acct SET v = id DIV 2");
            client.run("BEGIN");
            // One by one, by the primary key: a scan would lock more.
            for id in ["2", "5", "9"] {
                assert_eq!(client.show(&format!("SELECT id FROM acct WHERE id = {id} FOR UPDATE")), id);
            }
        }
        let from = "FROM acct a JOIN acct b ON b.id = a.id + 1";
        let left = "FROM acct a LEFT JOIN acct b ON b.id = a.id + 1";
        for sql in [
            format!("SELECT a.id, b.id {from} ORDER BY a.id FOR UPDATE SKIP LOCKED"),
            format!("SELECT a.id, b.id {left} ORDER BY a.id FOR UPDATE SKIP LOCKED"),
            format!("SELECT a.id, b.id {left} ORDER BY a.id LOCK IN SHARE MODE SKIP LOCKED"),
            format!("SELECT COUNT(*), SUM(a.v + b.v) {from} FOR UPDATE SKIP LOCKED"),
            format!("SELECT a.v, COUNT(b.id) {left} GROUP BY a.v ORDER BY a.v FOR UPDATE SKIP LOCKED"),
            "SELECT id FROM acct WHERE v IN (SELECT v FROM acct WHERE id = 5) ORDER BY id FOR UPDATE SKIP LOCKED"
                .to_owned(),
            "SELECT id FROM acct WHERE v IN (SELECT v + 1 FROM acct WHERE id < 6 FOR UPDATE SKIP LOCKED) ORDER BY id"
                .to_owned(),
            "SELECT id FROM acct WHERE v = (SELECT MAX(v) FROM acct WHERE id < 6 FOR UPDATE SKIP LOCKED) ORDER BY id"
                .to_owned(),
            format!("SELECT a.id, b.id {from} WHERE a.id > 6 ORDER BY a.id FOR UPDATE NOWAIT"),
            format!("SELECT a.id, b.id {from} WHERE a.id > 6 ORDER BY a.id"),
        ] {
            let (expected, found) = (server.show(&sql), through.show(&sql));
            assert_eq!(found, expected, "{}: {sql}", installation.flavour);
        }
        for client in [&mut busy, &mut busy_there] {
            client.run("ROLLBACK");
        }
        let told = through.show(&format!("SELECT a.id {from} ORDER BY a.id LIMIT 1 FOR UPDATE SKIP LOCKED"));
        assert!(told.starts_with("error 1235"), "{told}");
        busy.run("SET innodb_lock_wait_timeout = 1");
        wait_until("nothing is locked", || locks(&mut busy, 3) == FREE && locks(&mut busy, 4) == FREE);
        // What it has copied is locked, and nothing is waited for.
        through.run("BEGIN");
        assert_eq!(through.show(&format!("SELECT a.id, b.id {from} WHERE a.id = 3 FOR UPDATE SKIP LOCKED")), "3|4");
        assert_eq!([locks(&mut busy, 3), locks(&mut busy, 4)], [EXCLUSIVE, EXCLUSIVE]);
        through.run("ROLLBACK");
    }
}

/// A locking read waits for a row that another session writes, and sees what that has committed, in a transaction that
/// has read before.
#[test]
fn what_is_gathered_with_locks_is_what_is_newest() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let (mut a, mut b) = (connect(&proxy, "atomic"), connect(&proxy, "atomic"));
        let sum = "SELECT SUM(a.v + b.v) FROM acct a JOIN acct b ON b.id = a.id + 1 WHERE a.id < 3";
        a.run("BEGIN");
        assert_eq!(a.show(sum), "0");
        b.run("UPDATE acct SET v = 1 WHERE id < 4");
        assert_eq!(a.show(sum), "0", "the snapshot of the transaction");
        assert_eq!(a.show(&format!("{sum} FOR UPDATE")), "6");
        b.run("SET innodb_lock_wait_timeout = 1");
        let told = b.show("UPDATE acct SET v = 2 WHERE id = 3");
        assert!(told.starts_with("error 1205"), "{told}");
        a.run("COMMIT");
        wait_until("the row is free", || b.show("UPDATE acct SET v = 2 WHERE id = 3") == "ok 1");
    }
}

/// What a write reads first is locked as one server locks it: shared, subqueries included.
#[test]
fn what_is_read_before_a_write_is_locked() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let (mut a, mut b) = (connect(&proxy, "atomic"), connect(&proxy, "atomic"));
        b.run("SET innodb_lock_wait_timeout = 1");
        for sql in [
            "INSERT INTO acct SELECT a.id + 100, b.v FROM acct a JOIN acct b ON b.v = a.v WHERE a.id = 1 AND b.id = 2",
            "INSERT INTO acct SELECT 101, MAX(v) FROM acct WHERE id IN (1, (SELECT MIN(id) FROM acct WHERE id > 1))",
            "UPDATE rates SET v = 5 WHERE EXISTS (SELECT 1 FROM acct a JOIN acct b ON b.v = a.v WHERE a.id = 1 AND b.id = 2)",
        ] {
            a.run("BEGIN");
            let told = a.show(sql);
            assert_eq!(told, "ok 1", "{sql}");
            assert_eq!([locks(&mut b, 1), locks(&mut b, 2)], [SHARED, SHARED], "{sql}");
            a.run("ROLLBACK");
            wait_until("nothing is locked", || locks(&mut b, 1) == FREE && locks(&mut b, 2) == FREE);
        }
    }
}

/// The rows of a write by keys are locked from its SELECT to the end of the transaction, and an error takes back the
/// whole statement and nothing else.
#[test]
fn what_is_written_by_keys_is_one_statement() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let (mut a, mut b) = (connect(&proxy, "atomic"), connect(&proxy, "atomic"));
        b.run("SET innodb_lock_wait_timeout = 1");
        a.run("BEGIN");
        assert_eq!(a.show("UPDATE acct SET v = 5 WHERE id IN (2, 5)"), "ok 2");
        let adds = "UPDATE acct a JOIN acct b ON b.id = a.id + 1 SET a.v = b.v";
        assert_eq!(a.show(&format!("{adds} WHERE a.id IN (1, 4)")), "ok 2");
        assert_eq!([locks(&mut b, 1), locks(&mut b, 4)], [EXCLUSIVE, EXCLUSIVE]);
        // The row of one group can be written, and that of another cannot.
        let told =
            a.show("UPDATE acct a JOIN acct b ON b.id = a.id + 1 SET a.v = IF(a.id = 4, NULL, 7) WHERE a.id IN (0, 4)");
        assert!(NULL.iter().any(|error| told.starts_with(error)), "{told}");
        assert_eq!(a.show("SELECT GROUP_CONCAT(v ORDER BY id) FROM acct WHERE id < 6"), "0,5,5,0,5,5");
        let told = a.show(&format!("{adds} + (SELECT id FROM rates UNION SELECT 2)"));
        assert!(told.starts_with("error 1242"), "{told}");
        assert_eq!(a.show("DELETE a FROM acct a JOIN acct b ON b.v = a.v AND b.id = a.id + 1 WHERE a.id = 1"), "ok 1");
        assert_eq!(a.show("COMMIT"), "ok 0");
        wait_until("nothing is locked", || locks(&mut b, 4) == FREE);
        assert_eq!(b.show("SELECT GROUP_CONCAT(v ORDER BY id) FROM acct WHERE id < 6"), "0,5,0,5,5");
        // Alone it commits itself, on all groups or none.
        assert_eq!(b.show(&format!("{adds} WHERE a.id > 5")), "ok 0");
        let told = b.show("UPDATE acct a JOIN acct b ON b.id = a.id + 1 SET a.v = IF(a.id = 4, NULL, 7)");
        assert!(NULL.iter().any(|error| told.starts_with(error)), "{told}");
        assert_eq!(b.show("SELECT SUM(v) FROM acct"), "15");
        let told = b.show("DELETE a FROM acct a JOIN rates r ON r.v < a.v JOIN acct b ON b.id = a.id + 1 AND b.v = 5");
        assert_eq!(told, "ok 1");
        b.run("SET SESSION TRANSACTION READ ONLY");
        let told = b.show(&format!("{adds} WHERE a.id > 500"));
        assert!(told.starts_with("error 1792"), "{told}");
    }
}
