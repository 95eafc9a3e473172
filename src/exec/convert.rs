//! Rows that a server converts: they are stored in a temporary table of the columns that they are for, and read back
//! from there. It knows neither where they come from nor where they go.

use crate::backend::conn::{Answer, Packets};
use crate::backend::lease::Lease;
use crate::error::SqlError;
use crate::exec::catalogue::prepared_definitions;
use crate::exec::gather::home::{ask, on_home, rows_of_home};
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::Naming;
use crate::plan::render::Name;
use crate::plan::text::{put_name, quote};
use crate::rules::catalog::{ColumnInfo, ColumnType as Stored};
use crate::wire::column::{ColumnDef, ColumnType, flags};
use crate::wire::link::Link;

/// The table in which the rows are stored.
pub const CONVERTED: &str = "_shardloom_converted";

/// The column that tells the order of the rows.
const ROW: &str = "_shardloom_row";

/// What is converted, and to what.
pub struct Conversion<'a> {
    /// The table that the rows are for.
    pub like: Name<'a>,
    /// Its columns that get values.
    pub columns: &'a [&'a ColumnInfo],
    /// The SELECT that gives them, over what is there.
    pub select: &'a [u8],
    /// What does not fit becomes what does, with a warning.
    pub ignores: bool,
    /// A column of the SELECT's answer with the name of a table is that table's.
    pub of_tables: bool,
    /// A value may be MIN or MAX of an ENUM, SET or ZEROFILL, whose text or number a server stores by its plan.
    pub members: bool,
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
    if let Err(error) = are_stored_alike(client, home, of, patience).await? {
        return Ok(Err(error));
    }
    if let Err(error) = on_home(client, home, &create(of), patience).await? {
        return Ok(Err(error));
    }
    let stored = match on_home(client, home, &store(of), patience).await? {
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

/// That the values do not hang on whether the server stores them as it computes them, or takes them from a temporary
/// table of its own, as it does by its plan: those of a table's column do not.
async fn are_stored_alike(
    client: &mut Link,
    home: &mut Lease,
    of: &Conversion<'_>,
    patience: &mut Patience<'_>,
) -> Result<Result<(), SqlError>, Stop> {
    let definitions = match prepared_definitions(client, home, of.select, patience, Naming::Same).await {
        Ok(definitions) => definitions,
        Err(Stop::Error(error)) => return Ok(Err(error)),
        // It has no part in the session's transaction, which goes on without it.
        Err(Stop::Lost(error)) => return Err(Stop::Error(error)),
        Err(stop) => return Err(stop),
    };
    for (packet, to) in definitions.iter().zip(of.columns) {
        let def = ColumnDef::decode(packet).map_err(SqlError::from)?;
        let of_table = of.of_tables && !def.org_table.is_empty();
        if !of_table && !is_stored_alike(&def, &to.ty, of.members) {
            return Ok(Err(SqlError::refuse(format!(
                "an expression, {}, is stored in {} ({}) in one way or another by the plan of a server",
                String::from_utf8_lossy(def.name),
                to.name,
                to.ty
            ))));
        }
    }
    Ok(Ok(()))
}

/// Whether a computed value is stored in a column of this type as one that is read from a table is: what a day is as a
/// number, say, is `2024` in the one case and `20240229` in the other.
fn is_stored_alike(def: &ColumnDef<'_>, to: &Stored, members: bool) -> bool {
    let has = |flag: u16| def.flags & flag != 0;
    let is_number = matches!(to, Stored::Int { .. } | Stored::Decimal { .. } | Stored::Float { .. });
    let is_text = matches!(
        to,
        Stored::Char(_)
            | Stored::Varchar(_)
            | Stored::Text(_)
            | Stored::Binary(_)
            | Stored::Varbinary(_)
            | Stored::Blob(_)
    );
    match def.ty {
        ColumnType::NULL => true,
        ColumnType::TINY | ColumnType::SHORT | ColumnType::INT24 | ColumnType::LONG | ColumnType::LONGLONG => {
            is_number || !has(flags::ZEROFILL) && !members
        }
        ColumnType::NEWDECIMAL | ColumnType::DECIMAL => is_number || !has(flags::ZEROFILL),
        ColumnType::FLOAT | ColumnType::DOUBLE => is_number,
        ColumnType::YEAR => is_number || *to == Stored::Year,
        ColumnType::DATE | ColumnType::NEWDATE | ColumnType::DATETIME | ColumnType::TIMESTAMP => {
            is_text || matches!(to, Stored::Date | Stored::DateTime(_) | Stored::Timestamp(_))
        }
        ColumnType::TIME => is_text || matches!(to, Stored::Time(_)),
        ColumnType::JSON => *to == Stored::Json,
        ColumnType::GEOMETRY => to.is_spatial(),
        _ if has(flags::ENUM) || has(flags::SET) => is_text,
        ty if ty.is_string() => is_text || !members,
        _ => false,
    }
}

/// What stores the rows.
fn store(of: &Conversion<'_>) -> Vec<u8> {
    let mut text = if of.ignores { b"INSERT IGNORE INTO ".to_vec() } else { b"INSERT INTO ".to_vec() };
    put_name(of.like.physical_schema, CONVERTED, &mut text);
    for (number, column) in of.columns.iter().enumerate() {
        text.extend_from_slice(if number == 0 { b" (" } else { b"," });
        quote(column.name.as_bytes(), &mut text);
    }
    text.extend_from_slice(b") ");
    text.extend_from_slice(of.select);
    text
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
