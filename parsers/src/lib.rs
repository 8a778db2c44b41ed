//! Pure parsers: bytes in, spans out. They own what log bytes mean; they must not know IO, clocks, pods or the agent.
//!
//! A parser cannot fail: what it cannot read becomes plain text with a [`Flaw`]. Spans are byte ranges into the
//! slice that was handed in, never copies and never trees.
//!
//! | module | bytes it reads |
//! |---|---|
//! | [`lines`] | lines in a piece of a file |
//! | [`container`] | CRI log lines, pod log paths |
//! | [`app`] | application formats: JSON, what begins an event |
//! | [`time`] | text to nanoseconds and back |
//! | [`sensitive`] | is this a card number, an IBAN, a JWT: yes or no |
#![forbid(unsafe_code)]

pub mod app;
pub mod container;
pub mod lines;
pub mod sensitive;
mod swar;
pub mod time;

/// A byte range `start..end` in one slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The span `start..end`.
    #[must_use]
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }
    /// Length in bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }
    /// True where the span holds no byte.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }
    /// The same range moved right by `by` bytes.
    #[must_use]
    pub const fn shifted(self, by: u32) -> Self {
        Self { start: self.start + by, end: self.end + by }
    }
    /// The bytes of the span; empty where it lies outside of `bytes`.
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// What was wrong with a line that ships all the same: the closed set behind `fintail.flaw`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Flaw {
    /// Not a CRI line (`TIME STREAM TAG TEXT`); shipped whole as text.
    CriMalformed,
    /// Bytes that are not UTF-8 were replaced by U+FFFD.
    Utf8Repaired,
    /// NUL bytes (a hole after a crash or a truncation with a stale writer).
    NulBytes,
    /// Begins like a JSON object and is none; shipped as text.
    JsonMalformed,
    /// A JSON object names a key twice; shipped as text, since no index takes it.
    JsonDuplicateKey,
    /// JSON nested deeper than the limit; shipped as text.
    JsonTooDeep,
    /// A piece without its end: the writer stopped, or the file ended.
    PartialUnfinished,
    /// Longer than `limits.event`; cut.
    Truncated,
    /// The application's time was unreadable or out of its window; the container runtime's is used.
    TimeRejected,
}

impl Flaw {
    /// All flaws, in the order of their bit.
    pub const ALL: [Self; 9] = [
        Self::CriMalformed,
        Self::Utf8Repaired,
        Self::NulBytes,
        Self::JsonMalformed,
        Self::JsonDuplicateKey,
        Self::JsonTooDeep,
        Self::PartialUnfinished,
        Self::Truncated,
        Self::TimeRejected,
    ];

    /// The name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CriMalformed => "cri_malformed",
            Self::Utf8Repaired => "utf8_repaired",
            Self::NulBytes => "nul_bytes",
            Self::JsonMalformed => "json_malformed",
            Self::JsonDuplicateKey => "json_duplicate_key",
            Self::JsonTooDeep => "json_too_deep",
            Self::PartialUnfinished => "partial_unfinished",
            Self::Truncated => "truncated",
            Self::TimeRejected => "time_rejected",
        }
    }

    /// One bit a flaw.
    #[must_use]
    pub const fn bit(self) -> u16 {
        1 << (self as u8)
    }
}

/// What a parser made of some bytes, and what was wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed<T> {
    /// The fields found.
    pub fields: T,
    /// What was wrong, if anything.
    pub flaw: Option<Flaw>,
}
