//! Finds transactions that wait for each other on different groups, which no server sees, and rolls the youngest back. It
//! looks only while a statement of a transaction over several groups takes long, and only at this process's own
//! transactions: what another proxy's is part of ends by `innodb_lock_wait_timeout`.
//!
//! Waits are asked of one server after the other, so what is seen was never there at one moment. But a transaction that
//! waits does nothing else: as long as it is at the same statement, it has let go of nothing. So a circle whose
//! transactions are all at the same statement in two looks, each of which saw all its waits, is one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::backend::conn::{Class, Conn};
use crate::backend::server::Server;
use crate::error::{Code, SqlError};
use crate::txn::active::{Active, Open, Running};
use crate::txn::ledger::Ledger;

/// A statement that runs for so long may be waiting for a lock.
const LONG: Duration = Duration::from_millis(200);
/// Between two looks. Servers show waits that are up to 100 milliseconds old.
const PAUSE: Duration = Duration::from_millis(150);
/// How long a server may take to show its waits.
const ANSWER: Duration = Duration::from_secs(2);
/// The right is missing: 1044, 1142, 1143, 1227.
const DENIED: [u16; 4] = [1044, 1142, 1143, 1227];

/// Asks a server for its lock waits: the connection that waits, the one that is waited for. On MySQL the account needs
/// PROCESS and SELECT on `performance_schema`, on MariaDB PROCESS.
pub fn waits(mariadb: bool) -> &'static str {
    match mariadb {
        true => {
            "SELECT DISTINCT r.trx_mysql_thread_id, b.trx_mysql_thread_id FROM information_schema.INNODB_LOCK_WAITS w \
             JOIN information_schema.INNODB_TRX r ON r.trx_id = w.requesting_trx_id \
             JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id LIMIT 10000"
        }
        false => {
            "SELECT DISTINCT r.trx_mysql_thread_id, b.trx_mysql_thread_id FROM performance_schema.data_lock_waits w \
             JOIN information_schema.INNODB_TRX r ON r.trx_id = w.REQUESTING_ENGINE_TRANSACTION_ID \
             JOIN information_schema.INNODB_TRX b ON b.trx_id = w.BLOCKING_ENGINE_TRANSACTION_ID LIMIT 10000"
        }
    }
}

/// Looks again and again, until the task is dropped.
pub async fn watch(ledger: Arc<Ledger>) {
    let mut blind = BTreeSet::new();
    loop {
        ledger.wait_for_wide().await;
        let mut look = Look { connections: BTreeMap::new(), suspect: Vec::new(), blind };
        loop {
            tokio::time::sleep(PAUSE).await;
            let open = ledger.wide();
            if open.is_empty() {
                break;
            }
            let long = |open: &Open| open.running.is_some_and(|running| running.since.elapsed() >= LONG);
            match open.iter().any(|(_, open)| long(open)) {
                true => look.at(&open, &ledger).await,
                false => look.forget(),
            }
        }
        blind = look.blind;
    }
}

/// What is kept from one look to the next.
struct Look {
    /// To the servers that are asked, by address.
    connections: BTreeMap<String, Conn>,
    /// The circle that the last look saw.
    suspect: Vec<(u32, Running)>,
    /// The servers that do not show their waits, by address; each is told of once.
    blind: BTreeSet<String>,
}

/// Who waits, or is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    /// One of our transactions over several groups.
    Own(usize),
    /// Any other connection of a server.
    Other(usize, u64),
}

/// A wait, and the number of the server it is on.
type Wait = (Node, Node, usize);

impl Look {
    fn forget(&mut self) {
        self.connections.clear();
        self.suspect.clear();
    }

    /// One look; rolls the youngest of a circle back if the last look saw the same.
    async fn at(&mut self, open: &[(Arc<Active>, Open)], ledger: &Ledger) {
        let waits = self.waits(open).await;
        let mut by_age: Vec<usize> = (0..open.len()).collect();
        by_age.sort_by_key(|at| std::cmp::Reverse((open[*at].1.since, open[*at].0.session)));
        let circle = by_age.iter().find_map(|at| circle(&waits, *at)).unwrap_or_default();
        let running = |at: &usize| Some((open[*at].0.session, open[*at].1.running?));
        let suspect: Vec<_> = circle.iter().filter_map(running).collect();
        let seen_before = !circle.is_empty() && suspect.len() == circle.len() && suspect == self.suspect;
        self.suspect = suspect;
        if !seen_before {
            return;
        }
        let (victim, (_, statement)) = (&open[circle[0]].0, self.suspect[0]);
        if victim.kill(statement) {
            ledger.counts().deadlocks.fetch_add(1, Ordering::Relaxed);
            let circle: Vec<u32> = self.suspect.iter().map(|(session, _)| *session).collect();
            tracing::info!(?circle, "sessions waited for each other on different groups: the first is rolled back");
        }
    }

    /// The waits on all servers that these transactions have a part on.
    async fn waits(&mut self, open: &[(Arc<Active>, Open)]) -> Vec<Wait> {
        let mut servers: BTreeMap<&str, &Arc<Server>> = BTreeMap::new();
        for part in open.iter().flat_map(|(_, open)| &open.parts) {
            servers.entry(&part.server.spec.address).or_insert(&part.server);
        }
        let mut waits = Vec::new();
        for (number, (address, server)) in servers.into_iter().enumerate() {
            if self.blind.contains(address) {
                continue;
            }
            let node = |thread: u64| {
                let is_it = |part: &crate::txn::active::Connection| {
                    u64::from(part.number) == thread && part.server.spec.address == address
                };
                let own = open.iter().position(|(_, open)| open.parts.iter().any(is_it));
                own.map_or(Node::Other(number, thread), Node::Own)
            };
            match tokio::time::timeout(ANSWER, self.ask(server)).await {
                Ok(Ok(found)) => waits.extend(found.into_iter().map(|(a, b)| (node(a), node(b), number))),
                Ok(Err(error)) if DENIED.contains(&error.errno) => {
                    tracing::warn!(
                        server = server.name,
                        %error,
                        "deadlocks over several groups cannot be seen here and end by innodb_lock_wait_timeout"
                    );
                    self.blind.insert(address.to_owned());
                }
                failed => {
                    self.connections.remove(address);
                    tracing::debug!(server = server.name, ?failed, "lock waits could not be looked at");
                }
            }
        }
        waits
    }

    async fn ask(&mut self, server: &Arc<Server>) -> Result<Vec<(u64, u64)>, SqlError> {
        let address = &server.spec.address;
        let mut conn = match self.connections.remove(address) {
            Some(conn) => conn,
            None => connect(server).await?,
        };
        let answer = conn.query(waits(conn.info.mariadb)).await.map_err(|error| error.to_client(&server.name))?;
        self.connections.insert(address.clone(), conn);
        let number = |row, column| answer.text(row, column)?.parse::<u64>().ok();
        Ok((0..answer.rows.len()).filter_map(|row| Some((number(row, 0)?, number(row, 1)?))).collect())
    }
}

/// A connection to a server that shows its lock waits.
async fn connect(server: &Server) -> Result<Conn, SqlError> {
    let mut conn = server.connect_plain(Class { deprecate_eof: true, found_rows: false }).await?;
    if !conn.info.mariadb {
        let on = conn.query("SELECT @@performance_schema").await.map_err(|error| error.to_client(&server.name))?;
        if on.text(0, 0).as_deref() == Some("0") {
            return Err(SqlError::new(Code::PrivilegeDenied, "performance_schema is OFF"));
        }
    }
    Ok(conn)
}

/// The shortest circle of waits from one of our transactions back to it, as those of ours that are on it, that one
/// first. One on a single server is that server's to find.
fn circle(waits: &[Wait], from: usize) -> Option<Vec<usize>> {
    let mut came: BTreeMap<Node, Wait> = BTreeMap::new();
    let mut next = VecDeque::from([Node::Own(from)]);
    while let Some(node) = next.pop_front() {
        for wait in waits.iter().filter(|(waiting, _, _)| *waiting == node) {
            if came.contains_key(&wait.1) {
                continue;
            }
            came.insert(wait.1, *wait);
            if wait.1 != Node::Own(from) {
                next.push_back(wait.1);
                continue;
            }
            // Back along the waits.
            let (mut own, mut servers, mut at) = (Vec::new(), BTreeSet::new(), Node::Own(from));
            loop {
                let (waiting, _, server) = came[&at];
                servers.insert(server);
                if let Node::Own(number) = waiting {
                    own.push(number);
                }
                at = waiting;
                if at == Node::Own(from) {
                    break;
                }
            }
            own.reverse();
            return (servers.len() > 1).then_some(own);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_over_several_servers_are_found_and_nothing_else_is() {
        let own = Node::Own;
        let other = Node::Other;
        for (what, waits, from, expected) in [
            ("nobody waits", vec![], 0, None),
            ("a chain", vec![(own(0), own(1), 0), (own(1), own(2), 1)], 0, None),
            ("two", vec![(own(0), own(1), 0), (own(1), own(0), 1)], 1, Some(vec![1, 0])),
            ("two on one server, whose own it is", vec![(own(0), own(1), 0), (own(1), own(0), 0)], 0, None),
            (
                "three, and one that only waits for them",
                vec![(own(3), own(0), 2), (own(0), own(1), 0), (own(1), own(2), 1), (own(2), own(0), 2)],
                0,
                Some(vec![0, 1, 2]),
            ),
            ("the one that only waits", vec![(own(3), own(0), 2), (own(0), own(1), 0), (own(1), own(0), 1)], 3, None),
            (
                "through one of a single group",
                vec![(own(0), other(0, 77), 0), (other(0, 77), own(1), 0), (own(1), own(0), 1)],
                0,
                Some(vec![0, 1]),
            ),
            (
                "the same number on another server is another connection",
                vec![(own(0), other(0, 77), 0), (other(1, 77), own(0), 1)],
                0,
                None,
            ),
        ] {
            assert_eq!(circle(&waits, from), expected, "{what}");
        }
    }
}
