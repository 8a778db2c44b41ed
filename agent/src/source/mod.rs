//! Where log bytes come from: which container logs exist, and their bytes in order.
//! It must not know records, redaction or delivery.

use std::fmt;

pub mod discover;
pub mod meta;
pub mod table;
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

/// A stretch of one stream in one generation, the unit of acknowledgement: spans of a stream tile its file without
/// gaps. An event that begins in one generation and ends in the next has a span in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileSpan {
    /// Which file.
    pub generation: GenerationId,
    /// End of the stream's span before; uncompressed offset in bytes.
    pub from: u64,
    /// End of the last event in the span.
    pub to: u64,
}

/// Bytes of one generation on their way into a batch: whole lines, or the head of one line that is longer than a
/// chunk. The bytes lie in the shard's read buffer, which is counted against the memory limit once; the permit of
/// the turn covers what they become.
#[derive(Clone, Copy)]
pub struct Chunk<'a> {
    /// Whose bytes.
    pub source: SourceId,
    /// Which file.
    pub generation: GenerationId,
    /// Where `bytes` begins, uncompressed.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Set where `bytes` is the head of one line that is longer than a chunk.
    pub long_line: Option<LongLine>,
    /// The generation has ended: bytes after the last `\n` are a line too.
    pub ended: bool,
    /// Lines of a stream (stdout, stderr) that begin below its offset here are answered for already.
    pub skip_below: [u64; 2],
    /// Origin of the records, as documents show it.
    pub info: ChunkInfo,
}

/// A line longer than a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongLine {
    /// All its bytes in the file, the `\n` included where it has one.
    pub raw_bytes: u64,
    /// Bytes of its text that are not in the chunk.
    pub cut_bytes: u64,
}

impl fmt::Debug for Chunk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("generation", &self.generation)
            .field("offset", &self.offset)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// What records keep of the chunk that they came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkInfo {
    /// First 16 characters of the `_id` of each event that begins in this generation.
    pub id_prefix: tail::identity::IdPrefix,
    /// When the bytes were read, ns since 1970 (`event.created`).
    pub read_at_ns: i64,
    /// These bytes may have been sent by an earlier life of the agent: look up before sending when the write
    /// index changed.
    pub replay: bool,
}
