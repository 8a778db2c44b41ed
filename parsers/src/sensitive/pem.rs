//! PEM private keys (RFC 7468 and the older OpenSSL forms), also with `\n` escaped, also cut.
//! It must not know where the text came from.

use memchr::memmem;

/// Longest label between `BEGIN ` and `-----`, bytes.
const MAX_LABEL: usize = 40;

/// Where the private key whose `-----BEGIN` is at `start` ends: after its END line, or where the quote around it
/// closes, or at the end of the text. `None` for certificates and public keys.
#[must_use]
pub fn private_key_at(text: &[u8], start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    let label = rest.strip_prefix(b"-----BEGIN ")?;
    let head = label.get(..MAX_LABEL.min(label.len()))?;
    let marker = memmem::find(head, b"PRIVATE KEY")?;
    if memmem::find(head.get(..marker)?, b"-----").is_some() {
        return None;
    }
    let quote = memchr::memchr2(b'"', b'<', rest).unwrap_or(rest.len());
    let body = rest.get(..quote)?;
    let end = memmem::find(body, b"-----END ").and_then(|at| {
        let tail = at + 9;
        memmem::find(body.get(tail..)?, b"-----").map(|dashes| tail + dashes + 5)
    });
    let mut end = end.unwrap_or(quote);
    // The backslashes of an escaped closing quote stay.
    if end == quote && quote < rest.len() {
        while end > 0 && rest.get(end - 1) == Some(&b'\\') {
            end -= 1;
        }
    }
    Some(start + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_escaped_and_cut() {
        let whole = b"-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY----- x";
        assert_eq!(private_key_at(whole, 0), Some(whole.len() - 2));
        let escaped = br#"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n","b":1}"#;
        assert_eq!(private_key_at(escaped, 0), Some(escaped.len() - 10));
        let cut = br#"-----BEGIN EC PRIVATE KEY-----\nMIIB\"}","b":1}"#;
        assert_eq!(private_key_at(cut, 0), Some(cut.len() - 11));
        assert_eq!(private_key_at(b"-----BEGIN PRIVATE KEY-----\nMII", 0), Some(31));
        for not in [&b"-----BEGIN CERTIFICATE-----\nMII"[..], b"-----BEGIN PUBLIC KEY-----"] {
            assert_eq!(private_key_at(not, 0), None);
        }
    }
}
