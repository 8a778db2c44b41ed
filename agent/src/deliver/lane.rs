//! One data stream's way out: what waits, what may go now, why it stands still. No item holds another stream up.
//! It must not know HTTP, clocks or answers: time is handed in, outcomes are handed in.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Encoding;
use super::frame::Piece;
use super::settings::BatchLimits;
use super::write_index::{Floors, Indices};
use crate::admin::metrics::HeldReason;

/// How many documents without an accepted one make a refusal the destination's and not the document's.
const BREAKER_DOCUMENTS: u64 = 1000;
/// How often the write index is asked for.
pub(super) const INDICES_MAX_AGE: Duration = Duration::from_secs(60);
/// A request size that was too large is tried again after so many accepted requests.
const GROW_AFTER: u32 = 256;

/// Tells refusals of bad documents from a destination that refuses all: see [`Breaker::holds`].
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Documents refused since one was accepted; `None` before the first accepted one.
    refused: Option<u64>,
}

impl Breaker {
    /// Whether refusals are not believed now. A bulk that was sent in such a moment is judged by itself alone:
    /// another that was accepted meanwhile says that the destination was mended, not that this refusal is right.
    pub(super) fn is_open(&self) -> bool {
        self.refused.is_none_or(|refused| refused >= BREAKER_DOCUMENTS)
    }

    /// Counts one bulk; true where its refusals must not be believed: no item was accepted in it and none among
    /// the last 1,000 (fewer where fewer were sent). `was_open`: [`Breaker::is_open`] when it was sent.
    pub(super) fn holds(&mut self, accepted: u64, refused: u64, was_open: bool) -> bool {
        if accepted > 0 {
            self.refused = Some(0);
            return false;
        }
        self.refused = self.refused.map(|before| before.saturating_add(refused));
        was_open || self.is_open()
    }
}

/// What goes out in one request: pieces of one data stream and one encoding.
#[derive(Debug)]
pub(super) struct Payload {
    pub(super) stream: Arc<str>,
    pub(super) encoding: Encoding,
    pub(super) pieces: Vec<Piece>,
    /// For each piece that is uncertain: from which index on its documents may stand.
    pub(super) floors: Vec<Option<Arc<str>>>,
    pub(super) breaker: Arc<Mutex<Breaker>>,
}

struct Waiting {
    piece: Piece,
    due: Instant,
}

/// One data stream.
pub(super) struct Lane {
    pub(super) stream: Arc<str>,
    ready: VecDeque<(Piece, Instant)>,
    ready_bytes: u64,
    ready_docs: u64,
    /// Pieces that were sent without success, until they are due.
    again: Vec<Waiting>,
    pub(super) in_flight: usize,
    pub(super) failures: u32,
    pub(super) not_before: Option<Instant>,
    pub(super) held: Option<HeldReason>,
    pub(super) shouted: Option<Instant>,
    pub(super) floors: Floors,
    pub(super) asked: Option<Instant>,
    pub(super) asking: bool,
    breaker: Arc<Mutex<Breaker>>,
    bytes_max: u64,
    accepted_since_too_large: u32,
}

impl Lane {
    pub(super) fn new(stream: Arc<str>, floor: Option<Arc<str>>, limits: &BatchLimits) -> Self {
        Self {
            stream,
            ready: VecDeque::new(),
            ready_bytes: 0,
            ready_docs: 0,
            again: Vec::new(),
            in_flight: 0,
            failures: 0,
            not_before: None,
            held: None,
            shouted: None,
            floors: Floors::new(floor),
            asked: None,
            asking: false,
            breaker: Arc::default(),
            bytes_max: limits.bytes,
            accepted_since_too_large: 0,
        }
    }

    /// A new piece, to go at `due` at the latest.
    pub(super) fn push(&mut self, piece: Piece, due: Instant) {
        self.ready_bytes += u64::from(piece.ndjson_bytes);
        self.ready_docs += u64::from(piece.docs);
        self.ready.push_back((piece, due));
    }

    /// A piece that was sent without success, to go again at `due`, before younger ones.
    pub(super) fn push_again(&mut self, piece: Piece, due: Instant) {
        self.again.push(Waiting { piece, due });
    }

    /// A request of so many bytes was too large.
    pub(super) fn too_large(&mut self, ndjson_bytes: u64) {
        self.bytes_max = self.bytes_max.min(ndjson_bytes / 2).max(1);
        self.accepted_since_too_large = 0;
    }

    /// A request was accepted.
    pub(super) fn accepted(&mut self, limits: &BatchLimits) {
        if self.bytes_max < limits.bytes {
            self.accepted_since_too_large += 1;
            if self.accepted_since_too_large >= GROW_AFTER {
                self.accepted_since_too_large = 0;
                self.bytes_max = (self.bytes_max * 2).min(limits.bytes);
            }
        }
    }

    pub(super) fn observe(&mut self, indices: &Indices, now: Instant) {
        self.floors.observe(indices);
        self.asked = Some(now);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.again.is_empty() && self.in_flight == 0
    }

    /// Whether the write index must be known before anything may go.
    pub(super) fn must_ask(&self, now: Instant) -> bool {
        let stale = self.asked.is_none_or(|at| now.saturating_duration_since(at) >= INDICES_MAX_AGE);
        stale && !self.asking && !self.is_empty() && self.not_before.is_none_or(|at| at <= now)
    }

    /// When there may be something to do; `None` = nothing before something arrives.
    pub(super) fn wake_at(&self, limits: &BatchLimits, flush: bool, now: Instant) -> Option<Instant> {
        let full = self.ready_bytes >= self.bytes_max || self.ready_docs >= u64::from(limits.events);
        let ready = self.ready.front().map(|(_, due)| if full || flush { now } else { *due });
        let again = self.again.iter().map(|waiting| waiting.due).min();
        let earliest = ready.into_iter().chain(again).min()?;
        Some(self.not_before.map_or(earliest, |not_before| earliest.max(not_before)))
    }

    /// The next request, where one may go now.
    pub(super) fn next(&mut self, limits: &BatchLimits, flush: bool, now: Instant) -> Option<Payload> {
        if self.asked.is_none() || self.wake_at(limits, flush, now)? > now {
            return None;
        }
        self.again.sort_by_key(|waiting| waiting.due);
        let due = self.again.iter().take_while(|waiting| waiting.due <= now).count();
        for waiting in self.again.drain(..due).rev().collect::<Vec<_>>() {
            self.ready_bytes += u64::from(waiting.piece.ndjson_bytes);
            self.ready_docs += u64::from(waiting.piece.docs);
            self.ready.push_front((waiting.piece, waiting.due));
        }
        let encoding = self.ready.front()?.0.encoding;
        let (mut bytes, mut docs) = (0, 0);
        let mut pieces = Vec::new();
        let mut floors = Vec::new();
        while let Some((piece, _)) = self.ready.front() {
            let (more_bytes, more_docs) = (u64::from(piece.ndjson_bytes), u64::from(piece.docs));
            let over = bytes + more_bytes > self.bytes_max || docs + more_docs > u64::from(limits.events);
            if piece.encoding != encoding || (over && !pieces.is_empty()) {
                break;
            }
            let Some((piece, _)) = self.ready.pop_front() else { break };
            bytes += more_bytes;
            docs += more_docs;
            self.floors.attempt(&piece.debt, piece.uncertain.is_some());
            floors.push(self.floors.of(&piece.debt));
            pieces.push(piece);
        }
        self.ready_bytes -= bytes;
        self.ready_docs -= docs;
        self.in_flight += 1;
        let (stream, breaker) = (Arc::clone(&self.stream), Arc::clone(&self.breaker));
        Some(Payload { stream, encoding, pieces, floors, breaker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_breaker_of_the_architecture_page() {
        let mut breaker = Breaker::default();
        let mut holds = |accepted, refused| {
            let was_open = breaker.is_open();
            breaker.holds(accepted, refused, was_open)
        };
        assert!(holds(0, 1000), "1,000 of 1,000 hold");
        assert!(holds(0, 1), "and whatever follows");
        assert!(!holds(1, 999), "999 bad and 1 good do not");
        assert!(!holds(0, 999), "one was accepted among the last 1,000");
        assert!(holds(0, 1));
        assert!(!holds(1, 0), "one accepted item closes it");
        assert!(breaker.holds(0, 1, true), "but not for a bulk that was sent before that");
    }
}
