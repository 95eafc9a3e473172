//! The rows of CREATE TABLE ... AS SELECT on their way from the temporary table that a server has made of them to the
//! places of the new table, in one transaction; and what that temporary table is. It computes no value.

use std::sync::Arc;

use crate::backend::conn::{Answer, BackendError};
use crate::backend::lease::Lease;
use crate::backend::metadata::literal;
use crate::backend::schema;
use crate::backend::settings::Settings;
use crate::error::{Code, SqlError};
use crate::exec::Place;
use crate::exec::gather::copies::FILL_MODE;
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::moved::as_they_are;
use crate::exec::names::{Naming, logical};
use crate::exec::relay::lost;
use crate::exec::write::answered;
use crate::plan::Target;
use crate::plan::fill::Pouring;
use crate::plan::gather::Fill;
use crate::plan::render::Name;
use crate::plan::text::quote;
use crate::rules::catalog::{ColumnInfo, TableInfo};
use crate::rules::{GroupId, PhysicalName};
use crate::txn::{self, Access, Txn, Wanted};
use crate::wire::command::com;
use crate::wire::link::Link;
use crate::wire::reply::ErrPacket;
use crate::wire::response::{Event, Kind, Response};
use crate::wire::row::text_cells;

/// Bytes of an INSERT's text beyond which it is sent.
const BATCH_BYTES: usize = 256 << 10;

/// Settings by which the temporary table gets the engine of a lasting one.
pub fn staging(settings: &Settings) -> Arc<Settings> {
    Arc::new(settings.with("default_tmp_storage_engine", Some(b"@@default_storage_engine")))
}

/// Settings by which a definition is shown, and means the same when it is read again.
pub fn neutral() -> Settings {
    let settings = Settings::default().with_names("utf8mb4").with("time_zone", Some(b"'+00:00'"));
    settings.with("sql_mode", Some(FILL_MODE))
}

/// At how many of its places a table is.
///
/// # Errors
/// A server's; a lost connection.
pub async fn present(
    client: &mut Link,
    txn: &Txn,
    fill: &Fill,
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
) -> Result<usize, Stop> {
    let mut found = 0;
    for of_group in fill.places.chunk_by(|(a, _), (b, _)| a.group == b.group) {
        let (group, wanted) = place(of_group[0].0.group);
        let lease = txn.side_lease(of_group[0].0.group, group, Access::Primary, &wanted);
        let mut lease = patience.reach(client, false, std::pin::pin!(lease)).await??;
        let names: Vec<String> =
            of_group.iter().map(|(_, name)| format!("({}, {})", literal(&name.schema), literal(&name.table))).collect();
        let sql = format!(
            "SELECT COUNT(*) FROM information_schema.TABLES WHERE (TABLE_SCHEMA, TABLE_NAME) IN ({})",
            names.join(", ")
        );
        let answer = ask(client, &mut lease, sql.as_bytes(), patience).await?;
        found += answer.text(0, 0).and_then(|count| count.parse::<usize>().ok()).unwrap_or_default();
    }
    Ok(found)
}

/// The definition of the temporary table, as that of a lasting one, and its columns.
///
/// # Errors
/// The server's; a lost connection.
pub async fn shown(
    client: &mut Link,
    home: &mut Lease,
    fill: &Fill,
    wanted: &Wanted<'_>,
    patience: &mut Patience<'_>,
) -> Result<(String, TableInfo), Stop> {
    let settings = Arc::new(neutral());
    txn::adapt(home, &Wanted { settings: &settings, ..*wanted }).await?;
    let sql = format!("SHOW CREATE TABLE {}", fill.stage.quoted);
    let answer = ask(client, home, sql.as_bytes(), patience).await?;
    let unknown = || Stop::Error(SqlError::new(Code::Unknown, "a table that was just made is not shown"));
    let shown = answer.text(0, 1).ok_or_else(unknown)?;
    let definition = shown.strip_prefix("CREATE TEMPORARY TABLE ").ok_or_else(unknown)?;
    let (conn, server) = home.split();
    let thread = conn.thread_id;
    let info = patience.watch(client, server, thread, schema::temporary(conn, &fill.stage.quoted)).await?;
    let info = info.map_err(|error| Stop::Error(error.to_client(&home.server().name)))?;
    Ok((format!("CREATE TABLE {definition}"), info))
}

/// The columns of the temporary table that may be NULL and yet have no default: so it is with what MIN and MAX give, and
/// with the columns of outer joins. The definition that is shown does not say so.
///
/// # Errors
/// A lost connection; what ends the patience.
pub async fn without_default(
    client: &mut Link,
    home: &mut Lease,
    fill: &Fill,
    info: &TableInfo,
    patience: &mut Patience<'_>,
) -> Result<Vec<String>, Stop> {
    let mut found = Vec::new();
    let unsure = |column: &&ColumnInfo| column.nullable && column.default.is_none() && !column.generated;
    for column in info.columns.iter().filter(unsure) {
        let mut sql = b"SELECT DEFAULT(".to_vec();
        quote(column.name.as_bytes(), &mut sql);
        sql.extend_from_slice(b") FROM ");
        sql.extend_from_slice(fill.stage.quoted.as_bytes());
        sql.extend_from_slice(b" LIMIT 0");
        match ask(client, home, &sql, patience).await {
            // 1364: Field doesn't have a default value.
            Err(Stop::Error(error)) if error.errno == 1364 => found.push(column.name.clone()),
            // 3773: it is an expression.
            Ok(_) | Err(Stop::Error(SqlError { errno: 3773, .. })) => {}
            Err(stop) => return Err(stop),
        }
    }
    Ok(found)
}

/// Takes the temporary table off again.
///
/// # Errors
/// The server's; a lost connection.
pub async fn unstage(lease: &mut Lease, fill: &Fill) -> Result<(), BackendError> {
    lease.query(&format!("DROP TEMPORARY TABLE IF EXISTS {}", fill.stage.quoted)).await.map(drop)
}

/// Stores all rows of the temporary table where they belong.
///
/// # Errors
/// 1235 for a row that cannot be placed; a server's; a lost connection.
pub async fn pour(
    client: &mut Link,
    txn: &mut Txn,
    home: &mut Lease,
    (fill, pouring): (&Fill, &Pouring<'_>),
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
) -> Result<(), Stop> {
    let (_, wanted) = place(fill.places[0].0.group);
    let settings = as_they_were(wanted.settings, home.info.mariadb);
    txn::adapt(home, &Wanted { settings: &settings, database: None, ..wanted }).await?;
    let mut text = Vec::new();
    pouring.put_select(&mut text);
    home.send(com::QUERY, &text);
    home.link.flush().await.map_err(|error| patience.lost(home, error))?;
    home.expect_answer();
    let mut response = Response::new(Kind::Query, home.capabilities);
    let mariadb = home.info.mariadb;
    let mut heaps: Vec<Vec<u8>> = fill.places.iter().map(|_| Vec::new()).collect();
    loop {
        let (conn, server) = home.split();
        let packet = patience.watch(client, server, conn.thread_id, conn.link.expect_packet()).await?;
        let packet = packet.map_err(|error| lost(home, patience, error.into()))?;
        let payload = home.link.payload(&packet);
        match response.packet(payload).map_err(|error| lost(home, patience, error.into()))? {
            Event::Rows { .. } => {
                let mut row = Vec::new();
                let cells = text_cells(payload).map_err(SqlError::from)?;
                let shard = pouring.put_row(&cells, &mut row)?;
                for ((target, name), heap) in fill.places.iter().zip(&mut heaps) {
                    if shard.is_some() && target.shard != shard {
                        continue;
                    }
                    match heap.is_empty() {
                        true => pouring.put_insert(name, heap),
                        false => heap.push(b','),
                    }
                    heap.extend_from_slice(&row);
                    if heap.len() > BATCH_BYTES {
                        store(client, txn, (fill, mariadb), (*target, name), heap, place, patience).await?;
                        heap.clear();
                    }
                }
            }
            Event::End(end) | Event::Ok(end) => {
                home.answered(end.status);
                break;
            }
            Event::Err { .. } => {
                let error = ErrPacket::decode(payload).map(|error| error.to_sql_error());
                let error = error.map_err(|error| lost(home, patience, error.into()))?;
                home.failed();
                return Err(Stop::Error(patience.explain(error)));
            }
            _ => {}
        }
    }
    for ((target, name), heap) in fill.places.iter().zip(&heaps) {
        if !heap.is_empty() {
            store(client, txn, (fill, mariadb), (*target, name), heap, place, patience).await?;
        }
    }
    Ok(())
}

/// Settings by which rows are stored as they came: they met their constraints where they came from.
fn as_they_were(settings: &Settings, mariadb: bool) -> Arc<Settings> {
    let settings = as_they_are(settings);
    if mariadb { Arc::new(settings.with("check_constraint_checks", Some(b"0"))) } else { settings }
}

/// Stores rows at a place, on the connection that the transaction has there.
async fn store(
    client: &mut Link,
    txn: &mut Txn,
    (fill, mariadb): (&Fill, bool),
    (target, name): (Target, &PhysicalName),
    text: &[u8],
    place: Place<'_, '_>,
    patience: &mut Patience<'_>,
) -> Result<(), Stop> {
    let id: GroupId = target.group;
    let (group, wanted) = place(id);
    let settings = as_they_were(wanted.settings, mariadb);
    let wanted = Wanted { settings: &settings, ..wanted };
    let holds = txn.holds(id);
    let lease = patience.reach(client, holds, std::pin::pin!(txn.lease(id, group, Access::Write, &wanted))).await;
    let mut lease = lease??;
    txn.wrote(id);
    lease.send(com::QUERY, text);
    let stored = answered(client, &mut lease, patience, Naming::Same).await;
    match &stored {
        Ok(_) | Err(Stop::Error(_)) => txn.settle(id, lease),
        Err(stop) => {
            drop(lease);
            txn.lost(id, stop.why());
        }
    }
    match stored {
        Ok(_) => Ok(()),
        Err(Stop::Error(error)) => {
            let name =
                Name { physical_schema: &name.schema, physical: &name.table, schema: &fill.schema, table: &fill.table };
            let message = logical(&error.message, std::iter::once(name));
            Err(Stop::Error(SqlError { message, ..error }))
        }
        Err(stop) => Err(stop),
    }
}

/// Asks on a connection that has no part in the transaction.
async fn ask(client: &mut Link, lease: &mut Lease, sql: &[u8], patience: &mut Patience<'_>) -> Result<Answer, Stop> {
    lease.send(com::QUERY, sql);
    match answered(client, lease, patience, Naming::Same).await {
        // It has no part in the session's transaction, which goes on without it.
        Err(Stop::Lost(error)) => Err(Stop::Error(error)),
        answer => answer,
    }
}
