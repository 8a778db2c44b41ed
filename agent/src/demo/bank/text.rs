//! Owns numbers, times and UUIDs as text.
//! Must not know: what they stand for.

use super::chance::Rng;

/// `2026-11-23T08:01:02`
pub(super) fn stamp_s(seconds: u64, separator: u8, out: &mut Vec<u8>) {
    let (year, month, day) = civil(seconds / 86_400);
    padded(year, 4, out);
    out.push(b'-');
    padded(month, 2, out);
    out.push(b'-');
    padded(day, 2, out);
    out.push(separator);
    clock(seconds, out);
}

pub(super) fn clock(seconds: u64, out: &mut Vec<u8>) {
    padded(seconds / 3_600 % 24, 2, out);
    out.push(b':');
    padded(seconds / 60 % 60, 2, out);
    out.push(b':');
    padded(seconds % 60, 2, out);
}

/// Days since 1970 to year, month, day (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
pub(super) fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

pub(super) fn padded(mut value: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    for digit in digits[20 - width..].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits[20 - width..]);
}

pub(super) fn decimal(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = 20;
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

pub(super) const HEX: &[u8; 16] = b"0123456789abcdef";

pub(super) fn hex(value: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [0; 16];
    for (place, digit) in digits.iter_mut().enumerate() {
        *digit = HEX[(value >> (60 - 4 * place) & 15) as usize];
    }
    out.extend_from_slice(&digits[..width.min(16)]);
}

pub(super) fn uuid(rng: &mut Rng, out: &mut Vec<u8>) {
    let (high, low) = (rng.next(), rng.next());
    hex(high, 8, out);
    out.push(b'-');
    hex(high << 32, 4, out);
    out.extend_from_slice(b"-4");
    hex(high << 52, 3, out);
    out.push(b'-');
    out.push(b"89ab"[(low & 3) as usize]);
    hex(low << 4, 3, out);
    out.push(b'-');
    hex(low << 16, 12, out);
}
