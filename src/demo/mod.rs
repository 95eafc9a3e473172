//! Real MySQL and MariaDB servers in a private folder, for `shardloom demo` and for the tests.
//! It knows nothing of shards and rules: servers, accounts, replication, and what kills them.

pub mod cluster;
pub mod folder;
pub mod install;
mod seed;
pub mod server;
pub mod shop;
pub mod stand;
