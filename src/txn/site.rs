//! One group as recovery sees it: what is prepared there, which markers and decisions it has; and what is done to them.
//! What shall be done is decided elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::backend::conn::{Answer, BackendError};
use crate::backend::metadata::{Metadata, SCHEMA};
use crate::backend::server::Server;
use crate::commit::id::{BranchId, FORMAT, GlobalId, Identity};
use crate::commit::protocol::{Decision, Fate, Fenced, Traces, after_fence, fate};
use crate::error::SqlError;
use crate::txn::ledger::{Ledger, sql};

/// Rows of a table that are read at most in one look.
const MOST_ROWS: usize = 20_000;
/// Rows that one DELETE names.
const BATCH: usize = 200;
/// Looks at a locked decision before the connection that locks it is closed.
const LOCKED_LOOKS: u32 = 3;

/// A group's primary, and what it showed.
pub(super) struct Site<'s> {
    metadata: Metadata<'s>,
    pub(super) server: &'s Arc<Server>,
    pub(super) identity: Identity,
    /// XA RECOVER.
    pub(super) prepared: BTreeSet<(GlobalId, BranchId)>,
    pub(super) markers: BTreeSet<(GlobalId, BranchId)>,
    pub(super) decisions: BTreeMap<GlobalId, (Decision, Vec<BranchId>)>,
    /// Not all decisions were read.
    pub(super) truncated: bool,
    /// There are more markers than were read: one that is not seen may be there.
    pub(super) markers_truncated: bool,
    /// The server's clock, in seconds since 1970.
    pub(super) now: u64,
}

impl<'s> Site<'s> {
    /// A connection to a primary; none if its group never had a part in transactions over several groups.
    pub(super) async fn open(server: &'s Arc<Server>) -> Result<Option<Site<'s>>, SqlError> {
        let mut metadata = Metadata::open(server).await?;
        let found = metadata.look(&format!("SELECT identity FROM `{SCHEMA}`.group_identity")).await?;
        let Some(identity) = found.and_then(|found| Identity::parse(&found.text(0, 0)?)) else { return Ok(None) };
        let lost = |error: BackendError| error.to_client(&server.name);
        metadata.ask("SET SESSION innodb_lock_wait_timeout=1, lock_wait_timeout=1").await.map_err(lost)?;
        Ok(Some(Site {
            metadata,
            server,
            identity,
            prepared: BTreeSet::new(),
            markers: BTreeSet::new(),
            decisions: BTreeMap::new(),
            truncated: false,
            markers_truncated: false,
            now: 0,
        }))
    }

    pub(super) async fn see_branches(&mut self) -> Result<(), SqlError> {
        self.prepared = self.recover().await?;
        let markers = format!("SELECT gtrid, bqual FROM `{SCHEMA}`.branch ORDER BY gtrid LIMIT {MOST_ROWS}");
        let found = self.metadata.look(&markers).await?.unwrap_or_default();
        let marker = |row| Some((GlobalId::parse(&found.text(row, 0)?)?, BranchId::parse(&found.text(row, 1)?)?));
        self.markers = (0..found.rows.len()).filter_map(marker).collect();
        self.markers_truncated = found.rows.len() == MOST_ROWS;
        Ok(())
    }

    async fn recover(&mut self) -> Result<BTreeSet<(GlobalId, BranchId)>, SqlError> {
        let found = self.metadata.ask("XA RECOVER").await.map_err(|error| error.to_client(&self.server.name))?;
        Ok(branches_of_ours(&found))
    }

    pub(super) async fn see_decisions(&mut self) -> Result<(), SqlError> {
        let all = format!("SELECT gtrid, verdict, branches FROM `{SCHEMA}`.decision ORDER BY gtrid LIMIT {MOST_ROWS}");
        let found = self.metadata.look(&all).await?.unwrap_or_default();
        self.truncated = found.rows.len() == MOST_ROWS;
        self.decisions = (0..found.rows.len()).filter_map(|row| read_decision(&found, row)).collect();
        let clock = self.metadata.ask("SELECT UNIX_TIMESTAMP()").await;
        let clock = clock.map_err(|error| error.to_client(&self.server.name))?;
        self.now = clock.text(0, 0).and_then(|now| now.parse().ok()).unwrap_or(0);
        Ok(())
    }

    /// The decision on a transaction whose commit point this is, now.
    pub(super) async fn decision(&mut self, global: GlobalId) -> Result<Option<Decision>, SqlError> {
        let one = format!("SELECT gtrid, verdict, branches FROM `{SCHEMA}`.decision WHERE gtrid='{global}'");
        let found = self.metadata.look(&one).await?.unwrap_or_default();
        Ok(read_decision(&found, 0).map(|(_, (decision, _))| decision))
    }

    async fn has_marker(&mut self, global: GlobalId, branch: BranchId) -> Result<bool, SqlError> {
        let one = format!("SELECT 1 FROM `{SCHEMA}`.branch WHERE gtrid='{global}' AND bqual='{branch}'");
        Ok(self.metadata.look(&one).await?.is_some_and(|found| !found.rows.is_empty()))
    }

    /// Writes and commits that the transaction will never be committed.
    pub(super) async fn fence(&mut self, global: GlobalId) -> Fenced {
        match self.metadata.ask(&sql::fence(global)).await {
            Ok(_) => Fenced::Written,
            Err(BackendError::Server(error)) if error.errno == 1062 => Fenced::Present,
            Err(BackendError::Server(error)) if error.errno == 1205 => Fenced::Locked,
            Err(_) => Fenced::Unknown,
        }
    }

    /// The same, for the `tries`th time; a coordinator that holds the row for long is cut off from it.
    pub(super) async fn fence_at_last(&mut self, global: GlobalId, tries: u32) -> Fenced {
        let fenced = self.fence(global).await;
        if fenced == Fenced::Locked && tries >= LOCKED_LOOKS && self.is_deciding(global).await {
            self.close(global.connection).await;
        }
        if let Some(decision) = after_fence(fenced) {
            self.decisions.insert(global, (decision, Vec::new()));
        }
        fenced
    }

    /// Whether a decision to commit is there and not committed: then so is its connection, as a restart rolls it back. The
    /// row can also be locked by the fence of another proxy.
    async fn is_deciding(&mut self, global: GlobalId) -> bool {
        let dirty = "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED";
        let verdict = format!("SELECT verdict FROM `{SCHEMA}`.decision WHERE gtrid='{global}'");
        self.metadata.ask(dirty).await.is_ok()
            && self.metadata.ask(&verdict).await.is_ok_and(|found| {
                found.text(0, 0).and_then(|verdict| sql::verdict(&verdict)) == Some(Decision::Commit)
            })
    }

    /// Carries a decision out on a branch that is prepared here. `old`: whoever prepared it has had its time.
    pub(super) async fn finish(
        &mut self,
        global: GlobalId,
        branch: BranchId,
        decision: Decision,
        old: bool,
        ledger: &Ledger,
    ) {
        let (verb, count) = match decision {
            Decision::Commit => ("COMMIT", &ledger.counts().recovered),
            Decision::Abort => ("ROLLBACK", &ledger.counts().rolled_back),
        };
        let server = &self.server.name;
        match self.metadata.ask(&sql::xa(verb, global, branch)).await {
            Ok(_) => {
                count.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(server, %global, %branch, verb, "recovery ended a branch that was left prepared");
                if decision == Decision::Commit {
                    self.markers.insert((global, branch));
                }
                self.prepared.remove(&(global, branch));
            }
            Err(BackendError::Server(error)) if error.errno == 1397 => {
                if let Err(error) = self.unknown(global, branch, decision, old).await {
                    tracing::warn!(server = self.server.name, %error, "a branch could not be looked at");
                }
            }
            Err(error) => tracing::warn!(server, %global, %branch, %error, verb, "recovery could not end a branch"),
        }
    }

    /// XAER_NOTA for a branch that was listed: somebody else has ended it, or its connection holds it (MariaDB). One that
    /// is lost is noticed by [`collect`], which looks more than once.
    async fn unknown(
        &mut self,
        global: GlobalId,
        branch: BranchId,
        decision: Decision,
        old: bool,
    ) -> Result<(), SqlError> {
        let listed = self.recover().await?.contains(&(global, branch));
        let marker = self.has_marker(global, branch).await?;
        let held = match decision {
            Decision::Commit => fate(Traces { listed, marker, decision: Some(decision) }) == Fate::Attached,
            Decision::Abort => listed,
        };
        if held && old && self.has_prepared(branch.connection).await? {
            self.close(branch.connection).await;
        }
        Ok(())
    }

    /// Whether a connection has prepared a transaction and holds it. The branch's name does not tell: another proxy may be
    /// ending it this moment, and after a restart of the server the number is somebody else's.
    async fn has_prepared(&mut self, connection: u32) -> Result<bool, SqlError> {
        let status = self.metadata.query_elsewhere("SHOW ENGINE INNODB STATUS").await?;
        Ok(shows_prepared(&status.text(0, 2).unwrap_or_default(), connection))
    }

    /// Closes the connection of a coordinator that is gone or hangs, if it is one of ours that does nothing.
    async fn close(&mut self, connection: u32) {
        let idle = format!(
            "SELECT 1 FROM information_schema.PROCESSLIST WHERE ID={connection} AND COMMAND='Sleep' \
             AND USER=SUBSTRING_INDEX(CURRENT_USER(),'@',1)"
        );
        if self.metadata.ask(&idle).await.is_ok_and(|found| !found.rows.is_empty()) {
            tracing::warn!(server = self.server.name, connection, "closing a connection that holds a transaction");
            self.server.kill(connection);
        }
    }

    pub(super) async fn forget(&mut self, over: &[GlobalId]) {
        for batch in over.chunks(BATCH) {
            let delete = format!("DELETE FROM `{SCHEMA}`.decision WHERE gtrid IN ({})", list(batch));
            if self.metadata.ask(&delete).await.is_ok() {
                batch.iter().for_each(|global| drop(self.decisions.remove(global)));
            }
        }
    }

    pub(super) async fn unmark(&mut self, free: &[GlobalId]) {
        for batch in free.chunks(BATCH) {
            let delete = format!("DELETE FROM `{SCHEMA}`.branch WHERE gtrid IN ({})", list(batch));
            if let Err(error) = self.metadata.ask(&delete).await {
                tracing::debug!(server = self.server.name, %error, "markers stay for now");
            }
        }
    }
}

/// The branches of ours that XA RECOVER lists: `formatID`, lengths of both parts, both parts in one.
pub fn branches_of_ours(found: &Answer) -> BTreeSet<(GlobalId, BranchId)> {
    let ours = |row: usize| {
        let number = |column| found.text(row, column)?.parse::<usize>().ok();
        let (global, branch) = (number(1)?, number(2)?);
        let data = found.text(row, 3)?;
        let branch = BranchId::parse(data.get(global..global + branch)?)?;
        (number(0)? == FORMAT as usize).then_some((GlobalId::parse(data.get(..global)?)?, branch))
    };
    (0..found.rows.len()).filter_map(ours).collect()
}

/// Whether InnoDB's status shows a prepared transaction that a connection holds.
fn shows_prepared(status: &str, connection: u32) -> bool {
    let owner = format!("thread id {connection},");
    let mut transactions = status.split("---TRANSACTION ").skip(1);
    transactions.any(|one| one.lines().next().is_some_and(|head| head.contains("(PREPARED)")) && one.contains(&owner))
}

fn list(globals: &[GlobalId]) -> String {
    globals.iter().map(|global| format!("'{global}'")).collect::<Vec<_>>().join(",")
}

fn read_decision(found: &Answer, row: usize) -> Option<(GlobalId, (Decision, Vec<BranchId>))> {
    let global = GlobalId::parse(&found.text(row, 0)?)?;
    let decision = sql::verdict(&found.text(row, 1)?)?;
    Some((global, (decision, found.text(row, 2)?.split(',').filter_map(BranchId::parse).collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_prepared_transaction_is_read_from_the_status() {
        let status = "LIST OF TRANSACTIONS FOR EACH SESSION:
---TRANSACTION 20, ACTIVE 3 sec
1 lock struct(s), heap size 1128, 0 row lock(s), undo log entries 1
MariaDB thread id 7, OS thread handle 131859371517632, query id 13 localhost root
---TRANSACTION 19, ACTIVE (PREPARED) 3 sec
1 lock struct(s), heap size 1128, 0 row lock(s), undo log entries 1
MariaDB thread id 6, OS thread handle 140655473534656, query id 10 localhost root
---TRANSACTION 18, ACTIVE (PREPARED) 90 sec recovered trx
---TRANSACTION (0x7fece81c0b80), not started
0 lock struct(s), heap size 1128, 0 row lock(s)
";
        let holders: Vec<u32> = (0..100).filter(|connection| shows_prepared(status, *connection)).collect();
        assert_eq!(holders, [6]);
    }
}
