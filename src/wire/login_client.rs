//! The client's end of the login, as the proxy speaks it to its backends.
//! It knows one user, one password and one connection; which backend that is, and what for, it does not ask.

use crate::error::SqlError;
use crate::wire::auth::{self, Plugin};
use crate::wire::capabilities::{Capabilities, Status};
use crate::wire::command::com;
use crate::wire::error::WireError;
use crate::wire::handshake::{
    AUTH_MORE_DATA, AUTH_SWITCH, Attributes, AuthSwitch, ChangeUser, Greeting, LoginHead, LoginRequest, SCRAMBLE, sha2,
};
use crate::wire::link::{Link, Packet};
use crate::wire::reply::{ERR, ErrPacket, OK, OkPacket};
use crate::wire::stream::Stream;
use crate::wire::tls::{ClientTls, server_name};

/// Whom to log in as.
#[derive(Clone)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// The password in clear.
    pub password: String,
    /// The schema to begin with; empty for none.
    pub schema: String,
}

/// How to log in.
#[derive(Clone, Debug)]
pub struct LoginWish {
    /// Capabilities to agree on, as far as the server has them; what the login itself needs is added.
    pub capabilities: Capabilities,
    /// The collation's number; above 255 it must be set by `SET NAMES` afterwards.
    pub collation: u16,
    /// The longest packet to read or to be sent, in bytes.
    pub max_packet: usize,
    /// Connection attributes.
    pub attributes: Vec<(String, String)>,
}

/// What a server said of itself at login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHello {
    /// Its version, without the `5.5.5-` that MariaDB puts before it for old clients.
    pub version: String,
    /// The connection's number there, as KILL takes it.
    pub thread_id: u32,
    /// What both ends agreed on.
    pub capabilities: Capabilities,
    /// The low byte of the server's default collation.
    pub collation: u8,
    /// The session's status.
    pub status: Status,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The scramble, by which COM_CHANGE_USER is answered.
    pub scramble: [u8; SCRAMBLE],
}

impl ServerHello {
    /// Whether the server is a MariaDB.
    pub fn is_mariadb(&self) -> bool {
        self.version.contains("MariaDB")
    }
}

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientLoginError {
    /// The server refused, for instance with 1045 or 1040.
    #[error("{0}")]
    Refused(SqlError),
    /// The exchange broke.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// TLS is required and the server has none.
    #[error("the server has no TLS, and the TLS mode requires it")]
    NoTls,
    /// The account uses an authentication plugin that Shardloom does not speak.
    #[error(
        "the account uses the authentication plugin '{0}'; Shardloom speaks mysql_native_password and caching_sha2_password"
    )]
    Plugin(String),
}

impl From<std::io::Error> for ClientLoginError {
    fn from(error: std::io::Error) -> ClientLoginError {
        ClientLoginError::Wire(WireError::Io(error))
    }
}

/// Capabilities without which Shardloom does not talk to a server, and those the login itself makes use of.
const NEEDED: Capabilities = Capabilities(
    Capabilities::PROTOCOL_41.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::TRANSACTIONS.0,
);
const USEFUL: Capabilities = Capabilities(
    Capabilities::LONG_PASSWORD.0
        | Capabilities::LONG_FLAG.0
        | Capabilities::PLUGIN_AUTH_LENENC.0
        | Capabilities::CONNECT_ATTRS.0,
);

/// Logs in over a fresh connection to `host` (which only names the server for TLS).
///
/// Without TLS a password is sent encrypted by the key that the server shows: a listener cannot read it, a server
/// that is not the right one can. Where that matters, use a verifying TLS mode.
///
/// # Errors
/// [`ClientLoginError`]; the connection is closed then.
pub async fn client_login(
    stream: Stream,
    host: &str,
    credentials: &Credentials,
    tls: &ClientTls,
    wish: &LoginWish,
) -> Result<(Link, ServerHello), ClientLoginError> {
    // Boxed: a login's state is large and rare, the futures that contain it are many.
    Box::pin(login(stream, host, credentials, tls, wish)).await
}

async fn login(
    stream: Stream,
    host: &str,
    credentials: &Credentials,
    tls: &ClientTls,
    wish: &LoginWish,
) -> Result<(Link, ServerHello), ClientLoginError> {
    let mut link = Link::new(stream, wish.max_packet);
    let packet = link.expect_packet().await?;
    let payload = link.payload(&packet);
    if payload.first() == Some(&ERR) {
        return Err(refused(payload));
    }
    let greeting = Greeting::decode(payload)?;
    if !greeting.capabilities.has(NEEDED) {
        return Err(WireError::Malformed { packet: "Handshake: a server before 5.5.7" }.into());
    }
    let wanted = (wish.capabilities | NEEDED | USEFUL).without(Capabilities::SSL | Capabilities::COMPRESS);
    let mut agreed = (greeting.capabilities & wanted)
        .when(Capabilities::CONNECT_WITH_DB, !credentials.schema.is_empty())
        // MariaDB's greeting lacks the first bit; a client must set it, or its last bytes are read as extensions.
        .with(Capabilities::LONG_PASSWORD);
    let mut hello = ServerHello {
        version: text(greeting.version.strip_prefix(b"5.5.5-").unwrap_or(greeting.version)),
        thread_id: greeting.thread_id,
        capabilities: agreed,
        collation: greeting.collation,
        status: greeting.status,
        tls: false,
        scramble: greeting.scramble,
    };
    let plugin = Plugin::of_name(greeting.plugin).unwrap_or(Plugin::CachingSha2);

    let has_tls = greeting.capabilities.has(Capabilities::SSL);
    match tls.config().filter(|_| has_tls) {
        Some(config) => {
            agreed |= Capabilities::SSL;
            link.push_with(|out| head(agreed, wish).encode(out));
            link.flush().await?;
            link = link.upgrade_client_tls(config.clone(), server_name(host)).await?;
            hello.tls = true;
        }
        None if tls.is_required() => return Err(ClientLoginError::NoTls),
        None => {}
    }
    hello.capabilities = agreed;

    let attributes: Vec<_> = wish.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let request = LoginRequest {
        head: head(agreed, wish),
        user: credentials.user.as_bytes(),
        auth: &plugin.answer(credentials.password.as_bytes(), &hello.scramble),
        schema: credentials.schema.as_bytes(),
        plugin: plugin.name().as_bytes(),
        attributes: &Attributes::encode(&attributes),
    };
    link.push_with(|out| request.encode(out));
    link.flush().await?;
    hello.status = authenticate(&mut link, &credentials.password, plugin, &mut hello.scramble, agreed).await?;
    link.start_command();
    Ok((link, hello))
}

/// Logs in anew on the same connection, which also resets the session (COM_CHANGE_USER).
pub async fn client_change_user(
    link: &mut Link,
    hello: &mut ServerHello,
    credentials: &Credentials,
    collation: u16,
) -> Result<(), ClientLoginError> {
    let plugin = Plugin::CachingSha2;
    let request = ChangeUser {
        user: credentials.user.as_bytes(),
        auth: &plugin.answer(credentials.password.as_bytes(), &hello.scramble),
        schema: credentials.schema.as_bytes(),
        collation: Some(collation),
        plugin: plugin.name().as_bytes(),
        attributes: b"",
    };
    link.start_command();
    link.push_with(|out| {
        out.push(com::CHANGE_USER);
        request.encode(hello.capabilities, out);
    });
    link.flush().await?;
    hello.status = authenticate(link, &credentials.password, plugin, &mut hello.scramble, hello.capabilities).await?;
    link.start_command();
    Ok(())
}

fn head(capabilities: Capabilities, wish: &LoginWish) -> LoginHead {
    LoginHead {
        capabilities,
        max_packet: u32::try_from(wish.max_packet).unwrap_or(u32::MAX),
        // A number that does not fit one byte: utf8mb4_general_ci until SET NAMES says better.
        collation: if wish.collation < 256 { wish.collation } else { 45 },
    }
}

/// Answers the server until it is content, and tells the status of the session.
async fn authenticate(
    link: &mut Link,
    password: &str,
    mut plugin: Plugin,
    scramble: &mut [u8; SCRAMBLE],
    capabilities: Capabilities,
) -> Result<Status, ClientLoginError> {
    // A server needs four packets at most: switch, full authentication, key, OK. More is a peer that plays with us.
    for _ in 0..8 {
        let packet = link.expect_packet().await?;
        let payload = link.payload(&packet);
        match payload.first() {
            Some(&OK) => return Ok(OkPacket::decode(payload, capabilities)?.status),
            Some(&ERR) => return Err(refused(payload)),
            Some(&AUTH_SWITCH) => {
                let switch = AuthSwitch::decode(payload)?;
                plugin = Plugin::of_name(switch.plugin).ok_or_else(|| ClientLoginError::Plugin(text(switch.plugin)))?;
                *scramble = switch.data.try_into().map_err(|_| WireError::Malformed { packet: "AuthSwitchRequest" })?;
                link.push(&plugin.answer(password.as_bytes(), scramble));
                link.flush().await?;
            }
            Some(&AUTH_MORE_DATA) if plugin == Plugin::CachingSha2 => {
                more_data(link, packet, password, scramble).await?;
            }
            first => {
                let got = first.copied().unwrap_or(0);
                return Err(WireError::Unexpected { expected: "OK, ERR or an authentication packet", got }.into());
            }
        }
    }
    Err(WireError::Malformed { packet: "authentication exchange" }.into())
}

async fn more_data(
    link: &mut Link,
    packet: Packet,
    password: &str,
    scramble: &[u8; SCRAMBLE],
) -> Result<(), ClientLoginError> {
    match link.payload(&packet).get(1..) {
        Some(&[sha2::FAST_OK]) => return Ok(()),
        Some(&[sha2::FULL]) => {}
        _ => {
            return Err(WireError::Malformed { packet: "AuthMoreData" }.into());
        }
    }
    if link.stream().is_private() {
        link.push_with(|out| {
            out.extend_from_slice(password.as_bytes());
            out.push(0);
        });
        return Ok(link.flush().await?);
    }
    link.push(&[sha2::REQUEST_PUBLIC_KEY]);
    link.flush().await?;
    let packet = link.expect_packet().await?;
    let payload = link.payload(&packet);
    let encrypted = match payload.split_first() {
        Some((&AUTH_MORE_DATA, pem)) => auth::encrypt_password(password.as_bytes(), scramble, pem)?,
        Some((&ERR, _)) => return Err(refused(payload)),
        _ => {
            return Err(WireError::Malformed { packet: "AuthMoreData with the public key" }.into());
        }
    };
    link.push(&encrypted);
    Ok(link.flush().await?)
}

fn refused(payload: &[u8]) -> ClientLoginError {
    match ErrPacket::decode(payload) {
        Ok(err) => ClientLoginError::Refused(err.to_sql_error()),
        Err(error) => ClientLoginError::Wire(error),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
