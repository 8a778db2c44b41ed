//! What each fuzz target checks: a fast parser against a slow oracle. Knows no fuzzing engine.
//!
//! Three drivers call these functions: libFuzzer (`fuzz_targets/`), the property tests of `parsers/`, and the replay
//! of `seeds/` under `cargo test`. Each function panics where the parser and its oracle differ.
#![forbid(unsafe_code)]
// An oracle speaks by panicking.
#![allow(clippy::panic, clippy::expect_used, clippy::string_slice)]

use std::fs;
use std::path::Path;

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

/// Gives each target its seeds.
///
/// # Panics
/// Where a target has no seed, or its check fails.
#[allow(clippy::print_stdout)]
pub fn replay(targets: &[(&str, Body)]) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds");
    for (target, body) in targets {
        let mut ran = 0;
        for seed in fs::read_dir(seeds.join(target)).expect("a folder of seeds") {
            let path = seed.expect("a readable folder").path();
            println!("{}", path.display());
            body(&fs::read(&path).expect("a readable seed"));
            ran += 1;
        }
        assert!(ran > 0, "no seed for {target}");
    }
}
