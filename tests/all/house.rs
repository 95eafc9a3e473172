//! The rules of the house, kept by reading the source: what may import what, what the pure wing may
//! not touch, and where the parser crate may be named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The storeys from the ground up. A room imports only rooms of lower storeys, or of its own folder.
///
/// The pure wing (value, sequence, sql, rules, plan, commit) and the left wing (wire, backend, txn) meet in exec;
/// `txn` and `backend` name groups by the ids of `rules`.
const STOREYS: &[&[&str]] = &[
    &["error", "value", "sequence", "metrics", "diagnostic", "commit", "rare"],
    &["document"],
    &["config", "sql", "wire"],
    &["rules"],
    &["plan", "backend"],
    &["txn", "ids"],
    &["exec"],
    &["session"],
    &["admin"],
    &["server"],
    &["demo"],
    &["cli", "main", "lib"],
];

/// Rooms without tokio, sockets, files, clock, threads and configuration.
const PURE: &[&str] = &["value", "sequence", "sql", "rules", "plan", "commit"];

struct Source {
    path: PathBuf,
    /// Path below `src` without `.rs` and `/mod`, as module path: `backend::pool`.
    module: String,
    /// The text without its test module.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                let relative = path.strip_prefix(&root).unwrap().with_extension("");
                let module = relative.to_string_lossy().replace('/', "::").trim_end_matches("::mod").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
                let code = code.split("#[cfg(test)]\n#[allow").next().unwrap_or_default().to_owned();
                files.push(Source { path, module, code });
            }
        }
    }
    files.sort_by(|a, b| a.module.cmp(&b.module));
    files
}

fn code_lines(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(i, line)| (i + 1, line))
}

/// Module paths named behind `crate::`, `use` groups unfolded one level: `crate::a::{b, c}`.
fn imports(code: &str) -> BTreeSet<String> {
    let code: String = code_lines(code).map(|(_, line)| format!("{line}\n")).collect();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        let path = rest[..end].trim_end_matches(':');
        match rest[end..].strip_prefix('{').and_then(|group| group.split('}').next()) {
            Some(group) => {
                for item in group.split(',').map(str::trim).filter(|item| !item.is_empty()) {
                    let item = item.split([' ', '{']).next().unwrap_or(item);
                    found.insert(if path.is_empty() { item.to_owned() } else { format!("{path}::{item}") });
                }
            }
            None => {
                found.insert(path.to_owned());
            }
        }
    }
    found
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

fn storey(room: &str) -> usize {
    STOREYS
        .iter()
        .position(|rooms| rooms.contains(&room))
        .unwrap_or_else(|| panic!("src/{room} has no storey: add it to STOREYS in tests/all/house.rs"))
}

#[test]
fn imports_run_downward_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        let from = room(&source.module);
        for import in imports(&source.code) {
            let to = room(&import);
            if to != from && storey(to) >= storey(from) {
                wrong.push(format!("{} imports crate::{import}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that do not run downward:\n{}", wrong.join("\n"));
}

/// A folder's `mod.rs` holds the type that the files below it are about: these two may know each other.
fn are_kin(a: &str, b: &str) -> bool {
    let below = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with("::"));
    below(a, b) || below(b, a)
}

/// A file and the private files below it (`mod x;`, not `pub mod x;`) are one unit, whose parts nobody else
/// sees: those of a grammar, say, which call each other as its rules do.
fn unit<'s>(module: &'s str, sources: &'s [Source]) -> &'s str {
    if let Some((parent, child)) = module.rsplit_once("::")
        && let Some(source) = sources.iter().find(|s| s.module == parent)
        && source.code.lines().any(|line| line == format!("mod {child};"))
    {
        return unit(&source.module, sources);
    }
    module
}

#[test]
fn no_circles_between_files() {
    let sources = sources();
    let modules: BTreeSet<&str> = sources.iter().map(|s| s.module.as_str()).collect();
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in &sources {
        for import in imports(&source.code) {
            // The longest prefix that is a file.
            let mut path = import.as_str();
            while !modules.contains(path) {
                match path.rfind("::") {
                    Some(cut) => path = &path[..cut],
                    None => break,
                }
            }
            let (from, path) = (unit(&source.module, &sources), unit(path, &sources));
            if let Some(to) = modules.get(path).filter(|to| **to != from && **to != "lib" && !are_kin(from, to)) {
                edges.entry(from).or_default().insert(to);
            }
        }
    }
    // Files that lead into no circle, or that none leads to, are struck off until nothing changes.
    let mut left: BTreeSet<&str> = modules.clone();
    loop {
        let leads = |m: &str| edges.get(m).is_some_and(|to| to.iter().any(|to| left.contains(to)));
        let is_led_to = |m: &str| left.iter().any(|from| edges.get(from).is_some_and(|to| to.contains(m)));
        let free: Vec<&str> = left.iter().filter(|m| !leads(m) || !is_led_to(m)).copied().collect();
        if free.is_empty() {
            break;
        }
        for module in free {
            left.remove(module);
        }
    }
    let circle: Vec<String> = left
        .iter()
        .map(|m| format!("{m} -> {:?}", edges[m].iter().filter(|to| left.contains(**to)).collect::<Vec<_>>()))
        .collect();
    assert!(circle.is_empty(), "files in circles of imports:\n{}", circle.join("\n"));
}

#[test]
fn the_pure_wing_touches_nothing_outside() {
    let forbidden = [
        "tokio",
        "std::net",
        "std::fs",
        "std::io",
        "std::env",
        "std::thread",
        "std::process",
        "Instant",
        "SystemTime",
        "Mutex",
        "RwLock",
        "config::Config",
        "crate::metrics",
        "rustls",
    ];
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| PURE.contains(&room(&s.module))) {
        for (number, line) in code_lines(&source.code) {
            if let Some(word) = forbidden.iter().find(|word| line.contains(**word)) {
                wrong.push(format!("{}:{number}: {word}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "the pure wing reaches outside:\n{}", wrong.join("\n"));
}

#[test]
fn the_parser_crate_is_named_in_one_file() {
    let named: Vec<String> =
        sources().into_iter().filter(|s| s.code.contains("sqlparser::")).map(|s| s.module).collect();
    assert_eq!(named, ["sql::parse"]);
}

#[test]
fn no_mutable_statics() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in code_lines(&source.code) {
            let line = line.trim_start();
            let is_static = line.starts_with("static ")
                || line.starts_with("pub static ")
                || line.starts_with("pub(crate) static ");
            let mutable = ["mut ", "Mutex", "RwLock", "Atomic", "OnceLock", "LazyLock", "Cell", "ArcSwap"];
            if is_static && mutable.iter().any(|word| line.contains(word)) && !line.contains("global_allocator")
                || line.contains("thread_local!")
            {
                wrong.push(format!("{}:{number}: {line}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "configuration and state are passed, never fetched:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_opens_with_a_sentence_on_what_it_does() {
    let wrong: Vec<String> =
        sources().into_iter().filter(|s| !s.code.starts_with("//!")).map(|s| s.path.display().to_string()).collect();
    assert!(wrong.is_empty(), "files without a //! line at their head:\n{}", wrong.join("\n"));
}

#[test]
fn no_glob_imports_and_no_climbing() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in code_lines(&source.code) {
            if line.trim_start().starts_with("use ") && (line.contains("::*") || line.contains("super::super")) {
                wrong.push(format!("{}:{number}: {line}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
