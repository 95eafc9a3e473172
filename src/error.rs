//! The one error a client can see: MySQL's errno, SQLSTATE and a sentence.
//! It knows no socket and no statement; who raises it says what, where and what to do.

use std::fmt;

/// An error as MySQL sends it in an ERR packet.
///
/// Numbers and states follow the MySQL 8.4 error message reference
/// (<https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// MySQL's error number, such as 1064.
    pub errno: u16,
    /// The five characters of the SQLSTATE, such as `42000`.
    pub state: [u8; 5],
    /// What went wrong, where, and what to do; UTF-8, no trailing newline.
    pub message: String,
}

/// Error numbers the proxy raises itself, each with its SQLSTATE.
///
/// A closed list, so that the manual can name every error that Shardloom adds to those of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// 1040 08004: a connection limit is reached.
    TooManyConnections,
    /// 1043 08S01: the first packets were not a login.
    Handshake,
    /// 1044 42000: the user may not use this schema.
    SchemaDenied,
    /// 1045 28000: wrong user or password.
    AccessDenied,
    /// 1046 3D000: no schema chosen.
    NoSchema,
    /// 1047 08S01: a command the proxy does not have.
    UnknownCommand,
    /// 1049 42000: no such schema.
    UnknownSchema,
    /// 1053 08S01: the proxy is shutting down.
    Shutdown,
    /// 1064 42000: not SQL.
    Syntax,
    /// 1065 42000: nothing but comments.
    EmptyQuery,
    /// 1094 HY000: KILL of a connection that is not there.
    NoSuchThread,
    /// 1095 HY000: KILL of somebody else's connection.
    KillDenied,
    /// 1105 HY000: anything that has no number of its own.
    Unknown,
    /// 1835 HY000: a packet whose content is not what the protocol says.
    MalformedPacket,
    /// 1146 42S02: no such table.
    NoSuchTable,
    /// 1153 08S01: a packet above the limit.
    PacketTooLarge,
    /// 1156 08S01: sequence numbers do not follow.
    PacketsOutOfOrder,
    /// 1159 08S01: the client did not speak in time.
    ReadTimeout,
    /// 1180 HY000: a COMMIT failed on a server.
    CommitFailed,
    /// 1184 08S01: the session was aborted.
    Aborted,
    /// 1203 42000: the user has too many connections.
    UserConnections,
    /// 1205 HY000: a wait for a lock, a connection or a primary was too long.
    WaitTimeout,
    /// 1210 HY000: wrong arguments to EXECUTE.
    WrongArguments,
    /// 1213 40001: the transaction was rolled back, because others and it waited for each other.
    Deadlock,
    /// 1227 42000: a privilege is missing.
    PrivilegeDenied,
    /// 1235 42000: Shardloom does not do this; the message says why and where.
    Refused,
    /// 1243 HY000: no such prepared statement.
    UnknownStatement,
    /// 1290 HY000: the server is read-only for this statement.
    ReadOnly,
    /// 1317 70100: interrupted by KILL.
    Interrupted,
    /// 1390 HY000: more than 65,535 placeholders.
    TooManyParams,
    /// 1421 HY000: the statement has no open cursor.
    NoCursor,
    /// 1467 HY000: the ids of a table are used up.
    NoMoreIds,
    /// 1690 22003: a number computed by the proxy leaves its type.
    OutOfRange,
    /// 1792 25006: a write in a READ ONLY transaction.
    ReadOnlyTransaction,
    /// 2013 HY000: the backend went away while it answered.
    BackendLost,
    /// 3024 HY000: the time limit of the statement passed.
    QueryTimeout,
    /// 3159 HY000: the account needs TLS.
    SecureTransportRequired,
    /// 4031 HY000: disconnected after idling too long.
    IdleTimeout,
}

impl Code {
    /// The MySQL error number and SQLSTATE of this code.
    pub const fn number(self) -> (u16, &'static [u8; 5]) {
        match self {
            Code::TooManyConnections => (1040, b"08004"),
            Code::Handshake => (1043, b"08S01"),
            Code::SchemaDenied => (1044, b"42000"),
            Code::AccessDenied => (1045, b"28000"),
            Code::NoSchema => (1046, b"3D000"),
            Code::UnknownCommand => (1047, b"08S01"),
            Code::UnknownSchema => (1049, b"42000"),
            Code::Shutdown => (1053, b"08S01"),
            Code::Syntax => (1064, b"42000"),
            Code::EmptyQuery => (1065, b"42000"),
            Code::NoSuchThread => (1094, b"HY000"),
            Code::KillDenied => (1095, b"HY000"),
            Code::Unknown => (1105, b"HY000"),
            Code::MalformedPacket => (1835, b"HY000"),
            Code::NoSuchTable => (1146, b"42S02"),
            Code::PacketTooLarge => (1153, b"08S01"),
            Code::PacketsOutOfOrder => (1156, b"08S01"),
            Code::ReadTimeout => (1159, b"08S01"),
            Code::CommitFailed => (1180, b"HY000"),
            Code::Aborted => (1184, b"08S01"),
            Code::UserConnections => (1203, b"42000"),
            Code::WaitTimeout => (1205, b"HY000"),
            Code::WrongArguments => (1210, b"HY000"),
            Code::Deadlock => (1213, b"40001"),
            Code::PrivilegeDenied => (1227, b"42000"),
            Code::Refused => (1235, b"42000"),
            Code::UnknownStatement => (1243, b"HY000"),
            Code::ReadOnly => (1290, b"HY000"),
            Code::Interrupted => (1317, b"70100"),
            Code::TooManyParams => (1390, b"HY000"),
            Code::NoCursor => (1421, b"HY000"),
            Code::NoMoreIds => (1467, b"HY000"),
            Code::OutOfRange => (1690, b"22003"),
            Code::ReadOnlyTransaction => (1792, b"25006"),
            Code::BackendLost => (2013, b"HY000"),
            Code::QueryTimeout => (3024, b"HY000"),
            Code::SecureTransportRequired => (3159, b"HY000"),
            Code::IdleTimeout => (4031, b"HY000"),
        }
    }
}

impl SqlError {
    /// An error of the proxy's own.
    #[cold]
    pub fn new(code: Code, message: impl Into<String>) -> SqlError {
        let (errno, state) = code.number();
        SqlError { errno, state: *state, message: message.into() }
    }

    /// Error 1213, in MySQL's words.
    pub fn deadlock() -> SqlError {
        SqlError::new(Code::Deadlock, "Deadlock found when trying to get lock; try restarting transaction")
    }

    /// Error 1235: the statement is understood or not, but not answered; `why` is a whole sentence.
    #[cold]
    pub fn refuse(why: impl Into<String>) -> SqlError {
        SqlError::new(Code::Refused, why)
    }

    /// Error 1235 with the place in the statement, shown as `near '...'` like MySQL's own 1064.
    pub fn refuse_at(why: &str, sql: &[u8], at: usize) -> SqlError {
        SqlError::new(Code::Refused, format!("{why} near '{}'", excerpt(sql, at)))
    }
}

/// Up to 80 characters of the statement from byte `at` on, for a message.
pub fn excerpt(sql: &[u8], at: usize) -> String {
    let rest = &sql[at.min(sql.len())..];
    String::from_utf8_lossy(&rest[..rest.len().min(320)]).chars().take(80).collect()
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ERROR {} ({}): {}", self.errno, String::from_utf8_lossy(&self.state), self.message)
    }
}

impl std::error::Error for SqlError {}
