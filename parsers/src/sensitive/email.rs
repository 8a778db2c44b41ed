//! E-mail addresses as logs show them: dot-atom `@` host name with a top-level domain (RFC 5321, without quoting).
//! It must not know JSON or URLs beyond the bytes that cannot be part of an address.

use super::byte_at;

const MAX_LOCAL: usize = 64;
const MAX_DOMAIN: usize = 253;

/// Endings of files and Java-like names that look like a top-level domain (`icon@2x.png`).
const NOT_DOMAINS: &[&[u8]] = &[
    b"png",
    b"jpg",
    b"jpeg",
    b"gif",
    b"svg",
    b"webp",
    b"ico",
    b"css",
    b"js",
    b"mjs",
    b"ts",
    b"json",
    b"yaml",
    b"yml",
    b"html",
    b"htm",
    b"txt",
    b"log",
    b"jar",
    b"tgz",
    b"gz",
    b"zip",
    b"exe",
    b"dll",
    b"so",
    b"py",
    b"service",
    b"target",
    b"local",
    b"svc",
    b"internal",
    b"cluster",
    b"localdomain",
];

/// Byte classes: 1 = local part, 2 = domain.
const CLASS: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut b = 0;
    while b < 256 {
        let c = b as u8;
        if c.is_ascii_alphanumeric() || c == b'-' || c == b'.' {
            table[b] = 3;
        } else if c == b'_' || c == b'+' || c == b'%' || c == b'\'' || c >= 0x80 {
            table[b] = 1;
        }
        b += 1;
    }
    table
};

fn is(b: u8, class: u8) -> bool {
    CLASS.get(b as usize).copied().unwrap_or(0) & class != 0
}

/// The address around an at sign of `width` bytes at `at` (1 for `@`, 3 for `%40`): start and end.
#[must_use]
pub fn email_around(text: &[u8], at: usize, width: usize) -> Option<(usize, usize)> {
    let end = domain_end(text, at + width)?;
    let mut start = at;
    while start > 0 && at - start <= MAX_LOCAL && is(byte_at(text, start - 1), 1) {
        start -= 1;
    }
    if at - start > MAX_LOCAL {
        return None;
    }
    // What an escape left in front of the address is not part of it: `\nbob@…`, `\u003cbob@…`, `%22bob%40…`.
    if start > 0 && byte_at(text, start - 1) == b'\\' {
        start += if byte_at(text, start) == b'u' { 5 } else { 1 };
    }
    let mut i = start;
    while i + 2 < at {
        if byte_at(text, i) == b'%' {
            let plus = byte_at(text, i + 1) == b'2' && byte_at(text, i + 2).eq_ignore_ascii_case(&b'b');
            i += 3;
            if !plus {
                start = i;
            }
        } else {
            i += 1;
        }
    }
    while start < at && matches!(byte_at(text, start), b'.' | b'-' | b'\'' | b'%') {
        start += 1;
    }
    (start < at && byte_at(text, at - 1) != b'.').then_some((start, end))
}

fn domain_end(text: &[u8], from: usize) -> Option<usize> {
    let mut end = from;
    // Two dashes stand in no name but behind `xn`: `bob@example.com-----BEGIN …` ends at `com`.
    let dashes = |at: usize| {
        byte_at(text, at) == b'-'
            && byte_at(text, at + 1) == b'-'
            && !text.get(at.wrapping_sub(2)..at).is_some_and(|x| x.eq_ignore_ascii_case(b"xn"))
    };
    while end - from <= MAX_DOMAIN && is(byte_at(text, end), 2) && !dashes(end) {
        end += 1;
    }
    // The sentence's full stop, or a dash, after the name.
    while end > from && !byte_at(text, end - 1).is_ascii_alphanumeric() {
        end -= 1;
    }
    let domain = text.get(from..end)?;
    let dot = memchr::memrchr(b'.', domain)?;
    let top = domain.get(dot + 1..)?;
    let plain = !top.is_empty()
        && top.len() >= 2
        && top.len() <= 24
        && (top.iter().all(u8::is_ascii_alphabetic)
            || top.get(..4).is_some_and(|t| t.eq_ignore_ascii_case(b"xn--")));
    let labels =
        !domain.starts_with(b"-") && domain.split(|&b| b == b'.').all(|l| !l.is_empty() && l.len() <= 63);
    (plain
        && labels
        && domain.len() <= MAX_DOMAIN
        && !NOT_DOMAINS.iter().any(|n| n.eq_ignore_ascii_case(top)))
    .then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> Option<&str> {
        let at = text.find('@')?;
        let (start, end) = email_around(text.as_bytes(), at, 1)?;
        text.get(start..end)
    }

    #[test]
    fn addresses() {
        for (text, want) in [
            ("to bob.smith+tag@mail.example.com.", "bob.smith+tag@mail.example.com"),
            ("\"\\nbob@x.com\"", "bob@x.com"),
            ("<o'neil@x.co.uk>", "o'neil@x.co.uk"),
            ("a=%22bob@x.com", "bob@x.com"),
            ("bob@x.com-----BEGIN", "bob@x.com"),
            ("a%2Bb@x.com", "a%2Bb@x.com"),
            ("иван@пример.рф иван@x.ua", ""),
            ("u@xn--e1afmkfd.xn--p1ai", "u@xn--e1afmkfd.xn--p1ai"),
        ] {
            assert_eq!(found(text).unwrap_or(""), want, "{text}");
        }
    }

    #[test]
    fn no_addresses() {
        for text in [
            "repo@sha256:abc",
            "@Override",
            "pkg@1.2.3",
            "icon@2x.png",
            "user@host",
            "a@b..com",
            "com.Foo@1a2b3c",
            "x@10.0.0.1",
            "a@-.com",
            ".@x.com",
            "a.@x.com",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn as_the_regex_says(text in "[ab.+%'\\-]{0,6}@[a-c.\\-1]{0,8}(com|x|c1)?[ ,.]?") {
            let oracle = regex::Regex::new(r"^[a-z0-9_+][a-z0-9_+.'-]*@([a-z0-9]([a-z0-9-]*)\.)+[a-z]{2,24}$").expect("a regex");
            let got = found(&text);
            if let Some(mail) = got {
                prop_assert!(mail.contains('%') || oracle.is_match(mail) || mail.contains("-.") , "{mail}");
            }
        }
    }
}
