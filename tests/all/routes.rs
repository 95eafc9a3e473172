//! Routing against brute force: whatever the rule, the rows and the predicate, a statement goes to every shard that has a
//! row for which the predicate is true; and if it pins the key, to no other.
//!
//! `truth` evaluates predicates over rows by itself: it knows nothing of keys, shards or plans. `worlds` has a schema for
//! each method and key type, and says by itself where a row lies, hashes aside (these have frozen vectors).
//! `ROUTES=100000 cargo test --test all routes` looks further.

mod truth;
mod worlds;

use std::collections::BTreeSet;
use std::mem::discriminant;

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use proptest::{collection, prop_assert, prop_assert_eq};
use shardloom::plan::{Route, Session, build};
use shardloom::sql::head::head;
use shardloom::sql::scan::{Scan, scan};
use shardloom::sql::{Facts, Flavour, SqlMode, TextCharset};
use shardloom::value::Datum;
use truth::{Column, Predicate, Reading, Row, Value};
use worlds::World;

const FACTS: Facts =
    Facts { mode: SqlMode::NONE, charset: TextCharset::Utf8, flavour: Flavour::MySql, version: 90_704 };

const OPERATORS: [&str; 9] = ["=", "=", "=", "<=>", "<", "<=", ">", ">=", "<>"];

/// One case, free of types: numbers pick from the values of a world.
#[derive(Clone, Debug)]
struct Case {
    world: usize,
    shape: Shape,
    rows: Vec<[u16; 3]>,
    joined: Vec<[u16; 3]>,
    predicate: Sketch,
    /// Which literals are parameters.
    params: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Select,
    Count,
    Delete,
    Join,
    LeftJoin,
}

/// A predicate whose columns and values are not chosen yet.
#[derive(Clone, Debug)]
enum Sketch {
    Compare { column: u16, how: u16, value: u16 },
    In { column: u16, values: Vec<u16>, not: bool },
    Between { column: u16, values: [u16; 2], not: bool },
    IsNull { column: u16, not: bool },
    Tuple { columns: [u16; 2], rows: Vec<[u16; 2]> },
    And(Vec<Sketch>),
    Or(Vec<Sketch>),
    Not(Box<Sketch>),
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let leaf = prop_oneof![
        6 => any::<(u16, u16, u16)>().prop_map(|(column, how, value)| Sketch::Compare { column, how, value }),
        2 => (any::<u16>(), collection::vec(any::<u16>(), 1..4), any::<bool>())
            .prop_map(|(column, values, not)| Sketch::In { column, values, not }),
        2 => any::<(u16, [u16; 2], bool)>().prop_map(|(column, values, not)| Sketch::Between { column, values, not }),
        1 => any::<(u16, bool)>().prop_map(|(column, not)| Sketch::IsNull { column, not }),
        1 => (any::<[u16; 2]>(), collection::vec(any::<[u16; 2]>(), 1..4))
            .prop_map(|(columns, rows)| Sketch::Tuple { columns, rows }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            3 => collection::vec(inner.clone(), 2..4).prop_map(Sketch::And),
            2 => collection::vec(inner.clone(), 2..4).prop_map(Sketch::Or),
            1 => inner.prop_map(|inner| Sketch::Not(Box::new(inner))),
        ]
    })
}

fn case(worlds: usize) -> impl Strategy<Value = Case> {
    use Shape::{Count, Delete, Join, LeftJoin, Select};
    let shape = prop_oneof![Just(Select), Just(Count), Just(Delete), Just(Join), Just(LeftJoin)];
    let rows = || collection::vec(any::<[u16; 3]>(), 0..16);
    (0..worlds, shape, rows(), rows(), sketch(), any::<u64>()).prop_map(
        |(world, shape, rows, joined, predicate, params)| Case { world, shape, rows, joined, predicate, params },
    )
}

fn pick<T>(from: &[T], number: u16) -> &T {
    &from[usize::from(number) % from.len()]
}

impl Sketch {
    /// With the columns of the tables in reach, and values near those that the columns hold.
    fn paint(&self, world: &World, columns: &[Column]) -> Predicate {
        let value = |column: Column, number: u16| pick(world.literals(column), number).clone();
        match self {
            Sketch::Compare { column, how, value: number } => {
                let column = *pick(columns, *column);
                Predicate::Compare(column, OPERATORS[usize::from(*how) % OPERATORS.len()], value(column, *number))
            }
            Sketch::In { column, values, not } => {
                let column = *pick(columns, *column);
                Predicate::In(column, values.iter().map(|number| value(column, *number)).collect(), *not)
            }
            Sketch::Between { column, values: [low, high], not } => {
                let column = *pick(columns, *column);
                let (low, high) = (value(column, *low), value(column, *high));
                // Of bounds of different types, MySQL compares with a type of its own choice.
                let high = if discriminant(&low) == discriminant(&high) { high } else { low.clone() };
                Predicate::Between(column, low, high, *not)
            }
            Sketch::IsNull { column, not } => Predicate::IsNull(*pick(columns, *column), *not),
            Sketch::Tuple { columns: [one, other], rows } => {
                let (one, other) = (*pick(columns, *one), *pick(columns, *other));
                let row = |[a, b]: &[u16; 2]| [value(one, *a), value(other, *b)];
                Predicate::Tuple([one, other], rows.iter().map(row).collect())
            }
            Sketch::And(parts) => Predicate::And(parts.iter().map(|part| part.paint(world, columns)).collect()),
            Sketch::Or(parts) => Predicate::Or(parts.iter().map(|part| part.paint(world, columns)).collect()),
            Sketch::Not(part) => Predicate::Not(Box::new(part.paint(world, columns))),
        }
    }
}

/// A statement with its parameters.
struct Statement {
    sql: String,
    args: Vec<Datum<'static>>,
}

impl Statement {
    /// The shards it goes to; an error is a refusal.
    fn shards(&self, world: &World) -> Result<BTreeSet<u32>, String> {
        let bytes = self.sql.as_bytes();
        let mut scanned = Scan::default();
        scan(bytes, FACTS, 0, &mut scanned).map_err(|error| error.message)?;
        let head = head(bytes, FACTS).map_err(|error| error.message)?;
        let session = Session { schema: Some("s"), facts: FACTS };
        let planned = build::plan(bytes, &scanned, &head, session, &world.rules, &world.catalog);
        let bound = shardloom::plan::bind::bind(&planned, &world.rules, bytes, &scanned, &self.args);
        Ok(match bound.map_err(|error| error.message)?.route {
            Route::One(target) => target.shard.into_iter().collect(),
            Route::Many(targets) => targets.iter().filter_map(|target| target.shard).collect(),
            Route::Any => BTreeSet::new(),
        })
    }
}

/// The rows of a table that the proxy would take, each with its shard.
fn stored(world: &World, table: &'static str, numbers: &[[u16; 3]]) -> Result<Vec<(Row, u32)>, TestCaseError> {
    let mut rows = Vec::new();
    for [first, second, other] in numbers {
        let keys: Vec<Value> =
            world.levels.iter().zip([first, second]).map(|(level, n)| pick(&level.stored, *n).clone()).collect();
        let value = Value::Number(i128::from(other % 5) * 1000);
        let row = Row { table, keys, value };
        let (columns, mut values): (Vec<_>, Vec<_>) =
            world.levels.iter().zip(&row.keys).map(|(level, key)| (level.column, key.literal())).unzip();
        values.push(row.value.literal());
        let sql = format!("INSERT INTO {table} ({}, v) VALUES ({})", columns.join(", "), values.join(", "));
        let found = Statement { sql: sql.clone(), args: Vec::new() }.shards(world);
        match world.place(&row.keys) {
            Some(None) => prop_assert!(found.is_err(), "no shard has it: {sql}"),
            expected => {
                let found = found.map_err(|error| TestCaseError::fail(format!("{sql}: {error}")))?;
                prop_assert_eq!(found.len(), 1, "{}", &sql);
                let shard = *found.first().unwrap();
                if let Some(Some(expected)) = expected {
                    prop_assert_eq!(shard, expected, "{}", &sql);
                }
                rows.push((row, shard));
            }
        }
    }
    Ok(rows)
}

/// The shards with rows for which the predicate is true, and the statement that asks for them.
fn needed(world: &World, case: &Case) -> Result<(BTreeSet<u32>, Statement), TestCaseError> {
    let rows = stored(world, "t", &case.rows)?;
    let mut columns = world.columns("t");
    let mut shards = BTreeSet::new();
    let join = matches!(case.shape, Shape::Join | Shape::LeftJoin);
    if join {
        columns.extend(world.columns("u"));
    }
    let predicate = case.predicate.paint(world, &columns);
    let holds = |row: &Row, other: Option<&Row>| {
        [Reading::Exact, Reading::Double].into_iter().any(|reading| predicate.holds(world, row, other, reading))
    };
    if join {
        let joined = stored(world, "u", &case.joined)?;
        for (row, shard) in &rows {
            let mut partners: Vec<Option<&Row>> = Vec::new();
            for (other, there) in &joined {
                if world.equal_keys(row, other) {
                    prop_assert_eq!(shard, there, "{:?} and {:?} live apart", row, other);
                    partners.push(Some(other));
                }
            }
            if partners.is_empty() && case.shape == Shape::LeftJoin {
                partners.push(None);
            }
            if partners.iter().any(|other| holds(row, *other)) {
                shards.insert(*shard);
            }
        }
    } else {
        shards.extend(rows.iter().filter(|(row, _)| holds(row, None)).map(|(_, shard)| *shard));
    }
    let mut args = Vec::new();
    let filter = predicate.render(world, join, case.params, &mut args);
    let on: Vec<String> = world.levels.iter().map(|level| format!("u.{0} = t.{0}", level.column)).collect();
    let sql = match case.shape {
        Shape::Select => format!("SELECT v FROM t WHERE {filter}"),
        Shape::Count => format!("SELECT COUNT(*) FROM t WHERE {filter}"),
        Shape::Delete => format!("DELETE FROM t WHERE {filter}"),
        Shape::Join => format!("SELECT t.v FROM t JOIN u ON {} WHERE {filter}", on.join(" AND ")),
        Shape::LeftJoin => format!("SELECT t.v FROM t LEFT JOIN u ON {} WHERE {filter}", on.join(" AND ")),
    };
    Ok((shards, Statement { sql, args }))
}

#[test]
fn a_statement_goes_wherever_its_rows_are() {
    let worlds = worlds::all();
    let cases = std::env::var("ROUTES").map_or(1500, |cases| cases.parse().unwrap());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let (counted, narrow) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let check = |case: Case| {
        let world = &worlds[case.world];
        let (needed, statement) = needed(world, &case)?;
        let found = statement.shards(world);
        let found =
            found.map_err(|error| TestCaseError::fail(format!("{}: {}: {error}", world.name, statement.sql)))?;
        prop_assert!(
            needed.is_subset(&found),
            "{}: {:?} are needed, and it goes to {:?}: {} {:?}",
            world.name,
            needed,
            found,
            statement.sql,
            statement.args
        );
        counted.set(counted.get() + 1);
        narrow.set(narrow.get() + usize::from(found.len() < world.shards as usize));
        Ok(())
    };
    if let Err(error) = runner.run(&case(worlds.len()), check) {
        panic!("{error}");
    }
    // A router that always scatters would pass the above.
    assert!(
        narrow.get() * 5 > counted.get(),
        "{} of {} statements went to fewer than all shards",
        narrow.get(),
        counted.get()
    );
}

/// `key = value`, written in the column's own type, goes to the one shard of a row with that key, whatever else is asked.
#[test]
fn a_pinned_key_has_one_shard() {
    let worlds = worlds::all();
    let numbers = collection::vec(any::<[u16; 3]>(), 1..10);
    let strategy = (0..worlds.len(), numbers, any::<(u16, u16, u64)>(), sketch());
    let mut runner = TestRunner::new(Config { cases: 500, failure_persistence: None, ..Config::default() });
    let check = |(at, numbers, (form, more, params), extra): (usize, Vec<[u16; 3]>, (u16, u16, u64), Sketch)| {
        let world = &worlds[at];
        for (row, shard) in stored(world, "t", &numbers)? {
            if row.keys.contains(&Value::Null) {
                continue;
            }
            let columns = world.columns("t");
            let equals = |(level, key): (usize, &Value)| match form % 3 {
                0 => Predicate::Compare(columns[level], "=", key.clone()),
                1 => Predicate::In(columns[level], vec![key.clone()], false),
                _ => Predicate::Between(columns[level], key.clone(), key.clone(), false),
            };
            // A range of one value is narrow only where the method knows an order.
            let ordered = world.levels.iter().all(|level| level.method.is_ordered());
            if form % 3 == 2 && !ordered {
                continue;
            }
            let mut all: Vec<Predicate> = row.keys.iter().enumerate().map(equals).collect();
            if more % 2 == 0 {
                all.push(extra.paint(world, &columns));
            }
            let mut args = Vec::new();
            let filter = Predicate::And(all).render(world, false, params, &mut args);
            let sql = format!("SELECT v FROM t WHERE {filter}");
            let statement = Statement { sql, args };
            let found = statement.shards(world).map_err(TestCaseError::fail)?;
            prop_assert_eq!(found.len(), 1, "{}: {} {:?}", world.name, &statement.sql, &statement.args);
            if more % 2 == 1 {
                prop_assert_eq!(found.first(), Some(&shard), "{}: {}", world.name, &statement.sql);
            }
        }
        Ok(())
    };
    if let Err(error) = runner.run(&strategy, check) {
        panic!("{error}");
    }
}
