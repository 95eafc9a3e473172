//! A server that is none: it speaks the protocol over pipes and knows the dozen statements that commits and recovery are
//! made of, with XA's states, row locks on decisions, lost connections, lost answers, commands that take effect after
//! their sender is gone, and crashes. Time is tokio's, which stands still while anybody has something to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use crate::commit::id::Identity;
use crate::error::SqlError;
use crate::wire::capabilities::{Capabilities, Status};
use crate::wire::column::ColumnDef;
use crate::wire::cursor::put_lenenc_bytes;
use crate::wire::error::WireError;
use crate::wire::handshake::{Greeting, SCRAMBLE};
use crate::wire::link::Link;
use crate::wire::reply::{OkPacket, put_error};
use crate::wire::stream::Stream;

/// Random numbers that a seed decides.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn seeded(seed: u64) -> Dice {
        Dice((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % n
    }

    pub(super) fn chance(&mut self, per_thousand: u64) -> bool {
        self.below(1000) < per_thousand
    }
}

/// How bad things are, in cases of a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    /// A command does not arrive, and its connection is lost.
    pub(super) lose: u64,
    /// A command takes effect and its answer does not arrive.
    pub(super) mute: u64,
    /// A command, its effect or its answer takes up to forty seconds; a tenth as often outside of transactions, lest
    /// recovery, which asks much, never comes to an end.
    pub(super) slow: u64,
}

/// A condition of the protocol that the server breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    /// A fence is acknowledged and not kept.
    Fence,
    /// A decision to commit is taken after its deadline.
    Deadline,
    /// A decision goes when it is old, whoever may need it.
    Purge,
    /// XA PREPARE is acknowledged, and some branches are not prepared.
    Prepare,
    /// A crash loses what was acknowledged last.
    Crash,
}

pub(super) struct World {
    pub(super) dice: Mutex<Dice>,
    pub(super) weather: Mutex<Weather>,
    pub(super) lie: Option<Lie>,
    /// A prepared branch belongs to its connection until that ends.
    pub(super) attached: bool,
    /// Seconds since 1970 at the beginning.
    pub(super) epoch: u64,
    pub(super) begun: Instant,
    /// What happened, to be shown with a seed that fails.
    pub(super) log: Mutex<Vec<String>>,
}

impl World {
    fn now(&self) -> u64 {
        self.epoch + self.begun.elapsed().as_secs()
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        let at = self.begun.elapsed().as_secs_f64();
        self.log.lock().unwrap().push(format!("{at:8.3} {}", what()));
    }

    /// How long something takes: a millisecond or so, or very long.
    fn delay(&self, in_transaction: bool) -> Duration {
        let mut dice = self.dice.lock().unwrap();
        let slow = self.weather.lock().unwrap().slow;
        let is_slow = dice.chance(if in_transaction { slow } else { slow / 10 });
        let longest = if is_slow { [3_000_000, 15_000_000, 40_000_000][dice.below(3) as usize] } else { 2000 };
        Duration::from_micros(100 + dice.below(longest))
    }

    fn happens(&self, chance: impl Fn(&Weather) -> u64) -> bool {
        let chance = chance(&self.weather.lock().unwrap());
        self.dice.lock().unwrap().chance(chance)
    }
}

/// A transaction's name: gtrid and bqual.
type Xid = (String, String);

/// What a transaction has written and not committed.
#[derive(Clone, Debug, Default)]
struct Pending {
    rows: BTreeSet<u64>,
    decisions: BTreeMap<String, (char, String)>,
    markers: BTreeSet<Xid>,
}

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    /// Committed: each row is the number of a transaction.
    pub(super) rows: BTreeSet<u64>,
    pub(super) decisions: BTreeMap<String, (char, String)>,
    pub(super) markers: BTreeSet<Xid>,
    prepared: BTreeMap<Xid, Pending>,
}

#[derive(Clone, Debug)]
enum Part {
    Plain(Pending),
    Branch(Xid, Pending),
}

struct Session {
    part: Option<Part>,
    /// The branch it has prepared and that belongs to it.
    holds: Option<Xid>,
    working: bool,
    killed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    disk: Disk,
    /// Earlier ones, for a crash that loses something.
    before: Vec<Disk>,
    purge: BTreeMap<String, Instant>,
    sessions: BTreeMap<u32, Session>,
    next: u32,
    is_down: bool,
}

/// A group's server.
pub(super) struct Fake {
    identity: Identity,
    name: &'static str,
    world: Arc<World>,
    state: Mutex<State>,
}

/// An answer.
enum Answer {
    Changed(u64),
    Rows(Vec<Vec<String>>),
    Error(u16, &'static str),
}

const DONE: Answer = Answer::Changed(0);
const NOTA: Answer = Answer::Error(1397, "XAER_NOTA: Unknown XID");

const CAPABILITIES: Capabilities = Capabilities(
    Capabilities::LONG_PASSWORD.0
        | Capabilities::PROTOCOL_41.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::PLUGIN_AUTH_LENENC.0
        | Capabilities::TRANSACTIONS.0
        | Capabilities::DEPRECATE_EOF.0,
);

impl Fake {
    pub(super) fn new(name: &'static str, identity: u64, world: &Arc<World>) -> Arc<Fake> {
        Arc::new(Fake { identity: Identity(identity), name, world: world.clone(), state: Mutex::default() })
    }

    /// Serves whoever comes.
    pub(super) fn listen(self: &Arc<Fake>) -> mpsc::UnboundedSender<DuplexStream> {
        let (door, mut arrivals) = mpsc::unbounded_channel();
        let fake = self.clone();
        tokio::spawn(async move {
            while let Some(pipe) = arrivals.recv().await {
                let fake = fake.clone();
                tokio::spawn(async move {
                    if let Some((number, killed)) = fake.admit() {
                        let served = async {
                            tokio::select! {
                                biased;
                                () = killed.notified() => {}
                                _ = fake.serve(number, pipe) => {}
                            }
                        };
                        served.await;
                        fake.leave(number);
                    }
                });
            }
        });
        door
    }

    /// Every connection ends, and nobody is let in until [`Fake::rise`]; what is on the disk stays.
    pub(super) fn crash(&self) {
        let mut state = self.state.lock().unwrap();
        self.world.note(|| format!("{} crashes", self.name));
        state.is_down = true;
        for session in std::mem::take(&mut state.sessions).into_values() {
            session.killed.notify_one();
        }
        if self.world.lie == Some(Lie::Crash) && !state.before.is_empty() {
            let lost = self.world.dice.lock().unwrap().below(state.before.len() as u64);
            let kept = state.before.len() - 1 - lost as usize;
            state.disk = state.before.swap_remove(kept);
            state.before.clear();
        }
    }

    pub(super) fn rise(&self) {
        self.state.lock().unwrap().is_down = false;
    }

    pub(super) fn disk(&self) -> Disk {
        self.state.lock().unwrap().disk.clone()
    }

    /// Whether anything of a transaction over several groups is left but decisions to abort.
    pub(super) fn is_clean(&self) -> bool {
        let disk = &self.state.lock().unwrap().disk;
        let decided = disk.decisions.values().any(|(verdict, _)| *verdict == 'C');
        disk.prepared.is_empty() && disk.markers.is_empty() && !decided
    }

    fn admit(&self) -> Option<(u32, Arc<Notify>)> {
        let mut state = self.state.lock().unwrap();
        if state.is_down {
            return None;
        }
        state.next += 1;
        let (number, killed) = (state.next, Arc::new(Notify::new()));
        let session = Session { part: None, holds: None, working: false, killed: killed.clone() };
        state.sessions.insert(number, session);
        Some((number, killed))
    }

    fn leave(&self, number: u32) {
        // What is not prepared is rolled back; what is prepared is anybody's now.
        self.state.lock().unwrap().sessions.remove(&number);
    }

    /// Logs a client in and answers it, until it goes or is lost.
    async fn serve(&self, number: u32, pipe: DuplexStream) -> Result<(), WireError> {
        let mut link = Link::new(Stream::memory(pipe), 1 << 20);
        let version: &[u8] = if self.world.attached { b"5.5.5-10.11.14-MariaDB" } else { b"9.7.0" };
        let greeting = Greeting {
            version,
            thread_id: number,
            scramble: [1; SCRAMBLE],
            capabilities: CAPABILITIES,
            collation: 45,
            status: Status::AUTOCOMMIT,
            plugin: b"mysql_native_password",
        };
        link.push_with(|out| greeting.encode(out));
        link.flush().await?;
        link.expect_packet().await?;
        self.put(&mut link, number, DONE);
        link.flush().await?;
        let delay = || {
            let is_open =
                self.state.lock().unwrap().sessions.get(&number).is_some_and(|session| session.part.is_some());
            self.world.delay(is_open)
        };
        loop {
            link.start_command();
            let Some(packet) = link.read_packet().await? else { return Ok(()) };
            let payload = link.payload(&packet);
            if payload.first() != Some(&3) {
                return Ok(());
            }
            let sql = String::from_utf8_lossy(&payload[1..]).into_owned();
            sleep(delay()).await;
            if self.world.happens(|weather| weather.lose) {
                self.world.note(|| format!("{} #{number} is lost before {sql}", self.name));
                return Ok(());
            }
            self.work(number, true);
            sleep(delay()).await;
            let answer = self.answer(number, &sql).await;
            self.work(number, false);
            self.world.note(|| format!("{} #{number} {sql}: {}", self.name, answer.show()));
            sleep(delay()).await;
            if self.world.happens(|weather| weather.mute) {
                self.world.note(|| format!("{} #{number} is lost behind {sql}", self.name));
                return Ok(());
            }
            self.put(&mut link, number, answer);
            link.flush().await?;
        }
    }

    fn work(&self, number: u32, working: bool) {
        if let Some(session) = self.state.lock().unwrap().sessions.get_mut(&number) {
            session.working = working;
        }
    }

    fn put(&self, link: &mut Link, number: u32, answer: Answer) {
        let state = self.state.lock().unwrap();
        let open = state.sessions.get(&number).is_some_and(|session| session.part.is_some());
        let ok = OkPacket { status: Status::AUTOCOMMIT.when(Status::IN_TRANS, open), ..OkPacket::default() };
        match answer {
            Answer::Changed(rows) => {
                link.push_with(|out| OkPacket { affected_rows: rows, ..ok }.encode(CAPABILITIES, out));
            }
            Answer::Error(errno, text) => {
                let error = SqlError { errno, state: *b"HY000", message: text.to_owned() };
                link.push_with(|out| put_error(out, &error));
            }
            Answer::Rows(rows) => {
                // Nobody asks for the names of columns, nor for how many there are of no rows.
                let columns = rows.first().map_or(1, Vec::len);
                link.push(&[columns as u8]);
                for _ in 0..columns {
                    link.push_with(|out| ColumnDef::text("c", 100).encode(out));
                }
                for row in rows {
                    link.push_with(|out| row.iter().for_each(|cell| put_lenenc_bytes(out, cell.as_bytes())));
                }
                link.push_with(|out| ok.encode_end(CAPABILITIES, out));
            }
        }
    }

    /// What a statement does and says. A row that another has locked is waited for.
    async fn answer(&self, number: u32, sql: &str) -> Answer {
        let patience = Instant::now() + Duration::from_secs(1);
        loop {
            if let Some(answer) = self.try_answer(number, sql) {
                return answer;
            }
            if Instant::now() >= patience {
                return Answer::Error(1205, "Lock wait timeout exceeded; try restarting transaction");
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// `None`: a row that it wants to write is locked.
    fn try_answer(&self, number: u32, sql: &str) -> Option<Answer> {
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        if self.world.lie == Some(Lie::Purge) {
            let old = |since: &Instant| since.elapsed() > Duration::from_secs(20);
            let disk = &mut state.disk;
            state.purge.retain(|global, since| !old(since) || disk.decisions.remove(global).is_none());
        }
        let texts: Vec<&str> = sql.split('\'').skip(1).step_by(2).collect();
        let starts = |start: &str| sql.starts_with(start);
        if starts("XA ") && !starts("XA RECOVER") {
            return Some(self.xa(state, number, sql, (texts[0].to_owned(), texts[1].to_owned())));
        }
        if starts("INSERT") {
            return self.insert(state, number, sql, &texts);
        }
        let disk = &mut state.disk;
        Some(match sql {
            "XA RECOVER" => {
                let row = |(global, branch): &Xid| {
                    let sizes = [crate::commit::id::FORMAT as usize, global.len(), branch.len()];
                    sizes.iter().map(ToString::to_string).chain([format!("{global}{branch}")]).collect()
                };
                Answer::Rows(disk.prepared.keys().map(row).collect())
            }
            "SELECT UNIX_TIMESTAMP()" => Answer::Rows(vec![vec![self.world.now().to_string()]]),
            "START TRANSACTION" => {
                self.begin(state, number, Part::Plain(Pending::default()));
                DONE
            }
            "COMMIT" | "ROLLBACK" => {
                let part = state.sessions.get_mut(&number).and_then(|session| session.part.take());
                match part {
                    Some(Part::Plain(pending)) if sql == "COMMIT" => self.commit(state, pending),
                    Some(Part::Branch(..)) => return Some(Answer::Error(1399, "XAER_RMFAIL")),
                    _ => {}
                }
                DONE
            }
            _ if starts("SELECT identity") => Answer::Rows(vec![vec![self.identity.to_string()]]),
            _ if starts("SHOW DATABASES") => Answer::Rows(vec![vec!["_shardloom".to_owned()]]),
            _ if starts("SELECT gtrid, bqual") => {
                Answer::Rows(disk.markers.iter().map(|(global, branch)| vec![global.clone(), branch.clone()]).collect())
            }
            _ if starts("SELECT gtrid, verdict") => {
                let wanted = |global: &str| texts.first().is_none_or(|only| *only == global);
                let found = disk.decisions.iter().filter(|(global, _)| wanted(global));
                let row = |(global, (verdict, branches)): (&String, &(char, String))| {
                    vec![global.clone(), verdict.to_string(), branches.clone()]
                };
                Answer::Rows(found.map(row).collect())
            }
            // As it is, committed or not.
            _ if starts("SELECT verdict") => {
                let pending = state.sessions.values().filter_map(|session| Some(session.part.as_ref()?.pending()));
                let decision = pending.map(|pending| &pending.decisions).chain([&disk.decisions]);
                let verdict = decision.filter_map(|decisions| decisions.get(texts[0])).next();
                Answer::Rows(verdict.map(|(verdict, _)| vec![verdict.to_string()]).into_iter().collect())
            }
            "SHOW ENGINE INNODB STATUS" => {
                let holders = state.sessions.iter().filter(|(_, session)| session.holds.is_some());
                let shown = holders
                    .map(|(n, _)| format!("---TRANSACTION 1, ACTIVE (PREPARED) 1 sec\nMariaDB thread id {n}, OS"));
                Answer::Rows(vec![vec!["InnoDB".to_owned(), String::new(), shown.collect::<Vec<_>>().join("\n")]])
            }
            _ if starts("SELECT 1 FROM `_shardloom`.branch") => {
                let marker = (texts[0].to_owned(), texts[1].to_owned());
                Answer::Rows(disk.markers.contains(&marker).then(|| vec!["1".to_owned()]).into_iter().collect())
            }
            _ if starts("SELECT 1 FROM information_schema.PROCESSLIST") => {
                let sleeps = number_behind(sql, "ID=")
                    .and_then(|id| state.sessions.get(&(id as u32)))
                    .is_some_and(|session| !session.working);
                Answer::Rows(sleeps.then(|| vec!["1".to_owned()]).into_iter().collect())
            }
            _ if starts("KILL ") => {
                let victim = number_behind(sql, "KILL ").and_then(|id| state.sessions.remove(&(id as u32)));
                victim.map_or(Answer::Error(1094, "Unknown thread id"), |session| {
                    session.killed.notify_one();
                    DONE
                })
            }
            _ if starts("DELETE FROM `_shardloom`.decision") => {
                texts.iter().for_each(|global| drop(disk.decisions.remove(*global)));
                DONE
            }
            _ if starts("DELETE FROM `_shardloom`.branch") => {
                disk.markers.retain(|(global, _)| !texts.contains(&global.as_str()));
                DONE
            }
            _ if starts("SET ") || starts("CREATE ") || starts("DO ") || starts("SELECT row") => DONE,
            _ => panic!("the fake server does not know: {sql}"),
        })
    }

    fn begin(&self, state: &mut State, number: u32, part: Part) {
        if let Some(session) = state.sessions.get_mut(&number) {
            session.part = Some(part);
        }
    }

    fn insert(&self, state: &mut State, number: u32, sql: &str, texts: &[&str]) -> Option<Answer> {
        let is_decision = sql.starts_with("INSERT INTO `_shardloom`.decision");
        if is_decision {
            if sql.contains("FROM DUAL") {
                let late =
                    number_behind(sql, "UNIX_TIMESTAMP() < ").is_some_and(|deadline| self.world.now() >= deadline);
                if late && self.world.lie != Some(Lie::Deadline) {
                    return Some(DONE);
                }
            }
            if state.disk.decisions.contains_key(texts[0]) {
                return Some(Answer::Error(1062, "Duplicate entry"));
            }
            let others = state.sessions.iter().filter(|(other, _)| **other != number);
            let mut pending = others.filter_map(|(_, session)| Some(session.part.as_ref()?.pending()));
            if pending.any(|pending| pending.decisions.contains_key(texts[0])) {
                return None;
            }
        }
        let mut own = Pending::default();
        if is_decision {
            let verdict = texts[1].chars().next().unwrap_or('?');
            own.decisions.insert(texts[0].to_owned(), (verdict, texts[2].to_owned()));
            if verdict == 'A' && self.world.lie == Some(Lie::Fence) {
                return Some(Answer::Changed(1));
            }
        } else if sql.starts_with("INSERT INTO `_shardloom`.branch") {
            own.markers.insert((texts[0].to_owned(), texts[1].to_owned()));
        } else {
            own.rows.extend(number_behind(sql, "VALUES ("));
        }
        match state.sessions.get_mut(&number).map(|session| &mut session.part) {
            Some(Some(part)) => part.pending_mut().extend(own),
            Some(None) => self.commit(state, own),
            None => {}
        }
        Some(Answer::Changed(1))
    }

    fn xa(&self, state: &mut State, number: u32, sql: &str, xid: Xid) -> Answer {
        let verb = sql.split(' ').nth(1).unwrap_or_default();
        let one_phase = sql.ends_with("ONE PHASE");
        let owner = state.sessions.iter().find(|(_, session)| session.holds.as_ref() == Some(&xid));
        let is_anothers = owner.is_some_and(|(owner, _)| *owner != number);
        let Some(session) = state.sessions.get_mut(&number) else { return NOTA };
        let own = match &session.part {
            Some(Part::Branch(own, pending)) if *own == xid => Some(pending.clone()),
            _ => None,
        };
        match (verb, own) {
            ("START", _) => session.part = Some(Part::Branch(xid, Pending::default())),
            ("END", Some(_)) => {}
            ("PREPARE", Some(pending)) => {
                session.part = None;
                let lost = self.world.lie == Some(Lie::Prepare) && self.world.dice.lock().unwrap().chance(500);
                if !lost {
                    session.holds = self.world.attached.then(|| xid.clone());
                    self.remember(state);
                    state.disk.prepared.insert(xid, pending);
                }
            }
            ("COMMIT", Some(pending)) if one_phase => {
                session.part = None;
                self.commit(state, pending);
            }
            ("ROLLBACK", Some(_)) => session.part = None,
            ("COMMIT" | "ROLLBACK", None) if !is_anothers => {
                session.holds = session.holds.take().filter(|held| *held != xid);
                self.remember(state);
                let Some(pending) = state.disk.prepared.remove(&xid) else { return NOTA };
                if verb == "COMMIT" {
                    self.commit(state, pending);
                }
            }
            _ => return NOTA,
        }
        DONE
    }

    fn commit(&self, state: &mut State, pending: Pending) {
        self.remember(state);
        for (global, (verdict, _)) in &pending.decisions {
            if *verdict == 'C' {
                state.purge.insert(global.clone(), Instant::now());
            }
        }
        let disk = &mut state.disk;
        disk.rows.extend(pending.rows);
        disk.decisions.extend(pending.decisions);
        disk.markers.extend(pending.markers);
    }

    fn remember(&self, state: &mut State) {
        if self.world.lie == Some(Lie::Crash) {
            state.before.push(state.disk.clone());
            if state.before.len() > 3 {
                state.before.remove(0);
            }
        }
    }
}

impl Answer {
    fn show(&self) -> String {
        match self {
            Answer::Changed(rows) => format!("ok {rows}"),
            Answer::Rows(rows) => format!("{rows:?}"),
            Answer::Error(errno, _) => format!("error {errno}"),
        }
    }
}

impl Part {
    fn pending(&self) -> &Pending {
        match self {
            Part::Plain(pending) | Part::Branch(_, pending) => pending,
        }
    }

    fn pending_mut(&mut self) -> &mut Pending {
        match self {
            Part::Plain(pending) | Part::Branch(_, pending) => pending,
        }
    }
}

impl Pending {
    fn extend(&mut self, other: Pending) {
        self.rows.extend(other.rows);
        self.decisions.extend(other.decisions);
        self.markers.extend(other.markers);
    }
}

fn number_behind(sql: &str, what: &str) -> Option<u64> {
    let digits = &sql[sql.find(what)? + what.len()..];
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}
