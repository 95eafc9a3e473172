//! A shop over two groups and the same shop on one server: what the proxy answers and what one MySQL does.

use std::collections::BTreeSet;
use std::path::Path;

use shardloom::backend::conn::{Answer, BackendError};
use shardloom::demo::cluster::Layout;
use shardloom::demo::install::{Installation, account};

use crate::servers::proxy::{Client, TestProxy, show};
use crate::servers::testbed::{TestCluster, installations};

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
            group.catch_up(std::time::Duration::from_secs(30)).unwrap();
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

/// How the proxy's answer compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    Refused,
    Different,
}

fn compare(sql: &str, proxy: &Result<Answer, BackendError>, one: &Result<Answer, BackendError>) -> Verdict {
    if let Err(BackendError::Server(error)) = proxy
        && error.errno == 1235
    {
        return Verdict::Refused;
    }
    let same = match (proxy, one) {
        (Ok(a), Ok(b)) => {
            let ordered = sql.to_ascii_uppercase().contains("ORDER BY");
            let rows = |answer: &Answer| {
                let mut rows = answer.rows.clone();
                if !ordered {
                    rows.sort();
                }
                rows
            };
            a.columns == b.columns
                && a.types == b.types
                && rows(a) == rows(b)
                && a.affected_rows == b.affected_rows
                && a.info == b.info
                && a.warnings == b.warnings
        }
        (Err(BackendError::Server(a)), Err(BackendError::Server(b))) => {
            a.errno == b.errno && a.state == b.state && a.message == b.message
        }
        _ => false,
    };
    if same { Verdict::Same } else { Verdict::Different }
}

/// Every statement of `tests/fixtures/shop/*.sql` gives what one server with all the data gives, or is
/// refused; which are refused stands behind each statement, and is kept.
#[test]
fn answers_are_those_of_one_server() {
    for installation in installations() {
        let shop = Shop::open(&installation);
        let proxy = shop.proxy();
        let mut through =
            Client::connect(&proxy.address().to_string(), "wide", crate::servers::proxy::PASSWORD, "shop");
        let mut one = shop.reference();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/shop");
        let files: BTreeSet<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let mut different = Vec::new();
        let (mut same, mut refused) = (0, 0);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let mut kept = String::new();
            for block in text.split_inclusive(";\n") {
                let statement = block.trim_end().trim_end_matches(';');
                let sql: String =
                    statement.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
                let sql = sql.trim();
                if sql.is_empty() {
                    kept += block;
                    continue;
                }
                let expected_refusal = statement.lines().any(|line| line.starts_with("-- refused"));
                let a = through.query(sql);
                // What was refused must not run on the reference either, or the two drift apart.
                let b = match &a {
                    Err(BackendError::Server(error)) if error.errno == 1235 => Ok(Answer::default()),
                    _ => one.query(sql),
                };
                match (compare(sql, &a, &b), expected_refusal) {
                    (Verdict::Same, false) => same += 1,
                    (Verdict::Refused, true) => refused += 1,
                    (verdict, _) => different.push(format!(
                        "{}: {verdict:?}: {sql}\n  proxy: {}\n  one:   {}",
                        file.file_name().unwrap().to_string_lossy(),
                        describe(&a),
                        describe(&b),
                    )),
                }
            }
        }
        println!("{}: {same} the same, {refused} refused", installation.version);
        assert!(different.is_empty(), "{}:\n{}", installation.version, different.join("\n"));
    }
}

fn describe(answer: &Result<Answer, BackendError>) -> String {
    let head = match answer {
        Ok(answer) => {
            format!("{:?} {:?} info={:?} warnings={} ", answer.columns, answer.types, answer.info, answer.warnings)
        }
        Err(_) => String::new(),
    };
    head + &show(answer).chars().take(600).collect::<String>()
}
