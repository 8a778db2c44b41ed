//! Where log bytes come from: which container logs exist, and their bytes in order.
//! It must not know records, redaction or delivery.

use std::fmt;

pub mod tail;

/// A container's log (one `<n>.log` chain of generations) within this process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SourceId(pub u32);

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source#{}", self.0)
    }
}

/// A generation (one file of a chain, whatever its name becomes) within this process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct GenerationId(pub u32);

impl fmt::Debug for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation#{}", self.0)
    }
}

/// A place in a chain of generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which file.
    pub generation: GenerationId,
    /// Uncompressed offset in bytes.
    pub offset: u64,
}

/// A stretch of one stream, the unit of acknowledgement: spans of a stream tile its file without gaps. An event
/// may begin in one generation and end in the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileSpan {
    /// End of the stream's span before.
    pub from: Position,
    /// End of the last event in the span.
    pub to: Position,
}
