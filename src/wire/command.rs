//! The commands of a client, read and written; it knows their fields and refuses malformed ones, but runs none.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html>

use crate::wire::cursor::Cursor;
use crate::wire::error::WireError;

/// Command bytes, `COM_...` in MySQL.
#[allow(missing_docs)]
pub mod com {
    pub const QUIT: u8 = 0x01;
    pub const INIT_DB: u8 = 0x02;
    pub const QUERY: u8 = 0x03;
    pub const FIELD_LIST: u8 = 0x04;
    pub const STATISTICS: u8 = 0x09;
    pub const PROCESS_KILL: u8 = 0x0C;
    pub const DEBUG: u8 = 0x0D;
    pub const PING: u8 = 0x0E;
    pub const CHANGE_USER: u8 = 0x11;
    pub const STMT_PREPARE: u8 = 0x16;
    pub const STMT_EXECUTE: u8 = 0x17;
    pub const STMT_SEND_LONG_DATA: u8 = 0x18;
    pub const STMT_CLOSE: u8 = 0x19;
    pub const STMT_RESET: u8 = 0x1A;
    pub const SET_OPTION: u8 = 0x1B;
    pub const STMT_FETCH: u8 = 0x1C;
    pub const RESET_CONNECTION: u8 = 0x1F;
}

/// A command as a client sent it; slices borrow its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Close the connection; has no answer.
    Quit,
    /// Change the default schema.
    InitDb(&'a [u8]),
    /// Run statements.
    Query(&'a [u8]),
    /// List a table's columns whose names match a LIKE pattern (all if empty).
    FieldList {
        /// The table's name.
        table: &'a [u8],
        /// The pattern.
        wildcard: &'a [u8],
    },
    /// A sentence about the server; answered by bare text.
    Statistics,
    /// Kill a connection.
    ProcessKill(u32),
    /// Dump debug information; answered by EOF.
    Debug,
    /// Is anyone there?
    Ping,
    /// Log in anew; the rest is for `handshake::ChangeUser`.
    ChangeUser(&'a [u8]),
    /// Prepare a statement.
    StmtPrepare(&'a [u8]),
    /// Run a prepared statement.
    StmtExecute(Execute<'a>),
    /// Append to a parameter; has no answer.
    StmtSendLongData {
        /// The statement's number.
        statement: u32,
        /// The parameter's number, from 0.
        param: u16,
        /// The bytes to append.
        data: &'a [u8],
    },
    /// Forget a statement; has no answer.
    StmtClose(u32),
    /// Forget a statement's long data and cursor.
    StmtReset(u32),
    /// Several statements in one COM_QUERY: on or off; answered by EOF.
    SetOption {
        /// Whether they are allowed from now on.
        multi_statements: bool,
    },
    /// Fetch rows of a cursor.
    StmtFetch {
        /// The statement's number.
        statement: u32,
        /// How many rows at most.
        rows: u32,
    },
    /// Back to the state after the login, without a new one.
    ResetConnection,
    /// Any other byte; MySQL's answer is 1047.
    Unknown(u8),
}

/// COM_STMT_EXECUTE
/// (<https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_execute.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execute<'a> {
    /// The statement's number.
    pub statement: u32,
    /// `CURSOR_TYPE_...`: 0 no cursor, 1 read only.
    pub flags: u8,
    /// NULL bitmap, types and values; how to read them depends on the statement.
    pub params: &'a [u8],
}

impl<'a> Command<'a> {
    /// Reads the payload of a command packet.
    ///
    /// # Errors
    /// [`WireError::Malformed`] for a known command whose fields are not right; the connection stays usable.
    pub fn decode(payload: &'a [u8]) -> Result<Command<'a>, WireError> {
        let Some((&code, rest)) = payload.split_first() else {
            return Err(WireError::Malformed { packet: "command" });
        };
        Ok(match code {
            com::QUIT => Command::Quit,
            com::INIT_DB => Command::InitDb(rest),
            com::QUERY => Command::Query(rest),
            com::FIELD_LIST => {
                let mut cursor = Cursor::new("COM_FIELD_LIST", rest);
                Command::FieldList { table: cursor.nul_or_rest(), wildcard: cursor.rest() }
            }
            com::STATISTICS => Command::Statistics,
            com::PROCESS_KILL => {
                let mut cursor = Cursor::new("COM_PROCESS_KILL", rest);
                Command::ProcessKill(ended(cursor.u32()?, cursor)?)
            }
            com::DEBUG => Command::Debug,
            com::PING => Command::Ping,
            com::CHANGE_USER => Command::ChangeUser(rest),
            com::STMT_PREPARE => Command::StmtPrepare(rest),
            com::STMT_EXECUTE => {
                let mut cursor = Cursor::new("COM_STMT_EXECUTE", rest);
                let (statement, flags) = (cursor.u32()?, cursor.u8()?);
                // The iteration count; MySQL looks at it no more than we do.
                cursor.u32()?;
                Command::StmtExecute(Execute { statement, flags, params: cursor.rest() })
            }
            com::STMT_SEND_LONG_DATA => {
                let mut cursor = Cursor::new("COM_STMT_SEND_LONG_DATA", rest);
                Command::StmtSendLongData { statement: cursor.u32()?, param: cursor.u16()?, data: cursor.rest() }
            }
            com::STMT_CLOSE => {
                let mut cursor = Cursor::new("COM_STMT_CLOSE", rest);
                Command::StmtClose(ended(cursor.u32()?, cursor)?)
            }
            com::STMT_RESET => {
                let mut cursor = Cursor::new("COM_STMT_RESET", rest);
                Command::StmtReset(ended(cursor.u32()?, cursor)?)
            }
            com::SET_OPTION => {
                let mut cursor = Cursor::new("COM_SET_OPTION", rest);
                match ended(cursor.u16()?, cursor)? {
                    0 => Command::SetOption { multi_statements: true },
                    1 => Command::SetOption { multi_statements: false },
                    _ => return Err(cursor.malformed()),
                }
            }
            com::STMT_FETCH => {
                let mut cursor = Cursor::new("COM_STMT_FETCH", rest);
                let (statement, rows) = (cursor.u32()?, cursor.u32()?);
                cursor.end()?;
                Command::StmtFetch { statement, rows }
            }
            com::RESET_CONNECTION => Command::ResetConnection,
            code => Command::Unknown(code),
        })
    }

    /// Writes the payload of a command packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Command::Quit => out.push(com::QUIT),
            Command::InitDb(schema) => put(out, com::INIT_DB, &[schema]),
            Command::Query(sql) => put(out, com::QUERY, &[sql]),
            Command::FieldList { table, wildcard } => put(out, com::FIELD_LIST, &[table, &[0], wildcard]),
            Command::Statistics => out.push(com::STATISTICS),
            Command::ProcessKill(id) => put(out, com::PROCESS_KILL, &[&id.to_le_bytes()]),
            Command::Debug => out.push(com::DEBUG),
            Command::Ping => out.push(com::PING),
            Command::ChangeUser(rest) => put(out, com::CHANGE_USER, &[rest]),
            Command::StmtPrepare(sql) => put(out, com::STMT_PREPARE, &[sql]),
            Command::StmtExecute(Execute { statement, flags, params }) => {
                let iterations = 1u32.to_le_bytes();
                put(out, com::STMT_EXECUTE, &[&statement.to_le_bytes(), &[flags], &iterations, params]);
            }
            Command::StmtSendLongData { statement, param, data } => {
                put(out, com::STMT_SEND_LONG_DATA, &[&statement.to_le_bytes(), &param.to_le_bytes(), data]);
            }
            Command::StmtClose(statement) => put(out, com::STMT_CLOSE, &[&statement.to_le_bytes()]),
            Command::StmtReset(statement) => put(out, com::STMT_RESET, &[&statement.to_le_bytes()]),
            Command::SetOption { multi_statements } => {
                put(out, com::SET_OPTION, &[&u16::from(!multi_statements).to_le_bytes()]);
            }
            Command::StmtFetch { statement, rows } => {
                put(out, com::STMT_FETCH, &[&statement.to_le_bytes(), &rows.to_le_bytes()]);
            }
            Command::ResetConnection => out.push(com::RESET_CONNECTION),
            Command::Unknown(code) => out.push(code),
        }
    }
}

fn ended<T>(value: T, cursor: Cursor<'_>) -> Result<T, WireError> {
    cursor.end().map(|()| value)
}

fn put(out: &mut Vec<u8>, code: u8, parts: &[&[u8]]) {
    out.push(code);
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_and_their_bytes() {
        let execute = Execute { statement: 1, flags: 1, params: b"\0\x01\x0F\0\x03foo" };
        for (command, bytes) in [
            (Command::Quit, &b"\x01"[..]),
            (Command::InitDb(b"shop"), b"\x02shop"),
            (Command::Query(b"SELECT 1"), b"\x03SELECT 1"),
            (Command::FieldList { table: b"t", wildcard: b"a%" }, b"\x04t\0a%"),
            (Command::Statistics, b"\x09"),
            (Command::ProcessKill(258), b"\x0C\x02\x01\0\0"),
            (Command::Debug, b"\x0D"),
            (Command::Ping, b"\x0E"),
            (Command::ChangeUser(b"rest"), b"\x11rest"),
            (Command::StmtPrepare(b"SELECT ?"), b"\x16SELECT ?"),
            (Command::StmtExecute(execute), b"\x17\x01\0\0\0\x01\x01\0\0\0\0\x01\x0F\0\x03foo"),
            (Command::StmtSendLongData { statement: 1, param: 2, data: b"abc" }, b"\x18\x01\0\0\0\x02\0abc"),
            (Command::StmtClose(1), b"\x19\x01\0\0\0"),
            (Command::StmtReset(1), b"\x1A\x01\0\0\0"),
            (Command::SetOption { multi_statements: true }, b"\x1B\0\0"),
            (Command::SetOption { multi_statements: false }, b"\x1B\x01\0"),
            (Command::StmtFetch { statement: 1, rows: 10 }, b"\x1C\x01\0\0\0\x0A\0\0\0"),
            (Command::ResetConnection, b"\x1F"),
            (Command::Unknown(0x12), b"\x12"),
        ] {
            assert_eq!(Command::decode(bytes).unwrap(), command);
            let mut out = Vec::new();
            command.encode(&mut out);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn fields_must_be_there_and_nothing_behind() {
        for bytes in [
            &b""[..],
            b"\x0C\x01\0\0",
            b"\x0C\x01\0\0\0\0",
            b"\x17\x01\0\0\0\0\x01\0\0",
            b"\x18\x01\0\0\0\0",
            b"\x19\x01\0\0",
            b"\x19\x01\0\0\0\0",
            b"\x1A\x01\0\0\0\0",
            b"\x1B\x02\0",
            b"\x1B\0",
            b"\x1C\x01\0\0\0\x0A\0\0",
            b"\x1C\x01\0\0\0\x0A\0\0\0\0",
        ] {
            assert!(Command::decode(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written(bytes in proptest::collection::vec(any::<u8>(), 0..40), code in 0..0x21u8) {
            let bytes = [&[code], &bytes[..]].concat();
            if let Ok(command) = Command::decode(&bytes) {
                let mut out = Vec::new();
                command.encode(&mut out);
                prop_assert_eq!(Command::decode(&out).unwrap(), command);
            }
        }
    }
}
