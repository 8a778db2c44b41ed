//! One clean record → one ECS document (contract.md, Documents). The order of its parts:
//! time, stream, `log` with offset, level and logger · the source's fragment · when it was read · message ·
//! trace, span, service · `app` · `fintail`.
//! It must not know frames, compression or what is sensitive.

use std::io::Write as _;
use std::sync::Arc;

use fintail_parsers::{Flaw, Span, time};

use super::batch::{Hit, Parts, Replacement};
use super::parse::{APP_LEAF_BYTES, last_word_before};
use super::record::{Field, Record, Role, Shape};
use crate::source::table::SourceMeta;

/// ECS version that the field names follow.
pub const ECS_VERSION: &str = "9.0.0";

/// What all documents have in common.
#[derive(Clone, Debug)]
pub struct DocumentSettings {
    /// `limits.event`.
    pub event_bytes: usize,
    /// Short hash of the redaction rules in force (`fintail.ruleset`).
    pub ruleset: Arc<str>,
    /// Names of the redaction rules by their index.
    pub rule_names: Arc<[Box<str>]>,
}

/// Writes the documents of one batch, in the order of its records.
#[derive(Debug)]
pub struct Documents<'a> {
    parts: &'a Parts,
    settings: &'a DocumentSettings,
    /// What belongs to records that are still to come.
    replacements: &'a [Replacement],
    hits: &'a [Hit],
    truncated: &'a [(u32, u64)],
    index: u32,
    /// `event.created` of a chunk, rendered.
    created: Option<(u16, [u8; time::RFC3339_BYTES])>,
}

impl<'a> Documents<'a> {
    /// Begins before the first record.
    #[must_use]
    pub fn new(parts: &'a Parts, settings: &'a DocumentSettings) -> Self {
        Self {
            parts,
            settings,
            replacements: &parts.replacements,
            hits: &parts.hits,
            truncated: &parts.truncated,
            index: 0,
            created: None,
        }
    }

    /// Passes over the next record.
    pub fn skip(&mut self, record: &Record) {
        self.parts_of(record);
    }

    /// What belongs to the next record: its rules, cuts and replacements.
    fn parts_of(&mut self, record: &Record) -> (&'a [Hit], &'a [(u32, u64)], &'a [Replacement]) {
        let index = self.index;
        self.index += 1;
        (
            take_while(&mut self.hits, |hit| hit.record <= index),
            take_while(&mut self.truncated, |cut| cut.0 <= index),
            take_while(&mut self.replacements, |r| r.at.start < record.body.end),
        )
    }

    /// Appends the document of the next record, without a line end; returns its flaws. `scratch` is working memory.
    pub fn write(
        &mut self,
        record: &Record,
        meta: &SourceMeta,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> u16 {
        let (rules, cuts, replacements) = self.parts_of(record);
        let text = Text { parts: self.parts, replacements };
        let mut flaws = record.flaws;
        let mut cut_bytes: u64 = cuts.iter().map(|cut| cut.1).sum();
        let mut body = record.body;
        if body.len() > self.settings.event_bytes && flaws & Flaw::Truncated.bit() != 0 {
            body = text.cut_at_word(body, self.settings.event_bytes);
            cut_bytes += (record.body.len() - body.len()) as u64;
        }
        let fields = fields(self.parts, record);
        let mut values = [None; Role::COUNT];
        let mut app = false;
        for field in fields {
            match field.role {
                Role::App => app = true,
                role => values[role as usize] = Some(field.value),
            }
        }
        let value_of = |role: Role| values[role as usize];

        let mut stamp = [0; time::RFC3339_BYTES];
        time::write_rfc3339(record.time_ns, &mut stamp);
        out.extend_from_slice(b"{\"@timestamp\":\"");
        out.extend_from_slice(&stamp);
        out.extend_from_slice(b"\",\"stream\":\"");
        out.extend_from_slice(record.stream.as_str().as_bytes());
        out.extend_from_slice(b"\",\"log\":{\"offset\":");
        write_number(record.start, out);
        if let Some(level) = record.level.as_str() {
            out.extend_from_slice(b",\"level\":\"");
            out.extend_from_slice(level.as_bytes());
            out.push(b'"');
        }
        if let Some(value) = value_of(Role::Logger) {
            out.extend_from_slice(b",\"logger\":");
            text.raw(value, out);
        }
        out.extend_from_slice(&meta.fragment);
        out.extend_from_slice(&self.created(record.chunk));
        out.extend_from_slice(b"\"},\"message\":");
        match value_of(Role::Message) {
            Some(value) => text.raw(value, out),
            None => {
                out.push(b'"');
                text.escaped(body, flaws & Flaw::Utf8Repaired.bit() != 0, out);
                out.push(b'"');
            }
        }
        for (role, open) in [
            (Role::TraceId, &b",\"trace\":{\"id\":"[..]),
            (Role::SpanId, b",\"span\":{\"id\":"),
            (Role::ServiceName, b",\"service\":{\"name\":"),
        ] {
            if let Some(value) = value_of(role) {
                out.extend_from_slice(open);
                text.raw(value, out);
                out.push(b'}');
            }
        }
        if app {
            out.extend_from_slice(b",\"app\":{");
            if record.shape == Shape::JsonLong {
                scratch.clear();
                text.members(fields, scratch);
                let cut = copy_with_short_strings(scratch, out);
                cut_bytes += cut;
                flaws |= if cut > 0 { Flaw::Truncated.bit() } else { 0 };
            } else {
                text.members(fields, out);
            }
            out.push(b'}');
        }
        out.extend_from_slice(b",\"fintail\":{\"ruleset\":\"");
        out.extend_from_slice(self.settings.ruleset.as_bytes());
        out.push(b'"');
        self.write_rules(rules, out);
        write_flaws(flaws, out);
        if cut_bytes > 0 {
            out.extend_from_slice(b",\"truncated_bytes\":");
            write_number(cut_bytes, out);
        }
        out.extend_from_slice(b"}}");
        flaws
    }

    fn write_rules(&self, rules: &[Hit], out: &mut Vec<u8>) {
        for (i, hit) in rules.iter().enumerate() {
            out.extend_from_slice(if i == 0 { b",\"redactions\":[\"" } else { b",\"" });
            let name = self.settings.rule_names.get(hit.rule as usize).map_or("unknown", |name| name);
            out.extend_from_slice(name.as_bytes());
            out.push(b'"');
        }
        if !rules.is_empty() {
            out.push(b']');
        }
    }

    fn created(&mut self, chunk: u16) -> [u8; time::RFC3339_BYTES] {
        match self.created {
            Some((c, text)) if c == chunk => text,
            _ => {
                let mut text = [0; time::RFC3339_BYTES];
                let read_at_ns = self.parts.chunks.get(chunk as usize).map_or(0, |info| info.read_at_ns);
                time::write_rfc3339(read_at_ns, &mut text);
                self.created = Some((chunk, text));
                text
            }
        }
    }
}

/// The text of a batch with the replacements of one record.
struct Text<'a> {
    parts: &'a Parts,
    replacements: &'a [Replacement],
}

impl Text<'_> {
    /// Calls `on` with the stretches of a span in order: kept bytes (`false`) and replacement texts (`true`).
    fn stretches(&self, span: Span, mut on: impl FnMut(&[u8], bool)) {
        let mut at = span.start;
        for r in self.replacements {
            if r.at.start < at || r.at.end > span.end {
                continue;
            }
            on(Span::new(at, r.at.start).of(&self.parts.text), false);
            on(r.with.of(&self.parts.replacement_text), true);
            at = r.at.end;
        }
        on(Span::new(at, span.end).of(&self.parts.text), false);
    }

    /// A piece of JSON as it stands.
    fn raw(&self, span: Span, out: &mut Vec<u8>) {
        if self.replacements.is_empty() {
            out.extend_from_slice(span.of(&self.parts.text));
        } else {
            self.stretches(span, |bytes, _| out.extend_from_slice(bytes));
        }
    }

    /// Text as the inside of a JSON string.
    fn escaped(&self, span: Span, repair: bool, out: &mut Vec<u8>) {
        self.stretches(span, |bytes, _| {
            if repair {
                for chunk in bytes.utf8_chunks() {
                    escape(chunk.valid().as_bytes(), out);
                    if !chunk.invalid().is_empty() {
                        out.extend_from_slice("\u{FFFD}".as_bytes());
                    }
                }
            } else {
                escape(bytes, out);
            }
        });
    }

    /// The members that go under `app`, neighbours in one piece.
    fn members(&self, fields: &[Field], out: &mut Vec<u8>) {
        let mut first = true;
        let mut redacted_keys = 0u32;
        let mut rest = fields;
        while let [field, tail @ ..] = rest {
            rest = tail;
            if field.role != Role::App {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            let quote = field.key.start.saturating_sub(1);
            if self.replacements.iter().any(|r| r.at.start >= quote && r.at.end <= field.key.end) {
                // Two keys may have become one by redaction, which no index takes: number the second and on.
                redacted_keys += 1;
                out.push(b'"');
                self.raw(field.key, out);
                if redacted_keys > 1 {
                    out.push(b'#');
                    write_number(redacted_keys.into(), out);
                }
                out.extend_from_slice(b"\":");
                self.raw(field.value, out);
                continue;
            }
            let mut end = field.value.end;
            while let [next, tail @ ..] = rest {
                let key = Span::new(next.key.start.saturating_sub(1), next.key.end);
                let key_redacted =
                    self.replacements.iter().any(|r| r.at.start >= key.start && r.at.end <= key.end);
                if next.role != Role::App || key_redacted {
                    break;
                }
                end = next.value.end;
                rest = tail;
            }
            self.raw(Span::new(quote, end), out);
        }
    }

    /// Cuts after the last word that ends before `limit` bytes, and before a replacement that straddles it.
    fn cut_at_word(&self, body: Span, limit: usize) -> Span {
        let keep = last_word_before(body.of(&self.parts.text), limit);
        let mut end = body.start.saturating_add(u32::try_from(keep).unwrap_or(u32::MAX));
        if let Some(r) = self.replacements.iter().find(|r| r.at.start < end && end < r.at.end) {
            end = r.at.start;
        }
        Span::new(body.start, end)
    }
}

fn fields<'a>(parts: &'a Parts, record: &Record) -> &'a [Field] {
    let from = record.field_from as usize;
    parts.fields.get(from..from + record.field_count as usize).unwrap_or_default()
}

fn take_while<'a, T>(rest: &mut &'a [T], mut is: impl FnMut(&T) -> bool) -> &'a [T] {
    let n = rest.iter().take_while(|item| is(item)).count();
    let (taken, left) = rest.split_at_checked(n).unwrap_or_default();
    *rest = left;
    taken
}

fn write_number(n: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut n = n;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (n % 10) as u8;
        at -= 1;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// One flaw as a string, several as an array: both are the same to a keyword field.
fn write_flaws(flaws: u16, out: &mut Vec<u8>) {
    if flaws == 0 {
        return;
    }
    let several = flaws.count_ones() > 1;
    out.extend_from_slice(if several { b",\"flaw\":[" } else { b",\"flaw\":" });
    let mut first = true;
    for flaw in Flaw::ALL.into_iter().filter(|flaw| flaws & flaw.bit() != 0) {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(flaw.as_str().as_bytes());
        out.push(b'"');
    }
    if several {
        out.push(b']');
    }
}

/// Appends valid UTF-8 as the inside of a JSON string.
pub fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        let plain = plain_prefix(rest);
        let (head, tail) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
        out.extend_from_slice(head);
        let Some((&special, tail)) = tail.split_first() else { return };
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\r' => out.extend_from_slice(b"\\r"),
            // Writing to a `Vec` cannot fail.
            other => drop(write!(out, "\\u{other:04x}")),
        }
        rest = tail;
    }
}

/// Bytes up to the first that a JSON string must escape.
fn plain_prefix(text: &[u8]) -> usize {
    let special = |b: u8| (b < 0x20) | (b == b'"') | (b == b'\\');
    let mut at = 0;
    // 16 bytes a turn without a branch inside: the compiler makes one vector comparison of it.
    for block in text.chunks_exact(16) {
        if block.iter().fold(false, |any, &b| any | special(b)) {
            break;
        }
        at += 16;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|&b| special(b)).unwrap_or(rest.len())
}

/// Copies JSON, each string cut to [`APP_LEAF_BYTES`]; returns the bytes cut.
fn copy_with_short_strings(json: &[u8], out: &mut Vec<u8>) -> u64 {
    let limit = APP_LEAF_BYTES as usize;
    let mut cut = 0;
    let mut rest = json;
    while let Some(open) = memchr::memchr(b'"', rest) {
        let (before, string) = rest.split_at_checked(open + 1).unwrap_or((rest, &[]));
        out.extend_from_slice(before);
        let mut end = 0;
        let mut last_whole = 0;
        while let Some(&b) = string.get(end).filter(|&&b| b != b'"') {
            // Never cut inside an escape, a surrogate pair or a character.
            let len = match (b, string.get(end + 1)) {
                (b'\\', Some(b'u')) if string.get(end + 6..end + 8) == Some(b"\\u") => 12,
                (b'\\', Some(b'u')) => 6,
                (b'\\', _) => 2,
                (0xC0..=0xDF, _) => 2,
                (0xE0..=0xEF, _) => 3,
                (0xF0.., _) => 4,
                _ => 1,
            };
            end += len;
            if end <= limit {
                last_whole = end;
            }
        }
        out.extend_from_slice(string.get(..last_whole).unwrap_or_default());
        cut += (end - last_whole) as u64;
        rest = string.get(end..).unwrap_or_default();
        if let Some((quote, tail)) = rest.split_first() {
            out.push(*quote);
            rest = tail;
        }
    }
    out.extend_from_slice(rest);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn escape_is_what_serde_json_reads_back(text in any::<String>()) {
            let mut out = vec![b'"'];
            escape(text.as_bytes(), &mut out);
            out.push(b'"');
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn short_strings_keep_json_valid(
            parts in prop::collection::vec("[a-z\\\\\"\n\u{e9}\u{1F600}]{0,40}", 1..4), times in 1usize..600,
        ) {
            let value: Vec<String> = parts.iter().map(|p| p.repeat(times)).collect();
            let json = serde_json::to_vec(&value).unwrap();
            let mut out = Vec::new();
            let cut = copy_with_short_strings(&json, &mut out);
            let back: Vec<String> = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(json.len() as u64, out.len() as u64 + cut);
            for (short, long) in back.iter().zip(&value) {
                prop_assert!(long.starts_with(short.as_str()));
                prop_assert!(serde_json::to_string(short).unwrap().len() <= APP_LEAF_BYTES as usize + 2);
            }
        }
    }

    #[test]
    fn numbers() {
        for n in [0, 7, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            write_number(n, &mut out);
            assert_eq!(out, n.to_string().into_bytes());
        }
    }

    #[test]
    fn flaws_one_or_several() {
        let mut out = Vec::new();
        write_flaws(Flaw::NulBytes.bit(), &mut out);
        assert_eq!(out, b",\"flaw\":\"nul_bytes\"");
        out.clear();
        write_flaws(Flaw::NulBytes.bit() | Flaw::Truncated.bit(), &mut out);
        assert_eq!(out, b",\"flaw\":[\"nul_bytes\",\"truncated\"]");
    }
}
