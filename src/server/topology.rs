//! From rule files to live servers: reads the folder, checks it whole, and makes groups of it, keeping the
//! connections to servers that stay. All or nothing: on any mistake what was in force stays in force.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::backend::cluster::{Group, Member, ReadPolicy};
use crate::backend::pool::PoolLimits;
use crate::backend::server::{Server, ServerSpec};
use crate::config::{Config, Reads};
use crate::diagnostic::{self, Source};
use crate::rules::{self, BackendTls, RuleSet, Secret};
use crate::session::topology::Topology;
use crate::wire::login_client::Credentials;
use crate::wire::tls::{ClientTls, TlsMode};

/// Why rules could not be taken over; for people.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// A file could not be read.
    #[error("cannot read {0}: {1}")]
    File(String, std::io::Error),
    /// The rules have mistakes; rendered with lines and carets.
    #[error("{0}")]
    Mistakes(String),
    /// A password or certificate that rules speak of is not there.
    #[error("group {group}: {what}")]
    Credentials {
        /// The group.
        group: String,
        /// What is missing.
        what: String,
    },
}

/// Reads all `*.toml` files of a folder, in the order of their names.
pub fn sources(folder: &Path) -> Result<Vec<Source>, RulesError> {
    let fail = |path: &Path| {
        let path = path.display().to_string();
        move |error| RulesError::File(path, error)
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail(folder))? {
        let path = entry.map_err(fail(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).map_err(fail(&path))?;
            Ok(Source { name: path.display().to_string(), text })
        })
        .collect()
}

/// Reads and checks the rules of a folder.
pub fn read_rules(folder: &Path, color: bool) -> Result<RuleSet, RulesError> {
    let sources = sources(folder)?;
    RuleSet::parse(&sources).map_err(|mistakes| RulesError::Mistakes(diagnostic::render(&mistakes, &sources, color)))
}

/// The groups of a rule set as live servers. A server of `before` with the same address, account and TLS
/// is kept with its connections.
pub fn groups(
    rules: &RuleSet,
    config: &Config,
    workers: usize,
    before: Option<&Topology>,
) -> Result<Vec<Arc<Group>>, RulesError> {
    let mut known: HashMap<String, Arc<Server>> = HashMap::new();
    for group in before.iter().flat_map(|topology| &topology.groups) {
        for member in group.members() {
            known.insert(member.server.identity.clone(), member.server.clone());
        }
    }
    rules.groups().iter().map(|group| live(group, config, workers, &known)).collect()
}

fn live(
    group: &rules::Group,
    config: &Config,
    workers: usize,
    known: &HashMap<String, Arc<Server>>,
) -> Result<Arc<Group>, RulesError> {
    let missing = |what: String| RulesError::Credentials { group: group.name.clone(), what };
    let password = match &group.password {
        Secret::None => String::new(),
        Secret::Plain(password) => password.clone(),
        Secret::Env(name) => std::env::var(name)
            .map_err(|_| missing(format!("the environment has no variable {name} for the password")))?,
    };
    let tls = tls(&group.tls).map_err(missing)?;
    let mut members = Vec::new();
    for (i, server) in std::iter::once(&group.primary).chain(&group.replicas).enumerate() {
        let address = match &server.address {
            rules::Address::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
            rules::Address::Tcp(host, port) => format!("{host}:{port}"),
            rules::Address::Unix(path) => path.clone(),
        };
        let identity = format!("{address} {} {password} {:?} {}", group.user, group.tls, i == 0);
        let server_of = || {
            let spec = ServerSpec {
                address: address.clone(),
                credentials: Credentials {
                    user: group.user.clone(),
                    password: password.clone(),
                    schema: String::new(),
                },
                tls: tls.clone(),
                max_packet: 1 << 30,
            };
            let connections = if i == 0 { config.limits.pool_primary } else { config.limits.pool_replica };
            let limits = PoolLimits {
                connections: connections as usize,
                queue: config.limits.pool_queue as usize,
                wait: config.timeouts.pool_wait,
                idle: config.timeouts.backend_idle,
                lifetime: config.timeouts.backend_lifetime,
            };
            let name = format!("{} ({address})", group.name);
            Arc::new(Server::new(name, identity.clone(), spec, limits, config.timeouts.connect, workers))
        };
        let live = known.get(&identity).cloned().unwrap_or_else(server_of);
        members.push(Member { server: live, weight: server.weight });
    }
    let policy = ReadPolicy {
        replicas: group.reads == Reads::Replica,
        max_lag: group.max_lag.unwrap_or(config.timeouts.replica_lag),
        primary_wait: config.timeouts.primary_wait,
    };
    Ok(Arc::new(Group::new(group.name.clone(), members, policy)))
}

fn tls(tls: &BackendTls) -> Result<ClientTls, String> {
    let (mode, authority) = match tls {
        BackendTls::Disabled => (TlsMode::Disabled, None),
        BackendTls::Preferred => (TlsMode::Preferred, None),
        BackendTls::Required => (TlsMode::Required, None),
        BackendTls::VerifyCa(file) => (TlsMode::VerifyCa, Some(file)),
        BackendTls::VerifyIdentity(file) => (TlsMode::VerifyIdentity, Some(file)),
    };
    let pem = authority
        .map(|file| {
            std::fs::read(file).map_err(|error| format!("cannot read the authority's certificate {file}: {error}"))
        })
        .transpose()?;
    ClientTls::new(mode, pem.as_deref(), None).map_err(|error| error.to_string())
}
