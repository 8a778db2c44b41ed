//! What the fuzz targets of the agent check: stages against slow oracles and against themselves. Knows no fuzzing
//! engine. Apart from `bodies/`, so that the tests of the parsers need not build the agent.
#![forbid(unsafe_code)]
// An oracle speaks by panicking.
#![allow(clippy::panic, clippy::expect_used)]

mod bulk;
mod checkpoint;
mod choices;
mod config;
mod document;
mod joiner;
mod redact;

pub use bulk::bulk_response;
pub use checkpoint::checkpoint;
pub use config::config;
pub use document::document;
pub use joiner::joiner;
pub use redact::redact_no_leak;

/// A target's check: panics where the agent is wrong about the bytes.
pub type Body = fn(&[u8]);

/// The targets by name, as in `fuzz_targets/` and `seeds/`.
pub const TARGETS: [(&str, Body); 6] = [
    ("bulk_response", bulk_response),
    ("checkpoint", checkpoint),
    ("config", config),
    ("document", document),
    ("joiner", joiner),
    ("redact_no_leak", redact_no_leak),
];
