//! A TOML document read field by field; what is wrong is noted with its place and reading goes on.
//! It knows the forms that values have (addresses, durations, sizes), not what they are for.

use std::borrow::Cow;
use std::cell::RefCell;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Place, Source, did_you_mean};

/// A parsed file.
#[derive(Debug)]
pub struct Document<'a> {
    /// Number of the source.
    file: usize,
    /// Everything in it.
    table: DeTable<'a>,
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub struct Mistakes {
    found: RefCell<Vec<Diagnostic>>,
}

/// A value with its place and its name.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// What it is called, such as `primary` or `group.g0`.
    pub name: String,
    /// Where the value stands.
    pub place: Place,
    value: &'a DeValue<'a>,
}

/// A table being read: what is asked for is known, what is left over at the end is a mistake.
#[derive(Debug)]
pub struct Section<'a> {
    /// What it is called, such as `group.g0`; empty for the whole file.
    pub name: String,
    /// The last part of that, such as `g0`.
    pub key: String,
    /// Where its name stands.
    pub place: Place,
    table: &'a DeTable<'a>,
    asked: RefCell<Vec<&'static str>>,
    file: usize,
}

impl Mistakes {
    /// Notes one.
    pub fn add(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().push(diagnostic);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.found.borrow().len()
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.found.into_inner()
    }
}

impl<'a> Document<'a> {
    /// Parses source number `file`; what is not TOML is noted.
    pub fn parse(file: usize, source: &'a Source, mistakes: &Mistakes) -> Document<'a> {
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        // What follows a first error often follows from it; a key given twice does not.
        let mut broken = false;
        for error in errors {
            let twice = error.message().contains("duplicate key");
            if !twice && std::mem::replace(&mut broken, true) {
                continue;
            }
            let end = source.text.len();
            let place = Place::new(file, error.span().unwrap_or(end..end));
            let title = format!("this is not TOML: {}", error.message());
            mistakes.add(Diagnostic::at(place, title, ""));
        }
        Document { file, table: table.into_inner() }
    }

    /// The whole file as a section.
    pub fn root(&'a self) -> Section<'a> {
        let place = Place::new(self.file, 0..0);
        Section::new("", place, &self.table)
    }
}

impl<'a> Section<'a> {
    fn new(name: &str, place: Place, table: &'a DeTable<'a>) -> Section<'a> {
        let (name, file) = (name.to_owned(), place.file);
        Section { key: name.clone(), name, place, table, asked: RefCell::default(), file }
    }

    /// The value of a key, if it is there.
    pub fn get(&self, key: &'static str) -> Option<Node<'a>> {
        self.asked.borrow_mut().push(key);
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| Node {
            name: key.to_owned(),
            place: Place::new(self.file, value.span()),
            value: value.get_ref(),
        })
    }

    /// The value of a key that has to be there; `example` shows one.
    pub fn require(&self, key: &'static str, example: &str, mistakes: &Mistakes) -> Option<Node<'a>> {
        let node = self.get(key);
        if node.is_none() {
            let title = format!("`{}` has no `{key}`", self.name);
            mistakes.add(Diagnostic::at(self.place.clone(), title, "").help(format!("add `{key} = {example}`")));
        }
        node
    }

    /// The tables under a key that names things, such as `group` in `[group.g0]`, in the file's order.
    pub fn named(&self, key: &'static str, mistakes: &Mistakes) -> Vec<Section<'a>> {
        let entries = self.entries(key, mistakes);
        entries
            .into_iter()
            .filter_map(|(name, place, node)| {
                let mut section = node.section(&format!("{}.{name}", self.path(key)), mistakes)?;
                section.place = place;
                section.key = name.to_owned();
                Some(section)
            })
            .collect()
    }

    /// The names under a key, each with its place and its value, in the file's order.
    pub fn entries(&self, key: &'static str, mistakes: &Mistakes) -> Vec<(&'a str, Place, Node<'a>)> {
        let Some(node) = self.get(key) else { return Vec::new() };
        let Some(section) = node.section(key, mistakes) else { return Vec::new() };
        let mut entries: Vec<(&str, Place, Node<'a>)> = section
            .table
            .iter()
            .map(|(name, value)| {
                let node = Node {
                    name: format!("{}.{}", self.path(key), name.get_ref()),
                    place: Place::new(self.file, value.span()),
                    value: value.get_ref(),
                };
                (name.get_ref().as_ref(), Place::new(self.file, name.span()), node)
            })
            .collect();
        entries.sort_by(|a, b| a.1.cmp(&b.1));
        entries
    }

    /// The keys that are there, each with its place.
    pub fn keys(&self) -> impl Iterator<Item = (&'a str, Place)> {
        self.table.keys().map(|key| (key.get_ref().as_ref(), Place::new(self.file, key.span())))
    }

    /// Notes every key that nothing has asked for.
    pub fn finish(&self, mistakes: &Mistakes) {
        let asked = self.asked.borrow();
        for (key, place) in self.keys().filter(|(key, _)| !asked.contains(key)) {
            let title = match self.name.as_str() {
                "" => format!("unknown key `{key}`"),
                name => format!("unknown key `{key}` in `{name}`"),
            };
            let diagnostic = Diagnostic::at(place, title, "");
            mistakes.add(match did_you_mean(key, asked.iter().copied()) {
                Some(right) => diagnostic.help(format!("did you mean `{right}`?")),
                None if asked.is_empty() => diagnostic,
                None => diagnostic.help(format!("known here: {}", listed(asked.iter().copied()))),
            });
        }
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

impl<'a> Node<'a> {
    /// A mistake about this value: `expected` is what it should have been.
    pub fn wrong(&self, expected: &str) -> Diagnostic {
        let title = format!("`{}` must be {expected}", self.name);
        Diagnostic::at(self.place.clone(), title, format!("this is {}", self.kind()))
    }

    /// What the value is, in words.
    pub fn kind(&self) -> &'static str {
        match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(match text {
                Cow::Borrowed(text) => text,
                Cow::Owned(text) => text.as_str(),
            }),
            _ => None,
        }
    }

    /// The integer, if it is one that fits.
    pub fn as_integer(&self) -> Option<i128> {
        match self.value {
            DeValue::Integer(integer) => i128::from_str_radix(integer.as_str(), integer.radix()).ok(),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The date and time, if it is one.
    pub fn as_datetime(&self) -> Option<toml::value::Datetime> {
        match self.value {
            DeValue::Datetime(value) => Some(*value),
            _ => None,
        }
    }

    /// The members of a list, if it is one.
    pub fn as_list(&self) -> Option<Vec<Node<'a>>> {
        match self.value {
            DeValue::Array(list) => Some(
                list.iter()
                    .map(|value| Node {
                        name: self.name.clone(),
                        place: Place::new(self.place.file, value.span()),
                        value: value.get_ref(),
                    })
                    .collect(),
            ),
            _ => None,
        }
    }

    /// The table, if it is one, to be read as the section `name`.
    pub fn as_section(&self, name: &str) -> Option<Section<'a>> {
        match self.value {
            DeValue::Table(table) => Some(Section::new(name, self.place.clone(), table)),
            _ => None,
        }
    }

    /// A string.
    pub fn string(&self, mistakes: &Mistakes) -> Option<&'a str> {
        self.noted(self.as_str(), "a string", mistakes)
    }

    /// A string that is not empty.
    pub fn word(&self, mistakes: &Mistakes) -> Option<&'a str> {
        let text = self.string(mistakes)?;
        if text.is_empty() {
            mistakes.add(Diagnostic::at(self.place.clone(), format!("`{}` must not be empty", self.name), ""));
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    pub fn boolean(&self, mistakes: &Mistakes) -> Option<bool> {
        self.noted(self.as_bool(), "true or false", mistakes)
    }

    /// An integer from `low` to `high`.
    pub fn integer(&self, low: i128, high: i128, mistakes: &Mistakes) -> Option<i128> {
        let value = self.noted(self.as_integer(), "an integer", mistakes)?;
        self.bounded(value, low..=high, &format!("{low} to {high}"), mistakes)
    }

    /// A list.
    pub fn list(&self, mistakes: &Mistakes) -> Option<Vec<Node<'a>>> {
        self.noted(self.as_list(), "a list", mistakes)
    }

    /// A list of strings; members that are none are noted and left out.
    pub fn strings(&self, mistakes: &Mistakes) -> Option<Vec<(&'a str, Place)>> {
        let members = self.noted(self.as_list(), "a list of strings", mistakes)?;
        Some(members.iter().filter_map(|node| Some((node.word(mistakes)?, node.place.clone()))).collect())
    }

    /// A table, to be read as the section `name`.
    pub fn section(&self, name: &str, mistakes: &Mistakes) -> Option<Section<'a>> {
        self.noted(self.as_section(name), "a table", mistakes)
    }

    /// One of some words.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)], mistakes: &Mistakes) -> Option<T> {
        let text = self.string(mistakes)?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let names = || choices.iter().map(|(name, _)| *name);
        let title = format!("`{}` cannot be {text:?}", self.name);
        let diagnostic = Diagnostic::at(self.place.clone(), title, format!("one of {}", listed(names())));
        mistakes.add(match did_you_mean(text, names()) {
            Some(right) => diagnostic.help(format!("did you mean {right:?}?")),
            None => diagnostic,
        });
        None
    }

    /// A duration such as `"200ms"`, `"30s"`, `"5m"`, `"8h"`, from `low` to `high`.
    pub fn duration(&self, low: Duration, high: Duration, mistakes: &Mistakes) -> Option<Duration> {
        let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        let Some(value) = self.as_str().and_then(|text| measured(text, &units)) else {
            mistakes.add(self.unread("a duration").help("write a whole number and ms, s, m, h or d, such as \"30s\""));
            return None;
        };
        let range = format!("{} to {}", show_duration(low), show_duration(high));
        self.bounded(Duration::from_millis(value), low..=high, &range, mistakes)
    }

    /// A size such as `"64MiB"`, `"16KiB"`, from `low` to `high` bytes.
    pub fn size(&self, low: usize, high: usize, mistakes: &Mistakes) -> Option<usize> {
        let units = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("kB", 1000), ("MB", 1_000_000)];
        let Some(value) = self.as_str().and_then(|text| measured(text, &units)) else {
            mistakes.add(self.unread("a size").help("write a whole number and B, KiB, MiB or GiB, such as \"64MiB\""));
            return None;
        };
        let range = format!("{} to {}", show_size(low), show_size(high));
        self.bounded(usize::try_from(value).unwrap_or(usize::MAX), low..=high, &range, mistakes)
    }

    /// Like [`Node::wrong`] where a string was right, but not this one.
    fn unread(&self, expected: &str) -> Diagnostic {
        match self.as_str() {
            Some(_) => Diagnostic::at(self.place.clone(), format!("`{}` must be {expected}", self.name), "not one"),
            None => self.wrong(expected),
        }
    }

    fn noted<T>(&self, value: Option<T>, expected: &str, mistakes: &Mistakes) -> Option<T> {
        if value.is_none() {
            mistakes.add(self.wrong(expected));
        }
        value
    }

    fn bounded<T: PartialOrd>(
        &self,
        value: T,
        range: std::ops::RangeInclusive<T>,
        shown: &str,
        mistakes: &Mistakes,
    ) -> Option<T> {
        if range.contains(&value) {
            return Some(value);
        }
        let title = format!("`{}` is out of bounds", self.name);
        mistakes.add(Diagnostic::at(self.place.clone(), title, format!("allowed: {shown}")));
        None
    }
}

/// A number of things: `1 shard`, `2 shards`.
pub fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Words as a list in a sentence: `` `a`, `b` ``.
pub fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// A whole number with a unit, in the smallest unit.
fn measured(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// A duration as it would be written in a file.
pub fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    match units.iter().find(|(factor, _)| ms >= *factor && ms.is_multiple_of(*factor)) {
        Some((factor, unit)) => format!("{}{unit}", ms / factor),
        None => format!("{ms}ms"),
    }
}

/// A size as it would be written in a file.
pub fn show_size(bytes: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(factor, _)| bytes >= *factor && bytes.is_multiple_of(*factor)) {
        Some((factor, unit)) => format!("{}{unit}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units() {
        let units = [("ms", 1), ("s", 1000)];
        assert_eq!(measured("200ms", &units), Some(200));
        assert_eq!(measured("3 s", &units), Some(3000));
        assert_eq!(measured("3", &units), None);
        assert_eq!(measured("s", &units), None);
        assert_eq!(measured("-1s", &units), None);
        assert_eq!(measured("99999999999999999999s", &units), None);
    }

    #[test]
    fn shown_as_written() {
        assert_eq!(show_duration(Duration::from_secs(8 * 3600)), "8h");
        assert_eq!(show_duration(Duration::from_millis(1500)), "1500ms");
        assert_eq!(show_duration(Duration::ZERO), "0ms");
        assert_eq!(show_size(64 << 20), "64MiB");
        assert_eq!(show_size(1000), "1000B");
    }
}
