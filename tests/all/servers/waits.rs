//! What a statement waits for: a connection of a full pool, a server that is frozen, and others like it. It ends by KILL
//! QUERY, with its time, and with its client; what was meant for an idle session ends nothing.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use shardloom::config::Config;
use shardloom::demo::cluster::Layout;
use shardloom::demo::install::Installation;

use super::hostile::{answer, assert_nothing_is_left, errno, logged_in_as, metric, packet};
use super::proxy::{Client, PASSWORD, TestProxy};
use super::testbed::{PATIENCE, TestCluster, installations, wait_until};

const RULES: &str = r#"
[schema.shop]
home = "g0"

[schema.shop.family.by_id]
column = "id"
method = { mod = 2 }
groups = ["g0", "g1"]
table  = "{table}_{shard}"

[schema.shop.table]
users     = { family = "by_id" }
audit_log = { group = "g1" }
"#;

/// Longer than a server that was told to end a query is waited for.
const GRACE: Duration = Duration::from_secs(7);

fn shop(installation: &Installation) -> TestCluster {
    let cluster = TestCluster::start(installation, &Layout::new(2, 0));
    for (g, group) in cluster.cluster.groups.iter().enumerate() {
        let mut ddl = format!("CREATE DATABASE shop; USE shop; CREATE TABLE users_{g} (id INT PRIMARY KEY, v INT);");
        ddl += match g {
            0 => "CREATE TABLE settings (k VARCHAR(40) PRIMARY KEY, v TEXT); INSERT INTO settings VALUES ('a', '1');",
            _ => {
                "CREATE TABLE audit_log (id INT AUTO_INCREMENT PRIMARY KEY, msg TEXT); \
                 CREATE TRIGGER slow BEFORE INSERT ON audit_log FOR EACH ROW SET @slept = SLEEP(7);"
            }
        };
        group.primary.sql(&ddl).unwrap();
    }
    cluster
}

fn connect(proxy: &TestProxy) -> Client {
    Client::connect(&proxy.address().to_string(), "atomic", PASSWORD, "shop")
}

/// A client that sends and does not wait for the answer.
struct Asker {
    socket: TcpStream,
    id: u32,
}

impl Asker {
    fn of(proxy: &TestProxy) -> Asker {
        let mut socket = logged_in_as(proxy.address(), "atomic");
        socket.write_all(&packet(0, b"\x03SELECT CONNECTION_ID()")).unwrap();
        let [_, _, row, _] = [(); 4].map(|()| answer(&mut socket));
        let id = std::str::from_utf8(&row[5..]).unwrap().parse().unwrap();
        Asker { socket, id }
    }

    fn send(&mut self, payload: &[u8]) {
        self.socket.write_all(&packet(0, payload)).unwrap();
    }

    /// The first packet of the answer, without its header.
    fn told(&mut self) -> Vec<u8> {
        answer(&mut self.socket).split_off(4)
    }

    /// The error number of the answer, which is one.
    fn refused(&mut self) -> u16 {
        let told = answer(&mut self.socket);
        errno(&told).unwrap_or_else(|| panic!("no error: {told:?}"))
    }

    /// Another command is answered.
    fn is_well(&mut self) -> bool {
        self.send(b"\x0e");
        self.told()[0] == 0
    }

    fn prepared(proxy: &TestProxy, sql: &str) -> (Asker, [u8; 4]) {
        let mut asker = Asker::of(proxy);
        asker.send(&[b"\x16", sql.as_bytes()].concat());
        let head = asker.told();
        assert_eq!(head[0], 0, "{sql}");
        let count = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
        (0..count(5) + count(7)).for_each(|_| drop(asker.told()));
        (asker, head[1..5].try_into().unwrap())
    }
}

/// All sessions share the connections that lie ready, and nobody finds a frozen server dead.
pub(super) fn unsuspecting(config: &mut Config) {
    config.workers = Some(1);
    config.timeouts.probe = PATIENCE * 10;
    config.timeouts.connect = Duration::from_secs(2);
}

pub(super) fn connections(proxy: &TestProxy, state: &str) -> u64 {
    metric(proxy.addresses.admin.unwrap(), "shardloom_pool_connections", &format!("state=\"{state}\""))
}

/// The only connection to the first group is taken: whoever wants it waits, and can be ended.
#[test]
fn who_waits_for_a_full_pool_hears_of_a_kill() {
    for installation in installations() {
        let cluster = shop(&installation);
        let proxy = TestProxy::start_with(&cluster.cluster, RULES, |config| {
            config.limits.pool_primary = 1;
            config.timeouts.pool_wait = PATIENCE;
        });
        let (mut holder, mut killer) = (connect(&proxy), connect(&proxy));
        holder.run("BEGIN");
        holder.run("SELECT v FROM settings");
        for ask in [
            &b"\x03SELECT v FROM settings"[..],
            b"\x03SELECT COUNT(*) FROM users",
            b"\x03UPDATE users SET v = v + 1",
            b"\x03INSERT INTO users SELECT 1, v FROM settings",
            b"\x03SELECT COUNT(*) INTO @n FROM users",
            b"\x03PREPARE s FROM 'SELECT v FROM settings'",
            b"\x16SELECT v FROM settings WHERE k = ?",
            b"\x04settings\0",
        ] {
            let what = String::from_utf8_lossy(ask);
            let mut asker = Asker::of(&proxy);
            asker.send(ask);
            wait_until("it waits", || connections(&proxy, "waiting") == 1);
            killer.run(&format!("KILL QUERY {}", asker.id));
            assert_eq!(asker.refused(), 1317, "{what}");
            assert!(asker.is_well(), "{what}");
            // What has been meant for an idle session does not end what it does next.
            killer.run(&format!("KILL QUERY {}", asker.id));
            asker.send(ask);
            wait_until("it waits again", || connections(&proxy, "waiting") == 1);
            drop(asker);
            wait_until("it has gone", || connections(&proxy, "waiting") == 0);
        }
        let mut asker = Asker::of(&proxy);
        asker.send(b"\x03SELECT /*+ shardloom(timeout=300ms) */ v FROM settings");
        assert_eq!(asker.refused(), 3024);
        // One that is not told to end gets what it waits for.
        asker.send(b"\x16SELECT v FROM settings WHERE k = ?");
        wait_until("it waits", || connections(&proxy, "waiting") == 1);
        holder.run("COMMIT");
        assert_eq!(asker.told()[0], 0);
        drop((asker, holder));
        assert_nothing_is_left(&proxy, 1);
    }
}

/// A server that is frozen in its tracks answers nothing, nor a KILL.
#[test]
fn who_waits_for_a_frozen_server_hears_of_a_kill() {
    for installation in installations() {
        let cluster = shop(&installation);
        let proxy = TestProxy::start_with(&cluster.cluster, RULES, unsuspecting);
        let mut killer = connect(&proxy);
        let mut warm: Vec<Client> = (0..14).map(|_| connect(&proxy)).collect();
        for client in &mut warm {
            client.run("BEGIN");
            client.run("SELECT v FROM settings");
        }
        warm.iter_mut().for_each(|client| drop(client.run("COMMIT")));
        drop(warm);
        assert_nothing_is_left(&proxy, 1);

        let sql = "SELECT v FROM settings WHERE k = ?";
        let two = || {
            let mut in_transaction = Asker::of(&proxy);
            in_transaction.send(b"\x03BEGIN");
            assert_eq!(in_transaction.told()[0], 0);
            let mut named = Asker::of(&proxy);
            named.send(b"\x03PREPARE s FROM 'SELECT v FROM settings'");
            assert_eq!(named.told()[0], 0);
            let (executes, id) = Asker::prepared(&proxy, sql);
            let execute = [b"\x17", &id[..], b"\0\x01\0\0\0\0\x01\xfd\0\x01a"].concat();
            [
                (in_transaction, b"\x03SELECT v FROM settings".to_vec()),
                (named, b"\x03EXECUTE s".to_vec()),
                (executes, execute),
                (Asker::of(&proxy), [b"\x16", sql.as_bytes()].concat()),
            ]
        };
        let (mut killed, mut gone) = (two(), two());
        // These were told to end when they did nothing.
        let (mut fetches, id) = Asker::prepared(&proxy, "SELECT v FROM settings");
        fetches.send(&[b"\x17", &id[..], b"\x01\x01\0\0\0"].concat());
        while fetches.told()[0] != 0xFE {}
        let mut prepares = Asker::of(&proxy);
        let stale = [fetches.id, prepares.id];
        let sessions = || metric(proxy.addresses.admin.unwrap(), "shardloom_clients", "");
        let all = sessions();

        let server = &cluster.cluster.groups[0].primary;
        server.freeze();
        for (asker, ask) in killed.iter_mut().chain(&mut gone) {
            asker.send(ask);
        }
        wait_until("all wait", || connections(&proxy, "leased") == 9);
        for (asker, _) in &killed {
            killer.run(&format!("KILL QUERY {}", asker.id));
        }
        for (asker, ask) in &mut killed {
            assert_eq!(asker.refused(), 1317, "{}", String::from_utf8_lossy(ask));
            assert!(asker.is_well());
        }
        drop(gone);
        wait_until("they have gone", || sessions() == all - 4);

        for id in stale {
            killer.run(&format!("KILL QUERY {id}"));
        }
        fetches.send(&[b"\x1c", &id[..], b"\x01\0\0\0"].concat());
        prepares.send(&[b"\x16", sql.as_bytes()].concat());
        std::thread::sleep(GRACE);
        server.thaw();
        assert_eq!(fetches.told(), b"\0\0\x011", "a row");
        assert_eq!(prepares.told()[0], 0, "a prepared statement");
        drop((killed, fetches, prepares));
        assert_nothing_is_left(&proxy, 1);
    }
}

/// Five seconds for a lock that is read under and seven for a trigger are more than eight.
#[test]
fn all_parts_of_a_statement_have_one_time_limit() {
    for installation in installations() {
        let cluster = shop(&installation);
        let proxy = TestProxy::start(&cluster.cluster, RULES);
        let mut client = connect(&proxy);
        client.run("SET innodb_lock_wait_timeout = 600");
        let mut holder = connect(&proxy);
        holder.run("BEGIN");
        holder.run("UPDATE settings SET v = '2'");
        let limited = "INSERT /*+ shardloom(timeout=8s) */ INTO audit_log (msg) SELECT v FROM settings";
        let told = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_secs(5));
                holder.run("COMMIT");
            });
            client.show(limited)
        });
        assert!(told.starts_with("error 3024"), "{told}");
        assert_eq!(client.show("SELECT COUNT(*) FROM audit_log"), "0");
    }
}

/// The answer to one statement does not wait for the next one.
#[test]
fn each_answer_to_several_statements_is_sent_at_once() {
    let cluster = shop(&installations().remove(0));
    let proxy = TestProxy::start(&cluster.cluster, RULES);
    let mut asker = Asker::of(&proxy);
    asker.send(b"\x1b\0\0");
    assert_eq!(asker.told()[0], 0xFE);
    asker.send(b"\x03SELECT 1; SELECT v FROM settings; SELECT SLEEP(600) FROM settings");
    for _ in 0..2 {
        let [count, _, row, end] = [(); 4].map(|()| asker.told());
        assert_eq!((&count[..], &row[..], end[0]), (&b"\x01"[..], &b"\x011"[..], 0xFE));
    }
    drop(asker);
    assert_nothing_is_left(&proxy, 0);
}
