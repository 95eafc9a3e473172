//! What a server answers: OK, ERR, EOF, the request for a local file, and the head of a prepared statement.
//! It knows the fields of each packet; in what order packets may come is the business of `response`.

use crate::error::SqlError;
use crate::wire::capabilities::{Capabilities, Status};
use crate::wire::cursor::{Cursor, put_lenenc, put_lenenc_bytes};
use crate::wire::error::WireError;

/// The first byte of an OK packet.
pub const OK: u8 = 0x00;
/// The first byte of an EOF packet, and of the OK packet that replaces it under DEPRECATE_EOF.
pub const EOF: u8 = 0xFE;
/// The first byte of an ERR packet.
pub const ERR: u8 = 0xFF;
/// The first byte of a request for a local file.
pub const LOCAL_INFILE: u8 = 0xFB;

/// An OK packet
/// (<https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_ok_packet.html>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OkPacket<'a> {
    /// Rows changed, or found under FOUND_ROWS.
    pub affected_rows: u64,
    /// The first AUTO_INCREMENT value of the statement, or 0.
    pub last_insert_id: u64,
    /// The session's status.
    pub status: Status,
    /// How many warnings `SHOW WARNINGS` would list, 65535 at most.
    pub warnings: u16,
    /// A sentence for people, such as `Rows matched: 1  Changed: 1  Warnings: 0`.
    pub info: &'a [u8],
    /// What changed in the session, still encoded: see [`SessionChanges`]. Empty without SESSION_TRACK.
    pub session_state: &'a [u8],
}

impl<'a> OkPacket<'a> {
    /// Reads an OK packet, whether it begins with 0x00 or with 0xFE.
    pub fn decode(payload: &'a [u8], capabilities: Capabilities) -> Result<OkPacket<'a>, WireError> {
        let mut cursor = Cursor::new("OK packet", payload);
        if !matches!(cursor.u8()?, OK | EOF) {
            return Err(cursor.malformed());
        }
        let mut ok = OkPacket {
            affected_rows: cursor.lenenc()?,
            last_insert_id: cursor.lenenc()?,
            status: Status(cursor.u16()?),
            warnings: cursor.u16()?,
            ..OkPacket::default()
        };
        if !cursor.is_empty() {
            // Servers leave both out if there is nothing to say. The manual has the info of a client without
            // SESSION_TRACK run to the packet's end; servers send its length all the same, and clients read it.
            ok.info = cursor.lenenc_bytes()?;
            if capabilities.has(Capabilities::SESSION_TRACK) && ok.status.has(Status::SESSION_STATE_CHANGED) {
                ok.session_state = cursor.lenenc_bytes()?;
            }
        }
        cursor.end()?;
        Ok(ok)
    }

    /// Writes an OK packet that answers a command or ends a result without columns.
    pub fn encode(&self, capabilities: Capabilities, out: &mut Vec<u8>) {
        self.encode_as(OK, capabilities, out);
    }

    /// Writes the end of rows: an OK packet that begins with 0xFE under DEPRECATE_EOF, else an EOF packet.
    pub fn encode_end(&self, capabilities: Capabilities, out: &mut Vec<u8>) {
        if capabilities.has(Capabilities::DEPRECATE_EOF) {
            self.encode_as(EOF, capabilities, out);
        } else {
            EofPacket { warnings: self.warnings, status: self.status }.encode(out);
        }
    }

    fn encode_as(&self, first: u8, capabilities: Capabilities, out: &mut Vec<u8>) {
        let tracked = capabilities.has(Capabilities::SESSION_TRACK) && !self.session_state.is_empty();
        let status = self.status.when(Status::SESSION_STATE_CHANGED, tracked);
        out.push(first);
        put_lenenc(out, self.affected_rows);
        put_lenenc(out, self.last_insert_id);
        out.extend_from_slice(&status.0.to_le_bytes());
        out.extend_from_slice(&self.warnings.to_le_bytes());
        if tracked || !self.info.is_empty() {
            put_lenenc_bytes(out, self.info);
            if tracked {
                put_lenenc_bytes(out, self.session_state);
            }
        }
    }
}

/// One change of the session that an OK packet tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionChange<'a> {
    /// A system variable has a new value.
    SystemVariable {
        /// Its name.
        name: &'a [u8],
        /// Its value as text.
        value: &'a [u8],
    },
    /// Another schema is the default.
    Schema(&'a [u8]),
    /// Some state that cannot be told changed, such as a temporary table.
    State(bool),
    /// GTIDs of the statement, as text.
    Gtids(&'a [u8]),
    /// The statements that would set up the transaction again.
    TransactionCharacteristics(&'a [u8]),
    /// Eight letters that tell what the transaction did.
    TransactionState(&'a [u8]),
    /// A kind that this list does not know, with its data.
    Other(u8, &'a [u8]),
}

/// Walks over the changes in [`OkPacket::session_state`].
#[derive(Clone, Debug)]
pub struct SessionChanges<'a>(Cursor<'a>);

impl<'a> SessionChanges<'a> {
    /// Begins at the first change.
    pub fn new(session_state: &'a [u8]) -> SessionChanges<'a> {
        SessionChanges(Cursor::new("session state", session_state))
    }

    fn change(&mut self) -> Result<SessionChange<'a>, WireError> {
        let kind = self.0.u8()?;
        let data = self.0.lenenc_bytes()?;
        let mut cursor = Cursor::new("session state", data);
        let change = match kind {
            0 => SessionChange::SystemVariable { name: cursor.lenenc_bytes()?, value: cursor.lenenc_bytes()? },
            1 => SessionChange::Schema(cursor.lenenc_bytes()?),
            2 => SessionChange::State(cursor.lenenc_bytes()? == b"1"),
            3 => {
                // A byte for the encoding of what follows; only 0, text, is in use.
                cursor.u8()?;
                SessionChange::Gtids(cursor.lenenc_bytes()?)
            }
            4 => SessionChange::TransactionCharacteristics(cursor.lenenc_bytes()?),
            5 => SessionChange::TransactionState(cursor.lenenc_bytes()?),
            kind => SessionChange::Other(kind, cursor.rest()),
        };
        cursor.end()?;
        Ok(change)
    }
}

impl<'a> Iterator for SessionChanges<'a> {
    type Item = Result<SessionChange<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let change = self.change();
        if change.is_err() {
            self.0.rest();
        }
        Some(change)
    }
}

/// Appends one change of the session, as [`OkPacket::session_state`] holds it.
pub fn put_session_change(out: &mut Vec<u8>, change: SessionChange<'_>) {
    let mut data = Vec::new();
    let kind = match change {
        SessionChange::SystemVariable { name, value } => {
            put_lenenc_bytes(&mut data, name);
            put_lenenc_bytes(&mut data, value);
            0
        }
        SessionChange::Schema(name) => {
            put_lenenc_bytes(&mut data, name);
            1
        }
        SessionChange::State(changed) => {
            put_lenenc_bytes(&mut data, if changed { b"1" } else { b"0" });
            2
        }
        SessionChange::Gtids(text) => {
            data.push(0);
            put_lenenc_bytes(&mut data, text);
            3
        }
        SessionChange::TransactionCharacteristics(text) => {
            put_lenenc_bytes(&mut data, text);
            4
        }
        SessionChange::TransactionState(text) => {
            put_lenenc_bytes(&mut data, text);
            5
        }
        SessionChange::Other(kind, bytes) => {
            data.extend_from_slice(bytes);
            kind
        }
    };
    out.push(kind);
    put_lenenc_bytes(out, &data);
}

/// An EOF packet
/// (<https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_eof_packet.html>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EofPacket {
    /// How many warnings there are.
    pub warnings: u16,
    /// The session's status.
    pub status: Status,
}

impl EofPacket {
    /// Reads an EOF packet.
    pub fn decode(payload: &[u8]) -> Result<EofPacket, WireError> {
        let mut cursor = Cursor::new("EOF packet", payload);
        if cursor.u8()? != EOF {
            return Err(cursor.malformed());
        }
        let eof = EofPacket { warnings: cursor.u16()?, status: Status(cursor.u16()?) };
        cursor.end()?;
        Ok(eof)
    }

    /// Writes an EOF packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(EOF);
        out.extend_from_slice(&self.warnings.to_le_bytes());
        out.extend_from_slice(&self.status.0.to_le_bytes());
    }
}

/// An ERR packet
/// (<https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_err_packet.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrPacket<'a> {
    /// MySQL's error number.
    pub errno: u16,
    /// The SQLSTATE; `HY000` where the packet has none, as before the login.
    pub state: [u8; 5],
    /// The sentence.
    pub message: &'a [u8],
}

impl<'a> ErrPacket<'a> {
    /// Reads an ERR packet.
    pub fn decode(payload: &'a [u8]) -> Result<ErrPacket<'a>, WireError> {
        let mut cursor = Cursor::new("ERR packet", payload);
        if cursor.u8()? != ERR {
            return Err(cursor.malformed());
        }
        let errno = cursor.u16()?;
        let mut state = *b"HY000";
        if cursor.peek() == Some(b'#') {
            cursor.u8()?;
            state = cursor.array()?;
        }
        Ok(ErrPacket { errno, state, message: cursor.rest() })
    }

    /// Writes an ERR packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(ERR);
        out.extend_from_slice(&self.errno.to_le_bytes());
        out.push(b'#');
        out.extend_from_slice(&self.state);
        out.extend_from_slice(self.message);
    }

    /// The error as a value of its own.
    pub fn to_sql_error(&self) -> SqlError {
        SqlError { errno: self.errno, state: self.state, message: String::from_utf8_lossy(self.message).into_owned() }
    }
}

/// Writes an error as an ERR packet.
pub fn put_error(out: &mut Vec<u8>, error: &SqlError) {
    ErrPacket { errno: error.errno, state: error.state, message: error.message.as_bytes() }.encode(out);
}

/// The first packet of the answer to COM_STMT_PREPARE
/// (<https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_prepare.html>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrepareOk {
    /// The server's number for the statement.
    pub statement: u32,
    /// How many columns its result has.
    pub columns: u16,
    /// How many `?` it has.
    pub params: u16,
    /// How many warnings there are.
    pub warnings: u16,
}

impl PrepareOk {
    /// Reads the packet.
    pub fn decode(payload: &[u8]) -> Result<PrepareOk, WireError> {
        let mut cursor = Cursor::new("COM_STMT_PREPARE_OK", payload);
        if cursor.u8()? != OK {
            return Err(cursor.malformed());
        }
        let (statement, columns, params) = (cursor.u32()?, cursor.u16()?, cursor.u16()?);
        cursor.u8()?;
        let warnings = cursor.u16()?;
        cursor.end()?;
        Ok(PrepareOk { statement, columns, params, warnings })
    }

    /// Writes the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(OK);
        out.extend_from_slice(&self.statement.to_le_bytes());
        out.extend_from_slice(&self.columns.to_le_bytes());
        out.extend_from_slice(&self.params.to_le_bytes());
        out.push(0);
        out.extend_from_slice(&self.warnings.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    // Packets of real servers are read and written in `response`, from captures.

    #[test]
    fn an_error_without_a_state_comes_before_the_login() {
        let err = ErrPacket::decode(b"\xFF\x10\x04Too many connections").unwrap();
        assert_eq!((err.errno, &err.state, err.message), (1040, b"HY000", &b"Too many connections"[..]));
        let mut out = Vec::new();
        put_error(&mut out, &err.to_sql_error());
        assert_eq!(out, b"\xFF\x10\x04#HY000Too many connections");
        assert!(ErrPacket::decode(b"\xFF\x10\x04#HY0").is_err());
    }

    #[test]
    fn the_end_of_rows_has_two_forms() {
        let ok = OkPacket { warnings: 3, status: Status::AUTOCOMMIT, ..OkPacket::default() };
        for (capabilities, bytes) in
            [(Capabilities::NONE, &b"\xFE\x03\0\x02\0"[..]), (Capabilities::DEPRECATE_EOF, b"\xFE\0\0\x02\0\x03\0")]
        {
            let mut out = Vec::new();
            ok.encode_end(capabilities, &mut out);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn changes_are_told_only_to_who_can_hear_them() {
        let mut changes = Vec::new();
        put_session_change(&mut changes, SessionChange::Schema(b"shop"));
        let ok = OkPacket { session_state: &changes, info: b"done", ..OkPacket::default() };
        let (mut deaf, mut told) = (Vec::new(), Vec::new());
        ok.encode(Capabilities::NONE, &mut deaf);
        assert_eq!(deaf, b"\0\0\0\0\0\0\0\x04done");
        ok.encode(Capabilities::SESSION_TRACK, &mut told);
        assert_eq!(told, b"\0\0\0\0\x40\0\0\x04done\x07\x01\x05\x04shop");
        let status = Status::SESSION_STATE_CHANGED;
        assert_eq!(OkPacket::decode(&told, Capabilities::SESSION_TRACK).unwrap(), OkPacket { status, ..ok });
    }

    #[test]
    fn a_prepared_statement_s_head() {
        let bytes = b"\0\x01\0\0\0\x01\0\x02\0\0\x03\0";
        let head = PrepareOk::decode(bytes).unwrap();
        assert_eq!(head, PrepareOk { statement: 1, columns: 1, params: 2, warnings: 3 });
        let mut out = Vec::new();
        head.encode(&mut out);
        assert_eq!(out, bytes);
        assert!(PrepareOk::decode(&bytes[..11]).is_err());
    }

    fn change() -> impl Strategy<Value = (u8, Vec<u8>, Vec<u8>)> {
        (0..9u8, proptest::collection::vec(any::<u8>(), 0..300), proptest::collection::vec(any::<u8>(), 0..9))
    }

    proptest! {
        #[test]
        fn ok_packets_go_there_and_back(
            affected_rows: u64, last_insert_id: u64, status: u16, warnings: u16, tracked: bool,
            info in proptest::collection::vec(any::<u8>(), 0..300),
            changes in proptest::collection::vec(change(), 0..5),
        ) {
            let changes: Vec<_> = changes.iter().map(|(kind, a, b)| match kind {
                0 => SessionChange::SystemVariable { name: a, value: b },
                1 => SessionChange::Schema(a),
                2 => SessionChange::State(a.is_empty()),
                3 => SessionChange::Gtids(a),
                4 => SessionChange::TransactionCharacteristics(a),
                5 => SessionChange::TransactionState(a),
                kind => SessionChange::Other(*kind, a),
            }).collect();
            let mut session_state = Vec::new();
            changes.iter().for_each(|&change| put_session_change(&mut session_state, change));
            let read: Vec<_> = SessionChanges::new(&session_state).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(&read, &changes);

            let capabilities = Capabilities::NONE.when(Capabilities::SESSION_TRACK, tracked);
            let status = Status(status).when(Status::SESSION_STATE_CHANGED, tracked && !session_state.is_empty());
            let session_state = if tracked { &session_state[..] } else { b"" };
            let ok = OkPacket { affected_rows, last_insert_id, status, warnings, info: &info, session_state };
            let mut out = Vec::new();
            ok.encode(capabilities, &mut out);
            prop_assert_eq!(OkPacket::decode(&out, capabilities).unwrap(), ok);
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), first: u8) {
            let bytes = [&[first][..], &bytes].concat();
            for capabilities in [Capabilities::NONE, Capabilities::SESSION_TRACK] {
                if let Ok(ok) = OkPacket::decode(&bytes, capabilities) {
                    let _ = SessionChanges::new(ok.session_state).count();
                }
            }
            let _ = SessionChanges::new(&bytes).count();
            let _ = (EofPacket::decode(&bytes).is_ok(), ErrPacket::decode(&bytes).is_ok(), PrepareOk::decode(&bytes).is_ok());
        }
    }
}
