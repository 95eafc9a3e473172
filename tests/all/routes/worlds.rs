//! Schemas for every method and type of key: rule text, columns, the values that rows and statements pick from, and where
//! a row lies by the plain meaning of the rule.

use std::cmp::Ordering;
use std::sync::Arc;

use shardloom::diagnostic::{Source, render};
use shardloom::rules::RuleSet;
use shardloom::rules::catalog::{Catalog, ColumnInfo, ColumnType, TableInfo};

use super::truth::{Collation, Column, Kind, Reading, Row, Value, civil, compare, days};

/// Tables `t` and `u` of one family, each with its keys and a number `v`.
pub(super) struct World {
    pub(super) name: String,
    pub(super) rules: RuleSet,
    pub(super) catalog: Catalog,
    pub(super) levels: Vec<Level>,
    pub(super) shards: u32,
}

/// A key column and the method over it.
#[derive(Clone)]
pub(super) struct Level {
    pub(super) column: &'static str,
    pub(super) kind: Kind,
    pub(super) method: Method,
    /// Type and collation in `t` and in `u`.
    types: [&'static str; 2],
    /// What rows have.
    pub(super) stored: Vec<Value>,
    /// What statements ask for: that and what is near it, in other forms, too.
    asked: Vec<Value>,
}

#[derive(Clone)]
pub(super) enum Method {
    Mod(u32),
    /// By a hash: rule text, parts.
    Hashed(&'static str, u32),
    Range {
        bounds: Vec<Value>,
        open: (bool, bool),
    },
    List {
        lists: Vec<Vec<Value>>,
        default: Option<u32>,
    },
    /// Months from January 2024 to December.
    Year2024 {
        open: (bool, bool),
    },
    /// Period, parts.
    Recurring(&'static str, u32),
}

const BIGINT: Kind = Kind::Number;
const CI_PAD: Kind = Kind::Text(Collation { folds: true, pads: true });
const CI_NO_PAD: Kind = Kind::Text(Collation { folds: true, pads: false });
const BIN_PAD: Kind = Kind::Text(Collation { folds: false, pads: true });
const BIN_NO_PAD: Kind = Kind::Text(Collation { folds: false, pads: false });

pub(super) fn all() -> Vec<World> {
    let numbers = |values: &[i128]| values.iter().map(|value| Value::Number(value * 1000)).collect::<Vec<_>>();
    let texts = |values: &[&str]| values.iter().map(|text| Value::Text((*text).into())).collect::<Vec<_>>();
    let int = |method| Level::new(BIGINT, ["bigint", "bigint"], integers(), method);
    let mixed = |method| Level::new(BIGINT, ["bigint", "bigint unsigned"], naturals(), method);
    let small =
        |method| Level::new(BIGINT, ["tinyint unsigned", "decimal(20,4)"], numbers(&[0, 1, 2, 7, 100, 255]), method);
    let decimal = |method| Level::new(BIGINT, ["decimal(10,2)", "decimal(12,3)"], decimals(), method);
    let ci = |method| Level::new(CI_PAD, ["varchar(9) utf8mb4_general_ci"; 2], words(false), method);
    let ai = |method| Level::new(CI_NO_PAD, ["varchar(9) utf8mb4_0900_ai_ci"; 2], words(false), method);
    let bin = |method| Level::new(BIN_PAD, ["varchar(9) utf8mb4_bin"; 2], words(true), method);
    let no_pad = |method| Level::new(BIN_NO_PAD, ["varchar(9) utf8mb4_0900_bin"; 2], words(true), method);
    let date = |method| Level::new(Kind::Time, ["date", "datetime"], moments(false), method);
    let time = |method| Level::new(Kind::Time, ["datetime", "datetime"], moments(true), method);
    let hash = || Method::Hashed("{ hash = 5 }", 5);
    let crc = || Method::Hashed("{ hash = 3, with = 'crc32' }", 3);
    let ring = || Method::Hashed("{ ring = [1, 2, 1] }", 3);
    let range = |bounds: Vec<Value>, open| Method::Range { bounds, open };
    let months = |below, above| Method::Year2024 { open: (below, above) };
    let list = |lists, default| Method::List { lists, default };

    let mut worlds = Vec::new();
    for (name, level) in [
        ("mod", int(Method::Mod(5))),
        ("mod, signed and unsigned", mixed(Method::Mod(4))),
        ("hash of integers", int(hash())),
        ("hash of small integers and decimals", small(hash())),
        ("hash of decimals", decimal(hash())),
        ("crc32 of integers", int(crc())),
        ("hash of general_ci", ci(hash())),
        ("hash of 0900_ai_ci", ai(hash())),
        ("crc32 of bin", bin(crc())),
        ("hash of 0900_bin", no_pad(hash())),
        ("hash of dates", date(hash())),
        ("hash of times", time(hash())),
        ("ring of integers", int(ring())),
        ("ring of general_ci", ci(ring())),
        ("open range", int(range(numbers(&[0, 8, 100, 200]), (true, true)))),
        ("closed range", int(range(numbers(&[-1, 7, 100, 9_007_199_254_740_993]), (false, false)))),
        ("range open above", mixed(range(numbers(&[1, 100, 9_223_372_036_854_775_808]), (false, true)))),
        ("range of decimals", decimal(range(numbers(&[0, 7, 10]), (true, true)))),
        ("closed range of decimals", decimal(range(numbers(&[0, 10, 20]), (false, false)))),
        ("range of padded texts", bin(range(texts(&["B", "a", "b"]), (true, true)))),
        ("range of texts", no_pad(range(texts(&["B", "a", "b"]), (true, true)))),
        ("range of dates", date(range(vec![at(2024, 2, 1, 0), at(2024, 3, 1, 0)], (true, true)))),
        ("range of times", time(range(vec![at(2024, 2, 1, 0), at(2024, 2, 29, 43_200)], (true, false)))),
        ("list", int(list(vec![numbers(&[0, 7]), numbers(&[1, 2]), numbers(&[100])], Some(3)))),
        ("closed list", int(list(vec![numbers(&[0, 7, 8]), numbers(&[1, 2, -1])], None))),
        ("list of general_ci", ci(list(vec![texts(&["a", "ab"]), texts(&["e"])], Some(0)))),
        ("list of 0900_ai_ci", ai(list(vec![texts(&["A"]), texts(&["e", "5"])], None))),
        ("list of bin", bin(list(vec![texts(&["a", "A"]), texts(&["é"])], Some(2)))),
        ("months", date(months(false, false))),
        ("months, open", time(months(true, true))),
        ("days", date(Method::Recurring("day", 7))),
        ("weeks", time(Method::Recurring("week", 3))),
        ("months of all years", time(Method::Recurring("month", 12))),
        ("quarters", date(Method::Recurring("quarter", 4))),
        ("years", date(Method::Recurring("year", 2))),
    ] {
        worlds.push(World::new(name, vec![level]));
    }
    for (name, outer, inner) in [
        ("mod, then months", int(Method::Mod(2)), date(Method::Recurring("month", 3))),
        ("hash, then range", ci(hash()), int(range(numbers(&[0, 100]), (true, true)))),
        ("list, then hash", ai(list(vec![texts(&["a"]), texts(&["b"])], Some(2))), decimal(hash())),
        ("months, then mod", time(months(false, true)), int(Method::Mod(2))),
    ] {
        worlds.push(World::new(name, vec![outer, Level { column: "m", ..inner }]));
    }
    worlds
}

fn integers() -> Vec<Value> {
    let edges = [i128::from(i64::MIN), -9_007_199_254_740_993, i128::from(i64::MAX)];
    [-7, -1, 0, 1, 2, 3, 5, 7, 8, 99, 100, 101, 150, 199, 200, 9_007_199_254_740_992, 9_007_199_254_740_993]
        .into_iter()
        .chain(edges)
        .map(|value| Value::Number(value * 1000))
        .collect()
}

/// What both a BIGINT and a BIGINT UNSIGNED hold.
fn naturals() -> Vec<Value> {
    integers().into_iter().filter(|value| matches!(value, Value::Number(0..))).collect()
}

fn decimals() -> Vec<Value> {
    [-7500, 0, 1100, 1110, 7000, 7490, 7500, 9990, 10_000, 10_010, 20_000, 99_999_999_990].map(Value::Number).into()
}

fn words(tabs: bool) -> Vec<Value> {
    let mut words = vec!["", " ", "a", "A", "a ", "ab", "Ab", "aé", "b", "B ", "e", "é", "É  ", "5", "5x"];
    words.extend(if tabs { &["a\t", "\t"][..] } else { &[] });
    words.into_iter().map(|word| Value::Text(word.into())).collect()
}

fn at(year: i64, month: i64, day: i64, seconds: i64) -> Value {
    Value::Time(days(year, month, day) * 86_400 + seconds)
}

fn moments(times: bool) -> Vec<Value> {
    let all = [
        (2023, 12, 31),
        (2024, 1, 1),
        (2024, 1, 31),
        (2024, 2, 1),
        (2024, 2, 28),
        (2024, 2, 29),
        (2024, 3, 1),
        (2024, 6, 30),
        (2024, 7, 1),
        (2024, 12, 29),
        (2024, 12, 30),
        (2024, 12, 31),
        (2025, 1, 1),
        (2025, 1, 6),
    ];
    let seconds = if times { &[0, 43_200, 86_399][..] } else { &[0] };
    all.iter().flat_map(|(y, m, d)| seconds.iter().map(move |second| at(*y, *m, *d, *second))).collect()
}

impl Level {
    fn new(kind: Kind, types: [&'static str; 2], mut stored: Vec<Value>, method: Method) -> Level {
        let mut asked = stored.clone();
        let text = |text: &str| Value::Text(text.into());
        asked.push(Value::Null);
        match kind {
            Kind::Number => {
                asked.extend([7500, 99_500, 1, -500, i128::from(u64::MAX) * 1000].map(Value::Number));
                asked.push(Value::Number((i128::from(i64::MIN) - 1) * 1000));
                asked.extend([7000, 100_000, 500].map(Value::Double));
                asked.extend(["7", "7.0", "100", "-1", "0", "7x", " 7", "", "9007199254740993", "7.5"].map(text));
            }
            Kind::Text(_) => {
                asked.extend(["E", "zz", "b ", "ab "].map(text));
                asked.extend([Value::Number(5000), Value::Number(0), Value::Double(5000)]);
            }
            Kind::Time => {
                asked.extend(["2024-02-01", "2024-02-29 23:59:59", "2024-12-31", "2030-01-01"].map(text));
                asked.extend(["2024-03-01 00:00:00", "2024-02-01 12:00:00", "1999-12-31"].map(text));
                asked.push(at(2024, 2, 28, 1));
            }
        }
        // A list says nothing of NULL where there is no default.
        stored.push(Value::Null);
        Level { column: "k", kind, method, types, stored, asked }
    }

    /// The part of a key; none if the hash decides, none inside if there is no part for it.
    fn part(&self, key: &Value) -> Option<Option<u32>> {
        let order = |other: &Value| compare(self.kind, key, other, Reading::Exact);
        let day = |key: &Value| if let Value::Time(seconds) = key { seconds.div_euclid(86_400) } else { i64::MIN };
        match (&self.method, key) {
            (Method::Hashed(..), _) => None,
            (Method::Range { bounds, open }, key) => {
                let below = bounds.iter().filter(|bound| order(bound).is_some_and(Ordering::is_ge)).count();
                let part = (below as u32 + u32::from(open.0)).checked_sub(1);
                Some(part.filter(|part| *part < self.method.parts() && (*key != Value::Null || open.0)))
            }
            (Method::List { lists, default }, _) => {
                // Spaces at the end never make another key of a list.
                let kind = match self.kind {
                    Kind::Text(collation) => Kind::Text(Collation { pads: true, ..collation }),
                    kind => kind,
                };
                let equal = |value| compare(kind, key, value, Reading::Exact).is_some_and(Ordering::is_eq);
                let at = lists.iter().position(|list| list.iter().any(equal));
                Some(at.map(|part| part as u32).or(*default))
            }
            (Method::Year2024 { open }, key) => {
                let (first, end) = (days(2024, 1, 1), days(2025, 1, 1));
                Some(match day(key) {
                    day if day < first => open.0.then_some(0),
                    day if day >= end => open.1.then_some(11),
                    day => Some(civil(day).1 as u32 - 1),
                })
            }
            (Method::Mod(_) | Method::Recurring(..), Value::Null) => None,
            (Method::Mod(parts), Value::Number(value)) => {
                Some(Some((value / 1000).rem_euclid(i128::from(*parts)) as u32))
            }
            (Method::Mod(_), _) => panic!("{key:?}"),
            (Method::Recurring(period, parts), key) => {
                let (year, month, _) = civil(day(key));
                let number = match *period {
                    "day" => day(key),
                    // 1970-01-05 was a Monday, and begins week 1.
                    "week" => (day(key) - 4).div_euclid(7) + 1,
                    "month" => year * 12 + month - 1,
                    "quarter" => year * 4 + (month - 1) / 3,
                    _ => year,
                };
                Some(Some(number.rem_euclid(i64::from(*parts)) as u32))
            }
        }
    }
}

impl Method {
    pub(super) fn parts(&self) -> u32 {
        match self {
            Method::Mod(parts) | Method::Hashed(_, parts) | Method::Recurring(_, parts) => *parts,
            Method::Range { bounds, open } => bounds.len() as u32 - 1 + u32::from(open.0) + u32::from(open.1),
            Method::List { lists, default } => (lists.len() as u32).max(default.map_or(0, |part| part + 1)),
            Method::Year2024 { .. } => 12,
        }
    }

    /// Whether it narrows ranges of keys of any type.
    pub(super) fn is_ordered(&self) -> bool {
        matches!(self, Method::Range { .. } | Method::Year2024 { .. } | Method::Recurring(..))
    }

    fn rule(&self) -> String {
        let value =
            |value: &Value| value.literal().trim_start_matches("DATE").trim_start_matches("TIMESTAMP").to_owned();
        // A date stands in TOML without quotes.
        let value = |it: &Value| if matches!(it, Value::Time(_)) { value(it).replace('\'', "") } else { value(it) };
        let values = |all: &[Value]| format!("[{}]", all.iter().map(value).collect::<Vec<_>>().join(", "));
        let open = |open: (bool, bool)| match open {
            (true, false) => "'below'",
            (false, true) => "'above'",
            (true, true) => "true",
            (false, false) => "false",
        };
        match self {
            Method::Mod(parts) => format!("{{ mod = {parts} }}"),
            Method::Hashed(rule, _) => (*rule).into(),
            Method::Range { bounds, open: ends } => {
                format!("{{ range = {}, open = {} }}", values(bounds), open(*ends))
            }
            Method::List { lists, default } => {
                let lists: Vec<String> = lists.iter().map(|list| values(list)).collect();
                let default = default.map_or(String::new(), |part| format!(", default = {part}"));
                format!("{{ list = [{}]{default} }}", lists.join(", "))
            }
            Method::Year2024 { open: ends } => {
                format!("{{ date = 'month', from = 2024-01-01, to = 2025-01-01, open = {} }}", open(*ends))
            }
            Method::Recurring(period, parts) => format!("{{ date = '{period}', recurring = {parts} }}"),
        }
    }
}

impl World {
    fn new(name: &str, levels: Vec<Level>) -> World {
        let columns: Vec<String> = levels.iter().map(|level| format!("'{}'", level.column)).collect();
        let methods: Vec<String> = levels.iter().map(|level| level.method.rule()).collect();
        let methods = if methods.len() == 1 { methods[0].clone() } else { format!("[{}]", methods.join(", ")) };
        let text = format!(
            "[group.g0]\nprimary = 'a'\n[group.g1]\nprimary = 'b'\n[schema.s]\nhome = 'g0'\n[schema.s.family.f]\n\
             columns = [{}]\nmethod = {methods}\ngroups = ['g0', 'g1']\n[schema.s.table]\nt.family = 'f'\nu.family = 'f'\n",
            columns.join(", ")
        );
        let sources = [Source { name: name.into(), text }];
        let rules = RuleSet::parse(&sources).unwrap_or_else(|found| panic!("{}", render(&found, &sources, false)));
        let mut catalog = Catalog::default();
        for (at, table) in ["t", "u"].into_iter().enumerate() {
            let mut columns: Vec<ColumnInfo> =
                levels.iter().map(|level| column(level.column, level.types[at])).collect();
            columns.push(column("v", "int"));
            catalog.insert("s", table, Arc::new(TableInfo { columns, ..TableInfo::default() }));
        }
        let shards = levels.iter().map(|level| level.method.parts()).product();
        World { name: name.into(), rules, catalog, levels, shards }
    }

    pub(super) fn columns(&self, table: &'static str) -> Vec<Column> {
        let keys = (0..self.levels.len()).map(|level| Column { table, level: Some(level) });
        keys.chain([Column { table, level: None }]).collect()
    }

    pub(super) fn kind(&self, column: Column) -> Kind {
        column.level.map_or(Kind::Number, |level| self.levels[level].kind)
    }

    pub(super) fn literals(&self, column: Column) -> &[Value] {
        const SMALL: &[Value] = &[Value::Number(0), Value::Number(1000), Value::Number(3000), Value::Null];
        column.level.map_or(SMALL, |level| &self.levels[level].asked)
    }

    /// Whether rows of `t` and `u` are joined by all their keys.
    pub(super) fn equal_keys(&self, row: &Row, other: &Row) -> bool {
        let equal = |(level, (a, b)): (&Level, (&Value, &Value))| {
            compare(level.kind, a, b, Reading::Exact).is_some_and(Ordering::is_eq)
        };
        self.levels.iter().zip(row.keys.iter().zip(&other.keys)).all(equal)
    }

    /// The shard of a row; none if a hash decides, none inside if no shard has it.
    pub(super) fn place(&self, keys: &[Value]) -> Option<Option<u32>> {
        let parts: Vec<Option<Option<u32>>> =
            self.levels.iter().zip(keys).map(|(level, key)| level.part(key)).collect();
        if parts.contains(&Some(None)) {
            return Some(None);
        }
        let mut shard = 0;
        for (level, part) in self.levels.iter().zip(parts) {
            shard = shard * level.method.parts() + part??;
        }
        Some(Some(shard))
    }
}

/// A column that may be NULL, of a type with a collation perhaps.
fn column(name: &str, ty: &str) -> ColumnInfo {
    let (ty, collation) = match ty.split_once(' ') {
        Some((ty, collation)) if collation.starts_with("utf8") => (ty, Some(collation.to_owned())),
        _ => (ty, None),
    };
    ColumnInfo {
        name: name.into(),
        ty: ColumnType::parse(ty),
        nullable: true,
        collation,
        default: None,
        auto_increment: false,
        generated: false,
        touched: false,
        invisible: false,
    }
}
