//! Finds the programs and makes the data directory that new servers start from, once for each version.
//! It keeps no server running.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::demo::install::{Installation, ServerError, account, user_argument};
use crate::demo::server::{Server, Settings};
use crate::sql::Flavour;

/// What is copied for each server should be small; each makes its log larger when it starts.
const SMALL_MYSQL_LOG: &str = "--innodb-redo-log-capacity=8M";

const SMALL_MARIADB_LOG: &str = "--innodb-log-file-size=8M";

/// Goes into the seed's name: raise it when what a seed holds changes.
const SEED_FORMAT: u32 = 2;

impl Installation {
    /// Finds the programs and, the first time, initialises a data directory (a few seconds).
    ///
    /// MySQL: where `scripts/install-servers` unpacks it, else `mysqld` on the PATH if that is MySQL.
    /// MariaDB: `mariadbd` on the PATH. The PATH is read as if it ended in `/usr/sbin`.
    ///
    /// # Errors
    /// [`ServerError::NotInstalled`] if there are none, others if the directory cannot be made.
    pub fn find(flavour: Flavour) -> Result<Installation, ServerError> {
        let cache = cache_folder()?;
        fs::create_dir_all(&cache).map_err(ServerError::io(format!("creating {}", cache.display())))?;
        let [server, client, dump] = match flavour {
            Flavour::MySql => ["mysqld", "mysql", "mysqldump"],
            Flavour::MariaDb => ["mariadbd", "mariadb", "mariadb-dump"],
        };
        let own = cache.join("mysql/bin");
        let program = |name: &str| match flavour {
            Flavour::MySql if own.join(name).exists() => Some(own.join(name)),
            Flavour::MySql | Flavour::MariaDb => on_path(name),
        };
        let missing = || ServerError::NotInstalled(flavour);
        let server = program(server).ok_or_else(missing)?;
        let version = version(&server)?;
        if version.contains("MariaDB") != (flavour == Flavour::MariaDb) {
            return Err(missing()); // a `mysqld` that is a link to MariaDB
        }
        let seed = cache.join(format!("seed{SEED_FORMAT}-{version}"));
        let client = program(client).ok_or_else(missing)?;
        let dump = program(dump).ok_or_else(missing)?;
        let found = Installation { flavour, version, server, client, dump, seed };
        found.make_seed()?;
        Ok(found)
    }

    /// Made beside its final place and renamed, so that a half-made one is never used.
    fn make_seed(&self) -> Result<(), ServerError> {
        if self.seed.exists() {
            return Ok(());
        }
        let lock_file = self.beside_seed("lock");
        let lock = fs::File::create(&lock_file).and_then(|file| file.lock().map(|()| file));
        let _lock = lock.map_err(ServerError::io(format!("locking {}", lock_file.display())))?;
        if self.seed.exists() {
            return Ok(()); // another thread or process made it while this one waited
        }
        let work = self.beside_seed("partial");
        fs::remove_dir_all(&work).ok();
        fs::create_dir_all(&work).map_err(ServerError::io(format!("creating {}", work.display())))?;
        let data = self.initialise(&work)?;
        fs::rename(&data, &self.seed).map_err(ServerError::io(format!("renaming {}", data.display())))?;
        fs::remove_dir_all(&work).ok();
        Ok(())
    }

    fn beside_seed(&self, what: &str) -> PathBuf {
        let mut path = self.seed.clone().into_os_string();
        path.push(format!("-{what}"));
        path.into()
    }

    /// The accounts go in with the binary log off, so that every copy has them and none replicates them.
    fn initialise(&self, work: &Path) -> Result<PathBuf, ServerError> {
        let data = work.join("data");
        let data_arg = format!("--datadir={}", data.display());
        let mut command = match self.flavour {
            Flavour::MySql => {
                let mut command = Command::new(&self.server);
                command.args(["--no-defaults", "--initialize-insecure", SMALL_MYSQL_LOG]);
                command
            }
            Flavour::MariaDb => {
                let mut command =
                    Command::new(on_path("mariadb-install-db").ok_or(ServerError::NotInstalled(self.flavour))?);
                command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
                command.arg(SMALL_MARIADB_LOG);
                command
            }
        };
        command.arg(data_arg).args(user_argument()).stdin(Stdio::null());
        let output = command.output().map_err(ServerError::io("initialising a data directory"))?;
        if !output.status.success() {
            let log = [output.stdout, output.stderr].concat();
            return Err(ServerError::Start {
                name: self.flavour.to_string(),
                log: String::from_utf8_lossy(&log).into_owned(),
            });
        }
        write_certificates(&data)?;
        let small = match self.flavour {
            Flavour::MySql => SMALL_MYSQL_LOG,
            Flavour::MariaDb => SMALL_MARIADB_LOG,
        };
        let mut server = Server::adopt(self, work, Settings::new(1).with(["--skip-log-bin", small]))?;
        server.sql(&self.account_statements())?;
        server.stop()?;
        fs::remove_file(data.join("auto.cnf")).ok(); // the server's UUID: each copy makes its own
        Ok(data)
    }

    fn account_statements(&self) -> String {
        use account::{PASSWORD, REPLICA_PASSWORD, REPLICA_USER, USER};
        let plugin = match self.flavour {
            Flavour::MySql => "IDENTIFIED WITH caching_sha2_password BY",
            Flavour::MariaDb => "IDENTIFIED BY",
        };
        format!(
            "CREATE USER '{USER}'@'%' {plugin} '{PASSWORD}';
             GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'%' WITH GRANT OPTION;
             CREATE USER '{REPLICA_USER}'@'%' {plugin} '{REPLICA_PASSWORD}';
             GRANT REPLICATION SLAVE ON *.* TO '{REPLICA_USER}'@'%';"
        )
    }
}

fn cache_folder() -> Result<PathBuf, ServerError> {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("SHARDLOOM_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("shardloom")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/shardloom")))
        .ok_or_else(|| ServerError::failed("finding a cache folder", "HOME is not set"))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// `mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))` -> `9.7.4-2`
fn version(server: &Path) -> Result<String, ServerError> {
    let output = Command::new(server)
        .args(["--no-defaults", "--version"])
        .stdin(Stdio::null())
        .output()
        .map_err(ServerError::io(format!("running {}", server.display())))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace().skip_while(|word| *word != "Ver");
    match words.nth(1) {
        Some(version) => Ok(version.to_owned()),
        None => Err(ServerError::Start { name: server.display().to_string(), log: text.into_owned() }),
    }
}

/// A certificate authority, and signed by it one certificate for servers (`tls-cert.pem`, `tls-key.pem`) and one for
/// clients that must have one (`tls-client-cert.pem`, `tls-client-key.pem`).
fn write_certificates(data: &Path) -> Result<(), ServerError> {
    let write = |name: &str, text: String| {
        let file = data.join(name);
        fs::write(&file, text).map_err(ServerError::io(format!("writing {}", file.display())))
    };
    let failed = |error: rcgen::Error| ServerError::failed("making certificates", error);
    let ca_key = rcgen::KeyPair::generate().map_err(failed)?;
    let mut ca = rcgen::CertificateParams::new(Vec::new()).map_err(failed)?;
    ca.distinguished_name.push(rcgen::DnType::CommonName, "Shardloom demo CA");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    write("tls-ca.pem", ca.self_signed(&ca_key).map_err(failed)?.pem())?;
    let issuer = rcgen::Issuer::new(ca, ca_key);

    for (name, subject, purpose) in [
        ("tls", "localhost", rcgen::ExtendedKeyUsagePurpose::ServerAuth),
        ("tls-client", "client", rcgen::ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let key = rcgen::KeyPair::generate().map_err(failed)?;
        let mut leaf = rcgen::CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).map_err(failed)?;
        leaf.distinguished_name.push(rcgen::DnType::CommonName, subject);
        leaf.extended_key_usages = vec![purpose];
        write(&format!("{name}-cert.pem"), leaf.signed_by(&key, &issuer).map_err(failed)?.pem())?;
        write(&format!("{name}-key.pem"), key.serialize_pem())?;
    }
    Ok(())
}
