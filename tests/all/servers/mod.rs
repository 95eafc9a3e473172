//! Everything that needs real servers; `testbed` gives them.

mod clients;
mod proxy;
mod session;
mod shop;
mod testbed;
mod testbed_test;
