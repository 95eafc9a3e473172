//! The SQL front against a corpus of statements, and its properties on any bytes.
//!
//! A fixture is a list of blocks, a blank line between: the statement behind `> ` (more lines behind `. `), perhaps with
//! `@ mariadb ansi_quotes ...` before it, then what is read: what it is and its tables, then, if planning looks into it,
//! its text with every operator's operands in parentheses, then the clauses of each query. `UPDATE=1` rewrites what is
//! read.

mod outline;
mod properties;

use std::path::Path;

use shardloom::sql::{Facts, Flavour, SqlMode, TextCharset};

/// MySQL 9.7.4 with utf8mb4 and no special mode.
const MYSQL: Facts =
    Facts { mode: SqlMode::NONE, charset: TextCharset::Utf8, flavour: Flavour::MySql, version: 90_704 };

/// MariaDB 10.11.19 likewise.
const MARIADB: Facts = Facts { flavour: Flavour::MariaDb, version: 101_119, ..MYSQL };

/// One statement of a fixture.
struct Case {
    /// `@ ...`, `# ...` and `> ...` lines, as written.
    head: String,
    facts: Facts,
    sql: String,
    expected: String,
}

fn cases(text: &str) -> Vec<Case> {
    let blocks = text.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
    blocks
        .map(|block| {
            let (mut head, mut expected, mut sql, mut facts) = (Vec::new(), Vec::new(), Vec::new(), MYSQL);
            for line in block.lines() {
                if let Some(words) = line.strip_prefix("@ ") {
                    facts = with_words(words);
                } else if let Some(text) = line.strip_prefix("> ").or_else(|| line.strip_prefix(". ")) {
                    sql.push(text);
                } else if !line.starts_with('#') {
                    expected.push(line);
                    continue;
                }
                head.push(line);
            }
            Case { head: head.join("\n"), facts, sql: sql.join("\n"), expected: expected.join("\n") }
        })
        .collect()
}

fn with_words(words: &str) -> Facts {
    words.split_whitespace().fold(MYSQL, |facts, word| match word {
        "mysql" => facts,
        "mariadb" => Facts { flavour: MARIADB.flavour, version: MARIADB.version, ..facts },
        mode => {
            let read = SqlMode::parse(mode);
            assert_ne!(read, SqlMode::NONE, "{mode}");
            Facts { mode: facts.mode.with(read), ..facts }
        }
    })
}

#[test]
fn every_statement_of_the_corpus_is_read_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sql");
    let update = std::env::var_os("UPDATE").is_some();
    let (mut count, mut wrong) = (0, Vec::new());
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut rewritten = Vec::new();
        for case in cases(&text) {
            count += 1;
            let read = outline::outline(case.sql.as_bytes(), case.facts);
            if read != case.expected {
                let name = file.file_name().unwrap().to_string_lossy();
                wrong.push(format!("{name}: {}\n--- expected\n{}\n--- read\n{read}\n", case.sql, case.expected));
            }
            rewritten.push(format!("{}\n{read}\n", case.head));
        }
        if update {
            std::fs::write(&file, rewritten.join("\n")).unwrap();
        }
    }
    assert!(update || wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 400, "{count} statements");
}
