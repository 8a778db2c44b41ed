//! A frame on its way: what it still owes, and how it is cut into smaller ones by decoding it alone.
//! It must not know requests or answers; of a document only that it is an action line and a source line.

use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use memchr::{memchr, memmem};

use super::ack::Ack;
use super::{Encoding, Frame};
use crate::runtime::budget::BytePermit;

/// What is owed for one frame, however many pieces it was cut into.
#[derive(Debug)]
pub(super) struct Debt {
    /// Acknowledged when the last document is answered.
    pub(super) acks: Vec<Ack>,
    /// For the delivery latency, ns since 1970.
    pub(super) oldest_ns: i64,
    /// Under which write index it was first attempted (see `write_index`).
    pub(super) epoch: OnceLock<u64>,
    open: AtomicU32,
}

impl Debt {
    /// Settles `docs` documents; true where they were the last.
    pub(super) fn pay(&self, docs: u32) -> bool {
        self.open.fetch_sub(docs, Ordering::AcqRel) == docs
    }
}

/// A frame, or what is left of one.
pub(super) struct Piece {
    pub(super) body: Bytes,
    pub(super) encoding: Encoding,
    pub(super) ndjson_bytes: u32,
    pub(super) docs: u32,
    pub(super) debt: Arc<Debt>,
    /// Documents of it may have been taken already. Only a look-up ends that: a later 429 says nothing about an
    /// earlier attempt.
    /// Since when: a request that nobody waits for any more may still be at work on the server.
    pub(super) uncertain: Option<Instant>,
    /// Attempts without success, one after the other.
    pub(super) failures: u32,
    permit: BytePermit,
}

impl Piece {
    pub(super) fn new(frame: Frame) -> Self {
        let debt = Debt {
            acks: frame.acks,
            oldest_ns: frame.oldest_ns,
            epoch: OnceLock::new(),
            open: AtomicU32::new(frame.docs),
        };
        Self {
            body: frame.body,
            encoding: frame.encoding,
            ndjson_bytes: frame.ndjson_bytes,
            docs: frame.docs,
            debt: Arc::new(debt),
            uncertain: frame.replay.then(Instant::now),
            failures: 0,
            permit: frame.permit,
        }
    }

    /// Puts some documents (by number) into a piece of their own, sealed with `encoding`.
    ///
    /// # Errors
    /// Where the encoder fails (out of memory).
    pub(super) fn part(
        &mut self,
        documents: &Documents,
        numbers: &[u32],
        encoding: Encoding,
    ) -> Result<Self, CutError> {
        let mut text = Vec::new();
        for &number in numbers {
            text.extend_from_slice(documents.whole(number));
        }
        let body = encode(&text, encoding)?;
        Ok(Self {
            permit: self.permit.split(body.len() as u64),
            body,
            encoding,
            ndjson_bytes: u32::try_from(text.len()).unwrap_or(u32::MAX),
            docs: u32::try_from(numbers.len()).unwrap_or(u32::MAX),
            debt: Arc::clone(&self.debt),
            uncertain: self.uncertain,
            failures: self.failures,
        })
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece")
            .field("docs", &self.docs)
            .field("uncertain", &self.uncertain)
            .finish_non_exhaustive()
    }
}

/// Why a frame could not be cut; the frame itself stays whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum CutError {
    #[error("a {0:?} frame does not decode to the {1} bytes it was sealed with")]
    Decode(Encoding, u32),
    #[error("a frame holds {0} documents where {1} were sealed")]
    Documents(usize, u32),
    #[error("a frame could not be sealed as {0:?}")]
    Encode(Encoding),
}

/// The decoded text of a piece, by document.
pub(super) struct Documents {
    text: Vec<u8>,
    /// Start of the action line, start of the source line, end.
    bounds: Vec<(u32, u32, u32)>,
}

impl Documents {
    /// Decodes a piece.
    ///
    /// # Errors
    /// Where the body is not what its head says.
    pub(super) fn of(piece: &Piece) -> Result<Self, CutError> {
        let text = decode(&piece.body, piece.encoding, piece.ndjson_bytes)?;
        let mut bounds = Vec::with_capacity(piece.docs as usize);
        let line = |from: usize| {
            let rest = text.get(from..)?;
            memchr(b'\n', rest).map(|end| from + end + 1)
        };
        let mut start = 0;
        while let Some(source) = line(start)
            && let Some(end) = line(source)
        {
            bounds.push((start as u32, source as u32, end as u32));
            start = end;
        }
        if bounds.len() != piece.docs as usize || start != text.len() {
            return Err(CutError::Documents(bounds.len(), piece.docs));
        }
        Ok(Self { text, bounds })
    }

    fn slice(&self, range: Range<u32>) -> &[u8] {
        self.text.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    fn bounds(&self, number: u32) -> (u32, u32, u32) {
        self.bounds.get(number as usize).copied().unwrap_or_default()
    }

    /// Both lines with their ends.
    fn whole(&self, number: u32) -> &[u8] {
        let (start, _, end) = self.bounds(number);
        self.slice(start..end)
    }

    /// The document without its line end.
    pub(super) fn source(&self, number: u32) -> &[u8] {
        let (_, start, end) = self.bounds(number);
        self.slice(start..end.saturating_sub(1).max(start))
    }

    /// The document's `_id`. Ids are of our own making and need no unescaping.
    pub(super) fn id(&self, number: u32) -> Option<&str> {
        const KEY: &[u8] = br#""_id":""#;
        let (start, end, _) = self.bounds(number);
        let action = self.slice(start..end);
        let rest = action.get(memmem::find(action, KEY)? + KEY.len()..)?;
        std::str::from_utf8(rest.get(..memchr(b'"', rest)?)?).ok()
    }
}

/// Decodes one or more gzip members or zstd frames of known whole length.
fn decode(body: &[u8], encoding: Encoding, ndjson_bytes: u32) -> Result<Vec<u8>, CutError> {
    let whole = ndjson_bytes as usize;
    let mut text = Vec::with_capacity(whole);
    // One byte more than sealed is read, so that a longer text is seen.
    let limit = whole as u64 + 1;
    let read = match encoding {
        Encoding::Identity => body.take(limit).read_to_end(&mut text),
        Encoding::Gzip => flate2::read::MultiGzDecoder::new(body).take(limit).read_to_end(&mut text),
        Encoding::Zstd => {
            zstd::Decoder::new(body).and_then(|decoder| decoder.take(limit).read_to_end(&mut text))
        }
    };
    match read {
        Ok(read) if read == whole => Ok(text),
        _ => Err(CutError::Decode(encoding, ndjson_bytes)),
    }
}

fn encode(text: &[u8], encoding: Encoding) -> Result<Bytes, CutError> {
    let failed = || CutError::Encode(encoding);
    Ok(match encoding {
        Encoding::Identity => Bytes::copy_from_slice(text),
        Encoding::Gzip => {
            let level = libdeflater::CompressionLvl::fastest();
            let mut compressor = libdeflater::Compressor::new(level);
            let mut body = vec![0; compressor.gzip_compress_bound(text.len())];
            let used = compressor.gzip_compress(text, &mut body).map_err(|_| failed())?;
            body.truncate(used);
            body.shrink_to_fit();
            body.into()
        }
        Encoding::Zstd => zstd::bulk::compress(text, 1).map_err(|_| failed())?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{decode_body, frame, pool};
    use super::*;

    #[test]
    fn a_cut_frame_keeps_chosen_documents_and_returns_its_memory() {
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
            let pool = pool();
            let mut piece = Piece::new(frame(&pool, "logs-a-b", encoding, 0..10));
            let documents = Documents::of(&piece).unwrap();
            assert_eq!(documents.id(3).unwrap(), "id0000000003");
            assert!(documents.source(3).ends_with(b"}"));
            let odd = piece.part(&documents, &[1, 3, 5], encoding).unwrap();
            let text = decode_body(&odd.body, encoding);
            assert_eq!(odd.ndjson_bytes as usize, text.len());
            let of_odd = Documents::of(&odd).unwrap();
            let ids: Vec<_> = (0..3).map(|n| of_odd.id(n).unwrap()).collect();
            assert_eq!(ids, ["id0000000001", "id0000000003", "id0000000005"]);
            assert!(!piece.debt.pay(7));
            assert!(odd.debt.pay(3), "the last payment of all pieces pays the debt");
            drop(piece);
            assert_eq!(pool.used(), odd.body.len() as u64);
            drop(odd);
            assert_eq!(pool.used(), 0);
        }
    }

    #[test]
    fn a_frame_that_is_not_what_its_head_says_stays_whole() {
        let pool = pool();
        let mut piece = Piece::new(frame(&pool, "logs-a-b", Encoding::Gzip, 0..3));
        piece.ndjson_bytes += 1;
        assert!(matches!(Documents::of(&piece), Err(CutError::Decode(..))));
        piece.ndjson_bytes -= 2;
        assert!(matches!(Documents::of(&piece), Err(CutError::Decode(..))));
        piece.ndjson_bytes += 1;
        piece.docs = 2;
        assert!(matches!(Documents::of(&piece), Err(CutError::Documents(3, 2))));
    }
}
