//! The configuration as the program sees it: typed, complete, checked. Defaults stand in `schema`, not here.
//! Must not know live state: nothing here opens sockets, starts threads or watches files.

pub mod docs;
pub mod limits;
pub mod schema;
pub mod secret;

mod error;
mod glob;
mod load;
mod relations;
mod tree;
mod value;
mod walk;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::pipeline::redact::rules::RuleId;

pub use crate::pipeline::redact::rules::Action as RuleAction;
pub use error::{ConfigError, ConfigErrors};
pub use glob::{Glob, Selector};
pub use load::{load, parse, parse_with};
pub use secret::{Secret, SecretError, SecretFile};
pub use value::{Endpoint, Template};

/// Everything that a running agent is told. Made by [`load`], [`parse`] or [`Config::with_endpoints`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which parts of the agent run in this process.
    pub role: Role,
    /// This node.
    pub node: Node,
    /// Folder of checkpoints, spool and dead letters; one agent a folder.
    pub state_dir: PathBuf,
    /// The cluster's names, as they go into documents and stream names.
    pub cluster: Cluster,
    /// Where logs come from.
    pub sources: Sources,
    /// What is recognised in a line.
    pub parse: Parse,
    /// Containers whose events go to another dataset; the first entry that matches counts.
    pub datasets: Vec<DatasetRule>,
    /// What is hidden and how.
    pub redaction: Redaction,
    /// Where documents go.
    pub output: Output,
    /// Bounds on memory, disk and time.
    pub limits: Limits,
    /// How the agent ends.
    pub shutdown: Shutdown,
    /// Metrics and health.
    pub admin: Admin,
}

/// A time as the configuration takes it, for flags: `250ms`, `30s`, `5m`, `24h`, `30d`.
///
/// # Errors
/// What a time looks like.
pub fn parse_time(text: &str) -> Result<Duration, &'static str> {
    value::time(text)
}

impl Config {
    /// Defaults and these endpoints, for demo and tests: `Config { state_dir, ..Config::with_endpoints([url])? }`.
    /// `http://` endpoints turn `allow_plaintext` on.
    ///
    /// # Errors
    /// None is given, or one is none.
    pub fn with_endpoints<T: AsRef<str>>(
        endpoints: impl IntoIterator<Item = T>,
    ) -> Result<Self, ConfigErrors> {
        let urls: Vec<serde_json::Value> = endpoints.into_iter().map(|e| e.as_ref().into()).collect();
        let plain = urls.iter().any(|u| u.as_str().is_some_and(|u| u.starts_with("http://")));
        // JSON is YAML.
        let text = serde_json::json!({"output": {"endpoints": urls, "allow_plaintext": plain}});
        parse(&text.to_string(), "endpoints")
    }

    /// What the operator should know though it is no error.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.redaction.token_key.is_none() {
            notes.push("redaction.token_key is not set: rules whose default is token act as drop".to_owned());
        }
        if self.output.allow_plaintext {
            notes.push("output.allow_plaintext: logs may cross the network readable".to_owned());
        }
        if matches!(self.output.auth, Auth::None) {
            notes.push("output.auth is not set: requests carry no credential".to_owned());
        }
        notes
    }
}

/// Which parts of the agent run in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything that is configured.
    All,
    /// The node's logs only, no AWS pollers.
    Node,
}

/// This node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Kubernetes' name of the node; the host name where neither the file nor `NODE_NAME` gives one.
    pub name: String,
}

/// The cluster's names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// `orchestrator.cluster.name` of documents.
    pub name: Option<String>,
    /// What `{cluster.environment}` stands for in stream names.
    pub environment: Option<String>,
}

/// Where logs come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// The pod log tree of this node.
    pub containers: Containers,
}

/// The pod log tree of this node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Containers {
    /// Whether the tree is read at all.
    pub enabled: bool,
    /// `<root>/<namespace>_<pod>_<uid>/<container>/<n>.log`.
    pub root: PathBuf,
    /// A container is read if one of these matches …
    pub include: Vec<Selector>,
    /// … and none of these does.
    pub exclude: Vec<Selector>,
    /// Where a file seen for the first time is begun.
    pub start: Start,
    /// Whether lines of a stack trace become one event.
    pub multiline: Multiline,
}

impl Containers {
    /// Whether the configuration asks for this container.
    pub fn selects(&self, namespace: &str, pod: &str, container: &str) -> bool {
        let hit = |s: &Selector| s.matches(namespace, pod, container);
        self.enabled && self.include.iter().any(hit) && !self.exclude.iter().any(hit)
    }
}

/// Where a file seen for the first time is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At its first byte.
    Beginning,
    /// At its end of that moment.
    End,
    /// At the first line not older than this, counted back from the agent's start.
    Since(Duration),
}

/// Whether lines of a stack trace become one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Multiline {
    /// Known trace shapes are joined.
    Auto,
    /// A line is an event.
    Off,
}

/// What is recognised in a line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parse {
    /// JSON application lines.
    pub json: Switch,
    /// Access logs, logfmt, klog, syslog.
    pub formats: Switch,
}

/// `auto` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// Used where it fits.
    Auto,
    /// Never.
    Off,
}

impl Switch {
    /// Whether it is not off.
    pub fn is_on(self) -> bool {
        self == Self::Auto
    }
}

/// Containers whose events go to another dataset.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetRule {
    /// Namespace pattern.
    pub namespace: Glob,
    /// Pod name pattern.
    pub pod: Glob,
    /// Container name pattern.
    pub container: Glob,
    /// `event.dataset` of their events, checked against the allowed form.
    pub dataset: String,
}

impl DatasetRule {
    /// Whether this container's events go to `dataset`.
    pub fn matches(&self, namespace: &str, pod: &str, container: &str) -> bool {
        self.namespace.matches(namespace) && self.pod.matches(pod) && self.container.matches(container)
    }
}

/// What is hidden and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redaction {
    /// Rule id → action, only of rules named by the user; ids and actions are checked. Use [`Redaction::action`].
    pub rules: BTreeMap<String, RuleAction>,
    /// What `mask` leaves of a card number.
    pub pan: PanMask,
    /// The key of tokens; without it rules whose default is `token` act as `drop`.
    pub token_key: Option<TokenKey>,
    /// Within what one value gives one token.
    pub token_domain: TokenDomain,
    /// What a redacted JSON number becomes.
    pub json_numbers: JsonNumbers,
}

impl Redaction {
    /// What is done with a hit of `rule`: the user's word, else the default; `Off` for an id that does not exist.
    pub fn action(&self, rule: &str) -> RuleAction {
        match (self.rules.get(rule), RuleId::by_name(rule)) {
            (Some(action), _) => *action,
            (None, Some(known)) => match known.rule().default {
                RuleAction::Token if self.token_key.is_none() => RuleAction::Drop,
                action => action,
            },
            (None, None) => RuleAction::Off,
        }
    }
}

/// What `mask` leaves of a card number. PCI DSS 3.4.1 allows BIN and last four at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum PanMask {
    /// `411111******1111`
    #[serde(rename = "first6_last4")]
    First6Last4,
    /// `************1111`
    #[serde(rename = "last4")]
    Last4,
    /// `41111111****1111`
    #[serde(rename = "first8_last4")]
    First8Last4,
}

/// The key of tokens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenKey {
    /// Stands in each token, so that an old key needs no entry: `[a-z0-9]{1,16}`.
    pub id: String,
    /// At least [`limits::TOKEN_KEY_MIN_BYTES`] bytes; [`TokenKey::read`] checks.
    pub file: SecretFile,
}

impl TokenKey {
    /// The key's bytes as they are now in the file, the last line end cut off.
    ///
    /// # Errors
    /// Unreadable or shorter than [`limits::TOKEN_KEY_MIN_BYTES`].
    pub fn read(&self) -> Result<Secret, SecretError> {
        self.file.read_at_least(limits::TOKEN_KEY_MIN_BYTES)
    }
}

/// Within what one value gives one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenDomain {
    /// A namespace: no team can probe another's values.
    Namespace,
    /// The whole cluster.
    Cluster,
}

/// What a redacted JSON number becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonNumbers {
    /// A string with the mask or token.
    String,
    /// `null`.
    Null,
}

/// Where documents go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// At least one; no user or password within.
    pub endpoints: Vec<Endpoint>,
    /// Trust.
    pub tls: Tls,
    /// Who we are to the server.
    #[serde(default)]
    pub auth: Auth,
    /// Naming of streams: `<type>-<dataset>-<namespace>`.
    pub data_stream: DataStream,
    /// Whether missing index templates are put at start.
    pub setup: Switch,
    /// `Content-Encoding` of requests.
    pub compression: Compression,
    /// When a request is full.
    pub batch: Batch,
    /// Requests under way, all endpoints together.
    pub in_flight: u32,
    /// For TCP and TLS together.
    pub connect_timeout: Duration,
    /// For one request with its answer.
    pub timeout: Duration,
    /// Waits between attempts.
    pub backoff: Backoff,
    /// Whether `http://` endpoints are allowed.
    pub allow_plaintext: bool,
}

/// Trust.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the only authorities that are trusted; else the system's.
    pub ca_file: Option<PathBuf>,
}

/// Who we are to the server. Secrets are files, read again when they change.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// No credential is sent.
    #[default]
    None,
    /// `Authorization: Basic`.
    Basic {
        /// User name.
        username: String,
        /// File with the password.
        password: SecretFile,
    },
    /// `Authorization: ApiKey`; the file holds the base64 form (`encoded` in Elasticsearch's answer).
    ApiKey(SecretFile),
}

/// Naming of streams: `<type>-<dataset>-<namespace>`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataStream {
    /// First part, `logs`.
    #[serde(rename = "type")]
    pub kind: Template,
    /// Last part.
    pub namespace: Template,
}

/// `Content-Encoding` of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// zstd where the server takes it, else gzip.
    Auto,
    /// zstd.
    Zstd,
    /// gzip.
    Gzip,
    /// As it is.
    None,
}

/// When a request is full: whichever comes first.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// NDJSON before compression.
    pub bytes: u64,
    /// Documents.
    pub events: u32,
    /// Time since its first document.
    pub age: Duration,
}

/// Waits between attempts: doubled, full jitter.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// Upper end of the first wait.
    pub initial: Duration,
    /// Upper end of every wait.
    pub max: Duration,
}

/// Bounds that the operator may move; those he may not are constants of [`limits`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The process's resident memory. [`limits::MemoryPlan`] turns it into the pool.
    #[serde(rename = "memory")]
    pub memory_bytes: u64,
    /// Per container, between mark and read offset.
    pub unacked: Unacked,
    /// Spool on disk.
    #[serde(rename = "spool")]
    pub spool_bytes: u64,
    /// A longer event is cut.
    #[serde(rename = "event")]
    pub event_bytes: u64,
    /// Lines joined into one event.
    pub multiline_lines: u32,
    /// An open multi-line event is flushed after this.
    pub multiline_age: Duration,
    /// An open CRI partial is flushed after this.
    pub partial_age: Duration,
    /// Bytes that only our descriptors hold.
    #[serde(rename = "deleted_files")]
    pub deleted_files_bytes: u64,
    /// Dead-letter store on disk.
    #[serde(rename = "dead_letters")]
    pub dead_letters_bytes: u64,
}

/// Per container, between mark and read offset.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unacked {
    /// Bytes of the file.
    pub bytes: u64,
    /// Age of the oldest of them.
    pub age: Duration,
}

/// How the agent ends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// From SIGTERM until what is unsent is given up (it is read again at the next start).
    pub drain: Duration,
}

/// Metrics and health.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Address of `/metrics`, `/livez`, `/readyz`; where `[::]` cannot be bound, `0.0.0.0`.
    pub listen: SocketAddr,
}

#[cfg(test)]
mod tests;
