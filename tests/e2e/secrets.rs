//! Canaries of every rule that is there, in every place a careless program puts them, and a search for them in all that leaves
//! the agent: documents, dead letters, checkpoint, its log, its metrics.

use std::fs;

use anyhow::{Result, ensure};
use fintail::pipeline::redact::RULES;
use fintail_tests::{
    run::Run,
    server::{Product, Server},
};
use serde_json::json;

const POD: &str = "pay_vault-0_0a1b2c3d-0000-4000-8000-000000000009/app";

/// Rule, key (the name it stands under), value as written, the part of the value that must not get out.
const CANARIES: &[(&str, &str, &str, &str)] = &[
    ("pan", "card", "4556737586899855", "673758689"),
    ("pan", "pan", "4556 7375 8689 9855", "7375 8689"),
    ("cvv", "cvv", "9473", "9473"),
    ("pin", "pin", "739182", "739182"),
    ("pin_block", "pin_block", "0412AC89ABCDEF67", "12AC89ABCDEF67"),
    ("iban", "iban", "DE89370400440532013000", "370400440532"),
    ("email", "email", "canary.bird77@example.org", "canary.bird77"),
    ("aws_access_key", "aws_access_key_id", "AKIAQYLPMN5HCANARY77", "AKIAQYLPMN5HCANARY77"),
    (
        "aws_secret_key",
        "aws_secret_access_key",
        "wJalrXUtnFEMIK7MDENGbPxRfiCYCANARYKEYaa1",
        "wJalrXUtnFEMIK7MDENG",
    ),
    (
        "jwt",
        "id_token",
        "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOiI3NzEifQ.c2lnQ2FuYXJ5NzdzaWdDYW5hcnk3Nw",
        "eyJjYW5hcnkiOiI3NzEifQ",
    ),
    ("bearer", "authorization", "Bearer canaryBearer77AbCdEfGhIjKlMnOp", "canaryBearer77"),
    ("basic_auth", "authorization", "Basic Y2FuYXJ5OmNhbmFyeUJhc2ljNzc=", "Y2FuYXJ5OmNhbmFyeUJhc2ljNzc"),
    ("cookie", "cookie", "canarySession77=c0ffee77c0ffee77", "c0ffee77c0ffee77"),
    ("password", "password", "canaryPassw0rd77!", "canaryPassw0rd77"),
    ("url_password", "url", "postgres://svc:canaryUrlPw77@db.internal/pay", "canaryUrlPw77"),
    ("otp", "otp", "918273", "918273"),
    ("session_id", "session_id", "canarySid77deadbeef00112233", "canarySid77deadbeef"),
    ("api_key", "api_key", "canaryApiKey77AbCdEfGhIjKlMnOpQr", "canaryApiKey77"),
];

/// A private key as an application prints it: in one JSON string, its line ends escaped.
const PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----\\nMIICanary77QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU2Nzg5\\nQ2FuYXJ5S2V5VHdv\\n-----END PRIVATE KEY-----\\n";
const PRIVATE_PARTS: [&str; 2] = ["MIICanary77", "Q2FuYXJ5S2V5VHdv"];

/// One canary in each place: JSON members flat, nested, in an array, as text inside of a message, logfmt, query, header.
fn places(key: &str, value: &str) -> Vec<String> {
    let encoded = value.replace(' ', "+").replace('@', "%40");
    let mut places = vec![
        format!(r#"{{"msg":"flat","{key}":"{value}","n":1}}"#),
        format!(r#"{{"msg":"nested","ctx":{{"deep":{{"{key}":"{value}"}}}}}}"#),
        format!(r#"{{"msg":"array","list":[{{"{key}":"{value}"}}]}}"#),
        format!(r#"{{"msg":"inside {key}={value}"}}"#),
        format!(r#"{{"msg":"escaped {{\"{key}\":\"{value}\"}}"}}"#),
        format!("level=info msg=logfmt {key}=\"{value}\" n=1"),
        format!("plain text with {key}: {value}"),
    ];
    if !value.contains(['/', ' ']) {
        places.push(format!("10.0.0.1 - - [23/Nov/2026:08:01:02 +0000] \"GET /x?{key}={encoded}&n=1 HTTP/1.1\" 200 5 \"-\" \"curl\""));
    }
    if value.bytes().all(|b| b.is_ascii_digit()) && !value.starts_with('0') {
        places.push(format!(r#"{{"msg":"number","{key}":{value}}}"#));
    }
    places
}

#[test]
fn no_canary_leaves_the_agent() -> Result<()> {
    for rule in RULES.iter().filter(|rule| rule.implemented) {
        let tried = rule.id == "private_key" || CANARIES.iter().any(|(id, ..)| *id == rule.id);
        ensure!(tried, "no canary for the rule {}", rule.id);
    }
    for product in Product::ALL {
        // a mapping that refuses some of them, so that they go to the dead letters
        let strict = json!({"app": {"type": "object", "properties": {"n": {"type": "object"}}}});
        let mut run = Run::prepare(Server::shared(product), "canary", &strict)?;
        let mut log = String::new();
        let mut ns = 0_u64;
        let mut line = |tag: &str, text: &str| {
            ns += 1_001;
            log.push_str(&format!("2026-11-23T08:01:02.{ns:09}Z stdout {tag} {text}\n"));
        };
        let key = format!(r#"{{"msg":"tls","tls_key":"{PRIVATE_KEY}"}}"#);
        for text in CANARIES.iter().flat_map(|(_, key, value, _)| places(key, value)).chain([key]) {
            line("F", &text);
            // over the border of two pieces, at every seventh place
            for cut in (1..text.len()).step_by(7) {
                let (head, tail) = text.split_at(cut);
                line("P", head);
                line("F", tail);
            }
        }
        run.append(POD, "0.log", log.as_bytes())?;
        run.agent.restart()?;
        let metrics = run.settle()?;
        ensure!(metrics.sum("fintail_dead_letters", &[]) > 0.0, "some were to be refused");

        let mut places = vec![
            ("log", run.agent.stderr()),
            ("stdout", run.agent.stdout()),
            ("metrics", run.agent.admin("/metrics")?.1),
        ];
        for folder in ["", "dead-letters", "dead_letters"] {
            for entry in fs::read_dir(run.agent.state_dir().join(folder)).into_iter().flatten() {
                let path = entry?.path();
                if path.is_file() {
                    places.push(("state", String::from_utf8_lossy(&fs::read(path)?).into_owned()));
                }
            }
        }
        let documents = run.documents()?;
        ensure!(documents.len() > 500, "{} documents", documents.len());
        places.extend(documents.iter().map(|document| ("document", document.source.to_string())));
        let hidden = CANARIES.iter().map(|(rule, .., hidden)| (*rule, *hidden));
        let hidden: Vec<_> = hidden.chain(PRIVATE_PARTS.map(|part| ("private_key", part))).collect();
        let mut leaks = Vec::new();
        for (place, text) in &places {
            for (rule, hidden) in hidden.iter().filter(|(_, hidden)| text.contains(hidden)) {
                let at = text.find(hidden).unwrap_or_default().saturating_sub(120);
                // its value is a canary: to be seen is what it is for
                leaks.push(format!(
                    "{rule} in {place}: {}",
                    text.chars().skip(at).take(240).collect::<String>()
                ));
            }
        }
        ensure!(leaks.is_empty(), "{product:?}: {} leaks\n{}", leaks.len(), leaks.join("\n"));
        eprintln!("{product:?}: {} documents, {} texts searched, 0 leaks", documents.len(), places.len());
    }
    Ok(())
}
