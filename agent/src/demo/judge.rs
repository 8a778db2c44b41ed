//! Owns the judgement over what arrived: whole events, doubles, leaks, delays; picks documents worth showing.
//! Must not know: the agent, how anything is shown.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fintail_parsers::time;

use super::bank::{Bank, Kind, Options, Planted, Token, tokens_in};

/// A document is offered for showing this often at most.
const PICK_EVERY: Duration = Duration::from_millis(700);
/// Upper ends of the delay classes grow by a tenth: class n ends at 1 ms × 1.1^n; the last takes the rest.
const DELAY_CLASSES: usize = 128;

/// One document as it arrived.
#[derive(Debug)]
pub struct Arrived {
    /// Whether the endpoint took it as new (201), else it had its `_id` already (409).
    pub created: bool,
    /// When, nanoseconds since 1970.
    pub at_ns: i64,
    /// Its JSON.
    pub json: Vec<u8>,
}

/// A document worth showing.
#[derive(Debug)]
pub struct Pick {
    /// Pod and event.
    pub token: Token,
    /// Shape of the event.
    pub kind: Kind,
    /// The rarest rule of what was planted.
    pub rule: &'static str,
    /// CRI time of the event, nanoseconds since 1970.
    pub time_ns: i64,
    /// The document's JSON.
    pub json: Vec<u8>,
}

/// What was found so far.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Documents the endpoint took.
    pub documents: u64,
    /// Documents that came with an `_id` the endpoint had.
    pub duplicates: u64,
    /// Events that arrived whole.
    pub whole: u64,
    /// Events of which a token came in more than one document.
    pub doubled: u64,
    /// Documents that hold something else than one event or lines of one trace.
    pub wrong: u64,
    /// Planted values of the events that arrived, each looked for in its documents.
    pub checked: u64,
    /// Planted values that stood in a document, by rule.
    pub leaked: BTreeMap<&'static str, u64>,
    /// Lines of stack traces that are due by the events that arrived, and those that did.
    pub trace_lines: (u64, u64),
    delays: Delays,
}

impl Verdict {
    /// Planted values that got through.
    pub fn leaks(&self) -> u64 {
        self.leaked.values().sum()
    }

    /// Time from an event's last line on disk to its arrival that this share (0–1) of documents stayed below;
    /// `None` before the first.
    pub fn delay(&self, share: f64) -> Option<Duration> {
        self.delays.below(share)
    }
}

/// The judge's thread. Ends when all senders are gone.
#[derive(Debug)]
pub struct Judge {
    verdict: Arc<Mutex<Verdict>>,
    thread: JoinHandle<()>,
}

impl Judge {
    /// Begins to judge documents of this fleet; hands documents worth showing to `pick`.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn start(
        options: Options,
        arrivals: mpsc::Receiver<Arrived>,
        pick: impl Fn(Pick) + Send + 'static,
    ) -> std::io::Result<Self> {
        let verdict = Arc::new(Mutex::new(Verdict::default()));
        let mut court = Court::new(options, Arc::clone(&verdict));
        let thread = thread::Builder::new().name("demo-judge".into()).spawn(move || {
            let mut next_pick = Instant::now();
            loop {
                match arrivals.recv_timeout(PICK_EVERY) {
                    Ok(arrived) => court.take(&arrived),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                }
                if Instant::now() >= next_pick
                    && let Some(best) = court.picks.take_best()
                {
                    pick(best);
                    next_pick = Instant::now() + PICK_EVERY;
                }
            }
            court.loose_lines();
        })?;
        Ok(Self { verdict, thread })
    }

    /// What was found so far.
    pub fn so_far(&self) -> Verdict {
        locked(&self.verdict).clone()
    }

    /// Whether all of `events` are there to their last line.
    pub fn has_all(&self, events: u64) -> bool {
        let v = locked(&self.verdict);
        v.whole == events && v.trace_lines.1 >= v.trace_lines.0
    }

    /// The last word; all senders must be gone. `None` where the judge ended by a panic.
    pub fn finish(self) -> Option<Verdict> {
        self.thread.join().ok()?;
        Some(locked(&self.verdict).clone())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const START: u8 = 1;
const END: u8 = 2;

struct Court {
    verdict: Arc<Mutex<Verdict>>,
    banks: Vec<Seen>,
    picks: Picks,
}

/// One pod's events.
struct Seen {
    bank: Bank,
    /// By sequence number: [`START`] and [`END`] where the token came.
    tokens: Vec<u8>,
    /// Traces that came.
    traces: Vec<u64>,
    /// Documents without a start token: lines of traces that were not joined.
    loose: Vec<u8>,
}

impl Court {
    fn new(options: Options, verdict: Arc<Mutex<Verdict>>) -> Self {
        let seen =
            |source| Seen { bank: Bank::new(options, source), tokens: vec![], traces: vec![], loose: vec![] };
        Self { verdict, banks: (0..options.sources).map(seen).collect(), picks: Picks::default() }
    }

    fn take(&mut self, arrived: &Arrived) {
        let verdict = Arc::clone(&self.verdict);
        let mut v = locked(&verdict);
        if !arrived.created {
            v.duplicates += 1;
            return;
        }
        v.documents += 1;
        let json = arrived.json.as_slice();
        let time_ns = timestamp(json);
        if let Some(time_ns) = time_ns {
            v.delays.add(arrived.at_ns.saturating_sub(time_ns));
        }
        let mut tokens: Vec<Token> = Vec::with_capacity(2);
        for token in tokens_in(json) {
            if !tokens.contains(&token) {
                tokens.push(token);
            }
        }
        let first = tokens.iter().find(|token| !token.end).copied();
        match first {
            Some(token) => self.event(token, json, time_ns, &mut v),
            None => self.loose(json, &mut v),
        }
        for token in &tokens {
            v.wrong +=
                u64::from(first.is_some_and(|first| (first.source, first.seq) != (token.source, token.seq)));
            self.mark(*token, &mut v);
        }
    }

    /// A document that begins an event.
    fn event(&mut self, token: Token, json: &[u8], time_ns: Option<i64>, v: &mut Verdict) {
        let Some(seen) = self.banks.get_mut(token.source as usize) else { return };
        let (outline, planted) = seen.bank.outline(token.seq);
        let leaked = leaks(&planted, json, v);
        v.checked += planted.len() as u64;
        if outline.kind == Kind::Trace {
            v.trace_lines.0 += u64::from(outline.lines);
            v.trace_lines.1 += 1 + line_ends(json);
            seen.traces.push(token.seq);
        }
        if let Some(time_ns) = time_ns.filter(|_| !leaked) {
            self.picks.offer(token, outline.kind, &planted, time_ns, json);
        }
    }

    /// A document without a start token: lines of a trace that was not joined.
    fn loose(&mut self, json: &[u8], v: &mut Verdict) {
        let of_pod = |seen: &&mut Seen| memchr::memmem::find(json, seen.bank.pod().name.as_bytes()).is_some();
        match self.banks.iter_mut().find(of_pod) {
            Some(seen) => {
                v.trace_lines.1 += 1 + line_ends(json);
                seen.loose.extend_from_slice(json);
                seen.loose.push(b'\n');
            }
            None => v.wrong += 1,
        }
    }

    fn mark(&mut self, token: Token, v: &mut Verdict) {
        let Some(seen) = self.banks.get_mut(token.source as usize) else {
            v.wrong += 1;
            return;
        };
        let Ok(place) = usize::try_from(token.seq) else { return };
        if seen.tokens.len() <= place {
            seen.tokens.resize(place + 1, 0);
        }
        let Some(state) = seen.tokens.get_mut(place) else { return };
        let bit = if token.end { END } else { START };
        v.doubled += u64::from(*state & bit != 0);
        v.whole += u64::from(*state | bit == START | END && *state != START | END);
        *state |= bit;
    }

    /// A line without a token belongs to a trace of its pod, it is not known which: all are looked for.
    fn loose_lines(&mut self) {
        let mut v = locked(&self.verdict);
        for seen in self.banks.iter().filter(|seen| !seen.loose.is_empty()) {
            for trace in &seen.traces {
                leaks(&seen.bank.planted(*trace), &seen.loose, &mut v);
            }
        }
    }
}

/// Notes each planted value that stands in the text.
fn leaks(planted: &[Planted], json: &[u8], v: &mut Verdict) -> bool {
    let mut any = false;
    for planted in planted.iter().filter(|planted| planted.stands_in(json)) {
        *v.leaked.entry(planted.rule).or_default() += 1;
        any = true;
    }
    any
}

fn line_ends(json: &[u8]) -> u64 {
    memchr::memmem::find_iter(json, br"\n").count() as u64
}

fn timestamp(json: &[u8]) -> Option<i64> {
    const KEY: &[u8] = br#""@timestamp":""#;
    let at = memchr::memmem::find(json, KEY)? + KEY.len();
    let text = json.get(at..)?;
    time::parse_rfc3339(text.get(..memchr::memchr(b'"', text)?)?)
}

/// Documents that wait to be shown, one of each kind; what was shown least comes first.
#[derive(Default)]
struct Picks {
    shown: BTreeMap<&'static str, u32>,
    shown_kinds: [u32; Kind::ALL.len()],
    waiting: [Option<Pick>; Kind::ALL.len()],
}

impl Picks {
    fn offer(&mut self, token: Token, kind: Kind, planted: &[Planted], time_ns: i64, json: &[u8]) {
        let Some(rule) = planted.iter().map(|p| p.rule).min_by_key(|rule| self.times(rule)) else { return };
        let rarer = |waiting: &Pick| self.times(rule) < self.times(waiting.rule);
        if !self.waiting.get(kind as usize).is_some_and(|place| place.as_ref().is_none_or(rarer)) {
            return;
        }
        if let Some(place) = self.waiting.get_mut(kind as usize) {
            *place = Some(Pick { token, kind, rule, time_ns, json: json.to_vec() });
        }
    }

    fn take_best(&mut self) -> Option<Pick> {
        let waiting = self.waiting.iter().flatten();
        let kind =
            waiting.map(|pick| pick.kind).min_by_key(|kind| self.shown_kinds.get(*kind as usize).copied())?;
        let pick = self.waiting.get_mut(kind as usize)?.take()?;
        *self.shown.entry(pick.rule).or_default() += 1;
        if let Some(times) = self.shown_kinds.get_mut(kind as usize) {
            *times += 1;
        }
        Some(pick)
    }

    fn times(&self, rule: &str) -> u32 {
        self.shown.get(rule).copied().unwrap_or(0)
    }
}

/// Delays in classes.
#[derive(Debug, Clone)]
struct Delays {
    classes: [u64; DELAY_CLASSES],
}

impl Default for Delays {
    fn default() -> Self {
        Self { classes: [0; DELAY_CLASSES] }
    }
}

impl Delays {
    fn add(&mut self, ns: i64) {
        let ms = ns.max(0) as f64 / 1e6;
        let class = if ms <= 1.0 { 0 } else { (ms.ln() / 1.1_f64.ln()).ceil() as usize };
        if let Some(count) = self.classes.get_mut(class.min(DELAY_CLASSES - 1)) {
            *count += 1;
        }
    }

    fn below(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.classes.iter().sum();
        let wanted = (all as f64 * share).ceil() as u64;
        let mut sum = 0;
        let class = self.classes.iter().position(|count| {
            sum += count;
            all > 0 && sum >= wanted
        })?;
        Some(Duration::from_secs_f64(1.1_f64.powi(class as i32) / 1e3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_NS: u64 = 1_795_420_800_000_000_000;

    fn judge(documents: &[(String, bool)], options: Options) -> Verdict {
        let (send, arrivals) = mpsc::channel();
        let judge = Judge::start(options, arrivals, |_| ()).expect("thread");
        for (json, created) in documents {
            let arrived =
                Arrived { created: *created, at_ns: START_NS as i64, json: json.clone().into_bytes() };
            send.send(arrived).expect("the judge listens");
        }
        drop(send);
        judge.finish().expect("a verdict")
    }

    /// Documents of an agent that redacts nothing.
    fn documents(options: Options, join: bool) -> Vec<(String, bool)> {
        let bank = Bank::new(options, 0);
        let document = |text: &str| {
            let value = serde_json::json!({"@timestamp": "2026-11-23T08:00:00.000000000Z", "message": text,
                "kubernetes": {"pod": {"name": bank.pod().name}}});
            (value.to_string(), true)
        };
        let whole = |seq| String::from_utf8(bank.text(seq, START_NS)).expect("text");
        let lines = |text: String| match join {
            true => vec![document(&text)],
            false => text.lines().map(document).collect(),
        };
        (0..400).map(whole).flat_map(lines).collect()
    }

    #[test]
    fn good_delivery_is_whole_joined_or_line_by_line() {
        let options = Options { seed: 3, sources: 1, sensitive: 0.0 };
        for join in [true, false] {
            let v = judge(&documents(options, join), options);
            assert_eq!((v.whole, v.doubled, v.wrong, v.leaks(), v.duplicates), (400, 0, 0, 0, 0), "{v:?}");
            assert_eq!(v.trace_lines.0, v.trace_lines.1);
            assert_eq!(v.documents > 400, !join);
            assert!(v.delay(0.5).is_some());
        }
    }

    #[test]
    fn each_flaw_is_counted() {
        let options = Options { seed: 3, sources: 1, sensitive: 0.0 };
        let mut documents = documents(options, true);
        documents.remove(7);
        documents.push(documents[3].clone());
        documents.push((documents[4].0.clone(), false));
        let v = judge(&documents, options);
        assert_eq!((v.whole, v.duplicates), (399, 1));
        // A start and an end token.
        assert_eq!(v.doubled, 2);
        let two = (format!("{}{}", documents[5].0, documents[6].0), true);
        assert!(judge(&[two], options).wrong > 0);
    }

    #[test]
    fn what_is_not_redacted_leaks() {
        let options = Options { seed: 3, sources: 1, sensitive: 1.0 };
        let bank = Bank::new(options, 0);
        let planted: u64 = (0..400).map(|seq| bank.planted(seq).len() as u64).sum();
        let v = judge(&documents(options, true), options);
        assert_eq!((v.leaks(), v.checked), (planted, planted));
    }
}
