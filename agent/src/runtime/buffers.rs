//! Frame buffers that are used again: fresh memory costs a page fault and a cleared page every 4 KiB, which was a
//! quarter of the whole path. It must not know what the buffers hold.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers of one capacity.
pub struct BufferPool {
    free: Mutex<Vec<Vec<u8>>>,
    capacity: usize,
    keep: usize,
}

impl BufferPool {
    /// Hands out buffers of `capacity` bytes and keeps at most `keep` that are not in use.
    #[must_use]
    pub fn new(capacity: usize, keep: usize) -> Arc<Self> {
        Arc::new(Self { free: Mutex::new(Vec::new()), capacity, keep })
    }

    /// An empty buffer.
    #[must_use]
    pub fn take(&self) -> Vec<u8> {
        let used = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        used.unwrap_or_else(|| Vec::with_capacity(self.capacity))
    }

    /// Takes a buffer back; one that grew is freed.
    pub fn give_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() == self.capacity {
            buffer.clear();
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            if free.len() < self.keep {
                free.push(buffer);
            }
        }
    }

    /// The content as shared bytes; the buffer comes back when the last of them is dropped.
    #[must_use]
    pub fn freeze(self: &Arc<Self>, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, pool: Arc::clone(self) })
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

struct Lent {
    buffer: Vec<u8>,
    pool: Arc<BufferPool>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_with_the_last_reader() {
        let pool = BufferPool::new(100, 1);
        let mut buffer = pool.take();
        buffer.extend_from_slice(b"abc");
        let at = buffer.as_ptr();
        let bytes = pool.freeze(buffer);
        let slice = bytes.slice(1..);
        drop(bytes);
        assert_eq!(slice, "bc");
        let other = pool.take();
        assert_ne!(other.as_ptr(), at, "still lent");
        drop(slice);
        let again = pool.take();
        assert_eq!((again.as_ptr(), again.len()), (at, 0));
        let mut grown = pool.take();
        grown.resize(1_000, 0);
        pool.give_back(grown);
        assert_eq!(pool.take().capacity(), 100);
    }
}
