//! Clean batch → NDJSON frames: an action line and a document an event, compressed frame by frame.
//! It must not know HTTP, retries, who takes the frames, or what a document holds.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::batch::{Batch, Clean, Parts};
use super::document::{DocumentSettings, Documents};
use crate::deliver::ack::Ack;
use crate::deliver::{Encoding, Frame};
use crate::runtime::budget::BytePool;
use crate::runtime::buffers::BufferPool;
use crate::source::table::SourceMeta;

/// A frame is sealed when it holds this much NDJSON (architecture.md: 256 KiB costs 1 % of size against one long
/// stream, 64 KiB 11 %).
pub const FRAME_BYTES: usize = 256 * 1024;

/// Room in a frame's buffer: what is below [`FRAME_BYTES`] takes one more document of any common size.
pub const FRAME_CAPACITY_BYTES: usize = 384 * 1024;

/// Level 1 of both compressors: the agent pays for CPU on every node, the wire is cheap.
const COMPRESSION_LEVEL: i32 = 1;

/// Frame under construction, for one data stream.
struct OpenFrame {
    stream: Arc<str>,
    ndjson: Vec<u8>,
    docs: u32,
    acks: Vec<Ack>,
    replay: bool,
    oldest_ns: i64,
}

/// The stage: open frames by data stream, compressors, and what every document says alike.
pub struct Encoder {
    pool: Arc<BytePool>,
    buffers: Arc<BufferPool>,
    open: Vec<OpenFrame>,
    gzip: libdeflater::Compressor,
    zstd: zstd::bulk::Compressor<'static>,
    compressed: Vec<u8>,
    scratch: Vec<u8>,
    settings: Arc<DocumentSettings>,
    /// Events that shipped with a flaw, since the last look.
    flawed: u64,
}

impl Encoder {
    /// An encoder for one shard.
    ///
    /// # Errors
    /// No memory for the zstd context.
    pub fn new(
        pool: Arc<BytePool>,
        buffers: Arc<BufferPool>,
        settings: Arc<DocumentSettings>,
    ) -> io::Result<Self> {
        let level = libdeflater::CompressionLvl::new(COMPRESSION_LEVEL).unwrap_or_default();
        Ok(Self {
            pool,
            buffers,
            open: Vec::new(),
            gzip: libdeflater::Compressor::new(level),
            zstd: zstd::bulk::Compressor::new(COMPRESSION_LEVEL)?,
            compressed: Vec::new(),
            scratch: Vec::new(),
            settings,
            flawed: 0,
        })
    }

    /// Bytes in open frames.
    #[must_use]
    pub fn open_bytes(&self) -> u64 {
        self.open.iter().map(|f| f.ndjson.capacity() as u64).sum()
    }

    /// When the oldest open frame began, ns since 1970.
    #[must_use]
    pub fn oldest_ns(&self) -> Option<i64> {
        self.open.iter().map(|f| f.oldest_ns).min()
    }

    /// Events that shipped with a flaw since the last call.
    pub fn take_flawed(&mut self) -> u64 {
        std::mem::take(&mut self.flawed)
    }

    /// Encodes a batch; full frames go to `sealed`. Gives the batch's allocations back.
    pub fn run(
        &mut self,
        batch: Batch<Clean>,
        sources: &[Arc<SourceMeta>],
        encoding: Encoding,
        sealed: &mut Vec<Frame>,
    ) -> Parts {
        let parts = batch.parts();
        let mut acks = parts.acks.iter();
        let settings = Arc::clone(&self.settings);
        let mut documents = Documents::new(parts, &settings);
        let mut last = None;
        let mut left = Vec::new();
        let mut withheld = parts.withheld.as_slice();
        for (index, record) in (0u32..).zip(&parts.records) {
            if let Some(rest) = withheld.strip_prefix(&[index]) {
                // It never ships; its bytes are done with all the same.
                withheld = rest;
                documents.skip(record);
                for ack in acks.by_ref() {
                    left.push(Ack { events: 0, ..*ack });
                    if ack.events > 0 {
                        break;
                    }
                }
                continue;
            }
            let Some(meta) = sources.get(record.source.0 as usize) else { continue };
            let Some(info) = parts.chunks.get(record.chunk as usize) else { continue };
            let at = frame_for(&mut self.open, &self.buffers, &meta.data_stream, info.read_at_ns);
            let Some(frame) = self.open.get_mut(at) else { continue };
            let ndjson = &mut frame.ndjson;
            ndjson.extend_from_slice(b"{\"create\":{\"_id\":\"");
            ndjson.extend_from_slice(&info.id_prefix.event_id(record.start, record.raw_len));
            ndjson.extend_from_slice(b"\"}}\n");
            let flaws = documents.write(record, meta, &mut self.scratch, ndjson);
            ndjson.push(b'\n');
            self.flawed += u64::from(flaws != 0);
            frame.docs += 1;
            frame.replay |= info.replay;
            // The record's own span, after those without an event that came before it.
            for ack in acks.by_ref() {
                merge_ack(&mut frame.acks, ack);
                if ack.events > 0 {
                    break;
                }
            }
            last = Some(at);
            if frame.ndjson.len() >= FRAME_BYTES {
                self.seal(at, encoding, sealed);
                last = None;
            }
        }
        // Spans without an event at the end ride with the last document; where there is none, the shard
        // acknowledges them itself (see `Batch::take_acks`).
        if let Some(frame) = last.and_then(|at| self.open.get_mut(at)) {
            acks.by_ref().for_each(|ack| merge_ack(&mut frame.acks, ack));
        }
        left.extend(acks.copied());
        let mut parts = batch.into_parts();
        parts.acks.clear();
        parts.acks.extend(left);
        parts
    }

    /// Seals frames whose oldest bytes were read before `before_ns`.
    pub fn flush(&mut self, before_ns: i64, encoding: Encoding, sealed: &mut Vec<Frame>) {
        while let Some(at) = self.open.iter().position(|f| f.oldest_ns < before_ns) {
            self.seal(at, encoding, sealed);
        }
    }

    fn seal(&mut self, at: usize, encoding: Encoding, sealed: &mut Vec<Frame>) {
        let frame = self.open.swap_remove(at);
        let ndjson_bytes = u32::try_from(frame.ndjson.len()).unwrap_or(u32::MAX);
        let (body, encoding, held) = self.compress(frame.ndjson, encoding);
        sealed.push(Frame {
            stream: frame.stream,
            permit: self.pool.acquire_over(held as u64),
            body,
            encoding,
            ndjson_bytes,
            docs: frame.docs,
            acks: frame.acks,
            replay: frame.replay,
            oldest_ns: frame.oldest_ns,
        });
    }

    /// One gzip member or zstd frame; plain where the compressor refuses (it never should). Also tells how much
    /// memory the body holds.
    fn compress(&mut self, ndjson: Vec<u8>, encoding: Encoding) -> (Bytes, Encoding, usize) {
        let bound = match encoding {
            Encoding::Identity => 0,
            Encoding::Gzip => self.gzip.gzip_compress_bound(ndjson.len()),
            Encoding::Zstd => zstd::zstd_safe::compress_bound(ndjson.len()),
        };
        if self.compressed.len() < bound {
            self.compressed.resize(bound, 0);
        }
        let done = match encoding {
            Encoding::Identity => None,
            Encoding::Gzip => self.gzip.gzip_compress(&ndjson, &mut self.compressed).ok(),
            Encoding::Zstd => self.zstd.compress_to_buffer(&ndjson, self.compressed.as_mut_slice()).ok(),
        };
        match done.and_then(|n| self.compressed.get(..n)) {
            Some(member) => {
                self.buffers.give_back(ndjson);
                (Bytes::copy_from_slice(member), encoding, member.len())
            }
            None => {
                let held = ndjson.capacity();
                (self.buffers.freeze(ndjson), Encoding::Identity, held)
            }
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("open_frames", &self.open.len()).finish_non_exhaustive()
    }
}

fn frame_for(open: &mut Vec<OpenFrame>, buffers: &BufferPool, stream: &Arc<str>, read_at_ns: i64) -> usize {
    if let Some(at) = open.iter().position(|f| Arc::ptr_eq(&f.stream, stream) || f.stream == *stream) {
        return at;
    }
    open.push(OpenFrame {
        stream: Arc::clone(stream),
        ndjson: buffers.take(),
        docs: 0,
        acks: Vec::new(),
        replay: false,
        oldest_ns: read_at_ns,
    });
    open.len() - 1
}

/// Spans of one stream that follow each other become one.
fn merge_ack(acks: &mut Vec<Ack>, ack: &Ack) {
    // Two streams interleave, so the span to go on with is one of the last two.
    for before in acks.iter_mut().rev().take(2) {
        if before.stream == ack.stream
            && before.span.generation == ack.span.generation
            && before.span.to == ack.span.from
        {
            before.span.to = ack.span.to;
            before.events += ack.events;
            return;
        }
    }
    acks.push(*ack);
}
