//! Ids for the rows of a file, taken in blocks so that no row costs a round trip. What an id is for is not known here.

use std::sync::Arc;

use crate::backend::cluster::Group;
use crate::error::{Code, SqlError};
use crate::ids::Ids;
use crate::ids::counter::Counted;
use crate::plan::made::Made;
use crate::rules::id::IdKind;

/// The first block, and the largest: each is twice the one before, so that a small file leaves few ids unused.
const SMALLEST: u64 = 16;
const LARGEST: u64 = 4096;

/// Who makes the ids of a load.
pub struct Maker<'a> {
    /// The generators.
    pub ids: &'a Ids,
    /// Which one, and for what.
    pub made: &'a Made,
    /// The home group of the table's schema.
    pub home: &'a Arc<Group>,
    /// The counter of a table that has one.
    pub counted: Counted<'a>,
    /// Why none can be made, in a session that would have others from a server.
    pub unable: Option<SqlError>,
}

/// Ids that no row has yet.
pub(super) struct Block {
    next: u64,
    left: u64,
    size: u64,
    /// The first number that a row got.
    pub(super) first: Option<u64>,
}

impl Block {
    /// None, so far.
    pub(super) fn new() -> Block {
        Block { next: 0, left: 0, size: SMALLEST, first: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Takes further ids.
    ///
    /// # Errors
    /// Those of the generators; 1467 if the column does not hold them.
    pub(super) async fn fill(&mut self, maker: &Maker<'_>) -> Result<(), SqlError> {
        if let Some(error) = &maker.unable {
            return Err(error.clone());
        }
        self.next = match maker.made.kind {
            IdKind::Snowflake => maker.ids.snowflake(maker.home, self.size).await?,
            IdKind::Segment => maker.ids.segment(&maker.counted, self.size).await?,
            IdKind::Uuid => 0,
        };
        self.left = self.size;
        self.size = (2 * self.size).min(LARGEST);
        Ok(())
    }

    /// Leaves out what a row has brought along, and all in front of it: a server would go on behind it, too.
    pub(super) fn skip(&mut self, id: u64) {
        let ahead =
            id.checked_sub(self.next).and_then(|ahead| ahead.checked_add(1)).filter(|ahead| *ahead <= self.left);
        if let Some(ahead) = ahead {
            self.next += ahead;
            self.left -= ahead;
        }
    }

    /// The id of the next row, as text.
    ///
    /// # Errors
    /// 1467 if the column does not hold it.
    pub(super) fn take(&mut self, maker: &Maker<'_>) -> Result<Vec<u8>, SqlError> {
        let id = self.next;
        self.left = self.left.saturating_sub(1);
        self.next = self.next.saturating_add(1);
        if maker.made.kind == IdKind::Uuid {
            return Ok(maker.ids.uuid()?.to_vec());
        }
        if id > maker.made.max {
            return Err(SqlError::new(Code::NoMoreIds, "Failed to read auto-increment value from storage engine"));
        }
        self.first.get_or_insert(id);
        Ok(id.to_string().into_bytes())
    }
}
