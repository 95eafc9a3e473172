//! SHOW SHARDLOOM, SHOW WARNINGS, SHOW PROCESSLIST, EXPLAIN SHARDLOOM and the functions that ask for the
//! session's own state: what the session answers in rows of its own making.

use std::sync::Arc;

use crate::backend::server::{HealthState, Lag};
use crate::error::{Code, SqlError};
use crate::exec::ask::Ask;
use crate::exec::define::Wish;
use crate::exec::interrupt::Stop;
use crate::plan::bind::bind;
use crate::plan::print::{explain, explain_refusal};
use crate::plan::text::quote;
use crate::plan::{self, Route, Target};
use crate::rules::Placement;
use crate::session::Session;
use crate::session::reply::{self, Table};
use crate::session::topology::Topology;
use crate::sql::Flavour;
use crate::sql::head::{Head, SetTarget, Show, ShowKind};
use crate::sql::hint::{HintItem, hints};
use crate::sql::scan::{Scan, scan};
use crate::txn::{Access, Mode};
use crate::wire::capabilities::Status;

impl Session {
    /// A statement that no plan is made for.
    pub(super) async fn local(
        &mut self,
        sql: &[u8],
        scan: &Scan,
        head: Head,
        topology: &Topology,
        ask: Ask<'_>,
        add: Status,
    ) -> Result<(), Stop> {
        match head {
            // A comment is a statement that does nothing.
            Head::Empty if sql.iter().any(|byte| !byte.is_ascii_whitespace() && *byte != b';') => {}
            Head::Empty => {
                return Err(SqlError::new(Code::EmptyQuery, "Query was empty").into());
            }
            Head::Begin { read_only, snapshot } => {
                let mode = mode_of(&hints(sql, scan)?)?;
                self.unlock(topology).await?;
                self.begin(read_only, snapshot, mode).await?;
            }
            Head::Commit { chain, release } => {
                self.end(true, chain).await?;
                self.release(release);
            }
            Head::Rollback { chain, release } => {
                self.end(false, chain).await?;
                self.release(release);
            }
            Head::Savepoint(name) => self.savepoint(sql, &name, true).await?,
            Head::RollbackTo(name) | Head::Release(name) => self.savepoint(sql, &name, false).await?,
            Head::Set(items) => {
                self.set(sql, &items).await?;
                if items.iter().any(|item| matches!(item.target, SetTarget::Charset | SetTarget::Names { .. })) {
                    tracing::trace!(names = self.needs.settings.names(), "character set changed");
                }
            }
            Head::SetTransaction { scope, isolation, read_only } => {
                self.set_transaction(sql, scope, isolation, read_only).await?;
            }
            Head::Use(schema) => self.use_schema(&schema.name)?,
            Head::Kill { query, id } => self.kill(id, query)?,
            Head::Unlock => self.unlock(topology).await?,
            Head::Explain { shardloom: true, inner, .. } => {
                let table = self.explain(&sql[inner.start as usize..inner.end as usize], topology)?;
                return self.answer(table, ask, add);
            }
            Head::Explain { analyze: true, .. } => {
                return Err(refused("EXPLAIN ANALYZE over sharded tables: it would run on one shard only"));
            }
            Head::Explain { inner, .. } => return self.explain_part(sql, inner, topology, ask, add).await,
            Head::ShardloomDdl { resume, id, group } => {
                let wish = if resume { Wish::Resume } else { Wish::Drop };
                return self.settle_ddl(topology, wish, id, group.as_ref(), add).await;
            }
            Head::Show(show) if shows_ddl(&show, sql) => {
                let table = self.unfinished(topology).await?;
                return self.answer(table, ask, add);
            }
            Head::Show(show) => {
                let words = String::from_utf8_lossy(show.arguments.of(sql)).trim().to_ascii_uppercase();
                let table = match (show.kind, words.as_str()) {
                    (ShowKind::Shardloom, "TRANSACTIONS") => self.transactions(topology).await,
                    _ => self.show(&show, sql, topology)?,
                };
                return self.answer(table, ask, add);
            }
            Head::Xa(_) => return Err(refused("XA: the proxy itself decides how transactions end")),
            Head::SetRole => return Err(refused("SET ROLE: the proxy's users have no roles on the servers")),
            Head::SetStatement { .. } => {
                return Err(refused("SET STATEMENT ... FOR: set the variable for the session"));
            }
            Head::Prepare { name, source } => return self.prepare_by_name(sql, &name, &source, add).await,
            Head::Execute { name, using } => return self.execute_by_name(sql, &name, &using, add).await,
            Head::ExecuteImmediate { source, using } => return self.execute_text(sql, &source, &using, add).await,
            Head::Deallocate(name) => self.deallocate(&name)?,
            Head::ExplainConnection(_) => return Err(refused("EXPLAIN FOR CONNECTION: connections are the proxy's")),
            Head::GetDiagnostics(wanted) => return self.get_diagnostics(&wanted, add),
            Head::Diagnostics => return Err(refused("SIGNAL, RESIGNAL and GET STACKED DIAGNOSTICS")),
            // `is_planned` says which heads come here.
            other => {
                let message = format!("no plan and no answer for {other:?}");
                return Err(SqlError::new(Code::Unknown, message).into());
            }
        }
        self.diagnostics.clear();
        self.row_count = 0;
        self.ok_with(add);
        Ok(())
    }

    /// Rows of the proxy's own, in the form that was asked for.
    pub(super) fn answer(&mut self, mut table: Table, ask: Ask<'_>, add: Status) -> Result<(), Stop> {
        table.mariadb = self.facts.flavour == Flavour::MariaDb;
        let status = self.status().with(add);
        self.row_count = -1;
        reply::rows(&mut self.client, self.capabilities, status, &table, ask.is_binary());
        Ok(())
    }

    /// COMMIT RELEASE: the connection ends behind the answer.
    fn release(&mut self, release: bool) {
        if release {
            self.seat.entry.kill.connection();
        }
    }

    fn show(&mut self, show: &Show, sql: &[u8], topology: &Topology) -> Result<Table, Stop> {
        match show.kind {
            ShowKind::Warnings | ShowKind::Errors => {
                let window = limit(show.arguments.of(sql))?;
                let errors = show.kind == ShowKind::Errors;
                Ok(self.diagnostics.table(errors, window, self.max_error_count(), self.facts.flavour))
            }
            ShowKind::WarningCount => Ok(self.diagnostics.count(false)),
            ShowKind::ErrorCount => Ok(self.diagnostics.count(true)),
            ShowKind::Grants => self.grants(show.arguments.of(sql)),
            ShowKind::Processlist => Ok(self.process_list(show.full, sql)),
            ShowKind::Shardloom => {
                let words = String::from_utf8_lossy(show.arguments.of(sql)).trim().to_ascii_uppercase();
                match words.as_str() {
                    "SERVERS" | "GROUPS" => Ok(servers(topology)),
                    "TABLES" | "RULES" => Ok(tables(topology)),
                    "SESSION" => Ok(self.session_state(topology)),
                    _ => Err(refused(&format!(
                        "SHOW SHARDLOOM {words}: known are SHOW SHARDLOOM SERVERS, TABLES, TRANSACTIONS, SESSION and DDL"
                    ))),
                }
            }
            _ => Err(refused("this SHOW")),
        }
    }

    /// SHOW GRANTS of the user itself: those of the proxy, as the servers know its account only.
    fn grants(&self, arguments: &[u8]) -> Result<Table, Stop> {
        let arguments = String::from_utf8_lossy(arguments).to_ascii_uppercase();
        let own = ["", "FOR CURRENT_USER", "FOR CURRENT_USER()", "FOR CURRENT_USER ()"];
        if !own.contains(&arguments.trim()) {
            return Err(refused("SHOW GRANTS FOR another user: users are those of the proxy's configuration"));
        }
        let mut table = Table::of(&[&format!("Grants for {}@%", self.login.user)]);
        table.rows = self.guest.grants().into_iter().map(|grant| vec![Some(grant)]).collect();
        Ok(table)
    }

    fn session_state(&self, topology: &Topology) -> Table {
        let mut table = Table::of(&["what", "value"]);
        let mut row = |what: &str, value: String| table.rows.push(vec![Some(what.to_owned()), Some(value)]);
        row("connection", self.seat.entry.id.to_string());
        row("user", self.login.user.clone());
        row("schema", self.needs.schema.as_deref().unwrap_or("").to_owned());
        row("transaction", format!("{:?}", self.txn.state()));
        let held: Vec<&str> = self.txn.groups().map(|group| topology.group(group).name.as_str()).collect();
        row("held groups", held.join(", "));
        let pins: Vec<String> =
            self.txn.pins().map(|(group, pin)| format!("{} ({pin:?})", topology.group(group).name)).collect();
        row("pinned groups", pins.join(", "));
        let set = self.needs.settings.difference_text();
        row("settings", set);
        table
    }

    /// EXPLAIN SHARDLOOM: the plan, line by line.
    fn explain(&mut self, sql: &[u8], topology: &Topology) -> Result<Table, SqlError> {
        let mut found = Scan::default();
        scan(sql, self.facts, self.proxy.seed, &mut found)?;
        let head = crate::sql::head::head(sql, self.facts)?;
        let session = plan::Session { schema: self.needs.schema.as_deref(), facts: self.facts };
        let planned = plan::build::plan(sql, &found, &head, session, &topology.rules, &topology.catalog);
        let lines = match bind(&planned, &topology.rules, sql, &found, &[]) {
            Ok(bound) => explain(&bound, EXPLAINED),
            Err(why) => explain_refusal(&planned, &topology.rules, sql, &found, &why),
        };
        let mut table = Table::of(&["about", "what"]);
        table.rows = lines.into_iter().map(|line| vec![Some(line.about.to_owned()), Some(line.text)]).collect();
        Ok(table)
    }

    /// COM_FIELD_LIST: the columns of a table, as old clients ask for them.
    pub(super) async fn field_list(&mut self, table: &[u8], wildcard: &[u8]) -> super::Flow {
        self.begins(std::time::Instant::now());
        let outcome = self.list_fields(table, wildcard).await;
        match self.finish(outcome) {
            Ok(()) => super::Flow::Next,
            Err(flow) => flow,
        }
    }

    async fn list_fields(&mut self, table: &[u8], wildcard: &[u8]) -> Result<(), Stop> {
        let topology = self.topology();
        let Some(schema) = self.needs.schema.clone() else {
            return Err(SqlError::new(Code::NoSchema, "No database selected").into());
        };
        let name = String::from_utf8_lossy(table).into_owned();
        // The same table and the same names as of a SHOW COLUMNS.
        let mut sql = b"SHOW COLUMNS FROM ".to_vec();
        quote(name.as_bytes(), &mut sql);
        let mut scanned = Scan::default();
        scan(&sql, self.facts, self.proxy.seed, &mut scanned)?;
        let head = crate::sql::head::head(&sql, self.facts)?;
        let session = plan::Session { schema: Some(&schema), facts: self.facts };
        let planned = plan::build::plan(&sql, &scanned, &head, session, &topology.rules, &topology.catalog);
        let bound = bind(&planned, &topology.rules, &sql, &scanned, &[])?;
        let target = match &bound.route {
            Route::One(target) => *target,
            Route::Many(_) | Route::Any => Target { group: self.any_group(&topology), shard: None },
        };
        let group = target.group;
        let physical = bound.names(target).next();
        let (database, table) = match physical {
            Some(name) => (Arc::from(name.physical_schema), name.physical),
            None => (Arc::from(schema.as_ref()), name.as_str()),
        };
        // The command names no schema: it is the connection's.
        let wanted = crate::txn::Wanted { database: Some(&database), ..self.needs.wanted(&topology, group) };
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        let lease = self.txn.side_lease(group, topology.group(group), Access::Primary, &wanted);
        let mut lease = patience.reach(&mut self.client, false, std::pin::pin!(lease)).await??;
        lease.send_with(|out| {
            out.push(crate::wire::command::com::FIELD_LIST);
            out.extend_from_slice(table.as_bytes());
            out.push(0);
            out.extend_from_slice(wildcard);
        });
        let style = crate::exec::relay::Style {
            capabilities: self.capabilities,
            add: Status::default(),
            naming: crate::exec::names::Naming::Of(&bound, target),
            definitions: &[],
            statement: None,
            insert_id: None,
        };
        let kind = crate::wire::response::Kind::FieldList;
        crate::exec::relay::relay(&mut self.client, &mut lease, kind, &mut patience, &style).await.map(|_| ())
    }
}

/// How many of the rewritten statements EXPLAIN SHARDLOOM shows.
const EXPLAINED: usize = 16;

/// SHOW SHARDLOOM DDL.
fn shows_ddl(show: &Show, sql: &[u8]) -> bool {
    show.kind == ShowKind::Shardloom && show.arguments.of(sql).trim_ascii().eq_ignore_ascii_case(b"DDL")
}

/// What a hint on BEGIN says of the transaction.
fn mode_of(hints: &[HintItem]) -> Result<Option<Mode>, Stop> {
    let mut mode = None;
    for hint in hints {
        match hint {
            HintItem::Transaction(wish) => mode = Some(Mode::from(*wish)),
            _ => return Err(refused("a hint on BEGIN but transaction=atomic|single|best_effort")),
        }
    }
    Ok(mode)
}

/// `LIMIT [skip,] take` behind SHOW WARNINGS.
fn limit(arguments: &[u8]) -> Result<(u64, u64), SqlError> {
    let text = String::from_utf8_lossy(arguments);
    let text = text.trim();
    if text.is_empty() {
        return Ok((0, u64::MAX));
    }
    let numbers: Option<Vec<u64>> =
        text.get(5..).unwrap_or_default().split(',').map(|number| number.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some([take]) => Ok((0, *take)),
        Some([skip, take]) => Ok((*skip, *take)),
        _ => Err(crate::sql::syntax_error(arguments, 0)),
    }
}

fn refused(what: &str) -> Stop {
    Stop::Error(SqlError::refuse(format!("Shardloom does not support {what}")))
}

/// The servers of all groups, with what probes say of them.
fn servers(topology: &Topology) -> Table {
    let mut table = Table::of(&["group", "server", "role", "state", "lag", "version", "leased", "idle", "waiting"]);
    for group in &topology.groups {
        for member in group.members() {
            let health = member.server.health.load();
            let primary = group.current_primary().is_some_and(|p| std::sync::Arc::ptr_eq(p, &member.server));
            let state = match &health.state {
                HealthState::Up => "up".to_owned(),
                HealthState::Unknown => "unknown".to_owned(),
                HealthState::Down(why) => format!("down: {why}"),
            };
            let lag = match health.replica {
                None => None,
                Some(Lag::Behind(lag)) => Some(format!("{} s", lag.as_secs())),
                Some(Lag::Stopped) => Some("stopped".to_owned()),
            };
            let pool = member.server.pool.state();
            table.rows.push(vec![
                Some(group.name.clone()),
                Some(member.server.spec.address.clone()),
                Some(if primary { "primary" } else { "replica" }.to_owned()),
                Some(state),
                lag,
                health.info.as_ref().map(|info| info.version.clone()),
                Some(pool.leased.to_string()),
                Some(pool.idle.to_string()),
                Some(pool.waiting.to_string()),
            ]);
        }
    }
    table
}

/// The tables that the rules name, and where they are.
fn tables(topology: &Topology) -> Table {
    let mut table = Table::of(&["schema", "table", "placement", "key", "shards", "columns known"]);
    for schema in topology.rules.schemas() {
        for (name, placement) in schema.tables() {
            let (kind, key, shards) = match placement {
                Placement::Sharded(sharded) => {
                    let family = topology.rules.family(sharded.family);
                    let name = family.map_or("", |family| family.name.as_str());
                    let shards = family.map_or(0, |family| family.shards);
                    (format!("family {name}"), Some(sharded.columns.join(", ")), Some(shards.to_string()))
                }
                Placement::Broadcast => ("broadcast".to_owned(), None, None),
                Placement::Single(group) => (format!("single on {}", topology.group(group).name), None, None),
            };
            let known = topology.catalog.table(&schema.name, name).is_some();
            table.rows.push(vec![
                Some(schema.name.clone()),
                Some(name.to_owned()),
                Some(kind),
                key,
                shards,
                Some(if known { "yes" } else { "no" }.to_owned()),
            ]);
        }
    }
    table
}
