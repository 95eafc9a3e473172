//! CREATE TABLE ... AS SELECT of rows, or of a new table, that lie in several places: the rows are gathered on one group,
//! and the client's own statement runs over the copies. A table that is new in several places is made there as a temporary
//! one, which says what the real one is.

use crate::error::SqlError;
use crate::plan::gather::{Fill, Gather, Home};
use crate::plan::resolve::{Model, Source};
use crate::plan::sources::gather;
use crate::plan::text::{Rewrite, put_name};
use crate::plan::{Place, Session, Table, Target};
use crate::rules::catalog::Catalog;
use crate::rules::{GroupId, PhysicalName, Placement, RuleSet, Schema};
use crate::sql::ast::{ObjectName, Query, Statement};
use crate::sql::define::{Definition, Part, define};
use crate::sql::parse::parse;
use crate::sql::scan::Scan;

/// Why a new table is not made that reads one of its own name: copies would hide what a server says of that, and a
/// temporary one stands in front of it.
const OWN_NAME: &str = "a new table of rows of several servers that reads one of its own name:";

/// How the rows are gathered, and the tables of the plan.
pub(super) type Selected = (Gather, Box<[Table]>);

/// What the statement is planned from.
pub(super) struct Selecting<'a> {
    /// Its text, to its end.
    pub(super) sql: &'a [u8],
    /// As scanned.
    pub(super) scan: &'a Scan,
    /// Who asks.
    pub(super) session: Session<'a>,
    /// Where tables are.
    pub(super) rules: &'a RuleSet,
    /// What is in them.
    pub(super) catalog: &'a Catalog,
}

impl Selecting<'_> {
    /// The gather, and the tables; none if it is not such a statement, or one that is not read.
    pub(super) fn plan(&self) -> Option<Result<Selected, SqlError>> {
        let found = define(self.sql, self.session.facts).ok()??;
        let [(name, Part::Subject)] = found.mentions.as_slice() else { return None };
        // One server refuses to read the table that it replaces, which copies would hide.
        if found.replaces.is_some() || found.unread.is_some() {
            return None;
        }
        let schema = name.schema.as_ref().map(|schema| schema.name.as_str()).or(self.session.schema)?;
        let schema = self.rules.schema(schema)?;
        let placement = schema.table(&name.name.name);
        let table = Table {
            schema: schema.name.as_str().into(),
            name: match placement {
                Placement::Sharded(table) => table.name.as_str().into(),
                Placement::Broadcast | Placement::Single(_) => name.name.name.as_str().into(),
            },
            place: match placement {
                Placement::Sharded(table) => Place::Sharded(table.family),
                Placement::Broadcast => Place::Broadcast,
                Placement::Single(group) => Place::Single(group),
            },
            physical: match placement {
                Placement::Sharded(table) => table.all_physical().clone(),
                Placement::Broadcast | Placement::Single(_) => [].into(),
            },
        };
        let (group, fills) = match placement {
            Placement::Single(group) => (group, None),
            _ => (schema.home, Some(Box::new(self.fill(schema, &table, placement, &found)?))),
        };
        // Spans are those of the whole text.
        let mut text = self.sql.to_vec();
        let (before, query) = text.split_at_mut_checked(found.query? as usize)?;
        before.fill(b' ');
        if query.get(..2).is_some_and(|word| word.eq_ignore_ascii_case(b"AS")) {
            query[..2].fill(b' ');
        }
        let Ok(Statement::Query(query)) = parse(&text, self.session.facts) else { return None };
        let physical = schema.physical(group);
        let mut quoted = Vec::new();
        put_name(physical, &table.name, &mut quoted);
        let quoted = String::from_utf8(quoted).ok()?;
        let edit = match &fills {
            None => (name.span, Rewrite::Fixed(quoted)),
            Some(_) => (found.named, Rewrite::Fixed(format!(" TEMPORARY TABLE {quoted}"))),
        };
        let home = Home { group, schema: physical.into(), edits: vec![edit], fills };
        Some(self.gathered(&text, &query, (name, table), home))
    }

    /// What is to be made of a table in several places; none if that is not as one server would make it.
    fn fill(&self, schema: &Schema, table: &Table, placement: Placement<'_>, found: &Definition) -> Option<Fill> {
        let numbered = found.columns.iter().any(|column| column.auto_increment) || schema.id(&table.name).is_some();
        if numbered || found.lasting.is_some() {
            return None;
        }
        let whole = |group: GroupId| {
            let physical = PhysicalName::new(schema.physical(group).to_owned(), table.name.to_string());
            (Target { group, shard: None }, physical)
        };
        let (mut places, split): (Vec<_>, _) = match placement {
            Placement::Single(_) => return None,
            Placement::Broadcast => {
                ((0..self.rules.groups().len()).map(|group| whole(GroupId(group as u16))).collect(), None)
            }
            Placement::Sharded(sharded) => {
                // Nobody knows where rows without a key belong, and what a lookup has follows from its owner's writes.
                if sharded.columns.is_empty() || !sharded.lookups.is_empty() || sharded.owner.is_some() {
                    return None;
                }
                let family = self.rules.family(sharded.family)?;
                let at = |shard: u32| {
                    (Target { group: family.home(shard), shard: Some(shard) }, sharded.physical(shard).clone())
                };
                let keys = sharded.columns.iter().map(|key| key.as_str().into()).collect();
                ((0..family.shards).map(at).collect(), Some((sharded.family, keys)))
            }
        };
        places.sort_by_key(|(target, _)| *target);
        Some(Fill {
            schema: table.schema.clone(),
            table: table.name.clone(),
            stage: PhysicalName::new(schema.physical(schema.home).to_owned(), table.name.to_string()),
            guarded: found.guarded,
            places: places.into(),
            split,
        })
    }

    fn gathered(
        &self,
        text: &[u8],
        query: &Query,
        (name, table): (&ObjectName, Table),
        home: Home,
    ) -> Result<Selected, SqlError> {
        let mut model = Model::new(text, self.session, self.rules, self.catalog);
        let is_at_one = home.fills.is_none();
        match home.fills {
            None => drop(model.table(name)?),
            // No table yet that anything could be known of.
            Some(_) => model.tables.push(table),
        }
        model.query(query, None)?;
        let own = model.refs.iter().find(|found| matches!(found.source, Source::Table(0, _)));
        if let Some(read) = own.filter(|_| is_at_one) {
            return Err(SqlError::refuse_at(OWN_NAME, self.sql, read.span.start as usize));
        }
        if let Some(read) = model.relations.first() {
            let why = "information_schema beside a sharded table or in a write:";
            return Err(SqlError::refuse_at(why, self.sql, read.span.start as usize));
        }
        let world = (self.rules, self.catalog);
        let gather = gather((text, self.scan), self.session, world, query, &model.tables, Some(home))?;
        Ok((gather, model.tables.into()))
    }
}
