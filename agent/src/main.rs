//! fintail.
fn main() {}
