//! Reading `shardloom.toml`: from TOML to a configuration, or to all of its mistakes. Here every bound stands.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{
    Config, Identity, Limits, Listen, LockTables, Log, LogFormat, LogLevel, Password, Reads, Schemas, Timeouts, Tls,
    TlsVersion, TransactionMode, User,
};
use crate::diagnostic::{Diagnostic, Place, Source};
use crate::document::{Document, Mistakes, Node, Section, show_size};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: usize = 1024 * MIB;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Bytes of salt in a verifier of caching_sha2_password.
const SALT: usize = 20;
/// Characters of digest behind it.
const DIGEST: usize = 43;

/// Reads one file as the configuration.
pub(super) fn config(source: &Source) -> Result<Config, Vec<Diagnostic>> {
    let mistakes = Mistakes::default();
    let document = Document::parse(0, source, &mistakes);
    if !mistakes.is_empty() {
        return Err(mistakes.into_vec());
    }
    let root = document.root();
    let mut config = Config::default();
    if let Some(node) = root.get("listen") {
        config.listen = listen(&node, &mistakes);
    }
    if let Some(path) = root.get("rules").and_then(|node| node.word(&mistakes)) {
        config.rules = PathBuf::from(path);
    }
    config.admin = root.get("admin").and_then(|node| socket(&node, &mistakes));
    config.workers =
        root.get("workers").and_then(|node| node.integer(1, 1024, &mistakes)).map(|workers| workers as usize);
    if let Some(node) = root.get("tls") {
        config.tls = tls(&node, &mistakes);
    }
    let tls_off = root.get("tls").filter(|_| config.tls.is_none()).map(|node| node.place);
    config.users = users(&root, tls_off.as_ref(), &mistakes);
    section(&root, "limits", &mistakes, |section| limits(section, &mut config.limits, &mistakes));
    section(&root, "timeouts", &mistakes, |section| timeouts(section, &mut config.timeouts, &mistakes));
    section(&root, "log", &mistakes, |section| log(section, &mut config.log, &mistakes));
    root.finish(&mistakes);
    if mistakes.is_empty() { Ok(config) } else { Err(mistakes.into_vec()) }
}

/// Reads a table, if it is there.
fn section(root: &Section<'_>, key: &'static str, mistakes: &Mistakes, read: impl FnOnce(&Section<'_>)) {
    if let Some(section) = root.get(key).and_then(|node| node.section(key, mistakes)) {
        read(&section);
        section.finish(mistakes);
    }
}

/// `"127.0.0.1:3307"`, `"/run/shardloom.sock"`, or a list of such.
fn listen(node: &Node<'_>, mistakes: &Mistakes) -> Vec<Listen> {
    let members = node.as_list().unwrap_or_else(|| vec![node.clone()]);
    if members.is_empty() {
        mistakes.add(Diagnostic::at(node.place.clone(), "`listen` must name at least one address", ""));
    }
    let mut found: Vec<(Listen, Place)> = Vec::new();
    for member in members {
        let Some(text) = member.word(mistakes) else { continue };
        let listen = if text.contains('/') {
            Listen::Unix(PathBuf::from(text))
        } else {
            let Some(address) = socket(&member, mistakes) else { continue };
            Listen::Tcp(address)
        };
        if let Some((_, earlier)) = found.iter().find(|(other, _)| *other == listen) {
            let title = format!("`listen` names {text:?} twice");
            mistakes.add(Diagnostic::at(member.place, title, "again here").related(earlier.clone(), "first here"));
            continue;
        }
        found.push((listen, member.place));
    }
    found.into_iter().map(|(listen, _)| listen).collect()
}

fn socket(node: &Node<'_>, mistakes: &Mistakes) -> Option<SocketAddr> {
    let text = node.word(mistakes)?;
    let address = text.parse().ok();
    if address.is_none() {
        let title = format!("{text:?} is not an address to listen on");
        let help = match text.rsplit_once(':') {
            Some(("localhost", port)) => format!("write an IP address and a port: \"127.0.0.1:{port}\""),
            _ => "write an IP address and a port, such as \"127.0.0.1:3307\" or \"[::]:3307\"".to_owned(),
        };
        mistakes.add(Diagnostic::at(node.place.clone(), title, "").help(help));
    }
    address
}

/// `tls = false`, or a table with `cert` and `key` (else it signs itself) and `min_version`.
fn tls(node: &Node<'_>, mistakes: &Mistakes) -> Option<Tls> {
    match node.as_bool() {
        Some(true) => return Some(Tls::default()),
        Some(false) => return None,
        None => {}
    }
    let Some(section) = node.as_section("tls") else {
        mistakes.add(node.wrong("a table, true or false").help("write `[tls]` with `cert` and `key`"));
        return None;
    };
    let versions = [("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];
    let path = |key| section.get(key).and_then(|node| Some((PathBuf::from(node.word(mistakes)?), node.place)));
    let identity = match (path("cert"), path("key")) {
        (Some((cert, _)), Some((key, _))) => Identity::Files { cert, key },
        (Some((_, place)), None) => {
            mistakes.add(Diagnostic::at(place, "a certificate needs its `key`", "").help("add `key = \"key.pem\"`"));
            Identity::SelfSigned
        }
        (None, Some((_, place))) => {
            mistakes.add(Diagnostic::at(place, "a key needs its `cert`", "").help("add `cert = \"cert.pem\"`"));
            Identity::SelfSigned
        }
        (None, None) => Identity::SelfSigned,
    };
    let min_version = section.get("min_version").and_then(|node| node.choice(&versions, mistakes));
    section.finish(mistakes);
    Some(Tls { identity, min_version: min_version.unwrap_or(Tls::default().min_version) })
}

fn users(root: &Section<'_>, tls_off: Option<&Place>, mistakes: &Mistakes) -> Vec<User> {
    let sections = root.named("user", mistakes);
    if sections.is_empty() && mistakes.is_empty() {
        mistakes.add(
            Diagnostic::nowhere("the configuration has no user: nobody could log in")
                .help("add one:\n\n[user.app]\npassword_env = \"APP_PASSWORD\"\nschemas = [\"shop\"]"),
        );
    }
    let users = sections.iter().map(|section| {
        let user = user(section, tls_off, mistakes);
        section.finish(mistakes);
        user
    });
    users.collect()
}

fn user(section: &Section<'_>, tls_off: Option<&Place>, mistakes: &Mistakes) -> User {
    if section.key.chars().count() > 32 {
        let title = "the name of a user has at most 32 characters";
        mistakes.add(Diagnostic::at(section.place.clone(), title, ""));
    }
    let reads = [("replica", Reads::Replica), ("primary", Reads::Primary)];
    let lock_tables = [("refuse", LockTables::Refuse), ("ignore", LockTables::Ignore)];
    let require_tls = section.get("require_tls");
    let required = require_tls.as_ref().and_then(|node| node.boolean(mistakes)).unwrap_or(false);
    if let (true, Some(node), Some(off)) = (required, &require_tls, tls_off) {
        let title = format!("user `{}` requires TLS, but TLS is off", section.key);
        mistakes.add(Diagnostic::at(node.place.clone(), title, "").related(off.clone(), "off here"));
    }
    User {
        name: section.key.clone(),
        password: password(section, mistakes).unwrap_or(Password::Empty),
        schemas: schemas(section, mistakes),
        require_tls: required,
        max_connections: section
            .get("max_connections")
            .and_then(|node| node.integer(1, 1_000_000, mistakes))
            .map(|limit| limit as u32),
        transaction_mode: transaction_mode(section, mistakes),
        reads: section.get("reads").and_then(|node| node.choice(&reads, mistakes)),
        lock_tables: section
            .get("lock_tables")
            .and_then(|node| node.choice(&lock_tables, mistakes))
            .unwrap_or(LockTables::Refuse),
    }
}

/// `password = "$A$005$..."` (or a list of both kinds of verifier), or `password_env = "NAME"`.
fn password(section: &Section<'_>, mistakes: &Mistakes) -> Option<Password> {
    let (stored, env) = (section.get("password"), section.get("password_env"));
    match (stored, env) {
        (Some(stored), Some(env)) => {
            let title = format!("`{}` has both `password` and `password_env`", section.name);
            mistakes.add(Diagnostic::at(env.place, title, "").related(stored.place, "and this"));
            None
        }
        (None, Some(env)) => Some(Password::Env(env.word(mistakes)?.to_owned())),
        (Some(stored), None) if stored.as_str() == Some("") => Some(Password::Empty),
        (Some(stored), None) => verifiers(&stored, mistakes),
        (None, None) => {
            let title = format!("`{}` has no password", section.name);
            mistakes.add(
                Diagnostic::at(section.place.clone(), title, "")
                    .help(
                        "add `password = \"...\"` as `shardloom hash-password` prints it, or `password_env = \"NAME\"`",
                    )
                    .note("`password = \"\"` lets this user in without one"),
            );
            None
        }
    }
}

fn verifiers(node: &Node<'_>, mistakes: &Mistakes) -> Option<Password> {
    let members = node.as_list().unwrap_or_else(|| vec![node.clone()]);
    let (mut caching_sha2, mut native) = (None, None);
    for member in &members {
        let text = member.word(mistakes)?;
        let slot = if is_caching_sha2(text) {
            &mut caching_sha2
        } else if is_native(text) {
            &mut native
        } else {
            let title = "this is not a verifier of a password";
            let label = "neither `$A$005$...` nor `*` with 40 hexadecimal digits";
            mistakes.add(
                Diagnostic::at(member.place.clone(), title, label)
                    .help("write what `shardloom hash-password` prints, or use `password_env`")
                    .note("a password in clear never stands in this file"),
            );
            return None;
        };
        if slot.replace(text.to_owned()).is_some() {
            mistakes.add(Diagnostic::at(member.place.clone(), "a second verifier of the same kind", ""));
        }
    }
    if members.is_empty() {
        mistakes.add(Diagnostic::at(node.place.clone(), "the list has no verifier", ""));
    }
    Some(Password::Verifiers { caching_sha2, native })
}

fn is_caching_sha2(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("$A$") else { return false };
    let bytes = rest.as_bytes();
    bytes.len() == 4 + SALT + DIGEST
        && bytes[..3].iter().all(u8::is_ascii_hexdigit)
        && bytes[3] == b'$'
        && bytes[4 + SALT..].iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'))
}

fn is_native(text: &str) -> bool {
    text.strip_prefix('*').is_some_and(|digits| digits.len() == 40 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// `schemas = ["shop"]` or `schemas = "*"`.
fn schemas(section: &Section<'_>, mistakes: &Mistakes) -> Schemas {
    let Some(node) = section.require("schemas", "[\"shop\"]", mistakes) else { return Schemas::All };
    if node.as_str().is_some() {
        if node.as_str() != Some("*") {
            mistakes.add(node.wrong("a list of schemas, or \"*\" for all"));
        }
        return Schemas::All;
    }
    let listed = node.strings(mistakes).unwrap_or_default();
    Schemas::Listed(listed.into_iter().map(|(name, _)| name.to_owned()).collect())
}

fn transaction_mode(section: &Section<'_>, mistakes: &Mistakes) -> TransactionMode {
    let modes = [
        ("atomic", TransactionMode::Atomic),
        ("single", TransactionMode::Single),
        ("best_effort", TransactionMode::BestEffort),
    ];
    let node = section.get("transaction_mode");
    node.and_then(|node| node.choice(&modes, mistakes)).unwrap_or(TransactionMode::Atomic)
}

fn limits(section: &Section<'_>, limits: &mut Limits, mistakes: &Mistakes) {
    let count = |key, low: u32, high: u32, value: &mut u32| {
        let found = section.get(key).and_then(|node| node.integer(low.into(), high.into(), mistakes));
        *value = found.map_or(*value, |found| found as u32);
    };
    count("connections", 1, 1_000_000, &mut limits.connections);
    count("prepared_per_session", 0, 1_048_576, &mut limits.prepared_per_session);
    count("pool_primary", 1, 100_000, &mut limits.pool_primary);
    count("pool_replica", 1, 100_000, &mut limits.pool_replica);
    count("pool_idle", 0, 100_000, &mut limits.pool_idle);
    count("pool_queue", 0, 1_000_000, &mut limits.pool_queue);
    count("scatter", 1, 4096, &mut limits.scatter);
    let size = |key, low, high, value: &mut usize| {
        *value = section.get(key).and_then(|node| node.size(low, high, mistakes)).unwrap_or(*value);
    };
    size("packet", KIB, GIB, &mut limits.packet);
    size("statement", KIB, GIB, &mut limits.statement);
    size("plan_cache", 0, 64 * GIB, &mut limits.plan_cache);
    size("merge_memory_per_query", 64 * KIB, 64 * GIB, &mut limits.merge_memory_per_query);
    size("merge_memory", MIB, 1024 * GIB, &mut limits.merge_memory);
    size("cursor", 64 * KIB, 1024 * GIB, &mut limits.cursor);
    size("gather", 0, 1024 * GIB, &mut limits.gather);
    size("load", 64 * KIB, 64 * GIB, &mut limits.load);
    at_most(section, "statement", &mut limits.statement, limits.packet, mistakes);
    at_most(section, "merge_memory_per_query", &mut limits.merge_memory_per_query, limits.merge_memory, mistakes);
}

fn timeouts(section: &Section<'_>, timeouts: &mut Timeouts, mistakes: &Mistakes) {
    let time = |key, low, high, value: &mut Duration| {
        *value = section.get(key).and_then(|node| node.duration(low, high, mistakes)).unwrap_or(*value);
    };
    time("handshake", MILLISECOND * 100, 10 * MINUTE, &mut timeouts.handshake);
    time("idle", SECOND, 365 * DAY, &mut timeouts.idle);
    time("read", MILLISECOND * 100, DAY, &mut timeouts.read);
    time("write", MILLISECOND * 100, DAY, &mut timeouts.write);
    time("connect", MILLISECOND * 10, 10 * MINUTE, &mut timeouts.connect);
    time("pool_wait", Duration::ZERO, HOUR, &mut timeouts.pool_wait);
    time("primary_wait", Duration::ZERO, HOUR, &mut timeouts.primary_wait);
    time("backend_idle", SECOND, 30 * DAY, &mut timeouts.backend_idle);
    time("backend_lifetime", SECOND, 365 * DAY, &mut timeouts.backend_lifetime);
    time("drain", Duration::ZERO, DAY, &mut timeouts.drain);
    time("probe", MILLISECOND * 10, HOUR, &mut timeouts.probe);
    time("probe_answer", MILLISECOND * 10, HOUR, &mut timeouts.probe_answer);
    time("replica_lag", MILLISECOND, DAY, &mut timeouts.replica_lag);
    time("transaction", SECOND, 365 * DAY, &mut timeouts.transaction);
    time("in_doubt", SECOND, DAY, &mut timeouts.in_doubt);
    if let Some(node) = section.get("query") {
        timeouts.query = node.duration(MILLISECOND, 30 * DAY, mistakes);
    }
}

/// A limit that another one bounds: its default gives way, what is written must fit.
fn at_most(section: &Section<'_>, key: &'static str, value: &mut usize, bound: usize, mistakes: &Mistakes) {
    match section.get(key) {
        None => *value = (*value).min(bound),
        Some(node) if *value > bound => {
            let outer = if key == "statement" { "packet" } else { "merge_memory" };
            let title = format!("`{key}` is more than `{outer}`, which is {}", show_size(bound));
            mistakes.add(Diagnostic::at(node.place, title, ""));
        }
        Some(_) => {}
    }
}

fn log(section: &Section<'_>, log: &mut Log, mistakes: &Mistakes) {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    log.format = section.get("format").and_then(|node| node.choice(&formats, mistakes)).unwrap_or(log.format);
    log.level = section.get("level").and_then(|node| node.choice(&levels, mistakes)).unwrap_or(log.level);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::diagnostic::render;

    fn read(text: &str) -> Config {
        let source = Source { name: "shardloom.toml".into(), text: text.into() };
        config(&source).unwrap_or_else(|found| panic!("{}", render(&found, &[source], false)))
    }

    #[test]
    fn the_least_that_works() {
        let config = read("[user.app]\npassword_env = 'APP'\nschemas = '*'");
        assert_eq!(config.users[0].password, Password::Env("APP".into()));
        assert_eq!(Config { users: Vec::new(), ..config }, Config::default());
    }

    #[test]
    fn everything_that_can_be_said() {
        let sha2 = format!("$A$005${}{}", "s".repeat(20), "h".repeat(43));
        let native = format!("*{}", "0F".repeat(20));
        let config = read(&format!(
            r#"
            listen = ["0.0.0.0:3306", "[::]:3306", "run/shardloom.sock"]
            rules = "my-rules"
            admin = "127.0.0.1:9100"
            workers = 4

            [tls]
            cert = "cert.pem"
            key = "/etc/key.pem"
            min_version = "1.3"

            [user.app]
            password = ["{sha2}", "{native}"]
            schemas = ["shop", "blog"]
            require_tls = true
            max_connections = 50
            transaction_mode = "best_effort"
            reads = "primary"
            lock_tables = "ignore"

            [limits]
            connections = 5
            packet = "16MiB"

            [timeouts]
            query = "200ms"
            idle = "1h"

            [log]
            format = "json"
            level = "debug"
            "#
        ));
        let user = &config.users[0];
        assert_eq!(user.password, Password::Verifiers { caching_sha2: Some(sha2), native: Some(native) });
        assert_eq!(user.schemas, Schemas::Listed(vec!["shop".into(), "blog".into()]));
        assert_eq!((user.require_tls, user.max_connections), (true, Some(50)));
        assert_eq!((user.transaction_mode, user.reads), (TransactionMode::BestEffort, Some(Reads::Primary)));
        assert_eq!(user.lock_tables, LockTables::Ignore);
        assert_eq!((config.limits.connections, config.limits.packet), (5, 16 * MIB));
        assert_eq!(config.timeouts.query, Some(Duration::from_millis(200)));
        assert_eq!(config.log, Log { format: LogFormat::Json, level: LogLevel::Debug });
        assert_eq!((config.listen.len(), config.workers), (3, Some(4)));
        let mut resolved = config;
        resolved.resolve(std::path::Path::new("/etc/shardloom"));
        assert_eq!(resolved.listen[2], Listen::Unix("/etc/shardloom/run/shardloom.sock".into()));
        let identity = Identity::Files { cert: "/etc/shardloom/cert.pem".into(), key: "/etc/key.pem".into() };
        assert_eq!(resolved.tls.unwrap().identity, identity);
        assert_eq!(resolved.rules, PathBuf::from("/etc/shardloom/my-rules"));
    }

    #[test]
    fn a_default_gives_way_to_the_limit_around_it() {
        let config = read("[user.a]\npassword = ''\nschemas = []\n[limits]\npacket = '4MiB'");
        assert_eq!(config.limits.statement, 4 * MIB);
    }

    #[test]
    fn every_default_is_within_its_bounds() {
        let (limits, timeouts) = (Limits::default(), Timeouts::default());
        let size = crate::document::show_size;
        let time = crate::document::show_duration;
        let config = read(&format!(
            "tls = true\n[user.a]\npassword = ''\nschemas = []\n[limits]\nconnections = {}\npacket = '{}'\n\
             statement = '{}'\nprepared_per_session = {}\nplan_cache = '{}'\nmerge_memory_per_query = '{}'\n\
             merge_memory = '{}'\ncursor = '{}'\ngather = '{}'\nload = '{}'\npool_primary = {}\npool_replica = {}\npool_idle = {}\n\
             pool_queue = {}\nscatter = {}\n[timeouts]\nhandshake = '{}'\nidle = '{}'\nread = '{}'\nwrite = '{}'\n\
             connect = '{}'\npool_wait = '{}'\nprimary_wait = '{}'\nbackend_idle = '{}'\nbackend_lifetime = '{}'\n\
             drain = '{}'\nprobe = '{}'\nprobe_answer = '{}'\nreplica_lag = '{}'\ntransaction = '{}'\n\
             in_doubt = '{}'\n",
            limits.connections,
            size(limits.packet),
            size(limits.statement),
            limits.prepared_per_session,
            size(limits.plan_cache),
            size(limits.merge_memory_per_query),
            size(limits.merge_memory),
            size(limits.cursor),
            size(limits.gather),
            size(limits.load),
            limits.pool_primary,
            limits.pool_replica,
            limits.pool_idle,
            limits.pool_queue,
            limits.scatter,
            time(timeouts.handshake),
            time(timeouts.idle),
            time(timeouts.read),
            time(timeouts.write),
            time(timeouts.connect),
            time(timeouts.pool_wait),
            time(timeouts.primary_wait),
            time(timeouts.backend_idle),
            time(timeouts.backend_lifetime),
            time(timeouts.drain),
            time(timeouts.probe),
            time(timeouts.probe_answer),
            time(timeouts.replica_lag),
            time(timeouts.transaction),
            time(timeouts.in_doubt),
        ));
        assert_eq!((config.limits, config.timeouts), (limits, timeouts));
    }
}
