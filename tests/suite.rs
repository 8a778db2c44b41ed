//! All end-to-end tests, as one binary: the servers start once and serve every test.

#![expect(clippy::print_stderr, reason = "seeds and figures are what a run of tests is read for")]

#[path = "e2e/bad_input.rs"]
mod bad_input;
#[path = "e2e/crash.rs"]
mod crash;
#[path = "e2e/delivery.rs"]
mod delivery;
#[path = "e2e/harness.rs"]
mod harness;
#[path = "e2e/refusals.rs"]
mod refusals;
#[path = "e2e/secrets.rs"]
mod secrets;
#[path = "e2e/servers.rs"]
mod servers;
#[path = "e2e/types.rs"]
mod types;
