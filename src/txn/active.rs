//! A session's open transaction as others see it: since when it is open, which connections it holds, and since when its
//! statement runs. It knows nothing of what the statements say.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::backend::server::Server;
use crate::commit::id::GlobalId;
use crate::txn::kill::Kill;

/// One session's place; it is written to by that session only.
#[derive(Debug)]
pub struct Active {
    /// The session, as CONNECTION_ID() and KILL mean it.
    pub session: u32,
    kill: Arc<Kill>,
    open: Mutex<Option<Open>>,
}

/// An open transaction.
#[derive(Clone, Debug)]
pub struct Open {
    /// Since when.
    pub since: Instant,
    /// Its connections, one a group, in the order in which it touched the groups.
    pub parts: Vec<Connection>,
    /// Its name, once it has branches.
    pub global: Option<GlobalId>,
    /// The statement that runs.
    pub running: Option<Running>,
    /// How many statements it has had.
    statements: u64,
}

/// A connection that a transaction holds.
#[derive(Clone)]
pub struct Connection {
    /// Where it goes to.
    pub server: Arc<Server>,
    /// The server's number for it.
    pub number: u32,
}

/// A statement of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Which one of the transaction.
    pub number: u64,
    /// Since when it runs.
    pub since: Instant,
}

impl Active {
    /// The place of a session that has no transaction.
    pub fn new(session: u32, kill: Arc<Kill>) -> Active {
        Active { session, kill, open: Mutex::default() }
    }

    /// The transaction, if one is open.
    pub fn open(&self) -> Option<Open> {
        self.lock().clone()
    }

    /// Whether one is open.
    pub fn is_open(&self) -> bool {
        self.lock().is_some()
    }

    /// A transaction begins; what was open is over.
    pub(super) fn begin(&self, since: Instant) {
        let running = Some(Running { number: 0, since });
        *self.lock() = Some(Open { since, parts: Vec::new(), global: None, running, statements: 0 });
    }

    /// It holds one more connection; how many there are now.
    pub(super) fn join(&self, server: &Arc<Server>, number: u32, global: Option<GlobalId>) -> usize {
        let mut open = self.lock();
        let Some(open) = &mut *open else { return 0 };
        open.global = open.global.or(global);
        if !open.parts.iter().any(|part| part.number == number && Arc::ptr_eq(&part.server, server)) {
            open.parts.push(Connection { server: server.clone(), number });
        }
        open.parts.len()
    }

    /// A statement of it begins, or has ended.
    pub(super) fn run(&self, since: Option<Instant>) {
        if let Some(open) = &mut *self.lock() {
            open.statements += u64::from(since.is_some());
            let number = open.statements;
            open.running = since.map(|since| Running { number, since });
        }
    }

    /// It is over.
    pub(super) fn end(&self) {
        *self.lock() = None;
    }

    /// Makes the transaction the victim of a deadlock, if it is still at this statement; whether it is.
    pub(super) fn kill(&self, statement: Running) -> bool {
        // Under the lock: the session takes it before its next statement, and then forgets what was meant for this one.
        let open = self.lock();
        let same = open.as_ref().is_some_and(|open| open.running == Some(statement));
        if same {
            self.kill.deadlock();
        }
        same
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        // Whole after every single call, so a panic elsewhere does not spoil it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} #{}", self.server.name, self.number)
    }
}
