//! Data definitions over real servers: that all places change, that what is half done shows and can be gone on with,
//! and that nothing is done twice.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shardloom::config::Schemas;
use shardloom::demo::cluster::Layout;
use shardloom::demo::install::account;

use crate::servers::proxy::{Client, PASSWORD, TestProxy};
use crate::servers::shop::RULES;
use crate::servers::testbed::{PATIENCE, TestCluster, installations, wait_until};

/// Each statement with what it must answer; `…` stands for any end.
fn check(client: &mut Client, steps: &[(&str, &str)]) {
    for (sql, expected) in steps {
        let got = client.show(sql);
        match expected.strip_suffix('…') {
            Some(start) => assert!(got.starts_with(start), "{sql}\n  got      {got}\n  expected {expected}"),
            None => assert_eq!(got, *expected, "{sql}"),
        }
    }
}

/// Two groups with an empty schema, behind a proxy.
struct World {
    cluster: TestCluster,
    proxy: TestProxy,
}

impl World {
    fn client(&self) -> Client {
        Client::of(&self.proxy)
    }

    /// Straight to the primary of a group.
    fn server(&self, group: usize) -> Client {
        let address = self.cluster.cluster.groups[group].primary.addr();
        Client::connect(&address, account::USER, account::PASSWORD, "shop")
    }
}

fn with_world(test: impl Fn(&mut World)) {
    for installation in installations() {
        let cluster = TestCluster::start(&installation, &Layout::new(2, 0));
        for group in &cluster.cluster.groups {
            group.primary.sql("CREATE DATABASE shop CHARACTER SET utf8mb4").unwrap();
        }
        let proxy = TestProxy::start(&cluster.cluster, &rules());
        test(&mut World { cluster, proxy });
    }
}

/// The shop's, and three names that tables may exchange.
fn rules() -> String {
    let more = ["today", "tomorrow", "spare"].map(|table| format!("{table} = {{ family = \"by_user\" }}\n"));
    format!("{RULES}{}", more.concat())
}

const USERS: &str = "CREATE TABLE users (id BIGINT PRIMARY KEY, name VARCHAR(40))";
const ORDERS: &str = "CREATE TABLE orders (id BIGINT, user_id BIGINT, total INT, PRIMARY KEY (id, user_id), \
                      FOREIGN KEY (user_id) REFERENCES users (id))";

#[test]
fn all_places_change_and_the_next_statement_knows() {
    with_world(|world| {
        let mut client = world.client();
        check(
            &mut client,
            &[
                (USERS, "ok 0"),
                (ORDERS, "ok 0"),
                (USERS, "error 1050: Table 'users' already exists"),
                ("CREATE TABLE currencies (code CHAR(3) PRIMARY KEY)", "ok 0"),
                ("SHOW SHARDLOOM DDL", ""),
                ("INSERT INTO users VALUES (1, 'ann')", "ok 1"),
                ("INSERT INTO orders VALUES (1, 1, 10)", "ok 1"),
                (
                    "INSERT INTO orders VALUES (2, 99, 10)",
                    "error 1452: Cannot add or update a child row: a foreign key constraint fails (`shop`.`orders`, \
                     CONSTRAINT `orders_ibfk_1` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`))",
                ),
                (
                    "DELETE FROM users WHERE id = 1",
                    "error 1451: Cannot delete or update a parent row: a foreign key constraint fails (`shop`.`orders`, \
                     CONSTRAINT `orders_ibfk_1` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`))",
                ),
                ("ALTER TABLE orders ADD COLUMN note VARCHAR(10) DEFAULT 'x'", "ok 0"),
                ("SELECT * FROM orders", "1|1|10|x"),
                ("ALTER TABLE orders ADD COLUMN note INT", "error 1060: Duplicate column name 'note'"),
                ("SHOW SHARDLOOM DDL", ""),
                ("CREATE INDEX by_total ON orders (total)", "ok 0"),
                ("BEGIN", "ok 0"),
                ("INSERT INTO orders VALUES (2, 1, 20, 'y')", "ok 1"),
                ("DROP TABLE IF EXISTS currencies", "ok 0"),
                ("ROLLBACK", "ok 0"),
                ("SELECT COUNT(*) FROM orders", "2"),
                ("SELECT * FROM currencies", "error 1146: Table 'shop.currencies' doesn't exist"),
                (
                    "TRUNCATE users",
                    "error 1701: Cannot truncate a table referenced in a foreign key constraint (`shop`.`orders`, CONSTRAINT…",
                ),
                ("TRUNCATE orders", "ok 0"),
                ("SELECT COUNT(*) FROM orders", "0"),
                ("DROP TABLE orders, users", "ok 0"),
                ("SELECT * FROM users", "error 1146: Table 'shop.users' doesn't exist"),
                ("SHOW TABLES", ""),
            ],
        );
        for group in 0..2 {
            assert_eq!(world.server(group).show("SHOW TABLES"), "");
        }
    });
}

/// One target refuses: the record shows where, and resuming it does what is left.
#[test]
fn what_is_half_done_shows_and_is_resumed() {
    with_world(|world| {
        let mut client = world.client();
        client.run(USERS);
        // On one shard only a column is in the way.
        world.server(1).run("ALTER TABLE users_05 ADD COLUMN age INT");
        check(
            &mut client,
            &[
                (
                    "ALTER TABLE users ADD COLUMN age INT",
                    "error 1060: Duplicate column name 'age'; DDL 2 is half done: done at g0/0, g0/1, g0/2, g0/3, g1/4, \
                     refused at g1/5, not tried at g1/6, g1/7; SHARDLOOM DDL RESUME 2 goes on, SHOW SHARDLOOM DDL tells \
                     more",
                ),
                ("ALTER TABLE users ADD COLUMN b INT", "error 1235: DDL 2 on shop.users is half done: SHARDLOOM DDL…"),
                ("TRUNCATE users", "error 1235: DDL 2 on shop.users is half done…"),
                ("SHARDLOOM DDL RESUME 7", "error 1235: There is no unfinished DDL 7…"),
                ("SHARDLOOM DDL RESUME 2", "error 1060: Duplicate column name 'age'; DDL 2 is half done…"),
            ],
        );
        let shown = client.show("SHOW SHARDLOOM DDL");
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 8, "{shown}");
        assert!(lines[4].starts_with("2|g0|shop|ALTER TABLE users ADD COLUMN age INT|app|"), "{shown}");
        assert!(lines[4].ends_with("|half done|g1/4|done|"), "{shown}");
        assert!(lines[5].ends_with("|half done|g1/5|failed|Duplicate column name 'age'"), "{shown}");
        assert!(lines[6].ends_with("|half done|g1/6|waiting|"), "{shown}");

        world.server(1).run("ALTER TABLE users_05 DROP COLUMN age");
        check(
            &mut client,
            &[
                ("SHARDLOOM DDL RESUME 2", "ok 0"),
                ("SHOW SHARDLOOM DDL", ""),
                ("INSERT INTO users VALUES (1, 'ann', 30)", "ok 1"),
                ("SELECT SUM(age) FROM users", "30"),
            ],
        );

        // Dropped, the record stands in nobody's way, and the tables are as they are.
        world.server(1).run("ALTER TABLE users_04 ADD COLUMN c INT");
        check(
            &mut client,
            &[
                ("ALTER TABLE users ADD COLUMN c INT", "error 1060: Duplicate column name 'c'; DDL 3 is half done…"),
                ("SHARDLOOM DDL DROP 3", "ok 0"),
                ("SHOW SHARDLOOM DDL", ""),
            ],
        );
        world.server(1).run("ALTER TABLE users_04 DROP COLUMN c");
        check(&mut client, &[("ALTER TABLE users DROP COLUMN c", "error 1091…")]);
    });
}

/// The statement in a session of its own; its answer when there is one.
fn in_background(proxy: &TestProxy, sql: &'static str) -> JoinHandle<String> {
    let address = proxy.address().to_string();
    std::thread::spawn(move || Client::connect(&address, "app", PASSWORD, "shop").show(sql))
}

/// Until SHOW SHARDLOOM DDL says that a place is in a state.
fn until(client: &mut Client, place: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = client.show("SHOW SHARDLOOM DDL");
        if shown.lines().any(|line| line.contains(place)) {
            return;
        }
        assert!(Instant::now() < deadline, "no {place} in:\n{shown}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A server dies under its step, and the proxy that waited for it ends: another proxy finds out what was done.
#[test]
fn what_a_dead_server_and_a_dead_proxy_left_is_finished_by_another_proxy() {
    with_world(|world| {
        let other = TestProxy::start(&world.cluster.cluster, &rules());
        let mut client = Client::of(&other);
        client.run(USERS);
        client.run("INSERT INTO users VALUES (1, 'ann')");

        // The step at g1/5 waits for a reader that does not end, until its server is killed.
        let reader = |world: &World, table: &str| {
            let mut reader = world.server(1);
            reader.run("BEGIN");
            reader.run(&format!("SELECT * FROM {table}"));
            reader
        };
        let held = reader(world, "users_05");
        let waiting = in_background(&world.proxy, "ALTER TABLE users ADD COLUMN age INT DEFAULT 7");
        until(&mut client, "|running|g1/5|running|");
        check(
            &mut client,
            &[
                ("SHARDLOOM DDL RESUME 2", "error 1235: DDL 2 is still running"),
                ("SET lock_wait_timeout = 1", "ok 0"),
                ("TRUNCATE users", "error 1205: Lock wait timeout exceeded; try restarting transaction"),
            ],
        );
        let group = &mut world.cluster.cluster.groups[1];
        group.primary.kill();
        let answer = waiting.join().unwrap();
        assert!(answer.starts_with("error 2013: Lost connection to g1"), "{answer}");
        let end = "DDL 2 is half done: done at g0/0, g0/1, g0/2, g0/3, g1/4, of unknown outcome at g1/5, not tried at \
                   g1/6, g1/7; SHARDLOOM DDL RESUME 2 goes on, SHOW SHARDLOOM DDL tells more";
        assert!(answer.ends_with(end), "{answer}");
        drop(held);
        group.primary.restart().unwrap();
        until(&mut client, "|half done|g1/5|unknown|Lost connection to g1");
        // The proxy has to see that the server is back.
        wait_until("g1 is back", || client.show("SELECT COUNT(*) FROM users") == "1");
        check(
            &mut client,
            &[
                ("SHARDLOOM DDL RESUME 2 ON g1", "error 1235: There is no unfinished DDL 2…"),
                ("SHARDLOOM DDL RESUME 2 ON g0", "ok 0"),
                ("SHOW SHARDLOOM DDL", ""),
                ("SELECT * FROM users", "1|ann|7"),
            ],
        );

        // The same with a proxy that ends while it waits; its statement still waits on the server.
        for (sql, id) in [("ALTER TABLE users DROP COLUMN age", 3), ("TRUNCATE users", 4)] {
            let held = reader(world, "users_06");
            let waiting = in_background(&world.proxy, sql);
            until(&mut client, "|running|g1/6|running|");
            world.proxy = TestProxy::start(&world.cluster.cluster, &rules());
            let answer = waiting.join().unwrap();
            assert!(!answer.starts_with("ok"), "{answer}");
            until(&mut client, "|half done|g1/6|unknown|");
            drop(held);
            check(&mut client, &[(&format!("SHARDLOOM DDL RESUME {id}"), "ok 0"), ("SHOW SHARDLOOM DDL", "")]);
        }
        check(&mut client, &[("SELECT * FROM users", ""), ("SELECT id, name FROM users WHERE id = 1", "")]);

        // Tables that look alike and exchange their names: whether they did only their numbers tell.
        client.run("CREATE TABLE today (user_id BIGINT, what VARCHAR(20), PRIMARY KEY (user_id))");
        client.run("CREATE TABLE tomorrow LIKE today");
        for user in 0..40 {
            client.run(&format!("INSERT INTO today VALUES ({user}, 'old')"));
        }
        let held = reader(world, "today_06");
        let waiting = in_background(&world.proxy, "RENAME TABLE today TO spare, tomorrow TO today, spare TO tomorrow");
        until(&mut client, "|running|g1/6|running|");
        world.proxy = TestProxy::start(&world.cluster.cluster, &rules());
        let answer = waiting.join().unwrap();
        assert!(!answer.starts_with("ok"), "{answer}");
        until(&mut client, "|half done|g1/6|unknown|");
        drop(held);
        // Now the server does what it was told, or is told to leave it.
        check(&mut client, &[("SHARDLOOM DDL RESUME 7", "ok 0"), ("SHOW SHARDLOOM DDL", "")]);
        check(&mut client, &[("SELECT COUNT(*) FROM tomorrow", "40"), ("SELECT COUNT(*) FROM today", "0")]);
    });
}

#[test]
fn definitions_wait_for_each_other_and_for_nobody_who_may_not() {
    for installation in installations() {
        let cluster = TestCluster::start(&installation, &Layout::new(2, 0));
        for group in &cluster.cluster.groups {
            group.primary.sql("CREATE DATABASE shop CHARACTER SET utf8mb4").unwrap();
        }
        let one = TestProxy::start(&cluster.cluster, RULES);
        let two = TestProxy::start_with(&cluster.cluster, RULES, |config| {
            config.users[1].schemas = Schemas::Listed(vec!["other".to_owned()]);
        });
        let mut client = Client::of(&one);
        client.run(USERS);
        let adders = [
            in_background(&one, "ALTER TABLE users ADD COLUMN a INT"),
            in_background(&two, "ALTER TABLE users ADD COLUMN b INT"),
            in_background(&one, "ALTER TABLE users ADD COLUMN c INT"),
        ];
        for adder in adders {
            assert_eq!(adder.join().unwrap(), "ok 0");
        }
        check(
            &mut client,
            &[("SHOW SHARDLOOM DDL", ""), ("INSERT INTO users (id, a, b, c) VALUES (1, 2, 3, 4)", "ok 1")],
        );

        // No server of a group: nothing is begun.
        let mut stranger = Client::connect(&two.address().to_string(), "wide", PASSWORD, "");
        let address = cluster.cluster.groups[1].primary.addr();
        Client::connect(&address, account::USER, account::PASSWORD, "shop").run("DROP TABLE users_07");
        check(
            &mut client,
            &[
                ("ALTER TABLE users ADD COLUMN d INT", "error 1146: Table 'shop.users' doesn't exist; DDL…"),
                ("/*+ shardloom(shard=7) */ ALTER TABLE users ADD COLUMN d INT", "error 1235: the hint shard=…"),
                ("LOCK TABLES settings READ", "error 1146…"),
                ("CREATE TABLE users_00 (id INT)", "error 1235: this is a shard of users…"),
            ],
        );
        check(
            &mut stranger,
            &[
                ("ALTER TABLE shop.users ADD COLUMN e INT", "error 1044: Access denied…"),
                ("SHOW SHARDLOOM DDL", ""),
                ("SHARDLOOM DDL DROP 5", "error 1235: There is no unfinished DDL 5…"),
            ],
        );
        check(&mut client, &[("SHARDLOOM DDL DROP 5", "ok 0"), ("SHOW SHARDLOOM DDL", "")]);
    }
}
