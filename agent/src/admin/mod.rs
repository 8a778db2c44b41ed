//! What the outside sees of a running agent: metrics, health, own log. It must not know event data.

pub mod log;
pub mod metrics;
pub mod process;
pub mod server;
