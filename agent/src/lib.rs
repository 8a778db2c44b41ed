//! fintail: tails container logs, redacts what may not leave the node, delivers to Elasticsearch or OpenSearch.

pub mod admin;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod deliver;
pub mod pipeline;
pub mod runtime;
pub mod source;
