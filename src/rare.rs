//! Marks the ways that few statements take. It knows none of them.

use std::pin::Pin;

/// A future in a box of its own: it makes no idle session larger, and the compiler lays the code that leads to it apart
/// from that of a point select, whose cost is mostly the code it has to fetch.
#[cold]
#[inline(never)]
pub fn boxed<F: Future>(future: F) -> Pin<Box<F>> {
    Box::pin(future)
}
