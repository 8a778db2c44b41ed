//! Owns what the endpoint does with a request, and what it remembers: ids by backing index, templates, totals.
//! Must not know: sockets, TLS.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answers, Filter};
use super::{
    Auth, BODY_LIMIT_BYTES, Document, EndpointOptions, Fault, Product, RequestInfo, Stats, count_documents,
};

/// The connection is to be cut instead of answered.
#[derive(Debug, thiserror::Error)]
#[error("connection cut on request")]
pub(super) struct Cut;

type Answer = Result<Response<Full<Bytes>>, Cut>;

pub(super) struct Server {
    options: EndpointOptions,
    pub(super) totals: Totals,
    streams: Mutex<HashMap<String, Vec<Backing>>>,
    templates: Mutex<HashMap<String, Value>>,
}

/// One backing index and the ids in it.
struct Backing {
    name: String,
    ids: HashSet<Box<str>>,
}

#[derive(Default)]
pub(super) struct Totals {
    pub(super) connections: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) bulk_requests: AtomicU64,
    pub(super) bulks: AtomicU64,
    pub(super) documents: AtomicU64,
    pub(super) created: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) wire_bytes: AtomicU64,
    pub(super) decoded_bytes: AtomicU64,
}

impl Totals {
    pub(super) fn read(&self) -> Stats {
        let of = |total: &AtomicU64| total.load(Ordering::Relaxed);
        Stats {
            connections: of(&self.connections),
            requests: of(&self.requests),
            bulks: of(&self.bulks),
            documents: of(&self.documents),
            created: of(&self.created),
            duplicates: of(&self.duplicates),
            refused: of(&self.refused),
            wire_bytes: of(&self.wire_bytes),
            decoded_bytes: of(&self.decoded_bytes),
        }
    }
}

impl Server {
    pub(super) fn new(options: EndpointOptions) -> Self {
        Self { options, totals: Totals::default(), streams: Mutex::default(), templates: Mutex::default() }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, BODY_LIMIT_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                return Ok(self.json(413, &json!({})));
            }
            Err(_) => return Err(Cut),
        };
        let path = head.uri.path();
        let mut info = RequestInfo {
            number: self.totals.requests.fetch_add(1, Ordering::Relaxed),
            bulk_number: 0,
            method: &head.method,
            path,
            query: head.uri.query().unwrap_or_default(),
            headers: &head.headers,
            body_bytes: body.len(),
        };
        if info.is_bulk() {
            info.bulk_number = self.totals.bulk_requests.fetch_add(1, Ordering::Relaxed);
        }
        if !self.allowed(&head.headers) {
            return Ok(self.unauthorized());
        }
        let fault = self.options.fault.as_ref().map_or(Fault::None, |fault| fault(&info));
        match &fault {
            Fault::Status(status, headers) => {
                let mut response = self.json(*status, &json!({"error": {"type": "fault"}, "status": status}));
                for (name, value) in headers {
                    if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::from_str(value))
                    {
                        response.headers_mut().insert(name, value);
                    }
                }
                return Ok(response);
            }
            Fault::CloseBefore => return Err(Cut),
            _ => {}
        }
        let response = if info.is_bulk() { self.bulk(&info, body, &fault) } else { self.other(&info, &body) };
        match fault {
            Fault::CloseAfter => Err(Cut),
            Fault::Garbage => Ok(self.respond(200, Bytes::from_static(b"<html>502 Bad Gateway</html>"))),
            Fault::Slow(time) => {
                tokio::time::sleep(time).await;
                Ok(response)
            }
            _ => Ok(response),
        }
    }

    fn allowed(&self, headers: &HeaderMap) -> bool {
        let Some(auth) = &self.options.auth else { return true };
        let expected = match auth {
            Auth::Basic { user, password } => {
                format!(
                    "Basic {}",
                    base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
                )
            }
            Auth::ApiKey(key) => format!("ApiKey {key}"),
        };
        headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes() == expected.as_bytes())
    }

    fn unauthorized(&self) -> Response<Full<Bytes>> {
        let cause =
            json!({"type": "security_exception", "reason": "missing or wrong authentication credentials"});
        let mut response = self.json(
            401,
            &json!({"error": {"root_cause": [cause], "type": "security_exception",
            "reason": "missing or wrong authentication credentials"}, "status": 401}),
        );
        response.headers_mut().insert(
            hyper::header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"security\", ApiKey"),
        );
        response
    }

    fn bulk(&self, info: &RequestInfo<'_>, wire: Bytes, fault: &Fault) -> Response<Full<Bytes>> {
        let wire_bytes = wire.len();
        let body = match self.decode(info.headers, wire) {
            Ok(body) => body,
            Err(reason) => return self.failure(400, "parse_exception", &reason),
        };
        if body.is_empty() {
            return self.failure(400, "parse_exception", "request body is required");
        }
        // Both servers: "The bulk request must be terminated by a newline [\\n]".
        if body.last() != Some(&b'\n') {
            return self.failure(
                400,
                "illegal_argument_exception",
                "The bulk request must be terminated by a newline",
            );
        }
        let default_stream = info.path.strip_suffix("/_bulk").unwrap_or_default().trim_start_matches('/');
        let filter = Filter::new(info.query);
        let careful = self.options.dedupe
            || self.options.on_document.is_some()
            || matches!(fault, Fault::ItemStatus(_));
        let full = filter.item("_index") || filter.item("_id") || careful;
        let mut answer = Answers::new(filter);
        if full {
            if let Err(reason) = self.items(&body, default_stream, fault, &mut answer) {
                return self.failure(400, "illegal_argument_exception", &reason);
            }
        } else {
            answer.created(count_documents(&body));
        }
        let totals = &self.totals;
        totals.bulks.fetch_add(1, Ordering::Relaxed);
        totals.wire_bytes.fetch_add(wire_bytes as u64, Ordering::Relaxed);
        totals.decoded_bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        totals.documents.fetch_add(answer.counts.iter().sum(), Ordering::Relaxed);
        for (total, count) in
            [&totals.created, &totals.duplicates, &totals.refused].into_iter().zip(answer.counts)
        {
            total.fetch_add(count, Ordering::Relaxed);
        }
        if matches!(fault, Fault::TooFewItems) {
            answer.items.pop();
        }
        self.respond(200, answer.finish())
    }

    /// Takes the operations one by one.
    fn items(
        &self,
        body: &[u8],
        default_stream: &str,
        fault: &Fault,
        answer: &mut Answers,
    ) -> Result<(), String> {
        let mut lines = body.split(|b| *b == b'\n');
        let mut number = 0;
        while let Some(line) = lines.next() {
            if line.is_empty() {
                continue;
            }
            let action: Action<'_> = serde_json::from_slice(line).map_err(|error| {
                format!("Malformed action/metadata line of item {number}, column {}", error.column())
            })?;
            let (op, target) = match (&action.create, &action.index) {
                (Some(target), _) => ("create", target),
                (_, Some(target)) => ("index", target),
                _ => return Err(format!("item {number}: only create and index are taken")),
            };
            let source = lines.next().filter(|line| !line.is_empty()).ok_or("action without a document")?;
            let stream = target.index.as_deref().unwrap_or(default_stream);
            if stream.is_empty() {
                return Err(format!("item {number}: index is missing"));
            }
            let id = target.id.as_deref().unwrap_or_default();
            let (mut status, mut error, mut index) = (201, None, String::new());
            if let Fault::ItemStatus(choose) = fault
                && let Some((refused, why)) = choose(number, source)
            {
                (status, error) = (refused, Some(why));
            } else if self.options.dedupe {
                let (place, new) = self.hold(stream, id);
                index = place;
                if !new && op == "create" {
                    status = 409;
                    let reason =
                        format!("[{id}]: version conflict, document already exists (current version [1])");
                    error = Some(
                        json!({"type": "version_conflict_engine_exception", "reason": reason, "index": index}),
                    );
                }
            }
            if let Some(take) = &self.options.on_document {
                take(&Document { stream, op, id, status, source });
            }
            let index = if index.is_empty() { stream } else { &index };
            answer.item(op, index, id, status, error);
            number += 1;
        }
        Ok(())
    }

    /// Whether the id is new in the write index of the stream, and that index's name.
    fn hold(&self, stream: &str, id: &str) -> (String, bool) {
        let mut streams = locked(&self.streams);
        if !streams.contains_key(stream) {
            streams.insert(stream.to_owned(), vec![Backing::of(stream, 1)]);
        }
        let Some(backing) = streams.get_mut(stream).and_then(|indices| indices.last_mut()) else {
            return (stream.to_owned(), true);
        };
        let new = id.is_empty() || backing.ids.insert(id.into());
        (backing.name.clone(), new)
    }

    pub(super) fn rollover(&self, stream: &str) -> String {
        let mut streams = locked(&self.streams);
        let indices = streams.entry(stream.to_owned()).or_insert_with(|| vec![Backing::of(stream, 1)]);
        let next = Backing::of(stream, indices.len() + 1);
        let name = next.name.clone();
        indices.push(next);
        name
    }

    fn decode(&self, headers: &HeaderMap, wire: Bytes) -> Result<Bytes, String> {
        let encoding = headers.get(CONTENT_ENCODING).map_or(&b""[..], HeaderValue::as_bytes);
        let mut body = Vec::new();
        let limit = BODY_LIMIT_BYTES as u64 * 4;
        let done = match encoding {
            b"" | b"identity" => return Ok(wire),
            b"gzip" => flate2::read::MultiGzDecoder::new(&wire[..]).take(limit).read_to_end(&mut body),
            b"zstd" if self.options.product == Product::OpenSearch => {
                let decoder = zstd::Decoder::with_buffer(&wire[..]).map_err(|error| error.to_string())?;
                decoder.take(limit).read_to_end(&mut body)
            }
            _ => return Err("unsupported content encoding".to_owned()),
        };
        done.map_err(|error| format!("body is not what content-encoding says: {}", error.kind()))?;
        Ok(Bytes::from(body))
    }

    fn other(&self, info: &RequestInfo<'_>, body: &[u8]) -> Response<Full<Bytes>> {
        let parts: Vec<&str> = info.path.split('/').filter(|part| !part.is_empty()).collect();
        let method = info.method.as_str();
        match (method, parts.as_slice()) {
            ("GET" | "HEAD", []) => self.json(200, &self.product()),
            ("GET", ["_data_stream"]) => self.data_streams(""),
            ("GET", ["_data_stream", name]) => self.data_streams(name),
            ("PUT", ["_data_stream", name]) => {
                locked(&self.streams).entry((*name).to_owned()).or_insert_with(|| vec![Backing::of(name, 1)]);
                self.json(200, &json!({"acknowledged": true}))
            }
            ("POST", [name, "_rollover"]) => {
                let index = self.rollover(name);
                self.json(200, &json!({"acknowledged": true, "rolled_over": true, "new_index": index}))
            }
            ("GET" | "POST", ["_mget"]) => self.mget(None, body),
            ("GET" | "POST", [index, "_mget"]) => self.mget(Some(index), body),
            ("PUT", ["_index_template" | "_component_template", name]) => {
                let template = serde_json::from_slice(body).unwrap_or(Value::Null);
                locked(&self.templates).insert((*name).to_owned(), template);
                self.json(200, &json!({"acknowledged": true}))
            }
            ("GET" | "HEAD", ["_index_template" | "_component_template", rest @ ..]) => self.templates(rest),
            ("GET", ["_cluster", "health", ..]) => {
                self.json(200, &json!({"status": "green", "timed_out": false}))
            }
            _ => self.failure(404, "invalid_request", &format!("no handler for {method} {}", info.path)),
        }
    }

    fn product(&self) -> Value {
        let (version, tagline) = match self.options.product {
            Product::OpenSearch => (
                json!({"distribution": "opensearch", "number": "2.19.0", "build_type": "tar",
                    "minimum_wire_compatibility_version": "7.10.0"}),
                "The OpenSearch Project: https://opensearch.org/",
            ),
            Product::Elasticsearch => (
                json!({"number": "8.19.21", "build_flavor": "default", "build_type": "tar",
                    "minimum_wire_compatibility_version": "7.17.0"}),
                "You Know, for Search",
            ),
        };
        json!({"name": "demo", "cluster_name": "demo", "cluster_uuid": "p7Yk1D9fQm2vS4tBzXw0aA", "version": version,
            "tagline": tagline})
    }

    fn data_streams(&self, name: &str) -> Response<Full<Bytes>> {
        let streams = locked(&self.streams);
        let wanted = |stream: &str| match name.split_once('*') {
            Some((head, tail)) => stream.starts_with(head) && stream.ends_with(tail),
            None => name.is_empty() || stream == name,
        };
        let mut found: Vec<_> = streams.iter().filter(|(stream, _)| wanted(stream)).collect();
        if found.is_empty() && !name.is_empty() && !name.contains('*') {
            return self.failure(404, "index_not_found_exception", &format!("no such index [{name}]"));
        }
        found.sort_by_key(|(stream, _)| *stream);
        let found: Vec<_> = found
            .into_iter()
            .map(|(stream, indices)| {
                let indices: Vec<_> = indices
                    .iter()
                    .map(|index| json!({"index_name": index.name, "index_uuid": index.name}))
                    .collect();
                json!({"name": stream, "timestamp_field": {"name": "@timestamp"}, "generation": indices.len(),
                    "status": "GREEN", "template": "logs", "indices": indices})
            })
            .collect();
        self.json(200, &json!({"data_streams": found}))
    }

    fn mget(&self, index: Option<&str>, body: &[u8]) -> Response<Full<Bytes>> {
        let Ok(asked) = serde_json::from_slice::<Mget>(body) else {
            return self.failure(400, "parse_exception", "ids or docs expected");
        };
        let streams = locked(&self.streams);
        let ids = asked.ids.into_iter().map(|id| MgetDoc { index: None, id });
        let docs: Vec<_> = ids
            .chain(asked.docs)
            .map(|doc| {
                let place = doc.index.as_deref().or(index).unwrap_or_default();
                let holder = streams.values().flatten().find(|backing| backing.name == place);
                match holder {
                    // The real servers refuse the name of a data stream here, too.
                    None => json!({"_index": place, "_id": doc.id, "error":
                        {"type": "index_not_found_exception", "reason": format!("no such index [{place}]")}}),
                    Some(holder) => {
                        let found = holder.ids.contains(doc.id.as_str());
                        json!({"_index": place, "_id": doc.id, "found": found})
                    }
                }
            })
            .collect();
        self.json(200, &json!({"docs": docs}))
    }

    fn templates(&self, path: &[&str]) -> Response<Full<Bytes>> {
        let templates = locked(&self.templates);
        let name = path.first().copied().unwrap_or_default();
        let mut found: Vec<_> = templates
            .iter()
            .filter(|(held, _)| name.is_empty() || name == "*" || *held == name)
            .map(|(held, template)| json!({"name": held, "index_template": template}))
            .collect();
        if found.is_empty() && !name.is_empty() && name != "*" {
            return self.failure(
                404,
                "resource_not_found_exception",
                &format!("index template [{name}] not found"),
            );
        }
        found.sort_by_key(|template| template["name"].to_string());
        self.json(200, &json!({"index_templates": found}))
    }

    fn failure(&self, status: u16, kind: &str, reason: &str) -> Response<Full<Bytes>> {
        let cause = json!({"type": kind, "reason": reason});
        self.json(
            status,
            &json!({"error": {"root_cause": [cause], "type": kind, "reason": reason}, "status": status}),
        )
    }

    fn json(&self, status: u16, body: &Value) -> Response<Full<Bytes>> {
        self.respond(status, Bytes::from(body.to_string()))
    }

    fn respond(&self, status: u16, body: Bytes) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.options.product == Product::Elasticsearch {
            response.headers_mut().insert(
                HeaderName::from_static("x-elastic-product"),
                HeaderValue::from_static("Elasticsearch"),
            );
        }
        response
    }
}

impl Backing {
    fn of(stream: &str, generation: usize) -> Self {
        // The real ones hold the day of their making, too; no client may read meaning into the name.
        Self { name: format!(".ds-{stream}-{generation:06}"), ids: HashSet::new() }
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Deserialize)]
struct Action<'a> {
    #[serde(borrow)]
    create: Option<Target<'a>>,
    #[serde(borrow)]
    index: Option<Target<'a>>,
}

#[derive(Deserialize)]
struct Target<'a> {
    #[serde(rename = "_index", borrow)]
    index: Option<Cow<'a, str>>,
    #[serde(rename = "_id", borrow)]
    id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Mget {
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    docs: Vec<MgetDoc>,
}

#[derive(Deserialize)]
struct MgetDoc {
    #[serde(rename = "_index")]
    index: Option<String>,
    #[serde(rename = "_id")]
    id: String,
}
