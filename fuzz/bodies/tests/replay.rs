//! Every seed of every fuzz target of the parsers, under stable Rust.
#[test]
fn all_seeds() {
    fintail_fuzz_bodies::replay(&fintail_fuzz_bodies::TARGETS);
}
