//! The worker id of a proxy's snowflake ids: leased in the metadata schema for a span of time, and renewed before the
//! span is used up. Two spans of one worker id never overlap, whoever has them and whatever their clocks say: so no id
//! is made twice even if a lease is taken from a proxy that still lives.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::cluster::Group;
use crate::backend::metadata::{Metadata, SCHEMA, Table, literal};
use crate::error::{Code, SqlError};
use crate::ids::{in_time, locked, now_ms};
use crate::sequence::snowflake::{Empty, Snowflake, WORKERS};

/// Who has which worker id, and how far its span goes. Rows must not be deleted: a worker id that is given out anew
/// begins behind its last span.
pub const WORKER: Table = Table {
    name: "worker",
    columns: "id SMALLINT UNSIGNED NOT NULL PRIMARY KEY, holder CHAR(32) NOT NULL, until_ms BIGINT UNSIGNED NOT NULL, \
              renewed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP",
};

/// How long a lease is made for, from now.
const SPAN_MS: u64 = 60_000;

/// It is renewed while so much of it is left.
const RENEW_MS: u64 = 30_000;

/// A worker id whose lease has ended so long ago may be given to somebody else, once there is none that nobody ever had.
const FORGOTTEN_MS: u64 = 600_000;

/// How often another proxy may be quicker to take a worker id.
const ATTEMPTS: u32 = 100;

/// The proxy's worker id on one home group.
#[derive(Default)]
pub(super) struct Worker {
    held: Mutex<Option<Held>>,
    /// Held by whoever leases.
    turn: tokio::sync::Mutex<()>,
    renewing: AtomicBool,
}

struct Held {
    id: u16,
    /// What tells this lease from those of all other proxies.
    holder: String,
    ids: Snowflake,
}

impl Worker {
    /// Takes `count` ids at the time `now`.
    pub(super) fn take(&self, now: u64, count: u64) -> Result<u64, Empty> {
        locked(&self.held).as_mut().map_or(Err(Empty::Ended), |held| held.ids.take(now, count))
    }

    /// Renews the lease in the background if its end is near.
    pub(super) fn keep(self: &Arc<Worker>, home: &Arc<Group>) {
        if !self.is_ending() || self.renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (worker, home) = (self.clone(), home.clone());
        tokio::spawn(async move {
            if let Err(error) = in_time(&home, worker.lease(&home)).await {
                tracing::warn!(%error, group = home.name, "the lease of the worker id could not be renewed");
            }
            worker.renewing.store(false, Ordering::Release);
        });
    }

    /// Renews the lease, or takes another worker id if somebody else has it now.
    pub(super) async fn lease(&self, home: &Group) -> Result<(), SqlError> {
        let _turn = self.turn.lock().await;
        if !self.is_ending() {
            return Ok(());
        }
        let mut metadata = Metadata::open(home.primary().await?).await?;
        if !self.renew(&mut metadata).await? {
            let held = acquire(&mut metadata).await?;
            tracing::info!(group = home.name, worker = held.id, "worker id leased");
            *locked(&self.held) = Some(held);
        }
        Ok(())
    }

    fn is_ending(&self) -> bool {
        locked(&self.held).as_ref().is_none_or(|held| held.ids.until() < now_ms() + RENEW_MS)
    }

    async fn renew(&self, metadata: &mut Metadata<'_>) -> Result<bool, SqlError> {
        let now = now_ms();
        let known = locked(&self.held).as_ref().map(|held| (held.id, held.holder.clone(), held.ids.until()));
        let Some((id, holder, until)) = known else { return Ok(false) };
        // Of a lease that ended long ago the clock may have been set back: the span only grows.
        let next = (now + SPAN_MS).max(until + 1);
        let update = format!(
            "UPDATE `{SCHEMA}`.`worker` SET until_ms = {next} WHERE id = {id} AND holder = {} AND until_ms = {until}",
            literal(&holder)
        );
        if metadata.query(WORKER, &update).await?.affected_rows != 1 {
            return Ok(false);
        }
        if let Some(held) = locked(&self.held).as_mut() {
            held.ids.extend(next);
        }
        Ok(true)
    }
}

/// Leases a worker id that nobody ever had, or else the one whose lease ended first.
async fn acquire(metadata: &mut Metadata<'_>) -> Result<Held, SqlError> {
    let mut token = [0u8; 16];
    aws_lc_rs::rand::fill(&mut token).map_err(|_| SqlError::new(Code::Unknown, "no random bytes for a lease"))?;
    let holder: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    for _ in 0..ATTEMPTS {
        let next = format!("SELECT COALESCE(MAX(id) + 1, 0) FROM `{SCHEMA}`.`worker`");
        let next = metadata.query(WORKER, &next).await?.text(0, 0).and_then(|id| id.parse::<u16>().ok());
        let (now, mut after) = (now_ms(), 0);
        let until = now + SPAN_MS;
        let (id, statement) = match next.filter(|id| *id < WORKERS) {
            Some(id) => {
                let values = format!("({id}, {}, {until})", literal(&holder));
                (id, format!("INSERT IGNORE INTO `{SCHEMA}`.`worker` (id, holder, until_ms) VALUES {values}"))
            }
            None => {
                let oldest = format!("SELECT id, holder, until_ms FROM `{SCHEMA}`.`worker` ORDER BY until_ms LIMIT 1");
                let oldest = metadata.query(WORKER, &oldest).await?;
                let number = |column| oldest.text(0, column).and_then(|number| number.parse::<u64>().ok());
                let (id, ended) = (number(0).unwrap_or(0), number(2).unwrap_or(u64::MAX));
                if ended.saturating_add(FORGOTTEN_MS) > now {
                    return Err(SqlError::new(
                        Code::NoMoreIds,
                        format!("No id could be made: all {WORKERS} worker ids are leased by other proxies"),
                    ));
                }
                after = ended;
                let before = literal(&oldest.text(0, 1).unwrap_or_default());
                let statement = format!(
                    "UPDATE `{SCHEMA}`.`worker` SET holder = {}, until_ms = {until} \
                     WHERE id = {id} AND holder = {before} AND until_ms = {ended}",
                    literal(&holder)
                );
                (id as u16, statement)
            }
        };
        if metadata.query(WORKER, &statement).await?.affected_rows == 1 {
            return Ok(Held { id, holder, ids: Snowflake::new(id, after, until) });
        }
    }
    Err(SqlError::new(Code::NoMoreIds, "No id could be made: other proxies were always quicker to lease a worker id"))
}
