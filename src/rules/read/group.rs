//! Reading `[defaults]` and `[group.NAME]`: servers and how to log in to them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Reads;
use crate::diagnostic::{Diagnostic, Place};
use crate::document::{Mistakes, Node, Section};
use crate::rules::read::Defined;
use crate::rules::{Address, BackendTls, Group, Secret, Server};

const DEFAULT_PORT: u16 = 3306;
const DEFAULT_USER: &str = "shardloom";
const MAX_GROUPS: usize = 1024;

/// What a group does not say itself.
#[derive(Clone, Default)]
struct Login {
    user: Option<String>,
    password: Option<Secret>,
    tls: Option<BackendTls>,
    reads: Option<Reads>,
    max_lag: Option<Duration>,
}

pub(super) fn read(roots: &[Section<'_>], mistakes: &Mistakes) -> Vec<Group> {
    let defaults = defaults(roots, mistakes);
    let (mut names, mut servers) = (Defined::default(), BTreeMap::new());
    let mut groups = Vec::new();
    for section in roots.iter().flat_map(|root| root.named("group", mistakes)) {
        check_name(&section, mistakes);
        let first = names.first("group", &section.key, &section.place, mistakes);
        let group = group(&section, &defaults, &mut servers, mistakes);
        section.finish(mistakes);
        if groups.len() == MAX_GROUPS {
            let title = format!("there are more than {MAX_GROUPS} groups");
            mistakes.add(Diagnostic::at(section.place.clone(), title, "one too many"));
            break;
        }
        if first {
            groups.push(group);
        }
    }
    groups
}

fn defaults(roots: &[Section<'_>], mistakes: &Mistakes) -> Login {
    let (mut found, mut login) = (Defined::default(), Login::default());
    for root in roots {
        let Some(node) = root.get("defaults") else { continue };
        let Some(section) = node.section("defaults", mistakes) else { continue };
        if found.first("section", "defaults", &section.place, mistakes) {
            login = self::login(&section, mistakes);
            section.finish(mistakes);
        }
    }
    login
}

/// A group; with something made up where its mistakes have been noted, so that reading can go on.
fn group(
    section: &Section<'_>,
    defaults: &Login,
    servers: &mut BTreeMap<Address, (String, Place)>,
    mistakes: &Mistakes,
) -> Group {
    let primary = section.require("primary", "\"10.0.0.1:3306\"", mistakes).and_then(|node| server(&node, 0, mistakes));
    let mut replicas = Vec::new();
    if let Some(node) = &primary {
        check_server(&node.1, &node.0, section, servers, mistakes);
    }
    for node in section.get("replicas").and_then(|node| node.list(mistakes)).unwrap_or_default() {
        if let Some((replica, place)) = server(&node, 1, mistakes) {
            check_server(&place, &replica, section, servers, mistakes);
            replicas.push(replica);
        }
    }
    let own = login(section, mistakes);
    let unknown = Server { address: Address::Unix(String::new()), weight: 0 };
    Group {
        name: section.key.clone(),
        primary: primary.map_or(unknown, |(server, _)| server),
        replicas,
        user: own.user.or_else(|| defaults.user.clone()).unwrap_or_else(|| DEFAULT_USER.to_owned()),
        password: own.password.or_else(|| defaults.password.clone()).unwrap_or(Secret::None),
        tls: own.tls.or_else(|| defaults.tls.clone()).unwrap_or(BackendTls::Preferred),
        reads: own.reads.or(defaults.reads).unwrap_or(Reads::Replica),
        max_lag: own.max_lag.or(defaults.max_lag),
    }
}

fn login(section: &Section<'_>, mistakes: &Mistakes) -> Login {
    let reads = [("replica", Reads::Replica), ("primary", Reads::Primary)];
    let (plain, env) = (section.get("password"), section.get("password_env"));
    if let (Some(plain), Some(env)) = (&plain, &env) {
        let title = format!("`{}` has both `password` and `password_env`", section.name);
        mistakes.add(
            Diagnostic::at(env.place.clone(), title, "")
                .related(plain.place.clone(), "and this")
                .help("keep `password_env`: then no password stands in the file"),
        );
    }
    let plain = plain.and_then(|node| node.string(mistakes)).map(|password| Secret::Plain(password.to_owned()));
    let env = env.and_then(|node| node.word(mistakes)).map(|name| Secret::Env(name.to_owned()));
    let lag = (Duration::from_millis(1), Duration::from_secs(86_400));
    Login {
        user: section.get("user").and_then(|node| node.word(mistakes)).map(str::to_owned),
        password: env.or(plain),
        tls: section.get("tls").and_then(|node| tls(&node, section, mistakes)),
        reads: section.get("reads").and_then(|node| node.choice(&reads, mistakes)),
        max_lag: section.get("max_lag").and_then(|node| node.duration(lag.0, lag.1, mistakes)),
    }
}

#[derive(Clone, Copy)]
enum TlsMode {
    Disabled,
    Preferred,
    Required,
    VerifyCa,
    VerifyIdentity,
}

const TLS_MODES: [(&str, TlsMode); 5] = [
    ("disabled", TlsMode::Disabled),
    ("preferred", TlsMode::Preferred),
    ("required", TlsMode::Required),
    ("verify-ca", TlsMode::VerifyCa),
    ("verify-identity", TlsMode::VerifyIdentity),
];

/// `tls = "required"`, or `tls = { mode = "verify-ca", ca = "ca.pem" }`.
fn tls(node: &Node<'_>, parent: &Section<'_>, mistakes: &Mistakes) -> Option<BackendTls> {
    let (mode, ca, place) = if node.as_str().is_some() {
        (node.choice(&TLS_MODES, mistakes), None, node.place.clone())
    } else {
        let Some(section) = node.as_section(&format!("{}.tls", parent.name)) else {
            let help = "write `tls = \"required\"` or `tls = { mode = \"verify-ca\", ca = \"ca.pem\" }`";
            mistakes.add(node.wrong("a mode or a table").help(help));
            return None;
        };
        let mode = section.require("mode", "\"verify-identity\"", mistakes);
        let ca = section.get("ca").and_then(|node| Some((node.word(mistakes)?.to_owned(), node.place)));
        section.finish(mistakes);
        let place = mode.as_ref().map_or(section.place.clone(), |mode| mode.place.clone());
        (mode.and_then(|mode| mode.choice(&TLS_MODES, mistakes)), ca, place)
    };
    let verified = |ca: Option<(String, Place)>| {
        if ca.is_none() {
            let help = "write `tls = { mode = \"verify-identity\", ca = \"ca.pem\" }`";
            mistakes.add(Diagnostic::at(place, "this mode of TLS needs a `ca` to verify against", "").help(help));
        }
        ca.map(|(ca, _)| ca)
    };
    match mode? {
        TlsMode::VerifyCa => verified(ca).map(BackendTls::VerifyCa),
        TlsMode::VerifyIdentity => verified(ca).map(BackendTls::VerifyIdentity),
        unverified => {
            if let Some((_, place)) = ca {
                mistakes.add(
                    Diagnostic::at(place, "`ca` has no effect: this mode of TLS verifies nothing", "")
                        .help("use `mode = \"verify-ca\"` or `mode = \"verify-identity\"`"),
                );
            }
            Some(match unverified {
                TlsMode::Disabled => BackendTls::Disabled,
                TlsMode::Preferred => BackendTls::Preferred,
                _ => BackendTls::Required,
            })
        }
    }
}

/// `"host:port"`, or `{ addr = "host:port", weight = 2 }`.
fn server(node: &Node<'_>, default_weight: u32, mistakes: &Mistakes) -> Option<(Server, Place)> {
    if node.as_str().is_some() {
        return Some((Server { address: address(node, mistakes)?, weight: default_weight }, node.place.clone()));
    }
    let Some(section) = node.as_section(&node.name) else {
        mistakes.add(node.wrong("an address").help("write \"host:port\" or { addr = \"host:port\", weight = 2 }"));
        return None;
    };
    let addr = section.require("addr", "\"10.0.0.1:3306\"", mistakes);
    let weight = section.get("weight").and_then(|node| node.integer(0, 1000, mistakes));
    section.finish(mistakes);
    let addr = addr?;
    Some((
        Server { address: address(&addr, mistakes)?, weight: weight.map_or(default_weight, |w| w as u32) },
        addr.place,
    ))
}

/// `host`, `host:port`, `[ipv6]:port` or the path of a unix socket.
fn address(node: &Node<'_>, mistakes: &Mistakes) -> Option<Address> {
    let text = node.word(mistakes)?;
    if text.starts_with('/') {
        return Some(Address::Unix(text.to_owned()));
    }
    let parsed = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => Some((host, DEFAULT_PORT)),
        Some((host, port)) => port.strip_prefix(':').and_then(|port| Some((host, port.parse().ok()?))),
        None => match text.split_once(':') {
            None => Some((text, DEFAULT_PORT)),
            Some((host, port)) => port.parse().ok().map(|port| (host, port)),
        },
    };
    let bad = |host: &str| host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/' || c == '@');
    match parsed {
        Some((host, port)) if port != 0 && !bad(host) => Some(Address::Tcp(host.to_owned(), port)),
        _ => {
            let title = format!("{text:?} is not an address");
            mistakes.add(
                Diagnostic::at(node.place.clone(), title, "")
                    .help("write \"host:port\", \"[ipv6]:port\" or the path of a unix socket"),
            );
            None
        }
    }
}

/// Notes a server that is already in a group.
fn check_server(
    place: &Place,
    server: &Server,
    section: &Section<'_>,
    servers: &mut BTreeMap<Address, (String, Place)>,
    mistakes: &Mistakes,
) {
    match servers.get(&server.address) {
        None => {
            servers.insert(server.address.clone(), (section.key.clone(), place.clone()));
        }
        Some((group, earlier)) => {
            let title = format!("server {} is named twice", server.address);
            let label = format!("already in group `{group}`");
            mistakes.add(
                Diagnostic::at(place.clone(), title, "again here")
                    .related(earlier.clone(), label)
                    .note("a group is a primary and its replicas: one server is in one group"),
            );
        }
    }
}

fn check_name(section: &Section<'_>, mistakes: &Mistakes) {
    let fit = !section.key.is_empty() && section.key.len() <= 64;
    if !fit || !section.key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        let title = format!("`{}` cannot be the name of a group", section.key);
        mistakes.add(Diagnostic::at(section.place.clone(), title, "letters, digits, `_` and `-` only"));
    }
}
