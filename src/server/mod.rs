//! The process as a server: listens, hands clients to workers, watches servers and rule files, and drains
//! at the end. It knows no statement.

pub mod topology;
pub mod worker;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::admin::http;
use crate::backend::cluster::Group;
use crate::backend::{probe, schema};
use crate::config::{Config, Identity, Listen, Password, Tls, User};
use crate::error::SqlError;
use crate::ids::Ids;
use crate::metrics::Metrics;
use crate::plan::cache::PlanCache;
use crate::rules::RuleSet;
use crate::server::topology::RulesError;
use crate::server::worker::{Arrival, Workers};
use crate::session::door::Door;
use crate::session::greet;
use crate::session::proxy::Proxy;
use crate::session::registry::Registry;
use crate::session::topology::Topology;
use crate::txn::ledger::Ledger;
use crate::txn::{deadlock, recovery};
use crate::wire::auth::Verifier;
use crate::wire::login_server::{Gate, NativeAccounts};
use crate::wire::stream::Stream;
use crate::wire::tls;

/// How often the tables are looked at again, in case somebody changed them on the servers.
const CATALOG_INTERVAL: Duration = Duration::from_secs(30);

/// Why the server could not start; for people.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The rules.
    #[error("{0}")]
    Rules(#[from] RulesError),
    /// A listening address, a thread, a socket.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// Certificates.
    #[error("TLS: {0}")]
    Tls(String),
    /// A user's password.
    #[error("user {user}: {what}")]
    User {
        /// The name.
        user: String,
        /// What is wrong.
        what: String,
    },
    /// No server answered.
    #[error("no group answered: {0}")]
    Servers(SqlError),
}

/// Where a started server listens.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// TCP addresses for clients, with the ports that port 0 became.
    pub clients: Vec<SocketAddr>,
    /// Unix sockets for clients.
    pub sockets: Vec<PathBuf>,
    /// The HTTP endpoint.
    pub admin: Option<SocketAddr>,
}

/// What the control side tells a running server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Read the rules again.
    Reload,
    /// End: no new clients, transactions get the drain timeout, then goodbye.
    Stop,
}

/// Serves until told to stop; `ready` is called once clients can connect. Must run on a runtime of its own:
/// clients are served by the workers' runtimes.
pub async fn serve(
    config: Config,
    mut signals: mpsc::UnboundedReceiver<Signal>,
    ready: impl FnOnce(&Addresses),
) -> Result<(), StartError> {
    let config = Arc::new(config);
    let workers = config.workers.unwrap_or_else(default_workers).max(1);
    let rules = topology::read_rules(&config.rules, false)?;
    let first = start_topology(rules, &config, workers, None).await?;
    let proxy = Arc::new(proxy(config.clone(), workers, first)?);
    let accepting = Arc::new(AtomicBool::new(true));
    let serving = proxy.clone();
    let deadlocks = tokio::spawn(deadlock::watch(proxy.ledger.clone()));
    let _recovery = Watchers(vec![recover(&proxy), deadlocks]);
    let crew = Workers::start(workers, move |number, arrival| greet(serving.clone(), number, arrival))
        .map_err(io_error("cannot start a worker"))?;
    let crew = Arc::new(crew);
    let (stop, stopped) = watch::channel(false);
    let (addresses, acceptors) = listen(&config, &crew, &stopped).await?;
    let admin = admin(&config, &proxy, &accepting).await?;
    let addresses = Addresses { admin: admin.as_ref().map(|(address, _)| *address), ..addresses };
    ready(&addresses);

    let mut sweep = tokio::time::interval(Duration::from_secs(1));
    let mut look = tokio::time::interval_at((Instant::now() + CATALOG_INTERVAL).into(), CATALOG_INTERVAL);
    loop {
        tokio::select! {
            signal = signals.recv() => match signal {
                Some(Signal::Reload) => {
                    match reload(&proxy, workers).await {
                        Ok(()) => tracing::info!("rules reloaded"),
                        Err(error) => tracing::error!("rules stay as they were:\n{error}"),
                    }
                }
                Some(Signal::Stop) | None => break,
            },
            _ = sweep.tick() => proxy.sessions.sweep(config.timeouts.idle),
            _ = look.tick() => {
                if let Err(error) = proxy.refresh_catalog().await {
                    tracing::warn!(%error, "the tables could not be looked at again");
                }
            }
        }
    }
    accepting.store(false, Ordering::Relaxed);
    let _ = stop.send(true);
    for acceptor in acceptors {
        let _ = acceptor.await;
    }
    drain(&proxy, config.timeouts.drain).await;
    if let Some((_, task)) = admin {
        task.abort();
    }
    for path in &addresses.sockets {
        let _ = std::fs::remove_file(path);
    }
    if let Ok(crew) = Arc::try_unwrap(crew).map_err(|_| ()) {
        let _ = tokio::task::spawn_blocking(move || crew.join()).await;
    }
    Ok(())
}

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> StartError {
    let what = what.into();
    move |error| StartError::Io { what, error }
}

fn proxy(config: Arc<Config>, workers: usize, topology: Topology) -> Result<Proxy, StartError> {
    let version = topology.server_info().map_or_else(
        || format!("8.0.36-shardloom-{}", env!("CARGO_PKG_VERSION")),
        |info| {
            // As these servers do: clients that know only MySQL take them for a version without what MariaDB lacks.
            let before = if info.mariadb && info.number < 110_000 { "5.5.5-" } else { "" };
            format!("{before}{}-shardloom-{}", info.version, env!("CARGO_PKG_VERSION"))
        },
    );
    let mut users = Vec::new();
    for user in &config.users {
        users.push((user.clone(), Arc::new(verifier(user)?)));
    }
    let native = |verifier: &Verifier| verifier.serves(crate::wire::auth::Plugin::Native);
    let some = users.iter().filter(|(_, verifier)| native(verifier)).count();
    let native = match some {
        0 => NativeAccounts::None,
        some if some == users.len() => NativeAccounts::All,
        _ => NativeAccounts::Some,
    };
    let tls = config.tls.as_ref().map(server_tls).transpose()?;
    let require_tls = !users.is_empty() && users.iter().all(|(user, _)| user.require_tls);
    let gate = Gate::new(tls, require_tls, native).map_err(|error| StartError::Tls(error.to_string()))?;
    let random = || {
        let mut bits = [0; 8];
        let filled = aws_lc_rs::rand::fill(&mut bits).map(|()| u64::from_le_bytes(bits));
        filled.map_err(|_| StartError::Tls("no random bytes".to_owned()))
    };
    let metrics = Arc::new(Metrics::new(workers));
    Ok(Proxy {
        topology: ArcSwap::from_pointee(topology),
        ids: Ids::default(),
        plans: PlanCache::new(config.limits.plan_cache as u64),
        sessions: Arc::new(Registry::new(config.limits.connections)),
        door: Door::new(gate, users, version),
        sets: Proxy::remembered_sets(),
        ledger: Arc::new(Ledger::new(random()?, config.timeouts.transaction, metrics.clone())),
        metrics,
        seed: random()?,
        config,
    })
}

/// Finishes, as long as it is held, what transactions over several groups leave behind.
fn recover(proxy: &Arc<Proxy>) -> JoinHandle<()> {
    let (ledger, suspect, proxy) = (proxy.ledger.clone(), proxy.config.timeouts.in_doubt, proxy.clone());
    tokio::spawn(recovery::watch(ledger, suspect, move || proxy.topology.load().groups.clone()))
}

fn verifier(user: &User) -> Result<Verifier, StartError> {
    let wrong = |what: String| StartError::User { user: user.name.clone(), what };
    match &user.password {
        Password::Verifiers { caching_sha2, native } => {
            let parts: Vec<&str> = [caching_sha2, native].into_iter().flatten().map(String::as_str).collect();
            Verifier::parse(&parts.join(" ")).map_err(|error| wrong(error.to_string()))
        }
        Password::Env(name) => {
            let password = std::env::var(name).map_err(|_| wrong(format!("the environment has no variable {name}")))?;
            Verifier::of_password(password.as_bytes()).map_err(|error| wrong(error.to_string()))
        }
        Password::Empty => Verifier::of_password(b"").map_err(|error| wrong(error.to_string())),
    }
}

fn server_tls(config: &Tls) -> Result<Arc<rustls::ServerConfig>, StartError> {
    let (certificate, key) = match &config.identity {
        Identity::SelfSigned => tls::self_signed(&["localhost".to_owned(), "127.0.0.1".to_owned()])
            .map_err(|error| StartError::Tls(error.to_string()))?,
        Identity::Files { cert, key } => {
            let read = |path: &PathBuf| {
                std::fs::read_to_string(path).map_err(io_error(format!("cannot read {}", path.display())))
            };
            (read(cert)?, read(key)?)
        }
    };
    tls::server_config(certificate.as_bytes(), key.as_bytes()).map_err(|error| StartError::Tls(error.to_string()))
}

/// Tasks that run as long as this is held.
struct Watchers(Vec<JoinHandle<()>>);

impl Drop for Watchers {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

async fn start_topology(
    rules: RuleSet,
    config: &Config,
    workers: usize,
    before: Option<&Topology>,
) -> Result<Topology, StartError> {
    let mut rules = rules;
    rules.version = before.map_or(1, |topology| topology.version + 1);
    let rules = Arc::new(rules);
    let groups = topology::groups(&rules, config, workers, before)?;
    // From now on, so that a primary that is slow to answer, or not there yet, can come while it is waited for below.
    let watchers = groups
        .iter()
        .map(|group| tokio::spawn(probe::watch(group.clone(), config.timeouts.probe, config.timeouts.probe_answer)))
        .collect();
    let watchers = Arc::new(Watchers(watchers));
    let defaults = schema::defaults(&groups).await.map_err(StartError::Servers)?;
    let catalog = schema::catalog(&rules, &groups).await.map_err(StartError::Servers)?;
    Ok(Topology::new(rules, Arc::new(catalog), groups, defaults, before, watchers))
}

/// All or nothing: until everything of the new rules is there, the old ones are in force.
async fn reload(proxy: &Proxy, workers: usize) -> Result<(), StartError> {
    let rules = topology::read_rules(&proxy.config.rules, false)?;
    let before = proxy.topology.load_full();
    let new = start_topology(rules, &proxy.config, workers, Some(&before)).await?;
    proxy.topology.store(Arc::new(new));
    Ok(())
}

async fn listen(
    config: &Config,
    crew: &Arc<Workers>,
    stopped: &watch::Receiver<bool>,
) -> Result<(Addresses, Vec<JoinHandle<()>>), StartError> {
    let mut addresses = Addresses::default();
    let mut acceptors = Vec::new();
    for listen in &config.listen {
        match listen {
            Listen::Tcp(address) => {
                let what = format!("cannot listen on {address}");
                let listener = TcpListener::bind(address).await.map_err(io_error(what.clone()))?;
                addresses.clients.push(listener.local_addr().map_err(io_error(what))?);
                acceptors.push(tokio::spawn(accept_tcp(listener, crew.clone(), stopped.clone())));
            }
            Listen::Unix(path) => {
                let what = format!("cannot listen on {}", path.display());
                // A socket that nobody serves any more is in the way.
                if std::os::unix::net::UnixStream::connect(path).is_err() {
                    let _ = std::fs::remove_file(path);
                }
                let listener = UnixListener::bind(path).map_err(io_error(what))?;
                addresses.sockets.push(path.clone());
                acceptors.push(tokio::spawn(accept_unix(listener, crew.clone(), stopped.clone())));
            }
        }
    }
    Ok((addresses, acceptors))
}

/// How long accepting rests after the system had no file descriptor for a client.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

async fn accept_tcp(listener: TcpListener, crew: Arc<Workers>, mut stopped: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        match accepted.and_then(|(socket, peer)| Ok(Arrival::Tcp(socket.into_std()?, peer))) {
            Ok(arrival) => crew.hand_over(arrival),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a client");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accept_unix(listener: UnixListener, crew: Arc<Workers>, mut stopped: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        match accepted.and_then(|(socket, _)| Ok(Arrival::Unix(socket.into_std()?))) {
            Ok(arrival) => crew.hand_over(arrival),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a client");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// On the worker: a socket becomes a client.
async fn greet(proxy: Arc<Proxy>, worker: usize, arrival: Arrival) {
    let (stream, peer, host) = match arrival {
        Arrival::Tcp(socket, peer) => {
            let stream = tokio::net::TcpStream::from_std(socket).and_then(Stream::tcp);
            (stream, peer.to_string(), peer.ip().to_string())
        }
        Arrival::Unix(socket) => {
            let stream = tokio::net::UnixStream::from_std(socket).map(Stream::unix);
            (stream, "localhost".to_owned(), "localhost".to_owned())
        }
    };
    match stream {
        Ok(stream) => greet::receive(proxy, worker, stream, peer, host).await,
        Err(error) => tracing::debug!(%error, "a client was gone before it was greeted"),
    }
}

async fn admin(
    config: &Config,
    proxy: &Arc<Proxy>,
    accepting: &Arc<AtomicBool>,
) -> Result<Option<(SocketAddr, JoinHandle<()>)>, StartError> {
    let Some(address) = config.admin else { return Ok(None) };
    let what = format!("cannot listen on {address} (admin)");
    let listener = TcpListener::bind(address).await.map_err(io_error(what.clone()))?;
    let address = listener.local_addr().map_err(io_error(what))?;
    let (topology, accepting) = (proxy.clone(), accepting.clone());
    let sessions = proxy.sessions.clone();
    let sources = http::Sources {
        metrics: proxy.metrics.clone(),
        open: Arc::new(move || sessions.list().iter().filter(|entry| entry.transaction.is_open()).count()),
        groups: Arc::new(move || -> Vec<Arc<Group>> { topology.topology.load().groups.clone() }),
        accepting: Arc::new(move || accepting.load(Ordering::Relaxed)),
    };
    let task = tokio::spawn(async move {
        if let Err(error) = http::serve(listener, sources).await {
            tracing::error!(%error, "the HTTP endpoint ended");
        }
    });
    Ok(Some((address, task)))
}

/// Lets running transactions end; whoever is left when the time is over is cut off.
async fn drain(proxy: &Proxy, limit: Duration) {
    let deadline = Instant::now() + limit;
    for session in proxy.sessions.list() {
        session.kill.drain();
    }
    while proxy.sessions.count() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let left = proxy.sessions.list();
    if !left.is_empty() {
        tracing::warn!(sessions = left.len(), "cutting off sessions that did not end in time");
    }
    for session in left {
        session.kill.connection();
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while proxy.sessions.count() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, F: Future>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// What every connected client costs before it has sent a byte. A path that few statements take belongs in a box.
    #[test]
    fn the_future_of_a_client_stays_small() {
        let size = size(greet);
        assert!(size <= 4096, "{size} bytes");
    }
}
