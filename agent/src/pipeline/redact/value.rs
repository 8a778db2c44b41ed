//! Where the value behind a delimiter begins and ends, in JSON (also escaped inside strings), logfmt, `K(k=v)`,
//! query strings and prose; and what is no value at all. It must not know rules.

use fintail_parsers::sensitive::byte_at;
use memchr::memchr2;

/// A quote as it stands in the text: `"` is `(0, b'"')`, `\"` is `(1, b'"')`, `\\\"` is `(3, b'"')`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quote {
    pub(super) backslashes: u8,
    pub(super) byte: u8,
}

/// A value: its bytes without quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub(super) start: usize,
    pub(super) end: usize,
    /// What it is quoted with, if it is.
    pub(super) quote: Option<Quote>,
}

/// Blanks that may stand beside a delimiter.
const MAX_BLANKS: usize = 8;
/// Deepest escaped JSON: three levels put 7 backslashes before a quote.
const MAX_BACKSLASHES: usize = 7;

/// The key before the delimiter at `d`: where its text ends, and its closing quote.
#[inline]
pub(super) fn key_before(text: &[u8], d: usize) -> (usize, Option<Quote>) {
    let mut i = d;
    while i > 0 && d - i < MAX_BLANKS && byte_at(text, i - 1) == b' ' {
        i -= 1;
    }
    let byte = if i > 0 { byte_at(text, i - 1) } else { 0 };
    if !matches!(byte, b'"' | b'\'' | b'`' | b']') {
        return (i, None);
    }
    i -= 1;
    // `params["password"] = …`
    if byte == b']' {
        let quoted = i > 0 && matches!(byte_at(text, i - 1), b'"' | b'\'');
        return (if quoted { i - 1 } else { d }, None);
    }
    let end = i;
    while i > 0 && end - i < MAX_BACKSLASHES && byte_at(text, i - 1) == b'\\' {
        i -= 1;
    }
    (i, Some(Quote { backslashes: (end - i) as u8, byte }))
}

/// First byte behind the delimiter at `d` that is neither blank nor part of `=>`, `:=`, `==`.
pub(super) fn after_delimiter(text: &[u8], d: usize) -> usize {
    let mut i = d + 1;
    if matches!((byte_at(text, d), byte_at(text, i)), (b'=', b'>' | b'=') | (b':', b'=')) {
        i += 1;
    }
    skip_blanks(text, i)
}

pub(super) fn skip_blanks(text: &[u8], from: usize) -> usize {
    let mut i = from;
    while i - from < MAX_BLANKS && matches!(byte_at(text, i), b' ' | b'\t') {
        i += 1;
    }
    i
}

/// The quote that opens at `i`, if one does.
pub(super) fn quote_at(text: &[u8], i: usize) -> Option<Quote> {
    let mut n = 0;
    while n < MAX_BACKSLASHES && byte_at(text, i + n) == b'\\' {
        n += 1;
    }
    let byte = byte_at(text, i + n);
    (matches!(byte, b'"' | b'\'' | b'`') && matches!(n, 0 | 1 | 3 | 7))
        .then_some(Quote { backslashes: n as u8, byte })
}

/// The value that begins at `i` (blanks skipped); `key` is the closing quote of its key.
pub(super) fn value_at(text: &[u8], i: usize, key: Option<Quote>) -> Option<Value> {
    if let Some(quote) = quote_at(text, i) {
        let start = i + usize::from(quote.backslashes) + 1;
        let next = byte_at(text, start);
        // `"msg":"enter the password:","user":…`: this quote closes the text around an unquoted key.
        if key.is_none() && (matches!(next, b',' | b'}' | b']' | b')') || start >= text.len()) {
            return None;
        }
        let end = closing(text, start, quote);
        return Some(Value { start, end, quote: Some(quote) });
    }
    if matches!(byte_at(text, i), b'{' | b'(') || (key.is_some() && byte_at(text, i) == b'[') {
        return None;
    }
    let end = if key.is_some() { literal_end(text, i) } else { bare_end(text, i) };
    (end > i).then_some(Value { start: i, end, quote: None })
}

/// Where the string that is open at `from` closes: at the quote with as many backslashes, or at the end of a string
/// around it, or at the end of the text.
fn closing(text: &[u8], from: usize, quote: Quote) -> usize {
    let level = usize::from(quote.backslashes);
    let mut i = from;
    while let Some(at) = memchr::memchr(quote.byte, text.get(i..).unwrap_or_default()) {
        let at = i + at;
        let mut n = 0;
        while at - n > from && byte_at(text, at - n - 1) == b'\\' {
            n += 1;
        }
        // Pairs of backslashes belong to the content: at level 0 an even number closes, at level 1 it is 1, 5, 9 …
        if quote.byte == b'\'' && level == 0 || n % (2 * (level + 1)) == level {
            return at - if level == 0 { 0 } else { level };
        }
        if level > 0 && n % 2 == 0 {
            return at;
        }
        i = at + 1;
    }
    text.len()
}

/// Where a number, `true`, `null` or a bare word behind a quoted key ends.
fn literal_end(text: &[u8], i: usize) -> usize {
    let rest = text.get(i..).unwrap_or_default();
    let ends = |b: &u8| matches!(b, b',' | b'}' | b']' | b')' | b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'\\');
    i + rest.iter().position(ends).unwrap_or(rest.len())
}

/// Where an unquoted value ends. Brackets and commas end it only where something follows that is no more of it:
/// passwords hold such bytes.
pub(super) fn bare_end(text: &[u8], from: usize) -> usize {
    let mut i = from;
    while i < text.len() {
        let b = byte_at(text, i);
        let ends = match b {
            b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'<' | b'`' => true,
            b'\'' => i > from,
            b'\\' => matches!(byte_at(text, i + 1), b'n' | b'r' | b't' | b'"' | b'\\' | b'\'' | b'u'),
            b',' | b';' | b'&' | b')' | b']' | b'}' | b'|' => nothing_follows(text, i + 1),
            0xC2 => byte_at(text, i + 1) == 0xA0,
            _ => false,
        };
        if ends {
            break;
        }
        i += 1;
    }
    i
}

fn nothing_follows(text: &[u8], i: usize) -> bool {
    let b = byte_at(text, i);
    if i >= text.len()
        || matches!(
            b,
            b' ' | b'\t'
                | b'\n'
                | b'\r'
                | b'"'
                | b'\''
                | b'\\'
                | b')'
                | b']'
                | b'}'
                | b','
                | b';'
                | b'{'
                | b'['
                | b'<'
        )
    {
        return true;
    }
    let mut j = i;
    while j - i < 40
        && (byte_at(text, j).is_ascii_alphanumeric()
            || matches!(byte_at(text, j), b'_' | b'-' | b'.' | b'[' | b']' | b'%'))
    {
        j += 1;
    }
    j > i && matches!(byte_at(text, j), b'=' | b':')
}

/// Words that say something of a secret and are none.
const FLAGS: &[&[u8]] = &[
    b"null",
    b"none",
    b"nil",
    b"true",
    b"false",
    b"undefined",
    b"yes",
    b"no",
    b"on",
    b"off",
    b"empty",
    b"set",
    b"unset",
    b"missing",
    b"invalid",
    b"incorrect",
    b"wrong",
    b"expired",
    b"required",
    b"changed",
    b"reset",
    b"ok",
    b"valid",
    b"verified",
    b"failed",
    b"failure",
    b"success",
    b"successful",
    b"mismatch",
    b"match",
    b"matches",
    b"matched",
    b"not",
    b"must",
    b"should",
    b"is",
    b"was",
    b"has",
    b"been",
    b"too",
    b"the",
    b"a",
    b"an",
    b"for",
    b"of",
    b"in",
    b"and",
    b"or",
    b"to",
    b"be",
    b"updated",
    b"update",
    b"created",
    b"deleted",
    b"rotated",
    b"revoked",
    b"disabled",
    b"enabled",
    b"accepted",
    b"rejected",
    b"denied",
    b"blocked",
    b"locked",
    b"attempt",
    b"attempts",
    b"does",
    b"did",
    b"cannot",
    b"can",
    b"will",
    b"with",
    b"from",
    b"by",
    b"n/a",
    b"na",
    b"redacted",
    b"masked",
    b"hidden",
    b"filtered",
    b"removed",
    b"protected",
    b"string",
    b"optional",
    b"default",
    b"correct",
    b"unknown",
    b"present",
    b"absent",
    b"provided",
    b"generated",
    b"sent",
    b"received",
    b"needed",
    b"error",
    b"bearer",
    b"basic",
    b"malformed",
    b"unauthorized",
    b"used",
    b"issued",
    b"refreshed",
    b"validated",
    b"validation",
    b"authentication",
    b"exists",
    b"already",
    b"nan",
    b"pending",
    b"active",
    b"inactive",
    b"signature",
    b"cleared",
    b"stored",
    b"encrypted",
    b"hashed",
    b"strong",
    b"weak",
];

/// True where the bytes are a flag, a placeholder or masked already.
pub(super) fn is_no_secret(value: &[u8]) -> bool {
    let word = value.strip_suffix(b".").or_else(|| value.strip_suffix(b"!")).unwrap_or(value);
    word.is_empty()
        || FLAGS.iter().any(|f| f.eq_ignore_ascii_case(word))
        || is_masked(value)
        || [&b"${"[..], b"{{", b"%s", b"%v", b"%d", b"{}", b"$("].iter().any(|p| value.starts_with(p))
        || (value.starts_with(b"<") && value.ends_with(b">"))
}

/// True where the bytes were redacted before, by us or by the application.
pub(super) fn is_masked(value: &[u8]) -> bool {
    let hidden = value.iter().filter(|b| matches!(b, b'*' | b'#')).count()
        + 3 * value.windows(3).filter(|w| *w == "•".as_bytes()).count();
    let head = value.get(..9).unwrap_or(value);
    hidden * 3 >= value.len()
        || value.iter().all(|b| matches!(b, b'x' | b'X' | b'.' | b'-' | b'_'))
        || [
            &b"[redacted"[..],
            b"<redacted",
            b"[filtered",
            b"[masked]",
            b"[hidden]",
            b"(redacted",
            b"redacted",
        ]
        .iter()
        .any(|p| head.get(..p.len()).is_some_and(|h| h.eq_ignore_ascii_case(p)))
        || is_token(value)
}

/// True for what our own token rule writes.
pub(super) fn is_token(value: &[u8]) -> bool {
    value.strip_prefix(b"tok_").is_some_and(|rest| {
        let tail = rest.len().checked_sub(26).and_then(|n| rest.get(n..));
        tail.is_some_and(|t| t.iter().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')))
    })
}

/// Knows whether a place of a JSON line lies inside a string; asked for ascending places only.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StringState {
    at: usize,
    inside: bool,
}

impl StringState {
    pub(super) fn inside(&mut self, text: &[u8], place: usize) -> bool {
        if place < self.at {
            *self = Self::default();
        }
        while let Some(n) = memchr2(b'"', b'\\', text.get(self.at..place).unwrap_or_default()) {
            let i = self.at + n;
            if byte_at(text, i) == b'"' {
                self.inside = !self.inside;
                self.at = i + 1;
            } else {
                self.at = i + 2;
            }
            if self.at >= place {
                return self.inside;
            }
        }
        self.at = self.at.max(place);
        self.inside
    }
}
