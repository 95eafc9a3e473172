//! Which logical table a physical one is, the other way round than statements ask, and which of them a user sees.
//! It knows the rules, and nothing that is on a server.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::rules::{GroupId, Placement, RuleSet, Schema};

/// The logical schemas that a user may see, and the tables that physical ones are in them.
pub struct Inventory<'a> {
    schemas: Vec<&'a Schema>,
    /// Shards of the tables of these schemas: by group, physical schema and table in lower case.
    shards: HashMap<(GroupId, String, String), Vec<Owned<'a>>>,
    /// Shards of all tables.
    taken: HashSet<(GroupId, String, String)>,
    /// Groups with a physical schema of single and broadcast tables, or with first shards.
    first: BTreeMap<GroupId, BTreeSet<&'a str>>,
    /// Groups with any shard besides.
    all: BTreeMap<GroupId, BTreeSet<&'a str>>,
}

/// What a physical table is to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned<'a> {
    /// The logical schema.
    pub schema: &'a str,
    /// The logical table; none: under its physical name.
    pub table: Option<&'a str>,
    /// The shard that it is.
    pub shard: u32,
}

impl<'a> Inventory<'a> {
    /// The schemas of these rules that `sees` says yes to.
    pub fn new(rules: &'a RuleSet, sees: impl Fn(&str) -> bool) -> Inventory<'a> {
        let mut found = Inventory {
            schemas: Vec::new(),
            shards: HashMap::new(),
            taken: HashSet::new(),
            first: BTreeMap::new(),
            all: BTreeMap::new(),
        };
        for schema in rules.schemas() {
            let seen = sees(&schema.name);
            if seen {
                found.schemas.push(schema);
                found.place(schema.home, schema.physical(schema.home), 0);
            }
            for (name, placement) in schema.tables() {
                match placement {
                    Placement::Sharded(table) => {
                        let Some(family) = rules.family(table.family) else { continue };
                        for (shard, physical) in (0..).zip(table.all_physical().iter()) {
                            let group = family.home(shard);
                            let key = (group, physical.schema.to_lowercase(), physical.table.to_lowercase());
                            if seen {
                                let owned = Owned { schema: &schema.name, table: Some(name), shard };
                                found.shards.entry(key.clone()).or_default().push(owned);
                                found.place(group, &physical.schema, shard);
                            }
                            found.taken.insert(key);
                        }
                    }
                    Placement::Single(group) if seen => found.place(group, schema.physical(group), 0),
                    Placement::Single(_) | Placement::Broadcast => {}
                }
            }
        }
        found
    }

    fn place(&mut self, group: GroupId, schema: &'a str, shard: u32) {
        if shard == 0 {
            self.first.entry(group).or_default().insert(schema);
        }
        self.all.entry(group).or_default().insert(schema);
    }

    /// The schemas.
    pub fn schemas(&self) -> impl Iterator<Item = &'a Schema> {
        self.schemas.iter().copied()
    }

    /// Where tables are: physical schemas by group; with `shards`, those of all shards and not of the first alone.
    pub fn places(&self, shards: bool) -> &BTreeMap<GroupId, BTreeSet<&'a str>> {
        if shards { &self.all } else { &self.first }
    }

    /// What a physical table is to clients: nothing if they do not see it, several tables if several logical schemas
    /// are one physical schema.
    pub fn tables(&self, group: GroupId, schema: &str, table: &str) -> Vec<Owned<'a>> {
        let key = (group, schema.to_lowercase(), table.to_lowercase());
        if let Some(found) = self.shards.get(&key) {
            return found.clone();
        }
        if self.taken.contains(&key) {
            return Vec::new();
        }
        let is_here = |found: &&&Schema| {
            let here = match found.declared(table) {
                Placement::Single(single) => single == group,
                // Every group has a copy, and one tells.
                Placement::Broadcast => found.home == group,
                Placement::Sharded(_) => false,
            };
            here && found.physical(group).eq_ignore_ascii_case(schema)
        };
        let owned = |found: &&'a Schema| Owned { schema: &found.name, table: None, shard: 0 };
        self.schemas.iter().filter(is_here).map(owned).collect()
    }

    /// The logical schemas whose home this physical schema is.
    pub fn homes(&self, group: GroupId, schema: &str) -> Vec<Owned<'a>> {
        let is_home = |found: &&&Schema| found.home == group && found.physical(group).eq_ignore_ascii_case(schema);
        let owned = |found: &&'a Schema| Owned { schema: &found.name, table: None, shard: 0 };
        self.schemas.iter().filter(is_home).map(owned).collect()
    }

    /// The physical names under which logical tables of this name can stand on a group; the name itself among them.
    pub fn physical_names(&self, group: GroupId, table: &str) -> Vec<String> {
        let mut names = vec![table.to_owned()];
        for schema in &self.schemas {
            if let Placement::Sharded(found) = schema.declared(table) {
                let all = found.all_physical().iter();
                names.extend(all.filter(|name| self.is_on(group, name)).map(|name| name.table.clone()));
            }
        }
        names
    }

    fn is_on(&self, group: GroupId, name: &crate::rules::PhysicalName) -> bool {
        self.shards.contains_key(&(group, name.schema.to_lowercase(), name.table.to_lowercase()))
    }
}
