//! The one connection that a load has to each group: what runs there, and what the server told of it. It knows no file.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::backend::conn::{Answer, BackendError};
use crate::backend::lease::Lease;
use crate::backend::server::Server;
use crate::error::{Code, SqlError};
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::load::lines::Pending;
use crate::exec::variables::{UserVariable, read_back};
use crate::rules::GroupId;
use crate::wire::link::Link;

/// Lines of a target on their way.
pub(super) struct Part {
    pub(super) target: usize,
    pub(super) lines: Pending,
}

/// A group, with the one connection that the transaction has there.
pub(super) struct Lane<'a> {
    pub(super) group: GroupId,
    /// The numbers of its targets.
    pub(super) targets: VecDeque<usize>,
    pub(super) state: LaneState<'a>,
}

pub(super) enum LaneState<'a> {
    Idle(Lease),
    Running {
        part: Pin<Box<dyn Future<Output = Done> + Send + 'a>>,
        /// Where it runs, to be killed there.
        at: (Arc<Server>, u32),
    },
    /// Its connection is gone, and why.
    Lost(String),
}

/// A part that a server has answered.
pub(super) struct Done {
    pub(super) lease: Lease,
    pub(super) part: Part,
    pub(super) told: Result<Told, BackendError>,
}

/// What a server told of a part.
pub(super) struct Told {
    pub(super) answer: Answer,
    pub(super) conditions: Answer,
    pub(super) variables: Vec<UserVariable>,
}

/// A statement of our own before the file is asked for.
pub(super) enum Asked {
    /// What decides how the file is read.
    Facts,
    /// The load of an empty file.
    Empty(Vec<u8>),
}

/// Its answer.
pub(super) enum Asking {
    Facts { charset: String, conditions: usize },
    Empty { name: Vec<u8>, warnings: Answer },
}

impl Lane<'_> {
    /// Asks the server, while the client and its switch are watched.
    pub(super) async fn ask(
        &mut self,
        client: &mut Link,
        patience: &mut Patience<'_>,
        asked: Asked,
    ) -> Result<Asking, Stop> {
        let LaneState::Idle(lease) = &mut self.state else {
            return Err(SqlError::new(Code::Unknown, "a group without a connection").into());
        };
        let (conn, server) = lease.split();
        let thread_id = conn.thread_id;
        let ask = async {
            match &asked {
                Asked::Facts => {
                    conn.link.flush().await?;
                    conn.finish_preludes().await?;
                    let facts = "SELECT @@character_set_database, @@max_error_count, @@lc_messages";
                    let told = conn.query(facts).await?;
                    let cell = |column| told.text(0, column).unwrap_or_default();
                    if !cell(2).starts_with("en_") {
                        let why = "LOAD DATA into several places while lc_messages is not en_US: the numbers of rows in \
                                   warnings are those of each place, and are put right in English only";
                        return Err(BackendError::Server(SqlError::refuse(why)));
                    }
                    Ok(Asking::Facts { charset: cell(0), conditions: cell(1).parse().unwrap_or(0) })
                }
                Asked::Empty(text) => {
                    let (name, answer) = conn.load_local(text, b"").await?;
                    let warnings = match answer.warnings {
                        0 => Answer::default(),
                        _ => conn.query("SHOW WARNINGS").await?,
                    };
                    Ok(Asking::Empty { name, warnings })
                }
            }
        };
        let told = patience.watch(client, server, thread_id, ask).await?;
        match told {
            Ok(told) => Ok(told),
            Err(BackendError::Server(error)) if !lease.is_busy() => Err(Stop::Error(patience.explain(error))),
            Err(error) => {
                let error = error.to_client(&lease.server().name);
                self.state = LaneState::Lost(error.message.clone());
                Err(Stop::Lost(patience.explain(error)))
            }
        }
    }
}

/// Where the first part that has ended is among the lanes.
pub(super) fn poll_lanes(lanes: &mut [Lane<'_>], context: &mut Context<'_>) -> Poll<(usize, Done)> {
    for (number, lane) in lanes.iter_mut().enumerate() {
        if let LaneState::Running { part, .. } = &mut lane.state
            && let Poll::Ready(done) = part.as_mut().poll(context)
        {
            lane.state = LaneState::Lost(String::new());
            return Poll::Ready((number, done));
        }
    }
    Poll::Pending
}

/// Has a server load a part.
pub(super) async fn load_part(
    mut lease: Lease,
    part: Part,
    text: Vec<u8>,
    variables: &[String],
    standing: u64,
) -> Done {
    let told = async {
        let (_, answer) = lease.load_local(&text, &part.lines.data).await?;
        let conditions = match u64::from(answer.warnings) > standing {
            true => lease.query("SHOW WARNINGS").await?,
            false => Answer::default(),
        };
        let variables = read_back(&mut lease, variables).await?;
        Ok(Told { answer, conditions, variables })
    };
    let told = told.await;
    Done { lease, part, told }
}
