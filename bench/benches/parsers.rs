//! Parsers in bytes of input a second, each beside its yardstick in the same run: the stated regex for CRI lines,
//! `serde_json::Value` for JSON.
//!
//! `cargo bench -p fintail-bench --bench parsers`. The lines are made by a fixed rule: by bytes about 65 % JSON
//! application lines of 390 bytes, the rest nginx and logfmt.
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fintail_parsers::app::{json, starts};
use fintail_parsers::container::cri;
use fintail_parsers::lines::Lines;
use fintail_parsers::time;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

const CRI_FORM: &str = r"(?s-u)^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})) (stdout|stderr) ([PF])(?::[^ ]*)?(?: (.*))?$";

/// Bodies as applications write them.
fn json_body(n: usize) -> String {
    let (minute, second, micros) = (n / 60 % 60, n % 60, n * 7919 % 1_000_000);
    let level = ["info", "warn", "debug"].get(n % 3).unwrap_or(&"info");
    let (trace, span) = (n * 0x9E37_79B9, n * 0x85EB_CA6B);
    let (id, customer, millis, status) = (n * 31, n % 50_000, n % 250, 200 + n % 5);
    let (euros, cents) = (n % 9000, n % 100);
    format!(
        concat!(
            r#"{{"time":"2026-11-23T08:{:02}:{:02}.{:06}Z","level":"{}","logger":"com.acme.pay.TransferService","#,
            r#""message":"transfer {} accepted in {} ms","trace_id":"{:032x}","span_id":"{:016x}","#,
            r#""http":{{"method":"POST","path":"/v1/transfers","status":{}}},"amount":{}.{:02},"currency":"EUR","#,
            r#""customer":{{"id":"c-{}","tier":"gold","verified":true}},"retry":null,"tags":["sepa","instant"]}}"#
        ),
        minute, second, micros, level, id, millis, trace, span, status, euros, cents, customer
    )
}

fn text_body(n: usize) -> String {
    let (a, b, second, size, millis) = (n % 250, n % 251, n % 60, n % 4000, n % 90);
    match n % 3 {
        0 => format!("ts=2026-11-23T08:01:{second:02}Z level=info msg=\"settled\" batch={n} took={millis}ms"),
        _ => format!(
            "10.2.{a}.{b} - - [23/Nov/2026:08:01:{second:02} +0000] \"GET /v1/accounts/{n} HTTP/1.1\" 200 {size} \"-\" \"okhttp/4.12\""
        ),
    }
}

/// About 1 MiB of a container's log file: 50 lines a second, one in ten from stderr.
fn log_file() -> String {
    let mut file = String::new();
    for n in 0..5000 {
        let stream = if n % 10 == 3 { "stderr" } else { "stdout" };
        let body = if n % 3 == 0 { json_body(n) } else { text_body(n) };
        let (minute, second, ns) = (n / 3000 % 60, n / 50 % 60, n * 999_331 % 1_000_000_000);
        let _ = writeln!(file, "2026-11-23T08:{minute:02}:{second:02}.{ns:09}Z {stream} F {body}");
    }
    file
}

fn container(criterion: &mut Criterion) {
    let file = log_file();
    let file = file.as_bytes();
    let lines: Vec<&[u8]> = Lines::new(file).map(|span| span.of(file)).collect();
    let mut group = criterion.benchmark_group(format!("log file of {} lines", lines.len()));
    group.throughput(Throughput::Bytes(file.len() as u64));
    group.bench_function("lines", |b| {
        b.iter(|| Lines::new(black_box(file)).map(|s| u64::from(s.end)).sum::<u64>());
    });
    group.bench_function("lines + cri", |b| {
        let mut cache = cri::TimeCache::default();
        b.iter(|| {
            let file = black_box(file);
            let parsed = Lines::new(file).filter_map(|line| cri::parse_with(&mut cache, line.of(file)));
            parsed.fold(0, |sum, line| line.time_ns ^ sum)
        });
    });
    group.bench_function("cri", |b| {
        b.iter(|| {
            black_box(&lines).iter().filter_map(|line| cri::parse(line)).fold(0, |sum, l| l.time_ns ^ sum)
        });
    });
    group.bench_function("cri with a time cache", |b| {
        let mut cache = cri::TimeCache::default();
        b.iter(|| {
            let parsed = black_box(&lines).iter().filter_map(|line| cri::parse_with(&mut cache, line));
            parsed.fold(0, |sum, line| line.time_ns ^ sum)
        });
    });
    if let Ok(form) = regex::bytes::Regex::new(CRI_FORM) {
        group.bench_function("cri by regex (yardstick)", |b| {
            let mut places = form.capture_locations();
            b.iter(|| {
                black_box(&lines)
                    .iter()
                    .filter(|line| form.captures_read(&mut places, line).is_some())
                    .count()
            });
        });
    }
    group.bench_function("starts", |b| {
        let bodies: Vec<&[u8]> =
            lines.iter().filter_map(|line| cri::parse(line).map(|parsed| parsed.body.of(line))).collect();
        let held = |body: &&&[u8]| !starts::is_continuation(body) && starts::can_continue(body);
        b.iter(|| black_box(&bodies).iter().filter(held).count());
    });
    group.finish();
}

fn application(criterion: &mut Criterion) {
    let bodies: Vec<String> = (0..2500).map(json_body).collect();
    let bytes: usize = bodies.iter().map(String::len).sum();
    let mut group =
        criterion.benchmark_group(format!("json, {} lines of {} bytes", bodies.len(), bytes / bodies.len()));
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("scan", |b| {
        let mut scanner = json::Scanner::default();
        b.iter(|| {
            let mut sum = 0;
            for body in black_box(&bodies) {
                let scan = scanner
                    .scan(body.as_bytes(), &json::Limits::default(), |m| sum += m.key.len() + m.value.len());
                sum += scan.map_or(0, |scan| scan.members as usize);
            }
            sum
        });
    });
    group.bench_function("serde_json::Value (yardstick)", |b| {
        let valid = |body: &&String| serde_json::from_str::<serde_json::Value>(body).is_ok();
        b.iter(|| black_box(&bodies).iter().filter(valid).count());
    });
    group.finish();
}

fn times(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("time");
    let stamp = *b"2026-11-23T08:01:02.123456789Z";
    group.bench_function("parse_rfc3339", |b| b.iter(|| time::parse_rfc3339(black_box(&stamp))));
    let stamp = *b"23/Nov/2026:08:01:02 +0000";
    group.bench_function("parse_app_time of an access log", |b| {
        b.iter(|| time::parse_app_time(black_box(&stamp)));
    });
    group.bench_function("write_rfc3339", |b| {
        let mut out = [0; time::RFC3339_BYTES];
        b.iter(|| {
            time::write_rfc3339(black_box(1_795_420_862_123_456_789), &mut out);
            black_box(&mut out);
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .without_plots();
    targets = container, application, times
}
criterion_main!(benches);
