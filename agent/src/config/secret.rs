//! Secrets live in files: read when needed, wiped when dropped, never printed.
//! Must not know what a secret is for.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::limits::SECRET_MAX_BYTES;

/// Bytes that are wiped on drop and print as `***`.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret itself.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text, if it is UTF-8.
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a secret could not be had. Names the path, never the content.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be opened or read.
    #[error("secret file {path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A folder, FIFO or device.
    #[error("secret file {path} is no regular file", path = .path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Fewer bytes than needed; 1 for any secret, more for keys.
    #[error("secret file {path} holds {found} bytes, at least {min_bytes} are needed", path = .path.display())]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Bytes found.
        found: usize,
        /// Bytes needed.
        min_bytes: usize,
    },
    /// More than [`SECRET_MAX_BYTES`].
    #[error("secret file {path} is longer than {SECRET_MAX_BYTES} bytes", path = .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
}

/// A secret's place. Nothing is kept: each [`read`](Self::read) sees the file as it is now, so a rotated
/// Kubernetes secret (a swapped symlink) holds from the next use on.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretFile(PathBuf);

impl SecretFile {
    /// The secret in the file at `path`; the file is not looked at before [`read`](Self::read).
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file's content now, one line end at its end cut off (editors and `echo` leave it).
    ///
    /// # Errors
    /// Unreadable, no regular file, empty, or longer than [`SECRET_MAX_BYTES`].
    pub fn read(&self) -> Result<Secret, SecretError> {
        self.read_at_least(1)
    }

    /// As [`read`](Self::read), for keys that must not be short.
    ///
    /// # Errors
    /// As [`read`](Self::read), and shorter than `min_bytes`.
    pub fn read_at_least(&self, min_bytes: usize) -> Result<Secret, SecretError> {
        let path = || self.0.clone();
        let io = |source| SecretError::Io { path: path(), source };
        // Without O_NONBLOCK the open of a FIFO waits for its writer.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&self.0).map_err(io)?;
        if !file.metadata().map_err(io)?.is_file() {
            return Err(SecretError::NotAFile { path: path() });
        }
        // Full size at once: a growing Vec would leave unwiped copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_MAX_BYTES + 1));
        file.take(SECRET_MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() > SECRET_MAX_BYTES {
            return Err(SecretError::TooLong { path: path() });
        }
        if bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        if bytes.len() < min_bytes {
            return Err(SecretError::TooShort { path: path(), found: bytes.len(), min_bytes });
        }
        Ok(Secret(bytes))
    }
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretFile({})", self.0.display())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_file_holds_now_and_prints_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, "hunter2\r\n").unwrap();
        let file = SecretFile::new(&path);
        let secret = file.read().unwrap();
        assert_eq!(secret.expose_str(), Some("hunter2"));
        assert_eq!(format!("{secret:?}"), "***");
        std::fs::write(&path, "hunter3").unwrap();
        assert_eq!(file.read().unwrap().expose(), b"hunter3");
    }

    #[test]
    fn refuses_what_cannot_be_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let file = SecretFile::new(&path);
        assert!(matches!(file.read(), Err(SecretError::Io { .. })));
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(file.read(), Err(SecretError::TooShort { found: 0, .. })));
        std::fs::write(&path, vec![b'x'; 31]).unwrap();
        assert!(matches!(
            file.read_at_least(32),
            Err(SecretError::TooShort { found: 31, min_bytes: 32, .. })
        ));
        std::fs::write(&path, vec![b'x'; SECRET_MAX_BYTES + 1]).unwrap();
        assert!(matches!(file.read(), Err(SecretError::TooLong { .. })));
        assert!(matches!(SecretFile::new(dir.path()).read(), Err(SecretError::NotAFile { .. })));
        let fifo = dir.path().join("fifo");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(matches!(SecretFile::new(fifo).read(), Err(SecretError::NotAFile { .. })));
    }
}
