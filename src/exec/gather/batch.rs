//! The rows of a gather on their way into the copies, as INSERTs of literals. It reads them from nowhere itself.

use crate::backend::conn::BackendError;
use crate::backend::lease::Lease;
use crate::error::SqlError;
use crate::exec::gather::home::{Gathering, answer_of_home};
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::logical;
use crate::plan::gather::{Extent, Source};
use crate::plan::semijoin::Reduction;
use crate::plan::text::quote;
use crate::wire::command::com;
use crate::wire::cursor::Cursor;
use crate::wire::link::Link;

/// Rows of a source's first INSERT, which does not wait for many; each has twice as many as the last.
const FIRST_ROWS: usize = 250;
/// Rows of one INSERT, and bytes of its text, beyond which it is sent.
const BATCH_ROWS: usize = 1_000;
const BATCH_BYTES: usize = 512 << 10;

/// Rows on their way into the copies. One INSERT is under way while the rows of the next are read.
pub(super) struct Batch<'a> {
    gathering: &'a Gathering<'a>,
    source: usize,
    /// Which column of a row goes to which list of the reduction.
    fills: Vec<(usize, usize)>,
    rows: usize,
    /// How many copies there are to be of each row.
    copies: usize,
    /// Rows with which it is full.
    most: usize,
    text: Vec<u8>,
    /// Bytes of all rows so far.
    gathered: usize,
    /// What was sent, and is not known to be stored.
    under_way: Option<UnderWay>,
}

/// Rows that were sent.
struct UnderWay {
    source: usize,
    /// Behind a statement that takes keys off the copy.
    lightened: bool,
}

impl<'a> Batch<'a> {
    pub(super) fn new(gathering: &'a Gathering<'a>) -> Batch<'a> {
        let (fills, text) = (Vec::new(), Vec::new());
        Batch { gathering, source: 0, fills, rows: 0, copies: 1, most: FIRST_ROWS, text, gathered: 0, under_way: None }
    }

    /// The rows that come are those of another source.
    pub(super) fn begin(&mut self, source: usize, fills: Vec<(usize, usize)>) {
        self.source = source;
        let twins = self.gathering.gather.twins.iter();
        self.copies = 1 + twins.filter(|twin| usize::from(twin.of) == source).count();
        self.fills = fills;
        self.most = FIRST_ROWS;
    }

    fn source(&self) -> &Source {
        &self.gathering.gather.sources[self.source]
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= self.most || self.text.len() >= BATCH_BYTES
    }

    /// Takes a row of the source in the text protocol.
    pub(super) fn add(&mut self, row: &[u8], reduction: &mut Reduction<'_>) -> Result<(), SqlError> {
        self.gathered += row.len() * self.copies;
        if self.gathered > self.gathering.limit {
            return Err(self.too_much());
        }
        let mut text = std::mem::take(&mut self.text);
        if text.is_empty() {
            self.put_insert(&mut text);
        }
        text.extend_from_slice(if self.rows == 0 { b"(" } else { b",(" });
        let mut cursor = Cursor::new("text row", row);
        for (place, column) in self.source().pulled(self.gathering.extent).enumerate() {
            if place > 0 {
                text.push(b',');
            }
            let cell = cursor.lenenc_or_null()?;
            if !column.form.put_literal(cell, &mut text) {
                return Err(self.lossy(&column.name));
            }
            for (_, list) in self.fills.iter().filter(|(column, _)| *column == place) {
                cell.into_iter().for_each(|value| reduction.take(*list, value));
            }
        }
        cursor.end()?;
        text.push(b')');
        self.rows += 1;
        self.text = text;
        Ok(())
    }

    fn put_insert(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(b"INSERT INTO ");
        self.gathering.bound.put_copy(&self.source().copy, text);
        text.push(b'(');
        for (index, column) in self.source().pulled(self.gathering.extent).enumerate() {
            if index > 0 {
                text.push(b',');
            }
            quote(column.name.as_bytes(), text);
        }
        text.extend_from_slice(b") VALUES ");
    }

    /// Sends the rows that are held; `false` if the rows sent before were refused.
    pub(super) async fn send(
        &mut self,
        client: &mut Link,
        home: &mut Lease,
        patience: &mut Patience<'_>,
    ) -> Result<bool, Stop> {
        if self.rows == 0 {
            return Ok(true);
        }
        if !self.stored(client, home, patience).await? {
            return Ok(false);
        }
        let name = home.server().name.clone();
        let (conn, server) = home.split();
        let thread_id = conn.thread_id;
        let lighten = if self.most == FIRST_ROWS && self.is_full() { self.without_spare_keys() } else { None };
        if let Some(text) = &lighten {
            conn.send(com::QUERY, text);
        }
        conn.send(com::QUERY, &self.text);
        let sent = patience.watch(client, server, thread_id, conn.link.flush()).await?;
        sent.map_err(|error| Stop::Error(BackendError::from(error).to_client(&name)))?;
        self.under_way = Some(UnderWay { source: self.source, lightened: lighten.is_some() });
        self.most = BATCH_ROWS.min(2 * self.most);
        self.text.clear();
        self.rows = 0;
        Ok(true)
    }

    /// Takes off the copy, before it has rows, the keys that nobody needs, as each of them costs with each row.
    fn without_spare_keys(&self) -> Option<Vec<u8>> {
        let spare = &self.source().spare;
        if spare.is_empty() || self.gathering.extent == Extent::Whole {
            return None;
        }
        let mut text = b"ALTER TABLE ".to_vec();
        self.gathering.bound.put_copy(&self.source().copy, &mut text);
        for (index, key) in spare.iter().enumerate() {
            text.extend_from_slice(if index == 0 { b" DROP KEY " } else { b",DROP KEY " });
            quote(key.as_bytes(), &mut text);
        }
        Some(text)
    }

    /// Waits until the rows that were sent are stored; `false` if the copy refuses them, which may be for want of a
    /// column.
    pub(super) async fn stored(
        &mut self,
        client: &mut Link,
        home: &mut Lease,
        patience: &mut Patience<'_>,
    ) -> Result<bool, Stop> {
        let Some(UnderWay { source, lightened }) = self.under_way.take() else { return Ok(true) };
        if lightened {
            // A copy that does not have one of the keys keeps the others: it is only slower.
            answer_of_home(client, home, patience).await?.ok();
        }
        match answer_of_home(client, home, patience).await? {
            Ok(_) => Ok(true),
            Err(_) if self.gathering.extent == Extent::Needed => Ok(false),
            Err(error) => {
                self.source = source;
                Err(self.refused(&error).into())
            }
        }
    }

    fn table(&self) -> String {
        let name = self.gathering.bound.name(self.source().table, self.gathering.gathered.like[self.source]);
        name.map_or_else(|| self.source().label.to_string(), |name| format!("{}.{}", name.schema, name.table))
    }

    fn too_much(&self) -> SqlError {
        SqlError::refuse(format!(
            "the statement needs more than {} bytes of rows together on one server (limits.gather; it was reading \
             {}): name fewer rows by conditions on a sharding key, or raise the limit",
            self.gathering.limit,
            self.table()
        ))
    }

    fn lossy(&self, column: &str) -> SqlError {
        SqlError::refuse(format!(
            "{}.{column} has a JSON value with a date, time, decimal or binary string in it, which its text does not \
             tell: rows with it cannot be gathered",
            self.table()
        ))
    }

    fn refused(&self, error: &SqlError) -> SqlError {
        if error.errno == 1062 {
            return SqlError::refuse(format!(
                "the shards of {} hold rows with the same unique key, which one table could not: {}",
                self.table(),
                logical(&error.message, self.gathering.bound.names(self.gathering.gathered.like[self.source]))
            ));
        }
        SqlError::refuse(format!(
            "rows of {} cannot be gathered: {} (errno {})",
            self.table(),
            error.message,
            error.errno
        ))
    }
}
