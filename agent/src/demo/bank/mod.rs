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

mod chance;
mod cri;
mod event;
mod leak;
mod pen;
mod secret;
mod text;

use chance::Rng;
use cri::{Lines, Piece, round_up, stamp_ns};
use event::JsonShape;
use pen::{Draft, Pen};
use secret::Other;
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
            Self::Json => 435.0,
            Self::Access => 275.0,
            Self::Text => 231.0,
            Self::Trace => 1_720.0,
            Self::Long => 29_600.0,
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

/// A token found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Pod, counted from 0.
    pub source: u32,
    /// Sequence number of the event.
    pub seq: u64,
    /// Whether it is the event's end token, else its start token.
    pub end: bool,
}

/// The tokens in a text, in their order; one may occur more than once.
pub fn tokens_in(text: &[u8]) -> impl Iterator<Item = Token> {
    memchr::memmem::find_iter(text, b"src").filter_map(|at| read_token(text.get(at..)?))
}

fn read_token(at: &[u8]) -> Option<Token> {
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
    Some(Token { source, seq, end })
}

/// Appends `2026-11-23T08:01:02` for seconds since 1970, UTC.
pub fn rfc3339_seconds(seconds: u64, out: &mut Vec<u8>) {
    text::stamp_s(seconds, b'T', out);
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
        match rate(kind) > 0.0 {
            // The last one in the profile takes what rounding leaves.
            true if sum > 1.0 - 1e-9 => 1.0,
            true => sum,
            false => 0.0,
        }
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
    text::uuid(&mut rng, &mut uid);
    Pod { namespace, name, uid: String::from_utf8_lossy(&uid).into_owned(), container }
}

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
                        assert_eq!(secret::luhn_digit(body), *check);
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
    fn json_lines_are_json_of_about_390_bytes() {
        for source in 0..4 {
            let bank = Bank::new(Options { seed: 5, sources: 8, sensitive: 1.0 }, source);
            let (mut seen, mut bytes) = (0, 0);
            for seq in 0..3_000 {
                let text = bank.text(seq, START_NS);
                if text.starts_with(b"{") {
                    serde_json::from_slice::<serde_json::Value>(&text).expect("one JSON object");
                }
                if bank.outline(seq).0.kind == Kind::Json {
                    (seen, bytes) = (seen + 1, bytes + text.len());
                }
            }
            assert!(
                seen > 2_000 && (360..420).contains(&(bytes / seen)),
                "{source}: {seen}, {}",
                bytes / seen
            );
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
            for token in tokens_in(&open[place]) {
                assert!(token.source == 0 && token.seq < bank.events());
                starts += u64::from(!token.end);
                ends += u64::from(token.end);
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
        let text = format!("a src b {start} src12-x0000000345 {end} src12-n0000000");
        let found: Vec<_> = tokens_in(text.as_bytes()).collect();
        let token = |end| Token { source: 12, seq: 345, end };
        assert_eq!(found, [token(false), token(true)]);
    }
}
