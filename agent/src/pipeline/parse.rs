//! What the text of an event means: format, time, level and the members of a JSON line.
//! It must not know where lines come from, nor what is sensitive in them.

use fintail_parsers::app::json::{Kind, Limits, Member, Scanner};
use fintail_parsers::app::sniff::{Format, sniff};
use fintail_parsers::{Flaw, time};

use super::batch::{Batch, Parts, Raw};
use super::record::{Field, Level, Record, Role, Shape};

/// `app` is mapped `flattened`, whose default depth limit is 20.
pub const APP_DEPTH: u8 = 20;
/// Leaves under `app` are cut here (contract, Documents); keyword fields refuse terms above 32,766 bytes.
pub const APP_LEAF_BYTES: u32 = 8_000;

const SECOND_NS: u64 = 1_000_000_000;
/// The application's time counts within this distance of the container runtime's.
const TIME_WINDOW_NS: u64 = 24 * 3600 * SECOND_NS;

/// The stage and what it keeps from batch to batch.
#[derive(Debug, Default)]
pub struct Parse {
    scanner: Scanner,
    json_off: bool,
}

impl Parse {
    /// `json` is false for `parse.json: off`: all lines are text.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { scanner: Scanner::default(), json_off: !json }
    }

    /// Looks at every record of the batch.
    pub fn run(&mut self, batch: &mut Batch<Raw>) {
        let Parts { text, records, fields, .. } = batch.parts_mut();
        let all_utf8 = std::str::from_utf8(text).is_ok();
        for record in records {
            let body = record.body.of(text);
            if !all_utf8 && std::str::from_utf8(body).is_err() {
                record.flaws |= Flaw::Utf8Repaired.bit();
            } else if !self.json_off
                && record.flaws & Flaw::Truncated.bit() == 0
                && sniff(body) == Format::Json
            {
                self.json(record, body, fields);
            }
        }
    }

    fn json(&mut self, record: &mut Record, body: &[u8], fields: &mut Vec<Field>) {
        let from = fields.len();
        let mut found = Found { time_ns: None, level: Level::Unknown, roles: 0 };
        let base = record.body.start;
        let scan = self.scanner.scan(body, &Limits { depth: APP_DEPTH }, |member| {
            fields.push(found.field(&member, body, record.time_ns, base));
        });
        match scan {
            Ok(scan) if scan.max_key_bytes <= APP_LEAF_BYTES && scan.members <= u32::from(u16::MAX) => {
                record.field_from = u32::try_from(from).unwrap_or(u32::MAX);
                record.field_count = u16::try_from(fields.len() - from).unwrap_or(u16::MAX);
                record.level = found.level;
                record.shape =
                    if scan.max_leaf_bytes > APP_LEAF_BYTES { Shape::JsonLong } else { Shape::Json };
                match found.time_ns {
                    Some(Ok(time_ns)) => record.time_ns = time_ns,
                    Some(Err(())) => record.flaws |= Flaw::TimeRejected.bit(),
                    None => {}
                }
            }
            Ok(_) => fields.truncate(from),
            Err(flaw) => {
                fields.truncate(from);
                // `{` alone begins many a text line (Go structs, templates); `{"` promises JSON.
                if flaw != Flaw::JsonMalformed || looks_like_json(body) {
                    record.flaws |= flaw.bit();
                }
            }
        }
    }
}

fn looks_like_json(body: &[u8]) -> bool {
    let mut bytes = body.iter().filter(|b| !b.is_ascii_whitespace());
    bytes.next() == Some(&b'{') && bytes.next() == Some(&b'"')
}

struct Found {
    time_ns: Option<Result<i64, ()>>,
    level: Level,
    /// Bits of the roles that are taken.
    roles: u16,
}

#[derive(Clone, Copy)]
enum Meaning {
    Time,
    Level,
    Is(Role),
}

impl Found {
    fn field(&mut self, member: &Member, body: &[u8], line_time_ns: i64, base: u32) -> Field {
        let role = if member.key_escaped { Role::App } else { self.role(member, body, line_time_ns) };
        Field { key: member.key.shifted(base), value: member.value.shifted(base), role }
    }

    fn role(&mut self, member: &Member, body: &[u8], line_time_ns: i64) -> Role {
        let Some(meaning) = meaning(member.key.of(body)) else { return Role::App };
        let value = member.value.of(body);
        match (meaning, member.kind) {
            (Meaning::Is(role), Kind::String { .. }) if self.roles & (1 << role as u8) == 0 => {
                self.roles |= 1 << role as u8;
                role
            }
            (Meaning::Time, Kind::String { .. } | Kind::Number) if self.time_ns.is_none() => {
                match event_time(value, line_time_ns) {
                    Some(time_ns) => {
                        self.time_ns = Some(Ok(time_ns));
                        Role::Promoted
                    }
                    None => {
                        self.time_ns = Some(Err(()));
                        Role::App
                    }
                }
            }
            (Meaning::Level, Kind::String { .. } | Kind::Number) if self.level == Level::Unknown => {
                self.level = level(unquoted(value));
                if self.level == Level::Unknown { Role::App } else { Role::Promoted }
            }
            _ => Role::App,
        }
    }
}

/// Keys of the common JSON loggers (ecs-logging, Logback, zap, logrus, zerolog, pino, bunyan, slog, structlog).
fn meaning(key: &[u8]) -> Option<Meaning> {
    // By length first: most keys have none of these meanings, and one comparison should tell.
    Some(match (key.len(), key) {
        (2, b"ts") => Meaning::Time,
        (3, b"lvl") => Meaning::Level,
        (3, b"msg") => Meaning::Is(Role::Message),
        (4, b"time") => Meaning::Time,
        (5, b"level") => Meaning::Level,
        (6, b"logger") => Meaning::Is(Role::Logger),
        (6, b"spanId" | b"spanid") => Meaning::Is(Role::SpanId),
        (7, b"asctime") => Meaning::Time,
        (7, b"message") => Meaning::Is(Role::Message),
        (7, b"traceId" | b"traceid") => Meaning::Is(Role::TraceId),
        (7, b"span.id" | b"span_id") => Meaning::Is(Role::SpanId),
        (7, b"service") => Meaning::Is(Role::ServiceName),
        (8, b"datetime") => Meaning::Time,
        (8, b"severity" | b"loglevel") => Meaning::Level,
        (8, b"trace.id" | b"trace_id") => Meaning::Is(Role::TraceId),
        (9, b"timestamp") => Meaning::Time,
        (9, b"log.level" | b"levelname" | b"log_level") => Meaning::Level,
        (10, b"@timestamp") => Meaning::Time,
        (10, b"log.logger") => Meaning::Is(Role::Logger),
        (11, b"logger_name") => Meaning::Is(Role::Logger),
        (12, b"service.name") => Meaning::Is(Role::ServiceName),
        _ => return None,
    })
}

/// The event's time: the application's where it lies within a day of the line's, but the line's where both agree
/// to a second, since its order holds. `None` where it is unreadable or out of the window.
fn event_time(value: &[u8], line_time_ns: i64) -> Option<i64> {
    let app = time::parse_app_time(unquoted(value))?;
    match app.abs_diff(line_time_ns) {
        near if near <= SECOND_NS => Some(line_time_ns),
        apart if apart <= TIME_WINDOW_NS => Some(app),
        _ => None,
    }
}

/// Level words of common loggers, and the numbers of pino and bunyan.
fn level(word: &[u8]) -> Level {
    let mut lower = [0; 12];
    let Some(lower) = lower.get_mut(..word.len()) else { return Level::Unknown };
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    match &*lower {
        b"trace" | b"10" | b"finest" | b"verbose" => Level::Trace,
        b"debug" | b"20" | b"fine" => Level::Debug,
        b"info" | b"information" | b"30" => Level::Info,
        b"notice" => Level::Notice,
        b"warn" | b"warning" | b"40" => Level::Warn,
        b"error" | b"err" | b"50" | b"severe" => Level::Error,
        b"fatal" | b"60" | b"crit" | b"critical" | b"alert" | b"emerg" | b"emergency" | b"panic"
        | b"dpanic" => Level::Fatal,
        _ => Level::Unknown,
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// Where a too long text is cut: after the last word that ends before the limit.
#[must_use]
pub fn last_word_before(text: &[u8], limit: usize) -> usize {
    let Some(head) = text.get(..limit) else { return text.len() };
    match head.iter().rposition(u8::is_ascii_whitespace) {
        Some(at) if at > limit / 2 => at,
        // No blank for half the limit: cut between two characters.
        _ => (limit.saturating_sub(3)..=limit)
            .rev()
            .find(|&at| text.get(at).is_none_or(|b| b & 0xC0 != 0x80))
            .unwrap_or(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::batch::Batch;
    use fintail_parsers::Span;

    fn record(body: &str) -> (Record, Vec<(String, String, Role)>) {
        let mut batch = Batch::<Raw>::new(Parts::default());
        let parts = batch.parts_mut();
        parts.text.extend_from_slice(body.as_bytes());
        parts.text.push(b'\n');
        parts.records.push(Record {
            time_ns: 1_763_884_800_000_000_000,
            start: 0,
            body: Span::new(0, body.len() as u32),
            raw_len: 0,
            source: Default::default(),
            field_from: 0,
            field_count: 0,
            chunk: 0,
            flaws: 0,
            stream: fintail_parsers::container::cri::Stream::Stdout,
            level: Level::Unknown,
            shape: Shape::Text,
        });
        Parse::default().run(&mut batch);
        let parts = batch.parts();
        let text = |s: Span| String::from_utf8(s.of(&parts.text).to_vec()).unwrap();
        (parts.records[0], parts.fields.iter().map(|f| (text(f.key), text(f.value), f.role)).collect())
    }

    #[test]
    fn json_lines_are_promoted() {
        let (r, fields) = record(
            r#"{"time":"2025-11-23T09:00:00Z","level":"WARN","msg":"m","trace_id":"ab","n":1,"level2":"x","message":"second"}"#,
        );
        assert_eq!((r.shape, r.level, r.flaws), (Shape::Json, Level::Warn, 0));
        assert_eq!(r.time_ns, 1_763_888_400_000_000_000);
        let roles: Vec<_> = fields.iter().map(|f| f.2).collect();
        use Role::*;
        assert_eq!(roles, [Promoted, Promoted, Message, TraceId, App, App, App]);
    }

    #[test]
    fn times_agree_fall_back_or_are_rejected() {
        let base = 1_763_884_800_000_000_000;
        assert_eq!(record(r#"{"ts":1763884800.9}"#).0.time_ns, base);
        assert_eq!(record(r#"{"ts":1763884802.5}"#).0.time_ns, base + 2_500_000_000);
        for bad in [r#"{"ts":1763984800}"#, r#"{"ts":"yesterday"}"#] {
            let (r, fields) = record(bad);
            assert_eq!(
                (r.time_ns, r.flaws, fields[0].2),
                (base, Flaw::TimeRejected.bit(), Role::App),
                "{bad}"
            );
        }
    }

    #[test]
    fn text_and_wrong_types_stay_what_they_are() {
        assert_eq!(record("plain").0.shape, Shape::Text);
        assert_eq!(record("{Go:struct}").0.flaws, 0);
        assert_eq!(record(r#"{"a":1"#).0.flaws, Flaw::JsonMalformed.bit());
        assert_eq!(record(r#"{"a":1,"a":2}"#).0.flaws, Flaw::JsonDuplicateKey.bit());
        let (_, fields) = record(r#"{"message":{"x":1},"level":[],"trace_id":7}"#);
        assert!(fields.iter().all(|f| f.2 == Role::App));
    }

    #[test]
    fn cuts_at_words() {
        assert_eq!(last_word_before(b"one two three", 9), 7);
        assert_eq!(last_word_before(b"short", 9), 5);
        assert_eq!(last_word_before("ééééé".as_bytes(), 5), 4);
    }
}
