//! The threads that serve clients: each has an event loop of its own, and a client stays with one from
//! login to goodbye, so that a query never changes threads. It knows no protocol.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

/// A client that has just connected.
#[derive(Debug)]
pub enum Arrival {
    /// Over TCP.
    Tcp(std::net::TcpStream, SocketAddr),
    /// Over a unix socket.
    Unix(std::os::unix::net::UnixStream),
}

/// The workers, as the accepting side sees them.
pub struct Workers {
    inboxes: Vec<Inbox>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

struct Inbox {
    sender: mpsc::UnboundedSender<Arrival>,
    clients: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `count` workers; `serve` is called on the worker for each client, with the worker's number.
    ///
    /// # Errors
    /// If the system gives no thread or no event loop.
    pub fn start<F, S>(count: usize, serve: F) -> io::Result<Workers>
    where
        F: Fn(usize, Arrival) -> S + Send + Clone + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let mut workers = Workers { inboxes: Vec::new(), threads: Vec::new() };
        for number in 0..count {
            let (sender, receiver) = mpsc::unbounded_channel();
            let clients = Arc::new(AtomicUsize::new(0));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let run = receive(number, receiver, clients.clone(), serve.clone());
            let thread =
                std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || runtime.block_on(run))?;
            workers.inboxes.push(Inbox { sender, clients });
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Hands a client to the worker with the fewest.
    pub fn hand_over(&self, arrival: Arrival) {
        let Some(inbox) = self.inboxes.iter().min_by_key(|inbox| inbox.clients.load(Ordering::Relaxed)) else { return };
        inbox.clients.fetch_add(1, Ordering::Relaxed);
        if inbox.sender.send(arrival).is_err() {
            inbox.clients.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes no more clients and waits until all workers have ended, which they do with their last client.
    pub fn join(self) {
        drop(self.inboxes);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

async fn receive<F, S>(number: usize, mut inbox: mpsc::UnboundedReceiver<Arrival>, clients: Arc<AtomicUsize>, serve: F)
where
    F: Fn(usize, Arrival) -> S + Send + Clone + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let mut served = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            arrival = inbox.recv() => match arrival {
                Some(arrival) => {
                    let leaving = Leaving(clients.clone());
                    let serve = serve.clone();
                    // Called in here: a future that is handed in would lie in the task twice.
                    served.spawn(async move {
                        serve(number, arrival).await;
                        drop(leaving);
                    });
                }
                None => break,
            },
            Some(ended) = served.join_next(), if !served.is_empty() => log(ended),
        }
    }
    while let Some(ended) = served.join_next().await {
        log(ended);
    }
}

/// A panic ends the one session it happened in; it is a defect and said aloud.
fn log(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a session ended by a panic");
    }
}

struct Leaving(Arc<AtomicUsize>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
