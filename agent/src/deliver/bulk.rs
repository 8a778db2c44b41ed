//! One `_bulk` exchange: the body that is sent without copying, and what the answer says of each document.
//! It must not know lanes, retries or where refused documents go.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::admin::metrics::{HeldReason, RetryReason};

/// What of the answer we want: 7 × smaller than all. `result` is not needed: a `create` that an ingest pipeline
/// dropped is the only one with status 200 (`BulkRequestModifier.markItemAsDropped`), a stored one has 201.
pub(super) const FILTER: &str = "filter_path=errors,items.*.status,items.*.error,items.*.failure_store";

/// A request body of several parts; its exact length becomes `Content-Length`.
#[derive(Debug)]
pub(super) struct Body {
    parts: std::vec::IntoIter<Bytes>,
    left: u64,
}

impl Body {
    pub(super) fn new(parts: Vec<Bytes>) -> Self {
        let left = parts.iter().map(|part| part.len() as u64).sum();
        Self { parts: parts.into_iter(), left }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.parts.next();
        if let Some(part) = &part {
            self.left -= part.remaining() as u64;
        }
        Poll::Ready(part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A refusal that names the document, in the server's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) kind: String,
    pub(super) reason: String,
}

/// What the answer says of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// In the data stream.
    Created,
    /// In the data stream's failure store.
    FailureStore,
    /// Dropped by an ingest pipeline.
    Noop,
    /// There already.
    Duplicate,
    /// Not taken now. `unknown`: it may have been taken all the same.
    Retry { reason: RetryReason, unknown: bool },
    /// Refused, but not for what it is. With the type of the error, for the log.
    Hold { reason: HeldReason, kind: String },
    /// Refused for what it is.
    Refused(Refusal),
}

/// The answer to a request: documents that are not simply created, by number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) others: Vec<(u32, Verdict)>,
}

/// The answer is no answer to what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BrokenAnswer {
    #[error("the answer is not that of a _bulk endpoint (byte {0})")]
    Garbage(usize),
    #[error("the answer tells of {0} documents where {1} were sent")]
    Count(usize, usize),
}

/// Reads an answer to `docs` documents.
///
/// # Errors
/// Where it is not JSON of the expected form, or tells of another number of documents.
pub(super) fn read_answer(body: &[u8], docs: usize) -> Result<Answer, BrokenAnswer> {
    let (answer, count) = match read_compact(body) {
        Some(read) => read,
        None => read_any(body)?,
    };
    if count == docs { Ok(answer) } else { Err(BrokenAnswer::Count(count, docs)) }
}

/// The form in which both servers write it with our filter: no blanks, `errors` before `items`. Stored documents,
/// nearly all, are recognised by one comparison, and those that were there already by the head of their error.
pub(super) fn read_compact(body: &[u8]) -> Option<(Answer, usize)> {
    const CREATED: &[u8] = br#"{"create":{"status":201}}"#;
    const EXISTS: &[u8] = br#"{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","#;
    let item_end = memmem::Finder::new(b"}}}");
    let rest = body.strip_prefix(b"{")?;
    let rest =
        rest.strip_prefix(br#""errors":false,"#).or_else(|| rest.strip_prefix(br#""errors":true,"#))?;
    let mut rest = rest.strip_prefix(br#""items":["#)?;
    let mut answer = Answer::default();
    let mut count = 0_u32;
    loop {
        if let Some(after) = rest.strip_prefix(CREATED) {
            rest = after;
        } else if rest.starts_with(EXISTS)
            && let Some((_, after)) = item_end.find(rest).and_then(|end| rest.split_at_checked(end + 3))
            // Else these three were not the item's end: the whole item is read.
            && matches!(after.first(), Some(b',' | b']'))
        {
            rest = after;
            answer.others.push((count, Verdict::Duplicate));
        } else {
            let mut items = serde_json::Deserializer::from_slice(rest).into_iter::<Item<'_>>();
            let verdict = items.next()?.ok()?.verdict();
            rest = rest.get(items.byte_offset()..)?;
            if verdict != Verdict::Created {
                answer.others.push((count, verdict));
            }
        }
        count += 1;
        match rest.split_first()? {
            (b',', after) => rest = after,
            (b']', b"}") => return Some((answer, count as usize)),
            _ => return None,
        }
    }
}

pub(super) fn read_any(body: &[u8]) -> Result<(Answer, usize), BrokenAnswer> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        items: Vec<Item<'a>>,
    }
    let whole: Whole<'_> =
        serde_json::from_slice(body).map_err(|error| BrokenAnswer::Garbage(error.column()))?;
    let count = whole.items.len();
    let numbered = (0_u32..).zip(whole.items.iter().map(Item::verdict));
    Ok((Answer { others: numbered.filter(|(_, verdict)| *verdict != Verdict::Created).collect() }, count))
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    create: ItemResult<'a>,
}

#[derive(Deserialize)]
struct ItemResult<'a> {
    status: u16,
    #[serde(borrow, default)]
    failure_store: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// The error of an item, or of a whole request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServerError {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) reason: Option<String>,
    pub(super) caused_by: Option<Box<ServerError>>,
}

impl ServerError {
    /// The error of a whole request: `{"error":{…},"status":…}`; empty where the body is something else.
    pub(super) fn of_body(body: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Whole {
            error: ServerError,
        }
        serde_json::from_slice::<Whole>(body).unwrap_or_default().error
    }

    fn says(&self, text: &str) -> bool {
        self.reason.as_deref().is_some_and(|reason| reason.contains(text))
    }
}

impl Item<'_> {
    fn verdict(&self) -> Verdict {
        let result = &self.create;
        match result.status {
            _ if result.failure_store.as_deref() == Some("used") => Verdict::FailureStore,
            201 => Verdict::Created,
            200 => Verdict::Noop,
            status => {
                let error =
                    result.error.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
                judge(status, error)
            }
        }
    }
}

/// Errors whose type alone says that this one document cannot be stored as it is. Elasticsearch from 8.8 on writes
/// `document_parsing_exception` where 7, 8.0 and OpenSearch write `mapper_parsing_exception`; strict mappings have
/// their own type in all; `max_bytes_length_exceeded_exception` is Lucene's immense term.
const NAMES_THE_DOCUMENT: [&str; 5] = [
    "mapper_parsing_exception",
    "document_parsing_exception",
    "strict_dynamic_mapping_exception",
    "max_bytes_length_exceeded_exception",
    "not_x_content_exception",
];

/// `illegal_argument_exception` is used for both: only these reasons speak of the document. Not among them and so
/// held: a missing pipeline, a missing write index, a full shard limit (which some versions give this type).
const ILLEGAL_DOCUMENT: [&str; 9] = [
    // Lucene, on both servers.
    "Document contains at least one immense term",
    // A field that two documents fill with different kinds of values.
    "cannot be changed from type",
    "can't merge a non object mapping",
    "can't be changed from nested to non-nested",
    "can't be changed from non-nested to nested",
    // A document that brings more new fields, or nested objects, than the mapping may hold.
    "Limit of total fields",
    "nested documents has exceeded the allowed limit",
    // A data stream's document without time or with two; not: a template that maps the field wrongly.
    "timestamp field [@timestamp] is missing",
    "timestamp field [@timestamp] encountered multiple values",
];

/// What an error means for what is done next.
pub(super) fn judge(status: u16, error: ServerError) -> Verdict {
    let kind = error.kind.as_str();
    let hold = |reason| Verdict::Hold { reason, kind: error.kind.clone() };
    if kind == "cluster_block_exception" && status < 500 {
        // 403 for a write block, 429 for a full disk (flood stage): both hold, so that the stream is seen to stand
        // still. 503 while there is no master passes by itself.
        return hold(HeldReason::write_block);
    }
    if error.says("this action would add") {
        return hold(HeldReason::shard_limit);
    }
    match status {
        409 if kind.is_empty() || kind == "version_conflict_engine_exception" => Verdict::Duplicate,
        429 => Verdict::Retry { reason: RetryReason::throttled, unknown: false },
        408 | 500.. => Verdict::Retry { reason: RetryReason::server_error, unknown: true },
        401 => hold(HeldReason::auth),
        403 => hold(HeldReason::forbidden),
        404 => hold(HeldReason::no_template),
        400 | 413 if names_the_document(status, &error) => {
            let ServerError { kind, reason, .. } = error;
            Verdict::Refused(Refusal { status, kind, reason: reason.unwrap_or_default() })
        }
        _ => hold(HeldReason::other),
    }
}

fn names_the_document(status: u16, error: &ServerError) -> bool {
    let caused_by = error.caused_by.as_deref();
    status == 413
        || NAMES_THE_DOCUMENT.contains(&error.kind.as_str())
        || caused_by.is_some_and(|cause| cause.kind == "max_bytes_length_exceeded_exception")
        || (error.kind == "illegal_argument_exception"
            && ILLEGAL_DOCUMENT.iter().any(|text| error.says(text)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ITEMS: [&str; 6] = [
        r#"{"create":{"status":201}}"#,
        r#"{"create":{"status":200}}"#,
        r#"{"create":{"status":201,"failure_store":"used"}}"#,
        r#"{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[a]: conflict"}}}"#,
        r#"{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"r"}}}"#,
        r#"{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":"\"}}},","caused_by":{"type":"x"}}}}"#,
    ];

    proptest! {
        /// serde_json is the oracle of the fast reader; bytes that were changed on the way are read without panic.
        #[test]
        fn both_readers_agree(
            picks in prop::collection::vec(0_usize..6, 0..40),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let items: Vec<_> = picks.iter().filter_map(|&pick| ITEMS.get(pick).copied()).collect();
            let mut body = format!(r#"{{"errors":true,"items":[{}]}}"#, items.join(",")).into_bytes();
            let any = read_any(&body).unwrap();
            prop_assert_eq!(any.1, picks.len());
            prop_assert_eq!(read_compact(&body), (!picks.is_empty()).then_some(any));
            for (at, byte) in changes {
                let at = at.index(body.len());
                body[at] = byte;
            }
            let _ = read_answer(&body, picks.len());
            let cut = body.len() / 2;
            prop_assert!(read_answer(&body[..cut], picks.len()).is_err());
        }
    }

    fn one(item: &str) -> Verdict {
        let last = r#"{"create":{"status":201}}"#;
        let body = format!(r#"{{"errors":true,"items":[{item},{last}]}}"#);
        let compact = read_answer(body.as_bytes(), 2).unwrap();
        let pretty: serde_json::Value = serde_json::from_str(&body).unwrap();
        let pretty = serde_json::to_string_pretty(&pretty).unwrap();
        assert_eq!(read_answer(pretty.as_bytes(), 2).unwrap(), compact, "both readers agree");
        compact.others.into_iter().next().map_or(Verdict::Created, |(_, verdict)| verdict)
    }

    fn error(status: u16, kind: &str, reason: &str) -> Verdict {
        let error = serde_json::json!({"create": {"status": status, "error": {"type": kind, "reason": reason,
            "index_uuid": "x", "shard": "0", "index": ".ds-logs-a-b-2026.11.23-000001"}}});
        one(&error.to_string())
    }

    #[test]
    fn answers_of_both_servers() {
        use HeldReason as H;
        assert_eq!(one(r#"{"create":{"status":201}}"#), Verdict::Created);
        assert_eq!(one(r#"{"create":{"status":201,"failure_store":"used"}}"#), Verdict::FailureStore);
        assert_eq!(one(r#"{"create":{"status":201,"failure_store":"not_enabled"}}"#), Verdict::Created);
        assert_eq!(one(r#"{"create":{"status":200}}"#), Verdict::Noop);
        let exists = "[AbC]: version conflict, document already exists (current version [1])";
        assert_eq!(error(409, "version_conflict_engine_exception", exists), Verdict::Duplicate);
        for odd in [
            r#"{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"}}},{"}}}"#,
            r#"{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","caused_by":{"type":"x"}}}}"#,
        ] {
            assert_eq!(one(odd), Verdict::Duplicate);
        }
        for (status, kind, reason) in [
            (
                400,
                "mapper_parsing_exception",
                "failed to parse field [n] of type [long] in document with id 'x'",
            ),
            (400, "document_parsing_exception", "[1:25] failed to parse field [n] of type [long]"),
            (400, "strict_dynamic_mapping_exception", "mapping set to strict, dynamic introduction of [x]"),
            (400, "illegal_argument_exception", "Document contains at least one immense term in field=\"f\""),
            (400, "illegal_argument_exception", "mapper [a] cannot be changed from type [long] to [text]"),
            (400, "illegal_argument_exception", "Limit of total fields [1000] has been exceeded"),
            (413, "es_rejected_execution_exception", "too large"),
        ] {
            let (kind, reason) = (kind.to_owned(), reason.to_owned());
            let verdict = error(status, &kind, &reason);
            assert_eq!(verdict, Verdict::Refused(Refusal { status, kind, reason }));
        }
        let full = "Validation Failed: 1: this action would add [2] shards, but this cluster currently has \
                    [1000]/[1000] maximum normal shards open;";
        let blocked = "index [i] blocked by: [FORBIDDEN/8/index write (api)];";
        for (status, kind, reason, held) in [
            (400, "validation_exception", full, H::shard_limit),
            (400, "illegal_argument_exception", full, H::shard_limit),
            (403, "cluster_block_exception", blocked, H::write_block),
            (429, "cluster_block_exception", "blocked by: [TOO_MANY_REQUESTS/12/disk usage]", H::write_block),
            (403, "security_exception", "action [indices:data/write/bulk[s]] is unauthorized", H::forbidden),
            (401, "security_exception", "unable to authenticate", H::auth),
            (
                404,
                "index_not_found_exception",
                "no such index [logs-a-b] and [action.auto_create_index]",
                H::no_template,
            ),
            (400, "index_closed_exception", "closed", H::other),
            (400, "illegal_argument_exception", "pipeline with id [p] does not exist", H::other),
            (
                400,
                "illegal_argument_exception",
                "data stream timestamp field [@timestamp] is of type [text]",
                H::other,
            ),
            (400, "invented_exception", "?", H::other),
            (409, "invented_exception", "?", H::other),
        ] {
            assert_eq!(
                error(status, kind, reason),
                Verdict::Hold { reason: held, kind: kind.into() },
                "{reason}"
            );
        }
        assert_eq!(
            error(429, "es_rejected_execution_exception", "rejected execution of primary operation"),
            Verdict::Retry { reason: RetryReason::throttled, unknown: false }
        );
        assert_eq!(
            error(503, "cluster_block_exception", "blocked by: [SERVICE_UNAVAILABLE/2/no master]"),
            Verdict::Retry { reason: RetryReason::server_error, unknown: true }
        );
        assert_eq!(
            error(503, "unavailable_shards_exception", "primary shard is not active Timeout: [1m]"),
            Verdict::Retry { reason: RetryReason::server_error, unknown: true }
        );
    }

    #[test]
    fn answers_that_are_none() {
        let two = br#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}"#;
        assert_eq!(read_answer(two, 2), Ok(Answer::default()));
        assert_eq!(read_answer(two, 3), Err(BrokenAnswer::Count(2, 3)));
        for body in [&b""[..], b"{}", b"<html>", &two[..40], b"{\"errors\":false,\"items\":[{\"index\":{}}]}"]
        {
            assert!(matches!(read_answer(body, 2), Err(BrokenAnswer::Garbage(_))));
        }
    }

    #[test]
    fn a_body_tells_its_exact_length() {
        let body = Body::new(vec![Bytes::from_static(b"ab"), Bytes::from_static(b"cde")]);
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(5));
    }
}
