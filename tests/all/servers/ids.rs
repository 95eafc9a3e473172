//! Ids that the proxy makes: LAST_INSERT_ID() and the insert id of OK packets as one server tells them, and no id twice,
//! whatever proxies do.

use std::collections::HashSet;

use shardloom::demo::cluster::Layout;
use shardloom::demo::install::{Installation, account};

use crate::servers::proxy::{Client, PASSWORD, TestProxy, show};
use crate::servers::testbed::{TestCluster, installations};

const RULES: &str = r#"
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

const TABLES: &[(&str, &str)] = &[
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

const TAGS: &str = "CREATE TABLE tags (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) UNIQUE, \
                    note VARCHAR(20));";

fn cluster(installation: &Installation) -> TestCluster {
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
fn told(client: &mut Client, table: &str, sql: &str) -> String {
    let answer = client.query(sql);
    let mut row = |id: u64| match id {
        0 => "0".to_owned(),
        id => client.show(&format!("SELECT note FROM {table} WHERE id = {id}")),
    };
    let ok = answer.as_ref().map_or_else(
        |_| show(&answer),
        |answer| {
            format!(
                "ok {} warnings {} id {} {}",
                answer.affected_rows,
                answer.warnings,
                row(answer.last_insert_id),
                answer.info
            )
        },
    );
    let last: u64 = client.run("SELECT LAST_INSERT_ID()").text(0, 0).unwrap().parse().unwrap();
    let last = match last {
        0 => "0".to_owned(),
        id => client.show(&format!("SELECT note FROM {table} WHERE id = {id}")),
    };
    format!("{ok}, then LAST_INSERT_ID() {last}")
}

#[test]
fn insert_ids_are_those_of_one_server() {
    for installation in installations() {
        let reference = TestCluster::start(&installation, &Layout::new(1, 0));
        let mut ddl = format!("CREATE DATABASE shop CHARACTER SET utf8mb4; USE shop; {TAGS}");
        TABLES.iter().for_each(|(name, columns)| ddl += &format!("CREATE TABLE {name} {columns};"));
        reference.cluster.groups[0].primary.sql(&ddl).unwrap();
        let address = reference.cluster.groups[0].primary.addr();
        let mut server = Client::connect(&address, account::USER, account::PASSWORD, "shop");
        let cluster = cluster(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut client = wide(&proxy);
        let script = include_str!("../../fixtures/ids/insert.sql");
        let mut wrong = Vec::new();
        for line in script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (table, sql) = line.split_once(": ").unwrap();
            let (expected, found) = match table {
                "-" => (server.show(sql), client.show(sql)),
                table => (told(&mut server, table, sql), told(&mut client, table, sql)),
            };
            if expected != found {
                wrong.push(format!("{sql}\n  server: {expected}\n  proxy:  {found}"));
            }
        }
        assert!(wrong.is_empty(), "{}:\n{}", installation.flavour, wrong.join("\n"));
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
