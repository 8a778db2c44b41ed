//! The agent's metrics, names and labels in one place (the contract's table); closed label sets as enums, so that
//! no pod, file or secret can become a label. It must not know how the numbers come about.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// A gauge of seconds or ratios.
pub type FloatGauge = Gauge<f64, AtomicU64>;

/// Where events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the label values of the contract")]
#[expect(missing_docs, reason = "the names say it")]
pub enum SourceKind {
    containers,
    journal,
    files,
    cloudtrail,
    cloudwatch,
    s3,
    spool,
    internal,
}

/// Why an event that was received is not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the label values of the contract")]
#[expect(missing_docs, reason = "the names say it")]
pub enum DropReason {
    filter,
    sample,
    rate_limit,
    spool_full,
    deleted_budget,
    withheld,
}

/// Why bytes of a file were never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the label values of the contract")]
#[expect(missing_docs, reason = "the names say it")]
pub enum AbandonReason {
    rotated,
    deleted,
    truncated,
    too_old,
}

/// Why delivery stands still for a data stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the label values of the contract")]
#[expect(missing_docs, reason = "the names say it")]
pub enum HeldReason {
    auth,
    forbidden,
    write_block,
    shard_limit,
    no_template,
    dead_letters_full,
    other,
}

/// Why documents are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the label values of the contract")]
#[expect(missing_docs, reason = "the names say it")]
pub enum RetryReason {
    connect,
    timeout,
    broken_answer,
    throttled,
    server_error,
    held,
    too_large,
}

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the label values of the contract")]
#[expect(missing_docs, reason = "the names say it")]
pub enum DocumentResult {
    created,
    duplicate,
    failure_store,
    noop,
    rejected,
}

/// State of a file that the agent knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the label values of the contract")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FileState {
    waiting,
    reading,
    drained,
    unreadable,
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        #[expect(missing_docs, reason = "label names of the contract")]
        pub struct $name { $(pub $field: $type),+ }
    )+};
}
labels! {
    /// By source.
    BySource { source: SourceKind }
    /// By reason of a drop.
    ByDrop { reason: DropReason }
    /// By reason of unread bytes.
    ByAbandon { reason: AbandonReason }
    /// By reason of standing still.
    ByHeld { reason: HeldReason }
    /// By reason of a retry.
    ByRetry { reason: RetryReason }
    /// By a document's result.
    ByResult { result: DocumentResult }
    /// By state of a file.
    ByState { state: FileState }
    /// By HTTP status, `0` where there was no answer.
    ByStatus { status: u16 }
    /// By redaction rule and action.
    ByRule { rule: String, action: String }
}

/// All metrics. Clones share their values.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is documented by the help text it registers with")]
pub struct Metrics {
    pub source_lag_bytes: Gauge,
    pub source_lag_seconds: FloatGauge,
    pub source_files: Family<ByState, Gauge>,
    pub source_rotations: Counter,
    pub source_abandoned_bytes: Family<ByAbandon, Counter>,
    pub events_received: Family<BySource, Counter>,
    pub bytes_received: Family<BySource, Counter>,
    pub events_dropped: Family<ByDrop, Counter>,
    pub events_in_flight: Gauge,
    pub flawed_events: Counter,
    pub redactions: Family<ByRule, Counter>,
    pub redaction_errors: Counter,
    pub output_requests: Family<ByStatus, Counter>,
    pub output_retries: Family<ByRetry, Counter>,
    pub output_uncertain: Counter,
    pub output_held: Family<ByHeld, Gauge>,
    pub output_documents: Family<ByResult, Counter>,
    pub output_bytes: Counter,
    pub output_request_duration: Histogram,
    pub output_requests_in_flight: Gauge,
    pub delivery_latency: Histogram,
    pub backpressure: Counter<f64, AtomicU64>,
    pub dead_letters: Gauge,
    pub checkpoint_age: FloatGauge,
    pub inotify_exhausted: Gauge,
}

impl Metrics {
    /// All metrics, and the registry that prints them.
    #[must_use]
    pub fn new() -> (Self, Registry) {
        let mut registry = Registry::with_prefix("fintail");
        let r = &mut registry;
        let latency = || Histogram::new(exponential_buckets(0.01, 2.0, 16));
        macro_rules! register {
            ($name:literal, $help:literal, $metric:expr) => {{
                let metric = $metric;
                r.register($name, $help, metric.clone());
                metric
            }};
            ($name:literal, $unit:expr, $help:literal, $metric:expr) => {{
                let metric = $metric;
                r.register_with_unit($name, $help, $unit, metric.clone());
                metric
            }};
        }
        let metrics = Self {
            source_lag_bytes: register!(
                "source_lag",
                Unit::Bytes,
                "Bytes in known files that are not yet answered for",
                Gauge::default()
            ),
            source_lag_seconds: register!(
                "source_lag",
                Unit::Seconds,
                "Age of the oldest bytes that are not yet read",
                FloatGauge::default()
            ),
            source_files: register!(
                "source_files",
                "Known log files by state",
                Family::<ByState, Gauge>::default()
            ),
            source_rotations: register!("source_rotations", "Rotations seen", Counter::default()),
            source_abandoned_bytes: register!(
                "source_abandoned",
                Unit::Bytes,
                "Bytes that were never read, by reason",
                Family::<ByAbandon, Counter>::default()
            ),
            events_received: register!(
                "events_received",
                "Whole events (partials and multi-line joined)",
                Family::<BySource, Counter>::default()
            ),
            bytes_received: register!(
                "bytes_received",
                "Raw bytes of whole lines",
                Family::<BySource, Counter>::default()
            ),
            events_dropped: register!(
                "events_dropped",
                "Events dropped on purpose, by reason",
                Family::<ByDrop, Counter>::default()
            ),
            events_in_flight: register!(
                "events_in_flight",
                "Events received and not yet answered for",
                Gauge::default()
            ),
            flawed_events: register!(
                "events_flawed",
                "Events that ship with fintail.flaw",
                Counter::default()
            ),
            redactions: register!(
                "redactions",
                "Redactions by rule and action",
                Family::<ByRule, Counter>::default()
            ),
            redaction_errors: register!(
                "redaction_errors",
                "Records that redaction could not finish; withheld",
                Counter::default()
            ),
            output_requests: register!(
                "output_requests",
                "Bulk requests by HTTP status, 0 without an answer",
                Family::<ByStatus, Counter>::default()
            ),
            output_retries: register!(
                "output_retries",
                "Documents sent again, by reason",
                Family::<ByRetry, Counter>::default()
            ),
            output_uncertain: register!(
                "output_uncertain",
                "Documents whose attempt had no known outcome and that were sent again without a look-up",
                Counter::default()
            ),
            output_held: register!(
                "output_held",
                "Data streams that stand still, by reason",
                Family::<ByHeld, Gauge>::default()
            ),
            output_documents: register!(
                "output_documents",
                "Documents answered for, by result",
                Family::<ByResult, Counter>::default()
            ),
            output_bytes: register!(
                "output",
                Unit::Bytes,
                "Bytes of request bodies sent",
                Counter::default()
            ),
            output_request_duration: register!(
                "output_request_duration",
                Unit::Seconds,
                "Time from sending a bulk request to its answer",
                latency()
            ),
            output_requests_in_flight: register!(
                "output_requests_in_flight",
                "Bulk requests without an answer yet",
                Gauge::default()
            ),
            delivery_latency: register!(
                "delivery_latency",
                Unit::Seconds,
                "Time from reading a line to its answer",
                latency()
            ),
            backpressure: register!(
                "backpressure",
                Unit::Seconds,
                "Time that readers waited for memory",
                Counter::default()
            ),
            dead_letters: register!("dead_letters", "Documents in the dead-letter store", Gauge::default()),
            checkpoint_age: register!(
                "checkpoint_age",
                Unit::Seconds,
                "Time since the checkpoint was last known to be on disk",
                FloatGauge::default()
            ),
            inotify_exhausted: register!(
                "inotify_exhausted",
                "1 where inotify watches ran out and polling took over",
                Gauge::default()
            ),
        };
        r.register("build", "Version of the agent", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        (metrics, registry)
    }
}
