//! The harness of the end-to-end tests: real OpenSearch and Elasticsearch nodes, real certificates, the real binary.
//! It must not know how any part of the agent works: it sees files, HTTP and exit codes only.
//!
//! | module | noun |
//! |---|---|
//! | [`wait`] | a condition with a deadline |
//! | [`port`] | a free loopback port |
//! | [`certs`] | a CA, good and bad leaves |
//! | [`parts`] | a server's jars and classes in the cache |
//! | [`server`] | one running node: start, stop, kill, restart |
//! | [`client`] | requests to a node, and what tests ask of data streams |
//! | [`agent`] | one running `fintail` |
//! | [`fleet`] | the bank's pod logs, being written |
//! | [`run`] | a log tree, an agent and a data stream |
//! | [`metrics`] | one scrape of an agent |

pub mod agent;
pub mod certs;
pub mod client;
pub mod fleet;
pub mod metrics;
pub mod parts;
pub mod port;
pub mod run;
pub mod server;
pub mod wait;
