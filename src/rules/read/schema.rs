//! Reading `[schema.NAME]`: home, families and tables.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Place};
use crate::document::{Mistakes, Node, Section, counted};
use crate::rules::id::{IdKind, IdRule};
use crate::rules::method::Method;
use crate::rules::name::{Part, Values, unfit};
use crate::rules::read::names::{FamilyNames, Names, template};
use crate::rules::read::{Defined, group_id, lookups, methods, unknown};
use crate::rules::shards::MAX_SHARDS;
use crate::rules::{Family, FamilyId, GroupId, Schema, ShardedTable, Table};

const MAX_FAMILIES: usize = 4096;

/// A family while the tables that belong to it are being read.
pub(super) struct Draft {
    /// What it becomes.
    pub(super) family: Family,
    /// The columns of tables that name none.
    columns: Vec<String>,
    /// How its tables are called.
    pub(super) names: FamilyNames,
    place: Place,
}

/// All schemas and families.
pub(super) fn read(
    roots: &[Section<'_>],
    groups: &[&str],
    mistakes: &Mistakes,
) -> (BTreeMap<String, Schema>, Vec<Family>) {
    // A schema may be spread over files; what it says, it says once.
    let mut sections: BTreeMap<String, Vec<Section<'_>>> = BTreeMap::new();
    for section in roots.iter().flat_map(|root| root.named("schema", mistakes)) {
        check_name("schema", &section.key, &section.place, mistakes);
        sections.entry(section.key.to_lowercase()).or_default().push(section);
    }
    let (mut schemas, mut families) = (BTreeMap::new(), Vec::new());
    let mut names = Names::new(groups);
    for (key, sections) in sections {
        if let Some(schema) = schema(&sections, groups, &mut families, &mut names, mistakes) {
            schemas.insert(key, schema);
        }
        for section in &sections {
            section.finish(mistakes);
        }
    }
    (schemas, families)
}

fn schema(
    sections: &[Section<'_>],
    groups: &[&str],
    families: &mut Vec<Family>,
    names: &mut Names<'_>,
    mistakes: &Mistakes,
) -> Option<Schema> {
    let first = sections.first()?;
    let home = once(sections, "home", mistakes);
    if home.is_none() {
        let title = format!("`{}` has no `home`", first.name);
        let example = groups.first().copied().unwrap_or("g0");
        mistakes.add(
            Diagnostic::at(first.place.clone(), title, "")
                .help(format!("add `home = \"{example}\"`: the group where tables are that no rule names")),
        );
    }
    let home = home.and_then(|node| group_id(node.word(mistakes)?, &node.place, groups, mistakes));
    let database = once(sections, "database", mistakes);
    let physical = physical(database.as_ref(), &first.key, groups, mistakes);

    let mut defined = Defined::default();
    let mut drafts: Vec<Draft> = Vec::new();
    for section in sections.iter().flat_map(|section| section.named("family", mistakes)) {
        if families.len() + drafts.len() == MAX_FAMILIES {
            let title = format!("there are more than {MAX_FAMILIES} families");
            mistakes.add(Diagnostic::at(section.place.clone(), title, "one too many"));
            break;
        }
        let id = FamilyId((families.len() + drafts.len()) as u16);
        let fresh = defined.first("family", &section.key, &section.place, mistakes);
        let draft = family(id, &section, &first.key, &physical, groups, mistakes);
        section.finish(mistakes);
        drafts.extend(draft.filter(|_| fresh));
    }

    let mut defined = Defined::default();
    let mut tables = BTreeMap::new();
    // Names of families that could not be read: their tables have no mistake of their own.
    let broken: Vec<String> = sections
        .iter()
        .flat_map(|section| section.entries("family", &Mistakes::default()))
        .map(|(name, ..)| name.to_owned())
        .collect();
    for (name, place, node) in sections.iter().flat_map(|section| section.entries("table", mistakes)) {
        check_name("table", name, &place, mistakes);
        if !defined.first("table", name, &place, mistakes) {
            continue;
        }
        let home = home.unwrap_or(GroupId(0));
        let table = table(name, &place, &node, &mut drafts, &broken, groups, names, &physical, mistakes);
        tables.insert(name.to_lowercase(), table.unwrap_or(Table::Single(name.to_owned(), home)));
    }
    lookups::resolve(&mut tables, &drafts, mistakes);
    for draft in drafts {
        if draft.family.tables.is_empty() && mistakes.is_empty() {
            let title = format!("family `{}` has no tables", draft.family.name);
            let help = format!(
                "add one below `[schema.{}.table]`: `NAME = {{ family = \"{}\" }}`",
                first.key, draft.family.name
            );
            mistakes.add(Diagnostic::at(draft.place.clone(), title, "").help(help));
        }
        families.push(draft.family);
    }
    Some(Schema { name: first.key.clone(), home: home?, physical, tables, hidden: BTreeMap::new() })
}

/// A value that a schema says once, in whichever of its files.
fn once<'a>(sections: &[Section<'a>], key: &'static str, mistakes: &Mistakes) -> Option<Node<'a>> {
    let mut found = sections.iter().filter_map(|section| section.get(key));
    let first = found.next()?;
    for again in found {
        let title = format!("`{key}` of `{}` is defined twice", sections.first().map_or("", |section| &section.name));
        mistakes.add(Diagnostic::at(again.place, title, "again here").related(first.place.clone(), "first here"));
    }
    Some(first)
}

/// The name of a schema on each group.
fn physical(node: Option<&Node<'_>>, schema: &str, groups: &[&str], mistakes: &Mistakes) -> Vec<String> {
    let template = node.and_then(|node| template(node, &[Part::Schema, Part::Group], mistakes));
    let Some(template) = template else { return vec![schema.to_owned(); groups.len()] };
    let names: Vec<String> = groups
        .iter()
        .map(|group| template.fill(Values { schema, table: "", group, shard: 0, inner_parts: 1 }))
        .collect();
    if let (Some(node), Some((name, why))) = (node, names.iter().find_map(|name| Some((name, unfit(name)?)))) {
        mistakes.add(Diagnostic::at(node.place.clone(), format!("the name `{name}` {why}"), ""));
    }
    names
}

fn family(
    id: FamilyId,
    section: &Section<'_>,
    schema: &str,
    physical: &[String],
    groups: &[&str],
    mistakes: &Mistakes,
) -> Option<Draft> {
    check_name("family", &section.key, &section.place, mistakes);
    let levels = levels(section, mistakes);
    let columns = columns(section, mistakes);
    // Everything is looked at before anything is given up.
    let outer = levels.as_ref().and_then(|levels| levels.first()).map(Method::parts);
    let homes = super::names::homes(section, outer, groups, mistakes);
    let names = super::names::family(section, levels.as_ref().map_or(1, Vec::len), mistakes);
    let (levels, homes) = (levels?, homes?);
    let columns = columns.unwrap_or_default();
    let shards = levels.iter().map(|level| u64::from(level.parts())).product::<u64>();
    if shards > u64::from(MAX_SHARDS) {
        let title = format!("{shards} shards are more than a family may have");
        let place = section.get("method").map_or(section.place.clone(), |node| node.place);
        mistakes.add(Diagnostic::at(place, title, format!("at most {MAX_SHARDS}")));
        return None;
    }
    check_levels(section, &levels, &columns, mistakes);
    let family = Family {
        id,
        name: section.key.clone(),
        schema: schema.to_owned(),
        shards: shards as u32,
        levels,
        homes,
        tables: BTreeMap::new(),
    };
    let names = names?.resolve(&family, physical, groups, mistakes)?;
    Some(Draft { family, columns, names, place: section.place.clone() })
}

/// The methods, one for each level.
fn levels(section: &Section<'_>, mistakes: &Mistakes) -> Option<Vec<Method>> {
    let node = section.require("method", "{ hash = 8 }", mistakes)?;
    let Some(members) = node.as_list() else { return Some(vec![methods::method(&node, mistakes)?]) };
    let levels: Vec<Option<Method>> = members.iter().map(|member| methods::method(member, mistakes)).collect();
    if !(1..=2).contains(&levels.len()) {
        let title = "a family has one method, or two for two columns";
        mistakes.add(Diagnostic::at(node.place, title, format!("these are {}", levels.len())));
        return None;
    }
    let levels: Vec<Method> = levels.into_iter().collect::<Option<_>>()?;
    if levels.len() == 2 && levels.iter().any(|level| matches!(level, Method::Hint(_))) {
        mistakes.add(Diagnostic::at(node.place, "`hint` cannot be one of two methods", "it has no column"));
        return None;
    }
    Some(levels)
}

/// `column = "user_id"` or `columns = ["user_id", "created"]`.
fn columns(section: &Section<'_>, mistakes: &Mistakes) -> Option<Vec<String>> {
    match (section.get("column"), section.get("columns")) {
        (Some(one), Some(many)) => {
            mistakes.add(
                Diagnostic::at(many.place, format!("`{}` has both `column` and `columns`", section.name), "")
                    .related(one.place, "and this"),
            );
            None
        }
        (Some(node), None) => Some(vec![node.word(mistakes)?.to_owned()]),
        (None, Some(node)) => Some(node.strings(mistakes)?.into_iter().map(|(column, _)| column.to_owned()).collect()),
        (None, None) => None,
    }
}

/// Whether a family has as many columns as methods; a family may leave its columns to its tables.
fn check_levels(section: &Section<'_>, levels: &[Method], columns: &[String], mistakes: &Mistakes) {
    let place = || {
        let node = section.get("columns").or_else(|| section.get("column"));
        node.map_or(section.place.clone(), |node| node.place)
    };
    if let [Method::Hint(_)] = levels {
        if !columns.is_empty() {
            let title = "a family routed by hint has no column";
            mistakes.add(Diagnostic::at(place(), title, "").help("leave the column out, or choose another method"));
        }
    } else if !columns.is_empty() && columns.len() != levels.len() {
        let title = format!("{}, but {}", counted(columns.len(), "column"), counted(levels.len(), "method"));
        mistakes.add(Diagnostic::at(place(), title, "each method has its column"));
    } else if let [first, second] = columns
        && first.eq_ignore_ascii_case(second)
    {
        mistakes.add(Diagnostic::at(place(), "the two columns must be different ones", ""));
    }
}

#[expect(clippy::too_many_arguments, reason = "what a table is made of, each used once")]
fn table(
    name: &str,
    place: &Place,
    node: &Node<'_>,
    drafts: &mut [Draft],
    broken: &[String],
    groups: &[&str],
    names: &mut Names<'_>,
    physical: &[String],
    mistakes: &Mistakes,
) -> Option<Table> {
    let Some(section) = node.as_section(&node.name) else {
        let help = "write `{ family = \"...\" }`, `{ broadcast = true }` or `{ group = \"...\" }`";
        mistakes.add(node.wrong("keys in braces").help(help));
        return None;
    };
    let (family, broadcast, group) = (section.get("family"), section.get("broadcast"), section.get("group"));
    let table = match (&family, &broadcast, &group) {
        (Some(node), None, None) => sharded(name, place, node, &section, drafts, broken, names, mistakes),
        (None, Some(node), None) => match node.boolean(mistakes) {
            Some(true) => {
                for (at, schema) in physical.iter().enumerate() {
                    names.claim(
                        GroupId(at as u16),
                        schema,
                        name,
                        &format!("broadcast table `{name}`"),
                        place,
                        mistakes,
                    );
                }
                Some(Table::Broadcast(name.to_owned(), id(&section, mistakes)))
            }
            Some(false) => {
                let help = "leave the line out: the table is in the schema's home then, or name its `group`";
                mistakes.add(Diagnostic::at(node.place.clone(), "`broadcast = false` says nothing", "").help(help));
                None
            }
            None => None,
        },
        (None, None, Some(node)) => {
            let group = group_id(node.word(mistakes)?, &node.place, groups, mistakes)?;
            let schema = physical.get(usize::from(group.0)).map_or("", String::as_str);
            names.claim(group, schema, name, &format!("table `{name}`"), place, mistakes);
            Some(Table::Single(name.to_owned(), group))
        }
        (None, None, None) => {
            let title = format!("nothing says where table `{name}` is");
            let help = "write `{ family = \"...\" }`, `{ broadcast = true }` or `{ group = \"...\" }`";
            mistakes.add(Diagnostic::at(place.clone(), title, "").help(help));
            None
        }
        _ => {
            let title = format!("table `{name}` must be one of `family`, `broadcast`, `group`");
            mistakes.add(Diagnostic::at(place.clone(), title, "it is several"));
            None
        }
    };
    section.finish(mistakes);
    table
}

#[expect(clippy::too_many_arguments, reason = "what a table is made of, each used once")]
fn sharded(
    name: &str,
    place: &Place,
    node: &Node<'_>,
    section: &Section<'_>,
    drafts: &mut [Draft],
    broken: &[String],
    names: &mut Names<'_>,
    mistakes: &Mistakes,
) -> Option<Table> {
    let own = columns(section, mistakes);
    let id = id(section, mistakes);
    let lookups = lookups::read(section, mistakes);
    let listed = section.get("names");
    let wanted = node.word(mistakes)?;
    let known: Vec<&str> = drafts.iter().map(|draft| draft.family.name.as_str()).collect();
    let Some(at) = known.iter().position(|known| *known == wanted) else {
        if !broken.iter().any(|broken| broken == wanted) {
            unknown("family", wanted, &node.place, &known, mistakes);
        }
        return None;
    };
    let draft = &mut drafts[at];
    let columns = own.unwrap_or_else(|| draft.columns.clone());
    let levels = draft.family.levels();
    if columns.len() != levels {
        let columns_node = section.get("columns").or_else(|| section.get("column"));
        let at = columns_node.map_or(place.clone(), |node| node.place);
        let title = match (columns.len(), levels) {
            (0, _) => format!("table `{name}` has no sharding column, and its family names none"),
            (_, 0) => format!("table `{name}` has a column, but its family is routed by hint"),
            (have, need) => {
                format!("table `{name}` has {}, but its family has {need}", counted(have, "sharding column"))
            }
        };
        let help = match levels {
            0 => "leave the column out",
            1 => "write `column = \"user_id\"`, here or in the family",
            _ => "write `columns = [\"user_id\", \"created\"]`, here or in the family",
        };
        mistakes.add(Diagnostic::at(at, title, "").related(draft.place.clone(), "the family").help(help));
        return None;
    }
    let physical = draft.names.table(name, place, listed.as_ref(), &draft.family, names, mistakes)?;
    draft.family.tables.insert(name.to_lowercase(), physical.clone());
    Some(Table::Sharded(ShardedTable {
        place: place.clone(),
        name: name.to_owned(),
        family: draft.family.id,
        columns,
        lookups,
        owner: None,
        id,
        physical,
    }))
}

/// `id = "snowflake"`, or `id = { kind = "snowflake", column = "id" }`.
fn id(section: &Section<'_>, mistakes: &Mistakes) -> Option<IdRule> {
    let kinds = [("snowflake", IdKind::Snowflake), ("segment", IdKind::Segment), ("uuid", IdKind::Uuid)];
    let node = section.get("id")?;
    let rule = if node.as_str().is_some() {
        IdRule { kind: node.choice(&kinds, mistakes)?, column: None, place: node.place.clone() }
    } else if let Some(id) = node.as_section("id") {
        let kind = id.require("kind", "\"snowflake\"", mistakes).and_then(|node| node.choice(&kinds, mistakes));
        let column = id.get("column").and_then(|node| node.word(mistakes)).map(str::to_owned);
        id.finish(mistakes);
        IdRule { kind: kind?, column, place: node.place.clone() }
    } else {
        let help = "write `id = \"snowflake\"` or `id = { kind = \"snowflake\", column = \"id\" }`";
        mistakes.add(node.wrong("a kind of generator or a table").help(help));
        return None;
    };
    if rule.kind == IdKind::Uuid && rule.column.is_none() {
        let title = "UUIDs need the name of their column: AUTO_INCREMENT columns hold none";
        let help = "write `id = { kind = \"uuid\", column = \"id\" }`";
        mistakes.add(Diagnostic::at(node.place, title, "").help(help));
        return None;
    }
    Some(rule)
}

fn check_name(what: &str, name: &str, place: &Place, mistakes: &Mistakes) {
    if let Some(why) = unfit(name) {
        let shown: String = name.chars().take(80).collect();
        mistakes.add(Diagnostic::at(place.clone(), format!("the name of {what} `{shown}` {why}"), ""));
    }
    const SYSTEM: [&str; 5] = ["_shardloom", "information_schema", "mysql", "performance_schema", "sys"];
    if what == "schema" && SYSTEM.contains(&name.to_lowercase().as_str()) {
        mistakes.add(Diagnostic::at(place.clone(), format!("schema `{name}` belongs to the servers themselves"), ""));
    }
}
