//! Every key of the configuration: path, type, default, meaning. The one source of loader, errors and reference.
//! Must not know how a value is read or used.

use super::limits::MEMORY_MIN_BYTES;

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// `output.batch.bytes`; `[]` stands for an element of a list: `datasets[].dataset`.
    pub path: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// What holds where nothing stands there.
    pub absent: Absent,
    /// What it is for, one sentence.
    pub doc: &'static str,
}

/// What may stand at a key.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A mapping of the keys under its path.
    Section,
    /// A mapping with exactly one of the keys under its path.
    OneOf,
    /// A list; its element is the key `<path>[]`.
    List,
    /// A mapping from rule ids to actions.
    Rules,
    /// A mapping from any word to text.
    Labels,
    /// `true` or `false`.
    Bool,
    /// One of these words, or a mapping with exactly one of the keys under its path, if there are any.
    Word(&'static [&'static str]),
    /// A size in bytes within these bounds.
    Size(u64, u64),
    /// A time in ms within these bounds.
    Time(u64, u64),
    /// A whole number within these bounds.
    Count(u64, u64),
    /// A number from 0 to 1.
    Share,
    /// Any text but the empty one.
    Text,
    /// A path of a file or folder; absolute.
    Path,
    /// Text with `*` and `?`.
    Glob,
    /// A regular expression.
    Regex,
    /// `https://HOST:PORT`.
    Endpoint,
    /// `{file: PATH}` and nothing else.
    Secret,
    /// A dataset's name that users may choose.
    Dataset,
    /// A part of a data stream's name with placeholders.
    Template,
    /// `ADDRESS:PORT` to listen on.
    Listen,
    /// The id of a token key.
    KeyId,
}

/// What holds where nothing stands at a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// This YAML.
    Default(&'static str),
    /// Nothing: the key is optional.
    Nothing,
    /// An error, if the mapping around it is there.
    Error,
    /// The defaults of the keys under its path.
    Inner,
}

impl Key {
    /// The last word of the path.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// The keys directly under it.
    pub fn children(&self) -> impl Iterator<Item = &'static Self> {
        children(self.path)
    }

    /// Whether this version has nothing of it: no word of it reaches the typed configuration.
    pub fn is_gap(&self) -> bool {
        let whole = |k: &Self| GAPS.iter().any(|g| g.path == k.path && g.word.is_none());
        let mut inner = self.children().filter(|_| self.absent == Absent::Inner).peekable();
        whole(self) || inner.peek().is_some() && inner.all(Self::is_gap)
    }

    /// The element of a list.
    pub fn element(&self) -> Option<&'static Self> {
        KEYS.iter().find(|k| k.path.strip_suffix("[]") == Some(self.path))
    }
}

/// The keys directly under `path`; the top ones for the empty path.
pub fn children(path: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |k| match path {
        "" => !k.path.contains(['.', '[']),
        _ => k
            .path
            .strip_prefix(path)
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(|rest| !rest.contains(['.', '['])),
    })
}

/// The key of this path, `[]` for elements.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.path == path)
}

/// Something in the contract that this version does not do.
#[derive(Debug, Clone, Copy)]
pub struct Gap {
    /// The key, as in [`Key::path`].
    pub path: &'static str,
    /// Only this word of it; else every value but the default, `off` and `false`.
    pub word: Option<&'static str>,
    /// What is missing, to stand after "not supported by this version: ".
    pub what: &'static str,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const TIB: u64 = 1024 * GIB;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const AUTO_OFF: &[&str] = &["auto", "off"];
const ACTIONS: &[&str] = &["off", "mask", "token", "drop"];

const fn key(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { path, kind, absent: Absent::Default(default), doc }
}
const fn opt(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { path, kind, absent: Absent::Nothing, doc }
}
const fn req(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { path, kind, absent: Absent::Error, doc }
}
/// A mapping that is always there, with the defaults of its keys.
const fn sec(path: &'static str, doc: &'static str) -> Key {
    Key { path, kind: Section, absent: Absent::Inner, doc }
}
const fn gap(path: &'static str, what: &'static str) -> Gap {
    Gap { path, word: None, what }
}

use Kind::{
    Bool, Count, Dataset, Endpoint, Glob, KeyId, Labels, List, Listen, OneOf, Path, Regex, Rules, Secret,
    Section, Share, Size, Template, Text, Time, Word,
};

/// Every key there is. A mapping comes before its keys.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("role", Word(&["all", "node", "cluster"]), "all", "Which parts run: everything configured, the node's logs without AWS pollers, or AWS only."),
    sec("node", "This node."),
    key("node.name", Text, "{env: NODE_NAME}", "Kubernetes' name of the node. Where it is not set: the host name."),
    key("state_dir", Path, "/var/lib/fintail", "Folder of checkpoints, spool and dead letters. One agent a folder: it is locked."),
    sec("cluster", "The cluster's names."),
    opt("cluster.name", Text, "`orchestrator.cluster.name` of documents, and `{cluster.name}` in stream names."),
    opt("cluster.environment", Text, "`{cluster.environment}` in stream names: prod, test, …"),
    opt("cluster.checkpoint", Section, "Where AWS positions lie; without it in `state_dir`."),
    req("cluster.checkpoint.config_map", Text, "Name of a ConfigMap that holds them."),

    sec("sources", "Where logs come from."),
    sec("sources.containers", "The pod log tree of the node."),
    key("sources.containers.enabled", Bool, "true", "Whether it is read."),
    key("sources.containers.root", Path, "/var/log/pods", "The tree: `<namespace>_<pod>_<uid>/<container>/<n>.log`."),
    key("sources.containers.docker", Bool, "false", "Whether `/var/lib/docker/containers` is a second allowed root, for json-file logs that are links into it."),
    key("sources.containers.include", List, "[{namespace: \"*\"}]", "A container is read if one of these matches …"),
    opt("sources.containers.include[]", Section, "Names of containers."),
    key("sources.containers.include[].namespace", Glob, "\"*\"", "Namespace pattern: `*` any run, `?` one character."),
    key("sources.containers.include[].pod", Glob, "\"*\"", "Pod name pattern."),
    key("sources.containers.include[].container", Glob, "\"*\"", "Container name pattern."),
    key("sources.containers.exclude", List, "[]", "… and none of these does. The agent's own container is always left out."),
    opt("sources.containers.exclude[]", Section, "Names of containers."),
    key("sources.containers.exclude[].namespace", Glob, "\"*\"", "Namespace pattern."),
    key("sources.containers.exclude[].pod", Glob, "\"*\"", "Pod name pattern."),
    key("sources.containers.exclude[].container", Glob, "\"*\"", "Container name pattern."),
    key("sources.containers.start", Word(&["beginning", "end"]), "beginning", "Where a file seen for the first time is begun."),
    opt("sources.containers.start.since", Time(0, 3_650 * DAY), "At the first line not older than this."),
    key("sources.containers.multiline", Word(AUTO_OFF), "auto", "Whether lines of a stack trace become one event."),
    opt("sources.containers.multiline.start", Regex, "An event begins at a line that matches."),
    opt("sources.containers.multiline.continue", Regex, "A line that matches belongs to the event before."),
    key("sources.containers.rate_limit", List, "[]", "Bounds per container; the first entry that matches counts."),
    opt("sources.containers.rate_limit[]", Section, "One bound."),
    key("sources.containers.rate_limit[].namespace", Glob, "\"*\"", "Namespace pattern."),
    key("sources.containers.rate_limit[].pod", Glob, "\"*\"", "Pod name pattern."),
    key("sources.containers.rate_limit[].container", Glob, "\"*\"", "Container name pattern."),
    req("sources.containers.rate_limit[].bytes_per_s", Size(1, TIB), "Bytes of log a second."),
    sec("sources.kubelet", "The kubelet's own log."),
    sec("sources.kubelet.journal", "From systemd's journal."),
    key("sources.kubelet.journal.enabled", Bool, "false", "Whether it is read."),
    key("sources.kubelet.journal.directories", List, "[/var/log/journal, /run/log/journal]", "Where journal files lie."),
    opt("sources.kubelet.journal.directories[]", Path, "A folder."),
    key("sources.kubelet.journal.units", List, "[kubelet.service, containerd.service]", "Units that are read."),
    opt("sources.kubelet.journal.units[]", Glob, "A unit."),
    key("sources.kubelet.journal.host_security", Bool, "false", "Whether sshd, sudo and audit entries are read too (`system.auth`)."),
    key("sources.kubelet.files", List, "[]", "Kubelet logs as plain files."),
    opt("sources.kubelet.files[]", Path, "A file; `*` allowed."),
    key("sources.files", List, "[]", "Other plain files."),
    opt("sources.files[]", Section, "Files of one dataset."),
    req("sources.files[].path", Path, "A file; `*` allowed."),
    req("sources.files[].dataset", Dataset, "Their dataset."),
    opt("sources.cloudtrail", Section, "AWS CloudTrail."),
    opt("sources.cloudtrail.sqs", Section, "Notifications of new objects."),
    req("sources.cloudtrail.sqs.queue_url", Text, "The queue."),
    opt("sources.cloudtrail.lookup_events", Section, "The LookupEvents API, where there is no trail."),
    key("sources.cloudtrail.lookup_events.enabled", Bool, "false", "Whether it is asked."),
    opt("sources.cloudwatch", Section, "AWS CloudWatch Logs."),
    key("sources.cloudwatch.groups", List, "[]", "Log groups."),
    opt("sources.cloudwatch.groups[]", OneOf, "One group, or all of a prefix."),
    opt("sources.cloudwatch.groups[].name", Text, "Its name."),
    opt("sources.cloudwatch.groups[].prefix", Text, "How names begin."),
    opt("sources.cloudwatch.groups[].arn", Text, "Its ARN."),
    key("sources.cloudwatch.start", Word(&["now", "beginning"]), "now", "Where a group seen for the first time is begun."),
    opt("sources.cloudwatch.start.since", Time(0, 3_650 * DAY), "At the first event not older than this."),
    key("sources.cloudwatch.settle", Time(0, HOUR), "60s", "How long late events are waited for."),
    sec("sources.cloudwatch.sweep", "The second look for events that came later still."),
    key("sources.cloudwatch.sweep.window", Time(0, 30 * DAY), "1h", "How far back it looks."),
    key("sources.cloudwatch.sweep.every", Time(MINUTE, DAY), "30m", "How often."),

    sec("kubernetes", "The Kubernetes API."),
    key("kubernetes.metadata", Word(AUTO_OFF), "auto", "Whether pod labels and the like are read from it where it can be reached."),
    sec("kubernetes.annotations", "Pod annotations."),
    key("kubernetes.annotations.namespaces", List, "[]", "Namespaces whose pods may set `fintail.io/dataset`, `format` and `exclude`."),
    opt("kubernetes.annotations.namespaces[]", Glob, "Namespace pattern."),
    key("kubernetes.annotations.ship", List, "[]", "Annotations that go into documents."),
    opt("kubernetes.annotations.ship[]", Text, "Name of an annotation."),

    sec("parse", "What is recognised in a line."),
    key("parse.json", Word(AUTO_OFF), "auto", "JSON application lines."),
    key("parse.formats", Word(AUTO_OFF), "auto", "Access logs, logfmt, klog, syslog."),

    key("datasets", List, "[]", "Containers whose events go to another dataset; the first entry that matches counts."),
    opt("datasets[]", Section, "One dataset."),
    key("datasets[].namespace", Glob, "\"*\"", "Namespace pattern."),
    key("datasets[].pod", Glob, "\"*\"", "Pod name pattern."),
    key("datasets[].container", Glob, "\"*\"", "Container name pattern."),
    opt("datasets[].label", Labels, "Labels that the pod has."),
    req("datasets[].dataset", Dataset, "`event.dataset`, and the middle of the stream's name."),

    key("filters", List, "[]", "Events that are not wanted, in this order."),
    opt("filters[]", OneOf, "One filter."),
    opt("filters[].drop", Section, "Events that match go."),
    req("filters[].drop.field", Text, "Field of the document."),
    opt("filters[].drop.equals", Text, "Its whole value."),
    opt("filters[].drop.matches", Regex, "Its value matches."),
    opt("filters[].keep", Section, "Only events that match stay."),
    req("filters[].keep.field", Text, "Field of the document."),
    opt("filters[].keep.equals", Text, "Its whole value."),
    opt("filters[].keep.matches", Regex, "Its value matches."),
    opt("filters[].sample", Section, "Of events that match only a share stays."),
    req("filters[].sample.field", Text, "Field of the document."),
    opt("filters[].sample.equals", Text, "Its whole value."),
    opt("filters[].sample.matches", Regex, "Its value matches."),
    req("filters[].sample.rate", Share, "The share that stays."),

    sec("redaction", "What is hidden and how."),
    key("redaction.rules", Rules, "{}", "Rule id → mask, token, drop or off. A rule that is not named keeps its default (see the table of rules)."),
    key("redaction.pan", Word(&["first6_last4", "last4", "first8_last4"]), "first6_last4", "What `mask` leaves of a card number."),
    opt("redaction.token_key", Section, "The key of tokens. Without it rules whose default is `token` act as `drop`."),
    req("redaction.token_key.id", KeyId, "Stands in each token, so previous keys need no entry."),
    req("redaction.token_key.file", Path, "File with at least 32 bytes."),
    key("redaction.token_domain", Word(&["namespace", "cluster"]), "namespace", "Within what one value gives one token."),
    key("redaction.custom", List, "[]", "Rules of your own."),
    opt("redaction.custom[]", Section, "One rule."),
    req("redaction.custom[].name", Text, "Its id is `custom:<name>`."),
    req("redaction.custom[].pattern", Regex, "What it finds."),
    req("redaction.custom[].action", Word(ACTIONS), "What it does."),
    key("redaction.fields", List, "[]", "Fields that are redacted whatever they hold."),
    opt("redaction.fields[]", Section, "One field."),
    req("redaction.fields[].path", Text, "The field; its rule id is `field:<path>`."),
    req("redaction.fields[].action", Word(ACTIONS), "What is done."),
    key("redaction.keep", List, "[]", "Fields of a dataset that are not redacted (never card or authentication data)."),
    opt("redaction.keep[]", Section, "One field."),
    req("redaction.keep[].dataset", Text, "The dataset."),
    req("redaction.keep[].path", Text, "The field."),
    key("redaction.overrides", List, "[]", "Stricter actions for some containers: off < mask < token < drop."),
    opt("redaction.overrides[]", Section, "One override."),
    key("redaction.overrides[].namespace", Glob, "\"*\"", "Namespace pattern."),
    key("redaction.overrides[].pod", Glob, "\"*\"", "Pod name pattern."),
    key("redaction.overrides[].container", Glob, "\"*\"", "Container name pattern."),
    req("redaction.overrides[].rules", Rules, "As `redaction.rules`."),
    key("redaction.json_numbers", Word(&["string", "null"]), "string", "What a redacted JSON number becomes."),
    key("redaction.dry_run", Bool, "false", "Report findings, change nothing. Needs `allow_unredacted`."),
    key("redaction.allow_unredacted", Bool, "false", "Says that unredacted documents may leave the node."),

    sec("detection", "Alerts from rules over redacted events."),
    key("detection.rules", List, "[]", "Sigma rule files."),
    opt("detection.rules[]", Path, "A file or folder."),

    sec("output", "Where documents go."),
    req("output.endpoints", List, "Elasticsearch or OpenSearch; at least one."),
    opt("output.endpoints[]", Endpoint, "`https://HOST:PORT`, without user and password."),
    sec("output.tls", "Trust."),
    opt("output.tls.ca_file", Path, "PEM file of the only authorities trusted; else the system's."),
    opt("output.tls.cert_file", Path, "PEM file of the agent's certificate."),
    opt("output.tls.key_file", Path, "PEM file of its key."),
    opt("output.auth", OneOf, "Who the agent is to the server."),
    opt("output.auth.basic", Section, "User and password."),
    req("output.auth.basic.username", Text, "The user."),
    req("output.auth.basic.password", Secret, "The password."),
    opt("output.auth.api_key", Secret, "An API key in its base64 form (`encoded`)."),
    opt("output.auth.bearer", Secret, "A bearer token."),
    opt("output.auth.aws_sigv4", Section, "Requests signed for Amazon OpenSearch Service."),
    req("output.auth.aws_sigv4.region", Text, "The AWS region."),
    sec("output.data_stream", "Names of streams: `<type>-<dataset>-<namespace>`. Placeholders: `{cluster.name}`, `{cluster.environment}`, `{kubernetes.namespace}`; lower case, what an index name forbids and `-` become `_`, unset becomes `default`."),
    key("output.data_stream.type", Template, "logs", "First part."),
    key("output.data_stream.namespace", Template, "\"{cluster.environment}\"", "Last part."),
    key("output.setup", Word(AUTO_OFF), "auto", "`auto`: missing index templates are put at start; `off`: they must be there."),
    sec("output.retention", "How long streams keep documents."),
    key("output.retention.default", Time(HOUR, 36_500 * DAY), "30d", "All but audit streams."),
    key("output.retention.audit", Time(HOUR, 36_500 * DAY), "365d", "Audit streams."),
    key("output.compression", Word(&["auto", "zstd", "gzip", "none"]), "auto", "Of requests; `auto`: zstd where the server takes it, else gzip."),
    sec("output.batch", "When a request is full: whichever comes first."),
    key("output.batch.bytes", Size(KIB, 90 * MIB), "4MiB", "NDJSON before compression."),
    key("output.batch.events", Count(1, 1_000_000), "10000", "Documents."),
    key("output.batch.age", Time(10, 5 * MINUTE), "1s", "Time since its first document."),
    key("output.in_flight", Count(1, 64), "4", "Requests under way, all endpoints together; one endpoint or stream takes at most half where there are several."),
    key("output.connect_timeout", Time(10, 5 * MINUTE), "5s", "For TCP and TLS together."),
    key("output.timeout", Time(100, HOUR), "60s", "For one request with its answer."),
    sec("output.backoff", "Waits between attempts: doubled, full jitter; `Retry-After` wins."),
    key("output.backoff.initial", Time(1, 10 * MINUTE), "250ms", "Upper end of the first wait."),
    key("output.backoff.max", Time(1, HOUR), "30s", "Upper end of every wait."),
    key("output.priority", List, "[\"kubernetes.audit\", \"aws.*\", \"*\"]", "Datasets; under pressure the last named goes first."),
    opt("output.priority[]", Glob, "Dataset pattern."),
    key("output.allow_plaintext", Bool, "false", "Whether `http://` endpoints are allowed: logs and credentials then cross the network readable."),

    opt("setup", Section, "Credential and URL of `fintail setup` alone."),
    opt("setup.auth", OneOf, "Who `fintail setup` is to the server."),
    opt("setup.auth.basic", Section, "User and password."),
    req("setup.auth.basic.username", Text, "The user."),
    req("setup.auth.basic.password", Secret, "The password."),
    opt("setup.auth.api_key", Secret, "An API key in its base64 form."),
    opt("setup.auth.bearer", Secret, "A bearer token."),
    opt("setup.auth.aws_sigv4", Section, "Requests signed for Amazon OpenSearch Service."),
    req("setup.auth.aws_sigv4.region", Text, "The AWS region."),
    opt("setup.kibana", Endpoint, "Kibana or OpenSearch Dashboards."),

    sec("limits", "Bounds on memory, disk and time."),
    key("limits.memory", Size(MEMORY_MIN_BYTES, TIB), "64MiB", "Resident memory of the process. Bytes in flight get this minus 24 MiB minus 3 KiB a known file. A smaller cgroup limit lowers both."),
    sec("limits.unacked", "Per container, between the last acknowledged byte and the read offset."),
    key("limits.unacked.bytes", Size(MIB, TIB), "64MiB", "Bytes of the file."),
    key("limits.unacked.age", Time(SECOND, DAY), "5m", "Age of the oldest."),
    key("limits.spool", Size(0, 1024 * TIB), "2GiB", "Spool on disk."),
    key("limits.event", Size(KIB, 64 * MIB), "1MiB", "A longer event is kept up to its last word before the limit, with `fintail.truncated_bytes`."),
    key("limits.multiline_lines", Count(1, 100_000), "500", "Lines joined into one event."),
    key("limits.multiline_age", Time(SECOND, 10 * MINUTE), "5s", "An open multi-line event is flushed after this."),
    key("limits.partial_age", Time(SECOND, HOUR), "60s", "An open CRI partial is flushed after this."),
    key("limits.deleted_files", Size(0, 1024 * TIB), "1GiB", "Bytes of deleted files that only the agent's descriptors hold."),
    key("limits.dead_letters", Size(MIB, 1024 * TIB), "256MiB", "Dead-letter store on disk; full, it stops the source."),

    sec("shutdown", "How the agent ends."),
    key("shutdown.drain", Time(0, HOUR), "20s", "From SIGTERM until what is unsent is given up, to be read again at the next start. Keep it below the pod's grace period."),

    sec("admin", "Metrics and health."),
    key("admin.listen", Listen, "\"[::]:9598\"", "Address of `/metrics`, `/livez`, `/readyz`. Where `[::]` cannot be bound: `0.0.0.0`."),
    key("admin.socket", Path, "/run/fintail/admin.sock", "Unix socket of `top`, `tap`, `dlq`."),
];

/// What the contract has and this version has not. The issue that brings it deletes its line.
#[rustfmt::skip]
pub const GAPS: &[Gap] = &[
    Gap { path: "role", word: Some("cluster"), what: "AWS sources" },
    gap("cluster.checkpoint", "AWS sources"),
    gap("sources.containers.docker", "Docker's json-file logs"),
    gap("sources.containers.multiline.start", "multi-line patterns of your own"),
    gap("sources.containers.multiline.continue", "multi-line patterns of your own"),
    gap("sources.containers.rate_limit", "rate limits"),
    gap("sources.kubelet", "the kubelet's log"),
    gap("sources.files", "plain files"),
    gap("sources.cloudtrail", "AWS sources"),
    gap("sources.cloudwatch", "AWS sources"),
    gap("kubernetes.metadata", "metadata from the Kubernetes API"),
    gap("kubernetes.annotations", "pod annotations (they need the Kubernetes API)"),
    gap("datasets[].label", "datasets by label (they need the Kubernetes API)"),
    gap("filters", "filters and sampling"),
    gap("redaction.custom", "redaction rules of your own"),
    gap("redaction.fields", "redaction by field"),
    gap("redaction.keep", "redaction by field"),
    gap("redaction.overrides", "redaction overrides"),
    gap("redaction.dry_run", "a dry run of redaction"),
    gap("redaction.allow_unredacted", "a dry run of redaction"),
    gap("detection", "detection"),
    gap("output.tls.cert_file", "client certificates"),
    gap("output.tls.key_file", "client certificates"),
    gap("output.auth.bearer", "bearer tokens"),
    gap("output.auth.aws_sigv4", "AWS request signing"),
    gap("output.retention", "retention (it belongs to `fintail setup`)"),
    gap("output.priority", "priorities (they need the spool)"),
    gap("setup", "`fintail setup`"),
    gap("admin.socket", "the admin socket"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_stands_once_and_after_its_mapping() {
        for (i, key) in KEYS.iter().enumerate() {
            let before = KEYS.get(..i).unwrap_or_default();
            assert!(before.iter().all(|k| k.path != key.path), "{} twice", key.path);
            let parent = match (key.path.strip_suffix("[]"), key.path.rsplit_once('.')) {
                (Some(list), _) => list,
                (None, Some((parent, _))) => parent,
                (None, None) => continue,
            };
            assert!(before.iter().any(|k| k.path == parent), "{} has no mapping", key.path);
        }
    }

    #[test]
    fn each_list_has_an_element_and_each_gap_a_key() {
        for key in KEYS.iter().filter(|k| matches!(k.kind, List)) {
            assert!(key.element().is_some(), "{}", key.path);
        }
        for gap in GAPS {
            assert!(find(gap.path).is_some(), "{}", gap.path);
        }
    }
}
