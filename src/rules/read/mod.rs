//! Reading rule files: from TOML to a rule set, or to all of its mistakes. It opens no file.

mod group;
mod lookups;
mod methods;
mod names;
mod schema;

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Place, Source, did_you_mean};
use crate::document::{Document, Mistakes, listed};
use crate::rules::{GroupId, RuleSet};

/// Reads files as one rule set.
pub(super) fn rule_set(sources: &[Source]) -> Result<RuleSet, Vec<Diagnostic>> {
    let mistakes = Mistakes::default();
    let documents: Vec<Document<'_>> =
        sources.iter().enumerate().map(|(file, source)| Document::parse(file, source, &mistakes)).collect();
    if !mistakes.is_empty() {
        return Err(mistakes.into_vec());
    }
    let roots: Vec<_> = documents.iter().map(Document::root).collect();
    let groups = group::read(&roots, &mistakes);
    let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    let (schemas, families) = schema::read(&roots, &names, &mistakes);
    for root in &roots {
        root.finish(&mistakes);
    }
    if groups.is_empty() && mistakes.is_empty() {
        mistakes.add(
            Diagnostic::nowhere("there is no group of servers")
                .help("a rule file begins with one:\n\n[group.g0]\nprimary = \"127.0.0.1:3306\""),
        );
    }
    if !mistakes.is_empty() {
        return Err(mistakes.into_vec());
    }
    Ok(RuleSet { version: 0, groups, families, schemas })
}

/// Where names have been defined, to find those defined twice. Case does not make another name.
#[derive(Default)]
struct Defined {
    places: BTreeMap<String, Place>,
}

impl Defined {
    /// Notes a name; false, with a mistake, if it is already there.
    fn first(&mut self, what: &str, name: &str, place: &Place, mistakes: &Mistakes) -> bool {
        let Some(earlier) = self.places.get(&name.to_lowercase()) else {
            self.places.insert(name.to_lowercase(), place.clone());
            return true;
        };
        let title = format!("{what} `{name}` is defined twice");
        mistakes.add(Diagnostic::at(place.clone(), title, "again here").related(earlier.clone(), "first here"));
        false
    }
}

/// The group of a name that stands at a place.
fn group_id(name: &str, place: &Place, groups: &[&str], mistakes: &Mistakes) -> Option<GroupId> {
    if let Some(at) = groups.iter().position(|group| *group == name) {
        return Some(GroupId(at as u16));
    }
    unknown("group", name, place, groups, mistakes);
    None
}

/// Notes that a name is not among those defined.
fn unknown(what: &str, name: &str, place: &Place, known: &[&str], mistakes: &Mistakes) {
    let diagnostic = Diagnostic::at(place.clone(), format!("there is no {what} `{name}`"), "");
    mistakes.add(match did_you_mean(name, known.iter().copied()) {
        Some(right) => diagnostic.help(format!("did you mean `{right}`?")),
        None if known.is_empty() => diagnostic,
        None => diagnostic.help(format!("there are {}", listed(known.iter().copied()))),
    });
}
