//! Formats of applications: what a body says. It must not know where the line came from or what fields mean.

pub mod json;
pub mod sniff;
pub mod starts;
