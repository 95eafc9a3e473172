//! What people copy is right: every configuration and rule file in the README and in `docker/` is read as it stands.
//! What people look up is there: `docs/sql.md` has every refusal that a golden plan or a statement of the score has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use shardloom::config::Config;
use shardloom::diagnostic::{Source, render};
use shardloom::rules::RuleSet;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn examples_are_right() {
    let readme = read("README.md");
    let blocks: Vec<&str> = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let (mut rules, mut configs) = (0, 0);
    for block in blocks {
        if block.contains("listen") {
            configs += 1;
            config("README.md", &block.replace("$A$005$...", &verifier()));
        } else {
            rules += 1;
            let source = Source { name: "README.md".into(), text: block.to_owned() };
            RuleSet::parse(std::slice::from_ref(&source))
                .unwrap_or_else(|m| panic!("{}", render(&m, &[source], false)));
        }
    }
    assert!(rules > 0 && configs > 0, "the README shows neither rules nor a configuration");
    config("docker/shardloom.toml", &read("docker/shardloom.toml"));
}

#[test]
fn every_refusal_has_its_row() {
    let page = read("docs/sql.md");
    let (_, list) = page.split_once("## What is refused").unwrap();
    let rows = list.lines().take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| "));
    let rows: Vec<&str> = rows.skip(1).map(|row| row[2..].split(" | ").next().unwrap()).collect();
    let reasons = refusals();
    let row_of = |reason: &str| rows.iter().find(|row| fits(row, reason));
    let missed: Vec<&String> = reasons.iter().filter(|reason| row_of(reason).is_none()).collect();
    assert!(missed.is_empty(), "docs/sql.md does not tell of these refusals:\n{missed:#?}");
    let unused: Vec<&&str> = rows.iter().filter(|row| !reasons.iter().any(|reason| fits(row, reason))).collect();
    assert!(unused.is_empty(), "docs/sql.md tells of refusals that no test knows:\n{unused:#?}");
}

/// The reasons of error 1235 in all golden plans and corpora, without the place in the statement.
fn refusals() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in ["tests/fixtures/plans", "tests/fixtures/score"].into_iter().flat_map(files) {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let plan = line.split_once("ERROR 1235 (42000): ").map(|(_, reason)| reason);
            let partly = line.split_once(" on several shards it is refused: ").map(|(_, reason)| reason);
            let score = line.strip_prefix("-- = refused").and_then(|rest| rest.split_once(": "));
            if let Some(reason) = plan.or(partly).or(score.map(|(_, reason)| reason)) {
                let reason = reason.split(" near '").next().unwrap_or(reason);
                found.insert(reason.trim_end_matches([':', ';']).to_owned());
            }
        }
    }
    found
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(format!("{ROOT}/{folder}")).unwrap().map(|entry| entry.unwrap().path());
    let nested = entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] });
    nested.collect()
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Whether a reason is that of a row, in which `…` stands for anything.
fn fits(row: &str, reason: &str) -> bool {
    let parts: Vec<&str> = row.trim_end_matches([':', ';']).split('…').collect();
    let mut rest = reason;
    for (number, part) in parts.iter().enumerate() {
        let found = if number + 1 == parts.len() && !part.is_empty() {
            rest.ends_with(part).then_some(rest.len())
        } else if number == 0 {
            rest.starts_with(part).then_some(part.len())
        } else {
            rest.find(part).map(|at| at + part.len())
        };
        let Some(end) = found else { return false };
        rest = &rest[end..];
    }
    parts.last().is_some_and(|last| last.is_empty()) || rest.is_empty()
}

#[test]
fn dots_stand_for_anything() {
    assert!(fits("the key … is …", "the key a.b is not b"));
    assert!(fits("… is refused", "a is refused is refused"));
    assert!(!fits("the key … is new", "the key a is newer"));
    assert!(!fits("key", "keys"));
}

fn config(name: &str, text: &str) {
    let source = Source { name: name.to_owned(), text: text.to_owned() };
    if let Err(mistakes) = Config::parse(&source) {
        panic!("{}", render(&mistakes, &[source], false));
    }
}

fn verifier() -> String {
    shardloom::wire::auth::hash_password(b"secret").unwrap().0.replace('\\', "\\\\").replace('"', "\\\"")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/{file}")).unwrap()
}
