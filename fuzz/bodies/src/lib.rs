//! What each fuzz target checks: a fast parser against a slow oracle. Knows no fuzzing engine.
//!
//! Three drivers call these functions: libFuzzer (`fuzz_targets/`), the property tests of `parsers/`, and the replay
//! of `seeds/` under `cargo test`. Each function panics where the parser and its oracle differ.
#![forbid(unsafe_code)]

mod cri;
mod json;
mod text;

pub use cri::cri;
pub use json::json;
pub use text::{lines, path, starts, time};

/// The targets by name, as in `fuzz_targets/` and `seeds/`.
pub const TARGETS: [(&str, fn(&[u8])); 6] =
    [("lines", lines), ("cri", cri), ("path", path), ("json", json), ("time", time), ("starts", starts)];
