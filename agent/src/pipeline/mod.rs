//! The stages of the data path, plain functions on a batch: no await, no lock, no clock, no IO.
//! It must not know where bytes come from or where frames go.
//!
//! ```text
//! Chunk → decode → reassemble → Batch<Raw> → parse → redact → Batch<Clean> → encode → Frame
//! ```

use std::sync::Arc;

use crate::deliver::{Encoding, Frame};
use crate::source::table::SourceMeta;
use batch::{Batch, Parts, Raw};
use encode::Encoder;
use parse::Parse;
use redact::{Redactor, TokenDomains};

use crate::source::SourceId;

pub mod batch;
pub mod decode;
pub mod document;
pub mod encode;
pub mod parse;
pub mod reassemble;
pub mod record;
pub mod redact;

/// The stages of one shard that work on whole batches.
#[derive(Debug)]
pub struct Pipeline {
    /// What the text means.
    pub parse: Parse,
    /// What of it may leave.
    pub redact: Redactor,
    /// What it looks like outside.
    pub encode: Encoder,
}

impl Pipeline {
    /// Takes a batch of whole events through all stages; full frames go to `sealed`. Gives the batch's allocations
    /// back, with those spans left in `acks` that no document carries.
    pub fn process(
        &mut self,
        mut batch: Batch<Raw>,
        sources: &[Arc<SourceMeta>],
        encoding: Encoding,
        sealed: &mut Vec<Frame>,
    ) -> Parts {
        self.parse.run(&mut batch);
        let clean = self.redact.redact(batch, &Domains(sources));
        self.encode.run(clean, sources, encoding, sealed)
    }
}

struct Domains<'a>(&'a [Arc<SourceMeta>]);

impl TokenDomains for Domains<'_> {
    fn domain(&self, source: SourceId) -> &str {
        self.0.get(source.0 as usize).map_or("", |meta| &meta.token_domain)
    }
}
