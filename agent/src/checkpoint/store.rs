//! The checkpoint's file: written beside, synced, renamed, folder synced; the one before is kept.
//! It must not know what the content means.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Checkpoint;

const MAGIC: &str = "fintail-checkpoint";
const VERSION: u32 = 1;

/// Why a file is no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The kernel's answer.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// Torn or changed bytes.
    #[error("{path}: damaged ({what})")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// Written by another version.
    #[error("{path}: format version {version}, this agent writes {VERSION}")]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

/// The store in one state folder.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// In this folder, which must exist.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The newest whole checkpoint; `None` at the first start. What was wrong with a newer file is told to `warn`.
    ///
    /// # Errors
    /// Neither file can be used, and at least one exists: starting from nothing would send everything again.
    pub fn load(&self, mut warn: impl FnMut(&Unreadable)) -> Result<Option<Checkpoint>, Unreadable> {
        let mut worst = None;
        for name in ["checkpoint", "checkpoint.before"] {
            match read(&self.path(name)) {
                Ok(Some(checkpoint)) => return Ok(Some(checkpoint)),
                Ok(None) => {}
                Err(e) => {
                    warn(&e);
                    worst.get_or_insert(e);
                }
            }
        }
        worst.map_or(Ok(None), Err)
    }

    /// Replaces the checkpoint; when this returns, it is on disk.
    ///
    /// # Errors
    /// What the kernel says; the old checkpoint still stands then.
    pub fn save(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let body = serde_json::to_vec(checkpoint)?;
        let head = format!("{MAGIC} {VERSION} {:08x}\n", crc32c::crc32c(&body));
        let (new, now, before) =
            (self.path("checkpoint.new"), self.path("checkpoint"), self.path("checkpoint.before"));
        let mut file = File::create(&new)?;
        file.write_all(head.as_bytes())?;
        file.write_all(&body)?;
        file.sync_all()?;
        match fs::rename(&now, &before) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        fs::rename(&new, &now)?;
        // The names themselves are only on disk once the folder is.
        File::open(&self.dir)?.sync_all()
    }
}

fn read(path: &Path) -> Result<Option<Checkpoint>, Unreadable> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Unreadable::Io { path: path.to_owned(), source }),
    };
    let damaged = |what| Unreadable::Damaged { path: path.to_owned(), what };
    let end = memchr::memchr(b'\n', &bytes).ok_or(damaged("no head"))?;
    let (head, body) = bytes.split_at_checked(end + 1).ok_or(damaged("no head"))?;
    let head = std::str::from_utf8(head).map_err(|_| damaged("no head"))?;
    let mut words = head.split_whitespace();
    if words.next() != Some(MAGIC) {
        return Err(damaged("no head"));
    }
    let version = words.next().and_then(|w| w.parse().ok()).ok_or(damaged("no version"))?;
    if version != VERSION {
        return Err(Unreadable::Version { path: path.to_owned(), version });
    }
    let crc = words.next().and_then(|w| u32::from_str_radix(w, 16).ok());
    if crc != Some(crc32c::crc32c(body)) {
        return Err(damaged("checksum"));
    }
    // The text of serde's errors would print values; the place is enough.
    serde_json::from_slice(body).map(Some).map_err(|_| damaged("content"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(mark: u64) -> Checkpoint {
        Checkpoint {
            marks: [("0123456789ABCDEF".to_owned(), [mark, 0])].into(),
            write_index: [("logs-a-b".to_owned(), ".ds-logs-a-b-000001".to_owned())].into(),
        }
    }

    #[test]
    fn keeps_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        assert_eq!(store.load(|_| ()).unwrap(), None);
        store.save(&checkpoint(1)).unwrap();
        store.save(&checkpoint(2)).unwrap();
        assert_eq!(store.load(|_| ()).unwrap(), Some(checkpoint(2)));
        fs::write(dir.path().join("checkpoint"), b"").unwrap();
        assert_eq!(store.load(|_| ()).unwrap(), Some(checkpoint(1)));
    }

    #[test]
    fn every_torn_or_flipped_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        store.save(&checkpoint(7)).unwrap();
        let path = dir.path().join("checkpoint");
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            fs::write(&path, &whole[..at]).unwrap();
            assert!(store.load(|_| ()).is_err(), "torn at {at}");
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped).unwrap();
            assert_ne!(store.load(|_| ()).ok().flatten(), Some(checkpoint(8)));
            assert!(!matches!(store.load(|_| ()), Ok(Some(c)) if c != checkpoint(7)), "flipped at {at}");
        }
        assert!(store.load(|_| ()).is_err());
    }
}
