//! The transaction of a session: the only door to a backend connection. It knows which connections the
//! session holds and why; it does not know what the statements say.

pub mod active;
pub mod deadlock;
mod finish;
pub mod kill;
pub mod ledger;
pub mod recovery;
pub mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::backend::cluster::Group;
use crate::backend::conn::{BackendError, Class};
use crate::backend::gtid::Gtid;
use crate::backend::lease::{Lease, Permit};
use crate::backend::server::Server;
use crate::backend::settings::Settings;
use crate::commit::id::{BranchId, GlobalId};
use crate::error::{Code, SqlError};
use crate::rare::boxed;
use crate::rules::GroupId;
use crate::sql::hint::TransactionMode;
use crate::txn::active::Active;
use crate::txn::ledger::{Ledger, sql};
use crate::wire::command::com;

/// The savepoint in front of a statement that has parts on several targets.
pub const STATEMENT: &str = "shardloom_statement";

/// The errors with which a server may roll back a whole transaction: lock wait timeout (if so configured), too many locks,
/// deadlock, and the last two of XA.
const ROLLS_BACK: [u16; 5] = [1205, 1206, 1213, 1613, 1614];

/// What a session's transaction is, and the connections it holds for it.
pub struct Txn {
    state: State,
    held: BTreeMap<GroupId, Lease>,
    /// Connections that hold state of the session which no other connection has, and why.
    pinned: BTreeSet<(GroupId, Pin)>,
    /// The savepoints of the transaction, in order, for servers that it touches later.
    pending: Savepoints,
    /// What the open transaction has on the groups.
    reach: Reach,
    /// The last write of the session to each group; `None` where the server gives writes no number.
    written: BTreeMap<GroupId, Option<Gtid>>,
    /// What others see of it.
    active: Arc<Active>,
    /// They see something.
    seen: bool,
}

/// How far an open transaction reaches. Empty if none is open.
#[derive(Default)]
struct Reach {
    /// The groups that it has touched, each with a connection in `held`.
    parts: BTreeMap<GroupId, Part>,
    /// Those of them that it may have written to, and others where a write found no connection: see [`Reach::wrote`].
    writers: BTreeSet<GroupId>,
    /// The first group it touched, where it is plain in any case.
    first: Option<First>,
    /// Its name, once it has branches.
    global: Option<GlobalId>,
    /// The mode of the statement that touched the first group holds for all of it.
    mode: Option<Mode>,
}

impl Reach {
    /// The groups that it may have written to. All others have nothing to commit.
    fn wrote(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.writers.iter().copied().filter(|group| self.parts.contains_key(group))
    }
}

/// What a transaction is on one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A transaction of that server.
    Plain,
    /// A branch of an XA transaction.
    Branch(BranchId),
}

/// The group that a transaction touched first: its commit point, if others follow.
struct First {
    group: Arc<Group>,
    server: Arc<Server>,
    /// The server's number for the connection.
    connection: u32,
}

/// The savepoints of a transaction, each with the statement that set it.
#[derive(Debug, Default)]
struct Savepoints(Vec<(String, Box<[u8]>)>);

impl Savepoints {
    /// SAVEPOINT, ROLLBACK TO or RELEASE, as far as names go.
    fn apply(&mut self, sql: &[u8], name: &str, sets: bool) -> Result<(), SqlError> {
        let place = self.0.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        if sets {
            if let Some(place) = place {
                self.0.remove(place);
            }
            self.0.push((name.to_owned(), sql.into()));
            return Ok(());
        }
        let Some(place) = place else {
            let message = format!("SAVEPOINT {name} does not exist");
            return Err(SqlError { errno: 1305, state: *b"42000", message });
        };
        let release = sql.get(..7).is_some_and(|verb| verb.eq_ignore_ascii_case(b"RELEASE"));
        self.0.truncate(if release { place } else { place + 1 });
        Ok(())
    }

    /// Queues them on a connection that joins.
    fn queue(&self, lease: &mut Lease) {
        for (_, savepoint) in &self.0 {
            lease.send_prelude(savepoint);
        }
    }
}

/// Where the session stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// No transaction is open; each statement is its own.
    #[default]
    Auto,
    /// One is open. It reaches a server with the first statement that needs one.
    Open(Start),
    /// One was open and its server was lost; why. All but ROLLBACK is refused, because statements
    /// after the lost ones would otherwise be committed without them.
    Failed(String),
}

/// How a transaction was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// READ ONLY or READ WRITE, if said.
    pub read_only: Option<bool>,
    /// WITH CONSISTENT SNAPSHOT.
    pub snapshot: bool,
    /// The level of a `SET TRANSACTION ISOLATION LEVEL` for this one transaction.
    pub isolation: Option<Arc<str>>,
    /// It was not asked for: autocommit is off and a statement opened it on its server.
    pub implicit: bool,
    /// Whether it may write to several groups, if BEGIN said so; else its first statement says.
    pub mode: Option<Mode>,
}

/// Why a connection stays with a session between transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pin {
    /// It has a temporary table.
    TemporaryTable,
    /// It holds a lock of GET_LOCK().
    UserLock,
    /// It holds LOCK TABLES.
    LockTables,
    /// It has an open HANDLER.
    Handler,
    /// It has a server-side cursor that is still being fetched.
    Cursor,
    /// The client's own statement changed the session in a way the proxy does not follow (CALL, ...).
    SessionState,
}

/// Whether one transaction may write to several groups. It may read from as many as it likes: a snapshot of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It may, and they commit together or not at all.
    Atomic,
    /// A write to a second group is refused.
    Single,
    /// Each group commits for itself, one after the other: a failure between two commits leaves some done.
    BestEffort,
}

impl From<TransactionMode> for Mode {
    fn from(wish: TransactionMode) -> Mode {
        match wish {
            TransactionMode::Atomic => Mode::Atomic,
            TransactionMode::Single => Mode::Single,
            TransactionMode::BestEffort => Mode::BestEffort,
        }
    }
}

/// What a connection must be like for the session that asks for it.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The worker that asks.
    pub worker: usize,
    /// Class of the client.
    pub class: Class,
    /// The session's settings.
    pub settings: &'a Arc<Settings>,
    /// The physical name of the session's schema on this group.
    pub database: Option<&'a Arc<str>>,
    /// Whether several groups may be written to.
    pub mode: Mode,
    /// Where transactions over several groups get their names.
    pub ledger: &'a Ledger,
}

/// Which member of a group a statement may run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The primary only, and it may be written to.
    Write,
    /// The primary only: a locking read, any read in a transaction.
    Primary,
    /// A replica may do, if it has applied the session's last write.
    Replica,
}

impl Txn {
    /// Of a session that has none yet; others see it at `active`.
    pub fn new(active: Arc<Active>) -> Txn {
        Txn {
            state: State::Auto,
            held: BTreeMap::new(),
            pinned: BTreeSet::new(),
            pending: Savepoints::default(),
            reach: Reach::default(),
            written: BTreeMap::new(),
            active,
            seen: false,
        }
    }

    /// A statement of the session begins, at `since`, or has ended.
    pub fn running(&self, since: Option<Instant>) {
        if self.seen {
            self.active.run(since);
        }
    }

    /// Others see an open transaction from now on.
    fn open(&mut self) {
        self.active.begin(Instant::now());
        self.seen = true;
    }

    /// Others see none any more.
    fn close(&mut self) {
        if std::mem::take(&mut self.seen) {
            self.active.end();
        }
    }

    /// Where the session stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Whether a transaction is open or was and failed.
    pub fn is_open(&self) -> bool {
        self.state != State::Auto
    }

    /// Why the session keeps connections, for SHOW PROCESSLIST and messages.
    pub fn pins(&self) -> impl Iterator<Item = (GroupId, Pin)> + '_ {
        self.pinned.iter().copied()
    }

    /// The groups whose connections the session holds.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.held.keys().copied()
    }

    /// Whether the session holds a connection to a group.
    pub fn holds(&self, group: GroupId) -> bool {
        self.held.contains_key(&group)
    }

    /// The mode of the open transaction, or that which one would have that a statement with this mode opens.
    pub fn mode(&self, wanted: Mode) -> Mode {
        self.reach.mode.unwrap_or(wanted)
    }

    /// Whether a statement with this mode runs in a branch of an XA transaction on a group.
    pub fn is_in_branch(&self, group: GroupId, wanted: Mode) -> bool {
        let State::Open(start) = &self.state else { return false };
        match self.reach.parts.get(&group) {
            Some(part) => matches!(part, Part::Branch(_)),
            None => !self.reach.parts.is_empty() && is_branch(start, self.mode(wanted)),
        }
    }

    /// Opens a transaction; the one that was open must have been ended.
    pub fn begin(&mut self, start: Start) {
        debug_assert_eq!(self.state, State::Auto);
        self.reach = Reach { mode: start.mode, ..Reach::default() };
        self.state = State::Open(start);
        self.open();
    }

    /// Keeps the connection of `group` with the session, from its next [`Txn::settle`] until the pin is
    /// taken off. It never goes back to a pool: nobody else may see what is on it.
    pub fn pin(&mut self, group: GroupId, why: Pin, lease: &mut Lease) {
        lease.taint();
        self.pinned.insert((group, why));
    }

    /// Takes a pin of this kind off; the connection is closed, not pooled, unless it is `clean` again.
    pub fn unpin(&mut self, why: Pin) {
        self.pinned.retain(|(_, pin)| *pin != why);
        self.release();
    }

    fn is_pinned(&self, group: GroupId) -> bool {
        self.pinned.iter().any(|(of, _)| *of == group)
    }

    /// Refuses what a failed transaction refuses.
    pub fn check(&self) -> Result<(), SqlError> {
        match &self.state {
            State::Failed(why) => Err(SqlError::new(
                Code::Aborted,
                format!("The transaction was rolled back because {why}; send ROLLBACK, then start it again"),
            )),
            State::Auto | State::Open(_) => Ok(()),
        }
    }

    /// Takes out the connection on which a statement for `group` must run; it is given back by
    /// [`Txn::settle`]. In a transaction that is always the one connection the session holds there.
    ///
    /// The connection is brought to the session's settings. What begins the transaction is queued on it,
    /// unsent, so that it leaves together with the statement.
    pub async fn lease(
        &mut self,
        id: GroupId,
        group: &Arc<Group>,
        access: Access,
        wanted: &Wanted<'_>,
    ) -> Result<Lease, SqlError> {
        if !self.reach.parts.is_empty() && !self.reach.parts.contains_key(&id) && self.is_doubtful() {
            boxed(self.review()).await;
        }
        if self.reach.parts.contains_key(&id) && !self.held.contains_key(&id) {
            self.lost(id, format!("the connection to {} was given up", group.name));
        }
        self.check()?;
        if access == Access::Write {
            self.admit_writer(id, group, wanted.mode)?;
        }
        if let Some(mut lease) = self.held.remove(&id) {
            let ready = match suits(&mut lease, wanted) {
                true => self.enter(id, group, &mut lease, wanted).await,
                false => match boxed(adapt(&mut lease, wanted)).await {
                    Ok(()) => self.enter(id, group, &mut lease, wanted).await,
                    Err(error) => Err(error),
                },
            };
            return match ready {
                Ok(()) => Ok(lease),
                Err(error) => {
                    self.settle(id, lease);
                    Err(error)
                }
            };
        }
        let access = if self.is_open() { Access::Primary } else { access };
        let replica = self.replica(id, group, access);
        let mut lease = free_lease(group, replica, wanted).await?;
        self.enter(id, group, &mut lease, wanted).await?;
        Ok(lease)
    }

    /// A connection outside of the session's transaction, for what has no part in it.
    pub async fn side_lease(
        &self,
        id: GroupId,
        group: &Group,
        access: Access,
        wanted: &Wanted<'_>,
    ) -> Result<Lease, SqlError> {
        free_lease(group, self.replica(id, group, access), wanted).await
    }

    /// Connections to one member of a group, all at once, for a statement outside of any transaction that reads several
    /// of its shards at the same time: one as each of `wanted` says.
    pub async fn side_leases(
        &self,
        id: GroupId,
        group: &Group,
        access: Access,
        wanted: &[Wanted<'_>],
    ) -> Result<Vec<Lease>, SqlError> {
        let server = match self.replica(id, group, access) {
            Some(replica) => replica,
            None => group.primary().await?.clone(),
        };
        let Some(first) = wanted.first() else { return Ok(Vec::new()) };
        let mut leases = Vec::with_capacity(wanted.len());
        for (permit, wanted) in Permit::acquire(&server, first.worker, wanted.len()).await?.into_iter().zip(wanted) {
            let mut lease = permit.lease(wanted.class, wanted.settings.hash()).await?;
            adapt(&mut lease, wanted).await?;
            leases.push(lease);
        }
        Ok(leases)
    }

    /// Notes a write of the session to a group whose number is not known (yet).
    pub fn wrote(&mut self, group: GroupId) {
        self.written.insert(group, None);
    }

    /// Other numbers stand for the groups from now on, of which there are `count`: a session that has written somewhere
    /// reads from the primaries of all of them, until it writes there again.
    pub fn renumber(&mut self, count: usize) {
        if !self.written.is_empty() {
            self.written = (0..count).map(|group| (GroupId(group as u16), None)).collect();
        }
    }

    /// Notes a write of the session to a group that was made outside of its connections, by its number if it has one.
    pub fn wrote_at(&mut self, group: GroupId, gtid: Option<Gtid>) {
        self.written.insert(group, gtid);
    }

    /// The replica to read from, if one may be read and has applied all that the session wrote.
    fn replica(&self, id: GroupId, group: &Group, access: Access) -> Option<Arc<Server>> {
        match (access, self.written.get(&id)) {
            (Access::Write | Access::Primary, _) | (Access::Replica, Some(None)) => None,
            (Access::Replica, Some(Some(gtid))) => group.replica(Some(gtid)),
            (Access::Replica, None) => group.replica(None),
        }
    }

    /// Gives a connection back behind a statement: it stays with the session while a transaction or a
    /// pin needs it, else it returns to its pool (or is closed, if it is not clean).
    pub fn settle(&mut self, group: GroupId, mut lease: Lease) {
        if let Some(gtid) = lease.take_gtid() {
            self.written.insert(group, Some(gtid));
        }
        if lease.is_busy() {
            let why = format!("the connection to {} was lost", lease.server().name);
            drop(lease);
            self.lost(group, why);
            return;
        }
        let open = lease.in_transaction();
        match &self.state {
            State::Auto if open => {
                self.state = State::Open(Start { implicit: true, ..Start::default() });
                self.reach.parts.insert(group, Part::Plain);
                self.open();
                self.active.join(lease.server(), lease.thread_id, None);
                self.held.insert(group, lease);
            }
            // A deadlock's rollback, perhaps: that is looked at behind the statement.
            State::Open(_) if lease.is_doubtful() && self.reach.parts.len() > 1 => {
                self.held.insert(group, lease);
            }
            // The server ended the transaction by itself: an implicit commit, or before this statement a rollback.
            State::Open(_) if !open && self.reach.parts.contains_key(&group) => {
                if self.reach.parts.len() > 1 {
                    let why = format!("{} ended its part of it by itself", lease.server().name);
                    drop(lease);
                    return self.lost(group, why);
                }
                self.state = State::Auto;
                self.pending = Savepoints::default();
                if self.is_pinned(group) {
                    self.held.insert(group, lease);
                }
            }
            State::Open(_) => {
                self.held.insert(group, lease);
            }
            State::Auto if self.is_pinned(group) => {
                self.held.insert(group, lease);
            }
            State::Auto | State::Failed(_) => drop(lease),
        }
        if self.state == State::Auto && !(self.reach.parts.is_empty() && self.reach.writers.is_empty()) {
            self.reach = Reach::default();
        }
        if self.state == State::Auto {
            self.close();
        }
    }

    /// The same for a connection on which perhaps nothing was asked after all: what begins the transaction there, and
    /// waits to leave together with a statement, leaves alone.
    pub async fn settle_unasked(&mut self, group: GroupId, mut lease: Lease) {
        if self.begin_unasked(group, &mut lease).await {
            self.settle(group, lease);
        }
    }

    /// Sends what begins the transaction on a connection, if nothing was asked behind it; `false` if that failed, and the
    /// transaction is lost.
    pub async fn begin_unasked(&mut self, group: GroupId, lease: &mut Lease) -> bool {
        let Err(error) = lease.finish_unasked().await else { return true };
        lease.taint();
        self.lost(group, error.to_client(&lease.server().name).message);
        false
    }

    /// The connection of `group` was lost in the middle of something. With a transaction open the whole
    /// of it is gone: the other groups are rolled back by closing their connections. Those on which the session has
    /// more than the transaction stay, and roll back with its ROLLBACK.
    pub fn lost(&mut self, group: GroupId, why: String) {
        self.pinned.remove(&(group, Pin::Cursor));
        if !self.is_open() {
            return;
        }
        self.state = State::Failed(why);
        self.close();
        for (group, mut lease) in std::mem::take(&mut self.held) {
            if self.is_pinned(group) && !lease.is_busy() {
                self.held.insert(group, lease);
            } else {
                self.let_go(group, &mut lease);
            }
        }
        let held = &self.held;
        self.reach.parts.retain(|group, _| held.contains_key(group));
    }

    /// A connection that is given up with its part of a transaction.
    fn let_go(&self, group: GroupId, lease: &mut Lease) {
        // A branch that can only be rolled back any more is not told of as a transaction.
        if lease.in_transaction() || matches!(self.reach.parts.get(&group), Some(Part::Branch(_))) {
            lease.taint();
        }
    }

    /// Whether something of the session's was on a connection that is gone, which nobody can give it back: a lock, a
    /// temporary table. A client that went on would believe that it has them. (A cursor that is gone says so itself.)
    pub fn misses_state(&self) -> bool {
        self.pinned.iter().any(|(group, pin)| *pin != Pin::Cursor && !self.held.contains_key(group))
    }

    /// The same, where a server may have closed a connection since the last statement.
    pub fn misses_state_now(&mut self) -> bool {
        let (pinned, held) = (&self.pinned, &mut self.held);
        let mut kept = pinned.iter().filter(|(_, pin)| *pin != Pin::Cursor);
        kept.any(|(group, _)| held.get_mut(group).is_none_or(|lease| !lease.link.is_quiet()))
    }

    /// SAVEPOINT, ROLLBACK TO SAVEPOINT or RELEASE SAVEPOINT, on every connection of the transaction.
    ///
    /// While the transaction has touched no server, savepoints are remembered, and told to the first one.
    pub async fn savepoint(&mut self, sql: &[u8], name: &str, sets: bool) -> Result<(), SqlError> {
        // Remembered in any case, for servers that join later.
        let remembered = self.pending.apply(sql, name, sets);
        // Connections that are held for something else know nothing of the transaction.
        let members: Vec<_> = self.touched().iter().filter_map(|group| self.held.remove_entry(group)).collect();
        if members.is_empty() {
            return remembered;
        }
        let mut failed = None;
        for (group, lease, outcome) in everywhere(members, sql).await {
            if let Err(error) = outcome {
                failed.get_or_insert(error.to_client(&lease.server().name));
            }
            self.settle(group, lease);
        }
        failed.map_or(Ok(()), Err)
    }

    /// The groups that the open transaction has touched.
    pub fn touched(&self) -> Vec<GroupId> {
        self.reach.parts.keys().copied().collect()
    }

    /// Takes a statement that failed back to its savepoint, on the groups where that stands. Where that is refused, the
    /// server has rolled back all of the transaction (a deadlock), and the others follow; else nothing of it may go on.
    ///
    /// Gives the error that the client is to be told: it must hear that its transaction is gone.
    #[must_use = "the client's transaction may be gone, which only this error tells"]
    pub async fn take_back(&mut self, groups: &[GroupId], savepoint: &str, error: SqlError) -> SqlError {
        let reached: Vec<_> = groups.iter().filter_map(|group| self.held.remove_entry(group)).collect();
        let (mut gone, mut refused) = (false, None);
        let sql = format!("ROLLBACK TO SAVEPOINT {savepoint}");
        for (group, lease, outcome) in everywhere(reached, sql.as_bytes()).await {
            match outcome {
                // Some still know the savepoint of a transaction that they have rolled back.
                Ok(()) if !lease.in_transaction() => {
                    gone = true;
                    self.held.insert(group, lease);
                    continue;
                }
                Ok(()) => {}
                Err(error) => refused = Some((group, error.to_client(&lease.server().name))),
            }
            self.settle(group, lease);
        }
        if gone && matches!(self.state, State::Open(_)) {
            self.roll_back().await;
        } else if let Some((group, refusal)) = refused {
            self.review().await;
            if matches!(self.state, State::Open(_)) {
                self.lost(group, format!("a statement could not be taken back: {}", refusal.message));
            }
        }
        // Behind the group whose error is told, one has rolled back all of the transaction.
        let unsaid = groups.len() > 1 && !self.is_open() && !ROLLS_BACK.contains(&error.errno);
        if unsaid { SqlError::deadlock() } else { error }
    }

    /// Gives everything up: open transactions are rolled back by the servers when their connections close.
    pub fn abandon(&mut self) {
        self.pinned.clear();
        self.close();
        for (group, mut lease) in std::mem::take(&mut self.held) {
            self.let_go(group, &mut lease);
        }
        self.reach = Reach::default();
    }

    fn release(&mut self) {
        if self.state == State::Auto {
            let pinned = &self.pinned;
            self.held.retain(|group, _| pinned.iter().any(|(of, _)| of == group));
        }
    }

    /// Makes a connection part of the open transaction, if one is open and it is none yet.
    async fn enter(
        &mut self,
        id: GroupId,
        group: &Arc<Group>,
        lease: &mut Lease,
        wanted: &Wanted<'_>,
    ) -> Result<(), SqlError> {
        let State::Open(start) = &self.state else {
            self.await_transaction(group, lease, wanted);
            return Ok(());
        };
        if self.reach.parts.contains_key(&id) && lease.in_transaction() {
            return Ok(());
        }
        let others = self.reach.parts.keys().any(|other| *other != id);
        // A setting of after BEGIN is for the transaction behind this one; and XA START has no clause of its own.
        let read_only = start.read_only == Some(true);
        let unlike = !read_only && !start.implicit && wanted.settings.variable("transaction_read_only") == Some(b"1");
        let mode = *self.reach.mode.get_or_insert(wanted.mode);
        let branch = match others && is_branch(start, mode) {
            // Boxed, as it must not make each idle session larger.
            true => Some(boxed(self.branch(lease, wanted.ledger)).await?),
            false => None,
        };
        self.queue_begin(lease, branch, others, unlike);
        self.reach.parts.insert(id, branch.map_or(Part::Plain, |(_, branch)| Part::Branch(branch)));
        self.reach.first.get_or_insert_with(|| First::new(group, lease));
        if self.active.join(lease.server(), lease.thread_id, self.reach.global) > 1 {
            wanted.ledger.widened(&self.active);
        }
        Ok(())
    }

    /// Before a statement outside of a transaction, which with autocommit off may open one by itself.
    fn await_transaction(&mut self, group: &Arc<Group>, lease: &mut Lease, wanted: &Wanted<'_>) {
        if wanted.settings.variable("autocommit") == Some(b"0") {
            self.reach.mode = Some(wanted.mode);
            self.reach.first = Some(First::new(group, lease));
        }
        // Savepoints can come before that statement; should it open none, nobody else may get a connection that knows
        // them.
        if !self.pending.0.is_empty() {
            lease.taint();
            self.pending.queue(lease);
        }
    }

    /// Queues what opens the transaction on a connection. `others`: other groups have a part in it already.
    fn queue_begin(&self, lease: &mut Lease, branch: Option<(GlobalId, BranchId)>, others: bool, unlike: bool) {
        let State::Open(start) = &self.state else { return };
        if let Some(level) = &start.isolation {
            lease.send_prelude(format!("SET TRANSACTION ISOLATION LEVEL {level}").as_bytes());
        }
        if unlike {
            lease.send_prelude(b"SET TRANSACTION READ WRITE");
        }
        match branch {
            Some((global, branch)) => {
                lease.send_prelude(sql::xa("START", global, branch).as_bytes());
                if start.snapshot {
                    // XA START has no such clause: any consistent read makes the snapshot.
                    lease.send_prelude(sql::GLANCE.as_bytes());
                }
            }
            None if start.implicit && !others => {}
            None => lease.send_prelude(start.sql()),
        }
        self.pending.queue(lease);
    }

    /// The names for a new branch on this connection.
    async fn branch(&mut self, lease: &Lease, ledger: &Ledger) -> Result<(GlobalId, BranchId), SqlError> {
        let Some(first) = &self.reach.first else {
            return Err(SqlError::new(Code::Unknown, "a branch of a transaction that has touched no group"));
        };
        let commit_point = ledger.identity(&first.server).await?;
        let own = ledger.identity(lease.server()).await?;
        let taken = |part: &Part| matches!(part, Part::Branch(branch) if branch.group == own);
        if own == commit_point || self.reach.parts.values().any(taken) {
            return Err(SqlError::refuse(format!(
                "{} has the same `_shardloom`.`group_identity` as another group: it is a copy of its servers, or the \
                 same; no transaction can span both",
                lease.server().name
            )));
        }
        let global = *self.reach.global.get_or_insert_with(|| ledger.name(commit_point, first.connection));
        Ok((global, BranchId { group: own, connection: lease.thread_id }))
    }

    /// Whether a server has answered with an error that may have rolled the open transaction back.
    pub fn is_doubtful(&self) -> bool {
        self.reach.parts.keys().any(|group| self.held.get(group).is_some_and(|lease| lease.is_doubtful()))
    }

    /// Whether [`Txn::review`] is due: where several groups are touched, one that rolled back takes the others along.
    pub fn needs_review(&self) -> bool {
        self.reach.parts.len() > 1 && self.is_doubtful()
    }

    /// Asks the servers that answered with an error whether their part of the transaction is still there. If one rolled
    /// it back (a deadlock, say), all of it is rolled back, as one server would have done.
    pub async fn review(&mut self) {
        let mut gone = false;
        for group in self.touched() {
            let Some(lease) = self.held.get_mut(&group) else { continue };
            if !lease.is_doubtful() {
                continue;
            }
            if let Err(error) = lease.query("DO 0").await {
                let why = error.to_client(&lease.server().name).message;
                return self.lost(group, why);
            }
            gone |= !lease.in_transaction();
        }
        if gone {
            self.roll_back().await;
        }
    }

    /// Notes that the open transaction writes to this group, if it may.
    fn admit_writer(&mut self, id: GroupId, group: &Group, mode: Mode) -> Result<(), SqlError> {
        if let Some(first) = self.reach.wrote().find(|first| *first != id)
            && self.reach.mode.unwrap_or(mode) == Mode::Single
        {
            let first = self.held.get(&first).map_or("another group", |lease| &lease.server().name);
            return Err(SqlError::refuse(format!(
                "The transaction has written to {first} and this statement writes to group {} too, which \
                 transaction_mode = \"single\" refuses: end the transaction first, or allow \"atomic\" for the user",
                group.name
            )));
        }
        self.reach.writers.insert(id);
        Ok(())
    }
}

/// Whether what a transaction has on its second group and further ones are branches.
fn is_branch(start: &Start, mode: Mode) -> bool {
    mode == Mode::Atomic && start.read_only != Some(true)
}

impl First {
    fn new(group: &Arc<Group>, lease: &Lease) -> First {
        First { group: group.clone(), server: lease.server().clone(), connection: lease.thread_id }
    }
}

impl Start {
    /// The statement that opens the transaction on a server.
    pub fn sql(&self) -> &'static [u8] {
        match (self.snapshot, self.read_only) {
            (false, None) => b"START TRANSACTION",
            (false, Some(true)) => b"START TRANSACTION READ ONLY",
            (false, Some(false)) => b"START TRANSACTION READ WRITE",
            (true, None) => b"START TRANSACTION WITH CONSISTENT SNAPSHOT",
            (true, Some(true)) => b"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            (true, Some(false)) => b"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ WRITE",
        }
    }
}

/// Sends a statement on all connections, then reads what each answers.
async fn everywhere(
    leases: impl IntoIterator<Item = (GroupId, Lease)>,
    sql: &[u8],
) -> Vec<(GroupId, Lease, Result<(), BackendError>)> {
    let mut asked = Vec::new();
    for (group, mut lease) in leases {
        lease.send(com::QUERY, sql);
        let sent = lease.link.flush().await.map_err(BackendError::Io);
        asked.push((group, lease, sent));
    }
    for (_, lease, outcome) in &mut asked {
        if outcome.is_ok() {
            *outcome = lease.read_answer().await.map(drop);
        }
    }
    asked
}

/// A connection for one statement: to the replica, if one is given and can be reached, else to the primary.
async fn free_lease(group: &Group, replica: Option<Arc<Server>>, wanted: &Wanted<'_>) -> Result<Lease, SqlError> {
    let settings = wanted.settings.hash();
    let ready = replica.as_ref().or_else(|| group.current_primary());
    match ready.and_then(|server| Lease::at_once(server, wanted.worker, wanted.class, settings)) {
        // Boxed, as these waits are rare and must not make each idle session larger.
        None => boxed(wait_for_lease(group, replica, wanted)).await,
        Some(mut lease) => {
            if !suits(&mut lease, wanted) {
                boxed(adapt(&mut lease, wanted)).await?;
            }
            Ok(lease)
        }
    }
}

/// The same, where a connection has to be waited for or opened.
async fn wait_for_lease(group: &Group, replica: Option<Arc<Server>>, wanted: &Wanted<'_>) -> Result<Lease, SqlError> {
    if let Some(replica) = replica {
        let permit = Permit::acquire_one(&replica, wanted.worker).await?;
        match permit.lease(wanted.class, wanted.settings.hash()).await {
            Ok(mut lease) => {
                adapt(&mut lease, wanted).await?;
                return Ok(lease);
            }
            Err(error) => {
                tracing::warn!(server = replica.name, %error, "replica cannot be reached, reading from the primary");
            }
        }
    }
    let permit = Permit::acquire_one(group.primary().await?, wanted.worker).await?;
    let mut lease = permit.lease(wanted.class, wanted.settings.hash()).await?;
    adapt(&mut lease, wanted).await?;
    Ok(lease)
}

/// Whether a connection is in the session's schema and settings already.
fn suits(lease: &mut Lease, wanted: &Wanted<'_>) -> bool {
    if !Arc::ptr_eq(&lease.settings, wanted.settings) {
        if lease.settings != *wanted.settings {
            return false;
        }
        // The next time it shows at once.
        lease.settings = wanted.settings.clone();
    }
    lease.database.as_ref() == wanted.database
}

/// Brings a connection to the session's schema and settings, in rounds of its own: were they sent
/// together with the statement, a failed SET would let the statement run under other settings.
///
/// # Errors
/// The server's, or that it was lost.
pub async fn adapt(lease: &mut Lease, wanted: &Wanted<'_>) -> Result<(), SqlError> {
    if suits(lease, wanted) {
        return Ok(());
    }
    let set = lease.settings.difference(wanted.settings, lease.info.mariadb);
    let database = wanted.database.filter(|wanted| lease.database.as_ref() != Some(*wanted)).cloned();
    if let Some(set) = &set {
        lease.send(com::QUERY, set);
    }
    if let Some(database) = &database {
        lease.send(com::INIT_DB, database.as_bytes());
    }
    let name = lease.server().name.clone();
    lease.link.flush().await.map_err(|error| BackendError::Io(error).to_client(&name))?;
    if set.is_some() {
        if let Err(error) = lease.read_answer().await {
            // It may have got half-way: nobody knows what is in force there.
            lease.taint();
            return Err(error.to_client(&name));
        }
        lease.settings = wanted.settings.clone();
    }
    if let Some(database) = database {
        lease.read_answer().await.map_err(|error| error.to_client(&name))?;
        lease.database = Some(database);
    }
    Ok(())
}

impl Drop for Txn {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
