//! Shardloom: a SQL sharding proxy that speaks the MySQL wire protocol.

pub mod admin;
pub mod config;
pub mod demo;
pub mod diagnostic;
pub mod document;
pub mod error;
pub mod exec;
pub mod plan;
pub mod rules;
pub mod sql;
pub mod value;
pub mod wire;
