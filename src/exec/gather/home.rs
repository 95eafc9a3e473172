//! What is gathered, and the connection on which: statements on it, whose own errors are no end of the session's
//! transaction. What they say is not known here.

use crate::backend::conn::{Answer, BackendError, Packets};
use crate::backend::lease::Lease;
use crate::error::SqlError;
use crate::exec::interrupt::{Patience, Stop};
use crate::plan::gather::{Extent, Gather};
use crate::plan::{Bound, Gathered};
use crate::txn::Access;
use crate::wire::command::com;
use crate::wire::link::Link;

/// A statement whose rows are gathered.
pub struct Gathering<'a> {
    /// The statement.
    pub bound: &'a Bound<'a>,
    /// What is gathered.
    pub gather: &'a Gather,
    /// Where it is, and where it goes.
    pub gathered: &'a Gathered<'a>,
    /// Bytes of rows that may be gathered.
    pub limit: usize,
    /// Which member of a group may be asked.
    pub access: Access,
    /// The session holds connections, or will by this statement: they are the ones to read from.
    pub shared: bool,
    /// What the statement makes stays on the connection that gathers: it is the session's own, or will be. Then no
    /// transaction is open.
    pub keeps: bool,
    /// How much of the sources is copied.
    pub extent: Extent,
}

impl Gathering<'_> {
    /// Whether a source is a temporary table on the very connection that gathers.
    pub(super) fn is_there(&self, source: usize) -> bool {
        let temporary = self.gather.sources.get(source).is_some_and(|source| source.temporary);
        temporary && self.keeps && self.gathered.like[source].group == self.gathered.group
    }
}

/// Runs a statement on the connection that gathers; its own error is in the inner result.
pub async fn on_home(
    client: &mut Link,
    home: &mut Lease,
    text: &[u8],
    patience: &mut Patience<'_>,
) -> Result<Result<Answer, SqlError>, Stop> {
    home.send(com::QUERY, text);
    answer_of_home(client, home, patience).await
}

/// The same for a statement that gives rows, which are kept as they come.
pub async fn rows_of_home(
    client: &mut Link,
    home: &mut Lease,
    text: &[u8],
    rows: &mut Packets,
    patience: &mut Patience<'_>,
) -> Result<Result<Answer, SqlError>, Stop> {
    home.send(com::QUERY, text);
    answer_with(client, home, Some(rows), patience).await
}

/// The answer to what was sent to the connection that gathers.
pub(super) async fn answer_of_home(
    client: &mut Link,
    home: &mut Lease,
    patience: &mut Patience<'_>,
) -> Result<Result<Answer, SqlError>, Stop> {
    answer_with(client, home, None, patience).await
}

async fn answer_with(
    client: &mut Link,
    home: &mut Lease,
    rows: Option<&mut Packets>,
    patience: &mut Patience<'_>,
) -> Result<Result<Answer, SqlError>, Stop> {
    let name = home.server().name.clone();
    let (conn, server) = home.split();
    let thread_id = conn.thread_id;
    let answered = async {
        conn.link.flush().await?;
        match rows {
            Some(rows) => conn.read_packets(rows).await,
            None => conn.read_answer().await,
        }
    };
    let answer = patience.watch(client, server, thread_id, answered).await?;
    if let Some(error) = patience.ended() {
        return Err(Stop::Error(error));
    }
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(BackendError::Server(error)) => Ok(Err(error)),
        // It has no part in the session's transaction, which goes on without it.
        Err(error) => Err(Stop::Error(error.to_client(&name))),
    }
}

/// Runs a statement that is not waited for with the client's patience.
pub async fn ask(lease: &mut Lease, text: &[u8]) -> Result<Answer, BackendError> {
    lease.send(com::QUERY, text);
    lease.link.flush().await?;
    lease.read_answer().await
}
