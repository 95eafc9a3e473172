//! Which shards a statement with given values needs: conditions on sharding keys, made once, evaluated each time.
//! It knows the rules' methods only by their answers.

use crate::plan::slot::Slot;
use crate::rules::{FamilyId, GroupId};
use crate::value::KeyKind;

/// How the values of a statement choose its shards.
#[derive(Clone, Debug, PartialEq)]
pub struct Routing {
    /// The family of all sharded tables in the statement.
    pub family: FamilyId,
    /// The key columns that conditions and rows speak of.
    pub keys: Box<[KeyColumn]>,
    /// What is asked of them.
    pub by: By,
    /// A single table is in the statement too: the shards must be on its group.
    pub group: Option<GroupId>,
    /// The shard that a hint names; conditions are then not asked.
    pub shard: Option<u32>,
    /// Values that an UPDATE gives to key columns: rows must stay on the shard where they are.
    pub assigned: Box<[(u8, Slot)]>,
    /// The values that an INSERT gives to an AUTO_INCREMENT column, none of which may be NULL or 0: each server would
    /// number its rows by itself.
    pub numbered: Box<[Slot]>,
}

/// What chooses shards.
#[derive(Clone, Debug, PartialEq)]
pub enum By {
    /// One condition for each set of table references whose rows must be together with no other's: all of them need
    /// the same single shard, or if there is just one, any number of shards.
    Conditions(Box<[Condition]>),
    /// Rows to be stored: for each row its value for each of `keys`.
    Rows(Box<[Slot]>, OnNull),
}

/// What NULL for a sharding column that has none comes to in an INSERT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNull {
    /// Error 1048.
    Fails,
    /// Another value, with a warning: behind IGNORE, and among several rows in modes that are not strict.
    Changes,
}

/// A sharding key column of a table reference.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyColumn {
    /// How the statement calls it: `label.column`.
    pub label: Box<str>,
    /// Which level of the family's rule it is for.
    pub level: u8,
    /// How its values are compared.
    pub kind: KeyKind,
    /// It may be NULL.
    pub nullable: bool,
}

/// What the rows that matter have in their key columns: a claim that may be weaker than the truth, never stronger.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Nothing is known.
    All,
    /// No row matters.
    None,
    /// `key = value`.
    Eq {
        /// Number among `Routing::keys`.
        key: u8,
        /// The value.
        value: Slot,
    },
    /// `key <=> value`: nothing is known if the value is NULL.
    NullSafeEq {
        /// Number among `Routing::keys`.
        key: u8,
        /// The value.
        value: Slot,
    },
    /// `key IN (values)`.
    In {
        /// Number among `Routing::keys`.
        key: u8,
        /// The values.
        values: Box<[Slot]>,
    },
    /// Between bounds, each with whether it is included.
    Range {
        /// Number among `Routing::keys`.
        key: u8,
        /// The lower bound.
        low: Option<(Slot, bool)>,
        /// The upper bound.
        high: Option<(Slot, bool)>,
    },
    /// All of them.
    And(Box<[Condition]>),
    /// One of them.
    Or(Box<[Condition]>),
}

impl Condition {
    /// That all of `conditions` hold.
    pub fn all_of(conditions: impl IntoIterator<Item = Condition>) -> Condition {
        let mut all = Vec::new();
        for condition in conditions {
            match condition {
                Condition::All => {}
                Condition::None => return Condition::None,
                Condition::And(inner) => all.extend(inner),
                other => all.push(other),
            }
        }
        all.dedup();
        match all.len() {
            0 => Condition::All,
            1 => all.remove(0),
            _ => Condition::And(all.into()),
        }
    }

    /// That one of `conditions` holds.
    pub fn any_of(conditions: impl IntoIterator<Item = Condition>) -> Condition {
        let mut any = Vec::new();
        for condition in conditions {
            match condition {
                Condition::All => return Condition::All,
                Condition::None => {}
                Condition::Or(inner) => any.extend(inner),
                other => any.push(other),
            }
        }
        any.dedup();
        match any.len() {
            0 => Condition::None,
            1 => any.remove(0),
            _ => Condition::Or(any.into()),
        }
    }
}

impl KeyColumn {
    /// The column's own name.
    pub fn column(&self) -> &str {
        self.label.rsplit('.').next().unwrap_or(&self.label)
    }
}
