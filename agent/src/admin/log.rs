//! The agent's own log: one ECS line of JSON an event on stderr, each place in the code at most a few times in ten
//! seconds. It must never be given record bytes; what it prints are names, counts and reasons.

use std::collections::HashMap;
use std::fmt;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fintail_parsers::time;
use serde_json::{Map, Value};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt as layer};

use crate::runtime::shard::now_ns;

/// One place in the code may speak this often …
const BURST: u32 = 5;
/// … in this time.
const WINDOW: Duration = Duration::from_secs(10);

/// Begins to log to stderr, from `info` up or as `FINTAIL_LOG` says. Does nothing where a log was begun before.
pub fn init() {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .with_env_var("FINTAIL_LOG")
        .from_env_lossy();
    let lines =
        layer::layer().event_format(Ecs).with_writer(std::io::stderr).with_filter(RateLimit::default());
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
}

/// From now on a panic tells its place and nothing else: the message of a bad slice of a `str`, or of an `unwrap` on
/// one of serde's errors, prints the data.
pub fn hide_panic_messages() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        // Where stderr is closed there is nobody to tell.
        let _ = writeln!(
            std::io::stderr(),
            "fintail: thread {} panicked at {place}",
            thread.name().unwrap_or("?")
        );
    }));
}

/// Events as ECS lines.
struct Ecs;

impl<S, N> FormatEvent<S, N> for Ecs
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut stamp = [0; time::RFC3339_BYTES];
        time::write_rfc3339(now_ns(), &mut stamp);
        let mut line = Fields(Map::new());
        event.record(&mut line);
        let meta = event.metadata();
        let level = match *meta.level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let Fields(mut line) = line;
        line.insert("@timestamp".into(), String::from_utf8_lossy(&stamp).into());
        line.insert("log.level".into(), level.into());
        line.insert("log.logger".into(), meta.target().into());
        writeln!(out, "{}", Value::Object(line))
    }
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }
}

/// Lets each place in the code speak [`BURST`] times a [`WINDOW`].
#[derive(Default)]
struct RateLimit {
    seen: Mutex<HashMap<Identifier, (Instant, u32)>>,
}

impl<S: Subscriber> Filter<S> for RateLimit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (began, count) = seen.entry(event.metadata().callsite()).or_insert((now, 0));
        if now.duration_since(*began) > WINDOW {
            (*began, *count) = (now, 0);
        }
        *count += 1;
        *count <= BURST
    }
}
