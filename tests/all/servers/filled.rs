//! CREATE TABLE ... AS SELECT of tables in several places, where something goes wrong on the way: the table is there with
//! all of its rows or not at all, and what could not be dropped shows. What goes right is for
//! `tests/fixtures/score/filled.sql`.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shardloom::demo::cluster::Layout;

use crate::servers::proxy::{Client, PASSWORD, TestProxy};
use crate::servers::taps::{Fault, Taps, Victim};
use crate::servers::testbed::{PATIENCE, TestCluster, installations, wait_until};

const RULES: &str = r#"
[schema.shop]
home = "g0"

[schema.shop.family.by_user]
column = "user_id"
method = { mod = 4 }
groups = ["g0", "g1"]
table  = "{table}_{shard:02}"

[schema.shop.family.by_level]
column = "level"
method = { list = [[1, 2], [3]] }
groups = ["g0", "g1"]
table  = "{table}_{shard:02}"

[schema.shop.table]
users      = { family = "by_user", column = "id" }
report     = { family = "by_user" }
levels     = { family = "by_level" }
currencies = { broadcast = true }
"#;

const REPORT: &str = "CREATE TABLE report AS SELECT id AS user_id, name, level FROM users";

/// Two groups with some users.
fn cluster(installation: &shardloom::demo::install::Installation) -> TestCluster {
    let cluster = TestCluster::start(installation, &Layout::new(2, 0));
    for group in &cluster.cluster.groups {
        group.primary.sql("CREATE DATABASE shop CHARACTER SET utf8mb4").unwrap();
    }
    let proxy = TestProxy::start(&cluster.cluster, RULES);
    let mut client = connect(&proxy);
    client.run("CREATE TABLE users (id BIGINT PRIMARY KEY, name VARCHAR(40), level INT)");
    client.run("INSERT INTO users VALUES (1, 'ann', 1), (2, 'bob', 1), (3, NULL, 2), (4, 'dan', 3), (7, 'eve', 9)");
    cluster
}

fn connect(proxy: &TestProxy) -> Client {
    Client::connect(&proxy.address().to_string(), "atomic", PASSWORD, "shop")
}

/// The statement in a session of its own.
fn in_background(proxy: &TestProxy, sql: &'static str) -> JoinHandle<String> {
    let mut client = connect(proxy);
    std::thread::spawn(move || client.show(sql))
}

/// Which tables of the statement there are on any server.
fn tables(cluster: &TestCluster, table: &str) -> Vec<String> {
    let show = format!("SHOW TABLES FROM shop LIKE '{table}%'");
    cluster.cluster.groups.iter().map(|group| group.primary.sql(&show).unwrap()).filter(|all| !all.is_empty()).collect()
}

#[test]
fn rows_that_cannot_be_stored_leave_no_table() {
    for installation in installations() {
        let cluster = cluster(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut client = connect(&proxy);
        let answer = client.show("CREATE TABLE levels AS SELECT level, name FROM users");
        assert_eq!(answer, "error 1235: no shard of by_level has level = 9");
        assert!(tables(&cluster, "levels").is_empty());
        let answer = client.show("CREATE TABLE levels (UNIQUE KEY (level)) AS SELECT level, name FROM users");
        assert!(answer.starts_with("error 1062: Duplicate entry '1' for key "), "{answer}");
        assert!(tables(&cluster, "levels").is_empty());
        assert_eq!(client.show("SHOW SHARDLOOM DDL"), "");
        assert_eq!(client.show("CREATE TABLE levels AS SELECT level, name FROM users WHERE level < 9"), "ok 4");
        assert_eq!(client.show("SELECT level, name FROM levels WHERE level = 3"), "3|dan");
        assert_eq!(
            client.show("CREATE TABLE levels AS SELECT 1 AS level"),
            "error 1050: Table 'levels' already exists"
        );
        let mut single = Client::of(&proxy);
        let answer = single.show(REPORT);
        assert!(answer.starts_with("error 1235: The statement writes to several groups"), "{answer}");
        assert!(tables(&cluster, "report").is_empty());
        // Half of it is none.
        cluster.cluster.groups[1].primary.sql("DROP TABLE shop.levels_01").unwrap();
        let answer = client.show("CREATE TABLE IF NOT EXISTS levels AS SELECT 1 AS level");
        assert_eq!(answer, "error 1235: shop.levels is at some of its places already: drop it first");
    }
}

/// The connection that stores rows is cut, or the client is killed meanwhile: the table goes again.
#[test]
fn a_fill_that_is_cut_off_leaves_no_table() {
    for installation in installations() {
        let cluster = cluster(&installation);
        let taps = Taps::before(&cluster.cluster);
        let proxy = taps.proxy(&cluster.cluster, RULES, |_| {});
        let mut client = connect(&proxy);
        for at in ["INSERT INTO `shop`.`report_03`", "CREATE TABLE `shop`.`report_02`"] {
            taps.arm(Fault { group: 1, at, after: false, victim: Victim::Connection });
            let answer = client.show(REPORT);
            assert!(!taps.is_armed() && answer.starts_with("error 2013: Lost connection to g1"), "{at}: {answer}");
            if at.starts_with("INSERT") {
                assert!(tables(&cluster, "report").is_empty());
                assert_eq!(client.show("SHOW SHARDLOOM DDL"), "");
            }
        }
        // What is half made is settled as with any definition, and says that it makes a table of no rows.
        let shown = client.show("SHOW SHARDLOOM DDL");
        assert!(shown.contains("|CREATE TABLE `report` ("), "{shown}");
        let id = shown.split('|').next().unwrap().to_owned();
        assert_eq!(client.show(&format!("SHARDLOOM DDL RESUME {id}")), "ok 0");
        assert_eq!(client.show("SELECT COUNT(*) FROM report"), "0");
        client.run("DROP TABLE report");

        taps.arm(Fault { group: 1, at: "INSERT INTO `shop`.`report_03`", after: false, victim: Victim::Nobody });
        let filling = in_background(&proxy, REPORT);
        taps.struck.recv_timeout(PATIENCE).unwrap();
        let list = client.show("SHOW PROCESSLIST");
        let line = list.lines().find(|line| line.contains(REPORT)).unwrap();
        client.run(&format!("KILL {}", line.split('|').next().unwrap()));
        taps.go_on.send(()).unwrap();
        let answer = filling.join().unwrap();
        assert!(!answer.starts_with("ok"), "{answer}");
        wait_until("the table is gone", || tables(&cluster, "report").is_empty());
        wait_until("nothing is left to be done", || client.show("SHOW SHARDLOOM DDL").is_empty());
        assert_eq!(client.show(REPORT), "ok 5");
        assert_eq!(client.show("SELECT COUNT(*), SUM(level) FROM report"), "5|16");
    }
}

/// A server is gone while its rows are stored: what cannot be dropped there shows, and is dropped later.
#[test]
fn a_table_that_cannot_be_dropped_shows() {
    for installation in installations() {
        let mut cluster = cluster(&installation);
        let taps = Taps::before(&cluster.cluster);
        let proxy = taps.proxy(&cluster.cluster, RULES, |config| config.timeouts.primary_wait = Duration::from_secs(1));
        let mut client = connect(&proxy);
        taps.arm(Fault { group: 1, at: "INSERT INTO `shop`.`report_03`", after: false, victim: Victim::Server });
        let filling = in_background(&proxy, REPORT);
        let group = taps.struck.recv_timeout(PATIENCE).unwrap();
        cluster.cluster.groups[group].primary.kill();
        taps.go_on.send(()).unwrap();
        let answer = filling.join().unwrap();
        assert!(answer.contains("; the table could not be dropped everywhere: "), "{answer}");
        assert!(
            answer.contains("done at g0/0, g0/1, refused at g1/2, not tried at g1/3; SHARDLOOM DDL RESUME"),
            "{answer}"
        );
        let shown = client.show("SHOW SHARDLOOM DDL");
        assert!(shown.contains("|DROP TABLE IF EXISTS `report`|"), "{shown}");
        let id = shown.split('|').next().unwrap().to_owned();
        cluster.cluster.groups[1].primary.restart().unwrap();
        wait_until("g1 is back", || client.show("SELECT COUNT(*) FROM users") == "5");
        assert_eq!(client.show(&format!("SHARDLOOM DDL RESUME {id}")), "ok 0");
        assert!(tables(&cluster, "report").is_empty());
        assert_eq!(client.show("SHOW SHARDLOOM DDL"), "");
        assert_eq!(client.show(REPORT), "ok 5");
    }
}

/// A proxy that dies in between leaves a table without rows, and no record of anything.
#[test]
fn a_dead_proxy_leaves_an_empty_table() {
    for installation in installations() {
        let cluster = cluster(&installation);
        let taps = Taps::before(&cluster.cluster);
        let proxy = taps.proxy(&cluster.cluster, RULES, |_| {});
        taps.arm(Fault { group: 1, at: "INSERT INTO `shop`.`report_03`", after: true, victim: Victim::Proxy });
        let filling = in_background(&proxy, REPORT);
        let deadline = Instant::now() + PATIENCE;
        while taps.is_armed() {
            assert!(Instant::now() < deadline, "the rows do not come");
            std::thread::sleep(Duration::from_millis(10));
        }
        let other = TestProxy::start(&cluster.cluster, RULES);
        let mut client = connect(&other);
        assert_eq!(client.show("SELECT COUNT(*) FROM report"), "0");
        assert_eq!(client.show("SHOW SHARDLOOM DDL"), "");
        client.run("DROP TABLE report");
        assert_eq!(client.show(REPORT), "ok 5");
        drop(proxy);
        filling.join().unwrap();
    }
}
