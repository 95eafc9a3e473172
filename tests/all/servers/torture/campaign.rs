//! The servers and proxies of a campaign, and what happens to them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use shardloom::demo::cluster::{Cluster, Group};
use shardloom::demo::folder::TempFolder;
use shardloom::demo::install::{Installation, account};
use shardloom::demo::server::{Server, free_port};
use shardloom::sql::Flavour;
use shardloom::wire::auth::hash_password;

use crate::servers::atomic::leftovers;
use crate::servers::failover::{fail_over, follows, layout};
use crate::servers::proxy::{Client, PASSWORD, write_rules};
use crate::servers::score::dice::Dice;
use crate::servers::testbed::{PATIENCE, TestCluster, folder};
use crate::servers::torture::history::{BALANCE, Stored};
use crate::servers::torture::work::{ACCOUNTS, LISTS, Shared, numbers, rules, work};

const CLIENTS: u64 = 6;
/// Why the workers of a MySQL replica have stopped.
const WORKERS: &str = "SELECT worker_id, last_error_number, last_error_message FROM \
                       performance_schema.replication_applier_status_by_worker WHERE last_error_number <> 0";
/// From one fault to the next.
const QUIET: (u64, u64) = (500, 3000);

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    ProxyKilled,
    ProxyFrozen,
    ServerKilled,
    ServerFrozen,
    ReplicaPromoted,
    ConnectionsCut,
    ResolveByHand,
}

const FAULTS: [Fault; 7] = [
    Fault::ProxyKilled,
    Fault::ProxyFrozen,
    Fault::ServerKilled,
    Fault::ServerFrozen,
    Fault::ReplicaPromoted,
    Fault::ConnectionsCut,
    Fault::ResolveByHand,
];

/// Three groups with a replica each, and two proxies.
pub(super) struct Campaign {
    cluster: TestCluster,
    proxies: Vec<Proxy>,
    dice: Dice,
    seed: u64,
    /// Longer than what `make test` has time for.
    is_long: bool,
    survived: BTreeMap<Fault, usize>,
}

/// A proxy in a process of its own, which can be killed and frozen; its address stays.
struct Proxy {
    address: SocketAddr,
    config: PathBuf,
    /// A copy, as an hour's campaign outlives what is built meanwhile.
    program: PathBuf,
    process: Child,
    _folder: TempFolder,
}

impl Campaign {
    pub(super) fn start(installation: &Installation, seed: u64) -> Campaign {
        let cluster = TestCluster::start(installation, &layout(installation));
        for (g, group) in (0..).zip(&cluster.cluster.groups) {
            let rows = |count: u64, value: &str| -> String {
                let own = (0..count).filter(|id| id % 3 == g).map(|id| format!("({id}, {value})"));
                own.collect::<Vec<_>>().join(", ")
            };
            let (accounts, lists) = (rows(ACCOUNTS, &BALANCE.to_string()), rows(LISTS, "''"));
            let ddl = format!(
                "CREATE DATABASE bank; USE bank; CREATE TABLE acct_{g} (id INT PRIMARY KEY, v BIGINT NOT NULL); \
                 CREATE TABLE list_{g} (id INT PRIMARY KEY, v MEDIUMTEXT NOT NULL); \
                 CREATE TABLE note_{g} (id BIGINT PRIMARY KEY, n BIGINT NOT NULL); \
                 CREATE TABLE slot_{g} (id BIGINT PRIMARY KEY, n BIGINT NOT NULL); \
                 INSERT INTO acct_{g} VALUES {accounts}; INSERT INTO list_{g} VALUES {lists};"
            );
            group.primary.sql(&ddl).unwrap();
        }
        let proxies = (0..2).map(|_| Proxy::start(&cluster.cluster)).collect();
        Campaign { cluster, proxies, dice: Dice::seeded(seed), seed, is_long: false, survived: BTreeMap::new() }
    }

    /// Lets clients work and things happen for as long; then everything comes back, and must be right. What it survived.
    pub(super) fn run(mut self, duration: Duration) -> String {
        self.is_long = duration > Duration::from_secs(60);
        let shared = Shared::default();
        let addresses = [self.proxies[0].address, self.proxies[1].address];
        let end = Instant::now() + duration;
        let flavour = self.cluster.cluster.groups[0].primary.installation().flavour;
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (shared, seed) = (&shared, self.seed * CLIENTS + client);
                scope.spawn(move || work(shared, addresses, seed));
            }
            // A fault that fails (a server that does not start, say) must not leave the clients at work for ever.
            let striking = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                while Instant::now() < end {
                    let (least, more) = QUIET;
                    std::thread::sleep(Duration::from_millis(least + self.dice.below(more as usize) as u64));
                    let fault = FAULTS[self.dice.below(FAULTS.len())];
                    self.let_happen(fault);
                    self.dice.next_case();
                    *self.survived.entry(fault).or_default() += 1;
                }
            }));
            shared.end();
            if let Err(panic) = striking {
                std::panic::resume_unwind(panic);
            }
        });
        let (took, left) = self.settle();
        let stored = self.stored();
        self.compare_replicas();
        let history = shared.history.into_inner().unwrap();
        assert!(left.is_empty(), "{flavour}, SEED={}: left on the servers: {left:#?}", self.seed);
        let verdict = match history.judge(&stored) {
            Ok(verdict) => verdict,
            Err(wrong) => panic!("{flavour}, SEED={}: {}", self.seed, wrong.join("\n")),
        };
        assert!(verdict.committed > 0, "{flavour}: nothing was committed");
        let mut told = format!(
            "{flavour}: survived {} s and {} faults; recovery was through {took:.1?} after the last\n",
            duration.as_secs(),
            self.survived.values().sum::<usize>()
        );
        for (fault, count) in &self.survived {
            writeln!(told, "  {count:6} x {fault:?}").unwrap();
        }
        let (done, not) = verdict.unknown;
        writeln!(told, "  {:6} transactions were acknowledged, and each is there", verdict.committed).unwrap();
        writeln!(told, "  {:6} were refused, and none is there", verdict.refused).unwrap();
        writeln!(told, "  {:6} lost their client: {done} are there on all groups, {not} on none", done + not).unwrap();
        let reads = history.reads.len();
        write!(told, "  {reads:6} reads of lists; {} without locks saw no snapshot", verdict.fractured).unwrap();
        told
    }

    fn let_happen(&mut self, fault: Fault) {
        let proxy = self.dice.below(self.proxies.len());
        let group = self.dice.below(3);
        let for_a_while = Duration::from_millis(self.dice.below(4000) as u64);
        // A primary waits for its replica between what it logs and what it does: `failover` strikes there, and so does a
        // campaign that is long enough to sort out what comes of it.
        let strikes = self.is_long && self.dice.chance(50);
        let gap = Duration::from_millis(if strikes { 100 + self.dice.below(400) as u64 } else { 0 });
        match fault {
            Fault::ProxyKilled => {
                self.proxies[proxy].kill();
                std::thread::sleep(for_a_while);
                self.proxies[proxy].restart();
            }
            Fault::ProxyFrozen => {
                // At times for so long that the deadline of its transactions goes by.
                let long = if self.dice.chance(20) { 4 } else { 1 };
                self.proxies[proxy].signal(Signal::STOP);
                std::thread::sleep(for_a_while * long);
                self.proxies[proxy].signal(Signal::CONT);
            }
            Fault::ServerKilled => {
                let group = &mut self.cluster.cluster.groups[group];
                kill_primary(group, gap);
                std::thread::sleep(for_a_while / 2);
                group.primary.restart().unwrap();
                if group.primary.installation().flavour == Flavour::MariaDb {
                    // Its replicas may stop now, or wait for ever (docs/transactions.md).
                    std::thread::sleep(for_a_while / 2);
                    remake_replica(group);
                }
            }
            Fault::ServerFrozen => {
                let server = &self.cluster.cluster.groups[group].primary;
                server.freeze();
                std::thread::sleep(for_a_while);
                server.thaw();
            }
            Fault::ReplicaPromoted => {
                let group = &mut self.cluster.cluster.groups[group];
                wait_until_safe(group);
                kill_primary(group, gap);
                fail_over(group);
                std::thread::sleep(for_a_while);
                remake_replica(group);
            }
            Fault::ConnectionsCut => {
                let server = &self.cluster.cluster.groups[group].primary;
                let own = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '";
                let ids = server.sql(&format!("{own}{}'", account::USER)).unwrap();
                // One that ended by itself meanwhile is an error; the next is not to be spared for it.
                for id in ids.lines().filter(|_| self.dice.chance(50)) {
                    server.sql(&format!("KILL {id}")).ok();
                }
            }
            Fault::ResolveByHand => {
                let rules = self.proxies[proxy].config.with_file_name("rules");
                let mut resolve = Command::new(&self.proxies[proxy].program);
                resolve.args(["txn", "resolve", "--rules"]).arg(rules);
                // It says no while something is prepared still, which is as it should be.
                resolve.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            }
        }
    }

    /// Waits until recovery has nothing left to do: how long that took, and what is left after all.
    fn settle(&mut self) -> (Duration, Vec<String>) {
        let begun = Instant::now();
        loop {
            let left = leftovers(&self.cluster.cluster);
            if left.is_empty() || begun.elapsed() > Duration::from_secs(240) {
                return (begun.elapsed(), left);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What a replica has is what its primary has, and nothing is prepared there that nobody will ever end.
    fn compare_replicas(&self) {
        for (g, group) in self.cluster.cluster.groups.iter().enumerate() {
            if let Err(error) = group.catch_up(PATIENCE) {
                let error = error.to_string();
                println!("SEED={}: {error}\n{:?}", self.seed, group.replicas[0].sql(WORKERS));
                // MySQL says of this one alone that a restart makes it good.
                assert!(error.contains("\t1756\t"), "SEED={}: a replica does not follow", self.seed);
                group.replicas[0].sql("STOP REPLICA; START REPLICA").unwrap();
                group.catch_up(PATIENCE).unwrap();
            }
            let tables =
                format!("CHECKSUM TABLE bank.acct_{g}, bank.list_{g}, bank.note_{g}, bank.slot_{g}; XA RECOVER");
            let has = |server: &Server| server.sql(&tables).unwrap();
            assert_eq!(has(&group.replicas[0]), has(&group.primary), "SEED={}: a replica differs", self.seed);
        }
    }

    fn stored(&self) -> Stored {
        let mut stored = Stored::default();
        for (g, group) in (0..).zip(&self.cluster.cluster.groups) {
            let mut server = Client::connect(&group.primary.addr(), account::USER, account::PASSWORD, "bank");
            let mut rows = |sql: String| -> Vec<(u64, String)> {
                let found = server.run(&sql);
                let row = |row| (found.text(row, 0).unwrap().parse().unwrap(), found.text(row, 1).unwrap());
                (0..found.rows.len()).map(row).collect()
            };
            let accounts = rows(format!("SELECT id, v FROM acct_{g}"));
            stored.accounts.extend(accounts.into_iter().map(|(id, v)| (id, v.parse::<i64>().unwrap())));
            let lists = rows(format!("SELECT id, v FROM list_{g} WHERE v <> ''"));
            stored.lists.extend(lists.into_iter().map(|(id, v)| (id, numbers(&v))));
            for (id, n) in rows(format!("SELECT id, n FROM note_{g}")) {
                assert_eq!(id / 3, n.parse::<u64>().unwrap());
                stored.notes.entry(id / 3).or_default().insert(g);
            }
            for (_, n) in rows(format!("SELECT id, n FROM slot_{g}")) {
                stored.notes.entry(n.parse().unwrap()).or_default().insert(g);
            }
        }
        stored
    }
}

/// Kills it when it has waited so long for its replica, which has all of that the moment after.
fn kill_primary(group: &mut Group, gap: Duration) {
    if !gap.is_zero() {
        group.replicas[0].freeze();
        std::thread::sleep(gap);
    }
    group.primary.kill();
    group.replicas[0].thaw();
}

/// Who comes back has nothing that the others do not know of.
fn remake_replica(group: &mut Group) {
    group.primary.sql("FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW()").unwrap();
    group.replicas[0].become_copy_of(&mut group.primary).unwrap();
}

/// Waits until the replica has all that was acknowledged, and whatever is acknowledged from then on: while a server was
/// started again or copied, its primary went on without it.
fn wait_until_safe(group: &Group) {
    let deadline = Instant::now() + PATIENCE;
    let has_all = || follows(group) && group.catch_up(Duration::from_secs(5)).is_ok() && follows(group);
    while !has_all() {
        if Instant::now() > deadline {
            let status = match group.primary.installation().flavour {
                Flavour::MySql => {
                    "SHOW REPLICA STATUS; SELECT * FROM performance_schema.replication_applier_status_by_worker"
                }
                Flavour::MariaDb => "SHOW SLAVE STATUS",
            };
            let status = format!("{status}; XA RECOVER; SHOW PROCESSLIST");
            let status = [&group.primary, &group.replicas[0]].map(|server| server.sql(&status).unwrap());
            panic!("a replica has not all that is acknowledged, after {PATIENCE:?}: {}", status.join("\nreplica: "));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

impl Proxy {
    fn start(cluster: &Cluster) -> Proxy {
        let folder = folder();
        let written = folder.path().join("rules");
        std::fs::create_dir(&written).unwrap();
        write_rules(&written, cluster, &rules());
        let address = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
        let (sha2, native) = hash_password(PASSWORD.as_bytes()).unwrap();
        let text = format!(
            "listen = ['{address}']\nrules = '{}'\n[timeouts]\nin_doubt = '2s'\ntransaction = '10s'\n[user.app]\n\
             password = ['{sha2}', '{native}']\nschemas = ['bank']\n",
            written.display(),
        );
        let config = folder.path().join("shardloom.toml");
        std::fs::write(&config, text).unwrap();
        let program = folder.path().join("shardloom");
        // A copy, as a build meanwhile replaces the program; and not by this process: what another thread starts in
        // that moment would inherit the file open for writing, and no such file can be executed.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_shardloom")).arg(&program).status().unwrap();
        assert!(copied.success());
        let process = spawn(&program, &config);
        let proxy = Proxy { address, config, program, process, _folder: folder };
        proxy.wait();
        proxy
    }

    fn wait(&self) {
        let patience = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(self.address).is_err() {
            let log = || std::fs::read_to_string(self.config.with_file_name("log")).unwrap();
            assert!(Instant::now() < patience, "a proxy does not start: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.process.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn restart(&mut self) {
        self.process = spawn(&self.program, &self.config);
        self.wait();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn spawn(program: &Path, config: &Path) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(config.with_file_name("log")).unwrap();
    let mut command = Command::new(program);
    command.arg("serve").arg("--config").arg(config).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}
