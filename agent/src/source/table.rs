//! `SourceId` → names and the pre-rendered JSON of a container, shared by control plane and shards.
//! It must not know records.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::SourceId;

/// What is known of one container's log, rendered and redacted once.
#[derive(Debug)]
pub struct SourceMeta {
    /// Within what one value gives one token (`redaction.token_domain`): the namespace, or one text for all.
    pub token_domain: String,
    /// The stretch of a document between `"log":{"offset":N` and the time that it was read; see `encode`.
    pub fragment: Box<[u8]>,
    /// The data stream of its documents.
    pub data_stream: Arc<str>,
}

/// All sources of this process; entries are never removed, ids never reused.
#[derive(Debug, Default)]
pub struct SourceTable {
    entries: ArcSwap<Vec<Arc<SourceMeta>>>,
    write: Mutex<()>,
}

impl SourceTable {
    /// Adds a source.
    pub fn add(&self, meta: SourceMeta) -> SourceId {
        let _one_writer = self.write.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = Vec::clone(&self.entries.load());
        let id = SourceId(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        entries.push(Arc::new(meta));
        self.entries.store(Arc::new(entries));
        id
    }

    /// All entries as they are now, indexed by `SourceId`.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Vec<Arc<SourceMeta>>> {
        self.entries.load_full()
    }
}
