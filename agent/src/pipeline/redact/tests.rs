//! Table and property tests of the whole engine on lines.

use std::sync::LazyLock;

use proptest::prelude::*;
use regex::Regex;

use super::*;
use crate::pipeline::record::{Level, Record};
use fintail_parsers::container::cri::Stream;

fn engine(key: bool) -> Redactor {
    let token_key = key.then(|| TokenKey { id: "k1".into(), bytes: vec![9; 32].into() });
    let mut settings = RuleSettings::default();
    settings.token_key = token_key;
    Redactor::new(&settings)
}

fn redacted(line: &str) -> String {
    engine(false).redact_text(line, "")
}

/// Input and output of the default rules without a token key.
fn table(rows: &[(&str, &str)]) {
    for (line, want) in rows {
        assert_eq!(redacted(line), *want, "{line}");
        assert_eq!(redacted(want), *want, "twice: {line}");
    }
}

#[test]
fn card_numbers() {
    table(&[
        ("paid with 4111111111111111 ok", "paid with 411111******1111 ok"),
        ("4111 1111 1111 1111", "4111 11** **** 1111"),
        ("card 4111-1111-1111-1111.", "card 4111-11**-****-1111."),
        ("4111.1111.1111.1111", "4111.11**.****.1111"),
        (
            "GET /pay?v=9&card_number=4111+1111+1111+1111 HTTP/1.1",
            "GET /pay?v=9&card_number=4111+11**+****+1111 HTTP/1.1",
        ),
        ("4111\u{a0}1111\u{a0}1111\u{a0}1111", "4111\u{a0}11**\u{a0}****\u{a0}1111"),
        ("4111\u{2011}1111\u{2011}1111\u{2011}1111", "4111\u{2011}11**\u{2011}****\u{2011}1111"),
        ("amex 3782 822463 10005 x", "amex 3782 82**** *0005 x"),
        ("{\"pan\":\"4111111111111111\"}", "{\"pan\":\"411111******1111\"}"),
        ("{\"pan\":4111111111111111}", "{\"pan\":\"411111******1111\"}"),
        (
            "{\"a\":[4111111111111111, 5555555555554444]}",
            "{\"a\":[\"411111******1111\", \"555555******4444\"]}",
        ),
        ("{\"m\":\"{\\\"pan\\\":4111111111111111}\"}", "{\"m\":\"{\\\"pan\\\":\\\"411111******1111\\\"}\"}"),
        ("{\"m\":\"a\\n4111111111111111\\n\"}", "{\"m\":\"a\\n411111******1111\\n\"}"),
        ("card=4222222222222", "card=422222***2222"),
        ("card_id=4111111111111111", "card_id=411111******1111"),
        ("GET /pay?n=4111111111111111&x=1", "GET /pay?n=411111******1111&x=1"),
        ("q=%204111111111111111%20", "q=%20411111******1111%20"),
        ("GET /pay?card=4111+1111+1111+1111&x=1", "GET /pay?card=4111+11**+****+1111&x=1"),
        ("GET /pay?v=3&pan=3782+822463+10005 HTTP", "GET /pay?v=3&pan=3782+82****+*0005 HTTP"),
        ("12/25 4111 1111 1111 1111 12 25", "12/25 4111 11** **** 1111 12 25"),
        (
            "card 4111111111111111 order_id=4111111111111111",
            "card 411111******1111 order_id=411111******1111",
        ),
        ("Card(number=4111111111111111, exp=12/29)", "Card(number=411111******1111, exp=12/29)"),
        ("{Number:4111111111111111 Exp:1229}", "{Number:411111******1111 Exp:1229}"),
    ]);
}

#[test]
fn other_values() {
    table(&[
        ("iban GB29NWBK60161331926819 ok", "iban GB****************6819 ok"),
        ("GB29 NWBK 6016 1331 9268 19 WITH", "GB** **** **** **** **68 19 WITH"),
        ("UA213223130000026007233566001", "UA***********************6001"),
        ("mail bob@example.com.", "mail [REDACTED:email]."),
        ("q=bob%40example.com&x=1", "q=[REDACTED:email]&x=1"),
        ("{\"bob@example.com\":{\"a\":1}}", "{\"[REDACTED:email]\":{\"a\":1}}"),
        ("id AKIAIOSFODNN7EXAMPLE", "id [REDACTED:aws_access_key]"),
        (
            "aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "aws_secret_access_key=[REDACTED:aws_secret_key]",
        ),
        ("t eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln-_x ok", "t [REDACTED:jwt] ok"),
        (
            "{\"k\":\"-----BEGIN PRIVATE KEY-----\\nMIIB\\n-----END PRIVATE KEY-----\\n\",\"b\":1}",
            "{\"k\":\"[REDACTED:private_key]\\n\",\"b\":1}",
        ),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIB\nabc", "[REDACTED:private_key]"),
        ("postgres://app:s3cr3t@db:5432/x", "postgres://app:[REDACTED:url_password]@db:5432/x"),
    ]);
}

#[test]
fn keyed_values_in_every_position() {
    table(&[
        ("{\"cvv\":\"123\",\"b\":1}", "{\"cvv\":\"[REDACTED:cvv]\",\"b\":1}"),
        ("{\"cvv\": 123 ,\"b\":1}", "{\"cvv\": \"[REDACTED:cvv]\" ,\"b\":1}"),
        ("{\"m\":\"{\\\"cvv\\\":\\\"123\\\"}\"}", "{\"m\":\"{\\\"cvv\\\":\\\"[REDACTED:cvv]\\\"}\"}"),
        ("{\"m\":\"{\\\"cvv\\\":123}\"}", "{\"m\":\"{\\\"cvv\\\":\\\"[REDACTED:cvv]\\\"}\"}"),
        (
            r#"{"m":"{\"n\":\"{\\\"pin\\\":\\\"1234\\\"}\"}"}"#,
            r#"{"m":"{\"n\":\"{\\\"pin\\\":\\\"[REDACTED:pin]\\\"}\"}"}"#,
        ),
        (r#"{"password":"a\"b\\"}"#, r#"{"password":"[REDACTED:password]"}"#),
        (
            r#"{"password":["aa","bb"],"c":1}"#,
            r#"{"password":["[REDACTED:password]","[REDACTED:password]"],"c":1}"#,
        ),
        ("level=info password=hunter2 user=bob", "level=info password=[REDACTED:password] user=bob"),
        ("password=\"two words\" x=1", "password=\"[REDACTED:password]\" x=1"),
        (
            "Login(user=bob, password=hunter2, pin=1234)",
            "Login(user=bob, password=[REDACTED:password], pin=[REDACTED:pin])",
        ),
        (
            "{User:bob Password:hunter2 Pin:1234}",
            "{User:bob Password:[REDACTED:password] Pin:[REDACTED:pin]}",
        ),
        ("POST /x?api_key=abc123def&user=1", "POST /x?api_key=[REDACTED:api_key]&user=1"),
        ("password is hunter2.", "password is [REDACTED:password]."),
        ("PIN 1234 entered", "PIN [REDACTED:pin] entered"),
        ("cvv: 123", "cvv: [REDACTED:cvv]"),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer [REDACTED:bearer]"),
        ("{\"authorization\":\"Basic dXNlcjpwYXNz\"}", "{\"authorization\":\"Basic [REDACTED:basic_auth]\"}"),
        ("got Basic dXNlcjpwYXNz there", "got Basic [REDACTED:basic_auth] there"),
        ("Cookie: sid=abc; theme=dark", "Cookie: [REDACTED:cookie]"),
        ("headers={Cookie=[a=b; c=d], Host=[x]}", "headers={Cookie=[[REDACTED:cookie]], Host=[x]}"),
        ("{\"refresh_token\":\"abc123xyz\"}", "{\"refresh_token\":\"[REDACTED:api_key]\"}"),
        ("dbpassword=hunter2 again hunter2", "dbpassword=[REDACTED:password] again [REDACTED:password]"),
        ("otp=123456", "otp=[REDACTED:otp]"),
        ("JSESSIONID=A1B2C3D4E5F6", "JSESSIONID=[REDACTED:session_id]"),
        ("password => 'x1'", "password => '[REDACTED:password]'"),
    ]);
    let repeated = redacted("api_key=abc123def then abc123def, xabc123def");
    assert_eq!(repeated, "api_key=[REDACTED:api_key] then [REDACTED:api_key], xabc123def");
}

#[test]
fn innocent_lines_stay() {
    for line in [
        "ts=1732348862123456789 epoch nanos 1732348862123456789",
        "{\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":\"00f067aa0ba902b7\"}",
        "id 550e8400-e29b-41d4-a716-446655440000 f47ac10b-4111-4111-8111-111111111111",
        "snowflake 1541815603606036480 sha 4111111111111111a94a8fe5ccb19ba61c4c0873",
        "{\"order_id\":4111111111111111,\"offset\":5555555555554444}",
        "order 4111111111111111 shipped",
        "price 0.4111111111111111 and 4111111111111111.25",
        "version 1.2.3.4-20261123",
        "card 411111******1111 cvv=*** password=******** token=[REDACTED]",
        "4222222222222 items",
        "bin=411111 last4=1111",
        "cvv_result=M pin_verified=true password_changed=2026 token_type=Bearer key_id=abc123def idempotency_key=5f2b",
        "secret_name=db-creds public_key=abcdefghijkl monkey=banana123 {\"password\":null,\"pin\":true,\"otp\":\"\"}",
        "{\"msg\":\"enter password:\",\"user\":\"bob\"}",
        "{\"msg\":\"password=\",\"user\":\"bob\"}",
        "password is required; token is expired; invalid password: must be longer",
        "pin: 13 gpio pin 7",
        "password=${DB_PASSWORD} token={{ .Values.token }} password=%s",
        "repo@sha256:ab git@github.com:org/repo.git",
        "Basic Settings; Bearer token missing; Basic authentication",
        "icon@2x.png user@host pkg@1.2.3",
        "10.0.0.1 - - [23/Nov/2026:08:01:02 +0000] \"GET /a?page_token=abcdefgh HTTP/1.1\" 200 612 \"-\" \"curl/8.5.0\"",
        "2026-11-23T08:01:02.123456789Z 192.168.100.200:8080 4111111111111112",
        "GB29NWBK60161331926818",
        "\tat com.bank.Pay.run(Pay.java:42) ~[app.jar:1.0]",
        "https://host:8443/path@2",
        "+1 555 0100 2222 3333 4444",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "eyJwYWdlIjoyfQ.next",
        "тест тест тест тест",
    ] {
        assert_eq!(redacted(line), line);
    }
}

#[test]
fn tokens_and_settings() {
    let mut with_key = engine(true);
    let out = with_key.redact_text("to Bob@Example.com and bob%40example.com", "pay");
    let (first, second) = out.split_once(" and ").expect("two");
    let first = first.strip_prefix("to ").expect("prefix");
    assert_eq!(first.split('@').next(), second.split("%40").next());
    assert!(first.starts_with("tok_email_k1_") && first.ends_with("@Example.com"), "{first}");
    assert_eq!(with_key.redact_text(&out, "pay"), out);
    let mut settings = RuleSettings::default();
    assert!(!settings.set(rules::CVV, Action::Off));
    assert!(settings.set(rules::PASSWORD, Action::Mask));
    assert!(settings.set(rules::EMAIL, Action::Mask) && settings.set(rules::IBAN, Action::Off));
    settings.pan = PanForm::First8Last4;
    settings.json_numbers = JsonNumbers::Null;
    let mut engine = Redactor::new(&settings);
    assert_eq!(
        engine.redact_text(
            "{\"a\":\"4111111111111111\",\"b\":5555555555554444,\"c\":\"bob@x.com GB29NWBK60161331926819\"}",
            ""
        ),
        "{\"a\":\"41111111****1111\",\"b\":null,\"c\":\"***@x.com GB29NWBK60161331926819\"}"
    );
    assert_eq!(engine.redact_text("{\"password\":\"hun$ter 2\"}", ""), "{\"password\":\"*********\"}");
    let mut counts: Vec<_> = engine.take_counts().map(|(r, a, n)| (r.rule().id, a, n)).collect();
    counts.sort_unstable_by_key(|c| c.0);
    assert_eq!(counts, [("email", Action::Mask, 1), ("pan", Action::Mask, 2), ("password", Action::Mask, 1)]);
}

#[test]
fn findings_have_offsets_of_the_input() {
    let mut findings = Vec::new();
    let line = "password=hunter2 x=4111111111111111";
    let _ = engine(false).redact_line(line.as_bytes(), "", Some(&mut findings));
    let seen: Vec<_> = findings
        .iter()
        .map(|f| (f.rule.rule().id, f.field, line.get(f.start..f.end).unwrap_or("")))
        .collect();
    assert_eq!(seen, [("password", Some("password"), "hunter2"), ("pan", Some("*"), "4111111111111111")]);
}

fn batch_of(lines: &[&[u8]]) -> Batch<Raw> {
    let mut batch = Batch::<Raw>::new(Parts::default());
    let parts = batch.parts_mut();
    for line in lines {
        let start = parts.text.len();
        parts.text.extend_from_slice(line);
        parts.records.push(Record {
            time_ns: 0,
            start: 0,
            body: span(start, parts.text.len()),
            raw_len: 0,
            source: SourceId(0),
            field_from: 0,
            field_count: 0,
            chunk: 0,
            flaws: 0,
            stream: Stream::Stdout,
            level: Level::Unknown,
            shape: Shape::Text,
        });
        parts.text.push(b'\n');
    }
    batch
}

/// What an encoder would write of a record.
fn shown(parts: &Parts, record: usize) -> Vec<u8> {
    let body = parts.records[record].body;
    let (mut out, mut from) = (Vec::new(), body.start);
    for r in parts.replacements.iter().filter(|r| body.start <= r.at.start && r.at.end <= body.end) {
        out.extend_from_slice(span(from as usize, r.at.start as usize).of(&parts.text));
        out.extend_from_slice(r.with.of(&parts.replacement_text));
        assert!(r.at.of(&parts.text).iter().all(|b| *b == b'*'), "raw bytes are gone");
        from = r.at.end;
    }
    out.extend_from_slice(span(from as usize, body.end as usize).of(&parts.text));
    out
}

#[test]
fn a_record_over_its_budget_is_withheld_alone() {
    // Each `password=` that is followed by a flag word scans its value and finds nothing to skip.
    let hostile = "[".repeat(4) + &"x=".repeat(20_000) + &"a@b".repeat(40_000);
    let mut scanner = Scanner::new(&RuleSettings::default());
    let mut anchors = Vec::new();
    anchor::find(hostile.as_bytes(), &mut anchors);
    assert_eq!(scanner.scan(hostile.as_bytes(), &anchors, 0), Ok(()), "linear work stays within the budget");
    let mut batch = batch_of(&[b"cvv=123", b"password=hunter2", b"pin=1234"]);
    withhold(batch.parts_mut(), 1);
    let clean = engine(false).redact(batch, &"");
    assert_eq!(clean.parts().withheld, [1]);
    assert_eq!(shown(clean.parts(), 0), b"cvv=[REDACTED:cvv]");
    assert_eq!(shown(clean.parts(), 1), b"*".repeat(16));
    assert_eq!(shown(clean.parts(), 2), b"pin=[REDACTED:pin]");
}

#[test]
fn a_panic_costs_one_record() {
    struct Bomb(std::cell::Cell<u32>);
    impl TokenDomains for Bomb {
        fn domain(&self, _source: SourceId) -> &str {
            let n = self.0.get();
            self.0.set(n + 1);
            assert!(n != 1, "second record");
            ""
        }
    }
    let batch = batch_of(&[b"cvv=123", b"cvv=124", b"cvv=125 bob@example.com"]);
    let clean = engine(true).redact(batch, &Bomb(std::cell::Cell::new(0)));
    let parts = clean.parts();
    assert_eq!(parts.withheld, [1]);
    assert_eq!(shown(parts, 1), b"*******");
    assert!(shown(parts, 2).starts_with(b"cvv=[REDACTED:cvv] tok_email_k1_"));
    let hits: Vec<_> = parts.hits.iter().map(|h| (h.record, RuleId(h.rule).rule().id)).collect();
    assert_eq!(hits, [(0, "cvv"), (2, "cvv"), (2, "email")]);
}

/// Pieces from which lines are made: values that must go (with the digits or text that must not survive) and noise.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("4111111111111111".to_owned()),
        Just("5555 5555 5555 4444".to_owned()),
        Just("GB29NWBK60161331926819".to_owned()),
        Just("bob@example.com".to_owned()),
        Just("AKIAIOSFODNN7EXAMPLE".to_owned()),
        "[a-z0-9 \"\\\\{}\\[\\],:=@%;&'.*é]{0,24}",
        "[0-9 .\\-]{0,24}",
    ]
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let key = prop_oneof![
        Just("password".to_owned()),
        Just("pan".to_owned()),
        Just("cvv".to_owned()),
        Just("pin".to_owned()),
        Just("msg".to_owned()),
        Just("Authorization".to_owned()),
        Just("cookie".to_owned()),
        Just("api_key".to_owned()),
        value(),
    ];
    let leaf = prop_oneof![
        value().prop_map(serde_json::Value::from),
        Just(serde_json::json!(4_111_111_111_111_111_u64)),
        Just(serde_json::json!(123)),
        Just(serde_json::json!(-1234)),
        any::<f64>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
        Just(serde_json::json!(true)),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((key.clone(), inner.clone()), 0..4)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            // JSON as a string in JSON.
            inner.prop_map(|v| serde_json::Value::from(v.to_string())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn valid_json_stays_valid(value in json()) {
        // A line that is one bare number is text: nothing says that it is JSON.
        let line = serde_json::json!({ "a": value }).to_string();
        let out = redacted(&line);
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&out).is_ok(), "{line}\n{out}");
    }

    // One key a line: where several stand behind each other without a value, one's value is the next one's key, and
    // what is taken leaves words behind it that mean something else than before.
    #[test]
    fn twice_is_once(key in prop_oneof![
        Just(""), Just("password="), Just("\"cvv\":"), Just("pin "), Just("Authorization: Bearer "), Just("token is "),
        Just("://u:"),
    ], parts in prop::collection::vec(value(), 0..8)) {
        let line = format!("{key}{}", parts.join(", "));
        let once = redacted(&line);
        prop_assert_eq!(redacted(&once), once);
    }

    #[test]
    fn what_is_not_found_stays(parts in prop::collection::vec(value(), 0..8), key in any::<bool>()) {
        let line = parts.join(" ");
        let mut findings = Vec::new();
        let out = engine(key).redact_line(line.as_bytes(), "", Some(&mut findings));
        prop_assert!(std::str::from_utf8(&out).is_ok());
        let line = line.as_bytes();
        let mut rest = out.as_slice();
        let mut from = 0;
        for (n, f) in findings.iter().enumerate() {
            let kept = &line[from..f.start];
            prop_assert!(rest.starts_with(kept));
            rest = &rest[kept.len()..];
            let after = &line[f.end..findings.get(n + 1).map_or(line.len(), |next| next.start)];
            rest = &rest[memchr::memmem::find(rest, after).unwrap_or(rest.len())..];
            from = f.end;
        }
        prop_assert!(rest.ends_with(&line[from..]));
    }

    #[test]
    fn a_batch_is_its_lines(lines in prop::collection::vec(prop::collection::vec(value(), 0..4), 0..6), key in any::<bool>()) {
        let lines: Vec<String> = lines.iter().map(|l| l.join(" ")).collect();
        let bytes: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        let mut engine = engine(key);
        let clean = engine.redact(batch_of(&bytes), &"d");
        for (i, line) in lines.iter().enumerate() {
            prop_assert_eq!(shown(clean.parts(), i), engine.redact_line(line.as_bytes(), "d", None));
        }
        prop_assert!(clean.parts().replacements.windows(2).all(|w| w[0].at.end <= w[1].at.start));
    }

    /// Against plain regexes, on words where those are exact: cards, addresses and keyed values.
    #[test]
    fn as_the_regexes_say(words in prop::collection::vec(prop_oneof![
        "4[0-9]{13,16}", "5[1-5][0-9]{14}", "[x-z]{1,5}", "[x-z]{1,4}@[x-z]{1,3}(\\.com|\\.1|)",
        "(password|dbPassword|cvv|apiKey|xkey)[=:][x-z0-9]{1,8}",
    ], 0..8)) {
        // Compiled once: a regex costs more than a case.
        static CARD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(4\d{15}|5[1-5]\d{14})$").expect("a regex"));
        static MAIL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[x-z]+@[x-z]+\.com$").expect("a regex"));
        static PASSWORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?i)^(?:db)?password[=:](.+)$").expect("a regex"));
        static CVV: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^cvv[=:](\d{3,4})$").expect("a regex"));
        static API_KEY: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^apiKey[=:](.{6,})$").expect("a regex"));
        let line = words.join(" ");
        let mut want = Vec::new();
        let mut from = 0;
        for word in &words {
            let mut add = |rule, text: &str| want.push((rule, from + word.len() - text.len(), from + word.len()));
            let sum: u32 = word.bytes().rev().enumerate().map(|(i, b)| {
                let d = u32::from(b.wrapping_sub(b'0')) * (1 + i as u32 % 2);
                d / 10 + d % 10
            }).sum();
            if CARD.is_match(word) && sum.is_multiple_of(10) {
                add("pan", word);
            } else if MAIL.is_match(word) {
                add("email", word);
            } else if let Some(c) = PASSWORD.captures(word) {
                if !c[1].bytes().all(|b| b == b'x') { add("password", &c[1]); }
            } else if let Some(c) = CVV.captures(word) {
                add("cvv", &c[1]);
            } else if let Some(c) = API_KEY.captures(word) {
                let lower = c[1].bytes().all(|b| b.is_ascii_lowercase());
                let masked = c[1].bytes().all(|b| b == b'x');
                if !(masked || (word.contains(':') && lower)) { add("api_key", &c[1]); }
            }
            from += word.len() + 1;
        }
        let mut findings = Vec::new();
        let _ = engine(false).redact_line(line.as_bytes(), "", Some(&mut findings));
        // A value found once goes everywhere: only what the regexes say is compared, and that nothing else is new.
        let got: Vec<_> = findings.iter().filter(|f| f.rule == rules::PAN || f.rule == rules::EMAIL || f.field.is_some())
            .map(|f| (f.rule.rule().id, f.start, f.end)).collect();
        prop_assert_eq!(got, want, "{}", line);
    }

    /// A card number in any of these places leaves at most its first six and last four digits.
    #[test]
    fn no_card_survives(before in "[x-z ,;(\"]{0,12}[ ,;(\":=]", after in "[ ,;)\"][a-z ,;)\"]{0,12}") {
        let out = redacted(&format!("{before}4111111111111111{after}"));
        prop_assert!(!out.contains("4111111111"), "{out}");
    }

    #[test]
    fn any_bytes_do_not_panic(line in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = engine(true).redact_line(&line, "d", None);
    }
}
