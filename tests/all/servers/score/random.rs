//! Random SELECTs and writes over the tables of the corpora. Each is judged like a case of a corpus; a write runs in a
//! transaction that is rolled back, so that every statement meets the same rows and a failure can be shrunk alone.

use std::collections::BTreeSet;

use crate::servers::score::client::Reply;
use crate::servers::score::dice::{Dice, shrink};
use crate::servers::score::run::{Finding, Pair};
use crate::servers::score::verdict::{Rows, Verdict, compare, order_of, refusal};

/// How statements ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) identical: u32,
    pub(super) differs: u32,
    pub(super) refused: u32,
    /// The one server gives the proxy's answer too, when it runs the statement by another plan: an error of its own.
    pub(super) by_plan: u32,
    pub(super) wrong: u32,
}

/// Runs so many statements of a seed, and shrinks what is WRONG.
pub(super) fn run(pair: &mut Pair<'_>, seed: u64, statements: usize, found: &mut Vec<Finding>) -> Count {
    let mut dice = Dice::seeded(seed);
    let mut count = Count::default();
    for _ in 0..statements {
        dice.next_case();
        let sql = statement(&mut dice);
        match judge(pair, &sql).0 {
            Verdict::Identical => count.identical += 1,
            Verdict::Differs(what) if what.contains(BY_PLAN) => {
                println!("seed {seed}: the server's own answers differ by its plan: {sql}");
                count.by_plan += 1;
            }
            Verdict::Differs(_) => count.differs += 1,
            Verdict::Refused(_) => count.refused += 1,
            Verdict::Wrong(_) => {
                count.wrong += 1;
                if count.wrong > 5 {
                    continue;
                }
                let fails = |drawn: &[u32], pair: &mut Pair<'_>| {
                    matches!(judge(pair, &statement(&mut Dice::replay(drawn.to_vec()))).0, Verdict::Wrong(_))
                };
                let small = shrink(dice.drawn.clone(), 300, |drawn| fails(drawn, pair));
                let sql = statement(&mut Dice::replay(small));
                let (verdict, proxy, one) = judge(pair, &sql);
                let what = format!("{verdict:?}");
                let place = format!("seed {seed}");
                let finding = Finding { place, sql, what, proxy: proxy.show(), one: one.show() };
                println!("{finding}");
                found.push(finding);
            }
        }
    }
    count
}

fn judge(pair: &mut Pair<'_>, sql: &str) -> (Verdict, Reply, Reply) {
    if sql.starts_with("SELECT") {
        return ask(pair, sql, order_of(sql));
    }
    pair.proxy.query("BEGIN");
    pair.one.query("BEGIN");
    let (mut verdict, proxy, one) = ask(pair, sql, Rows::Any);
    // What was refused has left nothing behind.
    for Source { table, alias, .. } in [PEOPLE, ORDERS, ITEMS, TYPES, WORDS, CODES, NOTES] {
        let named = sql.split(' ').any(|word| word == table || word == alias);
        if !named || matches!(verdict, Verdict::Wrong(_)) {
            continue;
        }
        if let Verdict::Wrong(what) | Verdict::Refused(what) = ask(pair, &format!("SELECT * FROM {table}"), Rows::Any).0
        {
            verdict = Verdict::Wrong(format!("table {table}: {what}"));
        }
    }
    pair.proxy.query("ROLLBACK");
    pair.one.query("ROLLBACK");
    (verdict, proxy, one)
}

fn ask(pair: &mut Pair<'_>, sql: &str, rows: Rows) -> (Verdict, Reply, Reply) {
    let proxy = pair.proxy.query(sql);
    if let Some(reason) = refusal(&proxy) {
        return (Verdict::Refused(reason), proxy, Reply::default());
    }
    let one = pair.one.query(sql);
    let verdict = compare(&proxy, &one, rows);
    match verdict {
        Verdict::Wrong(_) if sql.starts_with("SELECT") && contradicts_itself(pair, sql, &proxy, rows) => {
            (Verdict::Differs(BTreeSet::from([BY_PLAN])), proxy, one)
        }
        verdict => (verdict, proxy, one),
    }
}

const BY_PLAN: &str = "answer by plan";

/// Switches of the optimizer that change how a query is run, and must not change its rows.
const OTHER_PLANS: [&str; 7] = [
    "block_nested_loop=off",
    "join_cache_hashed=off,join_cache_bka=off,join_cache_incremental=off",
    "derived_merge=off",
    "semijoin=off,materialization=off",
    // MIN of a YEAR is 0 or 0000 by the table that MySQL groups in.
    "firstmatch=off,loosescan=off,duplicateweedout=off",
    "materialization=off,firstmatch=off,loosescan=off",
    "materialization=off,duplicateweedout=off,loosescan=off",
];

/// Whether the one server itself gives the proxy's answer by one of these.
fn contradicts_itself(pair: &mut Pair<'_>, sql: &str, proxy: &Reply, rows: Rows) -> bool {
    let found = OTHER_PLANS.iter().any(|switch| {
        // Each vendor knows only some of them.
        let set = pair.one.query(&format!("SET optimizer_switch = '{switch}'"));
        let same = set.error.is_none() && !matches!(compare(proxy, &pair.one.query(sql), rows), Verdict::Wrong(_));
        pair.one.query("SET optimizer_switch = DEFAULT");
        same
    });
    // As behind the statement itself.
    pair.one.query(sql);
    found
}

/// A table under an alias: its columns whose values a comparison may name, its key.
struct Source {
    table: &'static str,
    alias: &'static str,
    numbers: &'static [&'static str],
    strings: &'static [&'static str],
    key: &'static str,
    unique: &'static [&'static str],
}

const PEOPLE: Source = Source {
    table: "people",
    alias: "p",
    numbers: &["p.id", "p.age", "p.balance", "p.boss"],
    strings: &["p.name", "p.city", "p.email"],
    key: "p.id",
    unique: &["p.id"],
};
const ORDERS: Source = Source {
    table: "orders",
    alias: "o",
    numbers: &["o.person", "o.id", "o.total", "o.qty"],
    strings: &["o.note", "o.currency"],
    key: "o.person",
    unique: &["o.id"],
};
const ITEMS: Source = Source {
    table: "items",
    alias: "i",
    numbers: &["i.person", "i.order_id", "i.line", "i.price"],
    strings: &["i.sku"],
    key: "i.person",
    unique: &["i.order_id", "i.line"],
};
const TYPES: Source = Source {
    table: "types",
    alias: "t",
    numbers: &["t.id", "t.owner", "t.i8", "t.u8", "t.i16", "t.dec_small", "t.y", "t.i24"],
    strings: &["t.vc", "t.c"],
    key: "t.id",
    unique: &["t.id"],
};
const WORDS: Source = Source {
    table: "words",
    alias: "w",
    numbers: &["w.id", "w.owner"],
    strings: &["w.ci", "w.cs", "w.general", "w.unicode", "w.bytes", "w.latin", "w.fixed"],
    key: "w.id",
    unique: &["w.id"],
};
const CODES: Source = Source {
    table: "codes",
    alias: "c",
    numbers: &["c.rate"],
    strings: &["c.code", "c.name"],
    key: "c.code",
    unique: &["c.code"],
};
const NOTES: Source = Source {
    table: "notes",
    alias: "n",
    numbers: &["n.id", "n.person"],
    strings: &[],
    key: "n.person",
    unique: &["n.id"],
};

const NUMBERS: &[&str] = &["1", "0", "2", "5", "8", "9", "17", "-3", "9.99", "40", "250.5", "NULL", "'3'"];
const STRINGS: &[&str] = &["'ann'", "'a'", "''", "'EUR'", "'late'", "'ss'", "'Oslo'", "'A-1'", "NULL"];

fn statement(dice: &mut Dice) -> String {
    match dice.below(10) {
        0..=7 => select(dice),
        8 if dice.chance(50) => change(dice),
        8 => change_joined(dice),
        _ => insert(dice),
    }
}

fn source(dice: &mut Dice) -> Source {
    match dice.below(7) {
        0 => PEOPLE,
        1 => ORDERS,
        2 => ITEMS,
        3 => TYPES,
        4 => WORDS,
        5 => CODES,
        _ => NOTES,
    }
}

/// FROM, and what it gives.
fn from(dice: &mut Dice) -> (String, Vec<Source>) {
    let first = source(dice);
    let mut text = format!("{} {}", first.table, first.alias);
    let mut sources = vec![first];
    while sources.len() < 3 && dice.chance(45) {
        let next = source(dice);
        if sources.iter().any(|known| known.alias == next.alias) {
            break;
        }
        let kind = dice.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "CROSS JOIN"]);
        let left = &sources[dice.below(sources.len())];
        let on = match dice.below(4) {
            0 => format!("{} = {}", left.key, next.key),
            1 => format!("{} = {}", left.numbers[0], next.numbers[0]),
            2 => format!("{} = {}", pick(dice, left.numbers), pick(dice, next.numbers)),
            _ => format!("{} = {} AND {}", left.key, next.key, comparison(dice, &next)),
        };
        text += &format!(" {kind} {} {} ON {on}", next.table, next.alias);
        sources.push(next);
    }
    (text, sources)
}

fn pick(dice: &mut Dice, from: &[&'static str]) -> &'static str {
    from[dice.below(from.len())]
}

fn comparison(dice: &mut Dice, source: &Source) -> String {
    let key = source.key;
    match dice.below(9) {
        0 if source.table != "codes" => format!("{key} = {}", 1 + dice.below(42)),
        1 if source.table != "codes" => {
            format!("{key} IN ({}, {}, {})", dice.below(42), dice.below(42), dice.pick(NUMBERS))
        }
        2 if source.table != "codes" => format!("{key} BETWEEN {} AND {}", dice.below(42), dice.below(42)),
        3 => format!("{} IS {}NULL", pick(dice, source.numbers), dice.pick(&["", "NOT "])),
        4 | 5 if !source.strings.is_empty() => {
            let op = dice.pick(&["=", "<>", "<", ">=", "<=>", "LIKE"]);
            format!("{} {op} {}", pick(dice, source.strings), dice.pick(STRINGS))
        }
        6 => format!("{} NOT IN ({}, {})", pick(dice, source.numbers), dice.pick(NUMBERS), dice.pick(NUMBERS)),
        _ => {
            let op = dice.pick(&["=", "<", ">", "<=", ">=", "<>", "<=>"]);
            format!("{} {op} {}", pick(dice, source.numbers), dice.pick(NUMBERS))
        }
    }
}

fn condition(dice: &mut Dice, sources: &[Source], depth: usize) -> String {
    let source = &sources[dice.below(sources.len())];
    match dice.below(if depth == 0 { 6 } else { 10 }) {
        0..=3 => comparison(dice, source),
        4 => {
            let inner = dice.pick(&["x.person = ", "x.id = "]);
            let not = dice.pick(&["", "NOT "]);
            format!(
                "{not}EXISTS (SELECT 1 FROM orders x WHERE {inner}{} AND x.total > {})",
                source.numbers[0],
                dice.pick(NUMBERS)
            )
        }
        5 => {
            let not = dice.pick(&["", "NOT "]);
            let table = dice.pick(&[
                "SELECT x.person FROM orders x WHERE x.total > 5",
                "SELECT x.id FROM people x WHERE x.age > 18",
            ]);
            format!("{} {not}IN ({table})", source.numbers[0])
        }
        6 | 7 => format!("({} AND {})", condition(dice, sources, depth - 1), condition(dice, sources, depth - 1)),
        8 => format!("({} OR {})", condition(dice, sources, depth - 1), condition(dice, sources, depth - 1)),
        _ => format!("NOT ({})", condition(dice, sources, depth - 1)),
    }
}

fn aggregate(dice: &mut Dice, sources: &[Source]) -> String {
    let at = dice.below(sources.len());
    let number = pick(dice, sources[at].numbers);
    match dice.below(10) {
        0 => "COUNT(*)".into(),
        1 => format!("COUNT({number})"),
        2 => format!("SUM({number})"),
        3 => format!("MIN({number})"),
        4 => format!("MAX({number})"),
        5 => format!("AVG({number})"),
        6 => format!("COUNT(DISTINCT {number})"),
        7 => format!("SUM({number}) + COUNT(*)"),
        8 => format!("SUM(DISTINCT {number})"),
        _ => format!("IFNULL(MAX({number}), 0)"),
    }
}

/// Rows that MySQL itself gives each time: no string is grouped by, and every order with a LIMIT is total.
fn select(dice: &mut Dice) -> String {
    let (from, sources) = from(dice);
    let filter = if dice.chance(65) { format!(" WHERE {}", condition(dice, &sources, 2)) } else { String::new() };
    let numbers: Vec<&str> = sources.iter().flat_map(|source| source.numbers).copied().collect();
    let all: Vec<&str> =
        sources.iter().flat_map(|source| source.numbers.iter().chain(source.strings)).copied().collect();
    let unique: Vec<&str> = sources.iter().flat_map(|source| source.unique).copied().collect();
    let direction = dice.pick(&["", " DESC"]);
    let limit = match dice.below(3) {
        0 => String::new(),
        1 => format!(" LIMIT {}", dice.below(12)),
        _ => format!(" LIMIT {}, {}", dice.below(6), dice.below(9)),
    };
    match dice.below(5) {
        0 | 1 => {
            let items: Vec<&str> = (0..1 + dice.below(3)).map(|_| dice.pick(&all)).collect();
            if limit.is_empty() {
                return format!("SELECT {} FROM {from}{filter}", items.join(", "));
            }
            let order = dice.pick(&all);
            let unique = unique.join(", ");
            format!(
                "SELECT {}, {unique} FROM {from}{filter} ORDER BY {order}{direction}, {unique}{limit}",
                items.join(", ")
            )
        }
        2 => {
            let items: Vec<String> = (0..1 + dice.below(3)).map(|_| aggregate(dice, &sources)).collect();
            format!("SELECT {} FROM {from}{filter}", items.join(", "))
        }
        3 => {
            let key = dice.pick(&numbers);
            let value = aggregate(dice, &sources);
            let having =
                if dice.chance(30) { format!(" HAVING {value} > {}", dice.pick(NUMBERS)) } else { String::new() };
            let order = if limit.is_empty() { String::new() } else { format!(" ORDER BY {key}{direction}{limit}") };
            format!("SELECT {key}, {value} FROM {from}{filter} GROUP BY {key}{having}{order}")
        }
        _ => {
            let key = dice.pick(&numbers);
            let order = if limit.is_empty() { String::new() } else { format!(" ORDER BY {key}{direction}{limit}") };
            format!("SELECT DISTINCT {key} FROM {from}{filter}{order}")
        }
    }
}

fn change(dice: &mut Dice) -> String {
    let (table, columns, key): (_, &[&str], _) = match dice.below(4) {
        0 => ("people", &["age", "balance", "boss"], "id"),
        1 => ("orders", &["qty", "total"], "person"),
        2 => ("types", &["i8", "u8", "owner"], "id"),
        _ => ("codes", &["rate"], "rate"),
    };
    let column = dice.pick(columns);
    let filter = match dice.below(4) {
        0 => format!(" WHERE {key} = {}", dice.below(42)),
        1 => format!(" WHERE {key} IN ({}, {})", dice.below(42), dice.below(42)),
        2 => format!(" WHERE {column} > {}", dice.pick(NUMBERS)),
        _ => String::new(),
    };
    match dice.below(3) {
        0 => format!("UPDATE {table} SET {column} = {}{filter}", dice.pick(NUMBERS)),
        1 => format!("UPDATE {table} SET {column} = {column} + {}{filter}", dice.pick(NUMBERS)),
        _ => format!("DELETE FROM {table}{filter}"),
    }
}

/// A write of one or two of several tables, as a column of numbers and one of texts are given literals, or what the
/// joined rows have.
fn change_joined(dice: &mut Dice) -> String {
    let (from, sources) = from(dice);
    // Whether a text that is no number is compared with one, which is an error in a write, hangs on the plan.
    if sources.len() == 1 || from.contains("c.code") {
        return change(dice);
    }
    let filter = if dice.chance(70) { format!(" WHERE {}", condition(dice, &sources, 1)) } else { String::new() };
    let first = dice.below(sources.len());
    let mut targets = vec![&sources[first]];
    targets
        .extend(sources.iter().enumerate().filter(|(at, _)| *at != first && dice.chance(25)).map(|(_, other)| other));
    if dice.chance(40) {
        let names: Vec<&str> = targets.iter().map(|target| target.alias).collect();
        return format!("DELETE {} FROM {from}{filter}", names.join(", "));
    }
    let set: Vec<String> = targets.iter().map(|target| given(dice, target, &sources)).collect();
    format!("UPDATE {from} SET {}{filter}", set.join(", "))
}

fn given(dice: &mut Dice, target: &Source, sources: &[Source]) -> String {
    let (number, text) = match target.table {
        "people" => ("p.balance", "p.city"),
        "orders" => ("o.total", "o.note"),
        "items" => ("i.price", "i.price"),
        "types" => ("t.dec_wide", "t.vc"),
        "words" => ("w.owner", "w.bytes"),
        "codes" => ("c.rate", "c.name"),
        _ => ("n.person", "n.body"),
    };
    let other = &sources[dice.below(sources.len())];
    // NULL for a column that has none is one error or another to MariaDB, by its plan.
    let literal = dice.pick(NUMBERS).replace("NULL", "7");
    match dice.below(5) {
        0 => format!("{number} = {literal}"),
        1 => format!("{number} = {number} + {literal}"),
        2 => format!("{number} = {}", pick(dice, other.numbers)),
        3 if !other.strings.is_empty() && text != number => format!("{text} = {}", pick(dice, other.strings)),
        _ => format!("{number} = {number} + {}", pick(dice, other.numbers)),
    }
}

fn insert(dice: &mut Dice) -> String {
    let verb = dice.pick(&["INSERT INTO", "REPLACE INTO"]);
    let row = |dice: &mut Dice| format!("({}, {}, {})", 90 + dice.below(40), 1 + dice.below(42), dice.pick(NUMBERS));
    let rows: Vec<String> = (0..1 + dice.below(4)).map(|_| row(dice)).collect();
    let tail =
        if verb == "INSERT INTO" && dice.chance(40) { " ON DUPLICATE KEY UPDATE total = VALUES(total)" } else { "" };
    format!("{verb} orders (id, person, total) VALUES {}{tail}", rows.join(", "))
}
