//! What a write of a table with lookups has to do to these, as data: which of its values go where, or which rows have
//! to be read before they are gone. It reads and writes nothing.

use crate::error::SqlError;
use crate::plan::numbering::{Id, RowId};
use crate::plan::slot::Slot;
use crate::plan::values::Values;
use crate::plan::{Bound, Planned, Route, Target};
use crate::rules::RuleSet;
use crate::rules::catalog::ColumnInfo;
use crate::rules::lookup::LookupState;
use crate::sql::ast::Span;
use crate::sql::scan::Scan;
use crate::sql::splice::Anchor;
use crate::value::Datum;
use crate::value::key::{Canon, Key, KeyKind, stored};

/// The upkeep of the lookups that a write concerns.
#[derive(Clone, Debug, PartialEq)]
pub struct Upkeep {
    /// The logical name of the table that is written, as its rule has it.
    pub table: Box<str>,
    /// The same behind its schema, as a statement names it.
    pub quoted: Box<str>,
    /// The lookups.
    pub lookups: Box<[Kept]>,
    /// What is done to the table.
    pub change: Change,
}

/// A lookup that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Its schema and name, as a statement names them.
    pub quoted: Box<str>,
    /// Its columns: those of the unique key, then further sharding columns.
    pub columns: Box<[ColumnInfo]>,
    /// How many of them are the unique key's.
    pub unique: usize,
    /// The name of the owner's unique key.
    pub key: Box<str>,
}

/// What is done to the rows of the table.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// They are written out: for each lookup the values of its columns, row after row.
    Insert(Box<[Box<[Given]>]>),
    /// One is written out, and others may be in its way.
    Upsert(Upsert),
    /// Those that meet the condition go.
    Delete(Reach),
    /// Those that meet the condition change.
    Update {
        /// Which.
        reach: Reach,
        /// The columns that tell a row, and stay as they are.
        identity: Box<[ColumnInfo]>,
        /// Where a unique column is given what is no literal or parameter: of several rows one server may find a
        /// duplicate on the way that is none in the end.
        computed: Option<Anchor>,
    },
}

/// A row that is written out, with what is to be done if others have one of its unique keys already.
#[derive(Clone, Debug, PartialEq)]
pub struct Upsert {
    /// What is done about rows in the way.
    pub kind: UpsertKind,
    /// The columns that tell a row: those of the primary key, and the sharding columns.
    pub identity: Box<[ColumnInfo]>,
    /// What the row has for them.
    pub row: Box<[Given]>,
    /// The unique keys.
    pub keys: Box<[UniqueKey]>,
}

/// What is done about rows in the way of one that is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpsertKind {
    /// IGNORE: the new row is left out.
    Ignore,
    /// REPLACE: the old ones go.
    Replace,
    /// ON DUPLICATE KEY UPDATE: the old one changes.
    Update,
}

/// A unique key of a table with lookups.
#[derive(Clone, Debug, PartialEq)]
pub struct UniqueKey {
    /// Its columns.
    pub columns: Box<[ColumnInfo]>,
    /// What the row has for them.
    pub values: Box<[Given]>,
    /// The number of its lookup; none if it has the sharding columns in it.
    pub lookup: Option<usize>,
}

/// The rows that a write concerns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reach {
    /// The table with its alias, in the client's text.
    pub from: (Anchor, Anchor),
    /// The condition; none: all rows.
    pub filter: Option<(Anchor, Anchor)>,
}

/// What a row that is written out has for a column of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// A value.
    Value(Slot),
    /// Nothing, which is NULL.
    Absent,
    /// Nothing, which is NULL to no column: some default of the server's.
    Unknown,
}

/// A value as it goes into a text of our own.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// NULL: no lookup has the row.
    Null,
    /// As the client wrote it.
    Written(bool, &'a [u8]),
    /// A parameter, or an id that was made.
    Datum(Datum<'a>),
    /// Only the server knows it.
    Unknown,
}

impl<'a> Bound<'a> {
    /// The value that a row has for a column of a lookup.
    ///
    /// # Errors
    /// 1210 for a parameter that was not given.
    pub fn given(&self, given: Given) -> Result<Value<'a>, SqlError> {
        match given {
            Given::Absent => Ok(Value::Null),
            Given::Unknown => Ok(Value::Unknown),
            Given::Value(slot) => value(&self.values(), slot),
        }
    }
}

impl<'a> Bound<'a> {
    /// The value that a row has for a column of a unique key, by which rows in its way are looked for; none for NULL.
    ///
    /// # Errors
    /// 1235 for a value that would be stored as another one; 1210 for a parameter that was not given.
    pub fn exact(&self, column: &ColumnInfo, given: Given) -> Result<Option<Value<'a>>, SqlError> {
        let refuse = || {
            let why = format!(
                "Shardloom does not support IGNORE, REPLACE or ON DUPLICATE KEY UPDATE in a table with a lookup where \
                 the value of {}, which is in a unique key, is not as its column has it",
                column.name
            );
            Err(SqlError::refuse(why))
        };
        let slot = match given {
            Given::Absent => return Ok(None),
            Given::Unknown => return refuse(),
            Given::Value(slot) => slot,
        };
        let (Some(datum), Ok(kind)) = (self.values().datum(slot)?, column.key_kind()) else { return refuse() };
        let text = matches!(kind, KeyKind::Str { .. });
        match stored(&datum, &kind) {
            Canon::Key(Key::Null) if column.nullable => Ok(None),
            Canon::Key(Key::Null) => refuse(),
            // A number is compared with a text otherwise than it is stored.
            Canon::Key(_) if !text || matches!(datum, Datum::Text(_)) => value(&self.values(), slot).map(Some),
            _ => refuse(),
        }
    }

    /// The same statement for one row at another target.
    #[must_use]
    pub fn towards(&self, target: Target) -> Bound<'a> {
        Bound { route: Route::One(target), rows: target.shard.into_iter().collect(), ..self.clone() }
    }
}

/// The value in a slot.
///
/// # Errors
/// As [`Bound::given`].
pub(super) fn value<'a>(values: &Values<'a>, slot: Slot) -> Result<Value<'a>, SqlError> {
    match slot {
        Slot::Null => Ok(Value::Null),
        Slot::Literal { index, negative } => match values.scan.literals.get(index as usize) {
            Some(literal) => Ok(Value::Written(negative, literal.span.of(values.sql))),
            None => Ok(Value::Unknown),
        },
        Slot::Id(row) => match values.ids.of(row) {
            Some(Id::Number(number)) => Ok(Value::Datum(Datum::UInt(number))),
            Some(Id::Uuid(text)) => Ok(Value::Datum(Datum::Text(text.to_vec().into()))),
            Some(Id::Given) | None => {
                match values.numbering.and_then(|numbering| numbering.rows.get(row as usize).copied()) {
                    Some(RowId::Given(slot)) if !matches!(slot, Slot::Id(_)) => value(values, slot),
                    _ => Ok(Value::Unknown),
                }
            }
        },
        Slot::Bool(_) | Slot::Param { .. } => Ok(match values.datum(slot)? {
            Some(Datum::Null) => Value::Null,
            Some(datum) => Value::Datum(datum),
            None => Value::Unknown,
        }),
    }
}

impl Reach {
    /// The table and the condition in the client's text; none for a text with another key.
    pub fn spans(&self, scan: &Scan) -> Option<(Span, Option<Span>)> {
        let span = |(from, to): (Anchor, Anchor)| Some(Span { start: from.resolve(scan)?, end: to.resolve(scan)? });
        let filter = match self.filter {
            None => None,
            Some(anchors) => Some(span(anchors)?),
        };
        Some((span(self.from)?, filter))
    }
}

impl Planned {
    /// That a client's write goes to no lookup, but to one that is being filled.
    ///
    /// # Errors
    /// 1235.
    pub fn check_lookups(&self, rules: &RuleSet) -> Result<(), SqlError> {
        let Some(written) = self.lookup.and_then(|table| self.tables.get(usize::from(table))) else { return Ok(()) };
        let Some(schema) = rules.schema(&written.schema) else { return Ok(()) };
        let Some(owner) = schema.sharded(&written.name).and_then(|table| table.owner.as_deref()) else {
            return Ok(());
        };
        let lookups = schema.sharded(owner).map_or(&[][..], |owner| &owner.lookups);
        let own = lookups.iter().find(|lookup| lookup.table.eq_ignore_ascii_case(&written.name));
        match own {
            Some(lookup) if lookup.state == LookupState::Writing => Ok(()),
            _ => Err(SqlError::refuse(format!(
                "{} is the lookup of {owner}: Shardloom alone writes to it (`state = \"writing\"` in the rule of {owner} \
                 lets clients fill it)",
                written.name
            ))),
        }
    }
}
