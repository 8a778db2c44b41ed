//! Refused documents on disk: one JSON line each, with the server's reason and the redacted body.
//! It must not know why a document is refused or what happens to the rest of its frame.
//!
//! `dead_letters.ndjson` is only appended to. A line counts when it is on disk (`fdatasync`) with its line end; a
//! torn last line belongs to a document that was not settled, and is cut off at the next start. A document that a
//! replay brings again is there once: its hash is remembered, 8 bytes a letter.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

const FILE: &str = "dead_letters.ndjson";

/// One refused document. No `Debug`: it holds one.
#[derive(Serialize, Deserialize)]
pub struct DeadLetter {
    /// When it was refused, ms since 1970.
    pub time_ms: u64,
    /// Where it was to go.
    pub data_stream: String,
    /// Its `_id`.
    pub id: String,
    /// The status of the refusal.
    pub status: u16,
    /// The server's error type.
    pub error: String,
    /// The server's words.
    pub reason: String,
    /// The redacted document; a JSON string where it is no JSON.
    pub document: Box<RawValue>,
}

impl DeadLetter {
    /// The document of a frame as a JSON value.
    pub(super) fn document(source: &[u8]) -> Box<RawValue> {
        let text = String::from_utf8_lossy(source);
        if let Ok(document) = serde_json::from_str::<Box<RawValue>>(&text) {
            return document;
        }
        serde_json::value::to_raw_value(&*text).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}

/// Why documents could not be put away; none of them was.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeadLetterError {
    #[error("the dead-letter store is full ({0} bytes); replay or purge it, or raise limits.dead_letters")]
    Full(u64),
    #[error("the dead-letter store cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// The store, open for appending.
#[derive(Debug)]
pub(super) struct DeadLetters {
    file: File,
    bytes: u64,
    max_bytes: u64,
    count: u64,
    known: HashSet<u64>,
}

fn hash(data_stream: &str, id: &str) -> u64 {
    xxh3_64(format!("{data_stream}/{id}").as_bytes())
}

impl DeadLetters {
    /// Opens the store, counts what it holds and cuts a torn last line off.
    ///
    /// # Errors
    /// Where folder or file cannot be made, read or written.
    pub(super) fn open(dir: &Path, max_bytes: u64) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut options = OpenOptions::new();
        let path = dir.join(FILE);
        let file = options.read(true).append(true).create(true).mode(0o600).open(path)?;
        File::open(dir)?.sync_all()?;
        #[derive(Deserialize)]
        struct Key {
            data_stream: String,
            id: String,
        }
        let (mut bytes, mut count, mut known) = (0, 0, HashSet::new());
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            if read == 0 || !line.ends_with(b"\n") {
                break;
            }
            bytes += read as u64;
            count += 1;
            if let Ok(key) = serde_json::from_slice::<Key>(&line) {
                known.insert(hash(&key.data_stream, &key.id));
            }
        }
        file.set_len(bytes)?;
        Ok(Self { file, bytes, max_bytes, count, known })
    }

    /// Documents that it holds.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Puts letters away, all or none, and returns when they are on disk.
    ///
    /// # Errors
    /// Where there is no room for all of them, or the disk fails; the file is then as before.
    pub(super) fn append(&mut self, letters: &[DeadLetter]) -> Result<(), DeadLetterError> {
        let mut lines = Vec::new();
        let mut new = Vec::new();
        for letter in letters {
            let hash = hash(&letter.data_stream, &letter.id);
            if !self.known.contains(&hash) {
                serde_json::to_writer(&mut lines, letter).map_err(io::Error::from)?;
                lines.push(b'\n');
                new.push(hash);
            }
        }
        let after = self.bytes + lines.len() as u64;
        if after > self.max_bytes {
            return Err(DeadLetterError::Full(self.max_bytes));
        }
        if let Err(error) = self.write(&lines) {
            // A half-written line must not be in front of the next one.
            self.file.set_len(self.bytes)?;
            return Err(error.into());
        }
        self.bytes = after;
        self.count += new.len() as u64;
        self.known.extend(new);
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::End(0))?;
        let mut writer = BufWriter::new(&self.file);
        writer.write_all(lines)?;
        writer.flush()?;
        drop(writer);
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: &str, source: &[u8]) -> DeadLetter {
        DeadLetter {
            time_ms: 1,
            data_stream: "logs-a-b".into(),
            id: id.into(),
            status: 400,
            error: "mapper_parsing_exception".into(),
            reason: "failed to parse field [n]".into(),
            document: DeadLetter::document(source),
        }
    }

    #[test]
    fn letters_survive_and_a_torn_line_does_not() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("dead_letters");
        let mut store = DeadLetters::open(&dir, 1 << 20).unwrap();
        store.append(&[letter("1", br#"{"a":1}"#), letter("2", b"no \xff json")]).unwrap();
        drop(store);
        let path = dir.join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let whole = std::fs::read(&path).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"time_ms\":").unwrap();
        let store = DeadLetters::open(&dir, 1 << 20).unwrap();
        assert_eq!(store.count(), 2);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        let read: Vec<DeadLetter> =
            whole.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        assert_eq!(read[0].document.get(), r#"{"a":1}"#);
        assert_eq!(read[1].document.get(), "\"no \u{fffd} json\"");
    }

    #[test]
    fn a_replayed_document_is_there_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = DeadLetters::open(dir.path(), 1 << 20).unwrap();
        store.append(&[letter("1", b"{}")]).unwrap();
        drop(store);
        let mut store = DeadLetters::open(dir.path(), 1 << 20).unwrap();
        store.append(&[letter("1", b"{}"), letter("2", b"{}")]).unwrap();
        assert_eq!(store.count(), 2);
        assert_eq!(std::fs::read(dir.path().join(FILE)).unwrap().lines().count(), 2);
    }

    #[test]
    fn a_full_store_takes_all_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = DeadLetters::open(dir.path(), 400).unwrap();
        store.append(&[letter("1", b"{}")]).unwrap();
        let two = [letter("2", b"{}"), letter("3", b"{}")];
        assert!(matches!(store.append(&two), Err(DeadLetterError::Full(400))));
        assert_eq!(store.count(), 1);
        assert_eq!(DeadLetters::open(dir.path(), 400).unwrap().count(), 1);
    }
}
