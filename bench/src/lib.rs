//! Owns what the bench programs share: the manifest of a generated log tree, sizes on the command line, the verifier.
//! Must not know: the agent's inside. It sees files that go in and documents that come out.

pub mod manifest;
pub mod path;
