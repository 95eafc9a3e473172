//! Lookup tables on real servers: who else wants the same value, what dies in between, what modes allow. What statements
//! answer is compared with one server by `tests/fixtures/score/lookups.sql`.

use std::collections::BTreeMap;

use shardloom::demo::cluster::{Cluster, Layout};
use shardloom::demo::install::{Installation, account};
use shardloom::demo::server::Server;

use crate::servers::atomic::wait_until_clean;
use crate::servers::proxy::{Client, PASSWORD, TestProxy};
use crate::servers::testbed::{TestCluster, installations, wait_until};
use crate::servers::waits::{connections, unsuspecting};

const RULES: &str = r#"
[schema.shop]
home = "g0"

[schema.shop.family.by_user]
column = "id"
method = { mod = 4 }
groups = ["g0", "g1"]
table  = "{table}_{shard}"

[schema.shop.family.by_value]
column = "email"
method = { hash = 4 }
groups = ["g0", "g1"]
table  = "{table}_{shard}"

[schema.shop.table]
users       = { family = "by_user", unique = [{ columns = ["email"], lookup = "users_email" }] }
users_email = { family = "by_value" }
"#;

fn shop(installation: &Installation) -> TestCluster {
    shop_with(installation, &[])
}

/// The same, with further options for the servers.
fn shop_with(installation: &Installation, options: &[&str]) -> TestCluster {
    let options = options.iter().map(ToString::to_string).collect();
    let cluster = TestCluster::start(installation, &Layout { options, ..Layout::new(2, 0) });
    for (g, group) in cluster.cluster.groups.iter().enumerate() {
        let mut ddl = "CREATE DATABASE shop CHARACTER SET utf8mb4; USE shop;".to_owned();
        for shard in 2 * g..2 * g + 2 {
            ddl += &format!(
                "CREATE TABLE users_{shard} (id INT PRIMARY KEY, email VARCHAR(40), note INT, UNIQUE KEY email (email)); \
                 CREATE TABLE users_email_{shard} (email VARCHAR(40) PRIMARY KEY, id INT NOT NULL);"
            );
        }
        group.primary.sql(&ddl).unwrap();
    }
    cluster
}

fn connect(proxy: &TestProxy, user: &str) -> Client {
    Client::connect(&proxy.address().to_string(), user, PASSWORD, "shop")
}

/// The rows and what the lookup has, which must be the same.
fn agree(client: &mut Client) -> String {
    let rows = client.show("SELECT email, id FROM users WHERE email IS NOT NULL ORDER BY email");
    assert_eq!(client.show("SELECT email, id FROM users_email ORDER BY email"), rows);
    rows
}

/// Ends the connections that proxies have to a server.
pub(super) fn cut(cluster: &Cluster, group: usize) {
    let mut server = Client::connect(&cluster.groups[group].primary.addr(), account::USER, account::PASSWORD, "");
    let own = server.show("SELECT CONNECTION_ID()");
    let shown =
        format!("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '{}' AND ID <> {own}", account::USER);
    for id in server.show(&shown).lines() {
        // It may have gone by itself.
        server.query(&format!("KILL {id}")).ok();
    }
}

#[test]
fn of_two_proxies_one_gets_the_value() {
    for installation in installations() {
        let cluster = shop(&installation);
        let proxies = [TestProxy::start(&cluster.cluster, RULES), TestProxy::start(&cluster.cluster, RULES)];
        let told: Vec<(u32, String)> = std::thread::scope(|scope| {
            let clients = (0..4).map(|number| {
                let proxy = &proxies[number % 2];
                scope.spawn(move || {
                    let mut client = connect(proxy, "atomic");
                    let insert = |value: u32| {
                        let id = value * 4 + number as u32;
                        (value, client.show(&format!("INSERT INTO users (id, email) VALUES ({id}, 'v{value}')")))
                    };
                    (0..25).map(insert).collect::<Vec<_>>()
                })
            });
            let clients: Vec<_> = clients.collect();
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        let mut stored: BTreeMap<u32, usize> = BTreeMap::new();
        for (value, told) in told {
            match told.as_str() {
                "ok 1" => *stored.entry(value).or_default() += 1,
                other => {
                    assert!(other.starts_with(&format!("error 1062: Duplicate entry 'v{value}' for key ")), "{other}")
                }
            }
        }
        assert!(stored.len() == 25 && stored.values().all(|count| *count == 1), "{stored:?}");
        assert_eq!(agree(&mut connect(&proxies[0], "atomic")).lines().count(), 25);
    }
}

/// Sessions of two proxies count by ON DUPLICATE KEY UPDATE, each with ids of its own, then take rows from each other by
/// REPLACE and IGNORE: no count is lost, and the lookup has what the rows have.
#[test]
fn whoever_meets_a_row_changes_that_one() {
    for installation in installations() {
        let cluster = shop_with(&installation, &["--innodb-lock-wait-timeout=1"]);
        let proxies = [TestProxy::start(&cluster.cluster, RULES), TestProxy::start(&cluster.cluster, RULES)];
        let rounds = |write: &(dyn Fn(u32, u32) -> String + Sync)| -> BTreeMap<u32, u32> {
            let told: Vec<(u32, String)> = std::thread::scope(|scope| {
                let clients: Vec<_> = (0..4)
                    .map(|number: u32| {
                        let proxy = &proxies[number as usize % 2];
                        scope.spawn(move || {
                            let mut client = connect(proxy, "atomic");
                            let mut write =
                                |round: u32| (round % 5, client.show(&write(round % 5, round * 4 + number)));
                            (0..12).map(&mut write).collect::<Vec<_>>()
                        })
                    })
                    .collect();
                clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
            });
            let mut done: BTreeMap<u32, u32> = BTreeMap::new();
            for (value, told) in told {
                // Who waits for each other in a circle is told so, and so is who met other rows twice.
                let allowed = ["error 1213", "error 1205", "error 1020"].iter().any(|error| told.starts_with(error));
                assert!(told.starts_with("ok ") || allowed, "{told}");
                *done.entry(value).or_default() += u32::from(told.starts_with("ok "));
            }
            done
        };
        let counted = rounds(&|value, id| {
            format!(
                "INSERT INTO users (id, email, note) VALUES ({id}, 'v{value}', 1) ON DUPLICATE KEY UPDATE note = note + 1"
            )
        });
        let mut client = connect(&proxies[0], "atomic");
        agree(&mut client);
        for (value, times) in counted {
            let shown = client.show(&format!("SELECT SUM(note), COUNT(*) FROM users WHERE email = 'v{value}'"));
            assert_eq!(shown, format!("{times}|1"), "v{value}");
        }
        rounds(&|value, id| format!("REPLACE INTO users (id, email, note) VALUES ({}, 'v{value}', {id})", 1000 + id));
        agree(&mut client);
        rounds(&|value, id| match (id % 3, 2000 + id) {
            (0, id) => format!("INSERT IGNORE INTO users (id, email) VALUES ({id}, 'v{value}')"),
            (1, _) => format!("DELETE FROM users WHERE email = 'v{value}'"),
            (_, id) => format!(
                "INSERT INTO users (id, email) VALUES ({id}, 'v{value}') ON DUPLICATE KEY UPDATE email = 'w{id}'"
            ),
        });
        agree(&mut client);
    }
}

/// KILL QUERY ends the statement, not only the look into the lookup that it waits for.
#[test]
fn a_kill_ends_a_look_and_the_statement() {
    for installation in installations() {
        let cluster = shop(&installation);
        let proxy = TestProxy::start_with(&cluster.cluster, RULES, unsuspecting);
        let (mut client, mut killer) = (connect(&proxy, "atomic"), connect(&proxy, "atomic"));
        client.run("INSERT INTO users VALUES (1, 'a', 5)");
        let by_email = "SELECT note FROM users WHERE email = 'a'";
        assert_eq!(client.show(by_email), "5");
        let id = client.conn.thread_id;
        let servers = || cluster.cluster.groups.iter().map(|group| &group.primary);
        servers().for_each(Server::freeze);
        let asked = std::thread::spawn(move || client.show(by_email));
        wait_until("the lookup is asked", || connections(&proxy, "leased") == 1);
        killer.run(&format!("KILL QUERY {id}"));
        wait_until("the statement has ended", || asked.is_finished());
        servers().for_each(Server::thaw);
        let told = asked.join().unwrap();
        assert!(told.starts_with("error 1317"), "{told}");
    }
}

/// A statement that fails is taken back where the transaction is, and not on a connection that is held for a user lock.
#[test]
fn what_a_session_holds_besides_does_not_end_its_transaction() {
    for installation in installations() {
        let cluster = shop(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut client = connect(&proxy, "atomic");
        for (sql, expected) in [
            ("SELECT GET_LOCK('mine', 0)", "1"),
            ("BEGIN", "ok 0"),
            ("INSERT INTO users (id) VALUES (2)", "ok 1"),
            ("INSERT INTO users (id) VALUES (2)", "error 1062"),
            ("INSERT INTO users (id) VALUES (6)", "ok 1"),
            ("COMMIT", "ok 0"),
            ("SELECT COUNT(*) FROM users", "2"),
        ] {
            let told = client.show(sql);
            assert!(told.starts_with(expected), "{sql}: {told}");
        }
    }
}

#[test]
fn a_value_that_another_transaction_holds_is_waited_for() {
    for installation in installations() {
        let cluster = shop(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let (mut one, mut other) = (connect(&proxy, "atomic"), connect(&proxy, "atomic"));
        other.run("SET innodb_lock_wait_timeout = 1");
        for (end, told) in [("ROLLBACK", "ok 1"), ("COMMIT", "error 1062: Duplicate entry")] {
            one.run("DELETE FROM users");
            one.run("BEGIN");
            one.run("INSERT INTO users (id, email) VALUES (1, 'held')");
            let shown = other.show("INSERT INTO users (id, email) VALUES (2, 'held')");
            assert!(shown.starts_with("error 1205"), "{shown}");
            one.run(end);
            let shown = other.show("INSERT INTO users (id, email) VALUES (2, 'held')");
            assert!(shown.starts_with(told), "{end}: {shown}");
            agree(&mut one);
        }
        // The same of a value that is about to be free.
        one.run("BEGIN");
        one.run("DELETE FROM users WHERE email = 'held'");
        let shown = other.show("INSERT INTO users (id, email) VALUES (2, 'held')");
        assert!(shown.starts_with("error 1205"), "{shown}");
        one.run("COMMIT");
        assert_eq!(other.show("INSERT INTO users (id, email) VALUES (2, 'held')"), "ok 1");
        agree(&mut one);
    }
}

/// A server rolls a whole transaction back: nothing of what comes then may believe that it is still there.
#[test]
fn behind_a_transaction_that_a_server_rolled_back_a_write_is_whole() {
    for installation in installations() {
        let cluster = shop_with(&installation, &["--innodb_rollback_on_timeout=ON"]);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let (mut one, mut other) = (connect(&proxy, "atomic"), connect(&proxy, "atomic"));
        one.run("INSERT INTO users (id, email, note) VALUES (1, 'a', 0), (2, 'b', 0), (3, 'c', 0)");
        one.run("BEGIN");
        one.run("UPDATE users SET note = 1 WHERE id = 1");
        other.run("SET innodb_lock_wait_timeout = 1");
        other.run("BEGIN");
        other.run("INSERT INTO users (id, note) VALUES (5, 0)");
        let shown = other.show("UPDATE users SET note = 2 WHERE id = 1");
        assert!(shown.starts_with("error 1205"), "{shown}");
        // The lookup alone knows that the value is taken.
        let shown = other.show("INSERT INTO users (id, email) VALUES (9, 'b')");
        assert!(shown.starts_with("error 1062: Duplicate entry 'b'"), "{shown}");
        one.run("COMMIT");
        assert_eq!(one.show("SELECT id FROM users ORDER BY id"), "1\n2\n3");
        agree(&mut one);
    }
}

#[test]
fn a_failed_write_leaves_connections_alone_that_are_kept_for_something_else() {
    for installation in installations() {
        let cluster = shop(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut client = connect(&proxy, "atomic");
        for number in 0..20 {
            client.run(&format!("INSERT INTO users (id, email) VALUES ({}, 'v{number}')", 2 + 4 * number));
        }
        // One whose row and whose entry are both on the second group.
        let second = &cluster.cluster.groups[1].primary;
        let mut server = Client::connect(&second.addr(), account::USER, account::PASSWORD, "shop");
        let entries = "SELECT email FROM users_email_2 UNION ALL SELECT email FROM users_email_3";
        let taken = server.show(&format!("SELECT MIN(email) FROM ({entries}) AS t"));
        // The first group's connection is kept, and has no part in the transaction.
        client.run("CREATE TEMPORARY TABLE mine (id INT)");
        client.run("BEGIN");
        assert_eq!(client.show("INSERT INTO users (id, email) VALUES (402, 'new')"), "ok 1");
        let shown = client.show(&format!("INSERT INTO users (id, email) VALUES (406, '{taken}')"));
        assert!(shown.starts_with("error 1062"), "{shown}");
        assert_eq!(client.show("COMMIT"), "ok 0");
        assert_eq!(client.show("SELECT email FROM users WHERE id = 402"), "new");
        assert_eq!(client.show("SELECT COUNT(*) FROM mine"), "0");
        agree(&mut client);
    }
}

#[test]
fn whatever_is_cut_off_leaves_both_or_none() {
    for installation in installations() {
        let cluster = shop(&installation);
        let proxy = TestProxy::start_with(&cluster.cluster, RULES, |config| {
            config.timeouts.in_doubt = std::time::Duration::from_secs(1);
        });
        let acknowledged: Vec<u32> = std::thread::scope(|scope| {
            let writers = (0..3).map(|number: u32| {
                let proxy = &proxy;
                scope.spawn(move || {
                    let mut client = connect(proxy, "atomic");
                    let mut done = Vec::new();
                    for round in 0..40 {
                        let id = round * 3 + number;
                        let told = client.show(&format!("INSERT INTO users (id, email) VALUES ({id}, 'e{id}')"));
                        if told == "ok 1" {
                            done.push(id);
                        }
                        if round % 3 == 0
                            && client
                                .show(&format!("UPDATE users SET email = 'f{id}' WHERE id = {id}"))
                                .starts_with("ok")
                        {
                            client.show(&format!("DELETE FROM users WHERE id = {}", id + 1000));
                        }
                    }
                    done
                })
            });
            let writers: Vec<_> = writers.collect();
            let mut turn = 0;
            while writers.iter().any(|writer| !writer.is_finished()) {
                turn += 1;
                cut(&cluster.cluster, turn % 2);
                std::thread::sleep(std::time::Duration::from_millis(30));
            }
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        wait_until_clean(&cluster.cluster);
        let mut client = connect(&proxy, "atomic");
        agree(&mut client);
        let ids = client.show("SELECT id FROM users");
        let ids: Vec<u32> = ids.lines().map(|id| id.parse().unwrap()).collect();
        let lost: Vec<&u32> = acknowledged.iter().filter(|id| !ids.contains(id)).collect();
        assert!(lost.is_empty(), "acknowledged, and lost: {lost:?}");
    }
}

#[test]
fn modes_that_could_lose_one_half_are_refused() {
    for installation in installations() {
        let cluster = shop(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let insert = "INSERT INTO users (id, email) VALUES (0, 'a'), (1, 'b'), (2, 'c'), (3, 'd')";
        let mut single = connect(&proxy, "app");
        let shown = single.show(insert);
        assert!(shown.starts_with("error 1235") && shown.contains("transaction_mode = \"single\""), "{shown}");
        let mut wide = connect(&proxy, "wide");
        let shown = wide.show("INSERT INTO users (id, email) VALUES (0, 'a')");
        assert!(shown.starts_with("error 1235") && shown.contains("best_effort"), "{shown}");
        assert_eq!(wide.show("INSERT INTO users (id, email) VALUES (9, 'x')").split(':').next(), Some("error 1235"));
        let mut client = connect(&proxy, "atomic");
        assert_eq!(agree(&mut client), "");
        assert_eq!(client.show(insert), "ok 4");
        assert_eq!(wide.show("UPDATE users SET note = 1 WHERE id = 0"), "ok 1");
        let shown = wide.show("DELETE FROM users WHERE id = 0");
        assert!(shown.starts_with("error 1235") && shown.contains("best_effort"), "{shown}");
        assert_eq!(agree(&mut client), "a|0\nb|1\nc|2\nd|3");
    }
}

#[test]
fn a_lookup_is_filled_for_the_rows_that_are_there() {
    let writing = RULES.replace("lookup = \"users_email\"", "lookup = \"users_email\", state = \"writing\"");
    for installation in installations() {
        let cluster = shop(&installation);
        cluster.cluster.groups[0]
            .primary
            .sql("INSERT INTO shop.users_1 VALUES (1, 'old1', 0), (5, 'old5', 0)")
            .unwrap();
        cluster.cluster.groups[1].primary.sql("INSERT INTO shop.users_2 VALUES (2, 'old2', 0), (6, NULL, 0)").unwrap();
        let proxy = TestProxy::start(&cluster.cluster, &writing);
        let mut client = connect(&proxy, "atomic");
        assert_eq!(client.show("INSERT INTO users (id, email) VALUES (3, 'new3')"), "ok 1");
        assert_eq!(client.show("UPDATE users SET email = 'new5' WHERE id = 5"), "ok 1");
        assert_eq!(client.show("SELECT email, id FROM users_email ORDER BY 1"), "new3|3\nnew5|5");
        // Nothing goes by it yet.
        assert_eq!(client.show("SELECT id FROM users WHERE email = 'old2'"), "2");
        let fill = "INSERT IGNORE INTO users_email SELECT email, id FROM users WHERE email IS NOT NULL";
        assert_eq!(client.show(fill), "ok 2");
        assert_eq!(agree(&mut client), "new3|3\nnew5|5\nold1|1\nold2|2");
        let shown = client.show("INSERT INTO users (id, email) VALUES (4, 'OLD1')");
        assert!(shown.starts_with("error 1062: Duplicate entry 'OLD1' for key "), "{shown}");
    }
}

/// Shard 3 is gone: whoever asks it is told so.
fn without_shard_3(cluster: &Cluster) {
    cluster.groups[1].primary.sql("RENAME TABLE shop.users_3 TO shop.aside").unwrap();
}

#[test]
fn a_lookup_leads_to_the_shards_of_its_rows() {
    for installation in installations() {
        let cluster = shop(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut client = connect(&proxy, "atomic");
        client.run("INSERT INTO users VALUES (0, 'e0', 0), (1, 'e1', 1), (2, 'e2', 2), (5, 'e5', 5), (6, NULL, 6)");
        without_shard_3(&cluster.cluster);
        let all_shards = client.show("SELECT id FROM users WHERE note = 1");
        assert!(all_shards.starts_with("error 1146"), "{all_shards}");
        for (sql, told) in [
            ("SELECT id FROM users WHERE email = 'e1'", "1"),
            ("SELECT id FROM users WHERE email = 'E1' AND note = 9", ""),
            ("SELECT COUNT(*), MAX(note) FROM users WHERE email = 'e5'", "1|5"),
            ("SELECT id FROM users WHERE email IN ('e5', 'e1') ORDER BY id", "1\n5"),
            ("SELECT id FROM users WHERE email IN ('E5', 'e1', 'e5', 'e0') AND note > 0 ORDER BY id DESC LIMIT 1", "5"),
            ("SELECT SUM(note), AVG(id) FROM users WHERE email IN ('e1', 'e2')", "3|1.5000"),
            ("SELECT id FROM users WHERE email IN ('e2', 'e1') ORDER BY id FOR UPDATE", "1\n2"),
            ("UPDATE users SET note = note + 1 WHERE email IN ('e0', 'e1', 'e2')", "ok 3"),
            ("DELETE FROM users WHERE email IN ('e0', 'e1')", "ok 2"),
            ("SELECT id FROM users WHERE email = 'e2' FOR UPDATE", "2"),
            ("SELECT id FROM users WHERE email = 'e2' LOCK IN SHARE MODE", "2"),
            ("UPDATE users SET note = 7 WHERE email = 'e2'", "ok 1"),
            ("UPDATE users SET email = 'f2' WHERE email = 'e2'", "ok 1"),
            ("SELECT note FROM users WHERE email = 'f2'", "7"),
            ("DELETE FROM users WHERE email = 'e5'", "ok 1"),
            ("BEGIN", "ok 0"),
            ("INSERT INTO users VALUES (9, 'own', 9)", "ok 1"),
            ("SELECT id FROM users WHERE email = 'own'", "9"),
            ("DELETE FROM users WHERE email = 'own'", "ok 1"),
            ("SELECT id FROM users WHERE email = 'f2'", "2"),
            ("COMMIT", "ok 0"),
        ] {
            assert_eq!(client.show(sql), told, "{sql}");
        }
        // What a lookup does not have is looked for everywhere.
        for sql in [
            "SELECT id FROM users WHERE email = 'e5'",
            "SELECT id FROM users WHERE email IN ('f2', 'e5')",
            "SELECT id FROM users WHERE email IN ('f2', NULL)",
        ] {
            let shown = client.show(sql);
            assert!(shown.starts_with("error 1146"), "{sql}: {shown}");
        }
    }
}

#[test]
fn a_lookup_that_is_wrong_or_older_misleads_nobody() {
    for installation in installations() {
        let cluster = shop(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut client = connect(&proxy, "atomic");
        client.run("INSERT INTO users VALUES (0, 'e0', 0), (1, 'e1', 1), (2, 'e2', 2), (3, 'e3', 3)");
        // Behind the proxy's back: one row leads elsewhere, one is missing.
        for (group, shards) in [(0, 0..2), (1, 2..4)] {
            for shard in shards {
                let sql = format!(
                    "UPDATE shop.users_email_{shard} SET id = 2 WHERE email = 'e1'; \
                     DELETE FROM shop.users_email_{shard} WHERE email = 'e3';"
                );
                cluster.cluster.groups[group].primary.sql(&sql).unwrap();
            }
        }
        for (sql, told) in [
            ("SELECT id FROM users WHERE email = 'e1'", "1"),
            ("SELECT COUNT(*) FROM users WHERE email = 'e1'", "1"),
            ("SELECT id FROM users WHERE email = 'e3'", "3"),
            ("SELECT id FROM users WHERE email IN ('e0', 'e1', 'e2') ORDER BY id", "0\n1\n2"),
            ("SELECT id FROM users WHERE email IN ('e2', 'e3') ORDER BY id", "2\n3"),
            ("SELECT id FROM users WHERE email = 'e1' FOR UPDATE", "1"),
            ("UPDATE users SET note = 11 WHERE email = 'e1'", "ok 1"),
            ("UPDATE users SET note = 33 WHERE email = 'e3'", "ok 1"),
            ("DELETE FROM users WHERE email = 'e3'", "ok 1"),
            ("SELECT id, note FROM users ORDER BY id", "0|0\n1|11\n2|2"),
        ] {
            assert_eq!(client.show(sql), told, "{sql}");
        }
        // A transaction sees what was when it began, though the lookup has moved on.
        client.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
        client.run("BEGIN");
        assert_eq!(client.show("SELECT COUNT(*) FROM users"), "3");
        let mut other = connect(&proxy, "atomic");
        other.run("BEGIN");
        other.run("DELETE FROM users WHERE email = 'e0'");
        other.run("INSERT INTO users VALUES (6, 'e0', 6), (7, 'e7', 7)");
        other.run("COMMIT");
        assert_eq!(other.show("SELECT id FROM users WHERE email = 'e0'"), "6");
        assert_eq!(client.show("SELECT id FROM users WHERE email = 'e0'"), "0");
        assert_eq!(client.show("SELECT id FROM users WHERE email = 'e7'"), "");
        assert_eq!(client.show("SELECT id FROM users WHERE email IN ('e0', 'e7', 'e1')"), "0\n1");
        // Writes and locks are of what is there now.
        assert_eq!(client.show("SELECT id FROM users WHERE email = 'e7' FOR UPDATE"), "7");
        assert_eq!(client.show("UPDATE users SET note = 66 WHERE email = 'e0'"), "ok 1");
        client.run("COMMIT");
        assert_eq!(client.show("SELECT id, note FROM users WHERE email = 'e0'"), "6|66");
    }
}
