//! The catalogue through the proxy: what one server with all the tables tells, but for numbers and times.

use std::fmt::Write as _;
use std::path::Path;

use shardloom::admin::create::{creations, statements};
use shardloom::backend::conn::{Answer, BackendError};
use shardloom::config::{Config, Schemas};
use shardloom::demo::cluster::{Cluster, Layout};
use shardloom::demo::folder::TempFolder;
use shardloom::demo::install::{Installation, account};
use shardloom::demo::server::{Server, Settings};
use shardloom::diagnostic::Source;
use shardloom::rules::RuleSet;
use shardloom::sql::{Facts, Flavour, SqlMode, TextCharset};

use super::proxy::{Client, PASSWORD, TestProxy, show};
use super::testbed::{TestCluster, folder, installations};

/// The home's physical schema has another name than the logical one, and another on each group.
const RULES: &str = r#"
[schema.shop]
home = "g0"
database = "{schema}_{group}"

[schema.shop.family.by_user]
column = "user_id"
method = { hash = 4 }
groups = ["g1", "g0"]
table  = "{table}_{shard:02}"

[schema.shop.table]
users      = { family = "by_user", column = "id" }
orders     = { family = "by_user" }
currencies = { broadcast = true }
audit_log  = { group = "g1" }

[schema.hidden]
home = "g0"
"#;

const TABLES: &str = include_str!("../../fixtures/introspection/schema.sql");

/// The tables behind a proxy, and all of them on one plain server.
struct Both {
    _test: TestCluster,
    proxy: TestProxy,
    plain: Server,
    _folder: TempFolder,
}

impl Both {
    fn start(installation: &Installation) -> Both {
        let test = TestCluster::start(installation, &Layout::new(2, 0));
        let facts =
            Facts { mode: SqlMode::default(), charset: TextCharset::Utf8, flavour: installation.flavour, version: 0 };
        create(&test.cluster, facts);
        let folder = folder();
        let plain = Server::start(installation, &folder.path().join("plain"), Settings::new(1)).unwrap();
        plain.sql(&format!("CREATE DATABASE shop CHARACTER SET utf8mb4; USE shop; {TABLES}")).unwrap();
        let proxy = TestProxy::start_with(&test.cluster, RULES, restrict);
        Both { _test: test, proxy, plain, _folder: folder }
    }

    fn clients(&self) -> (Client, Client) {
        let address = format!("127.0.0.1:{}", self.plain.port());
        (Client::of(&self.proxy), Client::connect(&address, account::USER, account::PASSWORD, "shop"))
    }
}

/// `app` may use everything but `hidden`, `wide` all schemas.
fn restrict(config: &mut Config) {
    config.users[0].schemas = Schemas::Listed(["shop", "mysql", "sys"].map(str::to_owned).to_vec());
}

fn create(cluster: &Cluster, facts: Facts) {
    let text = format!("{}{RULES}", cluster.rules());
    let rules = RuleSet::parse(&[Source { name: "catalogue.toml".into(), text }]).unwrap();
    let shop = rules.schema("shop").unwrap();
    for (group, name) in cluster.groups.iter().zip(["shop_g0", "shop_g1"]) {
        group.primary.sql(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")).unwrap();
    }
    cluster.groups[0].primary.sql("CREATE DATABASE hidden; CREATE TABLE hidden.secret (id INT)").unwrap();
    for statement in statements(TABLES, facts).unwrap() {
        match creations(&rules, shop, statement, facts) {
            Ok(all) => {
                for one in all {
                    cluster.groups[usize::from(one.group.0)].primary.sql(&one.sql).unwrap();
                }
            }
            // Views and triggers are the home's.
            Err(_) => cluster.groups[0].primary.sql(&format!("USE shop_g0; {statement}")).map(drop).unwrap(),
        }
    }
}

/// PRI_KEY, UNIQUE_KEY, MULTIPLE_KEY and PART_KEY: a server sets them by how it happens to run a statement over its own
/// dictionary, now so and now so.
const KEY_FLAGS: u16 = 2 + 4 + 8 + 16_384;

/// Columns that are numbers of files and times: those of several shards, and of another moment.
const MEASURED: [&str; 9] = [
    "rows",
    "avg_row_length",
    "data_length",
    "index_length",
    "data_free",
    "create_time",
    "created",
    "update_time",
    "cardinality",
];

/// The answer without what is measured.
fn without_measures(answer: Result<Answer, BackendError>) -> Result<Answer, BackendError> {
    let mut answer = answer?;
    for (at, name) in answer.columns.iter().enumerate() {
        let name = name.to_ascii_lowercase();
        if MEASURED.contains(&name.trim_start_matches("table_")) {
            answer.rows.iter_mut().for_each(|row| row[at] = None);
        }
    }
    Ok(answer)
}

/// What a client sees of an answer; rows in any order unless the statement sorts them.
fn seen(answer: &Result<Answer, BackendError>, sorted: bool) -> String {
    let mut text = String::new();
    if let Ok(answer) = answer {
        let flags: Vec<u16> = answer.flags.iter().map(|flags| flags & !KEY_FLAGS).collect();
        writeln!(text, "{:?} {:?} {:?} warnings={}", answer.columns, answer.types, flags, answer.warnings).unwrap();
    }
    let rows = show(answer);
    let mut rows: Vec<&str> = rows.split('\n').collect();
    if !sorted {
        rows.sort_unstable();
    }
    text + &rows.join("\n")
}

/// Clients mostly sort by what many rows have alike, so that SELECTs are compared in any order but those made for it.
fn same(proxy: &mut Client, plain: &mut Client, file: &str, sql: &str, differing: &mut Vec<String>) {
    let upper = sql.to_ascii_uppercase();
    let sorted = (file == "schema_views" && upper.contains("ORDER BY")) || upper.starts_with("SHOW");
    let (one, two) = (without_measures(proxy.query(sql)), without_measures(plain.query(sql)));
    let (one, two) = (seen(&one, sorted), seen(&two, sorted));
    if one != two {
        let only = |a: &str, b: &str| {
            let lines: Vec<&str> = a.lines().filter(|line| !b.lines().any(|other| other == *line)).take(6).collect();
            lines.join("\n")
        };
        differing.push(format!("{sql}\n--- proxy\n{}\n--- plain\n{}\n", only(&one, &two), only(&two, &one)));
    }
}

/// The statements of `tests/fixtures/introspection/FILE.sql`; a line `-- mysql` or `-- mariadb` in front of one says
/// whose it is.
fn fixtures(flavour: Flavour) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/introspection");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let other = match flavour {
        Flavour::MySql => "-- mariadb",
        Flavour::MariaDb => "-- mysql",
    };
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !file.ends_with("schema.sql")) {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(file).unwrap();
        for block in text.split(";\n") {
            let mut skip = false;
            let lines: Vec<&str> = block
                .lines()
                .filter(|line| {
                    skip |= line.trim() == other;
                    !line.starts_with("-- ") && !line.trim().is_empty()
                })
                .collect();
            if !skip && !lines.is_empty() {
                found.push((name.clone(), lines.join("\n")));
            }
        }
    }
    found
}

#[test]
fn the_catalogue_is_that_of_one_server() {
    for installation in installations() {
        let both = Both::start(&installation);
        let (mut proxy, mut plain) = both.clients();
        let mut differing = Vec::new();
        let all = fixtures(installation.flavour);
        for (file, sql) in &all {
            same(&mut proxy, &mut plain, file, sql, &mut differing);
        }
        assert!(
            differing.is_empty(),
            "{}: {} of {} differ\n{}",
            installation.flavour,
            differing.len(),
            all.len(),
            differing.join("\n")
        );
    }
}

#[test]
fn physical_names_and_foreign_schemas_are_not_seen() {
    for installation in installations() {
        let both = Both::start(&installation);
        let (mut proxy, _) = both.clients();
        for sql in [
            "SELECT * FROM information_schema.TABLES",
            "SELECT * FROM information_schema.COLUMNS",
            "SELECT * FROM information_schema.STATISTICS",
            "SELECT * FROM information_schema.KEY_COLUMN_USAGE",
            "SELECT * FROM information_schema.TABLE_CONSTRAINTS",
            "SELECT * FROM information_schema.REFERENTIAL_CONSTRAINTS",
            "SELECT * FROM information_schema.CHECK_CONSTRAINTS",
            "SELECT * FROM information_schema.VIEWS",
            "SELECT * FROM information_schema.PARTITIONS",
            "SELECT * FROM information_schema.TRIGGERS",
            "SELECT * FROM information_schema.SCHEMATA",
            "SHOW DATABASES",
            "SHOW FULL TABLES",
            "SHOW TABLE STATUS",
            "SHOW INDEX FROM orders",
            "SHOW CREATE TABLE orders",
            "SHOW CREATE TABLE users",
            "SHOW CREATE VIEW codes",
            "SHOW CREATE DATABASE shop",
            "SHOW TRIGGERS",
        ] {
            let answer = proxy.show(sql);
            assert!(!answer.starts_with("error"), "{sql}: {answer}");
            for line in answer.lines() {
                for name in ["orders_0", "users_0", "shop_g0", "shop_g1", "hidden", "secret"] {
                    assert!(!line.contains(name), "{sql} shows {name}: {line}");
                }
            }
        }
        assert!(proxy.show("SHOW TABLES FROM hidden").starts_with("error 1044"));
        assert!(proxy.show("SHOW TABLES FROM nowhere").starts_with("error 1049"));
        for sql in [
            "SELECT * FROM hidden.secret",
            "INSERT INTO hidden.secret VALUES (1)",
            "DESCRIBE hidden.secret",
            "SHOW CREATE DATABASE hidden",
            "TRUNCATE TABLE hidden.secret",
        ] {
            assert!(proxy.show(sql).starts_with("error 1044"), "{sql}: {}", proxy.show(sql));
        }
        let grants = "GRANT USAGE ON *.* TO `app`@`%`\nGRANT ALL PRIVILEGES ON `shop`.* TO `app`@`%`";
        assert!(proxy.show("SHOW GRANTS").starts_with(grants));
        for sql in ["SELECT * FROM information_schema.INNODB_TABLES", "SHOW ENGINE INNODB STATUS"] {
            assert!(proxy.show(sql).starts_with("error 1235"), "{sql}");
        }
        let mut wide = Client::connect(&both.proxy.address().to_string(), "wide", PASSWORD, "shop");
        assert_eq!(wide.show("SHOW TABLES FROM hidden"), "secret");
    }
}

#[test]
fn explain_shows_one_shard_under_the_logical_name() {
    for installation in installations() {
        let both = Both::start(&installation);
        let (mut proxy, mut plain) = both.clients();
        for sql in [
            "EXPLAIN SELECT * FROM users WHERE id = 7",
            "EXPLAIN SELECT name FROM users ORDER BY name LIMIT 3",
            "DESC SELECT o.id FROM shop.orders AS o JOIN users u ON u.id = o.user_id WHERE o.user_id = 3",
        ] {
            let (answer, plain) = (proxy.run(sql), plain.run(sql));
            assert_eq!(answer.columns, plain.columns, "{sql}");
            let shown = show(&Ok(answer));
            assert!(["users", "o", "u"].iter().any(|name| shown.contains(name)), "{sql}: {shown}");
            for name in ["users_0", "orders_0", "shop_g"] {
                assert!(!shown.contains(name), "{sql}: {shown}");
            }
        }
        for sql in ["EXPLAIN UPDATE users SET name = 'x' WHERE id = 1", "EXPLAIN ANALYZE SELECT * FROM users"] {
            let answer = proxy.show(sql);
            assert!(answer.starts_with("error 1235") || answer.starts_with("error 1064"), "{sql}: {answer}");
        }
        assert!(proxy.show("SHOW WARNINGS").lines().all(|line| !line.contains("users_0")));
    }
}

/// The columns of sharded and other tables for old clients.
#[test]
fn fields_are_listed_for_old_clients() {
    for installation in installations() {
        let both = Both::start(&installation);
        let (mut proxy, mut plain) = both.clients();
        for table in ["users", "orders", "currencies", "audit_log", "settings", "codes"] {
            let fields = proxy.fields(table);
            assert!(!fields.is_empty(), "{table}");
            assert_eq!(fields, plain.fields(table), "{table}");
        }
    }
}

/// Numbers of all shards, of which each has rows.
#[test]
fn numbers_are_those_of_all_shards() {
    for installation in installations() {
        let both = Both::start(&installation);
        let (mut proxy, _) = both.clients();
        for id in 1..=40 {
            proxy.run(&format!("INSERT INTO users (id, name) VALUES ({id}, 'n{id}')"));
        }
        for group in &both._test.cluster.groups {
            let tables = "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.TABLES \
                          WHERE TABLE_NAME LIKE 'users\\_0_'";
            for table in group.primary.sql(tables).unwrap().lines() {
                group.primary.sql(&format!("ANALYZE TABLE {table}")).unwrap();
            }
        }
        let rows =
            "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'users'";
        proxy.query("SET SESSION information_schema_stats_expiry = 0").ok();
        assert_eq!(proxy.show(rows), "40");
        let cardinality = "SELECT CARDINALITY FROM information_schema.STATISTICS \
                           WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'users' AND INDEX_NAME = 'PRIMARY'";
        assert_eq!(proxy.show(cardinality), "40");
        let status = proxy.show("SHOW TABLE STATUS LIKE 'users'");
        assert_eq!(status.split('|').nth(4), Some("40"), "{status}");
    }
}

/// Rows are the proxy's own connections, columns are those that the server gives the relation.
#[test]
fn the_connections_of_clients_are_a_relation() {
    for installation in installations() {
        let both = Both::start(&installation);
        let (mut proxy, mut plain) = both.clients();
        let (mut idle, _wide) =
            (Client::of(&both.proxy), Client::connect(&both.proxy.address().to_string(), "wide", PASSWORD, "shop"));
        // Characters of four bytes are none that the relation has.
        idle.run("SELECT '😀'");
        let (own, other) = (proxy.conn.thread_id, idle.conn.thread_id);
        let mut relations = vec!["information_schema.PROCESSLIST"];
        if installation.flavour == Flavour::MySql {
            relations.push("performance_schema.processlist");
        }
        for from in relations {
            for (sql, told) in [
                (format!("SELECT COUNT(*) FROM {from}"), "2".to_owned()),
                (format!("SELECT COUNT(*) FROM {from} WHERE USER = 'wide'"), "0".to_owned()),
                (
                    format!("SELECT ID, USER, DB, COMMAND, INFO FROM {from} WHERE COMMAND = 'Sleep' ORDER BY ID"),
                    format!("{other}|app|shop|Sleep|NULL"),
                ),
                (format!("SELECT CONCAT('KILL ', id, ';') FROM {from} WHERE id <> {own}"), format!("KILL {other};")),
                (
                    format!("SELECT ID FROM {from} WHERE INFO LIKE 'SELECT ID FROM%' AND COMMAND = 'Query'"),
                    own.to_string(),
                ),
                (format!("SELECT a.ID FROM {from} a JOIN {from} b ON a.ID > b.ID"), own.max(other).to_string()),
                (
                    format!("SELECT COMMAND, COUNT(*) FROM {from} GROUP BY COMMAND ORDER BY COMMAND"),
                    "Query|1\nSleep|1".to_owned(),
                ),
            ] {
                assert_eq!(proxy.show(&sql), told, "{}: {sql}", installation.flavour);
            }
            let sql = format!("SELECT * FROM {from} WHERE ID = -1");
            let (one, two) = (proxy.query(&sql).unwrap(), plain.query(&sql).unwrap());
            assert_eq!((one.columns, one.types, one.flags), (two.columns, two.types, two.flags), "{sql}");
        }
        let beside = proxy.show("SELECT p.ID FROM information_schema.PROCESSLIST p JOIN orders o ON o.id = p.ID");
        assert!(beside.starts_with("error 1235"), "{beside}");
    }
}
