//! When to try again: doubled back-off with full jitter, and what an error means for a retry.
//! It must not know requests, lanes or documents.

use std::time::Duration;

use crate::admin::metrics::{HeldReason, RetryReason};

/// Says whether a retry helps; the whole of what delivery does next follows from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShipError {
    /// The destination could not take it now. `unknown`: it may have been taken all the same.
    #[error("to be sent again ({reason:?})")]
    Retry {
        /// Metric label.
        reason: RetryReason,
        /// The outcome of the attempt is unknown.
        unknown: bool,
        /// `Retry-After` of the answer.
        after: Option<Duration>,
    },
    /// The destination refuses, whatever the document: nothing is lost, nothing goes on until somebody mends it.
    #[error("held ({reason:?})")]
    Hold {
        /// Metric label.
        reason: HeldReason,
    },
    /// The destination refuses this document and names it.
    #[error("the document itself is refused")]
    DeadLetter,
}

/// First and longest pause between attempts.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Upper end of the first pause.
    pub initial: Duration,
    /// Upper end of every later pause.
    pub max: Duration,
}

impl Backoff {
    /// The pause before the attempt that follows `failures` failed ones (from 1): anywhere between nothing and the
    /// doubled bound ("full jitter"), or `Retry-After` where the server sent one, at most an hour.
    #[must_use]
    pub fn pause(&self, failures: u32, after: Option<Duration>, jitter: &mut Jitter) -> Duration {
        const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
        if let Some(after) = after {
            return after.min(RETRY_AFTER_MAX);
        }
        let doubled = self.initial.saturating_mul(1 << failures.saturating_sub(1).min(20));
        jitter.below(doubled.min(self.max))
    }
}

/// SplitMix64: spreads retries of many agents; nothing secret hangs on it.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// The same seed gives the same pauses.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: Duration) -> Duration {
        let bound_ns = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        // Lossless: the high half of a product of two 64-bit numbers is a 64-bit number.
        Duration::from_nanos(((u128::from(self.draw()) * u128::from(bound_ns)) >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_within_their_bounds_and_retry_after_wins() {
        let backoff = Backoff { initial: Duration::from_millis(250), max: Duration::from_secs(30) };
        let mut jitter = Jitter::new(7);
        for failures in 1..40 {
            let bound = Duration::from_millis(250 << (failures - 1).min(7)).min(backoff.max);
            let longest = (0..200).map(|_| backoff.pause(failures, None, &mut jitter)).max().unwrap();
            assert!(longest <= bound, "{failures}: {longest:?} > {bound:?}");
            assert!(longest > bound / 2, "{failures}: {longest:?} is far below {bound:?}");
        }
        let after = Some(Duration::from_secs(7));
        assert_eq!(backoff.pause(1, after, &mut jitter), Duration::from_secs(7));
    }
}
