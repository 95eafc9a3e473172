//! `shardloom demo`: servers, a sample shop on them, and the proxy in the foreground until Ctrl-C.

use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum, ValueHint};
use tokio::sync::{mpsc, oneshot};

use crate::cli::serve;
use crate::config::Config;
use crate::demo::folder::TempFolder;
use crate::demo::install::{FLAVOURS, Installation, ServerError};
use crate::demo::shop;
use crate::demo::stand::{Folder, Stand};
use crate::server::{self, Addresses, Signal, StartError};
use crate::sql::Flavour;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Keep the servers' data in this folder, and go on with what is there
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    keep: Option<PathBuf>,
    /// The servers to start [default: MySQL if it is installed, else MariaDB]
    #[arg(long, value_enum)]
    flavour: Option<Servers>,
    /// Orders in the shop; users, lines and products come in proportion
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
    rows: u64,
    /// Print a part of the shop instead of starting anything, to put it on other servers
    #[arg(long, value_enum, value_name = "PART", conflicts_with_all = ["keep", "flavour"])]
    print: Option<Part>,
}

/// What the shop is made of.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    /// The rules of its schema, to stand behind those of the groups g0 and g1
    Rules,
    /// CREATE TABLE statements with logical names
    Tables,
    /// INSERT statements
    Rows,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Servers {
    Mysql,
    Mariadb,
}

impl Demo {
    pub(super) fn run(self) -> Result<(), String> {
        if let Some(part) = self.print {
            return match print(part, self.rows) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
                _ => Ok(()),
            };
        }
        let stand = self.set_up().map_err(|error| error.to_string())?;
        let stand = Arc::new(stand);
        let mut tries = 1;
        let ended = loop {
            match run_proxy(&stand, self.rows) {
                Err(End::PortTaken(_)) if tries < PORT_TRIES => tries += 1,
                ended => break ended,
            }
        };
        println!("Stopping.");
        let stopped = Arc::into_inner(stand).map_or(Ok(()), Stand::stop);
        ended.map_err(|(End::PortTaken(why) | End::Failed(why))| why)?;
        stopped.map_err(|error| error.to_string())
    }

    fn set_up(&self) -> Result<Stand, ServerError> {
        let started = Instant::now();
        let installation = self.installation()?;
        println!("Two groups of {} {}, each a primary and a replica:", installation.flavour, installation.version);
        let folder = match &self.keep {
            Some(path) => Folder::Kept(path.clone()),
            None => Folder::Temporary(TempFolder::new("demo")?),
        };
        let stand = Stand::set_up(&installation, folder)?;
        for server in stand.cluster.servers() {
            println!("  {:<12} {}", server.name(), server.addr());
        }
        println!("They replicate, {:.1} s.", started.elapsed().as_secs_f64());
        Ok(stand)
    }

    fn installation(&self) -> Result<Installation, ServerError> {
        match self.flavour {
            Some(Servers::Mysql) => Installation::find(Flavour::MySql),
            Some(Servers::Mariadb) => Installation::find(Flavour::MariaDb),
            None => {
                let [first, second] = FLAVOURS.map(Installation::find);
                first.or(second)
            }
        }
    }
}

fn print(part: Part, orders: u64) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match part {
        Part::Rules => out.write_all(shop::RULES.as_bytes())?,
        Part::Tables => out.write_all(shop::TABLES.as_bytes())?,
        Part::Rows => shop::inserts(orders).try_for_each(|insert| writeln!(out, "{insert};"))?,
    }
    out.flush()
}

/// How many ports are tried.
const PORT_TRIES: usize = 5;

/// Why the proxy ended that was not told to.
enum End {
    /// Somebody took a port between our look and the proxy's bind.
    PortTaken(String),
    Failed(String),
}

impl From<String> for End {
    fn from(why: String) -> End {
        End::Failed(why)
    }
}

/// The proxy until its end, on ports that are free now.
fn run_proxy(stand: &Arc<Stand>, orders: u64) -> Result<(), End> {
    let config = stand.write_configuration().map_err(|error| error.to_string())?;
    let config = serve::read(&config)?;
    serve::log(&config.log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    // The runtime's end waits for the thread that loads.
    runtime.map_err(|error| error.to_string())?.block_on(serve_and_load(config, stand.clone(), orders))
}

/// The proxy until it is told to stop, or until loading fails.
async fn serve_and_load(config: Config, stand: Arc<Stand>, orders: u64) -> Result<(), End> {
    let (signals, receiver) = mpsc::unbounded_channel();
    let (ready, started) = oneshot::channel();
    let watching = tokio::spawn(serve::watch_signals(signals.clone()));
    let loading = tokio::spawn(async move {
        let Ok(addresses) = started.await else { return Ok(()) };
        let loaded = tokio::task::spawn_blocking(move || open(&stand, &addresses, orders)).await;
        let loaded = loaded.map_err(|error| error.to_string()).and_then(|loaded| loaded);
        if loaded.is_err() {
            let _ = signals.send(Signal::Stop);
        }
        loaded
    });
    let served = server::serve(config, receiver, move |addresses| {
        let _ = ready.send(addresses.clone());
    })
    .await;
    watching.abort();
    served.map_err(|error| match &error {
        StartError::Io { error: io, .. } if io.kind() == io::ErrorKind::AddrInUse => End::PortTaken(error.to_string()),
        _ => End::Failed(error.to_string()),
    })?;
    Ok(loading.await.map_err(|error| error.to_string())??)
}

/// Loads the shop, if it is not, and welcomes the visitor.
fn open(stand: &Stand, addresses: &Addresses, orders: u64) -> Result<(), String> {
    let Some(proxy) = addresses.clients.first().copied() else { return Ok(()) };
    if !stand.is_loaded() {
        load(stand, proxy, orders)?;
    }
    println!("{}", stand.welcome(proxy, addresses.admin));
    Ok(())
}

fn load(stand: &Stand, proxy: SocketAddr, orders: u64) -> Result<(), String> {
    let started = Instant::now();
    println!("Loading {orders} orders through the proxy ...");
    stand.load(proxy, orders).map_err(|error| error.to_string())?;
    println!("Loaded and replicated, {:.1} s.", started.elapsed().as_secs_f64());
    Ok(())
}
