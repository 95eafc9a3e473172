//! What the servers have against what the rules say: every table on every target, whether all shards of a table
//! look alike, and whether the servers are set up for commits over several groups. It reads; the statements of
//! `create` are run by whoever asked for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::admin::guarantee::{self, Guarantee};
use crate::admin::replicas;
use crate::backend::cluster::Group;
use crate::backend::conn::Class;
use crate::backend::schema::tables;
use crate::diagnostic;
use crate::error::SqlError;
use crate::plan::define::{misplaces, not_unique};
use crate::rules::catalog::TableInfo;
use crate::rules::lookup::LookupState;
use crate::rules::{GroupId, PhysicalName, Placement, RuleSet, Schema, ShardedTable};

/// What a check found, in the order of the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What keeps statements from being answered.
    pub errors: Vec<Finding>,
    /// What a DBA should know.
    pub warnings: Vec<Finding>,
    /// Tables that are where they should be, copies and shards counted each.
    pub fine: usize,
    /// Of transactions over several groups, if there are several.
    pub guarantee: Option<Guarantee>,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that it is about, if it is about one.
    pub rule: Option<diagnostic::Place>,
    /// What it is.
    pub text: String,
}

impl From<String> for Finding {
    fn from(text: String) -> Finding {
        Finding { rule: None, text }
    }
}

/// One place where a table should be.
struct Place {
    group: GroupId,
    name: PhysicalName,
    /// `shard 3`, `copy on g1`.
    what: String,
}

/// Compares the rules with the servers' tables.
///
/// # Errors
/// That of a server that cannot be asked: then nothing is known, which is not the same as nothing wrong.
pub async fn check(rules: &RuleSet, groups: &[Arc<Group>]) -> Result<Findings, SqlError> {
    let mut found = Findings::default();
    let mut seen = Seen::new();
    for schema in rules.schemas() {
        for (name, placement) in schema.tables() {
            let places = places(rules, schema, name, placement);
            let mut first: Option<(String, Arc<TableInfo>)> = None;
            for place in places {
                let key = (place.group, place.name.schema.clone());
                if !seen.contains_key(&key) {
                    let tables = read(&groups[usize::from(place.group.0)], &place.name.schema).await?;
                    seen.insert(key.clone(), tables);
                }
                let group = &groups[usize::from(place.group.0)].name;
                let here = format!(
                    "{}.{name}, {} ({group}: {}.{})",
                    schema.name, place.what, place.name.schema, place.name.table
                );
                let Some(info) = seen.get(&key).and_then(|tables| tables.get(&place.name.table.to_lowercase())) else {
                    let text = format!("{here}: the table is missing; `shardloom check --create FILE` makes it");
                    found.errors.push(text.into());
                    continue;
                };
                found.fine += 1;
                match &first {
                    None => {
                        let table = Table { schema, name, placement, info };
                        table.keys(&mut found);
                        table.ids(&mut found);
                        first = Some((place.what, info.clone()));
                    }
                    Some((what, other)) => {
                        for difference in other.differences(info) {
                            found.errors.push(format!("{here}: differs from {what}: {difference}").into());
                        }
                    }
                }
            }
        }
    }
    lookups(&mut found, rules, &seen);
    for group in groups {
        if groups.len() > 1 {
            let (guarantee, warnings) = guarantee::of(group).await?;
            found.guarantee = Some(found.guarantee.map_or(guarantee, |least| least.min(guarantee)));
            found.warnings.extend(warnings.into_iter().map(Finding::from));
            found.warnings.extend(replicas::of(group).await?.into_iter().map(Finding::from));
        }
        files(&mut found, group).await?;
    }
    Ok(found)
}

/// What LOAD DATA LOCAL INFILE needs of a group's primary.
async fn files(found: &mut Findings, group: &Group) -> Result<(), SqlError> {
    let server = group.primary().await?;
    let mut conn = server.connect(Class { deprecate_eof: true, found_rows: false }).await?;
    let told = conn.query("SELECT @@GLOBAL.local_infile").await.map_err(|error| error.to_client(&server.name))?;
    if told.text(0, 0).as_deref() == Some("0") {
        let why = "local_infile is OFF: it takes no LOAD DATA LOCAL INFILE (SET GLOBAL local_infile = 1)";
        found.warnings.push(format!("{}: {why}", server.name).into());
    }
    Ok(())
}

fn places(rules: &RuleSet, schema: &Schema, name: &str, placement: Placement<'_>) -> Vec<Place> {
    let unsplit = |group: GroupId, what: String| Place {
        group,
        name: PhysicalName::new(schema.physical(group).to_owned(), name.to_owned()),
        what,
    };
    match placement {
        Placement::Single(group) => vec![unsplit(group, "the single table".to_owned())],
        Placement::Broadcast => (0..rules.groups().len())
            .map(|group| {
                let id = GroupId(group as u16);
                unsplit(id, format!("copy on {}", rules.groups()[group].name))
            })
            .collect(),
        Placement::Sharded(table) => rules.family(table.family).map_or_else(Vec::new, |family| {
            (0..family.shards)
                .map(|shard| Place {
                    group: family.home(shard),
                    name: table.physical(shard).clone(),
                    what: format!("shard {shard}"),
                })
                .collect()
        }),
    }
}

/// A table that is there, as the rules have it and as its first place has it.
struct Table<'a> {
    schema: &'a Schema,
    name: &'a str,
    placement: Placement<'a>,
    info: &'a TableInfo,
}

impl Table<'_> {
    /// The sharding column must be there, of a type that routes, and in every unique key, and change with statements only.
    fn keys(&self, found: &mut Findings) {
        let Table { schema: rule, name, placement, info } = *self;
        let (schema, id) = (&rule.name, rule.id(name));
        let Placement::Sharded(table) = placement else { return };
        let finding = |text: String| Finding { rule: Some(table.place.clone()), text };
        for column in &table.columns {
            match info.column(column) {
                None => {
                    found
                        .errors
                        .push(finding(format!("{schema}.{name}: it has no column {column}, by which it is split")));
                }
                Some((_, column)) => {
                    if let Err(why) = column.key_kind() {
                        let text = format!("{schema}.{name}: column {} cannot be split by: {why}", column.name);
                        found.errors.push(finding(text));
                    }
                }
            }
        }
        for key in &info.foreign_keys {
            let is_parent = |(_, other): (&str, Placement<'_>)| match other {
                Placement::Sharded(other) => other.family == table.family && other.physical(0).table == key.parent,
                Placement::Broadcast | Placement::Single(_) => false,
            };
            if let Some(why) = misplaces(table, key, rule.tables().any(is_parent)) {
                found.errors.push(finding(format!("{schema}.{name}: {why}")));
            }
        }
        let made = id.and_then(|id| id.column(info).ok()).map(|(column, _)| column);
        for key in info.unique() {
            let Some(why) = not_unique(table, key) else { continue };
            let text = match (made, key) {
                (Some(made), [only]) if only.eq_ignore_ascii_case(made) => format!(
                    "{schema}.{name}: unique key ({only}) does not contain the sharding column: the ids that Shardloom \
                     makes are unique over all shards, those that clients give are compared with their own shard only"
                ),
                _ => format!("{schema}.{why}"),
            };
            found.warnings.push(finding(text));
        }
    }

    /// The column of ids must be able to hold them, and somebody must make them.
    fn ids(&self, found: &mut Findings) {
        let Table { schema: rule, name, placement, info } = *self;
        let (schema, id) = (&rule.name, rule.id(name));
        match (id, placement, info.auto_increment()) {
            (Some(id), ..) => {
                if let Err(why) = id.column(info) {
                    let text = format!("{schema}.{name}: {why}");
                    found.errors.push(Finding { rule: Some(id.place.clone()), text });
                }
            }
            (None, Placement::Sharded(table), Some(column)) => {
                let text = format!(
                    "{schema}.{name}: no rule says who makes the ids of its AUTO_INCREMENT column {}, so every INSERT has \
                     to give them: add `id = \"snowflake\"` or `id = \"segment\"`",
                    column.name
                );
                found.warnings.push(Finding { rule: Some(table.place.clone()), text });
            }
            _ => {}
        }
    }
}

/// Tables of servers by lower-case name, for each group and physical schema.
type Seen = BTreeMap<(GroupId, String), BTreeMap<String, Arc<TableInfo>>>;

/// A table and its lookups must fit each other; those that are missing are told already.
fn lookups(found: &mut Findings, rules: &RuleSet, seen: &Seen) {
    let info = |table: &ShardedTable| {
        let (home, name) = (rules.family(table.family)?.home(0), table.physical(0));
        seen.get(&(home, name.schema.clone()))?.get(&name.table.to_lowercase())
    };
    for schema in rules.schemas() {
        for (name, placement) in schema.tables() {
            let Placement::Sharded(owner) = placement else { continue };
            for lookup in &owner.lookups {
                let table = schema.sharded(&lookup.table);
                let (Some(ours), Some(theirs)) = (info(owner), table.and_then(info)) else { continue };
                if let Err(why) = lookup.fit(owner, ours, theirs) {
                    let text = format!("{}.{name}: {why}", schema.name);
                    found.errors.push(Finding { rule: Some(lookup.place.clone()), text });
                } else if lookup.state == LookupState::Writing {
                    let text = format!(
                        "{}.{name}: lookup {} is being filled: no statement goes by it, and values from before it was \
                         there may be given out again",
                        schema.name, lookup.table
                    );
                    found.warnings.push(Finding { rule: Some(lookup.place.clone()), text });
                }
            }
        }
    }
}

async fn read(group: &Group, schema: &str) -> Result<BTreeMap<String, Arc<TableInfo>>, SqlError> {
    let server = group.primary().await?;
    let mut conn = server.connect(Class { deprecate_eof: true, found_rows: false }).await?;
    let found = tables(&mut conn, schema).await.map_err(|error| error.to_client(&server.name))?;
    Ok(found.into_iter().map(|(name, info)| (name.to_lowercase(), info)).collect())
}
