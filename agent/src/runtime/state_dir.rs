//! The state folder: made with mode 0700, one agent in it at a time. It must not know what lies in it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// The kernel's answer.
    #[error("state_dir {path}: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// Another agent holds the lock.
    #[error("state_dir {path}: another agent runs in this folder (the lock on its file `lock` is held)")]
    Taken {
        /// The folder.
        path: PathBuf,
    },
}

/// The lock; dropping it, or dying, frees the folder.
#[derive(Debug)]
pub struct StateDir {
    _lock: File,
}

impl StateDir {
    /// Makes and locks the folder.
    ///
    /// # Errors
    /// It cannot be made or written, or another agent holds it.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        let io = |source| StateDirError::Io { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(io)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StateDirError::Taken { path: path.to_owned() }),
            Err(e) => Err(io(e.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_agent_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let first = StateDir::open(&path).unwrap();
        assert!(matches!(StateDir::open(&path), Err(StateDirError::Taken { .. })));
        drop(first);
        assert!(StateDir::open(&path).is_ok());
    }
}
