//! What operators look at from outside of SQL: the HTTP endpoint with metrics and health.

pub mod http;
pub mod prometheus;
