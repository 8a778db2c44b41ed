//! Owns the judgement of delivered documents: lost, duplicated, out of order, leaked, cut.
//! Must not know: how documents were fetched; the agent's inside.
//!
//! A document is any JSON object with the agent's fields. Tokens are looked for in its bytes, wherever they stand.
//! - lost: an event with no document, and lines of a trace that arrived line by line but not all of them
//! - duplicated: an event with more than one document
//! - out of order: of one pod and stream, a later event with an earlier `@timestamp`, or, more often than the pod's
//!   file was rotated, with a smaller `log.offset`
//! - leaked: a document that holds a value that was planted in its event
//! - wrong: a document without the end token, a joined trace that lacks lines, a token that was never written

use std::collections::BTreeMap;

use fintail::demo::bank::{Bank, Kind, Outline, Stream, tokens_in};
use serde_json::{Value, json};

use crate::manifest::Manifest;

/// How many examples of each flaw the report names.
const EXAMPLES: usize = 5;

/// Takes documents, then judges them.
pub struct Verifier {
    manifest: Manifest,
    banks: Vec<Bank>,
    pods: BTreeMap<String, usize>,
    sources: Vec<Seen>,
    report: Report,
}

/// What has arrived of one pod.
#[derive(Default)]
struct Seen {
    events: Vec<SeenEvent>,
    /// Documents without a start token: lines of traces that were not joined.
    loose_lines: u64,
    /// Lines that such documents must make up for.
    loose_expected: u64,
    loose_ends: u64,
    loose_ends_expected: u64,
}

#[derive(Clone, Copy, Default)]
struct SeenEvent {
    documents: u8,
    stderr: bool,
    time_ns: i128,
    offset: u64,
}

/// The judgement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Events that the manifest holds.
    pub expected: u64,
    /// Documents seen.
    pub documents: u64,
    /// Events with at least one document.
    pub delivered: u64,
    /// Events without a document, plus missing lines of traces.
    pub lost: u64,
    /// Documents too many.
    pub duplicated: u64,
    /// Neighbours of one pod and stream in the wrong order.
    pub out_of_order: u64,
    /// Planted values found in their document.
    pub leaked: u64,
    /// Documents that are not what was written.
    pub wrong: u64,
    /// Stack traces that arrived as one document.
    pub traces_joined: u64,
    /// Stack traces that arrived line by line.
    pub traces_split: u64,
    /// Documents of the agent's own making (gaps, alerts), not judged.
    pub internal: u64,
    /// Leaks by rule.
    pub leaks: BTreeMap<&'static str, u64>,
    /// A few places of each flaw: `lost src0-n0000000001`. Never a value.
    pub examples: Vec<String>,
}

impl Report {
    /// Whether nothing is lost, doubled, out of order, leaked or wrong.
    pub fn clean(&self) -> bool {
        self.lost + self.duplicated + self.out_of_order + self.leaked + self.wrong == 0
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        json!({"clean": self.clean(), "expected": self.expected, "documents": self.documents,
            "delivered": self.delivered, "lost": self.lost, "duplicated": self.duplicated,
            "out_of_order": self.out_of_order, "leaked": self.leaked, "wrong": self.wrong,
            "traces_joined": self.traces_joined, "traces_split": self.traces_split, "internal": self.internal,
            "leaks": self.leaks, "examples": self.examples})
    }

    fn example(&mut self, flaw: &str, source: usize, seq: u64) {
        let of_this = self.examples.iter().filter(|example| example.starts_with(flaw)).count();
        if of_this < EXAMPLES {
            self.examples.push(format!("{flaw} src{source}-n{seq:010}"));
        }
    }
}

impl Verifier {
    /// Judges against this manifest.
    pub fn new(manifest: Manifest) -> Self {
        let banks = (0..manifest.sources.len()).map(|source| manifest.bank(source)).collect();
        let seen =
            |events: u64| Seen { events: vec![SeenEvent::default(); events as usize], ..Seen::default() };
        let sources = manifest.sources.iter().map(|source| seen(source.events)).collect();
        let report = Report { expected: manifest.events(), ..Report::default() };
        Self { banks, pods: manifest.by_pod(), sources, report, manifest }
    }

    /// Takes one delivered document (the `_source`).
    pub fn document(&mut self, source_json: &[u8]) {
        self.report.documents += 1;
        let Ok(document) = serde_json::from_slice::<Value>(source_json) else {
            self.report.wrong += 1;
            self.report.examples.push("wrong: not JSON".to_owned());
            return;
        };
        if document["event"]["dataset"].as_str().is_some_and(|dataset| dataset.starts_with("fintail.")) {
            self.report.internal += 1;
            return;
        }
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        for token in tokens_in(source_json) {
            let list = if token.end { &mut ends } else { &mut starts };
            if !list.contains(&(token.source, token.seq)) {
                list.push((token.source, token.seq));
            }
        }
        match starts.as_slice() {
            [] => self.loose(&document, source_json, &ends),
            [(source, seq)] => self.event(*source, *seq, &document, source_json, &ends),
            // Two events in one document: the second was taken for a continuation of the first.
            several => {
                self.report.wrong += 1;
                let several = several.to_vec();
                for (source, seq) in several {
                    self.report.example("wrong (joined with another)", source as usize, seq);
                    self.mark(source, seq, &document);
                }
            }
        }
    }

    /// The judgement over all that was taken.
    pub fn finish(mut self) -> Report {
        for (place, seen) in self.sources.iter().enumerate() {
            for (seq, event) in seen.events.iter().enumerate() {
                match event.documents {
                    0 => {
                        self.report.lost += 1;
                        self.report.example("lost", place, seq as u64);
                    }
                    n => {
                        self.report.delivered += 1;
                        self.report.duplicated += u64::from(n) - 1;
                        if n > 1 {
                            self.report.example("duplicated", place, seq as u64);
                        }
                    }
                }
            }
            self.report.lost += seen.loose_expected.saturating_sub(seen.loose_lines);
            self.report.duplicated += seen.loose_lines.saturating_sub(seen.loose_expected);
            self.report.wrong += seen.loose_ends_expected.abs_diff(seen.loose_ends);
            let rotations = self.manifest.sources.get(place).map_or(0, |source| source.rotations);
            for stderr in [false, true] {
                self.report.out_of_order += disorder(&seen.events, stderr, rotations);
            }
        }
        self.report
    }

    /// A document with one start token.
    fn event(&mut self, source: u32, seq: u64, document: &Value, bytes: &[u8], ends: &[(u32, u64)]) {
        let Some(bank) = self.banks.get(source as usize) else {
            return self.unknown(source, seq);
        };
        let (outline, planted) = bank.outline(seq);
        if !self.mark(source, seq, document) {
            return self.unknown(source, seq);
        }
        for planted in &planted {
            if planted.stands_in(bytes) {
                self.report.leaked += 1;
                *self.report.leaks.entry(planted.rule).or_default() += 1;
                self.report.example(&format!("leaked {}", planted.rule), source as usize, seq);
            }
        }
        let whole = ends == [(source, seq)];
        let good = match outline.kind {
            Kind::Trace => self.trace(source, outline, bytes, whole),
            _ => whole,
        };
        let stream = document["stream"].as_str();
        if !good || stream.is_some_and(|stream| stream != outline.stream.name()) {
            self.report.wrong += 1;
            self.report.example("wrong", source as usize, seq);
        }
    }

    /// The first document of a stack trace: the whole of it, or its first line alone.
    fn trace(&mut self, source: u32, outline: Outline, bytes: &[u8], whole: bool) -> bool {
        let frames = memchr::memmem::find_iter(bytes, br"\n").count() as u32;
        if frames == 0 {
            self.report.traces_split += 1;
            if let Some(seen) = self.sources.get_mut(source as usize) {
                seen.loose_expected += u64::from(outline.lines) - 1;
                seen.loose_ends_expected += 1;
            }
            return !whole;
        }
        self.report.traces_joined += 1;
        // The message holds each line end once; a second copy would be found as a multiple.
        whole && frames + 1 == outline.lines
    }

    /// A document without a start token: a line of a trace, or a stranger.
    fn loose(&mut self, document: &Value, bytes: &[u8], ends: &[(u32, u64)]) {
        let pod = document["kubernetes"]["pod"]["name"].as_str().and_then(|pod| self.pods.get(pod)).copied();
        let path = document["log"]["file"]["path"].as_str().unwrap_or_default();
        let by_path = || self.manifest.sources.iter().position(|source| path.contains(folder(&source.path)));
        let Some(seen) = pod.or_else(by_path).and_then(|place| self.sources.get_mut(place)) else {
            self.report.wrong += 1;
            self.report.examples.push("wrong: a document of no known pod".to_owned());
            return;
        };
        let joined = memchr::memmem::find_iter(bytes, br"\n").count() as u64;
        seen.loose_lines += 1 + joined;
        seen.loose_ends += ends.len() as u64;
        // Whose line it is cannot be told without a token, but its end token tells it for the line of the cause.
        for (source, seq) in ends {
            let Some(bank) = self.banks.get(*source as usize) else { continue };
            for planted in bank.planted(*seq).iter().filter(|planted| planted.stands_in(bytes)) {
                self.report.leaked += 1;
                *self.report.leaks.entry(planted.rule).or_default() += 1;
            }
        }
        // A line of a trace may hold card and e-mail address, whose owner is unknown: look for the shapes.
        for (rule, found) in [("pan", looks_like_card(bytes)), ("email", looks_like_address(bytes))] {
            if found {
                self.report.leaked += 1;
                *self.report.leaks.entry(rule).or_default() += 1;
            }
        }
    }

    /// Notes place and time; false where no such event was written.
    fn mark(&mut self, source: u32, seq: u64, document: &Value) -> bool {
        let event = self.sources.get_mut(source as usize).and_then(|seen| seen.events.get_mut(seq as usize));
        let Some(event) = event else { return false };
        event.documents = event.documents.saturating_add(1);
        event.stderr = document["stream"].as_str() == Some(Stream::Stderr.name());
        event.time_ns = document["@timestamp"].as_str().and_then(nanoseconds).unwrap_or_default();
        event.offset = document["log"]["offset"].as_u64().unwrap_or_default();
        true
    }

    fn unknown(&mut self, source: u32, seq: u64) {
        self.report.wrong += 1;
        self.report.example("wrong (never written)", source as usize, seq);
    }
}

/// Pairs of neighbours of one stream in the wrong order; an offset may fall once a rotation.
fn disorder(events: &[SeenEvent], stderr: bool, rotations: u64) -> u64 {
    let of_stream: Vec<_> =
        events.iter().filter(|event| event.documents > 0 && event.stderr == stderr).collect();
    let (mut times, mut offsets) = (0, 0_u64);
    for pair in of_stream.windows(2) {
        times += u64::from(pair[0].time_ns >= pair[1].time_ns && pair[1].time_ns > 0);
        offsets += u64::from(pair[0].offset >= pair[1].offset && pair[1].offset > 0);
    }
    times + offsets.saturating_sub(rotations)
}

/// The folder of `0.log`.
fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(folder, _)| folder)
}

/// Whether 15 or 16 digits with single blanks or dashes between pass Luhn and begin as the bank's cards do.
fn looks_like_card(document: &[u8]) -> bool {
    let mut at = 0;
    while let Some(from) = document.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
        let from = at + from;
        let mut digits = Vec::with_capacity(20);
        let mut end = from;
        while let Some(byte) = document.get(end) {
            match byte {
                b'0'..=b'9' => digits.push(byte - b'0'),
                b' ' | b'-' if document.get(end + 1).is_some_and(u8::is_ascii_digit) => {}
                _ => break,
            }
            end += 1;
        }
        at = end.max(from + 1);
        let starts = matches!(digits.first(), Some(2..=5));
        let before = from.checked_sub(1).and_then(|before| document.get(before));
        let inside = before.is_some_and(u8::is_ascii_alphanumeric)
            || document.get(end).is_some_and(u8::is_ascii_alphanumeric);
        if starts && !inside && matches!(digits.len(), 15 | 16) && luhn(&digits) {
            return true;
        }
    }
    false
}

/// Whether an `@` stands after `first.last123`, as the bank's customers are called; a token has no dot and no name.
fn looks_like_address(document: &[u8]) -> bool {
    memchr::memchr_iter(b'@', document).any(|at| {
        let before = document.get(..at).unwrap_or_default();
        let local =
            before.iter().rev().take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || **b == b'.');
        let local = before.get(at - local.count()..).unwrap_or_default();
        local.contains(&b'.') && local.last().is_some_and(u8::is_ascii_digit)
    })
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit) << (place % 2);
            digit / 10 + digit % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Nanoseconds since 1970 of `2026-11-23T08:01:02.123456789Z`; any width of the fraction, UTC only.
fn nanoseconds(text: &str) -> Option<i128> {
    let text = text.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.split(['-', 'T', ':']).map(|part| part.parse::<i128>().ok());
    let mut next = || parts.next().flatten();
    let (year, month, day, hour, minute, second) = (next()?, next()?, next()?, next()?, next()?, next()?);
    let fraction: i128 = format!("{fraction:0<9}").parse().ok()?;
    // Days from civil (Hinnant).
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000_000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::SourceEntry;
    use fintail::demo::bank::Options;

    const START_NS: u64 = 1_795_420_800_000_000_000;

    fn manifest(sensitive: f64, events: u64) -> Manifest {
        let options = Options { seed: 11, sources: 2, sensitive };
        let sources = (0..2)
            .map(|source| {
                let bank = Bank::new(options, source);
                let pod = bank.pod().name.clone();
                SourceEntry { path: bank.pod().log_dir() + "/0.log", pod, events, ..SourceEntry::default() }
            })
            .collect();
        Manifest { options, sources }
    }

    /// The documents of an agent that redacts nothing, joins traces if told so, and keeps order.
    fn documents(manifest: &Manifest, join: bool) -> Vec<String> {
        let mut documents = Vec::new();
        for (place, entry) in manifest.sources.iter().enumerate() {
            let bank = manifest.bank(place);
            for seq in 0..entry.events {
                let text = String::from_utf8(bank.text(seq, START_NS)).expect("utf-8");
                let (outline, _) = bank.outline(seq);
                let parts: Vec<&str> = if join { vec![&text] } else { text.lines().collect() };
                for (line, part) in parts.into_iter().enumerate() {
                    let document = json!({"@timestamp": format!("2026-11-23T08:01:02.{:09}Z", seq * 100 + line as u64),
                        "message": part, "stream": outline.stream.name(), "kubernetes": {"pod": {"name": entry.pod}},
                        "log": {"offset": 1 + seq * 100 + line as u64}});
                    documents.push(document.to_string());
                }
            }
        }
        documents
    }

    fn judge(manifest: &Manifest, documents: &[String]) -> Report {
        let mut verifier = Verifier::new(manifest.clone());
        documents.iter().for_each(|document| verifier.document(document.as_bytes()));
        verifier.finish()
    }

    #[test]
    fn good_delivery_is_clean_joined_or_line_by_line() {
        let manifest = manifest(0.0, 800);
        let joined = judge(&manifest, &documents(&manifest, true));
        assert!(joined.clean(), "{joined:?}");
        assert_eq!((joined.delivered, joined.documents), (1_600, 1_600));
        let split = judge(&manifest, &documents(&manifest, false));
        assert!(split.clean(), "{split:?}");
        assert_eq!((split.delivered, split.traces_split), (1_600, joined.traces_joined));
        assert!(split.traces_split > 5 && split.documents > 1_600);
    }

    #[test]
    fn each_flaw_is_counted() {
        let manifest = manifest(0.0, 200);
        let good = documents(&manifest, true);
        let mut lost = good.clone();
        lost.remove(17);
        assert_eq!(judge(&manifest, &lost).lost, 1);
        let mut doubled = good.clone();
        doubled.push(good[3].clone());
        assert_eq!(judge(&manifest, &doubled).duplicated, 1);
        let mut cut = good.clone();
        cut[5] = cut[5].replace("src0-z", "…");
        assert_eq!(judge(&manifest, &cut).wrong, 1);
        let mut stranger = good.clone();
        stranger.push(good[3].replace("src0-n0000000003", "src0-n0000009999"));
        assert_eq!(judge(&manifest, &stranger).wrong, 1);
        let mut late = good.clone();
        late[8] = late[8].replace("02.000000800Z", "59.000000800Z");
        assert_eq!(judge(&manifest, &late).out_of_order, 1);
        let mut short = good;
        let trace = short.iter_mut().find(|document| document.contains(r"\n")).expect("a trace");
        *trace = trace.replacen(r"\n\tat ", " ", 1);
        assert_eq!(judge(&manifest, &short).wrong, 1);
    }

    #[test]
    fn what_is_not_redacted_leaks() {
        let manifest = manifest(1.0, 500);
        let report = judge(&manifest, &documents(&manifest, true));
        let planted: usize = (0..2)
            .map(|source| (0..500).map(|seq| manifest.bank(source).planted(seq).len()).sum::<usize>())
            .sum();
        assert_eq!(report.leaked, planted as u64);
        assert_eq!((report.lost, report.wrong), (0, 0));
    }

    #[test]
    fn lines_without_an_owner_are_judged_by_shape() {
        assert!(looks_like_card(b"failed for card 4111-1111-1111-1111, customer"));
        assert!(!looks_like_card(b"failed for card 411111******1111, at 1795420800123"));
        assert!(looks_like_address(b"declined, customer olena.koval17@example.com"));
        assert!(!looks_like_address(
            b"declined, customer tok_email_k1_mfrggzdfmztwq2lknnwg23tpoa@example.com"
        ));
    }

    #[test]
    fn times_compare_by_nanoseconds() {
        assert_eq!(nanoseconds("1970-01-02T00:00:01.5Z"), Some(86_401_500_000_000));
        assert_eq!(nanoseconds("2026-11-23T08:00:00Z"), Some(1_795_420_800_000_000_000));
        assert_eq!(nanoseconds("yesterday"), None);
    }
}
