//! The ids that this proxy makes, from worker ids and blocks that it takes through the metadata schema. What an id means
//! to a statement is for those above; the arithmetic is `sequence`'s.

pub mod counter;
pub mod worker;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::backend::cluster::Group;
use crate::error::{Code, SqlError};
use crate::ids::counter::{Counted, Counter};
use crate::ids::worker::Worker;
use crate::sequence::snowflake::{self, AHEAD_MS, Empty};
use crate::sequence::uuid;

/// How long a statement waits for a clock that was set back, or for a burst to pass.
const CLOCK_WAIT: Duration = Duration::from_secs(3);

/// How long a statement waits for the server that keeps worker ids and counters.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// All generators of a proxy. They outlive rule sets: a table keeps its generator by its name.
#[derive(Default)]
pub struct Ids {
    /// By the name of the home group.
    workers: Mutex<HashMap<String, Arc<Worker>>>,
    /// By schema and table.
    counters: Mutex<HashMap<(String, String), Arc<Counter>>>,
}

impl Ids {
    /// The first of `count` consecutive snowflake ids for tables whose schema is at home on `home`.
    ///
    /// # Errors
    /// 1235 for too many; 1467 if the clock stays too far behind, or if no worker id can be leased in time.
    pub async fn snowflake(&self, home: &Arc<Group>, count: u64) -> Result<u64, SqlError> {
        let worker = entry(&self.workers, home.name.clone());
        let mut waited = Duration::ZERO;
        loop {
            match worker.take(now_ms(), count) {
                Ok(first) => {
                    worker.keep(home);
                    return Ok(first);
                }
                Err(Empty::TooMany) => return Err(SqlError::refuse(Empty::TooMany.to_string())),
                Err(Empty::Ended) => in_time(home, worker.lease(home)).await?,
                Err(Empty::Ahead(ms)) if waited < CLOCK_WAIT && ms < AHEAD_MS + CLOCK_WAIT.as_millis() as u64 => {
                    let pause = Duration::from_millis(ms.saturating_sub(AHEAD_MS).max(1));
                    tokio::time::sleep(pause).await;
                    waited += pause;
                }
                Err(ahead) => return Err(SqlError::new(Code::NoMoreIds, format!("No id could be made: {ahead}"))),
            }
        }
    }

    /// The first of `count` consecutive ids of a table's counter.
    ///
    /// # Errors
    /// Those of the servers; 1467 if the counter is at its end.
    pub async fn segment(&self, table: &Counted<'_>, count: u64) -> Result<u64, SqlError> {
        let counter = self.counter(table);
        loop {
            if let Some(first) = counter.take(count) {
                counter.keep(table);
                return Ok(first);
            }
            in_time(table.home, counter.fetch(table, count)).await?;
        }
    }

    /// Takes note of ids that a client gives itself: none of them is made by this proxy afterwards, and none beyond
    /// the counter by any.
    ///
    /// # Errors
    /// Those of the servers.
    pub async fn given(&self, table: &Counted<'_>, ids: &[u64]) -> Result<(), SqlError> {
        if ids.is_empty() {
            return Ok(());
        }
        in_time(table.home, self.counter(table).given(table, ids)).await
    }

    /// That snowflake ids which a client gives itself are of a time that is over, so that they are not made again.
    ///
    /// # Errors
    /// 1235.
    pub fn past(&self, ids: &[u64]) -> Result<(), SqlError> {
        let end = now_ms() + AHEAD_MS;
        match ids.iter().find(|id| snowflake::time_of(**id) > end) {
            None => Ok(()),
            Some(id) => {
                let why = "is a snowflake id of a time that is still to come, and would be made again then";
                Err(SqlError::refuse(format!("{id} {why}")))
            }
        }
    }

    /// A UUID.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn uuid(&self) -> Result<uuid::Text, SqlError> {
        let mut random = [0; 10];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| SqlError::new(Code::Unknown, "no random bytes for a UUID"))?;
        Ok(uuid::version_7(now_ms(), random))
    }

    fn counter(&self, table: &Counted<'_>) -> Arc<Counter> {
        entry(&self.counters, (table.schema.to_lowercase(), table.table.to_lowercase()))
    }
}

/// What a home group is asked for, unless it takes too long.
async fn in_time(home: &Group, asked: impl Future<Output = Result<(), SqlError>>) -> Result<(), SqlError> {
    tokio::time::timeout(ANSWER_WAIT, asked).await.unwrap_or_else(|_| {
        let message = format!("No id could be made: group {} did not answer within {ANSWER_WAIT:?}", home.name);
        Err(SqlError::new(Code::WaitTimeout, message))
    })
}

fn entry<K: Eq + Hash, V: Default>(map: &Mutex<HashMap<K, Arc<V>>>, key: K) -> Arc<V> {
    locked(map).entry(key).or_default().clone()
}

/// What a lock guards; nothing that is done under these locks can leave it half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The Unix time in milliseconds.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
