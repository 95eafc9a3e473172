//! `docs/score.md`: how many cases of each corpus end how, by vendor and layout. It is written by `UPDATE=1`, and
//! read to see whether the number of identical answers fell.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use shardloom::sql::Flavour;

use crate::servers::score::layout::{LAYOUTS, Layout};
use crate::servers::score::verdict::Verdict;

/// Cases by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) identical: u32,
    pub(super) differs: u32,
    pub(super) refused: u32,
}

/// Corpus and layout, of one vendor.
pub(super) type Table = BTreeMap<(String, Layout), Tally>;

/// The tables of the vendors, and what the random statements came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Score {
    pub(super) tables: BTreeMap<Flavour, Table>,
    /// Lines of the list below the tables, by vendor.
    pub(super) random: BTreeMap<Flavour, String>,
}

impl Tally {
    pub(super) fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Identical => self.identical += 1,
            Verdict::Differs(_) => self.differs += 1,
            Verdict::Refused(_) => self.refused += 1,
            Verdict::Wrong(_) => {}
        }
    }

    fn plus(self, other: Tally) -> Tally {
        Tally {
            identical: self.identical + other.identical,
            differs: self.differs + other.differs,
            refused: self.refused + other.refused,
        }
    }

    fn show(self) -> String {
        format!("{} / {} / {}", self.identical, self.differs, self.refused)
    }

    fn parse(cell: &str) -> Option<Tally> {
        let mut numbers = cell.split('/').map(|number| number.trim().parse().ok());
        Some(Tally { identical: numbers.next()??, differs: numbers.next()??, refused: numbers.next()?? })
    }
}

/// A cell: of a corpus that does not run in a layout, a dash.
fn show(tally: Option<Tally>) -> String {
    tally.map_or_else(|| NOT_RUN.to_owned(), Tally::show)
}

const NOT_RUN: &str = "-";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/score.md")
}

const HEAD: &str = "# Score

The statements of `tests/fixtures/score` go to one plain server that holds all rows, and through Shardloom to two \
groups of servers that share them. Everything a client can see is compared, in the text and in the binary protocol: \
rows and their order, columns, affected rows, insert ids, warnings, errors, the session and the tables afterwards.

Each cell says how many cases were **identical / differ in metadata only / were refused** (error 1235 with the \
reason). A wrong answer fails the test, and so does a rise of the third number, or a fall of the first by more than 2 \
(flags follow a server's plan). A dash: the corpus does not run in that layout. `make score` runs everything; \
`UPDATE=1 make score` writes this page, and the reasons of refusals into the corpora.

| layout | |
|---|---|
| `key8`, `key4` | 8 and 4 shards over 2 groups, by the key that joins people, orders and items |
| `key1` | 1 shard, not on the home group |
| `other8` | 8 shards by other columns: strings of a collation, columns that may be NULL |
| `empty8` | 8 shards of which most are empty |
| `copies` | all of these tables copied to every group |
";

impl Score {
    /// What is committed; nothing if the page is not there.
    pub(super) fn committed() -> Score {
        Score::read(&std::fs::read_to_string(path()).unwrap_or_default())
    }

    fn read(page: &str) -> Score {
        let mut score = Score::default();
        let mut flavour = None;
        for line in page.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                flavour = [Flavour::MySql, Flavour::MariaDb].into_iter().find(|flavour| flavour.to_string() == title);
            }
            let Some(flavour) = flavour else { continue };
            if let Some(line) = line.strip_prefix("Random: ") {
                score.random.insert(flavour, line.to_owned());
            }
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let is_cell = |cell: &&str| *cell == NOT_RUN || Tally::parse(cell).is_some();
            if cells.len() == 1 + LAYOUTS.len() && cells[0] != "**all**" && cells[1..].iter().all(is_cell) {
                let tallies = LAYOUTS.iter().zip(&cells[1..]);
                let tallies = tallies.filter_map(|(layout, cell)| Some((*layout, Tally::parse(cell)?)));
                let table = score.tables.entry(flavour).or_default();
                table.extend(tallies.map(|(layout, tally)| ((cells[0].to_owned(), layout), tally)));
            }
        }
        score
    }

    pub(super) fn write(&self) {
        std::fs::create_dir_all(path().parent().unwrap()).unwrap();
        std::fs::write(path(), self.show()).unwrap();
    }

    fn show(&self) -> String {
        let mut text = HEAD.to_owned();
        for (flavour, table) in &self.tables {
            let names: Vec<&str> = LAYOUTS.iter().map(|layout| layout.schema()).collect();
            write!(text, "\n## {flavour}\n\n| corpus | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()))
                .unwrap();
            let mut corpora: Vec<&String> = table.keys().map(|(corpus, _)| corpus).collect();
            corpora.dedup();
            let mut all = vec![Tally::default(); LAYOUTS.len()];
            for corpus in corpora {
                let tallies = LAYOUTS.map(|layout| table.get(&(corpus.clone(), layout)).copied());
                all = all.iter().zip(tallies).map(|(sum, tally)| sum.plus(tally.unwrap_or_default())).collect();
                writeln!(text, "| {corpus} | {} |", tallies.map(show).join(" | ")).unwrap();
            }
            let all: Vec<String> = all.into_iter().map(Tally::show).collect();
            writeln!(text, "| **all** | {} |", all.join(" | ")).unwrap();
            if let Some(random) = self.random.get(flavour) {
                write!(text, "\nRandom: {random}\n").unwrap();
            }
        }
        text
    }

    /// Where there are fewer identical answers or more refusals than committed, and where there are more identical
    /// ones.
    pub(super) fn since(&self, committed: &Score) -> (Vec<String>, usize) {
        let (mut fallen, mut risen) = (Vec::new(), 0);
        for (flavour, table) in &self.tables {
            let before = committed.tables.get(flavour).into_iter().flat_map(BTreeMap::keys);
            for (corpus, layout) in before.filter(|place| !table.contains_key(place)) {
                fallen.push(format!("{flavour} {corpus} {}: not run", layout.schema()));
            }
            for ((corpus, layout), now) in table {
                let before = committed.tables.get(flavour).and_then(|table| table.get(&(corpus.clone(), *layout)));
                let Some(before) = before else {
                    risen += 1;
                    continue;
                };
                let place = format!("{flavour} {corpus} {}", layout.schema());
                if now.identical + STRAY < before.identical {
                    fallen.push(format!("{place}: {} identical, were {}", now.identical, before.identical));
                }
                if now.refused > before.refused {
                    fallen.push(format!("{place}: {} refused, were {}", now.refused, before.refused));
                }
                risen += usize::from(now.identical > before.identical);
            }
        }
        (fallen, risen)
    }
}

/// How many answers of a corpus may lose metadata without a cause in this code: the servers' own flags and warnings
/// follow the plan their optimizer chose that time. `@plan` marks the statements where that is known; this is for one
/// more, in both protocols.
const STRAY: u32 = 2;

#[test]
fn the_page_is_read_as_it_is_written() {
    let tally = |identical: u32| Tally { identical, differs: 2, refused: 10 - identical };
    let mut table: Table = LAYOUTS.iter().map(|layout| (("joins".to_owned(), *layout), tally(7))).collect();
    table.insert(("ddl".to_owned(), Layout::Key4), tally(3));
    let random = BTreeMap::from([(Flavour::MariaDb, "5 statements".to_owned())]);
    let score = Score { tables: BTreeMap::from([(Flavour::MariaDb, table)]), random };
    assert!(score.show().contains("| joins | 7 / 2 / 3 | 7 / 2 / 3 |"));
    assert!(score.show().contains("| ddl | - | 3 / 2 / 7 | - |"));
    assert_eq!(Score::read(&score.show()), score);
    let mut worse = score.clone();
    worse.tables.get_mut(&Flavour::MariaDb).unwrap().insert(("joins".into(), Layout::Key1), tally(4));
    let fallen = ["MariaDB joins key1: 4 identical, were 7", "MariaDB joins key1: 6 refused, were 3"];
    assert_eq!(worse.since(&score), (fallen.map(str::to_owned).to_vec(), 0));
    assert_eq!(score.since(&worse), (vec![], 1));
}
