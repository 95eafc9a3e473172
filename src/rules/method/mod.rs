//! Methods: from a key to the number of a part, and from a range of keys to a set of parts. What a value is to a
//! column is decided before (`value::key`), where a part lies is decided after (`Family`).

mod date;
mod hash;
mod list;
mod modulo;
mod range;
mod ring;

use std::ops::Bound;

use crate::rules::shards::Shards;
use crate::value::collation::{Collation, Rule};
use crate::value::{Key, KeyKind};

pub use date::{DateSpan, Dates, Period};
pub use hash::HashFunction;
pub use list::Lists;
pub(crate) use list::folded;
pub use range::Ranges;
pub use ring::Ring;

/// Ranges of whole numbers up to this long are looked at number by number, where a method knows no order.
const ENUMERATED: i128 = 1000;

/// How keys are mapped to parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// Remainder of a whole number.
    Mod(u32),
    /// Hash of the key's bytes.
    Hash(u32, HashFunction),
    /// Bounds in ascending order.
    Range(Ranges),
    /// Keys listed by hand.
    List(Lists),
    /// Periods of time.
    Date(Dates),
    /// Consistent hashing.
    Ring(Ring),
    /// So many parts; which one, only a hint in the statement says.
    Hint(u32),
}

impl Method {
    /// How many parts there are.
    pub fn parts(&self) -> u32 {
        match self {
            Method::Mod(parts) | Method::Hash(parts, _) | Method::Hint(parts) => *parts,
            Method::Range(ranges) => ranges.parts(),
            Method::List(lists) => lists.parts(),
            Method::Date(dates) => dates.parts(),
            Method::Ring(ring) => ring.parts(),
        }
    }

    /// The part of a key; none if no part has it.
    pub fn route(&self, key: &Key) -> Option<u32> {
        match self {
            Method::Mod(parts) => modulo::route(*parts, key),
            Method::Hash(parts, function) => Some(hash::route(*parts, *function, key)),
            Method::Range(ranges) => ranges.route(key),
            Method::List(lists) => lists.route(key),
            Method::Date(dates) => dates.route(key),
            Method::Ring(ring) => ring.route(key),
            Method::Hint(_) => None,
        }
    }

    /// The parts that can have keys of a range.
    pub fn route_range(&self, low: Bound<&Key>, high: Bound<&Key>) -> Shards {
        match self {
            Method::Range(ranges) => ranges.route_range(low, high),
            Method::Date(dates) => dates.route_range(low, high),
            Method::Mod(_) | Method::Hash(..) | Method::Ring(_) | Method::List(_) => match whole_numbers(low, high) {
                Some((first, last)) => (first..=last).filter_map(|key| self.route(&Key::Int(key))).collect(),
                None => Shards::all(self.parts()),
            },
            Method::Hint(parts) => Shards::all(*parts),
        }
    }

    /// Whether a column of this type can be a key of this method; else why not, as the end of a sentence.
    pub fn accepts(&self, kind: &KeyKind) -> Result<(), String> {
        let integer = matches!(kind, KeyKind::Int { .. } | KeyKind::Year);
        if let KeyKind::Str { collation, .. } = kind
            && collation.rule == Rule::Unknown
        {
            return Err("has a collation whose equality is not known here; give it a _bin collation".into());
        }
        match self {
            Method::Mod(_) if !integer => Err("is not a whole number, which `mod` needs; use `hash`".into()),
            Method::Range(ranges) => match ranges.bounds.first() {
                Some(Key::Int(_) | Key::Decimal(_)) if integer || matches!(kind, KeyKind::Decimal { .. }) => Ok(()),
                Some(Key::Moment(_)) if matches!(kind, KeyKind::Date | KeyKind::DateTime { .. }) => Ok(()),
                Some(Key::Bytes(_)) if matches!(kind, KeyKind::Str { .. }) && !kind.is_ordered() => {
                    Err("is not ordered by its bytes, which `range` over texts needs; give it the collation \
                         utf8mb4_bin"
                        .into())
                }
                Some(Key::Bytes(_)) if matches!(kind, KeyKind::Str { .. } | KeyKind::Bytes { .. }) => Ok(()),
                _ => Err("has another type than the bounds of `range`".into()),
            },
            Method::Date(_) if !matches!(kind, KeyKind::Date | KeyKind::DateTime { .. }) => {
                Err("is neither DATE nor DATETIME, which `date` needs".into())
            }
            Method::List(lists) => accepts_list(lists, kind),
            _ => Ok(()),
        }
    }
}

fn accepts_list(lists: &Lists, kind: &KeyKind) -> Result<(), String> {
    let texts = matches!(kind, KeyKind::Str { .. } | KeyKind::Bytes { .. });
    if (texts && !lists.integers.is_empty()) || (!texts && !lists.texts.is_empty()) {
        return Err("has another type than the values of `list`".into());
    }
    let folds = matches!(kind, KeyKind::Str { collation: Collation { rule: Rule::Folded(_), .. }, .. });
    match lists.folded_clash() {
        Some((a, b)) if folds => Err(format!("may take {a:?} and {b:?} for equal, which `list` puts on two shards")),
        _ if folds && lists.texts.keys().any(|text| !text.is_ascii()) => {
            Err("folds its texts, and `list` has some outside ASCII; give it a _bin collation".into())
        }
        _ => Ok(()),
    }
}

/// The first and the last whole number of a range, if there are few.
fn whole_numbers(low: Bound<&Key>, high: Bound<&Key>) -> Option<(i128, i128)> {
    let first = match low {
        Bound::Included(Key::Int(value)) => *value,
        Bound::Excluded(Key::Int(value)) => value.checked_add(1)?,
        _ => return None,
    };
    let last = match high {
        Bound::Included(Key::Int(value)) => *value,
        Bound::Excluded(Key::Int(value)) => value.checked_sub(1)?,
        _ => return None,
    };
    (last.checked_sub(first)? < ENUMERATED).then_some((first, last))
}
