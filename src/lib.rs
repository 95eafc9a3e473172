//! Shardloom: a SQL sharding proxy that speaks the MySQL wire protocol.
//!
//! The map of the code, with the path of a statement through it, is `ARCHITECTURE.md`.

pub mod admin;
pub mod backend;
pub mod cli;
pub mod commit;
pub mod config;
pub mod demo;
pub mod diagnostic;
pub mod document;
pub mod error;
pub mod exec;
pub mod ids;
pub mod metrics;
pub mod plan;
pub mod rare;
pub mod rules;
pub mod sequence;
pub mod server;
pub mod session;
pub mod sql;
pub mod txn;
pub mod value;
pub mod wire;
