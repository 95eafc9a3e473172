//! One connection to one server and what is known of its state: answers owed, transaction, settings.
//! It refuses to know pools; a connection that is not `clean` is for its owner to close.

use std::sync::Arc;
use std::time::Instant;

use crate::backend::gtid::Gtid;
use crate::backend::settings::Settings;
use crate::backend::statements::{Prepared, Setting, Statements};
use crate::error::{Code, SqlError};
use crate::wire::capabilities::{Capabilities, Status};
use crate::wire::column::{ColumnDef, ColumnType};
use crate::wire::command::com;
use crate::wire::cursor::Cursor;
use crate::wire::error::WireError;
use crate::wire::link::{Link, Packet};
use crate::wire::reply::{EOF, ERR, EofPacket, ErrPacket, LOCAL_INFILE, OK, OkPacket, SessionChange, SessionChanges};

/// How much of a file is sent in one packet: any server takes so much.
const FILE_PACKET: usize = 64 << 10;

/// What a connection was opened for, as far as that changes the bytes of its answers.
///
/// A relay never translates: a client is served by connections of its own class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class {
    /// CLIENT_DEPRECATE_EOF: result sets end with an OK packet.
    pub deprecate_eof: bool,
    /// CLIENT_FOUND_ROWS: an UPDATE counts matched rows instead of changed ones.
    pub found_rows: bool,
}

/// What a server said of itself at login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// The version string, such as `9.7.0` or `10.11.19-MariaDB-deb12`, without MariaDB's `5.5.5-` prefix.
    pub version: String,
    /// MariaDB rather than MySQL.
    pub mariadb: bool,
    /// The version as a number, such as 90700 or 101119.
    pub number: u32,
}

/// One connection to one server.
pub struct Conn {
    /// The framed transport.
    pub link: Link,
    /// The server's own number for this connection, for KILL.
    pub thread_id: u32,
    /// What the server is.
    pub info: Arc<ServerInfo>,
    /// What the connection was opened for.
    pub class: Class,
    /// The session state it is in.
    pub settings: Arc<Settings>,
    /// Its default database.
    pub database: Option<Arc<str>>,
    /// Statements prepared on it.
    pub prepared: Statements,
    /// What the connection and the server agreed on.
    pub capabilities: Capabilities,
    /// When it was opened.
    pub opened: Instant,
    /// Since when it is seen to idle; no clock is read when it is given back.
    pub idle_since: Option<Instant>,
    /// What LAST_INSERT_ID() tells here, where that is known.
    pub insert_id: Option<u64>,
    /// The last write that the server told of, until somebody takes it.
    gtid: Option<Gtid>,
    /// Answers to statements of the proxy's own that come before that of the client's.
    preludes: u32,
    /// The number of the first frame of the answer to the last command: a command over 16 MB takes several.
    answer: u8,
    /// The last answer was an error, which does not say whether the transaction is still open.
    doubtful: bool,
    state: State,
}

/// What stands between a connection and the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    /// Commands sent whose answers were not read to their end.
    owed: u32,
    /// The server says that a transaction is open.
    in_transaction: bool,
    /// Something was left behind that a later user must not see (temporary table, user lock ...).
    tainted: bool,
}

/// Why a connection could not answer.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The socket failed or was closed.
    #[error("connection lost: {0}")]
    Io(#[from] std::io::Error),
    /// Bytes that are not the protocol.
    #[error("{0}")]
    Wire(WireError),
    /// The server answered with an error.
    #[error("{0}")]
    Server(SqlError),
}

/// The answer to a control query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Cells as the text protocol sends them, `None` for NULL.
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
    /// Types of the columns.
    pub types: Vec<ColumnType>,
    /// Flags of the columns.
    pub flags: Vec<u16>,
    /// Rows changed, of an answer without columns.
    pub affected_rows: u64,
    /// The insert id, of an answer without columns.
    pub last_insert_id: u64,
    /// How many warnings there are.
    pub warnings: u16,
    /// The sentence in the OK packet.
    pub info: String,
}

/// The result set of a statement as its packets were, in either protocol, as far as it fits.
#[derive(Debug, Default)]
pub struct Packets {
    /// Definitions of the columns.
    pub definitions: Vec<Vec<u8>>,
    /// Rows.
    pub rows: Vec<Vec<u8>>,
    /// How many bytes of rows may still be kept; `None` once there were more, which are read and left out.
    pub room: Option<usize>,
}

impl Packets {
    /// None yet, with room for so many bytes of rows.
    pub fn new(room: usize) -> Packets {
        Packets { room: Some(room), ..Packets::default() }
    }

    fn keep(&mut self, row: &[u8]) {
        self.room = self.room.and_then(|room| room.checked_sub(row.len() + size_of::<Vec<u8>>()));
        match self.room {
            Some(_) => self.rows.push(row.to_vec()),
            None => self.rows = Vec::new(),
        }
    }
}

impl Conn {
    /// A connection that has just logged in.
    pub fn new(link: Link, thread_id: u32, info: Arc<ServerInfo>, class: Class, capabilities: Capabilities) -> Conn {
        Conn {
            link,
            thread_id,
            info,
            class,
            settings: Arc::default(),
            database: None,
            prepared: Statements::default(),
            capabilities,
            opened: Instant::now(),
            idle_since: None,
            insert_id: Some(0),
            gtid: None,
            preludes: 0,
            answer: 1,
            doubtful: false,
            state: State::default(),
        }
    }

    /// Queues a command; its answer must be read to the end before the connection is clean again.
    pub fn send(&mut self, command: u8, body: &[u8]) {
        self.link.start_command();
        self.link.push_with(|out| {
            out.push(command);
            out.extend_from_slice(body);
        });
        self.answer = self.link.sequence();
        self.state.owed += 1;
    }

    /// Queues a command encoded in place (the command byte included).
    pub fn send_with(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        self.link.start_command();
        self.link.push_with(encode);
        self.answer = self.link.sequence();
        self.state.owed += 1;
    }

    /// Makes ready to read the answer to the last command, and gives the number of its first frame.
    pub fn expect_answer(&mut self) -> u8 {
        self.link.set_sequence(self.answer);
        self.answer
    }

    /// The statement with this text, if it is prepared here for parameters of these types and means the same now.
    pub fn find_prepared(&mut self, text: &[u8], types: u64) -> Option<Prepared> {
        self.prepared.find(text, types, self.database.as_ref(), self.settings.hash())
    }

    /// Remembers a statement that was just prepared here, and closes the one that falls out for it.
    pub fn remember_prepared(&mut self, text: &[u8], types: u64, prepared: Prepared) {
        let setting = Setting { database: self.database.clone(), settings: self.settings.hash() };
        if let Some(old) = self.prepared.remember(text, types, setting, prepared) {
            self.close_statement(old);
        }
    }

    /// Queues the closing of a prepared statement, which has no answer.
    pub fn close_statement(&mut self, statement: u32) {
        self.link.start_command();
        self.link.push_with(|out| {
            out.push(com::STMT_CLOSE);
            out.extend_from_slice(&statement.to_le_bytes());
        });
    }

    /// Queues a statement of the proxy's own whose OK is read before the answer to what follows it, in
    /// the same round: only for what cannot fail on a server that is alive.
    pub fn send_prelude(&mut self, sql: &[u8]) {
        self.send(com::QUERY, sql);
        self.preludes += 1;
    }

    /// Queues what makes LAST_INSERT_ID() that of the session which is to use the connection.
    pub fn set_insert_id(&mut self, id: u64) {
        if self.insert_id != Some(id) {
            self.send_prelude(format!("SET last_insert_id={id}").as_bytes());
            self.insert_id = Some(id);
        }
    }

    /// Reads the answers to all preludes.
    ///
    /// # Errors
    /// The first one that failed. The statement behind it was sent already, so the connection is of no
    /// further use.
    pub async fn finish_preludes(&mut self) -> Result<(), BackendError> {
        while self.preludes > 0 {
            self.preludes -= 1;
            self.link.set_sequence(1);
            self.read_from_here(None).await?;
        }
        Ok(())
    }

    /// Sends preludes behind which nothing was asked after all, and reads their answers.
    ///
    /// # Errors
    /// As [`Conn::finish_preludes`].
    pub async fn finish_unasked(&mut self) -> Result<(), BackendError> {
        if self.preludes == 0 || self.preludes != self.state.owed {
            return Ok(());
        }
        self.link.flush().await?;
        self.finish_preludes().await
    }

    /// Whether answers to preludes are still to be read.
    pub fn has_preludes(&self) -> bool {
        self.preludes > 0
    }

    /// An answer was read to its end, and it ended with these flags.
    pub fn answered(&mut self, status: Status) {
        self.state.in_transaction = status.has(Status::IN_TRANS);
        self.doubtful = false;
        self.described();
    }

    /// An answer was read to its end, and it was an error: that tells nothing of the transaction.
    pub fn failed(&mut self) {
        self.doubtful = true;
        self.described();
    }

    /// The description of a prepared statement was read to its end, which says nothing of the transaction.
    pub fn described(&mut self) {
        self.state.owed = self.state.owed.saturating_sub(1);
    }

    /// Has the server tell the id of each transaction that writes. MariaDB tells it as a variable.
    pub async fn track_writes(&mut self) -> Result<(), BackendError> {
        let track = match self.info.mariadb {
            true => {
                "SET session_track_system_variables=CONCAT_WS(',', NULLIF(@@session_track_system_variables, ''), 'last_gtid')"
            }
            false => "SET session_track_gtids=OWN_GTID",
        };
        self.query(track).await.map(drop)
    }

    /// Takes note of what an OK packet tells of the session: the id of the transaction it wrote.
    pub fn track(&mut self, session_state: &[u8]) {
        for change in SessionChanges::new(session_state).flatten() {
            let text = match change {
                SessionChange::Gtids(text) => text,
                SessionChange::SystemVariable { name: b"last_gtid", value } => value,
                _ => continue,
            };
            if let Some(gtid) = std::str::from_utf8(text).ok().and_then(Gtid::parse) {
                self.gtid = Some(gtid);
            }
        }
    }

    /// The id of the last write on this connection, given away once.
    pub fn take_gtid(&mut self) -> Option<Gtid> {
        self.gtid.take()
    }

    /// Whether the server has a transaction open, as of its last answer.
    pub fn in_transaction(&self) -> bool {
        self.state.in_transaction
    }

    /// Whether the last answer left open if the transaction goes on: some errors roll all of it back.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Whether an answer is still to come.
    pub fn is_busy(&self) -> bool {
        self.state.owed > 0
    }

    /// Marks the connection as holding something nobody else may see: it will be closed, not pooled.
    pub fn taint(&mut self) {
        self.state.tainted = true;
    }

    /// What tainted the connection is gone again.
    pub fn untaint(&mut self) {
        self.state.tainted = false;
    }

    /// Whether another session may have this connection.
    pub fn is_clean(&self) -> bool {
        self.state == State::default()
    }

    /// Runs a statement of the proxy's own and returns its answer; for control work, not for clients' data.
    pub async fn query(&mut self, sql: &str) -> Result<Answer, BackendError> {
        self.send(com::QUERY, sql.as_bytes());
        self.link.flush().await?;
        self.read_answer().await
    }

    /// Runs a statement behind another one's answer: whether that left the transaction in doubt is as it was.
    ///
    /// # Errors
    /// As [`Conn::query`].
    pub async fn query_aside(&mut self, sql: &str) -> Result<Answer, BackendError> {
        let doubtful = self.doubtful;
        let answer = self.query(sql).await;
        self.doubtful |= doubtful;
        answer
    }

    /// Runs LOAD DATA LOCAL INFILE with `data` as the file. Gives the name of the file that was asked for, too.
    ///
    /// # Errors
    /// As [`Conn::query`], those of what was queued in front included.
    pub async fn load_local(&mut self, sql: &[u8], data: &[u8]) -> Result<(Vec<u8>, Answer), BackendError> {
        self.send(com::QUERY, sql);
        self.link.flush().await?;
        self.finish_preludes().await?;
        self.expect_answer();
        let packet = self.link.expect_packet().await?;
        let name = match self.link.payload(&packet).split_first() {
            Some((&LOCAL_INFILE, name)) => name.to_vec(),
            Some((&ERR, _)) => return Err(self.server_error(packet)?),
            _ => return Err(BackendError::Wire(WireError::Malformed { packet: "request for a local file" })),
        };
        for chunk in data.chunks(FILE_PACKET) {
            self.link.push(chunk);
            self.link.flush().await?;
        }
        self.link.push(b"");
        self.link.flush().await?;
        Ok((name, self.read_from_here(None).await?))
    }

    /// Reads a whole answer to a command; its error, if it is one, leaves the connection usable.
    pub async fn read_answer(&mut self) -> Result<Answer, BackendError> {
        self.expect_answer();
        self.read_from_here(None).await
    }

    /// The same; a result set is kept as it is, and the answer tells only what is around it.
    pub async fn read_packets(&mut self, packets: &mut Packets) -> Result<Answer, BackendError> {
        self.expect_answer();
        self.read_from_here(Some(packets)).await
    }

    async fn read_from_here(&mut self, mut packets: Option<&mut Packets>) -> Result<Answer, BackendError> {
        let mut answer = Answer::default();
        let columns = match self.head(&mut answer).await? {
            0 => return Ok(answer),
            columns => columns,
        };
        for _ in 0..columns {
            let packet = self.link.expect_packet().await?;
            if let Some(packets) = &mut packets {
                packets.definitions.push(self.link.payload(&packet).to_vec());
                continue;
            }
            let column = ColumnDef::decode(self.link.payload(&packet))?;
            answer.columns.push(String::from_utf8_lossy(column.name).into_owned());
            answer.types.push(column.ty);
            answer.flags.push(column.flags);
        }
        if !self.class.deprecate_eof {
            self.link.expect_packet().await?;
        }
        loop {
            let packet = self.link.expect_packet().await?;
            let payload = self.link.payload(&packet);
            match payload.first() {
                Some(&ERR) => return Err(self.server_error(packet)?),
                Some(&EOF) if payload.len() < 0xFF_FFFF && (self.class.deprecate_eof || payload.len() < 9) => {
                    self.end(packet, &mut answer)?;
                    return Ok(answer);
                }
                _ if let Some(packets) = &mut packets => packets.keep(payload),
                _ => {
                    let mut cursor = Cursor::new("row", payload);
                    let cells = (0..columns).map(|_| Ok(cursor.lenenc_or_null()?.map(<[u8]>::to_vec)));
                    answer.rows.push(cells.collect::<Result<_, WireError>>()?);
                }
            }
        }
    }

    /// Reads the first packet of an answer: the number of columns, 0 for an OK.
    async fn head(&mut self, answer: &mut Answer) -> Result<u64, BackendError> {
        let packet = self.link.expect_packet().await?;
        let payload = self.link.payload(&packet);
        match payload.first() {
            Some(&OK) => {
                self.end(packet, answer)?;
                Ok(0)
            }
            Some(&ERR) => Err(self.server_error(packet)?),
            _ => {
                let mut cursor = Cursor::new("column count", payload);
                let columns = cursor.lenenc()?;
                cursor.end()?;
                Ok(columns)
            }
        }
    }

    fn server_error(&mut self, packet: Packet) -> Result<BackendError, BackendError> {
        let error = ErrPacket::decode(self.link.payload(&packet))?.to_sql_error();
        self.failed();
        Ok(BackendError::Server(error))
    }

    /// The last packet of an answer: OK or EOF.
    fn end(&mut self, packet: Packet, answer: &mut Answer) -> Result<(), BackendError> {
        let payload = self.link.payload(&packet).to_vec();
        let status = if payload.first() == Some(&EOF) && payload.len() < 7 {
            let eof = EofPacket::decode(&payload)?;
            answer.warnings = eof.warnings;
            eof.status
        } else {
            let ok = OkPacket::decode(&payload, self.capabilities)?;
            self.track(ok.session_state);
            answer.affected_rows = ok.affected_rows;
            answer.last_insert_id = ok.last_insert_id;
            answer.warnings = ok.warnings;
            answer.info = String::from_utf8_lossy(ok.info).into_owned();
            ok.status
        };
        if status.has(Status::MORE_RESULTS_EXISTS) {
            return Err(BackendError::Wire(WireError::Malformed { packet: "answer to a control statement" }));
        }
        self.answered(status);
        Ok(())
    }
}

impl From<WireError> for BackendError {
    #[cold]
    fn from(error: WireError) -> BackendError {
        match error {
            WireError::Io(error) => BackendError::Io(error),
            WireError::Closed => BackendError::Io(std::io::ErrorKind::UnexpectedEof.into()),
            error => BackendError::Wire(error),
        }
    }
}

impl BackendError {
    /// What a client is told; `server` is the name of the group and the address.
    #[cold]
    pub fn to_client(&self, server: &str) -> SqlError {
        match self {
            BackendError::Server(error) => error.clone(),
            BackendError::Io(error) => {
                SqlError::new(Code::BackendLost, format!("Lost connection to {server} during query ({error})"))
            }
            BackendError::Wire(what) => {
                SqlError::new(Code::BackendLost, format!("{server} answered with bytes that are not MySQL's: {what}"))
            }
        }
    }
}

impl Answer {
    /// The number of the column with this name, compared without case.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.eq_ignore_ascii_case(name))
    }

    /// A cell as text; `None` if it is NULL or not there.
    pub fn text(&self, row: usize, column: usize) -> Option<String> {
        let cell = self.rows.get(row)?.get(column)?.as_ref()?;
        Some(String::from_utf8_lossy(cell).into_owned())
    }
}
