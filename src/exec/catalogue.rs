//! The round trips of a statement about the catalogue: how a server defines its columns, and what servers tell of their
//! tables. It does not know which statement it is.

use crate::backend::conn::{Answer, BackendError, Conn};
use crate::backend::lease::Lease;
use crate::error::SqlError;
use crate::exec::ask::{Ask, read_prepare, send};
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::Naming;
use crate::exec::relay::{lost, preludes};
use crate::plan::Params;
use crate::plan::catalogue::ask::{About, Question};
use crate::plan::catalogue::inline::{Column, Shape};
use crate::plan::catalogue::list::ListKind;
use crate::plan::catalogue::relation::Relation;
use crate::plan::catalogue::rows::Row;
use crate::wire::column::flags::UNSIGNED;
use crate::wire::column::{ColumnDef, ColumnType};
use crate::wire::command::com;
use crate::wire::error::WireError;
use crate::wire::link::Link;
use crate::wire::reply::ErrPacket;
use crate::wire::response::{Event, Kind, Response};

/// The definitions of the columns of a statement that changes nothing, as packets, with the client's names: it is run
/// and its rows are dropped (so `ask` opens no cursor), since some flags depend on how a server runs it.
///
/// # Errors
/// The server's refusal of the statement; a lost connection.
pub async fn definitions(
    client: &mut Link,
    lease: &mut Lease,
    ask: Ask<'_>,
    text: &[u8],
    params: &Params,
    patience: &mut Patience<'_>,
    naming: Naming<'_>,
) -> Result<Vec<Box<[u8]>>, Stop> {
    send(client, lease, ask, text, params, patience, naming).await?;
    lease.link.flush().await.map_err(|error| lost(lease, patience, error.into()))?;
    preludes(client, lease, patience).await?;
    let (conn, server) = lease.split();
    let thread_id = conn.thread_id;
    match patience.watch(client, server, thread_id, read_columns(conn, ask.kind(), naming)).await? {
        Ok(Ok(definitions)) => Ok(definitions),
        Ok(Err(error)) => Err(Stop::Error(naming.error(patience.explain(error)))),
        Err(error) => Err(lost(lease, patience, error)),
    }
}

async fn read_columns(
    conn: &mut Conn,
    kind: Kind,
    naming: Naming<'_>,
) -> Result<Result<Vec<Box<[u8]>>, SqlError>, BackendError> {
    let mut response = Response::new(kind, conn.capabilities);
    let mut definitions = Vec::new();
    response.set_sequence(conn.expect_answer());
    loop {
        let packet = conn.link.expect_packet().await?;
        let payload = conn.link.payload(&packet);
        match response.packet(payload)? {
            Event::ColumnDef { .. } => definitions.push(logical(payload, naming)?),
            Event::End(end) | Event::Ok(end) => conn.answered(end.status),
            Event::Err { .. } => {
                let error = ErrPacket::decode(payload)?.to_sql_error();
                conn.failed();
                return Ok(Err(error));
            }
            _ => {}
        }
        if response.is_done() {
            return Ok(Ok(definitions));
        }
    }
}

/// A definition with the client's names.
fn logical(packet: &[u8], naming: Naming<'_>) -> Result<Box<[u8]>, WireError> {
    let column = ColumnDef::decode(packet)?;
    let mut out = Vec::new();
    naming.logical(&column).unwrap_or(column).encode(&mut out);
    Ok(out.into())
}

/// The same of a statement that may change something: it is prepared only.
///
/// # Errors
/// As [`definitions`].
pub async fn prepared_definitions(
    client: &mut Link,
    lease: &mut Lease,
    text: &[u8],
    patience: &mut Patience<'_>,
    naming: Naming<'_>,
) -> Result<Vec<Box<[u8]>>, Stop> {
    lease.send(com::STMT_PREPARE, text);
    let mut definitions = Vec::new();
    let keep = |packet: &[u8]| {
        definitions.push(logical(packet, naming)?);
        Ok(())
    };
    let prepared = read_prepare(client, lease, keep, patience, naming).await?;
    lease.close_statement(prepared.statement);
    Ok(definitions)
}

/// Definitions in which the name of a column is another one.
///
/// # Errors
/// [`WireError`] of a packet that is no definition.
pub fn renamed(definitions: Vec<Box<[u8]>>, from: &str, to: &str) -> Result<Vec<Box<[u8]>>, SqlError> {
    let one = |packet: Box<[u8]>| {
        let column = ColumnDef::decode(&packet)?;
        let Some(rest) = column.name.strip_prefix(from.as_bytes()) else { return Ok(packet.clone()) };
        let name = [to.as_bytes(), rest].concat();
        let mut out = Vec::new();
        ColumnDef { name: &name, ..column }.encode(&mut out);
        Ok(out.into())
    };
    definitions.into_iter().map(one).collect()
}

/// What a server tells of its tables.
pub struct Told {
    /// The columns, the two in front that say whose a row is among them.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// Asks a question, and reads its answer as if it were `SELECT schema, table, ...`.
///
/// # Errors
/// The server's refusal; a lost connection; 1235 for an answer of more than `budget` bytes, which is made smaller by
/// what the answer took.
pub async fn ask(
    lease: &mut Lease,
    question: &Question,
    patience: &Patience<'_>,
    budget: &mut usize,
) -> Result<Told, Stop> {
    let answer = match lease.query(&question.sql).await {
        Ok(answer) => answer,
        Err(BackendError::Server(error)) => return Err(Stop::Error(patience.explain(error))),
        Err(error) => return Err(lost(lease, patience, error)),
    };
    let size: usize = answer.rows.iter().flatten().map(|cell| 8 + 2 * cell.as_ref().map_or(0, Vec::len)).sum();
    *budget = budget.checked_sub(size).ok_or_else(|| {
        let why = "what the servers tell of their tables is more than limits.merge_memory_per_query: ask for one schema \
                   or table";
        Stop::Error(SqlError::refuse(why))
    })?;
    Ok(told(answer, &question.about))
}

/// The columns that a server gives a relation of its own.
///
/// # Errors
/// The server's refusal; a lost connection.
pub async fn no_rows(lease: &mut Lease, relation: &Relation) -> Result<Vec<Column>, SqlError> {
    let name = lease.server().name.clone();
    let sql = format!("SELECT * FROM {}.{} WHERE FALSE", relation.schema(), relation.name);
    let answer = lease.query(&sql).await.map_err(|error| error.to_client(&name))?;
    Ok(told(answer, &About::Told).columns)
}

fn told(answer: Answer, about: &About) -> Told {
    let shapes = answer.types.iter().zip(&answer.flags).map(|(ty, flags)| shape(*ty, *flags));
    let mut columns: Vec<Column> =
        answer.columns.into_iter().zip(shapes).map(|(name, shape)| Column { name, shape }).collect();
    let mut rows = answer.rows;
    if *about == About::Told {
        return Told { columns, rows };
    }
    if let (About::Schema(_, ListKind::FIRST), Some(first)) = (about, columns.first_mut()) {
        ListKind::FIRST.clone_into(&mut first.name);
    }
    let at = match about {
        About::Schema(_, table) => columns.iter().position(|column| column.name == *table),
        _ => None,
    };
    for row in &mut rows {
        let (schema, table) = match about {
            About::Schemas | About::Told => (row.first().cloned().flatten(), None),
            About::Schema(schema, _) => (Some(schema.clone().into_bytes()), at.and_then(|at| row[at].clone())),
            About::Table(schema, table) => (Some(schema.clone().into_bytes()), Some(table.clone().into_bytes())),
        };
        row.splice(0..0, [schema, table]);
    }
    let front = ["schema", "table"].map(|name| Column { name: name.to_owned(), shape: Shape::Text });
    columns.splice(0..0, front);
    Told { columns, rows }
}

/// How cells of a column are written.
fn shape(ty: ColumnType, flags: u16) -> Shape {
    match ty {
        ColumnType::TINY
        | ColumnType::SHORT
        | ColumnType::INT24
        | ColumnType::LONG
        | ColumnType::LONGLONG
        | ColumnType::YEAR => {
            if flags & UNSIGNED != 0 {
                Shape::Unsigned
            } else {
                Shape::Signed
            }
        }
        ColumnType::DECIMAL | ColumnType::NEWDECIMAL | ColumnType::FLOAT | ColumnType::DOUBLE => Shape::Number,
        ColumnType::DATETIME | ColumnType::TIMESTAMP => Shape::Moment,
        ColumnType::JSON => Shape::Json,
        _ => Shape::Text,
    }
}
