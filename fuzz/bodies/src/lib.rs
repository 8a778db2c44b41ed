//! What each fuzz target checks: a fast parser against a slow oracle. Knows no fuzzing engine.
//!
//! Three drivers call these functions: libFuzzer (`fuzz_targets/`), the property tests of `parsers/`, and the replay
//! of `seeds/` under `cargo test`. Each function panics where the parser and its oracle differ.
#![forbid(unsafe_code)]
// An oracle speaks by panicking.
#![allow(clippy::panic, clippy::expect_used, clippy::string_slice)]

mod cri;
mod json;
mod text;

pub use cri::cri;
pub use json::json;
pub use text::{lines, path, starts, time};

/// A target's check: panics where the parser is wrong about the bytes.
pub type Body = fn(&[u8]);

/// The targets by name, as in `fuzz_targets/` and `seeds/`.
pub const TARGETS: [(&str, Body); 6] =
    [("lines", lines), ("cri", cri), ("path", path), ("json", json), ("time", time), ("starts", starts)];
