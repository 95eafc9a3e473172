//! What RETURNING gives (MariaDB) where several targets have done their part of a write: their rows, put together in the
//! order of the statement's, and told once all is done. It knows nothing of what is in them.

use std::collections::BTreeMap;

use crate::backend::conn::Packets;
use crate::error::{Code, SqlError};
use crate::exec::names::Naming;
use crate::exec::write::Piece;
use crate::plan::{Bound, Target};
use crate::wire::column::ColumnDef;
use crate::wire::error::WireError;

/// Rows of the targets that have answered, as the statement's protocol has them.
#[derive(Debug, Default)]
pub(super) struct Returned(Vec<(Piece, Packets)>);

/// In which order the rows of all targets are told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order<'a> {
    /// All targets have the same ones.
    Copies,
    /// That of the rows which the statement writes out.
    Rows,
    /// The target of each of them.
    Drawn(&'a [Target]),
    /// Nothing says which.
    Any,
}

/// A result set for the client, encoded.
#[derive(Debug)]
pub struct Rows {
    /// Definitions of its columns, with the client's names.
    pub definitions: Vec<Vec<u8>>,
    /// Its rows.
    pub rows: Vec<Vec<u8>>,
}

impl Returned {
    /// Adds what a target gave, if its answer was a result set.
    pub(super) fn add(&mut self, piece: Piece, packets: Packets) {
        if !packets.definitions.is_empty() {
            self.0.push((piece, packets));
        }
    }

    /// How many rows there are.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|(_, packets)| packets.rows.len() as u64).sum()
    }

    /// All of them as one answer; `None` if the statement returns nothing.
    ///
    /// # Errors
    /// More rows than there was room for; targets that do not give what the statement says.
    pub(super) fn together(mut self, bound: &Bound<'_>, order: Order<'_>) -> Result<Option<Rows>, SqlError> {
        self.0.sort_by_key(|(piece, _)| (piece.row, piece.target));
        let Some((first, packets)) = self.0.first() else { return Ok(None) };
        let definitions = logical(&packets.definitions, Naming::Of(bound, first.target));
        let definitions = definitions.map_err(|error| SqlError::new(Code::Unknown, error.to_string()))?;
        let differs = |(_, other): &(Piece, Packets)| other.definitions.len() != definitions.len();
        if self.0.iter().any(differs) {
            return Err(SqlError::new(Code::Unknown, "The shards of a table do not return the same columns"));
        }
        if self.0.iter().any(|(_, packets)| packets.room.is_none()) {
            return Err(too_much());
        }
        let rows = match order {
            Order::Copies => self.0.swap_remove(0).1.rows,
            Order::Rows => self.by_rows(bound)?,
            Order::Drawn(order) => self.drawn(order)?,
            Order::Any => self.0.into_iter().flat_map(|(_, packets)| packets.rows).collect(),
        };
        Ok(Some(Rows { definitions, rows }))
    }

    /// In the order of the statement's rows.
    fn by_rows(self, bound: &Bound<'_>) -> Result<Vec<Vec<u8>>, SqlError> {
        let mut numbered = Vec::new();
        for (piece, packets) in self.0 {
            let numbers: Vec<usize> = match piece.row {
                Some(row) => vec![row + 1; packets.rows.len()],
                None => bound.rows_of(piece.target).collect(),
            };
            if numbers.len() != packets.rows.len() {
                return Err(lacking());
            }
            numbered.extend(numbers.into_iter().zip(packets.rows));
        }
        numbered.sort_by_key(|(number, _)| *number);
        Ok(numbered.into_iter().map(|(_, row)| row).collect())
    }

    /// In the order in which the targets' first rows were found; each has given its own in that order.
    fn drawn(self, order: &[Target]) -> Result<Vec<Vec<u8>>, SqlError> {
        let of_target = |(piece, packets): (Piece, Packets)| (piece.target, packets.rows.into_iter());
        let mut rest: BTreeMap<Target, _> = self.0.into_iter().map(of_target).collect();
        let next = |target: &Target| rest.get_mut(target).and_then(Iterator::next).ok_or_else(lacking);
        order.iter().map(next).collect()
    }
}

/// More rows than may be held.
pub fn too_much() -> SqlError {
    SqlError::refuse("RETURNING of several shards gives more rows than `limits.merge_memory_per_query` has room for")
}

/// MariaDB 10.11 with a binary log stores, or deletes, the one row whose RETURNING fails, and tells of a warning.
fn lacking() -> SqlError {
    SqlError::refuse("RETURNING of several shards of which one gave no row for a row it wrote")
}

/// Definitions with the client's names.
fn logical(definitions: &[Vec<u8>], naming: Naming<'_>) -> Result<Vec<Vec<u8>>, WireError> {
    let encoded = |definition: &Vec<u8>| {
        let column = ColumnDef::decode(definition)?;
        let mut out = Vec::new();
        naming.logical(&column).unwrap_or(column).encode(&mut out);
        Ok(out)
    };
    definitions.iter().map(encoded).collect()
}
