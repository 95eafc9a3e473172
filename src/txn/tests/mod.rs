//! The coordinator and the recovery that run, over servers that are none ([`fake`]): some proxies, some transactions, and
//! all that can go wrong, in an order that a seed decides. Time is virtual, so that minutes go by in milliseconds.

#![allow(clippy::unwrap_used, clippy::panic)]

mod fake;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::active::Active;
use super::ledger::Ledger;
use super::{Access, Mode, Start, Txn, Wanted, recovery};
use crate::backend::cluster::{Group, Member, ReadPolicy};
use crate::backend::conn::{BackendError, Class};
use crate::backend::lease::Lease;
use crate::backend::pool::PoolLimits;
use crate::backend::server::{Server, ServerSpec};
use crate::metrics::Metrics;
use crate::rules::GroupId;
use crate::wire::command::com;
use crate::wire::login_client::Credentials;
use crate::wire::tls::ClientTls;
use fake::{Dice, Fake, Lie, Weather, World};

const GROUPS: [&str; 3] = ["g0", "g1", "g2"];
/// After which a branch belongs to nobody.
const SUSPECT: Duration = Duration::from_secs(3);
/// `timeouts.transaction`.
const LIFETIME: Duration = Duration::from_secs(20);
const CLASS: Class = Class { deprecate_eof: true, found_rows: false };

/// What a client was told of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Committed,
    Refused,
    /// That it is not known, or nothing: its proxy died at COMMIT.
    Unknown,
}

/// A transaction: where it writes, and what its client was told.
type Story = Arc<Mutex<BTreeMap<u64, (BTreeSet<usize>, Told)>>>;

/// One process: its view of the servers, what it calls its transactions, what it does.
struct Proxy {
    groups: Vec<Arc<Group>>,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    tasks: JoinSet<()>,
}

impl Proxy {
    fn start(fakes: &[Arc<Fake>], epoch: u64) -> Proxy {
        let minute = Duration::from_secs(60);
        let limits = PoolLimits { connections: 20, queue: 20, wait: minute, idle: minute, lifetime: 60 * minute };
        let policy = ReadPolicy { replicas: false, max_lag: minute, primary_wait: minute };
        let group = |(name, fake): (&&str, &Arc<Fake>)| {
            let spec = ServerSpec {
                address: "nowhere".to_owned(),
                credentials: Credentials { user: String::new(), password: String::new(), schema: String::new() },
                tls: ClientTls::disabled(),
                max_packet: 1 << 20,
            };
            let server = Server::new((*name).to_owned(), String::new(), spec, limits, minute / 12, 1);
            server.pipes.set(fake.listen()).unwrap();
            Arc::new(Group::new((*name).to_owned(), vec![Member { server: Arc::new(server), weight: 0 }], policy))
        };
        let groups: Vec<_> = GROUPS.iter().zip(fakes).map(group).collect();
        let metrics = Arc::new(Metrics::new(1));
        let ledger = Arc::new(Ledger::new(epoch, LIFETIME, metrics.clone()));
        let mut tasks = JoinSet::new();
        let watched = groups.clone();
        tasks.spawn(recovery::watch(ledger.clone(), SUSPECT, move || watched.clone()));
        Proxy { groups, ledger, metrics, tasks }
    }

    /// A client that begins a transaction, writes its number to some groups and commits.
    fn transact(&mut self, number: u64, story: &Story, world: &Arc<World>) {
        let (ledger, groups, story, world) = (self.ledger.clone(), self.groups.clone(), story.clone(), world.clone());
        self.tasks.spawn(async move {
            let (order, reader, pauses) = plan(&world);
            let writers: BTreeSet<usize> = order.iter().copied().filter(|group| Some(*group) != reader).collect();
            let tell = |told| drop(story.lock().unwrap().insert(number, (writers.clone(), told)));
            tell(Told::Refused);
            let mut txn = Txn::new(Arc::new(Active::new(number as u32, Arc::default())));
            txn.begin(Start::default());
            let mut well = true;
            for (group, pause) in order.iter().zip(pauses) {
                well = well && write(&mut txn, &groups, *group, number, Some(*group) == reader, &ledger).await.is_ok();
                sleep(pause).await;
            }
            if !well {
                drop(txn.end(false, &ledger).await);
                return;
            }
            tell(Told::Unknown);
            let told = match txn.end(true, &ledger).await {
                Ok(()) => Told::Committed,
                Err(error) if error.message.contains("is committed on all groups or will be") => Told::Unknown,
                Err(_) => Told::Refused,
            };
            world.note(|| format!("the client of {number} was told {told:?}"));
            tell(told);
        });
    }
}

/// Two or three groups, in an order; perhaps one that is only read; the pauses between.
fn plan(world: &World) -> (Vec<usize>, Option<usize>, Vec<Duration>) {
    let mut dice = world.dice.lock().unwrap();
    let mut order = vec![0, 1, 2];
    for i in 0..3 {
        order.swap(i, dice.below(3) as usize);
    }
    order.truncate(2 + dice.below(2) as usize);
    let reader = (order.len() == 3 && dice.chance(200)).then(|| order[dice.below(3) as usize]);
    // A client may sleep until the deadline is past, and further until a fence would be forgotten.
    let longest = if dice.chance(150) { 120_000 } else { 2000 };
    let pauses = order.iter().map(|_| Duration::from_millis(dice.below(longest)));
    let pauses = pauses.collect();
    (order, reader, pauses)
}

async fn write(
    txn: &mut Txn,
    groups: &[Arc<Group>],
    group: usize,
    number: u64,
    only_reads: bool,
    ledger: &Ledger,
) -> Result<(), ()> {
    let settings = Arc::default();
    let wanted = Wanted { worker: 0, class: CLASS, settings: &settings, database: None, mode: Mode::Atomic, ledger };
    let (access, sql) = match only_reads {
        true => (Access::Primary, "SELECT row".to_owned()),
        false => (Access::Write, format!("INSERT INTO t VALUES ({number})")),
    };
    let id = GroupId(group as u16);
    let mut lease = txn.lease(id, &groups[group], access, &wanted).await.map_err(drop)?;
    let outcome = ask(&mut lease, &sql).await;
    txn.settle(id, lease);
    outcome.map_err(drop)
}

async fn ask(lease: &mut Lease, sql: &str) -> Result<(), BackendError> {
    lease.send(com::QUERY, sql.as_bytes());
    lease.link.flush().await?;
    lease.finish_preludes().await?;
    lease.read_answer().await.map(drop)
}

/// What a seed came to, if it came to no good: what is wrong, and all that happened.
struct Failure {
    what: String,
    log: Vec<String>,
}

/// One order of events.
fn simulate(seed: u64, lie: Option<Lie>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut dice = Dice::seeded(seed);
        let weathers = [(0, 0, 0), (15, 15, 0), (0, 0, 30), (5, 5, 60), (0, 0, 100)];
        let (lose, mute, slow) = weathers[dice.below(5) as usize];
        let attached = dice.chance(500);
        let world = Arc::new(World {
            weather: Mutex::new(Weather { lose, mute, slow }),
            dice: Mutex::new(dice),
            lie,
            attached,
            epoch: SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
            begun: Instant::now(),
            log: Mutex::default(),
        });
        let what = happen(&world).await;
        let log = std::mem::take(&mut *world.log.lock().unwrap());
        if std::env::var("SHOW").is_ok() {
            println!("{}", log.join("\n"));
        }
        what.map_err(|what| Failure { what, log })
    })
}

async fn happen(world: &Arc<World>) -> Result<(), String> {
    let roll = |n: u64| world.dice.lock().unwrap().below(n);
    let fakes: Vec<_> = (1..).zip(GROUPS).map(|(identity, name)| Fake::new(name, identity, world)).collect();
    let story = Story::default();
    let mut proxies = vec![Proxy::start(&fakes, 1), Proxy::start(&fakes, 2)];
    let mut lost = 0;
    let mut count = |proxy: &Proxy| lost += proxy.metrics.commits.lost.load(Ordering::Relaxed);
    for number in 0..2 + roll(7) {
        let proxy = roll(2) as usize;
        proxies[proxy].transact(number, &story, world);
        sleep(Duration::from_millis(roll(3000))).await;
    }
    for event in 0..roll(4) {
        sleep(Duration::from_millis(roll(if roll(2) == 0 { 50 } else { 15_000 }))).await;
        if roll(2) == 0 {
            let proxy = roll(2) as usize;
            world.note(|| format!("proxy {proxy} dies"));
            count(&proxies[proxy]);
            proxies[proxy].tasks.shutdown().await;
            proxies[proxy] = Proxy::start(&fakes, 3 + event);
        } else {
            let fake = fakes[roll(3) as usize].clone();
            let down = Duration::from_millis(roll(30_000));
            fake.crash();
            tokio::spawn(async move {
                sleep(down).await;
                fake.rise();
            });
        }
    }
    // The weather clears when all clients have had an answer; then all has to come to an end.
    let working = || story.lock().unwrap().values().filter(|(_, told)| *told != Told::Committed).count();
    let mut patience = Instant::now() + Duration::from_secs(200);
    while working() > 0 && proxies.iter().any(|proxy| proxy.tasks.len() > 1) && Instant::now() < patience {
        for proxy in &mut proxies {
            while proxy.tasks.try_join_next().is_some() {}
        }
        sleep(Duration::from_secs(1)).await;
    }
    *world.weather.lock().unwrap() = Weather::default();
    fakes.iter().for_each(|fake| fake.rise());
    patience = Instant::now() + Duration::from_secs(300);
    while !fakes.iter().all(|fake| fake.is_clean()) || proxies.iter().any(|proxy| proxy.tasks.len() > 1) {
        for proxy in &mut proxies {
            while proxy.tasks.try_join_next().is_some() {}
        }
        if Instant::now() > patience {
            judge(&story, &fakes)?;
            return Err("it does not end".to_owned());
        }
        sleep(Duration::from_secs(1)).await;
    }
    proxies.iter().for_each(&mut count);
    if lost > 0 {
        return Err("a branch was taken for lost".to_owned());
    }
    judge(&story, &fakes)
}

fn judge(story: &Story, fakes: &[Arc<Fake>]) -> Result<(), String> {
    for (number, (writers, told)) in &*story.lock().unwrap() {
        let has = |group: &usize| fakes[*group].disk().rows.contains(number);
        let found: BTreeSet<usize> = (0..fakes.len()).filter(has).collect();
        if !found.is_empty() && found != *writers {
            return Err(format!("{number} is torn: it wrote to {writers:?} and is found on {found:?}"));
        }
        match (told, found.is_empty()) {
            (Told::Committed, true) => return Err(format!("{number} was acknowledged and is lost")),
            (Told::Refused, false) => return Err(format!("{number} was refused and took place")),
            _ => {}
        }
    }
    Ok(())
}

/// SEEDS of them, from SEED on; SHOW=1 prints all that happens.
#[test]
fn every_seed_ends_and_ends_right() {
    let number = |name: &str, other| std::env::var(name).map_or(other, |value| value.parse().unwrap());
    let (first, seeds) = (number("SEED", 0), number("SEEDS", 200));
    let begun = std::time::Instant::now();
    for seed in first..first + seeds {
        if let Err(Failure { what, log }) = simulate(seed, None) {
            panic!("SEED={seed}: {what}\n{}", log.join("\n"));
        }
    }
    println!("{seeds} seeds in {:.1?}", begun.elapsed());
}

/// Each condition is needed: where servers break it, some seed finds how a transaction is torn or lost.
#[test]
fn each_broken_condition_is_found() {
    let most = std::env::var("SEEDS").map_or(6000, |value| value.parse().unwrap());
    for lie in [Lie::Fence, Lie::Deadline, Lie::Purge, Lie::Prepare, Lie::Crash] {
        let found = (0..most).find_map(|seed| Some((seed, simulate(seed, Some(lie)).err()?)));
        let (seed, failure) = found.unwrap_or_else(|| panic!("{lie:?} is not found"));
        println!("{lie:?}: seed {seed}: {}", failure.what);
    }
}
