//! One client's connection from login to goodbye: reads a command, has it answered, reads the next.
//! It knows what belongs to the session; what a statement means is for `query` and the rooms below.

mod ahead;
mod carry;
pub mod catalogue;
mod computed;
mod convert;
pub mod define;
pub mod diagnostics;
pub mod door;
pub mod explain;
mod fill;
mod get;
pub mod greet;
mod into;
mod joined;
mod limited;
mod load;
pub mod local;
mod lookup;
mod maintain;
mod moved;
mod named;
mod numbering;
mod own;
mod parts;
pub mod prepared;
mod processes;
pub mod proxy;
pub mod query;
pub mod registry;
mod remember;
pub mod reply;
mod run;
mod seek;
pub mod set;
pub mod show;
mod singly;
mod spread;
mod temporary;
pub mod topology;
mod track;
mod transactions;
mod typing;
mod upsert;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::backend::conn::Class;
use crate::backend::settings::Settings;
use crate::error::{Code, SqlError};
use crate::exec::interrupt::{Limit, Patience};
use crate::exec::spool::Spooled;
use crate::metrics::{Counters, Kind};
use crate::rare::boxed;
use crate::rules::GroupId;
use crate::session::diagnostics::Diagnostics;
use crate::session::door::Guest;
use crate::session::prepared::Prepared;
use crate::session::proxy::Proxy;
use crate::session::query::Meaning;
use crate::session::registry::Seat;
use crate::session::temporary::Temporary;
use crate::session::topology::Topology;
use crate::sql::Facts;
use crate::sql::scan::Scan;
use crate::txn::ledger::Ledger;
use crate::txn::{Mode, State, Txn, Wanted};
use crate::wire::capabilities::{Capabilities, Status};
use crate::wire::command::{Command, com};
use crate::wire::error::WireError;
use crate::wire::link::Link;
use crate::wire::login_server::Login;
use crate::wire::reply::OkPacket;

/// What a session keeps of its statement buffer between commands.
const KEPT_INPUT: usize = 4 << 10;

/// A logged-in client.
pub struct Session {
    proxy: Arc<Proxy>,
    seat: Seat,
    client: Link,
    capabilities: Capabilities,
    login: Login,
    guest: Arc<Guest>,
    /// The client's host, as in `'user'@'host'`.
    host: String,
    needs: Needs,
    facts: Facts,
    /// What schema and facts come to in the plan cache.
    meaning: Meaning,
    txn: Txn,
    /// The rules of the last statement, while it runs or the session holds connections.
    rules: Option<Arc<Topology>>,
    /// Its numbering of groups.
    numbering: u64,
    prepared: Prepared,
    diagnostics: Diagnostics,
    temporary: Temporary,
    /// What LAST_INSERT_ID() answers.
    last_insert_id: u64,
    /// What ROW_COUNT() answers.
    row_count: i64,
    /// The answer to the last statement was a server's error, which was passed on.
    failed: bool,
    /// How the last statement that went to servers was answered.
    kind: Kind,
    /// What FOUND_ROWS() answers, where the proxy can know it.
    found_rows: Option<u64>,
    /// `SET TRANSACTION` without SESSION: for the next transaction only.
    next: NextTransaction,
    /// What the next OK packet of our own tells of the session, encoded.
    told: Vec<u8>,
    /// COM_QUERY may hold several statements.
    multi_statements: bool,
    /// The cursor that the running statement opened.
    cursor: Option<OpenCursor>,
    /// Scratch for the text that goes to a server.
    text: Vec<u8>,
    /// How long the running statement may take, all its parts together.
    limit: Limit,
}

/// What the session's connections to servers must be like; apart from the rest of the session, because it is
/// read while a connection and the client are being written to.
struct Needs {
    worker: usize,
    class: Class,
    settings: Arc<Settings>,
    /// The default schema, by its logical name.
    schema: Option<Arc<str>>,
    mode: Mode,
    ledger: Arc<Ledger>,
}

impl Needs {
    /// What a connection to a group must be like.
    fn wanted<'a>(&'a self, topology: &'a Topology, group: GroupId) -> Wanted<'a> {
        Wanted {
            worker: self.worker,
            class: self.class,
            settings: &self.settings,
            database: self.schema.as_deref().and_then(|schema| topology.database(group, schema)),
            mode: self.mode,
            ledger: &self.ledger,
        }
    }
}

/// The cursor of a prepared statement.
#[derive(Debug)]
enum OpenCursor {
    /// A server holds it.
    Server {
        group: GroupId,
        /// The server's number of the statement.
        statement: u32,
    },
    /// Rows of several targets, held here.
    Spooled(Spooled),
}

/// What `SET TRANSACTION` without SESSION said of the next transaction.
#[derive(Clone, Debug, Default)]
struct NextTransaction {
    isolation: Option<Arc<str>>,
    read_only: Option<bool>,
}

impl NextTransaction {
    fn is_some(&self) -> bool {
        self.isolation.is_some() || self.read_only.is_some()
    }
}

/// What follows a command.
#[derive(Debug)]
enum Flow {
    /// The answer is queued; the next command may come.
    Next,
    /// The connection ends, after what is queued was sent.
    End,
}

impl Session {
    /// The session of a client that has just logged in.
    #[allow(clippy::too_many_arguments, reason = "called once, at the end of the login")]
    fn new(
        proxy: Arc<Proxy>,
        worker: usize,
        seat: Seat,
        client: Link,
        login: Login,
        guest: Arc<Guest>,
        host: String,
    ) -> Session {
        let capabilities = login.capabilities;
        let (settings, facts) = set::initial(&proxy.topology.load(), login.collation);
        let numbering = proxy.topology.load().numbering;
        let txn = Txn::new(seat.entry.transaction.clone());
        let needs = Needs {
            worker,
            class: class_of(capabilities),
            settings,
            schema: (!login.schema.is_empty()).then(|| login.schema.as_str().into()),
            mode: guest.mode,
            ledger: proxy.ledger.clone(),
        };
        Session {
            proxy,
            seat,
            client,
            capabilities,
            login,
            guest,
            host,
            needs,
            facts,
            meaning: Meaning::default(),
            txn,
            rules: None,
            numbering,
            prepared: Prepared::default(),
            diagnostics: Diagnostics::default(),
            temporary: Temporary::default(),
            last_insert_id: 0,
            row_count: -1,
            failed: false,
            kind: Kind::Relay,
            found_rows: None,
            next: NextTransaction::default(),
            told: Vec::new(),
            multi_statements: capabilities.has(Capabilities::MULTI_STATEMENTS),
            cursor: None,
            text: Vec::new(),
            limit: Limit::new(Instant::now(), None),
        }
    }

    /// Serves the client until it leaves, is killed, or idles too long.
    pub async fn serve(mut self: Box<Self>) {
        self.counters().clients.fetch_add(1, Ordering::Relaxed);
        let _leaving = Leaving(self.proxy.clone(), self.needs.worker);
        let (mut input, mut scan) = (Vec::new(), Scan::default());
        loop {
            let flow = match self.next_command(&mut input).await {
                Ok(true) => {
                    let (name, text) = self.activity(&input);
                    self.seat.entry.does(name, self.needs.schema.as_ref(), text);
                    let flow = self.command(&input, &mut scan).await;
                    self.settle_rules();
                    self.seat.entry.does("Sleep", self.needs.schema.as_ref(), b"");
                    if input.capacity() > KEPT_INPUT {
                        (input, scan) = (Vec::new(), Scan::default());
                    }
                    flow
                }
                Ok(false) => break,
                Err(Gone(error)) => {
                    self.error(&error);
                    Flow::End
                }
            };
            let patience = Patience::new(&self.seat.entry.kill, self.limit, self.proxy.config.timeouts.write);
            if patience.write(self.client.flush()).await.is_err() {
                break;
            }
            if matches!(flow, Flow::End) {
                break;
            }
        }
        self.txn.abandon();
        self.client.close().await;
    }

    /// Waits for the next command and copies it to `input`; `false` if the client has left.
    async fn next_command(&mut self, input: &mut Vec<u8>) -> Result<bool, Gone> {
        self.client.start_command();
        // Bytes of a packet that has begun and does not end.
        let mut begun = None;
        loop {
            if self.seat.entry.kill.is_connection() {
                // Like a server: the client finds its connection closed.
                return Ok(false);
            }
            if self.seat.entry.kill.is_drain() && !self.txn.is_open() {
                return Err(Gone(SqlError::new(Code::Shutdown, "Server shutdown in progress")));
            }
            let packet = tokio::select! {
                biased;
                packet = self.client.read_packet() => Some(packet),
                () = self.seat.entry.kill.pulled() => None,
                // In a block of its own, or a timer would be made for every command.
                () = async { tokio::time::sleep(self.proxy.config.timeouts.read).await }, if begun.is_some() => {
                    let have = Some(self.client.buffered().len());
                    if begun == have {
                        return Err(Gone(SqlError::new(Code::ReadTimeout, "Got timeout reading communication packets")));
                    }
                    begun = have;
                    continue;
                }
            };
            match packet {
                // Whoever was told that this session is killed must find that it does nothing more.
                Some(Ok(Some(_))) if self.seat.entry.kill.is_connection() => return Ok(false),
                Some(Ok(Some(packet))) => {
                    input.clear();
                    input.extend_from_slice(self.client.payload(&packet));
                    return Ok(true);
                }
                Some(Ok(None) | Err(WireError::Io(_) | WireError::Closed)) => return Ok(false),
                Some(Err(error)) => return Err(Gone(error.into())),
                None => match self.seat.entry.idle(self.proxy.config.timeouts.idle) {
                    registry::Idle::TooLong => {
                        return Err(Gone(SqlError::new(
                            Code::IdleTimeout,
                            "The client was disconnected by the server because of inactivity.",
                        )));
                    }
                    registry::Idle::Awhile if !self.client.buffered().is_empty() => {
                        begun = Some(self.client.buffered().len());
                    }
                    registry::Idle::Awhile => {
                        self.client.rest();
                        self.seat.entry.rest();
                    }
                    registry::Idle::No => {}
                },
            }
        }
    }

    /// A command's name as SHOW PROCESSLIST has it, and its statement.
    fn activity<'a>(&'a self, input: &'a [u8]) -> (&'static str, &'a [u8]) {
        match input.split_first() {
            Some((&com::QUERY, text)) => ("Query", text),
            Some((&com::STMT_PREPARE, text)) => ("Prepare", text),
            Some((&com::STMT_EXECUTE, rest)) => {
                let number = rest.first_chunk().map(|number| u32::from_le_bytes(*number));
                ("Execute", number.and_then(|number| self.prepared.text(number)).unwrap_or_default())
            }
            Some((&com::STMT_FETCH, _)) => ("Fetch", b""),
            Some((&com::CHANGE_USER, _)) => ("Change user", b""),
            Some((&com::RESET_CONNECTION, _)) => ("Reset Connection", b""),
            Some((&com::INIT_DB, _)) => ("Init DB", b""),
            Some((&com::FIELD_LIST, _)) => ("Field List", b""),
            _ => ("Query", b""),
        }
    }

    /// Has one command answered; `scan` is a buffer to be used.
    async fn command(&mut self, input: &[u8], scan: &mut Scan) -> Flow {
        let command = match Command::decode(input) {
            Ok(command) => command,
            Err(error) => {
                self.error(&error.into());
                return Flow::Next;
            }
        };
        match command {
            Command::Query(sql) => return self.query(sql, scan).await,
            Command::Quit => return Flow::End,
            Command::Ping => self.ok(),
            Command::InitDb(schema) => {
                let outcome = self.use_schema(&String::from_utf8_lossy(schema));
                self.done(outcome);
            }
            Command::StmtPrepare(sql) => return boxed(self.prepare(sql)).await,
            Command::StmtExecute(execute) => return self.execute(execute).await,
            Command::StmtSendLongData { statement, param, data } => self.long_data(statement, param, data),
            Command::StmtClose(statement) => self.close_statement(statement),
            Command::StmtReset(statement) => {
                let outcome = self.reset_statement(statement);
                self.done(outcome);
            }
            Command::StmtFetch { statement, rows } => return boxed(self.fetch(statement, rows)).await,
            Command::FieldList { table, wildcard } => return boxed(self.field_list(table, wildcard)).await,
            Command::Statistics => {
                let line = format!(
                    "Uptime: {}  Threads: {}  Questions: {}",
                    self.proxy.sessions.uptime().as_secs(),
                    self.proxy.sessions.count(),
                    self.proxy.metrics.statements()
                );
                self.client.push(line.as_bytes());
            }
            Command::Debug => {
                let status = self.status();
                self.client.push_with(|out| crate::wire::reply::EofPacket { warnings: 0, status }.encode(out));
            }
            Command::SetOption { multi_statements } => {
                self.multi_statements = multi_statements;
                let status = self.status();
                self.client.push_with(|out| crate::wire::reply::EofPacket { warnings: 0, status }.encode(out));
            }
            Command::ProcessKill(id) => {
                let outcome = self.kill(Some(u64::from(id)), false);
                self.done(outcome);
            }
            Command::ChangeUser(request) => return boxed(self.change_user(request)).await,
            Command::ResetConnection => {
                self.reset();
                self.ok();
            }
            Command::Unknown(_) => self.error(&SqlError::new(Code::UnknownCommand, "Unknown command")),
        }
        Flow::Next
    }

    /// Back to how the session was right after its login; what it held is given up.
    fn reset(&mut self) {
        self.txn.abandon();
        self.txn = Txn::new(self.seat.entry.transaction.clone());
        self.prepared = Prepared::default();
        self.diagnostics = Diagnostics::default();
        self.temporary.clear();
        self.last_insert_id = 0;
        self.row_count = -1;
        self.found_rows = None;
        self.next = NextTransaction::default();
        self.multi_statements = self.capabilities.has(Capabilities::MULTI_STATEMENTS);
        let (settings, facts) = set::initial(&self.topology(), self.login.collation);
        (self.needs.settings, self.facts) = (settings, facts);
        self.needs.class = class_of(self.capabilities);
        self.needs.mode = self.guest.mode;
    }

    /// The flags that an answer of the proxy's own carries.
    fn status(&self) -> Status {
        let read_only = matches!(self.txn.state(), State::Open(start) if start.read_only == Some(true));
        Status::default()
            .when(Status::IN_TRANS, matches!(self.txn.state(), State::Open(_)))
            .when(Status::IN_TRANS_READONLY, read_only)
            .when(Status::AUTOCOMMIT, self.autocommit())
            .when(Status::NO_BACKSLASH_ESCAPES, self.facts.mode.has(crate::sql::SqlMode::NO_BACKSLASH_ESCAPES))
    }

    /// Whether statements outside of BEGIN commit themselves.
    fn autocommit(&self) -> bool {
        self.needs.settings.variable("autocommit") != Some(b"0")
    }

    /// What the session's statements go by: the servers' tables, and its own temporary ones.
    fn topology(&mut self) -> Arc<Topology> {
        let topology = self.shared_topology();
        if self.temporary.is_empty() { topology } else { self.temporary.over(topology, self.seat.entry.id) }
    }

    /// The rules for a statement: those of now, but for as long as the session holds connections (a transaction, a
    /// temporary table) those that it took them by. What is where, and which number is which group, does not change under it.
    fn shared_topology(&mut self) -> Arc<Topology> {
        let now = self.proxy.topology.load_full();
        match &self.rules {
            Some(kept) if self.txn.groups().next().is_some() && !Arc::ptr_eq(&kept.rules, &now.rules) => kept.clone(),
            _ => {
                if self.numbering != now.numbering {
                    self.numbering = now.numbering;
                    self.txn.renumber(now.groups.len());
                }
                self.rules = Some(now.clone());
                now
            }
        }
    }

    /// Lets go of the rules that no connection was taken by.
    fn settle_rules(&mut self) {
        if self.rules.is_some() && self.txn.groups().next().is_none() {
            self.rules = None;
        }
    }

    fn counters(&self) -> &Counters {
        self.proxy.metrics.worker(self.needs.worker)
    }

    fn ok(&mut self) {
        self.ok_with(Status::default());
    }

    /// OK with further flags, and with what changed in the session.
    fn ok_with(&mut self, add: Status) {
        let told = std::mem::take(&mut self.told);
        let packet = OkPacket { status: self.status().with(add), session_state: &told, ..OkPacket::default() };
        reply::ok(&mut self.client, self.capabilities, &packet);
    }

    fn error(&mut self, error: &SqlError) {
        self.proxy.metrics.error(error.errno);
        reply::error(&mut self.client, error);
    }

    fn done(&mut self, outcome: Result<(), SqlError>) {
        match outcome {
            Ok(()) => self.ok(),
            Err(error) => self.error(&error),
        }
    }
}

/// What the client's capabilities ask of a backend connection.
fn class_of(capabilities: Capabilities) -> Class {
    Class {
        deprecate_eof: capabilities.has(Capabilities::DEPRECATE_EOF),
        found_rows: capabilities.has(Capabilities::FOUND_ROWS),
    }
}

/// Why no further command is taken; the client is told.
struct Gone(SqlError);

/// Takes the client off the count, however its session ends.
struct Leaving(Arc<Proxy>, usize);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.metrics.worker(self.1).clients.fetch_sub(1, Ordering::Relaxed);
    }
}
