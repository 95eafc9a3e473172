//! What people copy is right: every configuration and rule file in the README and in `docker/` is read as it stands.

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
