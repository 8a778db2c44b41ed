//! Lines in a piece of a file: owns where a line ends. It must not know formats, files or limits on length.
//!
//! Only `\n` ends a line: a CR before it is the writer's byte and stays, since offsets must add up to the file.
use crate::Span;
use memchr::memchr_iter;

/// The whole lines of a buffer, without their `\n`, in order.
///
/// Buffers are read up to 4 GiB − 1 (spans are 32 bits); what lies beyond is part of [`Lines::rest`].
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    ends: memchr::Memchr<'a>,
    start: u32,
}

impl<'a> Lines<'a> {
    /// The lines of `buf`.
    #[must_use]
    pub fn new(buf: &'a [u8]) -> Self {
        let readable = buf.get(..u32::MAX as usize).unwrap_or(buf);
        Self { ends: memchr_iter(b'\n', readable), start: 0 }
    }

    /// Offset of the first byte that was not given out: once the iterator has ended, of the unfinished last line
    /// (the buffer's length where the last byte is a `\n`).
    #[must_use]
    pub const fn rest(&self) -> u32 {
        self.start
    }
}

impl Iterator for Lines<'_> {
    type Item = Span;

    #[inline]
    fn next(&mut self) -> Option<Span> {
        let end = self.ends.next()? as u32;
        let line = Span::new(self.start, end);
        self.start = end + 1;
        Some(line)
    }
}

impl std::iter::FusedIterator for Lines<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(buf: &[u8]) -> (Vec<&[u8]>, u32) {
        let mut lines = Lines::new(buf);
        let all = lines.by_ref().map(|span| span.of(buf)).collect();
        (all, lines.rest())
    }

    #[test]
    fn only_newline_ends_a_line() {
        let cases: [(&str, &[&str], u32); 7] = [
            ("", &[], 0),
            ("a", &[], 0),
            ("\n", &[""], 1),
            ("a\nb", &["a"], 2),
            ("a\r\nb\r\n", &["a\r", "b\r"], 6),
            ("\n\n\n", &["", "", ""], 3),
            ("a\0b\x0bc\n\u{2028}\nrest", &["a\0b\x0bc", "\u{2028}"], 10),
        ];
        for (text, want, rest) in cases {
            let (got, at) = split(text.as_bytes());
            assert_eq!(got, want.iter().map(|s| s.as_bytes()).collect::<Vec<_>>(), "{text:?}");
            assert_eq!(at, rest, "{text:?}");
        }
    }

    #[test]
    fn rest_moves_with_the_iterator() {
        let mut lines = Lines::new(b"ab\ncd\ne");
        assert_eq!(lines.rest(), 0);
        assert_eq!(lines.next(), Some(Span::new(0, 2)));
        assert_eq!(lines.rest(), 3);
        assert_eq!(lines.next(), Some(Span::new(3, 5)));
        assert_eq!((lines.next(), lines.rest(), lines.next()), (None, 6, None));
    }

    proptest! {
        #[test]
        fn same_as_a_naive_split(buf in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300)) {
            let mut want: Vec<&[u8]> = buf.split(|b| *b == b'\n').collect();
            let tail = want.pop().unwrap_or_default();
            let (got, rest) = split(&buf);
            prop_assert_eq!(got, want);
            prop_assert_eq!(&buf[rest as usize..], tail);
        }
    }
}
