//! Reads container logs: chains of generations, each from its mark to its end.

pub mod fs;
pub mod identity;
