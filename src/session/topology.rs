//! One version of the rules together with the live servers and the tables they describe; immutable, so
//! that a statement sees one version from its first byte to its last.

use std::sync::Arc;

use crate::backend::cluster::Group;
use crate::backend::conn::ServerInfo;
use crate::backend::schema::Defaults;
use crate::rules::catalog::Catalog;
use crate::rules::{GroupId, RuleSet};

/// One version of everything that routing rests on.
pub struct Topology {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// What the servers say of the tables in the rules.
    pub catalog: Arc<Catalog>,
    /// The groups, by `GroupId`.
    pub groups: Vec<Arc<Group>>,
    /// The same name for a schema everywhere: logical name and group to the physical name.
    databases: Vec<Vec<(Box<str>, Arc<str>)>>,
    /// Collations of the servers: number, character set, name.
    collations: Vec<(u16, Box<str>, Box<str>)>,
    /// What the first server that answered is.
    server: Option<Arc<ServerInfo>>,
    /// The servers' default sql_mode.
    sql_mode: String,
    /// Grows with every change of rules or catalog; part of the plan cache's key.
    pub version: u64,
    /// The version since which each `GroupId` has meant the group of the same name.
    pub numbering: u64,
    /// What keeps an eye on the groups' servers, for as long as somebody uses this version.
    probes: Arc<dyn Send + Sync>,
}

impl Topology {
    /// Character set and name of the collation with this number.
    pub fn collation(&self, number: u16) -> Option<(&str, &str)> {
        let at = self.collations.binary_search_by_key(&number, |(number, _, _)| *number).ok()?;
        let (_, charset, name) = &self.collations[at];
        Some((charset, name))
    }

    /// What the servers are.
    pub fn server_info(&self) -> Option<&Arc<ServerInfo>> {
        self.server.as_ref()
    }

    /// The sql_mode of a session that has set none.
    pub fn default_sql_mode(&self) -> &str {
        &self.sql_mode
    }

    /// Rules, tables and servers of the version behind `before`; `probes` lives as long as it.
    pub fn new(
        rules: Arc<RuleSet>,
        catalog: Arc<Catalog>,
        groups: Vec<Arc<Group>>,
        defaults: Defaults,
        before: Option<&Topology>,
        probes: Arc<dyn Send + Sync>,
    ) -> Topology {
        let version = before.map_or(1, |before| before.version + 1);
        let same = |before: &&Topology| {
            let names = before.groups.iter().zip(&groups);
            before.groups.len() <= groups.len() && names.into_iter().all(|(old, new)| old.name == new.name)
        };
        let numbering = before.filter(same).map_or(version, |before| before.numbering);
        let databases = (0..groups.len())
            .map(|group| {
                let name_of = |schema: &crate::rules::Schema| {
                    (schema.name.as_str().into(), Arc::from(schema.physical(GroupId(group as u16))))
                };
                rules.schemas().map(name_of).collect()
            })
            .collect();
        Topology {
            rules,
            catalog,
            groups,
            databases,
            collations: defaults.collations,
            server: defaults.server,
            sql_mode: defaults.sql_mode,
            version,
            numbering,
            probes,
        }
    }

    /// The same with other tables.
    pub fn with_catalog(&self, catalog: Arc<Catalog>) -> Topology {
        Topology {
            rules: self.rules.clone(),
            catalog,
            groups: self.groups.clone(),
            databases: self.databases.clone(),
            collations: self.collations.clone(),
            server: self.server.clone(),
            sql_mode: self.sql_mode.clone(),
            version: self.version + 1,
            numbering: self.numbering,
            probes: self.probes.clone(),
        }
    }

    /// The servers of a group of this version's rules.
    pub fn group(&self, id: GroupId) -> &Arc<Group> {
        &self.groups[usize::from(id.0)]
    }

    /// The physical name of a logical schema on a group; the same `Arc` each time, so that comparing is cheap.
    pub fn database(&self, group: GroupId, schema: &str) -> Option<&Arc<str>> {
        let names = &self.databases[usize::from(group.0)];
        let same = names.iter().find(|(name, _)| **name == *schema);
        same.or_else(|| names.iter().find(|(name, _)| name.eq_ignore_ascii_case(schema))).map(|(_, physical)| physical)
    }

    /// The group that answers for a schema where no table says otherwise; the first one without a schema.
    pub fn home(&self, schema: Option<&str>) -> GroupId {
        schema.and_then(|schema| self.rules.schema(schema)).map_or(GroupId(0), |schema| schema.home)
    }
}
