//! The protocol against real servers: logins by every way, values in both protocols, stored passwords.

use std::collections::HashSet;
use std::path::Path;

use shardloom::demo::cluster::Layout;
use shardloom::demo::server::Server;
use shardloom::sql::Flavour;
use shardloom::wire::auth::{Verifier, hash_password};
use shardloom::wire::capabilities::Capabilities;
use shardloom::wire::column::ColumnDef;
use shardloom::wire::command::{Command, Execute};
use shardloom::wire::link::Link;
use shardloom::wire::login_client::{
    ClientLoginError, Credentials, LoginWish, ServerHello, client_change_user, client_login,
};
use shardloom::wire::response::{Event, Kind, Response};
use shardloom::wire::row::{RowForm, convert, split};
use shardloom::wire::stream::Stream;
use shardloom::wire::tls::{ClientTls, TlsMode};
use shardloom::wire::value::Shape;
use tokio::net::{TcpStream, UnixStream};

use super::testbed::{TestCluster, installations};

const PASSWORD: &str = "a password longer than the sixty-four bytes of a block of SHA-256, to be sure";

/// `host` is a path for a unix socket.
async fn login(
    server: &Server,
    host: &str,
    password: &str,
    tls: &ClientTls,
) -> Result<(Link, ServerHello), ClientLoginError> {
    let stream = if host.starts_with('/') {
        Stream::unix(UnixStream::connect(host).await?)
    } else {
        Stream::tcp(TcpStream::connect(("127.0.0.1", server.port())).await?)?
    };
    let credentials = credentials(password);
    let capabilities = Capabilities::DEPRECATE_EOF | Capabilities::SESSION_TRACK;
    let attributes = vec![("program_name".to_owned(), "test".to_owned())];
    let wish = LoginWish { capabilities, collation: 45, max_packet: 1 << 26, attributes };
    client_login(stream, host, &credentials, tls, &wish).await
}

fn credentials(password: &str) -> Credentials {
    Credentials { user: "somebody".to_owned(), password: password.to_owned(), schema: "test_wire".to_owned() }
}

/// A command's answer: the columns and the rows of its first result, or the error.
async fn ask(
    link: &mut Link,
    hello: &ServerHello,
    kind: Kind,
    command: Command<'_>,
) -> Result<(Vec<Shape>, Vec<Vec<u8>>), String> {
    link.start_command();
    link.push_with(|out| command.encode(out));
    link.flush().await.unwrap();
    let mut response = Response::new(kind, hello.capabilities);
    let (mut shapes, mut rows) = (Vec::new(), Vec::new());
    while !response.is_done() {
        let packet = link.expect_packet().await.unwrap();
        let payload = link.payload(&packet);
        match response.packet(payload).unwrap() {
            Event::ColumnDef { .. } => shapes.push(Shape::of(&ColumnDef::decode(payload).unwrap())),
            Event::Rows { .. } => rows.push(payload.to_vec()),
            Event::Err { .. } => return Err(String::from_utf8_lossy(payload).into_owned()),
            // A statement of no parameters: its definitions end the answer.
            Event::PrepareOk(ok) => {
                rows.push(ok.statement.to_le_bytes().to_vec());
                for _ in 0..ok.columns {
                    link.expect_packet().await.unwrap();
                }
                return Ok((shapes, rows));
            }
            _ => {}
        }
    }
    Ok((shapes, rows))
}

async fn text(link: &mut Link, hello: &ServerHello, sql: &str) -> (Vec<Shape>, Vec<Vec<u8>>) {
    ask(link, hello, Kind::Query, Command::Query(sql.as_bytes())).await.unwrap()
}

/// A server with the schema `test_wire` and the user `somebody`.
fn start(installation: &shardloom::demo::install::Installation) -> TestCluster {
    let test = TestCluster::start(installation, &Layout::new(1, 0));
    let sql = format!(
        "CREATE DATABASE test_wire; CREATE USER somebody@'%' IDENTIFIED BY '{PASSWORD}'; \
         GRANT ALL ON test_wire.* TO somebody@'%'"
    );
    test.cluster.groups[0].primary.sql(&sql).unwrap();
    test
}

#[tokio::test]
async fn every_way_to_log_in() {
    for installation in installations() {
        let test = start(&installation);
        let server = &test.cluster.groups[0].primary;
        let authority = std::fs::read(installation.tls("ca")).unwrap();
        let with = |mode| ClientTls::new(mode, Some(&authority), None).unwrap();
        let socket = server.socket();
        let socket = socket.to_str().unwrap();
        // The first is the full exchange of caching_sha2_password, by RSA; then the cache serves; then it is emptied.
        for (host, mode, encrypted) in [
            ("127.0.0.1", TlsMode::Disabled, false),
            ("127.0.0.1", TlsMode::Disabled, false),
            ("flush", TlsMode::Preferred, true),
            ("127.0.0.1", TlsMode::Required, true),
            ("flush", TlsMode::VerifyCa, true),
            ("127.0.0.1", TlsMode::VerifyIdentity, true),
            ("localhost", TlsMode::VerifyIdentity, true),
        ] {
            if host == "flush" {
                server.sql("FLUSH PRIVILEGES").unwrap();
            }
            let (mut link, mut hello) = login(server, host, PASSWORD, &with(mode)).await.unwrap();
            assert_eq!(hello.tls, encrypted, "{mode:?}");
            assert_eq!(hello.is_mariadb(), installation.flavour == Flavour::MariaDb);
            assert_eq!(Some(hello.version.as_str()), Some(server.sql("SELECT VERSION()").unwrap().as_str()));
            let (_, rows) = text(&mut link, &hello, "SELECT CONNECTION_ID(), DATABASE()").await;
            let id = hello.thread_id.to_string();
            assert_eq!(rows[0], [&[id.len() as u8], id.as_bytes(), b"\x09test_wire"].concat());

            client_change_user(&mut link, &mut hello, &credentials(PASSWORD), 45).await.unwrap();
            text(&mut link, &hello, "SELECT 1").await;
            let wrong = client_change_user(&mut link, &mut hello, &credentials("wrong"), 45).await;
            assert!(matches!(wrong, Err(ClientLoginError::Refused(error)) if error.errno == 1045));
        }
        let (_, hello) = login(server, socket, PASSWORD, &ClientTls::disabled()).await.unwrap();
        assert!(!hello.tls);

        for mode in [TlsMode::Disabled, TlsMode::Required] {
            let Err(ClientLoginError::Refused(error)) = login(server, "127.0.0.1", "wrong", &with(mode)).await else {
                panic!("a wrong password")
            };
            assert_eq!((error.errno, &error.state), (1045, b"28000"), "{error}");
        }
        assert!(login(server, "elsewhere.test", PASSWORD, &with(TlsMode::VerifyCa)).await.is_ok());
        assert!(login(server, "elsewhere.test", PASSWORD, &with(TlsMode::VerifyIdentity)).await.is_err());
        let stranger = shardloom::wire::tls::self_signed(&["localhost".to_owned()]).unwrap().0;
        let stranger = ClientTls::new(TlsMode::VerifyCa, Some(stranger.as_bytes()), None).unwrap();
        assert!(login(server, "localhost", PASSWORD, &stranger).await.is_err());
    }
}

#[tokio::test]
async fn values_are_the_same_in_both_protocols() {
    for installation in installations() {
        let test = start(&installation);
        let server = &test.cluster.groups[0].primary;
        let (mut link, hello) = login(server, "127.0.0.1", PASSWORD, &ClientTls::disabled()).await.unwrap();
        for statement in
            include_str!("../../fixtures/wire/values.sql").split(";\n").filter(|sql| !sql.trim().is_empty())
        {
            text(&mut link, &hello, statement).await;
        }
        text(&mut link, &hello, &format!("INSERT INTO reals VALUES {}", reals())).await;
        let mut types = HashSet::new();
        for select in [
            "SELECT * FROM all_types",
            "SELECT * FROM reals",
            "SELECT a + 1, MAX(b), AVG(b), SUM(c), ROUND(a, 2), COUNT(*) FROM reals GROUP BY a",
            "SELECT ADDTIME('01:02:03', '00:00:00.5'), SEC_TO_TIME(3.25), NULL, 1 = 1, 1.5, 1e0 / 3, 2 / 3, \
             TIMESTAMP('2024-01-01 01:02:03.999999') - INTERVAL 1 MICROSECOND, FROM_UNIXTIME(1.5)",
        ] {
            let (shapes, by_text) = text(&mut link, &hello, select).await;
            let prepare = Command::StmtPrepare(select.as_bytes());
            let (_, prepared) = ask(&mut link, &hello, Kind::Prepare, prepare).await.unwrap();
            let statement = u32::from_le_bytes(prepared[0][..].try_into().unwrap());
            let execute = Command::StmtExecute(Execute { statement, flags: 0, params: b"" });
            let (binary_shapes, by_binary) = ask(&mut link, &hello, Kind::Execute, execute).await.unwrap();
            assert_eq!((by_text.len(), shapes.len()), (by_binary.len(), binary_shapes.len()));
            for (text, binary) in by_text.iter().zip(&by_binary) {
                compare(text, binary, &binary_shapes);
            }
            types.extend(shapes.iter().map(|shape| shape.ty));
        }
        assert!(types.len() >= 18, "{types:?}");
    }
}

/// Turns each form into the other.
fn compare(text: &[u8], binary: &[u8], shapes: &[Shape]) {
    let (mut as_text, mut text_cells, mut binary_cells) = (Vec::new(), Vec::new(), Vec::new());
    convert(binary, RowForm::Binary, RowForm::Text, shapes, &mut binary_cells, &mut as_text).unwrap();
    assert_eq!(as_text.escape_ascii().to_string(), text.escape_ascii().to_string());
    split(text, RowForm::Text, shapes, &mut text_cells).unwrap();
    for ((cell, binary_cell), &shape) in text_cells.iter().zip(&binary_cells).zip(shapes) {
        if shape.text_is_exact() && !cell.is_null() {
            let mut encoded = Vec::new();
            cell.value(text, RowForm::Text, shape).unwrap().encode(shape, &mut encoded).unwrap();
            assert_eq!(encoded, binary_cell.raw(binary), "{shape:?}");
        }
    }
}

/// Numbers of all magnitudes, the same in each run.
fn reals() -> String {
    let mut rows = Vec::new();
    let mut bits = 0x9E37_79B9_7F4A_7C15_u64;
    while rows.len() < 1000 {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        let (any, small) = (f64::from_bits(bits), (bits >> 33) as f64 / 10f64.powi((bits % 13) as i32));
        if any.is_finite() {
            rows.push(format!("({any:e}, {small:e}, {small:e}, {small:e})"));
        }
    }
    rows.join(", ")
}

#[tokio::test]
async fn stored_passwords_are_understood_both_ways() {
    for installation in installations() {
        let test = start(&installation);
        let server = &test.cluster.groups[0].primary;
        let (sha2, native) = hash_password(PASSWORD.as_bytes()).unwrap();
        if installation.flavour == Flavour::MariaDb {
            assert_eq!(server.sql(&format!("SELECT PASSWORD('{PASSWORD}')")).unwrap(), native);
            continue;
        }
        // What MySQL stored, salt of any bytes included, is a verifier here.
        let stored = "SELECT HEX(authentication_string) FROM mysql.user WHERE user = 'somebody'";
        let hex = server.sql(stored).unwrap();
        let bytes: Vec<u8> =
            (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
        let verifier = Verifier::parse(std::str::from_utf8(&bytes).unwrap()).unwrap();
        assert!(verifier.check_password(PASSWORD.as_bytes()));
        assert!(!verifier.check_password(b"wrong"));
        // What is a verifier here, MySQL takes over.
        server.sql(&format!("ALTER USER somebody IDENTIFIED WITH caching_sha2_password AS '{sha2}'")).unwrap();
        let path = server.socket();
        let socket = Path::new(&path).to_str().unwrap();
        assert!(login(server, socket, PASSWORD, &ClientTls::disabled()).await.is_ok());
        assert!(login(server, socket, "wrong", &ClientTls::disabled()).await.is_err());
    }
}
