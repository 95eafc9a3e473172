//! ANALYZE, CHECK, CHECKSUM, OPTIMIZE and REPAIR TABLE of tables that do not all lie on one group: a statement for each
//! table at each of its places. It knows no answer.

use crate::error::SqlError;
use crate::plan::render::Name;
use crate::plan::resolve::Model;
use crate::plan::{Place, Table, Target};
use crate::rules::{GroupId, PhysicalName, Placement, RuleSet};
use crate::sql::ast::ObjectName;
use crate::sql::head::Admin;
use crate::sql::maintenance::{Options, options};

/// Maintenance of tables, in the order of the statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Maintain {
    /// What is done.
    pub verb: Admin,
    /// To which tables.
    pub tables: Box<[Maintained]>,
}

/// A table and its places.
#[derive(Clone, Debug, PartialEq)]
pub struct Maintained {
    /// Its logical schema.
    pub schema: Box<str>,
    /// Its logical name.
    pub table: Box<str>,
    /// Sorted by target.
    pub visits: Box<[Visit]>,
}

/// What is done at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// Where.
    pub target: Target,
    /// The table there.
    pub physical: PhysicalName,
    /// The statement, in the client's character set.
    pub sql: Box<[u8]>,
}

/// What the statement is planned from.
pub(super) struct Maintaining<'a> {
    /// Its text, to its end.
    pub(super) sql: &'a [u8],
    /// Where tables are.
    pub(super) rules: &'a RuleSet,
    /// Its tables.
    pub(super) tables: &'a [ObjectName],
}

impl Maintain {
    /// The same at one shard alone; none if no table has such a one.
    pub(super) fn on(&self, shard: u32) -> Option<Maintain> {
        let mut on = self.clone();
        for table in &mut on.tables {
            table.visits = table.visits.iter().filter(|visit| visit.target.shard == Some(shard)).cloned().collect();
        }
        on.tables.iter().all(|table| !table.visits.is_empty()).then_some(on)
    }

    /// Everywhere it is done, sorted.
    pub fn targets(&self) -> Vec<Target> {
        let visits = self.tables.iter().flat_map(|table| &table.visits);
        let mut targets: Vec<Target> = visits.map(|visit| visit.target).collect();
        targets.sort();
        targets.dedup();
        targets
    }
}

impl Maintained {
    /// The client's name for the table of a place.
    pub fn name<'s>(&'s self, visit: &'s Visit) -> Name<'s> {
        Name {
            physical_schema: &visit.physical.schema,
            physical: &visit.physical.table,
            schema: &self.schema,
            table: &self.table,
        }
    }
}

impl Maintaining<'_> {
    /// The statements. The tables go to the model.
    ///
    /// # Errors
    /// 1046, 1049 for schemas; 1066 for a table that is named twice; 1235 for options that are not read.
    pub(super) fn plan(&self, verb: Admin, model: &mut Model<'_>) -> Result<Maintain, SqlError> {
        let refuse = |why: &str, at: u32| Err(SqlError::refuse_at(why, self.sql, at as usize));
        let (Some(first), Some(last)) = (self.tables.first(), self.tables.last()) else {
            return refuse("maintenance of no table:", 0);
        };
        for pair in self.tables.windows(2) {
            let between = self.sql.get(pair[0].span.end as usize..pair[1].span.start as usize).unwrap_or_default();
            if between.trim_ascii() != b"," {
                return refuse("options between tables: give each table a statement of its own:", pair[0].span.end);
            }
        }
        match options(self.sql, last.span.end, verb, model.session.facts)? {
            Options::OfEach => {}
            Options::Histogram if self.tables.len() == 1 => {}
            Options::Histogram => return refuse("histograms of several tables at once:", last.span.end),
            Options::Unread(at) => return refuse("this option of the maintenance of tables:", at),
        }
        let (before, behind) = (&self.sql[..first.span.start as usize], &self.sql[last.span.end as usize..]);
        let mut tables: Vec<Maintained> = Vec::new();
        for name in self.tables {
            let schema = name.schema.as_ref().map(|schema| schema.name.as_str()).or(model.session.schema);
            if schema.is_some_and(|schema| self.rules.schema(schema).is_none()) {
                return refuse("a table of a schema that no rule knows, beside others:", name.span.start);
            }
            let of_schema = schema.and_then(|schema| self.rules.schema(schema));
            let table = match of_schema.map(|schema| (schema, schema.table(&name.name.name))) {
                // Whether it is there, and how it looks, is for the servers to say.
                Some((schema, Placement::Sharded(table))) => {
                    let (place, physical) = (Place::Sharded(table.family), table.all_physical().clone());
                    let (schema, name) = (schema.name.as_str().into(), table.name.as_str().into());
                    model.tables.push(Table { schema, name, place, physical });
                    model.tables.len() - 1
                }
                _ => usize::from(model.table(name)?),
            };
            let table = &model.tables[table];
            let visit = |(target, physical): (Target, PhysicalName)| {
                let mut sql = before.to_vec();
                sql.extend_from_slice(physical.quoted.as_bytes());
                sql.extend_from_slice(behind);
                Visit { target, physical, sql: sql.into() }
            };
            let visits = self.places(table, verb).into_iter().map(visit).collect();
            let maintained = Maintained { schema: table.schema.clone(), table: table.name.clone(), visits };
            if tables.iter().any(|known| known.schema == maintained.schema && known.table == maintained.table) {
                let message = format!("Not unique table/alias: '{}'", name.name.name);
                return Err(SqlError { errno: 1066, state: *b"42000", message });
            }
            tables.push(maintained);
        }
        Ok(Maintain { verb, tables: tables.into() })
    }

    /// Where a table lies.
    fn places(&self, table: &Table, verb: Admin) -> Vec<(Target, PhysicalName)> {
        let Some(schema) = self.rules.schema(&table.schema) else { return Vec::new() };
        let whole = |group: GroupId| {
            let physical = PhysicalName::new(schema.physical(group).to_owned(), table.name.to_string());
            (Target { group, shard: None }, physical)
        };
        match table.place {
            Place::Single(group) => vec![whole(group)],
            // A sum over rows is read of one copy, as rows are.
            Place::Broadcast if verb == Admin::Checksum => vec![whole(schema.home)],
            Place::Broadcast => (0..self.rules.groups().len()).map(|group| whole(GroupId(group as u16))).collect(),
            Place::Sharded(family) => {
                let Some(family) = self.rules.family(family) else { return Vec::new() };
                let at = |(shard, physical): (u32, &PhysicalName)| {
                    (Target { group: family.home(shard), shard: Some(shard) }, physical.clone())
                };
                let mut places: Vec<_> = (0..family.shards).zip(table.physical.iter()).map(at).collect();
                places.sort_by_key(|(target, _)| *target);
                places
            }
            Place::System => Vec::new(),
        }
    }
}
