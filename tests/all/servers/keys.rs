//! What the proxy says of a value and a sharding column is what the servers do: every value of a list against columns
//! of all kinds, compared and stored.

use std::collections::HashMap;
use std::io::Write;
use std::ops::Bound;
use std::process::Stdio;

use shardloom::demo::cluster::Layout;
use shardloom::demo::server::Server;
use shardloom::rules::catalog::{ColumnInfo, ColumnType};
use shardloom::sql::ast::LiteralKind;
use shardloom::sql::literal::decode;
use shardloom::sql::{Facts, Flavour, SqlMode, TextCharset};
use shardloom::value::decimal::Decimal;
use shardloom::value::{Canon, CanonRange, Datum, Key, KeyKind, canonical, canonical_range, stored};

use super::testbed::{TestCluster, installations};

const FACTS: Facts =
    Facts { mode: SqlMode::NONE, charset: TextCharset::Utf8, flavour: Flavour::MySql, version: 90_000 };

/// Type, collation, and literals of values that are stored there to be found.
const COLUMNS: &[(&str, &str, &[&str])] = &[
    ("tinyint", "", &["-128", "-8", "-7", "-1", "0", "1", "7", "8", "10", "24", "127"]),
    ("int unsigned", "", &["0", "1", "7", "8", "10", "24", "55", "128", "2024", "20240101", "4294967295"]),
    (
        "bigint",
        "",
        &["-8", "-7", "0", "7", "8", "9007199254740991", "9007199254740992", "9007199254740993", "9223372036854775807"],
    ),
    (
        "bigint unsigned",
        "",
        &["0", "7", "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615"],
    ),
    ("decimal(10,2)", "", &["-7.5", "0", "1.1", "1.11", "7", "7.49", "7.5", "7.51", "20240101"]),
    (
        "decimal(30,5)",
        "",
        &["7", "7.5", "9007199254740992", "9007199254740993", "123456789012345.12345", "123456789012345.12346"],
    ),
    ("varchar(10)", "utf8mb4_general_ci", TEXTS),
    ("varchar(10)", "utf8mb4_unicode_ci", TEXTS),
    ("varchar(10)", "utf8mb4_0900_ai_ci", TEXTS),
    ("varchar(10)", "utf8mb4_0900_as_cs", TEXTS),
    ("varchar(10)", "utf8mb4_bin", TEXTS),
    ("varchar(10)", "utf8mb4_0900_bin", TEXTS),
    ("varchar(10)", "utf8mb4_nopad_bin", TEXTS),
    ("char(10)", "utf8mb4_bin", TEXTS),
    ("char(10)", "utf8mb4_0900_bin", TEXTS),
    ("char(10)", "utf8mb4_0900_ai_ci", TEXTS),
    ("varchar(10)", "utf8mb3_general_ci", TEXTS),
    ("varchar(10)", "latin1_swedish_ci", TEXTS),
    ("varchar(10)", "latin1_bin", TEXTS),
    ("varbinary(10)", "", TEXTS),
    ("binary(3)", "", TEXTS),
    ("date", "", MOMENTS),
    ("datetime", "", MOMENTS),
    ("datetime(3)", "", MOMENTS),
    ("year", "", &["1901", "2000", "2007", "2024", "2155"]),
];

const TEXTS: &[&str] = &[
    "''",
    "' '",
    "'a'",
    "'A'",
    "'a '",
    "'ab'",
    "'aB'",
    "'AB '",
    "'á'",
    "'b'",
    "'ss'",
    "'ß'",
    "'y'",
    "'ü'",
    "'['",
    "'å'",
    "'é'",
    "'É'",
    "'e\u{301}'",
    "'7'",
    "'07'",
    "'7.0'",
    "'7 '",
    "' 7'",
    "'7abc'",
    "'a\\t'",
    "'a\\0'",
    "'\\0'",
    "'😀'",
    "'😁'",
    "'漢'",
    "'2024'",
    "'2024-01-01'",
    "'20240101'",
    "'2024-01-01 10:00:00'",
    "'10'",
    "'1e1'",
    "'0'",
];

const MOMENTS: &[&str] = &[
    "'0000-00-00'",
    "'2007-01-01'",
    "'2023-12-31 23:59:59'",
    "'2024-01-01'",
    "'2024-01-01 10:00:00'",
    "'2024-01-01 10:00:00.5'",
    "'2024-01-01 10:00:01'",
    "'2024-01-02'",
    "'2024-02-29'",
    "'9999-12-31'",
];

/// Literals that columns are compared with and that are stored into them.
const LITERALS: &[&str] = &[
    "0",
    "1",
    "-1",
    "7",
    "007",
    "-7",
    "7.0",
    "7.",
    "7.50",
    "7.5",
    "7.49",
    "7.499",
    "-7.5",
    "1.1",
    "1.10",
    "1.111",
    "24",
    "55",
    "7e0",
    "7.5e0",
    "75e-1",
    "1e1",
    "127",
    "128",
    "-128",
    "-129",
    "256",
    "2024",
    "20240101",
    "240101",
    "4294967295",
    "4294967296",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "9007199254740992e0",
    "9007199254740993e0",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "123456789012345.12345",
    "123456789012345.123451",
    "99999999.99",
    "100000000",
    "99999999.995",
    "'7'",
    "'07'",
    "' 7'",
    "'7 '",
    "'7.0'",
    "'7.5'",
    "'7.50'",
    "'+7'",
    "'-7'",
    "'-0'",
    "'7abc'",
    "'abc'",
    "''",
    "' '",
    "'1e1'",
    "'0x7'",
    "'127'",
    "'128'",
    "'9007199254740992'",
    "'9007199254740993'",
    "'123456789012345.12345'",
    "'12345678901.2'",
    "'18446744073709551615'",
    "0x07",
    "0x37",
    "x'3037'",
    "b'111'",
    "0x61",
    "0x6120",
    "0xE1",
    "0x610000",
    "'a'",
    "'A'",
    "'a '",
    "'A  '",
    "'ab'",
    "'Ab '",
    "'aB'",
    "'á'",
    "'Á'",
    "'ß'",
    "'SS'",
    "'ü'",
    "'Y'",
    "'['",
    "'Å'",
    "'é'",
    "'E'",
    "'e\u{301}'",
    "'a\\t'",
    "'a\\0'",
    "'a\\0\\0'",
    "'\\0'",
    "'\\\\0'",
    "'😀'",
    "'漢'",
    "'12345678901'",
    "'1234567890 '",
    "'ÿ'",
    "'Ā'",
    "N'a'",
    "_utf8mb4'á'",
    "_binary'a'",
    "_binary'á'",
    "_latin1'a'",
    "DATE'2024-01-01'",
    "'2024-01-01'",
    "'2024-1-1'",
    "'20240101'",
    "'24-01-01'",
    "'2024-01-01 00:00:00'",
    "'2024-01-01 10:00:00'",
    "'2024-01-01T10:00:00'",
    "'2024-01-01 10:00:00.5'",
    "'2024-01-01 10:00:00.500'",
    "'2024-01-01 10:00:00.123456'",
    "TIMESTAMP'2024-01-01 10:00:00'",
    "TIMESTAMP'2024-01-01 00:00:00'",
    "'0000-00-00'",
    "'2024-02-30'",
    "'2024-00-00'",
    "'2024-01-01 '",
    "' 2024-01-01'",
    "'2024-01-01 10:00'",
    "20240101100000",
    "'2024'",
    "'24'",
    "'24:00'",
    "'2156'",
    "'1900'",
    "NULL",
];

/// The value of a literal of the list.
fn datum(literal: &str) -> Option<Datum<'_>> {
    let (text, negative) = literal.strip_prefix('-').map_or((literal, false), |text| (text, true));
    let first = text.as_bytes()[0].to_ascii_lowercase();
    let kind = match first {
        b'n' if text == "NULL" => return Some(Datum::Null),
        b'\'' => LiteralKind::String,
        b'n' => LiteralKind::National,
        b'_' => LiteralKind::Introduced,
        b'd' | b't' => LiteralKind::Temporal,
        b'x' => LiteralKind::Hex,
        b'b' => LiteralKind::Bit,
        _ if text.starts_with("0x") => LiteralKind::Hex,
        _ if text.contains('e') => LiteralKind::Float,
        _ if text.contains('.') => LiteralKind::Decimal,
        _ => LiteralKind::Integer,
    };
    decode(text.as_bytes(), kind, negative, FACTS)
}

/// The answers of statements that may fail, by their number.
fn ask(server: &Server, statements: &[String]) -> HashMap<usize, Vec<Vec<String>>> {
    let mut script = "SET sql_mode = ''; USE d;\n".to_owned();
    for (number, statement) in statements.iter().enumerate() {
        script.push_str(&format!("SELECT '#', {number};\n{statement};\n"));
    }
    let mut client = server.client();
    client.args(["--batch", "--skip-column-names", "--force"]);
    let mut child = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(script.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let mut answers: HashMap<usize, Vec<Vec<String>>> = HashMap::new();
    let mut current = 0;
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
        match &cells[..] {
            [mark, number] if mark == "#" => current = number.parse().unwrap(),
            _ => answers.entry(current).or_default().push(cells),
        }
    }
    answers
}

/// A value that a column holds, from HEX() of it (as the servers print it, in UTF-8).
fn held(hex: &str, kind: &KeyKind) -> Key {
    if hex == "NULL" {
        return Key::Null;
    }
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let datum = match kind {
        KeyKind::Int { .. } | KeyKind::Decimal { .. } | KeyKind::Year => {
            let number = Decimal::parse(&bytes).unwrap();
            match number.to_integer().map(i64::try_from) {
                Some(Ok(number)) => Datum::Int(number),
                _ => Datum::Decimal(number),
            }
        }
        KeyKind::Bytes { .. } => Datum::Bytes(bytes.clone().into()),
        _ => Datum::Text(bytes.clone().into()),
    };
    match canonical(&datum, kind) {
        Canon::Key(key) => key,
        other => panic!("{} in {kind:?} is {other:?}", String::from_utf8_lossy(&bytes)),
    }
}

fn inside(key: &Key, low: &Bound<Key>, high: &Bound<Key>) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let above = match low {
        Bound::Unbounded => true,
        Bound::Included(low) => matches!(key.compare(low), Some(Greater | Equal)),
        Bound::Excluded(low) => key.compare(low) == Some(Greater),
    };
    let below = match high {
        Bound::Unbounded => true,
        Bound::Included(high) => matches!(key.compare(high), Some(Less | Equal)),
        Bound::Excluded(high) => key.compare(high) == Some(Less),
    };
    above && below
}

/// Compares what is said of one literal with what the server found: for each row its value and whether it is
/// equal, less, at most, greater, at least. Gives the number of rows whose key was found.
fn check_compared(place: &str, literal: &str, kind: &KeyKind, rows: &[Vec<String>]) -> usize {
    let Some(datum) = datum(literal) else { return 0 };
    let mut found = 0;
    let canon = canonical(&datum, kind);
    let (at, above) = (Bound::Included(&datum), Bound::Excluded(&datum));
    let ranges = [(Bound::Unbounded, above), (Bound::Unbounded, at), (above, Bound::Unbounded), (at, Bound::Unbounded)];
    for row in rows {
        let key = held(&row[0], kind);
        let case = || format!("{place}: 0x{} against {literal}", row[0]);
        if row[1] == "1" {
            match &canon {
                Canon::Key(canon) => {
                    assert_eq!(*canon, key, "{}", case());
                    found += 1;
                }
                Canon::Unknown => {}
                other => panic!("{}: equal, but {other:?}", case()),
            }
        }
        for (answer, (low, high)) in row[2..].iter().zip(ranges) {
            match canonical_range(low, high, kind) {
                CanonRange::Keys(low, high) if answer == "1" => {
                    assert!(inside(&key, &low, &high), "{}: not in {low:?} to {high:?}", case());
                }
                CanonRange::Never => assert_ne!(answer, "1", "{}", case()),
                _ => {}
            }
        }
    }
    found
}

/// A column as HEX() of its text in UTF-8, or of its bytes as they are.
fn shown(kind: &KeyKind, column: &str) -> String {
    match kind {
        KeyKind::Bytes { .. } => format!("HEX({column})"),
        _ => format!("HEX(CONVERT({column} USING utf8mb4))"),
    }
}

/// Joins every two columns that are said to join (column n is in table `d.jn`): rows that meet have the same key.
/// Gives the number of rows.
fn check_joined(server: &Server, kinds: &[(String, KeyKind)]) -> usize {
    let mut met = 0;
    for (a, (place, kind)) in kinds.iter().enumerate() {
        for (b, (other_place, other)) in kinds.iter().enumerate().filter(|(_, (_, other))| kind.joins(other)) {
            let (left, right) = (shown(kind, "a.k"), shown(other, "b.k"));
            // Collations that a server does not compare with each other: it says so, wherever the rows are.
            let Ok(rows) = server.sql(&format!("SELECT {left}, {right} FROM d.j{a} a JOIN d.j{b} b ON a.k = b.k"))
            else {
                continue;
            };
            for row in rows.lines() {
                let (left, right) = row.split_once('\t').unwrap();
                met += 1;
                assert_eq!(held(left, kind), held(right, other), "{place} and {other_place}: 0x{left} meets 0x{right}");
            }
        }
    }
    met
}

fn column(ty: &str, collation: &str) -> ColumnInfo {
    ColumnInfo {
        name: "k".into(),
        ty: ColumnType::parse(ty),
        nullable: true,
        collation: (!collation.is_empty()).then(|| collation.to_owned()),
        default: None,
        auto_increment: false,
        generated: false,
        touched: false,
        invisible: false,
    }
}

#[test]
fn values_mean_what_the_servers_say() {
    for installation in installations() {
        let test = TestCluster::start(&installation, &Layout::new(1, 0));
        let server = &test.cluster.groups[0].primary;
        server.sql("CREATE DATABASE d CHARACTER SET utf8mb4").unwrap();
        let (mut known, mut found, mut taken) = (0, 0, 0);
        let mut kinds = Vec::new();
        for (ty, collation, values) in COLUMNS {
            let kind = column(ty, collation).key_kind().unwrap();
            let collate = match collation.split_once('_') {
                Some((charset, _)) => format!("CHARACTER SET {charset} COLLATE {collation}"),
                None => String::new(),
            };
            let place = format!("{} {ty} {collation}", installation.flavour);
            let create = format!("USE d; DROP TABLE IF EXISTS t, s; CREATE TABLE t (k {ty} {collate})");
            // A collation that only the other vendor has.
            if server.sql(&create).is_err() {
                continue;
            }
            known += 1;
            server.sql("USE d; CREATE TABLE s LIKE t; ALTER TABLE s ADD n INT").unwrap();
            let values: Vec<String> = values.iter().map(|value| format!("({value})")).collect();
            server.sql(&format!("SET sql_mode = ''; INSERT IGNORE INTO d.t VALUES {}", values.join(", "))).unwrap();
            let text = shown(&kind, "k");
            let table = format!("j{}", kinds.len());
            server
                .sql(&format!(
                    "USE d; SET sql_mode = ''; CREATE TABLE {table} LIKE t; INSERT INTO {table} SELECT * FROM t"
                ))
                .unwrap();
            kinds.push((place.clone(), kind.clone()));
            let compare: Vec<String> = LITERALS
                .iter()
                .map(|literal| {
                    let tests = ["=", "<", "<=", ">", ">="].map(|sign| format!("k {sign} {literal}")).join(", ");
                    format!("SELECT {text}, {tests} FROM t")
                })
                .collect();
            let answers = ask(server, &compare);
            for (number, literal) in LITERALS.iter().enumerate() {
                found += check_compared(&place, literal, &kind, answers.get(&number).map_or(&[], Vec::as_slice));
            }
            let store = LITERALS
                .iter()
                .enumerate()
                .map(|(number, literal)| format!("INSERT IGNORE INTO s VALUES ({literal}, {number})"));
            ask(server, &store.collect::<Vec<_>>());
            let rows = server.sql(&format!("SELECT n, {text} FROM d.s")).unwrap();
            for row in rows.lines() {
                let (number, hex) = row.split_once('\t').unwrap();
                let literal = LITERALS[number.parse::<usize>().unwrap()];
                let Some(Canon::Key(key)) = datum(literal).map(|datum| stored(&datum, &kind)) else { continue };
                taken += 1;
                assert_eq!(key, held(hex, &kind), "{place}: {literal} is stored as 0x{hex}");
            }
        }
        let joined = check_joined(server, &kinds);
        // The test would prove nothing if everything were unknown.

        let counts = (known, found, taken, joined);
        assert!(known >= 18 && found > 500 && taken > 500 && joined > 200, "{counts:?}");
    }
}
