//! Asks every server of a group, again and again, whether it lives, writes, and how far it is behind,
//! and lets the group decide its roles from the answers. It routes nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::cluster::Group;
use crate::backend::conn::{Answer, BackendError, Class, Conn};
use crate::backend::gtid::Applied;
use crate::backend::server::{Health, HealthState, Lag, Server};

/// Probes the group until the task is dropped; each round takes at most `interval` plus `timeout`.
pub async fn watch(group: Arc<Group>, interval: Duration, timeout: Duration) {
    let mut probes: Vec<Probe> =
        group.members().iter().map(|member| Probe { server: member.server.clone(), conn: None }).collect();
    loop {
        round(&group, &mut probes, timeout).await;
        tokio::time::sleep(interval).await;
    }
}

/// One round over all members at once, then the roles.
pub async fn once(group: &Arc<Group>, timeout: Duration) {
    let mut probes: Vec<Probe> =
        group.members().iter().map(|member| Probe { server: member.server.clone(), conn: None }).collect();
    round(group, &mut probes, timeout).await;
}

async fn round(group: &Group, probes: &mut [Probe], timeout: Duration) {
    let mut running = Vec::with_capacity(probes.len());
    for probe in probes.iter_mut() {
        let mut probe = Probe { server: probe.server.clone(), conn: probe.conn.take() };
        running.push(tokio::spawn(async move {
            probe.ask(timeout).await;
            probe
        }));
    }
    for (slot, task) in probes.iter_mut().zip(running) {
        if let Ok(probe) = task.await {
            *slot = probe;
        }
    }
    group.decide_roles();
    for member in group.members() {
        member.server.pool.prune(Instant::now());
    }
}

/// One server with the control connection that asks it.
struct Probe {
    server: Arc<Server>,
    conn: Option<Conn>,
}

impl Probe {
    async fn ask(&mut self, timeout: Duration) {
        let health = match tokio::time::timeout(timeout, self.health()).await {
            Ok(Ok(health)) => health,
            Ok(Err(error)) => self.down(error),
            Err(_) => self.down(format!("no answer within {timeout:?}")),
        };
        let before = self.server.examined(health);
        let now = self.server.health.load();
        if before.state != now.state {
            match &now.state {
                HealthState::Down(why) => {
                    tracing::warn!(server = self.server.name, why, "server is down");
                    self.server.pool.clear();
                }
                _ => tracing::info!(server = self.server.name, "server is up"),
            }
        }
    }

    fn down(&mut self, why: String) -> Health {
        self.conn = None;
        Health { state: HealthState::Down(why), at: Some(Instant::now()), ..Health::default() }
    }

    async fn health(&mut self) -> Result<Health, String> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => {
                let class = Class { deprecate_eof: true, found_rows: false };
                self.server.connect(class).await.map_err(|e| e.to_string())?
            }
        };
        let health = ask(&mut conn).await.map_err(|e| e.to_string())?;
        self.conn = Some(conn);
        Ok(health)
    }
}

async fn ask(conn: &mut Conn) -> Result<Health, BackendError> {
    let mariadb = conn.info.mariadb;
    let facts = if mariadb {
        "SELECT @@global.read_only, @@global.gtid_current_pos"
    } else {
        "SELECT @@global.read_only, @@global.gtid_executed"
    };
    let answer = conn.query(facts).await?;
    let cell = |column: usize| answer.text(0, column).unwrap_or_default();
    let read_only = cell(0) == "1";
    let applied = if mariadb { Applied::mariadb(&cell(1)) } else { Applied::mysql(&cell(1)) };
    Ok(Health {
        state: HealthState::Up,
        at: Some(Instant::now()),
        read_only,
        replica: lag(conn).await?,
        applied,
        info: Some(conn.info.clone()),
    })
}

/// How far the server is behind the one it follows. Needs REPLICATION CLIENT (MySQL) or SLAVE MONITOR
/// (MariaDB); without it a read-only server counts as stopped, so that nobody reads old rows from it.
async fn lag(conn: &mut Conn) -> Result<Option<Lag>, BackendError> {
    let statement =
        if conn.info.mariadb || conn.info.number < 80_022 { "SHOW SLAVE STATUS" } else { "SHOW REPLICA STATUS" };
    let status = match conn.query(statement).await {
        Ok(status) => status,
        Err(BackendError::Server(error)) if matches!(error.errno, 1227 | 1142 | 1044) => {
            tracing::debug!(statement, %error, "cannot read the replication status");
            return Ok(Some(Lag::Stopped));
        }
        Err(error) => return Err(error),
    };
    if status.rows.is_empty() {
        return Ok(None);
    }
    Ok(Some(behind(&status)))
}

/// The slowest channel counts.
fn behind(status: &Answer) -> Lag {
    let column = ["Seconds_Behind_Source", "Seconds_Behind_Master"].iter().find_map(|name| status.column(name));
    let Some(column) = column else { return Lag::Stopped };
    let mut slowest = Duration::ZERO;
    for row in 0..status.rows.len() {
        match status.text(row, column).and_then(|seconds| seconds.parse().ok()) {
            Some(seconds) => slowest = slowest.max(Duration::from_secs(seconds)),
            None => return Lag::Stopped,
        }
    }
    Lag::Behind(slowest)
}
