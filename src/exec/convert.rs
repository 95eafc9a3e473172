//! Rows that a server converts: they are stored in a temporary table of the columns that they are for, and read back
//! from there. It knows neither where they come from nor where they go.

use crate::backend::conn::{Answer, Packets};
use crate::backend::lease::Lease;
use crate::error::SqlError;
use crate::exec::gather::home::{ask, on_home, rows_of_home};
use crate::exec::interrupt::{Patience, Stop};
use crate::plan::convert::CONVERTED;
use crate::plan::render::Name;
use crate::plan::text::{put_name, quote};
use crate::rules::catalog::ColumnInfo;
use crate::wire::link::Link;

/// The column that tells the order of the rows.
const ROW: &str = "_shardloom_row";

/// What is converted, and to what.
pub struct Conversion<'a> {
    /// The table that the rows are for.
    pub like: Name<'a>,
    /// Its columns that get values.
    pub columns: &'a [&'a ColumnInfo],
    /// The INSERT ... SELECT into the temporary table.
    pub store: &'a [u8],
    /// The select list by which the values are read back.
    pub read: &'a [u8],
    /// Bytes that the rows may take.
    pub room: usize,
}

/// The rows as the columns have them.
pub struct Converted {
    /// In their order, in the text protocol.
    pub rows: Packets,
    /// How many warnings converting gave.
    pub warnings: u16,
    /// What SHOW WARNINGS tells of them.
    pub conditions: Option<Answer>,
}

/// Converts rows on a connection that has what they are read from; a server's refusal is in the inner result. The
/// temporary table is gone behind it.
pub async fn run(
    client: &mut Link,
    home: &mut Lease,
    of: &Conversion<'_>,
    patience: &mut Patience<'_>,
) -> Result<Result<Converted, SqlError>, Stop> {
    // Until the table is gone again nobody else may have the connection.
    home.taint();
    home.insert_id = None;
    let outcome = convert(client, home, of, patience).await?;
    let mut text = b"DROP TEMPORARY TABLE IF EXISTS ".to_vec();
    put_name(of.like.physical_schema, CONVERTED, &mut text);
    ask(home, &text).await.map_err(|error| Stop::Error(error.to_client(&home.server().name)))?;
    Ok(outcome)
}

async fn convert(
    client: &mut Link,
    home: &mut Lease,
    of: &Conversion<'_>,
    patience: &mut Patience<'_>,
) -> Result<Result<Converted, SqlError>, Stop> {
    if let Err(error) = on_home(client, home, &create(of), patience).await? {
        return Ok(Err(error));
    }
    let stored = match on_home(client, home, of.store, patience).await? {
        Ok(stored) => stored,
        Err(error) => return Ok(Err(error)),
    };
    let conditions = match stored.warnings {
        0 => None,
        _ => match on_home(client, home, b"SHOW WARNINGS", patience).await? {
            Ok(conditions) => Some(conditions),
            Err(error) => return Ok(Err(error)),
        },
    };
    let mut text = [b"SELECT ", of.read, b" FROM "].concat();
    put_name(of.like.physical_schema, CONVERTED, &mut text);
    // A limit of the session's does not hold for the rows that a statement stores.
    text.extend_from_slice(format!(" ORDER BY {ROW} LIMIT {}", u64::MAX).as_bytes());
    let mut rows = Packets::new(of.room);
    let read = rows_of_home(client, home, &text, &mut rows, patience).await?;
    Ok(read.map(|_| Converted { rows, warnings: stored.warnings, conditions }))
}

/// A table of the same columns, without keys: whether rows are in each other's way is for the table that they go to.
fn create(of: &Conversion<'_>) -> Vec<u8> {
    let mut text = b"CREATE TEMPORARY TABLE ".to_vec();
    put_name(of.like.physical_schema, CONVERTED, &mut text);
    text.extend_from_slice(
        format!(" ({ROW} BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY) ENGINE=InnoDB SELECT ").as_bytes(),
    );
    for (number, column) in of.columns.iter().enumerate() {
        if number > 0 {
            text.push(b',');
        }
        quote(column.name.as_bytes(), &mut text);
    }
    text.extend_from_slice(b" FROM ");
    put_name(of.like.physical_schema, of.like.physical, &mut text);
    text.extend_from_slice(b" WHERE FALSE");
    text
}
