//! From encoded frames to answered documents: lanes, `_bulk` requests, retries, dead letters, acknowledgements.
//! It must not know records, sources or redaction.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use crate::admin::metrics::Metrics;
use crate::runtime::budget::BytePermit;
use ack::{Ack, AckLedger};
use attempt::Context;
use dead_letter::DeadLetters;
use queue::{Message, Queue, Shared};

pub use http::StartError;
pub use settings::{Auth, BatchLimits, Compression, DeadLetterSettings, SecretSource, Settings};

pub mod ack;
mod attempt;
mod bulk;
pub mod dead_letter;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod lane;
mod queue;
pub mod retry;
pub mod settings;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod write_index;

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

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("stream", &self.stream)
            .field("body_bytes", &self.body.len())
            .field("encoding", &self.encoding)
            .field("docs", &self.docs)
            .finish_non_exhaustive()
    }
}

/// What delivery works with.
#[derive(Debug)]
pub struct Deps {
    /// Learns of answered documents.
    pub ledger: Arc<AckLedger>,
    /// Counts.
    pub metrics: Metrics,
    /// The checkpoint's: data stream → oldest write index under which anything unanswered may have been attempted.
    pub write_index_floors: HashMap<String, String>,
    /// Where its tasks run.
    pub runtime: Handle,
}

/// Hands frames over; for shard threads.
#[derive(Clone, Debug)]
pub struct FrameSender(mpsc::UnboundedSender<Message>);

impl FrameSender {
    /// Never blocks: what waits is bounded by the frames' byte permits.
    ///
    /// # Errors
    /// Where delivery has ended; the frame's bytes are then not acknowledged.
    pub fn send(&self, frame: Frame) -> Result<(), Ended> {
        self.0.send(Message::Frame(frame)).map_err(|_| Ended)
    }
}

/// Delivery has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("delivery has ended")]
pub struct Ended;

/// The delivery that runs. It ends when this and all [`FrameSender`]s are gone and everything is answered.
#[derive(Clone)]
pub struct Delivery {
    messages: mpsc::UnboundedSender<Message>,
    context: Arc<Context>,
    shared: Arc<Mutex<Shared>>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("encoding", &self.encoding()).finish_non_exhaustive()
    }
}

impl Delivery {
    /// What a frame that is sealed now is to be compressed with.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.context.encoding()
    }

    /// All frames that an earlier life may have sent have been handed over (at once where there was none): from
    /// now on the floors may move on. Never calling it is safe, but look-ups then go further and further back.
    pub fn replayed(&self) {
        // An ended delivery has no floors to move.
        let _ = self.messages.send(Message::Replayed);
    }

    /// Sends all that waits without regard to its age, and waits until it is answered; false where the time was
    /// over. Shards must have handed over their last frame before.
    pub async fn drain(&self, deadline: Instant) -> bool {
        let (done, answered) = oneshot::channel();
        if self.messages.send(Message::Drain(done)).is_err() {
            return false;
        }
        matches!(tokio::time::timeout_at(deadline, answered).await, Ok(Ok(())))
    }

    /// Data stream → floor, for the checkpoint. Ask **before** the ledger's marks that go into the same checkpoint:
    /// a floor that is older than the marks is safe, a younger one is not.
    #[must_use]
    pub fn write_index_floors(&self) -> HashMap<String, String> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).floors.clone()
    }

    /// Whether a data stream stands still because the destination refuses it.
    #[must_use]
    pub fn held(&self) -> bool {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).held > 0
    }
}

/// Starts delivery; the destination need not be up.
///
/// # Errors
/// What is wrong in the settings, or with the dead-letter folder.
pub fn start(settings: Settings, deps: Deps) -> Result<(FrameSender, Delivery), StartError> {
    let client = http::Client::new(&settings)?;
    let dir = &settings.dead_letters.dir;
    let dead_letters = DeadLetters::open(dir, settings.dead_letters.max_bytes)
        .map_err(|source| StartError::DeadLetters { path: dir.clone(), source })?;
    deps.metrics.dead_letters.set(i64::try_from(dead_letters.count()).unwrap_or(i64::MAX));
    let encoding = match settings.compression {
        Compression::Auto | Compression::Gzip => Encoding::Gzip,
        Compression::Zstd => Encoding::Zstd,
        Compression::None => Encoding::Identity,
    };
    let context = Arc::new(Context {
        client,
        ledger: deps.ledger,
        metrics: deps.metrics,
        dead_letters: Arc::new(Mutex::new(dead_letters)),
        cutting: Semaphore::new(1),
        encoding: AtomicU8::new(encoding as u8),
        late_request: settings.late_request,
    });
    let shared = Arc::new(Mutex::new(Shared { floors: deps.write_index_floors, held: 0 }));
    let (messages, inbox) = mpsc::unbounded_channel();
    let queue = Queue::new(settings, Arc::clone(&context), Arc::clone(&shared));
    deps.runtime.spawn(queue.run(inbox));
    Ok((FrameSender(messages.clone()), Delivery { messages, context, shared }))
}
