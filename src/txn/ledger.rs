//! What the transactions over several groups of this process share: its name among all proxies, the numbers it gives,
//! the tables they leave their traces in. It opens connections only to make those tables and to read a group's name.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use crate::backend::conn::BackendError;
use crate::backend::metadata::{Metadata, SCHEMA, Table};
use crate::backend::server::Server;
use crate::commit::id::{BranchId, FORMAT, GlobalId, Identity};
use crate::commit::protocol::Decision;
use crate::error::{Code, SqlError};
use crate::metrics::{Commits, Metrics};
use crate::txn::active::{Active, Open};

/// A group's name for transactions: one row, which replicas and promoted primaries have too.
const IDENTITY: Table =
    Table { name: "group_identity", columns: "`only` TINYINT PRIMARY KEY, identity CHAR(16) NOT NULL" };

/// On a commit point: `C` committed, `A` aborted, and for `C` the branches that have to follow.
pub(super) const DECISION: Table = Table {
    name: "decision",
    columns: "gtrid CHAR(62) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY, verdict CHAR(1) NOT NULL, \
              branches MEDIUMTEXT CHARACTER SET ascii NOT NULL",
};

/// In each branch, part of it: a row that is there is a branch that is committed.
pub(super) const MARKER: Table = Table {
    name: "branch",
    columns: "gtrid CHAR(62) CHARACTER SET ascii COLLATE ascii_bin, \
              bqual CHAR(25) CHARACTER SET ascii COLLATE ascii_bin, PRIMARY KEY (gtrid, bqual)",
};

/// Before 8.0.30 a crash can leave MySQL's XA and its binary log in disagreement (bug #98288).
pub const MYSQL_XA_IS_SAFE: u32 = 80_030;

/// Shared by all sessions and the recovery of a process.
#[derive(Debug)]
pub struct Ledger {
    /// The name of this run.
    epoch: u64,
    next: AtomicU64,
    lifetime: Duration,
    /// Pulled when a transaction was left for recovery to finish.
    left: Notify,
    /// The sessions whose transactions reach over several groups, by number; some are over already.
    wide: Mutex<BTreeMap<u32, Arc<Active>>>,
    /// Pulled when one becomes such.
    widened: Notify,
    metrics: Arc<Metrics>,
}

impl Ledger {
    /// For one run of the process; `epoch`: random bits. A transaction may stay open for `lifetime`.
    pub fn new(epoch: u64, lifetime: Duration, metrics: Arc<Metrics>) -> Ledger {
        Ledger {
            epoch: epoch & 0xFFFF_FFFF_FFFF,
            next: AtomicU64::new(0),
            lifetime,
            left: Notify::new(),
            wide: Mutex::default(),
            widened: Notify::new(),
            metrics,
        }
    }

    /// What became of the transactions.
    pub(super) fn counts(&self) -> &Commits {
        &self.metrics.commits
    }

    /// A name for a new transaction.
    pub(super) fn name(&self, commit_point: Identity, connection: u32) -> GlobalId {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        GlobalId {
            commit_point,
            epoch: self.epoch,
            number: self.next.fetch_add(1, Ordering::Relaxed) & 0xFF_FFFF_FFFF,
            deadline: u32::try_from((now + self.lifetime).as_secs()).unwrap_or(u32::MAX),
            connection,
        }
    }

    /// How long ago a transaction joined its second group, if its proxy has the same `timeouts.transaction`.
    pub fn age(&self, global: GlobalId) -> Option<Duration> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        (now + self.lifetime).checked_sub(Duration::from_secs(u64::from(global.deadline)))
    }

    /// The name of the group that a primary belongs to; makes all tables there if they are missed.
    ///
    /// # Errors
    /// Why the group can have no part in transactions over several groups.
    pub(super) async fn identity(&self, server: &Server) -> Result<Identity, SqlError> {
        if let Some(identity) = server.group_identity.get() {
            return Ok(*identity);
        }
        let refused = |error: SqlError| {
            let message =
                format!("No transaction over several groups is possible with {}: {}", server.name, error.message);
            SqlError { message, ..error }
        };
        let identity = establish(server).await.map_err(refused)?;
        Ok(*server.group_identity.get_or_init(|| identity))
    }

    /// A session's transaction reaches over several groups now.
    pub(super) fn widened(&self, active: &Arc<Active>) {
        self.lock_wide().insert(active.session, active.clone());
        self.widened.notify_one();
    }

    /// Waits until some transaction reaches over several groups.
    pub(super) async fn wait_for_wide(&self) {
        while self.lock_wide().is_empty() {
            self.widened.notified().await;
        }
    }

    /// The transactions that reach over several groups now.
    pub(super) fn wide(&self) -> Vec<(Arc<Active>, Open)> {
        let mut found = Vec::new();
        self.lock_wide().retain(|_, active| {
            let open = active.open().filter(|open| open.parts.len() > 1);
            found.extend(open.map(|open| (active.clone(), open)));
            found.last().is_some_and(|(last, _)| Arc::ptr_eq(last, active))
        });
        found
    }

    fn lock_wide(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Active>>> {
        self.wide.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was left for recovery.
    pub(super) fn leave(&self) {
        self.left.notify_one();
    }

    /// Waits until something is left for recovery.
    pub(super) async fn wait(&self) {
        self.left.notified().await;
    }
}

async fn establish(server: &Server) -> Result<Identity, SqlError> {
    let mut metadata = Metadata::open(server).await?;
    let info = metadata.info();
    if !info.mariadb && info.number < MYSQL_XA_IS_SAFE {
        let message = format!("MySQL {} is older than 8.0.30, whose XA survives crashes", info.version);
        return Err(SqlError::refuse(message));
    }
    match metadata.ask("XA RECOVER").await {
        Err(BackendError::Server(error)) if error.errno == 1401 => {
            let message = "the group's account may not see prepared transactions: GRANT XA_RECOVER_ADMIN ON *.* TO it";
            return Err(SqlError::new(Code::SchemaDenied, message));
        }
        answer => answer.map_err(|error| error.to_client(&server.name))?,
    };
    let read = format!("SELECT identity FROM `{SCHEMA}`.group_identity");
    let mut found = metadata.query(IDENTITY, &read).await?;
    if found.rows.is_empty() {
        let mut bits = [0; 8];
        aws_lc_rs::rand::fill(&mut bits).map_err(|_| SqlError::new(Code::Unknown, "no random bytes"))?;
        let own = Identity(u64::from_le_bytes(bits));
        metadata.query(IDENTITY, &format!("INSERT IGNORE INTO `{SCHEMA}`.group_identity VALUES (1, '{own}')")).await?;
        found = metadata.query(IDENTITY, &read).await?;
    }
    metadata.create(DECISION).await?;
    metadata.create(MARKER).await?;
    let identity = found.text(0, 0).and_then(|text| Identity::parse(&text));
    identity.ok_or_else(|| SqlError::new(Code::Unknown, format!("`{SCHEMA}`.group_identity holds no identity")))
}

/// How a transaction's traces are written. All texts are ours: letters, digits, hyphens.
pub(super) mod sql {
    use super::{BranchId, Decision, FORMAT, GlobalId, SCHEMA};

    /// A consistent read of no rows to speak of.
    pub(in crate::txn) const GLANCE: &str = "SELECT 1 FROM `_shardloom`.branch LIMIT 1";

    /// `XA <verb> 'g','b',n`.
    pub(in crate::txn) fn xa(verb: &str, global: GlobalId, branch: BranchId) -> String {
        format!("XA {verb} '{global}','{branch}',{FORMAT}")
    }

    pub(in crate::txn) fn marker(global: GlobalId, branch: BranchId) -> String {
        format!("INSERT INTO `{SCHEMA}`.branch VALUES ('{global}','{branch}')")
    }

    /// The coordinator's decision; no row is written when the commit point's clock is past the deadline.
    pub(in crate::txn) fn decision(global: GlobalId, branches: &[BranchId]) -> String {
        let branches: Vec<String> = branches.iter().map(ToString::to_string).collect();
        let (branches, deadline) = (branches.join(","), global.deadline);
        format!(
            "INSERT INTO `{SCHEMA}`.decision SELECT '{global}','C','{branches}' FROM DUAL \
             WHERE UNIX_TIMESTAMP() < {deadline}"
        )
    }

    pub(in crate::txn) fn fence(global: GlobalId) -> String {
        format!("INSERT INTO `{SCHEMA}`.decision VALUES ('{global}','A','')")
    }

    pub(in crate::txn) fn verdict(text: &str) -> Option<Decision> {
        match text {
            "C" => Some(Decision::Commit),
            "A" => Some(Decision::Abort),
            _ => None,
        }
    }
}
