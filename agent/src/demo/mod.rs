//! Owns what a demonstration needs beside the agent: a bank that writes logs, a server that takes them, a judge.
//! Must not know: the pipeline. `fintail demo`, bench/ and tests/ put the agent between the two.

pub mod bank;
pub mod endpoint;
pub mod judge;
pub mod pods;
