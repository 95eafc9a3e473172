//! The switch by which others end what a session does. It sends nothing to servers: who waits for them looks at it.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

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
const DEADLOCK: u8 = 16;
const VICTIM: u8 = 32;

/// Why a statement must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// KILL QUERY.
    Query,
    /// Its transaction is the victim of a deadlock.
    Deadlock,
}

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

    /// Ends the statement that runs now, and with it its transaction: it is the victim of a deadlock.
    pub fn deadlock(&self) {
        self.want(DEADLOCK);
    }

    /// Forgets what was meant for the statement before.
    pub fn begin_statement(&self) {
        self.take(QUERY | DEADLOCK | VICTIM);
    }

    /// Forgets that the statement was a victim, as it runs once more; KILL QUERY is still meant for it.
    pub fn begin_again(&self) {
        self.take(DEADLOCK | VICTIM);
    }

    /// Waits until somebody pulls the switch, or has since the last wait. One task waits at a time.
    pub async fn pulled(&self) {
        poll_fn(|context| if self.wakes(context) && self.take(PULLED) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// From now on a pull wakes this task. Whether one has come before, and no wait has seen it.
    pub fn wakes(&self, context: &Context<'_>) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waiting = Some(context.waker().clone());
        }
        drop(waiting);
        // Looked at after the waker lies there: whoever pulls now either was seen or sees it.
        self.wanted.load(Ordering::Acquire) & PULLED != 0
    }

    /// Whether the running statement must end, and why; told once.
    pub fn take_end(&self) -> Option<End> {
        if self.take(QUERY) {
            return Some(End::Query);
        }
        self.take(DEADLOCK).then_some(End::Deadlock)
    }

    /// The statement's client is told that its transaction is the victim of a deadlock.
    pub fn tell_victim(&self) {
        self.wanted.fetch_or(VICTIM, Ordering::AcqRel);
    }

    /// Whether the statement's client was told that; asked once.
    pub fn take_victim(&self) -> bool {
        self.take(VICTIM)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::Wake;
    use std::time::Duration;

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
        assert!(
            kill.take_end() == Some(End::Query) && !kill.is_connection(),
            "what was wanted stays until somebody takes it"
        );

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
