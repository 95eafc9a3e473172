//! What must hold for any rows: merging chunks of them is what one server does with all of them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A row with values of three types, any of which may be NULL.
#[derive(Clone, Debug)]
struct Values {
    int: Option<i32>,
    cents: Option<i64>,
    name: Option<String>,
}

/// Columns of [`Values`], with a number that tells rows apart, and the hidden weight of the name: without case.
const COLUMNS: &str = "id:int int:int cents:dec2 name:text weight:bytes";

impl Values {
    fn row(&self, id: usize) -> String {
        let name = self.name.clone();
        let weight = show(name.as_ref().map(|name| name.to_uppercase()));
        format!("{id}|{}|{}|{}|{weight}", show(self.int), show(self.cents.map(cents)), show(name))
    }

    /// By these columns (1 to 3), each ascending or descending.
    fn compare(&self, other: &Values, keys: &[(u16, bool)]) -> Ordering {
        let by = |column| match column {
            1 => self.int.cmp(&other.int),
            2 => self.cents.cmp(&other.cents),
            _ => self.upper().cmp(&other.upper()),
        };
        keys.iter().fold(Ordering::Equal, |so_far, &(column, desc)| {
            so_far.then_with(|| if desc { by(column).reverse() } else { by(column) })
        })
    }

    fn upper(&self) -> Option<String> {
        self.name.as_ref().map(|name| name.to_uppercase())
    }
}

fn show(value: Option<impl ToString>) -> String {
    value.map_or("null".to_owned(), |value| value.to_string())
}

fn cents(cents: i64) -> String {
    format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100)
}

fn values() -> impl Strategy<Value = Values> {
    let int = prop::option::weighted(0.8, prop_oneof![-3..4_i32, any::<i32>()]);
    let cents = prop::option::weighted(0.8, prop_oneof![-200..200_i64, -10_i64.pow(15)..10_i64.pow(15)]);
    let name = prop::option::weighted(0.8, "[abAB\\x00\u{1}]{0,3}");
    (int, cents, name).prop_map(|(int, cents, name)| Values { int, cents, name })
}

fn keys() -> impl Strategy<Value = Vec<(u16, bool)>> {
    prop::collection::vec((1..4_u16, any::<bool>()), 1..4)
}

fn sort_keys(keys: &[(u16, bool)]) -> Vec<SortKey> {
    let key = |&(column, desc): &(u16, bool)| match column {
        3 => SortKey { desc, ..weighed(3, 0) },
        _ => SortKey { desc, ..asc(column) },
    };
    keys.iter().map(key).collect()
}

/// Rows of up to five sources.
fn sources() -> impl Strategy<Value = Vec<Vec<Values>>> {
    prop::collection::vec(prop::collection::vec(values(), 0..12), 1..6)
}

fn arrival() -> impl Strategy<Value = Arrival> {
    prop_oneof![
        Just(Arrival::Wanted),
        Just(Arrival::Early),
        prop::collection::vec(any::<u8>(), 1..40).prop_map(|mut dice| {
            dice.push(1);
            Arrival::Random(dice)
        }),
    ]
}

fn form() -> impl Strategy<Value = RowForm> {
    prop_oneof![Just(RowForm::Text), Just(RowForm::Binary)]
}

/// Each source sorted by the keys, its rows numbered through all sources.
fn sorted(sources: &[Vec<Values>], keys: &[(u16, bool)]) -> Vec<Vec<(Values, String)>> {
    let mut id = 0;
    let mut number = |values: Values| {
        id += 1;
        let row = values.row(id);
        (values, row)
    };
    let sort = |source: &Vec<Values>| {
        let mut source = source.clone();
        source.sort_by(|a, b| a.compare(b, keys));
        source.into_iter().map(&mut number).collect()
    };
    sources.iter().map(sort).collect()
}

fn texts(sources: &[Vec<(Values, String)>]) -> Vec<Vec<String>> {
    sources.iter().map(|source| source.iter().map(|(_, row)| row.clone()).collect()).collect()
}

/// A row without its hidden column.
fn visible(row: &str) -> String {
    row.rsplit_once('|').unwrap().0.to_owned()
}

proptest! {
    #[test]
    fn merging_sorted_chunks_is_sorting_the_whole(
        sources in sources(), keys in keys(), form in form(), arrival in arrival(), window in any::<Option<(u8, u8)>>(),
    ) {
        let sources = sorted(&sources, &keys);
        let mut whole: Vec<_> = sources.concat();
        whole.sort_by(|(a, _), (b, _)| a.compare(b, &keys));
        let (skip, take) = window.map_or((0, usize::MAX), |(skip, take)| (usize::from(skip) % 20, usize::from(take) % 20));
        let expected: Vec<_> = whole.iter().skip(skip).take(take).map(|(_, row)| visible(row)).collect();
        let case = Case::new(COLUMNS, Merge { hidden: 1, ..by(&sort_keys(&keys)) }).window(skip as u64, take as u64);
        prop_assert_eq!(case.run(&texts(&sources), form, &arrival).unwrap(), expected);
    }

    #[test]
    fn of_equal_rows_the_first_stays(
        sources in sources(), keys in keys(), form in form(), arrival in arrival(),
    ) {
        let sources = sorted(&sources, &keys);
        let mut whole: Vec<_> = sources.concat();
        whole.sort_by(|(a, _), (b, _)| a.compare(b, &keys));
        whole.dedup_by(|(later, _), (first, _)| later.compare(first, &keys).is_eq());
        let expected: Vec<_> = whole.iter().map(|(_, row)| visible(row)).collect();
        let case = Case::new(COLUMNS, Merge { hidden: 1, ..distinct(&sort_keys(&keys)) });
        prop_assert_eq!(case.run(&texts(&sources), form, &arrival).unwrap(), expected);
    }

    #[test]
    fn a_sort_of_merged_rows_is_a_sort_of_the_whole(
        sources in sources(), keys in keys(), sort in keys(), form in form(), arrival in arrival(), take in 0..20_u64,
    ) {
        let sources = sorted(&sources, &keys);
        let mut whole: Vec<_> = sources.concat();
        whole.sort_by(|(a, _), (b, _)| a.compare(b, &keys));
        whole.sort_by(|(a, _), (b, _)| a.compare(b, &sort));
        let expected: Vec<_> = whole.iter().take(take as usize).map(|(_, row)| visible(row)).collect();
        let merge = Merge { hidden: 1, sort: sort_keys(&sort).into(), ..by(&sort_keys(&keys)) };
        let case = Case::new(COLUMNS, merge).window(0, take);
        prop_assert_eq!(case.run(&texts(&sources), form, &arrival).unwrap(), expected);
    }

    #[test]
    fn a_sort_keeps_the_first_rows_of_many(numbers in prop::collection::vec(0..500_i32, 2000..4000), skip in 0..9_usize, take in 1..9_usize) {
        let rows: Vec<String> = numbers.iter().enumerate().map(|(id, number)| format!("{id}|{number}")).collect();
        let mut whole: Vec<_> = numbers.iter().zip(&rows).collect();
        whole.sort_by_key(|(number, _)| **number);
        let expected: Vec<_> = whole.iter().skip(skip).take(take).map(|(_, row)| (*row).clone()).collect();
        let merge = Merge { sort: [asc(1)].into(), ..Merge::default() };
        let case = Case::new("id:int number:int", merge).window(skip as u64, take as u64);
        prop_assert_eq!(case.run(&[rows], RowForm::Text, &Arrival::Wanted).unwrap(), expected);
    }

    #[test]
    fn folding_chunks_is_folding_the_whole(
        sources in sources(), keyed in any::<bool>(), form in form(), arrival in arrival(),
    ) {
        let group = |values: &Values| if keyed { values.upper() } else { None };
        let whole = Group::all(sources.concat(), group);
        let expected: Vec<_> = whole.values().map(|group| visible(&group.row(true))).collect();
        let chunks: Vec<Vec<String>> = sources
            .into_iter()
            .map(|source| Group::all(source, group).values().map(|group| group.row(false)).collect())
            .collect();
        let aggregates = [
            Aggregate::Sum,
            Aggregate::Sum,
            Aggregate::Sum,
            Aggregate::Min(asc(3)),
            Aggregate::Max(asc(4)),
            Aggregate::BitXor,
            Aggregate::Average { sum: Cell::Item(2), count: Cell::Item(1) },
            Aggregate::Any,
        ];
        let group_keys = [SortKey { value: Cell::Hidden(0), weight: None, pad: None, desc: false }];
        let merge = Merge { hidden: 1, ..fold(if keyed { &group_keys } else { &[] }, &aggregates) };
        let case = Case::new("rows:big n:big sum:dec2 least:int most:int bits:ubig avg:dec6 group:bytes", merge);
        prop_assert_eq!(case.run(&chunks, form, &arrival).unwrap(), expected);
    }

    #[test]
    fn arbitrary_bytes_are_an_error_or_an_answer(
        row in prop::collection::vec(any::<u8>(), 0..40), form in form(), folded in any::<bool>(),
    ) {
        let keys = sort_keys(&[(3, false), (1, true), (2, false)]);
        let any = [Aggregate::Any, Aggregate::Sum, Aggregate::Sum, Aggregate::Any, Aggregate::Any];
        let merge = Merge { hidden: 1, ..if folded { fold(&keys, &any) } else { by(&keys) } };
        let mut merger = Case::new(COLUMNS, merge).merger(1, form).unwrap();
        merger.row(0, &row).unwrap();
        merger.end(0);
        let mut out = Vec::new();
        while let Ok(Step::Row) = merger.next(&mut out) {}
    }
}

/// What a server says of a group.
#[derive(Default)]
struct Group {
    name: Option<String>,
    rows: i64,
    n: i64,
    cents: Option<i64>,
    least: Option<i32>,
    most: Option<i32>,
    bits: u64,
}

impl Group {
    fn all(rows: Vec<Values>, key: impl Fn(&Values) -> Option<String>) -> BTreeMap<Option<String>, Group> {
        let mut groups: BTreeMap<Option<String>, Group> = BTreeMap::new();
        for values in rows {
            let group = groups.entry(key(&values)).or_default();
            group.name = key(&values);
            group.rows += 1;
            group.bits ^= values.int.unwrap_or(0) as u64;
            group.least = group.least.into_iter().chain(values.int).min();
            group.most = group.most.max(values.int);
            if let Some(cents) = values.cents {
                group.n += 1;
                group.cents = Some(group.cents.unwrap_or(0) + cents);
            }
        }
        groups
    }

    /// With the right average, or one that must not count.
    fn row(&self, averaged: bool) -> String {
        let average = self.cents.map(|cents| if averaged { average(cents, self.n) } else { "7.000000".to_owned() });
        let cells =
            [show(self.cents.map(cents)), show(self.least), show(self.most), self.bits.to_string(), show(average)];
        format!("{}|{}|{}|{}", self.rows, self.n, cells.join("|"), show(self.name.clone()))
    }
}

/// Of hundredths, with six decimals: cut to nine decimals and then rounded half away from zero.
fn average(cents: i64, n: i64) -> String {
    let billionths = i128::from(cents) * 10_000_000 / i128::from(n);
    let millionths = (billionths.abs() + 500) / 1000;
    let sign = if billionths < 0 && millionths > 0 { "-" } else { "" };
    format!("{sign}{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
}
