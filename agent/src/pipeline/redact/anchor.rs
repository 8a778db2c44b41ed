//! Anchors: the few places of a batch's text where a secret can stand, found 64 bytes at a time.
//! It must not know rules or records: newlines are no anchors and no anchor looks across one.
//!
//! | anchor | stands at |
//! |---|---|
//! | `:` `=` | the delimiter itself: a key may stand before it |
//! | `@`, `%` + digit `4` | the at sign; the `4` |
//! | long number | the 13th byte of a run of digits, no-break bytes and single separators |
//! | IBAN | the second check digit: two letters, two digits |
//! | prose | a digit behind letter + blank; the blank behind ` is` |
//! | `eyJ` `AKIA` `-----` `Basic ` `Bearer ` | `J`, the second `A`, the fifth dash, `B` |

mod simd;

/// Bits of 64 bytes, one word a class.
#[derive(Clone, Copy, Default)]
pub(super) struct Classes {
    digit: u64,
    letter: u64,
    high: u64,
    blank: u64,
    dash: u64,
    /// `.` and `+`: with blank and dash what may stand between the groups of a number.
    joint: u64,
    /// `:` `=` `@`: anchors by themselves.
    single: u64,
    percent: u64,
    four: u64,
    upper_j: u64,
    upper_i: u64,
    upper_a: u64,
    upper_b: u64,
    lower_i: u64,
    lower_s: u64,
}

/// Bytes of a run that make a long number.
pub(super) const RUN: u32 = 13;

/// What is carried from one block to the next.
#[derive(Clone, Copy, Default)]
struct Carry {
    last: Classes,
    run: [u64; 5],
    dashes: u64,
}

/// Puts the anchors of `text` into `out`, ascending.
pub(super) fn find(text: &[u8], out: &mut Vec<u32>) {
    simd::find(text, out);
}

#[inline(always)]
fn behind(now: u64, before: u64, by: u32) -> u64 {
    now << by | before >> (64 - by)
}

impl Carry {
    /// The anchors of the next 64 bytes.
    #[inline(always)]
    fn step(&mut self, c: &Classes) -> u64 {
        let last = self.last;
        let number = c.digit | c.high;
        let before = behind(number, last.digit | last.high, 1);
        let x = number | (c.blank | c.dash | c.joint) & before;
        // Doubling: runs of at least 2, 4, 8, 12, 13.
        let a = x & behind(x, self.run[0], 1);
        let b = a & behind(a, self.run[1], 2);
        let d = b & behind(b, self.run[2], 4);
        let e = d & behind(b, self.run[2], 8);
        let f = x & behind(e, self.run[3], 1);
        let long = f & !behind(f, self.run[4], 1);
        self.run = [x, a, b, e, f];
        let letter1 = behind(c.letter, last.letter, 1);
        let digit1 = behind(c.digit, last.digit, 1);
        let blank1 = behind(c.blank, last.blank, 1);
        let iban = c.digit & digit1 & behind(c.letter, last.letter, 2) & behind(c.letter, last.letter, 3);
        let prose = c.digit & blank1 & behind(c.letter, last.letter, 2);
        let is = c.blank
            & behind(c.lower_s, last.lower_s, 1)
            & behind(c.lower_i, last.lower_i, 2)
            & behind(c.blank, last.blank, 3);
        let five = c.dash
            & behind(c.dash, last.dash, 1)
            & behind(c.dash, last.dash, 2)
            & behind(c.dash, last.dash, 3)
            & behind(c.dash, last.dash, 4);
        let dashes = five & !behind(five, self.dashes, 1);
        self.dashes = five;
        let aws = c.upper_a & behind(c.upper_i, last.upper_i, 1);
        let at = c.four & behind(c.percent, last.percent, 1);
        let word_b = c.upper_b & !letter1;
        self.last = *c;
        c.single | long | iban | prose | is | dashes | aws | at | word_b | c.upper_j
    }
}

/// The same classes one byte at a time: the fall-back, and the oracle of the vector forms.
#[cfg(any(test, not(target_arch = "x86_64")))]
pub(super) fn classes_plain(block: &[u8; 64]) -> Classes {
    let mut c = Classes::default();
    for (i, &b) in block.iter().enumerate() {
        let bit = |yes: bool| u64::from(yes) << i;
        c.digit |= bit(b.is_ascii_digit());
        c.letter |= bit(b.is_ascii_alphabetic());
        c.high |= bit(b >= 0x80);
        c.blank |= bit(b == b' ');
        c.dash |= bit(b == b'-');
        c.joint |= bit(matches!(b, b'.' | b'+'));
        c.single |= bit(matches!(b, b':' | b'=' | b'@'));
        c.percent |= bit(b == b'%');
        c.four |= bit(b == b'4');
        c.upper_j |= bit(b == b'J');
        c.upper_i |= bit(b == b'I');
        c.upper_a |= bit(b == b'A');
        c.upper_b |= bit(b == b'B');
        c.lower_i |= bit(b == b'i');
        c.lower_s |= bit(b == b's');
    }
    c
}

/// Runs `$classes` over the text in blocks; a macro, so that each vector form is compiled with its own features.
macro_rules! each_block {
    ($text:expr, $out:expr, $classes:expr) => {{
        let (text, out): (&[u8], &mut Vec<u32>) = ($text, $out);
        out.clear();
        let mut carry = $crate::pipeline::redact::anchor::Carry::default();
        let (blocks, rest) = text.as_chunks::<64>();
        let mut base = 0u32;
        let mut len = 0;
        for block in blocks {
            let mut found = carry.step(&$classes(block));
            if out.len() < len + 64 {
                out.resize((len + 64) * 2, 0);
            }
            let Some((slots, _)) = out.get_mut(len..).and_then(<[u32]>::split_first_chunk_mut::<64>) else { break };
            let count = found.count_ones() as usize;
            // Most blocks hold no more than four: written without a branch, what is too much is overwritten next.
            for slot in &mut slots[..4] {
                *slot = base + found.trailing_zeros();
                found &= found.wrapping_sub(1);
            }
            let mut next = 4;
            while found != 0 {
                slots[next & 63] = base + found.trailing_zeros();
                found &= found - 1;
                next += 1;
            }
            len += count;
            base += 64;
        }
        out.truncate(len);
        let mut block = [0u8; 64];
        for (slot, b) in block.iter_mut().zip(rest) {
            *slot = *b;
        }
        let mut found = carry.step(&$classes(&block));
        while found != 0 {
            out.push(base + found.trailing_zeros());
            found &= found - 1;
        }
    }};
}
use each_block;

#[cfg(test)]
mod tests {
    use super::*;
    use fintail_parsers::sensitive::byte_at;
    use proptest::prelude::*;

    /// The table at the head of this module, word by word.
    fn naive(text: &[u8]) -> Vec<u32> {
        let at = |i: usize, back: usize| i.checked_sub(back).map_or(0, |j| byte_at(text, j));
        let number = |b: u8| b.is_ascii_digit() || b >= 0x80;
        let in_run = |i: usize| {
            let b = byte_at(text, i);
            number(b) || (matches!(b, b' ' | b'-' | b'.' | b'+') && number(at(i, 1)))
        };
        let run = |i: usize| (0..=i).rev().take_while(|&j| in_run(j)).count();
        (0..text.len())
            .filter(|&i| {
                let b = byte_at(text, i);
                let letter = |back| at(i, back).is_ascii_alphabetic();
                matches!(b, b':' | b'=' | b'@' | b'J')
                    || run(i) == RUN as usize
                    || (b == b'4' && at(i, 1) == b'%')
                    || (b.is_ascii_digit() && at(i, 1).is_ascii_digit() && letter(2) && letter(3))
                    || (b.is_ascii_digit() && at(i, 1) == b' ' && letter(2))
                    || (b == b' ' && at(i, 1) == b's' && at(i, 2) == b'i' && at(i, 3) == b' ')
                    || (b == b'A' && at(i, 1) == b'I')
                    || (b == b'B' && !letter(1))
                    || (0..5).all(|k| at(i, k) == b'-') && at(i, 5) != b'-'
            })
            .map(|i| i as u32)
            .collect()
    }

    proptest! {
        #[test]
        fn as_the_naive_search(text in "[0-9 .:=@%4JIABis\\-aé\n]{0,300}") {
            let mut fast = Vec::new();
            find(text.as_bytes(), &mut fast);
            prop_assert_eq!(&fast, &naive(text.as_bytes()));
            let mut plain = Vec::new();
            each_block!(text.as_bytes(), &mut plain, classes_plain);
            prop_assert_eq!(plain, fast);
        }

        #[test]
        fn any_bytes(text in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut fast = Vec::new();
            find(&text, &mut fast);
            prop_assert_eq!(fast, naive(&text));
        }
    }
}
