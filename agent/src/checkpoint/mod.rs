//! What survives a restart: one mark per stream of each generation, and the write index of each data stream.
//! It must not know who reads files, nor what the marks mean.
//!
//! On disk (`state_dir/checkpoint`, the one before as `checkpoint.before`):
//!
//! ```text
//! fintail-checkpoint 1 <crc32c of the body, 8 hex digits>\n
//! {"marks":{"<16 characters of identity>":[<stdout>,<stderr>],…},"write_index":{"<data stream>":"<index>",…}}
//! ```

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::source::tail::identity::IdPrefix;

pub mod store;

/// The content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Marks (stdout, stderr) by identity.
    pub marks: HashMap<String, [u64; 2]>,
    /// By data stream: the oldest write index under which something may have been sent that was not answered for.
    #[serde(default)]
    pub write_index: HashMap<String, String>,
}

/// Where an earlier life stopped, as readers ask for it.
#[derive(Debug, Default)]
pub struct Resume {
    marks: HashMap<IdPrefix, [u64; 2]>,
    exists: bool,
}

impl Resume {
    /// From what was found on disk.
    #[must_use]
    pub fn new(found: Option<&Checkpoint>) -> Self {
        let entries = found.iter().flat_map(|c| &c.marks);
        let marks = entries.filter_map(|(id, marks)| Some((IdPrefix::from_text(id)?, *marks))).collect();
        Self { marks, exists: found.is_some() }
    }

    /// Marks (stdout, stderr) of a generation.
    #[must_use]
    pub fn marks(&self, id: &IdPrefix) -> Option<[u64; 2]> {
        self.marks.get(id).copied()
    }

    /// There was an earlier life.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.exists
    }

    /// All marks.
    pub fn all(&self) -> impl Iterator<Item = (&IdPrefix, &[u64; 2])> {
        self.marks.iter()
    }
}
