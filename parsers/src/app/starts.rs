//! Does a line go on with the event before it: owns the shapes of stack traces. It must not know timers or streams.
//!
//! Both answers come from the bytes of one line alone, so that a replay cuts events at the same places.
use memchr::{memchr, memrchr};

/// True where the line can only be the further part of a stack trace.
///
/// Java (`Throwable.printStackTrace`, Logback's and Log4j2's converters):
///
/// | line | from |
/// |---|---|
/// | indented `at CLASS.METHOD(…)` | each frame |
/// | `Caused by: …`, also indented | `getCause` |
/// | `Wrapped by: …` | Logback's `rEx`, root cause first |
/// | indented `Suppressed: …` | `getSuppressed` |
/// | `... 12 more`, `... 3 common frames omitted` | frames shared with the trace around |
/// | `[CIRCULAR REFERENCE…` | a cause that was seen |
#[must_use]
#[inline]
pub fn is_continuation(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    let indented = text.len() < line.len();
    match text.first() {
        Some(b'a') => {
            indented && text.strip_prefix(b"at ").is_some_and(|frame| !frame.trim_ascii().is_empty())
        }
        Some(b'C') => text.starts_with(b"Caused by: "),
        Some(b'W') => text.starts_with(b"Wrapped by: "),
        Some(b'S') => indented && text.starts_with(b"Suppressed: "),
        Some(b'.') => frames_left_out(text),
        Some(b'[') => text.starts_with(b"[CIRCULAR REFERENCE"),
        _ => false,
    }
}

/// True where the line is the head of a Java trace: a qualified class name that ends like one of a throwable, alone
/// or before `: ` and its message. Logback and Log4j2 print it below the log line that reports it, so it belongs to
/// that line; after anything else it begins an event of its own.
#[must_use]
#[inline]
pub fn is_exception_header(line: &[u8]) -> bool {
    let name_end = line.iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'$')));
    let (name, rest) = line.split_at_checked(name_end.unwrap_or(line.len())).unwrap_or_default();
    let Some(dot) = memrchr(b'.', name) else { return false };
    let class = name.get(dot + 1..).unwrap_or_default();
    let throwable: [&[u8]; 3] = [b"Exception", b"Error", b"Throwable"];
    (rest.is_empty() || rest.starts_with(b": "))
        && class.first().is_some_and(u8::is_ascii_uppercase)
        && throwable.iter().any(|end| class.ends_with(end))
}

/// False where nothing can follow: a line that is one whole JSON object, or a line of an access log in Apache's
/// common or combined form. Such lines need not be held back for a continuation.
///
/// A shape test, not a parse: a line that opens with `{` and closes with `}` counts as an object.
#[must_use]
#[inline]
pub fn can_continue(line: &[u8]) -> bool {
    let text = line.trim_ascii();
    match (text.first(), text.last()) {
        (Some(b'{'), Some(b'}')) => false,
        _ => !is_access_log(text),
    }
}

/// `... 12 more` and `... 12 common frames omitted`.
fn frames_left_out(text: &[u8]) -> bool {
    let Some(count) = text.strip_prefix(b"... ") else { return false };
    let digits = count.iter().take_while(|b| b.is_ascii_digit()).count();
    let what = count.get(digits..).unwrap_or_default().trim_ascii_end();
    digits > 0 && (what == b" more" || what.starts_with(b" common frames omitted"))
}

/// `HOST IDENT USER [23/Nov/2026:08:01:02 +0000] "…`.
fn is_access_log(text: &[u8]) -> bool {
    // Host names end at 253 bytes, user names are short: a bracket beyond is no access log's.
    const BRACKET_BYTES: usize = 400;
    let near = text.get(..BRACKET_BYTES).unwrap_or(text);
    let Some(stamp) = memchr(b'[', near).and_then(|at| text.get(at..)?.first_chunk::<30>()) else {
        return false;
    };
    matches!(
        stamp,
        [
            b'[',
            _,
            _,
            b'/',
            _,
            _,
            _,
            b'/',
            _,
            _,
            _,
            _,
            b':',
            _,
            _,
            b':',
            _,
            _,
            b':',
            _,
            _,
            b' ',
            b'+' | b'-',
            _,
            _,
            _,
            _,
            b']',
            b' ',
            b'"'
        ]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exception_heads() {
        for line in [
            "java.lang.IllegalStateException: no such account",
            "com.acme.pay.Ledger$Closed_Error",
            "java.lang.Throwable: ",
        ] {
            assert!(is_exception_header(line.as_bytes()), "{line}");
        }
        for line in [
            "",
            "Exception",
            "java.lang.Exceptional: x",
            "a.b.error: x",
            "java.lang.Error x",
            "2026 a.B.Error: x",
            "a..",
            "x.Y",
        ] {
            assert!(!is_exception_header(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn java_traces_go_on() {
        for line in [
            "\tat com.acme.pay.Ledger.post(Ledger.java:42)",
            "    at java.base/java.lang.Thread.run(Thread.java:833)",
            "\tat com.acme.Foo$$Lambda$14/0x0000000800066840.run(Unknown Source) ~[app.jar:1.2]",
            "Caused by: java.sql.SQLException: refused",
            "\tCaused by: java.lang.Exception",
            "Wrapped by: java.lang.RuntimeException: outer",
            "\tSuppressed: java.io.IOException: close",
            "\t... 12 more",
            "... 12 more",
            "\t... 7 common frames omitted",
            "\t... 7 common frames omitted\r",
            "\t[CIRCULAR REFERENCE:java.lang.Exception: a]",
            "Caused by: [CIRCULAR REFERENCE: java.lang.Exception: a]",
        ] {
            assert!(is_continuation(line.as_bytes()), "{line}");
            assert!(can_continue(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn other_lines_begin_an_event() {
        for line in [
            "",
            " ",
            "at com.acme.Ledger.post(Ledger.java:42)",
            "\tat ",
            "\tattempt 3",
            "Suppressed: x",
            "Caused by",
            "... more",
            "... 12 mores",
            "... 12",
            "[INFO] started",
            "2026-11-23 08:01:02 ERROR failed",
            "java.lang.IllegalStateException: boom",
            "Exception in thread \"main\" java.lang.RuntimeException",
        ] {
            assert!(!is_continuation(line.as_bytes()), "{line:?}");
        }
    }

    #[test]
    fn whole_objects_and_access_lines_cannot_go_on() {
        for line in [
            "{}",
            " {\"a\":1} \r",
            "10.0.0.1 - - [23/Nov/2026:08:01:02 +0000] \"GET / HTTP/1.1\" 200 12",
            "::1 - ann [23/Nov/2026:08:01:02 -0530] \"POST /pay HTTP/2.0\" 201 12 \"-\" \"curl/8\"",
        ] {
            assert!(!can_continue(line.as_bytes()), "{line}");
        }
        for line in [
            "",
            "{\"a\":",
            "[1,2]",
            "ERROR failed",
            "10.0.0.1 - - [23/Nov/2026:08:01:02 +0000] GET",
            "x [y] z",
            "10.0.0.1 - - [23/Nov/2026:08:01:02",
        ] {
            assert!(can_continue(line.as_bytes()), "{line:?}");
        }
    }
}
