//! inotify for container folders and idle files: tells which of them changed. Events only set a dirty bit; the
//! sweep is the truth. It must not know what a change means.
//!
//! Not through `notify`: its mask holds MODIFY, OPEN and ATTRIB of every child, and on 10⁶ writes of 300 B over 200
//! files that cost 1.7 s of our CPU and as much of the writers'. A file here is watched only while it is idle, and
//! once.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

const FOLDER: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::ONLYDIR);

/// What is watched, in the words of the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Watched<F, I> {
    /// A folder's names changed.
    Folder(F),
    /// An idle file was written to; the watch is gone.
    Idle(I),
}

/// One inotify instance.
#[derive(Debug)]
pub struct Watcher<F, I> {
    fd: Option<OwnedFd>,
    watched: HashMap<i32, Watched<F, I>>,
    exhausted: bool,
}

impl<F: Copy, I: Copy> Default for Watcher<F, I> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Copy, I: Copy> Watcher<F, I> {
    /// A new instance; without one (`max_user_instances`) the watcher tells of nothing and says so.
    #[must_use]
    pub fn new() -> Self {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok();
        Self { exhausted: fd.is_none(), fd, watched: HashMap::new() }
    }

    /// Watches ran out: what is not watched must be looked at by polling.
    #[must_use]
    pub fn exhausted(&self) -> bool {
        self.exhausted
    }

    /// To be waited on.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(|fd| std::os::fd::AsFd::as_fd(fd))
    }

    /// Watches the names of a folder.
    ///
    /// # Errors
    /// What the kernel says; `ENOSPC` also marks the watcher as exhausted.
    pub fn folder(&mut self, path: &Path, key: F) -> io::Result<()> {
        self.add(path, FOLDER, Watched::Folder(key))
    }

    /// Watches an open file for its next write. By its descriptor: the name may belong to another file by now.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn idle(&mut self, file: &File, key: I) -> io::Result<()> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        self.add(Path::new(&path), WatchFlags::MODIFY | WatchFlags::ONESHOT, Watched::Idle(key))
    }

    fn add(&mut self, path: &Path, flags: WatchFlags, watched: Watched<F, I>) -> io::Result<()> {
        let Some(fd) = &self.fd else { return Err(io::ErrorKind::Unsupported.into()) };
        match inotify::add_watch(fd, path, flags) {
            Ok(wd) => {
                self.watched.insert(wd, watched);
                Ok(())
            }
            Err(e) => {
                self.exhausted |= e == rustix::io::Errno::NOSPC || e == rustix::io::Errno::NOMEM;
                Err(e.into())
            }
        }
    }

    /// Passes on what changed since the last call; false where the kernel's queue overflowed and anything may have.
    pub fn events(&mut self, mut on: impl FnMut(Watched<F, I>)) -> bool {
        let Some(fd) = &self.fd else { return true };
        let mut buffer = [MaybeUninit::uninit(); 8 * 1024];
        let mut reader = inotify::Reader::new(fd, &mut buffer);
        let mut complete = true;
        while let Ok(event) = reader.next() {
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                complete = false;
            } else if event.events().contains(ReadFlags::IGNORED) {
                self.watched.remove(&event.wd());
            } else if let Some(&watched) = self.watched.get(&event.wd()) {
                on(watched);
            }
        }
        complete
    }
}
