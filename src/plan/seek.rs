//! By which lookup the shards of a statement's rows can be found: its condition gives a whole unique key, or several. A
//! lookup is a hint only: that the rows are where it says is for `session` to see before a statement goes by it. It asks
//! nobody.

use crate::plan::Planned;
use crate::plan::locality::Locality;
use crate::plan::numbering::Ids;
use crate::plan::parts::strip;
use crate::plan::resolve::{BlockId, Column, Model, RefId, Source};
use crate::plan::slot::Slot;
use crate::plan::text::put_name;
use crate::plan::ties::slot;
use crate::plan::upkeep::{Value, value};
use crate::plan::values::Values;
use crate::rules::catalog::ColumnInfo;
use crate::rules::lookup::LookupState;
use crate::sql::ast::{BinaryOp, Expr};
use crate::sql::scan::Scan;
use crate::sql::splice::Anchor;
use crate::value::{Canon, Datum, canonical};

/// A lookup, and the keys that are to be found in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seek {
    /// The table whose rows are sought, as a statement names it.
    pub owner: Box<str>,
    /// The lookup, likewise.
    pub lookup: Box<str>,
    /// The lookup's columns: those of the unique key, then further sharding columns.
    pub columns: Box<[ColumnInfo]>,
    /// The values of each column of the unique key: several of a list, of which every combination is meant.
    pub key: Box<[Box<[Slot]>]>,
    /// How the statement locks what it reads.
    pub locks: Locks,
}

/// How a statement locks the rows that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locks {
    /// Not at all.
    None,
    /// As a write does.
    Write,
    /// By this clause of its own.
    Clause(Anchor, Anchor),
}

/// The most keys that are sought for one statement: beyond them the shards are as quick.
const MOST_KEYS: usize = 256;

impl Planned {
    /// The keys that are sought, no two equal ones; none if a value of them is not sure to be equal to one value of its
    /// column only, as a number is to many texts, or if there are very many.
    pub fn sought<'a>(&'a self, sql: &'a [u8], scan: &'a Scan, args: &'a [Datum<'a>]) -> Option<Vec<Vec<Value<'a>>>> {
        let seek = self.seek.as_deref()?;
        let values = Values { sql, scan, args, facts: self.facts, ids: Ids::None, numbering: None };
        let mut keys: Vec<Vec<Value<'a>>> = vec![Vec::new()];
        for (slots, column) in seek.key.iter().zip(&seek.columns) {
            let kind = column.key_kind().ok()?;
            let mut seen = Vec::new();
            let mut told = Vec::new();
            for slot in slots {
                match canonical(&values.datum(*slot).ok()??, &kind) {
                    Canon::Key(key) if seen.contains(&key) => {}
                    Canon::Key(key) => {
                        seen.push(key);
                        told.push(*slot);
                    }
                    Canon::Never | Canon::Unknown | Canon::Refused(_) => return None,
                }
            }
            if keys.len() * told.len() > MOST_KEYS {
                return None;
            }
            let mut longer = Vec::with_capacity(keys.len() * told.len());
            for key in &keys {
                for slot in &told {
                    longer.push([key.clone(), vec![value(&values, *slot).ok()?]].concat());
                }
            }
            keys = longer;
        }
        Some(keys)
    }
}

/// The lookup that tells the shards of a statement's rows; none if its conditions give no whole key.
pub(super) fn seek(model: &Model<'_>, locality: &Locality<'_, '_, '_>, locks: Locks) -> Option<Seek> {
    let [root] = locality.roots.as_slice() else { return None };
    let mut members: Vec<RefId> = root.members.iter().copied().collect();
    members.sort();
    members.into_iter().find_map(|id| seek_of(model, id, locks))
}

fn seek_of(model: &Model<'_>, id: RefId, locks: Locks) -> Option<Seek> {
    let found = &model.refs[id.0];
    let Source::Table(table, Some(info)) = found.source else { return None };
    let table = &model.tables[usize::from(table)];
    let schema = model.rules.schema(&table.schema)?;
    let owner = schema.sharded(&table.name)?;
    let filter = model.blocks[found.block.0].filter?;
    owner.lookups.iter().filter(|lookup| lookup.state == LookupState::Reading).find_map(|lookup| {
        let values = |name: &String| values_of(model, filter, found.block, id, name);
        let key: Option<Box<[Box<[Slot]>]>> = lookup.columns.iter().map(values).collect();
        let theirs = model.catalog.table(&schema.name, &lookup.table)?;
        let fit = lookup.fit(owner, info, theirs).ok()?;
        Some(Seek {
            owner: quoted(&schema.name, &owner.name),
            lookup: quoted(&schema.name, &lookup.table),
            columns: fit.columns.iter().filter_map(|name| info.column(name)).map(|(_, info)| info.clone()).collect(),
            key: key?,
            locks,
        })
    })
}

/// The values that a condition leaves a column, whatever else it asks.
fn values_of(model: &Model<'_>, condition: &Expr, block: BlockId, of: RefId, name: &str) -> Option<Box<[Slot]>> {
    let is_column = |expr: &Expr| model.column(block, expr) == Some(Column { of, name: name.to_ascii_lowercase() });
    let one = |expr: &Expr| Some([slot(expr)?].into());
    match strip(condition) {
        Expr::Binary { op: BinaryOp::And, left, right, .. } => {
            let of_left = values_of(model, left, block, of, name);
            of_left.or_else(|| values_of(model, right, block, of, name))
        }
        Expr::Binary { op: BinaryOp::Eq, left, right, .. } if is_column(left) => one(right),
        Expr::Binary { op: BinaryOp::Eq, left, right, .. } if is_column(right) => one(left),
        Expr::InList { negated: false, expr, list, .. } if is_column(expr) => list.iter().map(slot).collect(),
        _ => None,
    }
}

fn quoted(schema: &str, table: &str) -> Box<str> {
    let mut out = Vec::new();
    put_name(schema, table, &mut out);
    String::from_utf8_lossy(&out).into()
}
