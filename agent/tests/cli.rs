//! The binary's commands as a shell sees them: output, exit codes, what is said on stderr.

#![allow(clippy::expect_used, reason = "a test fails where it cannot go on")]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

fn fintail(args: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fintail"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // On a thread of its own: a filter writes before it has read all.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("output");
    // A command that reads nothing closes the pipe.
    let _ = writer.join().expect("no panic");
    output
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

fn file(folder: &TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("written");
    path
}

#[test]
fn redact_filters_standard_input() {
    let out = fintail(&["redact"], b"card 4111 1111 1111 1111\n\n\xff\xfe bytes\npassword=hunter2!x");
    assert_eq!(out.status.code(), Some(0));
    assert_eq!(out.stdout, b"card 4111 11** **** 1111\n\n\xff\xfe bytes\npassword=[REDACTED:password]");
    assert_eq!(text(&out.stderr), "");
}

#[test]
fn redact_tells_findings_by_offsets_of_the_input() {
    let out = fintail(&["redact", "--format", "json"], b"x cvv=123 card 4111111111111111\nnothing\n");
    assert_eq!(out.status.code(), Some(0));
    let lines: Vec<Value> =
        text(&out.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["line"], "x cvv=[REDACTED:cvv] card 411111******1111");
    assert_eq!(
        lines[0]["findings"][0],
        json!({"rule": "cvv", "action": "drop", "field": "cvv", "start": 6, "end": 9})
    );
    assert_eq!(
        (&lines[0]["findings"][1]["rule"], &lines[0]["findings"][1]["start"]),
        (&json!("pan"), &json!(15))
    );
    assert_eq!(lines[1], json!({"line": "nothing", "findings": []}));
}

#[test]
fn redact_reads_files_in_their_order_and_keeps_their_lines_apart() {
    let folder = TempDir::new().expect("folder");
    let one = file(&folder, "one", b"a\ncvv=123");
    let two = file(&folder, "two", b"b\n");
    let args =
        ["redact", one.to_str().expect("path"), two.to_str().expect("path"), one.to_str().expect("path")];
    let out = fintail(&args, b"");
    assert_eq!(text(&out.stdout), "a\ncvv=[REDACTED:cvv]\nb\na\ncvv=[REDACTED:cvv]");
}

#[test]
fn redact_takes_very_long_lines() {
    let mut line = vec![b'x'; 9 << 20];
    line.extend_from_slice(b" cvv=123 ");
    line.resize(18 << 20, b'y');
    let out = fintail(&["redact"], &line);
    assert_eq!(out.status.code(), Some(0));
    assert_eq!(out.stdout.len(), line.len() + "[REDACTED:cvv]".len() - "123".len());
    assert!(out.stdout.starts_with(b"xxx") && out.stdout.ends_with(b"yyy"));
}

#[test]
fn redact_refuses_a_line_above_its_limit_after_what_came_before() {
    let mut input = b"cvv=123\n".to_vec();
    input.resize(input.len() + (64 << 20) + 1, b'x');
    let out = fintail(&["redact"], &input);
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(text(&out.stdout), "cvv=[REDACTED:cvv]\n");
    assert!(
        text(&out.stderr).contains("standard input: line 2 is longer than 64 MiB"),
        "{}",
        text(&out.stderr)
    );
}

#[test]
fn redact_obeys_its_configuration() {
    let folder = TempDir::new().expect("folder");
    let config = |name: &str, redaction: &str| {
        let text = format!("output: {{endpoints: [https://es:9200]}}\nredaction: {redaction}\n");
        file(&folder, name, text.as_bytes()).to_str().expect("path").to_owned()
    };
    let key = file(&folder, "key", &[b'k'; 32]);
    let tokens = config("tokens", &format!("{{token_key: {{id: k1, file: {}}}}}", key.display()));
    let out = fintail(&["redact", "--config", &tokens], b"bob@example.com\nBob@example.com\n");
    let lines: Vec<&str> = text(&out.stdout).lines().collect();
    assert!(lines[0].starts_with("tok_email_k1_") && lines[0].ends_with("@example.com"), "{lines:?}");
    assert_eq!(lines[0], lines[1]);
    let drop = config("drop", "{pan: last4, rules: {email: mask}}");
    let out = fintail(&["redact", "--config", &drop], b"4111111111111111 bob@example.com\n");
    assert_eq!(text(&out.stdout), "************1111 ***@example.com\n");

    let wrong = config("wrong", "{rules: {emial: drop}}");
    let out = fintail(&["redact", "--config", &wrong], b"cvv=123\n");
    assert_eq!((out.status.code(), out.stdout.as_slice()), (Some(2), &b""[..]));
    assert!(text(&out.stderr).contains("did you mean `email`?"), "{}", text(&out.stderr));
    std::fs::remove_file(key).expect("removed");
    let out = fintail(&["redact", "--config", &tokens], b"cvv=123\n");
    assert_eq!((out.status.code(), out.stdout.as_slice()), (Some(1), &b""[..]));
    assert!(text(&out.stderr).contains("redaction.token_key"), "{}", text(&out.stderr));
}

#[test]
fn redact_fails_with_the_name_of_what_it_cannot_read() {
    let folder = TempDir::new().expect("folder");
    let missing = folder.path().join("missing.log");
    let out = fintail(&["redact", missing.to_str().expect("path")], b"");
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("missing.log: "), "{}", text(&out.stderr));
}

#[test]
fn wrong_use_is_two() {
    for args in
        [&["redact", "--format", "xml"][..], &["demo", "--for", "30"], &["demo", "--listen", "here"], &["x"]]
    {
        let out = fintail(args, b"");
        assert_eq!((out.status.code(), out.stdout.as_slice()), (Some(2), &b""[..]), "{args:?}");
        assert!(!out.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_closed_pipe_ends_redact_quietly() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fintail"));
    command.arg("redact").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("a pipe");
    // Ends by an error as soon as the filter has gone.
    while stdin.write_all(&b"line after line\n".repeat(10_000)).is_ok() {}
    drop(stdin);
    let out = child.wait_with_output().expect("output");
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), ""));
}

#[test]
fn every_command_explains_itself() {
    for command in ["run", "check", "redact", "demo"] {
        let out = fintail(&[command, "--help"], b"");
        assert_eq!(out.status.code(), Some(0), "{command}");
        assert!(text(&out.stdout).contains("Example"), "{command}: {}", text(&out.stdout));
    }
}
