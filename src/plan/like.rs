//! CREATE TEMPORARY TABLE ... LIKE of a table that lies in several places: a server that has it makes the new one of it,
//! as it is called there. New tables that are not temporary are for `define`.

use crate::error::SqlError;
use crate::plan::define::World;
use crate::plan::resolve::Model;
use crate::plan::text::Composer;
use crate::plan::{Plan, Table};
use crate::rules::{GroupId, Placement, ShardedTable};
use crate::sql::ast::ObjectName;
use crate::sql::define::{Part, define};
use crate::sql::scan::Scan;

/// The plan, and its tables.
type Liked = (Plan, Box<[Table]>);

/// The statement, by rules that say where its new table is to lie.
struct Like<'a> {
    world: World<'a>,
    scan: &'a Scan,
    new: &'a ObjectName,
    model: &'a ObjectName,
}

/// The plan of such a statement; none if it is none.
pub(super) fn like(world: World<'_>, scan: &Scan) -> Option<Result<Liked, SqlError>> {
    let found = define(world.sql, world.session.facts).ok()??;
    let [(new, Part::Subject), (model, Part::Like)] = found.mentions.as_slice() else { return None };
    let like = Like { world, scan, new, model };
    let placement = like.placement(model).filter(|placement| !matches!(placement, Placement::Single(_)))?;
    if like.is_itself() {
        let message = format!("Not unique table/alias: '{}'", model.name.name);
        return Some(Err(SqlError { errno: 1066, state: *b"42000", message }));
    }
    let Some(Placement::Single(group)) = like.placement(new) else { return None };
    Some(match placement {
        Placement::Sharded(table) => like.of_shard(group, table),
        Placement::Broadcast | Placement::Single(_) => like.of_copy(group),
    })
}

impl<'a> Like<'a> {
    fn of_copy(&self, group: GroupId) -> Result<Liked, SqlError> {
        let mut model = self.names()?;
        let text = Composer::new(self.scan, std::mem::take(&mut model.edits)).plain()?;
        Ok((Plan::Relay { group: Some(group), text }, model.tables.into()))
    }

    /// A shard of the group where the new table is to lie; if none is there, it lies where the first shard is.
    fn of_shard(&self, group: GroupId, table: &ShardedTable) -> Result<Liked, SqlError> {
        let World { sql, rules, .. } = self.world;
        let mut model = self.names()?;
        let beside = rules.family(table.family).and_then(|family| {
            let mut shards = 0..family.shards;
            // Where one of its name is already, the server has to say so.
            shards.find(|shard| family.home(*shard) == group).or_else(|| (!self.is_there()).then_some(0))
        });
        let Some(shard) = beside else {
            let why = format!("a temporary table is on a group without a shard of {}, and not made anew:", table.name);
            return Err(SqlError::refuse_at(&why, sql, self.model.span.start as usize));
        };
        let text = Composer::new(self.scan, std::mem::take(&mut model.edits)).plain()?;
        Ok((Plan::Like { family: table.family, shard, text }, model.tables.into()))
    }

    /// The new table first, then that which it is like, and the edits of their names.
    fn names(&self) -> Result<Model<'a>, SqlError> {
        let World { sql, session, rules, catalog } = self.world;
        let mut model = Model::new(sql, session, rules, catalog);
        for name in [self.new, self.model] {
            let number = model.table(name)?;
            model.rename(number, name, false);
        }
        Ok(model)
    }

    fn schema_of<'n>(&self, name: &'n ObjectName) -> Option<&'n str>
    where
        'a: 'n,
    {
        name.schema.as_ref().map(|schema| schema.name.as_str()).or(self.world.session.schema)
    }

    fn placement(&self, name: &ObjectName) -> Option<Placement<'a>> {
        let schema = self.world.rules.schema(self.schema_of(name)?)?;
        Some(schema.table(&name.name.name))
    }

    /// Whether the new table is that which it is like.
    fn is_itself(&self) -> bool {
        let same = |one: Option<&str>, other: Option<&str>| {
            one.zip(other).is_some_and(|(one, other)| one.eq_ignore_ascii_case(other))
        };
        same(self.schema_of(self.new), self.schema_of(self.model))
            && self.new.name.name.eq_ignore_ascii_case(&self.model.name.name)
    }

    /// Whether the session has a temporary table of the new one's name.
    fn is_there(&self) -> bool {
        let known = self.schema_of(self.new).and_then(|schema| self.world.catalog.table(schema, &self.new.name.name));
        known.is_some_and(|info| info.temporary)
    }
}
