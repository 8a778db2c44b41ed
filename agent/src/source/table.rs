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

/// The sources of this process. A number is used again once its source is gone.
#[derive(Debug, Default)]
pub struct SourceTable {
    entries: ArcSwap<Vec<Arc<SourceMeta>>>,
    free: Mutex<Vec<SourceId>>,
}

impl SourceTable {
    /// Adds a source.
    pub fn add(&self, meta: SourceMeta) -> SourceId {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = Vec::clone(&self.entries.load());
        let id = free.pop().unwrap_or(SourceId(u32::try_from(entries.len()).unwrap_or(u32::MAX)));
        match entries.get_mut(id.0 as usize) {
            Some(entry) => *entry = Arc::new(meta),
            None => entries.push(Arc::new(meta)),
        }
        self.entries.store(Arc::new(entries));
        id
    }

    /// The source is gone, and no record of it is on its way to `encode`.
    pub fn remove(&self, id: SourceId) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = Vec::clone(&self.entries.load());
        if let Some(entry) = entries.get_mut(id.0 as usize) {
            *entry = Arc::new(SourceMeta {
                token_domain: String::new(),
                fragment: Box::default(),
                data_stream: Arc::from(""),
            });
            free.push(id);
        }
        self.entries.store(Arc::new(entries));
    }

    /// All entries as they are now, indexed by `SourceId`.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Vec<Arc<SourceMeta>>> {
        self.entries.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again() {
        let meta = |stream: &str| SourceMeta {
            token_domain: String::new(),
            fragment: Box::default(),
            data_stream: Arc::from(stream),
        };
        let table = SourceTable::default();
        let (a, b) = (table.add(meta("a")), table.add(meta("b")));
        table.remove(a);
        assert_eq!(table.add(meta("c")), a);
        assert_ne!(a, b);
        let names: Vec<_> = table.snapshot().iter().map(|m| m.data_stream.to_string()).collect();
        assert_eq!(names, ["c", "b"]);
    }
}
