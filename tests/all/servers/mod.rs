//! Everything that needs real servers; `testbed` gives them.

mod clients;
mod testbed;
mod testbed_test;
