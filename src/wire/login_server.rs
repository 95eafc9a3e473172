//! The server's end of the login, as the proxy speaks it to its clients.
//! It asks the caller who has an account and never tells the client: an unknown user goes through the same exchange,
//! at the same cost, and gets the same error as one with a wrong password.

use std::io;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use tokio::task::spawn_blocking;

use crate::error::{Code, SqlError};
use crate::wire::auth::{Checked, Plugin, RsaKey, Verifier, fresh_scramble};
use crate::wire::capabilities::{Capabilities, Status};
use crate::wire::error::WireError;
use crate::wire::handshake::{
    AUTH_MORE_DATA, AuthSwitch, ChangeUser, Greeting, LOGIN_HEAD, LoginHead, LoginRequest, SCRAMBLE, sha2,
};
use crate::wire::link::Link;
use crate::wire::reply::{OkPacket, put_error};

/// Everything Shardloom can do for a client; TLS is offered besides if there is a certificate.
pub const OFFERED: Capabilities = Capabilities(
    Capabilities::LONG_PASSWORD.0
        | Capabilities::FOUND_ROWS.0
        | Capabilities::LONG_FLAG.0
        | Capabilities::CONNECT_WITH_DB.0
        | Capabilities::COMPRESS.0
        | Capabilities::ODBC.0
        | Capabilities::LOCAL_FILES.0
        | Capabilities::IGNORE_SPACE.0
        | Capabilities::PROTOCOL_41.0
        | Capabilities::INTERACTIVE.0
        | Capabilities::IGNORE_SIGPIPE.0
        | Capabilities::TRANSACTIONS.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::MULTI_STATEMENTS.0
        | Capabilities::MULTI_RESULTS.0
        | Capabilities::PS_MULTI_RESULTS.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::CONNECT_ATTRS.0
        | Capabilities::PLUGIN_AUTH_LENENC.0
        | Capabilities::SESSION_TRACK.0
        | Capabilities::DEPRECATE_EOF.0,
);

/// The longest packet of somebody who is not logged in, in bytes: attributes may have 64 KB.
const LOGIN_PACKET: usize = 128 << 10;

/// An account, as far as logging in is concerned.
#[derive(Clone, Debug)]
pub struct Account {
    /// What its password is checked by.
    pub verifier: Arc<Verifier>,
    /// Whether it may log in over TLS only.
    pub require_tls: bool,
}

/// How many accounts can log in by mysql_native_password; users that do not exist must not stand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeAccounts {
    /// None.
    None,
    /// Some; whether an unknown user seems to is decided by its name.
    Some,
    /// All.
    All,
}

/// What logins need besides accounts; made once, shared by all.
pub struct Gate {
    tls: Option<Arc<rustls::ServerConfig>>,
    require_tls: bool,
    rsa: Arc<RsaKey>,
    native: NativeAccounts,
    /// For users that do not exist: without and with a native verifier.
    decoys: [Arc<Verifier>; 2],
    /// Makes the choice between the decoys unforeseeable, yet the same each time.
    secret: [u8; 16],
}

impl Gate {
    /// Makes the RSA key and the decoys, which costs some tenths of a second.
    ///
    /// With `require_tls`, connections neither over TLS nor by a unix socket are refused with 3159.
    pub fn new(
        tls: Option<Arc<rustls::ServerConfig>>,
        require_tls: bool,
        native: NativeAccounts,
    ) -> Result<Gate, WireError> {
        let mut secret = [0; 16];
        rand::fill(&mut secret).map_err(|_| WireError::Crypto("get random bytes"))?;
        let decoys = [Arc::new(Verifier::decoy(false)?), Arc::new(Verifier::decoy(true)?)];
        Ok(Gate { tls, require_tls, rsa: Arc::new(RsaKey::generate()?), native, decoys, secret })
    }

    /// The account to check a user by who has none.
    fn decoy(&self, user: &[u8]) -> Account {
        let native = match self.native {
            NativeAccounts::None => false,
            NativeAccounts::All => true,
            NativeAccounts::Some => digest(&SHA256, &[&self.secret, user].concat()).as_ref()[0] & 1 == 1,
        };
        Account { verifier: self.decoys[usize::from(native)].clone(), require_tls: false }
    }
}

/// What the proxy says of itself to a client, and what it knows of it.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The version to announce.
    pub version: String,
    /// The connection's number, as KILL takes it.
    pub thread_id: u32,
    /// What to offer: [`OFFERED`] or less.
    pub capabilities: Capabilities,
    /// The low byte of the default collation's number.
    pub collation: u8,
    /// The session's status.
    pub status: Status,
    /// Where the client comes from, as `'user'@'host'` in errors shows it.
    pub peer: String,
}

/// Who logged in and how.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The schema to begin with; empty for none. Whether the user may, and whether there is one, is not checked yet.
    pub schema: String,
    /// What both ends agreed on.
    pub capabilities: Capabilities,
    /// The collation's number, if it was sent; COM_CHANGE_USER may leave it out.
    pub collation: Option<u16>,
    /// Connection attributes, for `handshake::Attributes`.
    pub attributes: Vec<u8>,
    /// The longest packet that the client wants, in bytes.
    pub max_packet: u32,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The scramble of the greeting. It is the connection's only one, as in MySQL: in COM_CHANGE_USER some clients
    /// answer an old scramble, whatever they are sent.
    scramble: [u8; SCRAMBLE],
}

/// Why nobody logged in. The client was told, if it could be; the connection is closed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Refused with this error: 1045, 1043 or 3159.
    #[error("{0}")]
    Denied(SqlError),
    /// The client left, or does not speak the protocol.
    #[error("{0}")]
    Wire(#[from] WireError),
}

impl From<io::Error> for LoginError {
    fn from(error: io::Error) -> LoginError {
        LoginError::Wire(WireError::Io(error))
    }
}

/// Greets a client, asks for TLS, user and password, and checks them.
///
/// The final OK is not sent: the caller may have reasons of its own to refuse, and ends the login by [`welcome`] or
/// by an ERR packet. It must bound the time, too. Packets are limited to 128 KB here, to `max_packet` from then on.
pub async fn server_login(
    link: Link,
    gate: &Gate,
    hello: &Hello,
    max_packet: usize,
    account: impl Fn(&str) -> Option<Account>,
) -> Result<(Link, Login), LoginError> {
    // Boxed: a login's state is large and rare, the futures that contain it are many.
    Box::pin(login(link, gate, hello, max_packet, account)).await
}

async fn login(
    mut link: Link,
    gate: &Gate,
    hello: &Hello,
    max_packet: usize,
    account: impl Fn(&str) -> Option<Account>,
) -> Result<(Link, Login), LoginError> {
    let scramble = fresh_scramble()?;
    let offered = hello.capabilities.when(Capabilities::SSL, gate.tls.is_some());
    let greeting = Greeting {
        version: hello.version.as_bytes(),
        thread_id: hello.thread_id,
        scramble,
        capabilities: offered,
        collation: hello.collation,
        status: hello.status,
        plugin: Plugin::CachingSha2.name().as_bytes(),
    };
    link.set_max_packet(LOGIN_PACKET);
    link.push_with(|out| greeting.encode(out));
    link.flush().await?;
    link = match request_tls(&mut link, gate).await {
        Ok(None) => link,
        Ok(Some(config)) => link.upgrade_server_tls(config).await?,
        Err(error) => return Err(told(&mut link, error.into()).await),
    };
    match check(&mut link, gate, hello, offered, scramble, account).await {
        Ok(login) => {
            link.set_max_packet(max_packet);
            Ok((link, login))
        }
        Err(error) => Err(told(&mut link, error).await),
    }
}

/// Takes the client's SSLRequest, if that is what it sends, and tells what to begin TLS with.
///
/// Any other packet is left in the link.
async fn request_tls(link: &mut Link, gate: &Gate) -> Result<Option<Arc<rustls::ServerConfig>>, WireError> {
    let packet = link.peek_packet_exactly().await?;
    if packet.len() != LOGIN_HEAD {
        return Ok(None);
    }
    let head = LoginHead::decode(link.payload(&packet))?;
    match &gate.tls {
        Some(config) if head.capabilities.has(Capabilities::SSL) => {
            link.expect_packet().await?;
            Ok(Some(config.clone()))
        }
        _ => Err(WireError::Malformed { packet: "SSLRequest" }),
    }
}

async fn check(
    link: &mut Link,
    gate: &Gate,
    hello: &Hello,
    offered: Capabilities,
    scramble: [u8; SCRAMBLE],
    account: impl Fn(&str) -> Option<Account>,
) -> Result<Login, LoginError> {
    let packet = link.expect_packet().await?;
    let request = LoginRequest::decode(link.payload(&packet))?;
    let agreed = request.head.capabilities & offered;
    let login = Login {
        user: text(request.user),
        schema: text(request.schema),
        capabilities: agreed.when(Capabilities::SSL, link.stream().is_tls()),
        collation: Some(request.head.collation),
        attributes: request.attributes.to_vec(),
        max_packet: request.head.max_packet,
        tls: link.stream().is_tls(),
        scramble,
    };
    let first = FirstAnswer { plugin: plugin_of(request.plugin), answer: Some(request.auth.to_vec()) };
    if gate.require_tls && !link.stream().is_private() {
        let prohibited = "Connections using insecure transport are prohibited while --require_secure_transport=ON.";
        return Err(LoginError::Denied(SqlError::new(Code::SecureTransportRequired, prohibited)));
    }
    admit(link, gate, &hello.peer, &login, first, account(&login.user)).await?;
    Ok(login)
}

/// Checks a COM_CHANGE_USER, whose bytes behind the command are `request`, as if it were a new login.
///
/// Like after [`server_login`] the final OK is the caller's business. After an error the connection must be closed, as
/// MySQL does.
pub async fn change_user(
    link: &mut Link,
    gate: &Gate,
    peer: &str,
    old: &Login,
    request: &[u8],
    account: impl Fn(&str) -> Option<Account>,
) -> Result<Login, LoginError> {
    match Box::pin(check_change(link, gate, peer, old, request, account)).await {
        Ok(login) => Ok(login),
        Err(error) => Err(told(link, error).await),
    }
}

async fn check_change(
    link: &mut Link,
    gate: &Gate,
    peer: &str,
    old: &Login,
    request: &[u8],
    account: impl Fn(&str) -> Option<Account>,
) -> Result<Login, LoginError> {
    let request = ChangeUser::decode(request, old.capabilities)?;
    let login = Login {
        user: text(request.user),
        schema: text(request.schema),
        collation: request.collation,
        attributes: request.attributes.to_vec(),
        ..old.clone()
    };
    // No answer may be an empty password, or wait to be asked.
    let can_be_asked = old.capabilities.has(Capabilities::PLUGIN_AUTH);
    let answer = (!request.auth.is_empty() || !can_be_asked).then(|| request.auth.to_vec());
    let first = FirstAnswer { plugin: plugin_of(request.plugin), answer };
    admit(link, gate, peer, &login, first, account(&login.user)).await?;
    Ok(login)
}

/// Sends the OK that ends a login or a COM_CHANGE_USER; compression, if it was agreed on, is in force from then on.
pub async fn welcome(link: &mut Link, login: &Login, status: Status) -> io::Result<()> {
    link.push_with(|out| OkPacket { status, ..OkPacket::default() }.encode(login.capabilities, out));
    link.flush().await?;
    link.start_command();
    if login.capabilities.has(Capabilities::COMPRESS) {
        link.start_compression();
    }
    Ok(())
}

/// What a client answers before anything was asked: for its own favourite plugin.
struct FirstAnswer {
    plugin: Option<Plugin>,
    answer: Option<Vec<u8>>,
}

fn plugin_of(name: &[u8]) -> Option<Plugin> {
    // A client that names no plugin is older than plugins.
    if name.is_empty() { Some(Plugin::Native) } else { Plugin::of_name(name) }
}

/// Lets the client prove that it knows the password of the account, or of a decoy.
async fn admit(
    link: &mut Link,
    gate: &Gate,
    peer: &str,
    login: &Login,
    first: FirstAnswer,
    account: Option<Account>,
) -> Result<(), LoginError> {
    let account = account.unwrap_or_else(|| gate.decoy(login.user.as_bytes()));
    let verifier = &account.verifier;
    let preferred = if verifier.serves(Plugin::CachingSha2) { Plugin::CachingSha2 } else { Plugin::Native };
    let plugin = first.plugin.filter(|&plugin| verifier.serves(plugin)).unwrap_or(preferred);
    let scramble = login.scramble;
    let answer = match first.answer {
        Some(answer) if first.plugin == Some(plugin) => answer,
        _ if !login.capabilities.has(Capabilities::PLUGIN_AUTH) => return Err(denied(&login.user, peer, true)),
        _ => {
            link.push_with(|out| AuthSwitch { plugin: plugin.name().as_bytes(), data: &scramble }.encode(out));
            link.flush().await?;
            let packet = link.expect_packet().await?;
            link.payload(&packet).to_vec()
        }
    };
    // In caching_sha2_password an empty password is answered by a zero byte.
    let answer = if plugin == Plugin::CachingSha2 && answer == [0] { Vec::new() } else { answer };
    let right = match verifier.check_answer(plugin, &answer, &scramble) {
        Checked::Right => {
            if plugin == Plugin::CachingSha2 && !answer.is_empty() {
                link.push(&[AUTH_MORE_DATA, sha2::FAST_OK]);
            }
            true
        }
        Checked::Wrong => false,
        Checked::AskPassword => ask_password(link, gate, &account, scramble).await?,
    };
    if right && (login.tls || !account.require_tls) {
        Ok(())
    } else {
        Err(denied(&login.user, peer, !answer.is_empty()))
    }
}

/// The full exchange of caching_sha2_password: the password itself, in clear where nobody reads along, else by RSA.
async fn ask_password(
    link: &mut Link,
    gate: &Gate,
    account: &Account,
    scramble: [u8; SCRAMBLE],
) -> Result<bool, LoginError> {
    link.push(&[AUTH_MORE_DATA, sha2::FULL]);
    link.flush().await?;
    let mut packet = link.expect_packet().await?;
    let private = link.stream().is_private();
    if !private && link.payload(&packet) == [sha2::REQUEST_PUBLIC_KEY] {
        link.push_with(|out| {
            out.push(AUTH_MORE_DATA);
            out.extend_from_slice(gate.rsa.public_pem().as_bytes());
        });
        link.flush().await?;
        packet = link.expect_packet().await?;
    }
    let sent = link.payload(&packet).to_vec();
    let (verifier, rsa) = (account.verifier.clone(), gate.rsa.clone());
    // Milliseconds of arithmetic, and strangers can ask for it: not on a thread that serves others.
    let check = spawn_blocking(move || {
        let password =
            if private { sent.strip_suffix(&[0]).map(<[u8]>::to_vec) } else { rsa.decrypt(&sent, &scramble) };
        // What could not be decrypted costs the same as a wrong password.
        verifier.check_password(&password.unwrap_or_default())
    });
    check.await.map_err(|_| LoginError::Wire(WireError::Crypto("check the password")))
}

/// Tells the client why it is refused, as far as it can be told.
async fn told(link: &mut Link, error: LoginError) -> LoginError {
    let sql = match &error {
        LoginError::Denied(denied) => denied.clone(),
        LoginError::Wire(WireError::Io(_) | WireError::Closed) => return error,
        LoginError::Wire(WireError::Malformed { .. } | WireError::Unexpected { .. }) => {
            SqlError::new(Code::Handshake, "Bad handshake")
        }
        LoginError::Wire(WireError::OutOfOrder { .. }) => {
            SqlError::new(Code::PacketsOutOfOrder, "Got packets out of order")
        }
        LoginError::Wire(WireError::TooLarge { .. }) => {
            SqlError::new(Code::PacketTooLarge, "Got a packet bigger than 'max_allowed_packet' bytes")
        }
        LoginError::Wire(other) => SqlError::new(Code::Unknown, other.to_string()),
    };
    link.push_with(|out| put_error(out, &sql));
    // The client may be gone; the reason stays the first one.
    let _ = link.flush().await;
    error
}

fn denied(user: &str, peer: &str, password: bool) -> LoginError {
    let using = if password { "YES" } else { "NO" };
    let message = format!("Access denied for user '{user}'@'{peer}' (using password: {using})");
    LoginError::Denied(SqlError::new(Code::AccessDenied, message))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::wire::auth::hash_password;
    use crate::wire::login_client::{ClientLoginError, Credentials, LoginWish, client_change_user, client_login};
    use crate::wire::stream::Stream;
    use crate::wire::tls::{self, ClientTls, TlsMode};

    /// A gate whose certificate is for `proxy.test`, with that certificate.
    fn gate(native: NativeAccounts) -> (Arc<Gate>, String) {
        let (certificate, key) = tls::self_signed(&["proxy.test".to_owned()]).unwrap();
        let config = tls::server_config(certificate.as_bytes(), key.as_bytes()).unwrap();
        (Arc::new(Gate::new(Some(config), false, native).unwrap()), certificate)
    }

    fn hello() -> Hello {
        Hello {
            version: "9.7.0-shardloom".to_owned(),
            thread_id: 7,
            capabilities: OFFERED,
            collation: 255,
            status: Status::AUTOCOMMIT,
            peer: "10.0.0.9".to_owned(),
        }
    }

    /// Accounts whose names say how they can log in; all passwords are `secret`, but that of `empty`.
    fn account(user: &str) -> Option<Account> {
        let (sha2, native) = hash_password(b"secret").unwrap();
        let verifier = match user {
            "sha2" => Verifier::parse(&sha2),
            "native" => Verifier::parse(&native),
            "both" | "secure" => Verifier::parse(&format!("{native}, {sha2}")),
            "clear" => Ok(Verifier::of_password(b"secret").unwrap()),
            "empty" => Verifier::parse(""),
            _ => return None,
        };
        Some(Account { verifier: Arc::new(verifier.unwrap()), require_tls: user == "secure" })
    }

    async fn serve(
        end: DuplexStream,
        gate: &Gate,
        account: impl Fn(&str) -> Option<Account>,
    ) -> Result<(Link, Login), LoginError> {
        server_login(Link::new(Stream::memory(end), 1), gate, &hello(), 1 << 24, account).await
    }

    type Ends =
        (Result<(Link, Login), LoginError>, Result<(Link, crate::wire::login_client::ServerHello), ClientLoginError>);

    async fn meet(gate: &Gate, user: &str, password: &str, tls: &ClientTls, host: &str) -> Ends {
        let (near, far) = duplex(1 << 16);
        let credentials =
            Credentials { user: user.to_owned(), password: password.to_owned(), schema: "shop".to_owned() };
        let wish = LoginWish {
            capabilities: OFFERED,
            collation: 45,
            max_packet: 1 << 24,
            attributes: vec![("program_name".to_owned(), "test".to_owned())],
        };
        let server = async {
            let (mut link, login) =
                server_login(Link::new(Stream::memory(far), 1), gate, &hello(), 1 << 24, account).await?;
            welcome(&mut link, &login, Status::AUTOCOMMIT).await?;
            Ok((link, login))
        };
        tokio::join!(server, client_login(Stream::memory(near), host, &credentials, tls, &wish))
    }

    #[tokio::test]
    async fn both_ends_agree_by_every_plugin_with_and_without_tls() {
        let (gate, certificate) = gate(NativeAccounts::Some);
        let with = |mode| ClientTls::new(mode, Some(certificate.as_bytes()), None).unwrap();
        for mode in
            [TlsMode::Disabled, TlsMode::Preferred, TlsMode::Required, TlsMode::VerifyCa, TlsMode::VerifyIdentity]
        {
            for (user, password) in
                [("sha2", "secret"), ("native", "secret"), ("both", "secret"), ("clear", "secret"), ("empty", "")]
            {
                let (server, client) = meet(&gate, user, password, &with(mode), "proxy.test").await;
                let ((mut server, login), (mut client, hello)) = (server.unwrap(), client.unwrap());
                assert_eq!((login.user.as_str(), login.schema.as_str()), (user, "shop"));
                assert_eq!((login.collation, login.max_packet), (Some(45), 1 << 24));
                assert_eq!(login.capabilities, hello.capabilities);
                assert_eq!((login.tls, hello.tls), (mode != TlsMode::Disabled, login.tls));
                assert_eq!(hello.thread_id, 7);
                assert_eq!(login.attributes, b"\x0Cprogram_name\x04test");
                client.push(b"\x0E");
                client.flush().await.unwrap();
                let packet = server.expect_packet().await.unwrap();
                assert_eq!(server.payload(&packet), b"\x0E");
                // Gone without a goodbye, of TLS neither: an end between packets all the same.
                drop(client);
                assert!(server.read_packet().await.unwrap().is_none());
            }
        }
    }

    fn refusal(ends: Ends) -> String {
        let (Err(LoginError::Denied(told)), Err(ClientLoginError::Refused(error))) = ends else {
            panic!("not refused");
        };
        assert_eq!(told, error);
        error.to_string()
    }

    #[tokio::test]
    async fn wrong_passwords_are_refused_as_mysql_does() {
        let (gate, _) = gate(NativeAccounts::Some);
        for mode in [TlsMode::Disabled, TlsMode::Required] {
            let tls = ClientTls::new(mode, None, None).unwrap();
            for user in ["sha2", "native", "both", "clear", "empty", "nobody"] {
                assert_eq!(
                    refusal(meet(&gate, user, "wrong", &tls, "proxy.test").await),
                    format!("ERROR 1045 (28000): Access denied for user '{user}'@'10.0.0.9' (using password: YES)")
                );
            }
            for user in ["sha2", "native", "both", "clear", "nobody"] {
                assert_eq!(
                    refusal(meet(&gate, user, "", &tls, "proxy.test").await),
                    format!("ERROR 1045 (28000): Access denied for user '{user}'@'10.0.0.9' (using password: NO)")
                );
            }
        }
    }

    #[tokio::test]
    async fn tls_is_required_where_it_is() {
        let (certificate, key) = tls::self_signed(&["proxy.test".to_owned()]).unwrap();
        let config = tls::server_config(certificate.as_bytes(), key.as_bytes()).unwrap();
        let strict = Gate::new(Some(config), true, NativeAccounts::None).unwrap();
        let preferred = ClientTls::new(TlsMode::Preferred, None, None).unwrap();
        let told = refusal(meet(&strict, "sha2", "secret", &ClientTls::disabled(), "proxy.test").await);
        assert!(told.starts_with("ERROR 3159 (HY000): Connections using insecure transport"), "{told}");
        assert!(meet(&strict, "sha2", "secret", &preferred, "proxy.test").await.0.is_ok());

        // Required of one account only: told only to who knows the password, and as any other refusal.
        let (gate, _) = gate(NativeAccounts::Some);
        let told = refusal(meet(&gate, "secure", "secret", &ClientTls::disabled(), "proxy.test").await);
        assert!(told.starts_with("ERROR 1045"), "{told}");
        assert!(meet(&gate, "secure", "secret", &preferred, "proxy.test").await.1.is_ok());

        // No certificate, no TLS: preferred does without, required does not.
        let bare = Gate::new(None, false, NativeAccounts::None).unwrap();
        assert!(!meet(&bare, "sha2", "secret", &preferred, "proxy.test").await.1.unwrap().1.tls);
        let required = ClientTls::new(TlsMode::Required, None, None).unwrap();
        assert!(matches!(meet(&bare, "sha2", "secret", &required, "").await.1, Err(ClientLoginError::NoTls)));
    }

    #[tokio::test]
    async fn certificates_are_verified_as_the_mode_says() {
        let (gate, certificate) = gate(NativeAccounts::None);
        let (other, _) = tls::self_signed(&["proxy.test".to_owned()]).unwrap();
        for (mode, authority, host, trusted) in [
            (TlsMode::Required, &other, "elsewhere.test", true),
            (TlsMode::VerifyCa, &certificate, "elsewhere.test", true),
            (TlsMode::VerifyCa, &other, "proxy.test", false),
            (TlsMode::VerifyIdentity, &certificate, "proxy.test", true),
            (TlsMode::VerifyIdentity, &certificate, "elsewhere.test", false),
            (TlsMode::VerifyIdentity, &certificate, "not_a_name!", false),
            (TlsMode::VerifyIdentity, &other, "proxy.test", false),
        ] {
            let tls = ClientTls::new(mode, Some(authority.as_bytes()), None).unwrap();
            let (_, client) = meet(&gate, "sha2", "secret", &tls, host).await;
            assert_eq!(client.is_ok(), trusted, "{mode:?} {host}");
        }
        assert!(ClientTls::new(TlsMode::VerifyCa, None, None).is_err());
        assert!(ClientTls::new(TlsMode::VerifyCa, Some(b"no certificate"), None).is_err());
    }

    #[tokio::test]
    async fn after_one_full_exchange_a_scramble_is_enough() {
        let (gate, _) = gate(NativeAccounts::None);
        let account = account("sha2").unwrap();
        for (password, exchange) in [("secret", "full"), ("secret", "fast"), ("wrong", "full")] {
            let (near, mut far) = duplex(1 << 16);
            let lookup = |_: &str| Some(account.clone());
            let server = serve(near, &gate, lookup);
            let client = async {
                let greeting = read(&mut far).await;
                let scramble = Greeting::decode(&greeting).unwrap().scramble;
                let answer = Plugin::CachingSha2.answer(password.as_bytes(), &scramble);
                write(&mut far, 1, &request("anybody", "caching_sha2_password", &answer)).await;
                let said = read_if_any(&mut far).await;
                assert_eq!(said, if exchange == "full" { vec![1, 4] } else { vec![] });
                if exchange == "full" {
                    write(&mut far, 3, &[2]).await;
                    let key = read(&mut far).await;
                    let sent = crate::wire::auth::encrypt_password(password.as_bytes(), &scramble, &key[1..]).unwrap();
                    write(&mut far, 5, &sent).await;
                }
                far
            };
            let (server, _far) = tokio::join!(server, client);
            assert_eq!(server.is_ok(), password == "secret");
        }
    }

    /// An unknown user sees exactly the packets that a known one with a wrong password sees.
    #[tokio::test]
    async fn unknown_users_do_not_stand_out() {
        for (native, likes) in [
            (NativeAccounts::None, &["sha2"][..]),
            (NativeAccounts::All, &["both"]),
            (NativeAccounts::Some, &["sha2", "both"]),
        ] {
            let (gate, _) = gate(native);
            for plugin in ["caching_sha2_password", "mysql_native_password", "something_else", ""] {
                let mut seen = Vec::new();
                for user in likes {
                    seen.push(wrong_login(&gate, user, plugin).await);
                }
                for user in ["nobody", "nobody2", "nobody3", "nobody4"] {
                    let unknown = wrong_login(&gate, user, plugin).await;
                    assert!(seen.contains(&unknown), "{native:?} {plugin} {unknown:?}");
                    assert_eq!(unknown, wrong_login(&gate, user, plugin).await, "the same each time");
                }
            }
        }
    }

    /// The first bytes and lengths of what the server sends to somebody who does not know the password.
    async fn wrong_login(gate: &Gate, user: &str, plugin: &str) -> Vec<(u8, usize)> {
        let (near, mut far) = duplex(1 << 16);
        let server = serve(near, gate, account);
        let client = async {
            let mut seen = Vec::new();
            read(&mut far).await;
            write(&mut far, 1, &request(user, plugin, &[9; 20])).await;
            for number in [3, 5, 7] {
                let said = read(&mut far).await;
                match said[0] {
                    0xFF => {
                        seen.push((0xFF, said.len() - user.len()));
                        break;
                    }
                    first => seen.push((first, said.len())),
                }
                let answer = if said == [1, 4] { vec![2] } else { vec![9; 32] };
                write(&mut far, number, &answer).await;
            }
            seen
        };
        let (server, seen) = tokio::join!(server, client);
        assert!(matches!(server, Err(LoginError::Denied(_))));
        seen
    }

    fn request(user: &str, plugin: &str, answer: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let capabilities = OFFERED.without(Capabilities::CONNECT_ATTRS | Capabilities::CONNECT_WITH_DB);
        let capabilities = capabilities.when(Capabilities::PLUGIN_AUTH, !plugin.is_empty());
        let head = LoginHead { capabilities, max_packet: 1 << 24, collation: 45 };
        let (user, plugin) = (user.as_bytes(), plugin.as_bytes());
        LoginRequest { head, user, auth: answer, schema: b"", plugin, attributes: b"" }.encode(&mut out);
        out
    }

    async fn read(far: &mut DuplexStream) -> Vec<u8> {
        let head = [far.read_u8().await.unwrap(), far.read_u8().await.unwrap()];
        far.read_u16().await.unwrap();
        let mut payload = vec![0; usize::from(u16::from_le_bytes(head))];
        far.read_exact(&mut payload).await.unwrap();
        payload
    }

    /// What the server says within a moment.
    async fn read_if_any(far: &mut DuplexStream) -> Vec<u8> {
        tokio::time::timeout(std::time::Duration::from_millis(200), read(far)).await.unwrap_or_default()
    }

    async fn write(far: &mut DuplexStream, number: u8, payload: &[u8]) {
        far.write_all(&crate::wire::frame::header(payload.len(), number)).await.unwrap();
        far.write_all(payload).await.unwrap();
    }

    #[tokio::test]
    async fn the_user_can_be_changed_with_a_password_only() {
        let (gate, _) = gate(NativeAccounts::Some);
        for (user, password, right) in [
            ("sha2", "secret", true),
            ("native", "secret", true),
            ("empty", "", true),
            ("both", "wrong", false),
            ("nobody", "", false),
        ] {
            let (server, client) = meet(&gate, "clear", "secret", &ClientTls::disabled(), "").await;
            let ((mut server, login), (mut client, mut hello)) = (server.unwrap(), client.unwrap());
            let credentials =
                Credentials { user: user.to_owned(), password: password.to_owned(), schema: "other".to_owned() };
            let serve = async {
                let packet = server.expect_packet().await.unwrap();
                let request = server.payload(&packet)[1..].to_vec();
                let login = change_user(&mut server, &gate, "10.0.0.9", &login, &request, account).await?;
                welcome(&mut server, &login, Status::AUTOCOMMIT).await?;
                Ok::<Login, LoginError>(login)
            };
            let (served, changed) = tokio::join!(serve, client_change_user(&mut client, &mut hello, &credentials, 45));
            assert_eq!((served.is_ok(), changed.is_ok()), (right, right), "{user}");
            if let Ok(login) = served {
                assert_eq!((login.user.as_str(), login.schema.as_str(), login.collation), (user, "other", Some(45)));
            }
        }
    }

    #[tokio::test]
    async fn garbage_before_the_login_is_refused() {
        let (gate, _) = gate(NativeAccounts::None);
        let ssl = [&[0, 8, 0, 0][..], &[0; 28]].concat();
        let cases: [(&[u8], u16); 6] = [
            (b"\x04\0\0\x01GET ", 1043),
            (b"GET / HTTP/1.1\r\n\r\n", 1156),
            (b"\x01\0\0\x05a", 1156),
            (b"\xFF\xFF\xFF\x01", 1153),
            (b"\0\0\0\x01", 1043),
            (&[&[32, 0, 0, 1][..], &[0; 32]].concat(), 1043),
        ];
        for (bytes, errno) in cases {
            let (near, mut far) = duplex(1 << 16);
            let server = serve(near, &gate, account);
            let client = async {
                read(&mut far).await;
                far.write_all(bytes).await.unwrap();
                let said = read(&mut far).await;
                assert_eq!(said[..3], [0xFF, errno.to_le_bytes()[0], errno.to_le_bytes()[1]], "{bytes:?}");
            };
            assert!(tokio::join!(server, client).0.is_err());
        }

        // Bytes in clear behind the request for TLS are no login.
        let (near, mut far) = duplex(1 << 16);
        let server = serve(near, &gate, account);
        let client = async {
            read(&mut far).await;
            let login = request("empty", "mysql_native_password", b"");
            far.write_all(&[&[32, 0, 0, 1][..], &ssl, &crate::wire::frame::header(login.len(), 2), &login].concat())
                .await
                .unwrap();
            let mut said = Vec::new();
            far.read_to_end(&mut said).await.unwrap();
            assert_ne!(said.first(), Some(&0), "no OK");
        };
        let (server, ()) = tokio::join!(server, client);
        assert!(matches!(server, Err(LoginError::Wire(WireError::Io(_)))));
    }
}
