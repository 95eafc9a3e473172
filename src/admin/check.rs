//! What the servers have against what the rules say: every table on every target, and whether all shards of
//! a table look alike. It reads; the statements of `create` are run by whoever asked for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::cluster::Group;
use crate::backend::conn::Class;
use crate::backend::schema::tables;
use crate::error::SqlError;
use crate::plan::define::not_unique;
use crate::rules::catalog::TableInfo;
use crate::rules::{GroupId, PhysicalName, Placement, RuleSet};

/// What a check found, in the order of the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What keeps statements from being answered.
    pub errors: Vec<String>,
    /// What a DBA should know.
    pub warnings: Vec<String>,
    /// Tables that are where they should be, copies and shards counted each.
    pub fine: usize,
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
    let mut seen: BTreeMap<(GroupId, String), BTreeMap<String, Arc<TableInfo>>> = BTreeMap::new();
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
                    found
                        .errors
                        .push(format!("{here}: the table is missing; `shardloom check --create FILE` makes it"));
                    continue;
                };
                found.fine += 1;
                match &first {
                    None => {
                        keys(&mut found, schema.name.as_str(), name, placement, info);
                        first = Some((place.what, info.clone()));
                    }
                    Some((what, other)) => {
                        for difference in other.differences(info) {
                            found.errors.push(format!("{here}: differs from {what}: {difference}"));
                        }
                    }
                }
            }
        }
    }
    Ok(found)
}

fn places(rules: &RuleSet, schema: &crate::rules::Schema, name: &str, placement: Placement<'_>) -> Vec<Place> {
    let unsplit = |group: GroupId, what: String| Place {
        group,
        name: PhysicalName { schema: schema.physical(group).to_owned(), table: name.to_owned() },
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

/// The sharding column must be there, of a type that routes, and in every unique key.
fn keys(found: &mut Findings, schema: &str, name: &str, placement: Placement<'_>, info: &TableInfo) {
    let Placement::Sharded(table) = placement else { return };
    for column in &table.columns {
        match info.column(column) {
            None => found.errors.push(format!("{schema}.{name}: it has no column {column}, by which it is split")),
            Some((_, column)) => {
                if let Err(why) = column.key_kind() {
                    found.errors.push(format!("{schema}.{name}: column {} cannot be split by: {why}", column.name));
                }
            }
        }
    }
    for key in info.unique() {
        found.warnings.extend(not_unique(table, key).map(|why| format!("{schema}.{why}")));
    }
}

async fn read(group: &Group, schema: &str) -> Result<BTreeMap<String, Arc<TableInfo>>, SqlError> {
    let server = group.primary().await?;
    let mut conn = server.connect(Class { deprecate_eof: true, found_rows: false }).await?;
    let found = tables(&mut conn, schema).await.map_err(|error| error.to_client(&server.name))?;
    Ok(found.into_iter().map(|(name, info)| (name.to_lowercase(), info)).collect())
}
