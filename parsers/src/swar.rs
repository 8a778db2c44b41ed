//! Eight bytes at a time in one `u64`: owns loads and digit arithmetic. It must not know any format.
//!
//! Words are little-endian: the first byte of the text is the lowest. Masks carry a byte's answer in its top bit;
//! carries and borrows only run upwards, so the *lowest* set bit of a mask is always right, the ones above may not be.

/// The same byte eight times.
pub(crate) const fn splat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

const TOPS: u64 = splat(0x80);

/// The eight bytes from `at`; what lies beyond the end reads as 0.
#[inline(always)]
pub(crate) fn load8(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => load_tail(bytes, at),
    }
}

#[inline(never)]
fn load_tail(bytes: &[u8], at: usize) -> u64 {
    let tail = bytes.get(at..).unwrap_or_default();
    match bytes.last_chunk::<8>() {
        _ if tail.is_empty() => 0,
        Some(chunk) => u64::from_le_bytes(*chunk) >> (8 * (8 - tail.len())),
        None => tail.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Top bits set from the first byte on that is no ASCII digit; `digits` is the text XOR `'0'` in each byte.
#[inline(always)]
pub(crate) const fn non_digits(digits: u64) -> u64 {
    (digits.wrapping_add(splat(0x7F - 9)) | digits) & TOPS
}

/// Number of bytes below the lowest set top bit of a mask: 0 to 8.
#[inline(always)]
pub(crate) const fn bytes_below(mask: u64) -> usize {
    (mask.trailing_zeros() / 8) as usize
}

/// In each byte: ten times its digit plus the digit after it (the last byte's neighbour counts as 0).
#[inline(always)]
pub(crate) const fn pairs(digits: u64) -> u64 {
    digits.wrapping_mul(10).wrapping_add(digits >> 8)
}

/// The number that eight digit values make, the lowest byte first.
#[inline(always)]
pub(crate) const fn eight_digits(digits: u64) -> u32 {
    const TWO: u64 = 0x0000_00FF_0000_00FF;
    let pairs = pairs(digits);
    let high = (pairs & TWO).wrapping_mul(100 + (1_000_000 << 32));
    let low = ((pairs >> 16) & TWO).wrapping_mul(1 + (10_000 << 32));
    (high.wrapping_add(low) >> 32) as u32
}

/// How many ASCII digits stand at `at`.
#[inline(always)]
pub(crate) fn digits_at(bytes: &[u8], at: usize) -> usize {
    let mut run = 0;
    loop {
        let here = bytes_below(non_digits(load8(bytes, at + run) ^ splat(b'0')));
        run += here;
        if here < 8 {
            return run;
        }
    }
}

/// Top bit set at the first byte that ends the plain part of a JSON string: `"`, `\` or a control byte.
///
/// XOR 2 swaps `"` (0x22) with 0x20, so that one comparison "below 0x21" finds both the quote and the control bytes.
#[inline(always)]
pub(crate) const fn string_stops(word: u64) -> u64 {
    let quote_or_control = (word ^ splat(2)).wrapping_sub(splat(0x21));
    let backslash = (word ^ splat(b'\\')).wrapping_sub(splat(1));
    (quote_or_control | backslash) & !word & TOPS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stops_are_right_for_each_byte_at_each_place() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                let mut text = [b'x'; 8];
                text[place] = byte;
                let stop = byte == b'"' || byte == b'\\' || byte < 0x20;
                let want = if stop { place } else { 8 };
                assert_eq!(bytes_below(string_stops(u64::from_le_bytes(text))), want, "{byte} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn loads_pad_with_zero(bytes in proptest::collection::vec(any::<u8>(), 0..40), at in 0usize..50) {
            let mut want = [0u8; 8];
            for (to, from) in want.iter_mut().zip(bytes.iter().skip(at)) { *to = *from; }
            prop_assert_eq!(load8(&bytes, at), u64::from_le_bytes(want));
        }

        #[test]
        fn digit_runs_and_values(text in "[0-9]{0,30}[^0-9]{0,9}") {
            let run = text.bytes().take_while(u8::is_ascii_digit).count();
            prop_assert_eq!(digits_at(text.as_bytes(), 0), run);
            if run >= 8 {
                let value: u32 = text.get(..8).unwrap_or_default().parse().unwrap();
                prop_assert_eq!(eight_digits(load8(text.as_bytes(), 0) ^ splat(b'0')), value);
            }
        }
    }
}
