//! One event as it was written and as it arrived, cut down to the places where a secret stood.
//! It must not know terminals.

use crate::demo::bank::{Bank, Kind, Planted};
use crate::demo::judge::Pick;

/// Secrets of one event that are shown at most.
const VALUES: usize = 2;
/// Bytes that are looked for on both sides of a value, to have something to cut from.
const CONTEXT_BYTES: usize = 160;
/// The shortest text before a value that tells its place in the document.
const ANCHOR_BYTES: std::ops::RangeInclusive<usize> = 6..=24;

/// An event with its secrets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// `namespace/pod`
    pub(super) pod: String,
    /// What kind of line it is.
    pub(super) kind: &'static str,
    /// Bytes of the event's text.
    pub(super) bytes: usize,
    /// Rule, text before, text after.
    pub(super) values: Vec<(&'static str, Excerpt, Excerpt)>,
}

/// A value with what stands around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    pub(super) head: String,
    pub(super) value: String,
    pub(super) tail: String,
}

/// `None` where no value's place can be found in the document.
pub(super) fn of(pick: &Pick, bank: &Bank) -> Option<Sample> {
    let raw = bank.text(pick.token.seq, pick.time_ns.unsigned_abs());
    let mut planted = bank.planted(pick.token.seq);
    planted.sort_by_key(|planted| planted.rule != pick.rule);
    let value = |planted: &Planted| {
        let (at, len) = find_value(&raw, &planted.value)?;
        let (from, to) = find_arrived(&raw, at, len, &pick.json)?;
        let json = own_part(&pick.json, pick.kind, to);
        Some((planted.rule, excerpt(&raw, at, at + len), excerpt(json, from, to)))
    };
    let values: Vec<_> = planted.iter().filter_map(value).take(VALUES).collect();
    let kind = match pick.kind {
        Kind::Json => "JSON",
        Kind::Access => "nginx access",
        Kind::Text => "text",
        Kind::Trace => "Java stack trace",
        Kind::Long => "long line, written in pieces",
    };
    let pod = format!("{}/{}", bank.pod().namespace, bank.pod().name);
    (!values.is_empty()).then_some(Sample { pod, kind, bytes: raw.len(), values })
}

/// The value as it stands in the event: as it is, percent-encoded, or escaped for JSON.
fn find_value(raw: &[u8], value: &str) -> Option<(usize, usize)> {
    let forms =
        [value.to_owned(), value.replace('@', "%40"), value.replace(' ', "+"), value.replace('\n', "\\n")];
    // A short number may stand elsewhere too; a secret stands behind its key, not at the beginning of the line.
    forms.iter().find_map(|form| {
        let mut places = memchr::memmem::find_iter(raw, form.as_bytes());
        let at = places.find(|at| {
            at.checked_sub(1).and_then(|b| raw.get(b)).is_some_and(|b| !b.is_ascii_alphanumeric())
        })?;
        Some((at, form.len()))
    })
}

/// Where the value's successor stands in the document: behind the longest text that stands before it on both sides.
fn find_arrived(raw: &[u8], at: usize, len: usize, json: &[u8]) -> Option<(usize, usize)> {
    let mut from = ANCHOR_BYTES.rev().find_map(|bytes| {
        let anchor = raw.get(at.checked_sub(bytes)?..at)?;
        memchr::memmem::find(json, anchor).map(|place| place + bytes)
    })?;
    // A redacted JSON number has become a string.
    if raw.get(at).is_some_and(u8::is_ascii_digit) && json.get(from) == Some(&b'"') {
        from += 1;
    }
    let rest = json.get(from..)?;
    let ends = |b: &u8| !b.is_ascii_alphanumeric() && !b"_@.%-".contains(b);
    let bytes = if rest.starts_with(b"[REDACTED:") {
        memchr::memchr(b']', rest)? + 1
    } else if rest.starts_with(b"tok_") {
        rest.iter().position(ends).unwrap_or(rest.len())
    } else {
        len.min(rest.len())
    };
    Some((from, from + bytes))
}

/// The document up to the end of what the application wrote: of the message where it is one text.
fn own_part(json: &[u8], kind: Kind, from: usize) -> &[u8] {
    let rest = json.get(from..).unwrap_or_default();
    let end = match kind {
        Kind::Json => memchr::memmem::find(rest, b",\"fintail\":{"),
        _ if json.get(from.saturating_sub(1)..).is_some_and(|rest| rest.starts_with(b"\"")) => None,
        _ => memchr::memchr_iter(b'"', rest)
            .find(|at| at.checked_sub(1).and_then(|b| rest.get(b)) != Some(&b'\\')),
    };
    json.get(..from + end.unwrap_or(rest.len())).unwrap_or(json)
}

fn excerpt(text: &[u8], from: usize, to: usize) -> Excerpt {
    let part = |from: usize, to: usize| readable(text.get(from..to.min(text.len())).unwrap_or_default());
    Excerpt {
        head: part(from.saturating_sub(CONTEXT_BYTES), from),
        value: part(from, to),
        tail: part(to, to + CONTEXT_BYTES),
    }
}

/// One line without control characters; JSON escapes of quotes and line ends are taken back.
fn readable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let text = text.trim_matches('\u{fffd}').replace("\\n", "⏎").replace('\n', "⏎").replace("\\t", " ");
    text.replace("\\\"", "\"").chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
