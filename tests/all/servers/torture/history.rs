//! What clients did and were told, and whether that agrees with what the servers have in the end. It knows no servers.

use std::collections::{BTreeMap, BTreeSet};

/// The money that each account begins with.
pub(super) const BALANCE: i64 = 1000;

/// What a transaction did. Each leaves its number wherever it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Money from one account to another, and a note beside each.
    Transfer { from: u64, to: u64, amount: i64 },
    /// Its number at the end of each of these lists.
    Append { lists: Vec<u64> },
    /// A slot: a row on each group, by one statement, which others try to insert at the same time.
    Claim,
}

/// What its client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Committed,
    Refused,
    /// The connection or the answer was lost when COMMIT was under way.
    Unknown,
}

/// Lists as one transaction read them.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) lists: BTreeMap<u64, Vec<u64>>,
    /// FOR UPDATE: such a read sees all of a transaction or nothing.
    pub(super) locking: bool,
}

/// Everything that clients saw.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) deeds: BTreeMap<u64, (Deed, Told)>,
    pub(super) reads: Vec<Read>,
}

/// What the servers have in the end.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) accounts: BTreeMap<u64, i64>,
    pub(super) lists: BTreeMap<u64, Vec<u64>>,
    /// Numbers of transactions, with the groups on which they left a note or have a slot.
    pub(super) notes: BTreeMap<u64, BTreeSet<u64>>,
}

/// What was found to be right.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) committed: usize,
    pub(super) refused: usize,
    /// Of those whose client was not told, how many were committed and how many not.
    pub(super) unknown: (usize, usize),
    /// Lists read without locks of which one shows a transaction and another does not (yet): they are no snapshot.
    pub(super) fractured: usize,
}

impl History {
    /// Compares the clients' story with the servers'; gives each disagreement as a sentence.
    pub(super) fn judge(&self, stored: &Stored) -> Result<Verdict, Vec<String>> {
        let mut wrong = Vec::new();
        let mut verdict = Verdict::default();
        let mut balances: BTreeMap<u64, i64> = stored.accounts.keys().map(|account| (*account, BALANCE)).collect();
        let mut appended: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for (list, numbers) in &stored.lists {
            for number in numbers {
                if !appended.entry(*number).or_default().insert(*list) {
                    wrong.push(format!("list {list} has {number} twice"));
                }
            }
        }
        let mut traces = appended;
        for (number, groups) in &stored.notes {
            traces.entry(*number).or_default().extend(groups);
        }
        for (number, (deed, told)) in &self.deeds {
            let places: BTreeSet<u64> = match deed {
                Deed::Transfer { from, to, .. } => BTreeSet::from([from % 3, to % 3]),
                Deed::Append { lists } => lists.iter().copied().collect(),
                Deed::Claim => BTreeSet::from([0, 1, 2]),
            };
            let found = traces.remove(number).unwrap_or_default();
            let is_there = found == places;
            if !is_there && !found.is_empty() {
                wrong.push(format!("{number} is torn: {deed:?}, {told:?}, found in {found:?}"));
            }
            match (told, is_there) {
                (Told::Committed, true) => verdict.committed += 1,
                (Told::Committed, false) => wrong.push(format!("{number} was acknowledged and is lost: {deed:?}")),
                (Told::Refused, false) => verdict.refused += 1,
                (Told::Refused, true) => wrong.push(format!("{number} was refused and took place: {deed:?}")),
                (Told::Unknown, true) => verdict.unknown.0 += 1,
                (Told::Unknown, false) => verdict.unknown.1 += 1,
            }
            if let (Deed::Transfer { from, to, amount }, true) = (deed, is_there) {
                *balances.entry(*from).or_default() -= amount;
                *balances.entry(*to).or_default() += amount;
            }
        }
        wrong.extend(traces.keys().map(|number| format!("nobody wrote {number}, and it is there")));
        if balances != stored.accounts {
            wrong.push(format!("the accounts are {:?}, and should be {balances:?}", stored.accounts));
        }
        wrong.extend(cycle(&stored.lists));
        for read in &self.reads {
            verdict.fractured += self.judge_read(read, stored, &mut wrong);
        }
        if wrong.is_empty() { Ok(verdict) } else { Err(wrong) }
    }

    /// What was read of a list must be how the list begins; 1 if the lists do not agree with each other.
    fn judge_read(&self, read: &Read, stored: &Stored, wrong: &mut Vec<String>) -> usize {
        for (list, seen) in &read.lists {
            // Of lists that nobody appended to, nothing is stored.
            if !stored.lists.get(list).map_or(&[][..], Vec::as_slice).starts_with(seen) {
                wrong.push(format!("list {list} was read as {seen:?}, which is not how it begins"));
            }
        }
        let is_torn = |number: &u64| match self.deeds.get(number) {
            Some((Deed::Append { lists }, _)) => {
                let places = lists.iter().filter_map(|list| read.lists.get(list));
                let shown: Vec<bool> = places.map(|seen| seen.contains(number)).collect();
                shown.contains(&true) && shown.contains(&false)
            }
            _ => false,
        };
        let torn = read.lists.values().flatten().find(|number| is_torn(number));
        if let (Some(number), true) = (torn, read.locking) {
            wrong.push(format!("a locking read saw {number} in one list and not in the other: {:?}", read.lists));
        }
        usize::from(torn.is_some())
    }
}

/// Locks are held until the commit, so any two transactions are in the same order in all lists: the order of each list,
/// taken together, must have no circle.
fn cycle(lists: &BTreeMap<u64, Vec<u64>>) -> Option<String> {
    let mut after: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut before: BTreeMap<u64, usize> = BTreeMap::new();
    for numbers in lists.values() {
        for pair in numbers.windows(2) {
            after.entry(pair[0]).or_default().push(pair[1]);
            *before.entry(pair[1]).or_default() += 1;
            before.entry(pair[0]).or_default();
        }
    }
    let mut free: Vec<u64> = before.iter().filter(|(_, count)| **count == 0).map(|(number, _)| *number).collect();
    while let Some(number) = free.pop() {
        before.remove(&number);
        for next in after.get(&number).into_iter().flatten() {
            if let Some(count) = before.get_mut(next) {
                *count -= 1;
                if *count == 0 {
                    free.push(*next);
                }
            }
        }
    }
    (!before.is_empty()).then(|| format!("the lists have no common order: {:?} are in a circle", before.keys()))
}

/// The judge finds what it is for.
#[test]
fn each_kind_of_damage_is_found() {
    let append = |told: Told| (Deed::Append { lists: vec![0, 1] }, told);
    let lists = |zero: &[u64], one: &[u64]| BTreeMap::from([(0, zero.to_vec()), (1, one.to_vec())]);
    let history = |told: [Told; 2]| {
        let [first, second] = told;
        History { deeds: BTreeMap::from([(1, append(first)), (2, append(second))]), reads: Vec::new() }
    };
    use Told::{Committed, Refused, Unknown};
    for (what, told, zero, one, expected) in [
        ("all well", [Committed, Committed], &[1, 2][..], &[1, 2][..], None),
        ("an unknown one", [Committed, Unknown], &[1], &[1], None),
        ("torn", [Committed, Unknown], &[1, 2], &[1], Some("2 is torn")),
        ("lost", [Committed, Committed], &[1], &[1], Some("2 was acknowledged and is lost")),
        ("applied", [Committed, Refused], &[1, 2], &[1, 2], Some("2 was refused and took place")),
        ("twice", [Committed, Committed], &[1, 2, 2], &[1, 2], Some("list 0 has 2 twice")),
        ("a circle", [Committed, Committed], &[1, 2], &[2, 1], Some("no common order")),
        ("from nowhere", [Committed, Refused], &[1, 7], &[1], Some("nobody wrote 7")),
    ] {
        let stored = Stored { lists: lists(zero, one), ..Stored::default() };
        let found = history(told).judge(&stored).err().unwrap_or_default().join("; ");
        assert_eq!(expected.is_some(), !found.is_empty(), "{what}: {found}");
        assert!(found.contains(expected.unwrap_or_default()), "{what}: {found}");
    }
    let stored = Stored { lists: lists(&[1, 2], &[1, 2]), ..Stored::default() };
    for (what, zero, one, locking, expected) in [
        ("the beginning", &[1][..], &[1][..], true, Ok(0)),
        ("no snapshot, without locks", &[1, 2], &[1], false, Ok(1)),
        ("no snapshot, with locks", &[1, 2], &[1], true, Err("a locking read saw 2")),
        ("nothing yet", &[], &[], true, Ok(0)),
        ("not the beginning", &[2], &[2], false, Err("list 0 was read as [2]")),
    ] {
        let read = Read { lists: lists(zero, one), locking };
        let history = History { reads: vec![read], ..history([Committed, Committed]) };
        match (history.judge(&stored), expected) {
            (Ok(verdict), Ok(fractured)) => assert_eq!(verdict.fractured, fractured, "{what}"),
            (Err(found), Err(sentence)) => assert!(found.join("; ").contains(sentence), "{what}: {found:?}"),
            (found, _) => panic!("{what}: {found:?}"),
        }
    }
}
