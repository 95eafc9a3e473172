//! Reading `unique = [{ columns = ["email"], lookup = "users_email" }]`, and whether owners and lookups fit each other as
//! far as rules tell. What their columns are, only servers know.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Place, did_you_mean};
use crate::document::{Mistakes, Node, Section, listed};
use crate::rules::lookup::{Lookup, LookupState};
use crate::rules::read::schema::Draft;
use crate::rules::{ShardedTable, Table};

const EXAMPLE: &str = "write `unique = [{ columns = [\"email\"], lookup = \"users_email\" }]`";

/// The lookups that a table's rule names.
pub(super) fn read(section: &Section<'_>, mistakes: &Mistakes) -> Vec<Lookup> {
    let Some(node) = section.get("unique") else { return Vec::new() };
    let Some(members) = node.as_list() else {
        mistakes.add(node.wrong("a list of unique keys").help(EXAMPLE));
        return Vec::new();
    };
    let mut found: Vec<Lookup> = Vec::new();
    for lookup in members.iter().filter_map(|member| lookup(member, mistakes)) {
        match found.iter().find(|known| same(&known.columns, &lookup.columns)) {
            Some(known) => {
                let title = format!("unique key ({}) has two lookups", lookup.columns.join(", "));
                mistakes
                    .add(Diagnostic::at(lookup.place, title, "again here").related(known.place.clone(), "first here"));
            }
            None => found.push(lookup),
        }
    }
    found
}

fn lookup(node: &Node<'_>, mistakes: &Mistakes) -> Option<Lookup> {
    let Some(section) = node.as_section("unique") else {
        mistakes.add(node.wrong("a list of tables").help(EXAMPLE));
        return None;
    };
    let states = [("writing", LookupState::Writing), ("reading", LookupState::Reading)];
    let columns = section.require("columns", "[\"email\"]", mistakes);
    let table = section.require("lookup", "\"users_email\"", mistakes);
    let state = section.get("state").map(|node| node.choice(&states, mistakes));
    section.finish(mistakes);
    let (columns, table) = (columns?, table?);
    let (names, table_name) = (columns.strings(mistakes), table.word(mistakes));
    let names: Vec<String> = names?.into_iter().map(|(name, _)| name.to_owned()).collect();
    if names.is_empty() {
        mistakes.add(Diagnostic::at(columns.place, "a unique key has columns", "none here").help(EXAMPLE));
        return None;
    }
    let twice = names.iter().enumerate().find(|(at, name)| names[..*at].iter().any(|other| is(other, name)));
    if let Some((_, twice)) = twice {
        mistakes.add(Diagnostic::at(columns.place, format!("column `{twice}` is named twice"), ""));
        return None;
    }
    let state = state.unwrap_or(Some(LookupState::Reading))?;
    Some(Lookup { columns: names, table: table_name?.to_owned(), state, place: table.place })
}

/// Whether every lookup is there, and is one; notes at each whose it is.
pub(super) fn resolve(tables: &mut BTreeMap<String, Table>, drafts: &[Draft], mistakes: &Mistakes) {
    let mut owners: BTreeMap<String, (String, Place)> = BTreeMap::new();
    let sharded = |table: &Table| if let Table::Sharded(table) = table { Some(table.clone()) } else { None };
    let with_lookups: Vec<ShardedTable> =
        tables.values().filter_map(sharded).filter(|table| !table.lookups.is_empty()).collect();
    for owner in &with_lookups {
        for lookup in &owner.lookups {
            if let Some(mistake) = mistake(owner, lookup, tables) {
                mistakes.add(mistake);
                continue;
            }
            let key = lookup.table.to_lowercase();
            if let Some((other, earlier)) = owners.get(&key) {
                let title = format!("`{}` is the lookup of two unique keys", lookup.table);
                mistakes.add(
                    Diagnostic::at(lookup.place.clone(), title, format!("of `{}`", owner.name))
                        .related(earlier.clone(), format!("of `{other}`"))
                        .help("give each a table of its own"),
                );
                continue;
            }
            owners.insert(key, (owner.name.clone(), lookup.place.clone()));
        }
    }
    for (name, (owner, place)) in owners {
        let Some(Table::Sharded(table)) = tables.get_mut(&name) else { continue };
        let family = drafts.iter().find(|draft| draft.family.id == table.family);
        let columns = with_lookups.iter().flat_map(|owner| &owner.lookups).find(|lookup| lookup.place == place);
        let strange = columns.and_then(|lookup| {
            table.columns.iter().find(|column| !lookup.columns.iter().any(|known| is(known, column)))
        });
        if let Some(column) = strange {
            let title = format!("`{}` is split by `{column}`, which is not in the unique key", table.name);
            let help = "a lookup goes by a column of the unique key: name it by `column`, or in its family";
            mistakes.add(Diagnostic::at(place, title, "").related(table.place.clone(), "its rule").help(help));
        } else if family.is_some_and(|draft| draft.family.levels() == 0) {
            let title = format!("`{}` is routed by hint, so nobody finds a value in it", table.name);
            let help = "give it a family with a column, such as `method = { hash = 8 }`";
            mistakes.add(Diagnostic::at(place, title, "").related(table.place.clone(), "its rule").help(help));
        }
        table.owner = Some(owner);
    }
}

/// Why a table cannot have a lookup, as far as the two rules say.
fn mistake(owner: &ShardedTable, lookup: &Lookup, tables: &BTreeMap<String, Table>) -> Option<Diagnostic> {
    let wrong = |title: String, help: &str| Some(Diagnostic::at(lookup.place.clone(), title, "").help(help));
    if owner.columns.is_empty() {
        let title = format!("table `{}` is routed by hint: it has no key that a lookup could lead to", owner.name);
        return wrong(title, "leave `unique` out, or give the table's family a column");
    }
    if owner.columns.iter().all(|column| lookup.columns.iter().any(|known| is(known, column))) {
        let title = format!("unique key ({}) contains the sharding key of `{}`", lookup.columns.join(", "), owner.name);
        return wrong(title, "its shard keeps it unique already: leave the lookup out");
    }
    let name = &lookup.table;
    if is(name, &owner.name) {
        return wrong(format!("`{name}` cannot be its own lookup"), "name a table of its own");
    }
    let Some(table) = tables.get(&name.to_lowercase()) else {
        let sharded = tables.values().filter_map(|table| match table {
            Table::Sharded(table) => Some(table.name.as_str()),
            _ => None,
        });
        let help = match did_you_mean(name, sharded) {
            Some(right) => format!("did you mean `{right}`?"),
            None => {
                let column = &lookup.columns[0];
                format!("add `{name} = {{ family = \"...\", column = \"{column}\" }}` below `[schema.NAME.table]`")
            }
        };
        return wrong(format!("there is no rule for lookup `{name}`"), &help);
    };
    let Table::Sharded(table) = table else {
        let help = format!("write `{name} = {{ family = \"...\", column = {} }}`", listed_quoted(&lookup.columns));
        return wrong(format!("lookup `{name}` is not sharded"), &help);
    };
    if !table.lookups.is_empty() {
        return wrong(format!("lookup `{name}` has lookups itself"), "take `unique` out of its rule");
    }
    if let Some(id) = &table.id {
        let title = format!("lookup `{name}` makes ids, but its rows are those of `{}`", owner.name);
        return Some(Diagnostic::at(id.place.clone(), title, "").help("leave `id` out"));
    }
    None
}

/// The names of which one is to be chosen, in a sentence of TOML.
fn listed_quoted(names: &[String]) -> String {
    match names {
        [only] => format!("\"{only}\""),
        several => format!("one of {}", listed(several.iter().map(String::as_str))),
    }
}

fn same(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().all(|name| b.iter().any(|other| is(other, name)))
}

fn is(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}
