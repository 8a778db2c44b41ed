//! Owns a small server that speaks enough of the Elasticsearch and OpenSearch API for an agent to deliver to it.
//! Must not know: the agent. It sees requests only, and holds what it was told to hold.
//!
//! Documents are answered for one by one, as the real servers do. With [`EndpointOptions::dedupe`] an `_id` is taken
//! once per backing index (409 after that), and [`Endpoint::rollover`] opens a new backing index that takes it again,
//! as was seen on both servers. Without it nothing is kept, and a plain body is only searched for newlines.

mod answer;
mod listen;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::header::HeaderMap;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use server::Server;

/// Both servers refuse a longer body: `http.max_content_length` is 100mb by default.
pub const BODY_LIMIT_BYTES: usize = 100 << 20;

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
        let failed = |source| EndpointError::Listen { addr: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let (acceptor, ca_pem) = match options.tls {
            true => {
                let (acceptor, ca_pem) = listen::tls(addr)?;
                (Some(acceptor), Some(ca_pem))
            }
            false => (None, None),
        };
        let server = Arc::new(Server::new(options));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(listen::accept(listener, acceptor, server.clone(), stopped));
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

#[cfg(test)]
mod tests {
    use super::server::locked;
    use super::*;
    use hyper::header::HeaderValue;
    use serde_json::json;
    use std::io::Write as _;
    use std::sync::Mutex;

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
