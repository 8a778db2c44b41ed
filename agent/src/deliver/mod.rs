//! From encoded frames to answered documents: lanes, `_bulk` requests, retries, dead letters, acknowledgements.
//! It must not know records, sources or redaction.

use std::sync::Arc;

use bytes::Bytes;

use crate::runtime::budget::BytePermit;
use ack::Ack;

pub mod ack;

/// How a frame's body is compressed. Members and frames of one kind concatenate to a valid body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    /// Plain NDJSON.
    Identity,
    /// One gzip member.
    Gzip,
    /// One zstd frame.
    Zstd,
}

/// At most 256 KiB of NDJSON (or one longer event) of one data stream, compressed on its own, with the spans of
/// files that are done when all its documents are answered.
#[derive(Debug)]
pub struct Frame {
    /// The data stream, e.g. `logs-kubernetes.container_logs-default`.
    pub stream: Arc<str>,
    /// The compressed NDJSON: for each document an action line `{"create":{"_id":"…"}}` and a source line.
    pub body: Bytes,
    /// How `body` is compressed.
    pub encoding: Encoding,
    /// Bytes of NDJSON before compression.
    pub ndjson_bytes: u32,
    /// Number of documents.
    pub docs: u32,
    /// What is done when all documents are answered.
    pub acks: Vec<Ack>,
    /// Some of the documents may have been sent by an earlier life of the agent (see architecture.md, `_id`).
    pub replay: bool,
    /// When the oldest of its bytes were read, ns since 1970 (for the batch age and the delivery latency).
    pub oldest_ns: i64,
    /// The memory that it holds.
    pub permit: BytePermit,
}
