//! LOAD DATA LOCAL INFILE: whether the client may send a file, and what the session remembers of a load into several
//! places.

use crate::error::SqlError;
use crate::exec::interrupt::Stop;
use crate::exec::load::{self, Loading};
use crate::exec::outcome::Outcome;
use crate::exec::variables::with_variables;
use crate::plan::load::{Destination, Load};
use crate::plan::{Bound, Planned, Route, Target};
use crate::rules::GroupId;
use crate::session::Session;
use crate::session::run::Execution;
use crate::sql::Flavour;
use crate::sql::head::user_variables;
use crate::txn::State;
use crate::wire::capabilities::Capabilities;

impl Session {
    /// That a client which is asked for a file has said that it may be.
    pub(super) fn may_ask_for_file(&self, planned: &Planned) -> Result<(), SqlError> {
        if !planned.effects.local_file || self.capabilities.has(Capabilities::LOCAL_FILES) {
            return Ok(());
        }
        let (errno, state, message) = match self.facts.flavour {
            Flavour::MySql => (
                3948,
                *b"42000",
                "Loading local data is disabled; this must be enabled on both the client and server sides",
            ),
            Flavour::MariaDb => (
                4166,
                *b"HY000",
                "The used command is not allowed because the MariaDB server or client has disabled the local infile \
                 capability",
            ),
        };
        Err(SqlError { errno, state, message: message.to_owned() })
    }

    /// Loads the client's file, each line where it belongs.
    pub(super) async fn run_load(&mut self, of: &Execution<'_>, bound: &Bound<'_>, load: &Load) -> Result<(), Stop> {
        let Execution { topology, planned, add, .. } = *of;
        if load.commit.is_some() && (*self.txn.state() != State::Auto || !self.autocommit()) {
            let why =
                "the hint commit= is not for a transaction of the client's: COMMIT it first, and SET autocommit = 1";
            return Err(SqlError::refuse(why).into());
        }
        let targets: Vec<Target> = match &bound.route {
            Route::One(target) => vec![*target],
            Route::Many(targets) => targets.clone(),
            Route::Any => Vec::new(),
        };
        let family = match &load.to {
            Destination::Shards { family, .. } => topology.rules.family(*family),
            Destination::Copies => None,
        };
        let variables = if load.variables { user_variables(bound.sql(), self.facts)? } else { Vec::new() };
        let ids = &self.proxy.ids;
        let may_store = |id: u64| ids.past(&[id]);
        let loading = Loading {
            bound,
            load,
            targets: &targets,
            family,
            autocommit: self.autocommit(),
            clock: self.one_clock(planned),
            may_store: &may_store,
            variables: &variables,
            memory: self.proxy.config.limits.load,
            patience: self.proxy.config.timeouts.read,
        };
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        let needs = &self.needs;
        let place = |id: GroupId| (topology.group(id), needs.wanted(topology, id));
        let loaded = load::run(&mut self.client, &mut self.txn, &loading, &place, &mut patience).await?;
        self.diagnostics.clear();
        for condition in loaded.conditions {
            self.diagnostics.push(condition.level, condition.code, condition.message);
        }
        self.diagnostics.put_together(loaded.warnings);
        self.row_count = loaded.affected_rows as i64;
        if !loaded.variables.is_empty() {
            self.needs.settings = with_variables(&self.needs.settings, &loaded.variables).into();
        }
        let outcome = Outcome {
            affected_rows: loaded.affected_rows,
            warnings: u16::try_from(loaded.warnings).unwrap_or(u16::MAX),
            info: loaded.info,
            ..Outcome::default()
        };
        self.wrote(&outcome, add);
        Ok(())
    }
}
