//! The ids of a statement's rows: asked of the generators before the statement is bound, since an id may be the key that
//! its row goes by. It makes none and places none.

use crate::backend::cluster::Group;
use crate::error::SqlError;
use crate::ids::counter::Counted;
use crate::plan::numbering::{Id, Numbering};
use crate::plan::wanted::Wanted;
use crate::rules::id::IdKind;
use crate::rules::{GroupId, PhysicalName, Placement};
use crate::session::Session;
use crate::session::run::Execution;
use crate::session::topology::Topology;
use crate::sql::SqlMode;

use std::sync::Arc;

impl Session {
    /// Makes the ids that a statement wants, one after the other in the order of its rows; empty if it wants none.
    ///
    /// # Errors
    /// 1235 for settings that ask for other numbers; 1467 if there are no more; those of the servers.
    pub(super) async fn make_ids(&self, of: &Execution<'_>, numbering: &Numbering) -> Result<Vec<Id>, SqlError> {
        let Execution { sql, scan, topology, planned, args, .. } = *of;
        // The mode of now, which a prepared statement follows too.
        let mode = self.facts_of_now().mode;
        let wanted = Wanted::of(numbering, planned, sql, scan, args, mode.has(SqlMode::NO_AUTO_VALUE_ON_ZERO))?;
        let count = wanted.count();
        let Some(table) = planned.tables.get(usize::from(numbering.table)) else { return Ok(Vec::new()) };
        let Some(schema) = topology.rules.schema(&table.schema) else { return Ok(Vec::new()) };
        if numbering.kind == IdKind::Uuid {
            let mut ids = Vec::with_capacity(wanted.made.len());
            for made in &wanted.made {
                ids.push(if *made { Id::Uuid(self.proxy.ids.uuid()?) } else { Id::Given });
            }
            return Ok(if count == 0 { Vec::new() } else { ids });
        }
        self.counts_by_one()?;
        if numbering.renumbers && count > 0 {
            let why = format!("ON DUPLICATE KEY UPDATE of {}, whose ids Shardloom makes", numbering.column);
            return Err(SqlError::refuse(why));
        }
        let home = topology.group(schema.home);
        let places = || places(topology, &table.schema, &table.name);
        let counted =
            Counted { schema: &table.schema, table: &table.name, column: &numbering.column, home, places: &places };
        numbering.check_given(&wanted.given)?;
        match numbering.kind {
            IdKind::Segment => self.proxy.ids.given(&counted, &wanted.given).await?,
            _ => self.proxy.ids.past(&wanted.given)?,
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        let first = match numbering.kind {
            IdKind::Snowflake => self.proxy.ids.snowflake(home, count).await?,
            _ => self.proxy.ids.segment(&counted, count).await?,
        };
        numbering.check_fit(first + (count - 1))?;
        Ok(wanted.fill(first))
    }

    /// That the session numbers rows by ones, as the ids of a statement are.
    pub(super) fn counts_by_one(&self) -> Result<(), SqlError> {
        for name in ["auto_increment_increment", "auto_increment_offset"] {
            if self.needs.settings.variable(name).is_some_and(|value| value != b"1") {
                let why = format!("ids that Shardloom makes are one apart: SET {name} = 1 before this INSERT");
                return Err(SqlError::refuse(why));
            }
        }
        Ok(())
    }
}

/// Where the rows of a table are.
pub(super) fn places(topology: &Topology, schema: &str, table: &str) -> Vec<(Arc<Group>, PhysicalName)> {
    let Some(found) = topology.rules.schema(schema) else { return Vec::new() };
    match found.table(table) {
        Placement::Sharded(sharded) => {
            let Some(family) = topology.rules.family(sharded.family) else { return Vec::new() };
            let place = |shard| (topology.group(family.home(shard)).clone(), sharded.physical(shard).clone());
            (0..family.shards).map(place).collect()
        }
        Placement::Broadcast | Placement::Single(_) => {
            let group = GroupId(0);
            let name = PhysicalName::new(found.physical(group).to_owned(), table.to_owned());
            vec![(topology.group(group).clone(), name)]
        }
    }
}
