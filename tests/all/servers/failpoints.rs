//! Transactions over several groups while something dies: at every statement of the protocol, before it takes effect or
//! behind it, a connection is cut, the whole proxy, or the server is killed. After each, recovery must have ended what
//! was begun: the same counters on all groups, nothing left prepared, no acknowledged commit lost, none that was refused
//! applied.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use shardloom::demo::cluster::Cluster;
use shardloom::demo::install::{Installation, account};

use crate::servers::atomic::{RULES, bank, connect, wait_until_clean};
use crate::servers::proxy::{Client, TestProxy};
use crate::servers::testbed::installations;

/// What dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    /// The connection that carries the statement.
    Connection,
    /// All connections of the proxy, which can open no more: for the servers, it is dead.
    Proxy,
    /// The server that gets the statement; it is started again.
    Server,
    /// Nobody: the proxy is held up until another has finished what it finds, and then goes on.
    Nobody,
}

/// Where and how.
#[derive(Clone, Copy, Debug)]
struct Fault {
    group: usize,
    /// The beginning of the statement.
    at: &'static str,
    /// The statement has taken effect.
    after: bool,
    victim: Victim,
}

/// Stands between a proxy and all of its servers.
struct Taps {
    plan: Arc<Plan>,
    addresses: Vec<SocketAddr>,
    struck: Receiver<usize>,
    go_on: Sender<()>,
}

struct Plan {
    fault: Mutex<Option<Fault>>,
    dead: Mutex<bool>,
    streams: Mutex<Vec<TcpStream>>,
    /// Tells the test that a server is to be killed, and waits until it was.
    strike: Mutex<(Sender<usize>, Receiver<()>)>,
}

impl Taps {
    fn before(cluster: &Cluster) -> Taps {
        let (strike, struck) = channel();
        let (go_on, wait) = channel();
        let plan = Arc::new(Plan {
            fault: Mutex::new(None),
            dead: Mutex::new(false),
            streams: Mutex::new(Vec::new()),
            strike: Mutex::new((strike, wait)),
        });
        let addresses = (0..cluster.groups.len()).map(|group| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let (plan, server) = (plan.clone(), cluster.groups[group].primary.addr());
            // Ends with the process: nothing of it outlives the test but a thread that waits.
            std::thread::spawn(move || {
                for client in listener.incoming() {
                    let (Ok(client), Ok(server)) = (client, TcpStream::connect(&server)) else { continue };
                    if !*plan.dead.lock().unwrap() {
                        let plan = plan.clone();
                        std::thread::spawn(move || plan.pass(group, client, server));
                    }
                }
            });
            address
        });
        Taps { addresses: addresses.collect(), plan, struck, go_on }
    }

    /// A proxy that reaches its servers through these.
    fn proxy(&self, cluster: &Cluster) -> TestProxy {
        TestProxy::start_with(cluster, RULES, |config| {
            config.timeouts.in_doubt = Duration::from_secs(1);
            let path = config.rules.join("rules.toml");
            let mut rules = std::fs::read_to_string(&path).unwrap();
            for (group, address) in cluster.groups.iter().zip(&self.addresses) {
                rules = rules.replace(&group.primary.addr(), &address.to_string());
            }
            // What is encrypted, nobody in between can read.
            std::fs::write(path, rules.replace("password = ", "tls = \"disabled\"\npassword = ")).unwrap();
        })
    }
}

impl Plan {
    fn pass(&self, group: usize, mut client: TcpStream, mut server: TcpStream) {
        self.streams.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
        let muted = Arc::new(Mutex::new(false));
        let (mut answers, mut back, mute) = (server.try_clone().unwrap(), client.try_clone().unwrap(), muted.clone());
        let down = std::thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(count @ 1..) = answers.read(&mut buffer) {
                if !*mute.lock().unwrap() && back.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            back.shutdown(Shutdown::Both).ok();
        });
        let mut buffer = vec![0; 1 << 20];
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            let met = self.meet(group, &buffer[..count]);
            let (fault, end) = match met {
                Some((fault, end)) if fault.victim != Victim::Nobody => (fault, end),
                _ => {
                    let end = met.map_or(count, |(_, end)| end);
                    server.write_all(&buffer[..end]).ok();
                    if met.is_some() {
                        self.strike(group);
                    }
                    if server.write_all(&buffer[end..count]).is_err() {
                        break;
                    }
                    continue;
                }
            };
            // The server does what came up to here, and finds the connection closed behind it.
            *muted.lock().unwrap() = true;
            server.write_all(&buffer[..end]).ok();
            match fault.victim {
                Victim::Connection => {
                    server.shutdown(Shutdown::Write).ok();
                }
                Victim::Proxy => {
                    *self.dead.lock().unwrap() = true;
                    server.shutdown(Shutdown::Write).ok();
                    let mut nothing = [0; 4096];
                    while let Ok(1..) = server.read(&mut nothing) {}
                    for stream in self.streams.lock().unwrap().drain(..) {
                        stream.shutdown(Shutdown::Both).ok();
                    }
                }
                Victim::Server => {
                    if fault.after {
                        server.shutdown(Shutdown::Write).ok();
                        let mut nothing = [0; 4096];
                        while let Ok(1..) = server.read(&mut nothing) {}
                    }
                    self.strike(group);
                }
                Victim::Nobody => {}
            }
            break;
        }
        server.shutdown(Shutdown::Write).ok();
        down.join().ok();
        client.shutdown(Shutdown::Both).ok();
    }

    /// Tells the test, and waits for it.
    fn strike(&self, group: usize) {
        let strike = self.strike.lock().unwrap();
        strike.0.send(group).unwrap();
        strike.1.recv().ok();
    }

    /// The fault that these bytes meet, and how many of them still go to the server.
    fn meet(&self, group: usize, bytes: &[u8]) -> Option<(Fault, usize)> {
        let mut planned = self.fault.lock().unwrap();
        let fault = (*planned).filter(|fault| fault.group == group)?;
        // Packets: three bytes of length, a number, the command, the text.
        let mut from = 0;
        while let Some(head) = bytes.get(from..from + 5) {
            let length = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
            let end = from + 4 + length;
            if head[4] == 3 && bytes.get(from + 5..end).is_some_and(|text| text.starts_with(fault.at.as_bytes())) {
                *planned = None;
                return Some((fault, if fault.after { end } else { from }));
            }
            from = end;
        }
        None
    }
}

/// Every statement of the protocol, with the group it goes to.
const STATEMENTS: [(usize, &str); 8] = [
    (0, "START TRANSACTION"),
    (1, "XA START"),
    (1, "INSERT INTO `_shardloom`.branch"),
    (2, "XA END"),
    (2, "XA PREPARE"),
    (0, "INSERT INTO `_shardloom`.decision"),
    (0, "COMMIT"),
    (1, "XA COMMIT"),
];

/// The accounts 0, 1 and 2 as the servers have them, and the broadcast rows.
fn counters(cluster: &Cluster) -> Vec<String> {
    let read = |(g, group): (usize, &shardloom::demo::cluster::Group)| {
        let mut server = Client::connect(&group.primary.addr(), account::USER, account::PASSWORD, "bank");
        server.show(&format!("SELECT v FROM acct_{g} WHERE id = {g}"))
    };
    cluster.groups.iter().enumerate().map(read).collect()
}

fn faults(victim: Victim) -> Vec<Fault> {
    let at = |(group, at)| [false, true].map(|after| Fault { group, at, after, victim });
    STATEMENTS.into_iter().flat_map(at).collect()
}

/// Adds one to three accounts, in a transaction or by one statement; what the client is told at last.
fn add(client: &mut Client, one_statement: bool) -> String {
    if one_statement {
        return client.show("UPDATE acct SET v = v + 1 WHERE id IN (0, 1, 2)");
    }
    for sql in ["BEGIN", "UPDATE acct SET v = v + 1 WHERE id = 0", "UPDATE acct SET v = v + 1 WHERE id = 1"] {
        client.show(sql);
    }
    client.show("UPDATE acct SET v = v + 1 WHERE id = 2");
    client.show("COMMIT")
}

/// Another proxy, when it has finished what it found.
fn heir(cluster: &Cluster) -> TestProxy {
    let proxy = TestProxy::start_with(cluster, RULES, |config| config.timeouts.in_doubt = Duration::from_secs(1));
    wait_until_clean(cluster);
    proxy
}

/// Strikes every fault of a kind, before both kinds of servers at once.
fn strike_everywhere(victim: Victim) {
    std::thread::scope(|scope| {
        for installation in installations() {
            scope.spawn(move || strike(&installation, victim));
        }
    });
}

fn strike(installation: &Installation, victim: Victim) {
    let mut cluster = bank(installation);
    let mut taps = Taps::before(&cluster.cluster);
    let mut proxy = taps.proxy(&cluster.cluster);
    let mut value = 0;
    let mut log = String::new();
    // The metadata tables are there before anything fails.
    assert_eq!(add(&mut connect(&proxy, "atomic"), false), "ok 0");
    value += 1;
    for (round, fault) in faults(victim).into_iter().enumerate() {
        let patience = Instant::now() + Duration::from_secs(60);
        *taps.plan.fault.lock().unwrap() = Some(fault);
        let told = loop {
            let mut client = connect(&proxy, "atomic");
            let adding = std::thread::spawn(move || add(&mut client, round % 4 > 1));
            while !adding.is_finished() {
                let Ok(group) = taps.struck.recv_timeout(Duration::from_millis(5)) else { continue };
                match fault.victim {
                    Victim::Nobody => drop(heir(&cluster.cluster)),
                    _ => {
                        cluster.cluster.groups[group].primary.kill();
                        cluster.cluster.groups[group].primary.restart().unwrap();
                    }
                }
                taps.go_on.send(()).unwrap();
            }
            let told = adding.join().unwrap();
            if taps.plan.fault.lock().unwrap().is_none() {
                break told;
            }
            // The proxy may not know yet that a server was killed, or is back.
            assert!(told.starts_with("error"), "the statement did not come, {fault:?}: {told}\n{log}");
            assert!(Instant::now() < patience, "the servers do not come back: {told}\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        };
        writeln!(log, "{fault:?}: {told}").unwrap();
        if fault.victim == Victim::Proxy {
            // Another proxy finds what this one left.
            drop((proxy, heir(&cluster.cluster)));
            taps = Taps::before(&cluster.cluster);
            proxy = taps.proxy(&cluster.cluster);
        }
        wait_until_clean(&cluster.cluster);
        let now = counters(&cluster.cluster);
        let same = |value: i32| vec![value.to_string(); 3] == now;
        let unknown = told.starts_with("error 1180") || told.starts_with("lost");
        assert!(same(value) || same(value + 1), "torn: {now:?} behind {value}\n{log}");
        assert!(!told.starts_with("ok") || same(value + 1), "a commit is lost\n{log}");
        assert!(told.starts_with("ok") || unknown || same(value), "what was refused took place\n{log}");
        value += i32::from(same(value + 1));
    }
    eprintln!("{}:\n{log}", installation.flavour);
}

#[test]
fn a_connection_is_lost_at_every_step() {
    strike_everywhere(Victim::Connection);
}

#[test]
fn the_proxy_dies_at_every_step_and_another_takes_over() {
    strike_everywhere(Victim::Proxy);
}

#[test]
fn a_server_dies_at_every_step_and_comes_back() {
    strike_everywhere(Victim::Server);
}

/// A proxy that was taken for dead and is not, and two that recover at once.
#[test]
fn the_proxy_freezes_at_every_step_and_goes_on() {
    strike_everywhere(Victim::Nobody);
}
