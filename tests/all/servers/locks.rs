//! What a session has on a connection of its own (user locks, temporary tables), and what becomes of it: it is there as
//! long as the client may believe so.

use shardloom::config::LockTables;

use super::atomic::{RULES, bank, connect};
use super::lookup::cut;
use super::testbed::{installations, wait_until};

/// GET_LOCK is taken at the same place by all, whatever a session's transaction has touched before.
#[test]
fn user_locks_keep_sessions_apart() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = super::proxy::TestProxy::start(&cluster.cluster, RULES);
        let (mut a, mut b) = (connect(&proxy, "atomic"), connect(&proxy, "atomic"));
        let (free, taken) = ("SELECT GET_LOCK('m', 0)", "0");
        a.run("BEGIN");
        a.run("UPDATE acct SET v = 7 WHERE id = 1");
        assert_eq!((a.show(free), b.show(free)), ("1".into(), taken.into()));
        // It is no part of the transaction, and outlives it.
        assert_eq!(a.show("SHOW SHARDLOOM TRANSACTIONS").lines().count(), 1);
        assert_eq!(a.show("SELECT v FROM acct WHERE id = 1"), "7");
        a.run("ROLLBACK");
        assert_eq!(b.show(free), taken);
        assert_eq!((a.show("DO RELEASE_LOCK('m')"), b.show(free)), ("ok 0".into(), "1".into()));
        b.run("DO RELEASE_ALL_LOCKS()");
        assert_eq!((a.show("DO GET_LOCK('m', 0)"), b.show(free)), ("ok 0".into(), taken.into()));
        let told = b.show("SET @a = GET_LOCK('m', 0)");
        assert!(told.starts_with("error 1235"), "{told}");
        let told = b.show("SELECT GET_LOCK('m', 0) FROM acct WHERE id = 1");
        assert!(told.starts_with("error 1235"), "{told}");
        drop(a);
        wait_until("the lock is free", || b.show(free) == "1");
    }
}

/// A transaction whose connection is lost takes no lock of another group along.
#[test]
fn a_lost_transaction_leaves_the_session_its_locks() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = super::proxy::TestProxy::start(&cluster.cluster, RULES);
        for writes in [&[1][..], &[0, 1], &[1, 0]] {
            let (mut a, mut b) = (connect(&proxy, "atomic"), connect(&proxy, "atomic"));
            assert_eq!(a.show("SELECT GET_LOCK('mine', 0)"), "1");
            a.run("BEGIN");
            for id in writes {
                a.run(&format!("UPDATE acct SET v = 100 WHERE id = {id}"));
            }
            cut(&cluster.cluster, 1);
            let mut told = String::new();
            wait_until("the connection is lost", || {
                told = a.show("UPDATE acct SET v = 101 WHERE id = 1");
                told != "ok 1" && told != "ok 0"
            });
            assert!(told.starts_with("error 2013") || told.starts_with("error 1184"), "{told}");
            let told = a.show("UPDATE acct SET v = 101 WHERE id = 2");
            assert!(told.starts_with("error 1184: The transaction was rolled back because"), "{told}");
            assert_eq!(b.show("SELECT IS_FREE_LOCK('mine')"), "0", "{writes:?}");
            assert_eq!(a.show("ROLLBACK"), "ok 0");
            assert_eq!(b.show("UPDATE acct SET v = v + 1 WHERE id < 2"), "ok 2", "nothing holds the rows");
            assert_eq!(a.show("SELECT MAX(v) < 100 FROM acct"), "1");
            assert_eq!(a.show("SELECT RELEASE_LOCK('mine')"), "1", "{writes:?}");
        }
    }
}

/// A lock that is gone is gone with the session, as with one server: the client is told before it does anything else.
#[test]
fn a_session_ends_with_what_it_had_on_a_lost_connection() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = super::proxy::TestProxy::start(&cluster.cluster, RULES);
        for takes in ["SELECT GET_LOCK('mine', 0)", "CREATE TEMPORARY TABLE mine (i INT)"] {
            for begins in ["SELECT 1", "BEGIN"] {
                let mut a = connect(&proxy, "atomic");
                a.run(takes);
                a.run(begins);
                cut(&cluster.cluster, 0);
                // On another group, with which nothing is wrong.
                let mut told = String::new();
                wait_until("the client is told", || {
                    told = a.show("UPDATE acct SET v = v + 1 WHERE id = 1");
                    told != "ok 1"
                });
                assert!(told.starts_with("error 2013") && told.contains("they are gone"), "{takes}: {told}");
                let told = a.show("SELECT 1");
                assert!(told.starts_with("lost"), "{takes}: {told}");
            }
        }
    }
}

/// Tables in several places cannot be locked: whoever loads a dump may have that passed over, and is told so.
#[test]
fn table_locks_that_cannot_be_had_are_refused_or_ignored() {
    for installation in installations() {
        let cluster = bank(&installation);
        let proxy = super::proxy::TestProxy::start_with(&cluster.cluster, RULES, |config| {
            let loader = config.users.iter_mut().find(|user| user.name == "atomic").unwrap();
            loader.lock_tables = LockTables::Ignore;
        });
        let (mut loader, mut other) = (connect(&proxy, "atomic"), connect(&proxy, "wide"));
        other.run("CREATE TABLE alone (id INT PRIMARY KEY)");
        for sql in ["LOCK TABLES acct WRITE", "LOCK TABLES rates READ", "LOCK TABLES alone READ, rates AS r WRITE"] {
            let told = other.show(sql);
            assert!(told.starts_with("error 1235: LOCK TABLES of tables that lie in several places"), "{told}");
            // What is open is committed as ever, and what is not locked is no further's.
            loader.run("BEGIN");
            loader.run("UPDATE acct SET v = v + 1 WHERE id = 1");
            assert_eq!(loader.show(sql), "ok 0");
            let told = loader.show("SHOW WARNINGS");
            assert!(told.starts_with("Warning|1105|LOCK TABLES of tables that lie in several places"), "{told}");
            assert_eq!(other.show("UPDATE acct SET v = v + 1 WHERE id = 1"), "ok 1");
            assert_eq!(loader.show("INSERT INTO acct VALUES (100, 1), (101, 1), (102, 1)"), "ok 3");
            assert_eq!(loader.show("SELECT SUM(acct.v) FROM acct, rates WHERE acct.id > 99"), "3");
            assert_eq!(loader.show("DELETE FROM acct WHERE id > 99"), "ok 3");
            assert_eq!(loader.show("UNLOCK TABLES"), "ok 0");
        }
        assert_eq!(other.show("SELECT v FROM acct WHERE id = 1"), "6");
        // What one server has is locked, until the next LOCK TABLES.
        loader.run("LOCK TABLES alone WRITE");
        let told = loader.show("SELECT v FROM acct WHERE id = 1");
        assert_eq!(told, "error 1100: Table 'acct' was not locked with LOCK TABLES");
        other.run("SET lock_wait_timeout = 1");
        assert!(other.show("SELECT * FROM alone").starts_with("error 1205"));
        loader.run("LOCK TABLES acct WRITE");
        assert_eq!(loader.show("SELECT v FROM acct WHERE id = 1"), "6");
        assert_eq!(other.show("SELECT COUNT(*) FROM alone"), "0");
    }
}
