//! CRI log lines.

/// Which of the container's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Stream {
    /// stdout
    Stdout = 0,
    /// stderr
    Stderr = 1,
}
