//! Owns the logs of a small bank: pods, events and CRI lines, all a pure function of (seed, source, sequence, time).
//! Must not know: files, clocks, threads, how the agent reads or redacts.
//!
//! Mix by bytes over a whole fleet: 60 % JSON application lines, 20 % nginx access lines, 10 % logfmt or plain text,
//! 5 % Java stack traces, 5 % single lines of 17–41 KB. Of the events 26 % hold a card number, 52 % an e-mail address,
//! 1 % another secret ([`Options::sensitive`] scales all three).
//!
//! Each event carries a start token `src3-n0000012345` and an end token `src3-z0000012345`: ten digits between letters,
//! so that no rule for cards, accounts or phones takes them for a finding. What was planted is never stored:
//! [`Bank::planted`] derives it again.

use std::ops::Range;

/// containerd's default `max_container_log_line_size`: a longer line is written as `P` pieces of this size and an `F`.
pub const CRI_PIECE_BYTES: usize = 16 * 1024;

/// What a fleet of pods is derived from. Equal options give equal bytes for equal times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Seed of everything.
    pub seed: u64,
    /// Number of pods. From 3 on each pod has a profile of its own (app, web, text); fewer pods write the whole mix.
    pub sources: u32,
    /// Factor on the shares of events that hold sensitive values; 0 plants none, 1 is the mix above.
    pub sensitive: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 1, sources: 8, sensitive: 1.0 }
    }
}

/// What a pod's container writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Everything, for fleets of one or two pods.
    Mixed,
    /// JSON, stack traces and long lines.
    App,
    /// nginx access lines.
    Web,
    /// logfmt and plain text.
    Text,
}

/// The shape of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// JSON application line (zap, logback, pino or ecs-logging, by pod).
    Json,
    /// nginx combined access line.
    Access,
    /// logfmt or plain text line.
    Text,
    /// Java stack trace of 5–25 lines.
    Trace,
    /// One line of 17–41 KB.
    Long,
}

impl Kind {
    /// All kinds; `kind as usize` is the place in this list.
    pub const ALL: [Self; 5] = [Self::Json, Self::Access, Self::Text, Self::Trace, Self::Long];

    /// Share of the mix by bytes, of the whole fleet.
    pub const fn share(self) -> f64 {
        match self {
            Self::Json => 0.60,
            Self::Access => 0.20,
            Self::Text => 0.10,
            Self::Trace | Self::Long => 0.05,
        }
    }

    /// Mean CRI bytes of one event, measured; turns shares of bytes into shares of events.
    const fn mean_bytes(self) -> f64 {
        match self {
            Self::Json => 430.0,
            Self::Access => 275.0,
            Self::Text => 225.0,
            Self::Trace => 1_600.0,
            Self::Long => 29_200.0,
        }
    }
}

/// The stream a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// `stdout`
    Stdout,
    /// `stderr`
    Stderr,
}

impl Stream {
    /// As CRI writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The pod that a source stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Kubernetes namespace.
    pub namespace: &'static str,
    /// Pod name, like `api-7d9f5b6c4-x2lqp`.
    pub name: String,
    /// Pod UID, a version 4 UUID.
    pub uid: String,
    /// Container name.
    pub container: &'static str,
}

impl Pod {
    /// The container's folder below the pod log root: `<namespace>_<pod>_<uid>/<container>`.
    pub fn log_dir(&self) -> String {
        format!("{}_{}_{}/{}", self.namespace, self.name, self.uid, self.container)
    }
}

/// A sensitive value as it was planted in one event, decoded (never percent-encoded or JSON-escaped).
#[derive(Clone, PartialEq, Eq)]
pub struct Planted {
    /// Rule id of the contract that must find it.
    pub rule: &'static str,
    /// The value. Three or four digits (`cvv`, `pin`) mean something only right after their key, which is the rule id.
    pub value: String,
}

impl std::fmt::Debug for Planted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planted").field("rule", &self.rule).field("bytes", &self.value.len()).finish()
    }
}

/// What [`Bank::next`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Sequence number of the first event.
    pub first: u64,
    /// Number of events: 2 where the lines of two streams interleave, else 1.
    pub events: u32,
    /// CRI lines, pieces counted each.
    pub lines: u32,
    /// Sensitive values planted.
    pub planted: u32,
    /// CRI bytes of each event; the second is 0 where there is one event.
    pub bytes: [u32; 2],
    /// Kinds in the same order.
    pub kinds: [Kind; 2],
}

/// What is known of one event without its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// Shape.
    pub kind: Kind,
    /// Stream.
    pub stream: Stream,
    /// Lines of the text; more than 1 for traces only.
    pub lines: u32,
}

/// One pod's log. See the module's head.
pub struct Bank {
    options: Options,
    source: u32,
    pod: Pod,
    profile: Profile,
    shape: JsonShape,
    limits: [f64; 5],
    seq: u64,
    last_ns: u64,
    frame: Rng,
    a: Draft,
    b: Draft,
}

impl Bank {
    /// The log of pod `source` (counted from 0) of the fleet.
    pub fn new(options: Options, source: u32) -> Self {
        let profile = profile(options.sources, source);
        Self {
            options,
            source,
            pod: pod(options.seed, source, profile),
            profile,
            shape: JsonShape::ALL[source as usize % JsonShape::ALL.len()],
            limits: limits(profile),
            seq: 0,
            last_ns: 0,
            frame: Rng::of(options.seed, source, u64::MAX),
            a: Draft::default(),
            b: Draft::default(),
        }
    }

    /// The pod.
    pub fn pod(&self) -> &Pod {
        &self.pod
    }

    /// What the pod writes.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// This pod's share of the fleet's bytes; the shares of a fleet sum to 1.
    pub fn weight(&self) -> f64 {
        let n = self.options.sources.max(1);
        let peers = (0..n).filter(|i| profile(n, *i) == self.profile).count().max(1) as f64;
        let share = match self.profile {
            Profile::Mixed => 1.0,
            Profile::App => 0.70,
            Profile::Web => 0.20,
            Profile::Text => 0.10,
        };
        share / peers
    }

    /// Number of events written so far, which is the next sequence number.
    pub fn events(&self) -> u64 {
        self.seq
    }

    /// Appends the next event to `out` as containerd would write it at `now_ns` (nanoseconds since 1970), or as soon
    /// after the line before as time must increase. Where an event of many lines or pieces is followed by one of the
    /// other stream, that one's line stands between them and the step holds both events.
    pub fn next(&mut self, now_ns: u64, out: &mut Vec<u8>) -> Step {
        let first = self.seq;
        let wall = now_ns.max(self.last_ns);
        let (mut a, mut b) = (std::mem::take(&mut self.a), std::mem::take(&mut self.b));
        let one = self.draft(first, wall, &mut a);
        let long = one.lines > 1 || a.text.len() > CRI_PIECE_BYTES;
        let two = long.then(|| self.draft(first + 1, wall, &mut b)).filter(|two| two.stream != one.stream);
        let mut step = Step {
            first,
            events: 1,
            lines: 0,
            planted: a.marks.len() as u32,
            bytes: [0; 2],
            kinds: [one.kind; 2],
        };
        self.last_ns = wall.max(self.last_ns + 1);
        self.last_ns = round_up(self.last_ns, if self.frame.one_in(16) { 1_000_000 } else { 1 });
        let mut guest = two.map(|two| Lines::new(&b.text, two.stream));
        let mut host = Lines::new(&a.text, one.stream);
        // The guest's lines come in one by one after this many of the host's.
        let ahead = 1 + self.frame.below(u64::from(one.lines.max(2)) - 1);
        let mut told = 0;
        while let Some(piece) = host.next() {
            step.bytes[0] += self.line(&piece, out);
            told += 1;
            if told >= ahead
                && let Some(piece) = guest.as_mut().and_then(Lines::next)
            {
                step.bytes[1] += self.line(&piece, out);
                step.lines += 1;
            }
        }
        step.lines += told as u32;
        while let Some(piece) = guest.as_mut().and_then(Lines::next) {
            step.bytes[1] += self.line(&piece, out);
            step.lines += 1;
        }
        if let Some(two) = two {
            step.events = 2;
            step.kinds[1] = two.kind;
            step.planted += b.marks.len() as u32;
        }
        self.seq += u64::from(step.events);
        (self.a, self.b) = (a, b);
        step
    }

    /// The event's text without CRI framing, as it is written at `now_ns`; lines of a trace are joined by `\n`.
    pub fn text(&self, seq: u64, now_ns: u64) -> Vec<u8> {
        let mut draft = Draft::default();
        self.draft(seq, now_ns, &mut draft);
        draft.text
    }

    /// What is planted in event `seq`, whatever the time.
    pub fn planted(&self, seq: u64) -> Vec<Planted> {
        self.outline(seq).1
    }

    /// Shape of event `seq` and what is planted in it.
    pub fn outline(&self, seq: u64) -> (Outline, Vec<Planted>) {
        let mut draft = Draft::default();
        let outline = self.draft(seq, 0, &mut draft);
        let value = |range: &Range<usize>| {
            String::from_utf8_lossy(draft.values.get(range.clone()).unwrap_or_default()).into_owned()
        };
        (outline, draft.marks.iter().map(|(rule, range)| Planted { rule, value: value(range) }).collect())
    }

    /// Writes one event into `draft`.
    fn draft(&self, seq: u64, wall_ns: u64, draft: &mut Draft) -> Outline {
        draft.clear();
        let mut rng = Rng::of(self.options.seed, self.source, seq);
        let kind = self.kind(rng.unit());
        let stderr = rng.unit()
            < match kind {
                Kind::Trace => 1.0,
                Kind::Long => 0.3,
                _ => 0.09,
            };
        let scale = self.options.sensitive;
        let mut pen = Pen {
            rng,
            draft,
            source: self.source,
            seq,
            wall_ns,
            pod: &self.pod,
            card: false,
            email: false,
            other: None,
        };
        pen.card = pen.rng.unit() < 0.26 * scale;
        pen.email = pen.rng.unit() < 0.52 * scale;
        pen.other = (pen.rng.unit() < 0.01 * scale).then(|| pen.rng.pick(&Other::ALL));
        let lines = match kind {
            Kind::Json => pen.json(self.shape),
            Kind::Access => pen.access(),
            Kind::Text => pen.text(),
            Kind::Trace => pen.trace(),
            Kind::Long => pen.long(),
        };
        Outline { kind, stream: if stderr { Stream::Stderr } else { Stream::Stdout }, lines }
    }

    fn kind(&self, at: f64) -> Kind {
        let place = self.limits.iter().position(|limit| at < *limit).unwrap_or(0);
        Kind::ALL[place]
    }

    /// One CRI line; returns its bytes. Lines of one event lie 1–21 µs apart, so a trace of 25 ends within 1 ms.
    fn line(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) -> u32 {
        let from = out.len();
        let at = round_up(self.last_ns, if self.frame.one_in(8) { 1_000 } else { 1 });
        self.last_ns = at + 1_000 + self.frame.below(20_000);
        stamp_ns(at, out);
        out.extend_from_slice(match (piece.stream, piece.whole) {
            (Stream::Stdout, true) => b" stdout F ",
            (Stream::Stdout, false) => b" stdout P ",
            (Stream::Stderr, true) => b" stderr F ",
            (Stream::Stderr, false) => b" stderr P ",
        });
        out.extend_from_slice(piece.body);
        out.push(b'\n');
        (out.len() - from) as u32
    }
}

/// The start and end token of an event.
pub fn tokens(source: u32, seq: u64) -> (String, String) {
    (format!("src{source}-n{seq:010}"), format!("src{source}-z{seq:010}"))
}

/// Which token a text piece is: `(source, sequence, is the end token)`, where `at` stands at its `src`.
pub fn read_token(at: &[u8]) -> Option<(u32, u64, bool)> {
    let rest = at.strip_prefix(b"src")?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let source = std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()?;
    let tail = rest.get(digits..)?.strip_prefix(b"-")?;
    let end = match tail.first()? {
        b'n' => false,
        b'z' => true,
        _ => return None,
    };
    let seq = std::str::from_utf8(tail.get(1..11)?).ok()?.parse().ok()?;
    Some((source, seq, end))
}

/// Appends `2026-11-23T08:01:02` for seconds since 1970, UTC.
pub fn rfc3339_seconds(seconds: u64, out: &mut Vec<u8>) {
    stamp_s(seconds, b'T', out);
}

// Pods and profiles

fn profile(sources: u32, source: u32) -> Profile {
    if sources < 3 {
        return Profile::Mixed;
    }
    let text = (sources / 10).max(1);
    let web = (sources / 5).max(1);
    match source {
        i if i >= sources.saturating_sub(text) => Profile::Text,
        i if i >= sources.saturating_sub(text + web) => Profile::Web,
        _ => Profile::App,
    }
}

/// Upper limits of the kinds' shares of events on 0..1, in the order of [`Kind::ALL`].
fn limits(profile: Profile) -> [f64; 5] {
    let has = |kind: Kind| match profile {
        Profile::Mixed => true,
        Profile::App => matches!(kind, Kind::Json | Kind::Trace | Kind::Long),
        Profile::Web => kind == Kind::Access,
        Profile::Text => kind == Kind::Text,
    };
    let rate = |kind: Kind| if has(kind) { kind.share() / kind.mean_bytes() } else { 0.0 };
    let all: f64 = Kind::ALL.into_iter().map(rate).sum();
    let mut sum = 0.0;
    Kind::ALL.map(|kind| {
        sum += rate(kind) / all;
        // The last one in the profile takes what rounding leaves.
        if rate(kind) > 0.0 { if sum > 1.0 - 1e-9 { 1.0 } else { sum } } else { 0.0 }
    })
}

fn pod(seed: u64, source: u32, profile: Profile) -> Pod {
    const APPS: [(&str, &str, &str); 8] = [
        ("payments", "api", "api"),
        ("cards", "issuer", "issuer"),
        ("ledger", "posting", "posting"),
        ("identity", "kyc", "kyc"),
        ("payments", "settlement", "settlement"),
        ("fraud", "scoring", "scoring"),
        ("lending", "origination", "app"),
        ("notify", "mailer", "mailer"),
    ];
    // The alphabet of Kubernetes' rand.SafeEncodeString: no vowels, no look-alikes.
    const SAFE: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rng = Rng::of(seed, source, u64::MAX - 1);
    let (namespace, deployment, container) = match profile {
        Profile::Web => ("frontend", "web", "nginx"),
        Profile::Text => ("ledger", "reconciler", "reconciler"),
        Profile::App | Profile::Mixed => APPS[source as usize % APPS.len()],
    };
    let mut name = format!("{deployment}-");
    for place in 0..15 {
        match place {
            9 => name.push('-'),
            _ => name.push(char::from(rng.pick(SAFE))),
        }
    }
    let mut uid = Vec::with_capacity(36);
    uuid(&mut rng, &mut uid);
    Pod { namespace, name, uid: String::from_utf8_lossy(&uid).into_owned(), container }
}

// Framing

/// An event's text cut into CRI lines: at `\n`, and lines above the piece size into pieces.
struct Lines<'a> {
    rest: Option<&'a [u8]>,
    line: &'a [u8],
    open: bool,
    stream: Stream,
}

struct Piece<'a> {
    body: &'a [u8],
    whole: bool,
    stream: Stream,
}

impl<'a> Lines<'a> {
    fn new(text: &'a [u8], stream: Stream) -> Self {
        Self { rest: Some(text), line: &[], open: false, stream }
    }

    fn next(&mut self) -> Option<Piece<'a>> {
        if !self.open {
            let rest = self.rest?;
            match memchr::memchr(b'\n', rest) {
                Some(end) => (self.line, self.rest) = (&rest[..end], Some(&rest[end + 1..])),
                None => (self.line, self.rest) = (rest, None),
            }
        }
        let whole = self.line.len() <= CRI_PIECE_BYTES;
        let (body, left) = self.line.split_at(self.line.len().min(CRI_PIECE_BYTES));
        (self.line, self.open) = (left, !whole);
        Some(Piece { body, whole, stream: self.stream })
    }
}

fn round_up(value: u64, to: u64) -> u64 {
    value.div_ceil(to) * to
}

/// RFC 3339 with nanoseconds as Go's `RFC3339Nano` prints it: trailing zeros of the fraction cut.
fn stamp_ns(ns: u64, out: &mut Vec<u8>) {
    stamp_s(ns / 1_000_000_000, b'T', out);
    let fraction = ns % 1_000_000_000;
    if fraction > 0 {
        out.push(b'.');
        padded(fraction, 9, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'Z');
}

/// `2026-11-23T08:01:02`
fn stamp_s(seconds: u64, separator: u8, out: &mut Vec<u8>) {
    let (year, month, day) = civil(seconds / 86_400);
    padded(year, 4, out);
    out.push(b'-');
    padded(month, 2, out);
    out.push(b'-');
    padded(day, 2, out);
    out.push(separator);
    clock(seconds, out);
}

fn clock(seconds: u64, out: &mut Vec<u8>) {
    padded(seconds / 3_600 % 24, 2, out);
    out.push(b':');
    padded(seconds / 60 % 60, 2, out);
    out.push(b':');
    padded(seconds % 60, 2, out);
}

/// Days since 1970 to year, month, day (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

fn padded(mut value: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    for digit in digits[20 - width..].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits[20 - width..]);
}

fn decimal(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = 20;
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn hex(value: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [0; 16];
    for (place, digit) in digits.iter_mut().enumerate() {
        *digit = HEX[(value >> (60 - 4 * place) & 15) as usize];
    }
    out.extend_from_slice(&digits[..width.min(16)]);
}

fn uuid(rng: &mut Rng, out: &mut Vec<u8>) {
    let (high, low) = (rng.next(), rng.next());
    hex(high, 8, out);
    out.push(b'-');
    hex(high << 32, 4, out);
    out.extend_from_slice(b"-4");
    hex(high << 52, 3, out);
    out.push(b'-');
    out.push(b"89ab"[(low & 3) as usize]);
    hex(low << 4, 3, out);
    out.push(b'-');
    hex(low << 16, 12, out);
}

// Chance

/// SplitMix64 (Steele, Lea, Flood 2014): one multiplication chain a number, seeded freely.
#[derive(Clone, Copy)]
struct Rng(u64);

impl Rng {
    fn of(seed: u64, source: u32, seq: u64) -> Self {
        let mut rng = Self(seed ^ 0x6a09_e667_f3bc_c908);
        rng.0 = rng.next() ^ u64::from(source).wrapping_mul(0xd6e8_feb8_6659_fd93);
        rng.0 = rng.next() ^ seq.wrapping_mul(0xa076_1d64_78bd_642f);
        rng
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }
}

// Events

/// One event under way: its text and what was planted, as ranges of `values`.
#[derive(Default)]
struct Draft {
    text: Vec<u8>,
    values: Vec<u8>,
    marks: Vec<(&'static str, Range<usize>)>,
}

impl Draft {
    fn clear(&mut self) {
        self.text.clear();
        self.values.clear();
        self.marks.clear();
    }
}

#[derive(Clone, Copy)]
enum JsonShape {
    Zap,
    Logback,
    Pino,
    Ecs,
}

impl JsonShape {
    const ALL: [Self; 4] = [Self::Zap, Self::Logback, Self::Pino, Self::Ecs];
}

/// The sensitive values that are neither card nor e-mail address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    Iban,
    Cvv,
    Pin,
    Password,
    ApiKey,
    Jwt,
    Bearer,
    Basic,
    Cookie,
    AwsKey,
    PrivateKey,
}

impl Other {
    const ALL: [Self; 11] = [
        Self::Iban,
        Self::Cvv,
        Self::Pin,
        Self::Password,
        Self::ApiKey,
        Self::Jwt,
        Self::Bearer,
        Self::Basic,
        Self::Cookie,
        Self::AwsKey,
        Self::PrivateKey,
    ];

    const fn rule(self) -> &'static str {
        match self {
            Self::Iban => "iban",
            Self::Cvv => "cvv",
            Self::Pin => "pin",
            Self::Password => "password",
            Self::ApiKey => "api_key",
            Self::Jwt => "jwt",
            Self::Bearer => "bearer",
            Self::Basic => "basic_auth",
            Self::Cookie => "cookie",
            Self::AwsKey => "aws_access_key",
            Self::PrivateKey => "private_key",
        }
    }

    /// What stands before the value and after it, in JSON, logfmt and a query string. A few of them cannot be written
    /// in every place; there an API key stands instead ([`Other::in_line`]).
    const fn around(self, place: Place) -> (&'static str, &'static str) {
        match (place, self) {
            (Place::Json, Self::Iban) => (r#","iban":""#, r#"""#),
            (Place::Json, Self::Cvv) => (r#","cvv":""#, r#"""#),
            (Place::Json, Self::Pin) => (r#","pin":""#, r#"""#),
            (Place::Json, Self::Password) => (r#","password":""#, r#"""#),
            (Place::Json, Self::ApiKey) => (r#","api_key":""#, r#"""#),
            (Place::Json, Self::Jwt) => (r#","id_token":""#, r#"""#),
            (Place::Json, Self::Bearer) => (r#","headers":{"authorization":"Bearer "#, r#""}"#),
            (Place::Json, Self::Basic) => (r#","headers":{"authorization":"Basic "#, r#""}"#),
            (Place::Json, Self::Cookie) => (r#","headers":{"cookie":"session="#, r#"; theme=dark"}"#),
            (Place::Json, Self::AwsKey) => (r#","aws_access_key_id":""#, r#"""#),
            (Place::Json, Self::PrivateKey) => (r#","tls_key":""#, r#"""#),
            (Place::Line, Self::Iban) => (" iban=", ""),
            (Place::Line, Self::Cvv) => (" cvv=", ""),
            (Place::Line, Self::Pin) => (" pin=", ""),
            (Place::Line, Self::Password) => (" password=", ""),
            (Place::Line, Self::ApiKey | Self::PrivateKey) => (" api_key=", ""),
            (Place::Line, Self::Jwt) => (" id_token=", ""),
            (Place::Line, Self::Bearer) => (" authorization=\"Bearer ", "\""),
            (Place::Line, Self::Basic) => (" authorization=\"Basic ", "\""),
            (Place::Line, Self::Cookie) => (" cookie=\"session=", "; theme=dark\""),
            (Place::Line, Self::AwsKey) => (" aws_access_key_id=", ""),
            (Place::Query, Self::Iban) => ("&iban=", ""),
            (Place::Query, Self::Cvv) => ("&cvv=", ""),
            (Place::Query, Self::Pin) => ("&pin=", ""),
            (Place::Query, Self::Password) => ("&password=", ""),
            (Place::Query, Self::Jwt) => ("&id_token=", ""),
            (Place::Query, Self::AwsKey) => ("&aws_access_key_id=", ""),
            (Place::Query, _) => ("&api_key=", ""),
        }
    }

    /// The value that can stand in this place.
    const fn at(self, place: Place) -> Self {
        match (place, self) {
            (Place::Line | Place::Query, Self::PrivateKey)
            | (Place::Query, Self::Bearer | Self::Basic | Self::Cookie) => Self::ApiKey,
            _ => self,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Json,
    Line,
    Query,
}

/// Writes one event's text; chance, tokens and planted values at hand.
struct Pen<'a> {
    rng: Rng,
    draft: &'a mut Draft,
    source: u32,
    seq: u64,
    wall_ns: u64,
    pod: &'a Pod,
    card: bool,
    email: bool,
    other: Option<Other>,
}

/// `put!(pen, "literal", pen_method(args), …)`: literals and writers in the order of the text.
macro_rules! put {
    ($pen:ident $(,)?) => { () };
    ($pen:ident, $text:literal $($rest:tt)*) => {{ $pen.put($text); put!($pen $($rest)*) }};
    ($pen:ident, $call:ident($($arg:expr),*) $($rest:tt)*) => {{ $pen.$call($($arg),*); put!($pen $($rest)*) }};
}

impl Pen<'_> {
    fn put(&mut self, text: &str) {
        self.draft.text.extend_from_slice(text.as_bytes());
    }

    fn any(&mut self, list: &[&str]) {
        let text = self.rng.pick(list);
        self.put(text);
    }

    fn num(&mut self, from: u64, to: u64) {
        let value = self.rng.between(from, to);
        decimal(value, &mut self.draft.text);
    }

    fn hex(&mut self, width: usize) {
        let mut left = width;
        while left > 0 {
            let value = self.rng.next();
            hex(value, left, &mut self.draft.text);
            left -= left.min(16);
        }
    }

    fn uuid(&mut self) {
        uuid(&mut self.rng, &mut self.draft.text);
    }

    fn amount(&mut self) {
        self.num(1, 9_999);
        self.put(".");
        let cents = self.rng.below(100);
        padded(cents, 2, &mut self.draft.text);
    }

    fn ip(&mut self) {
        put! { self, "10.", num(0, 63), ".", num(0, 255), ".", num(1, 254) };
    }

    fn start(&mut self) {
        self.token(b"-n");
    }

    fn end(&mut self) {
        self.token(b"-z");
    }

    fn token(&mut self, tag: &[u8]) {
        let text = &mut self.draft.text;
        text.extend_from_slice(b"src");
        decimal(u64::from(self.source), text);
        text.extend_from_slice(tag);
        padded(self.seq, 10, text);
    }

    fn iso_ms(&mut self) {
        let text = &mut self.draft.text;
        stamp_s(self.wall_ns / 1_000_000_000, b'T', text);
        text.push(b'.');
        padded(self.wall_ns / 1_000_000 % 1_000, 3, text);
        text.push(b'Z');
    }

    fn log4j(&mut self) {
        let text = &mut self.draft.text;
        stamp_s(self.wall_ns / 1_000_000_000, b' ', text);
        text.push(b',');
        padded(self.wall_ns / 1_000_000 % 1_000, 3, text);
    }

    fn epoch_ms(&mut self) {
        decimal(self.wall_ns / 1_000_000, &mut self.draft.text);
    }

    fn epoch_s(&mut self) {
        let text = &mut self.draft.text;
        decimal(self.wall_ns / 1_000_000_000, text);
        text.push(b'.');
        padded(self.wall_ns / 1_000 % 1_000_000, 6, text);
    }

    /// `23/Nov/2026:08:01:02 +0000`
    fn clf(&mut self) {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let seconds = self.wall_ns / 1_000_000_000;
        let (year, month, day) = civil(seconds / 86_400);
        padded(day, 2, &mut self.draft.text);
        self.put("/");
        self.put(MONTHS[(month as usize - 1) % 12]);
        self.put("/");
        padded(year, 4, &mut self.draft.text);
        self.put(":");
        clock(seconds, &mut self.draft.text);
        self.put(" +0000");
    }

    fn pod_name(&mut self) {
        self.draft.text.extend_from_slice(self.pod.name.as_bytes());
    }

    fn service(&mut self) {
        let service = self.pod.container;
        self.put(service);
    }

    fn json(&mut self, shape: JsonShape) -> u32 {
        match shape {
            JsonShape::Zap => self.zap(),
            JsonShape::Logback => self.logback(),
            JsonShape::Pino => self.pino(),
            JsonShape::Ecs => self.ecs(),
        }
        1
    }

    fn zap(&mut self) {
        put! { self,
            r#"{"level":""#, any(&["info", "info", "info", "debug", "warn", "error"]), r#"","ts":"#,
            epoch_s(), r#","caller":""#, any(&["ledger/post.go:", "http/server.go:", "risk/score.go:"]),
            num(20, 480), r#"","msg":""#, any(ACTIONS), r#"","seq":""#, start(), r#"","trace_id":""#,
            hex(32), r#"","span_id":""#, hex(16), r#"","transfer":{"id":""#, uuid(),
            r#"","amount":{"value":""#, amount(), r#"","currency":""#, any(CURRENCIES),
            r#""},"attempt":"#, num(1, 3), r#"},"customer":{"id":"cus_"#, hex(12),
            r#"","segment":""#, any(&["retail", "business", "private"]), r#"""#,
            json_email("email"), "}", json_card(), json_other(), r#","took_ms":"#, num(1, 950),
            r#","end":""#, end(), r#""}"#
        };
    }

    fn logback(&mut self) {
        put! { self,
            r#"{"@timestamp":""#, iso_ms(), r#"","@version":"1","message":""#, any(ACTIONS), " order=",
            hex(10), text_email(" customer="), text_card(" card "), r#"","logger_name":"com.bank."#,
            service(), ".", any(CLASSES), r#"","thread_name":"http-nio-8080-exec-"#, num(1, 50),
            r#"","level":""#, any(&["INFO", "INFO", "INFO", "WARN", "ERROR", "DEBUG"]),
            r#"","level_value":20000,"seq":""#, start(), r#"","traceId":""#, hex(32),
            r#"","spanId":""#, hex(16), r#"","amount":"#, amount(), r#","currency":""#,
            any(CURRENCIES), r#"","paymentId":""#, uuid(), r#"""#, json_other(), r#","end":""#, end(),
            r#""}"#
        };
    }

    fn pino(&mut self) {
        put! { self,
            r#"{"level":"#, any(&["30", "30", "30", "40", "50", "20"]), r#","time":"#, epoch_ms(),
            r#","pid":"#, num(1, 40), r#","hostname":""#, pod_name(), r#"","reqId":""#, uuid(),
            r#"","seq":""#, start(), r#"","req":{"method":""#, any(METHODS), r#"","url":""#, any(PATHS),
            "?page=", num(1, 90), query_email(), query_card(), r#"","remoteAddress":""#, ip(),
            r#"","remotePort":"#, num(30_000, 60_999), r#"},"res":{"statusCode":"#, any(STATUSES),
            r#","headers":{"content-type":"application/json","x-request-id":""#, hex(24),
            r#""}},"responseTime":"#, num(1, 900), ".", num(1, 9), json_other(),
            r#","msg":"request completed","end":""#, end(), r#""}"#
        };
    }

    fn ecs(&mut self) {
        put! { self,
            r#"{"@timestamp":""#, iso_ms(), r#"","log.level":""#, any(&["INFO", "INFO", "WARN", "ERROR"]),
            r#"","message":""#, any(ACTIONS), text_email(" for "), r#"","ecs.version":"1.2.0","#,
            r#""service.name":""#, service(), r#"","event.dataset":""#, service(), r#".log","#,
            r#""process.thread.name":"pool-"#, num(1, 9), "-thread-", num(1, 32), r#"","seq":""#, start(),
            r#"","trace.id":""#, hex(32), r#"","transaction.id":""#, hex(16), r#"","labels":{"tenant":""#,
            any(&["ua", "pl", "de", "lt"]), r#"","account":"acc-"#, hex(10), r#"","rate":"#, num(0, 3),
            ".", num(1_000, 9_999), "}", json_card(), json_other(), r#","event.duration":"#,
            num(100_000, 900_000_000), r#","end":""#, end(), r#""}"#
        };
    }

    fn access(&mut self) -> u32 {
        put! { self,
            ip(), " - - [", clf(), "] \"", any(METHODS), " ", any(PATHS), "/", start(), "?v=", num(1, 9),
            query_email(), query_card(), query_other(), " HTTP/1.1\" ", any(STATUSES), " ",
            num(80, 48_000),
            " \"https://bank.example.com", any(PATHS), "\" \"", any(AGENTS), " ", end(), "\""
        };
        1
    }

    fn text(&mut self) -> u32 {
        if self.rng.one_in(2) {
            put! { self,
                "time=", iso_ms(), " level=", any(&["info", "info", "warn", "error", "debug"]), " msg=\"",
                any(ACTIONS), "\" seq=", start(), " batch=", uuid(), " rows=", num(1, 9_000),
                text_email(" email="), text_card(" card="), line_other(), " took=", num(1, 900),
                "ms end=",
                end()
            };
        } else {
            put! { self,
                log4j(), " ", any(&["INFO ", "WARN ", "ERROR"]), " [worker-", num(1, 16), "] ",
                any(CLASSES),
                ": ", any(ACTIONS), " seq=", start(), text_email(" on behalf of "),
                text_card(", paid with card "), line_other(), ", ledger entry ", hex(12), " took ",
                num(1, 900), " ms (", end(), ")"
            };
        }
        1
    }

    fn trace(&mut self) -> u32 {
        let lines = self.rng.between(5, 25) as u32;
        let causes = if lines >= 12 { 2 } else { 1 };
        put! { self,
            log4j(), " ERROR [http-nio-8080-exec-", num(1, 50), "] com.bank.", service(), ".",
            any(CLASSES),
            " - Unhandled exception seq=", start(), line_other(), "\n",
            any(EXCEPTIONS), ": ", any(ACTIONS), " failed", text_card(" for card "),
            text_email(", customer ")
        };
        // Two lines of head; each cause is a line of its own and closes with "... n more".
        let frames = lines - 2 - 2 * causes;
        let mut left = frames;
        for cause in 0..=causes {
            let here = if cause == causes { left } else { left / (causes + 1 - cause) };
            left -= here;
            for _ in 0..here {
                self.frame();
            }
            if cause > 0 {
                put! { self, "\n\t... ", num(3, 80), " more" };
            }
            if cause < causes {
                put! { self, "\nCaused by: ", any(EXCEPTIONS), ": ", any(REASONS) };
            }
            if cause + 1 == causes {
                put! { self, " (", end(), ")" };
            }
        }
        lines
    }

    fn frame(&mut self) {
        put! { self,
            "\n\tat ", any(PACKAGES), any(CLASSES), ".", any(FUNCTIONS), "(", any(CLASSES), ".java:",
            num(12, 1_900), ")"
        };
    }

    fn long(&mut self) -> u32 {
        let bytes = self.rng.between(17 * 1024, 41 * 1000) as usize;
        if self.rng.one_in(2) {
            put! { self,
                r#"{"level":"info","time":"#, epoch_ms(), r#","msg":"settlement file","seq":""#, start(),
                r#"","batch":{"id":""#, uuid(), r#"""#, json_email("operator"), "}", json_card(),
                json_other(),
                r#","rows":["#
            };
            while self.draft.text.len() < bytes {
                put! { self,
                    r#"{"id":""#, hex(16), r#"","amount":"#, amount(), r#","currency":""#,
                    any(CURRENCIES),
                    r#"","status":""#, any(&["booked", "pending", "reversed"]), r#"","fee":"#, num(0, 99),
                    "},"
                };
            }
            self.draft.text.pop();
            put! { self, r#"],"end":""#, end(), r#""}"# };
        } else {
            put! { self, log4j(), " INFO  [batch-", num(1, 8), "] reconciliation report seq=", start() };
            let card_at = self.rng.between(1_000, bytes as u64 - 1_000) as usize;
            let mut told = false;
            while self.draft.text.len() < bytes {
                put! { self,
                    "; entry ", hex(12), " ", any(&["matched", "unmatched", "booked"]), " against ",
                    any(CURRENCIES), " ", amount(), " by rule ", any(FUNCTIONS), " of ", any(CLASSES)
                };
                if !told && self.draft.text.len() >= card_at {
                    // In the middle, so that it may lie over the border of two pieces.
                    put! { self, text_card("; card "), text_email("; contact "), line_other() };
                    told = true;
                }
            }
            put! { self, "; done ", end() };
        }
        1
    }

    // Sensitive values. Each writer plants at most once an event, where the event has that value.

    /// Appends a value that was put at the end of `values` to the text and marks it.
    fn mark(&mut self, rule: &'static str, from: usize, escape: Escape) {
        let value = self.draft.values.get(from..).unwrap_or_default();
        for byte in value {
            match (escape, byte) {
                (Escape::Percent, b'@') => self.draft.text.extend_from_slice(b"%40"),
                (Escape::Percent, b' ') => self.draft.text.push(b'+'),
                (Escape::Json, b'\n') => self.draft.text.extend_from_slice(b"\\n"),
                _ => self.draft.text.push(*byte),
            }
        }
        self.draft.marks.push((rule, from..self.draft.values.len()));
    }

    fn json_email(&mut self, key: &str) {
        if self.email {
            put! { self, ",\"" };
            self.put(key);
            put! { self, "\":\"", mail(Escape::None), "\"" };
        }
    }

    fn text_email(&mut self, before: &str) {
        if self.email {
            self.put(before);
            self.mail(Escape::None);
        }
    }

    fn query_email(&mut self) {
        if self.email {
            put! { self, "&email=", mail(Escape::Percent) };
        }
    }

    fn mail(&mut self, escape: Escape) {
        let from = self.draft.values.len();
        let (first, last, domain) = (self.rng.pick(FIRST), self.rng.pick(LAST), self.rng.pick(DOMAINS));
        let number = self.rng.between(10, 99_999);
        let values = &mut self.draft.values;
        values.extend_from_slice(first.as_bytes());
        values.push(b'.');
        values.extend_from_slice(last.as_bytes());
        decimal(number, values);
        values.push(b'@');
        values.extend_from_slice(domain.as_bytes());
        self.mark("email", from, escape);
    }

    fn json_card(&mut self) {
        if !self.card {
            return;
        }
        match self.rng.below(10) {
            0..2 => put! { self, ",\"", any(CARD_KEYS), "\":", pan(b"", Escape::None) },
            2 => put! { self, ",\"", any(CARD_KEYS), "\":\"", pan(b" ", Escape::None), "\"" },
            3 => put! { self, ",\"", any(CARD_KEYS), "\":\"", pan(b"-", Escape::None), "\"" },
            4..7 => {
                put! { self,
                    ",\"card\":{\"number\":\"", pan(b"", Escape::None), "\",\"brand\":\"",
                    any(&["visa", "mastercard", "amex"]), "\"}"
                };
            }
            _ => put! { self, ",\"", any(CARD_KEYS), "\":\"", pan(b"", Escape::None), "\"" },
        }
    }

    fn text_card(&mut self, before: &str) {
        if self.card {
            self.put(before);
            // A value with blanks would end at the first of them after a bare `key=`.
            let separator: &[u8] = match self.rng.below(4) {
                0 if !before.ends_with('=') => b" ",
                1 => b"-",
                _ => b"",
            };
            self.pan(separator, Escape::None);
        }
    }

    fn query_card(&mut self) {
        if self.card {
            let separator: &[u8] = match self.rng.below(8) {
                0 => b" ",
                1 => b"-",
                _ => b"",
            };
            put! { self, "&", any(CARD_KEYS), "=", pan(separator, Escape::Percent) };
        }
    }

    /// A Luhn-valid number of a real issuer range: Visa 4, Mastercard 51–55 and 2221–2720, Amex 34 and 37.
    fn pan(&mut self, separator: &[u8], escape: Escape) {
        let (prefix, digits) = match self.rng.below(10) {
            0..5 => (self.rng.between(400_000, 499_999), 16),
            5..7 => (self.rng.between(510_000, 559_999), 16),
            7 => (self.rng.between(222_100, 272_099), 16),
            8 => (self.rng.between(340_000, 349_999), 15),
            _ => (self.rng.between(370_000, 379_999), 15),
        };
        let mut number = [0_u8; 16];
        let account = self.rng.below(1_000_000_000);
        let body = prefix * 10_u64.pow(digits - 7) + account % 10_u64.pow(digits - 7);
        let mut left = body;
        for place in number[..digits as usize - 1].iter_mut().rev() {
            *place = (left % 10) as u8;
            left /= 10;
        }
        number[digits as usize - 1] = luhn_digit(&number[..digits as usize - 1]);
        let groups: &[usize] = if digits == 16 { &[4, 8, 12] } else { &[4, 10] };
        let from = self.draft.values.len();
        for (place, digit) in number[..digits as usize].iter().enumerate() {
            if groups.contains(&place) {
                self.draft.values.extend_from_slice(separator);
            }
            self.draft.values.push(b'0' + digit);
        }
        self.mark("pan", from, escape);
    }

    fn json_other(&mut self) {
        self.plant_other(Place::Json);
    }

    fn line_other(&mut self) {
        self.plant_other(Place::Line);
    }

    fn query_other(&mut self) {
        self.plant_other(Place::Query);
    }

    fn plant_other(&mut self, place: Place) {
        let Some(other) = self.other else { return };
        let other = other.at(place);
        let (before, after) = other.around(place);
        self.put(before);
        let from = self.draft.values.len();
        self.secret(other);
        self.mark(other.rule(), from, if place == Place::Json { Escape::Json } else { Escape::None });
        self.put(after);
    }

    fn secret(&mut self, other: Other) {
        match other {
            Other::Iban => self.iban(),
            Other::Cvv => {
                let value = self.rng.below(1_000);
                padded(value, 3, &mut self.draft.values);
            }
            Other::Pin => {
                let value = self.rng.below(10_000);
                padded(value, 4, &mut self.draft.values);
            }
            Other::Password => {
                self.draft.values.extend_from_slice(self.rng.pick(&[&b"Winter-"[..], b"Kyiv!", b"s3cr3t."]));
                self.letters(BASE62, 9);
            }
            Other::ApiKey => {
                self.draft.values.extend_from_slice(b"bk_");
                self.letters(BASE62, 37);
            }
            Other::Jwt => {
                // {"alg":"HS256","typ":"JWT"}
                self.draft.values.extend_from_slice(b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.");
                // {"sub":" and then any base64url text.
                self.draft.values.extend_from_slice(b"eyJzdWIiOi");
                self.letters(BASE62, 62);
                self.draft.values.push(b'.');
                self.letters(BASE62, 43);
            }
            Other::Bearer => self.letters(BASE62, 40),
            Other::Basic => {
                // "svc:" and 12 more bytes.
                self.draft.values.extend_from_slice(b"c3ZjOm");
                self.letters(BASE62, 16);
            }
            Other::Cookie => self.letters(HEX, 32),
            Other::AwsKey => {
                self.draft.values.extend_from_slice(b"AKIA");
                self.letters(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16);
            }
            Other::PrivateKey => {
                self.draft.values.extend_from_slice(b"-----BEGIN PRIVATE KEY-----\n");
                for _ in 0..6 {
                    self.letters(BASE62, 64);
                    self.draft.values.push(b'\n');
                }
                self.draft.values.extend_from_slice(b"-----END PRIVATE KEY-----\n");
            }
        }
    }

    fn letters(&mut self, alphabet: &[u8], count: usize) {
        for _ in 0..count {
            let letter = self.rng.pick(alphabet);
            self.draft.values.push(letter);
        }
    }

    /// A German IBAN: `DE`, two check digits by ISO 7064 mod 97-10, 18 digits.
    fn iban(&mut self) {
        let (bank, account) = (self.rng.between(10_000_000, 89_999_999), self.rng.below(10_000_000_000));
        // The check is taken over bank, account, D = 13, E = 14, 00.
        let number = (u128::from(bank) * 10_000_000_000 + u128::from(account)) * 1_000_000 + 131_400;
        let values = &mut self.draft.values;
        values.extend_from_slice(b"DE");
        padded((98 - number % 97) as u64, 2, values);
        padded(bank, 8, values);
        padded(account, 10, values);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Percent,
    Json,
}

fn luhn_digit(body: &[u8]) -> u8 {
    let sum: u32 = body
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) if digit > 4 => 2 * digit - 9,
            (0, digit) => 2 * digit,
            (_, digit) => digit,
        })
        .sum();
    ((10 - sum % 10) % 10) as u8
}

const BASE62: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const ACTIONS: &[&str] = &[
    "payment authorised",
    "payment captured",
    "transfer posted",
    "refund requested",
    "limit checked",
    "3ds challenge sent",
    "statement rendered",
    "risk score computed",
    "settlement matched",
    "account opened",
];
const CURRENCIES: &[&str] = &["EUR", "UAH", "USD", "PLN", "GBP"];
const CLASSES: &[&str] = &[
    "AuthService",
    "CaptureHandler",
    "LedgerClient",
    "FeeCalculator",
    "RetryTemplate",
    "TransferController",
    "CardVault",
    "LimitGuard",
];
const METHODS: &[&str] = &["GET", "GET", "POST", "POST", "PUT", "DELETE"];
const PATHS: &[&str] = &[
    "/api/v1/payments",
    "/api/v1/cards",
    "/api/v2/transfers",
    "/api/v1/accounts",
    "/checkout",
    "/statements",
];
const STATUSES: &[&str] = &["200", "200", "200", "201", "204", "302", "400", "404", "502"];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "okhttp/4.12.0",
    "BankApp/7.4.1 (Android 15)",
    "kube-probe/1.31",
];
const EXCEPTIONS: &[&str] = &[
    "com.bank.payments.CardDeclinedException",
    "java.lang.IllegalStateException",
    "org.springframework.dao.DataAccessResourceFailureException",
    "java.util.concurrent.CompletionException",
    "java.net.SocketTimeoutException",
];
const REASONS: &[&str] =
    &["Read timed out", "Connection reset by peer", "pool exhausted", "version conflict"];
const PACKAGES: &[&str] = &[
    "com.bank.payments.core.",
    "com.bank.cards.vault.",
    "org.springframework.web.servlet.",
    "org.apache.catalina.core.",
    "java.base/java.util.concurrent.",
];
const FUNCTIONS: &[&str] =
    &["invoke", "doFilter", "authorise", "capture", "runWorker", "lambda$post$3", "execute"];
const FIRST: &[&str] = &[
    "olena", "taras", "iryna", "andriy", "marta", "pavlo", "sofia", "bohdan", "anna", "jan", "lukas", "greta",
];
const LAST: &[&str] = &[
    "koval",
    "shevchenko",
    "bondar",
    "tkachuk",
    "melnyk",
    "kravets",
    "nowak",
    "lis",
    "weber",
    "klein",
    "rossi",
    "silva",
];
const DOMAINS: &[&str] =
    &["example.com", "example.org", "example.net", "mail.example.com", "ukr.example.net"];
const CARD_KEYS: &[&str] = &["pan", "card", "card_number", "cardNumber"];

#[cfg(test)]
mod tests {
    use super::*;

    const START_NS: u64 = 1_795_420_800_000_000_000;

    fn write(options: Options, source: u32, bytes: usize) -> (Bank, Vec<u8>, [u64; 5], u64) {
        let mut bank = Bank::new(options, source);
        let (mut out, mut by_kind, mut planted) = (Vec::new(), [0; 5], 0);
        while out.len() < bytes {
            let step = bank.next(START_NS + bank.events() * 700_000, &mut out);
            for (kind, bytes) in step.kinds.iter().zip(step.bytes) {
                by_kind[*kind as usize] += u64::from(bytes);
            }
            planted += u64::from(step.planted);
        }
        (bank, out, by_kind, planted)
    }

    #[test]
    fn same_options_same_bytes() {
        let options = Options::default();
        assert_eq!(write(options, 2, 400_000).1, write(options, 2, 400_000).1);
        assert_ne!(write(options, 2, 400_000).1, write(Options { seed: 2, ..options }, 2, 400_000).1);
        assert_ne!(Bank::new(options, 0).pod(), Bank::new(options, 1).pod());
    }

    #[test]
    fn shares_by_bytes_hold() {
        for sources in [1, 8] {
            let options = Options { sources, ..Options::default() };
            let mut sums = [0; 5];
            let mut weights = 0.0;
            for source in 0..sources {
                let weight = Bank::new(options, source).weight();
                weights += weight;
                let (.., by_kind, _) = write(options, source, (24e6 * weight) as usize);
                sums.iter_mut().zip(by_kind).for_each(|(sum, bytes)| *sum += bytes);
            }
            assert!((weights - 1.0).abs() < 1e-9);
            let all: u64 = sums.iter().sum();
            for kind in Kind::ALL {
                let share = sums[kind as usize] as f64 / all as f64;
                // Some 40 long lines in 24 MB: their own share varies by a sixth.
                let room = if kind == Kind::Long { 0.3 } else { 0.1 };
                assert!(
                    (share - kind.share()).abs() < room * kind.share() + 0.005,
                    "{kind:?} of {sources}: {share:.4}"
                );
            }
        }
    }

    #[test]
    fn shares_of_sensitive_events_hold_and_scale() {
        for (sensitive, card, email, other) in
            [(1.0, 0.26, 0.52, 0.01), (0.0, 0.0, 0.0, 0.0), (0.5, 0.13, 0.26, 0.005)]
        {
            let bank = Bank::new(Options { seed: 7, sources: 1, sensitive }, 0);
            let mut found = [0_u32; 3];
            for seq in 0..20_000 {
                for planted in bank.planted(seq) {
                    match planted.rule {
                        "pan" => found[0] += 1,
                        "email" => found[1] += 1,
                        _ => found[2] += 1,
                    }
                }
            }
            for (found, goal) in found.into_iter().zip([card, email, other]) {
                let share = f64::from(found) / 20_000.0;
                assert!((share - goal).abs() < 0.012 && (goal > 0.0 || found == 0), "{share} for {goal}");
            }
        }
    }

    #[test]
    fn planted_values_are_valid_and_stand_in_the_text() {
        let bank = Bank::new(Options { seed: 3, sources: 1, sensitive: 40.0 }, 0);
        let mut rules = std::collections::BTreeSet::new();
        for seq in 0..4_000 {
            let (outline, planted) = bank.outline(seq);
            let text = String::from_utf8(bank.text(seq, START_NS)).expect("utf-8");
            assert_eq!(text.lines().count() as u32, outline.lines);
            for Planted { rule, value } in planted {
                rules.insert(rule);
                let decoded = text.replace("%40", "@").replace("\\n", "\n");
                assert!(
                    decoded.contains(&value) || text.contains(&value.replace(' ', "+")),
                    "{rule} in {seq}"
                );
                match rule {
                    "pan" => {
                        let digits: Vec<u8> =
                            value.bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect();
                        let (check, body) = digits.split_last().expect("digits");
                        assert_eq!(luhn_digit(body), *check);
                    }
                    "iban" => {
                        let (head, body) = value.split_at(4);
                        let number = format!("{body}1314{}", head.trim_start_matches("DE"));
                        let rest = number.bytes().fold(0_u32, |sum, b| (sum * 10 + u32::from(b - b'0')) % 97);
                        assert_eq!(rest, 1);
                    }
                    _ => {}
                }
            }
        }
        assert_eq!(rules.len(), 2 + Other::ALL.len());
    }

    #[test]
    fn json_lines_are_json() {
        for source in 0..4 {
            let bank = Bank::new(Options { seed: 5, sources: 8, sensitive: 2.0 }, source);
            let mut seen = 0;
            for seq in 0..3_000 {
                let text = bank.text(seq, START_NS);
                if text.starts_with(b"{") {
                    serde_json::from_slice::<serde_json::Value>(&text).expect("one JSON object");
                    seen += 1;
                }
            }
            assert!(seen > 2_000);
        }
    }

    #[test]
    fn framing_is_containerds() {
        let (bank, out, ..) = write(Options { sources: 1, ..Options::default() }, 0, 6_000_000);
        let mut last = Vec::new();
        let mut widths = std::collections::BTreeSet::new();
        let mut open = [const { Vec::<u8>::new() }; 2];
        let (mut stderr, mut lines, mut starts, mut ends) = (0, 0, 0_u64, 0_u64);
        let (mut between, mut last_place) = ([0; 2], 0);
        for line in out.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let mut parts = line.splitn(4, |b| *b == b' ');
            let (time, stream, tag, body) =
                (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            widths.insert(time.len());
            // Compare without the Z and with the zeros that were cut.
            let mut padded = time[..time.len() - 1].to_vec();
            if padded.len() == 19 {
                padded.push(b'.');
            }
            padded.resize(29, b'0');
            assert!(padded > last, "times increase");
            last = padded;
            let place = usize::from(stream == b"stderr");
            lines += 1;
            stderr += place;
            between[0] += usize::from(!open[1 - place].is_empty());
            between[1] += usize::from(body.starts_with(b"\tat ") && last_place != place);
            last_place = place;
            open[place].extend_from_slice(body);
            if tag == b"P" {
                assert_eq!(body.len(), CRI_PIECE_BYTES);
                continue;
            }
            assert_eq!(tag, b"F");
            for at in memchr::memmem::find_iter(&open[place], b"src") {
                match read_token(&open[place][at..]) {
                    Some((0, seq, false)) => (starts, _) = (starts + 1, assert!(seq < bank.events())),
                    Some((0, _, true)) => ends += 1,
                    _ => {}
                }
            }
            open[place].clear();
        }
        assert!(widths.len() > 3, "widths of times vary");
        assert!(between[0] > 0 && between[1] > 10, "lines of the other stream stand between: {between:?}");
        assert_eq!((starts, ends), (bank.events(), bank.events()));
        assert!((0.05..0.35).contains(&(f64::from(stderr as u32) / f64::from(lines))));
    }

    #[test]
    fn tokens_are_read_back() {
        let (start, end) = tokens(12, 345);
        assert_eq!(read_token(start.as_bytes()), Some((12, 345, false)));
        assert_eq!(read_token(end.as_bytes()), Some((12, 345, true)));
        assert_eq!(read_token(b"src12-x0000000345"), None);
        assert_eq!(read_token(b"src12-n00000003"), None);
    }
}
