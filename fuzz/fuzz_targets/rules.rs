//! Whatever stands in a rule file or in the configuration: read to the end, and every mistake can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardloom::config::Config;
use shardloom::diagnostic::{Source, render};
use shardloom::rules::RuleSet;
use shardloom::value::Key;

fuzz_target!(|text: &str| {
    let sources = [Source { name: "fuzz.toml".into(), text: text.into() }];
    match RuleSet::parse(&sources) {
        Err(found) => assert!(!render(&found, &sources, false).is_empty()),
        Ok(rules) => rules.families().iter().for_each(|family| {
            for key in [Key::Null, Key::Int(-7), Key::Int(i128::MAX), Key::Folded(b"a".to_vec())] {
                for level in 0..family.levels() {
                    let shards = family.route_set(level, &key);
                    shards.iter().for_each(|shard| assert!(rules.group(family.home(shard)).is_some()));
                    assert!(shards.iter().all(|shard| shard < family.shards));
                }
            }
        }),
    }
    if let Err(found) = Config::parse(&sources[0]) {
        assert!(!render(&found, &sources, true).is_empty());
    }
});
