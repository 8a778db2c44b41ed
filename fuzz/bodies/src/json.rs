//! The JSON scan against `serde_json`.
use fintail_parsers::Flaw;
use fintail_parsers::app::json::{self, Kind, Limits, Member, Scanner};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// Each line of `data` that is UTF-8 (the scan's premise); the others must only not panic.
pub fn json(data: &[u8]) {
    let mut scanner = Scanner::default();
    for line in data.split(|byte| *byte == b'\n') {
        for depth in [2, 20] {
            one(&mut scanner, line, depth);
        }
    }
}

fn one(scanner: &mut Scanner, line: &[u8], depth: u8) {
    let limits = Limits { depth };
    let mut members = Vec::new();
    let got = scanner.scan(line, &limits, |member| members.push(member));
    assert_eq!(got, json::scan(line, &limits, |_| ()), "a used scanner answers otherwise");
    let Ok(text) = std::str::from_utf8(line) else { return };
    let mut unescaped = Vec::new();
    json::unescape(line, &mut unescaped);
    assert!(String::from_utf8(unescaped).is_ok(), "unescaping broke UTF-8");

    match (got, serde_json::from_str::<Strict>(text)) {
        (Ok(scan), Ok(Strict { depth: seen, value: Value::Object(object) })) => {
            assert_eq!(scan.max_depth, seen);
            assert_eq!(scan.members as usize, object.len());
            assert_eq!(members.len(), object.len());
            for member in members {
                same(text, &object, member);
            }
        }
        (Ok(_), Ok(_)) => panic!("accepted what is no object"),
        // Numbers of any size are valid by the RFC.
        (Ok(_), Err(error)) => {
            assert!(error.to_string().starts_with("number out of range"), "accepted: {error}");
        }
        (Err(Flaw::JsonTooDeep), Ok(strict)) => assert!(strict.depth > depth, "not too deep"),
        (Err(Flaw::JsonTooDeep), Err(_)) => {}
        (Err(flaw), Ok(strict)) => assert!(!strict.value.is_object(), "refused a valid object: {flaw:?}"),
        // A line may have several flaws, of which each side names one: what is but doubled must be called so.
        (Err(flaw), Err(_)) => {
            let only_doubled = serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object());
            assert!(!only_doubled || flaw == Flaw::JsonDuplicateKey, "a doubled key was called {flaw:?}");
        }
    }
}

/// A member's spans hold the key and the value that `serde_json` has under it.
fn same(text: &str, object: &serde_json::Map<String, Value>, member: Member) {
    let raw_key = &text[member.key.start as usize..member.key.end as usize];
    let mut key = Vec::new();
    json::unescape(raw_key.as_bytes(), &mut key);
    let key = String::from_utf8(key).expect("unescaped UTF-8 is UTF-8");
    assert_eq!(member.key_escaped, raw_key.contains('\\'));
    let raw = &text[member.value.start as usize..member.value.end as usize];
    let want = object.get(&key).expect("a key that serde_json does not know");
    assert_eq!(&serde_json::from_str::<Value>(raw).expect("a value that serde_json refuses"), want);
    let kind = match want {
        Value::Null => Kind::Null,
        Value::Bool(true) => Kind::True,
        Value::Bool(false) => Kind::False,
        Value::Number(_) => Kind::Number,
        Value::String(_) => Kind::String { escaped: raw.contains('\\') },
        Value::Array(_) => Kind::Array,
        Value::Object(_) => Kind::Object,
    };
    assert_eq!(member.kind, kind);
    if let Value::String(string) = want {
        let mut out = Vec::new();
        json::unescape(&raw.as_bytes()[1..raw.len() - 1], &mut out);
        assert_eq!(out, string.as_bytes());
    }
}

/// A JSON value read by `serde_json` that refuses doubled keys and counts nesting.
struct Strict {
    value: Value,
    depth: u8,
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl StrictVisitor {
    fn leaf<E>(value: impl Into<Value>) -> Result<Strict, E> {
        Ok(Strict { value: value.into(), depth: 0 })
    }
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E: Error>(self) -> Result<Strict, E> {
        Self::leaf(Value::Null)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Strict, E> {
        Self::leaf(value)
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Strict, E> {
        Self::leaf(value)
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Strict, E> {
        Self::leaf(value)
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Strict, E> {
        Self::leaf(value)
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Strict, E> {
        Self::leaf(value)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Strict, A::Error> {
        let (mut all, mut depth) = (Vec::new(), 0);
        while let Some(inner) = seq.next_element::<Strict>()? {
            depth = depth.max(inner.depth);
            all.push(inner.value);
        }
        Ok(Strict { value: Value::Array(all), depth: depth + 1 })
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
        let (mut all, mut depth, mut keys) = (serde_json::Map::new(), 0, HashSet::new());
        while let Some(key) = map.next_key::<String>()? {
            if !keys.insert(key.clone()) {
                return Err(A::Error::custom("a key twice"));
            }
            let inner = map.next_value::<Strict>()?;
            depth = depth.max(inner.depth);
            all.insert(key, inner.value);
        }
        Ok(Strict { value: Value::Object(all), depth: depth + 1 })
    }
}
