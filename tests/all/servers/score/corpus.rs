//! Statements in files that people read: `tests/fixtures/score/NAME.sql`.
//! A case is a statement up to a `;` at the end of a line. Comment lines above it say what it is about; `-- @word`
//! lines among them say how it is to be compared. `-- = ` lines below it tell what becomes of it where that is not
//! the identical answer; `UPDATE=1` writes these anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use shardloom::sql::Flavour;

use crate::servers::score::client::Protocol;
use crate::servers::score::layout::{LAYOUTS, Layout};
use crate::servers::score::verdict::{Rows, Verdict, order_of};

/// A file of statements, run in one session from top to bottom.
pub(super) struct Corpus {
    pub(super) name: String,
    path: PathBuf,
    pub(super) cases: Vec<Case>,
    /// `-- @layouts NAME ...` at the top of the file: where it runs; everywhere without it.
    layouts: Option<Vec<String>>,
    /// What stands behind the last statement.
    end: String,
}

/// One statement.
pub(super) struct Case {
    /// The lines above it.
    comment: String,
    pub(super) sql: String,
    pub(super) rows: Rows,
    /// `@mysql`, `@mariadb`: the other does not have it, or means something else by it.
    pub(super) only: Option<Flavour>,
    /// `@plan`: flags and warnings follow the plan that the server chose that time, and are not compared.
    pub(super) follows_plan: bool,
    /// `@copies`: the server copies rows to a temporary table or not, by its plan, and of the columns of such a one tells no
    /// table; tables and flags are not compared.
    pub(super) follows_copies: bool,
    /// `@history`: a user variable that is NULL has the type of what it was before on its connection, which is another
    /// one of the pool each time; types are not compared.
    pub(super) follows_history: bool,
}

/// What became of each case, by place and case.
pub(super) type Results = BTreeMap<(Flavour, Layout, Protocol), Vec<Option<Verdict>>>;

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/score")
}

/// All corpora, by name.
pub(super) fn read_all() -> Vec<Corpus> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "sql") && !path.ends_with("tables.sql"));
    files.sort();
    files.iter().map(|path| Corpus::read(path)).collect()
}

impl Corpus {
    fn read(path: &Path) -> Corpus {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (mut cases, mut comment, mut sql) = (Vec::new(), String::new(), String::new());
        for line in fs::read_to_string(path).unwrap().lines() {
            if sql.is_empty() && line.starts_with("-- = ") {
                continue;
            }
            if sql.is_empty() && (line.is_empty() || line.starts_with("--")) {
                comment += line;
                comment.push('\n');
                continue;
            }
            sql += line;
            match sql.strip_suffix(';') {
                Some(whole) => {
                    cases.push(Case::new(std::mem::take(&mut comment), whole.to_owned()));
                    sql.clear();
                }
                None => sql.push('\n'),
            }
        }
        assert!(sql.is_empty(), "{}: no ; behind {sql}", path.display());
        let head = cases.first().map_or("", |case: &Case| &case.comment);
        let layouts = head.lines().find_map(|line| line.strip_prefix("-- @layouts "));
        let layouts = layouts.map(|names| names.split(' ').map(str::to_owned).collect());
        Corpus { name, path: path.to_owned(), cases, layouts, end: comment }
    }

    /// Whether it runs in a layout.
    pub(super) fn is_for(&self, layout: Layout) -> bool {
        self.layouts.as_ref().is_none_or(|names| names.iter().any(|name| name == layout.schema()))
    }

    /// Prints the cases that are not identical everywhere.
    pub(super) fn print(&self, results: &Results) {
        for (i, case) in self.cases.iter().enumerate() {
            let told = told(i, results);
            if !told.is_empty() {
                println!("{}: {}\n    {}", self.name, case.sql, told.join("\n    "));
            }
        }
    }

    /// Writes the file anew, with what became of its cases.
    pub(super) fn write(&self, results: &Results) {
        let mut text = String::new();
        for (i, case) in self.cases.iter().enumerate() {
            text += &format!("{}{};\n", case.comment, case.sql);
            for line in told(i, results) {
                text += &format!("-- = {line}\n");
            }
        }
        fs::write(&self.path, text + &self.end).unwrap();
    }
}

impl Case {
    fn new(comment: String, sql: String) -> Case {
        let word = |word: &str| comment.lines().any(|line| line == format!("-- @{word}"));
        let rows = match (word("volatile"), word("unordered"), word("ordered")) {
            (true, ..) => Rows::Volatile,
            (_, true, _) => Rows::Any,
            (.., true) => Rows::Ordered,
            _ => order_of(&sql),
        };
        let only = match (word("mysql"), word("mariadb")) {
            (true, _) => Some(Flavour::MySql),
            (_, true) => Some(Flavour::MariaDb),
            _ => None,
        };
        let (follows_plan, follows_copies, follows_history) = (word("plan"), word("copies"), word("history"));
        Case { follows_plan, follows_copies, follows_history, comment, sql, rows, only }
    }
}

/// What became of a case: a line for each verdict that is not `Identical`, with the places where it came to it.
fn told(case: usize, results: &Results) -> Vec<String> {
    let mut places: BTreeMap<String, BTreeMap<Flavour, BTreeMap<Layout, BTreeSet<Protocol>>>> = BTreeMap::new();
    let mut flavours = BTreeSet::new();
    for (&(flavour, layout, protocol), verdicts) in results {
        let Some(verdict) = &verdicts[case] else { continue };
        flavours.insert(flavour);
        let told = match verdict {
            Verdict::Identical => continue,
            Verdict::Differs(what) => {
                format!("differs: {}", what.iter().copied().collect::<Vec<_>>().join(", "))
            }
            Verdict::Refused(reason) => format!("refused: {reason}"),
            Verdict::Wrong(what) => format!("WRONG: {what}"),
        };
        places.entry(told).or_default().entry(flavour).or_default().entry(layout).or_default().insert(protocol);
    }
    let mut lines = Vec::new();
    for (told, by_flavour) in places {
        let alike =
            by_flavour.len() == flavours.len() && by_flavour.values().all(|p| Some(p) == by_flavour.values().next());
        for (flavour, layouts) in &by_flavour {
            let mut words = Vec::new();
            if !alike {
                words.push(flavour.to_string());
            }
            if layouts.len() < LAYOUTS.len() {
                words.extend(layouts.keys().map(|layout| layout.schema().to_owned()));
            }
            let (text, binary) = (BTreeSet::from([Protocol::Text]), BTreeSet::from([Protocol::Binary]));
            if layouts.values().all(|protocols| *protocols == binary) {
                words.push("binary".to_owned());
            } else if layouts.values().all(|protocols| *protocols == text) && counts_binary(case, results) {
                words.push("text".to_owned());
            }
            let (verdict, reason) = told.split_once(": ").unwrap_or((&told, ""));
            let place = if words.is_empty() { String::new() } else { format!(" ({})", words.join(" ")) };
            lines.push(format!("{verdict}{place}: {reason}"));
            if alike {
                break;
            }
        }
    }
    lines
}

fn counts_binary(case: usize, results: &Results) -> bool {
    results.iter().any(|((.., protocol), verdicts)| *protocol == Protocol::Binary && verdicts[case].is_some())
}
