//! Who may come in: the configured users, their passwords and what they may use. It knows no connection.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{LockTables, Reads, Schemas, TransactionMode, User};
use crate::txn::Mode;
use crate::wire::auth::Verifier;
use crate::wire::login_server::{Account, Gate};

/// Everything that decides who may come in.
pub struct Door {
    /// What logins need besides accounts.
    pub gate: Gate,
    users: HashMap<String, Arc<Guest>>,
    version: String,
}

/// A configured user.
pub struct Guest {
    /// The name.
    pub name: String,
    account: Account,
    schemas: Schemas,
    /// Connections at most, if bounded.
    pub max_connections: Option<u32>,
    /// Whether a transaction may touch several groups.
    pub mode: Mode,
    /// Reads outside of transactions may go to replicas.
    pub replicas: bool,
    /// LOCK TABLES locks, or is refused; else it passes over what it cannot lock.
    pub locks: bool,
}

impl Door {
    /// A door for these users, each with the verifier of its password; `version` is what is announced.
    pub fn new(gate: Gate, users: Vec<(User, Arc<Verifier>)>, version: String) -> Door {
        let users = users
            .into_iter()
            .map(|(user, verifier)| {
                let guest = Guest {
                    name: user.name.clone(),
                    account: Account { verifier, require_tls: user.require_tls },
                    schemas: user.schemas,
                    max_connections: user.max_connections,
                    mode: match user.transaction_mode {
                        TransactionMode::Atomic => Mode::Atomic,
                        TransactionMode::Single => Mode::Single,
                        TransactionMode::BestEffort => Mode::BestEffort,
                    },
                    replicas: user.reads != Some(Reads::Primary),
                    locks: user.lock_tables == LockTables::Refuse,
                };
                (user.name, Arc::new(guest))
            })
            .collect();
        Door { gate, users, version }
    }

    /// The configured user of this name.
    pub fn guest(&self, name: &str) -> Option<&Arc<Guest>> {
        self.users.get(name)
    }

    /// The version that clients are told.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What a user's login is checked by.
    pub fn account(&self, name: &str) -> Option<Account> {
        self.users.get(name).map(|guest| guest.account.clone())
    }
}

impl Guest {
    /// What the user may do, as SHOW GRANTS tells it.
    pub fn grants(&self) -> Vec<String> {
        let user = format!("`{}`@`%`", self.name.replace('`', "``"));
        let on = |schema: &String| format!("GRANT ALL PRIVILEGES ON `{}`.* TO {user}", schema.replace('`', "``"));
        match &self.schemas {
            Schemas::All => vec![format!("GRANT ALL PRIVILEGES ON *.* TO {user}")],
            Schemas::Listed(names) => {
                std::iter::once(format!("GRANT USAGE ON *.* TO {user}")).chain(names.iter().map(on)).collect()
            }
        }
    }

    /// Whether the user may use a schema.
    pub fn may_use(&self, schema: &str) -> bool {
        match &self.schemas {
            Schemas::All => true,
            Schemas::Listed(names) => names.iter().any(|name| name.eq_ignore_ascii_case(schema)),
        }
    }
}
