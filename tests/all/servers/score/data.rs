//! The tables of all corpora, from `tests/fixtures/score/tables.sql`, and their rows, which a seed gives.

use crate::servers::score::dice::Dice;

const SCHEMA: &str = include_str!("../../../fixtures/score/tables.sql");

/// All tables.
pub(super) const TABLES: [&str; 9] =
    ["people", "orders", "items", "types", "words", "codes", "notes", "logs", "members"];

/// The lookups of `members`, each with the columns of its unique key.
pub(super) const LOOKUPS: [(&str, &str); 3] =
    [("members_email", "email"), ("members_nick", "nick, num"), ("members_id", "id")];

/// What stands between the brackets of a table's CREATE TABLE.
pub(super) fn columns(table: &str) -> &'static str {
    let head = format!("CREATE TABLE {table} (");
    let from = SCHEMA.find(&head).unwrap_or_else(|| panic!("no table {table}")) + head.len();
    &SCHEMA[from..from + SCHEMA[from..].find("\n);").unwrap()]
}

/// Statements that give every table its rows, whatever was in it.
pub(super) fn load() -> Vec<String> {
    let mut dice = Dice::seeded(99);
    let rows = [
        people(&mut dice),
        orders(&mut dice),
        items(&mut dice),
        types(&mut dice),
        words(),
        codes(),
        (1..=5).map(|n| format!("({n}, {}, 'note {n}')", n * 3)).collect(),
        (1..=5).map(|n| format!("({n}, 'log {n}', {})", n % 3 + 1)).collect(),
        members(),
    ];
    let mut statements: Vec<String> = TABLES.iter().map(|table| format!("DELETE FROM {table}")).collect();
    for (table, rows) in TABLES.iter().zip(rows) {
        let list = if *table == "types" { format!(" ({TYPES})") } else { String::new() };
        statements.push(format!("INSERT INTO {table}{list} VALUES {}", rows.join(", ")));
    }
    statements
}

/// Names that differ in case, accents and spaces only; NULL wherever it may be.
fn people(dice: &mut Dice) -> Vec<String> {
    let names = ["ann", "Ann", "ANN ", "bob", "Bob", "zoë", "zoe", "", "x y", "Émile", "emile", "ß", "ss", "Łukasz"];
    let cities = ["NULL", "'Oslo'", "'oslo'", "'Köln'", "'Koln'", "'Paris'", "'Łódź'", "''"];
    let mut rows = Vec::new();
    for id in 1..=40 {
        let name = format!("'{}'", dice.pick(&names));
        let email = if dice.chance(70) { format!("'{}@{}.org'", id % 7, dice.pick(&["a", "B"])) } else { null() };
        let city = dice.pick(&cities);
        let age = dice.pick(&["NULL", "0", "18", "18", "33", "47", "255"]);
        let balance = dice.pick(&["NULL", "0.00", "-12.50", "99.99", "1000000.01", "3.10", "3.10"]);
        let born = dice.pick(&["NULL", "'1990-01-02'", "'2001-12-31'", "'1970-05-05'", "'2000-02-29'"]);
        let kind = dice.pick(&["NULL", "'new'", "'old'", "'gold'"]);
        let boss = if id > 3 && dice.chance(80) { format!("{}", 1 + dice.below(id - 1)) } else { null() };
        rows.push(format!("({id}, {name}, {email}, {city}, {age}, {balance}, {born}, {kind}, {boss})"));
    }
    rows
}

/// Every third has no address, every fourth half a nickname.
fn members() -> Vec<String> {
    let row = |id: i32| {
        let email = if id % 3 == 0 { null() } else { format!("'m{id}@x.org'") };
        let num = if id % 4 == 0 { null() } else { format!("{}", id / 2) };
        format!("({id}, {}, {email}, 'nick{}', {num}, 'n{id}')", id % 5, id % 2)
    };
    (1..=24).map(row).collect()
}

fn orders(dice: &mut Dice) -> Vec<String> {
    let mut rows = Vec::new();
    for id in 1..=110 {
        // Some of people that are not there; person 7 has none.
        let person = [1 + dice.below(44), 8][usize::from(id % 13 == 0)];
        let person = if person == 7 { 6 } else { person };
        let total = dice.pick(&["NULL", "0.00", "9.99", "10.00", "250.50", "-3.25", "99999999.99"]);
        let currency = dice.pick(&["NULL", "'EUR'", "'eur'", "'USD'", "'CHF'", "'XXX'"]);
        let note = dice.pick(&["NULL", "''", "'Ann'", "'ann'", "'late '", "'late'", "'50%_off'"]);
        let at = dice.pick(&[
            "NULL",
            "'2025-01-01 10:00:00'",
            "'2025-06-30 23:59:59'",
            "'2024-02-29 00:00:00'",
            "'2024-12-31 12:30:45'",
        ]);
        let qty = dice.pick(&["NULL", "0", "1", "2", "65535"]);
        let ratio = dice.pick(&["NULL", "0.25", "-1.5", "1e3", "0"]);
        rows.push(format!("({id}, {person}, {total}, {currency}, {note}, {at}, {qty}, {ratio})"));
    }
    rows
}

fn items(dice: &mut Dice) -> Vec<String> {
    let mut rows = Vec::new();
    for order in 1..=60 {
        for line in 1..=1 + dice.below(3) {
            let person = 1 + (order * 7) % 40;
            let sku = dice.pick(&["A-1", "a-1", "B-22", "Ç-3", "c-3", "ZZZ"]);
            let price = dice.pick(&["0.000001", "19.990000", "5.5", "12345678901234.123456", "-1"]);
            let tags = dice.pick(&["NULL", "''", "'red'", "'red,blue'", "'green'", "'red,green,blue'"]);
            rows.push(format!("({order}, {line}, {person}, '{sku}', {price}, {tags})"));
        }
    }
    rows
}

const TYPES: &str = "id, owner, i8, u8, i16, i24, i64, u64, z, dec_small, dec_wide, dec_int, f, d, bits, yes, d0, t0, \
                     t6, dt0, dt6, ts3, y, c, vc, bin, vbin, tx, bl, en, st, js, pt";

/// The edges of every type, each with NULL.
fn types(dice: &mut Dice) -> Vec<String> {
    let columns: [&[&str]; 31] = [
        &["NULL", "-128", "-1", "0", "5", "127"],
        &["NULL", "0", "5", "255"],
        &["NULL", "-32768", "0", "32767"],
        &["NULL", "-8388608", "0", "8388607"],
        &["NULL", "-9223372036854775808", "-1", "0", "9223372036854775807", "10000000000"],
        &["NULL", "0", "1", "9223372036854775808", "18446744073709551615"],
        &["NULL", "0", "42", "123456"],
        &["NULL", "-999.99", "0", "0.01", "999.99", "2.50"],
        &[
            "NULL",
            "0",
            "99999999999999999999999999999999999.999999999999999999999999999999",
            "-0.000000000000000000000000000001",
            "1.5",
        ],
        &["NULL", "0", "-7", "999999999999999999999999999999"],
        &["NULL", "0", "0.5", "-1.25", "16777216", "3.25"],
        &["NULL", "0", "0.1", "-2.5", "1e300", "0.3", "-1e-300"],
        &["NULL", "b'0'", "b'1'", "b'11111111111111111'", "b'100000000'"],
        &["NULL", "TRUE", "FALSE"],
        &["NULL", "'1000-01-01'", "'2024-02-29'", "'9999-12-31'", "'1999-12-31'"],
        &["NULL", "'-838:59:59'", "'00:00:00'", "'23:59:59'", "'838:59:59'"],
        &["NULL", "'-00:00:00.000001'", "'00:00:00'", "'12:34:56.789012'"],
        &["NULL", "'1000-01-01 00:00:00'", "'2024-02-29 12:00:00'", "'9999-12-31 23:59:59'"],
        &["NULL", "'2024-02-29 12:00:00.000001'", "'2024-02-29 12:00:00'", "'2024-12-31 23:59:59.999999'"],
        &["NULL", "'2001-09-09 01:46:40.123'", "'2038-01-19 03:14:07.000'", "'1990-06-01 00:00:00'"],
        &["NULL", "1901", "2000", "2155", "0"],
        &["NULL", "''", "'abc'", "'ABC'", "'abc  '", "'äbc'"],
        &["NULL", "''", "'abc'", "'Abc'", "'abc '", "'10'", "'9'", "'日本'", "'😀'"],
        &["NULL", "x'00'", "x'00010203'", "'abc'"],
        &["NULL", "''", "x'00'", "'abc'", "'ABC'", "x'ff'"],
        &["NULL", "''", "'a text'", "'A TEXT'", "'it''s \"quoted\" \\\\ and\\nbroken'"],
        &["NULL", "''", "x'DEADBEEF'", "'blob'"],
        &["NULL", "'small'", "'Medium'", "'LARGE'", "'x-large'"],
        &["NULL", "''", "'a'", "'a,c'", "'b,d'", "'a,b,c,d'"],
        &["NULL", "'{\"a\": 1}'", "'{\"a\": 2, \"b\": [1, 2, null]}'", "'[1, \"x\", true]'", "'\"text\"'", "'5'"],
        &["NULL", "ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('POINT(-3.5 0)')"],
    ];
    (1..=36)
        .map(|id| {
            let cells: Vec<&str> = columns.iter().map(|from| dice.pick(from)).collect();
            format!("({id}, {}, {})", id % 5, cells.join(", "))
        })
        .collect()
}

/// What collations disagree on.
fn words() -> Vec<String> {
    const WORDS: [&str; 28] = [
        "", " ", "a", "A", "a ", "a  ", "á", "Á", "ä", "b", "B", "ß", "ss", "SS", "ñ", "n", "o", "ø", "Ø", "æ", "ae",
        "z", "Z", "10", "9", "a\tb", "a-b", "ab",
    ];
    let mut rows: Vec<String> = WORDS
        .iter()
        .enumerate()
        .map(|(i, word)| {
            let sent = format!("'{}'", word.replace('\t', "\\t"));
            format!("({}, {}, {})", i + 1, i % 6, [sent.as_str(); 8].join(", "))
        })
        .collect();
    rows.push("(29, 1, 'ﬀ', 'ﬀ', 'ﬀ', 'ﬀ', 'ﬀ', 'ff', 'ﬀ', 'ﬀ')".into());
    rows.push("(30, 2, 'ｶ', 'ｶ', 'カ', 'か', 'ガ', 'k', 'カ', 'が')".into());
    rows.push("(31, 3, '😀', '😀', '😁', '😀', '😁', '?', '😀', '😁')".into());
    rows.extend((32..=35).map(|id| format!("({id}, {}, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)", id % 6)));
    rows
}

fn codes() -> Vec<String> {
    [("EUR", "'Euro'", "1"), ("USD", "'Dollar'", "1.08125"), ("CHF", "'Franken'", "0.95"), ("JPY", "NULL", "NULL")]
        .iter()
        .map(|(code, name, rate)| format!("('{code}', {name}, {rate})"))
        .collect()
}

fn null() -> String {
    "NULL".into()
}
