//! One CRI log line: owns its time, stream and partial mark. It must not know pods, or how pieces are joined.
//!
//! The form is that of the Kubernetes CRI ("Log format of containers", `kubelet/kuberuntime/logs`) as containerd and
//! CRI-O write it; a line without its `\n` matches, with a time that exists and lies in 1970 to 2261:
//!
//! ```text
//! (?s-u)^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}) (stdout|stderr) [PF](:[^ ]*)?( .*)?$
//! ```
//!
//! Go's RFC3339Nano drops trailing zeros of the fraction, so its width varies; a second 60 does not exist in Go. Tags
//! are separated by `:`; only the first has a meaning: `P` a piece (the runtime cuts at 16 KiB), `F` the last one. A
//! body may be empty, and then the blank before it may be missing.
use crate::Span;
use crate::swar::load8;
use crate::time::{civil_strict, instant, up_to_nine_digits, zone_colon};
use memchr::memchr;

/// Which of the container's outputs wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Stream {
    /// `stdout`.
    Stdout = 0,
    /// `stderr`.
    Stderr = 1,
}

impl Stream {
    /// The name in the line and in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A CRI line taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CriLine {
    /// Nanoseconds since 1970, UTC.
    pub time_ns: i64,
    /// Who wrote it.
    pub stream: Stream,
    /// True for `P`: the text goes on in the stream's next line.
    pub partial: bool,
    /// The text, a range of the line.
    pub body: Span,
    /// Length in bytes of the time text that the line begins with.
    pub time_len: u8,
}

/// The date and second that was read last: lines of one file mostly share them.
#[derive(Clone, Debug)]
pub struct TimeCache {
    head: [u8; 19],
    second: i64,
}

impl Default for TimeCache {
    fn default() -> Self {
        Self { head: *b"1970-01-01T00:00:00", second: 0 }
    }
}

/// Reads one line (without its `\n`); `None` where it is no CRI line.
#[must_use]
#[inline]
pub fn parse(line: &[u8]) -> Option<CriLine> {
    parse_with(&mut TimeCache::default(), line)
}

/// Like [`parse`]; the date is read anew only where it differs from the line before.
#[must_use]
#[inline]
pub fn parse_with(cache: &mut TimeCache, line: &[u8]) -> Option<CriLine> {
    let end = u32::try_from(line.len()).ok()?;
    let head = line.first_chunk::<19>()?;
    if *head != cache.head {
        cache.second = civil_strict(head)?;
        cache.head = *head;
    }
    let (ns, zone) = match line.get(head.len())? {
        b'.' => match up_to_nine_digits(line, head.len() + 1) {
            (_, 0) => return None,
            (ns, digits) => (ns, head.len() + 1 + digits),
        },
        _ => (0, head.len()),
    };
    let (offset_s, time_len) = match line.get(zone)? {
        b'Z' => (0, zone + 1),
        _ => (zone_colon(line.get(zone..)?)?, zone + 6),
    };
    let time_ns = instant(cache.second, ns, offset_s)?;

    // " stdout F": a blank, then seven bytes that tell the stream, then the tag, all in one word.
    const STDOUT: u64 = u64::from_le_bytes(*b"stdout \0");
    const STDERR: u64 = u64::from_le_bytes(*b"stderr \0");
    let word = load8(line, time_len + 1);
    let stream = match word << 8 >> 8 {
        STDOUT => Stream::Stdout,
        STDERR => Stream::Stderr,
        _ => return None,
    };
    let partial = match (word >> 56) as u8 {
        b'F' => false,
        b'P' => true,
        _ => return None,
    };
    let after_tag = time_len + 9;
    let body = match (line.get(time_len)?, line.get(after_tag)) {
        (b' ', Some(b' ')) => after_tag as u32 + 1,
        (b' ', None) => end,
        (b' ', Some(b':')) => {
            memchr(b' ', line.get(after_tag..)?).map_or(end, |blank| (after_tag + blank) as u32 + 1)
        }
        _ => return None,
    };
    Some(CriLine { time_ns, stream, partial, body: Span::new(body, end), time_len: time_len as u8 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<(i64, Stream, bool, &str, u8)> {
        let cri = parse(line.as_bytes())?;
        let body = line.get(cri.body.start as usize..cri.body.end as usize)?;
        Some((cri.time_ns, cri.stream, cri.partial, body, cri.time_len))
    }

    const T: i64 = 1_475_713_202_000_000_000;

    #[test]
    fn lines_of_the_runtimes() {
        use Stream::{Stderr, Stdout};
        // The first three are the examples of the Kubernetes CRI design and of the kubelet's own tests.
        let cases = [
            (
                "2016-10-06T00:20:02.000000001Z stdout F The content of the log entry 1",
                T + 1,
                Stdout,
                false,
                "The content of the log entry 1",
                30,
            ),
            (
                "2016-10-06T00:20:02.000000001Z stdout P First line of log entry 2",
                T + 1,
                Stdout,
                true,
                "First line of log entry 2",
                30,
            ),
            ("2016-10-06T00:20:02.1Z stderr P:TAG1:TAG2 b", T + 100_000_000, Stderr, true, "b", 22),
            ("2016-10-06T00:20:02Z stdout F ", T, Stdout, false, "", 20),
            ("2016-10-06T00:20:02Z stdout F", T, Stdout, false, "", 20),
            ("2016-10-06T00:20:02Z stdout F:x", T, Stdout, false, "", 20),
            ("2016-10-06T00:20:02Z stdout F:: \u{0}\r", T, Stdout, false, "\u{0}\r", 20),
            (
                "2016-10-06T00:20:02.123456789+02:00 stdout F   a b",
                T + 123_456_789 - 7_200_000_000_000,
                Stdout,
                false,
                "  a b",
                35,
            ),
            (
                "2016-10-06T00:20:02.12345678-00:30 stderr F é",
                T + 123_456_780 + 1_800_000_000_000,
                Stderr,
                false,
                "é",
                34,
            ),
            ("1970-01-01T00:00:00Z stdout F x", 0, Stdout, false, "x", 20),
            ("2261-12-31T23:59:59.999999999Z stdout F x", 9_214_646_399_999_999_999, Stdout, false, "x", 30),
        ];
        for (line, time, stream, partial, body, time_len) in cases {
            assert_eq!(read(line), Some((time, stream, partial, body, time_len)), "{line}");
        }
    }

    #[test]
    fn what_is_no_cri_line() {
        for line in [
            "",
            "plain text",
            "2016-10-06T00:20:02Z",
            "2016-10-06T00:20:02Z stdout",
            "2016-10-06T00:20:02Z stdout ",
            "2016-10-06T00:20:02Z stdout X a",
            "2016-10-06T00:20:02Z stdout FP a",
            "2016-10-06T00:20:02Z stdlog F a",
            "2016-10-06T00:20:02Z  stdout F a",
            "2016-10-06 00:20:02Z stdout F a",
            "2016-10-06T00:20:02 stdout F a",
            "2016-10-06T00:20:02.Z stdout F a",
            "2016-10-06T00:20:02.1234567890Z stdout F a",
            "2016-10-06T00:20:02+0200 stdout F a",
            "2016-10-06T00:20:02+24:00 stdout F a",
            "2016-10-06T00:20:60Z stdout F a",
            "2016-10-06T24:00:00Z stdout F a",
            "2016-02-30T00:20:02Z stdout F a",
            "2015-02-29T00:20:02Z stdout F a",
            "1969-12-31T23:59:59Z stdout F a",
            "0001-01-01T00:00:00Z stdout F a",
            "2262-01-01T00:00:00Z stdout F a",
            "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}Z stdout F a",
            "{\"log\":\"docker\\n\",\"stream\":\"stdout\",\"time\":\"2016-10-06T00:20:02Z\"}",
        ] {
            assert_eq!(read(line), None, "{line:?}");
        }
    }

    #[test]
    fn the_cache_changes_nothing() {
        let mut cache = TimeCache::default();
        for line in [
            "2016-10-06T00:20:02.5Z stdout F a",
            "2016-10-06T00:20:02.6Z stdout F a",
            "2016-10-06T00:20:99Z stdout F a",
            "2016-10-06T00:20:99Z stdout F a",
            "2016-10-06T00:20:03+01:00 stdout F a",
            "2016-10-06T00:20:03Z stdout F a",
        ] {
            assert_eq!(parse_with(&mut cache, line.as_bytes()), parse(line.as_bytes()), "{line}");
        }
    }
}
