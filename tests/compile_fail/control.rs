//! The way through redaction compiles.
use fintail::pipeline::{
    batch::{Batch, Clean, Raw},
    redact::Redactor,
};

pub fn redacted(redactor: &mut Redactor, batch: Batch<Raw>) -> Batch<Clean> {
    redactor.redact(batch, &"domain")
}
