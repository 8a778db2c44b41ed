//! Byte permits: the memory bound of everything in flight. It must not know what the bytes are.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A pool of bytes that readers take from and delivery gives back to.
#[derive(Debug)]
pub struct BytePool {
    free: Mutex<i64>,
    freed: Condvar,
    size: i64,
}

impl BytePool {
    /// A pool of `bytes`.
    #[must_use]
    pub fn new(bytes: u64) -> Arc<Self> {
        let size = i64::try_from(bytes).unwrap_or(i64::MAX);
        Arc::new(Self { free: Mutex::new(size), freed: Condvar::new(), size })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, i64> {
        // A poisoned counter is still a counter: no code panics while it holds the lock.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `bytes` where they are free now. One request larger than the whole pool is let through when nothing
    /// else is out, or it could never go.
    #[must_use]
    pub fn try_acquire(self: &Arc<Self>, bytes: u64) -> Option<BytePermit> {
        let want = i64::try_from(bytes).unwrap_or(i64::MAX);
        let mut free = self.lock();
        if *free >= want || *free == self.size {
            *free -= want;
            return Some(BytePermit { pool: Arc::clone(self), bytes: want });
        }
        None
    }

    /// Takes `bytes` at once even if that goes below zero: for what exists already (an encoded frame whose
    /// estimate was too small). Readers wait until it is made up for.
    #[must_use]
    pub fn acquire_over(self: &Arc<Self>, bytes: u64) -> BytePermit {
        let want = i64::try_from(bytes).unwrap_or(i64::MAX);
        *self.lock() -= want;
        BytePermit { pool: Arc::clone(self), bytes: want }
    }

    /// Waits until `bytes` are free or the time is over; true where they are free (not taken).
    #[must_use]
    pub fn wait_for(&self, bytes: u64, at_most: Duration) -> bool {
        let want = i64::try_from(bytes).unwrap_or(i64::MAX).min(self.size);
        let until = Instant::now() + at_most;
        let mut free = self.lock();
        while *free < want {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            free = self.freed.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Bytes out now.
    #[must_use]
    pub fn used(&self) -> u64 {
        u64::try_from(self.size - *self.lock()).unwrap_or(0)
    }

    /// Bytes of the whole pool.
    #[must_use]
    pub fn size(&self) -> u64 {
        u64::try_from(self.size).unwrap_or(0)
    }
}

/// Bytes taken from a [`BytePool`]; dropping it gives them back.
#[derive(Debug)]
pub struct BytePermit {
    pool: Arc<BytePool>,
    bytes: i64,
}

impl BytePermit {
    /// Changes the permit to `bytes`: gives back, or takes even below zero.
    pub fn resize(&mut self, bytes: u64) {
        let want = i64::try_from(bytes).unwrap_or(i64::MAX);
        let mut free = self.pool.lock();
        *free += self.bytes - want;
        self.bytes = want;
        drop(free);
        self.pool.freed.notify_all();
    }

    /// Moves `bytes` into a permit of their own; what this one does not hold is taken even below zero.
    #[must_use]
    pub fn split(&mut self, bytes: u64) -> Self {
        let want = i64::try_from(bytes).unwrap_or(i64::MAX);
        let own = self.bytes.min(want);
        self.bytes -= own;
        *self.pool.lock() -= want - own;
        Self { pool: Arc::clone(&self.pool), bytes: want }
    }

    /// Bytes it holds.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.bytes).unwrap_or(0)
    }
}

impl Drop for BytePermit {
    fn drop(&mut self) {
        *self.pool.lock() += self.bytes;
        self.pool.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_bound_and_return() {
        let pool = BytePool::new(100);
        let a = pool.try_acquire(60).unwrap();
        assert!(pool.try_acquire(60).is_none());
        let mut b = pool.try_acquire(40).unwrap();
        assert_eq!(pool.used(), 100);
        b.resize(10);
        assert_eq!(pool.used(), 70);
        drop(a);
        assert!(pool.wait_for(90, Duration::from_millis(1)));
        assert!(!pool.wait_for(91, Duration::from_millis(1)));
        drop(b);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn a_split_permit_returns_all() {
        let pool = BytePool::new(100);
        let mut a = pool.try_acquire(60).unwrap();
        let b = a.split(50);
        let c = a.split(20);
        assert_eq!((a.bytes(), b.bytes(), c.bytes(), pool.used()), (0, 50, 20, 70));
        drop((a, b, c));
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn one_oversized_request_goes_alone() {
        let pool = BytePool::new(10);
        let big = pool.try_acquire(50).unwrap();
        assert!(pool.try_acquire(1).is_none());
        drop(big);
        assert!(pool.try_acquire(1).is_some());
    }
}
