//! Statements that the session answers itself: transaction control, USE, KILL, EXPLAIN SHARDLOOM. It sends
//! to servers only what ends a transaction or sets a savepoint.

use crate::error::{Code, SqlError};
use crate::exec::interrupt::Stop;
use crate::plan::{Planned, Table};
use crate::session::Session;
use crate::session::greet;
use crate::session::run::Execution;
use crate::session::topology::Topology;
use crate::sql::Flavour;
use crate::sql::ast::Ident;
use crate::txn::{Access, Mode, Pin, Start, State};

impl Session {
    /// BEGIN, START TRANSACTION: commits what is open; servers hear of it with the first statement.
    /// `mode`: what a hint says of several groups.
    pub(super) async fn begin(
        &mut self,
        read_only: Option<bool>,
        snapshot: bool,
        mode: Option<Mode>,
    ) -> Result<(), Stop> {
        self.end_transaction(true).await?;
        let next = std::mem::take(&mut self.next);
        self.txn.begin(Start {
            read_only: self.access_mode(read_only.or(next.read_only)),
            snapshot,
            isolation: next.isolation,
            implicit: false,
            mode,
        });
        Ok(())
    }

    /// Whether a transaction that begins now may write: as it says, else as the session's own setting does.
    pub(super) fn access_mode(&self, read_only: Option<bool>) -> Option<bool> {
        let set = self.needs.settings.variable("transaction_read_only") == Some(b"1");
        read_only.or(set.then_some(true))
    }

    /// Whether a server would refuse to write here. With autocommit off a transaction that a statement opened by itself is
    /// as the setting says.
    pub(super) fn is_read_only(&self) -> bool {
        match self.txn.state() {
            State::Open(start) if !start.implicit => start.read_only == Some(true),
            State::Open(start) => self.access_mode(start.read_only) == Some(true),
            _ => self.access_mode(None) == Some(true),
        }
    }

    /// That a write which is done in several steps may be done at all: the first of them may find nothing to write.
    ///
    /// # Errors
    /// 1792 in a READ ONLY transaction. Temporary tables can be written there, so of those the servers are asked.
    pub(super) fn may_write(&self, planned: &Planned) -> Result<(), SqlError> {
        let temporary = |table: &Table| self.temporary.has(&table.schema, &table.name);
        if !planned.effects.writes || !self.is_read_only() || planned.tables.iter().any(temporary) {
            return Ok(());
        }
        let end = if self.facts.flavour == Flavour::MariaDb { "" } else { "." };
        let why = format!("Cannot execute statement in a READ ONLY transaction{end}");
        Err(SqlError::new(Code::ReadOnlyTransaction, why))
    }

    /// COMMIT or ROLLBACK. `chain`: another one begins at once, with the same characteristics.
    pub(super) async fn end(&mut self, commit: bool, chain: bool) -> Result<(), Stop> {
        let again = match self.txn.state() {
            State::Open(start) if chain => Some(start.clone()),
            _ if chain => Some(Start::default()),
            _ => None,
        };
        self.end_transaction(commit).await?;
        if let Some(start) = again {
            self.txn.begin(Start { implicit: false, ..start });
        }
        Ok(())
    }

    /// Ends what is open, if anything is.
    pub(super) async fn end_transaction(&mut self, commit: bool) -> Result<(), Stop> {
        self.txn.end(commit, &self.needs.ledger).await.map_err(Stop::from)
    }

    /// SAVEPOINT, ROLLBACK TO, RELEASE: on the one server that the transaction has touched. Before it has
    /// touched any there is nothing to save, but the name must be known to it afterwards.
    pub(super) async fn savepoint(&mut self, sql: &[u8], name: &Ident, sets: bool) -> Result<(), Stop> {
        self.txn.check()?;
        if !self.txn.is_open() && self.autocommit() {
            // Outside of a transaction MySQL accepts SAVEPOINT without effect and knows no name afterwards.
            return if sets { Ok(()) } else { Err(unknown_savepoint(&name.name).into()) };
        }
        self.txn.savepoint(sql, &name.name, sets).await.map_err(Stop::from)
    }

    /// Gives up what LOCK TABLES holds, if anything, and commits what was done beneath. A connection that is kept for
    /// nothing else is closed, which unlocks.
    pub(super) async fn unlock(&mut self, topology: &Topology) -> Result<(), Stop> {
        if !self.txn.pins().any(|(_, pin)| pin == Pin::LockTables) {
            return Ok(());
        }
        self.end_transaction(true).await?;
        let (locked, kept): (Vec<_>, Vec<_>) = self.txn.pins().partition(|(_, pin)| *pin == Pin::LockTables);
        for (id, _) in locked.into_iter().filter(|(id, _)| kept.iter().any(|(other, _)| other == id)) {
            let wanted = self.needs.wanted(topology, id);
            let mut lease = self.txn.lease(id, topology.group(id), Access::Primary, &wanted).await?;
            if let Err(error) = lease.query("UNLOCK TABLES").await {
                let error = error.to_client(&lease.server().name);
                self.txn.lost(id, error.message.clone());
                return Err(Stop::Lost(error));
            }
            self.txn.settle(id, lease);
        }
        self.txn.unpin(Pin::LockTables);
        Ok(())
    }

    /// LOCK TABLES gives up what is locked, also if it fails then. Whether that is all: what lies in several places
    /// cannot be locked, and is not, for a user who would have it so.
    pub(super) async fn lock_anew(&mut self, of: &Execution<'_>) -> Result<bool, Stop> {
        self.unlock(of.topology).await?;
        let ignored = of.planned.effects.locks_apart && !self.guest.locks;
        if ignored {
            let message =
                "LOCK TABLES of tables that lie in several places is ignored for this user: nothing is locked";
            self.diagnostics.clear();
            self.diagnostics.push("Warning".to_owned(), 1105, message.to_owned());
            self.made(0, "", of.add);
        }
        Ok(ignored)
    }

    /// USE, COM_INIT_DB.
    pub(super) fn use_schema(&mut self, schema: &str) -> Result<(), SqlError> {
        if schema.is_empty() {
            return Err(SqlError::new(Code::NoSchema, "No database selected"));
        }
        greet::allowed(&self.proxy, &self.guest, schema, &self.host)?;
        let topology = self.topology();
        // Known under the rule's spelling from here on.
        let name = topology.rules.schema(schema).map_or(schema, |schema| schema.name.as_str());
        self.needs.schema = Some(name.into());
        self.tell_schema();
        Ok(())
    }

    /// KILL: of a session of this proxy, one's own or any of the same user's.
    pub(super) fn kill(&mut self, id: Option<u64>, query: bool) -> Result<(), SqlError> {
        let id = id.unwrap_or_else(|| u64::from(self.seat.entry.id));
        let unknown = || SqlError::new(Code::NoSuchThread, format!("Unknown thread id: {id}"));
        let entry = u32::try_from(id).ok().and_then(|id| self.proxy.sessions.find(id)).ok_or_else(unknown)?;
        if *entry.user() != *self.login.user {
            return Err(SqlError::new(Code::KillDenied, format!("You are not owner of thread {id}")));
        }
        match (query, entry.id == self.seat.entry.id) {
            (true, true) => Err(SqlError::new(Code::Interrupted, "Query execution was interrupted")),
            (true, false) => {
                entry.kill.query();
                Ok(())
            }
            (false, true) => {
                entry.kill.connection();
                Err(match self.facts.flavour {
                    Flavour::MySql => SqlError::new(Code::Interrupted, "Query execution was interrupted"),
                    Flavour::MariaDb => {
                        SqlError { errno: 1927, state: *b"70100", message: "Connection was killed".to_owned() }
                    }
                })
            }
            (false, false) => {
                entry.kill.connection();
                Ok(())
            }
        }
    }
}

/// Error 1305 for a savepoint.
pub(super) fn unknown_savepoint(name: &str) -> SqlError {
    SqlError { errno: 1305, state: *b"42000", message: format!("SAVEPOINT {name} does not exist") }
}
