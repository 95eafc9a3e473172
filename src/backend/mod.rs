//! The servers behind the proxy: connections, pools, who is primary, who is healthy, what the tables
//! look like. It knows groups and sessions' settings, not statements or shards.

pub mod cluster;
pub mod conn;
pub mod gtid;
pub mod lease;
pub mod metadata;
pub mod pool;
pub mod probe;
pub mod schema;
pub mod server;
pub mod settings;
pub mod statements;
