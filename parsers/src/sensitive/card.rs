//! Primary account numbers: issuer ranges with their lengths (ISO/IEC 7812) and the Luhn check digit.
//! It must not know separators or text: it sees digit values only.

/// Shortest number that is looked at, digits.
pub const MIN_DIGITS: usize = 13;
/// Longest number (ISO/IEC 7812-1), digits.
pub const MAX_DIGITS: usize = 19;

/// First six digits from, to, and the lengths in use there as bits (`1 << length`).
type Range = (u32, u32, u32);

const fn lengths(from: u32, to: u32) -> u32 {
    (1 << (to + 1)) - (1 << from)
}

/// Issuer ranges: Visa, Mastercard, American Express, Discover, JCB, Diners Club, UnionPay, Maestro, Mir, RuPay,
/// Troy, Verve, Dankort, UzCard, Humo, Elo and Hipercard as their networks publish them.
const RANGES: &[Range] = &[
    (400_000, 499_999, 1 << 13 | 1 << 16 | 1 << 19),
    (510_000, 559_999, 1 << 16),
    (222_100, 272_099, 1 << 16),
    (340_000, 349_999, 1 << 15),
    (370_000, 379_999, 1 << 15),
    (601_100, 601_199, lengths(16, 19)),
    (644_000, 659_999, lengths(16, 19)),
    (622_126, 622_925, lengths(16, 19)),
    (352_800, 358_999, lengths(16, 19)),
    (300_000, 305_999, lengths(14, 19)),
    (309_500, 309_599, lengths(14, 19)),
    (360_000, 369_999, lengths(14, 19)),
    (380_000, 399_999, lengths(14, 19)),
    (620_000, 629_999, lengths(14, 19)),
    (810_000, 829_999, lengths(16, 19)),
    (500_000, 509_999, lengths(13, 19)),
    (560_000, 589_999, lengths(13, 19)),
    (600_000, 619_999, lengths(13, 19)),
    (630_000, 639_999, lengths(13, 19)),
    (660_000, 699_999, lengths(13, 19)),
    (220_000, 220_499, lengths(16, 19)),
    (979_200, 979_299, 1 << 16),
    (860_000, 860_099, 1 << 16),
    (986_000, 986_099, 1 << 16),
];

/// True where the digit values (0–9, most significant first) pass the Luhn check (ISO/IEC 7812-1 annex B).
#[must_use]
pub fn luhn(digits: &[u8]) -> bool {
    const DOUBLED: [u8; 10] = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, &d)| u32::from(if i % 2 == 0 { d } else { DOUBLED.get(d as usize).copied().unwrap_or(0) }))
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}

/// True where a network issues numbers of this length with this beginning.
#[must_use]
pub fn issued(digits: &[u8]) -> bool {
    let Some(head) = digits.get(..6) else { return false };
    let head = head.iter().fold(0u32, |n, &d| n * 10 + u32::from(d));
    digits.len() <= MAX_DIGITS
        && RANGES.iter().any(|&(from, to, lens)| (from..=to).contains(&head) && lens >> digits.len() & 1 == 1)
}

/// True where the digit values can be a card number: issuer range, length and check digit.
#[must_use]
pub fn is_pan(digits: &[u8]) -> bool {
    issued(digits) && luhn(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digits(text: &str) -> Vec<u8> {
        text.bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect()
    }

    #[test]
    fn test_cards_of_the_networks() {
        for pan in [
            "4111111111111111",
            "4012888888881881",
            "4222222222222",
            "5555555555554444",
            "5105105105105100",
            "2223003122003222",
            "378282246310005",
            "371449635398431",
            "6011111111111117",
            "6011000990139424",
            "30569309025904",
            "38520000023237",
            "3530111333300000",
            "3566002020360505",
            "6200000000000005",
            "6759649826438453",
            "2200000000000004",
            "6304000000000000",
            "9792030394440796",
        ] {
            assert!(is_pan(&digits(pan)), "{pan}");
        }
        for not in [
            "4111111111111112",
            "1234567812345670",
            "0000000000000000",
            "411111111111111",
            "9999999999999995",
        ] {
            assert!(!is_pan(&digits(not)), "{not}");
        }
    }

    proptest! {
        #[test]
        fn luhn_is_the_textbook_sum(digits in prop::collection::vec(0u8..10, 1..24)) {
            let mut sum = 0u32;
            for (i, &d) in digits.iter().rev().enumerate() {
                let d = u32::from(d) * if i % 2 == 1 { 2 } else { 1 };
                sum += d / 10 + d % 10;
            }
            prop_assert_eq!(luhn(&digits), sum.is_multiple_of(10));
        }
    }
}
