//! Running what was planned: the one place where plans meet servers.
//!
//! ```text
//! relay     one target answers; its bytes go on as they are
//! scatter   many targets answer; `merge` makes one answer of their rows
//! fill      the rows of a new table from where it was made to where they belong
//! gather    rows of many targets are copied to one server, where the statement runs; then relay
//! carry     the rows of a SELECT as the VALUES of an INSERT
//! lookup    the statements that keep a lookup beside a write
//! write     many targets do their part; one OK tells the sum
//! whole     the transaction, or the savepoint, around the parts of a statement
//! load      a client's file cut into lines, of which each target loads its own
//! maintain  tables checked, analysed, counted at each of their places
//! define    a data definition at every place of its tables, under a record
//! ```

pub mod ask;
pub mod carry;
pub mod catalogue;
pub mod convert;
pub mod define;
pub mod drain;
pub mod fill;
pub mod gather;
pub mod infile;
pub mod interrupt;
pub mod into;
pub mod load;
pub mod lookup;
pub mod maintain;
pub mod merge;
pub mod moved;
pub mod names;
pub mod outcome;
pub mod relay;
pub mod scatter;
pub mod spool;
pub mod variables;
pub mod whole;
pub mod write;

use std::sync::Arc;

use crate::backend::cluster::Group;
use crate::rules::GroupId;
use crate::txn::Wanted;

/// Where a statement's targets are: the servers of a group, and what a connection there must be like.
pub type Place<'p, 't> = &'p (dyn Fn(GroupId) -> (&'t Arc<Group>, Wanted<'t>) + Sync);
