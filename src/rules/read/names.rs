//! Reading where the shards of a family are and how their tables are called there; no two may be the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Place};
use crate::document::{Mistakes, Node, Section, counted};
use crate::rules::name::{Part, Template, Values, unfit};
use crate::rules::read::group_id;
use crate::rules::shards::Shards;
use crate::rules::{Family, GroupId, PhysicalName};

const DEFAULT_TABLE: &str = "{table}_{shard:02}";

/// Every physical table that a rule names so far.
pub(super) struct Names<'a> {
    groups: &'a [&'a str],
    /// By group, schema and table in lower case: because some servers take case for nothing.
    claimed: BTreeMap<(GroupId, String, String), (String, Place)>,
}

/// How a family calls its tables, as far as the family itself says.
pub(super) struct Draft<'a> {
    table: Option<(Template, Place)>,
    database: Option<(Template, Place)>,
    databases: Option<(Node<'a>, Vec<(&'a str, Place)>)>,
    /// Where the family's name stands.
    place: Place,
}

/// How a family calls its tables.
pub(super) struct FamilyNames {
    table: Template,
    /// The template's place, or the family's.
    place: Place,
    /// Physical schema of each shard.
    schemas: Vec<String>,
    /// Name of each shard's group.
    groups: Vec<String>,
}

/// The group of each part of a family's first level: dealt over `groups`, or placed by hand.
pub(super) fn homes(
    section: &Section<'_>,
    parts: Option<u32>,
    groups: &[&str],
    mistakes: &Mistakes,
) -> Option<Vec<GroupId>> {
    match (section.get("groups"), section.get("place")) {
        (Some(dealt), None) => deal(&dealt, parts, groups, mistakes),
        (None, Some(_)) => by_hand(section, parts, groups, mistakes),
        (Some(dealt), Some(placed)) => {
            let title = format!("`{}` has both `groups` and `place`", section.name);
            mistakes.add(Diagnostic::at(placed.place, title, "").related(dealt.place, "and this"));
            None
        }
        (None, None) => {
            let title = format!("`{}` does not say on which groups its shards are", section.name);
            mistakes.add(
                Diagnostic::at(section.place.clone(), title, "")
                    .help("add `groups = [\"g0\", \"g1\"]`, or `place = { g0 = \"0-3\", g1 = \"4-7\" }`"),
            );
            None
        }
    }
}

/// Parts in order, as evenly as they go: 8 over two groups are 0-3 and 4-7.
fn deal(node: &Node<'_>, parts: Option<u32>, groups: &[&str], mistakes: &Mistakes) -> Option<Vec<GroupId>> {
    let named = node.strings(mistakes)?;
    let (before, mut seen, mut ids) = (mistakes.len(), BTreeMap::new(), Vec::new());
    for (name, place) in &named {
        if let Some(earlier) = seen.insert(*name, place) {
            let title = format!("group `{name}` is named twice");
            let diagnostic = Diagnostic::at(place.clone(), title, "again here").related(earlier.clone(), "first here");
            mistakes.add(diagnostic.help("to give a group more of the shards, write `place`"));
        } else {
            ids.extend(group_id(name, place, groups, mistakes));
        }
    }
    if named.is_empty() {
        mistakes.add(Diagnostic::at(node.place.clone(), "`groups` must name at least one group", ""));
    }
    let parts = parts?;
    if mistakes.len() > before {
        return None;
    }
    if parts < ids.len() as u32 {
        let title = format!("{} cannot be dealt over {} groups", counted(parts as usize, "shard"), ids.len());
        mistakes.add(Diagnostic::at(node.place.clone(), title, "some of these would hold nothing"));
        return None;
    }
    Some((0..parts).map(|part| ids[(part as usize * ids.len()) / parts as usize]).collect())
}

/// `place = { g0 = "0-3", g1 = [4, 5], g2 = 6 }`.
fn by_hand(section: &Section<'_>, parts: Option<u32>, groups: &[&str], mistakes: &Mistakes) -> Option<Vec<GroupId>> {
    let before = mistakes.len();
    let mut homes: BTreeMap<u32, (GroupId, Place)> = BTreeMap::new();
    let entries = section.entries("place", mistakes);
    for (name, place, node) in &entries {
        let group = group_id(name, place, groups, mistakes);
        for (part, place) in numbers(node, parts, mistakes) {
            let entry = homes.get(&part).map(|(_, earlier)| earlier.clone());
            if let Some(earlier) = entry {
                let title = format!("shard {part} is placed twice");
                mistakes.add(Diagnostic::at(place, title, "again here").related(earlier, "first here"));
            } else {
                homes.insert(part, (group.unwrap_or(GroupId(0)), place));
            }
        }
    }
    let parts = parts?;
    if mistakes.len() > before {
        return None;
    }
    let missing: Shards = (0..parts).filter(|part| !homes.contains_key(part)).collect();
    if let (false, Some(node)) = (missing.is_empty(), section.get("place")) {
        let title = match missing.single() {
            Some(shard) => format!("shard {shard} is placed nowhere"),
            None => format!("shards {missing} are placed nowhere"),
        };
        let label = format!("the method gives shards 0 to {}", parts - 1);
        mistakes.add(Diagnostic::at(node.place, title, label));
        return None;
    }
    Some(homes.into_values().map(|(group, _)| group).collect())
}

/// Shard numbers: `3`, `"0-3,6"`, or a list of such.
fn numbers(node: &Node<'_>, parts: Option<u32>, mistakes: &Mistakes) -> Vec<(u32, Place)> {
    if let Some(members) = node.as_list() {
        return members.iter().flat_map(|member| numbers(member, parts, mistakes)).collect();
    }
    let spans: Option<Vec<(u32, u32)>> = match (node.as_integer(), node.as_str()) {
        (Some(number), _) => u32::try_from(number).ok().map(|number| vec![(number, number)]),
        (_, Some(text)) => text
            .split(',')
            .map(|span| {
                let (first, last) = span.split_once('-').unwrap_or((span, span));
                let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
                (first <= last).then_some((first, last))
            })
            .collect(),
        _ => None,
    };
    let Some(spans) = spans else {
        mistakes.add(node.wrong("shard numbers").help("write 3, \"0-3,6\" or [0, 1, 2, 3, 6]"));
        return Vec::new();
    };
    let last = parts.unwrap_or(u32::MAX).saturating_sub(1);
    if let Some((_, shard)) = spans.iter().find(|(_, end)| *end > last) {
        let title = format!("there is no shard {shard}");
        mistakes.add(Diagnostic::at(node.place.clone(), title, format!("the method gives shards 0 to {last}")));
        return Vec::new();
    }
    if parts.is_none() {
        return Vec::new();
    }
    spans.into_iter().flat_map(|(first, last)| first..=last).map(|shard| (shard, node.place.clone())).collect()
}

/// What a family says about the names of its tables.
pub(super) fn family<'a>(section: &Section<'a>, levels: usize, mistakes: &Mistakes) -> Option<Draft<'a>> {
    let before = mistakes.len();
    let mut parts = vec![Part::Schema, Part::Table, Part::Group, Part::Shard];
    if levels == 2 {
        parts.extend([Part::Outer, Part::Inner]);
    }
    let table = section.get("table").and_then(|node| Some((template(&node, &parts, mistakes)?, node.place)));
    parts.retain(|part| *part != Part::Table);
    let databases = section.get("databases").and_then(|node| {
        let names = node.strings(mistakes)?;
        Some((node, names))
    });
    let database = section.get("database");
    if let (Some((one, _)), Some(other)) = (&databases, &database) {
        let title = format!("`{}` has both `database` and `databases`", section.name);
        mistakes.add(Diagnostic::at(one.place.clone(), title, "").related(other.place.clone(), "and this"));
    }
    let database = database.and_then(|node| Some((template(&node, &parts, mistakes)?, node.place)));
    (mistakes.len() == before).then_some(Draft { table, database, databases, place: section.place.clone() })
}

impl Draft<'_> {
    /// The physical schema of each shard, and the template of its tables.
    pub(super) fn resolve(
        self,
        family: &Family,
        physical: &[String],
        groups: &[&str],
        mistakes: &Mistakes,
    ) -> Option<FamilyNames> {
        let group = |shard: u32| usize::from(family.home(shard).0);
        if let Some((node, names)) = &self.databases
            && names.len() != family.shards as usize
        {
            let title =
                format!("{} for {}", counted(names.len(), "database"), counted(family.shards as usize, "shard"));
            mistakes.add(Diagnostic::at(node.place.clone(), title, "one for each shard, in order"));
            return None;
        }
        let mut schemas = Vec::new();
        for shard in 0..family.shards {
            let values = Values {
                schema: &family.schema,
                table: "",
                group: groups[group(shard)],
                shard,
                inner_parts: family.inner_parts(),
            };
            let (name, place) = match (&self.databases, &self.database) {
                (Some((_, names)), _) => (names[shard as usize].0.to_owned(), Some(&names[shard as usize].1)),
                (None, Some((template, place))) => (template.fill(values), Some(place)),
                (None, None) => (physical[group(shard)].clone(), None),
            };
            if let (Some(why), Some(place)) = (unfit(&name), place) {
                mistakes.add(Diagnostic::at(place.clone(), format!("the name `{name}` {why}"), ""));
                return None;
            }
            schemas.push(name);
        }
        let default = || Template::parse(DEFAULT_TABLE, &[Part::Table, Part::Shard]).ok();
        let place = self.table.as_ref().map(|(_, place)| place.clone());
        let place = place.or(self.database.map(|(_, place)| place)).or(self.databases.map(|(node, _)| node.place));
        let table = self.table.map(|(template, _)| template).or_else(default)?;
        let groups = (0..family.shards).map(|shard| groups[group(shard)].to_owned()).collect();
        Some(FamilyNames { table, place: place.unwrap_or(self.place), schemas, groups })
    }
}

impl FamilyNames {
    /// The names of a table's shards: by the family's template, or listed.
    pub(super) fn table(
        &self,
        name: &str,
        place: &Place,
        listed: Option<&Node<'_>>,
        family: &Family,
        names: &mut Names<'_>,
        mistakes: &Mistakes,
    ) -> Option<Arc<[PhysicalName]>> {
        let listed = match listed {
            None => None,
            Some(node) => {
                let listed = node.strings(mistakes)?;
                if listed.len() != family.shards as usize {
                    let title =
                        format!("{} for {}", counted(listed.len(), "name"), counted(family.shards as usize, "shard"));
                    mistakes.add(Diagnostic::at(node.place.clone(), title, "one for each shard, in order"));
                    return None;
                }
                Some(listed)
            }
        };
        let mut physical = Vec::new();
        for shard in 0..family.shards {
            let at = shard as usize;
            let (schema, table, place) = match &listed {
                Some(listed) => match listed[at].0.split_once('.') {
                    Some((schema, table)) => (schema.to_owned(), table.to_owned(), &listed[at].1),
                    None => (self.schemas[at].clone(), listed[at].0.to_owned(), &listed[at].1),
                },
                None => {
                    let group = self.groups[at].as_str();
                    let values =
                        Values { schema: &family.schema, table: name, group, shard, inner_parts: family.inner_parts() };
                    (self.schemas[at].clone(), self.table.fill(values), place)
                }
            };
            if let Some((bad, why)) = [&schema, &table].into_iter().find_map(|name| Some((name, unfit(name)?))) {
                mistakes.add(Diagnostic::at(place.clone(), format!("the physical name `{bad}` {why}"), ""));
                return None;
            }
            let what = format!("shard {shard} of table `{name}`");
            let template = listed.is_none().then_some(&self.place);
            if !names.claim_shard(family.home(shard), &schema, &table, &what, place, template, mistakes) {
                return None;
            }
            physical.push(PhysicalName::new(schema, table));
        }
        Some(physical.into())
    }
}

impl<'a> Names<'a> {
    pub(super) fn new(groups: &'a [&'a str]) -> Names<'a> {
        Names { groups, claimed: BTreeMap::new() }
    }

    /// Notes a physical table; false, with a mistake, if something else already has that name.
    pub(super) fn claim(
        &mut self,
        group: GroupId,
        schema: &str,
        table: &str,
        what: &str,
        place: &Place,
        mistakes: &Mistakes,
    ) -> bool {
        self.claim_shard(group, schema, table, what, place, None, mistakes)
    }

    #[expect(clippy::too_many_arguments, reason = "a place, its owner and what to say about it")]
    fn claim_shard(
        &mut self,
        group: GroupId,
        schema: &str,
        table: &str,
        what: &str,
        place: &Place,
        template: Option<&Place>,
        mistakes: &Mistakes,
    ) -> bool {
        let key = (group, schema.to_lowercase(), table.to_lowercase());
        let Some((other, earlier)) = self.claimed.get(&key) else {
            self.claimed.insert(key, (what.to_owned(), place.clone()));
            return true;
        };
        let on = self.groups.get(usize::from(group.0)).copied().unwrap_or("?");
        let title = format!("{other} and {what} would both be `{schema}`.`{table}` on {on}");
        let mut diagnostic = Diagnostic::at(place.clone(), title, "");
        if earlier != place {
            diagnostic = diagnostic.related(earlier.clone(), "already taken here");
        }
        if let Some(template) = template {
            diagnostic = diagnostic
                .related(template.clone(), "the names come from here")
                .help("make them differ: `table = \"{table}_{shard:02}\"`, or `database = \"{schema}_{shard}\"`");
        }
        mistakes.add(diagnostic);
        false
    }
}

/// A template; what is wrong inside the string is pointed at.
pub(super) fn template(node: &Node<'_>, allowed: &[Part], mistakes: &Mistakes) -> Option<Template> {
    let text = node.word(mistakes)?;
    match Template::parse(text, allowed) {
        Ok(template) => Some(template),
        Err((range, why)) => {
            let mut place = node.place.clone();
            // Exact only in a string without escapes, whose text is as long as the string without its quotes.
            if place.end - place.start == text.len() + 2 {
                (place.start, place.end) = (node.place.start + 1 + range.start, node.place.start + 1 + range.end);
            }
            mistakes.add(Diagnostic::at(place, format!("`{}` is not a template: {why}", node.name), ""));
            None
        }
    }
}
