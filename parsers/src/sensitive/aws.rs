//! AWS access key ids (IAM user guide, "unique identifiers"): AKIA long-term, ASIA temporary, 16 more of A-Z 0-9.
//! It must not know the secret half: that is told by its key only.

use super::byte_at;

const LENGTH: usize = 20;

/// Where the access key id that begins at `start` ends; `None` where there is none.
#[must_use]
pub fn access_key_at(text: &[u8], start: usize) -> Option<usize> {
    let id = text.get(start..start + LENGTH)?;
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    ((id.starts_with(b"AKIA") || id.starts_with(b"ASIA"))
        && id.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && !word(byte_at(text, start + LENGTH)))
    .then_some(start + LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_example() {
        assert_eq!(access_key_at(b"AKIAIOSFODNN7EXAMPLE", 0), Some(20));
        assert_eq!(access_key_at(b"k=ASIAIOSFODNN7EXAMPLE&", 2), Some(22));
        for not in [&b"AKIAIOSFODNN7EXAMPLEX"[..], b"AKIAIOSFODNN7example", b"AROAIOSFODNN7EXAMPLE", b"AKIA"]
        {
            assert_eq!(access_key_at(not, 0), None);
        }
    }
}
