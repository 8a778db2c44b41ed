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
            if let Some(track) = state.tracks.get_mut(&span.generation).and_then(|t| t.streams.get_mut(*stream as usize)) {
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

    /// All marks, if anything changed since the last call.
    #[must_use]
    pub fn changed_marks(&self) -> Option<Vec<Marks>> {
        let mut state = self.lock();
        if !std::mem::take(&mut state.changed) {
            return None;
        }
        Some(state.tracks.values().map(|t| (t.identity, t.marks())).collect())
    }
}

impl Tracks {
    fn marks(&self) -> [u64; 2] {
        [self.streams[0].mark, self.streams[1].mark]
    }
}
