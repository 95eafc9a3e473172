//! Which MySQL and MariaDB programs this machine has, and a data directory of each ready to be copied.
//! It starts a server only once, to make that directory; it installs nothing (`scripts/install-servers` does).

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::sql::Flavour;

/// Both families of servers, MySQL first.
pub const FLAVOURS: [Flavour; 2] = [Flavour::MySql, Flavour::MariaDb];

/// Why a server could not be had; a sentence a person can act on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The programs are not on this machine.
    #[error("{0} is not installed: run scripts/install-servers")]
    NotInstalled(Flavour),
    /// A file or a process refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, such as "copying /a to /b".
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// The server ended or never listened; its log's last lines are shown.
    #[error("{name} did not start:\n{log}")]
    Start {
        /// Its folder's name.
        name: String,
        /// The end of its error log.
        log: String,
    },
    /// A statement given to a server failed.
    #[error("{server}: {message}")]
    Sql {
        /// Its folder's name.
        server: String,
        /// The client's words, such as `ERROR 1146 (42S02) at line 1: ...`.
        message: String,
    },
    /// Something did not happen in time.
    #[error("{0}")]
    Timeout(String),
}

impl ServerError {
    /// Any other error and what was being done.
    pub fn failed(doing: impl Into<String>, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ServerError {
        ServerError::Io { doing: doing.into(), source: io::Error::other(error) }
    }

    /// For `map_err`: an I/O error and what was being done.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> ServerError {
        move |source| ServerError::Io { doing: doing.into(), source }
    }
}

/// The accounts every server made here has, besides `root` (no password, over the unix socket only).
pub mod account {
    /// For the proxy and for tests: all privileges, from anywhere;
    /// `caching_sha2_password` on MySQL, `mysql_native_password` on MariaDB.
    pub const USER: &str = "shardloom";
    /// Its password.
    pub const PASSWORD: &str = "loom-secret";
    /// For replicas.
    pub const REPLICA_USER: &str = "replica";
    /// Its password.
    pub const REPLICA_PASSWORD: &str = "replica-secret";
}

/// The programs of one flavour, and the initialised data directory that new servers start from.
#[derive(Clone, Debug)]
pub struct Installation {
    /// MySQL or MariaDB.
    pub flavour: Flavour,
    /// As the server says it: `9.7.4-2`, `10.11.19-MariaDB-0+deb12u1`.
    pub version: String,
    /// `mysqld` or `mariadbd`.
    pub server: PathBuf,
    /// `mysql` or `mariadb`, the command-line client.
    pub client: PathBuf,
    /// `mysqldump` or `mariadb-dump`.
    pub dump: PathBuf,
    /// The initialised data directory.
    pub(super) seed: PathBuf,
}

impl Installation {
    /// A PEM file of the servers' TLS: `ca`, the authority that signed the others; `cert` and `key`, what every server
    /// has (for the names `localhost` and `127.0.0.1`); `client-cert` and `client-key`.
    pub fn tls(&self, what: &str) -> PathBuf {
        self.seed.join(format!("tls-{what}.pem"))
    }

    /// Copies the initialised data directory to `to`, which must not exist.
    pub(crate) fn copy_seed(&self, to: &Path) -> Result<(), ServerError> {
        copy_folder(&self.seed, to).map_err(ServerError::io(format!(
            "copying {} to {}",
            self.seed.display(),
            to.display()
        )))
    }
}

/// Servers refuse to run as root unless told to.
pub(crate) fn user_argument() -> Option<&'static str> {
    rustix::process::geteuid().is_root().then_some("--user=root")
}

/// Plain files and folders only: that is all a data directory holds.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
