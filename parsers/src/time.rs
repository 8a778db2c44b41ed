//! Time text to nanoseconds since 1970 and back: owns calendars and layouts. It must not know the current time.
//!
//! Every reader answers `None` outside of 1970-01-01 to 2261-12-31 UTC: an index of nanoseconds (`date_nanos`) takes
//! no more.
use crate::swar::{bytes_below, digits_at, eight_digits, load8, non_digits, pairs, splat};

/// Bytes that [`write_rfc3339`] writes.
pub const RFC3339_BYTES: usize = 30;

const NS_PER_S: i64 = 1_000_000_000;
const S_PER_DAY: i64 = 86_400;
/// 2262-01-01T00:00:00Z.
const END_S: i64 = 9_214_646_400;

/// Nanoseconds since 1970 of RFC 3339 text: `YYYY-MM-DDThh:mm:ss[.fraction][zone]`, and nothing after it.
///
/// Wider than RFC 3339 where logs are: a blank or `t` for `T`, `,` for `.`, a fraction of any length (digits after the
/// ninth are cut), `+hh:mm`, `+hhmm` or `+hh`, a missing zone is UTC. Second 60 is read as 59.999999999.
#[must_use]
pub fn parse_rfc3339(text: &[u8]) -> Option<i64> {
    let (second, at) = date_time(text, b'-')?;
    let (ns, at) = fraction(text, second, at)?;
    with_zone(second.at, ns, text.get(at..)?)
}

/// Nanoseconds since 1970 of `1763884862`, `1763884862123`, `1763884862.123` and so on.
///
/// The unit follows from the size of the whole part: below 10¹¹ seconds, below 10¹⁴ milliseconds, below 10¹⁷
/// microseconds, else nanoseconds. (10¹¹ of one unit is 1973 in the next finer one.)
#[must_use]
pub fn parse_epoch(text: &[u8]) -> Option<i64> {
    let run = digits_at(text, 0);
    let whole = number(text.get(..run)?)?;
    let unit_ns = match whole {
        0..100_000_000_000 => NS_PER_S,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    let part = match text.get(run) {
        None => 0,
        Some(b'.') => {
            let (ns_of_second, digits) = nine_digits(text, run + 1)?;
            if run + 1 + digits != text.len() {
                return None;
            }
            i64::from(ns_of_second) / (NS_PER_S / unit_ns)
        }
        Some(_) => return None,
    };
    in_range(i64::try_from(whole).ok()?.checked_mul(unit_ns)?.checked_add(part)?)
}

/// Nanoseconds since 1970 of the usual time texts of applications.
///
/// | layout | who |
/// |---|---|
/// | all of [`parse_rfc3339`], also with a blank before the zone, also ` UTC`, ` GMT` | most |
/// | `2026/11/23 08:01:02[.ffffff]` | Go's log, nginx's error log |
/// | `23/Nov/2026:08:01:02 +0000` | Apache's and nginx's access log |
/// | all of [`parse_epoch`] | zap, pino, bunyan |
#[must_use]
pub fn parse_app_time(text: &[u8]) -> Option<i64> {
    match (text.get(2)?, text.get(4)) {
        (b'/', _) => access_log(text),
        (_, Some(b'-')) => calendar(text, b'-'),
        (_, Some(b'/')) => calendar(text, b'/'),
        _ => parse_epoch(text),
    }
}

/// Writes `YYYY-MM-DDThh:mm:ss.nnnnnnnnnZ`, always 30 bytes.
pub fn write_rfc3339(ns: i64, out: &mut [u8; RFC3339_BYTES]) {
    let (second, fraction) = (ns.div_euclid(NS_PER_S), ns.rem_euclid(NS_PER_S) as u32);
    let (year, month, day) = civil_of_day(second.div_euclid(S_PER_DAY));
    let clock = second.rem_euclid(S_PER_DAY) as u32;
    let [y0, y1, y2, y3, m0, m1, d0, d1] = four_pairs([year / 100, year % 100, month, day]);
    let (minutes, millions) = (clock / 60, fraction / 1_000_000);
    let [h0, h1, i0, i1, s0, s1, f0, f1] =
        four_pairs([minutes / 60, minutes % 60, clock % 60, millions / 10]);
    let rest = fraction % 1_000_000;
    let [_, f2, f3, f4, f5, f6, f7, f8] =
        four_pairs([millions % 10, rest / 10_000, rest / 100 % 100, rest % 100]);
    *out = [
        y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', i0, i1, b':', s0, s1, b'.', f0, f1,
        f2, f3, f4, f5, f6, f7, f8, b'Z',
    ];
}

/// A second since 1970 in local time, and whether the text named second 60.
#[derive(Clone, Copy)]
struct Second {
    at: i64,
    leap: bool,
}

/// Seconds since 1970 of `YYYY?MM?DD?hh:mm:ss`, zone not counted; the separator after the day is not looked at.
#[inline(always)]
fn civil(head: &[u8; 19], date_separator: u8) -> Option<Second> {
    let word = |at: usize| {
        u64::from_le_bytes([
            head[at],
            head[at + 1],
            head[at + 2],
            head[at + 3],
            head[at + 4],
            head[at + 5],
            head[at + 6],
            head[at + 7],
        ])
    };
    const ZEROS: u64 = splat(b'0');
    let separators =
        |byte: u8, a: u32, b: u32| u64::from(byte ^ b'0') << (8 * a) | u64::from(byte ^ b'0') << (8 * b);
    // XOR leaves the digit's value where a digit must stand and 0 where a separator must stand; the mask of what may
    // not be set is then one comparison for the whole word.
    let date = word(0) ^ ZEROS ^ separators(date_separator, 4, 7);
    let clock = word(11) ^ ZEROS ^ separators(b':', 2, 5);
    let day = u64::from(u16::from_le_bytes([head[8], head[9]])) ^ 0x3030;
    let separator_bits = date & 0xFF00_00FF_0000_0000 | clock & 0x0000_FF00_00FF_0000;
    if (non_digits(date) | non_digits(clock) | non_digits(day) | separator_bits) != 0 {
        return None;
    }
    let byte = |word: u64, at: u32| (word >> (8 * at)) as u32 & 0xFF;
    let (date, clock, day) = (pairs(date), pairs(clock), pairs(day) as u32 & 0xFF);
    let (year, month) = (byte(date, 0) * 100 + byte(date, 2), byte(date, 5));
    let (hour, minute, second) = (byte(clock, 0), byte(clock, 3), byte(clock, 6));
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_since_1970(year, month, day)?;
    let leap = second == 60;
    let clock = hour * 3600 + minute * 60 + second - u32::from(leap);
    Some(Second { at: i64::from(days) * S_PER_DAY + i64::from(clock), leap })
}

/// Seconds since 1970 of `YYYY-MM-DDThh:mm:ss`, which must not name second 60. For the CRI reader.
#[inline]
pub(crate) fn civil_strict(head: &[u8; 19]) -> Option<i64> {
    let second = civil(head, b'-')?;
    (head[10] == b'T' && !second.leap).then_some(second.at)
}

/// One to nine digits from `at` as a fraction of a second in ns, and how many there are (up to 9).
#[inline(always)]
pub(crate) fn up_to_nine_digits(text: &[u8], at: usize) -> (u32, usize) {
    let digits = load8(text, at) ^ splat(b'0');
    let count = bytes_below(non_digits(digits));
    if count < 8 {
        return (eight_digits(digits & ((1 << (8 * count)) - 1)) * 10, count);
    }
    match text.get(at + 8) {
        Some(ninth @ b'0'..=b'9') => (eight_digits(digits) * 10 + u32::from(ninth - b'0'), 9),
        _ => (eight_digits(digits) * 10, 8),
    }
}

/// Seconds east of UTC of `+hh:mm` at the begin of `zone`.
#[inline]
pub(crate) fn zone_colon(zone: &[u8]) -> Option<i64> {
    match zone.first_chunk::<6>()? {
        [sign, h0, h1, b':', m0, m1] => offset(*sign, [*h0, *h1], [*m0, *m1]),
        _ => None,
    }
}

/// `second` + `ns` east-shifted by `offset_s`, where it lies in the range of this module.
#[inline]
pub(crate) fn instant(second: i64, ns: u32, offset_s: i64) -> Option<i64> {
    let second = second - offset_s;
    (0..END_S).contains(&second).then(|| second * NS_PER_S + i64::from(ns))
}

/// The date and clock that `text` begins with, and where they end.
fn date_time(text: &[u8], date_separator: u8) -> Option<(Second, usize)> {
    let head = text.first_chunk::<19>()?;
    matches!(head[10], b'T' | b't' | b' ').then_some(())?;
    Some((civil(head, date_separator)?, head.len()))
}

/// Nanoseconds of the optional fraction at `at`, and where it ends.
fn fraction(text: &[u8], second: Second, at: usize) -> Option<(u32, usize)> {
    let (ns, end) = match text.get(at) {
        Some(b'.' | b',') => {
            let (ns, digits) = nine_digits(text, at + 1)?;
            (ns, at + 1 + digits)
        }
        _ => (0, at),
    };
    Some((if second.leap { 999_999_999 } else { ns }, end))
}

/// At least one digit; those after the ninth are passed over.
fn nine_digits(text: &[u8], at: usize) -> Option<(u32, usize)> {
    let (ns, count) = up_to_nine_digits(text, at);
    match count {
        0 => None,
        9 => Some((ns, digits_at(text, at))),
        _ => Some((ns, count)),
    }
}

fn with_zone(second: i64, ns: u32, zone: &[u8]) -> Option<i64> {
    let offset_s = match *zone {
        [] | [b'Z' | b'z'] => 0,
        [sign, h0, h1] => offset(sign, [h0, h1], *b"00")?,
        [sign, h0, h1, m0, m1] | [sign, h0, h1, b':', m0, m1] => offset(sign, [h0, h1], [m0, m1])?,
        _ => return None,
    };
    instant(second, ns, offset_s)
}

fn offset(sign: u8, hours: [u8; 2], minutes: [u8; 2]) -> Option<i64> {
    let (hours, minutes) = (pair(hours)?, pair(minutes)?);
    let seconds = i64::from(hours * 3600 + minutes * 60);
    match sign {
        _ if hours > 23 || minutes > 59 => None,
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn calendar(text: &[u8], date_separator: u8) -> Option<i64> {
    let (second, at) = date_time(text, date_separator)?;
    let (ns, at) = fraction(text, second, at)?;
    let zone = match text.get(at..)? {
        b" UTC" | b" GMT" => b"Z",
        [b' ', zone @ ..] if !zone.is_empty() => zone,
        zone => zone,
    };
    with_zone(second.at, ns, zone)
}

/// `DD/Mon/YYYY:hh:mm:ss zone`.
fn access_log(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_first_chunk::<12>()?;
    let [d0, d1, b'/', m0, m1, m2, b'/', y0, y1, y2, y3, b':'] = *date else { return None };
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(&[m0, m1, m2]))? as u32 + 1;
    let [n0, n1, ..] = four_pairs([month, 0, 0, 0]);
    let (clock, zone) = rest.split_first_chunk::<8>()?;
    let [h0, h1, c0, i0, i1, c1, s0, s1] = *clock;
    let head = [y0, y1, y2, y3, b'-', n0, n1, b'-', d0, d1, b'T', h0, h1, c0, i0, i1, c1, s0, s1];
    let second = civil(&head, b'-')?;
    let (ns, at) = fraction(zone, second, 0)?;
    match zone.get(at..)? {
        [b' ', zone @ ..] if !zone.is_empty() => with_zone(second.at, ns, zone),
        [] => with_zone(second.at, ns, b""),
        _ => None,
    }
}

const MONTHS: [[u8; 3]; 12] = [
    *b"jan", *b"feb", *b"mar", *b"apr", *b"may", *b"jun", *b"jul", *b"aug", *b"sep", *b"oct", *b"nov",
    *b"dec",
];

fn in_range(ns: i64) -> Option<i64> {
    (0..END_S).contains(&ns.div_euclid(NS_PER_S)).then_some(ns)
}

/// Up to 19 digits.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0u64, |n, d| n.checked_mul(10)?.checked_add(u64::from(d.wrapping_sub(b'0'))))
}

fn pair([tens, ones]: [u8; 2]) -> Option<u32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

/// The digits of four numbers below 100: each in 16 bits of one word, where n × 103 / 1024 is n / 10.
#[inline(always)]
fn four_pairs(numbers: [u32; 4]) -> [u8; 8] {
    let word = numbers.iter().rev().fold(0, |word, n| word << 16 | u64::from(*n));
    let tens = (word * 103) >> 10 & 0x000F_000F_000F_000F;
    ((tens | (word - tens * 10) << 8) | splat(b'0')).to_le_bytes()
}

/// Days of the months before, in a common year.
const DAYS_BEFORE: [u16; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
const DAYS_IN: [u8; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// Gregorian date to days; `None` where there is no such day or the year is not 1969 to 2262 (a zone may shift the
/// last day of those into the range).
#[inline]
fn days_since_1970(year: u32, month: u32, day: u32) -> Option<i32> {
    let index = month.checked_sub(1)? as usize;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let leap_day = u32::from(leap);
    let in_month = u32::from(*DAYS_IN.get(index)?) + if month == 2 { leap_day } else { 0 };
    if !(1969..=2262).contains(&year) || day == 0 || day > in_month {
        return None;
    }
    let past = year - 1;
    let leap_days = past / 4 - past / 100 + past / 400;
    let in_year = u32::from(*DAYS_BEFORE.get(index)?) + if month > 2 { leap_day } else { 0 } + day - 1;
    const DAYS_TO_1970: i32 = 1969 * 365 + 1969 / 4 - 1969 / 100 + 1969 / 400;
    Some((past * 365 + leap_days + in_year) as i32 - DAYS_TO_1970)
}

/// Year, month, day of a day since 1970 (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in
/// March, so that the leap day is a year's last). `days` must not lie before 0000-03-01.
fn civil_of_day(days: i64) -> (u32, u32, u32) {
    let days = (days + 719_468) as u32;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u32::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(ns: i64) -> String {
        let mut out = [0; RFC3339_BYTES];
        write_rfc3339(ns, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn rfc3339_and_its_relatives() {
        for (text, want) in [
            ("2026-11-23T08:01:02Z", "2026-11-23T08:01:02.000000000Z"),
            ("2026-11-23t08:01:02z", "2026-11-23T08:01:02.000000000Z"),
            ("2026-11-23 08:01:02", "2026-11-23T08:01:02.000000000Z"),
            ("2026-11-23 08:01:02,123", "2026-11-23T08:01:02.123000000Z"),
            ("2026-11-23T08:01:02.1", "2026-11-23T08:01:02.100000000Z"),
            ("2026-11-23T08:01:02.12345678Z", "2026-11-23T08:01:02.123456780Z"),
            ("2026-11-23T08:01:02.123456789Z", "2026-11-23T08:01:02.123456789Z"),
            ("2026-11-23T08:01:02.12345678998765432101Z", "2026-11-23T08:01:02.123456789Z"),
            ("2026-11-23T08:01:02+02:00", "2026-11-23T06:01:02.000000000Z"),
            ("2026-11-23T08:01:02.5-0930", "2026-11-23T17:31:02.500000000Z"),
            ("2026-11-23T08:01:02+02", "2026-11-23T06:01:02.000000000Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999999Z"),
            ("2016-12-31T23:59:60.5Z", "2016-12-31T23:59:59.999999999Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000000Z"),
            ("2100-03-01T00:00:00Z", "2100-03-01T00:00:00.000000000Z"),
            ("1969-12-31T23:00:00-01:00", "1970-01-01T00:00:00.000000000Z"),
            ("2262-01-01T00:59:59+01:00", "2261-12-31T23:59:59.000000000Z"),
        ] {
            assert_eq!(parse_rfc3339(text.as_bytes()).map(written).as_deref(), Some(want), "{text}");
            assert_eq!(parse_app_time(text.as_bytes()).map(written).as_deref(), Some(want), "{text}");
        }
        for text in [
            "",
            "2026-11-23",
            "2026-11-23T08:01",
            "2026-11-23T08:01:02.",
            "2026-11-23T08:01:02.Z",
            "2026-11-23T08:01:02 Z",
            "2026-11-23T08:01:02Zx",
            "2026-11-23T08:01:02+2",
            "2026-11-23T08:01:02+02:0",
            "2026-11-23T08:01:02+24:00",
            "2026-11-23T08:01:02+00:60",
            "2026-11-23T24:00:00Z",
            "2026-11-23T08:60:00Z",
            "2026-11-23T08:01:61Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-32T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2262-01-01T00:00:00Z",
            "2026-11-23_08:01:02Z",
            "2026/11/23T08:01:02Z",
            "２026-11-23T08:01:02Z",
            "20x6-11-23T08:01:02Z",
        ] {
            assert_eq!(parse_rfc3339(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn epochs_by_magnitude() {
        for (text, want) in [
            ("0", Some(0)),
            ("1763884862", Some(1_763_884_862_000_000_000)),
            ("1763884862.5", Some(1_763_884_862_500_000_000)),
            ("1763884862.1234567891234", Some(1_763_884_862_123_456_789)),
            ("1763884862123", Some(1_763_884_862_123_000_000)),
            ("1763884862123.25", Some(1_763_884_862_123_250_000)),
            ("1763884862123456", Some(1_763_884_862_123_456_000)),
            ("1763884862123456.7", Some(1_763_884_862_123_456_700)),
            ("1763884862123456789", Some(1_763_884_862_123_456_789)),
            ("1763884862123456789.9", Some(1_763_884_862_123_456_789)),
            ("9214646399", Some(9_214_646_399_000_000_000)),
            ("9214646400", None),
            ("99999999999", None),
            ("9214646400000000000", None),
            ("18446744073709551616", None),
            ("99999999999999999999999999", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("-5", None),
            ("1e9", None),
            ("1763884862 ", None),
        ] {
            assert_eq!(parse_epoch(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn layouts_of_applications() {
        for (text, want) in [
            ("2026-11-23 08:01:02,123 +0100", "2026-11-23T07:01:02.123000000Z"),
            ("2026-11-23 08:01:02 UTC", "2026-11-23T08:01:02.000000000Z"),
            ("2026-11-23 08:01:02.5 Z", "2026-11-23T08:01:02.500000000Z"),
            ("2026/11/23 08:01:02", "2026-11-23T08:01:02.000000000Z"),
            ("2026/11/23 08:01:02.123456", "2026-11-23T08:01:02.123456000Z"),
            ("23/Nov/2026:08:01:02 +0000", "2026-11-23T08:01:02.000000000Z"),
            ("23/nov/2026:08:01:02 -0530", "2026-11-23T13:31:02.000000000Z"),
            ("23/Nov/2026:08:01:02", "2026-11-23T08:01:02.000000000Z"),
            ("1763884862.123", "2025-11-23T08:01:02.123000000Z"),
        ] {
            assert_eq!(parse_app_time(text.as_bytes()).map(written).as_deref(), Some(want), "{text}");
        }
        for text in [
            "",
            "5",
            "ab",
            "yesterday",
            "2026-11-23 08:01:02 ",
            "2026-11-23 08:01:02 CET",
            "2026/11-23 08:01:02",
            "23/Nox/2026:08:01:02 +0000",
            "31/Feb/2026:08:01:02 +0000",
            "23/Nov/2026:08:01:02 ",
            "23/Nov/2026 08:01:02",
            "23/Nov/2026:08:01:02+0000",
        ] {
            assert_eq!(parse_app_time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_the_range_there_and_back() {
        for day in 0..END_S / S_PER_DAY {
            let ns = (day * S_PER_DAY + day % S_PER_DAY) * NS_PER_S + day * 7919 % NS_PER_S;
            assert_eq!(parse_rfc3339(written(ns).as_bytes()), Some(ns));
        }
    }

    #[test]
    fn writing_takes_any_i64() {
        assert_eq!(written(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(written(-1), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(written(i64::MIN), "1677-09-21T00:12:43.145224192Z");
        assert_eq!(written(i64::MAX), "2262-04-11T23:47:16.854775807Z");
    }
}
