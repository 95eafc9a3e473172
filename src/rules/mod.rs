//! The rule set: which groups of servers there are, how tables are split over them, and where a key's rows lie.
//! Checked whole when read, immutable after. It knows no SQL, no connection and no file.

pub mod catalog;
pub mod constraint;
pub mod id;
pub mod lookup;
pub mod method;
pub mod name;
mod read;
pub mod shards;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Reads;
use crate::diagnostic::{Diagnostic, Place, Source};
use crate::rules::id::IdRule;
use crate::rules::lookup::Lookup;
use crate::rules::method::Method;
use crate::rules::shards::Shards;
use crate::value::{Key, KeyKind};

/// A group, by its place in [`RuleSet::groups`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u16);

/// A family, by its place in [`RuleSet::families`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyId(pub u16);

/// All rules, of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSet {
    /// Grows with every rule set that is taken over; 0 as read.
    pub version: u64,
    groups: Vec<Group>,
    families: Vec<Family>,
    /// By lower-case name.
    schemas: BTreeMap<String, Schema>,
}

/// Servers that hold the same data: a primary and its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The server that takes writes, as long as probing finds no other that does.
    pub primary: Server,
    /// Those that follow it.
    pub replicas: Vec<Server>,
    /// The account the proxy logs in with.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// TLS towards the servers.
    pub tls: BackendTls,
    /// Where reads outside transactions go.
    pub reads: Reads,
    /// A replica that lags more gets no reads; none: the server's configuration says.
    pub max_lag: Option<Duration>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub address: Address,
    /// Its share of the group's reads, 0 to 1000. A primary has 0 unless the rule gives it one: then reads go to it
    /// only while no replica is fit.
    pub weight: u32,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// A name or an IP address, and a port.
    Tcp(String, u16),
    /// A unix socket's path.
    Unix(String),
}

/// Where the password of a group's account comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// There is none.
    None,
    /// Written in the rule file.
    Plain(String),
    /// In this environment variable.
    Env(String),
}

/// TLS towards the servers of a group; the modes are those of MySQL's `--ssl-mode`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendTls {
    /// Never.
    Disabled,
    /// If the server offers it; nothing is verified.
    Preferred,
    /// Always; nothing is verified.
    Required,
    /// Always, and the certificate must be signed by one of this PEM file.
    VerifyCa(String),
    /// Likewise, and it must be for the server's host name.
    VerifyIdentity(String),
}

/// A logical schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Its name.
    pub name: String,
    /// Where tables are that no rule names.
    pub home: GroupId,
    /// Name of its physical schema on each group, for tables that are not split.
    physical: Vec<String>,
    /// By lower-case name.
    tables: BTreeMap<String, Table>,
    /// Where temporary tables of the session at hand are that do not lie as tables of their names do, by lower-case name.
    hidden: BTreeMap<String, GroupId>,
}

/// A table that a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Table {
    Sharded(ShardedTable),
    Broadcast(String, Option<IdRule>),
    Single(String, GroupId),
}

/// Where a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement<'a> {
    /// Split by the rule of a family.
    Sharded(&'a ShardedTable),
    /// A full copy on every group.
    Broadcast,
    /// On one group.
    Single(GroupId),
}

/// A table that is split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardedTable {
    /// Its logical name, as the rule writes it.
    pub name: String,
    /// The family it belongs to.
    pub family: FamilyId,
    /// Its sharding column for each level of the family; none for families routed by hint.
    pub columns: Vec<String>,
    /// Where its rule stands.
    pub place: Place,
    /// Its unique keys that lookup tables keep unique over all shards.
    pub lookups: Vec<Lookup>,
    /// The logical name of the table that it is a lookup of, if it is one.
    pub owner: Option<String>,
    /// Who makes its ids.
    id: Option<IdRule>,
    physical: Arc<[PhysicalName]>,
}

/// The name of a table on a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysicalName {
    /// The physical schema.
    pub schema: String,
    /// The physical table.
    pub table: String,
    /// Both as a statement names them: `` `schema`.`table` ``.
    pub quoted: Box<str>,
}

impl PhysicalName {
    /// The name of this table in this schema.
    pub fn new(schema: String, table: String) -> PhysicalName {
        let quoted = format!("`{}`.`{}`", schema.replace('`', "``"), table.replace('`', "``")).into();
        PhysicalName { schema, table, quoted }
    }
}

/// Tables split by the same rule: rows with the same key live together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its id.
    pub id: FamilyId,
    /// Its name.
    pub name: String,
    /// The logical schema it belongs to.
    pub schema: String,
    /// How many shards there are: the product of the parts of its levels.
    pub shards: u32,
    levels: Vec<Method>,
    /// The group of each part of the first level.
    homes: Vec<GroupId>,
    /// Physical name of each shard, by lower-case logical table.
    tables: BTreeMap<String, Arc<[PhysicalName]>>,
}

impl RuleSet {
    /// Reads rule files, which together are one rule set; all of their mistakes, if there are any.
    pub fn parse(sources: &[Source]) -> Result<RuleSet, Vec<Diagnostic>> {
        read::rule_set(sources)
    }

    /// All groups, in the order of the files.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// All families, in the order of the files.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// The group of an id of this rule set.
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(usize::from(id.0))
    }

    /// The group of this name.
    pub fn group_named(&self, name: &str) -> Option<GroupId> {
        self.groups.iter().position(|group| group.name == name).map(|at| GroupId(at as u16))
    }

    /// The family of an id of this rule set.
    pub fn family(&self, id: FamilyId) -> Option<&Family> {
        self.families.get(usize::from(id.0))
    }

    /// The schema of this name, without case: one that differs from a rule's only by case is never taken for another
    /// one, because on some servers it is the same.
    pub fn schema(&self, name: &str) -> Option<&Schema> {
        // Asked for with most statements, and mostly in lower case already.
        self.schemas.get(name).or_else(|| self.schemas.get(&name.to_lowercase()))
    }

    /// The sharded table of which a physical table on a group is a shard.
    pub fn shard_of(&self, group: GroupId, schema: &str, table: &str) -> Option<&ShardedTable> {
        let is_shard = |sharded: &ShardedTable| {
            let family = self.family(sharded.family);
            sharded.physical.iter().zip(0..).any(|(name, shard)| {
                name.table.eq_ignore_ascii_case(table)
                    && name.schema.eq_ignore_ascii_case(schema)
                    && family.is_some_and(|family| family.home(shard) == group)
            })
        };
        let sharded = self.schemas().flat_map(Schema::tables).filter_map(|(_, placement)| match placement {
            Placement::Sharded(sharded) => Some(sharded),
            Placement::Broadcast | Placement::Single(_) => None,
        });
        sharded.into_iter().find(|sharded| is_shard(sharded))
    }

    /// The rules of a session with temporary tables, by schema, name and group, whatever tables have their names. Without
    /// a group one lies where a single table of its name does, and else on the schema's home.
    pub fn with_temporary<'t>(&self, tables: impl Iterator<Item = (&'t str, &'t str, Option<GroupId>)>) -> RuleSet {
        let mut rules = self.clone();
        for (schema, table, group) in tables {
            let Some(schema) = rules.schemas.get_mut(&schema.to_lowercase()) else { continue };
            let group = group.unwrap_or_else(|| match schema.table(table) {
                Placement::Single(group) => group,
                Placement::Sharded(_) | Placement::Broadcast => schema.home,
            });
            if schema.declared(table) != Placement::Single(group) {
                schema.hidden.insert(table.to_lowercase(), group);
            }
        }
        rules
    }

    /// The group whose server has all user locks (GET_LOCK), for every session: the home of the first schema by name.
    pub fn lock_group(&self) -> GroupId {
        self.schemas.values().next().map_or(GroupId(0), |schema| schema.home)
    }

    /// All schemas.
    pub fn schemas(&self) -> impl Iterator<Item = &Schema> {
        self.schemas.values()
    }
}

impl Schema {
    /// Where a table is; the name is looked up without case, like that of a schema.
    pub fn table(&self, name: &str) -> Placement<'_> {
        self.hiding(name).map_or_else(|| self.declared(name), Placement::Single)
    }

    /// Whether a temporary table of the session stands in front of a table that lies elsewhere.
    pub fn hides(&self, name: &str) -> bool {
        self.hiding(name).is_some()
    }

    fn hiding(&self, name: &str) -> Option<GroupId> {
        if self.hidden.is_empty() { None } else { self.hidden.get(&name.to_lowercase()).copied() }
    }

    /// Where a table is that is not temporary.
    pub fn declared(&self, name: &str) -> Placement<'_> {
        match self.tables.get(&name.to_lowercase()) {
            Some(table) => table.placement(),
            None => Placement::Single(self.home),
        }
    }

    /// The table of this name, if it is sharded.
    pub fn sharded(&self, name: &str) -> Option<&ShardedTable> {
        match self.table(name) {
            Placement::Sharded(table) => Some(table),
            Placement::Broadcast | Placement::Single(_) => None,
        }
    }

    /// All tables that rules name, where they are if no temporary one is in front.
    pub fn tables(&self) -> impl Iterator<Item = (&str, Placement<'_>)> {
        self.tables.values().map(|table| match table {
            Table::Sharded(sharded) => (sharded.name.as_str(), table.placement()),
            Table::Broadcast(name, _) | Table::Single(name, _) => (name.as_str(), table.placement()),
        })
    }

    /// Who makes the ids of a table; none: each server its own, so that an INSERT has to give them.
    pub fn id(&self, table: &str) -> Option<&IdRule> {
        if self.hides(table) {
            return None;
        }
        match self.tables.get(&table.to_lowercase())? {
            Table::Sharded(table) => table.id.as_ref(),
            Table::Broadcast(_, id) => id.as_ref(),
            Table::Single(..) => None,
        }
    }

    /// The name of its physical schema on a group, where its broadcast and single tables are.
    pub fn physical(&self, group: GroupId) -> &str {
        self.physical.get(usize::from(group.0)).unwrap_or(&self.name)
    }
}

impl Table {
    fn placement(&self) -> Placement<'_> {
        match self {
            Table::Sharded(table) => Placement::Sharded(table),
            Table::Broadcast(..) => Placement::Broadcast,
            Table::Single(_, group) => Placement::Single(*group),
        }
    }
}

impl ShardedTable {
    /// The names of all shards of it, to be kept by plans of this rule set.
    pub fn all_physical(&self) -> &Arc<[PhysicalName]> {
        &self.physical
    }

    /// The name of a shard of it; the shard must be one of the family's.
    pub fn physical(&self, shard: u32) -> &PhysicalName {
        &self.physical[shard as usize]
    }
}

impl Family {
    /// How many columns choose the shard: 0 (hints only), 1 or 2.
    pub fn levels(&self) -> usize {
        if matches!(self.levels[..], [Method::Hint(_)]) { 0 } else { self.levels.len() }
    }

    /// The method of a level.
    pub fn method(&self, level: usize) -> Option<&Method> {
        self.levels.get(level)
    }

    /// The group of a shard.
    pub fn home(&self, shard: u32) -> GroupId {
        self.homes[(shard / self.inner_parts()) as usize]
    }

    /// The name of a shard of a table, by its logical name; none if the family has no such table or shard.
    pub fn physical(&self, table: &str, shard: u32) -> Option<&PhysicalName> {
        self.tables.get(&table.to_lowercase())?.get(shard as usize)
    }

    /// The part of its level that has a key; none if no part has it. With one level, that is the shard.
    pub fn route(&self, level: usize, key: &Key) -> Option<u32> {
        self.levels.get(level)?.route(key)
    }

    /// The shards that can have rows with this key in the column of a level.
    pub fn route_set(&self, level: usize, key: &Key) -> Shards {
        match self.levels.get(level) {
            Some(Method::Hint(_)) | None => Shards::all(self.shards),
            Some(method) => method.route(key).map_or_else(Shards::none, |part| self.spread(level, &Shards::one(part))),
        }
    }

    /// The shards that can have rows with a key in this range in the column of a level.
    pub fn route_range(&self, level: usize, low: Bound<&Key>, high: Bound<&Key>) -> Shards {
        match self.levels.get(level) {
            Some(method) => self.spread(level, &method.route_range(low, high)),
            None => Shards::all(self.shards),
        }
    }

    /// The shard of a row with these keys, one for each level.
    pub fn shard(&self, keys: &[Key]) -> Option<u32> {
        if keys.len() != self.levels() || keys.is_empty() {
            return None;
        }
        let mut shard = 0;
        for (method, key) in self.levels.iter().zip(keys) {
            shard = shard * method.parts() + method.route(key)?;
        }
        Some(shard)
    }

    /// Whether columns of these types, one for each level, can be its keys; else why not, as the end of a sentence.
    pub fn accepts(&self, level: usize, kind: &KeyKind) -> Result<(), String> {
        self.levels.get(level).map_or(Ok(()), |method| method.accepts(kind))
    }

    /// Parts of one level as shards: all combinations with those of the other level.
    fn spread(&self, level: usize, parts: &Shards) -> Shards {
        let inner = self.inner_parts();
        match (level, self.levels.len()) {
            (_, 1) => parts.clone(),
            (0, _) => parts.iter().flat_map(|part| part * inner..(part + 1) * inner).collect(),
            _ => {
                (0..self.shards / inner).flat_map(|outer| parts.iter().map(move |part| outer * inner + part)).collect()
            }
        }
    }

    fn inner_parts(&self) -> u32 {
        self.levels.get(1).map_or(1, Method::parts)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp(host, port) => write!(f, "{host}:{port}"),
            Address::Unix(path) => f.write_str(path),
        }
    }
}

/// Never shows a password.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Secret::None => f.write_str("None"),
            Secret::Plain(_) => f.write_str("Plain(***)"),
            Secret::Env(name) => write!(f, "Env({name})"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::diagnostic::render;

    fn rules(text: &str) -> RuleSet {
        let sources = [Source { name: "test.toml".into(), text: text.into() }];
        RuleSet::parse(&sources).unwrap_or_else(|found| panic!("{}", render(&found, &sources, false)))
    }

    fn family(rest: &str, tables: &str) -> RuleSet {
        rules(&format!(
            "group = {{ g0 = {{ primary = 'a' }}, g1 = {{ primary = 'b' }} }}\n[schema.s]\nhome = 'g0'\n\
             [schema.s.family.f]\n{rest}\n[schema.s.table]\n{tables}"
        ))
    }

    #[test]
    fn the_shop() {
        let rules = rules(include_str!("../../rules/shop.toml"));
        let shop = rules.schema("Shop").unwrap();
        let Placement::Sharded(users) = shop.table("USERS") else { panic!() };
        assert_eq!(users.columns, ["id"]);
        let family = rules.family(users.family).unwrap();
        assert_eq!((family.shards, family.levels()), (8, 1));
        assert_eq!((0..8).map(|shard| family.home(shard).0).collect::<Vec<_>>(), [0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(users.physical(3), &PhysicalName::new("shop".into(), "users_03".into()));
        assert_eq!(family.physical("Orders", 7).unwrap().table, "orders_07");
        assert_eq!(shop.table("currencies"), Placement::Broadcast);
        assert_eq!(shop.table("audit_log"), Placement::Single(GroupId(1)));
        assert_eq!(shop.table("whatever"), Placement::Single(GroupId(0)));
        assert_eq!(rules.group(GroupId(0)).unwrap().replicas[1].weight, 2);
        assert_eq!(rules.schema("other"), None);
    }

    #[test]
    fn shards_are_dealt_in_order_or_placed() {
        let homes = |rules: &RuleSet| {
            let family = &rules.families()[0];
            (0..family.shards).map(|shard| family.home(shard).0).collect::<Vec<_>>()
        };
        let column = "column = 'k'\nmethod = { mod = 5 }";
        assert_eq!(homes(&family(&format!("{column}\ngroups = ['g0', 'g1']"), "t.family = 'f'")), [0, 0, 0, 1, 1]);
        let placed = format!("{column}\nplace = {{ g0 = [0, '2-3'], g1 = '1, 4' }}");
        assert_eq!(homes(&family(&placed, "t.family = 'f'")), [0, 1, 0, 0, 1]);
    }

    #[test]
    fn one_column_chooses_the_group_and_another_the_table() {
        let rules = family(
            "columns = ['shop', 'month']\nmethod = [{ mod = 2 }, { range = [10, 20] }]\ngroups = ['g0', 'g1']\n\
             table = '{table}_{inner}'\ndatabase = '{schema}_{outer}'",
            "t.family = 'f'",
        );
        let family = &rules.families()[0];
        let (shop, month) = (Key::Int(3), Key::Int(15));
        assert_eq!(family.shards, 6);
        assert_eq!(family.shard(&[shop.clone(), month.clone()]), Some(4));
        assert_eq!(family.route_set(0, &shop).to_string(), "3-5");
        assert_eq!(family.route_set(1, &month).to_string(), "1,4");
        assert_eq!(family.route_set(0, &shop).intersect(&family.route_set(1, &month)).single(), Some(4));
        assert_eq!(family.route_range(1, Bound::Included(&month), Bound::Unbounded).to_string(), "1-2,4-5");
        assert_eq!(family.home(4), GroupId(1));
        assert_eq!(family.physical("t", 4).unwrap(), &PhysicalName::new("s_1".into(), "t_1".into()));
    }

    #[test]
    fn a_hint_needs_no_column() {
        let rules = family("method = { hint = 2 }\ngroups = ['g0', 'g1']\ntable = '{table}'", "t.family = 'f'");
        let family = &rules.families()[0];
        assert_eq!(family.levels(), 0);
        assert_eq!(family.route_set(0, &Key::Int(1)), Shards::all(2));
        assert_eq!(family.shard(&[]), None);
        assert_eq!(family.home(1), GroupId(1));
    }

    #[test]
    fn names_by_list() {
        let rules = family(
            "column = 'k'\nmethod = { mod = 2 }\ngroups = ['g0', 'g1']\ndatabases = ['a', 'b']\ntable = '{table}'",
            "t.family = 'f'\nu = { family = 'f', names = ['u_one', 'other.u_two'] }",
        );
        let name = |table, shard| {
            let name = rules.families()[0].physical(table, shard).unwrap();
            format!("{}.{}", name.schema, name.table)
        };
        assert_eq!([name("t", 0), name("t", 1), name("u", 0), name("u", 1)], ["a.t", "b.t", "a.u_one", "other.u_two"]);
    }

    #[test]
    fn groups_and_families_have_bounds() {
        let titles = |text: String| {
            let found = RuleSet::parse(&[Source { name: "many.toml".into(), text }]).unwrap_err();
            found.into_iter().map(|diagnostic| diagnostic.title).collect::<Vec<_>>()
        };
        let groups: String = (0..1025).map(|n| format!("[group.g{n}]\nprimary = 'h{n}'\n")).collect();
        assert_eq!(titles(groups), ["there are more than 1024 groups"]);
        let families: String =
            (0..4097).map(|n| format!("f{n} = {{ method = {{ hint = 1 }}, groups = ['g'] }}\n")).collect();
        let head = "[group.g]\nprimary = 'h'\n[schema.s]\nhome = 'g'\n[schema.s.family]\n";
        assert_eq!(titles(format!("{head}{families}")), ["there are more than 4096 families"]);
        let weights = vec!["100"; 41].join(", ");
        let ring = format!("f = {{ column = 'k', groups = ['g'], method = {{ ring = [{weights}] }} }}");
        assert_eq!(titles(format!("{head}{ring}")), ["the weights of a ring add up to 4100, more than 4096"]);
    }
}
