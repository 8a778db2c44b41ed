//! Redaction as a stage: MB/s on innocent lines and on the benchmark mix, beside a `RegexSet` of like patterns.
//! Also proves that the stage allocates nothing once its memory has grown.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fintail::pipeline::batch::{Batch, Parts};
use fintail::pipeline::record::{Level, Record, Shape};
use fintail::pipeline::redact::{Redactor, RuleSettings, TokenKey};
use fintail::source::SourceId;
use fintail_parsers::Span;
use fintail_parsers::container::cri::Stream;

/// Counts allocations, so that a hot path can be shown to make none.
struct Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: forwards to the system allocator; only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const BATCH_BYTES: usize = 256 * 1024;
const BATCHES: usize = 16;

/// A small deterministic generator (splitmix64).
struct Rng(u64);
impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len() as u64) as usize]
    }
}

const CARDS: &[&str] =
    &["4111111111111111", "5555555555554444", "4012888888881881", "378282246310005", "6011111111111117"];
const NAMES: &[&str] = &["olena.k", "bob.smith", "jan.kowalski", "m.mueller", "anna", "wei.zhang"];
const MESSAGES: &[&str] = &[
    "payment authorised",
    "retrying upstream call after timeout",
    "ledger entry written",
    "fraud score computed",
    "settlement batch closed",
    "customer profile loaded from cache",
    "webhook delivered to merchant",
];

/// What a line of the mix holds.
#[derive(Clone, Copy)]
struct Planted {
    card: bool,
    mail: bool,
}

fn line(rng: &mut Rng, kind: u64, p: Planted) -> String {
    let card = if p.card { rng.of(CARDS).to_owned() } else { format!("{}", rng.below(1_000_000)) };
    let mail = if p.mail {
        format!("{}{}@mail.example.com", rng.of(NAMES), rng.below(1000))
    } else {
        rng.of(NAMES).to_owned()
    };
    let (a, b, c) = (rng.next(), rng.next(), rng.below(10_000));
    let message = rng.of(MESSAGES);
    match kind {
        0 => format!(
            "{{\"timestamp\":\"2026-11-23T08:{:02}:{:02}.{:06}Z\",\"level\":\"INFO\",\"logger\":\"com.bank.payments.Gateway\",\"thread\":\"http-nio-8080-exec-{}\",\"message\":\"{message}\",\"trace_id\":\"{a:016x}{b:016x}\",\"span_id\":\"{b:016x}\",\"user\":\"{mail}\",\"ref\":\"{card}\",\"amount\":{}.{:02},\"currency\":\"EUR\",\"status\":\"APPROVED\",\"duration_ms\":{c},\"merchant\":\"m-{c}\",\"attempt\":1}}",
            c % 60,
            c % 59,
            a % 1_000_000,
            c % 64,
            c,
            c % 100
        ),
        1 => format!(
            "10.{}.{}.{} - - [23/Nov/2026:08:{:02}:02 +0000] \"GET /api/v1/payments/{c}?user={mail}&ref={card} HTTP/1.1\" 200 {} \"https://shop.example.com/checkout\" \"Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15\" rt=0.{:03}",
            a % 256,
            b % 256,
            c % 256,
            c % 60,
            a % 10_000,
            c % 1000
        ),
        2 => format!(
            "time=2026-11-23T08:01:02.{:03}Z level=info msg=\"{message}\" user={mail} ref={card} trace={a:016x} dur={c}ms shard={}",
            c % 1000,
            c % 8
        ),
        3 => {
            let mut text = format!("java.lang.IllegalStateException: {message} for {mail} ({card})");
            for i in 0..24 {
                text.push_str(&format!(
                    "\n\tat com.bank.payments.step{}.Handler.process(Handler.java:{})",
                    i,
                    (c + i) % 900
                ));
            }
            text
        }
        _ => {
            let mut text = String::from("{\"message\":\"bulk export\",\"items\":[");
            let size = 17_000 + rng.below(24_000) as usize;
            while text.len() < size {
                let n = rng.next();
                text.push_str(&format!(
                    "{{\"id\":\"{n:016x}\",\"state\":\"done\",\"amount\":{}.50,\"note\":\"{}\"}},",
                    n % 9999,
                    rng.of(MESSAGES)
                ));
            }
            text.push_str(&format!("{{\"user\":\"{mail}\",\"ref\":\"{card}\"}}]}}"));
            text
        }
    }
}

/// Batches of the mix: 60 % JSON, 20 % nginx, 10 % logfmt, 5 % stack traces, 5 % long lines, by bytes.
fn batches(planted: bool) -> Vec<(Vec<u8>, Vec<Record>)> {
    let mut rng = Rng(7);
    let shares = [60u64, 20, 10, 5, 5];
    let mut written = [0u64; 5];
    (0..BATCHES)
        .map(|_| {
            let (mut text, mut records) = (Vec::new(), Vec::new());
            while text.len() < BATCH_BYTES {
                let kind = (0..5).min_by_key(|&k| written[k] * 100 / shares[k]).unwrap();
                let p =
                    Planted { card: planted && rng.below(100) < 26, mail: planted && rng.below(100) < 52 };
                let event = line(&mut rng, kind as u64, p);
                written[kind] += event.len() as u64;
                let start = text.len() as u32;
                text.extend_from_slice(event.as_bytes());
                let body = Span::new(start, text.len() as u32);
                text.push(b'\n');
                records.push(Record {
                    time_ns: 0,
                    start: 0,
                    body,
                    raw_len: 0,
                    source: SourceId(1),
                    field_from: 0,
                    field_count: 0,
                    chunk: 0,
                    flaws: 0,
                    stream: Stream::Stdout,
                    level: Level::Unknown,
                    shape: if event.starts_with('{') { Shape::Json } else { Shape::Text },
                });
            }
            (text, records)
        })
        .collect()
}

fn redactor() -> Redactor {
    let mut settings = RuleSettings::default();
    settings.token_key = Some(TokenKey { id: "k1".into(), bytes: vec![7; 32].into() });
    Redactor::new(&settings)
}

fn filled(parts: Parts, from: &(Vec<u8>, Vec<Record>)) -> Batch<fintail::pipeline::batch::Raw> {
    let mut batch = Batch::new(parts);
    batch.parts_mut().clear();
    batch.parts_mut().text.extend_from_slice(&from.0);
    batch.parts_mut().records.extend_from_slice(&from.1);
    batch
}

fn no_allocation(data: &[(Vec<u8>, Vec<Record>)]) {
    let mut engine = redactor();
    let mut parts = Parts::default();
    for round in 0..3 {
        for source in data {
            let batch = filled(parts, source);
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            let clean = engine.redact(batch, &"pay");
            let made = ALLOCATIONS.load(Ordering::Relaxed) - before;
            assert!(round == 0 || made == 0, "{made} allocations in steady state");
            assert!(clean.parts().withheld.is_empty());
            parts = clean.into_parts();
        }
    }
}

fn stage(c: &mut Criterion) {
    for (name, planted) in [("innocent", false), ("mix", true)] {
        let data = batches(planted);
        no_allocation(&data);
        let bytes: usize = data.iter().map(|d| d.0.len()).sum();
        let mut group = c.benchmark_group("redact");
        group.throughput(Throughput::Bytes(bytes as u64)).sample_size(20);
        let mut engine = redactor();
        group.bench_function(name, |b| {
            b.iter_batched(
                || data.iter().map(|d| filled(Parts::default(), d)).collect::<Vec<_>>(),
                |batches| batches.into_iter().map(|b| engine.redact(b, &"pay")).collect::<Vec<_>>(),
                BatchSize::LargeInput,
            );
        });
        group.finish();
    }
    let data = batches(true);
    let bytes: usize = data.iter().map(|d| d.0.len()).sum();
    let set = regex::bytes::RegexSet::new([
        r"\b(?:\d[ .-]?){13,19}\b",
        r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[a-z]{2,}",
        r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b",
        r"(?i)(cvv|cvc|pin|password|passwd|pwd|api_?key|token|secret)\W{1,6}\w+",
        r"eyJ[\w-]+\.eyJ[\w-]+",
        r"A[KS]IA[A-Z0-9]{16}",
        r"(?i)(bearer|basic) \S+",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    ])
    .unwrap();
    let mut group = c.benchmark_group("regex_set_8");
    group.throughput(Throughput::Bytes(bytes as u64)).sample_size(10);
    group.bench_function("mix", |b| {
        b.iter(|| {
            data.iter()
                .flat_map(|(t, r)| r.iter().map(|r| r.body.of(t)))
                .filter(|l| set.is_match(black_box(l)))
                .count()
        });
    });
    group.finish();
}

criterion_group!(benches, stage);
criterion_main!(benches);
