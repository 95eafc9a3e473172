//! The temporary tables of a session, which live on the one connection that is kept for them. It knows their columns,
//! so that statements are planned for them as for any table; their rows it does not know.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::conn::BackendError;
use crate::backend::lease::Lease;
use crate::backend::schema;
use crate::error::{Code, SqlError};
use crate::exec::gather;
use crate::exec::gather::home::Gathering;
use crate::plan::render::Name;
use crate::plan::text::put_name;
use crate::plan::{Bound, Plan, Planned, Target};
use crate::rules::GroupId;
use crate::rules::catalog::{Catalog, TableInfo};
use crate::rules::constraint;
use crate::session::Session;
use crate::session::topology::Topology;
use crate::sql::Flavour;
use crate::sql::ast::ObjectName;
use crate::sql::define::{Part, define};
use crate::sql::head::{Ddl, Head, head};
use crate::txn::{Access, Mode, Pin, State};

/// The temporary tables of a session.
#[derive(Default)]
pub(super) struct Temporary {
    /// By lower-case schema and name.
    tables: BTreeMap<(String, String), (GroupId, Arc<TableInfo>)>,
    /// How often they changed.
    changes: u32,
    /// The tables of all sessions with these in front of them, as made last: for what, and what.
    over: Option<(Arc<Topology>, Arc<Topology>)>,
}

impl Temporary {
    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Forgets all of them. What they were is not forgotten: plans that were made over them are still cached.
    pub(super) fn clear(&mut self) {
        *self = Temporary { changes: self.changes, ..Temporary::default() };
    }

    /// Whether a name is that of one of them.
    pub(super) fn has(&self, schema: &str, table: &str) -> bool {
        self.tables.contains_key(&key(schema, table))
    }

    /// What statements of this session go by. `session` is its number.
    pub(super) fn over(&mut self, topology: Arc<Topology>, session: u32) -> Arc<Topology> {
        if let Some((of, over)) = &self.over
            && Arc::ptr_eq(of, &topology)
        {
            return over.clone();
        }
        let mut catalog = Catalog::clone(&topology.catalog);
        for ((schema, table), (_, info)) in &self.tables {
            catalog.insert(schema, table, info.clone());
        }
        let mut over = topology.with_catalog(Arc::new(catalog));
        let names = self.tables.iter();
        let names = names.map(|((schema, table), (group, _))| (schema.as_str(), table.as_str(), Some(*group)));
        over.rules = Arc::new(topology.rules.with_temporary(names));
        self.changes = self.changes.wrapping_add(1);
        // Plans of this session's tables are nobody else's, nor those of the tables that it had before.
        over.version = 1 << 63 | u64::from(session) << 31 | u64::from(self.changes & 0x7FFF_FFFF);
        let over = Arc::new(over);
        self.over = Some((topology, over.clone()));
        over
    }

    fn set(&mut self, name: (String, String), on: GroupId, info: Option<TableInfo>) {
        self.over = None;
        match info {
            Some(info) => drop(self.tables.insert(name, (on, Arc::new(info)))),
            None => drop(self.tables.remove(&name)),
        }
    }
}

fn key(schema: &str, table: &str) -> (String, String) {
    (schema.to_lowercase(), table.to_lowercase())
}

impl Session {
    /// MySQL lets nobody see a temporary table within a branch of a transaction: the group that has them becomes the
    /// first that a transaction touches, which is no branch.
    /// <https://dev.mysql.com/doc/refman/9.7/en/xa-restrictions.html>
    pub(super) async fn begin_where_they_are(
        &mut self,
        topology: &Topology,
        planned: &Planned,
    ) -> Result<(), SqlError> {
        let touches = !planned.tables.is_empty() && !planned.effects.implicit_commit;
        if self.facts.flavour != Flavour::MySql || !touches || !self.txn.touched().is_empty() {
            return Ok(());
        }
        let Some((group, _)) = self.txn.pins().find(|(_, pin)| *pin == Pin::TemporaryTable) else { return Ok(()) };
        self.needs.mode = planned.wishes().transaction.map_or(self.guest.mode, Mode::from);
        self.open_without_autocommit();
        if matches!(self.txn.state(), State::Open(_)) {
            let wanted = self.needs.wanted(topology, group);
            let lease = self.txn.lease(group, topology.group(group), Access::Primary, &wanted).await?;
            self.txn.settle_unasked(group, lease).await;
        }
        Ok(())
    }

    /// Refuses what MySQL does not do with temporary tables in a branch, on the group that a statement is for.
    pub(super) fn may_see_temporary(&self, planned: &Planned, group: GroupId) -> Result<(), SqlError> {
        let sees = || planned.tables.iter().any(|table| self.temporary.has(&table.schema, &table.name));
        if self.facts.flavour != Flavour::MySql || !self.txn.is_in_branch(group, self.needs.mode) {
            return Ok(());
        }
        if planned.effects.temporary_table || sees() {
            let why = "a temporary table in a transaction that began on another group: create it before BEGIN";
            return Err(SqlError::refuse(format!("Shardloom does not support {why}")));
        }
        Ok(())
    }

    /// That a temporary table can be made of rows of several places.
    pub(super) fn may_make_temporary(&self) -> Result<(), SqlError> {
        let why = match self.txn.pins().find(|(_, pin)| *pin == Pin::LockTables) {
            Some(_) => "under LOCK TABLES",
            None if self.txn.is_open() => "in a transaction: end it first, or create the table, then INSERT ... SELECT",
            None if !self.autocommit() => "with autocommit off: create the table, then INSERT ... SELECT",
            None => return Ok(()),
        };
        let what = "a CREATE TEMPORARY TABLE ... AS SELECT over several servers";
        Err(SqlError::refuse(format!("Shardloom does not support {what} {why}")))
    }

    /// Keeps the connection on which a temporary table was made of rows that were gathered there. Where the copies
    /// cannot be taken off, or the table is not known, the session has lost what is on it.
    pub(super) async fn keep_made(
        &mut self,
        mut lease: Lease,
        planned: &Planned,
        bound: &Bound<'_>,
        gathering: &Gathering<'_>,
    ) {
        let target = Target { group: gathering.gathered.group, shard: None };
        self.txn.pin(target.group, Pin::TemporaryTable, &mut lease);
        let followed = self.follow_temporary(&mut lease, planned, bound, target).await;
        if followed.is_ok() {
            gather::give_back(&mut self.txn, lease, gathering).await;
        }
    }

    /// After a definition that concerns, or may concern, a temporary table; on its connection.
    ///
    /// # Errors
    /// Why that cannot go on: the table would not be what one server makes.
    pub(super) async fn follow_temporary(
        &mut self,
        lease: &mut Lease,
        planned: &Planned,
        bound: &Bound<'_>,
        target: Target,
    ) -> Result<(), BackendError> {
        let Ok(Head::Ddl { verb, tables, temporary }) = head(bound.sql(), self.facts) else { return Ok(()) };
        let default = self.needs.schema.as_deref().unwrap_or_default();
        let named =
            |name: &ObjectName| key(name.schema.as_ref().map_or(default, |schema| &schema.name), &name.name.name);
        match verb {
            Ddl::CreateTable if !temporary => {}
            Ddl::CreateTable | Ddl::AlterTable | Ddl::CreateIndex | Ddl::DropIndex => {
                let (Some(first), Some(table)) = (tables.first(), bound.name(0, target)) else { return Ok(()) };
                let known = self.temporary.tables.contains_key(&named(first));
                if !known && verb != Ddl::CreateTable {
                    return Ok(());
                }
                if let (Plan::Like { .. }, false, true, Some(model)) =
                    (&planned.plan, known, lease.info.mariadb, bound.names(target).nth(1))
                {
                    name_checks(lease, &quoted(table), (model.physical, model.table)).await?;
                }
                let (mut name, mut shown) = (named(first), quoted(table));
                if let (Ddl::AlterTable, Some((_, new))) = (verb, self.new_names(bound.sql())?.pop()) {
                    self.temporary.set(name, target.group, None);
                    (name, shown) = (named(&new), quoted(bound.names(target).last().unwrap_or(table)));
                }
                let info = schema::temporary(lease, &shown).await?;
                self.temporary.set(name, target.group, Some(info));
            }
            Ddl::DropTable => tables.iter().for_each(|name| self.temporary.set(named(name), target.group, None)),
            Ddl::RenameTable => {
                for (old, new) in self.new_names(bound.sql())? {
                    if let Some(table) = self.temporary.tables.remove(&named(&old)) {
                        self.temporary.over = None;
                        self.temporary.tables.insert(named(&new), table);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The tables that ALTER or RENAME TABLE gives new names to, and these.
    fn new_names(&self, sql: &[u8]) -> Result<Vec<(ObjectName, ObjectName)>, BackendError> {
        let unread = || SqlError::new(Code::Unknown, "a definition of a temporary table is not understood");
        let found = define(sql, self.facts).ok().flatten().ok_or_else(unread).map_err(BackendError::Server)?;
        let pairs = found.mentions.windows(2).filter_map(|pair| match pair {
            [(old, Part::Subject), (new, Part::NewName)] => Some((old.clone(), new.clone())),
            _ => None,
        });
        Ok(pairs.collect())
    }
}

fn quoted(name: Name<'_>) -> String {
    let mut text = Vec::new();
    put_name(name.physical_schema, name.physical, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Gives the checks of a table, which was made like a shard, the names that they have to the client: MariaDB takes them
/// over, MySQL makes new ones. `of`: the shard, and its table.
async fn name_checks(lease: &mut Lease, table: &str, of: (&str, &str)) -> Result<(), BackendError> {
    let shown = lease.query(&format!("SHOW CREATE TABLE {table}")).await?;
    match shown.text(0, 1).as_deref().and_then(|shown| checks(shown, of)) {
        Some(changes) => lease.query(&format!("ALTER TABLE {table} {changes}")).await.map(drop),
        None => Ok(()),
    }
}

/// The changes of a table that give all checks in its definition their logical names, and leave them in their order.
fn checks(shown: &str, (shard, table): (&str, &str)) -> Option<String> {
    let named = shown.lines().filter_map(|line| {
        let line = line.trim_start().trim_end_matches(',').strip_prefix("CONSTRAINT ")?;
        let (name, check) = line.split_once(" CHECK (")?;
        let name = name.trim_matches(['`', '"']);
        Some((name, constraint::logical(name, shard, table), check))
    });
    let named: Vec<_> = named.collect();
    if named.iter().all(|(physical, logical, _)| physical == logical) {
        return None;
    }
    let dropped = named.iter().map(|(physical, ..)| format!("DROP CONSTRAINT `{physical}`"));
    let added = named.iter().map(|(_, logical, check)| format!("ADD CONSTRAINT `{logical}` CHECK ({check}"));
    Some(dropped.chain(added).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_get_their_logical_names() {
        let shown = "CREATE TEMPORARY TABLE `x` (\n  `a` int(11) DEFAULT NULL CHECK (`a` > 1),\n  \
                     CONSTRAINT `CONSTRAINT_1` CHECK (`a` <> 3),\n  CONSTRAINT `low_00` CHECK (`a` < 9 or `a` = \
                     ' CHECK (')\n) ENGINE=InnoDB";
        assert_eq!(
            checks(shown, ("orders_00", "orders")).as_deref(),
            Some(
                "DROP CONSTRAINT `CONSTRAINT_1`, DROP CONSTRAINT `low_00`, ADD CONSTRAINT `CONSTRAINT_1` CHECK (`a` <> \
                 3), ADD CONSTRAINT `low` CHECK (`a` < 9 or `a` = ' CHECK (')"
            )
        );
        assert_eq!(checks(shown, ("orders", "orders")), None);
    }
}
