//! Waiting of plain threads: for descriptors, or for another thread that wakes them. It must not know for what.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// Wakes a thread that waits in `poll`.
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    /// A waker of its own.
    ///
    /// # Errors
    /// No more descriptors.
    pub fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?)))
    }
    /// Ends the wait, now or the next one.
    pub fn wake(&self) {
        // A full counter wakes too.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
    /// To be waited on.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
    /// Forgets wakes so far.
    pub fn clear(&self) {
        let _ = rustix::io::read(&self.0, &mut [0u8; 8][..]);
    }
}

/// Waits until one of the descriptors is readable or the time is over.
pub fn wait(fds: &[BorrowedFd<'_>], at_most: Duration) {
    let mut fds: Vec<PollFd<'_>> =
        fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let timeout = Timespec::try_from(at_most).ok();
    // An interrupted wait is a short wait.
    let _ = poll(&mut fds, timeout.as_ref());
}
