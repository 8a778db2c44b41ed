//! All end-to-end tests, as one binary: the servers start once and serve every test.

#[path = "e2e/delivery.rs"]
mod delivery;
#[path = "e2e/harness.rs"]
mod harness;
#[path = "e2e/servers.rs"]
mod servers;
