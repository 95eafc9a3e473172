//! Random SELECTs over the shop: the proxy gives what one server with all the data gives, or refuses.
//! `SEED=7 STATEMENTS=20000 cargo test --test all servers::random -- --nocapture` looks further.

use shardloom::backend::conn::{Answer, BackendError};

use crate::servers::proxy::{Client, PASSWORD, show};
use crate::servers::shop::Shop;
use crate::servers::testbed::installations;

/// A small random number generator (xorshift), so that a seed gives the same statements everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// Users with names that differ in case and spaces only, orders with NULL in every column that may have it.
fn rows(dice: &mut Dice) -> Vec<String> {
    let names = ["ann", "Ann", "ANN ", "bob", "Bob", "zoë", "zoe", "", "x y", "Émile"];
    let mut users = Vec::new();
    for id in 1..=40 {
        let email =
            if dice.chance(30) { "NULL".into() } else { format!("'{}@{}.org'", id % 7, dice.pick(&["a", "B", "b"])) };
        let born = dice.pick(&["NULL", "'1990-01-02'", "'2001-12-31'", "'1970-05-05'"]);
        let kind = dice.pick(&["NULL", "'new'", "'old'", "'gold'"]);
        let level = dice.pick(&["NULL", "-3", "0", "1", "2", "7"]);
        let balance = dice.pick(&["NULL", "0.00", "-12.50", "99.99", "1000000.01", "3.10"]);
        users.push(format!("({id}, '{}', {email}, {balance}, {level}, {born}, {kind})", dice.pick(&names)));
    }
    let mut orders = Vec::new();
    for id in 1..=220 {
        let total = dice.pick(&["NULL", "0.00", "9.99", "10.00", "250.50", "-3.25"]);
        let currency = dice.pick(&["NULL", "'EUR'", "'eur'", "'USD'", "'CHF'", "'XXX'"]);
        let note = dice.pick(&["NULL", "''", "'Ann'", "'ann'", "'late '", "'late'"]);
        let at = dice.pick(&["NULL", "'2025-01-01 10:00:00'", "'2025-06-30 23:59:59'", "'2024-02-29 00:00:00'"]);
        let ratio = dice.pick(&["NULL", "0.25", "-1.5", "1e3"]);
        orders.push(format!(
            "({id}, {}, {total}, {currency}, {note}, {at}, {}, {ratio})",
            1 + dice.below(44),
            dice.pick(&["NULL", "0", "1", "65535"])
        ));
    }
    vec![
        format!("INSERT INTO users VALUES {}", users.join(", ")),
        format!("INSERT INTO orders VALUES {}", orders.join(", ")),
        "INSERT INTO currencies VALUES ('EUR', 'Euro'), ('USD', 'Dollar'), ('CHF', 'Franken'), ('JPY', NULL)".into(),
    ]
}

/// What can be selected from, grouped by and compared: a FROM clause with its columns.
struct Tables {
    from: String,
    /// Numbers and moments.
    numbers: Vec<&'static str>,
    /// Strings.
    strings: Vec<&'static str>,
    /// Columns that together tell every row apart.
    unique: Vec<&'static str>,
    keys: Vec<&'static str>,
}

fn tables(dice: &mut Dice) -> Tables {
    const USERS: &[&str] = &["u.id", "u.balance", "u.level", "u.born", "u.kind"];
    const ORDERS: &[&str] = &["o.id", "o.user_id", "o.total", "o.at", "o.qty", "o.ratio"];
    let join = dice.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "STRAIGHT_JOIN"]);
    let extra = match dice.below(4) {
        0 => format!(" AND {}", comparison(dice, "o.total")),
        1 => format!(" AND {}", key(dice, "u.id")),
        _ => String::new(),
    };
    let both = |from: String| Tables {
        from,
        numbers: [USERS, ORDERS].concat(),
        strings: vec!["u.name", "u.email", "o.currency", "o.note"],
        unique: vec!["u.id", "o.id"],
        keys: vec!["u.id", "o.user_id"],
    };
    match dice.below(13) {
        0 | 1 => Tables {
            from: "orders o".into(),
            numbers: ORDERS.to_vec(),
            strings: vec!["o.currency", "o.note"],
            unique: vec!["o.id"],
            keys: vec!["o.user_id"],
        },
        2 => Tables {
            from: "users u".into(),
            numbers: USERS.to_vec(),
            strings: vec!["u.name", "u.email"],
            unique: vec!["u.id"],
            keys: vec!["u.id"],
        },
        3 | 4 => both(format!("users u {join} orders o ON o.user_id = u.id{extra}")),
        5 => both(format!("orders o {join} users u ON u.id = o.user_id{extra}")),
        6 => both(format!("users u {join} orders o ON o.total = u.balance{extra}")),
        7 => Tables {
            from: format!("orders o {join} currencies c ON c.code = o.currency"),
            numbers: ORDERS.to_vec(),
            strings: vec!["o.currency", "c.name", "c.code"],
            unique: vec!["o.id", "c.code"],
            keys: vec!["o.user_id"],
        },
        8 => Tables {
            from: format!("currencies c {join} orders o ON c.code = o.currency{}", extra.replace("u.id", "o.user_id")),
            numbers: ORDERS.to_vec(),
            strings: vec!["o.currency", "c.name", "c.code"],
            unique: vec!["o.id", "c.code"],
            keys: vec!["o.user_id"],
        },
        9 => Tables {
            from: format!(
                "(SELECT user_id, COUNT(*) AS n, MAX(total) AS total, MIN(id) AS id FROM orders \
                 GROUP BY user_id) AS d {join} users u ON u.id = d.user_id"
            ),
            numbers: ["d.user_id", "d.n", "d.total"].into_iter().chain(USERS.iter().copied()).collect(),
            strings: vec!["u.name", "u.email"],
            unique: vec!["u.id", "d.user_id"],
            keys: vec!["d.user_id", "u.id"],
        },
        10 => Tables {
            from: format!("(SELECT id, user_id, total, note FROM orders WHERE {}) AS d", comparison(dice, "total")),
            numbers: vec!["d.id", "d.user_id", "d.total"],
            strings: vec!["d.note"],
            unique: vec!["d.id"],
            keys: vec!["d.user_id"],
        },
        11 => both(format!(
            "users u {join} (orders o {} currencies c ON c.code = o.currency) ON o.user_id = u.id",
            dice.pick(&["JOIN", "LEFT JOIN"])
        )),
        _ => Tables {
            from: "orders o JOIN orders p USING (user_id)".into(),
            numbers: vec!["o.id", "p.id", "o.total", "p.qty", "user_id"],
            strings: vec!["o.note", "p.currency"],
            unique: vec!["o.id", "p.id"],
            keys: vec!["o.user_id", "p.user_id", "user_id"],
        },
    }
}

fn number(dice: &mut Dice) -> &'static str {
    dice.pick(&["0", "1", "2", "5", "9", "17", "-3", "9.99", "10", "250.5", "NULL", "40"])
}

fn comparison(dice: &mut Dice, column: &str) -> String {
    let op = dice.pick(&["=", "<>", "<", "<=", ">", ">=", "<=>"]);
    format!("{column} {op} {}", number(dice))
}

/// A condition on a sharding key.
fn key(dice: &mut Dice, column: &str) -> String {
    match dice.below(7) {
        0 | 1 => format!("{column} = {}", 1 + dice.below(44)),
        2 => format!("{column} IN ({}, {}, {})", dice.below(44), dice.below(44), number(dice)),
        3 => format!("{column} BETWEEN {} AND {}", number(dice), number(dice)),
        4 => format!("{} > {column}", number(dice)),
        5 => format!("({column}, 1) IN (({}, 1), ({}, 0))", dice.below(44), dice.below(44)),
        _ => format!("{column} IS {}NULL", dice.pick(&["", "NOT "])),
    }
}

fn condition(dice: &mut Dice, tables: &Tables, depth: usize) -> String {
    let some = |dice: &mut Dice, from: &[&'static str]| from[dice.below(from.len())];
    match dice.below(if depth == 0 { 8 } else { 14 }) {
        0..=2 => {
            let column = some(dice, &tables.keys);
            key(dice, column)
        }
        3 | 4 => {
            let column = some(dice, &tables.numbers);
            if column.ends_with("kind") || column.ends_with("born") || column.ends_with("at") {
                format!("{column} IS {}NULL", dice.pick(&["", "NOT "]))
            } else {
                comparison(dice, column)
            }
        }
        5 => {
            let column = some(dice, &tables.strings);
            format!(
                "{column} {} {}",
                dice.pick(&["=", "<>", "<", ">="]),
                dice.pick(&["'ann'", "'EUR'", "'late'", "''"])
            )
        }
        6 => {
            let outer = some(dice, &tables.keys);
            let inner = match dice.below(3) {
                0 => format!("x.user_id = {outer}"),
                1 => format!("x.user_id = {outer} AND {}", comparison(dice, "x.total")),
                _ => comparison(dice, "x.total"),
            };
            format!("{}EXISTS (SELECT 1 FROM orders x WHERE {inner})", dice.pick(&["", "NOT "]))
        }
        7 => {
            let outer = some(dice, &tables.keys);
            let group = dice.pick(&["", " GROUP BY user_id HAVING COUNT(*) > 5"]);
            format!("{outer} {}IN (SELECT user_id FROM orders x{group})", dice.pick(&["", "", "NOT "]))
        }
        8..=10 => format!("({} AND {})", condition(dice, tables, depth - 1), condition(dice, tables, depth - 1)),
        11 | 12 => format!("({} OR {})", condition(dice, tables, depth - 1), condition(dice, tables, depth - 1)),
        _ => format!("NOT ({})", condition(dice, tables, depth - 1)),
    }
}

fn aggregate(dice: &mut Dice, tables: &Tables) -> String {
    let number = tables.numbers[dice.below(tables.numbers.len())];
    let string = tables.strings[dice.below(tables.strings.len())];
    let key = tables.keys[dice.below(tables.keys.len())];
    match dice.below(14) {
        0 => "COUNT(*)".into(),
        1 => format!("COUNT({string})"),
        2 | 3 => format!("SUM({number})"),
        4 | 5 => format!("MIN({number})"),
        6 => format!("MAX({number})"),
        7 => format!("AVG({number})"),
        8 => format!("MAX({string})"),
        9 => format!("COUNT(DISTINCT {key})"),
        10 => format!("SUM({number}) - COUNT(*)"),
        11 => format!("IFNULL(SUM({number}), 0)"),
        12 => format!("COUNT(DISTINCT {string})"),
        _ => format!("MIN({string})"),
    }
}

/// A statement whose answer is the same each time: every order is total, wherever rows are limited.
fn statement(dice: &mut Dice) -> String {
    let tables = tables(dice);
    let mut filter = match dice.below(3) {
        0 => String::new(),
        _ => format!(" WHERE {}", condition(dice, &tables, 2)),
    };
    if dice.chance(30) {
        let some = tables.keys[dice.below(tables.keys.len())];
        let more = key(dice, some);
        filter = if filter.is_empty() { format!(" WHERE {more}") } else { format!("{filter} AND {more}") };
    }
    let all: Vec<&str> = tables.numbers.iter().chain(&tables.strings).copied().collect();
    let limit = match dice.below(3) {
        0 => format!(" LIMIT {}", dice.below(12)),
        1 => format!(" LIMIT {}, {}", dice.below(8), 1 + dice.below(9)),
        _ => String::new(),
    };
    let direction = dice.pick(&["", " DESC"]);
    match dice.below(5) {
        0 | 1 => {
            let mut items: Vec<&str> = (0..1 + dice.below(3)).map(|_| all[dice.below(all.len())]).collect();
            let first = all[dice.below(all.len())];
            let order = format!(" ORDER BY {first}{direction}, {}", tables.unique.join(", "));
            if limit.is_empty() && dice.chance(50) {
                return format!("SELECT {} FROM {}{filter}", items.join(", "), tables.from);
            }
            items.extend(&tables.unique);
            format!("SELECT {} FROM {}{filter}{order}{limit}", items.join(", "), tables.from)
        }
        2 => {
            let mut items: Vec<&str> = (0..1 + dice.below(3)).map(|_| all[dice.below(all.len())]).collect();
            items.dedup();
            let order =
                if limit.is_empty() { String::new() } else { format!(" ORDER BY {}{direction}", items.join(", ")) };
            format!("SELECT DISTINCT {} FROM {}{filter}{order}{limit}", items.join(", "), tables.from)
        }
        3 => {
            let items: Vec<String> = (0..1 + dice.below(3)).map(|_| aggregate(dice, &tables)).collect();
            format!("SELECT {} FROM {}{filter}", items.join(", "), tables.from)
        }
        _ => {
            let mut keys: Vec<&str> = (0..1 + dice.below(2)).map(|_| all[dice.below(all.len())]).collect();
            keys.dedup();
            let aggregates: Vec<String> = (0..1 + dice.below(3)).map(|_| aggregate(dice, &tables)).collect();
            let having = match dice.below(4) {
                0 => format!(" HAVING {} > {}", aggregates[0], number(dice)),
                1 => format!(" HAVING COUNT(*) > {} OR {} IS NULL", number(dice), keys[0]),
                _ => String::new(),
            };
            let order = match (limit.is_empty(), dice.below(3)) {
                (false, 0) => format!(" ORDER BY {}{direction}, {}", aggregates[0], keys.join(", ")),
                (false, _) => format!(" ORDER BY {}{direction}", keys.join(&format!("{direction}, "))),
                (true, _) => String::new(),
            };
            format!(
                "SELECT {}, {} FROM {}{filter} GROUP BY {}{having}{order}{limit}",
                keys.join(", "),
                aggregates.join(", "),
                tables.from,
                keys.join(", ")
            )
        }
    }
}

/// The answer in a form in which two that MySQL could give for one statement are equal: of strings that are equal to
/// GROUP BY and MIN, any may be shown, and without ORDER BY rows have no order.
fn settled(sql: &str, answer: &Result<Answer, BackendError>) -> Result<(Vec<String>, String), String> {
    match answer {
        Err(BackendError::Server(error)) => Err(format!("{} {}", error.errno, error.message)),
        Err(other) => Err(format!("{other:?}")),
        Ok(answer) => {
            let cell = |cell: &Option<Vec<u8>>| match cell {
                None => "NULL".to_owned(),
                Some(cell) => String::from_utf8_lossy(cell).to_lowercase().replace(['ë', 'é'], "e").replace(' ', ""),
            };
            let row = |row: &Vec<Option<Vec<u8>>>| row.iter().map(cell).collect::<Vec<_>>().join("|");
            let mut rows: Vec<String> = answer.rows.iter().map(row).collect();
            if !sql.contains("ORDER BY") {
                rows.sort();
            }
            Ok((rows, format!("{:?} {:?}", answer.columns, answer.types)))
        }
    }
}

/// What LIMIT leaves of the server's own answer without it. MariaDB 10.11 disagrees with itself where it has found that a
/// DISTINCT answer has one row only: `SELECT DISTINCT c FROM ... ORDER BY c LIMIT 5, 6` still shows it.
fn by_hand(sql: &str, one: &mut Client) -> Result<(Vec<String>, String), String> {
    let (head, limit) = sql.rsplit_once(" LIMIT ").ok_or("no LIMIT")?;
    let numbers: Vec<usize> = limit.split(", ").map(|number| number.parse().unwrap()).collect();
    let (skip, take) = if let [skip, take] = numbers[..] { (skip, take) } else { (0, numbers[0]) };
    let (rows, columns) = settled(sql, &one.query(head))?;
    Ok((rows.into_iter().skip(skip).take(take).collect(), columns))
}

#[test]
fn random_statements_are_answered_as_by_one_server_or_refused() {
    let from_env = |name: &str, default: u64| std::env::var(name).map_or(default, |value| value.parse().unwrap());
    let (seed, statements) = (from_env("SEED", 1), from_env("STATEMENTS", 400));
    for installation in installations() {
        let shop = Shop::open(&installation);
        let proxy = shop.proxy();
        let mut through = Client::connect(&proxy.address().to_string(), "atomic", PASSWORD, "shop");
        let mut one = shop.reference();
        for sql in rows(&mut Dice(99)) {
            through.query(&sql).unwrap();
            one.query(&sql).unwrap();
        }
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let (mut same, mut refused, mut wrong_itself, mut different) = (0, 0, 0, Vec::new());
        for _ in 0..statements {
            let sql = statement(&mut dice);
            let ours = through.query(&sql);
            if matches!(&ours, Err(BackendError::Server(error)) if error.errno == 1235) {
                refused += 1;
                continue;
            }
            let theirs = one.query(&sql);
            if settled(&sql, &ours) == settled(&sql, &theirs) {
                same += 1;
            } else if settled(&sql, &ours) == by_hand(&sql, &mut one) {
                wrong_itself += 1;
            } else {
                let shown =
                    |answer| format!("{} {:?}", show(answer), settled(&sql, answer).map(|(_, columns)| columns));
                different.push(format!("{sql}\n  proxy: {}\n  one:   {}", shown(&ours), shown(&theirs)));
            }
        }
        println!(
            "{}: {same} the same, {refused} refused, {wrong_itself} limited wrongly by the server, {} different",
            installation.version,
            different.len()
        );
        assert!(different.is_empty(), "{}:\n{}", installation.version, different[..different.len().min(5)].join("\n"));
    }
}
