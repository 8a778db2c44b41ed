//! For tests: frames, and a bulk endpoint with backing indices whose faults are drawn from a seed.
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use fintail_parsers::container::cri::Stream;

use super::ack::Ack;
use super::{Encoding, Frame};
use crate::runtime::budget::BytePool;
use crate::source::{FileSpan, GenerationId};

/// A pool that no test exhausts.
pub(super) fn pool() -> Arc<BytePool> {
    BytePool::new(1 << 30)
}

/// `numbers` of generation 0's documents, one byte of the file each.
pub(super) fn frame(pool: &Arc<BytePool>, stream: &str, encoding: Encoding, numbers: Range<u32>) -> Frame {
    let mut text = String::new();
    for number in numbers.clone() {
        text.push_str(&format!("{{\"create\":{{\"_id\":\"id{number:010}\"}}}}\n{{\"n\":{number}}}\n"));
    }
    let body = match encoding {
        Encoding::Identity => Bytes::from(text.clone()),
        Encoding::Zstd => zstd::bulk::compress(text.as_bytes(), 1).unwrap().into(),
        Encoding::Gzip => {
            use std::io::Write;
            let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gz.write_all(text.as_bytes()).unwrap();
            gz.finish().unwrap().into()
        }
    };
    let ack = Ack {
        span: FileSpan { generation: GenerationId(0), from: numbers.start.into(), to: numbers.end.into() },
        stream: Stream::Stdout,
        events: numbers.end - numbers.start,
    };
    Frame {
        stream: stream.into(),
        permit: pool.acquire_over(body.len() as u64),
        body,
        encoding,
        ndjson_bytes: text.len() as u32,
        docs: numbers.end - numbers.start,
        acks: vec![ack],
        replay: false,
        oldest_ns: 0,
    }
}

/// The text of a body of one or more members.
pub(super) fn decode_body(body: &[u8], encoding: Encoding) -> Vec<u8> {
    use std::io::Read;
    let mut text = Vec::new();
    match encoding {
        Encoding::Identity => text.extend_from_slice(body),
        Encoding::Gzip => {
            flate2::read::MultiGzDecoder::new(body).read_to_end(&mut text).unwrap();
        }
        Encoding::Zstd => {
            zstd::Decoder::new(body).unwrap().read_to_end(&mut text).unwrap();
        }
    }
    text
}
