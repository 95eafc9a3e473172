//! Every mistake in a rule file or in the configuration has its message: each fixture beside what is shown for it.
//! `UPDATE=1 cargo test mistakes` writes the messages anew.

use std::fs;
use std::path::{Path, PathBuf};

use shardloom::config::Config;
use shardloom::diagnostic::{Diagnostic, Source, render};
use shardloom::rules::RuleSet;

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths
}

/// A file, or the files of a folder, under their names without path.
fn sources(path: &Path) -> Vec<Source> {
    let files = if path.is_dir() { fixtures(path.to_str().unwrap()) } else { vec![path.to_owned()] };
    let source = |file: &PathBuf| Source {
        name: file.file_name().unwrap().to_string_lossy().into_owned(),
        text: fs::read_to_string(file).unwrap(),
    };
    files.iter().map(source).collect()
}

fn check(path: &Path, found: &[Diagnostic], sources: &[Source]) -> Result<(), String> {
    assert!(!found.is_empty(), "{} has no mistake", path.display());
    let shown = render(found, sources, false);
    let expected = path.with_extension("txt");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&expected, &shown).unwrap();
    }
    match fs::read_to_string(&expected) {
        Ok(text) if text == shown => Ok(()),
        _ => Err(format!("{} is not what is shown:\n{shown}", expected.display())),
    }
}

#[test]
fn mistakes_in_rules() {
    let wrong: Vec<String> = fixtures("tests/fixtures/rules")
        .iter()
        .filter_map(|path| {
            let sources = sources(path);
            let found = RuleSet::parse(&sources).err().unwrap_or_default();
            check(path, &found, &sources).err()
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mistakes_in_the_configuration() {
    let wrong: Vec<String> = fixtures("tests/fixtures/config")
        .iter()
        .filter_map(|path| {
            let sources = sources(path);
            let found = Config::parse(&sources[0]).err().unwrap_or_default();
            check(path, &found, &sources).err()
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every example in `rules/` is right, alone and as `shardloom check rules` reads them: as one rule set. Together they
/// show every method.
#[test]
fn examples_are_right() {
    let read = |sources: &[Source]| {
        RuleSet::parse(sources).unwrap_or_else(|found| panic!("{}", render(&found, sources, false)))
    };
    let files = fixtures("rules");
    for path in &files {
        read(&sources(path));
    }
    let all = read(&sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")));
    let families = all.families();
    for method in ["Mod", "Hash", "Range", "List", "Date", "Ring", "Hint"] {
        let has = |level| {
            families.iter().any(|family| format!("{:?}", family.method(level)).starts_with(&format!("Some({method}(")))
        };
        assert!(has(0), "no example of {method}");
    }
    assert!(families.iter().any(|family| family.levels() == 2), "no example of two columns");
}

/// Whatever is cut out of a rule file or doubled in it: reading and showing it ends without a panic.
#[test]
fn damaged_rules_are_read_to_the_end() {
    let mut texts: Vec<Source> = fixtures("tests/fixtures/rules").iter().flat_map(|path| sources(path)).collect();
    texts.extend(fixtures("rules").iter().flat_map(|path| sources(path)));
    for Source { name, text } in texts {
        let boundaries: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
        for (count, start) in boundaries.iter().enumerate().step_by(3) {
            let end = boundaries[(count + 1 + count % 17).min(boundaries.len() - 1)];
            let cut = format!("{}{}", &text[..*start], &text[end..]);
            let doubled = format!("{}{}", &text[..end], &text[*start..]);
            for text in [cut, doubled, text[..*start].to_owned()] {
                let sources = [Source { name: name.clone(), text }];
                if let Err(found) = RuleSet::parse(&sources) {
                    render(&found, &sources, false);
                }
            }
        }
    }
}
