//! Container log formats.

pub mod cri;
