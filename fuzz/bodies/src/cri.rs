//! CRI lines against the regex that the parser states.
use fintail_parsers::container::cri::{self, CriLine, Stream, TimeCache};
use fintail_parsers::time::parse_rfc3339;
use regex::bytes::Regex;
use std::sync::LazyLock;

/// The form that `container/cri.rs` states.
static FORM: LazyLock<Regex> = LazyLock::new(|| {
    let form = r"(?s-u)^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})) (stdout|stderr) ([PF])(?::[^ ]*)?(?: (.*))?$";
    Regex::new(form).expect("a valid pattern")
});

/// The same line read by the regex and the general time parser.
fn oracle(line: &[u8]) -> Option<CriLine> {
    let parts = FORM.captures(line)?;
    let time = parts.get(1)?;
    if time.as_bytes().get(17..19) == Some(b"60") {
        return None;
    }
    let body = parts.get(4).map_or(line.len(), |m| m.start());
    Some(CriLine {
        time_ns: parse_rfc3339(time.as_bytes())?,
        stream: if &parts[2] == b"stdout" { Stream::Stdout } else { Stream::Stderr },
        partial: &parts[3] == b"P",
        body: fintail_parsers::Span::new(body as u32, line.len() as u32),
        time_len: time.len() as u8,
    })
}

/// Each line of `data`: parsed alone, with the times of the lines before in the cache, and by the oracle.
pub fn cri(data: &[u8]) {
    let mut cache = TimeCache::default();
    for line in data.split(|byte| *byte == b'\n') {
        let got = cri::parse(line);
        assert_eq!(got, cri::parse_with(&mut cache, line), "the cache changed the answer");
        assert_eq!(got, oracle(line), "parser and regex differ");
    }
}
