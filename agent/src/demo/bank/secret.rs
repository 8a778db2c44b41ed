//! Owns the sensitive values: how each looks, is valid, and is written in JSON, in a line and in a query string.
//! Must not know: the shapes of events.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::pen::{Pen, put};
use super::text::{decimal, padded};

/// The sensitive values that are neither card nor e-mail address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Other {
    Iban,
    Cvv,
    Pin,
    Password,
    ApiKey,
    Jwt,
    Bearer,
    Basic,
    Cookie,
    AwsKey,
    PrivateKey,
}

impl Other {
    pub(super) const ALL: [Self; 11] = [
        Self::Iban,
        Self::Cvv,
        Self::Pin,
        Self::Password,
        Self::ApiKey,
        Self::Jwt,
        Self::Bearer,
        Self::Basic,
        Self::Cookie,
        Self::AwsKey,
        Self::PrivateKey,
    ];

    pub(super) const fn rule(self) -> &'static str {
        match self {
            Self::Iban => "iban",
            Self::Cvv => "cvv",
            Self::Pin => "pin",
            Self::Password => "password",
            Self::ApiKey => "api_key",
            Self::Jwt => "jwt",
            Self::Bearer => "bearer",
            Self::Basic => "basic_auth",
            Self::Cookie => "cookie",
            Self::AwsKey => "aws_access_key",
            Self::PrivateKey => "private_key",
        }
    }

    /// What stands before the value and after it, in JSON, logfmt and a query string. A few of them cannot be written
    /// in every place; there an API key stands instead ([`Other::in_line`]).
    pub(super) const fn around(self, place: Place) -> (&'static str, &'static str) {
        match (place, self) {
            (Place::Json, Self::Iban) => (r#","iban":""#, r#"""#),
            (Place::Json, Self::Cvv) => (r#","cvv":""#, r#"""#),
            (Place::Json, Self::Pin) => (r#","pin":""#, r#"""#),
            (Place::Json, Self::Password) => (r#","password":""#, r#"""#),
            (Place::Json, Self::ApiKey) => (r#","api_key":""#, r#"""#),
            (Place::Json, Self::Jwt) => (r#","id_token":""#, r#"""#),
            (Place::Json, Self::Bearer) => (r#","headers":{"authorization":"Bearer "#, r#""}"#),
            (Place::Json, Self::Basic) => (r#","headers":{"authorization":"Basic "#, r#""}"#),
            (Place::Json, Self::Cookie) => (r#","headers":{"cookie":"session="#, r#"; theme=dark"}"#),
            (Place::Json, Self::AwsKey) => (r#","aws_access_key_id":""#, r#"""#),
            (Place::Json, Self::PrivateKey) => (r#","tls_key":""#, r#"""#),
            (Place::Line, Self::Iban) => (" iban=", ""),
            (Place::Line, Self::Cvv) => (" cvv=", ""),
            (Place::Line, Self::Pin) => (" pin=", ""),
            (Place::Line, Self::Password) => (" password=", ""),
            (Place::Line, Self::ApiKey | Self::PrivateKey) => (" api_key=", ""),
            (Place::Line, Self::Jwt) => (" id_token=", ""),
            (Place::Line, Self::Bearer) => (" authorization=\"Bearer ", "\""),
            (Place::Line, Self::Basic) => (" authorization=\"Basic ", "\""),
            (Place::Line, Self::Cookie) => (" cookie=\"session=", "; theme=dark\""),
            (Place::Line, Self::AwsKey) => (" aws_access_key_id=", ""),
            (Place::Query, Self::Iban) => ("&iban=", ""),
            (Place::Query, Self::Cvv) => ("&cvv=", ""),
            (Place::Query, Self::Pin) => ("&pin=", ""),
            (Place::Query, Self::Password) => ("&password=", ""),
            (Place::Query, Self::Jwt) => ("&id_token=", ""),
            (Place::Query, Self::AwsKey) => ("&aws_access_key_id=", ""),
            (Place::Query, _) => ("&api_key=", ""),
        }
    }

    /// The value that can stand in this place.
    pub(super) const fn at(self, place: Place) -> Self {
        match (place, self) {
            (Place::Line | Place::Query, Self::PrivateKey)
            | (Place::Query, Self::Bearer | Self::Basic | Self::Cookie) => Self::ApiKey,
            _ => self,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Json,
    Line,
    Query,
}

impl Pen<'_> {
    // Sensitive values. Each writer plants at most once an event, where the event has that value.

    /// Appends a value that was put at the end of `values` to the text and marks it.
    pub(super) fn mark(&mut self, rule: &'static str, from: usize, escape: Escape) {
        let value = self.draft.values.get(from..).unwrap_or_default();
        for byte in value {
            match (escape, byte) {
                (Escape::Percent, b'@') => self.draft.text.extend_from_slice(b"%40"),
                (Escape::Percent, b' ') => self.draft.text.push(b'+'),
                (Escape::Json, b'\n') => self.draft.text.extend_from_slice(b"\\n"),
                _ => self.draft.text.push(*byte),
            }
        }
        self.draft.marks.push((rule, from..self.draft.values.len()));
    }

    pub(super) fn json_email(&mut self, key: &str) {
        if self.email {
            put! { self, ",\"" };
            self.put(key);
            put! { self, "\":\"", mail(Escape::None), "\"" };
        }
    }

    pub(super) fn text_email(&mut self, before: &str) {
        if self.email {
            self.put(before);
            self.mail(Escape::None);
        }
    }

    pub(super) fn query_email(&mut self) {
        if self.email {
            put! { self, "&email=", mail(Escape::Percent) };
        }
    }

    pub(super) fn mail(&mut self, escape: Escape) {
        let from = self.draft.values.len();
        let (first, last, domain) = (self.rng.pick(FIRST), self.rng.pick(LAST), self.rng.pick(DOMAINS));
        let number = self.rng.between(10, 99_999);
        let values = &mut self.draft.values;
        values.extend_from_slice(first.as_bytes());
        values.push(b'.');
        values.extend_from_slice(last.as_bytes());
        decimal(number, values);
        values.push(b'@');
        values.extend_from_slice(domain.as_bytes());
        self.mark("email", from, escape);
    }

    pub(super) fn json_card(&mut self) {
        if !self.card {
            return;
        }
        match self.rng.below(10) {
            0..2 => put! { self, ",\"", any(CARD_KEYS), "\":", pan(b"", Escape::None) },
            2 => put! { self, ",\"", any(CARD_KEYS), "\":\"", pan(b" ", Escape::None), "\"" },
            3 => put! { self, ",\"", any(CARD_KEYS), "\":\"", pan(b"-", Escape::None), "\"" },
            4..7 => {
                put! { self,
                    ",\"card\":{\"number\":\"", pan(b"", Escape::None), "\",\"brand\":\"",
                    any(&["visa", "mastercard", "amex"]), "\"}"
                };
            }
            _ => put! { self, ",\"", any(CARD_KEYS), "\":\"", pan(b"", Escape::None), "\"" },
        }
    }

    pub(super) fn text_card(&mut self, before: &str) {
        if self.card {
            self.put(before);
            // A value with blanks would end at the first of them after a bare `key=`.
            let separator: &[u8] = match self.rng.below(4) {
                0 if !before.ends_with('=') => b" ",
                1 => b"-",
                _ => b"",
            };
            self.pan(separator, Escape::None);
        }
    }

    pub(super) fn query_card(&mut self) {
        if self.card {
            let separator: &[u8] = match self.rng.below(8) {
                0 => b" ",
                1 => b"-",
                _ => b"",
            };
            put! { self, "&", any(CARD_KEYS), "=", pan(separator, Escape::Percent) };
        }
    }

    /// A Luhn-valid number of a real issuer range: Visa 4, Mastercard 51–55 and 2221–2720, Amex 34 and 37.
    pub(super) fn pan(&mut self, separator: &[u8], escape: Escape) {
        let (prefix, digits) = match self.rng.below(10) {
            0..5 => (self.rng.between(400_000, 499_999), 16),
            5..7 => (self.rng.between(510_000, 559_999), 16),
            7 => (self.rng.between(222_100, 272_099), 16),
            8 => (self.rng.between(340_000, 349_999), 15),
            _ => (self.rng.between(370_000, 379_999), 15),
        };
        let mut number = [0_u8; 16];
        let account = self.rng.below(1_000_000_000);
        let body = prefix * 10_u64.pow(digits - 7) + account % 10_u64.pow(digits - 7);
        let mut left = body;
        for place in number[..digits as usize - 1].iter_mut().rev() {
            *place = (left % 10) as u8;
            left /= 10;
        }
        number[digits as usize - 1] = luhn_digit(&number[..digits as usize - 1]);
        let groups: &[usize] = if digits == 16 { &[4, 8, 12] } else { &[4, 10] };
        let from = self.draft.values.len();
        for (place, digit) in number[..digits as usize].iter().enumerate() {
            if groups.contains(&place) {
                self.draft.values.extend_from_slice(separator);
            }
            self.draft.values.push(b'0' + digit);
        }
        self.mark("pan", from, escape);
    }

    pub(super) fn json_other(&mut self) {
        self.plant_other(Place::Json);
    }

    pub(super) fn line_other(&mut self) {
        self.plant_other(Place::Line);
    }

    pub(super) fn query_other(&mut self) {
        self.plant_other(Place::Query);
    }

    pub(super) fn plant_other(&mut self, place: Place) {
        let Some(other) = self.other else { return };
        let other = other.at(place);
        let (before, after) = other.around(place);
        self.put(before);
        let from = self.draft.values.len();
        self.secret(other);
        self.mark(other.rule(), from, if place == Place::Json { Escape::Json } else { Escape::None });
        self.put(after);
    }

    pub(super) fn secret(&mut self, other: Other) {
        match other {
            Other::Iban => self.iban(),
            Other::Cvv => {
                let value = self.rng.below(1_000);
                padded(value, 3, &mut self.draft.values);
            }
            Other::Pin => {
                let value = self.rng.below(10_000);
                padded(value, 4, &mut self.draft.values);
            }
            Other::Password => {
                let word = self.rng.pick(&["Winter-", "Kyiv!", "s3cr3t."]);
                self.value(word);
                self.letters(BASE62, 9);
            }
            Other::ApiKey => {
                self.value("bk_");
                self.letters(BASE62, 37);
            }
            Other::Jwt => {
                let claims = format!(r#"{{"sub":"u-{:016x}","iss":"bank","scope":"pay"}}"#, self.rng.next());
                let mut signature = [0; 32];
                self.random(&mut signature);
                self.value(&URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#));
                self.value(".");
                self.value(&URL_SAFE_NO_PAD.encode(claims));
                self.value(".");
                self.value(&URL_SAFE_NO_PAD.encode(signature));
            }
            Other::Bearer => self.letters(BASE62, 40),
            Other::Basic => {
                let pair = format!("svc-pay:{:016x}", self.rng.next());
                self.value(&STANDARD.encode(pair));
            }
            Other::Cookie => self.letters(b"0123456789abcdef", 32),
            Other::AwsKey => {
                self.value("AKIA");
                self.letters(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16);
            }
            Other::PrivateKey => {
                self.value("-----BEGIN PRIVATE KEY-----\n");
                for _ in 0..6 {
                    // 48 bytes make a line of 64 characters.
                    let mut line = [0; 48];
                    self.random(&mut line);
                    self.value(&STANDARD.encode(line));
                    self.value("\n");
                }
                self.value("-----END PRIVATE KEY-----\n");
            }
        }
    }

    fn value(&mut self, text: &str) {
        self.draft.values.extend_from_slice(text.as_bytes());
    }

    fn random(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.rng.next().to_le_bytes()[..part.len()]);
        }
    }

    pub(super) fn letters(&mut self, alphabet: &[u8], count: usize) {
        for _ in 0..count {
            let letter = self.rng.pick(alphabet);
            self.draft.values.push(letter);
        }
    }

    /// A German IBAN: `DE`, two check digits by ISO 7064 mod 97-10, 18 digits.
    pub(super) fn iban(&mut self) {
        let (bank, account) = (self.rng.between(10_000_000, 89_999_999), self.rng.below(10_000_000_000));
        // The check is taken over bank, account, D = 13, E = 14, 00.
        let number = (u128::from(bank) * 10_000_000_000 + u128::from(account)) * 1_000_000 + 131_400;
        let values = &mut self.draft.values;
        values.extend_from_slice(b"DE");
        padded((98 - number % 97) as u64, 2, values);
        padded(bank, 8, values);
        padded(account, 10, values);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    None,
    Percent,
    Json,
}

pub(super) fn luhn_digit(body: &[u8]) -> u8 {
    let sum: u32 = body
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) if digit > 4 => 2 * digit - 9,
            (0, digit) => 2 * digit,
            (_, digit) => digit,
        })
        .sum();
    ((10 - sum % 10) % 10) as u8
}

const BASE62: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

const FIRST: &[&str] = &[
    "olena", "taras", "iryna", "andriy", "marta", "pavlo", "sofia", "bohdan", "anna", "jan", "lukas", "greta",
];
const LAST: &[&str] = &[
    "koval",
    "shevchenko",
    "bondar",
    "tkachuk",
    "melnyk",
    "kravets",
    "nowak",
    "lis",
    "weber",
    "klein",
    "rossi",
    "silva",
];
const DOMAINS: &[&str] =
    &["example.com", "example.org", "example.net", "mail.example.com", "ukr.example.net"];
const CARD_KEYS: &[&str] = &["pan", "card", "card_number", "cardNumber"];
