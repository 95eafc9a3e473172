//! The plan cache: plans by the text between a statement's literals and by all that changes its meaning, within a bound
//! on memory. It makes no plans.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use twox_hash::XxHash3_128;

use crate::plan::ahead::{Ahead, Prior};
use crate::plan::gather::{Gather, Pulled, Source, Twin};
use crate::plan::joined::{Given, Joined, Written};
use crate::plan::merge::{Combine, Merge};
use crate::plan::route::{By, Condition, Routing};
use crate::plan::text::{Part, Text};
use crate::plan::upkeep::{Change, Kept, Upkeep};
use crate::plan::{Many, Plan, Planned};
use crate::rules::catalog::ColumnInfo;
use crate::sql::scan::Scan;
use crate::sql::splice::Edit;

/// What a plan is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanKey {
    /// [`Scan::key`].
    pub text: u128,
    /// A number that stands for default schema, sql_mode, character set, flavour and server version: equal numbers,
    /// equal facts. Whoever hands them out keeps them apart.
    pub session: u64,
    /// [`crate::rules::RuleSet::version`].
    pub rules: u64,
    /// The version of the catalog.
    pub catalog: u64,
}

/// An entry's key: the text, and for plans that hang on values the hash of these.
#[derive(Clone, Copy, PartialEq, Eq)]
struct EntryKey {
    key: PlanKey,
    pinned: u128,
}

/// The text's number is a seeded hash already: nothing is gained by hashing it again.
impl Hash for EntryKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let PlanKey { text, session, rules, catalog } = self.key;
        let versions = rules.rotate_left(32) ^ catalog.rotate_left(48);
        state.write_u64(text as u64 ^ session ^ versions ^ self.pinned as u64);
    }
}

/// Takes a number for its hash.
#[derive(Clone, Copy, Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What is found under a key.
#[derive(Clone)]
enum Entry {
    /// A plan for all values.
    Plan(Arc<Planned>),
    /// Each set of values of these literals has a plan of its own.
    Pinned(Arc<[u32]>),
}

/// Weighs entries in bytes.
#[derive(Clone)]
struct Bytes;

/// Plans in memory, bounded in bytes.
pub struct PlanCache {
    entries: Cache<EntryKey, Entry, Bytes, BuildHasherDefault<Itself>>,
    bytes_max: u64,
}

impl PlanCache {
    /// A cache of at most `bytes_max` bytes of plans, as far as their size can be told.
    pub fn new(bytes_max: u64) -> PlanCache {
        let items = (bytes_max / 1024).clamp(16, 1 << 20) as usize;
        let entries = Cache::with(items, bytes_max, Bytes, BuildHasherDefault::default(), Default::default());
        PlanCache { entries, bytes_max }
    }

    /// The plan for a statement. A hit allocates nothing.
    pub fn find(&self, key: PlanKey, sql: &[u8], scan: &Scan) -> Option<Arc<Planned>> {
        match self.entries.get(&EntryKey { key, pinned: 0 })? {
            Entry::Plan(planned) => Some(planned),
            Entry::Pinned(pins) => match self.entries.get(&EntryKey { key, pinned: pinned(&pins, sql, scan) })? {
                Entry::Plan(planned) => Some(planned),
                Entry::Pinned(_) => None,
            },
        }
    }

    /// Keeps a plan for further statements with this key. One that is too large a part of the cache is not kept.
    pub fn keep(&self, key: PlanKey, sql: &[u8], scan: &Scan, planned: &Arc<Planned>) {
        if size(planned) as u64 > self.bytes_max / 16 {
            return;
        }
        let entry = Entry::Plan(planned.clone());
        if planned.pins.is_empty() {
            self.entries.insert(EntryKey { key, pinned: 0 }, entry);
        } else {
            let pins: Arc<[u32]> = planned.pins.as_ref().into();
            let value = pinned(&pins, sql, scan);
            self.entries.insert(EntryKey { key, pinned: 0 }, Entry::Pinned(pins));
            self.entries.insert(EntryKey { key, pinned: value }, entry);
        }
    }

    /// How many bytes of plans are kept.
    pub fn bytes(&self) -> u64 {
        self.entries.weight()
    }

    /// How many plans are kept, and lists of pinned literals with them.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }
}

/// A hash of the literals that a plan was made for; never 0.
fn pinned(pins: &[u32], sql: &[u8], scan: &Scan) -> u128 {
    let mut hash = XxHash3_128::with_seed(0);
    for pin in pins {
        let text = scan.literals.get(*pin as usize).map_or(&[][..], |literal| literal.span.of(sql));
        hash.write(&(text.len() as u64).to_le_bytes());
        hash.write(text);
    }
    hash.finish_128() | 1
}

impl Weighter<EntryKey, Entry> for Bytes {
    fn weight(&self, _: &EntryKey, entry: &Entry) -> u64 {
        let own = match entry {
            Entry::Plan(planned) => size(planned),
            Entry::Pinned(pins) => pins.len() * 4,
        };
        (own + size_of::<(EntryKey, Entry)>() + 64) as u64
    }
}

/// About how many bytes a plan takes; parts of a few dozen bytes at most are left out.
fn size(planned: &Planned) -> usize {
    let plan = match &planned.plan {
        Plan::Relay { text, .. } | Plan::Everywhere { text, .. } => text_size(text),
        Plan::Describe { text, .. } | Plan::Like { text, .. } => text_size(text),
        Plan::Sharded(sharded) => {
            let many = match &sharded.many {
                Many::Merge { merge, text, .. } => merge_size(merge) + text_size(text),
                Many::Gather(gather) => gather_size(gather),
                Many::Rows { text, .. } => text_size(text),
                Many::Refuse(refusal) => refusal.message.len(),
                Many::Carry(carry) => size_of_val(&**carry),
                Many::Ahead(ahead) => ahead_size(ahead),
                Many::Joined(joined) => joined_size(joined),
                Many::Limited(limited) => {
                    let first = limited.first.as_ref();
                    size_of_val(&**limited)
                        + text_size(&limited.text)
                        + first.map_or(0, |first| merge_size(&first.merge) + text_size(&first.text))
                }
                Many::Sum => 0,
            };
            size_of_val(&**sharded) + routing_size(&sharded.routing) + text_size(&sharded.text) + many
        }
        Plan::Gather(gather) => gather_size(gather),
        Plan::Catalogue(catalogue) => {
            size_of_val(&**catalogue)
                + size_of_val(&*catalogue.relations)
                + text_size(&catalogue.text)
                + text_size(&catalogue.original)
        }
        Plan::Define(define) => define.steps.iter().map(|step| size_of_val(step) + 2 * step.sql.len()).sum(),
        Plan::Carry(carry) => size_of_val(&**carry),
        Plan::Ahead(ahead) => ahead_size(ahead),
        Plan::Computed(computed) => {
            size_of_val(&*computed.items) + computed.columns.len() * (size_of::<ColumnInfo>() + 32)
        }
        Plan::Joined(joined) => joined_size(joined),
        Plan::Singly(singly) => size_of_val(&*singly.rows),
        Plan::Load(load) => size_of_val(&**load) + text_size(&load.text),
        Plan::Maintain(maintain) => {
            let visits = maintain.tables.iter().flat_map(|table| &table.visits);
            visits.map(|visit| size_of_val(visit) + 2 * visit.sql.len()).sum()
        }
        Plan::Refuse(refusal) => refusal.message.len(),
    };
    let tables: usize =
        planned.tables.iter().map(|table| size_of_val(table) + table.schema.len() + table.name.len()).sum();
    size_of::<Planned>()
        + plan
        + tables
        + planned.pins.len() * 4
        + planned.upkeep.as_deref().map_or(0, upkeep_size)
        + seek_size(planned)
}

fn ahead_size(ahead: &Ahead) -> usize {
    let query = |prior: &Prior| size_of_val(prior) + prior.columns.len() * (size_of::<ColumnInfo>() + 32);
    ahead.queries.iter().map(query).sum()
}

fn joined_size(joined: &Joined) -> usize {
    let columns = |written: &Written| written.key.len() + written.set.len();
    let written = |written: &Written| size_of_val(written) + columns(written) * (size_of::<Given>() + 32);
    size_of_val(joined) + joined.written.iter().map(written).sum::<usize>()
}

fn seek_size(planned: &Planned) -> usize {
    planned.seek.as_deref().map_or(0, |seek| {
        size_of_val(seek) + seek.columns.len() * (size_of::<ColumnInfo>() + 32) + size_of_val(&*seek.key)
    })
}

fn upkeep_size(upkeep: &Upkeep) -> usize {
    let columns = |kept: &Kept| kept.columns.len() * (size_of::<ColumnInfo>() + 32);
    let given = match &upkeep.change {
        Change::Insert(given) => given.iter().map(|given| size_of_val(&**given)).sum(),
        Change::Upsert(upsert) => {
            let keys: usize = upsert.keys.iter().map(|key| key.columns.len()).sum();
            (upsert.identity.len() + keys) * (size_of::<ColumnInfo>() + 32)
        }
        Change::Delete(_) => 0,
        Change::Update { identity, .. } => identity.len() * (size_of::<ColumnInfo>() + 32),
    };
    size_of::<Upkeep>() + upkeep.lookups.iter().map(|kept| size_of::<Kept>() + columns(kept)).sum::<usize>() + given
}

fn routing_size(routing: &Routing) -> usize {
    let keys: usize = routing.keys.iter().map(|key| size_of_val(key) + key.label.len()).sum();
    let by: usize = match &routing.by {
        By::Conditions(conditions) => conditions.iter().map(condition_size).sum(),
        By::Rows(slots, _) => size_of_val(&**slots),
    };
    keys + by + size_of_val(&*routing.numbered) + size_of_val(&*routing.assigned)
}

fn condition_size(condition: &Condition) -> usize {
    let inner = match condition {
        Condition::In { values, .. } => size_of_val(&**values),
        Condition::And(inner) | Condition::Or(inner) => inner.iter().map(condition_size).sum(),
        Condition::All
        | Condition::None
        | Condition::Eq { .. }
        | Condition::NullSafeEq { .. }
        | Condition::Range { .. } => 0,
    };
    size_of::<Condition>() + inner
}

fn gather_size(gather: &Gather) -> usize {
    let source = |source: &Source| {
        let columns: usize = source.columns.iter().map(|column| size_of::<Pulled>() + column.name.len()).sum();
        size_of::<Source>() + columns + source.routing.as_ref().map_or(0, routing_size)
    };
    let twins: usize = gather.twins.iter().map(|twin| size_of::<Twin>() + twin.copy.len()).sum();
    text_size(&gather.text) + gather.sources.iter().map(source).sum::<usize>() + twins
}

fn text_size(text: &Text) -> usize {
    text.edits.iter().map(|edit| size_of::<Edit<Part>>() + part_size(&edit.with)).sum()
}

fn part_size(part: &Part) -> usize {
    match part {
        Part::Fixed(text) => text.len(),
        Part::IdColumn(text) => text.len(),
        Part::Rows(parts) | Part::All(parts) => parts.iter().map(|part| size_of::<Part>() + part_size(part)).sum(),
        Part::Table(_)
        | Part::Schema(_)
        | Part::Relation(_)
        | Part::Copy(..)
        | Part::Quoted(..)
        | Part::Take
        | Part::Share
        | Part::Id { .. } => 0,
    }
}

fn merge_size(merge: &Merge) -> usize {
    let combine = match &merge.combine {
        Combine::None => 0,
        Combine::Distinct(keys) => size_of_val(&**keys),
        Combine::Fold { keys, columns } => size_of_val(&**keys) + size_of_val(&**columns),
    };
    size_of::<Merge>() + size_of_val(&*merge.order) + size_of_val(&*merge.sort) + combine
}
