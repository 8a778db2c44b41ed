//! The stages of the data path, plain functions on a batch: no await, no lock, no clock, no IO.

pub mod batch;
pub mod record;
pub mod redact;
