//! LOAD DATA LOCAL INFILE of rows whose ids the proxy makes: rows, counts and LAST_INSERT_ID() are those of one server,
//! which numbers them by AUTO_INCREMENT.

use shardloom::demo::cluster::Layout;
use shardloom::demo::install::{Installation, account};

use crate::servers::ids::{RULES, TABLES, TAGS, cluster};
use crate::servers::load::seen;
use crate::servers::proxy::{Client, PASSWORD, TestProxy};
use crate::servers::testbed::{TestCluster, installations};

/// The table, what follows INTO TABLE, and the file.
const CASES: &[(&str, &str, &str, &str)] = &[
    // The sharding key is the id itself.
    ("users", "", "(note)", "a\nb\nc\nd\ne\nf\ng\n"),
    ("users", "", "(note)", ""),
    ("users", "", "(note)", "\n\nlast"),
    ("users", "", "IGNORE 2 LINES (note)", "x\ny\nz\n"),
    ("users", "", "FIELDS TERMINATED BY ',' (@n, @m) SET note = CONCAT(@m, @n)", "1,one\n2\n3,three,more\n"),
    // Another column is.
    ("orders", "", "(user_id, slot, note)", "1\t1\ta\n2\t1\tb\n3\t1\t\\N\n4\t1\n5\t1\te\tmore\n"),
    (
        "orders",
        "",
        "FIELDS TERMINATED BY ',' ENCLOSED BY '\"' LINES STARTING BY 'x>' TERMINATED BY ';' (user_id, slot, note)",
        "x>\"1\",11,\"a,x>b\";x>2,12,plain;lost 3,13,c;and x>4,14,\"d;e\";x>5,\"15\",\"f\"\"g\";",
    ),
    ("orders", "", "FIELDS TERMINATED BY '||' ESCAPED BY '!' (note, user_id, slot)", "a!||b||1||21\nc!!||2||22\n"),
    (
        "orders",
        "",
        "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\\'' (slot, user_id) SET note = slot + 1",
        "31,1\n'32','2'\n",
    ),
    ("orders", "REPLACE", "(user_id, slot, note)", "7\t41\ta\n8\t41\tb\n9\t41\tc\n"),
    ("orders", "REPLACE", "(user_id, slot, note)", "7\t41\td\n6\t41\te\n8\t41\tf\n"),
    ("orders", "IGNORE", "(user_id, slot)", "1\t51\n2\tnone\n3\t53\n"),
    // Ids that the file has for some rows.
    ("users", "", "", "-9\tgiven\n\\N\tnull\n0\tzero\n00\tzeros\n-8\tgiven, too\n"),
    ("users", "", "(note, id)", "of none\t\\N\nof zero\t0\n"),
    ("users", "", "(note, id) SET note = CONCAT(note, '!')", "given\t-7\nmore\t-6\textra\nmade\t0\textra\n"),
    ("users", "", "(note, id)", "given\t-5\n"),
    ("users", "", "(note, id)", "same\t-5\nother\t-4\n"),
    (
        "users",
        "",
        "FIELDS TERMINATED BY ',' ENCLOSED BY '\"' LINES STARTING BY 'x>' TERMINATED BY '\\r\\n' IGNORE 1 LINES",
        "id,note\r\nx>\"0\",\"a\"\r\nx>NULL,b\r\nlost x>\\N,\"c\"\"\r\nd\"\r\nx>\"-3\",e\r\nx>0,f",
    ),
    ("orders", "", "(id, user_id, slot, note)", "\\N\t1\t61\ta\n-3\t2\t61\tb\n0\t3\t61\tc\n-2\t4\t61\td\n"),
    ("orders", "", "(user_id, slot, @n, id) SET note = @n", "1\t71\ta\t\\N\n2\t71\tb\t0\n"),
    ("tags", "", "(id, name)", "0\tz1\n\\N\tz2\n"),
    ("tags", "", "", "\\N\tz4\tnote\n"),
    // Copies.
    ("tags", "", "(name)", "a\nb\nc\n"),
    ("tags", "REPLACE", "(name, note)", "b\tnew\nd\t\n"),
];

struct Both {
    proxy: TestProxy,
    through: Client,
    server: Client,
    _clusters: (TestCluster, TestCluster),
}

impl Both {
    fn start(installation: &Installation) -> Both {
        let reference = TestCluster::start(installation, &Layout::new(1, 0));
        let mut ddl = format!("CREATE DATABASE shop CHARACTER SET utf8mb4; USE shop; {TAGS}");
        TABLES.iter().for_each(|(name, columns)| ddl += &format!("CREATE TABLE {name} {columns};"));
        reference.cluster.groups[0].primary.sql(&ddl).unwrap();
        let address = reference.cluster.groups[0].primary.addr();
        let cluster = cluster(installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let through = Client::connect(&proxy.address().to_string(), "wide", PASSWORD, "shop");
        let server = Client::connect(&address, account::USER, account::PASSWORD, "shop");
        Both { proxy, through, server, _clusters: (cluster, reference) }
    }
}

/// What a load did, and which of the rows LAST_INSERT_ID() tells.
fn told(client: &mut Client, table: &str, sql: &str, file: &[u8]) -> String {
    let seen = seen(client, sql, file);
    let columns = match table {
        "users" => "note",
        "tags" => "name, note",
        _ => "user_id, slot, note",
    };
    let rows = client.show(&format!("SELECT {columns} FROM {table} ORDER BY id"));
    let last = client.show(&format!("SELECT {columns} FROM {table} WHERE id = LAST_INSERT_ID()"));
    format!("{seen}\nrows {rows}\nlast {last}")
}

#[test]
fn rows_without_ids_get_those_that_one_server_gives() {
    for installation in installations() {
        let mut both = Both::start(&installation);
        for (table, how, behind, file) in CASES {
            let sql = format!("LOAD DATA LOCAL INFILE 'x' {how} INTO TABLE {table} {behind}");
            let expected = told(&mut both.server, table, &sql, file.as_bytes());
            let found = told(&mut both.through, table, &sql, file.as_bytes());
            assert_eq!(found, expected, "{}: {sql}", installation.flavour);
        }
        // A load without rows leaves it alone.
        both.through.run("SELECT LAST_INSERT_ID(77)");
        assert_eq!(
            seen(&mut both.through, "LOAD DATA LOCAL INFILE 'x' INTO TABLE users (note)", b"").split(',').next(),
            Some("ok 0")
        );
        assert_eq!(both.through.show("SELECT LAST_INSERT_ID()"), "77");
    }
}

/// In a mode in which 0 is an id, only NULL asks for one; what is no number is refused; the counter knows what was given.
#[test]
fn ids_of_some_rows_only() {
    for installation in installations() {
        let mut both = Both::start(&installation);
        both.through.run("SET sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')");
        both.server.run("SET sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')");
        let (sql, file) = ("LOAD DATA LOCAL INFILE 'x' INTO TABLE users", b"0\tzero\n\\N\tnull\n".as_slice());
        let expected = told(&mut both.server, "users", sql, file);
        assert_eq!(told(&mut both.through, "users", sql, file), expected);
        let client = &mut both.through;
        assert_eq!(client.show("SELECT note FROM users WHERE id = 0"), "zero");
        client.run("SET sql_mode = DEFAULT");
        let sql = "LOAD DATA LOCAL INFILE 'x' INTO TABLE orders (id, user_id, slot)";
        let told = seen(client, sql, b"1\t1\t1\n\t2\t1\n");
        assert!(
            told.starts_with("error 1235: row 2 of the file: the id in the field for id is no whole number"),
            "{told}"
        );
        let file: String =
            (0..600).map(|row| format!("{}\t{row}\t9\n", if row % 2 == 0 { 7000 + row } else { 0 })).collect();
        let told = seen(client, sql, file.as_bytes());
        assert!(told.starts_with("ok 600, 0 warnings"), "{told}");
        let distinct = "SELECT COUNT(*) = COUNT(DISTINCT id), COUNT(*) FROM orders";
        assert_eq!(client.show(distinct), "1|600");
        assert_eq!(client.show("SELECT user_id FROM orders WHERE id = LAST_INSERT_ID()"), "1");
        client.run("INSERT INTO orders (user_id, slot) VALUES (1, 10)");
        assert_eq!(client.show(distinct), "1|601");
        client.run("SET auto_increment_increment = 2");
        assert!(seen(client, sql, b"9000\t1\t11\n").starts_with("ok 1, 0 warnings"));
        let told = seen(client, sql, b"9001\t1\t12\n\\N\t1\t13\n");
        assert!(told.starts_with("error 1235: ids that Shardloom makes are one apart"), "{told}");
    }
}

#[test]
fn many_rows_take_several_blocks_of_ids() {
    for installation in installations() {
        let mut both = Both::start(&installation);
        let client = &mut both.through;
        let file: String = (1..=9000).map(|row| format!("{row}\n")).collect();
        let told = seen(client, "LOAD DATA LOCAL INFILE 'x' INTO TABLE users (note)", file.as_bytes());
        assert!(told.starts_with("ok 9000, 0 warnings"), "{told}");
        let first = "SELECT note FROM users WHERE id = LAST_INSERT_ID()";
        assert_eq!(client.show(first), "1");
        assert_eq!(client.show("SELECT COUNT(DISTINCT id), MIN(id) = LAST_INSERT_ID() FROM users"), "9000|1");
        let order = "SELECT GROUP_CONCAT(note ORDER BY id) FROM (SELECT id, note FROM users ORDER BY id LIMIT 20) t";
        let expected: Vec<String> = (1..=20).map(|row| row.to_string()).collect();
        assert_eq!(client.show(order), expected.join(","), "ids follow the file");
        let file: String = (1..=900).map(|row| format!("{row}\t{row}\n")).collect();
        let sql = "LOAD DATA /*+ shardloom(commit=100) */ LOCAL INFILE 'x' INTO TABLE orders (user_id, slot)";
        assert!(seen(client, sql, file.as_bytes()).starts_with("ok 900, 0 warnings"));
        assert_eq!(client.show("SELECT COUNT(DISTINCT id) FROM orders"), "900");
        client.run("BEGIN");
        seen(client, "LOAD DATA LOCAL INFILE 'x' INTO TABLE orders (user_id, slot)", b"1\t5000\n2\t5000\n");
        client.run("ROLLBACK");
        assert_eq!(client.show("SELECT COUNT(*) FROM orders WHERE slot = 5000"), "0");
        let mut other = Client::connect(&both.proxy.address().to_string(), "wide", PASSWORD, "shop");
        other.run("INSERT INTO orders (user_id, slot) VALUES (1, 6000)");
        assert_eq!(other.show("SELECT id > 900 FROM orders WHERE slot = 6000"), "1", "nobody makes them again");
    }
}

/// Rows that servers leave out, a column that is full, and UUIDs, which no LAST_INSERT_ID() tells.
#[test]
fn other_ids_of_loaded_rows() {
    for installation in installations() {
        let mut both = Both::start(&installation);
        let client = &mut both.through;
        let sql = "LOAD DATA LOCAL INFILE 'x' INTO TABLE orders (user_id, slot)";
        let told = seen(client, sql, b"1\t1\n2\t1\n1\t1\n");
        assert!(told.starts_with("error 1235: LOAD DATA makes ids for rows of which servers leave some out"), "{told}");
        assert_eq!(client.show("SELECT COUNT(*) FROM orders"), "0");
        let file = "1\n".repeat(200);
        let told = seen(client, "LOAD DATA LOCAL INFILE 'x' INTO TABLE tiny (user_id)", file.as_bytes());
        assert_eq!(told, "error 1467: Failed to read auto-increment value from storage engine");
        assert_eq!(client.show("SELECT COUNT(*) FROM tiny"), "0");
        client.run("SELECT LAST_INSERT_ID(77)");
        let told = seen(client, "LOAD DATA LOCAL INFILE 'x' INTO TABLE keyed (note)", b"a\nb\nc\n");
        assert!(told.starts_with("ok 3, 0 warnings"), "{told}");
        let made = "SELECT COUNT(DISTINCT id) FROM keyed WHERE id LIKE '________-____-7___-____-____________'";
        assert_eq!(client.show(made), "3");
        assert_eq!(client.show("SELECT LAST_INSERT_ID()"), "77");
        client.run("SET auto_increment_increment = 2");
        let told = seen(client, sql, b"1\t1\n");
        assert!(told.starts_with("error 1235: ids that Shardloom makes are one apart"), "{told}");
    }
}
