//! Owns the bank's pod logs as files: written by the piece, rotated by renaming as the kubelet does it.
//! Must not know: when anything is written, nor who reads it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fintail::demo::bank::{Bank, Options, rfc3339_seconds};

use crate::manifest::SourceEntry;

/// Bytes gathered before a write, for a backlog.
pub const BUFFER_BYTES: usize = 1 << 20;

/// When a log is renamed away, and how many are kept.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// Rename `0.log` when it has grown to this.
    pub size_bytes: u64,
    /// Files to keep a container, `0.log` counted; older ones are removed.
    pub keep_files: usize,
}

impl Rotation {
    /// Only [`Pod::rotate`] rotates, and everything is kept.
    pub const BY_HAND: Self = Self { size_bytes: u64::MAX, keep_files: usize::MAX };
}

/// One container's log on disk.
pub struct Pod {
    bank: Bank,
    folder: PathBuf,
    file: File,
    size: u64,
    buffer: Vec<u8>,
    /// Lines in the buffer.
    lines: usize,
    rotation: Rotation,
    rotated: VecDeque<PathBuf>,
    last_rotation_s: u64,
    /// What was written so far, and what waits for the next flush.
    pub written: SourceEntry,
}

impl Pod {
    /// Makes the container's folder below `root` with an empty `0.log`.
    pub fn create(root: &Path, options: Options, source: u32, rotation: Rotation) -> anyhow::Result<Self> {
        let bank = Bank::new(options, source);
        let folder = root.join(bank.pod().log_dir());
        std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let path = folder.join("0.log");
        let file = File::create_new(&path).with_context(|| format!("create {}", path.display()))?;
        let written = SourceEntry {
            path: format!("{}/0.log", bank.pod().log_dir()),
            pod: bank.pod().name.clone(),
            ..SourceEntry::default()
        };
        Ok(Self {
            bank,
            folder,
            file,
            size: 0,
            buffer: Vec::with_capacity(BUFFER_BYTES + (64 << 10)),
            lines: 0,
            rotation,
            rotated: VecDeque::new(),
            last_rotation_s: 0,
            written,
        })
    }

    /// Share of the fleet's bytes that is this pod's.
    pub fn weight(&self) -> f64 {
        self.bank.weight()
    }

    /// Bytes made and not yet written.
    pub fn unwritten_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Lines made and not yet written.
    pub fn unwritten_lines(&self) -> usize {
        self.lines
    }

    /// Makes the next event, as it is written at `now_ns`; the next flush writes it.
    pub fn step(&mut self, now_ns: u64) {
        let before = self.buffer.len();
        let step = self.bank.next(now_ns, &mut self.buffer);
        self.written.events += u64::from(step.events);
        self.written.planted += u64::from(step.planted);
        self.written.lines += u64::from(step.lines);
        self.written.bytes += (self.buffer.len() - before) as u64;
        self.lines += step.lines as usize;
    }

    /// Writes what was made, at most `lines_per_write` lines a call, and rotates between calls.
    pub fn flush(&mut self, lines_per_write: usize, now_ns: u64) -> anyhow::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let mut from = 0;
        while from < buffer.len() {
            let room = self.rotation.size_bytes.saturating_sub(self.size);
            let rest = buffer.get(from..).unwrap_or_default();
            let mut ends = memchr::memchr_iter(b'\n', rest).map(|at| at + 1);
            let end = if lines_per_write == usize::MAX && rest.len() as u64 <= room {
                rest.len()
            } else {
                // The line that goes over the size still belongs to the old file, as the kubelet looks later.
                let mut taken = 0;
                while taken < rest.len() {
                    let Some(end) = ends.by_ref().take(lines_per_write.min(64)).last() else { break };
                    taken = end;
                    if lines_per_write != usize::MAX || taken as u64 >= room {
                        break;
                    }
                }
                taken
            };
            self.file.write_all(rest.get(..end).unwrap_or_default()).context("write log")?;
            self.size += end as u64;
            from += end;
            if self.size >= self.rotation.size_bytes {
                self.rotate(now_ns)?;
            }
        }
        self.buffer = buffer;
        self.buffer.clear();
        self.lines = 0;
        Ok(())
    }

    /// What the kubelet does: rename 0.log to 0.log.YYYYMMDD-HHMMSS, let the runtime open a new one, remove the oldest.
    pub fn rotate(&mut self, now_ns: u64) -> anyhow::Result<()> {
        // The kubelet's names have whole seconds; two rotations in one second would overwrite each other.
        self.last_rotation_s = (now_ns / 1_000_000_000).max(self.last_rotation_s + 1);
        let current = self.folder.join("0.log");
        let aside = self.folder.join(format!("0.log.{}", compact_time(self.last_rotation_s)));
        std::fs::rename(&current, &aside).with_context(|| format!("rename {}", current.display()))?;
        self.file = File::create_new(&current).with_context(|| format!("create {}", current.display()))?;
        self.size = 0;
        self.written.rotations += 1;
        self.rotated.push_back(aside);
        while self.rotated.len() + 1 > self.rotation.keep_files {
            let Some(oldest) = self.rotated.pop_front() else { break };
            std::fs::remove_file(&oldest).with_context(|| format!("remove {}", oldest.display()))?;
        }
        Ok(())
    }
}

/// `20261123-080102`, UTC.
fn compact_time(seconds: u64) -> String {
    let mut text = Vec::new();
    rfc3339_seconds(seconds, &mut text);
    let text = String::from_utf8_lossy(&text);
    text.chars().filter_map(|c| if c == 'T' { Some('-') } else { c.is_ascii_digit().then_some(c) }).collect()
}
