//! The packets of the login: greeting, TLS request, response, change of the authentication plugin, more data.
//! It knows their fields; who is let in is decided by the login of either end.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets.html>

use crate::wire::capabilities::{Capabilities, Status};
use crate::wire::cursor::{Cursor, put_lenenc_bytes, put_nul_bytes};
use crate::wire::error::WireError;

/// The bytes of a scramble that authentication plugins use.
pub const SCRAMBLE: usize = 20;

/// What a server sends first: Protocol::HandshakeV10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// Such as `8.4.3` or `5.5.5-10.11.14-MariaDB`.
    pub version: &'a [u8],
    /// The connection's number, as KILL takes it.
    pub thread_id: u32,
    /// Random bytes, none of them zero.
    pub scramble: [u8; SCRAMBLE],
    /// What the server can do.
    pub capabilities: Capabilities,
    /// The low byte of the default collation's number.
    pub collation: u8,
    /// The session's status.
    pub status: Status,
    /// The authentication plugin that the scramble is for.
    pub plugin: &'a [u8],
}

impl<'a> Greeting<'a> {
    /// Reads a greeting.
    pub fn decode(payload: &'a [u8]) -> Result<Greeting<'a>, WireError> {
        let mut cursor = Cursor::new("Handshake", payload);
        if cursor.u8()? != 10 {
            return Err(cursor.malformed());
        }
        let version = cursor.nul_bytes()?;
        let thread_id = cursor.u32()?;
        let mut scramble = [0; SCRAMBLE];
        scramble[..8].copy_from_slice(cursor.bytes(8)?);
        cursor.u8()?;
        let low = cursor.u16()?;
        let collation = cursor.u8()?;
        let status = Status(cursor.u16()?);
        let high = cursor.u16()?;
        let capabilities = Capabilities(u32::from(high) << 16 | u32::from(low));
        let scramble_len = usize::from(cursor.u8()?);
        cursor.bytes(10)?;
        // At least 13 bytes, the last of them zero.
        let rest = cursor.bytes(scramble_len.saturating_sub(8).max(13))?;
        scramble[8..].copy_from_slice(&rest[..SCRAMBLE - 8]);
        let plugin = if capabilities.has(Capabilities::PLUGIN_AUTH) { cursor.nul_or_rest() } else { b"" };
        Ok(Greeting { version, thread_id, scramble, capabilities, collation, status, plugin })
    }

    /// Writes a greeting.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let [c0, c1, c2, c3] = self.capabilities.0.to_le_bytes();
        out.push(10);
        put_nul_bytes(out, self.version);
        out.extend_from_slice(&self.thread_id.to_le_bytes());
        out.extend_from_slice(&self.scramble[..8]);
        out.push(0);
        out.extend_from_slice(&[c0, c1, self.collation]);
        out.extend_from_slice(&self.status.0.to_le_bytes());
        out.extend_from_slice(&[c2, c3, SCRAMBLE as u8 + 1]);
        out.extend_from_slice(&[0; 10]);
        out.extend_from_slice(&self.scramble[8..]);
        out.push(0);
        put_nul_bytes(out, self.plugin);
    }
}

/// The first half of a login, and the whole of a request for TLS: Protocol::SSLRequest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginHead {
    /// What the client can do and wants.
    pub capabilities: Capabilities,
    /// The longest packet the client wants to be sent, in bytes.
    pub max_packet: u32,
    /// The collation's number; clients that know numbers above 255 put the high byte into the next one.
    pub collation: u16,
}

/// The length of [`LoginHead`], and so of an SSLRequest.
pub const LOGIN_HEAD: usize = 32;

impl LoginHead {
    fn read(cursor: &mut Cursor<'_>) -> Result<LoginHead, WireError> {
        let capabilities = Capabilities(cursor.u32()?);
        let max_packet = cursor.u32()?;
        let collation = u16::from(cursor.u8()?);
        cursor.bytes(23)?;
        Ok(LoginHead { capabilities, max_packet, collation })
    }

    /// Reads an SSLRequest, or the head of any login.
    pub fn decode(payload: &[u8]) -> Result<LoginHead, WireError> {
        LoginHead::read(&mut Cursor::new("SSLRequest", payload))
    }

    /// Writes an SSLRequest.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.capabilities.0.to_le_bytes());
        out.extend_from_slice(&self.max_packet.to_le_bytes());
        out.push(self.collation as u8);
        out.extend_from_slice(&[0; 23]);
    }
}

/// A client's login: Protocol::HandshakeResponse41.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRequest<'a> {
    /// Capabilities, packet size, collation.
    pub head: LoginHead,
    /// The user's name.
    pub user: &'a [u8],
    /// The answer to the scramble, for `plugin`.
    pub auth: &'a [u8],
    /// The schema to begin with; empty for none.
    pub schema: &'a [u8],
    /// The plugin that made `auth`; empty if the client names none.
    pub plugin: &'a [u8],
    /// Names and values, still encoded: see [`Attributes`].
    pub attributes: &'a [u8],
}

impl<'a> LoginRequest<'a> {
    /// Reads a login.
    pub fn decode(payload: &'a [u8]) -> Result<LoginRequest<'a>, WireError> {
        let mut cursor = Cursor::new("HandshakeResponse", payload);
        let head = LoginHead::read(&mut cursor)?;
        let has = |flag| head.capabilities.has(flag);
        if !has(Capabilities::PROTOCOL_41) {
            return Err(cursor.malformed());
        }
        let user = cursor.nul_bytes()?;
        let auth = if has(Capabilities::PLUGIN_AUTH_LENENC) {
            cursor.lenenc_bytes()?
        } else if has(Capabilities::SECURE_CONNECTION) {
            let len = cursor.u8()?;
            cursor.bytes(usize::from(len))?
        } else {
            cursor.nul_bytes()?
        };
        // Some clients leave out the last zero byte.
        let schema = if has(Capabilities::CONNECT_WITH_DB) { cursor.nul_or_rest() } else { b"" };
        let plugin = if has(Capabilities::PLUGIN_AUTH) { cursor.nul_or_rest() } else { b"" };
        let attributes =
            if has(Capabilities::CONNECT_ATTRS) && !cursor.is_empty() { cursor.lenenc_bytes()? } else { b"" };
        // What may follow is the level of zstd, which is never agreed on.
        Ok(LoginRequest { head, user, auth, schema, plugin, attributes })
    }

    /// Writes a login.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let has = |flag| self.head.capabilities.has(flag);
        self.head.encode(out);
        put_nul_bytes(out, self.user);
        if has(Capabilities::PLUGIN_AUTH_LENENC) {
            put_lenenc_bytes(out, self.auth);
        } else {
            out.push(self.auth.len() as u8);
            out.extend_from_slice(self.auth);
        }
        if has(Capabilities::CONNECT_WITH_DB) {
            put_nul_bytes(out, self.schema);
        }
        if has(Capabilities::PLUGIN_AUTH) {
            put_nul_bytes(out, self.plugin);
        }
        if has(Capabilities::CONNECT_ATTRS) {
            put_lenenc_bytes(out, self.attributes);
        }
    }
}

/// COM_CHANGE_USER, behind its command byte
/// (<https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_change_user.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeUser<'a> {
    /// The user's name.
    pub user: &'a [u8],
    /// The answer to the scramble of the greeting.
    pub auth: &'a [u8],
    /// The schema to begin with; empty for none.
    pub schema: &'a [u8],
    /// The collation's number, if the client sent one.
    pub collation: Option<u16>,
    /// The plugin that made `auth`; empty if the client names none.
    pub plugin: &'a [u8],
    /// Names and values, still encoded: see [`Attributes`].
    pub attributes: &'a [u8],
}

impl<'a> ChangeUser<'a> {
    /// Reads the packet behind its command byte; `capabilities` are those of the login.
    pub fn decode(rest: &'a [u8], capabilities: Capabilities) -> Result<ChangeUser<'a>, WireError> {
        let mut cursor = Cursor::new("COM_CHANGE_USER", rest);
        let user = cursor.nul_bytes()?;
        let len = cursor.u8()?;
        let auth = cursor.bytes(usize::from(len))?;
        let schema = cursor.nul_or_rest();
        let collation = if cursor.is_empty() { None } else { Some(cursor.u16()?) };
        let plugin = if capabilities.has(Capabilities::PLUGIN_AUTH) { cursor.nul_or_rest() } else { b"" };
        let attributes = if capabilities.has(Capabilities::CONNECT_ATTRS) && !cursor.is_empty() {
            cursor.lenenc_bytes()?
        } else {
            b""
        };
        Ok(ChangeUser { user, auth, schema, collation, plugin, attributes })
    }

    /// Writes the packet behind its command byte.
    pub fn encode(&self, capabilities: Capabilities, out: &mut Vec<u8>) {
        put_nul_bytes(out, self.user);
        out.push(self.auth.len() as u8);
        out.extend_from_slice(self.auth);
        put_nul_bytes(out, self.schema);
        if let Some(collation) = self.collation {
            out.extend_from_slice(&collation.to_le_bytes());
            if capabilities.has(Capabilities::PLUGIN_AUTH) {
                put_nul_bytes(out, self.plugin);
                if capabilities.has(Capabilities::CONNECT_ATTRS) {
                    put_lenenc_bytes(out, self.attributes);
                }
            }
        }
    }
}

/// Walks over connection attributes: pairs of name and value.
#[derive(Clone, Debug)]
pub struct Attributes<'a>(Cursor<'a>);

impl<'a> Attributes<'a> {
    /// Begins at the first pair.
    pub fn new(encoded: &'a [u8]) -> Attributes<'a> {
        Attributes(Cursor::new("connection attributes", encoded))
    }

    /// Writes pairs.
    pub fn encode(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in pairs {
            put_lenenc_bytes(&mut out, name.as_bytes());
            put_lenenc_bytes(&mut out, value.as_bytes());
        }
        out
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a [u8], &'a [u8]);

    /// The next pair; ends at the first malformed one, since attributes are only ever shown.
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let pair = self.0.lenenc_bytes().and_then(|name| Ok((name, self.0.lenenc_bytes()?)));
        pair.inspect_err(|_| {
            self.0.rest();
        })
        .ok()
    }
}

/// The server asks for another plugin: Protocol::AuthSwitchRequest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthSwitch<'a> {
    /// The plugin to use.
    pub plugin: &'a [u8],
    /// Its scramble, without the zero byte that ends it.
    pub data: &'a [u8],
}

/// The first byte of [`AuthSwitch`].
pub const AUTH_SWITCH: u8 = 0xFE;
/// The first byte of Protocol::AuthMoreData.
pub const AUTH_MORE_DATA: u8 = 0x01;

impl<'a> AuthSwitch<'a> {
    /// Reads the request.
    pub fn decode(payload: &'a [u8]) -> Result<AuthSwitch<'a>, WireError> {
        let mut cursor = Cursor::new("AuthSwitchRequest", payload);
        if cursor.u8()? != AUTH_SWITCH {
            return Err(cursor.malformed());
        }
        let plugin = cursor.nul_bytes()?;
        let data = cursor.rest();
        Ok(AuthSwitch { plugin, data: data.strip_suffix(&[0]).unwrap_or(data) })
    }

    /// Writes the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(AUTH_SWITCH);
        put_nul_bytes(out, self.plugin);
        out.extend_from_slice(self.data);
        out.push(0);
    }
}

/// The bytes of AuthMoreData in caching_sha2_password.
pub(crate) mod sha2 {
    /// The client asks for the server's public key.
    pub(crate) const REQUEST_PUBLIC_KEY: u8 = 2;
    /// The scramble was right; OK follows.
    pub(crate) const FAST_OK: u8 = 3;
    /// The password is needed.
    pub(crate) const FULL: u8 = 4;
}
