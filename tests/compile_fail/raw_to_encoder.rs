//! error: mismatched types
use std::sync::Arc;

use fintail::{
    deliver::{Encoding, Frame},
    pipeline::{
        batch::{Batch, Raw},
        encode::Encoder,
    },
    source::table::SourceMeta,
};

pub fn around(
    encoder: &mut Encoder,
    batch: Batch<Raw>,
    sources: &[Arc<SourceMeta>],
    sealed: &mut Vec<Frame>,
) {
    encoder.run(batch, sources, Encoding::Identity, sealed);
}
