//! How a statement is put to a server: as text, or as an execution of a prepared statement with the
//! client's parameters, in either protocol. It knows no answer but that to a PREPARE of its own.

use crate::backend::conn::{BackendError, Conn};
use crate::backend::lease::Lease;
use crate::backend::statements::{Prepared, UNTYPED};
use crate::error::SqlError;
use crate::exec::carry::Reading;
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::Naming;
use crate::exec::relay::{lost, preludes};
use crate::plan::numbering::Id;
use crate::plan::{Bound, Params, Pick, Target};
use crate::wire::command::com;
use crate::wire::error::WireError;
use crate::wire::link::Link;
use crate::wire::reply::{ERR, ErrPacket, PrepareOk};
use crate::wire::response::{Event, Kind, Response};
use crate::wire::statement::{Param, put_execute};
use crate::wire::value::Value;

/// The form of a client's statement.
#[derive(Clone, Copy)]
pub enum Ask<'a> {
    /// COM_QUERY.
    Query,
    /// COM_STMT_EXECUTE.
    Execute {
        /// The client's parameters.
        params: &'a [Param<'a>],
        /// The flags of the client's command: the kind of cursor.
        flags: u8,
    },
    /// EXECUTE in SQL text: prepared and executed by text, so that the server types parameters by its own rules.
    Named(&'a Using),
}

/// The parameters of an EXECUTE in SQL text.
#[derive(Debug)]
pub struct Using {
    /// User variables, as they are written; the connection has their values.
    pub variables: Vec<String>,
    /// How the text of the statement is written as a literal.
    pub reading: Reading,
}

/// What a statement that is executed by name is called on a server. It is prepared anew for each execution.
const NAME: &str = "shardloom";

/// Of the flags of COM_STMT_EXECUTE: a cursor is wanted.
const CURSOR_READ_ONLY: u8 = 1;

impl Ask<'_> {
    /// The form of the answer.
    pub fn kind(self) -> Kind {
        match self {
            Ask::Query | Ask::Named(_) => Kind::Query,
            Ask::Execute { .. } => Kind::Execute,
        }
    }

    /// Whether the client wants its rows by COM_STMT_FETCH.
    pub fn wants_cursor(self) -> bool {
        matches!(self, Ask::Execute { flags, .. } if flags & CURSOR_READ_ONLY != 0)
    }

    /// The same, answered with all rows at once.
    #[must_use]
    pub fn without_cursor(self) -> Self {
        match self {
            Ask::Query | Ask::Named(_) => self,
            Ask::Execute { params, .. } => Ask::Execute { params, flags: 0 },
        }
    }

    /// Whether rows come in the binary protocol.
    pub fn is_binary(self) -> bool {
        matches!(self, Ask::Execute { .. })
    }
}

/// Queues a bound statement on a connection for one of its targets. An execution whose statement is not prepared there
/// is left to [`send`], with the text that is in `text` then (a buffer that was empty) and the parameters of the error.
pub fn send_at_once(
    lease: &mut Lease,
    ask: Ask<'_>,
    bound: &Bound<'_>,
    target: Target,
    text: &mut Vec<u8>,
) -> Result<Option<u32>, Params> {
    let (given, flags) = match ask {
        Ask::Execute { params, flags } => (params, flags),
        Ask::Named(_) => return Err(bound.render(target, text)),
        Ask::Query => {
            lease.send_with(|out| {
                out.push(com::QUERY);
                bound.render(target, out);
            });
            return Ok(None);
        }
    };
    let params = bound.render(target, text);
    let Some(prepared) = lease.find_prepared(text, types_of(given)) else { return Err(params) };
    execute(lease, prepared, flags, given, &params);
    Ok(Some(prepared.id))
}

/// Queues the statement `text` on a connection. For an execution it is first prepared there, in a round
/// of its own, unless it is already; its number there is returned.
pub async fn send(
    client: &mut Link,
    lease: &mut Lease,
    ask: Ask<'_>,
    text: &[u8],
    params: &Params,
    patience: &mut Patience<'_>,
    naming: Naming<'_>,
) -> Result<Option<u32>, Stop> {
    let (given, flags) = match ask {
        Ask::Execute { params, flags } => (params, flags),
        Ask::Named(using) => {
            prepare_by_name(client, lease, text, using.reading, patience, naming).await?;
            lease.send_with(|out| put_execute_by_name(out, &using.variables, params));
            return Ok(None);
        }
        Ask::Query => {
            lease.send(com::QUERY, text);
            return Ok(None);
        }
    };
    let prepared = match lease.find_prepared(text, types_of(given)) {
        Some(prepared) => prepared,
        None => prepare(client, lease, text, types_of(given), patience, naming).await?,
    };
    execute(lease, prepared, flags, given, params);
    Ok(Some(prepared.id))
}

fn execute(lease: &mut Lease, prepared: Prepared, flags: u8, given: &[Param<'_>], params: &Params) {
    match params {
        Params::Same => lease.send_with(|out| put_execute(out, prepared.id, flags, given)),
        Params::Picked(picked) => {
            let number = |pick: &Pick| if let Pick::Id(Id::Number(number)) = pick { *number } else { 0 };
            let numbers: Vec<[u8; 8]> = picked.iter().map(|pick| number(pick).to_le_bytes()).collect();
            let picked: Vec<Param<'_>> = picked.iter().zip(&numbers).filter_map(|of| param(of, given)).collect();
            lease.send_with(|out| put_execute(out, prepared.id, flags, &picked));
        }
    }
}

/// The types of an execution's parameters, as a number; those of NULL do not matter.
fn types_of(given: &[Param<'_>]) -> u64 {
    given.iter().fold(UNTYPED, |types, param| {
        let ty = match param.value {
            Value::Null => 0,
            _ => u64::from(param.ty.ty.0) << 1 | u64::from(param.ty.unsigned) | 1 << 9,
        };
        types.rotate_left(10).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(ty)
    })
}

/// What is sent for a parameter of the rendered text; `number`: the bytes of the id, if it is one.
fn param<'p>((pick, number): (&'p Pick, &'p [u8; 8]), given: &[Param<'p>]) -> Option<Param<'p>> {
    match pick {
        Pick::Client(index) => given.get(usize::from(*index)).copied(),
        Pick::Id(Id::Number(_)) => Some(Param::unsigned(number)),
        Pick::Id(Id::Uuid(text)) => Some(Param::text(text)),
        Pick::Id(Id::Given) => None,
    }
}

/// Prepares `text` on the connection by name, in a round of its own.
async fn prepare_by_name(
    client: &mut Link,
    lease: &mut Lease,
    text: &[u8],
    reading: Reading,
    patience: &mut Patience<'_>,
    naming: Naming<'_>,
) -> Result<(), Stop> {
    lease.send_with(|out| {
        out.push(com::QUERY);
        out.extend_from_slice(format!("PREPARE {NAME} FROM ").as_bytes());
        reading.put_text(text, out);
    });
    lease.link.flush().await.map_err(|error| lost(lease, patience, error.into()))?;
    preludes(client, lease, patience).await?;
    let (conn, server) = lease.split();
    let thread_id = conn.thread_id;
    match patience.watch(client, server, thread_id, conn.read_answer()).await? {
        Ok(_) => Ok(()),
        Err(BackendError::Server(error)) => Err(Stop::Error(naming.error(patience.explain(error)))),
        Err(error) => Err(lost(lease, patience, error)),
    }
}

/// COM_QUERY of the EXECUTE.
fn put_execute_by_name(out: &mut Vec<u8>, variables: &[String], params: &Params) {
    out.push(com::QUERY);
    out.extend_from_slice(format!("EXECUTE {NAME}").as_bytes());
    let picked: Vec<&str> = match params {
        Params::Same => variables.iter().map(String::as_str).collect(),
        Params::Picked(picked) => {
            // Ids are written into the text.
            let client = picked.iter().filter_map(|pick| match pick {
                Pick::Client(index) => variables.get(usize::from(*index)),
                Pick::Id(_) => None,
            });
            client.map(String::as_str).collect()
        }
    };
    if !picked.is_empty() {
        out.extend_from_slice(format!(" USING {}", picked.join(",")).as_bytes());
    }
}

/// Prepares `text` on the connection, keeping only its id.
async fn prepare(
    client: &mut Link,
    lease: &mut Lease,
    text: &[u8],
    types: u64,
    patience: &mut Patience<'_>,
    naming: Naming<'_>,
) -> Result<Prepared, Stop> {
    lease.send(com::STMT_PREPARE, text);
    let ok = read_prepare(client, lease, |_| Ok(()), patience, naming).await?;
    let prepared = Prepared { id: ok.statement, params: ok.params };
    lease.remember_prepared(text, types, prepared);
    Ok(prepared)
}

/// Sends what is queued and reads the answer to a COM_STMT_PREPARE to its end; `column` gets the definition of each
/// column as a packet.
///
/// # Errors
/// The server's refusal, with the client's names; a lost connection; what ends the patience.
pub async fn read_prepare(
    client: &mut Link,
    lease: &mut Lease,
    column: impl FnMut(&[u8]) -> Result<(), WireError>,
    patience: &mut Patience<'_>,
    naming: Naming<'_>,
) -> Result<PrepareOk, Stop> {
    lease.link.flush().await.map_err(|error| lost(lease, patience, error.into()))?;
    preludes(client, lease, patience).await?;
    let (conn, server) = lease.split();
    let thread_id = conn.thread_id;
    match patience.watch(client, server, thread_id, read_description(conn, column)).await? {
        Ok(Ok(head)) => Ok(head),
        Ok(Err(error)) => Err(Stop::Error(naming.error(patience.explain(error)))),
        Err(error) => Err(lost(lease, patience, error)),
    }
}

async fn read_description(
    conn: &mut Conn,
    mut column: impl FnMut(&[u8]) -> Result<(), WireError>,
) -> Result<Result<PrepareOk, SqlError>, BackendError> {
    let mut response = Response::new(Kind::Prepare, conn.capabilities);
    let mut head = PrepareOk::default();
    conn.expect_answer();
    loop {
        let packet = conn.link.expect_packet().await?;
        let payload = conn.link.payload(&packet);
        if payload.first() == Some(&ERR) && head.statement == 0 {
            let error = ErrPacket::decode(payload)?.to_sql_error();
            conn.failed();
            return Ok(Err(error));
        }
        match response.packet(payload)? {
            Event::PrepareOk(ok) => head = ok,
            Event::ColumnDef { .. } => column(payload)?,
            _ => {}
        }
        if response.is_done() {
            conn.described();
            return Ok(Ok(head));
        }
    }
}
