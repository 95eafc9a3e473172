//! The server's configuration: every bound, default and unit in one place.
//! It knows no file, socket or environment; whoever starts the server reads those and passes this on.

mod read;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::diagnostic::{Diagnostic, Source};

/// One kibibyte, the unit of the byte limits below.
const KIB: usize = 1024;
/// One mebibyte.
const MIB: usize = 1024 * KIB;

/// What `shardloom serve` runs by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where clients connect: at least one address.
    pub listen: Vec<Listen>,
    /// TLS for clients; `None`: not offered.
    pub tls: Option<Tls>,
    /// The folder of rule files (`*.toml`), relative to the configuration file.
    pub rules: PathBuf,
    /// Who may log in.
    pub users: Vec<User>,
    /// Bounds on numbers and bytes.
    pub limits: Limits,
    /// Bounds on time.
    pub timeouts: Timeouts,
    /// Where metrics and the admin interface listen (HTTP); `None`: nowhere.
    pub admin: Option<SocketAddr>,
    /// How the log is written.
    pub log: Log,
    /// Worker threads; `None`: one per CPU.
    pub workers: Option<usize>,
}

/// An address clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket at this path.
    Unix(PathBuf),
}

/// TLS towards clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Where the certificate comes from.
    pub identity: Identity,
    /// The lowest protocol version accepted.
    pub min_version: TlsVersion,
}

/// Where the server's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Made at start and signed by itself, as MySQL does.
    SelfSigned,
    /// PEM files.
    Files {
        /// Certificate chain, the server's own first.
        cert: PathBuf,
        /// Private key (PKCS#8, PKCS#1 or SEC1).
        key: PathBuf,
    },
}

/// A TLS protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// An account of the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name, compared byte for byte, as MySQL does.
    pub name: String,
    /// What a password is checked against.
    pub password: Password,
    /// The logical schemas the user may use.
    pub schemas: Schemas,
    /// Refuse logins without TLS; a unix socket counts as secure.
    pub require_tls: bool,
    /// Connections of this user at the same time; `None`: only `limits.connections` counts.
    pub max_connections: Option<u32>,
    /// What happens when a transaction touches a second group.
    pub transaction_mode: TransactionMode,
    /// Where reads outside transactions go; `None`: as the group's rule says.
    pub reads: Option<Reads>,
    /// What becomes of LOCK TABLES of tables that lie in several places.
    pub lock_tables: LockTables,
}

/// What a password is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// Verifiers, as `shardloom hash-password` prints them; at least one is there.
    Verifiers {
        /// `$A$005$`, 20 bytes of salt, 43 characters (caching_sha2_password).
        caching_sha2: Option<String>,
        /// `*` and 40 hex digits (mysql_native_password).
        native: Option<String>,
    },
    /// The password itself stands in this environment variable.
    Env(String),
    /// No password: only an empty one is right.
    Empty,
}

/// Which logical schemas a user may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schemas {
    /// Every one.
    All,
    /// Those named.
    Listed(Vec<String>),
}

/// What happens when a transaction touches a second group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionMode {
    /// The groups commit together or not at all.
    Atomic,
    /// It is refused: a transaction lives on one group.
    Single,
    /// One after the other is committed; a crash in between leaves some committed and some not.
    BestEffort,
}

/// What becomes of LOCK TABLES of tables that lie in several places, which cannot be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockTables {
    /// It is refused.
    Refuse,
    /// Nothing is locked, and a warning says so: for a user that loads dumps.
    Ignore,
}

/// Where reads outside transactions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// To replicas by weight, to the primary if none is fit.
    Replica,
    /// Always to the primary.
    Primary,
}

/// Bounds on numbers and bytes. None can be switched off: a bound that does not bind is a large one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Client connections at the same time; one more gets error 1040.
    pub connections: u32,
    /// Bytes of one logical packet from a client (`max_allowed_packet`), 1 KiB to 1 GiB.
    pub packet: usize,
    /// Bytes of one statement's text; at most `packet`.
    pub statement: usize,
    /// Prepared statements per session.
    pub prepared_per_session: u32,
    /// Bytes of cached plans.
    pub plan_cache: usize,
    /// Bytes one statement may hold while it merges.
    pub merge_memory_per_query: usize,
    /// Bytes all statements together may hold while they merge.
    pub merge_memory: usize,
    /// Bytes of rows that a cursor over several targets may hold, most of them in a temporary file.
    pub cursor: usize,
    /// Bytes a statement may gather on one backend.
    pub gather: usize,
    /// Bytes of its file that a LOAD DATA into several targets may hold; no line can be longer.
    pub load: usize,
    /// Connections to a primary, of each group.
    pub pool_primary: u32,
    /// Connections to each replica.
    pub pool_replica: u32,
    /// Idle connections kept in a pool.
    pub pool_idle: u32,
    /// Statements that may wait for a connection of one pool.
    pub pool_queue: u32,
    /// Targets a single statement runs on at the same time.
    pub scatter: u32,
}

/// Bounds on time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From accept to the end of login.
    pub handshake: Duration,
    /// A client that says nothing between statements (`wait_timeout`).
    pub idle: Duration,
    /// The rest of a packet of which a part has come.
    pub read: Duration,
    /// A client that does not take what is sent.
    pub write: Duration,
    /// One statement; `None`: no limit.
    pub query: Option<Duration>,
    /// Connect and login to a backend.
    pub connect: Duration,
    /// Wait for a connection of a pool.
    pub pool_wait: Duration,
    /// Wait for a primary while there is none.
    pub primary_wait: Duration,
    /// An idle backend connection is closed after.
    pub backend_idle: Duration,
    /// A backend connection is replaced after.
    pub backend_lifetime: Duration,
    /// What running transactions get at shutdown.
    pub drain: Duration,
    /// Between two probes of a server.
    pub probe: Duration,
    /// An answer to a probe.
    pub probe_answer: Duration,
    /// A replica that lags more gets no reads, unless its group says otherwise.
    pub replica_lag: Duration,
    /// How long a transaction over several groups may be open: later its COMMIT is refused.
    pub transaction: Duration,
    /// After which a part of a transaction that waits for its coordinator is taken for left alone.
    pub in_doubt: Duration,
}

/// How the log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// One line of text, or one JSON object, per event.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The least important events that are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What needs somebody's attention.
    Error,
    /// What may need it.
    Warn,
    /// Starts, stops, reloads, role changes.
    Info,
    /// Each connection.
    Debug,
    /// Each statement.
    Trace,
}

impl Config {
    /// Reads `shardloom.toml`; all of its mistakes, if there are any.
    pub fn parse(source: &Source) -> Result<Config, Vec<Diagnostic>> {
        read::config(source)
    }

    /// Makes the paths in it relative to the folder of the configuration file.
    pub fn resolve(&mut self, folder: &Path) {
        self.rules = folder.join(&self.rules);
        for listen in &mut self.listen {
            if let Listen::Unix(path) = listen {
                *path = folder.join(&*path);
            }
        }
        if let Some(Tls { identity: Identity::Files { cert, key }, .. }) = &mut self.tls {
            *cert = folder.join(&*cert);
            *key = folder.join(&*key);
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: vec![Listen::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3307))],
            tls: Some(Tls::default()),
            rules: PathBuf::from("rules"),
            users: Vec::new(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            admin: None,
            log: Log::default(),
            workers: None,
        }
    }
}

impl Default for Tls {
    fn default() -> Tls {
        Tls { identity: Identity::SelfSigned, min_version: TlsVersion::V1_2 }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 10_000,
            packet: 64 * MIB,
            statement: 16 * MIB,
            prepared_per_session: 16_382,
            plan_cache: 64 * MIB,
            merge_memory_per_query: 64 * MIB,
            merge_memory: 1024 * MIB,
            cursor: 1024 * MIB,
            gather: 256 * MIB,
            load: 16 * MIB,
            pool_primary: 100,
            pool_replica: 100,
            pool_idle: 100,
            pool_queue: 10_000,
            scatter: 256,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(8 * 3600),
            read: Duration::from_secs(30),
            write: Duration::from_secs(60),
            query: None,
            connect: Duration::from_secs(5),
            pool_wait: Duration::from_secs(5),
            primary_wait: Duration::from_secs(10),
            backend_idle: Duration::from_secs(600),
            backend_lifetime: Duration::from_secs(3600),
            drain: Duration::from_secs(30),
            probe: Duration::from_secs(1),
            probe_answer: Duration::from_secs(2),
            replica_lag: Duration::from_secs(10),
            transaction: Duration::from_secs(86_400),
            in_doubt: Duration::from_secs(10),
        }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log { format: LogFormat::Text, level: LogLevel::Info }
    }
}
