//! What a demo shows: on a terminal with colours and a line of figures that stays, else as plain lines.
//! It must not know what is true: it is told.

use std::fmt::Write as _;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::sample::{self, Excerpt};
use super::{Figures, Setup, Summary};
use crate::demo::bank::Bank;
use crate::demo::judge::Pick;
use crate::demo::pods::Happening;

/// Columns that are used.
const WIDTH: usize = 100;
/// Columns before a value's text.
const INDENT: usize = 19;
/// Columns of text before a value.
const HEAD: usize = 26;
/// Without a terminal a line of figures is written this often.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Where a demo is shown.
pub struct Show<W> {
    out: W,
    terminal: bool,
    colour: bool,
    banks: Vec<Bank>,
    status: String,
    before: (Duration, u64, u64),
    plain_next: Duration,
    /// Rotations since the last line of figures.
    rotated: u64,
    gone: bool,
}

impl<W> std::fmt::Debug for Show<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Show").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum Ink {
    Dim,
    Bold,
    Secret,
    Safe,
    Rule,
}

impl<W: Write> Show<W> {
    /// `terminal`: a line may be overwritten; `colour`: escape sequences for colours may be written.
    pub fn new(out: W, terminal: bool, colour: bool) -> Self {
        Self {
            out,
            terminal,
            colour,
            banks: Vec::new(),
            status: String::new(),
            before: (Duration::ZERO, 0, 0),
            plain_next: PLAIN_EVERY,
            rotated: 0,
            gone: false,
        }
    }

    /// Whether nobody reads any more.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    pub(super) fn intro(&mut self, setup: &Setup, admin: SocketAddr, pods: &Path) {
        self.banks = (0..setup.options.sources).map(|source| Bank::new(setup.options, source)).collect();
        let title = self.ink(Ink::Bold, "fintail demo");
        let seconds = setup.time.as_secs_f64();
        let text = format!(
            "{title}: the logs of a small bank, for {seconds} s on this machine. Ctrl-C ends it early.\n\n  \
             1  {} pods write logs as containerd does: JSON, nginx, text, Java traces, lines of 40 KB in\n     \
             pieces; files are rotated, a pod comes up late. Cards, e-mails and keys are planted in them.\n  \
             2  The real agent tails the files, hides what may not leave the node, and sends the rest over\n     \
             TLS to a small server inside this process, which speaks the bulk API and knows each _id.\n  \
             3  At the end it is counted: all that was written must have arrived once, no secret with it.\n\n  \
             metrics  http://{admin}/metrics  (and /livez, /readyz)\n  \
             logs     {}  (removed at the end)\n\n",
            setup.options.sources,
            pods.display(),
        );
        self.put(&text);
    }

    /// An event before and after.
    pub(super) fn pick(&mut self, pick: &Pick) {
        let bank = self.banks.get(pick.token.source as usize);
        let Some(sample) = bank.and_then(|bank| sample::of(pick, bank)) else { return };
        let about = format!(" · {} · {} bytes", sample.kind, grouped(sample.bytes as u64));
        let mut text = format!("{}{}\n", self.ink(Ink::Bold, &sample.pod), self.ink(Ink::Dim, &about));
        for (rule, before, after) in &sample.values {
            let rule = self.ink(Ink::Rule, &format!("{rule:>14}"));
            let minus = self.line("-", before, Ink::Secret);
            let plus = self.line("+", after, Ink::Safe);
            let _ = writeln!(text, "{rule}  {minus}\n{:16}{plus}", "");
        }
        self.above(&text);
    }

    pub(super) fn happening(&mut self, happening: &Happening) {
        match happening {
            Happening::Appeared { pod } => self.note(&format!("a new pod comes up: {pod}")),
            // All pods are rotated at about the same time: told once.
            Happening::Rotated { .. } => self.rotated += 1,
        }
    }

    fn note(&mut self, text: &str) {
        let text = format!("{}\n", self.ink(Ink::Dim, &format!("* {text}")));
        self.above(&text);
    }

    /// The line of figures.
    pub(super) fn figures(&mut self, at: Duration, figures: &Figures, written_bytes: u64, rss_bytes: u64) {
        let (before, events, bytes) =
            std::mem::replace(&mut self.before, (at, figures.received, written_bytes));
        let seconds = at.saturating_sub(before).as_secs_f64().max(1e-3);
        let rate = (figures.received.saturating_sub(events)) as f64 / seconds;
        let mb = written_bytes.saturating_sub(bytes) as f64 / 1e6 / seconds;
        match std::mem::take(&mut self.rotated) {
            0 => {}
            1 => self.note("one log is rotated"),
            rotated => self.note(&format!("{rotated} logs are rotated")),
        }
        let mut status = format!(
            "{:>3} s  {:>5} events/s  {mb:.1} MB/s  lag {:.1} s  RSS {:.0} MB  hidden",
            at.as_secs(),
            grouped(rate as u64),
            figures.lag_s,
            rss_bytes as f64 / 1e6,
        );
        for (rule, count) in figures.by_rule() {
            let more = format!("  {rule} {}", grouped(count));
            if status.chars().count() + more.len() < WIDTH {
                status.push_str(&more);
            }
        }
        self.status = status;
        if self.terminal {
            self.above("");
        } else if at >= self.plain_next {
            self.plain_next = at + PLAIN_EVERY;
            let line = format!("{}\n", self.status);
            self.put(&line);
        }
    }

    pub(super) fn waiting(&mut self, events: u64) {
        self.note(&format!(
            "the pods stop after {} events; the last of them are on their way",
            grouped(events)
        ));
    }

    /// The sums.
    pub(super) fn summary(&mut self, s: &Summary) {
        self.status.clear();
        let (v, a) = (&s.verdict, &s.agent);
        let events = s.written.events();
        let mut text = String::from("\n");
        let mut row = |name: &str, number: String, about: String| {
            let _ = writeln!(text, "  {name:<11}{number:>9}  {about}");
        };
        row("written", grouped(events), {
            format!(
                "events, {:.1} MB in {:.1} s by {} pods; {} rotations",
                s.written.bytes as f64 / 1e6,
                s.time.as_secs_f64(),
                s.written.by_pod.len(),
                s.written.rotations
            )
        });
        row(
            "delivered",
            grouped(v.whole),
            format!("events, {} lost, {} doubled", grouped(s.lost()), v.doubled),
        );
        row("documents", grouped(s.server.created), {
            let parts = s.server.created.saturating_sub(v.whole);
            let apart = format!(" ({} parts of stack traces are documents of their own)", grouped(parts));
            format!(
                "created, {} duplicates{}",
                s.server.duplicates,
                if parts > 0 { apart } else { String::new() }
            )
        });
        row("agent says", grouped(a.received), {
            format!(
                "received = {} created + {} duplicate + {} other + {} dropped + {} in flight",
                grouped(a.created),
                a.duplicate,
                a.other,
                a.dropped,
                a.in_flight
            )
        });
        row("secrets", grouped(s.written.planted), format!("planted, {} leaked", v.leaks()));
        let by_rule: Vec<_> = a.by_rule().iter().map(|(rule, n)| format!("{rule} {}", grouped(*n))).collect();
        for (place, line) in wrap(&by_rule, WIDTH - 24).into_iter().enumerate() {
            match place {
                0 => row("hidden", grouped(a.hidden()), line),
                _ => row("", String::new(), line),
            }
        }
        row("requests", grouped(s.server.bulks), {
            let (wire, plain) = (s.server.wire_bytes as f64 / 1e6, s.server.decoded_bytes as f64 / 1e6);
            format!("over TLS, {plain:.1} MB of JSON in {wire:.1} MB on the wire")
        });
        if let (Some(p50), Some(p99)) = (v.delay(0.5), v.delay(0.99)) {
            row("delay p50", format!("{:.2} s", p50.as_secs_f64()), {
                format!("p99 {:.2} s, from a line's write to its arrival", p99.as_secs_f64())
            });
        }
        if let Some(cpu) = s.cpu {
            let share = 100.0 * cpu.as_secs_f64() / s.time.as_secs_f64().max(1e-3);
            row(
                "CPU",
                format!("{:.2} s", cpu.as_secs_f64()),
                format!("of the agent's threads, {share:.1} % of one core"),
            );
        }
        row("memory", format!("{:.0} MB", s.rss_bytes as f64 / 1e6), {
            "at most, for the agent, the pods, the server and the judge together".to_owned()
        });
        let faults = s.faults();
        text.push('\n');
        if faults.is_empty() {
            let well = "It adds up: everything written was delivered once, and nothing leaked.";
            let _ = writeln!(text, "  {}", self.ink(Ink::Safe, well));
        } else {
            let _ = writeln!(text, "  {}", self.ink(Ink::Secret, "It does not add up:"));
            for fault in faults {
                let _ = writeln!(text, "    {}", self.ink(Ink::Secret, &fault));
            }
        }
        self.above(&text);
    }

    /// `- …before value behind…` within the width.
    fn line(&self, sign: &str, excerpt: &Excerpt, ink: Ink) -> String {
        let room = WIDTH - INDENT;
        let value = cut_middle(&excerpt.value, room - HEAD);
        let head = cut_start(&excerpt.head, HEAD);
        let used = head.chars().count() + value.chars().count();
        let tail = cut_end(&excerpt.tail, room.saturating_sub(used));
        format!(
            "{} {}{}{}",
            self.ink(ink, sign),
            self.ink(Ink::Dim, &head),
            self.ink(ink, &value),
            self.ink(Ink::Dim, &tail)
        )
    }

    fn ink(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Dim => "2",
            Ink::Bold => "1",
            Ink::Secret => "31",
            Ink::Safe => "1;32",
            Ink::Rule => "36",
        };
        match self.colour && !text.is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// Writes above the line of figures, which stays the last one.
    fn above(&mut self, text: &str) {
        match self.terminal {
            true => {
                let text = format!("\r\x1b[2K{text}{}", self.status);
                self.put(&text);
            }
            false => self.put(text),
        }
    }

    fn put(&mut self, text: &str) {
        if self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).is_err() {
            self.gone = true;
        }
    }
}

/// `12,345`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn cut_end(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

fn cut_start(text: &str, columns: usize) -> String {
    let count = text.chars().count();
    if count <= columns {
        return text.to_owned();
    }
    ['…'].into_iter().chain(text.chars().skip(count - columns.saturating_sub(1))).collect()
}

fn cut_middle(text: &str, columns: usize) -> String {
    let count = text.chars().count();
    if count <= columns {
        return text.to_owned();
    }
    let head = columns / 2;
    let tail = columns.saturating_sub(head + 1);
    text.chars().take(head).chain(['…']).chain(text.chars().skip(count - tail)).collect()
}

/// Words into lines of this many columns, separated by two blanks.
fn wrap(words: &[String], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + 2 + word.len() <= columns => {
                line.push_str("  ");
                line.push_str(word);
            }
            _ => lines.push(word.clone()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_to_columns() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!((cut_end("платіж", 4).as_str(), cut_start("платіж", 4).as_str()), ("пла…", "…тіж"));
        assert_eq!(cut_middle("0123456789", 5), "01…89");
        let words = ["ab".to_owned(), "cd".to_owned(), "ef".to_owned()];
        assert_eq!(wrap(&words, 6), ["ab  cd", "ef"]);
    }
}
