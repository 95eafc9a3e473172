//! Random statements over the tables of the corpora: SELECTs of every form and writes, from expressions over columns of
//! numbers, texts and times. Only what one server answers the same each time: an order with LIMIT is total, texts that a
//! collation calls equal are not grouped by, and sums are of exact numbers.

use crate::servers::score::dice::Dice;

/// The columns of a source by what may be done with them.
#[derive(Clone, Default)]
struct Source {
    table: &'static str,
    alias: &'static str,
    /// Exact numbers with a sign: what is computed with.
    signed: Vec<String>,
    /// All numbers that an order by value is exact for.
    numbers: Vec<String>,
    strings: Vec<String>,
    /// Neither numbers nor texts of which equal ones differ in bytes.
    exact: Vec<String>,
    times: Vec<String>,
    /// What joins it with others.
    key: String,
    /// Values that no two of its rows share.
    unique: Vec<String>,
}

fn words(alias: &str, names: &str) -> Vec<String> {
    names.split_whitespace().map(|name| format!("{alias}.{name}")).collect()
}

const TABLES: [[&str; 9]; 7] = [
    // table, alias, signed, further numbers, strings, exact, times, key, unique
    ["people", "p", "id balance boss", "age", "name city email", "kind", "born", "id", "id"],
    ["orders", "o", "person id total", "qty", "note currency", "", "at", "person", "id"],
    ["items", "i", "person order_id line price", "", "sku", "tags", "", "person", "order_id line"],
    ["types", "t", "id owner i8 i16 i24", "u8 y yes z", "vc c", "en st", "d0 dt0 ts3 dt6", "id", "id"],
    ["words", "w", "id owner", "", "ci cs general unicode bytes latin fixed", "raw", "", "id", "id"],
    ["codes", "c", "rate", "", "name", "code", "", "code", "code"],
    ["notes", "n", "id person", "", "", "", "", "person", "id"],
];

/// A table under its alias, or another one.
fn table(number: usize, other: Option<&'static str>) -> Source {
    let [table, alias, signed, further, strings, exact, times, key, unique] = TABLES[number];
    let alias = other.unwrap_or(alias);
    let signed = words(alias, signed);
    let numbers = [signed.clone(), words(alias, further)].concat();
    Source {
        table,
        alias,
        signed,
        numbers,
        strings: words(alias, strings),
        exact: words(alias, exact),
        times: words(alias, times),
        key: format!("{alias}.{key}"),
        unique: words(alias, unique),
    }
}

const NUMBERS: &[&str] = &["1", "0", "2", "5", "8", "9", "17", "-3", "9.99", "40", "250.5", "NULL", "'3'"];
const EXACT: &[&str] = &["1", "2", "0", "5", "-3", "9.99", "40", "1000"];
const STRINGS: &[&str] = &["'ann'", "'a'", "''", "'EUR'", "'late'", "'ss'", "'Oslo'", "'A-1'", "NULL"];

/// A random statement.
pub(super) fn statement(dice: &mut Dice) -> String {
    match dice.below(20) {
        0..=13 => query(dice),
        14 => change(dice),
        15 => change_joined(dice),
        16 => change_computed(dice),
        17 => insert(dice),
        18 => insert_selected(dice),
        _ => convert(dice),
    }
}

fn any<'a>(dice: &mut Dice, from: &'a [String]) -> &'a str {
    &from[dice.below(from.len())]
}

fn one_of<'a>(dice: &mut Dice, sources: &'a [Source]) -> &'a Source {
    &sources[dice.below(sources.len())]
}

fn a_signed(dice: &mut Dice, sources: &[Source]) -> String {
    let at = one_of(dice, sources);
    any(dice, &at.signed).to_owned()
}

fn a_number(dice: &mut Dice, sources: &[Source]) -> String {
    let at = one_of(dice, sources);
    any(dice, &at.numbers).to_owned()
}

/// FROM, and what it gives.
fn from(dice: &mut Dice, derived: usize) -> (String, Vec<Source>) {
    from_up_to(dice, derived, 4)
}

fn from_up_to(dice: &mut Dice, derived: usize, most: usize) -> (String, Vec<Source>) {
    let (mut text, first) = source(dice, derived, None);
    let mut sources = vec![first];
    while sources.len() < most && dice.chance(45) {
        let (named, next) = source(dice, derived, Some(&sources));
        if sources.iter().any(|known| known.alias == next.alias) {
            break;
        }
        let kind = dice.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "CROSS JOIN", "STRAIGHT_JOIN"]);
        let left = one_of(dice, &sources);
        let on = match dice.below(5) {
            0 => format!("{} = {}", left.key, next.key),
            1 => format!("{} = {}", left.numbers[0], next.numbers[0]),
            2 => format!("{} = {}", any(dice, &left.numbers), any(dice, &next.numbers)),
            3 => format!("{} = {} AND {}", left.key, next.key, comparison(dice, &next)),
            _ => format!("{} = {} AND {}", left.key, next.key, comparison(dice, left)),
        };
        text += &format!(" {kind} {named} ON {on}");
        sources.push(next);
    }
    (text, sources)
}

fn source(dice: &mut Dice, derived: usize, known: Option<&[Source]>) -> (String, Source) {
    let number = dice.below(if derived > 0 { 9 } else { 7 });
    if number < 7 {
        // The same table once more, perhaps.
        let taken = known.is_some_and(|known| known.iter().any(|source| source.alias == TABLES[number][1]));
        let found = table(number, taken.then_some("z"));
        return (format!("{} {}", found.table, found.alias), found);
    }
    let (alias, key) = if number == 7 { ("d", "d.a") } else { ("e", "e.a") };
    let (text, unique) = derived_rows(dice, derived - 1, 2);
    let numbers = words(alias, "a b");
    let found = Source {
        table: "",
        alias,
        signed: numbers.clone(),
        numbers,
        key: key.into(),
        unique: if unique { words(alias, "a") } else { Vec::new() },
        ..Source::default()
    };
    (format!("({text}) {alias}"), found)
}

/// Rows of two exact numbers, a and b; whether no two of them have the same a.
fn derived_rows(dice: &mut Dice, derived: usize, most: usize) -> (String, bool) {
    let (from, sources) = from_up_to(dice, derived, most);
    let filter = filter(dice, &sources, 1, 50);
    match dice.below(5) {
        0 => {
            let at = one_of(dice, &sources);
            let (a, b) = (any(dice, &at.signed), any(dice, &at.signed));
            (format!("SELECT {a} AS a, {b} AS b FROM {from}{filter}"), false)
        }
        1 => {
            let key = a_signed(dice, &sources);
            let value = exact_aggregate(dice, &sources);
            (format!("SELECT {key} AS a, {value} AS b FROM {from}{filter} GROUP BY {key}"), true)
        }
        2 => {
            let a = signed(dice, &sources, 1);
            let b = signed(dice, &sources, 1);
            (format!("SELECT {a} AS a, {b} AS b FROM {from}{filter}"), false)
        }
        3 => {
            let (a, b) = (signed(dice, &sources, 0), signed(dice, &sources, 0));
            (format!("SELECT DISTINCT {a} AS a, {b} AS b FROM {from}{filter}"), false)
        }
        _ => {
            let Some(unique) = total(&sources) else {
                return (format!("SELECT {0} AS a, {0} AS b FROM {from}{filter}", sources[0].signed[0]), false);
            };
            let (a, b) = (signed(dice, &sources, 0), signed(dice, &sources, 1));
            let limit = 1 + dice.below(12);
            (format!("SELECT {a} AS a, {b} AS b FROM {from}{filter} ORDER BY {unique} LIMIT {limit}"), false)
        }
    }
}

/// What puts the rows into one order only.
fn total(sources: &[Source]) -> Option<String> {
    let known = sources.iter().all(|source| !source.unique.is_empty());
    known.then(|| sources.iter().flat_map(|source| source.unique.clone()).collect::<Vec<_>>().join(", "))
}

fn filter(dice: &mut Dice, sources: &[Source], depth: usize, percent: usize) -> String {
    if dice.chance(percent) { format!(" WHERE {}", condition(dice, sources, depth)) } else { String::new() }
}

/// An exact number: sums of it do not hang on the order of rows.
fn signed(dice: &mut Dice, sources: &[Source], depth: usize) -> String {
    let column = |dice: &mut Dice| a_signed(dice, sources);
    if depth == 0 {
        return column(dice);
    }
    let a = |dice: &mut Dice| signed(dice, sources, depth - 1);
    // With how many digits a whole number among decimals is shown hangs on a server's plan.
    let decimal = |text: String| format!("CAST({text} AS DECIMAL(30,6))");
    match dice.below(16) {
        0..=2 => column(dice),
        3 => dice.pick(EXACT).to_owned(),
        4 => format!("({} + {})", a(dice), a(dice)),
        5 => format!("({} - {})", a(dice), a(dice)),
        6 => format!("{} * {}", column(dice), dice.pick(&["2", "-1", "0.5"])),
        7 => decimal(format!("IFNULL({}, {})", a(dice), dice.pick(EXACT))),
        8 => decimal(format!("COALESCE({}, {}, 0)", column(dice), a(dice))),
        9 => decimal(format!("NULLIF({}, {})", a(dice), dice.pick(EXACT))),
        10 => decimal(format!("IF({}, {}, {})", condition(dice, sources, 0), a(dice), a(dice))),
        11 => decimal(format!("CASE WHEN {} THEN {} END", condition(dice, sources, 0), a(dice))),
        12 => format!("ABS({})", a(dice)),
        13 => format!("{} {} {}", column(dice), dice.pick(&["DIV", "%", "/"]), dice.pick(&["3", "7", "2"])),
        14 => decimal(format!("{}({}, {})", dice.pick(&["GREATEST", "LEAST"]), a(dice), column(dice))),
        _ => inner_number(dice, sources),
    }
}

/// A subquery that gives one number.
fn inner_number(dice: &mut Dice, sources: &[Source]) -> String {
    let outer = a_signed(dice, sources);
    match dice.below(5) {
        0 => format!("(SELECT COUNT(*) FROM orders x WHERE x.person = {outer})"),
        1 => format!("(SELECT MAX(x.total) FROM orders x WHERE x.person = {outer} AND x.qty > 0)"),
        2 => "(SELECT MAX(x.id) FROM people x WHERE x.age > 18)".into(),
        3 => format!("(SELECT SUM(x.price) FROM items x WHERE x.order_id = {outer})"),
        _ => format!("(SELECT MIN(x.boss) FROM people x JOIN orders y ON y.person = x.id WHERE x.id > {outer})"),
    }
}

/// Any value.
fn value(dice: &mut Dice, sources: &[Source], depth: usize) -> String {
    let at = one_of(dice, sources);
    match dice.below(10) {
        0..=2 => any(dice, &at.numbers).to_owned(),
        3 | 4 => signed(dice, sources, depth),
        5 if !at.strings.is_empty() => any(dice, &at.strings).to_owned(),
        6 if !at.strings.is_empty() => text(dice, sources, at),
        7 if !at.exact.is_empty() => any(dice, &at.exact).to_owned(),
        8 if !at.times.is_empty() => time(dice, at),
        9 => condition(dice, sources, 0),
        _ => any(dice, &at.numbers).to_owned(),
    }
}

fn text(dice: &mut Dice, sources: &[Source], at: &Source) -> String {
    let s = any(dice, &at.strings).to_owned();
    match dice.below(9) {
        0 => format!("UPPER({s})"),
        1 => format!("CONCAT({s}, '-', {})", any(dice, &at.numbers)),
        2 => format!("LEFT({s}, 2)"),
        3 => format!("COALESCE({s}, 'none')"),
        4 => format!("IF({}, {s}, 'x')", condition(dice, sources, 0)),
        5 => format!("CHAR_LENGTH({s})"),
        6 => format!("REPLACE({s}, 'a', 'bb')"),
        7 => format!("CONCAT_WS('/', {s}, {})", any(dice, &at.numbers)),
        _ => format!("NULLIF({s}, {})", dice.pick(STRINGS)),
    }
}

fn time(dice: &mut Dice, at: &Source) -> String {
    let t = any(dice, &at.times).to_owned();
    match dice.below(6) {
        0 | 1 => t,
        2 => format!("YEAR({t})"),
        3 => format!("DATE({t})"),
        4 => format!("{t} + INTERVAL 3 DAY"),
        _ => format!("DATE_FORMAT({t}, '%Y/%m')"),
    }
}

fn comparison(dice: &mut Dice, source: &Source) -> String {
    let key = &source.key;
    let is_number = source.table != "codes";
    match dice.below(12) {
        0 if is_number => format!("{key} = {}", 1 + dice.below(42)),
        1 if is_number => format!("{key} IN ({}, {}, {})", dice.below(42), dice.below(42), dice.pick(NUMBERS)),
        2 if is_number => format!("{key} BETWEEN {} AND {}", dice.below(42), dice.below(42)),
        3 => format!("{} IS {}NULL", any(dice, &source.numbers), dice.pick(&["", "NOT "])),
        4 | 5 if !source.strings.is_empty() => {
            let op = dice.pick(&["=", "<>", "<", ">=", "<=>", "LIKE"]);
            format!("{} {op} {}", any(dice, &source.strings), dice.pick(STRINGS))
        }
        6 => format!("{} NOT IN ({}, {})", any(dice, &source.numbers), dice.pick(NUMBERS), dice.pick(NUMBERS)),
        7 if !source.times.is_empty() => {
            let op = dice.pick(&["<", ">="]);
            format!("{} {op} {}", any(dice, &source.times), dice.pick(&["'2024-06-01'", "'2000-02-29'"]))
        }
        8 => {
            let op = dice.pick(&["=", "<", "<>"]);
            format!("{} {op} {}", any(dice, &source.numbers), any(dice, &source.numbers))
        }
        9 if is_number => {
            let (a, b) = (any(dice, &source.numbers), any(dice, &source.signed));
            format!("({a}, {b}) IN ((1, 2), ({}, {}))", dice.below(42), dice.pick(EXACT))
        }
        _ => {
            let op = dice.pick(&["=", "<", ">", "<=", ">=", "<>", "<=>"]);
            format!("{} {op} {}", any(dice, &source.numbers), dice.pick(NUMBERS))
        }
    }
}

fn condition(dice: &mut Dice, sources: &[Source], depth: usize) -> String {
    let source = one_of(dice, sources);
    match dice.below(if depth == 0 { 8 } else { 13 }) {
        0..=4 => comparison(dice, source),
        5 => {
            let inner = dice.pick(&["x.person = ", "x.id = ", "x.qty > "]);
            let not = dice.pick(&["", "NOT "]);
            format!(
                "{not}EXISTS (SELECT 1 FROM orders x WHERE {inner}{} AND x.total > {})",
                source.numbers[0],
                dice.pick(NUMBERS)
            )
        }
        6 => {
            let not = dice.pick(&["", "NOT "]);
            let table = dice.pick(&[
                "SELECT x.person FROM orders x WHERE x.total > 5",
                "SELECT x.id FROM people x WHERE x.age > 18",
                "SELECT x.order_id FROM items x WHERE x.price > 1",
            ]);
            format!("{} {not}IN ({table})", source.numbers[0])
        }
        7 => {
            let op = dice.pick(&["= ANY", "> ALL", "<> ALL", "< SOME"]);
            let table = dice.pick(&["SELECT x.person FROM orders x", "SELECT x.owner FROM types x WHERE x.id < 20"]);
            format!("{} {op} ({table})", any(dice, &source.signed))
        }
        8 | 9 => format!("({} AND {})", condition(dice, sources, depth - 1), condition(dice, sources, depth - 1)),
        10 => format!("({} OR {})", condition(dice, sources, depth - 1), condition(dice, sources, depth - 1)),
        11 => {
            let op = dice.pick(&["=", "<", ">=", "<>"]);
            format!("{} {op} {}", signed(dice, sources, depth), signed(dice, sources, depth - 1))
        }
        _ => format!("NOT ({})", condition(dice, sources, depth - 1)),
    }
}

/// COUNT, SUM and so on of what is exact, without their quotient.
fn exact_aggregate(dice: &mut Dice, sources: &[Source]) -> String {
    let number = a_signed(dice, sources);
    match dice.below(5) {
        0 => "COUNT(*)".into(),
        1 => format!("SUM({number})"),
        2 => format!("MIN({number})"),
        3 => format!("MAX({number})"),
        _ => format!("COUNT(DISTINCT {number})"),
    }
}

fn aggregate(dice: &mut Dice, sources: &[Source], depth: usize) -> String {
    let at = one_of(dice, sources);
    let number = any(dice, &at.numbers).to_owned();
    match dice.below(15) {
        0..=3 => exact_aggregate(dice, sources),
        4 => format!("COUNT({number})"),
        5 => format!("AVG({number})"),
        6 => format!("SUM({number}) + COUNT(*)"),
        7 => format!("SUM(DISTINCT {number})"),
        8 => format!("IFNULL(MAX({number}), 0)"),
        9 => match signed(dice, sources, depth) {
            // MySQL 9.7 forgets the parameter of SUM(?) beside COUNT(DISTINCT ...) of the group's column.
            literal if literal.parse::<f64>().is_ok() => "COUNT(*)".into(),
            value => format!("SUM({value})"),
        },
        10 => format!("MAX({})", signed(dice, sources, depth)),
        11 => format!("GROUP_CONCAT({0} ORDER BY {0} SEPARATOR ';')", any(dice, &at.signed)),
        12 => format!("GROUP_CONCAT(DISTINCT {0} ORDER BY {0} DESC)", any(dice, &at.signed)),
        13 if !at.times.is_empty() => format!("{}({})", dice.pick(&["MIN", "MAX"]), any(dice, &at.times)),
        _ => format!("SUM({})", condition(dice, sources, 0)),
    }
}

fn window(dice: &mut Dice, sources: &[Source], total: &str) -> String {
    let number = a_signed(dice, sources);
    let part = a_number(dice, sources);
    match dice.below(9) {
        0 => format!("ROW_NUMBER() OVER (ORDER BY {total})"),
        1 => format!("SUM({number}) OVER (PARTITION BY {part})"),
        2 => format!("RANK() OVER (ORDER BY {number})"),
        3 => format!("DENSE_RANK() OVER (PARTITION BY {part} ORDER BY {number} DESC)"),
        4 => format!("LAG({number}) OVER (PARTITION BY {part} ORDER BY {total})"),
        5 => "COUNT(*) OVER ()".into(),
        6 => format!("SUM({number}) OVER (ORDER BY {total} ROWS 2 PRECEDING)"),
        7 => format!("NTILE(3) OVER (ORDER BY {total})"),
        _ => format!("FIRST_VALUE({number}) OVER (PARTITION BY {part} ORDER BY {total})"),
    }
}

fn limit(dice: &mut Dice) -> String {
    match dice.below(3) {
        0 => String::new(),
        1 => format!(" LIMIT {}", dice.below(12)),
        _ => format!(" LIMIT {}, {}", dice.below(6), dice.below(9)),
    }
}

fn query(dice: &mut Dice) -> String {
    match dice.below(16) {
        0..=3 => rows(dice),
        4 | 5 => whole(dice),
        6..=8 => groups(dice),
        9 => distinct(dice),
        10 | 11 => windows(dice),
        12 => sets(dice),
        13 => rolled_up(dice),
        _ => with(dice),
    }
}

fn rows(dice: &mut Dice) -> String {
    let (from, sources) = from(dice, 1);
    let filter = filter(dice, &sources, 2, 65);
    let items: Vec<String> = (0..1 + dice.below(4)).map(|_| value(dice, &sources, 2)).collect();
    let (limit, direction) = (limit(dice), dice.pick(&["", " DESC"]));
    match total(&sources).filter(|_| !limit.is_empty()) {
        None => format!("SELECT {} FROM {from}{filter}", items.join(", ")),
        Some(unique) => {
            let order = match dice.below(3) {
                0 => a_number(dice, &sources),
                1 => value(dice, &sources, 1),
                _ => signed(dice, &sources, 1),
            };
            // A literal would be a column's number.
            let order = if order.parse::<f64>().is_ok() { format!("{order} + 0") } else { order };
            format!(
                "SELECT {}, {unique} FROM {from}{filter} ORDER BY {order}{direction}, {unique}{limit}",
                items.join(", ")
            )
        }
    }
}

fn whole(dice: &mut Dice) -> String {
    let (from, sources) = from(dice, 1);
    let filter = filter(dice, &sources, 2, 65);
    let items: Vec<String> = (0..1 + dice.below(3)).map(|_| aggregate(dice, &sources, 2)).collect();
    format!("SELECT {} FROM {from}{filter}", items.join(", "))
}

/// What rows are grouped by: equal values have equal bytes.
fn group_key(dice: &mut Dice, sources: &[Source]) -> String {
    let at = one_of(dice, sources);
    match dice.below(5) {
        0..=2 => any(dice, &at.numbers).to_owned(),
        3 if !at.exact.is_empty() => any(dice, &at.exact).to_owned(),
        4 if !at.times.is_empty() => any(dice, &at.times).to_owned(),
        _ => any(dice, &at.signed).to_owned(),
    }
}

fn groups(dice: &mut Dice) -> String {
    let (from, sources) = from(dice, 1);
    let filter = filter(dice, &sources, 2, 65);
    let keys: Vec<String> = (0..1 + dice.below(2)).map(|_| group_key(dice, &sources)).collect();
    let values: Vec<String> = (0..1 + dice.below(2)).map(|_| aggregate(dice, &sources, 1)).collect();
    let having = match dice.below(4) {
        0 => format!(" HAVING {} > {}", exact_aggregate(dice, &sources), dice.pick(EXACT)),
        1 => format!(" HAVING COUNT(*) {} {}", dice.pick(&[">", "=", "<"]), 1 + dice.below(3)),
        _ => String::new(),
    };
    let (limit, direction) = (limit(dice), dice.pick(&["", " DESC"]));
    let (keys, values) = (keys.join(", "), values.join(", "));
    let order = if limit.is_empty() {
        String::new()
    } else if dice.chance(30) {
        format!(" ORDER BY {}{direction}, {keys}{limit}", exact_aggregate(dice, &sources))
    } else {
        format!(" ORDER BY {keys}{direction}{limit}")
    };
    format!("SELECT {keys}, {values} FROM {from}{filter} GROUP BY {keys}{having}{order}")
}

fn rolled_up(dice: &mut Dice) -> String {
    let (from, sources) = from(dice, 0);
    let filter = filter(dice, &sources, 1, 50);
    let keys: Vec<String> = (0..1 + dice.below(2)).map(|_| group_key(dice, &sources)).collect();
    let value = exact_aggregate(dice, &sources);
    let keys = keys.join(", ");
    format!("SELECT {keys}, {value} FROM {from}{filter} GROUP BY {keys} WITH ROLLUP")
}

fn distinct(dice: &mut Dice) -> String {
    let (from, sources) = from(dice, 1);
    let filter = filter(dice, &sources, 2, 65);
    let keys: Vec<String> = (0..1 + dice.below(2)).map(|_| group_key(dice, &sources)).collect();
    let (limit, direction, keys) = (limit(dice), dice.pick(&["", " DESC"]), keys.join(", "));
    let order = if limit.is_empty() { String::new() } else { format!(" ORDER BY {keys}{direction}{limit}") };
    format!("SELECT DISTINCT {keys} FROM {from}{filter}{order}")
}

fn windows(dice: &mut Dice) -> String {
    let (from, sources) = from(dice, 1);
    let filter = filter(dice, &sources, 1, 65);
    let Some(unique) = total(&sources) else { return rows(dice) };
    let items: Vec<String> = (0..1 + dice.below(2)).map(|_| window(dice, &sources, &unique)).collect();
    let limit = limit(dice);
    let order = if limit.is_empty() { String::new() } else { format!(" ORDER BY {unique}{limit}") };
    format!("SELECT {unique}, {} FROM {from}{filter}{order}", items.join(", "))
}

/// Without LIMIT inside: MySQL 9.7 dies of `EXCEPT ... INTERSECT (... LIMIT 4)`.
fn sets(dice: &mut Dice) -> String {
    let part = |dice: &mut Dice| {
        let (from, sources) = from(dice, 0);
        let filter = filter(dice, &sources, 1, 50);
        let (a, b) = (signed(dice, &sources, 1), signed(dice, &sources, 1));
        format!("SELECT {a} AS a, {b} AS b FROM {from}{filter}")
    };
    let mut text = part(dice);
    for _ in 0..1 + dice.below(2) {
        let kind = dice.pick(&["UNION ALL", "UNION", "INTERSECT", "EXCEPT"]);
        text += &format!(" {kind} {}", part(dice));
    }
    let limit = limit(dice);
    if limit.is_empty() { text } else { format!("{text} ORDER BY 1, 2{limit}") }
}

fn with(dice: &mut Dice) -> String {
    if dice.chance(25) {
        let start = dice.pick(&["boss IS NULL", "id < 4", "id = 2"]);
        let ask = dice.pick(&[
            "SELECT depth, COUNT(*), SUM(id) FROM r GROUP BY depth",
            "SELECT id, MIN(depth) FROM r GROUP BY id ORDER BY id DESC LIMIT 7",
            "SELECT r.id, o.total FROM r JOIN orders o ON o.person = r.id WHERE r.depth > 1",
            "SELECT COUNT(*) FROM r a JOIN r b ON a.id = b.boss",
        ]);
        return format!(
            "WITH RECURSIVE r AS (SELECT id, boss, 0 AS depth FROM people WHERE {start} UNION ALL \
             SELECT p.id, p.boss, depth + 1 FROM people p JOIN r ON p.boss = r.id WHERE depth < 6) {ask}"
        );
    }
    let rows = derived_rows(dice, 1, 1).0;
    let (from, sources) = from_up_to(dice, 0, 2);
    let at = one_of(dice, &sources).key.clone();
    let filter = filter(dice, &sources, 1, 50);
    let value = any(dice, &sources[0].signed);
    match dice.below(4) {
        0 => format!("WITH v AS ({rows}) SELECT v.a, v.b, {value} FROM {from} JOIN v ON v.a = {at}{filter}"),
        1 => format!("WITH v AS ({rows}) SELECT COUNT(*), SUM(v.b) FROM {from} LEFT JOIN v ON v.a = {at}{filter}"),
        2 => format!("WITH v AS ({rows}) SELECT x.a, y.b FROM v x JOIN v y ON x.a = y.b"),
        _ => format!("WITH v AS ({rows}) SELECT {value} FROM {from} WHERE {at} IN (SELECT v.a FROM v)"),
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
    let (from, sources) = from(dice, 0);
    // Whether a text that is no number is compared with one, which is an error in a write, hangs on the plan.
    if sources.len() == 1 || from.contains(".code") {
        return change(dice);
    }
    let filter = filter(dice, &sources, 1, 70);
    let first = dice.below(sources.len());
    let mut targets = vec![&sources[first]];
    targets
        .extend(sources.iter().enumerate().filter(|(at, _)| *at != first && dice.chance(25)).map(|(_, other)| other));
    if dice.chance(40) {
        let names: Vec<&str> = targets.iter().map(|target| target.alias).collect();
        return format!("DELETE {} FROM {from}{filter}", names.join(", "));
    }
    // Of several written tables none reads another: which of them is written first hangs on the plan.
    let alone = targets.len() == 1;
    let set: Vec<String> = targets.iter().map(|target| given(dice, target, &sources, alone)).collect();
    format!("UPDATE {from} SET {}{filter}", set.join(", "))
}

/// The columns of a table that writes give values: of numbers, and of texts.
fn written(table: &str) -> (&'static str, &'static str) {
    match table {
        "people" => ("balance", "city"),
        "orders" => ("total", "note"),
        "items" => ("price", "price"),
        "types" => ("dec_wide", "vc"),
        "words" => ("owner", "bytes"),
        "codes" => ("rate", "name"),
        _ => ("person", "body"),
    }
}

fn given(dice: &mut Dice, target: &Source, sources: &[Source], alone: bool) -> String {
    let (number, text) = written(target.table);
    let [number, text] = [number, text].map(|column| format!("{}.{column}", target.alias));
    let other = one_of(dice, sources);
    // NULL for a column that has none is one error or another to MariaDB, by its plan.
    let literal = dice.pick(NUMBERS).replace("NULL", "7");
    match dice.below(if alone { 5 } else { 2 }) {
        0 => format!("{number} = {literal}"),
        1 => format!("{number} = {number} + {literal}"),
        2 => format!("{number} = {}", any(dice, &other.numbers)),
        3 if !other.strings.is_empty() && text != number => format!("{text} = {}", any(dice, &other.strings)),
        _ => format!("{number} = {number} + {}", any(dice, &other.numbers)),
    }
}

/// One table, its values computed, its first rows perhaps, its key perhaps.
fn change_computed(dice: &mut Dice) -> String {
    let number = dice.below(5);
    let mut at = table(number, None);
    // Without the alias, so that DELETE is the same for both vendors.
    let bare = |names: &mut Vec<String>| names.iter_mut().for_each(|name| *name = name[2..].to_owned());
    [&mut at.signed, &mut at.numbers, &mut at.strings, &mut at.exact, &mut at.times, &mut at.unique]
        .into_iter()
        .for_each(bare);
    at.key = at.key[2..].to_owned();
    let (column, _) = written(at.table);
    let sources = [at];
    let at = &sources[0];
    let (filter, unique) = (filter(dice, &sources, 1, 70), at.unique.join(", "));
    let limit = if dice.chance(40) {
        let order = any(dice, &at.numbers);
        format!(" ORDER BY {order}{}, {unique} LIMIT {}", dice.pick(&["", " DESC"]), dice.below(9))
    } else {
        String::new()
    };
    match dice.below(6) {
        0 => format!("DELETE FROM {}{filter}{limit}", at.table),
        1 => format!("UPDATE {} SET {column} = {column} + {}{filter}{limit}", at.table, dice.pick(EXACT)),
        2 => {
            format!("UPDATE {} SET {} = {}", at.table, at.key, 1 + dice.below(60))
                + &format!(" WHERE {} = {}", at.unique[0], 1 + dice.below(42))
        }
        3 => format!("UPDATE IGNORE {} SET {column} = {}{filter}", at.table, signed(dice, &sources, 1)),
        _ => format!("UPDATE {} SET {column} = {}{filter}{limit}", at.table, signed(dice, &sources, 1)),
    }
}

fn insert(dice: &mut Dice) -> String {
    let verb = dice.pick(&["INSERT INTO", "REPLACE INTO", "INSERT IGNORE INTO"]);
    let row = |dice: &mut Dice| {
        let (id, person) = (90 + dice.below(40), 1 + dice.below(42));
        match dice.below(8) {
            0..=4 => format!("({id}, {person}, {})", dice.pick(NUMBERS)),
            5 => format!("({id} + 100, {person} + 1, 2 * 3)"),
            6 => format!("({id}, {person}, (SELECT MAX(x.id) FROM people x))"),
            _ => format!("({id}, (SELECT x.id FROM people x WHERE x.id = {person}), DEFAULT)"),
        }
    };
    let rows: Vec<String> = (0..1 + dice.below(4)).map(|_| row(dice)).collect();
    let tail = match dice.below(3) {
        _ if verb != "INSERT INTO" => "",
        0 => "",
        1 => " ON DUPLICATE KEY UPDATE total = VALUES(total)",
        _ => " ON DUPLICATE KEY UPDATE total = total + 1, note = 'again'",
    };
    format!("{verb} orders (id, person, total) VALUES {}{tail}", rows.join(", "))
}

/// INSERT ... SELECT of any rows into one of three tables.
fn insert_selected(dice: &mut Dice) -> String {
    let number = dice.below(5);
    let at = table(number, None);
    let sources = [at];
    let at = &sources[0];
    let filter = filter(dice, &sources, 1, 60);
    // Whose error it is hangs on the order.
    let order = format!(" ORDER BY {}", at.unique.join(", "));
    // Rows of their own, or such as are there.
    let id = if number == 2 { "i.order_id * 10 + i.line".to_owned() } else { at.unique[0].clone() };
    let verb = dice.pick(&["INSERT INTO", "INSERT IGNORE INTO", "REPLACE INTO"]);
    // Which of several errors comes first hangs on the order.
    let id = if verb == "INSERT INTO" || dice.chance(60) { format!("{id} + 1000") } else { id };
    let number = signed(dice, &sources, 1);
    let string = if at.strings.is_empty() { "'x'" } else { any(dice, &at.strings) };
    let from = format!("FROM {} {}{filter}{order}", at.table, at.alias);
    match dice.below(3) {
        0 => {
            format!("{verb} orders (id, person, total, note) SELECT {id}, {}, {number}, {string} {from}", at.numbers[0])
        }
        1 => format!("{verb} people (id, name, balance) SELECT {id}, {string}, {number} {from}"),
        _ => format!("{verb} words (id, owner, ci) SELECT {id}, {}, {string} {from}", at.numbers[0]),
    }
}

/// Values of any type for a column of any other.
fn convert(dice: &mut Dice) -> String {
    const COLUMNS: [&str; 31] = [
        "i8",
        "u8",
        "i16",
        "i24",
        "i64",
        "u64",
        "z",
        "dec_small",
        "dec_wide",
        "dec_int",
        "f",
        "d",
        "bits",
        "yes",
        "d0",
        "t0",
        "t6",
        "dt0",
        "dt6",
        "ts3",
        "y",
        "c",
        "vc",
        "bin",
        "vbin",
        "tx",
        "bl",
        "en",
        "st",
        "js",
        "pt",
    ];
    let (to, of) = (dice.pick(&COLUMNS), dice.pick(&COLUMNS));
    let verb = dice.pick(&["INSERT INTO", "INSERT IGNORE INTO", "REPLACE INTO"]);
    let value = match dice.below(4) {
        0 | 1 => of.to_owned(),
        2 => format!("COALESCE({of}, {of})"),
        _ => format!("MAX({of})"),
    };
    let group = if value.starts_with("MAX") { " GROUP BY id, owner" } else { "" };
    let (low, high) = (dice.below(30), 1 + dice.below(9));
    format!(
        "{verb} types (id, owner, {to}) SELECT id + 200, owner + 1, {value} FROM types WHERE id BETWEEN {low} AND {}{group} \
         ORDER BY id",
        low + high
    )
}
