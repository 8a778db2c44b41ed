//! Generated input, near the form and beside it, through the oracles that the fuzz targets use.
use fintail_fuzz_bodies as oracle;
use fintail_parsers::time::{RFC3339_BYTES, parse_epoch, parse_rfc3339, write_rfc3339};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One change to a text: a byte set, a range cut out, a byte put in, the text cut off.
#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index, usize),
    Cut(Index),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let telling = select(b" :.,+-ZTPF0189/_\"\\{}[]\t\r\0uae\xff".to_vec());
    let byte = prop_oneof![3 => telling, 1 => any::<u8>()];
    let edit = prop_oneof![
        (any::<Index>(), byte.clone()).prop_map(|(at, b)| Edit::Set(at, b)),
        (any::<Index>(), byte).prop_map(|(at, b)| Edit::Insert(at, b)),
        (any::<Index>(), 1usize..4).prop_map(|(at, n)| Edit::Remove(at, n)),
        any::<Index>().prop_map(Edit::Cut),
    ];
    vec(edit, 0..3)
}

/// `text` after the edits, without newlines.
fn edited(text: &str, edits: &[Edit]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for edit in edits {
        let len = bytes.len();
        match edit {
            _ if len == 0 => {}
            Edit::Set(at, byte) => bytes[at.index(len)] = *byte,
            Edit::Insert(at, byte) => bytes.insert(at.index(len + 1), *byte),
            Edit::Remove(at, n) => drop(bytes.drain(at.index(len)..(at.index(len) + n).min(len))),
            Edit::Cut(at) => bytes.truncate(at.index(len)),
        }
    }
    bytes
}

fn edited_lines(line: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    vec((line, edits()).prop_map(|(line, edits)| edited(&line, &edits)), 1..5)
        .prop_map(|lines| lines.join(&b'\n'))
}

fn clock() -> impl Strategy<Value = String> {
    let date = "(19[67]|20[0-9]|226|[0-9]{3})[0-9]-(0[0-9]|1[0-3])-([0-2][0-9]|3[0-2])";
    (date, "([01][0-9]|2[0-4]):([0-5][0-9]|60):([0-5][0-9]|60)")
        .prop_map(|(date, clock)| format!("{date}T{clock}"))
}

fn cri_line() -> impl Strategy<Value = String> {
    let zone = prop_oneof![3 => Just("Z".to_owned()), 1 => "[+-][0-2][0-9]:[0-6][0-9]"];
    let tag = prop_oneof![4 => "[PF]".boxed(), 1 => "[PF](:[A-Z0-9]{0,4}){1,3}".boxed()];
    (clock(), "(\\.[0-9]{1,9})?", zone, "std(out|err)", tag, "( [^\\n]{0,40})?").prop_map(
        |(clock, part, zone, stream, tag, body)| format!("{clock}{part}{zone} {stream} {tag}{body}"),
    )
}

fn time_text() -> impl Strategy<Value = String> {
    let zone = "(Z|z|[+-][0-2][0-9](:?[0-6][0-9])?)?";
    prop_oneof![
        (clock(), "([.,][0-9]{1,12})?", zone).prop_map(|(clock, part, zone)| format!("{clock}{part}{zone}")),
        (clock(), "([.,][0-9]{1,12})?", zone)
            .prop_map(|(c, part, zone)| format!("{}{part} {zone}", c.replace('T', " "))),
        clock().prop_map(|clock| clock.replace('-', "/").replace('T', " ")),
        (
            "[0-3][0-9]",
            "(Jan|Feb|Apr|Nov|dec|Abc)",
            "20[0-9]{2}:[0-2][0-9]:[0-5][0-9]:[0-5][0-9] [+-]0[0-9]00"
        )
            .prop_map(|(day, month, rest)| format!("{day}/{month}/{rest}")),
        "[0-9]{1,20}(\\.[0-9]{1,12})?",
    ]
}

fn json_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(vec!["true", "false", "null", "{}", "[]", "[ ]", "\"\"", "1e999"]).prop_map(str::to_owned),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?",
        json_string(),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let member = (json_key(), inner.clone()).prop_map(|(key, value)| format!("{key}:{value}"));
        prop_oneof![
            vec(inner, 0..5).prop_map(|all| format!("[{}]", all.join(","))),
            vec(member, 0..5).prop_map(|all| format!("{{{}}}", all.join(" , "))),
        ]
    })
}

fn json_string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ !#-\\[\\]-~é€😀]{0,12}",
        1 => "\\\\[\"\\\\/bfnrt]",
        1 => "\\\\u[0-9a-fA-F]{4}",
        1 => Just("\\ud83d\\ude00".to_owned()),
    ];
    vec(piece, 0..4).prop_map(|all| format!("\"{}\"", all.concat()))
}

/// Few keys, so that some meet their like; some of them escaped.
fn json_key() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "\"[a-d][0-9]?(_long_key_with_a_tail[xy])?\"",
        1 => "\"\\\\u006[1-4]\"",
        1 => json_string(),
    ]
}

fn json_object() -> impl Strategy<Value = String> {
    let member = (json_key(), json_value()).prop_map(|(key, value)| format!("{key}: {value}"));
    prop_oneof![
        9 => vec(member, 0..8).prop_map(|all| format!("{{{}}}", all.join(","))),
        1 => (60usize..70, 0usize..70).prop_map(|(count, twice)| {
            let keys: Vec<_> = (0..count).chain([twice]).map(|n| format!("\"key{n}\":{n}")).collect();
            format!("{{{}}}", keys.join(","))
        }),
    ]
}

fn trace_line() -> impl Strategy<Value = String> {
    let head = select(vec![
        "at a.B.c(D.java:1)",
        "at ",
        "Caused by: x",
        "Wrapped by: x",
        "Suppressed: x",
        "... 12 more",
        "... 1 common frames omitted",
        "[CIRCULAR REFERENCE:x]",
        "{\"a\":1}",
        "10.0.0.1 - - [23/Nov/2026:08:01:02 +0000] \"GET",
        "ERROR x",
    ]);
    ("[ \\t]{0,3}", head, "[ \\t]{0,2}").prop_map(|(indent, head, end)| format!("{indent}{head}{end}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn cri_lines(lines in edited_lines(cri_line())) { oracle::cri(&lines); }

    #[test]
    fn json_objects(lines in edited_lines(json_object())) { oracle::json(&lines); }

    #[test]
    fn times(lines in edited_lines(time_text())) { oracle::time(&lines); }

    #[test]
    fn traces(lines in edited_lines(trace_line())) { oracle::starts(&lines); }

    #[test]
    fn names(
        name in prop_oneof![
            "[a-z0-9.-]{1,9}_[a-z0-9.-]{1,12}_[a-zA-Z0-9.-]{1,12}",
            "(0|[1-9][0-9]{0,10}|0[0-9])\\.log(\\.[0-9]{8}-[0-9]{6}(\\.gz|\\.tmp)?)?",
        ],
        edits in edits(),
    ) {
        oracle::path(&edited(&name, &edits));
    }

    #[test]
    fn lines(bytes in vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300)) { oracle::lines(&bytes); }

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..100)) {
        for (_, body) in oracle::TARGETS { body(&bytes); }
    }

    #[test]
    fn instants_there_and_back(ns in 0i64..9_214_646_400_000_000_000) {
        let mut text = [0; RFC3339_BYTES];
        write_rfc3339(ns, &mut text);
        prop_assert_eq!(parse_rfc3339(&text), Some(ns));
        let (second, part) = (ns / 1_000_000_000, ns % 1_000_000_000);
        let cut = format!("{}Z", String::from_utf8_lossy(&text[..29]).trim_end_matches('0'));
        if part > 0 { prop_assert_eq!(parse_rfc3339(cut.as_bytes()), Some(ns)); }
        prop_assert_eq!(parse_epoch(format!("{second}.{part:09}").as_bytes()), Some(ns));
    }
}
