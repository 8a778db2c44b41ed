//! Owns one event under way: the pen with its seed, tokens and the small pieces every shape is made of.
//! Must not know: the shapes.

use std::ops::Range;

use super::Pod;
use super::chance::Rng;
use super::secret::Other;
use super::text::{civil, clock, decimal, hex, padded, stamp_s, uuid};

/// One event under way: its text and what was planted, as ranges of `values`.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) text: Vec<u8>,
    pub(super) values: Vec<u8>,
    pub(super) marks: Vec<(&'static str, Range<usize>)>,
}

impl Draft {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.values.clear();
        self.marks.clear();
    }
}

/// Writes one event's text; chance, tokens and planted values at hand.
pub(super) struct Pen<'a> {
    pub(super) rng: Rng,
    pub(super) draft: &'a mut Draft,
    pub(super) source: u32,
    pub(super) seq: u64,
    pub(super) wall_ns: u64,
    pub(super) pod: &'a Pod,
    pub(super) card: bool,
    pub(super) email: bool,
    pub(super) other: Option<Other>,
}

/// `put!(pen, "literal", pen_method(args), …)`: literals and writers in the order of the text.
macro_rules! put {
    ($pen:ident $(,)?) => { () };
    ($pen:ident, $text:literal $($rest:tt)*) => {{ $pen.put($text); put!($pen $($rest)*) }};
    ($pen:ident, $call:ident($($arg:expr),*) $($rest:tt)*) => {{ $pen.$call($($arg),*); put!($pen $($rest)*) }};
}

pub(super) use put;

impl Pen<'_> {
    pub(super) fn put(&mut self, text: &str) {
        self.draft.text.extend_from_slice(text.as_bytes());
    }

    pub(super) fn any(&mut self, list: &[&str]) {
        let text = self.rng.pick(list);
        self.put(text);
    }

    pub(super) fn num(&mut self, from: u64, to: u64) {
        let value = self.rng.between(from, to);
        decimal(value, &mut self.draft.text);
    }

    pub(super) fn hex(&mut self, width: usize) {
        let mut left = width;
        while left > 0 {
            let value = self.rng.next();
            hex(value, left, &mut self.draft.text);
            left -= left.min(16);
        }
    }

    pub(super) fn uuid(&mut self) {
        uuid(&mut self.rng, &mut self.draft.text);
    }

    pub(super) fn amount(&mut self) {
        self.num(1, 9_999);
        self.put(".");
        let cents = self.rng.below(100);
        padded(cents, 2, &mut self.draft.text);
    }

    pub(super) fn ip(&mut self) {
        put! { self, "10.", num(0, 63), ".", num(0, 255), ".", num(1, 254) };
    }

    pub(super) fn start(&mut self) {
        self.token(b"-n");
    }

    pub(super) fn end(&mut self) {
        self.token(b"-z");
    }

    pub(super) fn token(&mut self, tag: &[u8]) {
        let text = &mut self.draft.text;
        text.extend_from_slice(b"src");
        decimal(u64::from(self.source), text);
        text.extend_from_slice(tag);
        padded(self.seq, 10, text);
    }

    pub(super) fn iso_ms(&mut self) {
        let text = &mut self.draft.text;
        stamp_s(self.wall_ns / 1_000_000_000, b'T', text);
        text.push(b'.');
        padded(self.wall_ns / 1_000_000 % 1_000, 3, text);
        text.push(b'Z');
    }

    pub(super) fn log4j(&mut self) {
        let text = &mut self.draft.text;
        stamp_s(self.wall_ns / 1_000_000_000, b' ', text);
        text.push(b',');
        padded(self.wall_ns / 1_000_000 % 1_000, 3, text);
    }

    pub(super) fn epoch_ms(&mut self) {
        decimal(self.wall_ns / 1_000_000, &mut self.draft.text);
    }

    pub(super) fn epoch_s(&mut self) {
        let text = &mut self.draft.text;
        decimal(self.wall_ns / 1_000_000_000, text);
        text.push(b'.');
        padded(self.wall_ns / 1_000 % 1_000_000, 6, text);
    }

    /// `23/Nov/2026:08:01:02 +0000`
    pub(super) fn clf(&mut self) {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let seconds = self.wall_ns / 1_000_000_000;
        let (year, month, day) = civil(seconds / 86_400);
        padded(day, 2, &mut self.draft.text);
        self.put("/");
        self.put(MONTHS[(month as usize - 1) % 12]);
        self.put("/");
        padded(year, 4, &mut self.draft.text);
        self.put(":");
        clock(seconds, &mut self.draft.text);
        self.put(" +0000");
    }

    pub(super) fn pod_name(&mut self) {
        self.draft.text.extend_from_slice(self.pod.name.as_bytes());
    }

    pub(super) fn service(&mut self) {
        let service = self.pod.container;
        self.put(service);
    }
}
