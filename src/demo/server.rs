//! One server process in one folder: started, asked, replicating, stopped, killed, frozen, restarted.
//! It knows of no other server but the one it may follow.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, net, thread};

use rustix::process::{Pid, Signal};

use crate::demo::install::{Installation, ServerError, account, copy_folder, user_argument};
use crate::sql::Flavour;

/// Starting takes a second or two; a loaded machine takes longer.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A clean stop writes everything back first.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How long threads may take to stop when they are told to.
const FREEZING: Duration = Duration::from_secs(5);

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `server_id`: unique among servers that replicate from each other.
    pub id: u32,
    /// Starts read-only (MySQL: `super_read_only`), as a replica should.
    pub read_only: bool,
    /// Loads and switches on semi-synchronous replication, both roles.
    pub semi_sync: bool,
    /// Further options, as on mysqld's command line; they come last, so they win.
    pub options: Vec<String>,
}

impl Settings {
    /// A writable server without semi-synchronous replication.
    pub fn new(id: u32) -> Settings {
        Settings { id, read_only: false, semi_sync: false, options: Vec::new() }
    }

    /// Adds options, such as `--lower-case-table-names=1`.
    pub fn with<S: Into<String>>(mut self, options: impl IntoIterator<Item = S>) -> Settings {
        self.options.extend(options.into_iter().map(Into::into));
        self
    }
}

/// A running server (or one that was killed and may be restarted). Dropping it kills the process;
/// its folder stays, for whoever made it to remove. It also dies when this process does.
#[derive(Debug)]
pub struct Server {
    installation: Installation,
    folder: PathBuf,
    settings: Settings,
    port: u16,
    running: Option<Running>,
}

/// `guard` reads a pipe that only this process holds open: when it ends, however it ends, so does the server.
#[derive(Debug)]
struct Running {
    server: Child,
    guard: Child,
}

impl Server {
    /// Makes `folder`, puts a fresh data directory into it and starts a server on a free port of 127.0.0.1
    /// and on a unix socket.
    ///
    /// The binary log is on (ROW, FULL images, GTIDs). A commit survives `kill -9` but not a power cut:
    /// give `--innodb-flush-log-at-trx-commit=1`, `--sync-binlog=1` for that.
    ///
    /// # Errors
    /// If the folder exists, or the server does not listen within a minute.
    pub fn start(installation: &Installation, folder: &Path, settings: Settings) -> Result<Server, ServerError> {
        fs::create_dir_all(folder).map_err(ServerError::io(format!("creating {}", folder.display())))?;
        installation.copy_seed(&folder.join("data"))?;
        Server::adopt(installation, folder, settings)
    }

    /// Starts a server over the data directory that is in `folder` already, on a new port.
    ///
    /// # Errors
    /// If there is none, or the server does not listen within a minute.
    pub fn adopt(installation: &Installation, folder: &Path, settings: Settings) -> Result<Server, ServerError> {
        let folder = folder.canonicalize().map_err(ServerError::io(format!("opening {}", folder.display())))?;
        let mut server = Server { installation: installation.clone(), folder, settings, port: 0, running: None };
        let mut tries = 3;
        loop {
            server.port = free_port()?;
            tries -= 1;
            match server.restart() {
                // Somebody took the port between our look and the server's bind.
                Err(ServerError::Start { log, .. }) if tries > 0 && log.contains("ddress already in use") => {}
                other => return other.map(|()| server),
            }
        }
    }

    /// What it runs.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The TCP port on 127.0.0.1; it stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`, as a rule file names it.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The unix socket, where `root` needs no password.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("sock")
    }

    /// The folder given at the start: `data/`, `sock`, `log`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.server.id())
    }

    /// For messages: the folder's last two names, such as `g0/primary`.
    pub fn name(&self) -> String {
        let parts: Vec<_> = self.folder.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
        parts.into_iter().rev().collect::<Vec<_>>().join("/")
    }

    /// Starts it again over its data, on the same port, and waits until it listens. Stops it first if it runs.
    ///
    /// # Errors
    /// If it does not listen within a minute.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.stop()?;
        let log = self.folder.join("log");
        let log_start = fs::metadata(&log).map_or(0, |data| data.len());
        let console = |source| ServerError::Io { doing: format!("opening {}", log.display()), source };
        let output = fs::OpenOptions::new().create(true).append(true).open(&log).map_err(console)?;
        let errors = output.try_clone().map_err(console)?;
        let mut server = Command::new(&self.installation.server)
            .args(self.arguments())
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(output) // --log-error would swallow what is wrong with the options
            .stderr(errors)
            .process_group(0) // Ctrl-C in a terminal is for us, not for the servers
            .spawn()
            .map_err(ServerError::io(format!("running {}", self.installation.server.display())))?;
        let guard = match guard(server.id()) {
            Ok(guard) => guard,
            Err(error) => {
                server.kill().ok();
                server.wait().ok();
                return Err(ServerError::io("running sh")(error));
            }
        };
        self.running = Some(Running { server, guard });
        let ready = self.wait_until_ready();
        if ready.is_err() {
            self.kill();
            let log = log_from(&log, log_start);
            return Err(ServerError::Start { name: self.name(), log });
        }
        Ok(())
    }

    /// Stops it cleanly; nothing to do if it does not run.
    ///
    /// # Errors
    /// If it still runs after a minute.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        let Some(running) = &mut self.running else { return Ok(()) };
        signal(running.server.id(), Signal::CONT);
        signal(running.server.id(), Signal::TERM);
        let limit = Instant::now() + STOP_LIMIT;
        while running.server.try_wait().map_err(ServerError::io("waiting for a server"))?.is_none() {
            if Instant::now() > limit {
                return Err(ServerError::Timeout(format!("{} did not stop within {STOP_LIMIT:?}", self.name())));
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        Ok(())
    }

    /// `kill -9`, as a crash would; nothing to do if it does not run.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.server.kill().ok();
            running.server.wait().ok();
            running.guard.kill().ok();
            running.guard.wait().ok();
        }
    }

    /// Stops the process in its tracks: connections stay open and nothing answers. All of its threads have stopped when
    /// this returns.
    pub fn freeze(&self) {
        let Some(pid) = self.pid() else { return };
        signal(pid, Signal::STOP);
        let begun = Instant::now();
        while !is_stopped(pid) && begun.elapsed() < FREEZING {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Goes on after [`Server::freeze`].
    pub fn thaw(&self) {
        if let Some(pid) = self.pid() {
            signal(pid, Signal::CONT);
        }
    }

    /// A command for the flavour's command-line client, as root over the socket.
    pub fn client(&self) -> Command {
        let mut command = Command::new(&self.installation.client);
        command.args(["--no-defaults", "--user=root", "--default-character-set=utf8mb4"]);
        command.arg(format!("--socket={}", self.socket().display()));
        command
    }

    /// Runs statements as root and gives the rows of all of them, tab-separated, escaped as `mysql --batch` does
    /// (`\t`, `\n`, `\\`; NULL as the word), without headers.
    ///
    /// # Errors
    /// The first error of a statement ends it.
    pub fn sql(&self, statements: &str) -> Result<String, ServerError> {
        let mut child = self
            .client()
            .args(["--batch", "--skip-column-names"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(ServerError::io(format!("running {}", self.installation.client.display())))?;
        let mut input = child.stdin.take();
        let output = thread::scope(|scope| {
            scope.spawn(move || input.take().map(|mut input| input.write_all(statements.as_bytes())));
            child.wait_with_output()
        });
        let output = output.map_err(ServerError::io("running a client"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned());
        }
        Err(ServerError::Sql {
            server: self.name(),
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Makes it a replica of `primary`, from the beginning of that server's binary log, and starts it.
    ///
    /// # Errors
    /// If a statement fails; that rows arrive is for [`Server::catch_up`] to see.
    pub fn follow(&self, primary: &Server) -> Result<(), ServerError> {
        use account::{REPLICA_PASSWORD, REPLICA_USER};
        let port = primary.port;
        self.sql(&match self.installation.flavour {
            Flavour::MySql => format!(
                "STOP REPLICA;
                 CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, SOURCE_USER='{REPLICA_USER}',
                   SOURCE_PASSWORD='{REPLICA_PASSWORD}', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1,
                   SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=86400;
                 START REPLICA;"
            ),
            Flavour::MariaDb => format!(
                "STOP SLAVE;
                 CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='{REPLICA_USER}',
                   MASTER_PASSWORD='{REPLICA_PASSWORD}', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1;
                 START SLAVE;"
            ),
        })?;
        Ok(())
    }

    /// Makes a replica a primary: it follows nobody and takes writes.
    ///
    /// # Errors
    /// If a statement fails.
    pub fn lead(&mut self) -> Result<(), ServerError> {
        self.settings.read_only = false;
        self.sql(match self.installation.flavour {
            Flavour::MySql => {
                "STOP REPLICA; RESET REPLICA ALL; SET GLOBAL super_read_only = 0; SET GLOBAL read_only = 0;"
            }
            Flavour::MariaDb => "STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0;",
        })?;
        Ok(())
    }

    /// Makes it a replica of `primary` by a copy of all that one has, prepared transactions included: both are stopped for
    /// it, and started again. What this server had is gone, as nobody may follow who has what no other has.
    ///
    /// # Errors
    /// If files cannot be copied, or a server does not stop or start.
    pub fn become_copy_of(&mut self, primary: &mut Server) -> Result<(), ServerError> {
        self.kill();
        primary.stop()?;
        let (from, to) = (primary.folder.join("data"), self.folder.join("data"));
        fs::remove_dir_all(&to).and_then(|()| copy_folder(&from, &to)).map_err(ServerError::io(format!(
            "copying {} to {}",
            from.display(),
            to.display()
        )))?;
        fs::remove_file(to.join("auto.cnf")).ok(); // MySQL's name of the server; MariaDB has none
        primary.restart()?;
        self.settings.read_only = true;
        self.restart()?;
        if self.installation.flavour == Flavour::MariaDb {
            self.sql("SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_binlog_pos")?;
        }
        self.follow(primary)
    }

    /// Everything this server has committed, in its flavour's notation.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn gtid(&self) -> Result<String, ServerError> {
        let gtid = self.sql(match self.installation.flavour {
            Flavour::MySql => "SELECT REPLACE(@@GLOBAL.gtid_executed, '\\n', '')",
            Flavour::MariaDb => "SELECT @@GLOBAL.gtid_current_pos",
        })?;
        Ok(gtid)
    }

    /// Waits until this replica has applied all that `primary` has committed by now.
    ///
    /// # Errors
    /// If it has not within `limit` (whole seconds).
    pub fn catch_up(&self, primary: &Server, limit: Duration) -> Result<(), ServerError> {
        let gtid = primary.gtid()?;
        let seconds = limit.as_secs();
        let answer = self.sql(&match self.installation.flavour {
            Flavour::MySql => format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{gtid}', {seconds})"),
            Flavour::MariaDb => format!("SELECT MASTER_GTID_WAIT('{gtid}', {seconds})"),
        })?;
        if answer == "0" {
            return Ok(());
        }
        let status = self.sql(match self.installation.flavour {
            Flavour::MySql => "SHOW REPLICA STATUS",
            Flavour::MariaDb => "SHOW SLAVE STATUS",
        })?;
        Err(ServerError::Timeout(format!("{} did not reach {gtid} within {limit:?}: {status}", self.name())))
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = COMMON_OPTIONS.iter().map(ToString::to_string).collect();
        let flavour_options = match self.installation.flavour {
            Flavour::MySql => MYSQL_OPTIONS,
            Flavour::MariaDb => MARIADB_OPTIONS,
        };
        arguments.extend(flavour_options.iter().map(ToString::to_string));
        arguments.extend(user_argument().map(ToOwned::to_owned));
        arguments.push(format!("--port={}", self.port));
        arguments.push(format!("--server-id={}", self.settings.id));
        for (option, file) in [
            ("datadir", "data"),
            ("socket", "sock"),
            ("pid-file", "pid"),
            ("ssl-ca", "data/tls-ca.pem"),
            ("ssl-cert", "data/tls-cert.pem"),
            ("ssl-key", "data/tls-key.pem"),
        ] {
            arguments.push(format!("--{option}={}", self.folder.join(file).display()));
        }
        // Not the common one: a MariaDB server that starts deletes the temporary tables that it finds there.
        arguments.push(format!("--tmpdir={}", self.folder.display()));
        if self.settings.read_only {
            arguments.push("--read-only=ON".to_owned());
            if self.installation.flavour == Flavour::MySql {
                arguments.push("--super-read-only=ON".to_owned());
            }
        }
        if self.settings.semi_sync {
            let options = match self.installation.flavour {
                Flavour::MySql => MYSQL_SEMI_SYNC,
                Flavour::MariaDb => MARIADB_SEMI_SYNC,
            };
            arguments.extend(options.iter().map(ToString::to_string));
        }
        arguments.extend(self.settings.options.iter().cloned());
        arguments
    }

    /// Ready is when its greeting comes over the socket: an error packet means that it is not yet.
    fn wait_until_ready(&mut self) -> Result<(), ServerError> {
        let limit = Instant::now() + START_LIMIT;
        while Instant::now() < limit {
            let ended = self.running.as_mut().is_none_or(|running| !matches!(running.server.try_wait(), Ok(None)));
            if ended {
                break;
            }
            if greets(&self.socket()).unwrap_or(false) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(ServerError::Timeout(format!("{} is not ready", self.name())))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Small in memory, quick to start; what decides about data is said, not left to a default.
const COMMON_OPTIONS: &[&str] = &[
    "--no-defaults",
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--local-infile=ON",
    "--max-connections=400",
    "--max-allowed-packet=64M",
    "--table-open-cache=400",
    "--table-definition-cache=400",
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=64M",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-lock-wait-timeout=10",
    // The kernel has 65,536 of its requests for the whole machine, which some twenty servers use up.
    "--innodb-use-native-aio=OFF",
    "--log-bin=binlog",
    "--binlog-format=ROW",
    "--binlog-row-image=FULL",
    "--sync-binlog=0",
    "--relay-log=relay",
];

/// Servers that show who waits for whom, and whose branches are open: proxies then find deadlocks over several groups. As
/// little of the performance schema as that takes.
pub const SHOWING_WAITS: [&str; 14] = [
    "--performance-schema=ON",
    "--performance-schema-instrument=%=OFF",
    "--performance-schema-instrument=transaction=ON",
    "--performance-schema-consumer-events-transactions-current=ON",
    "--loose-performance-schema-error-size=1",
    "--performance-schema-digests-size=1",
    "--performance-schema-events-stages-history-long-size=1",
    "--performance-schema-events-statements-history-long-size=1",
    "--performance-schema-events-transactions-history-long-size=1",
    "--performance-schema-events-waits-history-long-size=1",
    "--performance-schema-max-digest-length=0",
    "--performance-schema-max-sql-text-length=0",
    "--performance-schema-session-connect-attrs-size=0",
    "--performance-schema-max-program-instances=0",
];

const MYSQL_OPTIONS: &[&str] = &[
    "--mysqlx=OFF",
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    "--binlog-order-commits=ON",
    "--replica-parallel-workers=2",
    "--innodb-redo-log-capacity=64M",
    "--innodb-log-buffer-size=4M",
    "--temptable-max-ram=64M",
];

const MARIADB_OPTIONS: &[&str] = &[
    "--gtid-strict-mode=ON",
    "--log-slave-updates=ON",
    "--innodb-log-file-size=48M",
    "--character-set-server=utf8mb4",
];

const MYSQL_SEMI_SYNC: &[&str] = &[
    "--plugin-load-add=semisync_source.so",
    "--plugin-load-add=semisync_replica.so",
    "--rpl-semi-sync-source-enabled=ON",
    "--rpl-semi-sync-replica-enabled=ON",
];

const MARIADB_SEMI_SYNC: &[&str] = &["--rpl-semi-sync-master-enabled=ON", "--rpl-semi-sync-slave-enabled=ON"];

/// `read` returns when the other end of the pipe, which is in our process, closes.
fn guard(server: u32) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", &format!("read _; kill -9 {server}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// Whether all threads of a process are stopped; those that are about to be still answer.
fn is_stopped(process: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return true };
    let states = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    // Behind the name, which stands in brackets.
    let state = |stat: String| stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    states.map(state).all(|state| state == Some('T'))
}

fn signal(process: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        rustix::process::kill_process(pid, signal).ok(); // it may have ended
    }
}

/// A free port of 127.0.0.1, below the range that the kernel gives to outgoing connections, so that a restart finds it
/// free.
///
/// # Errors
/// None was found.
pub fn free_port() -> Result<u16, ServerError> {
    let low = 15_000;
    let high = 32_000;
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let start = clock.subsec_nanos() ^ std::process::id().wrapping_mul(7919);
    (0..2000u32)
        .filter_map(|step| u16::try_from(low + start.wrapping_add(step.wrapping_mul(37)) % (high - low)).ok())
        .find(|port| net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or_else(|| ServerError::Timeout("no free port on 127.0.0.1".to_owned()))
}

/// A greeting is a packet whose payload begins with the protocol version, 10.
fn greets(socket: &Path) -> io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut start = [0; 5];
    stream.read_exact(&mut start)?;
    Ok(start[4] == 10)
}

fn log_from(file: &Path, start: u64) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    let fresh = usize::try_from(start).ok().and_then(|start| bytes.get(start..)).unwrap_or(&bytes);
    let text = String::from_utf8_lossy(fresh);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
