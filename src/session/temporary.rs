//! The temporary tables of a session, which live on the one connection that is kept for them. It knows their columns,
//! so that statements are planned for them as for any table; their rows it does not know.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::lease::Lease;
use crate::backend::schema;
use crate::plan::text::put_name;
use crate::plan::{Bound, Target};
use crate::rules::catalog::{Catalog, TableInfo};
use crate::session::Session;
use crate::session::topology::Topology;
use crate::sql::head::{Ddl, Head, head};

/// The temporary tables of a session.
#[derive(Default)]
pub(super) struct Temporary {
    /// By lower-case schema and name.
    tables: BTreeMap<(String, String), Arc<TableInfo>>,
    /// One of them has another name now, which may be that of any table.
    renamed: bool,
    /// How often they changed.
    changes: u32,
    /// The tables of all sessions with these in front of them, as made last: for what, and what.
    over: Option<(Arc<Topology>, Arc<Topology>)>,
}

impl Temporary {
    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty() && !self.renamed
    }

    /// Forgets all of them. What they were is not forgotten: plans that were made over them are still cached.
    pub(super) fn clear(&mut self) {
        *self = Temporary { changes: self.changes, ..Temporary::default() };
    }

    /// Whether a name may be that of one of them.
    pub(super) fn may_have(&self, schema: &str, table: &str) -> bool {
        self.renamed || self.tables.contains_key(&key(schema, table))
    }

    /// What statements of this session go by. `session` is its number.
    pub(super) fn over(&mut self, topology: Arc<Topology>, session: u32) -> Arc<Topology> {
        if let Some((of, over)) = &self.over
            && Arc::ptr_eq(of, &topology)
        {
            return over.clone();
        }
        let mut catalog = Catalog::clone(&topology.catalog);
        for ((schema, table), info) in &self.tables {
            catalog.insert(schema, table, info.clone());
        }
        let mut over = topology.with_catalog(Arc::new(catalog));
        let names = self.tables.keys().map(|(schema, table)| (schema.as_str(), table.as_str()));
        over.rules = Arc::new(topology.rules.with_temporary(names));
        self.changes = self.changes.wrapping_add(1);
        // Plans of this session's tables are nobody else's, nor those of the tables that it had before.
        over.version = 1 << 63 | u64::from(session) << 31 | u64::from(self.changes & 0x7FFF_FFFF);
        let over = Arc::new(over);
        self.over = Some((topology, over.clone()));
        over
    }

    fn set(&mut self, name: (String, String), info: Option<TableInfo>) {
        self.over = None;
        match info {
            Some(info) => drop(self.tables.insert(name, Arc::new(info))),
            None => drop(self.tables.remove(&name)),
        }
    }
}

fn key(schema: &str, table: &str) -> (String, String) {
    (schema.to_lowercase(), table.to_lowercase())
}

impl Session {
    /// After a definition that concerns, or may concern, a temporary table; on its connection.
    pub(super) async fn follow_temporary(&mut self, lease: &mut Lease, bound: &Bound<'_>, target: Target) {
        let Ok(Head::Ddl { verb, tables, temporary }) = head(bound.sql(), self.facts) else { return };
        let default = self.needs.schema.as_deref().unwrap_or_default();
        let named = |name: &crate::sql::ast::ObjectName| {
            key(name.schema.as_ref().map_or(default, |schema| &schema.name), &name.name.name)
        };
        match verb {
            Ddl::CreateTable if !temporary => {}
            Ddl::CreateTable | Ddl::AlterTable => {
                let (Some(first), Some(physical)) = (tables.first(), bound.names(target).next()) else { return };
                let name = named(first);
                if verb == Ddl::AlterTable && !self.temporary.tables.contains_key(&name) {
                    return;
                }
                let mut text = Vec::new();
                put_name(physical.physical_schema, physical.physical, &mut text);
                match schema::temporary(lease, &String::from_utf8_lossy(&text)).await {
                    Ok(info) => {
                        self.temporary.renamed |= info.is_none();
                        self.temporary.set(name, info);
                    }
                    Err(_) => lease.taint(),
                }
            }
            Ddl::DropTable => tables.iter().for_each(|name| self.temporary.set(named(name), None)),
            Ddl::RenameTable => {
                self.temporary.renamed |= tables.iter().any(|name| self.temporary.tables.contains_key(&named(name)))
            }
            _ => {}
        }
    }
}
