//! Tokens: `tok_<rule>_<key id>_<26 characters>`, one value one token within a rule and a token domain.
//! It must not know where a value stood.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::rules::{RuleId, TokenKey};

type Hmac256 = Hmac<Sha256>;

/// Sub-keys kept at once; beyond it all are derived again (a node has fewer namespaces).
const MAX_SUB_KEYS: usize = 1024;
/// Bytes of a value that are hashed at a time.
const PIECE_BYTES: usize = 64;

/// Makes tokens; sub-keys are derived once a rule and domain.
pub(super) struct Tokens {
    id: String,
    extracted: Hmac256,
    sub_keys: HashMap<String, Vec<(RuleId, Hmac256)>>,
}

impl Tokens {
    pub(super) fn new(key: &TokenKey) -> Self {
        // HKDF-Extract with an empty salt (RFC 5869, 2.2).
        let prk = mac_of(&hmac(&[]), &[&key.bytes]);
        Self { id: key.id.clone(), extracted: hmac(&prk), sub_keys: HashMap::new() }
    }

    /// Appends the token of `value`, which is in its canonical form.
    pub(super) fn write(
        &mut self,
        out: &mut Vec<u8>,
        rule: RuleId,
        domain: &str,
        value: impl Iterator<Item = u8>,
    ) {
        let mut mac = self.sub_key(rule, domain);
        let mut piece = [0u8; PIECE_BYTES];
        let mut n = 0;
        for b in value {
            if let Some(slot) = piece.get_mut(n) {
                *slot = b;
            }
            n += 1;
            if n == PIECE_BYTES {
                mac.update(&piece);
                n = 0;
            }
        }
        mac.update(piece.get(..n).unwrap_or_default());
        let digest = mac.finalize().into_bytes();
        out.extend_from_slice(b"tok_");
        out.extend_from_slice(rule.rule().id.as_bytes());
        out.push(b'_');
        out.extend_from_slice(self.id.as_bytes());
        out.push(b'_');
        base32(out, digest.get(..16).unwrap_or_default());
    }

    fn sub_key(&mut self, rule: RuleId, domain: &str) -> Hmac256 {
        if let Some(keys) = self.sub_keys.get(domain)
            && let Some((_, key)) = keys.iter().find(|(r, _)| *r == rule)
        {
            return key.clone();
        }
        if self.sub_keys.len() >= MAX_SUB_KEYS {
            self.sub_keys.clear();
        }
        // HKDF-Expand, first block (RFC 5869, 2.3); info = rule id, NUL, domain.
        let okm = mac_of(&self.extracted, &[rule.rule().id.as_bytes(), &[0], domain.as_bytes(), &[1]]);
        let key = hmac(&okm);
        self.sub_keys.entry(domain.to_owned()).or_default().push((rule, key.clone()));
        key
    }
}

fn hmac(key: &[u8]) -> Hmac256 {
    // HMAC takes a key of any length; the error type exists for other MACs.
    Hmac256::new_from_slice(key).unwrap_or_else(|_| Hmac256::new(&Default::default()))
}

fn mac_of(keyed: &Hmac256, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed.clone();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// RFC 4648 base32 in lower case without padding.
fn base32(out: &mut Vec<u8>, bytes: &[u8]) {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let (mut bits, mut count) = (0u32, 0);
    for &b in bytes {
        bits = bits << 8 | u32::from(b);
        count += 8;
        while count >= 5 {
            count -= 5;
            out.push(ALPHABET[(bits >> count & 31) as usize]);
        }
    }
    if count > 0 {
        out.push(ALPHABET[(bits << (5 - count) & 31) as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules;
    use super::*;

    #[test]
    fn base32_of_rfc_4648() {
        for (plain, want) in [("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foobar", "mzxw6ytboi")] {
            let mut out = Vec::new();
            base32(&mut out, plain.as_bytes());
            assert_eq!(out, want.as_bytes());
        }
    }

    #[test]
    fn one_token_a_value_rule_and_domain() {
        let key = TokenKey { id: "k1".into(), bytes: vec![7; 32].into() };
        let mut tokens = Tokens::new(&key);
        let mut make = |rule, domain: &str, value: &str| {
            let mut out = Vec::new();
            tokens.write(&mut out, rule, domain, value.bytes());
            String::from_utf8(out).expect("ascii")
        };
        let first = make(rules::EMAIL, "pay", "bob@x.com");
        assert_eq!(first.len(), "tok_email_k1_".len() + 26);
        assert_eq!(first, make(rules::EMAIL, "pay", "bob@x.com"));
        assert_ne!(first, make(rules::EMAIL, "web", "bob@x.com"));
        assert_ne!(first, make(rules::EMAIL, "pay", "eve@x.com"));
        assert_ne!(first.rsplit('_').next(), make(rules::IBAN, "pay", "bob@x.com").rsplit('_').next());
    }

    /// Independent of this code: HKDF-SHA-256 and HMAC-SHA-256 over the same inputs with another implementation.
    #[test]
    fn extract_is_rfc_5869_case_3() {
        let prk = mac_of(&hmac(&[]), &[&[0x0b; 22]]);
        assert_eq!(prk[..4], [0x19, 0xef, 0x24, 0xa3]);
        let okm = mac_of(&hmac(&prk), &[&[1]]);
        assert_eq!(okm[..4], [0x8d, 0xa4, 0xe7, 0x75]);
    }
}
