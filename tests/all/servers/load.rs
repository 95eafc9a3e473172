//! LOAD DATA LOCAL INFILE into tables that lie in several places: what the proxy stores and says is what one server
//! stores and says of the same file, and a load that fails, or is left by its client, leaves nothing behind.

use std::process::{Command, Stdio};
use std::time::Duration;

use shardloom::backend::conn::{Answer, BackendError};
use shardloom::demo::cluster::Layout;
use shardloom::demo::install::{Installation, account};
use shardloom::sql::Flavour;
use shardloom::wire::command::com;
use shardloom::wire::reply::LOCAL_INFILE;

use crate::servers::proxy::{Client, PASSWORD, TestProxy};
use crate::servers::testbed::{TestCluster, installations, wait_until};

const RULES: &str = r#"
[schema.yard]
home = "g0"

[schema.yard.family.by_owner]
column = "owner"
method = { mod = 4 }
groups = ["g0", "g1"]
table  = "{table}_{shard}"

[schema.yard.family.by_name]
column = "name"
method = { hash = 3 }
groups = ["g1", "g0"]
table  = "{table}_{shard}"

[schema.yard.table]
things = { family = "by_owner" }
serial = { family = "by_owner" }
words  = { family = "by_name" }
colors = { broadcast = true }
"#;

const TABLES: &str = "
things (id INT NOT NULL, owner BIGINT NOT NULL, label VARCHAR(8), amount DECIMAL(8,2), day DATE,
        added DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6), PRIMARY KEY (owner, id)) DEFAULT CHARSET utf8mb4;
serial (id INT NOT NULL AUTO_INCREMENT, owner INT, PRIMARY KEY (id), KEY (owner)) DEFAULT CHARSET utf8mb4;
words (name VARCHAR(20) COLLATE utf8mb4_bin, note TEXT) DEFAULT CHARSET utf8mb4;
colors (name CHAR(8) NOT NULL PRIMARY KEY, hex VARCHAR(6) NOT NULL, shade INT) DEFAULT CHARSET utf8mb4;
prefs (k INT NOT NULL PRIMARY KEY, v VARCHAR(8)) DEFAULT CHARSET utf8mb4
";

/// The tables behind the proxy and, as the reference, on a server of its own.
struct Yard {
    cluster: TestCluster,
    reference: TestCluster,
}

impl Yard {
    fn open(installation: &Installation) -> Yard {
        Yard::open_with(installation, &[])
    }

    /// The same, with further options for the servers behind the proxy.
    fn open_with(installation: &Installation, options: &[&str]) -> Yard {
        let options = options.iter().map(ToString::to_string).collect();
        let cluster = TestCluster::start(installation, &Layout { options, ..Layout::new(2, 0) });
        let reference = TestCluster::start(installation, &Layout::new(1, 0));
        let mut all = "CREATE DATABASE yard; USE yard;".to_owned();
        let mut groups = [all.clone(), all.clone()];
        for table in TABLES.split(';') {
            let (name, columns) = table.trim().split_once(' ').unwrap();
            all += &format!("CREATE TABLE {name} {columns};");
            let places: &[(usize, &str)] = match name {
                "colors" => &[(0, ""), (1, "")],
                "prefs" => &[(0, "")],
                "words" => &[(1, "_0"), (1, "_1"), (0, "_2")],
                _ => &[(0, "_0"), (0, "_1"), (1, "_2"), (1, "_3")],
            };
            for (group, behind) in places {
                groups[*group] += &format!("CREATE TABLE {name}{behind} {columns};");
            }
        }
        for (ddl, group) in groups.iter().zip(&cluster.cluster.groups) {
            group.primary.sql(ddl).unwrap();
        }
        reference.cluster.groups[0].primary.sql(&all).unwrap();
        Yard { cluster, reference }
    }

    fn reference(&self) -> Client {
        let address = self.reference.cluster.groups[0].primary.addr();
        Client::connect(&address, account::USER, account::PASSWORD, "yard")
    }

    /// A proxy that holds so little of a file that it has to send many parts.
    fn proxy(&self) -> TestProxy {
        TestProxy::start_with(&self.cluster.cluster, RULES, |config| config.limits.load = 64 << 10)
    }
}

fn through(proxy: &TestProxy) -> Client {
    Client::connect(&proxy.address().to_string(), "atomic", PASSWORD, "yard")
}

fn load(client: &mut Client, sql: &str, file: &[u8]) -> Result<Answer, BackendError> {
    let answer = client.runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(120), client.conn.load_local(sql.as_bytes(), file)).await.unwrap()
    });
    answer.map(|(_, answer)| answer)
}

/// All that a client sees of a load, and of its warnings.
pub(super) fn seen(client: &mut Client, sql: &str, file: &[u8]) -> String {
    match load(client, sql, file) {
        Err(BackendError::Server(error)) => format!("error {}: {}", error.errno, error.message),
        Err(error) => format!("lost: {error}"),
        Ok(answer) => {
            let (rows, warnings, info) = (answer.affected_rows, answer.warnings, answer.info);
            let listed = client.show("SHOW WARNINGS");
            let counted = client.show("SELECT @@warning_count");
            format!("ok {rows}, {warnings} warnings\n{info}\n{listed}\ncount {counted}")
        }
    }
}

const THINGS: &str = "SELECT id, owner, label, amount, day, added > '2000-01-01' FROM things ORDER BY owner, id";

/// Statements (after the first word of each: the query that shows what they did) and files.
const CASES: &[(&str, &str, &str)] = &[
    (THINGS, "INTO TABLE things (id, owner, label, amount)", "1\t10\ta\t1.5\n2\t11\tb\t2\n3\t12\t\\N\t\n4\t13\td\t4\n"),
    // No line end at the end of the file, one row too short, one too long.
    (THINGS, "INTO TABLE things (id, owner, label)", "1\t1\ta\n2\t2\n3\t3\tc\tmore\n4\t4\td"),
    (THINGS, "INTO TABLE things (id, owner)", ""),
    (THINGS, "INTO TABLE things IGNORE 5 LINES (id, owner)", ""),
    (THINGS, "INTO TABLE things IGNORE 2 LINES (id, owner)", "a\nb\\\nc\n1\t1\n"),
    (THINGS, "INTO TABLE things IGNORE 9 LINES (id, owner)", "a\nb\n"),
    // Values that are cut or replaced, with the numbers of their rows in the file.
    (
        THINGS,
        "INTO TABLE things FIELDS TERMINATED BY ',' (id, owner, label, amount, day)",
        "1,1,toolongtext,1,2024-01-01\n2,2,b,x,2024-01-02\n3,3,c,1.239,nonsense\n4,4,d,99999999999,0000-00-00\nz,5,e,,\n",
    ),
    // Rows that are there already are left out; REPLACE takes them away.
    (THINGS, "INTO TABLE things (id, owner, label)", "1\t1\ta\n1\t1\tb\n1\t1\tc\n1\t1\td\n"),
    (THINGS, "IGNORE INTO TABLE things (id, owner, label)", "1\t1\ta\n2\t1\tb\n1\t1\td\n"),
    (THINGS, "REPLACE INTO TABLE things (id, owner, label)", "1\t1\ta\n2\t2\tb\n1\t1\tc\n2\t2\td\n"),
    // With REPLACE errors are errors: that of the first row that has one.
    (
        THINGS,
        "REPLACE INTO TABLE things (id, owner, label)",
        "1\t1\ta\n2\t2\ttoolongtext\n3\t3\ttoolongtext\n4\t4\ttoolongtext\n5\t5\ttoolongtext\n",
    ),
    (THINGS, "INTO TABLE things (id, owner, nothing)", "1\t1\ta\n"),
    (THINGS, "INTO TABLE things FIELDS ENCLOSED BY 'ab' (id, owner)", "1\t1\n"),
    // Quotes, escapes, and ends of more than one character.
    (
        THINGS,
        "INTO TABLE things FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' LINES TERMINATED BY '\\r\\n' \
         (id, owner, label)",
        "1,\"1\",\"a\"\"b\"\r\n\"2\",2,\"x\r\ny\"\r\n3,3,NULL\r\n4,4,\"NULL\"\r\n5,5,\\N\r\n6,6,a\\,b\r\n7,7,\"open",
    ),
    (
        THINGS,
        "INTO TABLE things FIELDS TERMINATED BY '||' ENCLOSED BY '''' ESCAPED BY '' LINES STARTING BY '>>' \
         TERMINATED BY '##' (id, owner, label)",
        ">>1||1||a##nothing##x>>2||'2'||b\\##>>>>3||3||'c##d'##",
    ),
    // Variables and SET; the last row's value stays.
    (
        "SELECT @a, @b, id, owner, label, amount, day FROM things ORDER BY owner, id",
        "INTO TABLE things FIELDS TERMINATED BY ';' (@a, owner, id, @b) SET label = UPPER(@b), amount = @a / 2, \
         day = '2024-02-29'",
        "1;1;1;x\n2;2;2;y\n3;1;3;z\n4;4;4\n7;3;5;last\n",
    ),
    ("SELECT COUNT(DISTINCT added), COUNT(*) FROM things", "INTO TABLE things (id, owner)", "1\t1\n2\t2\n3\t3\n4\t4\n"),
    // Whole numbers however they are written, and however long.
    (
        THINGS,
        "INTO TABLE things (id, owner)",
        "1\t007\n2\t-5\n3\t9223372036854775807\n4\t1234567890123456789\n5\t3.0\n",
    ),
    (THINGS, "INTO TABLE things CHARACTER SET latin1 (id, owner, label)", "1\t1\t\u{e9}\n2\t2\tb\n"),
    (
        "SELECT name, note FROM words ORDER BY name, note",
        "INTO TABLE words FIELDS TERMINATED BY ',' ENCLOSED BY '\"'",
        "\"a\",1\n\"a \",2\nä,3\n\\N,4\n\"\",5\nNULL,6\n\"b\nc\",7\n😀,8\n",
    ),
    ("SELECT * FROM serial ORDER BY id", "INTO TABLE serial", "5\t1\n6\t2\n7\t\\N\n-3\t4\n"),
    // Copies: each has all rows, and one answer tells of them.
    (
        "SELECT * FROM colors ORDER BY name",
        "INTO TABLE colors IGNORE 1 LINES",
        "name\nred\tff0000\t1\nred\t0\t2\nblue\t0000ffx\tx\n",
    ),
    ("SELECT * FROM prefs ORDER BY k", "INTO TABLE prefs", "1\ta\n2\ttoolongtext\n1\tb\n"),
];

#[test]
fn a_file_becomes_the_rows_that_one_server_makes_of_it() {
    for installation in installations() {
        let yard = Yard::open(&installation);
        let proxy = yard.proxy();
        let (mut one, mut many) = (yard.reference(), through(&proxy));
        for (shown, clauses, file) in CASES {
            let sql = format!("LOAD DATA LOCAL INFILE 'some file' {clauses}");
            for client in [&mut one, &mut many] {
                ["things", "words", "colors", "serial", "prefs"].iter().for_each(|table| {
                    client.run(&format!("DELETE FROM {table}"));
                });
            }
            let told = seen(&mut many, &sql, file.as_bytes());
            assert_eq!(told, seen(&mut one, &sql, file.as_bytes()), "{}: {sql}\n{file}", installation.flavour);
            assert_eq!(many.show(shown), one.show(shown), "{}: {sql}\n{file}", installation.flavour);
        }
        let copies = yard.cluster.cluster.groups.iter().map(|group| group.primary.sql("SELECT * FROM yard.colors"));
        let copies: Vec<String> = copies.map(Result::unwrap).collect();
        assert_eq!(copies[0], copies[1]);
    }
}

/// A small generator of numbers, the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % sides) as usize
    }

    fn of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len() as u64)]
    }
}

#[test]
fn random_files_become_the_rows_that_one_server_makes_of_them() {
    for installation in installations() {
        let yard = Yard::open(&installation);
        let proxy = yard.proxy();
        let (mut one, mut many) = (yard.reference(), through(&proxy));
        let (mut dice, mut loaded) = (Dice(20_261_121), 0);
        for round in 0..60 {
            let field_end = dice.of(&[",", "\t", "||", ";"]);
            let line_end = dice.of(&["\n", "\r\n", "|\n"]);
            let escape = dice.of(&["\\", "", "!"]);
            let enclosed = dice.of(&["\"", "'"]);
            let mut file = String::new();
            for row in 0..dice.below(400) {
                let owner = dice.below(40);
                let pieces: String = (0..dice.below(6))
                    .map(|_| dice.of(&["a", "é", "\\", "!", "N", "\"", "'", "|", " ", "1", field_end, "\n"]))
                    .collect();
                let quoted = pieces.replace(enclosed, &enclosed.repeat(2));
                let quoted = if escape.is_empty() { quoted } else { quoted.replace(escape, &escape.repeat(2)) };
                let plain = dice.of(&["", "x", "é", "NULL", "\\N", "long text here", "a b"]).to_owned();
                let label = if dice.below(3) == 0 { plain } else { format!("{enclosed}{quoted}{enclosed}") };
                let more = dice.of(&["", "", "", "1.25", "x", "more"]);
                let short = dice.below(12) == 0;
                let rest = if short { String::new() } else { format!("{field_end}{label}{field_end}{more}") };
                file += &format!("{row}{field_end}{owner}{rest}{line_end}");
            }
            if dice.below(4) == 0 {
                file.truncate(file.len() - line_end.len().min(file.len()));
            }
            let quote = |text: &str| text.replace('\\', "\\\\").replace('\'', "''");
            let sql = format!(
                "LOAD DATA LOCAL INFILE 'x' {} INTO TABLE things FIELDS TERMINATED BY '{}' OPTIONALLY ENCLOSED BY '{}' ESCAPED \
                 BY '{}' LINES TERMINATED BY '{}' IGNORE {} LINES (id, owner, label, amount)",
                dice.of(&["", "IGNORE"]),
                quote(field_end),
                quote(enclosed),
                quote(escape),
                quote(line_end),
                dice.below(3),
            );
            for client in [&mut one, &mut many] {
                client.run("DELETE FROM things");
            }
            let told = seen(&mut many, &sql, file.as_bytes());
            // A row that begins where nobody meant one to has no owner that is a number.
            if told.starts_with("error 1235") {
                continue;
            }
            loaded += 1;
            let context = format!("{} round {round}: {sql}\n{file}", installation.flavour);
            assert_eq!(told, seen(&mut one, &sql, file.as_bytes()), "{context}");
            assert_eq!(many.show(THINGS), one.show(THINGS), "{context}");
        }
        assert!(loaded > 20, "only {loaded} files of 60 could be loaded");
    }
}

#[test]
fn rows_whose_place_is_not_sure_are_refused_and_nothing_is_stored() {
    for installation in installations() {
        let yard = Yard::open(&installation);
        let proxy = yard.proxy();
        let mut client = through(&proxy);
        for (table, file, why) in [
            (
                "things (id, owner)",
                &b"1\t1\n2\t1.5\n"[..],
                "row 2 of the file: things.owner: the value of the sharding key is not a whole number: '1.5'",
            ),
            ("things (id, owner)", b"1\t1\n2\t\n", "is not a whole number: ''"),
            ("things (id, owner)", b"1\t1\n2\t 7\n", "is not a whole number: ' 7'"),
            (
                "things (id, owner)",
                b"1\t1\n2\t\\N\n",
                "row 2 of the file: things.owner: NULL for a sharding key that has none",
            ),
            ("things (id, owner)", b"1\t1\n2\n", "row 2 of the file: things.owner: the row ends before this field"),
            ("things (id, owner)", b"1\t99999999999999999999\n", "out of the range"),
            ("things (owner, id)", b"\xEF\xBB\xBF1\t1\n", "'1' (behind a byte order mark"),
            (
                "things IGNORE 1 LINES (id, owner)",
                b"caf\xE9\n1\t1\n2\t2\n",
                "is no text in the file's character set (utf8mb4)",
            ),
            (
                "things (id, owner, label)",
                b"1\t1\ta\n2\t2\t\xE4b\n",
                "row 2 of the file, or a line that is ignored before it, is no text in the file's character set (utf8mb4)",
            ),
            (
                "words CHARACTER SET latin1",
                b"a\tb\n\xE4\tb\n",
                "row 2 of the file: words.name: its characters outside ASCII",
            ),
            (
                "words",
                b"a\tb\nlonger than the column is\tb\n",
                "row 2 of the file: words.name: the value of the sharding key is longer than its column",
            ),
            ("serial", b"5\t1\n0\t1\n", "row 2 of the file: each server would number id by itself"),
            ("serial", b"\\N\t1\n", "each server would number id by itself"),
            ("things CHARACTER SET gbk (id, owner)", b"1\t1\n", "a file in gbk"),
        ] {
            let sql = format!("LOAD DATA LOCAL INFILE 'x' INTO TABLE {table}");
            let told = seen(&mut client, &sql, file);
            assert!(told.starts_with("error 1235: ") && told.contains(why), "{sql}: {told}");
            let table = table.split(' ').next().unwrap();
            assert_eq!(client.show(&format!("SELECT COUNT(*) FROM {table}")), "0", "{sql}");
        }
        let long = vec![b'x'; 100 << 10];
        let told = seen(&mut client, "LOAD DATA LOCAL INFILE 'x' INTO TABLE words", &long);
        assert!(told.contains("row 1 of the file is longer than 65536 bytes (limits.load)"), "{told}");
        // The session goes on.
        assert_eq!(client.show("SELECT 1"), "1");
    }
}

#[test]
fn a_load_is_a_part_of_its_transaction() {
    for installation in installations() {
        let yard = Yard::open(&installation);
        let proxy = yard.proxy();
        let (mut one, mut many) = (yard.reference(), through(&proxy));
        let sql = "LOAD DATA LOCAL INFILE 'x' REPLACE INTO TABLE things (id, owner, label)";
        let (good, bad) = (b"1\t1\ta\n2\t2\tb\n3\t3\tc\n", b"4\t1\td\n5\t2\ttoolongtext\n6\t3\tf\n");
        let mut all = Vec::new();
        for client in [&mut one, &mut many] {
            let mut told = String::new();
            client.run("BEGIN");
            client.run("INSERT INTO things (id, owner) VALUES (9, 9)");
            told += &seen(client, sql, good);
            client.run("ROLLBACK");
            told += &client.show("SELECT COUNT(*) FROM things");
            client.run("BEGIN");
            client.run("INSERT INTO things (id, owner) VALUES (9, 9)");
            told += &seen(client, sql, bad);
            told += &seen(client, sql, good);
            told += &seen(client, sql, bad);
            client.run("COMMIT");
            told += &client.show(THINGS);
            client.run("SET autocommit = 0");
            told += &seen(client, sql, b"7\t7\tg\n8\t8\th\n");
            client.run("ROLLBACK");
            told += &client.show(THINGS);
            all.push(told);
        }
        assert_eq!(all[0], all[1], "{}", installation.flavour);
        // One group only, for a user whose transactions may not span several.
        let mut single = Client::connect(&proxy.address().to_string(), "app", PASSWORD, "yard");
        let told = seen(&mut single, sql, good);
        assert!(told.contains("transaction_mode = \"single\" refuses"), "{told}");
    }
}

/// The client must hear that its transaction is gone, though the first error in the file is another one.
#[test]
fn a_server_that_rolls_all_back_beside_another_error_is_told_of() {
    for installation in installations() {
        let yard = Yard::open_with(&installation, &["--innodb_rollback_on_timeout=ON"]);
        let proxy = yard.proxy();
        let (mut one, mut other) = (through(&proxy), through(&proxy));
        one.run("BEGIN");
        one.run("INSERT INTO things (id, owner) VALUES (2, 2)");
        other.run("SET innodb_lock_wait_timeout = 2");
        other.run("BEGIN");
        other.run("INSERT INTO things (id, owner) VALUES (5, 3)");
        let sql = "LOAD DATA LOCAL INFILE 'x' REPLACE INTO TABLE things (id, owner, label)";
        // The first group does not take its row; that of the second group is locked.
        let told = load_error(&mut other, sql, b"1\t0\ttoolongtext\n2\t2\tb\n");
        assert!(told.starts_with("error 1213"), "{told}");
        assert_eq!(other.show("INSERT INTO things (id, owner) VALUES (6, 3)"), "ok 1");
        one.run("ROLLBACK");
        assert_eq!(one.show("SELECT id FROM things ORDER BY id"), "6");
        // With autocommit off a statement that is wrong begins no transaction.
        other.run("SET autocommit = 0");
        let told = load_error(&mut other, "LOAD DATA LOCAL INFILE 'x' INTO TABLE things (id, owner, nil)", b"");
        assert!(told.contains("nil"), "{told}");
        assert_eq!(one.show("SHOW SHARDLOOM TRANSACTIONS"), "");
    }
}

fn load_error(client: &mut Client, sql: &str, file: &[u8]) -> String {
    match load(client, sql, file) {
        Err(BackendError::Server(error)) => format!("error {}: {}", error.errno, error.message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_load_in_portions_tells_where_to_go_on() {
    for installation in installations() {
        let yard = Yard::open(&installation);
        let proxy = yard.proxy();
        let mut client = through(&proxy);
        let load = |ignored: &str| {
            format!(
                "LOAD DATA /*+ shardloom(commit=100) */ LOCAL INFILE 'x' INTO TABLE things FIELDS TERMINATED BY ',' \
                 ENCLOSED BY '\"' {ignored} (id, owner, label)"
            )
        };
        // A header, and every tenth row over two lines.
        let row = |id: usize, owner: &str| match id % 10 {
            0 => format!("{id},{owner},\"a\nb\"\n"),
            _ => format!("{id},{owner},c\n"),
        };
        let file = |broken: usize| -> String {
            let rows = (1..=250).map(|id| row(id, if id == broken { "x" } else { "7" }));
            std::iter::once("id,owner,label\n".to_owned()).chain(rows).collect()
        };
        let told = seen(&mut client, &load("IGNORE 1 LINES"), file(230).as_bytes());
        assert!(told.contains("row 230 of the file"), "{told}");
        assert!(told.ends_with("(the first 200 rows of the file are stored: go on with IGNORE 221 LINES)"), "{told}");
        assert_eq!(client.show("SELECT COUNT(*), MAX(id) FROM things"), "200|200");
        let told = seen(&mut client, &load("IGNORE 221 LINES"), file(0).as_bytes());
        assert!(told.starts_with("ok 50, 0 warnings"), "{told}");
        assert_eq!(client.show("SELECT COUNT(*), COUNT(DISTINCT id), MAX(id) FROM things"), "250|250|250");
        let told = seen(&mut client, &load(""), b"1,x,a\n");
        assert!(told.ends_with("(no row of the file is stored)"), "{told}");
        client.run("BEGIN");
        let told = seen(&mut client, &load(""), b"");
        assert!(told.contains("the hint commit= is not for a transaction"), "{told}");
    }
}

/// Begins a load and sends a part of its file.
fn begin(client: &mut Client, sql: &str, file: &[u8]) {
    client.conn.send(com::QUERY, sql.as_bytes());
    client.flush();
    client.runtime.block_on(async {
        client.conn.expect_answer();
        let packet = client.conn.link.expect_packet().await.unwrap();
        assert_eq!(client.conn.link.payload(&packet), [&[LOCAL_INFILE][..], b"x"].concat());
        client.conn.link.push(file);
        client.conn.link.flush().await.unwrap();
    });
}

/// Ends the file; the packet that is the answer, as text.
fn end(client: &mut Client) -> String {
    client.runtime.block_on(async {
        let link = &mut client.conn.link;
        link.push(b"");
        link.flush().await.unwrap();
        let packet = link.expect_packet().await.unwrap();
        String::from_utf8_lossy(link.payload(&packet)).into_owned()
    })
}

/// Waits until no transaction is open on any server.
fn calm(yard: &Yard) {
    let open = "SELECT COUNT(*) FROM information_schema.innodb_trx";
    wait_until("no transaction is open", || {
        yard.cluster.cluster.groups.iter().all(|group| group.primary.sql(open).unwrap() == "0")
    });
}

#[test]
fn who_leaves_in_the_middle_of_a_file_leaves_nothing_behind() {
    for installation in installations() {
        let yard = Yard::open(&installation);
        let proxy = yard.proxy();
        let sql = "LOAD DATA LOCAL INFILE 'x' INTO TABLE things (id, owner, label)";
        let file: String = (0..20_000).map(|id| format!("{id}\t{}\tabc\n", id % 50)).collect();

        // The client's connection ends.
        let mut client = through(&proxy);
        begin(&mut client, sql, file.as_bytes());
        drop(client);
        let mut other = through(&proxy);
        calm(&yard);
        assert_eq!(other.show("SELECT COUNT(*) FROM things"), "0");

        // Its statement is killed: it hears so when it has sent its file, and goes on.
        let mut client = through(&proxy);
        let id = client.show("SELECT CONNECTION_ID()");
        begin(&mut client, sql, file.as_bytes());
        other.run(&format!("KILL QUERY {id}"));
        client.conn.link.push(b"1\t1\ta\n");
        let told = end(&mut client);
        assert!(told.contains("Query execution was interrupted"), "{told}");
        client.conn.failed();
        assert_eq!(client.show("SELECT COUNT(*) FROM things"), "0");

        // The connection is killed.
        begin(&mut client, sql, file.as_bytes());
        other.run(&format!("KILL {id}"));
        calm(&yard);
        assert_eq!(other.show("SELECT COUNT(*) FROM things"), "0");

        // A server loses its connections.
        let mut client = through(&proxy);
        begin(&mut client, sql, file.as_bytes());
        let server = &yard.cluster.cluster.groups[1].primary;
        let open = "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx";
        let mut id = String::new();
        wait_until("something is loaded on g1", || {
            id = server.sql(open).unwrap().lines().last().unwrap_or_default().to_owned();
            id.parse::<u64>().is_ok_and(|id| id > 0)
        });
        server.sql(&format!("KILL {id}")).unwrap();
        client.conn.link.push(file.as_bytes());
        let told = end(&mut client);
        assert!(told.contains("Lost connection") || told.contains("killed"), "{told}");
        client.conn.failed();
        calm(&yard);
        assert_eq!(client.show("SELECT COUNT(*) FROM things"), "0");
    }
}

#[test]
fn who_takes_no_files_is_told_what_to_do() {
    for installation in installations() {
        let yard = Yard::open(&installation);
        let proxy = yard.proxy();
        let mut client = through(&proxy);
        let server = &yard.cluster.cluster.groups[0].primary;
        server.sql("SET GLOBAL local_infile = 0").unwrap();
        let told = seen(&mut client, "LOAD DATA LOCAL INFILE 'x' INTO TABLE things (id, owner)", b"1\t1\n");
        let number = if installation.flavour == Flavour::MariaDb { "error 4166" } else { "error 3948" };
        assert!(
            told.starts_with(number) && told.ends_with("(on g0: SET GLOBAL local_infile = 1, on every server of it)"),
            "{told}"
        );
        server.sql("SET GLOBAL local_infile = 1").unwrap();
        let told = seen(&mut client, "LOAD DATA LOCAL INFILE 'x' INTO TABLE things (id, owner)", b"1\t1\n");
        assert!(told.starts_with("ok 1"), "{told}");
        // MariaDB's client says so at login if it sends no files; MySQL's refuses only when it is asked.
        if installation.flavour == Flavour::MariaDb {
            for table in ["things (id, owner)", "prefs"] {
                let told = command(&installation, &proxy, "--local-infile=0", table, "");
                assert!(told.contains("ERROR 4166"), "{told}");
            }
        }
    }
}

/// The servers' own client loads a file of `rows`; what it says.
fn command(installation: &Installation, proxy: &TestProxy, option: &str, table: &str, rows: &str) -> String {
    let folder = crate::servers::testbed::folder();
    let file = folder.path().join("rows.txt");
    std::fs::write(&file, rows).unwrap();
    let mut client = Command::new(&installation.client);
    client
        .args(["--no-defaults", "--host=127.0.0.1", "--protocol=tcp", "--user=atomic", "-vv", option])
        .args([format!("--port={}", proxy.address().port()), format!("--password={PASSWORD}")])
        .arg("--execute")
        .arg(format!("LOAD DATA LOCAL INFILE '{}' INTO TABLE {table}", file.display()))
        .arg("yard")
        .stdin(Stdio::null());
    let output = client.output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn the_servers_own_client_loads_more_than_the_proxy_holds() {
    for installation in installations() {
        let yard = Yard::open(&installation);
        let proxy = yard.proxy();
        let rows: String =
            (0..50_000).map(|id| format!("{id}\t{}\trow {}\t{}.5\n", id % 997, id % 9, id % 77)).collect();
        let told = command(&installation, &proxy, "--local-infile=1", "things (id, owner, label, amount)", &rows);
        assert!(told.contains("Records: 50000  Deleted: 0  Skipped: 0  Warnings: 0"), "{told}");
        let mut client = through(&proxy);
        let sums = "SELECT COUNT(*), SUM(id), SUM(owner), SUM(amount), COUNT(DISTINCT label) FROM things";
        let (ids, owners): (u64, u64) = ((0..50_000).sum(), (0..50_000).map(|id| id % 997).sum());
        let amounts: f64 = (0..50_000).map(|id| f64::from(id % 77) + 0.5).sum();
        assert_eq!(client.show(sums), format!("50000|{ids}|{owners}|{amounts:.2}|9"));

        // In one packet of more than 16 MB.
        let rows: String = (0..290).map(|id| format!("name {id}\t{}\n", "x".repeat(60_000))).collect();
        let sql = "LOAD DATA LOCAL INFILE 'x' INTO TABLE words";
        begin(&mut client, sql, rows.as_bytes());
        let told = end(&mut client);
        assert!(told.contains("Records: 290  Deleted: 0  Skipped: 0  Warnings: 0"), "{told}");
        client.conn.failed();
        assert_eq!(client.show("SELECT COUNT(*), SUM(LENGTH(note)) FROM words"), "290|17400000");
        let plan = client.show(&format!("EXPLAIN SHARDLOOM {sql}"));
        assert!(plan.starts_with("load|the client's file is cut into lines"), "{plan}");
    }
}
