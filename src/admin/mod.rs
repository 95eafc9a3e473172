//! What operators look at and do from outside of a session.

pub mod create;
pub mod http;
pub mod prometheus;
