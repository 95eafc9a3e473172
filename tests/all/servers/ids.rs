//! Ids that the proxy makes: LAST_INSERT_ID() and the insert id of OK packets as one server tells them, and no id twice,
//! whatever proxies do.

use std::collections::HashSet;

use shardloom::demo::cluster::Layout;
use shardloom::demo::install::{Installation, account};

use crate::servers::proxy::{Client, PASSWORD, TestProxy};
use crate::servers::score::client::{self as score, Argument, Protocol};
use crate::servers::testbed::{TestCluster, installations};

pub(super) const RULES: &str = r#"
[schema.shop]
home = "g0"

[schema.shop.family.by_user]
column = "user_id"
method = { hash = 4 }
groups = ["g0", "g1"]
table  = "{table}_{shard}"

[schema.shop.table]
users  = { family = "by_user", column = "id", id = "snowflake" }
orders = { family = "by_user", id = "segment" }
tiny   = { family = "by_user", id = "segment" }
keyed  = { family = "by_user", column = "id", id = { kind = "uuid", column = "id" } }
tags   = { broadcast = true, id = "segment" }
narrow = { family = "by_user", id = "snowflake" }
"#;

pub(super) const TABLES: &[(&str, &str)] = &[
    ("users", "(id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, note VARCHAR(20))"),
    (
        "orders",
        "(id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id BIGINT NOT NULL, slot INT, note VARCHAR(20), \
         UNIQUE KEY (user_id, slot))",
    ),
    ("tiny", "(id TINYINT NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id BIGINT NOT NULL)"),
    ("keyed", "(id CHAR(36) CHARACTER SET ascii NOT NULL PRIMARY KEY, note VARCHAR(20))"),
    ("narrow", "(id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id BIGINT NOT NULL)"),
];

pub(super) const TAGS: &str = "CREATE TABLE tags (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) UNIQUE, \
                    note VARCHAR(20));";

pub(super) fn cluster(installation: &Installation) -> TestCluster {
    let cluster = TestCluster::start(installation, &Layout::new(2, 0));
    for (g, group) in cluster.cluster.groups.iter().enumerate() {
        let mut ddl = format!("CREATE DATABASE shop CHARACTER SET utf8mb4; USE shop; {TAGS}");
        for shard in [2 * g, 2 * g + 1] {
            TABLES.iter().for_each(|(name, columns)| ddl += &format!("CREATE TABLE {name}_{shard} {columns};"));
        }
        group.primary.sql(&ddl).unwrap();
    }
    cluster
}

fn wide(proxy: &TestProxy) -> Client {
    Client::connect(&proxy.address().to_string(), "wide", PASSWORD, "shop")
}

/// What an INSERT did: its rows, and which row the OK packet's id and LAST_INSERT_ID() are those of.
fn told(client: &mut Either, table: &str, sql: &str, args: &[Argument], protocol: Protocol) -> String {
    let reply = client.ask(sql, args, protocol);
    let ok = match (&reply.error, reply.outcomes.first()) {
        (Some(error), _) => format!("error {}: {}", error.errno, error.message),
        (None, Some(ok)) => {
            let row = client.row(table, ok.last_insert_id);
            format!("ok {} warnings {} id {row} {}", ok.affected_rows, ok.warnings, ok.info)
        }
        (None, None) => "nothing".to_owned(),
    };
    let last = client.show("SELECT LAST_INSERT_ID()", Protocol::Text).parse().unwrap();
    format!("{ok}, then LAST_INSERT_ID() {}", client.row(table, last))
}

/// A client of the server or of the proxy, in both protocols.
struct Either(score::Client);

impl Either {
    fn ask(&mut self, sql: &str, args: &[Argument], protocol: Protocol) -> score::Reply {
        match protocol {
            Protocol::Text => self.0.query(sql),
            Protocol::Binary => self.0.execute(sql, args),
        }
    }

    fn show(&mut self, sql: &str, protocol: Protocol) -> String {
        let reply = self.ask(sql, &[], protocol);
        match (reply.error, reply.outcomes.first()) {
            (Some(error), _) => format!("error {}: {}", error.errno, error.message),
            (None, Some(outcome)) if outcome.columns.is_empty() => format!("ok {}", outcome.affected_rows),
            (None, outcome) => {
                let cells = outcome.into_iter().flat_map(|outcome| &outcome.rows).flatten();
                let text = |cell: &Option<Vec<u8>>| {
                    cell.as_ref().map_or("NULL".to_owned(), |cell| String::from_utf8_lossy(cell).into_owned())
                };
                cells.map(text).collect::<Vec<_>>().join("|")
            }
        }
    }

    /// The note of the row with this id.
    fn row(&mut self, table: &str, id: u64) -> String {
        match id {
            0 => "0".to_owned(),
            id => self.show(&format!("SELECT note FROM {table} WHERE id = {id}"), Protocol::Text),
        }
    }
}

/// Statements with values sent apart: NULL and 0 ask for an id, other values are ids.
const WITH_ARGUMENTS: &[(&str, &[&[Option<i64>]])] = &[
    (
        "INSERT INTO orders (id, user_id, note) VALUES (?, ?, ?)",
        &[
            &[None, Some(1), Some(1)],
            &[Some(0), Some(2), Some(2)],
            &[Some(900_000), Some(3), Some(3)],
            &[None, Some(4), Some(4)],
        ],
    ),
    (
        "INSERT INTO orders (user_id, id, note) VALUES (?, ?, ?), (?, ?, ?), (1, NULL, 'here')",
        &[
            &[Some(1), None, Some(11), Some(1), Some(0), Some(12)],
            &[Some(1), Some(910_000), Some(13), Some(2), None, Some(14)],
            &[Some(3), Some(920_001), Some(15), Some(4), Some(920_002), Some(16)],
        ],
    ),
    (
        "INSERT INTO orders (user_id, note) VALUES (?, ?), (?, ?)",
        &[&[Some(1), Some(21), Some(1), Some(22)], &[Some(1), Some(23), Some(2), Some(24)]],
    ),
    (
        "INSERT INTO orders (user_id, slot, note) VALUES (?, ?, ?), (?, ?, ?) ON DUPLICATE KEY UPDATE note = VALUES(note)",
        &[
            &[Some(1), Some(-1), Some(31), Some(1), Some(-2), Some(32)],
            &[Some(1), Some(-2), Some(33), Some(1), Some(-3), Some(34)],
            &[Some(1), Some(-2), Some(35), Some(2), Some(-3), Some(36)],
        ],
    ),
    ("INSERT INTO orders SET note = ?, user_id = ?", &[&[Some(41), Some(1)], &[Some(42), Some(2)]]),
];

#[test]
fn insert_ids_are_those_of_one_server() {
    for installation in installations() {
        let reference = TestCluster::start(&installation, &Layout::new(1, 0));
        let mut ddl = format!("CREATE DATABASE shop CHARACTER SET utf8mb4; USE shop; {TAGS}");
        TABLES.iter().for_each(|(name, columns)| ddl += &format!("CREATE TABLE {name} {columns};"));
        reference.cluster.groups[0].primary.sql(&ddl).unwrap();
        let address = reference.cluster.groups[0].primary.addr();
        let cluster = cluster(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let script = include_str!("../../fixtures/ids/insert.sql");
        let mut wrong = Vec::new();
        for protocol in [Protocol::Text, Protocol::Binary] {
            let mut server = Either(score::Client::connect(&address, account::USER, account::PASSWORD, "shop"));
            let mut client = Either(score::Client::connect(&proxy.address().to_string(), "wide", PASSWORD, "shop"));
            let mut compare = |what: String, expected: String, found: String| {
                if expected != found {
                    wrong.push(format!("{protocol:?} {what}\n  server: {expected}\n  proxy:  {found}"));
                }
            };
            for line in script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                let (table, sql) = line.split_once(": ").unwrap();
                let both = match table {
                    "-" => (server.show(sql, protocol), client.show(sql, protocol)),
                    table => {
                        (told(&mut server, table, sql, &[], protocol), told(&mut client, table, sql, &[], protocol))
                    }
                };
                compare(sql.to_owned(), both.0, both.1);
            }
            for (sql, executions) in WITH_ARGUMENTS.iter().filter(|_| protocol == Protocol::Binary) {
                for args in *executions {
                    let args: Vec<Argument> =
                        args.iter().map(|arg| arg.map_or(Argument::Null, Argument::Int)).collect();
                    let expected = told(&mut server, "orders", sql, &args, protocol);
                    compare(format!("{sql} {args:?}"), expected, told(&mut client, "orders", sql, &args, protocol));
                }
            }
            for table in ["orders", "users", "tags"] {
                for client in [&mut server, &mut client] {
                    client.show(&format!("DELETE FROM {table}"), Protocol::Text);
                }
            }
        }
        assert!(wrong.is_empty(), "{}:\n{}", installation.flavour, wrong.join("\n"));
    }
}

/// A table's numbers end where its column does; UUIDs are made where there is none.
#[test]
fn other_ids() {
    for installation in installations() {
        let cluster = cluster(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut client = wide(&proxy);
        let rows = ["(1)"; 127].join(",");
        assert_eq!(client.show(&format!("INSERT INTO tiny (user_id) VALUES {rows}")), "ok 127");
        let full = "error 1467: Failed to read auto-increment value from storage engine";
        assert_eq!(client.show("INSERT INTO tiny (user_id) VALUES (1)"), full);
        let beyond = client.show("INSERT INTO tiny (id, user_id) VALUES (128, 1)");
        assert_eq!(beyond, "error 1235: 128 is beyond what column id holds");
        let narrow = client.show("INSERT INTO narrow (user_id) VALUES (1)");
        assert_eq!(narrow, "error 1235: narrow: its column id is int, and snowflake ids need BIGINT");

        assert_eq!(client.show("INSERT INTO keyed (note) VALUES ('a'), ('b'), ('c')"), "ok 3");
        assert_eq!(client.show("INSERT INTO keyed (id, note) VALUES (DEFAULT, 'd'), ('mine', 'e')"), "ok 2");
        let made = "SELECT COUNT(DISTINCT id) FROM keyed WHERE id LIKE '________-____-7___-____-____________'";
        assert_eq!(client.show(made), "4");
        assert_eq!(client.show("SELECT LAST_INSERT_ID()"), "1", "UUIDs and failures leave it alone");

        client.run("SET auto_increment_increment = 2");
        let steps = "ids that Shardloom makes are one apart: SET auto_increment_increment = 1 before this INSERT";
        assert_eq!(client.show("INSERT INTO orders (user_id) VALUES (1)"), format!("error 1235: {steps}"));
        client.run("SET auto_increment_increment = 1");

        let future = i64::MAX;
        let beyond = client.show(&format!("INSERT INTO users (id, note) VALUES ({future}, 'x')"));
        assert!(beyond.starts_with(&format!("error 1235: {future} is a snowflake id of a time")), "{beyond}");

        let before = client.show("EXPLAIN SHARDLOOM INSERT INTO orders (user_id) VALUES (1)");
        assert!(before.contains("INSERT INTO"), "{before}");
        client.run("INSERT INTO orders (user_id) VALUES (1)");
        assert_eq!(client.show("SELECT id FROM orders"), "1", "an explanation takes no id");
    }
}

/// Rows that were there before the rule, and ids that clients give, are what the counter begins behind.
#[test]
fn counters_begin_behind_what_is_there() {
    for installation in installations() {
        let cluster = cluster(&installation);
        let shard = "USE shop; INSERT INTO orders_3 (id, user_id) VALUES (4000, 9)";
        cluster.cluster.groups[1].primary.sql(shard).unwrap();
        let first = TestProxy::start(&cluster.cluster, RULES);
        let mut one = wide(&first);
        one.run("INSERT INTO orders (user_id, note) VALUES (1, 'a')");
        assert_eq!(one.show("SELECT id FROM orders WHERE note = 'a'"), "4001");
        // Another proxy is given an id far beyond, and one out of the block that it holds itself.
        let second = TestProxy::start(&cluster.cluster, RULES);
        let mut two = wide(&second);
        two.run("INSERT INTO orders (user_id, note) VALUES (1, 'b')");
        two.run("INSERT INTO orders (id, user_id, note) VALUES (9000, 1, 'c'), (5002, 2, 'd')");
        two.run("INSERT INTO orders (user_id, note) VALUES (1, 'e')");
        assert_eq!(two.show("SELECT id FROM orders WHERE note = 'b'"), "5001");
        assert_eq!(two.show("SELECT id FROM orders WHERE note = 'e'"), "5003", "5002 is taken");
        let third = TestProxy::start(&cluster.cluster, RULES);
        let mut three = wide(&third);
        three.run("INSERT INTO orders (user_id, note) VALUES (1, 'f')");
        assert_eq!(three.show("SELECT id FROM orders WHERE note = 'f'"), "9001");
        // What a proxy that ends has in hand is lost, never given out again.
        drop(second);
        let fourth = TestProxy::start(&cluster.cluster, RULES);
        let mut four = wide(&fourth);
        four.run("INSERT INTO orders (user_id, note) VALUES (1, 'g')");
        assert_eq!(four.show("SELECT id FROM orders WHERE note = 'g'"), "10001");
    }
}

#[test]
fn two_proxies_make_no_id_twice() {
    for installation in installations() {
        let cluster = cluster(&installation);
        let proxies = [TestProxy::start(&cluster.cluster, RULES), TestProxy::start(&cluster.cluster, RULES)];
        let threads: Vec<_> = proxies
            .iter()
            .flat_map(|proxy| [proxy.address(), proxy.address()])
            .enumerate()
            .map(|(number, address)| {
                std::thread::spawn(move || {
                    let mut client = Client::connect(&address.to_string(), "wide", PASSWORD, "shop");
                    for round in 0..50 {
                        let user = number * 1_000 + round;
                        let rows = vec![format!("({user})"); 100].join(",");
                        client.run(&format!("INSERT INTO orders (user_id) VALUES {rows}"));
                        let notes = ["('x')"; 4].join(",");
                        client.run(&format!("INSERT INTO users (note) VALUES {notes}"));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let mut client = Client::of(&proxies[0]);
        for (table, rows) in [("orders", 20_000), ("users", 800)] {
            let ids = client.run(&format!("SELECT id FROM {table}"));
            let distinct: HashSet<String> = (0..ids.rows.len()).filter_map(|row| ids.text(row, 0)).collect();
            assert_eq!((ids.rows.len(), distinct.len()), (rows, rows), "{table} on {}", installation.flavour);
        }
        let mut home =
            Client::connect(&cluster.cluster.groups[0].primary.addr(), account::USER, account::PASSWORD, "_shardloom");
        assert_eq!(
            home.show("SELECT COUNT(*), COUNT(DISTINCT holder) FROM worker"),
            "2|2",
            "each proxy has a worker id"
        );
    }
}

/// Worker ids are leased, taken over behind the span of whoever had them, and refused when all are in use; who has one
/// goes on within its span.
#[test]
fn worker_ids_are_leased() {
    let installation = &installations()[0];
    let cluster = cluster(installation);
    let home = &cluster.cluster.groups[0].primary;
    let proxy = TestProxy::start(&cluster.cluster, RULES);
    let mut client = wide(&proxy);
    client.run("INSERT INTO users (note) VALUES ('a')");
    let mut server = Client::connect(&home.addr(), account::USER, account::PASSWORD, "_shardloom");
    assert_eq!(server.show("SELECT id, until_ms > UNIX_TIMESTAMP() * 1000 FROM worker"), "0|1");
    // All worker ids were had by others, long ago but for one, which ended first: the next proxy gets it, behind its span.
    let mut rows = String::new();
    for id in 1..1024 {
        rows += &format!("{}({id}, 'other', {})", if id == 1 { "" } else { "," }, if id == 77 { 2_000 } else { 3_000 });
    }
    server.run(&format!("INSERT INTO worker (id, holder, until_ms) VALUES {rows}"));
    let second = TestProxy::start(&cluster.cluster, RULES);
    let mut other = wide(&second);
    other.run("INSERT INTO users (note) VALUES ('b')");
    assert_eq!(other.show("SELECT (id >> 12) & 1023 FROM users WHERE note = 'b'"), "77");
    assert_eq!(client.show("SELECT (id >> 12) & 1023 FROM users WHERE note = 'a'"), "0");
    // Nobody has let go of one yet.
    server.run("UPDATE worker SET until_ms = UNIX_TIMESTAMP() * 1000");
    let third = TestProxy::start(&cluster.cluster, RULES);
    let refused = wide(&third).show("INSERT INTO users (note) VALUES ('c')");
    assert_eq!(refused, "error 1467: No id could be made: all 1024 worker ids are leased by other proxies");
    // Those who have one go on within their spans.
    other.run("INSERT INTO users (note) VALUES ('d')");
}

/// What the group's account may not do is told with what to grant.
#[test]
fn an_account_without_the_right_is_told_what_to_grant() {
    for installation in installations() {
        let cluster = cluster(&installation);
        for group in &cluster.cluster.groups {
            let grant = "CREATE USER poor@'%' IDENTIFIED BY 'poor'; GRANT ALL ON shop.* TO poor@'%'; \
                         GRANT REPLICATION CLIENT, PROCESS ON *.* TO poor@'%'";
            group.primary.sql(grant).unwrap();
        }
        let proxy = TestProxy::start_with(&cluster.cluster, RULES, |config| {
            let file = config.rules.join("rules.toml");
            let rules = std::fs::read_to_string(&file).unwrap();
            let rules = rules.replace(account::USER, "poor").replace(account::PASSWORD, "poor");
            std::fs::write(file, rules).unwrap();
        });
        let refused = wide(&proxy).show("INSERT INTO orders (user_id) VALUES (1)");
        assert!(refused.starts_with("error 1044: Proxies keep"), "{refused}");
        assert!(refused.contains("GRANT ALL ON `_shardloom`.* TO"), "{refused}");
    }
}
