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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const MYSQL_GREETING: &str = "\
        0a392e372e342d32002b0100005f2a494b4d4c702d00ffffff0200ffdf15000000000000000000006b16585a5a745b470939725500\
        63616368696e675f736861325f70617373776f726400";
    const MARIADB_GREETING: &str = "\
        0a352e352e352d31302e31312e31392d4d6172696144422d302b6465623132753100160000005f2d5e71402d5b6400fef7080200ff\
        81150000000000001d0000006755562f266e7a3d5c38452f006d7973716c5f6e61746976655f70617373776f726400";
    const MYSQL_LOGIN: &str = "\
        8da2bf1900000001ff0000000000000000000000000000000000000000000000750020435054b66407e82eed31a6a576a3c8a88cb8\
        5ce326af3747b3550f6bb1ad9eea740063616368696e675f736861325f70617373776f72640071045f7069640438313537095f706c\
        6174666f726d067838365f3634035f6f73054c696e75780c5f636c69656e745f6e616d65086c69626d7973716c076f735f75736572\
        04726f6f740f5f636c69656e745f76657273696f6e05392e372e340c70726f6772616d5f6e616d65056d7973716c";
    const MARIADB_LOGIN: &str = "\
        8da2bf0000001000210000000000000000000000000000000000000000000000750020b30e3488d91ff75af5131cb78a1369b928e5\
        807dfc9d0ab1852d22127ff2c3dc740063616368696e675f736861325f70617373776f7264007f035f6f73054c696e75780c5f636c\
        69656e745f6e616d650a6c69626d617269616462045f7069640531353037340f5f636c69656e745f76657273696f6e06332e332e32\
        30095f706c6174666f726d067838365f36340c70726f6772616d5f6e616d65056d7973716c0c5f7365727665725f686f7374093132\
        372e302e302e31";
    const SSL_REQUEST: &str = "8daabf1900000001ff0000000000000000000000000000000000000000000000";

    fn bytes(hex: &str) -> Vec<u8> {
        let hex: String = hex.split_whitespace().collect();
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out);
        out
    }

    #[test]
    fn greetings_of_real_servers() {
        let mysql = bytes(MYSQL_GREETING);
        let greeting = Greeting::decode(&mysql).unwrap();
        assert_eq!((greeting.version, greeting.thread_id, greeting.collation), (&b"9.7.4-2"[..], 299, 255));
        assert_eq!(greeting.plugin, b"caching_sha2_password");
        assert_eq!(&greeting.scramble, b"_*IKMLp-k\x16XZZt[G\x099rU");
        assert!(greeting.capabilities.has(Capabilities::QUERY_ATTRIBUTES | Capabilities::DEPRECATE_EOF));
        assert_eq!(encoded(|out| greeting.encode(out)), mysql);

        let mariadb = bytes(MARIADB_GREETING);
        let greeting = Greeting::decode(&mariadb).unwrap();
        assert_eq!((greeting.version, greeting.thread_id), (&b"5.5.5-10.11.19-MariaDB-0+deb12u1"[..], 22));
        assert_eq!(greeting.plugin, b"mysql_native_password");
        assert!(!greeting.capabilities.has(Capabilities::LONG_PASSWORD));
        assert!(greeting.capabilities.has(Capabilities::SESSION_TRACK));
        for cut in 0..mysql.len() - 23 {
            assert!(Greeting::decode(&mysql[..cut]).is_err());
        }
        assert!(Greeting::decode(&[&[9], &mysql[1..]].concat()).is_err());
    }

    #[test]
    fn logins_of_real_clients() {
        let mysql = bytes(MYSQL_LOGIN);
        let login = LoginRequest::decode(&mysql).unwrap();
        assert_eq!((login.user, login.schema, login.plugin), (&b"u"[..], &b"t"[..], &b"caching_sha2_password"[..]));
        assert_eq!((login.head.collation, login.head.max_packet, login.auth.len()), (255, 1 << 24, 32));
        let attributes: Vec<_> = Attributes::new(login.attributes).collect();
        assert_eq!(attributes.len(), 7);
        assert_eq!(attributes[6], (&b"program_name"[..], &b"mysql"[..]));
        assert_eq!(encoded(|out| login.encode(out)), mysql);
        // Every cut is malformed, but where an optional last field is missing as a whole.
        let optional = mysql.len() - login.attributes.len() - 1;
        for cut in (0..optional - 24).chain(optional + 1..mysql.len()) {
            assert!(LoginRequest::decode(&mysql[..cut]).is_err(), "{cut}");
        }

        let mariadb = bytes(MARIADB_LOGIN);
        let login = LoginRequest::decode(&mariadb).unwrap();
        assert_eq!((login.user, login.head.collation), (&b"u"[..], 33));
        assert_eq!(encoded(|out| login.encode(out)), mariadb);
    }

    #[test]
    fn a_request_for_tls_is_the_head_of_a_login() {
        let request = bytes(SSL_REQUEST);
        let head = LoginHead::decode(&request).unwrap();
        assert!(head.capabilities.has(Capabilities::SSL));
        assert_eq!(encoded(|out| head.encode(out)), request);
        assert_eq!(request.len(), LOGIN_HEAD);
    }

    #[test]
    fn old_forms_of_the_login() {
        // Without PLUGIN_AUTH_LENENC the answer has one byte of length; without SECURE_CONNECTION it ends with zero.
        let head = |capabilities: Capabilities| LoginHead { capabilities, max_packet: 1, collation: 8 };
        let base = Capabilities::PROTOCOL_41 | Capabilities::CONNECT_WITH_DB;
        let mut old = encoded(|out| head(base).encode(out));
        old.extend(b"me\0answer\0shop");
        let login = LoginRequest::decode(&old).unwrap();
        assert_eq!((login.user, login.auth, login.schema), (&b"me"[..], &b"answer"[..], &b"shop"[..]));
        let mut old = encoded(|out| head(base | Capabilities::SECURE_CONNECTION).encode(out));
        old.extend(b"me\0\x06answershop\0");
        let login = LoginRequest::decode(&old).unwrap();
        assert_eq!((login.user, login.auth, login.schema), (&b"me"[..], &b"answer"[..], &b"shop"[..]));
        assert!(LoginRequest::decode(&encoded(|out| head(Capabilities::NONE).encode(out))).is_err());
    }

    #[test]
    fn changes_of_the_user() {
        let all = Capabilities::PLUGIN_AUTH | Capabilities::CONNECT_ATTRS;
        let full = b"you\0\x05scram\0\xFF\0mysql_native_password\0\x04\x01a\x01b";
        let change = ChangeUser::decode(full, all).unwrap();
        assert_eq!((change.user, change.auth, change.schema), (&b"you"[..], &b"scram"[..], &b""[..]));
        assert_eq!((change.collation, change.plugin), (Some(255), &b"mysql_native_password"[..]));
        assert_eq!(Attributes::new(change.attributes).collect::<Vec<_>>(), [(&b"a"[..], &b"b"[..])]);
        assert_eq!(encoded(|out| change.encode(all, out)), full);
        let short = b"you\0\0shop\0";
        let change = ChangeUser::decode(short, all).unwrap();
        assert_eq!((change.auth, change.schema, change.collation), (&b""[..], &b"shop"[..], None));
        assert_eq!(encoded(|out| change.encode(all, out)), short);
        assert!(ChangeUser::decode(b"you\0\x09short", all).is_err());
    }

    #[test]
    fn a_switch_of_the_plugin() {
        let packet = b"\xFEmysql_native_password\0abcdefghijklmnopqrst\0";
        let switch = AuthSwitch::decode(packet).unwrap();
        assert_eq!((switch.plugin, switch.data), (&b"mysql_native_password"[..], &b"abcdefghijklmnopqrst"[..]));
        assert_eq!(encoded(|out| switch.encode(out)), packet);
        // The old form, without a name, asks for a plugin that nobody should use any more.
        assert!(AuthSwitch::decode(b"\xFE").is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), capabilities: u32) {
            let capabilities = Capabilities(capabilities);
            let _ = Greeting::decode(&bytes);
            let _ = LoginHead::decode(&bytes);
            let _ = LoginRequest::decode(&bytes);
            let _ = LoginRequest::decode(&[&capabilities.0.to_le_bytes()[..], &bytes].concat());
            let _ = ChangeUser::decode(&bytes, capabilities);
            let _ = AuthSwitch::decode(&bytes);
            let _ = Attributes::new(&bytes).count();
        }
    }
}
