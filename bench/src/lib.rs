//! Owns what the bench programs share: the manifest of a generated log tree, sizes on the command line, the verifier.
//! Must not know: the agent's inside. It sees files that go in and documents that come out.

pub mod manifest;
pub mod path;
pub mod pods;
pub mod verify;

/// Reads `256MiB`, `10MB`, `4KiB` or a plain number of bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 =
        number.parse().map_err(|_| format!("{text}: a number with an optional unit expected"))?;
    let factor = match unit.trim().trim_end_matches("/s") {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("{text}: unit is one of B, kB, MB, GB, KiB, MiB, GiB")),
    };
    number.checked_mul(factor).ok_or_else(|| format!("{text}: too large"))
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn sizes() {
        assert_eq!(parse_bytes("256MiB"), Ok(256 << 20));
        assert_eq!(parse_bytes("50 MB/s"), Ok(50_000_000));
        assert_eq!(parse_bytes("17"), Ok(17));
        assert!(parse_bytes("1 furlong").is_err());
        assert!(parse_bytes("MiB").is_err());
    }
}
