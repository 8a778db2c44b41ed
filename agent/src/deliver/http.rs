//! Requests to the endpoints: TLS, credentials, which endpoint is asked, and why a call failed in words.
//! It must not know bulk bodies or their answers. Nothing it says holds a body, a header or a URL with a secret.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Url};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use super::Encoding;
use super::bulk::Body;
use super::settings::{Auth, Settings};

/// An answer longer than this is no answer: 10,000 documents with their errors make a few MiB.
const ANSWER_MAX_BYTES: usize = 32 << 20;
/// How long a connection without requests is kept.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long an endpoint that could not be reached is passed over while another can.
const DOWN_FOR: Duration = Duration::from_secs(5);
/// How long a credential is used before its file is read anew.
const CREDENTIAL_MAX_AGE: Duration = Duration::from_secs(10);

/// Why delivery cannot start: always something in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is nowhere to send to.
    #[error("output.endpoints: at least one endpoint is needed")]
    NoEndpoint,
    /// Not a URL with a host.
    #[error("output.endpoints: {0} is no http(s) URL with a host")]
    BadEndpoint(String),
    /// Credentials in a URL end up in logs.
    #[error("output.endpoints: {0} holds a user name or password; use output.auth")]
    UserInEndpoint(String),
    /// Log lines would cross the network unprotected.
    #[error("output.endpoints: {0} is plain http; use https, or set output.allow_plaintext: true")]
    Plaintext(String),
    /// The CA file cannot be used.
    #[error("output.tls.ca_file: {}: {cause}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// TLS could not be set up.
    #[error("TLS: {0}")]
    Tls(String),
    /// The dead-letter folder cannot be used.
    #[error("dead letters: {}: {source}", path.display())]
    DeadLetters {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct CallError {
    /// The request may have reached the server.
    pub(super) sent: bool,
    /// The time was over.
    pub(super) timeout: bool,
    /// What happened and, where somebody must mend it, how.
    pub(super) cause: String,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

/// What is sent.
pub(super) enum Content {
    /// Nothing.
    None,
    /// JSON.
    Json(String),
    /// NDJSON in parts, all of one encoding.
    Bulk(Vec<Bytes>, Encoding),
}

struct Endpoint {
    /// Without a slash at its end.
    base: String,
    host: String,
    down_until: Mutex<Option<Instant>>,
}

impl Endpoint {
    fn parse(text: &str, allow_plaintext: bool) -> Result<Self, StartError> {
        // A URL that cannot be read is not repeated: it may hold a password.
        let url = Url::parse(text).map_err(|_| StartError::BadEndpoint("an entry".into()))?;
        let host = match (url.host_str(), url.port_or_known_default()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            _ => return Err(StartError::BadEndpoint("an entry".into())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(StartError::UserInEndpoint(host));
        }
        match url.scheme() {
            "https" => {}
            "http" if allow_plaintext => {}
            "http" => return Err(StartError::Plaintext(host)),
            _ => return Err(StartError::BadEndpoint(host)),
        }
        let base = format!("{}{}", url.origin().ascii_serialization(), url.path().trim_end_matches('/'));
        Ok(Self { base, host, down_until: Mutex::default() })
    }

    fn down_until(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.down_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_down(&self) -> bool {
        self.down_until().is_some_and(|until| until > Instant::now())
    }
}

/// The header and when it was made.
type Credential = Option<(HeaderValue, Instant)>;

/// The HTTP side of delivery.
pub(super) struct Client {
    http: reqwest::Client,
    endpoints: Vec<Endpoint>,
    turn: AtomicUsize,
    auth: Auth,
    credential: Mutex<Credential>,
}

impl Client {
    /// Checks the endpoints and sets TLS up; opens no connection.
    ///
    /// # Errors
    /// What is wrong in the settings.
    pub(super) fn new(settings: &Settings) -> Result<Self, StartError> {
        let parse = |text: &String| Endpoint::parse(text, settings.allow_plaintext);
        let endpoints = settings.endpoints.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        if endpoints.is_empty() {
            return Err(StartError::NoEndpoint);
        }
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config(settings.ca_file.as_deref())?)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .http1_only()
            .tcp_nodelay(true)
            .tcp_user_timeout(settings.timeout)
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(settings.in_flight.max(1) + 1)
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .user_agent(&settings.user_agent)
            .build()
            .map_err(|error| StartError::Tls(error.without_url().to_string()))?;
        let (auth, credential) = (settings.auth.clone(), Mutex::default());
        Ok(Self { http, endpoints, turn: AtomicUsize::new(0), auth, credential })
    }

    /// The next endpoint in turn that is not known to be down; where all are, the next in turn.
    fn endpoint(&self) -> Option<&Endpoint> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let nth = |n: usize| self.endpoints.get((turn + n) % self.endpoints.len());
        (0..self.endpoints.len()).filter_map(nth).find(|endpoint| !endpoint.is_down()).or_else(|| nth(0))
    }

    /// Sends one request and reads the answer whole. `path` begins with a slash.
    ///
    /// # Errors
    /// Where there is no whole answer.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        content: Content,
    ) -> Result<Reply, CallError> {
        let unsent = |cause| CallError { sent: false, timeout: false, cause };
        let endpoint = self.endpoint().ok_or_else(|| unsent("there is no endpoint".into()))?;
        let mut request = self.http.request(method, format!("{}{path}", endpoint.base));
        if let Some(value) = self.authorization().map_err(unsent)? {
            request = request.header(AUTHORIZATION, value);
        }
        request = match content {
            Content::None => request,
            Content::Json(body) => request.header(CONTENT_TYPE, "application/json").body(body),
            Content::Bulk(parts, encoding) => {
                let request = request.header(CONTENT_TYPE, "application/x-ndjson");
                let request = match encoding {
                    Encoding::Identity => request,
                    Encoding::Gzip => request.header(CONTENT_ENCODING, "gzip"),
                    Encoding::Zstd => request.header(CONTENT_ENCODING, "zstd"),
                };
                request.body(reqwest::Body::wrap(Body::new(parts)))
            }
        };
        let reply = async {
            let mut response = request.send().await?;
            let status = response.status().as_u16();
            let seconds = |value: &HeaderValue| value.to_str().ok()?.parse().ok();
            let retry_after = response.headers().get(RETRY_AFTER).and_then(seconds).map(Duration::from_secs);
            let mut body = BytesMut::new();
            while let Some(part) = response.chunk().await? {
                if body.len() + part.len() > ANSWER_MAX_BYTES {
                    break;
                }
                body.extend_from_slice(&part);
            }
            Ok(Reply { status, retry_after, body: body.freeze() })
        };
        match reply.await {
            Ok(reply) => {
                *endpoint.down_until() = None;
                if reply.status == 401 {
                    *self.credential.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                Ok(reply)
            }
            Err(error) => {
                let error: reqwest::Error = error;
                if error.is_connect() {
                    *endpoint.down_until() = Some(Instant::now() + DOWN_FOR);
                }
                Err(CallError {
                    sent: !error.is_connect(),
                    timeout: error.is_timeout(),
                    cause: format!("{}: {}", endpoint.host, explain(error)),
                })
            }
        }
    }

    fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        if matches!(self.auth, Auth::None) {
            return Ok(None);
        }
        let mut credential = self.credential.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((value, made)) = &*credential
            && made.elapsed() < CREDENTIAL_MAX_AGE
        {
            return Ok(Some(value.clone()));
        }
        let value = authorization(&self.auth)?;
        *credential = Some((value.clone(), Instant::now()));
        Ok(Some(value))
    }
}

fn authorization(auth: &Auth) -> Result<HeaderValue, String> {
    let failed = |key: &str, error: io::Error| format!("{key} cannot be read: {}", error.kind());
    let text = Zeroizing::new(match auth {
        Auth::None => String::new(),
        Auth::Basic { username, password } => {
            let password = (password.0)().map_err(|e| failed("output.auth.basic.password", e))?;
            let pair = Zeroizing::new(format!("{username}:{}", *password));
            format!("Basic {}", STANDARD.encode(pair.as_bytes()))
        }
        Auth::ApiKey(key) => {
            let key = (key.0)().map_err(|e| failed("output.auth.api_key", e))?;
            format!("ApiKey {}", *key)
        }
    });
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| "output.auth holds characters that no header may hold")?;
    value.set_sensitive(true);
    Ok(value)
}

fn tls_config(ca_file: Option<&Path>) -> Result<ClientConfig, StartError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let failed = |cause: String| StartError::CaFile { path: path.into(), cause };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|e| failed(e.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|e| failed(e.to_string()))?;
            roots.add(certificate).map_err(|e| failed(e.to_string()))?;
        }
        if roots.is_empty() {
            return Err(failed("holds no certificate".into()));
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| StartError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The deepest cause in words, without URL; for certificates also what to do.
fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return if error.is_connect() { "no connection in time" } else { "no answer in time" }.into();
    }
    let mut deepest = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(tls) = carried_tls(cause) {
            return explain_tls(tls);
        }
        deepest = cause.to_string();
        next = cause.source();
    }
    deepest
}

/// `io::Error::source` skips the error that it carries; and one `io::Error` may carry another.
fn carried_tls<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut error = error;
    while let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        error = inner;
    }
    error.downcast_ref()
}

fn explain_tls(error: &rustls::Error) -> String {
    use CertificateError as C;
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return format!("TLS: {error}");
    };
    let (what, mend) = match certificate {
        // A CA of the same name with another key: the signature does not fit.
        C::UnknownIssuer | C::BadSignature => {
            ("is not signed by a CA that we trust", "name its CA in output.tls.ca_file")
        }
        C::NotValidForName | C::NotValidForNameContext { .. } => {
            ("is for another name", "use a name of the certificate in output.endpoints")
        }
        C::Expired | C::ExpiredContext { .. } => ("has expired", "renew it on the server"),
        C::NotValidYet | C::NotValidYetContext { .. } => ("is not valid yet", "check the clocks"),
        _ => return format!("TLS: the server's certificate cannot be used: {error}"),
    };
    format!("TLS: the server's certificate {what}; {mend}")
}

/// A data stream's or index's name as one path segment.
pub(super) fn segment(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_checked_and_secrets_not_repeated() {
        let error = |text: &str, plain| Endpoint::parse(text, plain).err().map(|e| e.to_string());
        assert!(error("https://es-0:9200", false).is_none());
        assert!(error("http://es-0:9200", true).is_none());
        assert!(error("http://es-0:9200", false).unwrap().contains("allow_plaintext"));
        let refused = error("https://elastic:hunter2@es-0:9200", false).unwrap();
        assert!(refused.contains("output.auth") && !refused.contains("hunter2"), "{refused}");
        assert!(!error("elastic:hunter2@es-0", false).unwrap().contains("hunter2"));
        assert!(error("ftp://es-0", true).is_some());
        let parsed = Endpoint::parse("https://es-0/prefix/", false).ok().unwrap();
        assert_eq!((parsed.base.as_str(), parsed.host.as_str()), ("https://es-0/prefix", "es-0:443"));
    }

    #[test]
    fn names_become_one_segment() {
        assert_eq!(segment("logs-kubernetes.container_logs-prod"), "logs-kubernetes.container_logs-prod");
        assert_eq!(segment("a/b?c"), "a%2Fb%3Fc");
    }
}
