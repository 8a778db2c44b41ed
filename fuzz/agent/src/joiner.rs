//! Joining: the same events however the file is cut into reads, also after a restart from any mark; spans that tile
//! each stream; no two events with one id.
use crate::choices::Choices;
use fintail::deliver::ack::Ack;
use fintail::pipeline::batch::Parts;
use fintail::pipeline::decode;
use fintail::pipeline::reassemble::{JoinLimits, Joiner};
use fintail::source::tail::identity::IdPrefix;
use fintail::source::{Chunk, ChunkInfo, GenerationId, SourceId};
use fintail_parsers::Flaw;
use std::collections::HashSet;

const LIMITS: JoinLimits = JoinLimits {
    event_bytes: 200,
    event_lines: 4,
    multiline_age_ns: 2_000_000_000,
    partial_age_ns: 30_000_000_000,
    multiline: true,
};
const SOURCE: SourceId = SourceId(0);
const GENERATION: GenerationId = GenerationId(0);

/// What must not depend on how the file was read.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    text: Vec<u8>,
    /// `None` for an unreadable line: it has that of the line before, which a restart does not know.
    time_ns: Option<i64>,
    start: u64,
    raw_len: u32,
    flaws: u16,
    cut: u64,
    stream: u8,
}

/// The bytes as choices of lines and cuts.
pub fn joiner(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (chunking, restart_after) = (choices.byte(), choices.byte());
    let file = file(&mut choices);
    let (whole, acks) = read(&file, [0; 2], &[]);
    tiles(&acks, file.len() as u64, whole.len());
    let ids: HashSet<_> = whole.iter().map(|event| (event.start, event.raw_len)).collect();
    assert_eq!(ids.len(), whole.len(), "two events have one id");

    let ends: Vec<usize> =
        file.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
    let cuts: Vec<usize> = ends
        .iter()
        .copied()
        .enumerate()
        .filter(|(n, _)| chunking >> (n % 8) & 1 == 1)
        .map(|(_, at)| at)
        .collect();
    let (pieces, piece_acks) = read(&file, [0; 2], &cuts);
    assert_eq!(pieces, whole, "the events depend on the reads");
    tiles(&piece_acks, file.len() as u64, whole.len());
    assert_eq!(by_event(&piece_acks), by_event(&acks), "the spans depend on the reads");

    // All spans up to some event are answered for; then the agent starts again.
    let answered = usize::from(restart_after) % (piece_acks.len() + 1);
    let (done, open) = piece_acks.split_at(answered);
    let mut marks = [0; 2];
    for ack in done {
        if let Some(mark) = marks.get_mut(ack.stream as usize) {
            *mark = ack.span.to;
        }
    }
    let (again, again_acks) = read(&file, marks, &cuts);
    let events = open.iter().map(|ack| ack.events as usize).sum::<usize>();
    assert_eq!(again, whole.get(whole.len() - events..).unwrap_or_default(), "a restart cuts otherwise");
    assert_eq!(by_event(&again_acks), by_event(open), "a restart has other spans");
}

/// Spans per stream, one an event: what yields no document counts to the next event. What follows the last event may
/// or may not be in a span yet.
fn by_event(acks: &[Ack]) -> [Vec<(u64, u64, u32)>; 2] {
    let mut streams: [Vec<(u64, u64, u32)>; 2] = Default::default();
    for ack in acks {
        let Some(spans) = streams.get_mut(ack.stream as usize) else { continue };
        match spans.last_mut() {
            Some((_, to, events)) if *events == 0 => (*to, *events) = (ack.span.to, ack.events),
            _ => spans.push((ack.span.from, ack.span.to, ack.events)),
        }
    }
    for spans in &mut streams {
        let _rest = spans.pop_if(|(_, _, events)| *events == 0);
    }
    streams
}

fn file(choices: &mut Choices<'_>) -> Vec<u8> {
    const BODIES: [&str; 10] = [
        "one",
        "",
        "java.lang.IllegalStateException: x",
        "\tat com.bank.Pay.run(Pay.java:42)",
        "Caused by: java.io.IOException: y",
        "\t... 12 more",
        "{\"a\":1}",
        "{\"half\":",
        "0123456789012345678901234567890123456789012345678901234567890123456789",
        "10.0.0.1 - - [23/Nov/2026:08:01:02 +0000] \"GET / HTTP/1.1\" 200 1",
    ];
    const STEPS_MS: [u64; 8] = [0, 0, 1, 1, 400, 1_001, 2_500, 31_000];
    let mut file = Vec::new();
    let mut now_ms = 0;
    while !choices.is_empty() && file.len() < 8_000 {
        let shape = choices.byte();
        now_ms += choices.one_of(&STEPS_MS);
        if shape >= 250 {
            file.extend(choices.bytes(40).iter().filter(|byte| **byte != b'\n'));
            file.push(b'\n');
            continue;
        }
        let stream = if shape & 1 == 0 { "stdout" } else { "stderr" };
        let tag = if shape & 6 == 6 { 'P' } else { 'F' };
        let (minute, second, ms) = (now_ms / 60_000 % 60, now_ms / 1_000 % 60, now_ms % 1_000);
        let head = format!("2026-11-23T08:{minute:02}:{second:02}.{ms:03}000000Z {stream} {tag} ");
        file.extend_from_slice(head.as_bytes());
        file.extend_from_slice(choices.one_of(&BODIES).as_bytes());
        file.push(b'\n');
    }
    file
}

/// Reads the file from its marks, cut at `cuts`, each read with a batch of its own.
fn read(file: &[u8], marks: [u64; 2], cuts: &[usize]) -> (Vec<Event>, Vec<Ack>) {
    let (mut events, mut acks) = (Vec::new(), Vec::new());
    let mut joiner = Joiner::new(GENERATION, marks);
    let mut memory = decode::Memory::default();
    let mut parts = Parts::default();
    let mut take = |parts: &mut Parts| {
        events.extend((0_u32..).zip(&parts.records).map(|(n, record)| Event {
            text: record.body.of(&parts.text).to_vec(),
            time_ns: (record.flaws & Flaw::CriMalformed.bit() == 0).then_some(record.time_ns),
            start: record.start,
            raw_len: record.raw_len,
            flaws: record.flaws,
            cut: parts.truncated.iter().filter(|cut| cut.0 == n).map(|cut| cut.1).sum(),
            stream: record.stream as u8,
        }));
        acks.append(&mut parts.acks);
        parts.clear();
    };
    let mut from = usize::try_from(marks[0].min(marks[1])).unwrap_or(usize::MAX);
    for to in cuts.iter().copied().chain([file.len()]) {
        if to <= from && to < file.len() {
            continue;
        }
        let chunk = Chunk {
            source: SOURCE,
            generation: GENERATION,
            offset: from as u64,
            bytes: file.get(from..to).unwrap_or_default(),
            long_line: None,
            ended: to == file.len(),
            skip_below: marks,
            info: ChunkInfo { id_prefix: IdPrefix::default(), read_at_ns: 0, replay: false },
        };
        let mut lines = Vec::new();
        decode::run(&chunk, &mut memory, &mut lines);
        joiner.push(&chunk, &lines, &LIMITS, &mut parts);
        take(&mut parts);
        from = to;
    }
    joiner.flush_all(SOURCE, &mut parts);
    take(&mut parts);
    (events, acks)
}

/// The spans of each stream follow each other from the first byte on; each event has one.
fn tiles(acks: &[Ack], end: u64, events: usize) {
    let mut marks = [0; 2];
    for ack in acks {
        let Some(mark) = marks.get_mut(ack.stream as usize) else { continue };
        assert_eq!(ack.span.from, *mark, "a gap or an overlap");
        assert!(ack.span.to > *mark && ack.span.to <= end, "a span that ends nowhere");
        assert!(ack.events <= 1);
        *mark = ack.span.to;
    }
    assert_eq!(acks.iter().map(|ack| ack.events as usize).sum::<usize>(), events, "an event without a span");
    assert!(events == 0 || marks.contains(&end), "the end of the file is in no span");
}
