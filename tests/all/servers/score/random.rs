//! Random SELECTs and writes over the tables of the corpora. Each is judged like a case of a corpus; a write runs in a
//! transaction that is rolled back, so that every statement meets the same rows and a failure can be shrunk alone.

use std::collections::BTreeSet;

use crate::servers::score::client::{Protocol, Reply};
use crate::servers::score::data::TABLES;
use crate::servers::score::dice::{Dice, shrink};
use crate::servers::score::grammar::statement;
use crate::servers::score::run::{Finding, Pair, is_read, mentions};
use crate::servers::score::verdict::{Rows, Verdict, compare, order_of};

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
    // Each seed has its own protocol and mode: the last digit is the layout's.
    let protocol = if (seed / 10).is_multiple_of(2) { Protocol::Text } else { Protocol::Binary };
    let mode = if (seed / 20).is_multiple_of(2) { "DEFAULT" } else { "''" };
    for client in [&mut pair.proxy, &mut pair.one] {
        client.query(&format!("SET sql_mode = {mode}"));
    }
    for _ in 0..statements {
        dice.next_case();
        let sql = statement(&mut dice);
        let verdict = judge(pair, &sql, protocol).0;
        assert!(!pair.one.broken, "seed {seed}: the one server does not survive it: {sql}");
        match verdict {
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
                    matches!(judge(pair, &statement(&mut Dice::replay(drawn.to_vec())), protocol).0, Verdict::Wrong(_))
                };
                let small = shrink(dice.drawn.clone(), 300, |drawn| fails(drawn, pair));
                let sql = statement(&mut Dice::replay(small));
                let (verdict, proxy, one) = judge(pair, &sql, protocol);
                let what = format!("{verdict:?}");
                let place = format!("seed {seed} {protocol:?}, sql_mode {mode}");
                let finding = Finding { place, sql, what, proxy: proxy.show(), one: one.show() };
                println!("{finding}");
                found.push(finding);
            }
        }
    }
    count
}

fn judge(pair: &mut Pair<'_>, sql: &str, protocol: Protocol) -> (Verdict, Reply, Reply) {
    if is_read(sql) {
        return ask(pair, sql, order_of(sql), protocol);
    }
    pair.proxy.query("BEGIN");
    pair.one.query("BEGIN");
    let (mut verdict, proxy, one) = ask(pair, sql, Rows::Any, protocol);
    // What was refused has left nothing behind.
    for table in TABLES {
        if !mentions(sql, table) || matches!(verdict, Verdict::Wrong(_)) {
            continue;
        }
        if let Verdict::Wrong(what) | Verdict::Refused(what) =
            ask(pair, &format!("SELECT * FROM {table}"), Rows::Any, Protocol::Text).0
        {
            verdict = Verdict::Wrong(format!("table {table}: {what}"));
        }
    }
    pair.proxy.query("ROLLBACK");
    pair.one.query("ROLLBACK");
    (verdict, proxy, one)
}

fn ask(pair: &mut Pair<'_>, sql: &str, rows: Rows, protocol: Protocol) -> (Verdict, Reply, Reply) {
    let (verdict, proxy, one) = match protocol {
        Protocol::Text => pair.text(sql, rows),
        Protocol::Binary => pair.binary(sql, rows),
    };
    match verdict {
        Verdict::Wrong(_) if is_read(sql) && contradicts_itself(pair, sql, &proxy, rows, protocol) => {
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
fn contradicts_itself(pair: &mut Pair<'_>, sql: &str, proxy: &Reply, rows: Rows, protocol: Protocol) -> bool {
    let again = |pair: &mut Pair<'_>| match protocol {
        Protocol::Text => pair.one.query(sql),
        // The proxy's answer stays the one that is judged.
        Protocol::Binary => pair.binary(sql, rows).2,
    };
    let found = OTHER_PLANS.iter().any(|switch| {
        // Each vendor knows only some of them.
        let set = pair.one.query(&format!("SET optimizer_switch = '{switch}'"));
        let same = set.error.is_none() && !matches!(compare(proxy, &again(pair), rows), Verdict::Wrong(_));
        pair.one.query("SET optimizer_switch = DEFAULT");
        same
    });
    // As behind the statement itself.
    again(pair);
    found
}
