//! `Batch<Raw>` and `Batch<Clean>`: the events of one turn of a shard, one owner from reading to encoding.
//! It must not know file formats, redaction rules or HTTP. `Debug` prints lengths only.
//!
//! A path around redaction does not compile: everything after `redact` takes `Batch<Clean>`, and only
//! `redact` can make the [`Proof`](super::redact::Proof) that turns one into the other.

use std::fmt;
use std::marker::PhantomData;

use fintail_parsers::Span;

use super::record::{Field, Record};
use super::redact::Proof;
use crate::deliver::ack::Ack;
use crate::source::ChunkInfo;

/// Not yet redacted.
#[derive(Debug)]
pub enum Raw {}
/// Redacted: what may leave the shard.
#[derive(Debug)]
pub enum Clean {}

/// A stretch of the text that is to be written as something else (the raw bytes there are overwritten).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// The stretch of `text`.
    pub at: Span,
    /// What to write: a stretch of `replacement_text`.
    pub with: Span,
}

/// One redaction of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Index of the record.
    pub record: u32,
    /// The rule, an index into the rule table.
    pub rule: u16,
}

/// The parts of a batch; plain data.
#[derive(Default)]
pub struct Parts {
    /// Bodies of all records, in their order, each followed by `\n`.
    pub text: Vec<u8>,
    /// The events.
    pub records: Vec<Record>,
    /// JSON members of the records.
    pub fields: Vec<Field>,
    /// Origin of the records.
    pub chunks: Vec<ChunkInfo>,
    /// Spans of files that are done when this batch's documents are answered: one with one event for each record,
    /// in their order, and between them spans with no event (blank lines and the like).
    pub acks: Vec<Ack>,
    /// `(record, bytes cut)`, ascending.
    pub truncated: Vec<(u32, u64)>,
    /// Ascending by `at.start`, not overlapping; filled by `redact`.
    pub replacements: Vec<Replacement>,
    /// What replacements write.
    pub replacement_text: Vec<u8>,
    /// Redactions by record, ascending, each rule once a record.
    pub hits: Vec<Hit>,
    /// Records that redaction could not finish (panic, work budget): their text is overwritten and must not ship.
    /// Ascending.
    pub withheld: Vec<u32>,
}

impl Parts {
    /// Empties it and keeps its allocations.
    pub fn clear(&mut self) {
        self.text.clear();
        self.records.clear();
        self.fields.clear();
        self.chunks.clear();
        self.acks.clear();
        self.truncated.clear();
        self.replacements.clear();
        self.replacement_text.clear();
        self.hits.clear();
        self.withheld.clear();
    }
}

/// The events of one turn.
pub struct Batch<S> {
    parts: Parts,
    state: PhantomData<S>,
}

impl<S> Batch<S> {
    /// The events.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.parts.records
    }
    /// True where there is neither an event nor a span to acknowledge.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.records.is_empty() && self.parts.acks.is_empty()
    }
    /// Bytes of text.
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.parts.text.len()
    }
}

impl Batch<Raw> {
    /// Whole events as they were read.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts, state: PhantomData }
    }
    /// The parts, for the stages before `redact`.
    pub fn parts_mut(&mut self) -> &mut Parts {
        &mut self.parts
    }
    /// The parts, to read.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.parts
    }
    /// Redaction is done: needs the proof that only `redact` can make.
    #[must_use]
    pub fn into_clean(self, _proof: Proof) -> Batch<Clean> {
        Batch { parts: self.parts, state: PhantomData }
    }
}

impl Batch<Clean> {
    /// The redacted parts.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.parts
    }
    /// Gives the allocations back for the next batch.
    #[must_use]
    pub fn into_parts(self) -> Parts {
        self.parts
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("text_bytes", &self.text.len())
            .field("records", &self.records.len())
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Batch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Batch").field(&self.parts).finish()
    }
}
