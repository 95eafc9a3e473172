//! What all sessions of the process share. It owns no session and runs no statement.

use std::sync::Arc;

use arc_swap::ArcSwap;
use quick_cache::sync::Cache;

use crate::backend::schema;
use crate::backend::settings::Settings;
use crate::config::Config;
use crate::error::SqlError;
use crate::ids::Ids;
use crate::metrics::Metrics;
use crate::plan::cache::PlanCache;
use crate::session::door::Door;
use crate::session::registry::Registry;
use crate::session::topology::Topology;
use crate::txn::ledger::Ledger;

/// How many SET statements are remembered with what they do; drivers send a handful of different ones.
const REMEMBERED_SETS: usize = 4_096;

/// What all sessions share.
pub struct Proxy {
    /// Bounds and timeouts.
    pub config: Arc<Config>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The rules, tables and servers of now; a statement loads it once.
    pub topology: ArcSwap<Topology>,
    /// Makes ids.
    pub ids: Ids,
    /// Plans by statement text.
    pub plans: PlanCache,
    /// Who is connected.
    pub sessions: Arc<Registry>,
    /// What its transactions over several groups share.
    pub ledger: Arc<Ledger>,
    /// Who may come in: users, TLS, the greeting.
    pub door: Door,
    /// What a SET statement makes of given settings, as a server once said.
    pub sets: Cache<SetKey, Arc<Settings>>,
    /// Makes the keys of the plan cache unpredictable for clients.
    pub seed: u64,
}

/// A SET statement under given settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SetKey {
    /// [`Settings::hash`] of the settings it starts from.
    pub settings: u64,
    /// The whole statement.
    pub text: Box<[u8]>,
}

impl Proxy {
    /// Takes over what changed of the tables; plans made for the old ones are then not found any more. Rules that are
    /// taken over meanwhile stay.
    ///
    /// # Errors
    /// That of a server that cannot be asked; then nothing changes.
    pub async fn refresh_catalog(&self) -> Result<(), SqlError> {
        loop {
            let now = self.topology.load_full();
            let catalog = schema::catalog(&now.rules, &now.groups).await?;
            if catalog == *now.catalog {
                return Ok(());
            }
            let new = Arc::new(now.with_catalog(Arc::new(catalog)));
            if Arc::ptr_eq(&self.topology.compare_and_swap(&now, new), &now) {
                return Ok(());
            }
        }
    }

    /// Room for the remembered SET statements.
    pub fn remembered_sets() -> Cache<SetKey, Arc<Settings>> {
        Cache::new(REMEMBERED_SETS)
    }
}
