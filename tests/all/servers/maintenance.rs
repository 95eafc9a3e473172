//! Maintenance of tables over real servers: what one shard says is told as its own, a server that is gone is an error, and
//! `mysqlcheck` works through the proxy. What all places say alike is for `tests/fixtures/score/maintenance.sql`.

use std::path::Path;
use std::process::Command;

use shardloom::demo::cluster::Layout;
use shardloom::demo::install::account;

use crate::servers::proxy::{Client, PASSWORD, TestProxy};
use crate::servers::shop::RULES;
use crate::servers::testbed::{TestCluster, installations, wait_until};

/// Two groups with some tables, and a proxy.
fn with_world(test: impl Fn(&mut TestCluster, &TestProxy, &mut Client)) {
    for installation in installations() {
        let mut cluster = TestCluster::start(&installation, &Layout::new(2, 0));
        for group in &cluster.cluster.groups {
            group.primary.sql("CREATE DATABASE shop CHARACTER SET utf8mb4").unwrap();
        }
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut client = Client::connect(&proxy.address().to_string(), "atomic", PASSWORD, "shop");
        client.run("CREATE TABLE users (id BIGINT PRIMARY KEY, name VARCHAR(40))");
        client.run("CREATE TABLE currencies (code CHAR(3) PRIMARY KEY)");
        client.run("CREATE TABLE settings (name VARCHAR(40) PRIMARY KEY)");
        client.run("INSERT INTO users VALUES (1, 'ann'), (2, 'bob'), (3, NULL), (4, 'dan'), (5, ''), (6, 'eve')");
        test(&mut cluster, &proxy, &mut client);
    }
}

#[test]
fn what_one_place_says_is_told_with_its_name() {
    with_world(|cluster, _, client| {
        let address = |group: usize| cluster.cluster.groups[group].primary.addr();
        let mut server = Client::connect(&address(1), account::USER, account::PASSWORD, "shop");
        server.run("DROP TABLE users_07");
        let others = "g0/0, g0/1, g0/2, g0/3, g1/4, g1/5, g1/6";
        for (verb, op) in [("ANALYZE", "analyze"), ("CHECK", "check")] {
            let expected = [
                format!("shop.users|{op}|Error|Table 'shop.users' doesn't exist (at g1/7)"),
                format!("shop.users|{op}|status|OK (at {others})"),
                format!("shop.users|{op}|status|Operation failed (at g1/7)"),
                format!("shop.currencies|{op}|status|OK"),
            ];
            assert_eq!(client.show(&format!("{verb} TABLE users, currencies")), expected.join("\n"), "{verb}");
        }
        assert_eq!(client.show("/*+ shardloom(shard=6) */ CHECK TABLE users"), "shop.users|check|status|OK");
        assert_eq!(client.show("CHECKSUM TABLE users"), "shop.users|NULL");
        assert_eq!(client.show("SHOW WARNINGS"), "Error|1146|Table 'shop.users' doesn't exist");
        server.run("DROP TABLE currencies");
        let expected = [
            "shop.currencies|check|Error|Table 'shop.currencies' doesn't exist (at g1)",
            "shop.currencies|check|status|OK (at g0)",
            "shop.currencies|check|status|Operation failed (at g1)",
        ];
        assert_eq!(client.show("CHECK TABLE currencies"), expected.join("\n"));
    });
}

/// Nothing is told of the tables as long as a place is not heard of.
#[test]
fn a_server_that_is_gone_is_an_error() {
    with_world(|cluster, _, client| {
        let before = client.show("CHECKSUM TABLE users, currencies");
        client.run("BEGIN");
        client.run("DELETE FROM users WHERE id < 4");
        assert_ne!(client.show("CHECKSUM TABLE users, currencies"), before);
        cluster.cluster.groups[1].primary.kill();
        let answer = client.show("CHECKSUM TABLE users");
        assert!(answer.starts_with("error "), "{answer}");
        client.show("ROLLBACK");
        let answer = client.show("CHECK TABLE users");
        assert!(answer.starts_with("error "), "{answer}");
        cluster.cluster.groups[1].primary.restart().unwrap();
        wait_until("g1 is back", || client.show("SELECT COUNT(*) FROM users") == "6");
        assert_eq!(client.show("CHECKSUM TABLE users, currencies"), before);
        assert_eq!(client.show("CHECK TABLE users"), "shop.users|check|status|OK");

        client.run("LOCK TABLES settings READ");
        let answer = client.show("CHECK TABLE settings, users");
        assert!(answer.starts_with("error 1235: Shardloom does not support maintenance of tables in"), "{answer}");
        assert_eq!(client.show("CHECK TABLE settings"), "shop.settings|check|status|OK");
        client.run("UNLOCK TABLES");
    });
}

/// MariaDB's client program, which distributions install under both names, for servers of either kind.
#[test]
fn mysqlcheck_passes_through() {
    let Some(program) = ["/usr/bin/mariadb-check", "/usr/bin/mysqlcheck"].into_iter().find(|at| Path::new(at).exists())
    else {
        println!("no mysqlcheck here");
        return;
    };
    with_world(|_, proxy, _| {
        let run = |arguments: &[&str]| {
            let output = Command::new(program)
                .args(["--no-defaults", "--host=127.0.0.1", "--protocol=tcp", "--user=atomic"])
                .args([format!("--port={}", proxy.address().port()), format!("--password={PASSWORD}")])
                .args(arguments)
                .output()
                .unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            let mut lines: Vec<String> = text(&output.stdout).lines().map(words).collect();
            lines.sort();
            lines
        };
        let fine = ["shop.currencies OK", "shop.settings OK", "shop.users OK"];
        assert_eq!(run(&["--check", "shop"]), fine);
        assert_eq!(run(&["--check", "--extended", "shop", "users"]), ["shop.users OK"]);
        assert_eq!(run(&["--analyze", "--all-in-1", "shop"]), fine);
        assert_eq!(run(&["--check-upgrade", "--databases", "shop"]), fine);
        let note = "note : Table does not support optimize, doing recreate + analyze instead";
        assert_eq!(run(&["--optimize", "shop", "users"]), [note, "shop.users", "status : OK"]);
    });
}
