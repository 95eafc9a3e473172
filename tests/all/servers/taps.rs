//! Taps between a proxy and its servers: they pass everything on until the statement comes that a fault is meant for, and
//! then cut, kill or hold as it says. They know where statements begin, and nothing of what they mean.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use shardloom::config::Config;
use shardloom::demo::cluster::Cluster;

use crate::servers::proxy::TestProxy;

/// What dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    /// The connection that carries the statement.
    Connection,
    /// All connections of the proxy, which can open no more: for the servers, it is dead.
    Proxy,
    /// The server that gets the statement; it is started again.
    Server,
    /// Nobody: the connection is held up, while its own proxy and another recover what they find at once; then it goes on.
    Nobody,
    /// Nobody: the whole proxy is held up until two others have finished what they find, the transaction's deadline is
    /// past and their fence forgotten; then it goes on.
    Deadline,
}

/// Where and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) group: usize,
    /// The beginning of the statement.
    pub(crate) at: &'static str,
    /// The statement has taken effect.
    pub(crate) after: bool,
    pub(crate) victim: Victim,
}

/// Stands between a proxy and all of its servers.
pub(crate) struct Taps {
    plan: Arc<Plan>,
    addresses: Vec<SocketAddr>,
    /// The group of a fault that somebody has to carry out, who says when that is done.
    pub(crate) struck: Receiver<usize>,
    pub(crate) go_on: Sender<()>,
}

struct Plan {
    fault: Mutex<Option<Fault>>,
    dead: Mutex<bool>,
    streams: Mutex<Vec<TcpStream>>,
    /// Held while nothing may pass.
    frozen: Mutex<()>,
    /// Tells the test that it has something to do, and waits until it is done.
    strike: Mutex<(Sender<usize>, Receiver<()>)>,
}

impl Taps {
    pub(crate) fn before(cluster: &Cluster) -> Taps {
        let (strike, struck) = channel();
        let (go_on, wait) = channel();
        let plan = Arc::new(Plan {
            fault: Mutex::new(None),
            dead: Mutex::new(false),
            streams: Mutex::new(Vec::new()),
            frozen: Mutex::new(()),
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
    pub(crate) fn proxy(&self, cluster: &Cluster, rules: &str, change: impl FnOnce(&mut Config)) -> TestProxy {
        TestProxy::start_with(cluster, rules, |config| {
            let path = config.rules.join("rules.toml");
            let mut rules = std::fs::read_to_string(&path).unwrap();
            for (group, address) in cluster.groups.iter().zip(&self.addresses) {
                rules = rules.replace(&group.primary.addr(), &address.to_string());
            }
            // What is encrypted, nobody in between can read.
            std::fs::write(path, rules.replace("password = ", "tls = \"disabled\"\npassword = ")).unwrap();
            change(config);
        })
    }

    /// The next statement that the fault is meant for meets it.
    pub(crate) fn arm(&self, fault: Fault) {
        *self.plan.fault.lock().unwrap() = Some(fault);
    }

    /// Whether the fault is still to come.
    pub(crate) fn is_armed(&self) -> bool {
        self.plan.fault.lock().unwrap().is_some()
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
            drop(self.frozen.lock());
            let met = self.meet(group, &buffer[..count]);
            let end = met.map_or(count, |(_, end)| end);
            let Some((fault, _)) = met.filter(|(fault, _)| fault.victim.is_killed()) else {
                server.write_all(&buffer[..end]).ok();
                if let Some((fault, _)) = met {
                    let _frozen = (fault.victim == Victim::Deadline).then(|| self.frozen.lock());
                    self.strike(group);
                }
                if server.write_all(&buffer[end..count]).is_err() {
                    break;
                }
                continue;
            };
            // The server does what came up to here, and finds the connection closed behind it.
            *muted.lock().unwrap() = true;
            server.write_all(&buffer[..end]).ok();
            match fault.victim {
                Victim::Proxy => {
                    *self.dead.lock().unwrap() = true;
                    finish(&mut server);
                    for stream in self.streams.lock().unwrap().drain(..) {
                        stream.shutdown(Shutdown::Both).ok();
                    }
                }
                Victim::Server => {
                    if fault.after {
                        finish(&mut server);
                    }
                    self.strike(group);
                }
                Victim::Connection | Victim::Nobody | Victim::Deadline => {}
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
        if strike.0.send(group).is_ok() {
            strike.1.recv().ok();
        }
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

impl Victim {
    /// Whether the connection that met the fault is gone.
    fn is_killed(self) -> bool {
        matches!(self, Victim::Connection | Victim::Proxy | Victim::Server)
    }
}

/// Says that nothing more comes, and waits until the server has done what came.
fn finish(server: &mut TcpStream) {
    server.shutdown(Shutdown::Write).ok();
    let mut nothing = [0; 4096];
    while let Ok(1..) = server.read(&mut nothing) {}
}
