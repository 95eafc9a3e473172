//! Reading `method = { hash = 8 }` and the like.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Place, did_you_mean};
use crate::document::{Mistakes, Node, Section, listed};
use crate::rules::method::{DateSpan, Dates, HashFunction, Lists, Method, Period, Ranges, Ring, folded};
use crate::rules::shards::MAX_SHARDS;
use crate::value::Key;
use crate::value::moment::Moment;

const NAMES: [&str; 7] = ["mod", "hash", "range", "list", "date", "ring", "hint"];
const MAX_WEIGHT: i128 = 100;
/// A ring has 160 points for each unit of weight, of 16 bytes.
const MAX_TOTAL_WEIGHT: u32 = 4096;

/// The method of one level.
pub(super) fn method(node: &Node<'_>, mistakes: &Mistakes) -> Option<Method> {
    let Some(section) = node.as_section("method") else {
        not_a_table(node, mistakes);
        return None;
    };
    let mut chosen: Vec<(&'static str, Node<'_>)> = NAMES
        .into_iter()
        .filter(|name| section.keys().any(|(key, _)| key == *name))
        .filter_map(|name| Some((name, section.get(name)?)))
        .collect();
    chosen.sort_by(|a, b| a.1.place.cmp(&b.1.place));
    if let [(_, first), (_, second), ..] = &chosen[..] {
        mistakes.add(
            Diagnostic::at(second.place.clone(), "a column has one method", "a second one")
                .related(first.place.clone(), "the first")
                .help("for two columns write a list: `method = [{ hash = 4 }, { date = \"month\", recurring = 12 }]`"),
        );
        return None;
    }
    let Some((name, node)) = chosen.into_iter().next() else {
        for name in NAMES {
            section.get(name);
        }
        section.finish(mistakes);
        if section.keys().next().is_none() {
            let help = format!("name one of {}, such as `method = {{ hash = 8 }}`", listed(NAMES));
            mistakes.add(Diagnostic::at(node.place.clone(), "the method is missing", "").help(help));
        }
        return None;
    };
    let method = match name {
        "mod" => parts(&node, mistakes).map(Method::Mod),
        "hash" => hash(&node, &section, mistakes),
        "range" => range(&node, &section, mistakes),
        "list" => list(&node, &section, mistakes),
        "date" => date(&node, &section, mistakes),
        "ring" => ring(&node, mistakes),
        _ => parts(&node, mistakes).map(Method::Hint),
    };
    section.finish(mistakes);
    let method = method?;
    if method.parts() > MAX_SHARDS {
        let title = format!("{} shards are more than a family may have", method.parts());
        mistakes.add(Diagnostic::at(node.place, title, format!("at most {MAX_SHARDS}")));
        return None;
    }
    Some(method)
}

fn not_a_table(node: &Node<'_>, mistakes: &Mistakes) {
    let Some(text) = node.as_str() else {
        mistakes.add(node.wrong("a table").help("write for example `method = { hash = 8 }`"));
        return;
    };
    let name = did_you_mean(text, NAMES);
    let example = match name {
        Some("range") => "range = [1000000, 2000000]",
        Some("list") => "list = [[\"DE\", \"AT\"], [\"FR\"]]",
        Some("date") => "date = \"month\", recurring = 12",
        Some("mod") => "mod = 8",
        Some("ring") => "ring = 8",
        Some("hint") => "hint = 8",
        _ => "hash = 8",
    };
    let title = if name == Some(text) { "the method says nothing about its shards" } else { "there is no such method" };
    mistakes.add(
        Diagnostic::at(node.place.clone(), title, "")
            .help(format!("write for example `method = {{ {example} }}`"))
            .note(format!("methods are {}", listed(NAMES))),
    );
}

fn parts(node: &Node<'_>, mistakes: &Mistakes) -> Option<u32> {
    node.integer(1, i128::from(MAX_SHARDS), mistakes).map(|parts| parts as u32)
}

fn hash(node: &Node<'_>, section: &Section<'_>, mistakes: &Mistakes) -> Option<Method> {
    let functions = [("xxh3", HashFunction::Xxh3), ("crc32", HashFunction::Crc32)];
    let function = match section.get("with") {
        Some(node) => node.choice(&functions, mistakes),
        None => Some(HashFunction::default()),
    };
    Some(Method::Hash(parts(node, mistakes)?, function?))
}

fn ring(node: &Node<'_>, mistakes: &Mistakes) -> Option<Method> {
    if node.as_integer().is_some() {
        return Some(Method::Ring(Ring::new(vec![1; parts(node, mistakes)? as usize])));
    }
    let Some(members) = node.as_list() else {
        mistakes.add(node.wrong("a number of shards, or a list with the weight of each"));
        return None;
    };
    let weights: Option<Vec<u32>> =
        members.iter().map(|node| node.integer(1, MAX_WEIGHT, mistakes).map(|weight| weight as u32)).collect();
    let weights = weights?;
    if weights.is_empty() || weights.len() > MAX_SHARDS as usize {
        let title = format!("a ring has 1 to {MAX_SHARDS} shards");
        mistakes.add(Diagnostic::at(node.place.clone(), title, format!("these are {}", weights.len())));
        return None;
    }
    let total: u32 = weights.iter().sum();
    if total > MAX_TOTAL_WEIGHT {
        let title = format!("the weights of a ring add up to {total}, more than {MAX_TOTAL_WEIGHT}");
        mistakes.add(Diagnostic::at(node.place.clone(), title, "").help("divide them all by a common factor"));
        return None;
    }
    Some(Method::Ring(Ring::new(weights)))
}

/// Whether there are parts below the first and above the last bound.
fn open(section: &Section<'_>, default: (bool, bool), mistakes: &Mistakes) -> Option<(bool, bool)> {
    let Some(node) = section.get("open") else { return Some(default) };
    match node.as_bool() {
        Some(open) => Some((open, open)),
        None if node.as_str().is_some() => node.choice(&[("below", (true, false)), ("above", (false, true))], mistakes),
        None => {
            mistakes.add(node.wrong("true, false, \"below\" or \"above\""));
            None
        }
    }
}

/// `range = [1000, 2000], open = true`.
fn range(node: &Node<'_>, section: &Section<'_>, mistakes: &Mistakes) -> Option<Method> {
    let open = open(section, (true, true), mistakes);
    let members = node.list(mistakes)?;
    let bounds: Vec<(Key, Place)> =
        members.iter().filter_map(|node| Some((bound(node, mistakes)?, node.place.clone()))).collect();
    let mut ascending = bounds.len() == members.len();
    for pair in bounds.windows(2) {
        let ((low, low_place), (high, high_place)) = (&pair[0], &pair[1]);
        let (title, label) = match low.compare(high) {
            Some(std::cmp::Ordering::Less) => continue,
            Some(_) => ("the bounds of a range must ascend", "not above the one before"),
            None => ("the bounds of a range must be of one type", "of another type than the one before"),
        };
        mistakes.add(Diagnostic::at(high_place.clone(), title, label).related(low_place.clone(), "the one before"));
        ascending = false;
    }
    let (open_below, open_above) = open?;
    if !ascending {
        return None;
    }
    let ranges = Ranges { bounds: bounds.into_iter().map(|(key, _)| key).collect(), open_below, open_above };
    if ranges.bounds.is_empty() || ranges.parts() == 0 {
        let diagnostic = Diagnostic::at(node.place.clone(), "the bounds of the range leave no shard", "");
        mistakes.add(diagnostic.help("n bounds make n + 1 shards, or n - 1 with `open = false`"));
        return None;
    }
    Some(Method::Range(ranges))
}

fn bound(node: &Node<'_>, mistakes: &Mistakes) -> Option<Key> {
    if let Some(value) = node.as_integer() {
        return Some(Key::Int(value));
    }
    if let Some(text) = node.as_str() {
        return listed_text(node, text, mistakes).map(Key::Bytes);
    }
    if node.as_datetime().is_some() {
        return moment(node, mistakes).map(Key::Moment);
    }
    mistakes.add(node.wrong("a whole number, a text or a date"));
    None
}

/// A text as a key; spaces at its end are refused because most columns ignore them.
fn listed_text(node: &Node<'_>, text: &str, mistakes: &Mistakes) -> Option<Vec<u8>> {
    if text.ends_with(' ') {
        mistakes.add(
            Diagnostic::at(node.place.clone(), "a key must not end with a space", "")
                .note("most columns ignore spaces at the end of a text"),
        );
        return None;
    }
    Some(text.as_bytes().to_vec())
}

/// A TOML date, or date and time, without a time zone.
fn moment(node: &Node<'_>, mistakes: &Mistakes) -> Option<Moment> {
    let Some((date, time, offset)) = node.as_datetime().map(|value| (value.date, value.time, value.offset)) else {
        let found = node.as_str().and_then(|text| Moment::parse(text.as_bytes()).map(|_| text));
        let help = match found {
            Some(text) => format!("without quotes: {text}"),
            None => "write it without quotes, such as 2024-01-01".to_owned(),
        };
        mistakes.add(node.wrong("a date").help(help));
        return None;
    };
    let (Some(date), None) = (date, offset) else {
        mistakes.add(
            Diagnostic::at(node.place.clone(), format!("`{}` must be a date without time zone", node.name), "")
                .help("such as 2024-01-01 or 2024-01-01T12:00:00")
                .note("DATE and DATETIME columns have no time zone"),
        );
        return None;
    };
    let mut moment = Moment::date(date.year, date.month, date.day);
    if let Some(time) = time {
        moment.hour = time.hour;
        moment.minute = time.minute;
        moment.second = time.second.unwrap_or(0);
        moment.micros = time.nanosecond.unwrap_or(0) / 1000;
    }
    Some(moment)
}

/// `list = [["DE", "AT"], ["FR"]], default = 2`.
fn list(node: &Node<'_>, section: &Section<'_>, mistakes: &Mistakes) -> Option<Method> {
    let default = match section.get("default") {
        Some(node) => Some(node.integer(0, i128::from(MAX_SHARDS) - 1, mistakes).map(|part| (part as u32, node))?),
        None => None,
    };
    let parts = node.list(mistakes)?;
    let mut lists =
        Lists { integers: BTreeMap::new(), texts: BTreeMap::new(), folded: BTreeMap::new(), listed: 0, default: None };
    let mut seen: BTreeMap<Vec<u8>, Place> = BTreeMap::new();
    let before = mistakes.len();
    for (part, node) in (0..).zip(&parts) {
        let Some(values) = node.as_list() else {
            let help = "write one list for each shard: `list = [[\"DE\", \"AT\"], [\"FR\"]]`";
            mistakes.add(node.wrong("a list of lists").help(help));
            return None;
        };
        for value in values {
            listed_value(&value, part, &mut lists, &mut seen, mistakes);
        }
    }
    lists.listed = parts.len() as u32;
    if let Some((part, node)) = default {
        if part > lists.listed {
            let title = format!("shard {part} cannot be the default");
            let label = format!("shards 0 to {} are listed: the default is one of them or the next", parts.len() - 1);
            mistakes.add(Diagnostic::at(node.place, title, label));
        }
        lists.default = Some(part);
    }
    if lists.parts() == 0 {
        mistakes.add(Diagnostic::at(node.place.clone(), "the list has no shard", ""));
    }
    if !lists.integers.is_empty() && !lists.texts.is_empty() {
        mistakes.add(Diagnostic::at(
            node.place.clone(),
            "the values of a list must be of one type",
            "numbers and texts",
        ));
    }
    (mistakes.len() == before).then_some(Method::List(lists))
}

fn listed_value(
    node: &Node<'_>,
    part: u32,
    lists: &mut Lists,
    seen: &mut BTreeMap<Vec<u8>, Place>,
    mistakes: &Mistakes,
) {
    let shown = if let Some(value) = node.as_integer() {
        lists.integers.insert(value, part);
        format!("{value}")
    } else if let Some(text) = node.as_str() {
        let Some(text) = listed_text(node, text, mistakes) else { return };
        lists.folded.extend(folded(&text).map(|folded| (folded, part)));
        let shown = format!("{:?}", String::from_utf8_lossy(&text));
        lists.texts.insert(text, part);
        shown
    } else {
        mistakes.add(node.wrong("whole numbers or texts"));
        return;
    };
    if let Some(earlier) = seen.insert(shown.clone().into_bytes(), node.place.clone()) {
        let title = format!("{shown} is listed twice");
        mistakes.add(Diagnostic::at(node.place.clone(), title, "again here").related(earlier, "first here"));
    }
}

/// `date = "month", from = 2024-01-01, to = 2026-01-01, open = "above"`, or `date = "month", recurring = 12`.
fn date(node: &Node<'_>, section: &Section<'_>, mistakes: &Mistakes) -> Option<Method> {
    let periods = [
        ("day", Period::Day),
        ("week", Period::Week),
        ("month", Period::Month),
        ("quarter", Period::Quarter),
        ("year", Period::Year),
    ];
    let period = node.choice(&periods, mistakes);
    let open = open(section, (false, false), mistakes);
    let (from, to, recurring) = (section.get("from"), section.get("to"), section.get("recurring"));
    if let (Some(recurring), Some(other)) = (&recurring, from.as_ref().or(to.as_ref()).or(section.get("open").as_ref()))
    {
        let title = format!("`{}` and `recurring` exclude each other", other.name);
        mistakes.add(
            Diagnostic::at(other.place.clone(), title, "")
                .related(recurring.place.clone(), "over and over again")
                .help("keep `recurring`, or write `from` and `to`"),
        );
        return None;
    }
    if let Some(recurring) = recurring {
        let parts = parts(&recurring, mistakes)?;
        return Some(Method::Date(Dates { period: period?, span: DateSpan::Recurring(parts) }));
    }
    let period = period?;
    let (Some(from), Some(to)) = (&from, &to) else {
        let help = "add `from = 2024-01-01, to = 2026-01-01`, or `recurring = 12`";
        let title = "`date` has no `from` and `to`, and is not `recurring`";
        mistakes.add(Diagnostic::at(node.place.clone(), title, "").help(help));
        return None;
    };
    let (first, end) = (limit(from, period, mistakes), limit(to, period, mistakes));
    let (first, end, (open_below, open_above)) = (first?, end?, open?);
    if first >= end {
        mistakes.add(
            Diagnostic::at(to.place.clone(), "`to` must be after `from`", "the first day that has no shard any more")
                .related(from.place.clone(), "the first day that has one"),
        );
        return None;
    }
    let span = DateSpan::Fixed { first, end, open_below, open_above };
    Some(Method::Date(Dates { period, span }))
}

/// The number of the period that begins on a day.
fn limit(node: &Node<'_>, period: Period, mistakes: &Mistakes) -> Option<i64> {
    let moment = moment(node, mistakes)?;
    if !moment.is_midnight() || !period.begins(moment) {
        let first = match period {
            Period::Day => "a day without a time",
            Period::Week => "a Monday",
            Period::Month => "the first day of a month",
            Period::Quarter => "the first day of January, April, July or October",
            Period::Year => "the first of January",
        };
        let title = format!("`{}` is not where a period begins", node.name);
        mistakes.add(Diagnostic::at(node.place.clone(), title, format!("must be {first}")));
        return None;
    }
    Some(period.number(moment))
}
