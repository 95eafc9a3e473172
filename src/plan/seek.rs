//! By which lookup the shard of a statement's rows can be found: its condition gives a whole unique key. A lookup is a
//! hint only: that the row is where it says is for `session` to see before a statement goes by it. It asks nobody.

use crate::plan::Planned;
use crate::plan::locality::Locality;
use crate::plan::numbering::Ids;
use crate::plan::resolve::{BlockId, Column, Model, RefId, Source, strip};
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

/// A lookup, and the key that is to be found in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seek {
    /// The table whose row is sought, as a statement names it.
    pub owner: Box<str>,
    /// The lookup, likewise.
    pub lookup: Box<str>,
    /// The lookup's columns: those of the unique key, then further sharding columns.
    pub columns: Box<[ColumnInfo]>,
    /// The values of the unique key.
    pub key: Box<[Slot]>,
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

impl Planned {
    /// The values of the key that is sought; none if one of them is not sure to be equal to one value of its column
    /// only, as a number is to many texts.
    pub fn sought<'a>(&'a self, sql: &'a [u8], scan: &'a Scan, args: &'a [Datum<'a>]) -> Option<Vec<Value<'a>>> {
        let seek = self.seek.as_deref()?;
        let values = Values { sql, scan, args, facts: self.facts, ids: Ids::None, numbering: None };
        let of = |(slot, column): (&Slot, &ColumnInfo)| {
            let datum = values.datum(*slot).ok()??;
            match canonical(&datum, &column.key_kind().ok()?) {
                Canon::Key(_) => value(&values, *slot).ok(),
                Canon::Never | Canon::Unknown | Canon::Refused(_) => None,
            }
        };
        seek.key.iter().zip(&seek.columns).map(of).collect()
    }
}

/// The lookup that tells the one shard of a statement's rows; none if its conditions give no whole key.
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
        let value = |name: &String| value_of(model, filter, found.block, id, name);
        let key: Option<Box<[Slot]>> = lookup.columns.iter().map(value).collect();
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

/// What a condition gives a column, whatever else it asks.
fn value_of(model: &Model<'_>, condition: &Expr, block: BlockId, of: RefId, name: &str) -> Option<Slot> {
    let Expr::Binary { op, left, right, .. } = strip(condition) else { return None };
    let is_column = |expr: &Expr| model.column(block, expr) == Some(Column { of, name: name.to_ascii_lowercase() });
    match op {
        BinaryOp::And => {
            let of_left = value_of(model, left, block, of, name);
            of_left.or_else(|| value_of(model, right, block, of, name))
        }
        BinaryOp::Eq if is_column(left) => slot(right),
        BinaryOp::Eq if is_column(right) => slot(left),
        _ => None,
    }
}

fn quoted(schema: &str, table: &str) -> Box<str> {
    let mut out = Vec::new();
    put_name(schema, table, &mut out);
    String::from_utf8_lossy(&out).into()
}
