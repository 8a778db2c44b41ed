//! fintail: tails container logs, redacts what may not leave the node, delivers to Elasticsearch or OpenSearch.
//!
//! The data flows one way, and the folders show it:
//!
//! | folder | what it does | what it must not know |
//! |---|---|---|
//! | [`source`] | finds log files, reads them in whole lines from their marks | records, redaction, delivery |
//! | [`pipeline`] | chunk → lines → events → redacted events → frames of documents | where bytes come from, where frames go |
//! | [`deliver`] | frames → `_bulk` requests → answers → acknowledged spans | records, sources, redaction |
//! | [`checkpoint`] | what survives a restart | who reads files |
//! | [`runtime`] | threads, memory permits, waiting | the inside of any stage |
//! | [`admin`] | metrics, health, the agent's own log | event data |
//! | [`config`] | what the operator asks for | live state |
//! | [`cli`] | one file a command | stages |
//! | [`agent`](mod@agent) | puts the parts together | how any part works |
//!
//! A path around redaction does not compile: everything behind `redact` takes a `Batch<Clean>`, which only
//! `redact` can make.
//!
//! ```compile_fail
//! use fintail::pipeline::batch::{Batch, Clean, Parts, Raw};
//! let raw = Batch::<Raw>::new(Parts::default());
//! let clean: Batch<Clean> = raw; // error: expected `Clean`, found `Raw`
//! ```

pub mod admin;
pub mod agent;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod deliver;
pub mod demo;
pub mod pipeline;
pub mod runtime;
pub mod source;
