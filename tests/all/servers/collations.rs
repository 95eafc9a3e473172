//! The proxy never tells texts apart that a server takes for equal: compared with WEIGHT_STRING over all of Unicode.
//! With `UPDATE=1` it writes the tables of `value::fold` anew from MySQL; released ones never change.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use shardloom::demo::cluster::Layout;
use shardloom::demo::server::Server;
use shardloom::sql::Flavour;
use shardloom::value::charset::Charset;
use shardloom::value::collation::{Collation, Rule};
use shardloom::value::{Canon, Datum, Key, KeyKind, canonical};

use super::testbed::{TestCluster, installations};

/// All code points with their characters, in table `d.c`; all texts of one or two ASCII characters, in `d.a`.
fn fill(server: &Server) {
    let sixteen = "(SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 \
                   UNION SELECT 7 UNION SELECT 8 UNION SELECT 9 UNION SELECT 10 UNION SELECT 11 UNION SELECT 12 UNION \
                   SELECT 13 UNION SELECT 14 UNION SELECT 15)";
    server
        .sql(&format!(
            "CREATE DATABASE d; USE d;
             CREATE TABLE n (n INT PRIMARY KEY);
             INSERT INTO n SELECT a.d + 16*b.d + 256*c.d + 4096*e.d + 65536*f.d
               FROM {sixteen} a, {sixteen} b, {sixteen} c, {sixteen} e, {sixteen} f;
             INSERT INTO n SELECT n + 1048576 FROM n WHERE n < 65536;
             CREATE TABLE c (n INT PRIMARY KEY, c VARCHAR(1) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin);
             INSERT INTO c SELECT n, CONVERT(CONVERT(UNHEX(LPAD(HEX(n), 8, '0')) USING utf32) USING utf8mb4)
               FROM n WHERE n NOT BETWEEN 55296 AND 57343;
             CREATE TABLE a (s VARBINARY(2) PRIMARY KEY);
             INSERT INTO a SELECT '' UNION SELECT UNHEX(LPAD(HEX(n), 2, '0')) FROM n WHERE n < 128
               UNION SELECT UNHEX(LPAD(HEX(n), 4, '0')) FROM n WHERE n < 32768 AND n & 128 = 0;"
        ))
        .unwrap();
}

/// The weights of each character, in units that stand for one letter: two bytes, or four of an implicit weight.
fn weights(server: &Server, charset: &str, collation: &str) -> BTreeMap<u32, Vec<Vec<u8>>> {
    let rows = server
        .sql(&format!(
            "SELECT n, HEX(WEIGHT_STRING(CONVERT(c USING {charset}) COLLATE {collation})) FROM d.c
             WHERE BINARY CONVERT(CONVERT(c USING {charset}) USING utf8mb4) = BINARY c"
        ))
        .unwrap();
    let unit = if charset == "latin1" { 1 } else { 2 };
    rows.lines()
        .map(|line| {
            let (number, weight) = line.split_once('\t').unwrap();
            (number.parse().unwrap(), units(&bytes(weight), unit))
        })
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    if hex == "NULL" {
        return Vec::new();
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn units(weight: &[u8], size: usize) -> Vec<Vec<u8>> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    for unit in weight.chunks(size) {
        match units.last_mut() {
            // The second half of an implicit weight has its highest bit set.
            Some(last) if last.len() == 2 && last[0] == 0xFB && unit[0] >= 0x80 => last.extend_from_slice(unit),
            _ => units.push(unit.to_vec()),
        }
    }
    units
}

/// Stands for the letters of a syllable of Hangul.
const HANGUL: u32 = u32::MAX;

/// What each character beyond ASCII becomes: for each unit of its weight, the least character that weighs just that.
fn becomes(weights: &BTreeMap<u32, Vec<Vec<u8>>>) -> BTreeMap<u32, Vec<u32>> {
    let mut least: HashMap<&[u8], u32> = HashMap::new();
    for (character, units) in weights {
        if let ([unit], false) = (&units[..], (65..=90).contains(character)) {
            least.entry(unit).or_insert(*character);
        }
    }
    let mut becomes: BTreeMap<u32, Vec<u32>> = weights
        .iter()
        .map(|(character, units)| (*character, units.iter().map(|unit| least[&unit[..]]).collect()))
        .collect();
    let letters = |syllable: u32| {
        let end = (!syllable.is_multiple_of(28)).then_some(0x11A7 + syllable % 28);
        let parts = [Some(0x1100 + syllable / 588), Some(0x1161 + syllable % 588 / 28), end];
        parts.into_iter().flatten().filter_map(|part| becomes.get(&part)).flatten().copied().collect::<Vec<u32>>()
    };
    let syllables = 0xAC00..=0xD7A3;
    if syllables.clone().all(|syllable| becomes.get(&syllable).is_some_and(|list| *list == letters(syllable - 0xAC00)))
    {
        becomes.extend(syllables.map(|syllable| (syllable, vec![HANGUL])));
    }
    becomes.retain(|character, list| *character >= 0x80 && list[..] != [*character]);
    becomes
}

/// A table as `value::fold` reads it.
fn encode(becomes: &BTreeMap<u32, Vec<u32>>) -> Vec<u8> {
    let (mut records, mut count) = (Vec::new(), 0u32);
    let mut put = |start: u32, kind: u8, argument: u32| {
        records.extend_from_slice(&start.to_be_bytes()[1..]);
        records.push(kind);
        records.extend_from_slice(&argument.to_be_bytes()[1..]);
        count += 1;
    };
    let (mut lists, mut known): (Vec<u8>, HashMap<&[u32], u32>) = (Vec::new(), HashMap::new());
    put(0, 0, 0);
    type Run<'a> = (u32, bool, &'a [u32]);
    let (mut next, mut run): (u32, Option<Run<'_>>) = (0, None);
    for (&character, list) in becomes {
        if character > next && next > 0 {
            put(next, 0, 0);
            run = None;
        }
        next = character + 1;
        let continues = run.is_some_and(|(start, shifted, first)| match (shifted, first, &list[..]) {
            (true, [first], [one]) => first + (character - start) == *one,
            (shifted, first, list) => !shifted && first == list,
        });
        if continues {
            continue;
        }
        let follows = becomes.get(&next).map(|list| &list[..]);
        let shifted = matches!((&list[..], follows), ([one], Some([next])) if *one != HANGUL && one + 1 == *next);
        match &list[..] {
            [HANGUL] => put(character, 4, 0),
            [one] => put(character, if shifted { 1 } else { 2 }, *one),
            list => {
                let at = *known.entry(list).or_insert_with(|| {
                    let at = lists.len() as u32;
                    lists.push(list.len() as u8);
                    lists.extend(list.iter().flat_map(|one| one.to_be_bytes().into_iter().skip(1)));
                    at
                });
                put(character, 3, at);
            }
        }
        run = Some((character, shifted, list));
    }
    put(next, 0, 0);
    [&count.to_be_bytes()[..], &records, &lists].concat()
}

/// The collations whose weights are tables of `value::fold`, and where the table stands.
const TABLES: [(&str, &str, &str); 5] = [
    ("general", "utf8mb4", "utf8mb4_general_ci"),
    ("unicode400", "utf8mb4", "utf8mb4_unicode_ci"),
    ("unicode520", "utf8mb4", "utf8mb4_unicode_520_ci"),
    ("unicode900", "utf8mb4", "utf8mb4_0900_ai_ci"),
    ("swedish", "latin1", "latin1_swedish_ci"),
];

fn write_tables(server: &Server) {
    for (name, charset, collation) in TABLES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/value/fold/{name}.bin"));
        let table = encode(&becomes(&weights(server, charset, collation)));
        if fs::read(&path).unwrap() != table {
            fs::write(&path, table).unwrap();
        }
    }
}

/// No two characters that weigh the same have different keys: all that Unicode has given a meaning for the collations
/// that tables were made from, those of the world's common alphabets for the others.
fn check_characters(server: &Server, charset: &str, name: &str, collation: Collation) {
    let some = if TABLES.iter().any(|(_, _, table)| *table == name) {
        "(n < 205000 OR n BETWEEN 917504 AND 921600 OR n % 997 = 0)"
    } else {
        "n < 12288"
    };
    let rows = server
        .sql(&format!(
            "SELECT HEX(c), HEX(WEIGHT_STRING(CONVERT(c USING {charset}) COLLATE {name})) FROM d.c
             WHERE {some} AND BINARY CONVERT(CONVERT(c USING {charset}) USING utf8mb4) = BINARY c"
        ))
        .unwrap();
    let mut keys: HashMap<&str, (Key, &str)> = HashMap::new();
    let mut known = 0;
    for line in rows.lines() {
        let (character, weight) = line.split_once('\t').unwrap();
        let Some(key) = key(&bytes(character), collation) else { continue };
        known += 1;
        let (first, other) = keys.entry(weight).or_insert_with(|| (key.clone(), character));
        assert_eq!(*first, key, "{name}: {other} and {character} (UTF-8) weigh {weight}");
    }
    assert!(known >= 128, "{name}: {known} characters are known");
}

/// No two texts of one or two ASCII characters that are equal have different keys. (Of one, where each byte of a
/// character set has its own weight.)
fn check_ascii(server: &Server, charset: &str, name: &str, collation: Collation) {
    let length = if charset.starts_with("utf8") { 2 } else { 1 };
    let rows = server
        .sql(&format!(
            "SET group_concat_max_len = 10000000;
             SELECT GROUP_CONCAT(HEX(s)) FROM d.a WHERE LENGTH(s) <= {length} GROUP BY CONVERT(s USING {charset}) COLLATE {name}"
        ))
        .unwrap();
    for group in rows.lines() {
        let mut keys = group.split(',').map(|text| (text, key(&bytes(text), collation).unwrap()));
        let (first, expected) = keys.next().unwrap();
        if let Some((other, _)) = keys.find(|(_, key)| *key != expected) {
            panic!("{name}: 0x{first} equals 0x{other}");
        }
    }
}

/// What a text of two characters weighs is what they weigh one by one, for neighbours in Unicode and for accents:
/// no table knows contractions.
fn check_pairs(server: &Server, name: &str) {
    let found = server
        .sql(&format!(
            "SELECT HEX(a.c), HEX(b.c) FROM d.c a STRAIGHT_JOIN d.n k ON k.n < 384
             STRAIGHT_JOIN d.c b ON b.n = IF(k.n < 256, a.n DIV 256 * 256 + k.n, 512 + k.n)
             WHERE a.n < 8192 AND WEIGHT_STRING(CONCAT(a.c, b.c) COLLATE {name})
               <> CONCAT(WEIGHT_STRING(a.c COLLATE {name}), WEIGHT_STRING(b.c COLLATE {name})) LIMIT 3"
        ))
        .unwrap();
    assert_eq!(found, "", "{name} has contractions");
}

fn key(text: &[u8], collation: Collation) -> Option<Key> {
    let kind = KeyKind::Str { collation, chars: 10, fixed: false };
    match canonical(&Datum::Text(text.to_vec().into()), &kind) {
        Canon::Key(key) => Some(key),
        _ => None,
    }
}

#[test]
fn what_a_server_takes_for_equal_has_one_key() {
    for installation in installations() {
        let test = TestCluster::start(&installation, &Layout::new(1, 0));
        let server = &test.cluster.groups[0].primary;
        fill(server);
        if std::env::var_os("UPDATE").is_some() && installation.flavour == Flavour::MySql {
            write_tables(server);
            continue;
        }
        let list = match installation.flavour {
            Flavour::MySql => "SELECT collation_name, character_set_name FROM information_schema.collations",
            Flavour::MariaDb => {
                "SELECT full_collation_name, character_set_name
                 FROM information_schema.collation_character_set_applicability"
            }
        };
        let mut known = 0;
        for line in server.sql(list).unwrap().lines() {
            let (name, charset) = line.split_once('\t').unwrap();
            let collation = Collation::by_name(name);
            if collation.rule == Rule::Unknown || collation.charset == Charset::Binary {
                continue;
            }
            known += 1;
            check_ascii(server, charset, name, collation);
            check_characters(server, charset, name, collation);
            if TABLES.iter().any(|(_, charset, table)| *table == name && *charset == "utf8mb4") {
                check_pairs(server, name);
            }
        }
        assert!(known >= 40, "{known} collations are known");
    }
}
