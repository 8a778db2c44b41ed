//! Lines, names, times and what begins an event, against naive readings.
use fintail_parsers::app::{sniff, starts as shapes};
use fintail_parsers::container::path::{LogKind, log_name, pod_dir};
use fintail_parsers::lines::Lines;
use fintail_parsers::time::{RFC3339_BYTES, parse_app_time, parse_epoch, parse_rfc3339, write_rfc3339};
use regex::Regex;
use regex::bytes;
use std::sync::LazyLock;

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

/// The iterator gives what a naive split gives, and its pieces tile the buffer.
pub fn lines(data: &[u8]) {
    let mut want: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let tail = want.pop().unwrap_or_default();
    let mut lines = Lines::new(data);
    let got: Vec<&[u8]> = lines.by_ref().map(|span| span.of(data)).collect();
    assert_eq!(got, want);
    assert_eq!(&data[lines.rest() as usize..], tail);
}

static POD_DIR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"^([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)",
        r"_([a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*)",
        r"_([-.A-Za-z0-9]+)$"
    ))
});
static LOG_NAME: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^(0|[1-9][0-9]*)\.log(?:\.([0-9]{8}-[0-9]{6})(\.gz|\.tmp)?)?$"));

/// Folder and file names against regexes.
pub fn path(data: &[u8]) {
    let Ok(name) = std::str::from_utf8(data) else { return };
    let dir = pod_dir(name).map(|dir| (dir.namespace, dir.pod, dir.uid));
    let want = POD_DIR.captures(name).map(|c| c.extract::<3>().1).filter(|[namespace, pod, uid]| {
        namespace.len() <= 63 && pod.len() <= 253 && !matches!(*uid, "." | "..")
    });
    assert_eq!(dir, want.map(|[namespace, pod, uid]| (namespace, pod, uid)));

    let want = LOG_NAME.captures(name).and_then(|parts| {
        let text = |n| parts.get(n).map(|m| m.as_str());
        let kind = match (text(2), text(3)) {
            (None, _) => LogKind::Current,
            (Some(stamp), None) => LogKind::Rotated { stamp },
            (Some(stamp), Some(".gz")) => LogKind::Compressed { stamp },
            (Some(_), Some(_)) => LogKind::Temporary,
        };
        Some((parts[1].parse::<u32>().ok()?, kind))
    });
    assert_eq!(log_name(name).map(|log| (log.restart, log.kind)), want);
}

static RFC3339: LazyLock<bytes::Regex> = LazyLock::new(|| {
    let form = r"(?-u)^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)?$";
    bytes::Regex::new(form).expect("a valid pattern")
});

/// Each line of `data` as a time: what is read is in range, has the stated form, and writing and reading it again
/// gives it back. Eight bytes are taken as a number to be written, too.
pub fn time(data: &[u8]) {
    let read = |ns: i64| {
        let mut out = [0; RFC3339_BYTES];
        write_rfc3339(ns, &mut out);
        (parse_rfc3339(&out), parse_app_time(&out))
    };
    for line in data.split(|byte| *byte == b'\n') {
        for ns in [parse_rfc3339(line), parse_epoch(line), parse_app_time(line)].into_iter().flatten() {
            assert_eq!(read(ns), (Some(ns), Some(ns)), "not read back");
        }
        match parse_rfc3339(line) {
            Some(ns) => {
                assert!(RFC3339.is_match(line), "read what is not of the form");
                assert_eq!(parse_app_time(line), Some(ns));
                assert_eq!(ns, naive(line), "another instant than by naive counting");
            }
            None => assert!(!RFC3339.is_match(line) || naive_refuses(line), "refused what is of the form"),
        }
        if line.len() > 2
            && let Some(ns) = parse_epoch(line)
        {
            assert_eq!(parse_app_time(line), Some(ns));
        }
    }
    if let Some(bytes) = data.first_chunk::<8>() {
        let ns = i64::from_le_bytes(*bytes);
        let back = (0..9_214_646_400_000_000_000).contains(&ns).then_some(ns);
        assert_eq!(read(ns), (back, back));
    }
}

/// Year, month, day, hour, minute, second of text of the form above, and its zone's sign, hours and minutes.
fn parts(line: &[u8]) -> ([i64; 6], [i64; 3]) {
    let text = std::str::from_utf8(line).expect("the form is ASCII");
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().expect("digits");
    let fields = [number(0, 4), number(5, 7), number(8, 10), number(11, 13), number(14, 16), number(17, 19)];
    let zone = text[19..].find(['+', '-']).map_or([1, 0, 0], |at| {
        let digits = text[19 + at + 1..].replace(':', "") + "00";
        let two = |from: usize| digits[from..from + 2].parse::<i64>().expect("digits");
        [if text.as_bytes()[19 + at] == b'-' { -1 } else { 1 }, two(0), two(2)]
    });
    (fields, zone)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counted month by month.
fn naive_seconds(line: &[u8]) -> i64 {
    let ([year, month, day, hour, minute, second], [sign, zone_hours, zone_minutes]) = parts(line);
    let zone = sign * (zone_hours * 60 + zone_minutes);
    let years: i64 = (1969..year).flat_map(|y| (1..=12).map(move |m| days_in(y, m))).sum();
    let months: i64 = (1..month).map(|m| days_in(year, m)).sum();
    (years - 365 + months + day - 1) * 86_400 + hour * 3600 + (minute - zone) * 60 + second.min(59)
}

fn naive(line: &[u8]) -> i64 {
    let fraction: String = match line.get(19) {
        Some(b'.' | b',') => {
            line[20..].iter().take_while(|b| b.is_ascii_digit()).map(|b| char::from(*b)).collect()
        }
        _ => String::new(),
    };
    let nine: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let leap = parts(line).0[5] == 60;
    naive_seconds(line) * 1_000_000_000
        + if leap { 999_999_999 } else { nine.parse::<i64>().expect("digits") }
}

fn naive_refuses(line: &[u8]) -> bool {
    let ([year, month, day, hour, minute, second], [_, zone_hours, zone_minutes]) = parts(line);
    !(1969..=2262).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=days_in(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
        || zone_hours > 23
        || zone_minutes > 59
        || !(0..9_214_646_400).contains(&naive_seconds(line))
}

static CONTINUES: LazyLock<bytes::Regex> = LazyLock::new(|| {
    let form = concat!(
        r"(?s-u)^(?:[ \t\n\x0c\r]+at [^\x00]*[^ \t\n\x0c\r\x00][^\x00]*|[ \t\n\x0c\r]*(?:Caused by: |Wrapped by: |\[CIRCULAR REFERENCE).*",
        r"|[ \t\n\x0c\r]+Suppressed: .*|[ \t\n\x0c\r]*\.\.\. [0-9]+ (?:more[ \t\n\x0c\r]*|common frames omitted.*))$"
    );
    bytes::Regex::new(form).expect("a valid pattern")
});
static ACCESS: LazyLock<bytes::Regex> = LazyLock::new(|| {
    let form = r#"(?s-u)^[ \t\n\x0c\r]*[^\[]{0,399}\[..\/...\/....:..:..:.. [+-]....\] ""#;
    bytes::Regex::new(form).expect("a valid pattern")
});

/// Shapes against regexes; a line that goes on with a trace can be gone on with.
pub fn starts(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n').filter(|line| !line.contains(&0)) {
        assert_eq!(shapes::is_continuation(line), CONTINUES.is_match(line), "continuation");
        let text = line.trim_ascii();
        let object = text.starts_with(b"{") && text.ends_with(b"}");
        assert_eq!(shapes::can_continue(line), !object && !ACCESS.is_match(text), "can continue");
        assert_eq!(sniff::sniff(line) == sniff::Format::Json, text.starts_with(b"{"), "sniff");
    }
}
