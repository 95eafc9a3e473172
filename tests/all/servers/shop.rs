//! A shop over two groups and the same shop on one server, for tests that need both.

use shardloom::demo::cluster::Layout;
use shardloom::demo::install::{Installation, account};

use crate::servers::proxy::{Client, TestProxy};
use crate::servers::testbed::{PATIENCE, TestCluster};

/// Rules of the shop: 8 shards over two groups.
pub(crate) const RULES: &str = r#"
[schema.shop]
home = "g0"

[schema.shop.family.by_user]
column = "user_id"
method = { hash = 8 }
groups = ["g0", "g1"]
table  = "{table}_{shard:02}"

[schema.shop.table]
users      = { family = "by_user", column = "id" }
orders     = { family = "by_user" }
currencies = { broadcast = true }
audit_log  = { group = "g1" }
"#;

const USERS: &str = "(id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(60) NOT NULL, email VARCHAR(60), \
                     balance DECIMAL(12,2), level INT, born DATE, kind ENUM('new','old','gold'))";
const ORDERS: &str = "(id BIGINT NOT NULL, user_id BIGINT NOT NULL, total DECIMAL(10,2), currency CHAR(3), \
                      note VARCHAR(100), at DATETIME, qty SMALLINT UNSIGNED, ratio DOUBLE, PRIMARY KEY (id, user_id), \
                      KEY (user_id))";
const CURRENCIES: &str = "(code CHAR(3) NOT NULL PRIMARY KEY, name VARCHAR(40))";
const AUDIT_LOG: &str = "(id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, msg TEXT)";
const SETTINGS: &str = "(k VARCHAR(40) NOT NULL PRIMARY KEY, v TEXT)";

/// The shop behind the proxy and, as the reference, on a server of its own.
pub(crate) struct Shop {
    pub(crate) cluster: TestCluster,
    reference: TestCluster,
}

impl Shop {
    pub(crate) fn open(installation: &Installation) -> Shop {
        let cluster = TestCluster::start(installation, &Layout::new(2, 1));
        let reference = TestCluster::start(installation, &Layout::new(1, 0));
        for (g, group) in cluster.cluster.groups.iter().enumerate() {
            let mut ddl = "CREATE DATABASE shop CHARACTER SET utf8mb4; USE shop;".to_owned();
            for shard in 4 * g..4 * g + 4 {
                ddl += &format!("CREATE TABLE users_{shard:02} {USERS}; CREATE TABLE orders_{shard:02} {ORDERS};");
            }
            ddl += &format!("CREATE TABLE currencies {CURRENCIES};");
            ddl += &match g {
                0 => format!("CREATE TABLE settings {SETTINGS};"),
                _ => format!("CREATE TABLE audit_log {AUDIT_LOG};"),
            };
            group.primary.sql(&ddl).unwrap();
            group.catch_up(PATIENCE).unwrap();
        }
        reference.cluster.groups[0]
            .primary
            .sql(&format!(
                "CREATE DATABASE shop CHARACTER SET utf8mb4; USE shop; CREATE TABLE users {USERS}; \
                 CREATE TABLE orders {ORDERS}; CREATE TABLE currencies {CURRENCIES}; \
                 CREATE TABLE audit_log {AUDIT_LOG}; CREATE TABLE settings {SETTINGS};"
            ))
            .unwrap();
        Shop { cluster, reference }
    }

    /// A client of the server that has everything.
    pub(crate) fn reference(&self) -> Client {
        let address = self.reference.cluster.groups[0].primary.addr();
        Client::connect(&address, account::USER, account::PASSWORD, "shop")
    }

    pub(crate) fn proxy(&self) -> TestProxy {
        TestProxy::start(&self.cluster.cluster, RULES)
    }
}
