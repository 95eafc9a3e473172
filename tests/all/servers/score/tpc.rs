//! TPC-H and TPC-C in small: tables, rows and statements of `tests/fixtures/tpc`, all through the proxy, the definitions
//! too, and beside it to one server. None is refused, and every answer is the one server's.

use shardloom::demo::cluster::Layout as ClusterLayout;
use shardloom::demo::install::account;

use crate::servers::proxy::{PASSWORD, TestProxy};
use crate::servers::score::client::{Client, Reply};
use crate::servers::score::dice::Dice;
use crate::servers::score::verdict::{Verdict, compare, order_of};
use crate::servers::testbed::{TestCluster, installations};

const RULES: &str = include_str!("../../../fixtures/tpc/rules.toml");
const FILES: [(&str, &str); 2] = [
    ("tpch", include_str!("../../../fixtures/tpc/tpch.sql")),
    ("tpcc", include_str!("../../../fixtures/tpc/tpcc.sql")),
];

#[test]
fn tpc_h_and_tpc_c_are_answered() {
    for installation in installations() {
        let cluster = TestCluster::start(&installation, &ClusterLayout::new(2, 0));
        let reference = TestCluster::start(&installation, &ClusterLayout::new(1, 0));
        for server in cluster.cluster.groups.iter().chain(&reference.cluster.groups).map(|group| &group.primary) {
            server.sql("CREATE DATABASE tpch; CREATE DATABASE tpcc;").unwrap();
        }
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut wrong = Vec::new();
        for (schema, text) in FILES {
            let mut loom = Client::connect(&proxy.address().to_string(), "atomic", PASSWORD, schema);
            let address = reference.cluster.groups[0].primary.addr();
            let mut one = Client::connect(&address, account::USER, account::PASSWORD, schema);
            let (mut identical, mut differs) = (0, 0);
            for sql in statements(text) {
                // In both protocols where nothing is changed by it.
                let read = sql.starts_with("SELECT") && !sql.ends_with("FOR UPDATE");
                for binary in [false, true].into_iter().take(1 + usize::from(read)) {
                    let answers =
                        [&mut loom, &mut one].map(|c| if binary { c.execute(&sql, &[]) } else { c.query(&sql) });
                    match compare(&answers[0], &answers[1], order_of(&sql)) {
                        Verdict::Identical => identical += 1,
                        Verdict::Differs(_) => differs += 1,
                        Verdict::Refused(why) => wrong.push(format!("refused: {why}: {sql}")),
                        Verdict::Wrong(what) => {
                            let [loom, one] = [&answers[0], &answers[1]].map(Reply::show);
                            wrong.push(format!("{what}: {sql}\n  proxy: {loom:.900}\n  one:   {one:.900}"));
                        }
                    }
                    let rows = answers[1].outcomes.iter().map(|outcome| outcome.rows.len()).sum::<usize>();
                    let empty = schema == "tpch" && read && rows == 0;
                    assert!(!empty, "no row is compared: {sql}");
                }
            }
            println!("{} {schema}: {identical} identical, {differs} differ in metadata", installation.flavour);
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), installation.flavour, wrong.join("\n"));
    }
}

/// The statements of a file, with those that give the tables of TPC-H their rows in the place of `@rows`.
fn statements(text: &str) -> Vec<String> {
    let (mut found, mut sql) = (Vec::new(), String::new());
    for line in text.lines() {
        match line {
            "-- @rows" => found.extend(rows()),
            _ if line.starts_with("--") => {}
            _ => {
                sql += line;
                match sql.strip_suffix(';') {
                    Some(whole) => {
                        found.push(whole.trim().to_owned());
                        sql.clear();
                    }
                    None => sql.push('\n'),
                }
            }
        }
    }
    found
}

/// Rows for TPC-H, few enough that each query is done in a moment and finds something.
fn rows() -> Vec<String> {
    let mut dice = Dice::seeded(22);
    let insert = |table: &str, rows: Vec<String>| format!("INSERT INTO {table} VALUES ({})", rows.join("), ("));
    let date = |day: usize| format!("DATE '1992-01-01' + INTERVAL {day} DAY");
    let regions = ["AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"];
    let region = regions.iter().enumerate().map(|(n, name)| format!("{n}, '{name}', NULL")).collect();
    let nation = (0..25).map(|n| format!("{n}, 'NATION {n:02}', {}, 'n{n}'", n % 5)).collect();
    let mut cents = |below: usize| format!("{}.{:02}", dice.below(below), dice.below(100));
    let supplier = (1..=12).map(|n| {
        let comment = if n % 6 == 0 { "a Customer of many Complaints" } else { "none" };
        format!("{n}, 'Supplier {n:03}', 'street {n}', {}, '{}-555', {}, '{comment}'", n * 7 % 25, 10 + n, cents(9000))
    });
    let supplier = supplier.collect();
    let mut dice = Dice::seeded(23);
    let (mut part, mut partsupp) = (Vec::new(), Vec::new());
    for n in 1..=60 {
        let color = dice.pick(&["green", "red", "blue"]);
        let kind = dice.pick(&["PROMO", "STANDARD", "MEDIUM POLISHED", "SMALL"]);
        let metal = dice.pick(&["BRASS", "STEEL", "TIN"]);
        let brand = dice.pick(&["12", "21", "22", "23", "45"]);
        let container = dice.pick(&["SM CASE", "SM BOX", "MED BAG", "LG BOX", "JUMBO JAR"]);
        let size = 1 + dice.below(50);
        part.push(format!(
            "{n}, 'a {color} part {n}', 'Maker#{}', 'Brand#{brand}', '{kind} {metal}', {size}, '{container}', {}.50",
            n % 5,
            900 + n
        ));
        for place in 0..3 {
            let supplier = 1 + (n + place * 4) % 12;
            partsupp.push(format!("{n}, {supplier}, {}, {}.25", 1 + dice.below(999), 1 + dice.below(500)));
        }
    }
    let segments = ["BUILDING", "MACHINERY", "HOUSEHOLD"];
    let customer = (1..=45).map(|n| {
        let (segment, phone) = (dice.pick(&segments), dice.pick(&["13", "31", "23", "29", "11"]));
        let balance = dice.below(9000) as i64 - 900;
        format!("{n}, 'Customer {n:03}', 'road {n}', {}, '{phone}-{n}', {balance}.10, '{segment}', 'c{n}'", n % 25)
    });
    let customer = customer.collect();
    let (mut orders, mut lines) = (Vec::new(), Vec::new());
    for n in 1..=220 {
        let day = dice.below(2200);
        let priority = dice.pick(&["1-URGENT", "2-HIGH", "3-MEDIUM", "5-LOW"]);
        let comment = if dice.chance(20) { "special big requests" } else { "plain" };
        let (status, total) = (dice.pick(&["F", "O", "P"]), dice.below(300_000));
        // A third of the customers never orders.
        let customer = 1 + dice.below(30) * 3 / 2;
        orders.push(format!("{n}, {customer}, '{status}', {total}.75, {}, '{priority}', 0, '{comment}'", date(day)));
        for line in 1..=1 + dice.below(6) {
            let part = 1 + dice.below(60);
            let supplier = 1 + (part + dice.below(3) * 4) % 12;
            let (quantity, discount, tax) = (1 + dice.below(50), dice.below(11), dice.below(9));
            let (shipped, promised, arrived) = (day + dice.below(120), day + 30 + dice.below(60), dice.below(30));
            let (flag, how) = (dice.pick(&["R", "A", "N"]), dice.pick(&["MAIL", "SHIP", "AIR", "RAIL", "TRUCK"]));
            let instruction = dice.pick(&["DELIVER IN PERSON", "NONE", "COLLECT COD"]);
            lines.push(format!(
                "{n}, {part}, {supplier}, {line}, {quantity}, {}.{:02}, 0.{discount:02}, 0.{tax:02}, '{flag}', \
                 '{}', {}, {}, {}, '{instruction}', '{how}'",
                quantity * (900 + part),
                part % 100,
                if flag == "N" { "O" } else { "F" },
                date(shipped),
                date(promised),
                date(shipped + 1 + arrived)
            ));
        }
    }
    [
        ("region", region),
        ("nation", nation),
        ("supplier", supplier),
        ("part", part),
        ("partsupp", partsupp),
        ("customer", customer),
        ("orders", orders),
        ("lineitem", lines),
    ]
    .map(|(table, rows)| insert(table, rows))
    .into()
}
