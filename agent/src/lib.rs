//! Agent.

pub mod demo;
