//! Generated input through the checks of the fuzz targets: random choices, and text put together from telling pieces.
use fintail_fuzz_agent as check;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Where something can go wrong at the seams.
const PIECES: [&str; 44] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\\"",
    "\\",
    ":",
    ",",
    "=",
    " ",
    "\n",
    "\t",
    "{\"a\":",
    "\"m\":\"",
    "\"password\":",
    "password",
    "cvv",
    "card ",
    "order ",
    "pan",
    "4111111111111111",
    "4111 1111 1111 1111",
    "123",
    "hunter2",
    "bob@example.com",
    "%40",
    "%20",
    "?x=",
    "&",
    "Bearer ",
    "abcdef123456",
    "Basic dXNlcjpwYXNz",
    "Authorization: ",
    "Cookie: ",
    "null",
    "1.5",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "GB29NWBK60161331926819",
    "-----BEGIN PRIVATE KEY-----",
    "postgres://app:s3cr3t@db",
    "*",
    "é",
    "[REDACTED:cvv]",
];

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![9 => select(PIECES.to_vec()).prop_map(|p| p.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..4)], 0..14)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn joiner(data in vec(any::<u8>(), 0..200)) {
        check::joiner(&data);
    }

    #[test]
    fn planted_secrets(mut data in vec(any::<u8>(), 1..160)) {
        data[0] = 1;
        check::redact_no_leak(&data);
    }

    #[test]
    fn redacted_text(text in pieces()) {
        check::redact_no_leak(&[&[0], text.as_slice()].concat());
    }

    #[test]
    fn documents(text in pieces()) {
        check::document(&text);
    }

    #[test]
    fn checkpoints(data in vec(any::<u8>(), 0..60)) {
        check::checkpoint(&data);
    }
}
