//! Lines → events: joins CRI partials and stack traces, per stream, before anything looks at the text.
//! It must not know formats beyond "does this line go on", pods, or the wall clock.
//!
//! Where an event ends is decided by bytes alone, so that a replay cuts the same: where the next line of its
//! stream is no continuation or is more than a second younger, or at a limit. The timer of the shard
//! ([`Joiner::flush_due`]) comes later than that rule and cuts only what the rule would cut.

use fintail_parsers::app::starts;
use fintail_parsers::{Flaw, Span};

use super::batch::Parts;
use super::decode::Line;
use super::record::{Level, Record, Shape};
use crate::deliver::ack::Ack;
use crate::source::{Chunk, ChunkInfo, FileSpan, GenerationId, SourceId};
use fintail_parsers::container::cri::Stream;

/// A continuation line is at most this much younger than the line before it.
const CONTINUATION_MAX_NS: i64 = 1_000_000_000;

/// Kept of a too long event beyond its limit, so that what straddles the limit is still recognised by `redact`;
/// `encode` cuts at the last word before the limit.
pub const CUT_SLACK_BYTES: usize = 256;

/// Limits of joining.
#[derive(Clone, Copy, Debug)]
pub struct JoinLimits {
    /// `limits.event`.
    pub event_bytes: usize,
    /// `limits.multiline_lines`.
    pub event_lines: u32,
    /// `limits.multiline_age`.
    pub multiline_age_ns: i64,
    /// `limits.partial_age`.
    pub partial_age_ns: i64,
    /// `sources.containers.multiline`: join stack traces.
    pub multiline: bool,
}

/// An event whose end has not been seen.
#[derive(Debug, Default)]
struct Open {
    active: bool,
    /// A piece without its end was the last.
    in_partial: bool,
    text: Vec<u8>,
    cut: u64,
    lines: u32,
    flaws: u16,
    time_ns: i64,
    last_time_ns: i64,
    info: Option<ChunkInfo>,
    start: u64,
    /// End of its last piece, in the joiner's generation.
    end: u64,
    /// Raw bytes in generations before the joiner's.
    raw_before: u64,
    /// Where the event begins in the joiner's generation.
    segment_start: u64,
}

/// The joining state of one container log: an open event and the end of the last whole one, per stream.
#[derive(Debug)]
pub struct Joiner {
    generation: GenerationId,
    open: [Open; 2],
    /// End of what was emitted, per stream: the next span begins here.
    tiled: [u64; 2],
    /// End of what was read of the generation.
    read: u64,
    /// Spans in generations before, done with the event that is open since then.
    behind: [Vec<FileSpan>; 2],
}

impl Joiner {
    /// Begins at the marks of a generation (stdout, stderr).
    #[must_use]
    pub fn new(generation: GenerationId, marks: [u64; 2]) -> Self {
        Self { generation, open: Default::default(), tiled: marks, read: 0, behind: Default::default() }
    }

    /// Bytes held by open events.
    #[must_use]
    pub fn open_bytes(&self) -> usize {
        self.open.iter().filter(|o| o.active).map(|o| o.text.len()).sum()
    }

    /// True where a piece waits for its end.
    #[must_use]
    pub fn in_partial(&self) -> bool {
        self.open.iter().any(|o| o.active && o.in_partial)
    }

    /// Forgets the open events; returns where their bytes have to be read again, per stream. `None` where one began
    /// in a generation before, which nobody reads again: then they stay.
    pub fn forget(&mut self) -> Option<[u64; 2]> {
        if self.behind.iter().any(|spans| !spans.is_empty()) {
            return None;
        }
        self.open = Default::default();
        Some(self.tiled)
    }

    /// The file ended and goes on in its successor: what is open continues there. Streams with nothing open are done
    /// with the old file. `marks` are those of the successor.
    pub fn next_generation(&mut self, ended_at: u64, next: GenerationId, marks: [u64; 2], out: &mut Parts) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let at = stream as usize;
            let span = FileSpan { generation: self.generation, from: self.tiled[at], to: ended_at };
            let open = &mut self.open[at];
            if open.active {
                open.raw_before += ended_at.saturating_sub(open.segment_start);
                open.segment_start = 0;
                open.end = 0;
                self.behind[at].push(span);
            } else if span.from < span.to {
                out.acks.push(Ack { span, stream, events: 0 });
            }
        }
        self.generation = next;
        self.tiled = marks;
        self.read = 0;
    }

    /// Takes the lines of a chunk; whole events go to `out`.
    pub fn push(&mut self, chunk: &Chunk<'_>, lines: &[Line], limits: &JoinLimits, out: &mut Parts) {
        for line in lines {
            self.line(chunk, line, limits, out);
        }
        self.read = chunk.offset + chunk.long_line.map_or(chunk.bytes.len() as u64, |line| line.raw_bytes);
        self.done_with_read(out);
    }

    /// A stream with nothing open is done with all that was read: a container that writes to stdout only would else
    /// keep its other mark at 0, look unanswered for ever and stop at `limits.unacked`.
    fn done_with_read(&mut self, out: &mut Parts) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let at = stream as usize;
            if !self.open[at].active && self.tiled[at] < self.read {
                self.tile(stream, self.read, 0, out);
            }
        }
    }

    /// An event is open whose last line is older than the timer.
    #[must_use]
    pub fn is_due(&self, now_ns: i64, limits: &JoinLimits) -> bool {
        self.open.iter().any(|open| open.is_due(now_ns, limits))
    }

    /// Ends events that nothing can continue any more: their last line is older than the timer, and the file holds
    /// nothing behind it.
    pub fn flush_due(&mut self, source: SourceId, now_ns: i64, limits: &JoinLimits, out: &mut Parts) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if self.open[stream as usize].is_due(now_ns, limits) {
                self.close(source, stream, out);
            }
        }
        self.done_with_read(out);
    }

    /// Ends all open events: the container's log is over.
    pub fn flush_all(&mut self, source: SourceId, out: &mut Parts) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if self.open[stream as usize].active {
                self.close(source, stream, out);
            }
        }
    }

    fn line(&mut self, chunk: &Chunk<'_>, line: &Line, limits: &JoinLimits, out: &mut Parts) {
        let body = line.body.of(chunk.bytes);
        let open = &mut self.open[line.stream as usize];
        if open.active {
            if open.goes_on_with(line, body, limits) {
                open.append(line, body, limits);
                if !open.in_partial && !waits(&open.text, limits) {
                    self.close(chunk.source, line.stream, out);
                }
                return;
            }
            self.close(chunk.source, line.stream, out);
        }
        if body.is_empty() && !line.partial && line.flaws == 0 {
            self.tile(line.stream, line.end, 0, out);
            return;
        }
        let malformed = line.flaws & Flaw::CriMalformed.bit() != 0;
        if !line.partial
            && line.cut == 0
            && body.len() <= limits.event_bytes
            && (malformed || !waits(body, limits))
        {
            self.emit_whole(chunk, line, body, out);
            return;
        }
        let open = &mut self.open[line.stream as usize];
        open.begin(chunk, line);
        open.append(line, body, limits);
        if !line.partial && (malformed || !waits(&open.text, limits)) {
            self.close(chunk.source, line.stream, out);
        }
    }

    /// The common case: one line is one event; its text goes to the batch without a detour.
    fn emit_whole(&mut self, chunk: &Chunk<'_>, line: &Line, body: &[u8], out: &mut Parts) {
        self.tile(line.stream, line.end, 1, out);
        let record = Record {
            time_ns: line.time_ns,
            start: line.start,
            body: append_text(out, body),
            raw_len: u32::try_from(line.end - line.start).unwrap_or(u32::MAX),
            source: chunk.source,
            field_from: 0,
            field_count: 0,
            chunk: chunk_index(out, chunk.info),
            flaws: line.flaws,
            stream: line.stream,
            level: Level::Unknown,
            shape: Shape::Text,
        };
        out.records.push(record);
    }

    fn close(&mut self, source: SourceId, stream: Stream, out: &mut Parts) {
        let end = self.open[stream as usize].end;
        self.tile(stream, end, 1, out);
        let open = &mut self.open[stream as usize];
        open.active = false;
        let mut flaws = open.flaws;
        if open.in_partial {
            flaws |= Flaw::PartialUnfinished.bit();
        }
        let info = open.info.take().unwrap_or(ChunkInfo {
            id_prefix: Default::default(),
            read_at_ns: 0,
            replay: false,
        });
        if open.cut > 0 {
            flaws |= Flaw::Truncated.bit();
            out.truncated.push((u32::try_from(out.records.len()).unwrap_or(u32::MAX), open.cut));
        }
        let raw_len = open.raw_before + end.saturating_sub(open.segment_start);
        let record = Record {
            time_ns: open.time_ns,
            start: open.start,
            body: append_text(out, &open.text),
            raw_len: u32::try_from(raw_len).unwrap_or(u32::MAX),
            source,
            field_from: 0,
            field_count: 0,
            chunk: chunk_index(out, info),
            flaws,
            stream,
            level: Level::Unknown,
            shape: Shape::Text,
        };
        out.records.push(record);
        open.text.clear();
        if open.text.capacity() > 64 * 1024 {
            open.text = Vec::new();
        }
    }

    /// What lies between the last span of the stream and `to` is done with the record that comes (`events` 1) or at
    /// once (0).
    fn tile(&mut self, stream: Stream, to: u64, events: u32, out: &mut Parts) {
        let at = stream as usize;
        for span in self.behind[at].drain(..) {
            out.acks.push(Ack { span, stream, events: 0 });
        }
        let from = std::mem::replace(&mut self.tiled[at], to);
        out.acks.push(Ack { span: FileSpan { generation: self.generation, from, to }, stream, events });
    }
}

impl Open {
    fn is_due(&self, now_ns: i64, limits: &JoinLimits) -> bool {
        let age = if self.in_partial { limits.partial_age_ns } else { limits.multiline_age_ns };
        self.active && now_ns.saturating_sub(self.last_time_ns) > age.max(CONTINUATION_MAX_NS)
    }

    fn begin(&mut self, chunk: &Chunk<'_>, line: &Line) {
        self.active = true;
        self.in_partial = false;
        self.text.clear();
        self.cut = 0;
        self.lines = 0;
        self.flaws = 0;
        self.time_ns = line.time_ns;
        self.info = Some(chunk.info);
        self.start = line.start;
        self.raw_before = 0;
        self.segment_start = line.start;
    }

    /// The byte rule.
    fn goes_on_with(&self, line: &Line, body: &[u8], limits: &JoinLimits) -> bool {
        let gap = line.time_ns.saturating_sub(self.last_time_ns);
        if line.flaws & Flaw::CriMalformed.bit() != 0 {
            return false;
        }
        if self.in_partial {
            return gap <= limits.partial_age_ns;
        }
        limits.multiline
            && gap <= CONTINUATION_MAX_NS
            && self.lines < limits.event_lines
            && self.text.len() < limits.event_bytes
            && (starts::is_continuation(body)
                // The head of a trace belongs to the log line above it, but two heads are two traces.
                || (self.lines == 1
                    && starts::is_exception_header(body)
                    && !starts::is_exception_header(&self.text)))
    }

    fn append(&mut self, line: &Line, body: &[u8], limits: &JoinLimits) {
        if self.lines > 0 && !self.in_partial {
            self.text.push(b'\n');
        }
        if !self.in_partial {
            self.lines += 1;
        }
        let room = (limits.event_bytes + CUT_SLACK_BYTES).saturating_sub(self.text.len());
        let kept = body.get(..room.min(body.len())).unwrap_or_default();
        self.text.extend_from_slice(kept);
        self.cut += (body.len() - kept.len()) as u64 + line.cut;
        if self.text.len() > limits.event_bytes && self.cut == 0 {
            // What lies in the slack is cut by `encode`; it counts what it cuts.
            self.flaws |= Flaw::Truncated.bit();
        }
        self.flaws |= line.flaws;
        self.in_partial = line.partial;
        self.last_time_ns = line.time_ns;
        self.end = line.end;
    }
}

/// Could the next line of the stream continue this text?
fn waits(text: &[u8], limits: &JoinLimits) -> bool {
    limits.multiline && text.len() < limits.event_bytes && starts::can_continue(text)
}

fn append_text(out: &mut Parts, body: &[u8]) -> Span {
    let start = out.text.len();
    out.text.extend_from_slice(body);
    out.text.push(b'\n');
    let end = out.text.len() - 1;
    Span::new(u32::try_from(start).unwrap_or(u32::MAX), u32::try_from(end).unwrap_or(u32::MAX))
}

fn chunk_index(out: &mut Parts, info: ChunkInfo) -> u16 {
    let same = |c: &ChunkInfo| c.id_prefix == info.id_prefix && c.replay == info.replay;
    if !out.chunks.last().is_some_and(same) {
        out.chunks.push(info);
    }
    u16::try_from(out.chunks.len() - 1).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::decode;

    const LIMITS: JoinLimits = JoinLimits {
        event_bytes: 1 << 20,
        event_lines: 500,
        multiline_age_ns: 5_000_000_000,
        partial_age_ns: 60_000_000_000,
        multiline: true,
    };

    /// Where the spans of a stream end after these bytes.
    fn tiled(bytes: &[u8]) -> [u64; 2] {
        let chunk = Chunk {
            source: SourceId(0),
            generation: GenerationId(0),
            offset: 0,
            bytes,
            long_line: None,
            ended: false,
            skip_below: [0; 2],
            info: ChunkInfo { id_prefix: Default::default(), read_at_ns: 0, replay: false },
        };
        let (mut lines, mut parts) = (Vec::new(), Parts::default());
        decode::run(&chunk, &mut decode::Memory::default(), &mut lines);
        Joiner::new(GenerationId(0), [0; 2]).push(&chunk, &lines, &LIMITS, &mut parts);
        let mut ends = [0; 2];
        for Ack { span, stream, .. } in &parts.acks {
            assert_eq!(ends[*stream as usize], span.from, "spans tile the file");
            ends[*stream as usize] = span.to;
        }
        ends
    }

    #[test]
    fn a_silent_stream_is_done_with_what_was_read_and_an_open_one_is_not() {
        let whole = b"2026-11-23T08:01:02Z stdout F {\"a\":1}\n2026-11-23T08:01:03Z stdout F {\"a\":2}\n";
        assert_eq!(tiled(whole), [whole.len() as u64; 2]);
        let open = [whole, &b"2026-11-23T08:01:04Z stderr P half\n"[..]].concat();
        assert_eq!(tiled(&open), [open.len() as u64, 0]);
    }
}
