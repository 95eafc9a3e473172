//! What can end a statement before its answer does: KILL, a time limit, a client that goes away.
//! It cancels on a side connection and never drains an answer nobody wants.

use std::future::{poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::backend::conn::BackendError;
use crate::backend::lease::Lease;
use crate::backend::server::Server;
use crate::error::{Code, SqlError};
use crate::rare::boxed;
use crate::txn::kill::{End, Kill};
use crate::wire::link::Link;

/// How long a server may take to end a query that was killed, before its connection is given up.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// Why a statement ended without its answer.
#[derive(Debug)]
pub enum Stop {
    /// The client is told this error; its connection goes on.
    Error(SqlError),
    /// A backend was lost; the client is told this error, and its transaction is gone.
    Lost(SqlError),
    /// The client is gone, or its connection can say nothing sensible any more.
    Client(std::io::Error),
    /// KILL CONNECTION.
    Killed,
}

impl Stop {
    /// Why a transaction whose connections were in the middle of the statement is lost.
    pub fn why(&self) -> String {
        match self {
            Stop::Error(error) | Stop::Lost(error) => error.message.clone(),
            Stop::Client(_) | Stop::Killed => "the client left".to_owned(),
        }
    }
}

impl From<SqlError> for Stop {
    #[cold]
    fn from(error: SqlError) -> Stop {
        Stop::Error(error)
    }
}

/// What `answer` gives, if it is ready now or, unless in a `hurry`, when the task is woken next. A pull of the switch wakes
/// it too.
async fn first_wake<F: Future>(mut answer: Pin<&mut F>, kill: &Kill, hurry: bool) -> Option<F::Output> {
    let mut woken = hurry;
    poll_fn(|context| match answer.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if std::mem::replace(&mut woken, true) || kill.wakes(context) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// How long a statement may take, from its beginning to its end, whatever it consists of.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    at: Instant,
    most: Option<Duration>,
}

impl Limit {
    /// A statement that began `at` this time may take `most`. Reads no clock.
    pub fn new(at: Instant, most: Option<Duration>) -> Limit {
        Limit { at, most }
    }

    /// The statement itself says how long, if it does.
    pub fn hint(&mut self, timeout_ms: Option<u64>) {
        self.most = timeout_ms.map(Duration::from_millis).or(self.most);
    }

    fn until(&self) -> Option<Instant> {
        self.at.checked_add(self.most?)
    }

    /// It is over.
    fn error(&self) -> SqlError {
        let most = self.most.unwrap_or_default();
        let why = format!("Query execution was interrupted, maximum statement execution time of {most:?} exceeded");
        SqlError::new(Code::QueryTimeout, why)
    }

    /// Before a further part of the statement.
    ///
    /// # Errors
    /// 3024 if its time is over.
    pub fn check(&self) -> Result<(), SqlError> {
        match self.until() {
            Some(until) if Instant::now() >= until => Err(self.error()),
            _ => Ok(()),
        }
    }
}

/// How long one statement is waited for, and by whom it may be ended.
pub struct Patience<'a> {
    kill: &'a Kill,
    limit: Limit,
    /// How long the client may take to read what is written to it; MySQL's `net_write_timeout`.
    write_limit: Duration,
    /// When waiting ends: with the statement's time, or a while after it was told to end.
    deadline: Option<Instant>,
    stage: Stage,
    /// It was woken in a wait for something else than the answer, or waited before.
    watchful: bool,
    /// The last KILL QUERY that was sent.
    killing: Option<Box<Killing>>,
}

/// A KILL QUERY: a statement that runs on several connections gets one on each, as its answer there is waited for.
struct Killing {
    server: Arc<Server>,
    thread_id: u32,
    /// Until it is done.
    task: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// The server was told to end the query; it will answer with error 1317.
    Killed,
    /// The same, because of the time limit.
    TimedOut,
    /// The same, because its transaction is the victim of a deadlock over several groups.
    Deadlock,
}

impl From<End> for Stage {
    fn from(end: End) -> Stage {
        match end {
            End::Query => Stage::Killed,
            End::Deadlock => Stage::Deadlock,
        }
    }
}

impl<'a> Patience<'a> {
    /// Patience for one statement.
    pub fn new(kill: &'a Kill, limit: Limit, write_limit: Duration) -> Patience<'a> {
        Patience {
            kill,
            limit,
            write_limit,
            deadline: limit.until(),
            stage: Stage::Waiting,
            watchful: false,
            killing: None,
        }
    }

    /// Writes to the client, which may be slow, but not for ever, and not behind a KILL CONNECTION.
    pub async fn write(&self, write: impl Future<Output = std::io::Result<()>>) -> Result<(), Stop> {
        let mut write = pin!(write);
        // Nearly always the socket takes all of it at once: no clock is read then.
        if let Poll::Ready(written) = poll_fn(|context| Poll::Ready(write.as_mut().poll(context))).await {
            return written.map_err(Stop::Client);
        }
        loop {
            tokio::select! {
                biased;
                written = &mut write => return written.map_err(Stop::Client),
                () = self.kill.pulled() => if self.kill.is_connection() { return Err(Stop::Killed) },
                () = tokio::time::sleep(self.write_limit) => {
                    return Err(Stop::Client(std::io::ErrorKind::TimedOut.into()));
                }
            }
        }
    }

    /// Reads more of an answer, while watching the client and the switch.
    pub async fn fill(&mut self, client: &mut Link, lease: &mut Lease) -> Result<(), Stop> {
        let (conn, server) = lease.split();
        let thread_id = conn.thread_id;
        match self.watch(client, server, thread_id, conn.link.fill()).await? {
            Ok(0) => Err(self.lost(lease, std::io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(self.lost(lease, error)),
        }
    }

    /// Waits for something from a server, while watching the client and the switch.
    ///
    /// When it must end, KILL QUERY goes to the server on a side connection and waiting goes on: the
    /// server's own error 1317 then ends the answer, and the connection with its transaction stays good.
    pub async fn watch<F: Future>(
        &mut self,
        client: &mut Link,
        server: &Arc<Server>,
        thread_id: u32,
        answer: F,
    ) -> Result<F::Output, Stop> {
        // One that came while the client was being written to has woken nobody here.
        if self.stage == Stage::Waiting
            && let Some(end) = self.kill.take_end()
        {
            self.end(server, thread_id, end.into());
        }
        let mut answer = pin!(answer);
        // Nearly always the first thing that happens is the answer. The client is not watched until something else does:
        // the sweep over all sessions wakes each that has been at one statement for a while.
        let first = !std::mem::replace(&mut self.watchful, true) && self.deadline.is_none();
        if first && let Some(output) = first_wake(answer.as_mut(), self.kill, false).await {
            return Ok(output);
        }
        loop {
            let deadline = self.deadline;
            let event = tokio::select! {
                biased;
                output = &mut answer => {
                    // A KILL that comes late must not meet the next statement.
                    if let Some(task) = self.killing.as_mut().and_then(|killing| killing.task.take()) {
                        let _ = task.await;
                    }
                    return Ok(output);
                }
                () = ready(()), if self.is_ended() && !self.is_told(server, thread_id) => Event::Next,
                () = client.closed() => Event::ClientGone,
                () = self.kill.pulled() => Event::Pulled,
                () = sleep_until(deadline) => Event::Deadline,
            };
            match event {
                Event::ClientGone => return Err(Stop::Client(std::io::ErrorKind::ConnectionAborted.into())),
                Event::Pulled if self.kill.is_connection() => return Err(Stop::Killed),
                Event::Pulled if self.stage == Stage::Waiting => {
                    if let Some(end) = self.kill.take_end() {
                        self.end(server, thread_id, end.into());
                    }
                }
                Event::Pulled => {}
                Event::Next => self.end(server, thread_id, self.stage),
                Event::Deadline if self.stage == Stage::Waiting => self.end(server, thread_id, Stage::TimedOut),
                Event::Deadline => return Err(Stop::Lost(self.explain(interrupted()))),
            }
        }
    }

    /// Waits for what no server can be told to end, while watching the client and the switch: a connection that is free,
    /// its settings, answers to what begins a transaction. `holds`: a connection of an open transaction may be part of it.
    ///
    /// When it must end, the wait is given up: at once, or where that would cost the transaction, only if it goes on for
    /// long. If it is over before, the next wait tells the server.
    pub async fn reach<F: Future>(
        &mut self,
        client: &mut Link,
        holds: bool,
        mut wait: Pin<&mut F>,
    ) -> Result<F::Output, Stop> {
        if self.stage == Stage::Waiting
            && let Some(end) = self.kill.take_end()
        {
            self.told_to_end(end.into());
        }
        // Nearly always there is nothing to wait for, or not for long: see `watch`.
        match first_wake(wait.as_mut(), self.kill, self.deadline.is_some()).await {
            Some(output) => Ok(output),
            None => boxed(self.reach_at_last(client, holds, wait)).await,
        }
    }

    async fn reach_at_last<F: Future>(
        &mut self,
        client: &mut Link,
        holds: bool,
        mut wait: Pin<&mut F>,
    ) -> Result<F::Output, Stop> {
        loop {
            if self.kill.is_connection() {
                return Err(Stop::Killed);
            }
            let waits = self.stage == Stage::Waiting;
            if waits && let Some(end) = self.kill.take_end() {
                self.told_to_end(end.into());
            }
            if self.is_ended() && !holds {
                return Err(Stop::Error(self.explain(interrupted())));
            }
            tokio::select! {
                biased;
                output = &mut wait => return Ok(output),
                () = client.closed() => return Err(Stop::Client(std::io::ErrorKind::ConnectionAborted.into())),
                () = self.kill.pulled() => {}
                () = sleep_until(self.deadline) => match self.stage {
                    Stage::Waiting => self.told_to_end(Stage::TimedOut),
                    _ => return Err(Stop::Lost(self.explain(interrupted()))),
                },
            }
        }
    }

    /// Waits until the statement has to end though nothing is waited for from one server: by KILL or the time limit, each
    /// told once. What the servers run is for the caller to end.
    pub async fn interrupted(&mut self) -> Stop {
        loop {
            if self.kill.is_connection() {
                return Stop::Killed;
            }
            let waits = self.stage == Stage::Waiting;
            if waits && let Some(end) = self.kill.take_end() {
                self.stage = end.into();
            } else {
                tokio::select! {
                    () = self.kill.pulled() => continue,
                    () = sleep_until(self.deadline.filter(|_| waits)) => self.stage = Stage::TimedOut,
                }
            }
            return Stop::Error(self.explain(interrupted()));
        }
    }

    /// The error of a statement that was told to end, though the server may have been done before it heard of that.
    pub fn ended(&self) -> Option<SqlError> {
        self.is_ended().then(|| self.explain(interrupted()))
    }

    /// The error to tell for one that a server sent: 1317 becomes 3024 if the time limit was its cause, and 1213 if it was
    /// a deadlock, which takes the transaction along.
    pub fn explain(&self, error: SqlError) -> SqlError {
        match (self.stage, error.errno) {
            (Stage::TimedOut, 1317 | 1028 | 1969) => self.limit.error(),
            (Stage::Deadlock, 1317 | 1028 | 1969) => {
                self.kill.tell_victim();
                SqlError::deadlock()
            }
            _ => error,
        }
    }

    /// Whether the statement was told to end.
    pub fn is_ended(&self) -> bool {
        self.stage != Stage::Waiting
    }

    /// Whether that was to end a deadlock.
    pub fn is_victim(&self) -> bool {
        self.stage == Stage::Deadlock
    }

    /// For the same statement once more, after it was the victim of a deadlock.
    pub fn renew(&mut self) {
        self.kill.begin_again();
        (self.stage, self.deadline, self.killing) = (Stage::Waiting, self.limit.until(), None);
    }

    fn is_told(&self, server: &Arc<Server>, thread_id: u32) -> bool {
        self.killing.as_ref().is_some_and(|told| Arc::ptr_eq(&told.server, server) && told.thread_id == thread_id)
    }

    fn end(&mut self, server: &Arc<Server>, thread_id: u32, stage: Stage) {
        let task = server.kill_query(thread_id);
        self.killing = Some(Box::new(Killing { server: server.clone(), thread_id, task }));
        self.told_to_end(stage);
    }

    fn told_to_end(&mut self, stage: Stage) {
        self.stage = stage;
        self.deadline = Some(Instant::now() + KILL_GRACE);
    }

    /// The connection failed.
    pub fn lost(&self, lease: &Lease, error: std::io::Error) -> Stop {
        let error = BackendError::Io(error).to_client(&lease.server().name);
        Stop::Lost(self.explain(error))
    }
}

fn interrupted() -> SqlError {
    SqlError::new(Code::Interrupted, "Query execution was interrupted")
}

enum Event {
    /// The statement was told to end, but not on this connection.
    Next,
    ClientGone,
    Pulled,
    Deadline,
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
