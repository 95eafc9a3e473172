//! `shardloom serve`: the configuration file, the log, the signals, and the server until it ends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};
use notify::Watcher;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{Config, Log, LogFormat, LogLevel};
use crate::diagnostic::{self, Source};
use crate::server::{self, Addresses, Signal};

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Configuration file
    #[arg(long, short, default_value = "shardloom.toml", value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: PathBuf,
    /// Check the configuration and the rules, and end
    #[arg(long)]
    check: bool,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), String> {
        let config = read(&self.config)?;
        if self.check {
            let rules = server::topology::read_rules(&config.rules, super::color()).map_err(|e| e.to_string())?;
            println!("{}: fine, {} groups", self.config.display(), rules.groups().len());
            return Ok(());
        }
        log(&config.log);
        run(config)
    }
}

/// Reads and checks a configuration file; paths in it are relative to its folder.
pub(super) fn read(path: &Path) -> Result<Config, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let source = Source { name: path.display().to_string(), text };
    let mut config = Config::parse(&source)
        .map_err(|mistakes| diagnostic::render(&mistakes, std::slice::from_ref(&source), super::color()))?;
    config.resolve(path.parent().unwrap_or(Path::new(".")));
    Ok(config)
}

/// Each client is an open file, and shells often allow 1,024 where the system would allow far more.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "the limit of open files stays at {:?}", limit.current);
    }
}

/// Serves in the foreground until SIGTERM or SIGINT; SIGHUP and changed rule files reload the rules.
pub(super) fn run(config: Config) -> Result<(), String> {
    raise_open_files();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let (sender, receiver) = mpsc::unbounded_channel();
        let _watcher = watch_files(&config.rules, sender.clone());
        let signals = tokio::spawn(watch_signals(sender));
        let ended = server::serve(config, receiver, announce).await;
        signals.abort();
        ended.map_err(|error| error.to_string())
    })
}

fn announce(addresses: &Addresses) {
    for address in &addresses.clients {
        tracing::info!(%address, "ready for clients");
    }
    for socket in &addresses.sockets {
        tracing::info!(socket = %socket.display(), "ready for clients");
    }
    if let Some(address) = addresses.admin {
        tracing::info!("metrics at http://{address}/metrics");
    }
}

/// SIGTERM and SIGINT stop, SIGHUP reloads.
pub(super) async fn watch_signals(signals: mpsc::UnboundedSender<Signal>) {
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    let [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)] = kinds.map(signal) else {
        tracing::error!("signals cannot be watched: stop with SIGKILL, reload by restarting");
        return;
    };
    loop {
        let signal = tokio::select! {
            _ = terminate.recv() => Signal::Stop,
            _ = interrupt.recv() => Signal::Stop,
            _ = hangup.recv() => Signal::Reload,
        };
        if signals.send(signal).is_err() {
            return;
        }
    }
}

/// How long rule files must be quiet before they are read: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(200);

/// Reloads when a rule file changes. Where the system cannot watch files, SIGHUP still does it.
fn watch_files(folder: &Path, signals: mpsc::UnboundedSender<Signal>) -> Option<notify::RecommendedWatcher> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let changed = move |event: notify::Result<notify::Event>| {
        let is_rule = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "toml");
        if event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(is_rule)) {
            let _ = sender.send(());
        }
    };
    let mut watcher = notify::recommended_watcher(changed)
        .inspect_err(|error| tracing::warn!(%error, "rule files are not watched"))
        .ok()?;
    watcher
        .watch(folder, notify::RecursiveMode::NonRecursive)
        .inspect_err(|error| tracing::warn!(%error, "rule files are not watched"))
        .ok()?;
    // Ends when the watcher, and with it the sender, is dropped.
    std::thread::spawn(move || {
        while receiver.recv().is_ok() {
            while receiver.recv_timeout(SETTLE).is_ok() {}
            if signals.send(Signal::Reload).is_err() {
                return;
            }
        }
    });
    Some(watcher)
}

/// Starts logging to standard error.
pub(super) fn log(log: &Log) {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let builder =
        tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(super::color());
    // A second subscriber in one process (tests) is no harm: the first one stays.
    let _ = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
