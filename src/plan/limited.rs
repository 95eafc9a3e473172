//! UPDATE and DELETE with LIMIT on several shards, as data: how many rows each shard may write is found out first, and
//! each then runs the client's own statement with that number. It knows no row.

use crate::plan::merge::Merge;
use crate::plan::slot::Slot;
use crate::plan::text::Text;

/// A write of the first rows of several shards.
#[derive(Clone, Debug, PartialEq)]
pub struct Limited {
    /// Where LIMIT's number stands.
    pub count: Slot,
    /// The text for each target, with a place for its share of that number.
    pub text: Text,
    /// How the rows are found if ORDER BY says which are the first; without it any will do, and the targets are asked
    /// one after the other for what is left.
    pub first: Option<First>,
}

/// The SELECT that tells how many of the first rows each target has.
#[derive(Clone, Debug, PartialEq)]
pub struct First {
    /// How the rows of all targets are put in order.
    pub merge: Merge,
    /// The text for each target, which locks the rows.
    pub text: Text,
    /// Which target each of them has is told, too: the statement gives them back in their order.
    pub ordered: bool,
}

/// Which text of a statement is meant: most have one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Stage {
    /// The statement itself; where it has a share, all of LIMIT.
    #[default]
    Whole,
    /// The SELECT that finds the first rows.
    First,
    /// The statement with this share of LIMIT.
    Share(u64),
    /// The statement with this one of its rows, counted from 0.
    Row(usize),
}
