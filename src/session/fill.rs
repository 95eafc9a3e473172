//! CREATE TABLE ... AS SELECT of a table in several places: one server makes a temporary table of the statement, which
//! says how the real one is defined, and what is in it; then that is made everywhere, and its rows are carried there. If
//! they cannot be stored, the table goes again.

use std::time::{Duration, Instant};

use crate::backend::conn::Answer as Told;
use crate::backend::lease::Lease;
use crate::backend::settings::Settings;
use crate::error::SqlError;
use crate::exec::ask;
use crate::exec::carry::kept;
use crate::exec::define;
use crate::exec::define::Defined;
use crate::exec::define::record::Job;
use crate::exec::fill::{neutral, pour, present, shown, staging, unstage, without_default};
use crate::exec::gather;
use crate::exec::gather::home::Gathering;
use crate::exec::interrupt::{Limit, Patience, Stop};
use crate::exec::names::Naming;
use crate::exec::whole::may_span;
use crate::exec::write::answered;
use crate::plan::define::{Define, World};
use crate::plan::fill::Pouring;
use crate::plan::gather::Fill;
use crate::plan::text::quote;
use crate::plan::{self, Answer, Bound, Target};
use crate::rules::GroupId;
use crate::session::Session;
use crate::session::run::Execution;
use crate::session::topology::Topology;
use crate::sql::head::Ddl;
use crate::sql::{Facts, SqlMode, TextCharset};
use crate::txn::kill::Kill;
use crate::txn::{self, Wanted};

/// How long a table that could not be filled may take to go.
const UNDOING: Duration = Duration::from_secs(60);
/// The bytes that are kept of what nobody reads.
const UNHEARD: usize = 1 << 10;

/// The temporary table, and what one server told of the statement.
struct Staged {
    told: Told,
    conditions: Told,
}

impl Session {
    /// Makes the table, fills it, and tells the client what one server would have told.
    pub(super) async fn run_fill(&mut self, of: &Execution<'_>, bound: &Bound<'_>, fill: &Fill) -> Result<(), Stop> {
        let Execution { topology, planned, add, .. } = *of;
        self.may_define()?;
        if self.needs.settings.variable("sql_generate_invisible_primary_key").is_some() {
            let why =
                "a CREATE TABLE ... AS SELECT over several servers while sql_generate_invisible_primary_key is set";
            return Err(SqlError::refuse(format!("Shardloom does not support {why}")).into());
        }
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        if self.is_there(topology, fill, &mut patience).await? {
            self.made(0, "", add);
            return Ok(());
        }
        {
            let targets: Vec<Target> = fill.places.iter().map(|(target, _)| *target).collect();
            let needs = &self.needs;
            let place = |id: GroupId| (topology.group(id), needs.wanted(topology, id));
            may_span(&self.txn, &targets, &place)?;
        }
        let Answer::Gather(gather) = bound.answer else {
            return Err(SqlError::refuse("a table to be filled with rows that nobody gathers").into());
        };
        let mut gathering = self.gathering(planned, bound, gather)?;
        let mut lease = self.gathered_on(of, &mut gathering, &mut patience).await?;
        let outcome = match self.stage(of, &gathering, &mut lease, &mut patience).await {
            Ok(staged) => {
                let made = self.make_and_fill(topology, fill, &mut lease, &mut patience).await;
                made.map(|made| (staged, made))
            }
            Err(stop) => Err(stop),
        };
        // With any of the temporary tables nobody else may have the connection: it is closed.
        if !lease.is_busy() && unstage(&mut lease, fill).await.is_ok() {
            gather::clear(&mut lease, &gathering).await;
        }
        self.look_again().await;
        let (Staged { told, conditions }, made) = outcome?;
        for (name, gtid) in made.written {
            if let Some(group) = topology.rules.group_named(&name) {
                self.txn.wrote_at(group, gtid);
            }
        }
        let naming = Naming::Of(bound, Target { group: gathering.gathered.group, shard: None });
        self.diagnostics.clear();
        self.diagnostics.add(&conditions, |message| naming.text(message));
        let own = made.warnings.len() as u64;
        for (level, code, message) in made.warnings {
            self.diagnostics.push(level, code, message);
        }
        self.diagnostics.put_together(u64::from(told.warnings) + own);
        self.made(told.affected_rows, &told.info, add);
        Ok(())
    }

    /// Whether the table is there already; IF NOT EXISTS leaves a note.
    async fn is_there(&mut self, topology: &Topology, fill: &Fill, patience: &mut Patience<'_>) -> Result<bool, Stop> {
        let needs = &self.needs;
        let place = |id: GroupId| (topology.group(id), needs.wanted(topology, id));
        let found = present(&mut self.client, &self.txn, fill, &place, patience).await?;
        if found == 0 {
            return Ok(false);
        }
        let message = format!("Table '{}' already exists", fill.table);
        if !fill.guarded {
            return Err(SqlError { errno: 1050, state: *b"42S01", message }.into());
        }
        if found < fill.places.len() {
            let why = format!("{}.{} is at some of its places already: drop it first", fill.schema, fill.table);
            return Err(SqlError::refuse(why).into());
        }
        self.diagnostics.clear();
        self.diagnostics.push("Note".to_owned(), 1050, message);
        Ok(true)
    }

    /// Runs the client's statement over the rows that were gathered, as one that makes a temporary table.
    async fn stage(
        &mut self,
        of: &Execution<'_>,
        gathering: &Gathering<'_>,
        lease: &mut Lease,
        patience: &mut Patience<'_>,
    ) -> Result<Staged, Stop> {
        let target = Target { group: gathering.gathered.group, shard: None };
        let settings = staging(&self.needs.settings);
        txn::adapt(lease, &Wanted { settings: &settings, ..self.needs.wanted(of.topology, target.group) }).await?;
        let mut text = Vec::new();
        let params = gathering.bound.render(target, &mut text);
        let naming = Naming::Of(gathering.bound, target);
        let ask = of.ask.without_cursor();
        ask::send(&mut self.client, lease, ask, &text, &params, patience, naming).await?;
        let told = answered(&mut self.client, lease, patience, naming).await;
        if let Some(statement) = lease.prepared.forget(&text) {
            lease.close_statement(statement);
        }
        let told = told?;
        let conditions = match told.warnings {
            0 => Told::default(),
            _ => {
                let asked = lease.query("SHOW WARNINGS").await;
                asked.map_err(|error| Stop::Error(error.to_client(&lease.server().name)))?
            }
        };
        Ok(Staged { told, conditions })
    }

    /// Makes the table as the temporary one is, and stores its rows; what was made is dropped if that fails.
    async fn make_and_fill(
        &mut self,
        topology: &Topology,
        fill: &Fill,
        lease: &mut Lease,
        patience: &mut Patience<'_>,
    ) -> Result<Defined, Stop> {
        let wanted = self.needs.wanted(topology, topology.home(Some(&fill.schema)));
        let (definition, info) = shown(&mut self.client, lease, fill, &wanted, patience).await?;
        let pouring = Pouring::new(fill, &info, &topology.rules)?;
        let world = self.world(topology, fill, definition.as_bytes());
        let (_, made) = world.define(Ddl::CreateTable)?;
        let bare = without_default(&mut self.client, lease, fill, &info, patience).await?;
        if let (Some(column), true) = (bare.first(), lease.info.mariadb) {
            let why = format!(
                "column {column} of the SELECT may be NULL and has no default, which no definition says on MariaDB: define \
                 it in front of AS"
            );
            return Err(SqlError::refuse(why).into());
        }
        let settings = Settings::default().difference(&self.making(), lease.info.mariadb).unwrap_or_default();
        let job = Job { settings: settings.clone(), ..self.job(topology, &made, definition.as_bytes()) };
        let ground = self.ground(topology, topology.group(made.home));
        let mut done = define::run(&mut self.client, &ground, job, None, patience).await?;
        // What a server says of a text that another one has shown is nothing about the client's.
        done.warnings.retain(|(_, code, _)| *code == 1105);
        let warning = |text: &String| ("Warning".to_owned(), 1105, text.clone());
        done.warnings.extend(made.warnings.iter().map(warning));
        let bared = match bare.is_empty() {
            true => Ok(()),
            false => {
                let (define, sql) = bared(&made, fill, &bare);
                let job = Job { settings, ..self.job(topology, &define, &sql) };
                define::run(&mut self.client, &ground, job, None, patience).await.map(drop)
            }
        };
        let filled = match bared {
            Ok(()) => self.pour_rows(topology, (fill, &pouring), lease, patience).await,
            Err(stop) => Err(stop),
        };
        match filled {
            Ok(()) => Ok(done),
            Err(stop) => Err(match (stop, self.unmake(topology, fill).await) {
                (Stop::Error(error) | Stop::Lost(error), Err(left)) => {
                    let message =
                        format!("{}; the table could not be dropped everywhere: {}", error.message, left.why());
                    Stop::Error(SqlError { message, ..error })
                }
                (stop, _) => stop,
            }),
        }
    }

    /// Stores the rows of the temporary table, in a transaction.
    async fn pour_rows(
        &mut self,
        topology: &Topology,
        of: (&Fill, &Pouring<'_>),
        lease: &mut Lease,
        patience: &mut Patience<'_>,
    ) -> Result<(), Stop> {
        let parts = self.begin_parts_at(false);
        let poured = {
            let needs = &self.needs;
            let place = |id: GroupId| (topology.group(id), needs.wanted(topology, id));
            pour(&mut self.client, &mut self.txn, lease, of, &place, patience).await
        };
        self.end_parts(parts, poured).await
    }

    /// Drops the table, whatever has become of the client.
    async fn unmake(&self, topology: &Topology, fill: &Fill) -> Result<(), Stop> {
        let sql = format!("DROP TABLE IF EXISTS `{}`", fill.table.replace('`', "``"));
        let (_, gone) = self.world(topology, fill, sql.as_bytes()).define(Ddl::DropTable)?;
        let job = self.job(topology, &gone, sql.as_bytes());
        let ground = self.ground(topology, topology.group(gone.home));
        let (mut nobody, kill) = (kept(UNHEARD), Kill::default());
        let limit = Limit::new(Instant::now(), Some(UNDOING));
        let mut patience = Patience::new(&kill, limit, self.proxy.config.timeouts.write);
        define::undo(&mut nobody, &ground, job, &mut patience).await
    }

    /// The settings for definitions of our own.
    fn making(&self) -> Settings {
        let session = &self.needs.settings;
        let kept = ["lock_wait_timeout", "transaction_read_only", "sql_log_bin"];
        kept.into_iter().fold(neutral(), |settings, name| match session.variable(name) {
            Some(value) => settings.with(name, Some(value)),
            None => settings,
        })
    }

    /// What definitions of our own are planned from.
    fn world<'w>(&self, topology: &'w Topology, fill: &'w Fill, sql: &'w [u8]) -> World<'w> {
        let facts = Facts { mode: SqlMode::default(), charset: TextCharset::Utf8, ..self.facts };
        let session = plan::Session { schema: Some(&fill.schema), facts };
        World { sql, session, rules: &topology.rules, catalog: &topology.catalog }
    }
}

/// The definition that takes the default NULL off columns which the one before it has given it, and the client's text for
/// that.
fn bared(made: &Define, fill: &Fill, columns: &[String]) -> (Define, Vec<u8>) {
    let mut changes = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        changes.extend_from_slice(if index == 0 { b" ALTER COLUMN " } else { b", ALTER COLUMN " });
        quote(column.as_bytes(), &mut changes);
        changes.extend_from_slice(b" DROP DEFAULT");
    }
    let alter = |name: &[u8]| [b"ALTER TABLE ", name, &changes].concat();
    let mut define = Define { verb: Ddl::AlterTable, warnings: Box::default(), ..made.clone() };
    for step in &mut define.steps {
        if let Some((name, _)) = step.tables.first() {
            step.sql = alter(name.quoted.as_bytes()).into();
        }
    }
    let mut table = Vec::new();
    quote(fill.table.as_bytes(), &mut table);
    (define, alter(&table))
}
