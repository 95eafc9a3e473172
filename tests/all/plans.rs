//! Golden plans: `tests/fixtures/plans/WORLD/*.txt` hold statements, each followed by its plan, over the rules and
//! tables in the world's folder. `UPDATE=1 cargo test --test all plans` writes the plans anew: read the difference.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shardloom::diagnostic::{Source, render};
use shardloom::error::SqlError;
use shardloom::plan::bind::bind;
use shardloom::plan::print::{Line, explain, explain_refusal};
use shardloom::plan::{Session, build};
use shardloom::rules::RuleSet;
use shardloom::rules::catalog::{Catalog, ColumnInfo, ColumnType, ForeignKey, TableInfo};
use shardloom::sql::define::Action;
use shardloom::sql::head::head;
use shardloom::sql::literal::decode;
use shardloom::sql::scan::{Scan, scan};
use shardloom::sql::{Facts, Flavour, SqlMode, TextCharset};
use shardloom::value::Datum;

/// Rules and tables that statements are planned over.
pub(crate) struct World {
    /// The rules.
    pub(crate) rules: RuleSet,
    /// The tables.
    pub(crate) catalog: Catalog,
}

/// What a client has set.
#[derive(Clone)]
pub(crate) struct Client {
    /// The default schema.
    pub(crate) schema: Option<String>,
    /// sql_mode and so on.
    pub(crate) facts: Facts,
}

impl World {
    /// Reads `rules.toml` and `tables.txt` of a folder.
    pub(crate) fn read(folder: &Path) -> World {
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let sources = [Source { name: "rules.toml".into(), text: text("rules.toml") }];
        let rules = RuleSet::parse(&sources).unwrap_or_else(|found| panic!("{}", render(&found, &sources, false)));
        World { rules, catalog: catalog(&text("tables.txt")) }
    }

    /// The plan of a statement as text, one line for each thing there is to say.
    pub(crate) fn explain(&self, sql: &str, client: &Client, args: &[Datum<'_>]) -> Vec<Line> {
        self.try_explain(sql, client, args).unwrap_or_else(|why| vec![Line { about: "error", text: why.to_string() }])
    }

    fn try_explain(&self, sql: &str, client: &Client, args: &[Datum<'_>]) -> Result<Vec<Line>, SqlError> {
        let bytes = sql.as_bytes();
        let mut scanned = Scan::default();
        scan(bytes, client.facts, 0, &mut scanned)?;
        let head = head(bytes, client.facts)?;
        let session = Session { schema: client.schema.as_deref(), facts: client.facts };
        let planned = build::plan(bytes, &scanned, &head, session, &self.rules, &self.catalog);
        Ok(match bind(&planned, &self.rules, bytes, &scanned, args) {
            Ok(bound) => explain(&bound, 2),
            Err(why) => explain_refusal(&planned, &self.rules, bytes, &scanned, &why),
        })
    }
}

impl Default for Client {
    fn default() -> Client {
        let facts =
            Facts { mode: SqlMode::default(), charset: TextCharset::Utf8, flavour: Flavour::MySql, version: 90_704 };
        Client { schema: Some("shop".into()), facts }
    }
}

impl Client {
    /// Changes one setting, written `name=value`.
    fn set(&mut self, setting: &str) {
        let (name, value) = setting.split_once('=').unwrap_or_else(|| panic!("not name=value: {setting}"));
        match name {
            "schema" => self.schema = (!value.is_empty()).then(|| value.to_string()),
            "mode" => self.facts.mode = SqlMode::parse(value),
            "flavour" if value == "mysql" => {}
            "flavour" if value == "mariadb" => {
                self.facts.flavour = Flavour::MariaDb;
                self.facts.version = 101_119;
            }
            _ => panic!("no such setting: {setting}"),
        }
    }
}

fn catalog(text: &str) -> Catalog {
    let mut catalog = Catalog::default();
    let mut tables: Vec<(String, TableInfo)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        if !line.starts_with(' ') {
            tables.push((line.trim().to_string(), TableInfo::default()));
            continue;
        }
        let (_, table) = tables.last_mut().unwrap();
        let mut words = line.split_whitespace();
        let first = words.next().unwrap();
        let names = || line.split_once(first).unwrap().1.split(',').map(|name| name.trim().to_string()).collect();
        match first {
            "temporary" => table.temporary = true,
            "primary" => table.primary_key = names(),
            "deleted" => table.foreign_keys.push(ForeignKey {
                columns: names(),
                parent: "parents".to_string(),
                on_delete: Action::Cascade,
                on_update: Action::Restrict,
            }),
            "unique" => drop(table.unique_keys.insert(format!("u{}", table.unique_keys.len()), names())),
            "key" => drop(table.other_keys.insert(format!("k{}", table.other_keys.len()), names())),
            _ => table.columns.push(column(first, words.collect())),
        }
    }
    for (name, info) in tables {
        let (schema, table) = name.split_once('.').unwrap();
        catalog.insert(schema, table, Arc::new(info));
    }
    catalog
}

fn column(name: &str, words: Vec<&str>) -> ColumnInfo {
    let has = |word: &str| words.contains(&word);
    let known = ["null", "auto_increment", "generated", "touched", "invisible"];
    let unsigned = if has("unsigned") { " unsigned" } else { "" };
    let collation = words[1..].iter().find(|word| !known.contains(word) && **word != "unsigned");
    ColumnInfo {
        name: name.to_string(),
        ty: ColumnType::parse(&format!("{}{unsigned}", words[0])),
        nullable: has("null"),
        collation: collation.map(|name| (*name).to_string()),
        default: None,
        auto_increment: has("auto_increment"),
        generated: has("generated"),
        touched: has("touched"),
        invisible: has("invisible"),
    }
}

/// A parameter, written as a literal.
fn parameter(text: &str, facts: Facts) -> Datum<'static> {
    let mut scanned = Scan::default();
    let negative = text.starts_with('-');
    let text = text.trim_start_matches('-');
    scan(text.as_bytes(), facts, 0, &mut scanned).unwrap();
    match scanned.literals.first() {
        None => Datum::Null,
        Some(literal) => match decode(text.as_bytes(), literal.kind, negative, facts).unwrap() {
            Datum::Text(text) => Datum::Text(text.into_owned().into()),
            Datum::Int(value) => Datum::Int(value),
            Datum::Decimal(value) => Datum::Decimal(value),
            Datum::Double(value) => Datum::Double(value),
            other => panic!("{other:?}"),
        },
    }
}

/// The file with every plan in it written anew.
fn explained(world: &World, text: &str) -> String {
    let mut out = String::new();
    let mut client = Client::default();
    let mut statement = String::new();
    let mut args = Vec::new();
    let finish = |out: &mut String, client: &mut Client, statement: &mut String, args: &mut Vec<Datum<'static>>| {
        if !statement.is_empty() {
            for line in world.explain(statement.trim_end(), client, args) {
                writeln!(out, "  {:8} {}", line.about, line.text.replace('\n', " ")).unwrap();
            }
            statement.clear();
            args.clear();
            *client = Client::default();
        }
    };
    for line in text.lines() {
        match line.chars().next() {
            Some(' ') => continue,
            None | Some('#') => finish(&mut out, &mut client, &mut statement, &mut args),
            Some('@') => line[1..].split_whitespace().for_each(|setting| client.set(setting)),
            Some('?') => args.extend(line[1..].split(',').map(|arg| parameter(arg.trim(), client.facts))),
            Some(_) => {
                statement.push_str(line);
                statement.push('\n');
            }
        }
        writeln!(out, "{line}").unwrap();
    }
    finish(&mut out, &mut client, &mut statement, &mut args);
    out
}

fn golden_files(world: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(world).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    files.retain(|path| !path.ends_with("tables.txt"));
    files.sort();
    files
}

#[test]
fn plans_are_as_written() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = String::new();
    let worlds = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/plans")).unwrap();
    for folder in worlds.map(|entry| entry.unwrap().path()) {
        let world = World::read(&folder);
        for file in golden_files(&folder) {
            let text = fs::read_to_string(&file).unwrap();
            let now = explained(&world, &text);
            if update {
                fs::write(&file, now).unwrap();
            } else if text != now {
                let (line, pair) = text.lines().zip(now.lines()).enumerate().find(|(_, (a, b))| a != b).unwrap();
                writeln!(wrong, "{}:{}\n  was {}\n  is  {}", file.display(), line + 1, pair.0, pair.1).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "plans changed; UPDATE=1 writes them anew:\n{wrong}");
}
