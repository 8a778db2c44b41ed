//! The ack ledger: which bytes of which file are answered for. One contiguous mark per generation and stream.
//! It must not know documents, and never learns of bytes before they are answered or yield no document.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fintail_parsers::container::cri::Stream;

use crate::source::tail::identity::IdPrefix;
use crate::source::{FileSpan, GenerationId};

/// A stretch of one stream and the events in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The stretch; `from` is the end of the stream's stretch before, so that stretches tile the file.
    pub span: FileSpan,
    /// stdout or stderr.
    pub stream: Stream,
    /// Documents in it.
    pub events: u32,
}

/// One stream of one generation.
#[derive(Debug, Default)]
struct Track {
    mark: u64,
    /// Answered out of order: start → end.
    beyond: BTreeMap<u64, u64>,
}

impl Track {
    fn done(&mut self, from: u64, to: u64) {
        if from > self.mark {
            let end = self.beyond.entry(from).or_insert(to);
            *end = (*end).max(to);
            return;
        }
        self.mark = self.mark.max(to);
        while let Some((&from, &to)) = self.beyond.first_key_value() {
            if from > self.mark {
                break;
            }
            self.mark = self.mark.max(to);
            self.beyond.pop_first();
        }
    }
}

#[derive(Debug)]
struct Tracks {
    identity: IdPrefix,
    streams: [Track; 2],
}

/// Both marks of a generation, by what it is called in a checkpoint.
pub type Marks = (IdPrefix, [u64; 2]);

#[derive(Debug, Default)]
struct State {
    tracks: HashMap<GenerationId, Tracks>,
    changed: bool,
}

/// The ledger; shared by shards, delivery and the checkpoint writer.
#[derive(Debug, Default)]
pub struct AckLedger {
    state: Mutex<State>,
    in_flight: AtomicU64,
}

impl AckLedger {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to keep marks for a generation, from what the checkpoint says (stdout, stderr).
    pub fn register(&self, generation: GenerationId, identity: IdPrefix, marks: [u64; 2]) {
        let streams = marks.map(|mark| Track { mark, beyond: BTreeMap::new() });
        let mut state = self.lock();
        state.tracks.insert(generation, Tracks { identity, streams });
        state.changed = true;
    }

    /// Forgets a generation that is gone.
    pub fn retire(&self, generation: GenerationId) {
        let mut state = self.lock();
        state.tracks.remove(&generation);
        state.changed = true;
    }

    /// Events were received and are open until they are settled.
    pub fn opened(&self, events: u64) {
        self.in_flight.fetch_add(events, Ordering::Relaxed);
    }

    /// Events were answered (delivered, dead-lettered or dropped with a reason).
    pub fn settled(&self, events: u64) {
        self.in_flight.fetch_sub(events, Ordering::Relaxed);
    }

    /// Open events: `events_in_flight`.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Everything in these spans is answered for.
    pub fn acknowledge(&self, acks: &[Ack]) {
        let mut state = self.lock();
        for Ack { span, stream, .. } in acks {
            if let Some(track) =
                state.tracks.get_mut(&span.generation).and_then(|t| t.streams.get_mut(*stream as usize))
            {
                track.done(span.from, span.to);
            }
        }
        state.changed = true;
    }

    /// The marks (stdout, stderr) of a generation.
    #[must_use]
    pub fn marks(&self, generation: GenerationId) -> Option<[u64; 2]> {
        self.lock().tracks.get(&generation).map(Tracks::marks)
    }

    /// Whether any mark changed since the last call.
    #[must_use]
    pub fn take_changed(&self) -> bool {
        std::mem::take(&mut self.lock().changed)
    }

    /// All marks.
    #[must_use]
    pub fn all_marks(&self) -> Vec<Marks> {
        self.lock().tracks.values().map(|t| (t.identity, t.marks())).collect()
    }
}

impl Tracks {
    fn marks(&self) -> [u64; 2] {
        [self.streams[0].mark, self.streams[1].mark]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

    fn tile(generation: u32, from: u64, to: u64) -> FileSpan {
        FileSpan { generation: GenerationId(generation), from, to }
    }

    /// Spans that tile the first half of a stream in one generation and the rest in the next.
    fn tiles(cuts: &[u64], stream: Stream) -> Vec<Ack> {
        let mut acks = Vec::new();
        let (mut generation, mut from) = (0, 0);
        for (n, &length) in cuts.iter().enumerate() {
            if n == cuts.len() / 2 {
                (generation, from) = (1, 0);
            }
            acks.push(Ack { span: tile(generation, from, from + length), stream, events: 1 });
            from += length;
        }
        acks
    }

    /// The naive model: every byte that is answered for.
    #[derive(Default)]
    struct Model {
        bytes: HashSet<(u32, usize, u64)>,
    }

    impl Model {
        fn acknowledge(&mut self, ack: &Ack) {
            let (span, stream) = (ack.span, ack.stream as usize);
            self.bytes.extend((span.from..span.to).map(|byte| (span.generation.0, stream, byte)));
        }

        fn mark(&self, generation: u32, stream: usize) -> u64 {
            (0..).find(|&byte| !self.bytes.contains(&(generation, stream, byte))).unwrap_or(0)
        }
    }

    proptest! {
        #[test]
        fn marks_are_those_of_a_set_of_bytes(
            cuts in prop::array::uniform2(prop::collection::vec(1_u64..9, 1..14)),
            order in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..4), 1..60),
        ) {
            let ledger = AckLedger::default();
            ledger.register(GenerationId(0), IdPrefix::default(), [0, 0]);
            ledger.register(GenerationId(1), IdPrefix::default(), [0, 0]);
            let mut left: Vec<Ack> =
                STREAMS.iter().zip(&cuts).flat_map(|(&stream, cuts)| tiles(cuts, stream)).collect();
            ledger.opened(left.len() as u64);
            let mut model = Model::default();
            let mut before = [[0; 2]; 2];
            let rest = left.len();
            let drawn = order.into_iter().map(|(index, together)| (Some(index), together));
            for (index, together) in drawn.chain((0..rest).map(|_| (None, 1))) {
                let mut now = Vec::new();
                for _ in 0..together.min(left.len()) {
                    now.push(left.swap_remove(index.map_or(0, |index| index.index(left.len()))));
                }
                // An answer may come twice: the second changes nothing.
                now.extend(now.first().copied().into_iter().collect::<Vec<_>>());
                ledger.acknowledge(&now);
                now.iter().for_each(|ack| model.acknowledge(ack));
                for (generation, before) in (0..).zip(&mut before) {
                    let marks = ledger.marks(GenerationId(generation)).unwrap();
                    let expected = [model.mark(generation, 0), model.mark(generation, 1)];
                    prop_assert_eq!(marks, expected);
                    prop_assert!(marks[0] >= before[0] && marks[1] >= before[1], "marks never go back");
                    *before = marks;
                }
            }
            prop_assert!(left.is_empty());
            prop_assert!(ledger.take_changed() && !ledger.take_changed());
            prop_assert_eq!(ledger.all_marks().len(), 2);
        }
    }

    #[test]
    fn a_retired_generation_takes_no_acks_and_open_events_are_counted() {
        let ledger = AckLedger::default();
        ledger.register(GenerationId(0), IdPrefix::default(), [5, 7]);
        assert_eq!(ledger.marks(GenerationId(0)), Some([5, 7]));
        ledger.opened(3);
        ledger.settled(2);
        assert_eq!(ledger.in_flight(), 1);
        ledger.retire(GenerationId(0));
        ledger.acknowledge(&[Ack { span: tile(0, 5, 9), stream: Stream::Stdout, events: 1 }]);
        assert_eq!(ledger.marks(GenerationId(0)), None);
    }
}
