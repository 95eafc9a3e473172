//! Everything that needs real servers; `testbed` gives them.

mod testbed;
mod testbed_test;
