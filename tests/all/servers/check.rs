//! `shardloom check` as a DBA runs it: the binary, its exit status and its words.

use std::process::Command;

use shardloom::demo::cluster::Layout;
use shardloom::demo::folder::TempFolder;
use shardloom::demo::install::Installation;
use shardloom::demo::server::Server;
use shardloom::sql::Flavour;

use crate::servers::proxy::write_rules;
use crate::servers::shop::RULES;
use crate::servers::testbed::{PATIENCE, TestCluster, folder, installations, wait_until};

/// Two groups, and a folder with rules for them.
struct Site {
    cluster: TestCluster,
    folder: TempFolder,
}

impl Site {
    fn open(installation: &Installation, rules: &str) -> Site {
        let cluster = TestCluster::start(installation, &Layout::new(2, 0));
        let folder = folder();
        write_rules(folder.path(), &cluster.cluster, rules);
        Site { cluster, folder }
    }

    fn group(&self, number: usize) -> &Server {
        &self.cluster.cluster.groups[number].primary
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Whether it finds no error, and what it says.
    fn check(&self, options: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shardloom"));
        said(command.arg("check").arg(self.folder.path()).args(options))
    }

    /// The same, where these tables are to be made.
    fn check_and_create(&self, ddl: &str) -> (bool, String) {
        let file = self.path("tables.sql");
        std::fs::write(&file, ddl).unwrap();
        self.check(&["--create", &file])
    }

    /// The place in the rules of the first line that begins so.
    fn place(&self, start: &str) -> String {
        let file = self.path("rules.toml");
        let lines = std::fs::read_to_string(&file).unwrap();
        let line = lines.lines().position(|line| line.starts_with(start)).unwrap() + 1;
        format!("{file}:{line}:")
    }
}

fn said(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn missing_tables_are_told_made_and_compared() {
    for installation in installations() {
        let site = Site::open(&installation, RULES);
        let (fine, text) = site.check(&["--offline"]);
        assert!(fine && text.contains("rules: fine (2 groups, 4 tables)"), "{text}");
        let (fine, text) = site.check(&[]);
        assert!(!fine && text.contains("shop.users, shard 0 (g0: shop.users_00): the table is missing"), "{text}");

        let ddl = "CREATE TABLE users (id BIGINT PRIMARY KEY, email VARCHAR(60) UNIQUE);
                   CREATE TABLE orders (id BIGINT, user_id BIGINT, PRIMARY KEY (id, user_id));
                   CREATE TABLE currencies (code CHAR(3) PRIMARY KEY);
                   CREATE TABLE audit_log (id INT PRIMARY KEY);";
        let (fine, text) = site.check_and_create(ddl);
        assert!(fine, "{text}");
        assert!(text.contains("made g1: shop.users_07"), "{text}");
        assert!(text.contains(": shop.users: unique key (email) does not contain the sharding column"), "{text}");
        assert!(text.contains("servers: fine (19 tables"), "{text}");

        // Those of MySQL do not show their lock waits either, which takes memory.
        let mysql = installation.flavour == Flavour::MySql;
        assert_eq!(text.contains("performance_schema is OFF: deadlocks over several groups are not found"), mysql);
        assert!(!text.contains("may not see lock waits"), "{text}");

        // The test servers do not flush, for speed.
        let flush = site.group(0).sql("SELECT @@innodb_flush_log_at_trx_commit").unwrap();
        let warned = text.contains("innodb_flush_log_at_trx_commit is not 1");
        assert_eq!(warned, flush.trim() != "1", "{flush} {text}");
        for group in [0, 1] {
            site.group(group).sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2, GLOBAL sync_binlog = 1").unwrap();
        }
        let (fine, text) = site.check(&[]);
        assert!(fine && text.contains("innodb_flush_log_at_trx_commit is not 1"), "{text}");
        assert!(text.contains("transactions over several groups: atomic whatever process dies, but not if a machine"));
        assert!(!text.contains("sync_binlog") && !text.contains("local_infile"), "{text}");
        site.group(1).sql("SET GLOBAL local_infile = 0").unwrap();
        let (_, text) = site.check(&[]);
        assert_eq!(text.matches("local_infile is OFF").count(), 1, "{text}");

        site.group(1).sql("ALTER TABLE shop.users_05 MODIFY email VARCHAR(80)").unwrap();
        let (fine, text) = site.check(&[]);
        assert!(!fine && text.contains("shard 5 (g1: shop.users_05): differs from shard 0"), "{text}");
        let nowhere = site.path("nowhere");
        let (fine, text) = said(Command::new(env!("CARGO_BIN_EXE_shardloom")).args(["check", &nowhere]));
        assert!(!fine && text.contains("cannot read"), "{text}");
    }
}

#[test]
fn ids_and_unique_keys_are_told_with_the_line_of_their_rule() {
    const IDS: &str = r#"
[schema.shop]
home = "g1"

[schema.shop.family.by_user]
column = "user_id"
method = { hash = 2 }
groups = ["g0", "g1"]

[schema.shop.table]
orders = { family = "by_user", id = "segment" }
small  = { family = "by_user", id = "snowflake" }
bare   = { family = "by_user" }
"#;
    for installation in installations() {
        let site = Site::open(&installation, IDS);
        let ddl = "CREATE TABLE orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, user_id INT, nr INT, UNIQUE (nr));
                   CREATE TABLE small (id INT AUTO_INCREMENT PRIMARY KEY, user_id INT);
                   CREATE TABLE bare (id INT AUTO_INCREMENT PRIMARY KEY, user_id INT);";
        let (fine, text) = site.check_and_create(ddl);
        assert!(!fine, "{text}");
        for (rule, told) in [
            ("orders", "warning: * shop.orders: unique key (id) does not contain the sharding column: the ids that"),
            ("orders", "warning: * shop.orders: unique key (nr) does not contain the sharding column: each shard"),
            ("small", "error: * shop.small: its column id is int, and snowflake ids need BIGINT"),
            ("bare", "warning: * shop.bare: no rule says who makes the ids of its AUTO_INCREMENT column id"),
        ] {
            let told = told.replace('*', &site.place(rule));
            assert!(text.contains(&told), "{told}\n{text}");
        }
        assert!(text.contains("made g1: _shardloom.segment"), "{text}");
        site.group(1).sql("SELECT next_id FROM _shardloom.segment").unwrap();
    }
}

#[test]
fn lookups_are_made_and_compared_with_their_owners() {
    const LOOKUPS: &str = r#"
[schema.shop]
home = "g1"

[schema.shop.family.by_user]
column = "user_id"
method = { hash = 2 }
groups = ["g0", "g1"]
table  = "{table}_{shard}"

[schema.shop.family.by_value]
method = { hash = 2 }
groups = ["g0", "g1"]
table  = "{table}_{shard}"

[schema.shop.table]
orders    = { family = "by_user", unique = [{ columns = ["shop", "nr"], lookup = "orders_nr" }] }
orders_nr = { family = "by_value", column = "nr" }
users     = { family = "by_user", column = "id", unique = [{ columns = ["email"], lookup = "emails", state = "writing" }] }
emails    = { family = "by_value", column = "email" }
"#;
    for installation in installations() {
        let site = Site::open(&installation, LOOKUPS);
        let ddl =
            "CREATE TABLE orders (id BIGINT, user_id INT, shop INT UNSIGNED NOT NULL, nr VARCHAR(30) CHARACTER SET
                       latin1 COLLATE latin1_bin NOT NULL, PRIMARY KEY (id, user_id), UNIQUE (shop, nr));
                   CREATE TABLE users (id BIGINT PRIMARY KEY, email VARCHAR(60), UNIQUE (email));";
        let (fine, text) = site.check_and_create(ddl);
        assert!(fine, "{text}");
        assert!(text.contains("made g0: shop.orders_nr_0") && text.contains("made g1: shop.emails_1"), "{text}");
        assert!(!text.contains("does not contain the sharding column"), "{text}");
        assert!(text.contains("shop.users: lookup emails is being filled"), "{text}");
        let shown = site.group(0).sql("SHOW CREATE TABLE shop.orders_nr_0").unwrap();
        for part in ["latin1_bin", "`user_id` int", "PRIMARY KEY (`shop`,`nr`)"] {
            assert!(shown.contains(part), "{part} {shown}");
        }

        let place = site.place("orders ");
        for group in [0, 1] {
            for parent in ["kinds (id INT UNSIGNED PRIMARY KEY)", "people (id INT PRIMARY KEY)"] {
                site.group(group).sql(&format!("CREATE TABLE shop.{parent}")).unwrap();
            }
        }
        for (change, told) in [
            (
                "orders# ADD CONSTRAINT kind FOREIGN KEY (shop) REFERENCES kinds (id) ON UPDATE CASCADE",
                "ON UPDATE CASCADE of a foreign key changes rows of it, or of lookup orders_nr, alone",
            ),
            (
                "orders# DROP FOREIGN KEY kind, ADD CONSTRAINT user FOREIGN KEY (user_id) REFERENCES people (id) ON UPDATE
                 CASCADE",
                "ON UPDATE CASCADE of a foreign key of orders would leave rows on a shard that is not theirs",
            ),
            (
                "orders_nr# MODIFY nr VARCHAR(40) COLLATE latin1_bin NOT NULL",
                "in lookup orders_nr column `nr` is varchar(40)",
            ),
            (
                "orders_nr# MODIFY nr VARCHAR(30) CHARACTER SET utf8mb4 NOT NULL",
                "in lookup orders_nr column `nr` has the collation utf8mb4",
            ),
            (
                "orders_nr# MODIFY nr VARCHAR(30) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL, DROP PRIMARY KEY",
                "lookup orders_nr needs the unique key (shop, nr)",
            ),
            (
                "orders_nr# ADD PRIMARY KEY (shop, nr), ADD UNIQUE (user_id)",
                "lookup orders_nr has another unique key, (user_id)",
            ),
            ("orders_nr# DROP KEY user_id, ADD extra INT", "lookup orders_nr has a column extra that nothing fills"),
            ("orders_nr# DROP COLUMN extra, DROP COLUMN user_id", "lookup orders_nr has no column user_id"),
            (
                "orders# DROP KEY shop, ADD UNIQUE KEY shop (shop, nr(5))",
                "its unique key (shop, nr) is over parts of its columns",
            ),
            (
                "orders# DROP KEY shop, ADD UNIQUE KEY shop (nr, shop)",
                "its unique key is (nr, shop): `columns` have to be in that order",
            ),
            ("orders# DROP KEY shop", "it has no unique key (shop, nr) for lookup orders_nr"),
        ] {
            for (group, shard) in [(0, "_0"), (1, "_1")] {
                let sql = format!("ALTER TABLE shop.{}", change.replace('#', shard));
                site.group(group).sql(&sql).unwrap();
            }
            let (fine, text) = site.check(&[]);
            let told = format!("error: {place} shop.orders: {told}");
            assert!(!fine && text.contains(&told), "{told}\n{text}");
        }
    }
}

/// What a crash of a MariaDB server leaves on its replicas, made by hand: a branch that only the replica has, and the end of
/// one that it has not.
#[test]
fn replicas_that_disagree_with_their_primary_about_branches_are_told() {
    for installation in installations().into_iter().filter(|found| found.flavour == Flavour::MariaDb) {
        let cluster = TestCluster::start(&installation, &Layout::new(2, 1));
        let folder = folder();
        write_rules(folder.path(), &cluster.cluster, "[schema.shop]\nhome = \"g0\"\n");
        let said = || said(Command::new(env!("CARGO_BIN_EXE_shardloom")).arg("check").arg(folder.path())).1;
        let group = &cluster.cluster.groups[0];
        let name = |number: u32| {
            format!(
                "'sl1-00000000000000aa-000000000001-{number:010x}-ffffffff-00000001','00000000000000bb-00000001',1397489665"
            )
        };
        let prepare = |number: u32| {
            let name = name(number);
            group.primary.sql(&format!(
                "XA START {name}; INSERT INTO shop.t VALUES ({number}); XA END {name}; XA PREPARE {name}"
            ))
        };
        group.primary.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY)").unwrap();
        // Prepared on both, as it should be.
        prepare(1).unwrap();
        group.catch_up(PATIENCE).unwrap();
        let told = format!("g0 ({}): it has 1 prepared branches that its primary has not", group.replicas[0].addr());
        assert!(!said().contains(&told));
        // Then only on the replica.
        wait_until("the branch is free", || {
            group.primary.sql(&format!("SET sql_log_bin = 0; XA ROLLBACK {}", name(1))).is_ok()
        });
        let text = said();
        assert!(text.contains(&told) && text.contains(name(1).trim_end_matches(",1397489665")), "{text}");
        group.replicas[0].sql(&format!("SET sql_log_bin = 0; XA ROLLBACK {}", name(1))).unwrap();
        assert!(!said().contains(&told));

        // Ended twice.
        prepare(2).unwrap();
        group.catch_up(PATIENCE).unwrap();
        group.replicas[0].sql(&format!("SET sql_log_bin = 0; XA COMMIT {}", name(2))).unwrap();
        wait_until("the branch is free", || group.primary.sql(&format!("XA COMMIT {}", name(2))).is_ok());
        let told = format!("g0 ({}): it stopped at a branch that it has not", group.replicas[0].addr());
        wait_until("the replica has stopped", || said().contains(&told));
    }
}
