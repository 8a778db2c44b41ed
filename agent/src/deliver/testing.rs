//! For tests: frames, and a bulk endpoint with backing indices whose faults are drawn from a seed.
//! It must not know how delivery works, or it would prove nothing.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fintail_parsers::container::cri::Stream;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, Uri};

use super::ack::Ack;
use super::retry::Jitter;
use super::{Encoding, Frame};
use crate::runtime::budget::BytePool;
use crate::source::{FileSpan, GenerationId};

/// A pool that no test exhausts.
pub(super) fn pool() -> Arc<BytePool> {
    BytePool::new(1 << 30)
}

/// `numbers` of generation 0's documents, one byte of the file each.
pub(super) fn frame(pool: &Arc<BytePool>, stream: &str, encoding: Encoding, numbers: Range<u32>) -> Frame {
    frame_of(pool, stream, encoding, numbers, |_| 0)
}

/// The same with so many bytes more in a document.
pub(super) fn frame_of(
    pool: &Arc<BytePool>,
    stream: &str,
    encoding: Encoding,
    numbers: Range<u32>,
    padding: impl Fn(u32) -> usize,
) -> Frame {
    let mut text = String::new();
    for number in numbers.clone() {
        let pad = "x".repeat(padding(number));
        let document = format!("{{\"n\":{number},\"pad\":\"{pad}\"}}");
        text.push_str(&format!("{{\"create\":{{\"_id\":\"id{number:010}\"}}}}\n{document}\n"));
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

/// A backing index: id → its document.
type BackingIndex = HashMap<String, String>;

/// What the endpoint does with requests, drawn anew for each; parts of 1,000.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) item_429: u64,
    pub(super) item_503_after: u64,
    pub(super) busy_429: u64,
    pub(super) error_503_before: u64,
    pub(super) error_503_after: u64,
    pub(super) cut_before: u64,
    pub(super) cut_after: u64,
    pub(super) too_few: u64,
    pub(super) garbage: u64,
    pub(super) rollover: u64,
    /// Of documents whose number is below this, the nth is refused by the mapping.
    pub(super) bad_every: u32,
    pub(super) refuses_zstd: bool,
    /// Largest body that is taken, in bytes of NDJSON.
    pub(super) max_bytes: Option<usize>,
    /// Every item of this data stream is refused with 403 (write block).
    pub(super) write_block: Option<&'static str>,
    /// Every item is refused with 400 and the shard limit's words.
    pub(super) shard_limit: bool,
    /// Look-ups are answered with 403.
    pub(super) no_read: bool,
    /// Every request is answered with 401.
    pub(super) unauthorized: bool,
}

/// What the endpoint holds and has seen.
#[derive(Debug)]
pub(super) struct State {
    pub(super) faults: Faults,
    jitter: Jitter,
    /// Data stream → its backing indices, oldest first.
    pub(super) streams: HashMap<String, Vec<BackingIndex>>,
    pub(super) requests: u64,
    pub(super) items: u64,
    pub(super) look_ups: u64,
    pub(super) encodings: Vec<String>,
}

impl State {
    fn hit(&mut self, of_1000: u64) -> bool {
        self.jitter.draw() % 1000 < of_1000
    }

    pub(super) fn rollover(&mut self, stream: &str) {
        self.streams.entry(stream.into()).or_default().push(BackingIndex::default());
    }

    /// How often each id stands in a data stream, over all its backing indices.
    pub(super) fn copies(&self, stream: &str) -> BTreeMap<String, usize> {
        let mut copies = BTreeMap::new();
        for id in self.streams.get(stream).into_iter().flatten().flat_map(|index| index.keys()) {
            *copies.entry(id.clone()).or_default() += 1;
        }
        copies
    }
}

/// The endpoint; it ends with its runtime.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) url: String,
    pub(super) state: Arc<Mutex<State>>,
}

enum Answer {
    Cut,
    Status(u16, String),
}

impl Endpoint {
    pub(super) async fn start(seed: u64, faults: Faults, tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        Self::start_at("127.0.0.1:0", seed, faults, tls).await
    }

    pub(super) async fn start_at(
        address: &str,
        seed: u64,
        faults: Faults,
        tls: Option<tokio_rustls::TlsAcceptor>,
    ) -> Self {
        let state = State {
            faults,
            jitter: Jitter::new(seed),
            streams: HashMap::new(),
            requests: 0,
            items: 0,
            look_ups: 0,
            encodings: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port());
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&serving), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => Self::serve(stream, state).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                Self::serve(stream, state).await;
                            }
                        }
                    }
                });
            }
        });
        Self { url, state }
    }

    async fn serve<S>(stream: S, state: Arc<Mutex<State>>)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    {
        let service = hyper::service::service_fn(|request: Request<Incoming>| {
            let state = Arc::clone(&state);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map_err(|_| "no body")?.to_bytes();
                let encoding = head.headers.get("content-encoding").map(|v| v.to_str().unwrap().to_owned());
                match answer(&mut state.lock().unwrap(), &head.method, &head.uri, encoding, &body) {
                    // An error of the service closes the connection without an answer.
                    Answer::Cut => Err("cut"),
                    Answer::Status(status, body) => {
                        Ok(Response::builder().status(status).body(Full::new(Bytes::from(body))).unwrap())
                    }
                }
            }
        });
        let io = hyper_util::rt::TokioIo::new(stream);
        // Cut connections end in an error, as they are meant to.
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
    }
}

fn answer(state: &mut State, method: &Method, uri: &Uri, encoding: Option<String>, body: &[u8]) -> Answer {
    let faults = state.faults;
    if faults.unauthorized {
        return Answer::Status(401, r#"{"error":{"type":"security_exception"},"status":401}"#.into());
    }
    let path: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
    match (method, path.as_slice()) {
        (&Method::GET, [""]) => {
            Answer::Status(200, r#"{"version":{"number":"2.19.0","distribution":"opensearch"}}"#.into())
        }
        (&Method::GET, ["_data_stream", stream]) => match state.streams.get(*stream) {
            None => Answer::Status(404, r#"{"error":{"type":"index_not_found_exception"}}"#.into()),
            Some(indices) => {
                let indices: Vec<_> = (1..=indices.len())
                    .map(|n| serde_json::json!({"index_name": format!(".ds-{stream}-{n:06}")}))
                    .collect();
                Answer::Status(200, serde_json::json!({"data_streams": [{"indices": indices}]}).to_string())
            }
        },
        (&Method::POST, [index, "_mget"]) => {
            state.look_ups += 1;
            if faults.no_read {
                return Answer::Status(403, r#"{"error":{"type":"security_exception"}}"#.into());
            }
            let (stream, n) = index.strip_prefix(".ds-").unwrap().rsplit_once('-').unwrap();
            let index = &state.streams[stream][n.parse::<usize>().unwrap() - 1];
            let ids: serde_json::Value = serde_json::from_slice(body).unwrap();
            let docs: Vec<_> = ids["ids"]
                .as_array()
                .unwrap()
                .iter()
                .map(|id| serde_json::json!({"_id": id, "found": index.contains_key(id.as_str().unwrap())}))
                .collect();
            Answer::Status(200, serde_json::json!({ "docs": docs }).to_string())
        }
        (&Method::POST, [stream, "_bulk"]) => bulk(state, stream, encoding, body),
        _ => Answer::Status(405, String::new()),
    }
}

fn bulk(state: &mut State, stream: &str, encoding: Option<String>, body: &[u8]) -> Answer {
    let faults = state.faults;
    state.requests += 1;
    let busy = || Answer::Status(429, r#"{"error":{"type":"es_rejected_execution_exception"}}"#.into());
    let broken = || Answer::Status(503, "<html>bad gateway</html>".into());
    let encoding = encoding.unwrap_or_else(|| "identity".into());
    state.encodings.push(encoding.clone());
    let encoding = match encoding.as_str() {
        "zstd" if faults.refuses_zstd => {
            return Answer::Status(400, r#"{"error":{"type":"illegal_argument_exception"}}"#.into());
        }
        "zstd" => Encoding::Zstd,
        "gzip" => Encoding::Gzip,
        _ => Encoding::Identity,
    };
    let text = String::from_utf8(decode_body(body, encoding)).unwrap();
    if faults.max_bytes.is_some_and(|max| text.len() > max) {
        return Answer::Status(413, String::new());
    }
    if state.hit(faults.busy_429) {
        return busy();
    }
    if state.hit(faults.error_503_before) {
        return broken();
    }
    if state.hit(faults.cut_before) {
        return Answer::Cut;
    }
    if !state.streams.contains_key(stream) && !faults.shard_limit {
        state.rollover(stream);
    }
    let mut items = Vec::new();
    let mut lines = text.lines();
    while let (Some(action), Some(document)) = (lines.next(), lines.next()) {
        state.items += 1;
        items.push(item(state, stream, action, document));
    }
    if state.hit(faults.rollover) {
        state.rollover(stream);
    }
    if state.hit(faults.error_503_after) {
        return broken();
    }
    if state.hit(faults.cut_after) {
        return Answer::Cut;
    }
    if state.hit(faults.too_few) {
        items.pop();
    }
    if state.hit(faults.garbage) {
        return Answer::Status(200, "{\"errors\":false,\"items\":[{\"cr".into());
    }
    Answer::Status(200, format!(r#"{{"errors":false,"items":[{}]}}"#, items.join(",")))
}

fn item(state: &mut State, stream: &str, action: &str, document: &str) -> String {
    let faults = state.faults;
    let refused = |status: u16, kind: &str, reason: &str| {
        serde_json::json!({"create": {"status": status, "error": {"type": kind, "reason": reason}}})
            .to_string()
    };
    if faults.write_block == Some(stream) {
        return refused(403, "cluster_block_exception", "blocked by: [FORBIDDEN/8/index write (api)];");
    }
    if faults.shard_limit {
        return refused(
            400,
            "validation_exception",
            "Validation Failed: 1: this action would add [2] shards",
        );
    }
    let action: serde_json::Value = serde_json::from_str(action).unwrap();
    let id = action["create"]["_id"].as_str().unwrap();
    let number: serde_json::Value = serde_json::from_str(document).unwrap();
    let number = number["n"].as_u64().unwrap() as u32;
    if faults.bad_every > 0 && number.is_multiple_of(faults.bad_every) {
        return refused(400, "document_parsing_exception", "[1:5] failed to parse field [n] of type [date]");
    }
    if state.hit(faults.item_429) {
        return refused(429, "es_rejected_execution_exception", "rejected execution");
    }
    let index = state.streams.get_mut(stream).and_then(|indices| indices.last_mut()).unwrap();
    if index.contains_key(id) {
        return refused(
            409,
            "version_conflict_engine_exception",
            "version conflict, document already exists",
        );
    }
    index.insert(id.into(), document.into());
    if state.hit(faults.item_503_after) {
        return refused(503, "unavailable_shards_exception", "the primary went away");
    }
    r#"{"create":{"status":201}}"#.into()
}
