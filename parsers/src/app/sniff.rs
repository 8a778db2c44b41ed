//! First bytes to format: owns the guess. It must not know the formats' inside, nor other stages.

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Begins like a JSON object; [`super::json::scan`] tells whether it is one.
    Json,
    /// Anything else.
    Text,
}

/// The format that the first byte that is not blank speaks for.
#[must_use]
#[inline]
pub fn sniff(body: &[u8]) -> Format {
    match body.trim_ascii_start().first() {
        Some(b'{') => Format::Json,
        _ => Format::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_json_and_nothing_else() {
        for json in ["{", "{}", " \t{\"a\":1}", "{not json"] {
            assert_eq!(sniff(json.as_bytes()), Format::Json, "{json}");
        }
        for text in ["", "   ", "[1]", "\"{\"", "level=info msg={}", "}"] {
            assert_eq!(sniff(text.as_bytes()), Format::Text, "{text}");
        }
    }
}
