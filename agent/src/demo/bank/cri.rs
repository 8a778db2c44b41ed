//! Owns how a container runtime frames lines: time, stream, pieces.
//! Must not know: what the lines say.

use super::text::{padded, stamp_s};
use super::{CRI_PIECE_BYTES, Stream};

/// An event's text cut into CRI lines: at `\n`, and lines above the piece size into pieces.
pub(super) struct Lines<'a> {
    rest: Option<&'a [u8]>,
    line: &'a [u8],
    open: bool,
    stream: Stream,
}

pub(super) struct Piece<'a> {
    pub(super) body: &'a [u8],
    pub(super) whole: bool,
    pub(super) stream: Stream,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a [u8], stream: Stream) -> Self {
        Self { rest: Some(text), line: &[], open: false, stream }
    }

    pub(super) fn next(&mut self) -> Option<Piece<'a>> {
        if !self.open {
            let rest = self.rest?;
            match memchr::memchr(b'\n', rest) {
                Some(end) => (self.line, self.rest) = (&rest[..end], Some(&rest[end + 1..])),
                None => (self.line, self.rest) = (rest, None),
            }
        }
        let whole = self.line.len() <= CRI_PIECE_BYTES;
        let (body, left) = self.line.split_at(self.line.len().min(CRI_PIECE_BYTES));
        (self.line, self.open) = (left, !whole);
        Some(Piece { body, whole, stream: self.stream })
    }
}

pub(super) fn round_up(value: u64, to: u64) -> u64 {
    value.div_ceil(to) * to
}

/// RFC 3339 with nanoseconds as Go's `RFC3339Nano` prints it: trailing zeros of the fraction cut.
pub(super) fn stamp_ns(ns: u64, out: &mut Vec<u8>) {
    stamp_s(ns / 1_000_000_000, b'T', out);
    let fraction = ns % 1_000_000_000;
    if fraction > 0 {
        out.push(b'.');
        padded(fraction, 9, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'Z');
}
