//! Owns the data path of one shard fed from memory: the bank's mix as files, and each stage measured where it stands.
//! Must not know: files on disk, threads, what is measured (time, allocations).

use std::ops::Range;
use std::sync::Arc;

use fintail::config::Config;
use fintail::deliver::{Encoding, Frame};
use fintail::demo::bank::{Bank, Options};
use fintail::pipeline::Pipeline;
use fintail::pipeline::batch::{Batch, Parts};
use fintail::pipeline::decode::{self, Line};
use fintail::pipeline::document::DocumentSettings;
use fintail::pipeline::encode::{Encoder, FRAME_CAPACITY_BYTES};
use fintail::pipeline::parse::Parse;
use fintail::pipeline::reassemble::{JoinLimits, Joiner};
use fintail::pipeline::record::Shape;
use fintail::pipeline::redact::{Redactor, RuleSettings, TokenKey};
use fintail::runtime::budget::BytePool;
use fintail::runtime::buffers::BufferPool;
use fintail::runtime::settings;
use fintail::source::meta;
use fintail::source::table::SourceMeta;
use fintail::source::tail::chain::ContainerKey;
use fintail::source::tail::identity::IdPrefix;
use fintail::source::{Chunk, ChunkInfo, GenerationId, SourceId};

/// As the shard reads (`runtime/shard.rs`).
const CHUNK_BYTES: usize = 128 * 1024;
/// As the shard batches.
const BATCH_BYTES: usize = 96 * 1024;
const START_NS: u64 = 1_795_420_800_000_000_000;
const STEP_NS: u64 = 2_000_000;

/// The logs of the bank's pods, in memory.
pub struct Fleet {
    pods: Vec<Pod>,
    /// Pod and range, in the order of reading: all pods grow alike.
    chunks: Vec<(usize, Range<usize>)>,
    bytes: usize,
}

struct Pod {
    file: Vec<u8>,
    meta: Arc<SourceMeta>,
    id_prefix: IdPrefix,
}

impl Fleet {
    /// About `bytes` of the mix (8 pods, seed 1, secrets as often as in careless logs).
    ///
    /// # Errors
    /// The default configuration is refused.
    pub fn new(bytes: usize) -> anyhow::Result<Self> {
        let config = Config::with_endpoints(["http://localhost:9200"])?;
        let options = Options::default();
        let mut pods = Vec::new();
        let mut chunks = Vec::new();
        for source in 0..options.sources {
            let mut bank = Bank::new(options, source);
            let size = (bytes as f64 * bank.weight()) as usize;
            let mut file = Vec::with_capacity(size + CHUNK_BYTES);
            let mut now_ns = START_NS;
            while file.len() < size {
                bank.next(now_ns, &mut file);
                now_ns += STEP_NS;
            }
            let names = bank.pod();
            let key = ContainerKey {
                namespace: names.namespace.to_owned(),
                pod: names.name.clone(),
                uid: names.uid.clone(),
                container: names.container.to_owned(),
            };
            chunks.extend(whole_lines(&file).into_iter().map(|range| (pods.len(), range)));
            pods.push(Pod {
                meta: Arc::new(meta::of_container(&config, &key, 0, str::to_owned)),
                id_prefix: IdPrefix::of_pod_log(&key.uid, &key.container, 0, b"", b""),
                file,
            });
        }
        let bytes = pods.iter().map(|pod| pod.file.len()).sum();
        let mut fleet = Self { pods, chunks, bytes };
        let sizes: Vec<usize> = fleet.pods.iter().map(|pod| pod.file.len().max(1)).collect();
        let place = |(pod, range): &(usize, Range<usize>)| {
            range.end * 1_000_000 / sizes.get(*pod).copied().unwrap_or(1)
        };
        fleet.chunks.sort_by_key(place);
        Ok(fleet)
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &[u8]> {
        self.pods.iter().map(|pod| pod.file.as_slice())
    }
}

/// Cut after the last line end that a chunk has room for.
fn whole_lines(file: &[u8]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut from = 0;
    while from < file.len() {
        let window = file.get(from..file.len().min(from + CHUNK_BYTES)).unwrap_or_default();
        let to = from + memchr::memrchr(b'\n', window).map_or(window.len(), |end| end + 1);
        ranges.push(from..to);
        from = to;
    }
    ranges
}

/// The stages, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Chunk → lines.
    Decode,
    /// Lines → events.
    Reassemble,
    /// What the text means.
    Parse,
    /// What may leave.
    Redact,
    /// Events → frames, sealed (and compressed) where they are full.
    Encode,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Decode, Self::Reassemble, Self::Parse, Self::Redact, Self::Encode];
}

/// What one round over the fleet cost and made.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// By stage, in the probe's unit.
    pub cost: [u64; Stage::ALL.len()],
    /// Batches.
    pub batches: u64,
    /// Events.
    pub records: u64,
    /// Events that redaction touched.
    pub redacted: u64,
    /// Frames sealed.
    pub frames: u64,
    /// Bytes of documents before compression, in sealed frames.
    pub ndjson_bytes: u64,
    /// Bytes of sealed frames.
    pub body_bytes: u64,
}

/// One shard's stages and what they keep from batch to batch.
pub struct Path<'a> {
    fleet: &'a Fleet,
    sources: Vec<Arc<SourceMeta>>,
    pipeline: Pipeline,
    limits: JoinLimits,
    encoding: Encoding,
    memories: Vec<decode::Memory>,
    joiners: Vec<Joiner>,
    lines: Vec<Line>,
    parts: Parts,
    sealed: Vec<Frame>,
    /// Rounds done: the files go on where they ended.
    rounds: u64,
}

impl<'a> Path<'a> {
    /// Ready for the first round.
    ///
    /// # Errors
    /// The default configuration is refused, or there is no memory for zstd.
    pub fn new(fleet: &'a Fleet, encoding: Encoding) -> anyhow::Result<Self> {
        let config = Config::with_endpoints(["http://localhost:9200"])?;
        let mut rules = RuleSettings::default();
        rules.token_key = Some(TokenKey { id: "k1".to_owned(), bytes: vec![7; 32].into() });
        let documents = DocumentSettings {
            event_bytes: settings::join(&config).event_bytes,
            ruleset: settings::ruleset_hash(&rules).into(),
            rule_names: settings::rule_names(),
        };
        let buffers = BufferPool::new(FRAME_CAPACITY_BYTES, 16);
        let pods = &fleet.pods;
        Ok(Self {
            fleet,
            sources: pods.iter().map(|pod| Arc::clone(&pod.meta)).collect(),
            pipeline: Pipeline {
                parse: Parse::new(true),
                redact: Redactor::new(&rules),
                encode: Encoder::new(BytePool::new(1 << 30), buffers, Arc::new(documents))?,
            },
            limits: settings::join(&config),
            encoding,
            memories: pods.iter().map(|_| decode::Memory::default()).collect(),
            joiners: (0..).zip(pods).map(|(n, _)| Joiner::new(GenerationId(n), [0; 2])).collect(),
            lines: Vec::new(),
            parts: Parts::default(),
            sealed: Vec::new(),
            rounds: 0,
        })
    }

    /// Takes all files through all stages once. `probe` is read before and after each stage of each chunk or batch.
    pub fn round(&mut self, mut probe: impl FnMut() -> u64) -> Round {
        let fleet = self.fleet;
        let mut round = Round::default();
        for (source, range) in &fleet.chunks {
            let at = *source;
            let (Some(pod), Some(memory), Some(joiner)) =
                (fleet.pods.get(at), self.memories.get_mut(at), self.joiners.get_mut(at))
            else {
                continue;
            };
            let number = u32::try_from(at).unwrap_or(u32::MAX);
            let chunk = Chunk {
                source: SourceId(number),
                generation: GenerationId(number),
                offset: self.rounds * pod.file.len() as u64 + range.start as u64,
                bytes: pod.file.get(range.clone()).unwrap_or_default(),
                long_line: None,
                ended: false,
                skip_below: [0; 2],
                info: ChunkInfo { id_prefix: pod.id_prefix, read_at_ns: START_NS as i64, replay: false },
            };
            self.lines.clear();
            let before = probe();
            decode::run(&chunk, memory, &mut self.lines);
            let decoded = probe();
            joiner.push(&chunk, &self.lines, &self.limits, &mut self.parts);
            let joined = probe();
            round.add(Stage::Decode, before, decoded);
            round.add(Stage::Reassemble, decoded, joined);
            if self.parts.text.len() >= BATCH_BYTES {
                self.process(&mut probe, &mut round);
            }
        }
        self.process(&mut probe, &mut round);
        self.rounds += 1;
        round
    }

    /// As `Pipeline::process`, stage by stage.
    fn process(&mut self, probe: &mut impl FnMut() -> u64, round: &mut Round) {
        let mut batch = Batch::new(std::mem::take(&mut self.parts));
        round.batches += 1;
        round.records += batch.records().len() as u64;
        let before = probe();
        self.pipeline.parse.run(&mut batch);
        let parsed = probe();
        let clean = self.pipeline.redact.redact(batch, &"pay");
        let redacted = probe();
        round.redacted += clean.parts().hits.chunk_by(|a, b| a.record == b.record).count() as u64;
        let encoding_from = probe();
        self.parts = self.pipeline.encode.run(clean, &self.sources, self.encoding, &mut self.sealed);
        let encoded = probe();
        round.add(Stage::Parse, before, parsed);
        round.add(Stage::Redact, parsed, redacted);
        round.add(Stage::Encode, encoding_from, encoded);
        self.parts.clear();
        for frame in self.sealed.drain(..) {
            round.frames += 1;
            round.ndjson_bytes += u64::from(frame.ndjson_bytes);
            round.body_bytes += frame.body.len() as u64;
        }
    }
}

impl Round {
    fn add(&mut self, stage: Stage, from: u64, to: u64) {
        if let Some(cost) = self.cost.get_mut(stage as usize) {
            *cost += to - from;
        }
    }
}

/// The JSON lines of the mix, each a whole event.
#[must_use]
pub fn json_lines(fleet: &Fleet) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let mut decoded = Vec::new();
    let config = Config::with_endpoints(["http://localhost:9200"]);
    let Ok(limits) = config.map(|config| settings::join(&config)) else { return lines };
    for pod in &fleet.pods {
        let info = ChunkInfo { id_prefix: pod.id_prefix, read_at_ns: 0, replay: false };
        let chunk = Chunk {
            source: SourceId(0),
            generation: GenerationId(0),
            offset: 0,
            bytes: &pod.file,
            long_line: None,
            ended: true,
            skip_below: [0; 2],
            info,
        };
        decoded.clear();
        decode::run(&chunk, &mut decode::Memory::default(), &mut decoded);
        let mut parts = Parts::default();
        Joiner::new(GenerationId(0), [0; 2]).push(&chunk, &decoded, &limits, &mut parts);
        let mut batch = Batch::new(parts);
        Parse::new(true).run(&mut batch);
        let parts = batch.parts();
        let json = parts.records.iter().filter(|r| r.shape != Shape::Text);
        lines.extend(json.map(|r| r.body.of(&parts.text).to_vec()));
    }
    lines
}
