//! Owns requests to a search server: plain REST, and the few questions that tests ask of data streams.
//! Must not know which of the two servers answers, nor how it was started.

use std::{
    fs,
    path::Path,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use reqwest::{
    Certificate, Identity, Method,
    blocking::{Client as Http, ClientBuilder, RequestBuilder},
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE},
};
use serde_json::{Value, json};

use crate::certs::Leaf;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const READY_TIMEOUT: Duration = Duration::from_secs(5);
/// The most that one page may hold by default (`index.max_result_window`).
const DOCUMENTS_PER_PAGE: u32 = 10_000;

/// Who asks.
#[derive(Clone)]
pub enum Auth {
    /// Nobody.
    None,
    /// User and password.
    Basic(String, String),
    /// An API key in the form in which `encoded` gives it.
    ApiKey(String),
}

/// Whose certificates a client takes.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// Those of the CAs in this PEM file, and nobody else's.
    Ca(&'a Path),
    /// All, even bad ones.
    Anybody,
}

/// An answer of any status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body; `Null` where it is empty, a string where it is no JSON.
    pub body: Value,
}

/// One document of a data stream.
#[derive(Debug, Clone)]
pub struct Document {
    /// The backing index that holds it.
    pub index: String,
    /// Its `_id`.
    pub id: String,
    /// The fields asked for.
    pub source: Value,
}

/// A blocking client of one server.
#[derive(Clone)]
pub struct Client {
    http: Http,
    url: String,
    auth: Auth,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that shows `identity` where it is asked for one.
    pub fn new(url: &str, auth: Auth, trust: Trust<'_>, identity: Option<&Leaf>) -> Result<Self> {
        let mut builder = loopback_http().timeout(REQUEST_TIMEOUT);
        builder = match trust {
            Trust::Ca(ca) => builder.tls_certs_only(Certificate::from_pem_bundle(&fs::read(ca)?)?),
            Trust::Anybody => builder.tls_danger_accept_invalid_certs(true),
        };
        if let Some(leaf) = identity {
            let mut pem = fs::read(&leaf.cert)?;
            pem.extend(fs::read(&leaf.key)?);
            builder = builder.identity(Identity::from_pem(&pem)?);
        }
        Ok(Self { http: builder.build()?, url: url.to_owned(), auth })
    }

    /// The same client, asking as somebody else.
    pub fn with_auth(&self, auth: Auth) -> Self {
        Self { auth, ..self.clone() }
    }

    /// Who asks.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Scheme, host and port.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `GET path`.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::GET, path))
    }

    /// `PUT path` with a JSON body.
    pub fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(json_body(self.request(Method::PUT, path), body))
    }

    /// `POST path` with a JSON body; `Null` sends none.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let request = self.request(Method::POST, path);
        self.send(if body.is_null() { request } else { json_body(request, body) })
    }

    /// `DELETE path`.
    pub fn delete(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::DELETE, path))
    }

    /// `POST stream/_bulk` with a body as given, already compressed as `encoding` says.
    pub fn bulk(&self, stream: &str, body: Vec<u8>, encoding: Option<&str>) -> Result<Answer> {
        let mut request = self.request(Method::POST, &format!("{stream}/_bulk"));
        request = request.header(CONTENT_TYPE, "application/x-ndjson").body(body);
        if let Some(encoding) = encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        self.send(request)
    }

    /// Creates documents by one bulk request; the status of each item.
    pub fn create(&self, stream: &str, documents: &[(&str, Value)]) -> Result<Vec<u16>> {
        let answer = self.bulk(stream, create_body(documents), None)?.ok()?;
        item_statuses(&answer)
    }

    /// Makes the streams that match `pattern` data streams. `template` is settings and mappings, `{}` for none. A longer
    /// pattern wins over a shorter one, so that a test can refine what another has put.
    pub fn put_data_stream_template(&self, pattern: &str, template: &Value) -> Result<()> {
        let fixed_characters = pattern.chars().filter(|c| *c != '*').count();
        // built-in templates for logs-*-* have priority 100
        let body = json!({
            "index_patterns": [pattern],
            "data_stream": {},
            "priority": 200 + fixed_characters,
            "template": template,
        });
        let name = pattern.replace('*', "any");
        self.put(&format!("_index_template/{name}"), &body)?.ok().map(drop)
    }

    /// Documents of a data stream that a search finds (call [`Client::refresh`] before).
    pub fn count(&self, stream: &str) -> Result<u64> {
        let answer = self.get(&format!("{stream}/_count"))?.ok()?;
        answer["count"].as_u64().context("_count without a count")
    }

    /// Makes everything accepted so far visible to searches.
    pub fn refresh(&self, stream: &str) -> Result<()> {
        self.post(&format!("{stream}/_refresh"), &Value::Null)?.ok().map(drop)
    }

    /// Gives a data stream a new write index; its name.
    pub fn rollover(&self, stream: &str) -> Result<String> {
        let answer = self.post(&format!("{stream}/_rollover"), &Value::Null)?.ok()?;
        ensure!(answer["rolled_over"] == true, "no rollover: {answer}");
        Ok(answer["new_index"].as_str().context("rollover without new_index")?.to_owned())
    }

    /// Puts or lifts `index.blocks.write` on all backing indices: 403 per item.
    pub fn set_write_block(&self, stream: &str, block: bool) -> Result<()> {
        self.put(&format!("{stream}/_settings"), &json!({"index.blocks.write": block}))?.ok().map(drop)
    }

    /// Backing indices of a data stream, the write index last.
    pub fn backing_indices(&self, stream: &str) -> Result<Vec<String>> {
        let answer = self.get(&format!("_data_stream/{stream}"))?.ok()?;
        let indices =
            answer["data_streams"][0]["indices"].as_array().context("data stream without indices")?;
        let name = |index: &Value| Some(index["index_name"].as_str()?.to_owned());
        indices.iter().map(name).collect::<Option<_>>().context("index without a name")
    }

    /// Deletes a data stream with all it holds.
    pub fn delete_data_stream(&self, stream: &str) -> Result<()> {
        self.delete(&format!("_data_stream/{stream}"))?.ok().map(drop)
    }

    /// Hands every document of all backing indices to `take`, in no order; memory is bounded by one page. `fields` are the
    /// source fields to fetch, none for ids only.
    pub fn each_document(
        &self,
        stream: &str,
        fields: &[&str],
        mut take: impl FnMut(Document) -> Result<()>,
    ) -> Result<()> {
        let source = if fields.is_empty() { json!(false) } else { json!(fields) };
        let query = json!({"size": DOCUMENTS_PER_PAGE, "sort": ["_doc"], "_source": source});
        let mut page = self.post(&format!("{stream}/_search?scroll=2m"), &query)?.ok()?;
        loop {
            let scroll = page["_scroll_id"].as_str().context("search without a scroll id")?.to_owned();
            ensure!(page["_shards"]["failed"] == 0, "search failed on a shard: {}", page["_shards"]);
            let hits = page["hits"]["hits"].as_array_mut().context("search without hits")?;
            if hits.is_empty() {
                let body = json!({"scroll_id": scroll});
                return self
                    .send(json_body(self.request(Method::DELETE, "_search/scroll"), &body))?
                    .ok()
                    .map(drop);
            }
            for hit in hits {
                take(Document {
                    index: hit["_index"].as_str().context("hit without an index")?.to_owned(),
                    id: hit["_id"].as_str().context("hit without an id")?.to_owned(),
                    source: hit["_source"].take(),
                })?;
            }
            page = self.post("_search/scroll", &json!({"scroll": "2m", "scroll_id": scroll}))?.ok()?;
        }
    }

    /// Every document of all backing indices; for counts that fit into memory.
    pub fn all_documents(&self, stream: &str, fields: &[&str]) -> Result<Vec<Document>> {
        let mut documents = Vec::new();
        self.each_document(stream, fields, |document| {
            documents.push(document);
            Ok(())
        })?;
        Ok(documents)
    }

    /// A new API key (Elasticsearch only) with these role descriptors, `{}` for the maker's rights; as `Auth`.
    pub fn create_api_key(&self, name: &str, role_descriptors: &Value) -> Result<Auth> {
        let body = json!({"name": name, "role_descriptors": role_descriptors});
        let answer = self.post("_security/api_key?refresh=true", &body)?.ok()?;
        Ok(Auth::ApiKey(answer["encoded"].as_str().context("API key without encoded")?.to_owned()))
    }

    /// Whether the server answers this client's user with 200.
    pub(crate) fn ready(&self) -> bool {
        let answer = self.request(Method::GET, "_cluster/health").timeout(READY_TIMEOUT).send();
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/{path}", self.url));
        match &self.auth {
            Auth::None => request,
            Auth::Basic(user, password) => request.basic_auth(user, Some(password)),
            Auth::ApiKey(encoded) => request.header(AUTHORIZATION, format!("ApiKey {encoded}")),
        }
    }

    fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let answer = request.send()?;
        let status = answer.status().as_u16();
        let text = answer.text()?;
        let body = match text.as_str() {
            "" => Value::Null,
            json => serde_json::from_str(json).unwrap_or(Value::String(text)),
        };
        Ok(Answer { status, body })
    }
}

impl Answer {
    /// The body of a 2xx answer; any other is an error with status and body.
    pub fn ok(self) -> Result<Value> {
        ensure!((200..300).contains(&self.status), "HTTP {}: {}", self.status, self.body);
        Ok(self.body)
    }
}

/// NDJSON of a bulk request that creates these documents.
pub fn create_body(documents: &[(&str, Value)]) -> Vec<u8> {
    let mut body = String::new();
    for (id, document) in documents {
        body.push_str(&format!("{}\n{document}\n", json!({"create": {"_id": id}})));
    }
    body.into_bytes()
}

/// Status of each item of a bulk answer, in order.
pub fn item_statuses(answer: &Value) -> Result<Vec<u16>> {
    let items = answer["items"].as_array().context("bulk answer without items")?;
    let status = |item: &Value| u16::try_from(item["create"]["status"].as_u64()?).ok();
    items.iter().map(status).collect::<Option<_>>().context("bulk item without a status")
}

/// A data stream name `logs-WORD_…-test` that no other test uses, in this process or another on the same server.
pub fn unique_stream(word: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("logs-{word}_{now}_{}-test", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn json_body(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json").body(body.to_string())
}

/// A client that trusts nobody yet. The machine's CAs and what its environment says about proxies are no part of a test.
pub(crate) fn loopback_http() -> ClientBuilder {
    static CRYPTO_PROVIDER: Once = Once::new();
    CRYPTO_PROVIDER.call_once(|| {
        // an error says that the process has one already, which is as good
        let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
    Http::builder().no_proxy().tls_certs_only([])
}
