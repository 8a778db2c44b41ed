//! Owns the question whether a planted value got through.
//! Must not know: documents' fields, redaction rules beyond their ids.

use super::Planted;

impl Planted {
    /// Whether the value stands in a document: as written, escaped, percent-encoded, or without separators.
    pub fn stands_in(&self, document: &[u8]) -> bool {
        let value = self.value.as_str();
        let has = |text: &str| memchr::memmem::find(document, text.as_bytes()).is_some();
        match self.rule {
            "cvv" | "pin" => after_key(document, self.rule, value),
            "pan" => {
                let digits: String = value.chars().filter(char::is_ascii_digit).collect();
                let groups = value.replace('-', " ");
                has(&digits)
                    || [" ", "-", "%20", "+", "%2B", "\\u0020", "."]
                        .iter()
                        .any(|s| has(&groups.replace(' ', s)))
            }
            "email" => ["@", "%40", "\\u0040"].iter().any(|at| has(&value.replace('@', at))),
            // Any part of a token but its well-known head, any line of a key.
            "jwt" => value.split('.').skip(1).any(has),
            "private_key" => value.lines().filter(|line| !line.starts_with("--")).any(has),
            _ => has(value),
        }
    }
}

/// `key`, up to six bytes that are no letters or digits, the value, no further digit. A short number alone says nothing.
fn after_key(document: &[u8], key: &str, value: &str) -> bool {
    memchr::memmem::find_iter(document, key.as_bytes()).any(|at| {
        let rest = document.get(at + key.len()..).unwrap_or_default();
        let gap = rest.iter().take(6).take_while(|b| !b.is_ascii_alphanumeric()).count();
        let rest = rest.get(gap..).unwrap_or_default();
        rest.strip_prefix(value.as_bytes()).is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaks(document: &str, rule: &'static str, value: &str) -> bool {
        Planted { rule, value: value.to_owned() }.stands_in(document.as_bytes())
    }

    #[test]
    fn every_writing_of_a_value_is_found() {
        let spaced = "4111 1111 1111 1111";
        for text in [spaced, "4111111111111111", "4111+1111+1111+1111", "4111%201111%201111%201111"] {
            assert!(leaks(text, "pan", spaced), "{text}");
            assert!(leaks(text, "pan", "4111-1111-1111-1111"), "{text}");
        }
        assert!(leaks("/pay?to=a.b%40example.com", "email", "a.b@example.com"));
        assert!(leaks(r#"{"cvv":"123"}"#, "cvv", "123"));
        assert!(leaks("x.eyJzdWIi.y", "jwt", "eyJhbGci.eyJzdWIi.c2ln"));
        assert!(leaks(
            r"-----BEGIN PRIVATE KEY-----\nQUJD\n",
            "private_key",
            "-----BEGIN PRIVATE KEY-----\nQUJD\nREVG\n"
        ));
    }

    #[test]
    fn what_redaction_leaves_is_no_leak() {
        assert!(!leaks("4111 11** **** 1111", "pan", "4111 1111 1111 1111"));
        assert!(!leaks(r#"{"cvv":"[REDACTED:cvv]","took":123}"#, "cvv", "123"));
        assert!(!leaks("tok_email_k1_mfrggzdfmztwq2lknnwg23tpoa@example.com", "email", "a.b@example.com"));
        assert!(!leaks("DE** **** 1234", "iban", "DE02120300000000202051"));
    }
}
