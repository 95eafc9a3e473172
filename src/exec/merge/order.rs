//! The order of rows: what plans say of sort keys, made fast for the columns that came.
//! It turns a row into bytes that compare as MySQL compares the rows; it holds no row.

use crate::error::SqlError;
use crate::exec::merge::columns::{Columns, disagreement};
use crate::exec::merge::kind::Kind;
use crate::exec::merge::layout::Located;
use crate::plan::merge::{Aggregate, SortKey};
use crate::value::sortable;
use crate::wire::column::ColumnDef;
use crate::wire::value::{Shape, Value};

/// What a comparison is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Whole rows are ordered or grouped: values that differ on the server must differ here.
    Order,
    /// The least or greatest value is shown: values that look equal are equal.
    Extreme,
}

/// One sort key over columns that are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// The cell that is compared if this one is not NULL.
    value: usize,
    /// The cell that is compared: the same, or its weight.
    compared: usize,
    /// The cell with the weight of the spaces that are thought behind the text, or NULL.
    pad: Option<usize>,
    kind: Kind,
    shape: Shape,
    desc: bool,
}

impl Key {
    /// Refuses (1235) what cannot be compared exactly.
    pub(super) fn new(key: &SortKey, columns: &Columns, purpose: Purpose) -> Result<Key, SqlError> {
        let value = columns.index(key.value)?;
        let def = &columns.defs()[value];
        let weight = match (Kind::of(def), key.weight) {
            (Kind::Text, Some(weight)) => {
                let weight = columns.index(weight)?;
                if Kind::of(&columns.defs()[weight]) != Kind::Bytes {
                    return Err(disagreement());
                }
                Some(weight)
            }
            (Kind::Text, None) => return Err(incomparable(def, "it is a string without collation weights")),
            (Kind::Opaque, _) => return Err(incomparable(def, "its type has no order that rows show")),
            _ if purpose == Purpose::Order && !columns.is_exact(value) => {
                return Err(incomparable(def, "its text has fewer digits than it (a prepared statement gets all)"));
            }
            _ => None,
        };
        let pad = weight.and(key.pad).map(|pad| columns.index(pad)).transpose()?;
        if pad.is_some_and(|pad| !matches!(Kind::of(&columns.defs()[pad]), Kind::Bytes | Kind::Null)) {
            return Err(disagreement());
        }
        let compared = weight.unwrap_or(value);
        let def = &columns.defs()[compared];
        Ok(Key { value, compared, pad, kind: Kind::of(def), shape: Shape::of(def), desc: key.desc })
    }

    /// The number of cells, from the first, that have to be located for this key.
    pub(super) fn needs(&self) -> usize {
        self.value.max(self.compared).max(self.pad.unwrap_or(0)) + 1
    }

    /// Whether the value is NULL.
    pub(super) fn is_null(&self, row: Located) -> bool {
        row.is_null(self.value)
    }

    /// Appends the bytes by which the row sorts as far as this key goes; `last` says that nothing follows.
    pub(super) fn put(&self, row: Located, last: bool, out: &mut Vec<u8>) -> Result<(), SqlError> {
        let start = out.len();
        if row.is_null(self.value) {
            sortable::put_null(out);
        } else if row.is_null(self.compared) {
            return Err(weightless());
        } else {
            sortable::put_some(out);
            match self.pad.filter(|pad| !row.is_null(*pad)) {
                None => self.kind.sortable(row.value(self.compared, self.shape)?, last && !self.desc, out)?,
                Some(pad) => {
                    let (weights, space) = (row.value(self.compared, self.shape)?, row.value(pad, self.shape)?);
                    match (weights, space) {
                        (Value::Bytes(weights), Value::Bytes(space)) if sortable::put_padded(weights, space, out) => {}
                        _ => return Err(disagreement()),
                    }
                }
            }
        }
        if self.desc {
            sortable::invert(out, start);
        }
        Ok(())
    }
}

fn incomparable(def: &ColumnDef, why: &str) -> SqlError {
    let name = String::from_utf8_lossy(def.name);
    SqlError::refuse(format!("Rows of several shards cannot be compared by column '{name}': {why}"))
}

pub(super) fn weightless() -> SqlError {
    SqlError::refuse(
        "Rows of several shards cannot be compared by a string whose collation weights exceed max_allowed_packet of a server",
    )
}

/// Sort keys over columns that are known.
#[derive(Debug)]
pub(super) struct Order {
    keys: Box<[Key]>,
    /// How many cells, from the first, have to be located.
    needs: usize,
    /// How many of the keys make a group.
    group: usize,
}

impl Order {
    /// `group` of the keys, from the first, make a group.
    pub(super) fn new(keys: &[SortKey], group: usize, columns: &Columns) -> Result<Order, SqlError> {
        let keys: Box<[Key]> =
            keys.iter().map(|key| Key::new(key, columns, Purpose::Order)).collect::<Result<_, _>>()?;
        let needs = keys.iter().map(Key::needs).max().unwrap_or(0);
        Ok(Order { keys, needs, group })
    }

    /// Keys for whole rows, which may have been folded from several.
    pub(super) fn of_folded(keys: &[SortKey], columns: &Columns) -> Result<Order, SqlError> {
        for key in keys {
            if let Some(weight) = key.weight
                && Kind::of(&columns.defs()[columns.index(key.value)?]) == Kind::Text
                && !same_pick(columns.aggregate(columns.index(key.value)?), columns.aggregate(columns.index(weight)?))
            {
                return Err(disagreement());
            }
        }
        Order::new(keys, 0, columns)
    }

    /// How many cells, from the first, have to be located before [`Order::put`].
    pub(super) fn needs(&self) -> usize {
        self.needs
    }

    /// Replaces `out` by the bytes by which the row sorts, and says how many of them tell its group.
    pub(super) fn put(&self, row: Located, out: &mut Vec<u8>) -> Result<usize, SqlError> {
        out.clear();
        let mut group = 0;
        for (index, key) in self.keys.iter().enumerate() {
            key.put(row, index + 1 == self.keys.len(), out)?;
            if index + 1 == self.group {
                group = out.len();
            }
        }
        Ok(group)
    }
}

/// Whether two columns of a folded row come from the same row of the group: else a weight is not that of its value.
fn same_pick(a: Option<&Aggregate>, b: Option<&Aggregate>) -> bool {
    use Aggregate::{Any, Max, Min};
    matches!((a, b), (None | Some(Any), None | Some(Any)) | (Some(Min(_)), Some(Min(_))) | (Some(Max(_)), Some(Max(_))))
}

/// How many keys of `order`, from the first, cover exactly `keys`: rows that agree by these then follow each other.
pub(super) fn covering(order: &[SortKey], keys: &[SortKey]) -> Option<usize> {
    let same = |a: &SortKey, b: &SortKey| (a.value, a.weight) == (b.value, b.weight);
    let group = order.iter().take_while(|key| keys.iter().any(|other| same(key, other))).count();
    keys.iter().all(|key| order[..group].iter().any(|other| same(key, other))).then_some(group)
}
