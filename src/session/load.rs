//! LOAD DATA LOCAL INFILE: whether the client may send a file, and what the session remembers of a load into several
//! places.

use crate::error::SqlError;
use crate::exec::interrupt::Stop;
use crate::exec::load::made::Maker;
use crate::exec::load::{self, Loading};
use crate::exec::outcome::Outcome;
use crate::exec::variables::with_variables;
use crate::ids::counter::Counted;
use crate::plan::load::{Destination, Load};
use crate::plan::made::Made;
use crate::plan::{Bound, Planned, Route, Target};
use crate::rules::GroupId;
use crate::rules::id::IdKind;
use crate::session::Session;
use crate::session::numbering::places;
use crate::session::run::Execution;
use crate::sql::head::user_variables;
use crate::sql::{Flavour, SqlMode};
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
        let snowflake = |made: &Made| made.kind == IdKind::Snowflake;
        let may_store = |id: u64| match load.made.as_ref().is_none_or(snowflake) {
            true => ids.past(&[id]),
            false => Ok(()),
        };
        let named = load.made.as_ref().and_then(|made| {
            let table = planned.tables.get(usize::from(made.table))?;
            Some((made, table, topology.rules.schema(&table.schema)?))
        });
        let places = || named.map_or(Vec::new(), |(_, table, _)| places(topology, &table.schema, &table.name));
        let maker = named.map(|(made, table, schema)| {
            let home = topology.group(schema.home);
            let (schema, table, column) = (&*table.schema, &*table.name, &*made.column);
            let unable = self.counts_by_one().err().filter(|_| made.kind != IdKind::Uuid);
            Maker { ids, made, home, counted: Counted { schema, table, column, home, places: &places }, unable }
        });
        if let Some(error) =
            maker.as_ref().filter(|maker| maker.made.field.is_none()).and_then(|maker| maker.unable.clone())
        {
            return Err(error.into());
        }
        let loading = Loading {
            maker,
            bound,
            load,
            targets: &targets,
            family,
            autocommit: self.autocommit(),
            clock: self.one_clock(planned),
            zero_is_id: self.facts_of_now().mode.has(SqlMode::NO_AUTO_VALUE_ON_ZERO),
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
        self.last_insert_id = loaded.made_id.unwrap_or(self.last_insert_id);
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
