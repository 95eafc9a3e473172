//! One MySQL or MariaDB server: its address, how to log in, its pool, and what probes last said of it.
//! It knows nothing of the group it is in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;

use crate::backend::conn::{BackendError, Class, Conn, ServerInfo};
use crate::backend::gtid::Applied;
use crate::backend::pool::{Pool, PoolLimits};
use crate::commit::id::Identity;
use crate::error::{Code, SqlError};
use crate::wire::capabilities::Capabilities;
use crate::wire::link::Link;
use crate::wire::login_client::{ClientLoginError, Credentials, LoginWish, ServerHello, client_login};
use crate::wire::stream::Stream;
use crate::wire::tls::ClientTls;

/// What every backend connection asks for, besides what its class does: results of CALL, local files
/// (which the session refuses if its client cannot send any), and GTIDs in OK packets.
const BACKEND_CAPABILITIES: Capabilities = Capabilities(
    Capabilities::MULTI_RESULTS.0
        | Capabilities::PS_MULTI_RESULTS.0
        | Capabilities::LOCAL_FILES.0
        | Capabilities::SESSION_TRACK.0,
);

/// Both vendors know it by this number; the session's own comes by SET NAMES.
const UTF8MB4_GENERAL_CI: u16 = 45;

/// How to reach a server.
#[derive(Clone)]
pub struct ServerSpec {
    /// `host:port`, or the path of a unix socket.
    pub address: String,
    /// Who the proxy is to the server.
    pub credentials: Credentials,
    /// Whether and how TLS is used.
    pub tls: ClientTls,
    /// The longest packet the server may send or be sent, in bytes.
    pub max_packet: usize,
}

/// One server.
pub struct Server {
    /// Group and address, for messages: `g0 (10.0.0.1:3306)`.
    pub name: String,
    /// What tells it from other servers: address, account, TLS. Equal identities, equal connections.
    pub identity: String,
    /// How to reach it.
    pub spec: ServerSpec,
    /// Its connections.
    pub pool: Pool,
    /// What the last probe said.
    pub health: ArcSwap<Health>,
    /// Whether that was that it is down; apart, for it is asked for with every statement.
    down: AtomicBool,
    /// How transactions over several groups name the group it belongs to, once that was asked for.
    pub group_identity: OnceLock<Identity>,
    connect_timeout: Duration,
    /// Where connections go that are none: pipes inside the process.
    #[cfg(test)]
    pub pipes: OnceLock<tokio::sync::mpsc::UnboundedSender<tokio::io::DuplexStream>>,
}

/// What a probe said of a server.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Whether it answered, and if not why.
    pub state: HealthState,
    /// When it was asked.
    pub at: Option<Instant>,
    /// It refuses writes (`read_only`).
    pub read_only: bool,
    /// It applies another server's binlog, and this is how far it is behind; `None`: it is no replica.
    pub replica: Option<Lag>,
    /// The transactions it has applied.
    pub applied: Applied,
    /// Version and vendor.
    pub info: Option<Arc<ServerInfo>>,
}

/// Whether a server answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HealthState {
    /// Not asked yet.
    #[default]
    Unknown,
    /// It answered.
    Up,
    /// It did not; why.
    Down(String),
}

/// How far a replica is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// Seconds, as the server says.
    Behind(Duration),
    /// Replication is stopped or broken.
    Stopped,
}

impl Server {
    /// A server nobody has spoken to yet.
    pub fn new(
        name: String,
        identity: String,
        spec: ServerSpec,
        limits: PoolLimits,
        connect_timeout: Duration,
        workers: usize,
    ) -> Server {
        Server {
            name,
            identity,
            spec,
            pool: Pool::new(limits, workers),
            health: ArcSwap::default(),
            down: AtomicBool::new(false),
            group_identity: OnceLock::new(),
            connect_timeout,
            #[cfg(test)]
            pipes: OnceLock::new(),
        }
    }

    /// Opens a connection outside of the pool's bound: for probes, KILL, and the pool itself.
    pub async fn connect(&self, class: Class) -> Result<Conn, SqlError> {
        let mut conn = self.connect_plain(class).await?;
        match conn.track_writes().await {
            Ok(()) => Ok(conn),
            // An old server without tracking still serves; its sessions read their own writes on the primary.
            Err(BackendError::Server(_)) => Ok(conn),
            Err(error) => Err(error.to_client(&self.name)),
        }
    }

    /// Opens a connection and sends nothing on it but the login.
    pub async fn connect_plain(&self, class: Class) -> Result<Conn, SqlError> {
        let (link, hello) = match tokio::time::timeout(self.connect_timeout, self.login(class)).await {
            Err(_) => return Err(self.unreachable(&format!("no answer within {:?}", self.connect_timeout))),
            Ok(Err(error)) => return Err(self.unreachable(&error.to_string())),
            Ok(Ok(login)) => login,
        };
        let info = Arc::new(ServerInfo::parse(&hello.version));
        Ok(Conn::new(link, hello.thread_id, info, class, hello.capabilities))
    }

    async fn login(&self, class: Class) -> Result<(Link, ServerHello), ClientLoginError> {
        let address = &self.spec.address;
        let host = match address.starts_with('/') {
            true => "localhost",
            false => address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host).trim_matches(['[', ']']),
        };
        let stream = self.stream().await?;
        let wish = LoginWish {
            capabilities: BACKEND_CAPABILITIES
                .when(Capabilities::DEPRECATE_EOF, class.deprecate_eof)
                .when(Capabilities::FOUND_ROWS, class.found_rows),
            collation: UTF8MB4_GENERAL_CI,
            max_packet: self.spec.max_packet,
            attributes: vec![("program_name".to_owned(), "shardloom".to_owned())],
        };
        client_login(stream, host, &self.spec.credentials, &self.spec.tls, &wish).await
    }

    async fn stream(&self) -> std::io::Result<Stream> {
        #[cfg(test)]
        if let Some(pipes) = self.pipes.get() {
            let (near, far) = tokio::io::duplex(1 << 16);
            pipes.send(far).map_err(|_| std::io::ErrorKind::ConnectionRefused)?;
            return Ok(Stream::memory(near));
        }
        let address = &self.spec.address;
        match address.starts_with('/') {
            true => Ok(Stream::unix(UnixStream::connect(address).await?)),
            false => Stream::tcp(TcpStream::connect(address).await?),
        }
    }

    /// Ends a connection of ours on a side connection, whatever it is running.
    pub fn kill(self: &Arc<Server>, thread_id: u32) {
        drop(self.on_the_side(format!("KILL {thread_id}")));
    }

    /// Ends the statement that a connection of ours is running, if it is; the task that does it ends within the time
    /// for connecting, twice.
    pub fn kill_query(self: &Arc<Server>, thread_id: u32) -> Option<JoinHandle<()>> {
        self.on_the_side(format!("KILL QUERY {thread_id}"))
    }

    /// Detached on purpose: who cancels must not wait for a server that may be stuck.
    fn on_the_side(self: &Arc<Server>, sql: String) -> Option<JoinHandle<()>> {
        let server = self.clone();
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        let kill = async move {
            let class = Class { deprecate_eof: true, found_rows: false };
            let killed = match server.connect(class).await {
                Ok(mut conn) => match tokio::time::timeout(server.connect_timeout, conn.query(&sql)).await {
                    // 1094: it ended by itself meanwhile.
                    Ok(Ok(_)) | Ok(Err(BackendError::Server(SqlError { errno: 1094, .. }))) => Ok(()),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err("no answer".to_owned()),
                },
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = killed {
                tracing::warn!(server = server.name, sql, error, "could not cancel");
            }
        };
        Some(runtime.spawn(kill))
    }

    /// Whether a connection may go back to the pool: not to a server that a probe found dead since.
    pub fn accepts_back(&self) -> bool {
        !self.down.load(Ordering::Relaxed)
    }

    /// Takes over what a probe said; returns what the one before had said.
    pub(super) fn examined(&self, health: Health) -> Arc<Health> {
        self.down.store(matches!(health.state, HealthState::Down(_)), Ordering::Relaxed);
        self.health.swap(Arc::new(health))
    }

    fn unreachable(&self, why: &str) -> SqlError {
        SqlError::new(Code::BackendLost, format!("Can't connect to {}: {why}", self.name))
    }
}

impl ServerInfo {
    /// Reads a version string such as `9.7.0`, `8.4.3-log` or `5.5.5-10.11.6-MariaDB-0+deb12u1`.
    pub fn parse(version: &str) -> ServerInfo {
        let mariadb = version.contains("MariaDB");
        let plain = if mariadb { version.strip_prefix("5.5.5-").unwrap_or(version) } else { version };
        let mut parts = plain.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
        let mut part = || parts.next().unwrap_or(0);
        let number = part() * 10_000 + part() * 100 + part();
        ServerInfo { version: plain.to_owned(), mariadb, number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_both_vendors() {
        for (text, mariadb, number) in [
            ("9.7.0", false, 90_700),
            ("8.0.36-28", false, 80_036),
            ("5.5.5-10.11.6-MariaDB-0+deb12u1-log", true, 101_106),
            ("11.4.2-MariaDB", true, 110_402),
        ] {
            let info = ServerInfo::parse(text);
            assert_eq!((info.mariadb, info.number), (mariadb, number), "{text}");
        }
    }
}
