//! Byte classes with vectors: AVX2 where the processor has it, else SSE2 (baseline of x86_64), else plain Rust.
//! The only unsafe code of redaction. It must not know what the classes are for.

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn find(text: &[u8], out: &mut Vec<u32>) {
    super::each_block!(text, out, super::classes_plain);
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::find;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8, _mm_sub_epi8, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256,
        _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_sub_epi8,
    };

    use super::super::{Classes, each_block};

    pub(in super::super) fn find(text: &[u8], out: &mut Vec<u32>) {
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, the only thing that `avx2` asks for.
            unsafe { avx2(text, out) }
        } else {
            each_block!(text, out, classes_sse2);
        }
    }

    #[target_feature(enable = "avx2")]
    fn avx2(text: &[u8], out: &mut Vec<u32>) {
        each_block!(text, out, classes_avx2);
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn classes_avx2(block: &[u8; 64]) -> Classes {
        let load = |half: usize| {
            // SAFETY: 32 readable bytes at offset 0 or 32 of a 64-byte array; the load needs no alignment.
            unsafe { _mm256_loadu_si256(block.as_ptr().add(32 * half).cast::<__m256i>()) }
        };
        let v = [load(0), load(1)];
        let mask = |m: [__m256i; 2]| {
            u64::from(_mm256_movemask_epi8(m[0]).cast_unsigned())
                | u64::from(_mm256_movemask_epi8(m[1]).cast_unsigned()) << 32
        };
        let eq = |b: u8| v.map(|x| _mm256_cmpeq_epi8(x, _mm256_set1_epi8(b.cast_signed())));
        // x in from..from+count, unsigned, as one signed comparison.
        let within = |x: __m256i, from: u8, count: u8| {
            let moved = _mm256_sub_epi8(x, _mm256_set1_epi8(from.wrapping_add(0x80).cast_signed()));
            _mm256_cmpgt_epi8(_mm256_set1_epi8(count.wrapping_add(0x80).cast_signed()), moved)
        };
        let or =
            |a: [__m256i; 2], b: [__m256i; 2]| [_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])];
        Classes {
            digit: mask(v.map(|x| within(x, b'0', 10))),
            letter: mask(v.map(|x| within(_mm256_or_si256(x, _mm256_set1_epi8(0x20)), b'a', 26))),
            high: mask(v),
            blank: mask(eq(b' ')),
            dash: mask(eq(b'-')),
            joint: mask(or(eq(b'.'), eq(b'+'))),
            single: mask(or(or(eq(b':'), eq(b'=')), eq(b'@'))),
            percent: mask(eq(b'%')),
            four: mask(eq(b'4')),
            upper_j: mask(eq(b'J')),
            upper_i: mask(eq(b'I')),
            upper_a: mask(eq(b'A')),
            upper_b: mask(eq(b'B')),
            lower_i: mask(eq(b'i')),
            lower_s: mask(eq(b's')),
        }
    }

    #[inline]
    fn classes_sse2(block: &[u8; 64]) -> Classes {
        let load = |quarter: usize| {
            // SAFETY: 16 readable bytes at offset 0, 16, 32 or 48 of a 64-byte array; the load needs no alignment.
            // SSE2 is part of x86_64.
            unsafe { _mm_loadu_si128(block.as_ptr().add(16 * quarter).cast::<__m128i>()) }
        };
        let v = [load(0), load(1), load(2), load(3)];
        // SAFETY: SSE2 is part of x86_64.
        let mask = |m: [__m128i; 4]| unsafe {
            m.iter().rev().fold(0u64, |bits, x| bits << 16 | u64::from(_mm_movemask_epi8(*x).cast_unsigned()))
        };
        // SAFETY: as above.
        let eq = |b: u8| v.map(|x| unsafe { _mm_cmpeq_epi8(x, _mm_set1_epi8(b.cast_signed())) });
        // SAFETY: as above.
        let within = |x: __m128i, from: u8, count: u8| unsafe {
            let moved = _mm_sub_epi8(x, _mm_set1_epi8(from.wrapping_add(0x80).cast_signed()));
            _mm_cmplt_epi8(moved, _mm_set1_epi8(count.wrapping_add(0x80).cast_signed()))
        };
        // SAFETY: as above.
        let fold = |x: __m128i| unsafe { _mm_or_si128(x, _mm_set1_epi8(0x20)) };
        Classes {
            digit: mask(v.map(|x| within(x, b'0', 10))),
            letter: mask(v.map(|x| within(fold(x), b'a', 26))),
            high: mask(v),
            blank: mask(eq(b' ')),
            dash: mask(eq(b'-')),
            joint: mask(eq(b'.')) | mask(eq(b'+')),
            single: mask(eq(b':')) | mask(eq(b'=')) | mask(eq(b'@')),
            percent: mask(eq(b'%')),
            four: mask(eq(b'4')),
            upper_j: mask(eq(b'J')),
            upper_i: mask(eq(b'I')),
            upper_a: mask(eq(b'A')),
            upper_b: mask(eq(b'B')),
            lower_i: mask(eq(b'i')),
            lower_s: mask(eq(b's')),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn sse2_as_avx2(text in prop::collection::vec(any::<u8>(), 0..400)) {
                let (mut a, mut b) = (Vec::new(), Vec::new());
                find(&text, &mut a);
                each_block!(&text, &mut b, classes_sse2);
                prop_assert_eq!(a, b);
            }
        }
    }
}
