//! The proxy in this process, before a real cluster, and a small client that shows all of an answer.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use shardloom::backend::conn::{Answer, BackendError, Class, Conn};
use shardloom::backend::pool::PoolLimits;
use shardloom::backend::server::{Server, ServerSpec};
use shardloom::config::{Config, Listen, LockTables, Password, Schemas, TransactionMode, User};
use shardloom::demo::cluster::Cluster;
use shardloom::demo::folder::TempFolder;
use shardloom::demo::install::account;
use shardloom::server::{self, Addresses, Signal};
use shardloom::wire::auth;
use shardloom::wire::column::ColumnDef;
use shardloom::wire::command::com;
use shardloom::wire::login_client::Credentials;
use shardloom::wire::reply::{EOF, ERR};
use shardloom::wire::tls::ClientTls;
use tokio::sync::mpsc;

use crate::servers::testbed::{PATIENCE, folder};

/// The password of all users of a test proxy.
pub(crate) const PASSWORD: &str = "secret";

/// A proxy on a free port; it ends when dropped.
pub(crate) struct TestProxy {
    pub(crate) addresses: Addresses,
    signals: mpsc::UnboundedSender<Signal>,
    thread: Option<JoinHandle<()>>,
    rules: TempFolder,
}

impl TestProxy {
    /// A proxy before `cluster`, with users `app` (transaction_mode single), `wide` (best_effort) and `atomic`.
    pub(crate) fn start(cluster: &Cluster, rules: &str) -> TestProxy {
        TestProxy::start_with(cluster, rules, |_| {})
    }

    /// The same with a configuration changed by `change`.
    pub(crate) fn start_with(cluster: &Cluster, rules: &str, change: impl FnOnce(&mut Config)) -> TestProxy {
        let folder = folder();
        write_rules(folder.path(), cluster, rules);
        TestProxy::start_on(folder, change)
    }

    /// The same, which is another account to the servers.
    pub(crate) fn start_as(cluster: &Cluster, rules: &str, user: &str, password: &str) -> TestProxy {
        let folder = folder();
        write_rules_as(folder.path(), cluster, rules, user, password);
        TestProxy::start_on(folder, |_| {})
    }

    fn start_on(folder: TempFolder, change: impl FnOnce(&mut Config)) -> TestProxy {
        let (sha2, native) = auth::hash_password(PASSWORD.as_bytes()).unwrap();
        let user = |name: &str, mode| User {
            name: name.to_owned(),
            password: Password::Verifiers { caching_sha2: Some(sha2.clone()), native: Some(native.clone()) },
            schemas: Schemas::All,
            require_tls: false,
            max_connections: None,
            transaction_mode: mode,
            reads: None,
            lock_tables: LockTables::Refuse,
        };
        let mut config = Config {
            listen: vec![Listen::Tcp("127.0.0.1:0".parse().unwrap())],
            rules: folder.path().to_owned(),
            users: vec![
                user("app", TransactionMode::Single),
                user("wide", TransactionMode::BestEffort),
                user("atomic", TransactionMode::Atomic),
            ],
            admin: Some("127.0.0.1:0".parse().unwrap()),
            ..Config::default()
        };
        config.timeouts.drain = Duration::from_secs(2);
        change(&mut config);
        let (signals, receiver) = mpsc::unbounded_channel();
        let (ready, started) = std_mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let failed = ready.clone();
            let served = runtime.block_on(server::serve(config, receiver, |addresses| {
                ready.send(Ok(addresses.clone())).unwrap();
            }));
            if let Err(error) = served {
                failed.send(Err(error.to_string())).ok();
            }
        });
        let addresses = started.recv_timeout(PATIENCE).unwrap().unwrap();
        TestProxy { addresses, signals, thread: Some(thread), rules: folder }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses.clients[0]
    }

    /// Writes other rules and has them read.
    pub(crate) fn reload(&self, cluster: &Cluster, rules: &str) {
        write_rules(self.rules.path(), cluster, rules);
        self.signals.send(Signal::Reload).unwrap();
    }

    /// The same with the groups in the reverse order, which numbers them anew.
    pub(crate) fn reload_reversed(&self, cluster: &Cluster, rules: &str) {
        write_rules(self.rules.path(), cluster, rules);
        let path = self.rules.path().join("rules.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let (groups, schemas) = text.split_at(text.find("[schema").unwrap());
        let mut groups: Vec<&str> = groups.split_inclusive("\n\n").collect();
        groups.reverse();
        std::fs::write(path, groups.concat() + schemas).unwrap();
        self.signals.send(Signal::Reload).unwrap();
    }

    pub(crate) fn stop(&self) {
        self.signals.send(Signal::Stop).ok();
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

pub(crate) fn write_rules(folder: &Path, cluster: &Cluster, rules: &str) {
    write_rules_as(folder, cluster, rules, account::USER, account::PASSWORD);
}

fn write_rules_as(folder: &Path, cluster: &Cluster, rules: &str, user: &str, password: &str) {
    let account = format!("user = \"{user}\"\npassword = \"{password}\"\n");
    let groups: String = cluster
        .rules()
        .split("\n\n")
        .filter(|group| !group.trim().is_empty())
        .map(|group| format!("{}\n{account}\n", group.trim_end()))
        .collect();
    std::fs::write(folder.join("rules.toml"), groups + rules).unwrap();
}

/// A client that waits for every answer.
pub(crate) struct Client {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) conn: Conn,
}

impl Client {
    /// Logs in at an address as a user, with a default schema if one is given.
    pub(crate) fn connect(address: &str, user: &str, password: &str, schema: &str) -> Client {
        Client::try_connect(address, user, password, schema).unwrap()
    }

    pub(crate) fn try_connect(address: &str, user: &str, password: &str, schema: &str) -> Result<Client, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let spec = ServerSpec {
            address: address.to_owned(),
            credentials: Credentials {
                user: user.to_owned(),
                password: password.to_owned(),
                schema: schema.to_owned(),
            },
            tls: ClientTls::disabled(),
            max_packet: 1 << 26,
        };
        let minute = Duration::from_secs(60);
        let limits = PoolLimits { connections: 1, queue: 1, wait: minute, idle: minute, lifetime: minute };
        let class = Class { deprecate_eof: true, found_rows: false };
        let server = Server::new(address.to_owned(), String::new(), spec, limits, minute, 1);
        let conn = runtime.block_on(server.connect_plain(class)).map_err(|error| error.to_string())?;
        Ok(Client { runtime, conn })
    }

    /// Through a proxy, as `app` in schema `shop`.
    pub(crate) fn of(proxy: &TestProxy) -> Client {
        Client::connect(&proxy.address().to_string(), "app", PASSWORD, "shop")
    }

    pub(crate) fn query(&mut self, sql: &str) -> Result<Answer, BackendError> {
        self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(180), self.conn.query(sql))
                .await
                .expect("no answer within three minutes")
        })
    }

    /// COM_FIELD_LIST: schema, table, name, type and default of each column of a table.
    pub(crate) fn fields(&mut self, table: &str) -> Vec<String> {
        self.conn.send(com::FIELD_LIST, format!("{table}\0").as_bytes());
        self.runtime.block_on(async {
            self.conn.link.flush().await.unwrap();
            self.conn.expect_answer();
            let mut fields = Vec::new();
            loop {
                let packet = self.conn.link.expect_packet().await.unwrap();
                let payload = self.conn.link.payload(&packet);
                match payload.first() {
                    Some(&EOF) => break,
                    Some(&ERR) => panic!("{table}: {payload:?}"),
                    _ => {}
                }
                let column = ColumnDef::decode(payload).unwrap();
                let names = [column.schema, column.table, column.org_table, column.name].map(String::from_utf8_lossy);
                fields.push(format!("{} {:?} {:?}", names.join("."), column.ty, column.default));
            }
            self.conn.failed();
            fields
        })
    }

    /// COM_RESET_CONNECTION.
    pub(crate) fn reset(&mut self) {
        self.conn.send(com::RESET_CONNECTION, b"");
        self.runtime.block_on(async {
            self.conn.link.flush().await.unwrap();
            self.conn.read_answer().await.unwrap();
        });
    }

    /// Sends what is queued, and waits for nothing.
    pub(crate) fn flush(&mut self) {
        self.runtime.block_on(self.conn.link.flush()).unwrap();
    }

    /// The answer as text: one line a row, cells by `|`; `ok N` for what has no rows; `error N: text`.
    pub(crate) fn show(&mut self, sql: &str) -> String {
        show(&self.query(sql))
    }

    /// Runs what must succeed.
    pub(crate) fn run(&mut self, sql: &str) -> Answer {
        self.query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}

pub(crate) fn show(answer: &Result<Answer, BackendError>) -> String {
    let answer = match answer {
        Err(BackendError::Server(error)) => return format!("error {}: {}", error.errno, error.message),
        Err(error) => return format!("lost: {error}"),
        Ok(answer) => answer,
    };
    if answer.columns.is_empty() {
        return format!("ok {}", answer.affected_rows);
    }
    let mut text = String::new();
    for (i, row) in answer.rows.iter().enumerate() {
        let cells = row.iter().map(|cell| match cell {
            Some(cell) => String::from_utf8_lossy(cell).into_owned(),
            None => "NULL".to_owned(),
        });
        let separator = if i == 0 { "" } else { "\n" };
        write!(text, "{separator}{}", cells.collect::<Vec<_>>().join("|")).unwrap();
    }
    text
}
