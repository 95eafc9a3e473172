//! The yardstick: the same statements to one server with all rows and to Shardloom, and all that they say compared.
//!
//! `make test` runs the corpora in every layout and a few random statements; `make score` runs SEEDS times 1,000.
//! `CORPUS=joins LAYOUT=key8 cargo test --test all servers::score -- --nocapture` runs a part, and
//! prints what is not identical; UPDATE=1 writes its rows of the page, if it ran in all layouts on both vendors.

pub(super) mod client;
mod corpus;
mod data;
pub(crate) mod dice;
mod grammar;
mod layout;
mod random;
mod run;
mod table;
mod tpc;
mod verdict;

use std::collections::BTreeMap;
use std::time::Instant;

use shardloom::sql::Flavour;

use crate::servers::score::client::Protocol;
use crate::servers::score::corpus::{Corpus, Results, read_all};
use crate::servers::score::layout::{LAYOUTS, Layout, World};
use crate::servers::score::run::{Finding, Pair};
use crate::servers::score::table::{Score, Table};
use crate::servers::testbed::installations;

/// No corpus has a WRONG answer, and none has fewer identical ones than `docs/score.md` says.
#[test]
fn answers_are_those_of_one_server() {
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (part, only_layout, only_vendor) = (named("CORPUS"), named("LAYOUT"), named("VENDOR"));
    let whole = part.is_none() && only_layout.is_none() && only_vendor.is_none();
    let update = named("UPDATE").is_some();
    let mut corpora = read_all();
    corpora.retain(|corpus| part.as_ref().is_none_or(|part| part.split(',').any(|name| corpus.name.contains(name))));
    let layouts: Vec<Layout> = LAYOUTS
        .into_iter()
        .filter(|layout| only_layout.as_ref().is_none_or(|only| only.split(',').any(|name| name == layout.schema())))
        .collect();

    let committed = Score::committed();
    let mut score = committed.clone();
    let mut results: Vec<Results> = corpora.iter().map(|_| Results::new()).collect();
    let mut found = Vec::new();
    for installation in installations() {
        let flavour = installation.flavour;
        if only_vendor.as_ref().is_some_and(|only| !flavour.to_string().eq_ignore_ascii_case(only)) {
            continue;
        }
        let started = Instant::now();
        let world = World::start(&installation);
        println!("{flavour} {}: started in {:?}", installation.version, started.elapsed());
        found.extend(run_corpora(&world, &corpora, &layouts, &mut results));
        let table = tally(flavour, &corpora, &results);
        println!("{flavour}: {} s; {}", started.elapsed().as_secs(), sums(&table));
        if whole {
            score.tables.insert(flavour, table);
        } else {
            score.tables.entry(flavour).or_default().extend(table);
        }
        if part.is_none() || part.as_deref() == Some("random") {
            let told = run_random(&world, &layouts, &mut found);
            println!("{flavour}: {} s; random: {told}", started.elapsed().as_secs());
            if seeds() > 1 {
                score.random.insert(flavour, told);
            }
        }
    }
    if part.is_some() {
        corpora.iter().zip(&results).for_each(|(corpus, results)| corpus.print(results));
    }
    if update && only_layout.is_none() && only_vendor.is_none() {
        corpora.iter().zip(&results).for_each(|(corpus, results)| corpus.write(results));
        score.write();
    }
    assert!(found.is_empty(), "{} WRONG answers, see above", found.len());
    if whole && !update {
        let (fallen, risen) = score.since(&committed);
        println!("{risen} numbers of docs/score.md have risen: UPDATE=1 writes them");
        assert!(fallen.is_empty(), "fewer answers are identical:\n{}", fallen.join("\n"));
    }
}

/// A thread for each layout: they share servers and the proxy, and no tables.
fn run_corpora(world: &World, corpora: &[Corpus], layouts: &[Layout], results: &mut [Results]) -> Vec<Finding> {
    let flavour = world.installation.flavour;
    let run_layout = |layout: Layout| {
        let (mut pair, mut found, mut verdicts) = (Pair::open(world, layout), Vec::new(), Vec::new());
        pair.reset();
        for (number, corpus) in corpora.iter().enumerate() {
            for protocol in [Protocol::Text, Protocol::Binary] {
                verdicts.push((number, protocol, pair.run(corpus, protocol, &mut found)));
            }
        }
        (layout, verdicts, found)
    };
    let run_layout = &run_layout;
    let done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = layouts.iter().map(|layout| scope.spawn(move || run_layout(*layout))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut all = Vec::new();
    for (layout, verdicts, found) in done {
        all.extend(found);
        for (number, protocol, verdicts) in verdicts {
            results[number].insert((flavour, layout, protocol), verdicts);
        }
    }
    all
}

/// Seeds of 1,000 random statements in each layout; with none given, one of 100.
fn seeds() -> u64 {
    std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1)
}

fn run_random(world: &World, layouts: &[Layout], found: &mut Vec<Finding>) -> String {
    let first = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let statements = if seeds() > 1 { 1000 } else { 100 };
    let run_layout = |layout: Layout| {
        let (mut pair, mut found, mut sum) = (Pair::open(world, layout), Vec::new(), random::Count::default());
        pair.reset();
        for seed in first..first + seeds() {
            let count = random::run(&mut pair, seed * 10 + layout as u64, statements, &mut found);
            sum.identical += count.identical;
            sum.differs += count.differs;
            sum.refused += count.refused;
            sum.by_plan += count.by_plan;
            sum.wrong += count.wrong;
        }
        (sum, found)
    };
    let run_layout = &run_layout;
    let done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = layouts.iter().map(|layout| scope.spawn(move || run_layout(*layout))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (mut identical, mut differs, mut refused, mut by_plan, mut wrong) = (0, 0, 0, 0, 0);
    for (count, findings) in done {
        found.extend(findings);
        identical += count.identical;
        differs += count.differs;
        refused += count.refused;
        by_plan += count.by_plan;
        wrong += count.wrong;
    }
    let all = identical + differs + refused + by_plan + wrong;
    assert!(refused * 10 < all, "{refused} of {all} random statements are refused");
    let by_plan = match by_plan {
        0 => String::new(),
        count => format!("{count} by which the server contradicts itself, "),
    };
    format!(
        "{all} statements, {identical} identical, {differs} differ in metadata, {refused} refused, {by_plan}{wrong} WRONG"
    )
}

fn tally(flavour: Flavour, corpora: &[Corpus], results: &[Results]) -> Table {
    let mut table = Table::new();
    for (corpus, results) in corpora.iter().zip(results) {
        for ((vendor, layout, _), verdicts) in results {
            if *vendor == flavour {
                // No cell for a corpus that does not run in this layout.
                for verdict in verdicts.iter().flatten() {
                    table.entry((corpus.name.clone(), *layout)).or_default().add(verdict);
                }
            }
        }
    }
    table
}

fn sums(table: &Table) -> String {
    let mut sums: BTreeMap<Layout, (u32, u32, u32)> = BTreeMap::new();
    for ((_, layout), tally) in table {
        let sum = sums.entry(*layout).or_default();
        *sum = (sum.0 + tally.identical, sum.1 + tally.differs, sum.2 + tally.refused);
    }
    let shown = sums.iter().map(|(layout, (a, b, c))| format!("{} {a} / {b} / {c}", layout.schema()));
    shown.collect::<Vec<_>>().join(", ")
}
