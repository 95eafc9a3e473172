//! The metadata schema: where proxies keep on the servers what they must agree on or must not lose. It knows the
//! schema's name and makes its tables when they are missed; what is in them is for the rooms that keep it.
//!
//! What belongs to a logical schema lies on that schema's home group.

use crate::backend::conn::{Answer, BackendError, Class, Conn, ServerInfo};
use crate::backend::server::Server;
use crate::error::{Code, SqlError};

/// The schema, on every group that is the home of a logical schema.
pub const SCHEMA: &str = "_shardloom";

/// A table of the metadata schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name, without the schema.
    pub name: &'static str,
    /// Its columns and keys, as between the parentheses of CREATE TABLE.
    pub columns: &'static str,
}

/// The kind of connection that metadata is kept through.
const CLASS: Class = Class { deprecate_eof: true, found_rows: false };

/// Seconds that a connection may be silent while it waits for what others do: 24 days, the most on every system.
pub const PATIENT: u32 = 2_147_483;

/// 1044, 1142, 1227: the account has not the right.
const DENIED: [u16; 3] = [1044, 1142, 1227];

/// 1049, 1146: the schema or the table is not there.
const MISSING: [u16; 2] = [1049, 1146];

/// A connection to a server that keeps metadata: the primary of a home group.
pub struct Metadata<'s> {
    conn: Conn,
    server: &'s Server,
}

impl<'s> Metadata<'s> {
    /// Opens a connection of its own; it is closed when this is dropped.
    ///
    /// # Errors
    /// That of the login.
    pub async fn open(server: &'s Server) -> Result<Metadata<'s>, SqlError> {
        let mut conn = server.connect(CLASS).await?;
        // Whatever the server's defaults are: each statement is a transaction, and no value is bent to fit.
        let isolation = if conn.info.mariadb { "tx_isolation" } else { "transaction_isolation" };
        let set = format!(
            "SET autocommit=1, sql_mode='STRICT_ALL_TABLES', {isolation}='READ-COMMITTED', wait_timeout={PATIENT}"
        );
        conn.query(&set).await.map_err(|error| error.to_client(&server.name))?;
        Ok(Metadata { conn, server })
    }

    /// Runs a statement over `table`, which it names `_shardloom`.`table`; makes the schema and the table if they are
    /// not there, and runs it once more.
    ///
    /// # Errors
    /// The server's own; 1044 with what to grant if the account may not make them, or may not use them.
    pub async fn query(&mut self, table: Table, sql: &str) -> Result<Answer, SqlError> {
        match self.conn.query(sql).await {
            Err(BackendError::Server(error)) if MISSING.contains(&error.errno) => {
                self.create(table).await?;
                self.conn.query(sql).await.map_err(|error| self.told(error))
            }
            answer => answer.map_err(|error| self.told(error)),
        }
    }

    /// Runs a statement over other tables of the server.
    ///
    /// # Errors
    /// The server's own.
    pub async fn query_elsewhere(&mut self, sql: &str) -> Result<Answer, SqlError> {
        self.conn.query(sql).await.map_err(|error| error.to_client(&self.server.name))
    }

    /// Runs a statement as it is; nothing is made for it.
    ///
    /// # Errors
    /// As of any connection.
    pub async fn ask(&mut self, sql: &str) -> Result<Answer, BackendError> {
        self.conn.query(sql).await
    }

    /// Runs a statement as [`Metadata::ask`]; `None` if the table it names is not there.
    ///
    /// # Errors
    /// As [`Metadata::query`].
    pub async fn look(&mut self, sql: &str) -> Result<Option<Answer>, SqlError> {
        match self.conn.query(sql).await {
            Err(BackendError::Server(error)) if MISSING.contains(&error.errno) => Ok(None),
            answer => answer.map(Some).map_err(|error| self.told(error)),
        }
    }

    /// What the server is.
    pub fn info(&self) -> &ServerInfo {
        &self.conn.info
    }

    /// Makes the schema and a table of it, if they are not there.
    ///
    /// # Errors
    /// As [`Metadata::query`].
    pub async fn create(&mut self, table: Table) -> Result<(), SqlError> {
        let has = self.conn.query(&format!("SHOW DATABASES LIKE '{}'", SCHEMA.replace('_', "\\_"))).await;
        if has.map_err(|error| self.told(error))?.rows.is_empty() {
            let schema = format!("CREATE DATABASE IF NOT EXISTS `{SCHEMA}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
            self.conn.query(&schema).await.map_err(|error| self.told(error))?;
        }
        let Table { name, columns } = table;
        let create = format!(
            "CREATE TABLE IF NOT EXISTS `{SCHEMA}`.`{name}` ({columns}) \
             ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
        );
        self.conn.query(&create).await.map(|_| ()).map_err(|error| self.told(error))
    }

    fn told(&self, error: BackendError) -> SqlError {
        match &error {
            BackendError::Server(denied) if DENIED.contains(&denied.errno) => {
                let message = format!(
                    "Proxies keep ids and records in the schema `{SCHEMA}` on {}, and the group's account may not: {}; \
                     grant it there: CREATE DATABASE IF NOT EXISTS `{SCHEMA}`; GRANT ALL ON `{SCHEMA}`.* TO the account",
                    self.server.name, denied.message
                );
                SqlError::new(Code::SchemaDenied, message)
            }
            _ => error.to_client(&self.server.name),
        }
    }
}

/// A text as a literal that means the same in every sql_mode: hexadecimal, as `_utf8mb4 0x...`.
pub fn literal(text: &str) -> String {
    match text {
        "" => bytes_literal(b""),
        text => format!("_utf8mb4 {}", bytes_literal(text.as_bytes())),
    }
}

/// The same for bytes that are no text: `0x...`.
pub fn bytes_literal(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "''".to_owned();
    }
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_hexadecimal() {
        for (text, expected) in [("", "''"), ("o'k", "_utf8mb4 0x6f276b"), ("ä", "_utf8mb4 0xc3a4")] {
            assert_eq!(literal(text), expected);
        }
        assert_eq!((bytes_literal(b"").as_str(), bytes_literal(&[0, 255]).as_str()), ("''", "0x00ff"));
    }
}
