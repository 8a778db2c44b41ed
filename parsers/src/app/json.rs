//! One JSON object on one line: owns RFC 8259. It must not know what any key means.
//!
//! The scan checks all of the line and builds nothing: top-level members come out as spans. It takes what RFC 8259
//! and `serde_json` take, except for objects that name a key twice and for depth beyond the limit; both Elasticsearch
//! and OpenSearch refuse doubled keys at every level (Jackson's STRICT_DUPLICATE_DETECTION), compared unescaped.
//! Numbers may have any size.
use crate::swar::{bytes_below, digits_at, load8, string_stops};
use crate::{Flaw, Span};
use std::cmp::Ordering;

/// Bounds of one scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Objects and arrays inside each other, the outermost object counted; at most [`MAX_DEPTH`].
    pub depth: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 20 }
    }
}

/// The deepest nesting that a scan can be asked for.
pub const MAX_DEPTH: u8 = 64;

/// A member of the outermost object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The key between its quotes, as written.
    pub key: Span,
    /// True where the key holds a backslash.
    pub key_escaped: bool,
    /// The whole value, a string's quotes included.
    pub value: Span,
    /// What the value is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A string.
    String {
        /// True where it holds a backslash.
        escaped: bool,
    },
    /// A number of any size.
    Number,
    /// `true`.
    True,
    /// `false`.
    False,
    /// `null`.
    Null,
    /// An object, checked and not looked into.
    Object,
    /// An array, checked and not looked into.
    Array,
}

/// What a whole scan saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Members of the outermost object.
    pub members: u32,
    /// Bytes of the longest scalar as written, a string's quotes not counted, at any level.
    pub max_leaf_bytes: u32,
    /// Bytes of the longest key as written, at any level.
    pub max_key_bytes: u32,
    /// Deepest nesting; `{}` has 1.
    pub max_depth: u8,
}

/// A scanner that keeps its key table from line to line, so that it allocates nothing once it is warm.
#[derive(Clone, Debug)]
pub struct Scanner {
    keys: Vec<Key>,
    levels: [Level; MAX_DEPTH as usize + 1],
}

impl Default for Scanner {
    fn default() -> Self {
        Self { keys: Vec::new(), levels: [Level { first_key: 0, seen: 0 }; MAX_DEPTH as usize + 1] }
    }
}

/// [`Scanner::scan`] with a scanner of its own, for one line.
pub fn scan(body: &[u8], limits: &Limits, on_member: impl FnMut(Member)) -> Result<Scan, Flaw> {
    Scanner::default().scan(body, limits, on_member)
}

impl Scanner {
    /// Scans one line that is to be a JSON object, blanks around it allowed. `on_member` gets the members of the
    /// outermost object in order, also those before the place of a flaw.
    ///
    /// The text is taken to be UTF-8; bytes above 0x7F inside of strings are not looked at.
    ///
    /// # Errors
    /// [`Flaw::JsonMalformed`], [`Flaw::JsonDuplicateKey`] or [`Flaw::JsonTooDeep`], whichever is met first (doubled
    /// keys of an object with more than 64 are met at its end).
    #[inline]
    pub fn scan(
        &mut self,
        body: &[u8],
        limits: &Limits,
        mut on_member: impl FnMut(Member),
    ) -> Result<Scan, Flaw> {
        const MALFORMED: Flaw = Flaw::JsonMalformed;
        let max_depth = limits.depth.min(MAX_DEPTH);
        if u32::try_from(body.len()).is_err() {
            return Err(MALFORMED);
        }
        let mut scan = Scan { max_depth: 1, ..Scan::default() };
        let mut member =
            Member { key: Span::default(), key_escaped: false, value: Span::default(), kind: Kind::Null };

        let mut at = skip_blanks(body, 0);
        if byte(body, at) != b'{' {
            return Err(MALFORMED);
        }
        if max_depth == 0 {
            return Err(Flaw::JsonTooDeep);
        }
        let mut depth = 1u8;
        // One bit a level, the innermost lowest: 1 is an object.
        let mut objects = 1u64;
        self.keys.clear();
        self.keys.shrink_to(KEPT_KEYS);
        self.open(depth);
        at = skip_blanks(body, at + 1);
        let mut ends = byte(body, at) == b'}';

        loop {
            if !ends {
                if objects & 1 == 1 {
                    if byte(body, at) != b'"' {
                        return Err(MALFORMED);
                    }
                    let (end, key_escaped) = string(body, at + 1).ok_or(MALFORMED)?;
                    let key = Span::new(at as u32 + 1, end as u32);
                    self.note(body, depth, key, key_escaped)?;
                    scan.max_key_bytes = scan.max_key_bytes.max(key.len() as u32);
                    at = skip_blanks(body, end + 1);
                    if byte(body, at) != b':' {
                        return Err(MALFORMED);
                    }
                    at = skip_blanks(body, at + 1);
                    if depth == 1 {
                        (member.key, member.key_escaped) = (key, key_escaped);
                    }
                }
                let start = at as u32;
                let open = byte(body, at);
                if matches!(open, b'{' | b'[') {
                    if depth == max_depth {
                        return Err(Flaw::JsonTooDeep);
                    }
                    let object = open == b'{';
                    if depth == 1 {
                        member.value.start = start;
                        member.kind = if object { Kind::Object } else { Kind::Array };
                    }
                    depth += 1;
                    scan.max_depth = scan.max_depth.max(depth);
                    objects = objects << 1 | u64::from(object);
                    self.open(depth);
                    at = skip_blanks(body, at + 1);
                    // In ASCII both closing brackets stand two after the opening ones.
                    ends = byte(body, at) == open + 2;
                    continue;
                }
                let kind;
                (kind, at) = scalar(body, at).ok_or(MALFORMED)?;
                let value = Span::new(start, at as u32);
                let quotes = if matches!(kind, Kind::String { .. }) { 2 } else { 0 };
                scan.max_leaf_bytes = scan.max_leaf_bytes.max(value.len() as u32 - quotes);
                if depth == 1 {
                    (member.value, member.kind) = (value, kind);
                    on_member(member);
                    scan.members += 1;
                }
                at = skip_blanks(body, at);
            }
            ends = false;
            // A value is behind us, or an empty object or array was opened and its end is here.
            loop {
                let close = if objects & 1 == 1 { b'}' } else { b']' };
                let here = byte(body, at);
                if here == b',' {
                    at = skip_blanks(body, at + 1);
                    break;
                }
                if here != close {
                    return Err(MALFORMED);
                }
                self.close(body, depth)?;
                depth -= 1;
                objects >>= 1;
                at += 1;
                match depth {
                    0 if skip_blanks(body, at) == body.len() => return Ok(scan),
                    0 => return Err(MALFORMED),
                    1 => {
                        member.value.end = at as u32;
                        on_member(member);
                        scan.members += 1;
                    }
                    _ => {}
                }
                at = skip_blanks(body, at);
            }
        }
    }
}

/// Appends the text of a string, given as written between its quotes and checked by a scan. What no checked string
/// can hold (an unknown escape, half a surrogate pair) becomes U+FFFD.
pub fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    out.reserve(raw.len());
    let mut rest = raw;
    while let Some(slash) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(slash);
        out.extend_from_slice(plain);
        let (text, used) = unescape_one(escape);
        out.extend_from_slice(text.as_bytes());
        rest = escape.get(used..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// The keys of one object while it is open.
#[derive(Clone, Copy, Debug)]
struct Level {
    first_key: u32,
    /// A Bloom filter of one hash function: a key whose bit is not set is new.
    seen: u64,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    tag: u32,
    span: Span,
    escaped: bool,
}

/// Keys of an object up to which each new one is compared with those before. Beyond, the object's keys are sorted
/// when it ends, so that a hostile line costs n log n.
const COMPARED_KEYS: usize = 64;

/// Keys whose memory is kept for the next line: 16 bytes each.
const KEPT_KEYS: usize = 4096;

impl Scanner {
    #[inline(always)]
    fn open(&mut self, depth: u8) {
        if let Some(level) = self.levels.get_mut(depth as usize) {
            *level = Level { first_key: self.keys.len() as u32, seen: 0 };
        }
    }

    /// Enters a key of the object at `depth`.
    #[inline(always)]
    fn note(&mut self, body: &[u8], depth: u8, span: Span, escaped: bool) -> Result<(), Flaw> {
        let Some(level) = self.levels.get_mut(depth as usize) else { return Ok(()) };
        let hash = if escaped { hash_unescaped(span.of(body)) } else { hash_plain(body, span) };
        let bit = 1u64 << (hash >> 58);
        let key = Key { tag: hash as u32, span, escaped };
        if level.seen & bit != 0 {
            let siblings = self.keys.get(level.first_key as usize..).unwrap_or_default();
            if siblings.len() <= COMPARED_KEYS
                && siblings.iter().any(|other| other.tag == key.tag && order(body, other, &key).is_eq())
            {
                return Err(Flaw::JsonDuplicateKey);
            }
        }
        level.seen |= bit;
        self.keys.push(key);
        Ok(())
    }

    /// Drops the keys of the object at `depth`.
    #[inline(always)]
    fn close(&mut self, body: &[u8], depth: u8) -> Result<(), Flaw> {
        let Some(level) = self.levels.get(depth as usize) else { return Ok(()) };
        let first_key = level.first_key as usize;
        if self.keys.len() - first_key > COMPARED_KEYS {
            self.sorted(body, first_key)?;
        }
        self.keys.truncate(first_key);
        Ok(())
    }

    #[cold]
    fn sorted(&mut self, body: &[u8], first_key: usize) -> Result<(), Flaw> {
        let keys = self.keys.get_mut(first_key..).unwrap_or_default();
        let by_tag_then_text = |a: &Key, b: &Key| a.tag.cmp(&b.tag).then_with(|| order(body, a, b));
        keys.sort_unstable_by(by_tag_then_text);
        let twice = keys.windows(2).any(|pair| matches!(pair, [a, b] if by_tag_then_text(a, b).is_eq()));
        if twice { Err(Flaw::JsonDuplicateKey) } else { Ok(()) }
    }
}

fn order(body: &[u8], a: &Key, b: &Key) -> Ordering {
    let (a_text, b_text) = (a.span.of(body), b.span.of(body));
    if a.escaped || b.escaped {
        Unescaped::new(a_text).cmp(Unescaped::new(b_text))
    } else {
        a_text.cmp(b_text)
    }
}

const fn mix(first: u64, last: u64, len: u64) -> u64 {
    // The fractional bits of the golden ratio (Knuth's multiplicative hashing); the high bits are the good ones.
    let word = (first ^ last.rotate_left(29)).wrapping_add(len);
    let product = word.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ product >> 32
}

/// Of the first eight bytes, the last eight and the length.
#[inline(always)]
fn hash_plain(body: &[u8], span: Span) -> u64 {
    let len = span.len();
    let first = load8(body, span.start as usize);
    if len < 8 {
        let first = first & ((1 << (8 * len)) - 1);
        mix(first, first, len as u64)
    } else {
        mix(first, load8(body, span.end as usize - 8), len as u64)
    }
}

/// The same hash of the text that the escapes stand for.
#[cold]
fn hash_unescaped(raw: &[u8]) -> u64 {
    let (mut first, mut last, mut len) = (0u64, 0u64, 0u64);
    for byte in Unescaped::new(raw) {
        if len < 8 {
            first |= u64::from(byte) << (8 * len);
        }
        last = last >> 8 | u64::from(byte) << 56;
        len += 1;
    }
    mix(first, if len < 8 { first } else { last }, len)
}

/// The bytes of a raw string with its escapes resolved.
struct Unescaped<'a> {
    rest: &'a [u8],
    pending: [u8; 4],
    /// Bytes of `pending` given out, and their number.
    given: (usize, usize),
}

impl<'a> Unescaped<'a> {
    const fn new(raw: &'a [u8]) -> Self {
        Self { rest: raw, pending: [0; 4], given: (0, 0) }
    }
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (at, end) = self.given;
        if at < end {
            self.given.0 += 1;
            return self.pending.get(at).copied();
        }
        let (first, rest) = self.rest.split_first()?;
        if *first != b'\\' {
            self.rest = rest;
            return Some(*first);
        }
        let (text, used) = unescape_one(self.rest);
        self.rest = self.rest.get(used..).unwrap_or_default();
        for (to, from) in self.pending.iter_mut().zip(text.as_bytes()) {
            *to = *from;
        }
        self.given = (1, text.as_bytes().len());
        self.pending.first().copied()
    }
}

/// One character's UTF-8.
struct Utf8 {
    bytes: [u8; 4],
    len: usize,
}

impl Utf8 {
    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// What the escape at the begin of `raw` stands for, and its length there; only ASCII is passed over.
fn unescape_one(raw: &[u8]) -> (Utf8, usize) {
    let (symbol, used) = match (raw.get(1), hex4(raw, 2)) {
        (Some(b'u'), Some(high @ 0xD800..0xDC00)) => match hex4(raw, 8) {
            Some(low @ 0xDC00..0xE000) if raw.get(6..8) == Some(b"\\u") => {
                (char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 12)
            }
            _ => (None, 6),
        },
        (Some(b'u'), Some(unit)) => (char::from_u32(unit), 6),
        (Some(b'u'), None) => (None, 2),
        (Some(escape), _) => match simple_escape(*escape) {
            Some(byte) => (Some(char::from(byte)), 2),
            None => (None, 1),
        },
        (None, _) => (None, 1),
    };
    let mut bytes = [0; 4];
    let len = symbol.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut bytes).len();
    (Utf8 { bytes, len }, used)
}

const fn simple_escape(byte: u8) -> Option<u8> {
    Some(match byte {
        b'"' | b'\\' | b'/' => byte,
        b'b' => 0x08,
        b'f' => 0x0C,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// Four hex digits at `at`.
fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at.checked_add(4)?)?;
    digits.iter().try_fold(0, |n, digit| Some(n << 4 | char::from(*digit).to_digit(16)?))
}

/// The byte at `at`; 0, which stands nowhere in JSON, beyond the end.
#[inline(always)]
fn byte(body: &[u8], at: usize) -> u8 {
    body.get(at).copied().unwrap_or(0)
}

#[inline(always)]
fn skip_blanks(body: &[u8], mut at: usize) -> usize {
    while matches!(byte(body, at), b' ' | b'\t' | b'\n' | b'\r') {
        at += 1;
    }
    at
}

/// The string, number or word at `at`, and where it ends.
#[inline(always)]
fn scalar(body: &[u8], at: usize) -> Option<(Kind, usize)> {
    let word = |word: &[u8], kind| {
        let end = at + word.len();
        (body.get(at..end)? == word).then_some((kind, end))
    };
    match byte(body, at) {
        b'"' => string(body, at + 1).map(|(end, escaped)| (Kind::String { escaped }, end + 1)),
        b'-' | b'0'..=b'9' => number(body, at).map(|end| (Kind::Number, end)),
        b't' => word(b"true", Kind::True),
        b'f' => word(b"false", Kind::False),
        b'n' => word(b"null", Kind::Null),
        _ => None,
    }
}

/// End of the string whose first byte is at `at` (the place of its closing quote), and whether it holds an escape.
#[inline(always)]
fn string(body: &[u8], at: usize) -> Option<(usize, bool)> {
    let stop = plain_end(body, at);
    match byte(body, stop) {
        b'"' => Some((stop, false)),
        b'\\' => escaped_string(body, stop),
        _ => None,
    }
}

/// The same from the first backslash on.
#[inline(never)]
fn escaped_string(body: &[u8], mut at: usize) -> Option<(usize, bool)> {
    loop {
        match byte(body, at) {
            b'"' => return Some((at, true)),
            b'\\' if byte(body, at + 1) != b'u' => {
                simple_escape(byte(body, at + 1))?;
                at += 2;
            }
            b'\\' => {
                at = match hex4(body, at + 2)? {
                    0xD800..0xDC00 => {
                        let pair = body.get(at + 6..at + 8)? == b"\\u"
                            && matches!(hex4(body, at + 8)?, 0xDC00..0xE000);
                        pair.then_some(at + 12)?
                    }
                    0xDC00..0xE000 => return None,
                    _ => at + 6,
                };
            }
            _ => return None,
        }
        at = plain_end(body, at);
    }
}

/// First quote, backslash or control byte from `at` on; the end of `body` counts as one.
#[inline(always)]
fn plain_end(body: &[u8], mut at: usize) -> usize {
    loop {
        let stops = string_stops(load8(body, at));
        if stops != 0 {
            return at + bytes_below(stops);
        }
        at += 8;
    }
}

/// End of the number at `at`.
#[inline(always)]
fn number(body: &[u8], mut at: usize) -> Option<usize> {
    if byte(body, at) == b'-' {
        at += 1;
    }
    let whole = digits_at(body, at);
    if whole == 0 || (whole > 1 && byte(body, at) == b'0') {
        return None;
    }
    at += whole;
    if byte(body, at) == b'.' {
        let part = digits_at(body, at + 1);
        if part == 0 {
            return None;
        }
        at += 1 + part;
    }
    if matches!(byte(body, at), b'e' | b'E') {
        at += 1;
        if matches!(byte(body, at), b'+' | b'-') {
            at += 1;
        }
        let exponent = digits_at(body, at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Result<Vec<(String, String, Kind)>, Flaw> {
        let mut all = Vec::new();
        let part = |span: Span| String::from_utf8_lossy(span.of(text.as_bytes())).into_owned();
        let scan =
            scan(text.as_bytes(), &Limits::default(), |m| all.push((part(m.key), part(m.value), m.kind)))?;
        assert_eq!(scan.members as usize, all.len());
        Ok(all)
    }

    #[test]
    fn members_come_in_order_with_their_kind() {
        let text = r#" { "a" : "x\n" , "b":-1.5e+3,"c":{"d":[1,{}],"e":{}},"f":[],"\u0067":true,"h":false,"i":null,"":"" } "#;
        let want = [
            ("a", r#""x\n""#, Kind::String { escaped: true }),
            ("b", "-1.5e+3", Kind::Number),
            ("c", r#"{"d":[1,{}],"e":{}}"#, Kind::Object),
            ("f", "[]", Kind::Array),
            (r"\u0067", "true", Kind::True),
            ("h", "false", Kind::False),
            ("i", "null", Kind::Null),
            ("", r#""""#, Kind::String { escaped: false }),
        ];
        let want = want.map(|(key, value, kind)| (key.to_owned(), value.to_owned(), kind));
        assert_eq!(members(text), Ok(want.to_vec()));
    }

    #[test]
    fn the_scan_knows_its_extremes() {
        let text = r#"{"ab":"12345","c":[{"defg":1234567890123}],"h":{}}"#;
        let want = Scan { members: 3, max_leaf_bytes: 13, max_key_bytes: 4, max_depth: 3 };
        assert_eq!(scan(text.as_bytes(), &Limits::default(), |_| ()), Ok(want));
        assert_eq!(scan(b"{}", &Limits::default(), |_| ()), Ok(Scan { max_depth: 1, ..Scan::default() }));
    }

    #[test]
    fn malformed() {
        for text in [
            "",
            " ",
            "[]",
            "1",
            "\"a\"",
            "{",
            "}",
            "{]",
            "{}}",
            "{}{}",
            "{} x",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":[1,]}",
            "{\"a\":[,1]}",
            "{\"a\":[}",
            "{\"a\":[1}}",
            "{\"a\":{]}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":tru}",
            "{\"a\":truex}",
            "{\"a\":NaN}",
            "{\"a\":Infinity}",
            "{\"a\":01}",
            "{\"a\":-}",
            "{\"a\":+1}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":1e}",
            "{\"a\":1e+}",
            "{\"a\":--1}",
            "{\"a\":0x1}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12g4\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\udc00\"}",
            "{\"a\":\"\\ud800\\u0041\"}",
            "{\"a\":\"\t\"}",
            "{\"a\":\"\u{0}\"}",
            "{\"a\":\"",
            "{\"a\":\"\\",
            "{\"a\":\"\\u12",
            "\u{feff}{}",
            "{\"a\":1}\u{0}",
            "{\u{a0}}",
            "{\"a\" 1}",
            "{\"a\":1;}",
            "{\"\\\":1}",
            "{:1}",
        ] {
            assert_eq!(members(text), Err(Flaw::JsonMalformed), "{text:?}");
        }
    }

    #[test]
    fn keys_twice_at_any_level() {
        let longs = ["request_header_one_of_many", "request_header_two_of_many"];
        for (twice, text) in [
            (true, r#"{"a":1,"a":2}"#.to_owned()),
            (true, r#"{"a":1,"\u0061":2}"#.to_owned()),
            (true, r#"{"\u0061":1,"a":2}"#.to_owned()),
            (true, r#"{"😀longer key":1,"\ud83d\ude00longer\u0020key":2}"#.to_owned()),
            (true, r#"{"x":{"a":1,"b":[{"a":1}],"a":2}}"#.to_owned()),
            (true, r#"{"x":[{"a":1,"a":2}]}"#.to_owned()),
            (true, r#"{"":1,"":2}"#.to_owned()),
            (false, r#"{"a":{"a":{"a":1}},"b":{"a":1},"c":[{"a":1},{"a":1}]}"#.to_owned()),
            (false, r#"{"a":1,"A":2,"a ":3,"\u0061\u0061":4}"#.to_owned()),
            (false, format!(r#"{{"{}":1,"{}":2}}"#, longs[0], longs[1])),
            (true, format!(r#"{{"{0}":1,"{0}":2}}"#, longs[0])),
        ] {
            let want = if twice { Err(Flaw::JsonDuplicateKey) } else { Ok(()) };
            assert_eq!(members(&text).map(|_| ()), want, "{text}");
        }
    }

    #[test]
    fn keys_twice_among_thousands() {
        let key = |n: usize| format!("\"key{n}\":{n}");
        for count in [63, 64, 65, 66, 3000] {
            let mut keys: Vec<_> = (0..count).map(key).collect();
            let object = |keys: &[String]| format!("{{\"o\":{{{}}},\"p\":{{\"key1\":1}}}}", keys.join(","));
            assert!(members(&object(&keys)).is_ok(), "{count}");
            keys.push(key(count / 2));
            assert_eq!(members(&object(&keys)), Err(Flaw::JsonDuplicateKey), "{count}");
        }
    }

    #[test]
    fn depth_counts_the_outermost_object() {
        let limits = Limits { depth: 3 };
        let run = |text: &str| scan(text.as_bytes(), &limits, |_| ()).map(|s| s.max_depth);
        assert_eq!(run(r#"{"a":[{"b":1}]}"#), Ok(3));
        assert_eq!(run(r#"{"a":[[[]]]}"#), Err(Flaw::JsonTooDeep));
        assert_eq!(scan(b"{}", &Limits { depth: 0 }, |_| ()).map(|s| s.max_depth), Err(Flaw::JsonTooDeep));
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        let deep =
            |levels| scan(nested(levels).as_bytes(), &Limits { depth: 255 }, |_| ()).map(|s| s.max_depth);
        assert_eq!(deep(63), Ok(64));
        assert_eq!(deep(64), Err(Flaw::JsonTooDeep));
    }

    #[test]
    fn a_scanner_forgets_the_line_before() {
        let mut scanner = Scanner::default();
        for text in [r#"{"a":{"b":1,"c":"#, r#"{"a":1,"a":1}"#, r#"{"a":[{"b":1}]}"#] {
            let fresh = scan(text.as_bytes(), &Limits::default(), |_| ());
            assert_eq!(scanner.scan(text.as_bytes(), &Limits::default(), |_| ()), fresh, "{text}");
        }
    }

    #[test]
    fn unescaping() {
        for (raw, want) in [
            ("", ""),
            ("plain é", "plain é"),
            (r#"a\"b\\c\/\b\f\n\r\t"#, "a\"b\\c/\u{8}\u{c}\n\r\t"),
            (r"\u0041\u00e9\u20ac\ud83d\ude00!", "Aé€😀!"),
            (r"\ud800x", "\u{fffd}x"),
            (r"\ud800\u0041", "\u{fffd}A"),
            (r"\q\é\", "\u{fffd}q\u{fffd}é\u{fffd}"),
            (r"\u12é", "\u{fffd}12é"),
        ] {
            let mut out = b"> ".to_vec();
            unescape(raw.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), format!("> {want}"), "{raw}");
        }
    }
}
