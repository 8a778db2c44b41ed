//! All end-to-end tests, as one binary: the servers start once and serve every test.

#[path = "e2e/harness.rs"]
mod harness;
#[path = "e2e/servers.rs"]
mod servers;

/// Misuse that the types are to forbid. Each case states its error in the `.stderr` file beside it.
#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("compile_fail/*.rs");
}
