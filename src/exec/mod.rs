//! Running what was planned: the one place where plans meet servers.
//!
//! ```text
//! relay     one target answers; its bytes go on as they are
//! scatter   many targets answer; `merge` makes one answer of their rows
//! write     many targets do their part; one OK tells the sum
//! ```

pub mod ask;
pub mod infile;
pub mod interrupt;
pub mod merge;
pub mod names;
pub mod outcome;
pub mod relay;
pub mod scatter;
pub mod spool;
pub mod write;
