//! Owns a small server that speaks enough of the Elasticsearch and OpenSearch API for an agent to deliver to it.
//! Must not know: the agent. It sees requests only, and holds what it was told to hold.
//!
//! Documents are answered for one by one, as the real servers do. With [`EndpointOptions::dedupe`] an `_id` is taken
//! once per backing index (409 after that), and [`Endpoint::rollover`] opens a new backing index that takes it again,
//! as was seen on both servers. Without it nothing is kept, and a plain body is only searched for newlines.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Both servers refuse a longer body: `http.max_content_length` is 100mb by default.
pub const BODY_LIMIT_BYTES: usize = 100 << 20;

/// Pause after an accept that failed, so that a lack of descriptors does not turn into a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Who the endpoint says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Product {
    /// OpenSearch 2.19.0, takes zstd.
    #[default]
    OpenSearch,
    /// Elasticsearch 8.19.21, refuses zstd with 400.
    Elasticsearch,
}

/// The credential that each request must carry.
#[derive(Clone)]
pub enum Auth {
    /// HTTP basic.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
    /// `Authorization: ApiKey …`, as encoded by the server that made it.
    ApiKey(String),
}

/// One request, as the fault closure and logs see it.
pub struct RequestInfo<'a> {
    /// Counted from 0 over all requests, `_bulk` or not.
    pub number: u64,
    /// `_bulk` requests before this one.
    pub bulk_number: u64,
    /// HTTP method.
    pub method: &'a Method,
    /// Path without query.
    pub path: &'a str,
    /// Query, empty where there is none.
    pub query: &'a str,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// Body bytes on the wire.
    pub body_bytes: usize,
}

impl RequestInfo<'_> {
    /// Whether this is a `_bulk` request.
    pub fn is_bulk(&self) -> bool {
        self.path.ends_with("/_bulk")
    }
}

/// One document as it arrived.
pub struct Document<'a> {
    /// Data stream or index.
    pub stream: &'a str,
    /// `create` or `index`.
    pub op: &'a str,
    /// `_id`, empty where the client left it to the server.
    pub id: &'a str,
    /// What is answered for it: 201, 409 or what a fault asked for.
    pub status: u16,
    /// The document's JSON, one line.
    pub source: &'a [u8],
}

/// Status and error object for one item.
pub type ItemFault = Arc<dyn Fn(usize, &[u8]) -> Option<(u16, Value)> + Send + Sync>;

/// What goes wrong with a request.
#[derive(Clone, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// This status and these headers, nothing processed.
    Status(u16, Vec<(&'static str, String)>),
    /// Processed at once, answered after this time.
    Slow(Duration),
    /// The connection is cut, nothing processed.
    CloseBefore,
    /// Processed, then the connection is cut without an answer.
    CloseAfter,
    /// Items for which the function gives a status and an error are refused with it, the others taken.
    ItemStatus(ItemFault),
    /// Processed, but the answer lacks its last item.
    TooFewItems,
    /// Processed, but the answer is not JSON.
    Garbage,
}

/// Chooses the fault of a request; called once its body has arrived, before anything is processed.
pub type FaultFn = Arc<dyn Fn(&RequestInfo<'_>) -> Fault + Send + Sync>;
/// Takes each document in the order of its request; must be quick, or hand over.
pub type DocumentFn = Arc<dyn Fn(&Document<'_>) + Send + Sync>;

/// How to start an [`Endpoint`].
#[derive(Clone)]
pub struct EndpointOptions {
    /// Address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS with a certificate authority made at the start.
    pub tls: bool,
    /// Who it says it is.
    pub product: Product,
    /// Credential to ask for.
    pub auth: Option<Auth>,
    /// Remember ids: 409 for a second create, `_mget` answers.
    pub dedupe: bool,
    /// Gets each document.
    pub on_document: Option<DocumentFn>,
    /// Faults.
    pub fault: Option<FaultFn>,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: false,
            product: Product::default(),
            auth: None,
            dedupe: false,
            on_document: None,
            fault: None,
        }
    }
}

/// Why an endpoint did not start.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address could not be bound.
    #[error("listen on {addr}: {source}")]
    Listen {
        /// Address asked for.
        addr: SocketAddr,
        /// Cause.
        source: std::io::Error,
    },
    /// The certificate could not be made.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS configuration was refused.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Totals since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Stats {
    /// Connections taken.
    pub connections: u64,
    /// Requests of any kind.
    pub requests: u64,
    /// `_bulk` requests that were processed.
    pub bulks: u64,
    /// Documents in them.
    pub documents: u64,
    /// Documents answered with 201.
    pub created: u64,
    /// Documents answered with 409.
    pub duplicates: u64,
    /// Documents answered with another status.
    pub refused: u64,
    /// Body bytes of processed bulks on the wire.
    pub wire_bytes: u64,
    /// The same after decoding.
    pub decoded_bytes: u64,
}

/// A running endpoint. Dropping it stops it at once; [`Endpoint::stop`] lets requests end.
pub struct Endpoint {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The authority that signed its certificate, PEM; `None` over plain HTTP.
    pub ca_pem: Option<String>,
    server: Arc<Server>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Endpoint {
    /// Binds, then serves on the current tokio runtime.
    pub async fn start(options: EndpointOptions) -> Result<Self, EndpointError> {
        let listen = |source| EndpointError::Listen { addr: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let (acceptor, ca_pem) = match options.tls {
            true => {
                let (acceptor, ca_pem) = tls(addr)?;
                (Some(acceptor), Some(ca_pem))
            }
            false => (None, None),
        };
        let server = Arc::new(Server {
            options,
            totals: Totals::default(),
            streams: Mutex::default(),
            templates: Mutex::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(listener, acceptor, server.clone(), stopped));
        Ok(Self { addr, ca_pem, server, stop, task })
    }

    /// `http://…` or `https://…` with the address it listens on.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.ca_pem.is_some() { "https" } else { "http" }, self.addr)
    }

    /// Totals since the start.
    pub fn stats(&self) -> Stats {
        self.server.totals.read()
    }

    /// Opens a new backing index of a data stream and returns its name; ids of the older ones are free again.
    pub fn rollover(&self, stream: &str) -> String {
        self.server.rollover(stream)
    }

    /// Takes no more connections, lets requests under way end, then returns the totals.
    pub async fn stop(mut self) -> Stats {
        self.stop.send_replace(true);
        // An aborted or panicked task has nothing left to wait for.
        let _ = (&mut self.task).await;
        self.server.totals.read()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Number of documents in a bulk body whose operations are all `create` or `index`: half its lines.
pub fn count_documents(body: &[u8]) -> u64 {
    let lines = memchr::memchr_iter(b'\n', body).count() as u64;
    (lines + u64::from(body.last().is_some_and(|b| *b != b'\n'))) / 2
}

// Connections

fn tls(addr: SocketAddr) -> Result<(TlsAcceptor, String), EndpointError> {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "fintail demo authority");
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    let ca = authority.self_signed(&key)?;
    let issuer = Issuer::new(authority, key);
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), addr.ip().to_string()];
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "fintail demo endpoint");
    leaf.use_authority_key_identifier_extension = true;
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let leaf_key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&leaf_key, &issuer)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(leaf_key.serialize_der());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), ca.pem()))
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    server: Arc<Server>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let socket = tokio::select! {
            socket = listener.accept() => socket,
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => continue,
        };
        // Accept fails for lack of descriptors or a client gone already; the next one may do.
        let Ok((socket, _)) = socket else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        server.totals.connections.fetch_add(1, Ordering::Relaxed);
        connections.spawn(connection(socket, acceptor.clone(), server.clone(), stopped.clone()));
    }
    while connections.join_next().await.is_some() {}
}

async fn connection(
    socket: TcpStream,
    acceptor: Option<TlsAcceptor>,
    server: Arc<Server>,
    mut stopped: watch::Receiver<bool>,
) {
    // Answers are small: without this they wait for the client's delayed ACK.
    let _ = socket.set_nodelay(true);
    match acceptor {
        Some(acceptor) => {
            let socket = tokio::select! {
                socket = acceptor.accept(socket) => socket,
                _ = stopped.changed() => return,
            };
            // A client that dislikes our certificate is a test's business; nothing to do for it here.
            if let Ok(socket) = socket {
                serve(TokioIo::new(socket), server, stopped).await;
            }
        }
        None => serve(TokioIo::new(socket), server, stopped).await,
    }
}

async fn serve<I>(io: I, server: Arc<Server>, mut stopped: watch::Receiver<bool>)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    let service = hyper::service::service_fn(move |request| {
        let server = server.clone();
        async move { server.answer(request).await }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, service);
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => {}
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

// Requests

/// The connection is to be cut instead of answered.
#[derive(Debug, thiserror::Error)]
#[error("connection cut on request")]
struct Cut;

type Answer = Result<Response<Full<Bytes>>, Cut>;

struct Server {
    options: EndpointOptions,
    totals: Totals,
    streams: Mutex<HashMap<String, Vec<Backing>>>,
    templates: Mutex<HashMap<String, Value>>,
}

/// One backing index and the ids in it.
struct Backing {
    name: String,
    ids: HashSet<Box<str>>,
}

#[derive(Default)]
struct Totals {
    connections: AtomicU64,
    requests: AtomicU64,
    bulk_requests: AtomicU64,
    bulks: AtomicU64,
    documents: AtomicU64,
    created: AtomicU64,
    duplicates: AtomicU64,
    refused: AtomicU64,
    wire_bytes: AtomicU64,
    decoded_bytes: AtomicU64,
}

impl Totals {
    fn read(&self) -> Stats {
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
    async fn answer(&self, request: Request<Incoming>) -> Answer {
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
                    if let Ok(value) = HeaderValue::from_str(value) {
                        response.headers_mut().insert(HeaderName::from_static(name), value);
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

    fn rollover(&self, stream: &str) -> String {
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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

/// `filter_path` as far as bulk answers have paths: `took`, `errors`, `items`, `items.*.FIELD`.
struct Filter(Option<Vec<String>>);

impl Filter {
    fn new(query: &str) -> Self {
        let value = query.split('&').find_map(|pair| pair.strip_prefix("filter_path="));
        Self(value.map(|value| {
            value
                .replace("%2C", ",")
                .replace("%2c", ",")
                .replace("%2A", "*")
                .split(',')
                .map(str::to_owned)
                .collect()
        }))
    }

    fn top(&self, name: &str) -> bool {
        self.0
            .as_ref()
            .is_none_or(|paths| paths.iter().any(|path| path == name || path == "*" || path == "**"))
    }

    fn item(&self, name: &str) -> bool {
        let shows = |path: &String| {
            let mut parts = path.split('.');
            match (parts.next(), parts.next(), parts.next()) {
                (Some("items" | "*" | "**"), None, _) => true,
                (Some("items"), Some(op), field) => {
                    matches!(op, "*" | "**" | "create" | "index")
                        && field.is_none_or(|field| field == "*" || field == name)
                }
                _ => false,
            }
        };
        self.0.as_ref().is_none_or(|paths| paths.iter().any(shows))
    }
}

/// A bulk answer under way: one rendered piece an item, or only their number where all are alike.
struct Answers {
    filter: Filter,
    items: Vec<Cow<'static, str>>,
    /// created, duplicates, refused
    counts: [u64; 3],
}

impl Answers {
    fn new(filter: Filter) -> Self {
        Self { filter, items: Vec::new(), counts: [0; 3] }
    }

    fn created(&mut self, count: u64) {
        self.counts[0] += count;
        if self.filter.item("status") {
            self.items.extend((0..count).map(|_| Cow::Borrowed(r#"{"create":{"status":201}}"#)));
        }
    }

    fn item(&mut self, op: &str, index: &str, id: &str, status: u16, error: Option<Value>) {
        self.counts[match status {
            200..300 => 0,
            409 => 1,
            _ => 2,
        }] += 1;
        let mut shown = serde_json::Map::new();
        let mut show = |name: &str, value: Value| {
            if self.filter.item(name) {
                shown.insert(name.to_owned(), value);
            }
        };
        show("_index", json!(index));
        show("_id", json!(id));
        show("status", json!(status));
        match error {
            Some(error) => show("error", error),
            None => {
                show("_version", json!(1));
                show("result", json!("created"));
                show("_shards", json!({"total": 1, "successful": 1, "failed": 0}));
            }
        }
        if !shown.is_empty() {
            self.items.push(json!({op: shown}).to_string().into());
        }
    }

    fn finish(&self) -> Bytes {
        let mut parts = Vec::new();
        if self.filter.top("took") {
            parts.push(r#""took":1"#.to_owned());
        }
        if self.filter.top("errors") {
            parts.push(format!(r#""errors":{}"#, self.counts[1] + self.counts[2] > 0));
        }
        if !self.items.is_empty() {
            parts.push(format!(r#""items":[{}]"#, self.items.join(",")));
        }
        Bytes::from(format!("{{{}}}", parts.join(",")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const FILTER: &str = "?filter_path=errors,items.*.status,items.*.error,items.*.failure_store";

    fn client(endpoint: &Endpoint) -> reqwest::Client {
        // Another test of this process may have installed it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let builder = reqwest::Client::builder().no_proxy();
        match &endpoint.ca_pem {
            Some(pem) => {
                let ca = reqwest::Certificate::from_pem(pem.as_bytes()).expect("PEM");
                builder.tls_certs_only([ca]).build().expect("client")
            }
            None => builder.build().expect("client"),
        }
    }

    fn body(ids: &[&str]) -> String {
        ids.iter()
            .map(|id| format!("{{\"create\":{{\"_id\":\"{id}\"}}}}\n{{\"message\":\"m {id}\"}}\n"))
            .collect()
    }

    async fn bulk(
        client: &reqwest::Client,
        endpoint: &Endpoint,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> Value {
        let url = format!("{}/{path}", endpoint.url());
        let text = client.post(url).body(body).send().await.expect("answer").text().await.expect("text");
        serde_json::from_str(&text).expect("JSON")
    }

    #[tokio::test]
    async fn answers_each_item_over_tls_and_takes_an_id_once_per_backing_index() {
        let options = EndpointOptions { tls: true, dedupe: true, ..EndpointOptions::default() };
        let endpoint = Endpoint::start(options).await.expect("start");
        let client = client(&endpoint);
        let path = format!("logs-a-prod/_bulk{FILTER}");
        let first = bulk(&client, &endpoint, &path, body(&["a", "b"])).await;
        assert_eq!(
            first,
            json!({"errors": false, "items": [{"create": {"status": 201}}, {"create": {"status": 201}}]})
        );
        let second = bulk(&client, &endpoint, &path, body(&["b", "c"])).await;
        assert_eq!(second["errors"], json!(true));
        assert_eq!(second["items"][0]["create"]["status"], json!(409));
        assert_eq!(second["items"][0]["create"]["error"]["type"], json!("version_conflict_engine_exception"));
        assert_eq!(second["items"][1], json!({"create": {"status": 201}}));

        let old = ".ds-logs-a-prod-000001";
        let new = endpoint.rollover("logs-a-prod");
        let third = bulk(&client, &endpoint, "logs-a-prod/_bulk", body(&["a"])).await;
        assert_eq!(third["items"][0]["create"]["_index"], json!(new));
        assert_eq!(third["items"][0]["create"]["result"], json!("created"));
        let url = format!("{}/_data_stream/logs-a-prod", endpoint.url());
        let text = client.get(url).send().await.expect("answer").text().await.expect("text");
        let streams: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(streams["data_streams"][0]["indices"][0]["index_name"], json!(old));
        assert_eq!(streams["data_streams"][0]["indices"][1]["index_name"], json!(new));
        let asked = r#"{"ids":["c","x"]}"#;
        let found = bulk(&client, &endpoint, &format!("{old}/_mget"), asked).await;
        assert_eq!(found["docs"][0]["found"], json!(true));
        assert_eq!(found["docs"][1]["found"], json!(false));

        drop(client);
        let stats = endpoint.stop().await;
        assert_eq!((stats.bulks, stats.documents, stats.created, stats.duplicates), (3, 5, 4, 1));
    }

    #[tokio::test]
    async fn takes_concatenated_members_and_frames_and_hands_documents_over() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let keep = seen.clone();
        let on_document: DocumentFn = Arc::new(move |document: &Document<'_>| {
            locked(&keep).push((
                document.stream.to_owned(),
                document.id.to_owned(),
                document.source.to_vec(),
            ));
        });
        let options = EndpointOptions { on_document: Some(on_document), ..EndpointOptions::default() };
        let endpoint = Endpoint::start(options).await.expect("start");
        let client = client(&endpoint);
        let (mut gzip, mut zstd) = (Vec::new(), Vec::new());
        for part in [body(&["1", "2"]), body(&["3"])] {
            let mut member = flate2::write::GzEncoder::new(&mut gzip, flate2::Compression::fast());
            member.write_all(part.as_bytes()).expect("gzip");
            member.finish().expect("gzip");
            zstd.extend(zstd::encode_all(part.as_bytes(), 1).expect("zstd"));
        }
        for (encoding, body) in [("gzip", gzip), ("zstd", zstd)] {
            let url = format!("{}/logs-b-prod/_bulk{FILTER}", endpoint.url());
            let request = client.post(url).header("content-encoding", encoding).body(body);
            let answer: Value =
                serde_json::from_str(&request.send().await.expect("answer").text().await.expect("text"))
                    .expect("JSON");
            assert_eq!(answer["items"].as_array().map(Vec::len), Some(3), "{encoding}");
        }
        let seen = locked(&seen);
        assert_eq!(seen.len(), 6);
        assert_eq!(seen[2], ("logs-b-prod".to_owned(), "3".to_owned(), br#"{"message":"m 3"}"#.to_vec()));
    }

    #[tokio::test]
    async fn counts_without_parsing() {
        let endpoint = Endpoint::start(EndpointOptions::default()).await.expect("start");
        let client = client(&endpoint);
        let answer =
            bulk(&client, &endpoint, &format!("logs-c-prod/_bulk{FILTER}"), body(&["1", "2", "2"])).await;
        assert_eq!(answer["items"].as_array().map(Vec::len), Some(3));
        assert_eq!(endpoint.stats().created, 3);
    }

    #[tokio::test]
    async fn faults_are_as_asked_for() {
        let fault: FaultFn = Arc::new(|info: &RequestInfo<'_>| match info.bulk_number {
            0 => Fault::Status(429, vec![("retry-after", "1".to_owned())]),
            1 => Fault::CloseBefore,
            2 => Fault::CloseAfter,
            3 => Fault::TooFewItems,
            4 => Fault::Garbage,
            5 => Fault::ItemStatus(Arc::new(|index, document| {
                (index == 1 && document.starts_with(b"{"))
                    .then(|| (400, json!({"type": "document_parsing_exception", "reason": "…"})))
            })),
            _ => Fault::Slow(Duration::from_millis(20)),
        });
        let options = EndpointOptions { dedupe: true, fault: Some(fault), ..EndpointOptions::default() };
        let endpoint = Endpoint::start(options).await.expect("start");
        let client = client(&endpoint);
        let url = format!("{}/s/_bulk{FILTER}", endpoint.url());
        let send = |ids: &'static [&str]| client.post(&url).body(body(ids)).send();
        let refused = send(&["a"]).await.expect("answer");
        assert_eq!((refused.status().as_u16(), refused.headers().get("retry-after").is_some()), (429, true));
        assert!(send(&["a"]).await.is_err());
        assert_eq!(endpoint.stats().documents, 0);
        assert!(send(&["a"]).await.is_err());
        assert_eq!(endpoint.stats().documents, 1);
        let few: Value =
            serde_json::from_str(&send(&["b", "c"]).await.expect("ok").text().await.expect("text"))
                .expect("JSON");
        assert_eq!(few["items"].as_array().map(Vec::len), Some(1));
        let garbage = send(&["d"]).await.expect("ok").text().await.expect("text");
        assert!(serde_json::from_str::<Value>(&garbage).is_err());
        let mixed: Value =
            serde_json::from_str(&send(&["e", "f", "g"]).await.expect("ok").text().await.expect("text"))
                .expect("JSON");
        assert_eq!(mixed["items"][1]["create"]["status"], json!(400));
        assert_eq!(mixed["items"][2]["create"]["status"], json!(201));
        let start = std::time::Instant::now();
        assert_eq!(send(&["h"]).await.expect("ok").status().as_u16(), 200);
        assert!(start.elapsed() >= Duration::from_millis(20));
        assert_eq!(endpoint.stats().refused, 1);
    }

    #[tokio::test]
    async fn asks_for_the_credential_and_says_who_it_is() {
        let auth = Auth::Basic { user: "u".to_owned(), password: "p".to_owned() };
        let options = EndpointOptions {
            auth: Some(auth),
            product: Product::Elasticsearch,
            ..EndpointOptions::default()
        };
        let endpoint = Endpoint::start(options).await.expect("start");
        let client = client(&endpoint);
        let without = client.get(endpoint.url()).send().await.expect("answer");
        assert_eq!(without.status().as_u16(), 401);
        let with = client.get(endpoint.url()).basic_auth("u", Some("p")).send().await.expect("answer");
        assert_eq!(
            with.headers().get("x-elastic-product").map(HeaderValue::as_bytes),
            Some(&b"Elasticsearch"[..])
        );
        let product: Value = serde_json::from_str(&with.text().await.expect("text")).expect("JSON");
        assert_eq!(product["version"]["number"], json!("8.19.21"));
        let url = format!("{}/_data_stream/none", endpoint.url());
        let none = client.get(url).basic_auth("u", Some("p")).send().await.expect("answer");
        assert_eq!(none.status().as_u16(), 404);
    }
}
