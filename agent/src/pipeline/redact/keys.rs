//! Key words: which key in front of a value makes it a secret, and which words speak for or against a card number.
//! It must not know what a value looks like.

use fintail_parsers::sensitive::byte_at;

use super::rules::{self, RuleId};

/// What a value behind a key must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Three or four digits.
    CardCode,
    /// 4–12 digits.
    Pin,
    /// 16 hex digits.
    PinBlock,
    /// Anything that is no flag word.
    Password,
    /// At least this many bytes, no flag word.
    Secret(u8),
    /// 4–10 letters or digits with a digit.
    OneTime,
    /// `<scheme> <credential>` or a credential.
    Authorization,
    /// `name=value; …` up to the end of the header.
    Cookie,
    /// Not a secret: the key only ends like one.
    Innocent,
}

/// One key phrase; `_` stands where words may be joined by `_ - .`, a blank or a hump.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) phrase: &'static str,
    /// Must begin a word: too short to be looked for as the end of a flat compound.
    pub(super) whole: bool,
    pub(super) rule: RuleId,
    pub(super) check: Check,
}

const fn key(phrase: &'static str, rule: RuleId, check: Check) -> Key {
    Key { phrase, whole: false, rule, check }
}
const fn word(phrase: &'static str, rule: RuleId, check: Check) -> Key {
    Key { phrase, whole: true, rule, check }
}

/// All key phrases. Longest match wins, so an innocent compound stands beside the word that it ends with.
pub(super) const KEYS: &[Key] = &[
    key("cvv", rules::CVV, Check::CardCode),
    key("cvv2", rules::CVV, Check::CardCode),
    key("cvc", rules::CVV, Check::CardCode),
    key("cvc2", rules::CVV, Check::CardCode),
    word("csc", rules::CVV, Check::CardCode),
    key("cvv_code", rules::CVV, Check::CardCode),
    key("cvc_code", rules::CVV, Check::CardCode),
    key("cvv_number", rules::CVV, Check::CardCode),
    key("cvv_value", rules::CVV, Check::CardCode),
    key("cvc_value", rules::CVV, Check::CardCode),
    key("card_cid", rules::CVV, Check::CardCode),
    key("security_code", rules::CVV, Check::CardCode),
    key("card_code", rules::CVV, Check::CardCode),
    key("card_verification_value", rules::CVV, Check::CardCode),
    key("card_verification_code", rules::CVV, Check::CardCode),
    key("verification_value", rules::CVV, Check::CardCode),
    word("pin", rules::PIN, Check::Pin),
    key("user_pin", rules::PIN, Check::Pin),
    key("card_pin", rules::PIN, Check::Pin),
    key("new_pin", rules::PIN, Check::Pin),
    key("old_pin", rules::PIN, Check::Pin),
    key("atm_pin", rules::PIN, Check::Pin),
    key("my_pin", rules::PIN, Check::Pin),
    key("pin_code", rules::PIN, Check::Pin),
    key("pin_number", rules::PIN, Check::Pin),
    key("pin_value", rules::PIN, Check::Pin),
    key("pin_block", rules::PIN_BLOCK, Check::PinBlock),
    key("encrypted_pin", rules::PIN_BLOCK, Check::PinBlock),
    key("password", rules::PASSWORD, Check::Password),
    key("passwd", rules::PASSWORD, Check::Password),
    key("pwd", rules::PASSWORD, Check::Password),
    key("passphrase", rules::PASSWORD, Check::Password),
    key("pass_phrase", rules::PASSWORD, Check::Password),
    key("passcode", rules::PASSWORD, Check::Password),
    key("pass_word", rules::PASSWORD, Check::Password),
    key("passwords", rules::PASSWORD, Check::Password),
    word("pass", rules::PASSWORD, Check::Secret(5)),
    key("db_pass", rules::PASSWORD, Check::Password),
    key("user_pass", rules::PASSWORD, Check::Password),
    word("pw", rules::PASSWORD, Check::Password),
    word("psw", rules::PASSWORD, Check::Password),
    key("working_pwd", rules::PASSWORD, Check::Innocent),
    key("api_key", rules::API_KEY, Check::Secret(6)),
    key("api_keys", rules::API_KEY, Check::Secret(6)),
    key("app_key", rules::API_KEY, Check::Secret(6)),
    key("auth_key", rules::API_KEY, Check::Secret(6)),
    key("access_key", rules::API_KEY, Check::Secret(6)),
    key("account_key", rules::API_KEY, Check::Secret(6)),
    key("secret_key", rules::API_KEY, Check::Secret(6)),
    key("signing_key", rules::API_KEY, Check::Secret(6)),
    key("encryption_key", rules::API_KEY, Check::Secret(6)),
    key("master_key", rules::API_KEY, Check::Secret(6)),
    key("shared_key", rules::API_KEY, Check::Secret(6)),
    key("subscription_key", rules::API_KEY, Check::Secret(6)),
    key("api_secret", rules::API_KEY, Check::Secret(4)),
    key("client_secret", rules::API_KEY, Check::Secret(4)),
    key("secret", rules::API_KEY, Check::Secret(5)),
    key("credential", rules::API_KEY, Check::Secret(6)),
    key("token", rules::API_KEY, Check::Secret(6)),
    key("access_token", rules::API_KEY, Check::Secret(5)),
    key("refresh_token", rules::API_KEY, Check::Secret(5)),
    key("id_token", rules::API_KEY, Check::Secret(5)),
    key("auth_token", rules::API_KEY, Check::Secret(5)),
    key("bearer_token", rules::BEARER, Check::Secret(5)),
    key("api_token", rules::API_KEY, Check::Secret(5)),
    key("page_token", rules::API_KEY, Check::Innocent),
    key("next_token", rules::API_KEY, Check::Innocent),
    key("continuation_token", rules::API_KEY, Check::Innocent),
    key("continue_token", rules::API_KEY, Check::Innocent),
    key("sync_token", rules::API_KEY, Check::Innocent),
    key("cancellation_token", rules::API_KEY, Check::Innocent),
    key("sequence_token", rules::API_KEY, Check::Innocent),
    key("idempotency_token", rules::API_KEY, Check::Innocent),
    key("unexpected_token", rules::API_KEY, Check::Innocent),
    key("invalid_token", rules::API_KEY, Check::Innocent),
    key("secret_access_key", rules::AWS_SECRET_KEY, Check::Secret(16)),
    key("aws_secret_key", rules::AWS_SECRET_KEY, Check::Secret(16)),
    key("aws_secret", rules::AWS_SECRET_KEY, Check::Secret(16)),
    key("private_key", rules::PRIVATE_KEY, Check::Secret(16)),
    key("authorization", rules::BEARER, Check::Authorization),
    key("cookie", rules::COOKIE, Check::Cookie),
    key("set_cookie", rules::COOKIE, Check::Cookie),
    key("cookies", rules::COOKIE, Check::Cookie),
    key("session_id", rules::SESSION_ID, Check::Secret(6)),
    key("session_key", rules::SESSION_ID, Check::Secret(6)),
    key("session_token", rules::SESSION_ID, Check::Secret(6)),
    key("sess_id", rules::SESSION_ID, Check::Secret(6)),
    key("connect_sid", rules::SESSION_ID, Check::Secret(6)),
    word("sid", rules::SESSION_ID, Check::Secret(12)),
    word("otp", rules::OTP, Check::OneTime),
    word("totp", rules::OTP, Check::OneTime),
    key("otp_code", rules::OTP, Check::OneTime),
    key("otp_value", rules::OTP, Check::OneTime),
    key("sms_code", rules::OTP, Check::OneTime),
    key("mfa_code", rules::OTP, Check::OneTime),
    key("verification_code", rules::OTP, Check::OneTime),
    key("one_time_code", rules::OTP, Check::OneTime),
    key("one_time_password", rules::OTP, Check::Password),
];

/// Letters of a key that are looked at.
const MAX_LETTERS: usize = 32;
const HEADS: usize = 1024;

/// The key phrases, ready to be asked for the word that ends at a place.
pub(super) struct KeyTable {
    /// Folded last four and last three raw bytes that some phrase can end with.
    ends4: Box<[u64; 1024]>,
    ends3: Box<[u64; 1024]>,
    heads: Box<[Vec<u16>; HEADS]>,
    /// Letters of each phrase from its end, without word marks.
    reversed: Vec<Vec<u8>>,
}

/// A key read backwards: lower-case letters and digits without separators.
struct Backwards {
    letters: [u8; MAX_LETTERS],
    len: usize,
    /// Bit i: letter i begins a word.
    begins: u64,
}

impl KeyTable {
    pub(super) fn new() -> Self {
        let mut table = Self {
            ends4: Box::new([0; 1024]),
            ends3: Box::new([0; 1024]),
            heads: Box::new(std::array::from_fn(|_| Vec::new())),
            reversed: Vec::with_capacity(KEYS.len()),
        };
        for (i, key) in KEYS.iter().enumerate() {
            let letters: Vec<u8> = key.phrase.bytes().rev().filter(|b| *b != b'_').collect();
            if let Some(head) = table.heads.get_mut(head_of(&letters)) {
                head.push(u16::try_from(i).unwrap_or(0));
            }
            table.reversed.push(letters);
            for join in ["", "_", "-", ".", " "] {
                let raw = key.phrase.trim_end_matches(|c: char| c.is_ascii_digit()).replace('_', join);
                table.admit(raw.as_bytes());
            }
        }
        table
    }

    fn admit(&mut self, raw: &[u8]) {
        let mut insert4 = |w: u32| set(&mut self.ends4, w | 0x2020_2020);
        match *raw {
            [.., a, b, c, d] => insert4(u32::from_le_bytes([a, b, c, d])),
            [a, b, c] => set(&mut self.ends3, u32::from_le_bytes([a, b, c, 0]) | 0x0020_2020),
            [b, c] => {
                for a in 0..=255 {
                    set(&mut self.ends3, u32::from_le_bytes([a, b, c, 0]) | 0x0020_2020);
                }
            }
            _ => {}
        }
    }

    /// The phrase that the key ending at `end` (exclusive) ends with, and where that key begins.
    #[inline]
    pub(super) fn ending_at(&self, text: &[u8], end: usize) -> Option<&'static Key> {
        let mut e = end;
        while e > 0 && byte_at(text, e - 1).is_ascii_digit() && end - e < 4 {
            e -= 1;
        }
        if e == 0 {
            return None;
        }
        let last = match e.checked_sub(4).and_then(|s| text.get(s..e)) {
            Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
            _ => {
                (1..=e.min(4)).fold(0, |w, back| w << 8 | u32::from(byte_at(text, e - back)))
                    << (8 * (4 - e.min(4)))
            }
        };
        let folded = last | 0x2020_2020;
        if !(has(&self.ends4, folded) || has(&self.ends3, folded >> 8)) {
            return None;
        }
        self.look_up(text, end)
    }

    #[cold]
    fn look_up(&self, text: &[u8], end: usize) -> Option<&'static Key> {
        let mut back = read_backwards(text, end);
        loop {
            let letters = back.letters.get(..back.len)?;
            let mut best: Option<usize> = None;
            for &i in self.heads.get(head_of(letters))? {
                let phrase = self.reversed.get(i as usize)?;
                let begins = phrase.len() == back.len || back.begins >> (phrase.len() - 1) & 1 == 1;
                if letters.starts_with(phrase)
                    && (begins || !KEYS.get(i as usize)?.whole)
                    && best.is_none_or(|b| self.reversed.get(b).is_some_and(|r| r.len() < phrase.len()))
                {
                    best = Some(i as usize);
                }
            }
            if best.is_some() {
                return best.and_then(|i| KEYS.get(i));
            }
            // `password1`, `pin_2`: once more without the digits.
            let digits = letters.iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 || digits == back.len {
                return None;
            }
            back.letters.copy_within(digits.., 0);
            back.len -= digits;
            back.begins >>= digits;
        }
    }
}

fn set(bits: &mut [u64; 1024], w: u32) {
    let h = slot(w);
    if let Some(word) = bits.get_mut(h >> 6) {
        *word |= 1 << (h & 63);
    }
}

#[inline]
fn has(bits: &[u64; 1024], w: u32) -> bool {
    let h = slot(w);
    bits[(h >> 6) & 1023] >> (h & 63) & 1 == 1
}

#[inline]
fn slot(w: u32) -> usize {
    (w.wrapping_mul(0x9E37_79B1) >> 16) as usize
}

fn head_of(reversed: &[u8]) -> usize {
    let pair = u32::from(byte_at(reversed, 0)) << 8 | u32::from(byte_at(reversed, 1));
    (pair.wrapping_mul(0x9E37_79B1) >> 22) as usize % HEADS
}

fn read_backwards(text: &[u8], end: usize) -> Backwards {
    let mut key = Backwards { letters: [0; MAX_LETTERS], len: 0, begins: 0 };
    let mut i = end;
    let mut right = 0u8;
    while i > 0 && key.len < MAX_LETTERS {
        let b = byte_at(text, i - 1);
        let left = if i > 1 { byte_at(text, i - 2) } else { 0 };
        if b.is_ascii_alphanumeric() {
            // The letter of an escape (`\npin`, `%3Cpin`) is not part of the word.
            if left == b'\\'
                || (i > 2
                    && byte_at(text, i - 3) == b'%'
                    && b.is_ascii_hexdigit()
                    && left.is_ascii_hexdigit())
            {
                mark(&mut key);
                return key;
            }
            if let Some(slot) = key.letters.get_mut(key.len) {
                *slot = b.to_ascii_lowercase();
            }
            key.len += 1;
            let hump = b.is_ascii_uppercase() && (!left.is_ascii_uppercase() || right.is_ascii_lowercase());
            if hump || (b.is_ascii_alphabetic() && left.is_ascii_digit()) {
                mark(&mut key);
            }
            right = b;
        } else if matches!(b, b'_' | b'-' | b'.' | b' ') && left.is_ascii_alphanumeric() {
            mark(&mut key);
            right = 0;
        } else {
            mark(&mut key);
            return key;
        }
        i -= 1;
    }
    mark(&mut key);
    key
}

fn mark(key: &mut Backwards) {
    if key.len > 0 {
        key.begins |= 1 << (key.len - 1);
    }
}

/// What the words around a number say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    For,
    Against,
    None,
}

const FOR_CARD: &[&[u8]] = &[
    b"pan",
    b"cc",
    b"ccn",
    b"acct",
    b"account",
    b"visa",
    b"mastercard",
    b"amex",
    b"maestro",
    b"dpan",
    b"fpan",
    b"primary",
];
const AGAINST_CARD: &[&[u8]] = &[
    b"id",
    b"ids",
    b"trace",
    b"span",
    b"offset",
    b"ts",
    b"time",
    b"timestamp",
    b"hash",
    b"uuid",
    b"guid",
    b"nonce",
    b"seq",
    b"sequence",
    b"order",
    b"invoice",
    b"tracking",
    b"serial",
    b"imei",
    b"epoch",
    b"nanos",
    b"micros",
    b"millis",
    b"version",
    b"build",
    b"commit",
    b"sha",
    b"digest",
    b"size",
    b"bytes",
    b"count",
    b"duration",
    b"checksum",
    b"crc",
    b"snowflake",
    b"amount",
    b"balance",
    b"total",
    b"correlation",
    b"request",
    b"rrn",
    b"arn",
    b"shipment",
    b"parcel",
    b"sku",
    b"ean",
    b"gtin",
    b"barcode",
    b"revision",
    b"generation",
    b"phone",
    b"msisdn",
    b"iccid",
    b"imsi",
    b"token",
];

/// What the words between `from` and `at` say of a number there: the key, or up to three words of prose.
pub(super) fn card_evidence(text: &[u8], from: usize, at: usize) -> Evidence {
    let mut i = at;
    while i > 0
        && at - i < 12
        && matches!(byte_at(text, i - 1), b'"' | b'\'' | b'\\' | b' ' | b'[' | b'(' | b'#' | b'{' | b',')
    {
        i -= 1;
    }
    let keyed = i > 0 && matches!(byte_at(text, i - 1), b':' | b'=' | b'>' | b'/');
    if keyed {
        i -= 1;
        while i > 0 && matches!(byte_at(text, i - 1), b'"' | b'\'' | b'\\' | b' ' | b':') {
            i -= 1;
        }
    }
    let floor = i.saturating_sub(if keyed { 48 } else { 28 }).max(from.min(i));
    let (mut words, mut against, mut end) = (0, false, i);
    while i > floor && words < 4 {
        let b = byte_at(text, i - 1);
        if b.is_ascii_alphanumeric() {
            i -= 1;
            let hump = b.is_ascii_uppercase() && !byte_at(text, i.wrapping_sub(1)).is_ascii_uppercase();
            if !hump && i > floor && byte_at(text, i - 1).is_ascii_alphanumeric() {
                continue;
            }
        } else if end == i && matches!(b, b'_' | b'-' | b'.' | b'#') || (b == b' ' && !keyed) {
            i -= 1;
            end = i;
            continue;
        } else {
            break;
        }
        let mut word = [0u8; 16];
        let raw = text.get(i..end).unwrap_or_default();
        let n = raw.len().min(16);
        let tail = raw.get(raw.len() - n..).unwrap_or_default();
        for (slot, b) in word.iter_mut().zip(tail) {
            *slot = b.to_ascii_lowercase();
        }
        let word = word.get(..n).unwrap_or_default();
        if word.starts_with(b"card")
            || word.ends_with(b"card")
            || word.ends_with(b"cardnumber")
            || FOR_CARD.contains(&word)
        {
            return Evidence::For;
        }
        // In prose only the two nearest words count against: `order 4111…`, `trace id 4111…`.
        against |= (keyed || words < 2) && (AGAINST_CARD.contains(&word) || (n > 4 && word.ends_with(b"id")));
        words += 1;
        end = i;
    }
    if against { Evidence::Against } else { Evidence::None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<&'static str> {
        KeyTable::new().ending_at(text.as_bytes(), text.len()).map(|k| k.phrase)
    }

    #[test]
    fn spellings_of_one_key() {
        for text in [
            "api_key",
            "apiKey",
            "API-KEY",
            "x-api-key",
            "myApiKey",
            "APIKey",
            "apikey",
            "api.key",
            "api key",
            "api_key2",
        ] {
            assert_eq!(found(text), Some("api_key"), "{text}");
        }
        for (text, want) in [
            ("dbpassword", "password"),
            ("userPin", "user_pin"),
            ("oldPIN", "old_pin"),
            ("\\npin", "pin"),
            ("%22pin", "pin"),
            ("cvv2", "cvv2"),
            ("CVV", "cvv"),
            ("a.pin", "pin"),
            ("pin", "pin"),
            ("db_pw", "pw"),
            ("PHPSESSID", "sess_id"),
            ("aws_secret_access_key", "secret_access_key"),
            ("JSESSIONID", "session_id"),
            ("nextPageToken", "page_token"),
        ] {
            assert_eq!(found(text), Some(want), "{text}");
        }
    }

    #[test]
    fn never_touched() {
        for text in [
            "cvv_result",
            "pin_verified",
            "password_changed",
            "token_type",
            "key_id",
            "idempotency_key",
            "secret_name",
            "monkey",
            "keyword",
            "public_key",
            "api_version",
            "shipping",
            "span",
            "spin",
            "mapping",
            "compass",
            "key",
            "n",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn evidence() {
        for (text, want) in [
            ("{\"card_id\":\"", Evidence::For),
            ("{\"orderId\":", Evidence::Against),
            ("cardNumber=", Evidence::For),
            ("trace_id=", Evidence::Against),
            ("charged ", Evidence::None),
            ("order #", Evidence::Against),
            ("the card number is ", Evidence::For),
            ("", Evidence::None),
            ("traceid: ", Evidence::Against),
        ] {
            assert_eq!(card_evidence(text.as_bytes(), 0, text.len()), want, "{text}");
        }
    }
}
