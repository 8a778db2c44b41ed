//! Owns the random numbers: small, seeded, the same on every machine.
//! Must not know: what they decide.

/// SplitMix64 (Steele, Lea, Flood 2014): one multiplication chain a number, seeded freely.
#[derive(Clone, Copy)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn of(seed: u64, source: u32, seq: u64) -> Self {
        let mut rng = Self(seed ^ 0x6a09_e667_f3bc_c908);
        rng.0 = rng.next() ^ u64::from(source).wrapping_mul(0xd6e8_feb8_6659_fd93);
        rng.0 = rng.next() ^ seq.wrapping_mul(0xa076_1d64_78bd_642f);
        rng
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }
}
