//! The data path from a chunk to sealed frames, on the bank's mix: MB of input a second for each stage where it
//! stands in the path (the caches as they are there), for the whole, and for yardsticks in the same run.
//!
//! `cargo bench -p fintail-bench --bench stages`. See `bench/RESULTS.md`.
#![allow(missing_docs, clippy::expect_used, clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use fintail::deliver::Encoding;
use fintail_bench::path::{Fleet, Path, Stage, json_lines};
use fintail_parsers::app::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FLEET_BYTES: usize = 8 << 20;

fn yardsticks(c: &mut Criterion, fleet: &Fleet) {
    let mut group = c.benchmark_group("yardstick");
    group.throughput(Throughput::Bytes(fleet.bytes() as u64));
    let mut copy = vec![0; fleet.files().map(<[u8]>::len).max().unwrap_or(0)];
    group.bench_function("memcpy", |b| {
        b.iter(|| {
            for file in fleet.files() {
                copy.get_mut(..file.len()).expect("room").copy_from_slice(file);
                black_box(&mut copy);
            }
        });
    });
    group.bench_function("memchr", |b| {
        b.iter(|| fleet.files().map(|file| memchr::memchr_iter(b'\n', file).count()).sum::<usize>());
    });
    let lines = json_lines(fleet);
    group.throughput(Throughput::Bytes(lines.iter().map(|line| line.len() as u64).sum()));
    group.bench_function("serde_json::Value of the JSON lines", |b| {
        let valid = |line: &&Vec<u8>| serde_json::from_slice::<serde_json::Value>(line).is_ok();
        b.iter(|| lines.iter().filter(valid).count());
    });
    group.bench_function("our scan of the JSON lines", |b| {
        let mut scanner = json::Scanner::default();
        let mut members = 0;
        b.iter(|| {
            for line in &lines {
                let _ = black_box(scanner.scan(line, &json::Limits::default(), |_| members += 1));
            }
        });
    });
    group.finish();
}

/// Wall time of one stage, or of all of them (`None`), within rounds of the whole path.
fn stage(
    group: &mut BenchmarkGroup<'_, WallTime>,
    fleet: &Fleet,
    name: &str,
    stage: Option<Stage>,
    encoding: Encoding,
) {
    let mut path = Path::new(fleet, encoding).expect("a path");
    let began = Instant::now();
    let mut round = || {
        let cost = path.round(|| u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)).cost;
        Duration::from_nanos(
            stage.map_or(cost.iter().sum(), |stage| cost.get(stage as usize).copied().unwrap_or(0)),
        )
    };
    // Memory grows to its size.
    round();
    group.bench_function(name, |b| b.iter_custom(|rounds| (0..rounds).map(|_| round()).sum()));
}

fn stages(c: &mut Criterion) {
    let fleet = Fleet::new(FLEET_BYTES).expect("a fleet");
    yardsticks(c, &fleet);
    let mut group = c.benchmark_group("stage");
    group.throughput(Throughput::Bytes(fleet.bytes() as u64));
    let plain = Encoding::Identity;
    for (name, at, encoding) in [
        ("1 decode", Some(Stage::Decode), plain),
        ("2 reassemble", Some(Stage::Reassemble), plain),
        ("3 parse", Some(Stage::Parse), plain),
        ("4 redact", Some(Stage::Redact), plain),
        ("5 encode", Some(Stage::Encode), plain),
        ("5 encode and gzip 1", Some(Stage::Encode), Encoding::Gzip),
        ("5 encode and zstd 1", Some(Stage::Encode), Encoding::Zstd),
        ("all", None, plain),
        ("all and gzip 1", None, Encoding::Gzip),
        ("all and zstd 1", None, Encoding::Zstd),
    ] {
        stage(&mut group, &fleet, name, at, encoding);
    }
    group.finish();
    for encoding in [plain, Encoding::Gzip, Encoding::Zstd] {
        let round = Path::new(&fleet, encoding).expect("a path").round(|| 0);
        println!(
            "{encoding:?}: {} bytes in, {} events ({} redacted), {} frames, {} bytes of documents, {} bytes out",
            fleet.bytes(),
            round.records,
            round.redacted,
            round.frames,
            round.ndjson_bytes,
            round.body_bytes
        );
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(2_000))
        .without_plots();
    targets = stages
}
criterion_main!(benches);
