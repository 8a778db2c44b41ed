//! JSON web tokens in compact form (RFC 7515, 7516): a base64url header that decodes to an object with `alg`.
//! It must not verify or keep anything of the token.

use super::byte_at;

const MAX_HEADER: usize = 4096;
/// What is decoded of a header to look for `"alg"`, characters.
const HEADER_LOOK: usize = 512;

/// Where the token that begins with `eyJ` at `start` ends; `None` where there is none.
#[must_use]
pub fn jwt_at(text: &[u8], start: usize) -> Option<usize> {
    if !text.get(start..)?.starts_with(b"eyJ") {
        return None;
    }
    let header_end = run_end(text, start);
    if header_end - start > MAX_HEADER || byte_at(text, header_end) != b'.' {
        return None;
    }
    if !names_algorithm(text.get(start..header_end)?) {
        return None;
    }
    // Signed: three parts; encrypted: five. A cut token ends anywhere.
    let mut end = header_end;
    for _ in 0..4 {
        if byte_at(text, end) != b'.' {
            break;
        }
        let part_end = run_end(text, end + 1);
        if part_end == end + 1 && byte_at(text, part_end) != b'.' {
            break;
        }
        end = part_end;
    }
    (end > header_end + 1).then_some(end)
}

fn run_end(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest
        .iter()
        .position(|&b| !(b.is_ascii_alphanumeric() || b == b'-' || b == b'_'))
        .unwrap_or(rest.len())
}

fn names_algorithm(header: &[u8]) -> bool {
    let mut decoded = [0u8; HEADER_LOOK];
    let mut n = 0;
    let mut bits = 0u32;
    for (i, &b) in header.iter().take(HEADER_LOOK).enumerate() {
        let Some(v) = sextet(b) else { return false };
        bits = bits << 6 | v;
        if i % 4 != 0 {
            let shift = 6 - 2 * (i as u32 % 4);
            if let Some(slot) = decoded.get_mut(n) {
                *slot = (bits >> shift) as u8;
            }
            n += 1;
        }
    }
    let decoded = decoded.get(..n).unwrap_or_default();
    decoded.first() == Some(&b'{') && memchr::memmem::find(decoded, b"\"alg\"").is_some()
}

fn sextet(b: u8) -> Option<u32> {
    Some(u32::from(match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'-' | b'+' => 62,
        b'_' | b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC7515: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn the_example_of_rfc_7515() {
        let text = format!("{RFC7515}. Then");
        assert_eq!(jwt_at(text.as_bytes(), 0), Some(RFC7515.len()));
        let cut = text.get(..80).expect("ascii");
        assert_eq!(jwt_at(cut.as_bytes(), 0), Some(80));
    }

    #[test]
    fn other_base64_objects() {
        // {"page":2,"after":"x"} as an opaque cursor, and one with a dot after it.
        for text in ["eyJwYWdlIjoyLCJhZnRlciI6IngifQ", "eyJwYWdlIjoyfQ.next", "eyJ", "eyJhbGciOiJIUzI1NiJ9 x"]
        {
            assert_eq!(jwt_at(text.as_bytes(), 0), None, "{text}");
        }
    }
}
