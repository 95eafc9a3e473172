//! Everything that needs real servers; `testbed` gives them.

mod atomic;
mod averages;
mod catalogue;
mod check;
mod clients;
mod collations;
mod deadlocks;
mod define;
mod demo;
mod failpoints;
mod gather;
mod hostile;
mod ids;
mod keys;
mod load;
mod lookup;
mod merge;
mod proxy;
mod random;
mod score;
mod session;
mod shop;
mod taps;
mod testbed;
mod testbed_test;
mod wire;
