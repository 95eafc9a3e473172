//! What becomes of rows that agree: all stay, one stays, or they are folded into one.
//! It relies on rows that agree following each other, and knows neither sources nor windows.

use crate::error::SqlError;
use crate::exec::merge::columns::{Columns, disagreement};
use crate::exec::merge::compute::ValueOf;
use crate::exec::merge::fold::Fold;
use crate::exec::merge::kway::Row;
use crate::exec::merge::layout::Layout;
use crate::exec::merge::order::covering;
use crate::plan::merge::{Combine, Merge};

/// A [`Combine`] at work.
#[derive(Debug)]
pub(super) enum Combined {
    /// Every row stands for itself.
    None,
    /// The first of the rows of a group stays.
    Distinct {
        /// The group of the last row; none before the first.
        last: Option<Vec<u8>>,
    },
    /// The rows of a group become one.
    Fold(Box<Fold>),
}

impl Combined {
    /// With it comes how many keys of `merge.order`, from the first, make a group.
    pub(super) fn new(merge: &Merge, columns: &Columns, value_of: &ValueOf) -> Result<(Combined, usize), SqlError> {
        match &merge.combine {
            Combine::None => Ok((Combined::None, 0)),
            Combine::Distinct(keys) => {
                let group = covering(&merge.order, keys).ok_or_else(disagreement)?;
                Ok((Combined::Distinct { last: None }, group))
            }
            Combine::Fold { keys, columns: aggregates } => {
                let group = covering(&merge.order, keys).ok_or_else(disagreement)?;
                Ok((Combined::Fold(Box::new(Fold::new(aggregates, columns, value_of)?)), group))
            }
        }
    }

    /// Whether rows that agree would be missed if a source were not sorted.
    pub(super) fn needs_order(&self) -> bool {
        !matches!(self, Combined::None)
    }

    /// Takes the next row, and gives one that is complete.
    pub(super) fn take<'a>(&'a mut self, layout: &Layout, row: Row<'a>) -> Result<Option<Row<'a>>, SqlError> {
        match self {
            Combined::None => Ok(Some(row)),
            Combined::Distinct { last: Some(last) } if last == row.group => Ok(None),
            Combined::Distinct { last } => {
                let last = last.get_or_insert_default();
                last.clear();
                last.extend_from_slice(row.group);
                Ok(Some(row))
            }
            Combined::Fold(fold) => fold.take(layout, row),
        }
    }

    /// There are no more rows: gives the last one, if it was not complete before.
    pub(super) fn finish(&mut self, layout: &Layout) -> Result<Option<Row<'_>>, SqlError> {
        match self {
            Combined::None | Combined::Distinct { .. } => Ok(None),
            Combined::Fold(fold) => fold.finish(layout),
        }
    }
}
