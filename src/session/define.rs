//! Data definitions as the session sees them: done at every place, seen through SHOW SHARDLOOM DDL, gone on with or
//! forgotten; and the tables looked at anew afterwards. How one is done is for `exec` to know.

use crate::backend::cluster::Group;
use crate::backend::settings::Settings;
use crate::error::SqlError;
use crate::exec::define::record::{Job, State, Step};
use crate::exec::define::{self, Defined, Dropping, Ground, Wish};
use crate::exec::interrupt::Stop;
use crate::exec::names::tables;
use crate::plan::define::Define;
use crate::plan::render::Name;
use crate::rules::{GroupId, PhysicalName, Placement};
use crate::session::Session;
use crate::session::reply::{self, Table};
use crate::session::run::Execution;
use crate::session::topology::Topology;
use crate::sql::ast::Ident;
use crate::sql::head::Ddl;
use crate::txn::Pin;
use crate::wire::capabilities::Status;
use crate::wire::reply::OkPacket;

impl Session {
    /// A definition at several places.
    pub(super) async fn run_define(&mut self, of: &Execution<'_>, define: &Define) -> Result<(), Stop> {
        let Execution { sql, scan, topology, add, .. } = *of;
        if self.txn.pins().any(|(_, pin)| pin == Pin::LockTables) {
            let why = "a definition of a sharded table, or of one with copies, under LOCK TABLES: UNLOCK TABLES first";
            return Err(SqlError::refuse(why).into());
        }
        if define.tables.iter().any(|table| self.temporary.has(&define.schema, table)) {
            let why = "a definition of a temporary table together with tables in several places: give each its own";
            return Err(SqlError::refuse(why).into());
        }
        let job = self.job(topology, define, &sql[..scan.end as usize]);
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        let ground = self.ground(topology, topology.group(define.home));
        let dropping = match (define.verb, define.must_exist) {
            (Ddl::DropTable | Ddl::DropView, true) => Some(Dropping::MustExist),
            (Ddl::DropTable | Ddl::DropView, false) => Some(Dropping::IfExists),
            _ => None,
        };
        let done = define::run(&mut self.client, &ground, job, dropping, &mut patience).await;
        self.look_again().await;
        let mut done = done.map_err(|stop| match stop {
            Stop::Error(error) => Stop::Error(of_foreign_key(error, topology, &define.schema)),
            stop => stop,
        })?;
        let warning = |text: &String| ("Warning".to_owned(), 1105, text.clone());
        done.warnings.extend(define.warnings.iter().map(warning));
        self.defined(topology, done, add);
        Ok(())
    }

    /// SHARDLOOM DDL RESUME and SHARDLOOM DDL DROP.
    pub(super) async fn settle_ddl(
        &mut self,
        topology: &Topology,
        wish: Wish,
        id: u64,
        group: Option<&Ident>,
        add: Status,
    ) -> Result<(), Stop> {
        self.end_transaction(true).await?;
        let mut found = Vec::new();
        for home in self.homes(topology) {
            if group.is_none_or(|group| group.name == home.name) {
                let jobs = define::list(home).await?;
                found.extend(jobs.into_iter().filter(|(job, _)| job.id == id).map(|(job, _)| (home, job)));
            }
        }
        found.retain(|(_, job)| self.guest.may_use(&job.schema));
        let (home, _) = match found.as_slice() {
            [one] => one,
            [] => return Err(define::unknown(id).into()),
            _ => {
                let why = format!("DDL {id} is on several groups: say SHARDLOOM DDL ... {id} ON its home group");
                return Err(SqlError::refuse(why).into());
            }
        };
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        let ground = self.ground(topology, home);
        let done = define::settle(&mut self.client, &ground, id, wish, &mut patience).await;
        self.look_again().await;
        self.defined(topology, done?, add);
        Ok(())
    }

    /// SHOW SHARDLOOM DDL: a row for every place of each definition that is not done.
    pub(super) async fn unfinished(&self, topology: &Topology) -> Result<Table, SqlError> {
        let columns =
            ["id", "home", "schema", "statement", "user", "started (UTC)", "state", "target", "step", "error"];
        let mut table = Table::of(&columns);
        for home in self.homes(topology) {
            for (job, busy) in define::list(home).await? {
                if !self.guest.may_use(&job.schema) {
                    continue;
                }
                let state = match busy {
                    true => "running",
                    false => "half done",
                };
                for step in &job.steps {
                    // What runs and has nobody that waits for it may have been done or not.
                    let step_state = match step.state {
                        State::Running if !busy => "unknown",
                        state => state.name(),
                    };
                    let row = [
                        job.id.to_string(),
                        home.name.clone(),
                        job.schema.clone(),
                        String::from_utf8_lossy(&job.statement).into_owned(),
                        job.user.clone(),
                        job.started.clone(),
                        state.to_owned(),
                        step.place(),
                        step_state.to_owned(),
                        step.error.clone(),
                    ];
                    table.rows.push(row.into_iter().map(Some).collect());
                }
            }
        }
        Ok(table)
    }

    /// Reads anew what the tables look like, so that the next statement is planned for what they are now.
    pub(super) async fn look_again(&self) {
        if let Err(error) = self.proxy.refresh_catalog().await {
            tracing::warn!(%error, "the tables could not be looked at again behind a definition");
        }
    }

    /// The groups that are homes of schemas, each once.
    fn homes<'t>(&self, topology: &'t Topology) -> Vec<&'t Group> {
        let mut homes: Vec<GroupId> = topology.rules.schemas().map(|schema| schema.home).collect();
        homes.sort();
        homes.dedup();
        homes.into_iter().map(|home| &**topology.group(home)).collect()
    }

    pub(super) fn ground<'t>(&self, topology: &'t Topology, home: &'t Group) -> Ground<'t> {
        let set = self.needs.settings.variable("lock_wait_timeout");
        let lock_wait = set.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        Ground { groups: &topology.groups, home, lock_wait }
    }

    pub(super) fn job(&self, topology: &Topology, define: &Define, sql: &[u8]) -> Job {
        let mariadb = topology.server_info().is_some_and(|info| info.mariadb);
        let step = |step: &crate::plan::define::Step| Step {
            group: topology.group(step.target.group).name.clone(),
            shard: step.target.shard,
            database: step.database.to_string(),
            tables: step.tables.iter().map(|(name, logical)| (name.clone(), logical.to_string())).collect(),
            sql: step.sql.to_vec(),
            before: String::new(),
            state: State::Waiting,
            error: String::new(),
        };
        // What the proxy itself asks on these connections, it wants to see whole.
        let settings = self.needs.settings.with("sql_select_limit", None);
        Job {
            id: 0,
            schema: define.schema.to_string(),
            tables: define.tables.iter().map(|table| table.to_string()).collect(),
            statement: sql.to_vec(),
            user: self.login.user.clone(),
            settings: Settings::default().difference(&settings, mariadb).unwrap_or_default(),
            started: String::new(),
            by_number: define.verb == Ddl::TruncateTable || define.swaps,
            copies: define.copies,
            steps: define.steps.iter().map(step).collect(),
        }
    }

    /// The answer to a definition, and what the session remembers of it.
    fn defined(&mut self, topology: &Topology, done: Defined, add: Status) {
        for (name, gtid) in done.written {
            if let Some(group) = topology.rules.group_named(&name) {
                self.txn.wrote_at(group, gtid);
            }
        }
        self.diagnostics.clear();
        for (level, code, message) in done.warnings {
            self.diagnostics.push(level, code, message);
        }
        self.made(done.affected_rows, &done.info, add);
    }

    /// The answer itself, with the warnings that are noted.
    pub(super) fn made(&mut self, affected_rows: u64, info: &str, add: Status) {
        self.row_count = affected_rows as i64;
        self.found_rows = None;
        let packet = OkPacket {
            affected_rows,
            status: self.status().with(add),
            warnings: u16::try_from(self.diagnostics.len(false)).unwrap_or(u16::MAX),
            info: info.as_bytes(),
            ..OkPacket::default()
        };
        reply::ok(&mut self.client, self.capabilities, &packet);
    }
}

/// A foreign key leads to a table that the definition does not name: its name is the client's, too.
fn of_foreign_key(error: SqlError, topology: &Topology, schema: &str) -> SqlError {
    let Some(schema) = topology.rules.schema(schema).filter(|_| error.message.contains("foreign key constraint"))
    else {
        return error;
    };
    let sharded = schema.tables().filter_map(|(_, placement)| match placement {
        Placement::Sharded(table) => Some(table),
        Placement::Broadcast | Placement::Single(_) => None,
    });
    let names = sharded.flat_map(|table| {
        table.all_physical().iter().map(|PhysicalName { schema: physical_schema, table: physical, .. }| Name {
            physical_schema,
            physical,
            schema: &schema.name,
            table: &table.name,
        })
    });
    SqlError { message: tables(&error.message, names), ..error }
}
