//! Redaction: what is planted where applications put it does not get through; twice is once; JSON stays JSON.
use crate::choices::Choices;
use fintail::demo::bank::Planted;
use fintail::pipeline::redact::{Redactor, RuleSettings, TokenKey};
use serde::de::IgnoredAny;
use serde_json::json;
use std::cell::RefCell;

thread_local! {
    static ENGINES: RefCell<[Redactor; 2]> = RefCell::new([Redactor::default(), with_tokens()]);
}

fn with_tokens() -> Redactor {
    let mut settings = RuleSettings::default();
    settings.token_key = Some(TokenKey { id: "k1".to_owned(), bytes: vec![7; 32].into() });
    Redactor::new(&settings)
}

/// The first byte chooses: the rest as lines as they are, or as choices of what is planted where.
pub fn redact_no_leak(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    if mode % 2 == 0 {
        rest.split(|byte| *byte == b'\n').for_each(|line| drop(redacted(line)));
    } else {
        planted(&mut Choices::new(rest));
    }
}

/// The line as both engines write it: stable, and JSON where it was.
fn redacted(line: &[u8]) -> [Vec<u8>; 2] {
    ENGINES.with_borrow_mut(|engines| {
        engines.each_mut().map(|engine| {
            let once = engine.redact_line(line, "pay", None);
            let twice = engine.redact_line(&once, "pay", None);
            assert_eq!(text(&twice), text(&once), "twice is not once");
            if serde_json::from_slice::<IgnoredAny>(line).is_ok() {
                let still = serde_json::from_slice::<IgnoredAny>(&once);
                assert!(still.is_ok(), "no JSON any more: {}", text(&once));
            }
            once
        })
    })
}

fn text(line: &[u8]) -> String {
    line.escape_ascii().to_string()
}

fn planted(choices: &mut Choices<'_>) {
    let shape = choices.byte() % 7;
    let mut secrets = Vec::new();
    let mut line = String::new();
    let mut members = serde_json::Map::new();
    while !choices.is_empty() && secrets.len() < 4 {
        let noise = choices.bytes(24);
        let (key, secret) = secret(choices);
        let value = secret.value.as_str();
        let words: String = noise.iter().map(|byte| char::from(b'g' + byte % 20)).collect();
        match shape {
            0 => drop(members.insert(format!("n{}", secrets.len()), String::from_utf8_lossy(noise).into())),
            1..=2 => {}
            _ => line.push_str(&words),
        }
        match shape {
            0 => drop(members.insert(key.to_owned(), value.into())),
            1 => drop(
                members.insert(format!("o{}", secrets.len()), json!({"list": [{key: value}], "w": words})),
            ),
            2 => {
                let inner = json!({"w": words, key: value}).to_string();
                members.insert(format!("s{}", secrets.len()), inner.into());
            }
            3 => line.push_str(&format!(" {key}={value} ")),
            4 => line.push_str(&format!(" {key}=\"{value}\" ")),
            5 => line.push_str(&format!(" GET /{words}?{key}={value}&x=1 ")),
            _ => line.push_str(&format!(" Login({key}={value}, x={words}) ")),
        }
        secrets.push(secret);
    }
    if !members.is_empty() {
        line = serde_json::Value::Object(members).to_string();
    }
    for out in redacted(line.as_bytes()) {
        for secret in &secrets {
            assert!(!secret.stands_in(&out), "{} got through: {}", secret.rule, text(&out));
        }
    }
}

fn secret(choices: &mut Choices<'_>) -> (&'static str, Planted) {
    let (rule, keys): (&str, &[&str]) = choices.one_of(&[
        ("pan", &["pan", "card_number", "card"] as &[&str]),
        ("email", &["email", "user", "to"]),
        ("password", &["password", "db_password"]),
        ("api_key", &["api_key", "x-api-key"]),
        ("cvv", &["cvv"]),
    ]);
    let key = choices.one_of(keys);
    let value = match rule {
        "pan" => card(choices),
        "email" => format!("anna{}.k@mail{}.example.com", choices.byte(), choices.byte()),
        "cvv" => format!("{:03}", u16::from(choices.byte()) + 100),
        _ => {
            const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            (0..12).fold("Zq7".to_owned(), |word, _| word + &char::from(choices.one_of(LETTERS)).to_string())
        }
    };
    (key, Planted { rule, value })
}

/// 16 digits with a good check digit.
fn card(choices: &mut Choices<'_>) -> String {
    let mut digits = vec![4];
    digits.extend((0..14).map(|_| u32::from(choices.byte() % 10)));
    // From the right of the whole number every second digit is doubled: here those at even places.
    let sum: u32 =
        digits.iter().enumerate().map(|(n, d)| if n % 2 == 0 { d * 2 / 10 + d * 2 % 10 } else { *d }).sum();
    digits.push((10 - sum % 10) % 10);
    digits.iter().filter_map(|digit| char::from_digit(*digit, 10)).collect()
}
