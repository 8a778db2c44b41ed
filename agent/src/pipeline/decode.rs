//! Chunk → lines: splits at `\n` and reads the container runtime's frame around each line's text.
//! It must not know pods, joining or what the text means.

use fintail_parsers::container::cri::{self, Stream, TimeCache};
use fintail_parsers::lines::Lines;
use fintail_parsers::{Flaw, Span};

use crate::source::Chunk;

/// One line of the container runtime: a whole line of the application or a piece of one.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The runtime's time, ns since 1970.
    pub time_ns: i64,
    /// Where the raw line begins in its generation.
    pub start: u64,
    /// Where it ends, its `\n` included.
    pub end: u64,
    /// Bytes of the text that are not in the chunk, since the line is too long.
    pub cut: u64,
    /// The text, in the chunk.
    pub body: Span,
    /// stdout or stderr; stdout where the line is unreadable.
    pub stream: Stream,
    /// More of this line follows in the stream's next piece.
    pub partial: bool,
    /// Bits of [`Flaw`].
    pub flaws: u16,
}

/// What `decode` remembers from line to line of one source.
#[derive(Debug, Default)]
pub struct Memory {
    times: TimeCache,
    /// The last time read: an unreadable line gets it.
    last_time_ns: Option<i64>,
}

/// Appends the lines of a chunk to `out`; lines below the marks are passed over.
pub fn run(chunk: &Chunk<'_>, memory: &mut Memory, out: &mut Vec<Line>) {
    if let Some(long) = chunk.long_line {
        let span = Span::new(0, to_u32(chunk.bytes.len()));
        one(chunk, span, chunk.offset + long.raw_bytes, long.cut_bytes, memory, out);
        return;
    }
    let mut lines = Lines::new(chunk.bytes);
    for span in lines.by_ref() {
        one(chunk, span, chunk.offset + u64::from(span.end) + 1, 0, memory, out);
    }
    let rest = Span::new(lines.rest(), to_u32(chunk.bytes.len()));
    if chunk.ended && !rest.is_empty() {
        one(chunk, rest, chunk.offset + u64::from(rest.end), 0, memory, out);
    }
}

fn one(chunk: &Chunk<'_>, raw: Span, end: u64, cut: u64, memory: &mut Memory, out: &mut Vec<Line>) {
    let bytes = raw.of(chunk.bytes);
    let start = chunk.offset + u64::from(raw.start);
    let (skipped, bytes) = without_nul_run(bytes);
    let mut flaws = if skipped > 0 { Flaw::NulBytes.bit() } else { 0 };
    let base = raw.start + skipped;
    let line = match cri::parse_with(&mut memory.times, bytes) {
        Some(line) => {
            memory.last_time_ns = Some(line.time_ns);
            Line {
                time_ns: line.time_ns,
                start,
                end,
                cut,
                body: line.body.shifted(base),
                stream: line.stream,
                partial: line.partial,
                flaws,
            }
        }
        None => {
            // A line of NUL bytes alone has no frame either: its time is of the line before, which a restart may not
            // know, so nothing may be joined to it.
            if !bytes.is_empty() || skipped > 0 {
                flaws |= Flaw::CriMalformed.bit();
            }
            Line {
                time_ns: memory.last_time_ns.unwrap_or(chunk.info.read_at_ns),
                start,
                end,
                cut,
                body: Span::new(base, raw.end),
                stream: Stream::Stdout,
                partial: false,
                flaws,
            }
        }
    };
    let mark = chunk.skip_below.get(line.stream as usize).copied().unwrap_or(0);
    if start >= mark {
        out.push(line);
    }
}

/// A crash or a truncation under a writer with a stale offset leaves a run of NUL bytes before the next good line.
fn without_nul_run(bytes: &[u8]) -> (u32, &[u8]) {
    let run = bytes.iter().take_while(|&&b| b == 0).count();
    (to_u32(run), bytes.get(run..).unwrap_or_default())
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
