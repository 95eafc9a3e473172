//! SELECTs that need rows of several shards together: what the proxy answers over copies of the rows is what one server
//! answers that has them all, to the last flag of the last column, in both protocols.

use std::path::Path;
use std::time::Duration;

use shardloom::demo::cluster::Layout;
use shardloom::demo::install::{Installation, account};
use shardloom::wire::column::{ColumnDef, flags};
use shardloom::wire::command::com;
use shardloom::wire::reply::ErrPacket;
use shardloom::wire::response::{Event, Kind, Response};

use crate::servers::proxy::{Client, PASSWORD, TestProxy};
use crate::servers::testbed::{PATIENCE, TestCluster, installations, wait_until};

const RULES: &str = r#"
[schema.depot]
home = "g0"

[schema.depot.family.by_item]
column = "item_id"
method = { hash = 4 }
groups = ["g0", "g1"]
table  = "{table}_{shard}"

[schema.depot.family.by_code]
column = "code"
method = { hash = 3 }
groups = ["g1", "g0"]
table  = "{table}_c{shard}"

[schema.depot.table]
items  = { family = "by_item", column = "id" }
parts  = { family = "by_item" }
values = { family = "by_item", column = "id" }
labels = { family = "by_code" }
colors = { broadcast = true }
audit  = { group = "g1" }
"#;

/// The definitions of the tables, `NAME (...)` each; blanks in lines are as they come.
const TABLES: &str = "
items (id INT NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL, color CHAR(8), price DECIMAL(10,2), parent INT,
       added DATETIME, KEY (color), KEY (parent)) DEFAULT CHARSET utf8mb4;
parts (item_id INT NOT NULL, no INT NOT NULL, qty INT UNSIGNED, code VARCHAR(10), ratio DOUBLE,
       PRIMARY KEY (item_id, no), KEY (code)) DEFAULT CHARSET utf8mb4;
labels (code VARCHAR(10) NOT NULL PRIMARY KEY, label VARCHAR(40), rank_no INT) DEFAULT CHARSET utf8mb4;
colors (name CHAR(8) NOT NULL PRIMARY KEY, hex BINARY(3) NOT NULL) DEFAULT CHARSET utf8mb4;
audit (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, item INT, said TEXT) DEFAULT CHARSET utf8mb4;
prefs (k VARCHAR(20) NOT NULL PRIMARY KEY, v INT) DEFAULT CHARSET utf8mb4;
values (id INT NOT NULL PRIMARY KEY, t TINYINT, tu BIGINT UNSIGNED, z INT(6) ZEROFILL, d DECIMAL(65,30), f FLOAT,
       g DOUBLE, b BIT(10), b64 BIT(64), y YEAR, da DATE, ti TIME(3), dt DATETIME(6), ts TIMESTAMP(6) NULL,
       c CHAR(6), l VARCHAR(20) CHARACTER SET latin1, w VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
       u VARCHAR(20) CHARACTER SET ucs2, x TEXT, vb VARBINARY(20), bl BLOB, bi BINARY(4),
       e ENUM('a','b''c','d'), s SET('p','q','r'), j JSON, pt POINT, ge GEOMETRY) DEFAULT CHARSET utf8mb4
";

/// The depot behind the proxy and, as the reference, on a server of its own.
struct Depot {
    cluster: TestCluster,
    reference: TestCluster,
}

impl Depot {
    fn open(installation: &Installation) -> Depot {
        let cluster = TestCluster::start(installation, &Layout::new(2, 1));
        let reference = TestCluster::start(installation, &Layout::new(1, 0));
        let mut all = "CREATE DATABASE depot; USE depot;".to_owned();
        let mut groups = [all.clone(), all.clone()];
        for table in TABLES.split(';') {
            let (name, columns) = table.trim().split_once(' ').unwrap();
            all += &format!("CREATE TABLE `{name}` {columns};");
            let mut create = |group: usize, physical: &str| {
                groups[group] += &format!("CREATE TABLE `{physical}` {columns};");
            };
            match name {
                "colors" => (0..2).for_each(|group| create(group, name)),
                "prefs" => create(0, name),
                "audit" => create(1, name),
                "labels" => [1, 1, 0].iter().enumerate().for_each(|(shard, group)| {
                    create(*group, &format!("{name}_c{shard}"));
                }),
                _ => (0..4).for_each(|shard| create(shard / 2, &format!("{name}_{shard}"))),
            }
        }
        for (ddl, group) in groups.iter().zip(&cluster.cluster.groups) {
            group.primary.sql(ddl).unwrap();
            group.catch_up(PATIENCE).unwrap();
        }
        reference.cluster.groups[0].primary.sql(&all).unwrap();
        Depot { cluster, reference }
    }

    /// A client of the server that has everything.
    fn reference(&self) -> Client {
        let address = self.reference.cluster.groups[0].primary.addr();
        Client::connect(&address, account::USER, account::PASSWORD, "depot")
    }

    fn proxy(&self) -> TestProxy {
        TestProxy::start(&self.cluster.cluster, RULES)
    }
}

fn through(proxy: &TestProxy) -> Client {
    Client::connect(&proxy.address().to_string(), "atomic", PASSWORD, "depot")
}

/// All that a client sees of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Each definition as text.
    columns: Vec<String>,
    /// The packets of the rows.
    rows: Vec<Vec<u8>>,
    warnings: u16,
    error: Option<(u16, String)>,
}

/// A parameter of an execution.
#[derive(Clone, Copy, Debug)]
enum Arg {
    Int(i64),
    Text(&'static str),
}

/// COM_STMT_EXECUTE.
fn execute(out: &mut Vec<u8>, statement: u32, args: &[Arg]) {
    out.push(com::STMT_EXECUTE);
    out.extend_from_slice(&statement.to_le_bytes());
    out.extend_from_slice(&[0, 1, 0, 0, 0]);
    if args.is_empty() {
        return;
    }
    out.extend(vec![0; args.len().div_ceil(8)]);
    out.push(1);
    for arg in args {
        out.extend_from_slice(if matches!(arg, Arg::Int(_)) { &[8, 0] } else { &[253, 0] });
    }
    for arg in args {
        match arg {
            Arg::Int(value) => out.extend_from_slice(&value.to_le_bytes()),
            Arg::Text(text) => {
                out.push(text.len() as u8);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

/// Asks by COM_QUERY, or by PREPARE and EXECUTE.
async fn ask(client: &mut shardloom::backend::conn::Conn, sql: &str, binary: bool, params: &[Arg]) -> Seen {
    let mut seen = Seen { columns: Vec::new(), rows: Vec::new(), warnings: 0, error: None };
    let mut kinds = vec![Kind::Query];
    if binary {
        kinds = vec![Kind::Prepare, Kind::Execute];
    }
    let mut statement = 0;
    for kind in kinds {
        match kind {
            Kind::Query => client.send(com::QUERY, sql.as_bytes()),
            Kind::Prepare => client.send(com::STMT_PREPARE, sql.as_bytes()),
            _ => client.send_with(|out| execute(out, statement, params)),
        }
        client.link.flush().await.unwrap();
        client.expect_answer();
        seen.columns.clear();
        let mut response = Response::new(kind, client.capabilities);
        while !response.is_done() {
            let packet = client.link.expect_packet().await.unwrap();
            let payload = client.link.payload(&packet).to_vec();
            match response.packet(&payload).unwrap() {
                Event::ColumnDef { .. } => seen.columns.push(definition(&ColumnDef::decode(&payload).unwrap())),
                Event::Rows { .. } => seen.rows.push(payload),
                Event::End(end) => seen.warnings = end.warnings,
                Event::PrepareOk(ok) => statement = ok.statement,
                Event::Err { .. } => {
                    let error = ErrPacket::decode(&payload).unwrap().to_sql_error();
                    seen.error = Some((error.errno, error.message));
                }
                _ => {}
            }
        }
        client.failed();
        if seen.error.is_some() {
            break;
        }
    }
    if statement != 0 {
        client.close_statement(statement);
    }
    seen
}

/// Whether a column is in a key is told or not by how the server happens to run a join or sort: its statistics decide.
const KEY_FLAGS: u16 = flags::PRI_KEY | flags::UNIQUE_KEY | flags::MULTIPLE_KEY | PART_KEY;
/// The server's own flag for it, which no manual names.
const PART_KEY: u16 = 0x4000;

fn definition(column: &ColumnDef<'_>) -> String {
    // Of a computed value MySQL tells by these whether it stood in a table of its own on the way.
    let computed = column.org_table.is_empty();
    let org_name = if computed { b"" } else { column.org_name };
    let own = if computed { flags::BINARY } else { 0 };
    let decimals = if computed && column.ty.is_string() { 0 } else { column.decimals };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{}.{}({}).{}({}) {:?} length {} charset {} flags {:#x} decimals {}",
        text(column.schema),
        text(column.table),
        text(column.org_table),
        text(column.name),
        text(org_name),
        column.ty,
        column.length,
        column.charset,
        column.flags & !KEY_FLAGS & !own,
        decimals
    )
}

impl Client {
    fn see(&mut self, sql: &str, binary: bool, params: &[Arg]) -> Seen {
        self.runtime.block_on(async {
            let answer = ask(&mut self.conn, sql, binary, params);
            tokio::time::timeout(Duration::from_secs(60), answer).await.expect("an answer within a minute")
        })
    }
}

/// The statements of a fixture; lines that begin with `--` are left out.
fn statements(file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gather").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>().join("\n");
    lines.split(";\n").map(|one| one.trim().trim_end_matches(';').to_owned()).filter(|one| !one.is_empty()).collect()
}

fn fill(depot: &Depot, proxy: &TestProxy) -> (Client, Client) {
    let (mut many, mut one) = (through(proxy), depot.reference());
    for sql in statements("data.sql") {
        let (a, b) = (many.show(&sql), one.show(&sql));
        assert_eq!(a, b, "{sql}");
    }
    (many, one)
}

/// Every SELECT of `tests/fixtures/gather/*.sql` in both protocols.
#[test]
fn gathered_answers_are_those_of_one_server() {
    let mut wrong = Vec::new();
    for installation in installations() {
        let depot = Depot::open(&installation);
        let proxy = depot.proxy();
        let (mut many, mut one) = fill(&depot, &proxy);
        let (mut same, mut refused) = (0, 0);
        for file in ["joins.sql", "queries.sql", "values.sql"] {
            for sql in statements(file) {
                if sql.starts_with("SET ") {
                    assert_eq!(many.show(&sql), one.show(&sql), "{sql}");
                    continue;
                }
                let vendor = if installation.version.contains("MariaDB") { "MariaDB" } else { "MySQL" };
                if sql.contains(&format!("/* not in {vendor} */")) {
                    continue;
                }
                for binary in [false, true] {
                    let (mut a, mut b) = (many.see(&sql, binary, &[]), one.see(&sql, binary, &[]));
                    if !sql.to_ascii_uppercase().contains("ORDER BY") {
                        a.rows.sort();
                        b.rows.sort();
                    }
                    let only = |vendor: &str| sql.contains(&format!("/* refused by {vendor} */"));
                    match &a.error {
                        Some((1235, _)) if only(vendor) => refused += 1,
                        _ if a == b && !only(vendor) => same += 1,
                        _ => wrong.push(format!("{vendor} {file} binary={binary}: {sql}\n{}", difference(&a, &b))),
                    }
                }
            }
        }
        println!("{}: {same} the same, {refused} refused", installation.version);
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn difference(many: &Seen, one: &Seen) -> String {
    let mut text = String::new();
    if many.error != one.error || many.warnings != one.warnings || many.rows.len() != one.rows.len() {
        text += &format!(
            "  many: {:?} warnings {} rows {}\n  one:  {:?} warnings {} rows {}\n",
            many.error,
            many.warnings,
            many.rows.len(),
            one.error,
            one.warnings,
            one.rows.len()
        );
    }
    for (a, b) in many.columns.iter().zip(&one.columns).filter(|(a, b)| a != b) {
        text += &format!("  many: {a}\n  one:  {b}\n");
    }
    for (a, b) in many.rows.iter().zip(&one.rows).filter(|(a, b)| a != b).take(3) {
        text += &format!("  many: {:?}\n  one:  {:?}\n", String::from_utf8_lossy(a), String::from_utf8_lossy(b));
    }
    text
}

/// Copies of many rows do without the keys that nobody needs, and answer as if they had them.
#[test]
fn copies_of_many_rows_have_the_keys_that_count() {
    // Statements, and how many of their copies lose keys.
    let cases = [
        ("SELECT i.name, k.price FROM items i JOIN items k ON k.id = i.parent WHERE i.color = 'red'", 2),
        ("SELECT i.color, COUNT(*), MIN(k.name) FROM items i JOIN items k ON k.id = i.parent GROUP BY i.color", 2),
        ("SELECT k.id, i.name FROM items k LEFT JOIN items i ON i.parent = k.id", 2),
        ("SELECT i.id, i.parent, i.color FROM items i JOIN items k ON k.id = i.parent WHERE k.color = 'red'", 1),
        ("SELECT i.id FROM items i FORCE INDEX (color) JOIN items k ON k.id = i.parent WHERE i.color = 'red'", 0),
    ];
    for installation in installations() {
        let depot = Depot::open(&installation);
        let proxy = depot.proxy();
        let (mut many, mut one) = (through(&proxy), depot.reference());
        let color = |id: usize| if id.is_multiple_of(2) { "red" } else { "blue" };
        let row = |id: usize| format!("({id}, 'n{id}', '{}', {id}.5, {}, NULL)", color(id), id * 7 % 1500);
        let rows: Vec<String> = (0..1500).map(row).collect();
        for client in [&mut many, &mut one] {
            assert_eq!(client.show(&format!("INSERT INTO items VALUES {}", rows.join(","))), "ok 1500");
        }
        let altered = || -> u64 {
            let groups = depot.cluster.cluster.groups.iter();
            let servers = groups.flat_map(|group| group.replicas.iter().chain([&group.primary]));
            let told = servers.map(|server| server.sql("SHOW GLOBAL STATUS LIKE 'Com_alter_table'").unwrap());
            told.map(|told| told.rsplit('\t').next().unwrap().parse::<u64>().unwrap()).sum()
        };
        for (sql, copies) in cases {
            let before = altered();
            let (mut a, mut b) = (many.see(sql, false, &[]), one.see(sql, false, &[]));
            a.rows.sort();
            b.rows.sort();
            assert!(a == b && !a.rows.is_empty(), "{sql}\n{}", difference(&a, &b));
            assert_eq!(altered() - before, copies, "{}: {sql}", installation.flavour);
        }
    }
}

/// A statement that takes minutes over its copies.
const HEAVY: &str = "SELECT COUNT(*) FROM items a, items b, items c, items d, items e, items f WHERE a.name < f.name";

/// Nothing runs over copies, and no connection has one.
fn assert_nothing_left(depot: &Depot, proxy: &TestProxy) {
    let primaries = depot.cluster.cluster.groups.iter().map(|group| group.primary.addr());
    for address in primaries {
        let mut client = Client::connect(&address, account::USER, account::PASSWORD, "depot");
        let count = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND = 'Query' AND \
                     INFO LIKE '%shardloom_gather%' AND ID <> CONNECTION_ID()";
        wait_until("no statement runs", || client.show(count) == "0");
    }
    for _ in 0..8 {
        let missing = through(proxy).show("SELECT 1 FROM _shardloom_gather_0");
        assert!(missing.starts_with("error 1146"), "{missing}");
    }
}

/// What goes wrong ends the statement with its own error, and nothing else: the session goes on, and no backend keeps a
/// copy.
#[test]
fn failures_leave_nothing_behind() {
    for installation in installations() {
        let depot = Depot::open(&installation);
        let proxy = TestProxy::start_with(&depot.cluster.cluster, RULES, |config| config.limits.gather = 400);
        let (mut client, _) = fill(&depot, &proxy);
        let few = "SELECT COUNT(*) FROM items i JOIN labels l ON l.rank_no = i.id WHERE i.id IN (1, 2, 3)";
        let many = "SELECT COUNT(*) FROM items i JOIN items k ON i.name = k.name";

        let refused = client.show(many);
        assert!(refused.starts_with("error 1235: the statement needs more than 400 bytes"), "{refused}");
        assert_eq!(client.show(few), "2");

        // A transaction reads its own writes, and outlives a refusal.
        client.run("BEGIN");
        client.run("UPDATE items SET name = 'mine' WHERE id = 2");
        assert!(client.show(many).starts_with("error 1235"));
        let mine = "SELECT i.name FROM items i JOIN labels l ON l.rank_no = i.id WHERE i.id = 2";
        assert_eq!(client.show(mine), "mine");
        client.run("ROLLBACK");
        assert_eq!(client.show(mine), "washer");

        let missing = client.show("SELECT i.nothing FROM items i JOIN labels l ON l.rank_no = i.id WHERE i.id = 1");
        assert!(missing.starts_with("error 1054: Unknown column 'i.nothing' in '"), "{missing}");
        assert_nothing_left(&depot, &proxy);
        drop(proxy);

        let proxy = depot.proxy();
        let mut client = through(&proxy);
        let late = client.show(&HEAVY.replacen("SELECT", "SELECT /*+ shardloom(timeout=300ms) */", 1));
        assert!(late.starts_with("error 3024"), "{late}");
        assert_eq!(client.show(few), "2");

        let id = client.conn.thread_id;
        let killer = std::thread::spawn({
            let mut other = through(&proxy);
            move || {
                wait_until("it runs", || other.show("SHOW FULL PROCESSLIST").contains(HEAVY));
                other.run(&format!("KILL QUERY {id}"));
            }
        });
        let killed = client.show(HEAVY);
        assert!(killed.starts_with("error 1317"), "{killed}");
        killer.join().unwrap();
        assert_eq!(client.show(few), "2");

        // A client that goes away in the middle.
        client.conn.send(com::QUERY, HEAVY.as_bytes());
        client.flush();
        std::thread::sleep(Duration::from_millis(300));
        drop(client);
        assert_nothing_left(&depot, &proxy);
    }
}

/// Parameters choose shards and rows, and stand in the client's own statement.
#[test]
fn parameters_are_those_of_the_client() {
    let (int, text) = (Arg::Int, Arg::Text);
    let cases: &[(&str, &[Arg])] = &[
        ("SELECT i.id, l.label FROM items i JOIN labels l ON l.rank_no = i.id WHERE i.id = ?", &[int(2)]),
        (
            "SELECT i.id, l.label FROM items i JOIN labels l ON l.rank_no = i.id WHERE i.id = ? OR i.id = ?",
            &[int(2), int(4)],
        ),
        (
            "SELECT ?, i.id FROM items i JOIN items k ON k.id = i.parent WHERE k.name = ? AND i.id > ? ORDER BY i.id",
            &[text("x'y"), text("NUT"), int(1)],
        ),
        (
            "SELECT a.said, f.k FROM audit a JOIN prefs f ON f.v = a.item WHERE a.id > ? ORDER BY a.id LIMIT ?",
            &[int(0), int(1)],
        ),
        (
            "SELECT i.id FROM items i LEFT JOIN labels l ON l.rank_no = i.id AND l.code = ? WHERE i.id < ? AND l.code IS NULL",
            &[text("b2"), int(6)],
        ),
        (
            "WITH RECURSIVE t AS (SELECT id, parent FROM items WHERE id = ? UNION ALL SELECT i.id, i.parent FROM t JOIN items i \
          ON i.id = t.parent WHERE i.id > ?) SELECT COUNT(*) FROM t",
            &[int(31), int(2)],
        ),
    ];
    for installation in installations() {
        let depot = Depot::open(&installation);
        let proxy = depot.proxy();
        let (mut many, mut one) = fill(&depot, &proxy);
        for (sql, params) in cases {
            let (mut a, mut b) = (many.see(sql, true, params), one.see(sql, true, params));
            a.rows.sort();
            b.rows.sort();
            assert_eq!(a, b, "{}: {sql}", installation.version);
            assert!(a.error.is_none() && !a.rows.is_empty(), "{sql}: {a:?}");
        }
    }
}
