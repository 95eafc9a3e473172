//! Clients and servers that break the protocol: each ends in a clear error or a closed connection, others are served
//! meanwhile, and afterwards nothing is left: no session, no leased connection, no running statement, no panic.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shardloom::demo::cluster::{Cluster, Layout};
use shardloom::wire::auth::hash_password;
use shardloom::wire::capabilities::Capabilities;
use shardloom::wire::login_client::{Credentials, LoginWish, client_login};
use shardloom::wire::stream::Stream;
use shardloom::wire::tls::ClientTls;

use super::proxy::{Client, PASSWORD, TestProxy, write_rules};
use super::session::assert_servers_are_quiet;
use super::shop::{RULES, Shop};
use super::testbed::{PATIENCE, TestCluster, folder, installations, wait_until};

/// A value of the metrics; those with labels that contain `label` are added up.
pub(super) fn metric(admin: SocketAddr, name: &str, label: &str) -> u64 {
    let mut socket = TcpStream::connect(admin).unwrap();
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let lines = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']) && rest.contains(label))
    });
    let values: Vec<u64> = lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).collect();
    assert!(!values.is_empty(), "no {name} in {text}");
    values.iter().sum()
}

/// Panics of the proxy's threads, whatever else this process does.
fn worker_panics() -> usize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name().is_some_and(|name| name.starts_with("worker-")) {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            before(info);
        }));
    });
    PANICS.load(Ordering::SeqCst)
}

/// Only the sessions of `clients` are left, and no connection to a server is out.
pub(super) fn assert_nothing_is_left(proxy: &TestProxy, clients: u64) {
    let admin = proxy.addresses.admin.unwrap();
    wait_until("the sessions are gone", || metric(admin, "shardloom_clients", "") == clients);
    wait_until("all connections are back", || metric(admin, "shardloom_pool_connections", "state=\"leased\"") == 0);
}

/// A socket on which `app` is logged in; what follows is up to the test.
fn logged_in(address: SocketAddr) -> TcpStream {
    logged_in_as(address, "app")
}

/// The same for any user.
pub(super) fn logged_in_as(address: SocketAddr, user: &str) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    let copy = socket.try_clone().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        socket.set_nonblocking(true).unwrap();
        let stream = Stream::tcp(tokio::net::TcpStream::from_std(socket).unwrap()).unwrap();
        let credentials = Credentials { user: user.into(), password: PASSWORD.into(), schema: "shop".into() };
        let capabilities = Capabilities::DEPRECATE_EOF;
        let wish = LoginWish { capabilities, collation: 45, max_packet: 1 << 26, attributes: Vec::new() };
        let tls = ClientTls::disabled();
        client_login(stream, "127.0.0.1", &credentials, &tls, &wish).await.unwrap();
    });
    copy.set_nonblocking(false).unwrap();
    copy.set_read_timeout(Some(PATIENCE)).unwrap();
    copy
}

pub(super) fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes()[..3].to_vec();
    bytes.push(sequence);
    bytes.extend(payload);
    bytes
}

/// The error number of the first packet that has come; none if it is no error.
pub(super) fn errno(answer: &[u8]) -> Option<u16> {
    (answer.get(4) == Some(&0xFF)).then(|| u16::from_le_bytes([answer[5], answer[6]]))
}

/// What comes until the proxy closes; it has to.
fn until_closed(socket: &mut TcpStream, what: &str) -> Vec<u8> {
    let mut all = Vec::new();
    match socket.read_to_end(&mut all) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("{what}: neither an error nor the end")
        }
        // A reset is an end, too.
        _ => all,
    }
}

/// One packet.
pub(super) fn answer(socket: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    socket.read_exact(&mut bytes).unwrap();
    let length = usize::from(bytes[0]) | usize::from(bytes[1]) << 8 | usize::from(bytes[2]) << 16;
    bytes.resize(4 + length, 0);
    socket.read_exact(&mut bytes[4..]).unwrap();
    bytes
}

#[test]
fn clients_that_break_the_protocol_are_told_or_cut_off() {
    let shop = Shop::open(&installations().remove(0));
    let proxy = TestProxy::start_with(&shop.cluster.cluster, RULES, |config| {
        config.limits.packet = 1 << 20;
        config.limits.statement = 1 << 20;
        config.timeouts.handshake = Duration::from_secs(4);
        config.timeouts.read = Duration::from_secs(2);
    });
    let panics = worker_panics();
    let mut good = Client::of(&proxy);
    good.run("INSERT INTO settings VALUES ('a', '1')");

    before_login(&proxy, &mut good);
    malformed_commands_leave_the_session_alive(&proxy);
    what_ends_a_session(&proxy, &mut good);
    half_a_packet(&proxy);
    half_closed(&proxy);
    soup(&proxy, &mut good);

    assert_eq!(good.show("SELECT v FROM settings WHERE k = 'a'"), "1");
    assert_nothing_is_left(&proxy, 1);
    assert_servers_are_quiet(&shop);
    assert_eq!(worker_panics(), panics);
}

/// Every beginning of a good login, then silence, the end, or rubbish.
fn before_login(proxy: &TestProxy, good: &mut Client) {
    let mut login = 0x00A2_8600_u32.to_le_bytes().to_vec();
    login.extend([0, 0, 0, 1, 45]);
    login.extend([0; 23]);
    login.extend(b"app\0\x14aaaaaaaaaaaaaaaaaaaashop\0mysql_native_password\0");
    let login = packet(1, &login);
    let open = || {
        let mut socket = TcpStream::connect(proxy.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(answer(&mut socket)[4], 10, "a greeting");
        socket
    };
    let mut silent = Vec::new();
    for end in (0..login.len()).step_by(7) {
        let mut cut = open();
        cut.write_all(&login[..end]).unwrap();
        cut.shutdown(Shutdown::Write).unwrap();
        until_closed(&mut cut, "a login cut short");
        let mut damaged = login.clone();
        damaged[end] ^= 0xA5;
        let mut socket = open();
        socket.write_all(&damaged).unwrap();
        socket.shutdown(Shutdown::Write).ok();
        until_closed(&mut socket, "a damaged login");
        let mut slow = open();
        slow.write_all(&login[..end]).unwrap();
        silent.push(slow);
    }
    assert_eq!(good.show("SELECT v FROM settings WHERE k = 'a'"), "1");
    for mut socket in silent {
        until_closed(&mut socket, "a login that stops");
    }
    for payload in [&[0xFF; 4][..], &[0, 0, 0, 1], &packet(9, &login[4..]), b"GET / HTTP/1.1\r\n\r\n"] {
        let mut socket = open();
        socket.write_all(payload).unwrap();
        socket.shutdown(Shutdown::Write).ok(); // it may be closed already
        until_closed(&mut socket, "rubbish for a login");
    }
}

/// An error by number, and the session goes on.
fn malformed_commands_leave_the_session_alive(proxy: &TestProxy) {
    let mut socket = logged_in(proxy.address());
    for (payload, errors) in [
        (&[0xEE][..], &[1047][..]),
        (&[0x05, b'x'], &[1047]),
        // Numbers that are cut off, statements that there are not.
        (&[0x17, 1], &[1835, 1047]),
        (&[0x17, 99, 0, 0, 0, 0, 1, 0, 0, 0], &[1243]),
        (&[0x1C, 99, 0, 0, 0, 1, 0, 0, 0], &[1243]),
        (&[0x1C, 99], &[1835, 1047]),
        (&[0x1B, 9, 9], &[1047, 1835]),
        (&[0x02], &[1046, 1049]),
        (&[0x02, 0xFF, 0xFE], &[1049, 1300, 1044]),
        (&[0x16], &[1065]),
        (&[0x03, b'S', b'E', b'L', b'E', b'C', b'T', b' ', b'\''], &[1064]),
    ] {
        socket.write_all(&packet(0, payload)).unwrap();
        let found = errno(&answer(&mut socket));
        assert!(found.is_some_and(|found| errors.contains(&found)), "{payload:?}: {found:?}");
    }
    // No answer to these, whatever they say; then one to a PING.
    for payload in [&[0x19, 99, 0, 0, 0][..], &[0x18, 99, 0, 0, 0, 0, 0, b'x']] {
        socket.write_all(&packet(0, payload)).unwrap();
    }
    socket.write_all(&packet(0, &[0x0E])).unwrap();
    assert_eq!(answer(&mut socket)[4], 0, "OK");
    socket.write_all(&packet(0, &[0x01])).unwrap();
    assert!(until_closed(&mut socket, "QUIT").is_empty());
}

fn what_ends_a_session(proxy: &TestProxy, good: &mut Client) {
    let big = |first: &[u8]| {
        let mut bytes = vec![0xFF, 0xFF, 0xFF, 0];
        bytes.extend(first);
        bytes.resize(1 << 20, b' ');
        bytes
    };
    for (what, bytes, errors) in [
        ("out of sequence", packet(7, b"\x03SELECT 1"), &[1156][..]),
        ("an empty packet", packet(0, b""), &[1047, 1835, 1156]),
        ("a statement that is too long", big(b"\x03SELECT 1"), &[1153]),
        ("a header and no more", vec![0x50, 0, 0, 0, 3], &[]),
        ("a change of user cut short", packet(0, &[0x11, b'a']), &[1043]),
        ("a change of user without an end", packet(0, b"\x11app\0\xFFabc"), &[1043, 1045]),
    ] {
        let mut socket = logged_in(proxy.address());
        socket.write_all(&bytes).ok();
        socket.shutdown(Shutdown::Write).ok();
        let all = until_closed(&mut socket, what);
        if let Some(found) = errno(&all) {
            assert!(errors.contains(&found), "{what}: {found}");
        } else {
            assert!(all.is_empty() || all[4] == 0xFE, "{what}: {all:?}");
        }
        assert_eq!(good.show("SELECT v FROM settings WHERE k = 'a'"), "1", "{what}");
    }
}

/// A packet that begins and does not end, on a line that stays open; and one that only takes its time.
fn half_a_packet(proxy: &TestProxy) {
    let mut slow = logged_in(proxy.address());
    let mut stuck = logged_in(proxy.address());
    let query = packet(0, b"\x03SELECT v FROM settings WHERE k = 'a'");
    stuck.write_all(&query[..20]).unwrap();
    for byte in &query {
        slow.write_all(&[*byte]).unwrap();
        std::thread::sleep(Duration::from_millis(110));
    }
    assert_eq!(answer(&mut slow)[4], 1, "one column");
    assert_eq!(errno(&until_closed(&mut stuck, "half a packet")), Some(1159));
}

/// A client that will say no more is one that has gone: its queries end, and so does its connection.
fn half_closed(proxy: &TestProxy) {
    for sql in ["SELECT v FROM settings", "SELECT COUNT(*) FROM users", "SELECT SLEEP(60) FROM settings"] {
        let mut socket = logged_in(proxy.address());
        socket.write_all(&packet(0, &[b"\x03", sql.as_bytes()].concat())).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        until_closed(&mut socket, sql);
    }
    // In the second statement of a command, which began when the command was no longer young.
    let mut socket = logged_in(proxy.address());
    let several = packet(0, b"\x03SELECT SLEEP(5) FROM settings LIMIT 1; SELECT SLEEP(600) FROM settings LIMIT 1");
    socket.write_all(&[packet(0, b"\x1b\0\0"), several].concat()).unwrap();
    std::thread::sleep(Duration::from_secs(6));
    socket.shutdown(Shutdown::Write).unwrap();
    until_closed(&mut socket, "the second of two statements");
    // A query that takes long, and a client that has gone altogether.
    let mut gone = logged_in(proxy.address());
    gone.write_all(&packet(0, b"\x03SELECT SLEEP(60) FROM settings")).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    drop(gone);
}

/// Commands of random bytes; each is answered, or ends the session.
fn soup(proxy: &TestProxy, good: &mut Client) {
    let mut bits = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |below: u64| {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        (bits >> 11) % below
    };
    for round in 0..200 {
        let mut socket = logged_in(proxy.address());
        let mut bytes = Vec::new();
        for _ in 0..1 + next(5) {
            let mut payload: Vec<u8> = (0..next(40)).map(|_| next(256) as u8).collect();
            if let Some(first) = payload.first_mut() {
                *first = next(0x21) as u8;
            }
            bytes.extend(packet(0, &payload));
        }
        // Now and then a header lies about what follows.
        if round % 4 == 0 {
            let at = next(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << next(8);
        }
        socket.write_all(&bytes).ok();
        socket.shutdown(Shutdown::Write).ok();
        until_closed(&mut socket, "soup");
    }
    assert_eq!(good.show("SELECT v FROM settings WHERE k = 'a'"), "1");
}

/// Stands between the proxy and a server. `/* cut 500 */` in a statement has its answer end after 500 bytes,
/// `/* garble 500 */` has it be rubbish from there on and
/// end, `/* stall 500 */` has nothing more come. An answer that ends before that is whole, and so is the next one.
struct Tap {
    address: SocketAddr,
}

impl Tap {
    fn before(server: String) -> Tap {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // Ends with the process: nothing of it outlives the test but a thread that waits.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&server)) else { return };
                std::thread::spawn(move || pass(client, server));
            }
        });
        Tap { address }
    }
}

fn pass(mut client: TcpStream, mut server: TcpStream) {
    let (harm, armed) = std::sync::mpsc::channel();
    let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let down = std::thread::spawn(move || {
        let mut harm: Option<(String, usize)> = None;
        let mut buffer = [0; 16 << 10];
        while let Ok(count @ 1..) = answers.read(&mut buffer) {
            harm = armed.try_iter().last().unwrap_or(harm);
            let bytes = &mut buffer[..count];
            let Some((kind, left)) = &mut harm else {
                if back.write_all(bytes).is_err() {
                    break;
                }
                continue;
            };
            let whole = count.min(*left);
            *left -= whole;
            back.write_all(&bytes[..whole]).ok();
            match kind.as_str() {
                _ if whole == count => {}
                "cut" => break,
                "stall" => {}
                _ => {
                    bytes[whole..].fill(0x5A);
                    back.write_all(&bytes[whole..]).ok();
                    break;
                }
            }
        }
        back.shutdown(Shutdown::Both).ok();
        answers.shutdown(Shutdown::Both).ok();
    });
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..count]);
        let wanted = ["cut", "garble", "stall"].into_iter().find_map(|kind| {
            let (_, rest) = text.split_once(&format!("/* {kind} "))?;
            Some((kind.to_owned(), rest.split(' ').next().unwrap().parse().unwrap()))
        });
        harm.send(wanted).ok();
        if server.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    server.shutdown(Shutdown::Both).ok();
    down.join().ok();
}

#[test]
fn a_server_that_breaks_off_in_the_middle_is_an_error_and_never_fewer_rows() {
    for installation in installations() {
        let shop = Shop::open(&installation);
        let groups = &shop.cluster.cluster.groups;
        let tap = Tap::before(groups[1].primary.addr());
        let proxy = TestProxy::start_with(&shop.cluster.cluster, RULES, |config| {
            let path = config.rules.join("rules.toml");
            let rules = std::fs::read_to_string(&path).unwrap();
            let tapped = rules.replace(&groups[1].primary.addr(), &tap.address.to_string());
            // What is encrypted, nobody in between can read.
            let plain = tapped.replace("password = ", "tls = \"disabled\"\npassword = ");
            std::fs::write(path, plain).unwrap();
        });
        let panics = worker_panics();
        let connect = || Client::connect(&proxy.address().to_string(), "wide", PASSWORD, "shop");
        let mut good = connect();
        for id in 1..=300 {
            good.run(&format!("INSERT INTO users (id, name) VALUES ({id}, 'user number {id}')"));
        }
        let row = "x".repeat(2000);
        let rows = vec![format!("('{row}')"); 300].join(", ");
        good.run(&format!("INSERT INTO audit_log (msg) VALUES {rows}"));
        good.run("INSERT INTO settings VALUES ('a', '1')");
        let whole = good.run("SELECT /*+ shardloom(primary) */ id, name FROM users ORDER BY id").rows;

        let mut bad = connect();
        let mut log = String::new();
        for sql in [
            "SELECT /*+ shardloom(primary) */ {} id, msg FROM audit_log",
            "SELECT /*+ shardloom(primary) */ {} id, name FROM users ORDER BY id",
            "SELECT /*+ shardloom(primary) */ {} COUNT(*), MAX(name) FROM users",
            "SELECT /*+ shardloom(primary timeout=400ms) */ {} name, id FROM users",
        ] {
            for (kind, bytes) in [
                ("cut", 0),
                ("cut", 2),
                ("cut", 40),
                ("cut", 130),
                ("cut", 900),
                ("cut", 200_001),
                ("garble", 0),
                ("garble", 6),
                ("garble", 60),
                ("garble", 150),
                ("garble", 900),
                ("garble", 300_000),
                ("stall", 50),
            ] {
                if kind == "stall" && !sql.contains("timeout") {
                    continue;
                }
                let sql = sql.replace("{}", &format!("/* {kind} {bytes} */"));

                let answer = bad.show(&sql);
                let failed = answer.starts_with("error") || answer.starts_with("lost");
                // The harm may begin behind the last byte of a short answer.
                let rows = answer.lines().count();
                let complete = match () {
                    () if sql.contains("audit_log") => rows == 300,
                    () if sql.contains("COUNT") => answer == "300|user number 99",
                    () => rows == 300,
                };
                writeln!(log, "{sql}: {}", answer.lines().next().unwrap_or("")).unwrap();
                assert!(failed || complete, "{sql}: {rows} rows\n{log}");
                assert!(bytes > 100 || failed, "{sql}: nothing was missed\n{log}");
                if answer.starts_with("lost") || bad.show("SELECT 1") != "1" {
                    bad = connect();
                }
                // The same statement whole, which must not see anything of the broken one.
                assert_eq!(good.run("SELECT /*+ shardloom(primary) */ id, name FROM users ORDER BY id").rows, whole);
                assert_eq!(good.show("SELECT v FROM settings"), "1");
            }
        }
        a_transaction_that_lost_its_server(&mut bad);
        drop(bad);
        assert_nothing_is_left(&proxy, 1);
        assert_servers_are_quiet(&shop);
        assert_eq!(worker_panics(), panics, "{log}");
    }
}

/// It has failed as a whole; nothing of it is there, and the session can go on.
fn a_transaction_that_lost_its_server(client: &mut Client) {
    client.run("BEGIN");
    client.run("INSERT INTO audit_log (msg) VALUES ('never')");
    let lost = client.show("SELECT /* cut 0 */ id FROM audit_log");
    assert!(lost.starts_with("error"), "{lost}");
    let failed = client.show("INSERT INTO audit_log (msg) VALUES ('never either')");
    assert!(failed.starts_with("error 1184"), "{failed}");
    client.run("ROLLBACK");
    let left = "SELECT /*+ shardloom(primary) */ COUNT(*) FROM audit_log WHERE msg LIKE 'never%'";
    wait_until("the transaction is rolled back", || client.show(left) == "0");
}

/// `shardloom serve` in a process of its own, so that this one has enough sockets for the other ends.
struct Serving {
    process: Child,
    address: SocketAddr,
    admin: SocketAddr,
    log: std::path::PathBuf,
    _folder: shardloom::demo::folder::TempFolder,
}

impl Serving {
    fn start(cluster: &Cluster, connections: u64) -> Serving {
        let folder = folder();
        let rules = folder.path().join("rules");
        std::fs::create_dir(&rules).unwrap();
        write_rules(&rules, cluster, RULES);
        // Bound until both are known, so that they are not the same.
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [address, admin] = free.map(|listener| listener.local_addr().unwrap());
        let (sha2, native) = hash_password(PASSWORD.as_bytes()).unwrap();
        let config = format!(
            "listen = ['{address}']\nadmin = '{admin}'\nrules = '{}'\n[limits]\nconnections = {}\n[timeouts]\n\
             handshake = '6s'\n[user.app]\npassword = ['{sha2}', '{native}']\nschemas = ['shop']\n",
            rules.display(),
            connections + 20
        );
        let path = folder.path().join("shardloom.toml");
        std::fs::write(&path, config).unwrap();
        let log = folder.path().join("log");
        let file = std::fs::File::create(&log).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_shardloom"))
            .args(["serve", "--config", path.to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let serving = Serving { process, address, admin, log, _folder: folder };
        wait_until("it listens", || TcpStream::connect(address).is_ok() && TcpStream::connect(admin).is_ok());
        serving
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[test]
fn ten_thousand_that_never_speak_disturb_nobody() {
    // This process may have as many open files as the system lets it; the proxy sees to itself.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let wanted = limit.maximum.map_or(10_000, |files| 10_000.min(files.saturating_sub(1_000)));
    println!("{wanted} connections that never speak");

    let installation = installations().remove(0);
    let shop = TestCluster::start(&installation, &Layout::new(2, 0));
    for group in &shop.cluster.groups {
        group.primary.sql("CREATE DATABASE shop; CREATE TABLE shop.settings (k INT PRIMARY KEY, v TEXT)").unwrap();
        group.primary.sql("INSERT INTO shop.settings VALUES (1, 'one')").unwrap();
    }
    let serving = Serving::start(&shop.cluster, wanted);
    let mut good = Client::connect(&serving.address.to_string(), "app", PASSWORD, "shop");
    let mut silent = Vec::new();
    let mut slowest = Duration::ZERO;
    let mut ask = |good: &mut Client| {
        let started = Instant::now();
        assert_eq!(good.show("SELECT v FROM settings WHERE k = 1"), "one");
        slowest = slowest.max(started.elapsed());
    };
    for number in 0..wanted {
        silent.push(TcpStream::connect(serving.address).unwrap());
        if number % 500 == 0 {
            ask(&mut good);
        }
    }
    ask(&mut good);
    // There is still room for who has something to say.
    ask(&mut Client::connect(&serving.address.to_string(), "app", PASSWORD, "shop"));
    for mut socket in silent {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        until_closed(&mut socket, "a connection that never spoke");
    }
    wait_until("the sessions are gone", || metric(serving.admin, "shardloom_clients", "") == 1);
    assert_eq!(metric(serving.admin, "shardloom_pool_connections", "state=\"leased\""), 0);
    ask(&mut good);
    assert!(slowest < Duration::from_secs(20), "somebody had to wait {slowest:?}");
    assert!(!serving.log().contains("panic"), "{}", serving.log());
}
