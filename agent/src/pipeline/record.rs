//! One event as positions: a `Record` is 48 bytes that point into the text of its batch.
//! It must not know where the bytes came from on disk beyond an offset, nor where they go.

use fintail_parsers::Span;
use fintail_parsers::container::cri::Stream;

use crate::source::SourceId;

/// One whole event: partial pieces and continuation lines are joined already.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Time given by the container runtime to the event's first line, ns since 1970; after `parse` the event's own.
    pub time_ns: i64,
    /// Uncompressed offset of the event's first raw byte in its generation.
    pub start: u64,
    /// The event's text in the batch.
    pub body: Span,
    /// Raw bytes from the first to the last piece (over both generations where it spans two).
    pub raw_len: u32,
    /// Whose event it is.
    pub source: SourceId,
    /// First of its fields in the batch.
    pub field_from: u32,
    /// Number of its fields.
    pub field_count: u16,
    /// Index into the batch's chunks: generation and time of reading.
    pub chunk: u16,
    /// Bits of [`fintail_parsers::Flaw`].
    pub flaws: u16,
    /// stdout or stderr.
    pub stream: Stream,
    /// Log level, where known.
    pub level: Level,
    /// How the body is to be encoded.
    pub shape: Shape,
}

const _: () = assert!(size_of::<Record>() <= 48);

/// What `parse` made of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Shape {
    /// Plain text: all of it is the message.
    Text,
    /// A JSON object whose members stand in the fields.
    Json,
    /// The same, with a leaf that is longer than documents take.
    JsonLong,
}

/// Log levels as documents show them (contract: closed set, lower case).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Level {
    /// Not known; never guessed.
    Unknown,
    /// trace
    Trace,
    /// debug
    Debug,
    /// info
    Info,
    /// notice
    Notice,
    /// warn
    Warn,
    /// error
    Error,
    /// fatal (also crit, alert, emerg)
    Fatal,
}

impl Level {
    /// The name in documents; `None` for unknown.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown => return None,
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        })
    }
}

/// One top-level member of a JSON record.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The key without its quotes, raw.
    pub key: Span,
    /// The value, raw, with its quotes where it is a string.
    pub value: Span,
    /// What becomes of it.
    pub role: Role,
}

/// What becomes of a field in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Goes under `app`.
    App,
    /// `message`: a JSON string.
    Message,
    /// `trace.id`
    TraceId,
    /// `span.id`
    SpanId,
    /// `log.logger`
    Logger,
    /// `service.name`
    ServiceName,
    /// Told by the record itself (time, level): not encoded again.
    Promoted,
}

impl Role {
    /// Number of roles.
    pub const COUNT: usize = Self::Promoted as usize + 1;
}
