//! Finds transactions that wait for each other on different groups, which no server sees, and rolls the youngest back. It
//! looks only while a statement of one of this process's own transactions over several groups takes long. What other
//! proxies' transactions are part of is seen where the servers' performance schema tells the names of open branches, and
//! else ends by `innodb_lock_wait_timeout`.
//!
//! Waits are asked of one server after the other, so what is seen was never there at one moment. But a transaction that
//! waits does nothing else: as long as it is at the same statement, or in the same wait, it has let go of nothing. So a
//! circle whose transactions all are in two looks, each of which saw all its waits, is one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::backend::conn::{BackendError, Class, Conn};
use crate::backend::server::Server;
use crate::commit::id::{FORMAT, GlobalId, Identity};
use crate::error::{Code, SqlError};
use crate::txn::active::{Active, Open, Running};
use crate::txn::ledger::Ledger;

/// A statement that runs for so long may be waiting for a lock.
const LONG: Duration = Duration::from_millis(200);
/// Between two looks. Servers show waits that are up to 100 milliseconds old.
const PAUSE: Duration = Duration::from_millis(150);
/// How long a server may take to show its waits.
const ANSWER: Duration = Duration::from_secs(2);
/// Who does not show its waits is asked again after so long.
const BLIND: Duration = Duration::from_secs(600);
/// The right is missing: 1044, 1142, 1143, 1227.
const DENIED: [u16; 4] = [1044, 1142, 1143, 1227];

/// Asks a server for its lock waits: the connection that waits, the one that is waited for, and since when. On MySQL the account needs
/// PROCESS and SELECT on `performance_schema`, on MariaDB PROCESS.
pub fn waits(mariadb: bool) -> &'static str {
    match mariadb {
        true => {
            "SELECT DISTINCT r.trx_mysql_thread_id, b.trx_mysql_thread_id, r.trx_wait_started \
             FROM information_schema.INNODB_LOCK_WAITS w \
             JOIN information_schema.INNODB_TRX r ON r.trx_id = w.requesting_trx_id \
             JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id LIMIT 10000"
        }
        false => {
            "SELECT DISTINCT r.trx_mysql_thread_id, b.trx_mysql_thread_id, r.trx_wait_started \
             FROM performance_schema.data_lock_waits w \
             JOIN information_schema.INNODB_TRX r ON r.trx_id = w.REQUESTING_ENGINE_TRANSACTION_ID \
             JOIN information_schema.INNODB_TRX b ON b.trx_id = w.BLOCKING_ENGINE_TRANSACTION_ID LIMIT 10000"
        }
    }
}

/// Asks a server for the open branches of transactions over several groups, of any proxy: the connection, the name. There
/// are none to be seen where the performance schema does not show transactions, as on MariaDB, where it is off by default.
fn branches() -> String {
    format!(
        "SELECT t.PROCESSLIST_ID, e.XID_GTRID FROM performance_schema.events_transactions_current e \
         JOIN performance_schema.threads t USING (THREAD_ID) WHERE e.STATE = 'ACTIVE' AND e.XID_FORMAT_ID = {FORMAT} \
         AND t.PROCESSLIST_ID IS NOT NULL LIMIT 10000"
    )
}

/// Looks again and again, until the task is dropped.
pub async fn watch(ledger: Arc<Ledger>) {
    let mut blind = BTreeMap::new();
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
    suspect: Vec<Stuck>,
    /// The servers that do not show their waits, by address, and when they are asked again; each is told of once.
    blind: BTreeMap<String, Instant>,
}

/// Who waits, or is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    /// One of our transactions over several groups.
    Own(usize),
    /// One of another proxy.
    Foreign(GlobalId),
    /// Any other connection of a server.
    Other(usize, u64),
}

/// A wait.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wait {
    waiting: Node,
    by: Node,
    /// The number of the server it is on.
    server: usize,
    /// Since when, by that server's clock.
    since: String,
}

/// A transaction that waits, and in what: it is stuck as long as that is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stuck {
    /// A session's statement.
    Own(u32, Running),
    /// A wait since then.
    Foreign(GlobalId, String),
}

/// What a server shows.
#[derive(Debug, Default)]
struct Shown {
    /// The group, if it is known to have a part in transactions over several.
    identity: Option<Identity>,
    /// Who waits for whom, since when: connections, by number.
    waits: Vec<(u64, u64, String)>,
    /// Open branches.
    branches: Vec<(u64, GlobalId)>,
}

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
        let circles = by_age.iter().filter_map(|at| circle(&waits, *at));
        let name = |at: usize| open[at].1.global;
        let found = circles.filter_map(|circle| Some((victim(&circle, name)?, circle))).next();
        let suspect = found.as_ref().and_then(|(_, circle)| circle.iter().map(|wait| stuck(wait, open)).collect());
        let suspect: Vec<Stuck> = suspect.unwrap_or_default();
        let seen_before = !suspect.is_empty() && suspect == self.suspect;
        self.suspect = suspect;
        let Some((victim, _)) = found.filter(|_| seen_before) else { return };
        let (session, transaction) = &open[victim];
        if let Some(statement) = transaction.running
            && session.kill(statement)
        {
            ledger.counts().deadlocks.fetch_add(1, Ordering::Relaxed);
            let (victim, circle) = (session.session, &self.suspect);
            tracing::info!(victim, ?circle, "transactions waited for each other on different groups");
        }
    }

    /// The waits on all servers that these transactions have a part on.
    async fn waits(&mut self, open: &[(Arc<Active>, Open)]) -> Vec<Wait> {
        let mut servers: BTreeMap<&str, &Arc<Server>> = BTreeMap::new();
        for part in open.iter().flat_map(|(_, open)| &open.parts) {
            servers.entry(&part.server.spec.address).or_insert(&part.server);
        }
        let mut shown = Vec::with_capacity(servers.len());
        for server in servers.values() {
            shown.push(self.look_at(server).await);
        }
        let numbers: BTreeMap<&str, usize> =
            servers.keys().zip(0..).map(|(address, number)| (*address, number)).collect();
        let mut own = BTreeMap::new();
        for (at, (_, open)) in open.iter().enumerate() {
            for part in &open.parts {
                if let Some(server) = numbers.get(part.server.spec.address.as_str()) {
                    own.insert((*server, u64::from(part.number)), at);
                }
            }
        }
        waits_of(&shown, &own)
    }

    /// What a server shows: nothing, if it cannot be asked.
    async fn look_at(&mut self, server: &Arc<Server>) -> Shown {
        let address = &server.spec.address;
        if self.blind.get(address).is_some_and(|until| Instant::now() < *until) {
            return Shown::default();
        }
        match tokio::time::timeout(ANSWER, self.ask(server)).await {
            Ok(Ok(shown)) => {
                self.blind.remove(address);
                return shown;
            }
            Ok(Err(error)) if DENIED.contains(&error.errno) => {
                if self.blind.insert(address.clone(), Instant::now() + BLIND).is_none() {
                    tracing::warn!(
                        server = server.name,
                        %error,
                        "deadlocks over several groups cannot be seen here and end by innodb_lock_wait_timeout"
                    );
                }
            }
            failed => {
                self.connections.remove(address);
                tracing::debug!(server = server.name, ?failed, "lock waits could not be looked at");
            }
        }
        Shown::default()
    }

    async fn ask(&mut self, server: &Arc<Server>) -> Result<Shown, SqlError> {
        let address = &server.spec.address;
        let mut conn = match self.connections.remove(address) {
            Some(conn) => conn,
            None => connect(server).await?,
        };
        let answer = conn.query(waits(conn.info.mariadb)).await.map_err(|error| error.to_client(&server.name))?;
        let mut shown = Shown { identity: server.group_identity.get().copied(), ..Shown::default() };
        let number = |row, column| answer.text(row, column)?.parse::<u64>().ok();
        let wait = |row| Some((number(row, 0)?, number(row, 1)?, answer.text(row, 2)?));
        shown.waits = (0..answer.rows.len()).filter_map(wait).collect();
        // Whose they are matters only where somebody waits.
        if !shown.waits.is_empty() {
            shown.branches = match conn.query(&branches()).await {
                Ok(found) => {
                    let branch =
                        |row| Some((found.text(row, 0)?.parse().ok()?, GlobalId::parse(&found.text(row, 1)?)?));
                    (0..found.rows.len()).filter_map(branch).collect()
                }
                // Not to be seen: our own are known all the same.
                Err(BackendError::Server(_)) => Vec::new(),
                Err(error) => return Err(error.to_client(&server.name)),
            };
        }
        self.connections.insert(address.clone(), conn);
        Ok(shown)
    }
}

/// The waits by transactions. `own`: the connections of ours, by server and number.
fn waits_of(shown: &[Shown], own: &BTreeMap<(usize, u64), usize>) -> Vec<Wait> {
    let mut foreign = BTreeMap::new();
    for (server, branch) in shown.iter().enumerate().flat_map(|(at, shown)| shown.branches.iter().map(move |b| (at, b)))
    {
        let (connection, global) = *branch;
        foreign.insert((server, connection), global);
        // A branch's name tells which connection its transaction has on the commit point.
        let point = shown.iter().position(|shown| shown.identity == Some(global.commit_point));
        foreign.extend(point.map(|point| ((point, u64::from(global.connection)), global)));
    }
    let node = |server: usize, connection: u64| {
        let key = (server, connection);
        let foreign = || foreign.get(&key).copied().map(Node::Foreign);
        own.get(&key).copied().map(Node::Own).or_else(foreign).unwrap_or(Node::Other(server, connection))
    };
    let of_server = |(server, shown): (usize, &Shown)| -> Vec<Wait> {
        let wait = |(waiting, by, since): &(u64, u64, String)| Wait {
            waiting: node(server, *waiting),
            by: node(server, *by),
            server,
            since: since.clone(),
        };
        shown.waits.iter().map(wait).collect()
    };
    shown.iter().enumerate().flat_map(of_server).collect()
}

/// What a transaction of a circle is stuck in, if it is.
fn stuck(wait: &Wait, open: &[(Arc<Active>, Open)]) -> Option<Stuck> {
    match wait.waiting {
        Node::Own(at) => Some(Stuck::Own(open[at].0.session, open[at].1.running?)),
        Node::Foreign(global) => Some(Stuck::Foreign(global, wait.since.clone())),
        Node::Other(..) => None,
    }
}

/// Which of ours is to be rolled back for a circle, which begins with the youngest of ours. The other proxies that have a
/// part in it see it too: so the youngest is told by the names, which are the same to all, and may be theirs to roll back.
/// `name`: that of one of ours.
fn victim(circle: &[Wait], name: impl Fn(usize) -> Option<GlobalId>) -> Option<usize> {
    let age = |global: GlobalId| (global.deadline, global.epoch, global.number);
    let (mut theirs, mut ours) = (None, Vec::new());
    for wait in circle {
        match wait.waiting {
            Node::Own(at) => ours.push(at),
            Node::Foreign(global) => theirs = theirs.max(Some(age(global))),
            Node::Other(..) => {}
        }
    }
    let named: Option<Vec<_>> = ours.iter().map(|at| Some((age(name(*at)?), *at))).collect();
    match (theirs, named) {
        (Some(theirs), Some(named)) => named.into_iter().max().filter(|(ours, _)| *ours > theirs).map(|(_, at)| at),
        // One of ours that has no name (`best_effort`) is not known to be one to others, who see no circle.
        (Some(_), None) | (None, _) => ours.first().copied(),
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

/// The shortest circle of waits from one of our transactions back to it, as the waits of the transactions over several
/// groups that are on it, its own first. One on a single server is that server's to find.
fn circle(waits: &[Wait], from: usize) -> Option<Vec<Wait>> {
    let mut came: BTreeMap<Node, &Wait> = BTreeMap::new();
    let mut next = VecDeque::from([Node::Own(from)]);
    while let Some(node) = next.pop_front() {
        for wait in waits.iter().filter(|wait| wait.waiting == node) {
            if came.contains_key(&wait.by) {
                continue;
            }
            came.insert(wait.by, wait);
            if wait.by != Node::Own(from) {
                next.push_back(wait.by);
                continue;
            }
            // Back along the waits.
            let (mut circle, mut servers, mut at) = (Vec::new(), BTreeSet::new(), Node::Own(from));
            loop {
                let wait = came[&at];
                servers.insert(wait.server);
                if !matches!(wait.waiting, Node::Other(..)) {
                    circle.push(wait.clone());
                }
                at = wait.waiting;
                if at == Node::Own(from) {
                    break;
                }
            }
            circle.reverse();
            return (servers.len() > 1).then_some(circle);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(waits: &[(Node, Node, usize)]) -> Vec<Wait> {
        let wait = |(waiting, by, server): &(Node, Node, usize)| Wait {
            waiting: *waiting,
            by: *by,
            server: *server,
            since: String::new(),
        };
        waits.iter().map(wait).collect()
    }

    fn name(number: u64) -> GlobalId {
        GlobalId { commit_point: Identity(1), epoch: 0, number, deadline: 0, connection: 70 + number as u32 }
    }

    #[test]
    fn circles_over_several_servers_are_found_and_nothing_else_is() {
        let own = Node::Own;
        let other = Node::Other;
        let foreign = Node::Foreign(name(1));
        for (what, told, from, expected) in [
            ("nobody waits", vec![], 0, None),
            ("a chain", vec![(own(0), own(1), 0), (own(1), own(2), 1)], 0, None),
            ("two", vec![(own(0), own(1), 0), (own(1), own(0), 1)], 1, Some(vec![own(1), own(0)])),
            ("two on one server, whose own it is", vec![(own(0), own(1), 0), (own(1), own(0), 0)], 0, None),
            (
                "three, and one that only waits for them",
                vec![(own(3), own(0), 2), (own(0), own(1), 0), (own(1), own(2), 1), (own(2), own(0), 2)],
                0,
                Some(vec![own(0), own(1), own(2)]),
            ),
            ("the one that only waits", vec![(own(3), own(0), 2), (own(0), own(1), 0), (own(1), own(0), 1)], 3, None),
            (
                "through one of a single group",
                vec![(own(0), other(0, 77), 0), (other(0, 77), own(1), 0), (own(1), own(0), 1)],
                0,
                Some(vec![own(0), own(1)]),
            ),
            (
                "the same number on another server is another connection",
                vec![(own(0), other(0, 77), 0), (other(1, 77), own(0), 1)],
                0,
                None,
            ),
            ("with another proxy's", vec![(own(0), foreign, 0), (foreign, own(0), 1)], 0, Some(vec![own(0), foreign])),
        ] {
            let found = circle(&waits(&told), from);
            let found = found.map(|circle| circle.into_iter().map(|wait| wait.waiting).collect::<Vec<_>>());
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn proxies_agree_on_the_victim() {
        let foreign = |number| Node::Foreign(name(number));
        let (own, names) = (Node::Own, [Some(name(5)), Some(name(8)), None]);
        for (what, circle, expected) in [
            ("all ours", vec![own(1), own(0)], Some(1)),
            ("all ours, whatever their names", vec![own(0), own(1)], Some(0)),
            ("ours is the youngest", vec![own(0), foreign(4)], Some(0)),
            ("theirs is", vec![own(0), foreign(6)], None),
            ("one of ours is", vec![own(0), foreign(6), own(1)], Some(1)),
            ("ours has no name", vec![own(2), foreign(9)], Some(2)),
        ] {
            let circle: Vec<_> = circle.into_iter().map(|node| (node, node, 0)).collect();
            assert_eq!(victim(&waits(&circle), |at| names[at]), expected, "{what}");
        }
    }

    #[test]
    fn a_branch_tells_both_connections_of_its_transaction() {
        let wait = |waiting, by| vec![(waiting, by, "now".to_owned())];
        let shown = [
            Shown { identity: Some(Identity(1)), waits: wait(73, 20), branches: vec![] },
            Shown { identity: Some(Identity(2)), waits: wait(21, 30), branches: vec![(30, name(3)), (21, name(9))] },
        ];
        // Ours is named, too.
        let own = BTreeMap::from([((0, 20), 0), ((1, 21), 0)]);
        let found: Vec<_> =
            waits_of(&shown, &own).into_iter().map(|wait| (wait.waiting, wait.by, wait.server)).collect();
        let theirs = Node::Foreign(name(3));
        assert_eq!(found, [(theirs, Node::Own(0), 0), (Node::Own(0), theirs, 1)]);
    }
}
