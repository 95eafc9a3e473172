//! What can end a statement before its answer does: KILL, a time limit, a client that goes away.
//! It cancels on a side connection and never drains an answer nobody wants.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::backend::conn::BackendError;
use crate::backend::lease::Lease;
use crate::backend::server::Server;
use crate::error::{Code, SqlError};
use crate::wire::link::Link;

/// How long a server may take to end a query that was killed, before its connection is given up.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// The switch by which others end what a session does. Shared between the session and the registry.
#[derive(Debug, Default)]
pub struct Kill {
    wanted: AtomicU8,
    /// The one task that waits or waited last. Unlike tokio's `Notify` it is not taken off again when a wait ends
    /// otherwise, which is what happens with every statement; a task that is woken for nothing looks and waits on.
    waiting: Mutex<Option<Waker>>,
}

const QUERY: u8 = 1;
const CONNECTION: u8 = 2;
const DRAIN: u8 = 4;
/// Pulled, and nobody has seen it yet.
const PULLED: u8 = 8;

impl Kill {
    /// KILL QUERY: ends the statement that runs now, if any.
    pub fn query(&self) {
        self.want(QUERY);
    }

    /// KILL CONNECTION: ends the session.
    pub fn connection(&self) {
        self.want(CONNECTION);
    }

    /// Shutdown: ends the session as soon as it is in no transaction.
    pub fn drain(&self) {
        self.want(DRAIN);
    }

    /// Lets the session look around, without ending anything.
    pub fn wake(&self) {
        self.want(0);
    }

    /// Whether the session must end.
    pub fn is_connection(&self) -> bool {
        self.wanted.load(Ordering::Acquire) & CONNECTION != 0
    }

    /// Whether the session must end once it is in no transaction.
    pub fn is_drain(&self) -> bool {
        self.wanted.load(Ordering::Acquire) & DRAIN != 0
    }

    /// Forgets a KILL QUERY that came before the statement began.
    pub fn begin_statement(&self) {
        self.take_query();
    }

    /// Waits until somebody pulls the switch, or has since the last wait. One task waits at a time.
    pub async fn pulled(&self) {
        poll_fn(|context| {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if !waiting.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                *waiting = Some(context.waker().clone());
            }
            drop(waiting);
            // Looked at after the waker lies there: whoever pulls now either was seen or sees it.
            if self.take(PULLED) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn is_query(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) & QUERY != 0
    }

    fn take_query(&self) -> bool {
        self.take(QUERY)
    }

    fn take(&self, what: u8) -> bool {
        // The common case must not write a cache line that others read.
        self.wanted.load(Ordering::Acquire) & what != 0 && self.wanted.fetch_and(!what, Ordering::AcqRel) & what != 0
    }

    fn want(&self, what: u8) {
        self.wanted.fetch_or(what | PULLED, Ordering::AcqRel);
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waiting {
            waker.wake_by_ref();
        }
    }
}

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

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Stop {
        Stop::Error(error)
    }
}

/// How long one statement is waited for, and by whom it may be ended.
pub struct Patience<'a> {
    kill: &'a Kill,
    limit: Option<Duration>,
    /// How long the client may take to read what is written to it; MySQL's `net_write_timeout`.
    write_limit: Duration,
    /// Set at the first wait: a statement that never waits reads no clock.
    deadline: Option<Instant>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// The server was told to end the query; it will answer with error 1317.
    Killed,
    /// The same, because of the time limit.
    TimedOut,
}

impl<'a> Patience<'a> {
    /// Patience for one statement.
    pub fn new(kill: &'a Kill, limit: Option<Duration>, write_limit: Duration) -> Patience<'a> {
        Patience { kill, limit, write_limit, deadline: None, stage: Stage::Waiting }
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
        if let (Some(limit), None) = (self.limit, self.deadline) {
            self.deadline = Some(Instant::now() + limit);
        }
        // One that came while the client was being written to has woken nobody here.
        if self.kill.is_query() && self.stage == Stage::Waiting && self.kill.take_query() {
            self.end(server, thread_id, Stage::Killed);
        }
        let mut answer = pin!(answer);
        loop {
            let deadline = self.deadline;
            let event = tokio::select! {
                biased;
                output = &mut answer => return Ok(output),
                () = client.closed() => Event::ClientGone,
                () = self.kill.pulled() => Event::Pulled,
                () = sleep_until(deadline) => Event::Deadline,
            };
            match event {
                Event::ClientGone => return Err(Stop::Client(std::io::ErrorKind::ConnectionAborted.into())),
                Event::Pulled if self.kill.is_connection() => return Err(Stop::Killed),
                Event::Pulled if self.kill.take_query() && self.stage == Stage::Waiting => {
                    self.end(server, thread_id, Stage::Killed);
                }
                Event::Pulled => {}
                Event::Deadline if self.stage == Stage::Waiting => self.end(server, thread_id, Stage::TimedOut),
                Event::Deadline => {
                    let error = SqlError::new(Code::Interrupted, "Query execution was interrupted");
                    return Err(Stop::Lost(self.explain(error)));
                }
            }
        }
    }

    /// Waits until the statement has to end though nothing is waited for from one server: by KILL or the time limit, each
    /// told once. What the servers run is for the caller to end.
    pub async fn interrupted(&mut self) -> Stop {
        if let (Some(limit), None) = (self.limit, self.deadline) {
            self.deadline = Some(Instant::now() + limit);
        }
        loop {
            if self.kill.is_connection() {
                return Stop::Killed;
            }
            let waits = self.stage == Stage::Waiting;
            if waits && self.kill.take_query() {
                self.stage = Stage::Killed;
            } else {
                tokio::select! {
                    () = self.kill.pulled() => continue,
                    () = sleep_until(self.deadline.filter(|_| waits)) => self.stage = Stage::TimedOut,
                }
            }
            return Stop::Error(self.explain(SqlError::new(Code::Interrupted, "Query execution was interrupted")));
        }
    }

    /// The error of a statement that was told to end, though the server may have been done before it heard of that.
    pub fn ended(&self) -> Option<SqlError> {
        let error = || SqlError::new(Code::Interrupted, "Query execution was interrupted");
        (self.stage != Stage::Waiting).then(|| self.explain(error()))
    }

    /// The error to tell for one that a server sent: 1317 becomes 3024 if the time limit was its cause.
    pub fn explain(&self, error: SqlError) -> SqlError {
        match (self.stage, error.errno, self.limit) {
            (Stage::TimedOut, 1317 | 1028 | 1969, Some(limit)) => SqlError::new(
                Code::QueryTimeout,
                format!("Query execution was interrupted, maximum statement execution time of {limit:?} exceeded"),
            ),
            _ => error,
        }
    }

    fn end(&mut self, server: &Arc<Server>, thread_id: u32, stage: Stage) {
        server.kill_query(thread_id);
        self.stage = stage;
        self.deadline = Some(Instant::now() + KILL_GRACE);
    }

    /// The connection failed.
    pub fn lost(&self, lease: &Lease, error: std::io::Error) -> Stop {
        let error = BackendError::Io(error).to_client(&lease.server().name);
        Stop::Lost(self.explain(error))
    }
}

enum Event {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::task::{Context, Wake};

    use super::*;

    #[derive(Default)]
    struct Count(std::sync::atomic::AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_pull_is_seen_once_whether_it_comes_before_the_wait_or_in_it() {
        let kill = Kill::default();
        let (one, two) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let poll = |wait: std::pin::Pin<&mut dyn Future<Output = ()>>, count: &Arc<Count>| {
            wait.poll(&mut Context::from_waker(&count.clone().into())).is_ready()
        };

        kill.query();
        assert!(poll(pin!(kill.pulled()), &one), "it came before the wait");
        assert!(!poll(pin!(kill.pulled()), &one), "it was seen");
        assert!(kill.is_query() && !kill.is_connection(), "what was wanted stays until somebody takes it");

        let mut wait = pin!(kill.pulled());
        assert!(!poll(wait.as_mut(), &one));
        kill.wake();
        assert_eq!(one.0.load(Ordering::SeqCst), 1);
        assert!(poll(wait.as_mut(), &one));

        // A wait that was given up, and one in another task: the last one is woken.
        assert!(!poll(pin!(kill.pulled()), &one));
        let mut wait = pin!(kill.pulled());
        assert!(!poll(wait.as_mut(), &two));
        kill.connection();
        assert_eq!((one.0.load(Ordering::SeqCst), two.0.load(Ordering::SeqCst)), (1, 1));
        assert!(poll(wait.as_mut(), &two) && kill.is_connection());
    }

    /// Both sides race for each pull; were one lost, the waiting side would wait for ever.
    #[tokio::test]
    async fn no_pull_is_lost() {
        const ROUNDS: usize = 20_000;
        let kill = Arc::new(Kill::default());
        let (seen, acknowledged) = std::sync::mpsc::channel();
        let puller = kill.clone();
        let thread = std::thread::spawn(move || {
            for _ in 0..ROUNDS {
                puller.wake();
                acknowledged.recv().unwrap();
            }
        });
        let all = async {
            for _ in 0..ROUNDS {
                kill.pulled().await;
                seen.send(()).unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
        thread.join().unwrap();
    }
}
