//! A line's way to its document: every document is JSON, and where nothing was redacted it says what the line said.
use fintail::config::Config;
use fintail::deliver::Encoding;
use fintail::pipeline::Pipeline;
use fintail::pipeline::batch::{Batch, Parts};
use fintail::pipeline::decode;
use fintail::pipeline::document::DocumentSettings;
use fintail::pipeline::encode::Encoder;
use fintail::pipeline::parse::Parse;
use fintail::pipeline::reassemble::{JoinLimits, Joiner};
use fintail::pipeline::redact::Redactor;
use fintail::runtime::budget::BytePool;
use fintail::runtime::buffers::BufferPool;
use fintail::runtime::settings;
use fintail::source::table::SourceMeta;
use fintail::source::tail::chain::ContainerKey;
use fintail::source::tail::identity::IdPrefix;
use fintail::source::{Chunk, ChunkInfo, GenerationId, SourceId, meta};
use serde::de::IgnoredAny;
use serde_json::Value;
use std::cell::RefCell;
use std::sync::Arc;

struct Stages {
    pipeline: Pipeline,
    sources: Vec<Arc<SourceMeta>>,
    limits: JoinLimits,
}

thread_local! {
    static STAGES: RefCell<Stages> = RefCell::new(Stages::new());
}

impl Stages {
    fn new() -> Self {
        let config = Config::with_endpoints(["http://localhost:9200"]).expect("the defaults");
        let limits = JoinLimits { multiline: false, ..settings::join(&config) };
        let documents = DocumentSettings {
            event_bytes: limits.event_bytes,
            ruleset: "00000000".into(),
            rule_names: settings::rule_names(),
        };
        let encode = Encoder::new(BytePool::new(1 << 30), BufferPool::new(1 << 16, 2), Arc::new(documents));
        let key = ContainerKey {
            namespace: "pay".to_owned(),
            pod: "api-1".to_owned(),
            uid: "u-1".to_owned(),
            container: "app".to_owned(),
        };
        Self {
            pipeline: Pipeline {
                parse: Parse::new(true),
                redact: Redactor::default(),
                encode: encode.expect("memory"),
            },
            sources: vec![Arc::new(meta::of_container(&config, &key, 0, str::to_owned))],
            limits,
        }
    }

    /// The NDJSON that a log file becomes.
    fn ndjson(&mut self, file: &[u8]) -> Vec<u8> {
        let id_prefix = IdPrefix::of_pod_log("u-1", "app", 0, b"", b"");
        let chunk = Chunk {
            source: SourceId(0),
            generation: GenerationId(0),
            offset: 0,
            bytes: file,
            long_line: None,
            ended: true,
            skip_below: [0; 2],
            info: ChunkInfo { id_prefix, read_at_ns: 0, replay: false },
        };
        let (mut lines, mut parts, mut sealed) = (Vec::new(), Parts::default(), Vec::new());
        decode::run(&chunk, &mut decode::Memory::default(), &mut lines);
        let mut joiner = Joiner::new(GenerationId(0), [0; 2]);
        joiner.push(&chunk, &lines, &self.limits, &mut parts);
        joiner.flush_all(SourceId(0), &mut parts);
        self.pipeline.process(Batch::new(parts), &self.sources, Encoding::Identity, &mut sealed);
        self.pipeline.encode.flush(i64::MAX, Encoding::Identity, &mut sealed);
        sealed.iter().flat_map(|frame| frame.body.iter().copied()).collect()
    }
}

/// Each line of `data` as what a container wrote.
pub fn document(data: &[u8]) {
    let bodies: Vec<&[u8]> = data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let mut file = Vec::new();
    for body in &bodies {
        file.extend_from_slice(b"2026-11-23T08:01:02.000000001Z stdout F ");
        file.extend_from_slice(body);
        file.push(b'\n');
    }
    let ndjson = STAGES.with_borrow_mut(|stages| stages.ndjson(&file));
    let written: Vec<&[u8]> = ndjson.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(written.len(), bodies.len() * 2, "not one action and one document an event");
    for (pair, body) in written.chunks(2).zip(bodies) {
        let [action, document] = pair else { continue };
        let action: Value = serde_json::from_slice(action).expect("an action line that is JSON");
        let id = action.get("create").and_then(|create| create.get("_id")?.as_str());
        assert_eq!(id.map(str::len), Some(28), "an _id");
        let read = serde_json::from_slice::<IgnoredAny>(document);
        assert!(read.is_ok(), "no JSON: {read:?} {}", document.escape_ascii());
        // Not every JSON has a `Value`: 1e999 has none.
        if let Ok(document) = serde_json::from_slice::<Value>(document) {
            says_the_same(&document, body);
        }
    }
}

/// Keys whose value may become the document's time or level, in another form.
const TOLD_BY_THE_RECORD: [&str; 13] = [
    "@timestamp",
    "timestamp",
    "time",
    "ts",
    "asctime",
    "datetime",
    "log.level",
    "level",
    "lvl",
    "severity",
    "levelname",
    "loglevel",
    "log_level",
];

fn says_the_same(document: &Value, body: &[u8]) {
    let at = |path: &str| document.pointer(path);
    if at("/fintail/redactions").is_some() {
        return;
    }
    let text = String::from_utf8_lossy(body);
    let message = at("/message").and_then(Value::as_str).expect("every document has a message");
    let object = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(object)) if at("/fintail/flaw").is_none() => object,
        _ => {
            assert_eq!(message, text, "the message is not the line");
            return;
        }
    };
    let is_member = object.values().any(|value| value.as_str() == Some(message));
    assert!(is_member || message == text, "the message is neither the line nor a member of it");
    let promoted = ["/message", "/trace/id", "/span/id", "/log/logger", "/service/name"];
    for (key, value) in &object {
        let kept = at("/app").and_then(|app| app.get(key)) == Some(value)
            || promoted.iter().any(|path| at(path) == Some(value))
            || TOLD_BY_THE_RECORD.contains(&key.as_str());
        assert!(kept, "the member {key:?} is lost");
    }
}
