//! All integration tests, in one binary so that they link once.
//!
//! Tests that start servers live below `servers`, so that `make test` can run the others first:
//! `cargo test --test all -- --skip servers::`, then `cargo test --test all servers::`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commit;
mod documents;
mod house;
mod mistakes;
mod plans;
mod routes;
mod servers;
mod sql;
