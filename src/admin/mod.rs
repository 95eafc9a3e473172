//! What operators look at and do from outside of a session.

pub mod check;
pub mod create;
pub mod guarantee;
pub mod http;
pub mod prometheus;
pub mod replicas;
