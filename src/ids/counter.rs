//! The counter of a table with `id = "segment"`: a row of the metadata schema that says which number comes next. Blocks
//! are taken from it by one statement each; a block that is lost with its proxy is never given out again.

use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::cluster::Group;
use crate::backend::metadata::{Metadata, SCHEMA, Table, literal};
use crate::error::{Code, SqlError};
use crate::ids::{in_time, locked};
use crate::rules::PhysicalName;
use crate::sequence::segment::Blocks;

/// The next number of each table.
pub const SEGMENT: Table = Table {
    name: "segment",
    columns: "schema_name VARCHAR(64) NOT NULL, table_name VARCHAR(64) NOT NULL, next_id BIGINT UNSIGNED NOT NULL, \
              PRIMARY KEY (schema_name, table_name)",
};

/// How many ids are taken at once: what a crash loses at most, twice.
const BLOCK: u64 = 1_000;

/// A table whose rows are counted.
#[derive(Clone, Copy)]
pub struct Counted<'a> {
    /// Its logical schema.
    pub schema: &'a str,
    /// Its logical name.
    pub table: &'a str,
    /// The column of its ids.
    pub column: &'a str,
    /// The home group of its schema, where the counter is.
    pub home: &'a Arc<Group>,
    /// Where its rows are.
    pub places: &'a (dyn Fn() -> Vec<(Arc<Group>, PhysicalName)> + Sync),
}

/// What a proxy has of a table's counter.
#[derive(Default)]
pub(super) struct Counter {
    blocks: Mutex<Blocks>,
    /// The counter was at least so far when it was last seen.
    known: Mutex<u64>,
    /// Held by whoever asks the server.
    turn: tokio::sync::Mutex<()>,
    fetching: AtomicBool,
}

impl Counter {
    /// Takes `count` ids from the blocks at hand.
    pub(super) fn take(&self, count: u64) -> Option<u64> {
        locked(&self.blocks).take(count)
    }

    /// Takes the next block in the background if it is time.
    pub(super) fn keep(self: &Arc<Counter>, table: &Counted<'_>) {
        if !locked(&self.blocks).wants_more() || self.fetching.swap(true, Ordering::AcqRel) {
            return;
        }
        let (counter, home) = (self.clone(), table.home.clone());
        let (schema, name) = (table.schema.to_owned(), table.table.to_owned());
        tokio::spawn(async move {
            let fetched = in_time(&home, async {
                let _turn = counter.turn.lock().await;
                // Where there is no counter, the statement that needs ids tells what is wrong.
                if let Some(block) = counter.next_block(&home, &schema, &name, BLOCK).await? {
                    locked(&counter.blocks).add(block);
                }
                Ok(())
            });
            if let Err(error) = fetched.await {
                tracing::warn!(%error, schema, table = name, "no further block of ids could be taken");
            }
            counter.fetching.store(false, Ordering::Release);
        });
    }

    /// Takes a block of at least `count` ids.
    pub(super) async fn fetch(&self, table: &Counted<'_>, count: u64) -> Result<(), SqlError> {
        let _turn = self.turn.lock().await;
        if locked(&self.blocks).has(count) {
            return Ok(());
        }
        let size = BLOCK.max(count);
        let block = match self.next_block(table.home, table.schema, table.table, size).await? {
            Some(block) => block,
            None => {
                begin(table).await?;
                let block = self.next_block(table.home, table.schema, table.table, size).await?;
                block
                    .ok_or_else(|| SqlError::new(Code::NoMoreIds, "No id could be made: the table's counter is gone"))?
            }
        };
        locked(&self.blocks).add(block);
        Ok(())
    }

    /// Ids that a client gives itself.
    pub(super) async fn given(&self, table: &Counted<'_>, ids: &[u64]) -> Result<(), SqlError> {
        let Some(greatest) = ids.iter().max() else { return Ok(()) };
        let next = greatest.saturating_add(1);
        // A block that is on its way may hold them: it is waited for.
        let _turn = self.turn.lock().await;
        if next > *locked(&self.known) {
            let mut metadata = Metadata::open(table.home.primary().await?).await?;
            let raise = format!(
                "UPDATE `{SCHEMA}`.`segment` SET next_id = LAST_INSERT_ID(GREATEST(next_id, {next})) WHERE {}",
                row(table.schema, table.table)
            );
            let mut is_at = metadata.query(SEGMENT, &raise).await?.last_insert_id;
            if is_at == 0 {
                begin(table).await?;
                is_at = metadata.query(SEGMENT, &raise).await?.last_insert_id;
            }
            // Others may have raised it further: nobody has to ask again before that.
            self.saw(next.max(is_at));
        }
        let mut blocks = locked(&self.blocks);
        ids.iter().for_each(|id| blocks.skip(*id));
        Ok(())
    }

    /// Takes a block from the counter; none if there is no counter yet.
    async fn next_block(
        &self,
        home: &Group,
        schema: &str,
        table: &str,
        size: u64,
    ) -> Result<Option<Range<u64>>, SqlError> {
        let mut metadata = Metadata::open(home.primary().await?).await?;
        let known = *locked(&self.known);
        // A primary that took over without the last writes of the one before must not begin again where that one was.
        let update = format!(
            "UPDATE `{SCHEMA}`.`segment` SET next_id = LAST_INSERT_ID(GREATEST(next_id, {known})) + {size} WHERE {}",
            row(schema, table)
        );
        let answer = match metadata.query(SEGMENT, &update).await {
            // 1690: beyond BIGINT UNSIGNED.
            Err(error) if error.errno == 1690 => {
                return Err(SqlError::new(Code::NoMoreIds, "Failed to read auto-increment value from storage engine"));
            }
            answer => answer?,
        };
        if answer.affected_rows == 0 {
            return Ok(None);
        }
        let first = answer.last_insert_id;
        self.saw(first.saturating_add(size));
        Ok(Some(first..first.saturating_add(size)))
    }

    fn saw(&self, next: u64) {
        let mut known = locked(&self.known);
        *known = next.max(*known);
    }
}

/// Begins the counter of a table that has none, behind the greatest id in it.
async fn begin(table: &Counted<'_>) -> Result<(), SqlError> {
    let mut greatest = 0u64;
    for (group, name) in (table.places)() {
        let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
        let sql = format!(
            "SELECT GREATEST(COALESCE(MAX({}), 0), 0) FROM {}.{}",
            quoted(table.column),
            quoted(&name.schema),
            quoted(&name.table)
        );
        let mut rows = Metadata::open(group.primary().await?).await?;
        let found = rows.query_elsewhere(&sql).await?.text(0, 0).and_then(|number| number.parse().ok());
        greatest = greatest.max(found.unwrap_or(0));
    }
    let insert = format!(
        "INSERT IGNORE INTO `{SCHEMA}`.`segment` (schema_name, table_name, next_id) VALUES ({}, {}, {})",
        literal(&table.schema.to_lowercase()),
        literal(&table.table.to_lowercase()),
        greatest.saturating_add(1)
    );
    Metadata::open(table.home.primary().await?).await?.query(SEGMENT, &insert).await.map(|_| ())
}

fn row(schema: &str, table: &str) -> String {
    format!("schema_name = {} AND table_name = {}", literal(&schema.to_lowercase()), literal(&table.to_lowercase()))
}
