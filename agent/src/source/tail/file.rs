//! One generation: an open log file, read in whole lines from its mark to its end.
//! It must not know its name, its chain, or what the lines say beyond the head of the first.

use std::fs::File;
use std::io;

use fintail_parsers::container::cri;

use super::fs;
use super::identity::IdPrefix;
use crate::source::{GenerationId, LongLine};

/// Room for the container runtime's frame before the text of a long line.
const FRAME_BYTES: u64 = 128;
/// The head of a file that is looked at for its identity.
const HEAD_BYTES: usize = 128;
/// A line without an end is searched this far in one turn.
const SEARCH_BYTES: u64 = 4 * 1024 * 1024;

/// What the first line of a file says of who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Length in bytes of the time text that the file begins with; 0 where the first line is no CRI line.
    pub time_len: u8,
    /// stdout or stderr.
    pub stream: cri::Stream,
    /// The time, ns since 1970.
    pub time_ns: i64,
    /// The first bytes.
    bytes: [u8; HEAD_BYTES],
}

impl Head {
    /// The text of the first time.
    #[must_use]
    pub fn time_text(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.time_len)).unwrap_or_default()
    }
}

/// An open generation.
#[derive(Debug)]
pub struct Generation {
    /// Its number in this process.
    pub id: GenerationId,
    /// First characters of its events' ids, once its first line is there.
    pub id_prefix: Option<IdPrefix>,
    /// Time of its first line; `i64::MAX` until that is known.
    pub first_time_ns: i64,
    /// Where the next read begins.
    pub read: u64,
    /// Lines of a stream that begin below are answered for.
    pub skip_below: [u64; 2],
    /// Bytes below were in the file when the agent started and may have been sent before.
    pub replay_below: u64,
    /// Inode, valid while the file is open.
    pub inode: u64,
    /// Its lines were all read, and the chain went on to its successor.
    pub passed: bool,
    file: File,
    /// No line end lies between `read` and here.
    searched: u64,
}

/// What one read gave.
#[derive(Debug)]
pub enum Piece {
    /// `bytes` of the buffer hold whole lines; `more` may follow at once.
    Lines {
        /// Length in the buffer.
        bytes: usize,
        /// Offset of the first byte.
        offset: u64,
        /// The buffer was filled.
        more: bool,
    },
    /// `bytes` of the buffer are the head of one long line.
    Long {
        /// Length in the buffer.
        bytes: usize,
        /// Offset of the first byte.
        offset: u64,
        /// Its whole length.
        line: LongLine,
    },
    /// A long line's end is still being searched; come back.
    Searching,
    /// Nothing new.
    Nothing,
}

impl Generation {
    /// Takes an open file over.
    ///
    /// # Errors
    /// What `fstat` says.
    pub fn new(id: GenerationId, file: File) -> io::Result<Self> {
        let stat = fs::stat(&file)?;
        Ok(Self {
            id,
            id_prefix: None,
            first_time_ns: i64::MAX,
            read: 0,
            skip_below: [0; 2],
            replay_below: 0,
            inode: stat.inode,
            passed: false,
            file,
            searched: 0,
        })
    }

    /// The head of the file; `None` while too little is there to tell.
    ///
    /// # Errors
    /// What `pread` says.
    pub fn head(&self) -> io::Result<Option<Head>> {
        let mut bytes = [0; HEAD_BYTES];
        let n = fs::read_at(&self.file, &mut bytes, 0)?;
        let head = bytes.get(..n).unwrap_or_default();
        let line_end = memchr::memchr(b'\n', head);
        let line = head.get(..line_end.unwrap_or(n)).unwrap_or_default();
        Ok(match cri::parse(line) {
            Some(line) => {
                Some(Head { time_len: line.time_len, stream: line.stream, time_ns: line.time_ns, bytes })
            }
            // A whole line or a full head that is no CRI line never will be one.
            None if line_end.is_some() || n == HEAD_BYTES => {
                Some(Head { time_len: 0, stream: cri::Stream::Stdout, time_ns: 0, bytes: [0; HEAD_BYTES] })
            }
            None => None,
        })
    }

    /// Birth time of the file, ns since 1970, where the file system keeps it.
    #[must_use]
    pub fn birth_ns(&self) -> Option<i64> {
        let created = self.file.metadata().ok()?.created().ok()?;
        let since = created.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_nanos()).ok()
    }

    /// Size and links now.
    ///
    /// # Errors
    /// What `fstat` says.
    pub fn stat(&self) -> io::Result<fs::Stat> {
        fs::stat(&self.file)
    }

    /// The open file, to be watched.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Goes back: lines of a stream below its offset in `skip_below` are passed over.
    pub fn rewind(&mut self, skip_below: [u64; 2]) {
        self.skip_below = skip_below;
        self.read = skip_below[0].min(skip_below[1]);
        self.searched = self.read;
    }

    /// No line end lies between `read` and here.
    #[must_use]
    pub fn searched(&self) -> u64 {
        self.searched
    }

    /// The file holds no whole line behind `read`.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.stat().is_ok_and(|s| s.size <= self.searched.max(self.read))
            || matches!(self.newline_after(self.searched.max(self.read)), Ok(None))
    }

    /// Where the last whole line ends.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn last_line_end(&self) -> io::Result<u64> {
        let mut end = self.stat()?.size;
        let mut buffer = [0; 4096];
        while end > 0 {
            let from = end.saturating_sub(buffer.len() as u64);
            let n = fs::read_at(&self.file, &mut buffer, from)?.min(usize::try_from(end - from).unwrap_or(0));
            if let Some(at) = memchr::memrchr(b'\n', buffer.get(..n).unwrap_or_default()) {
                return Ok(from + at as u64 + 1);
            }
            end = from;
        }
        Ok(0)
    }

    /// Where the first line begins that is not older than `since_ns`. Times ascend in a log, so the place is found
    /// by halving.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn first_line_since(&self, since_ns: i64) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.stat()?.size);
        // Invariant: lines that begin below `low` are older; the line at or after `high` is not.
        while low < high {
            let middle = low + (high - low) / 2;
            match self.line_after(middle)? {
                Some((_, time_ns, end)) if time_ns < since_ns => low = end,
                _ => high = middle,
            }
        }
        Ok(self.line_after(low)?.map_or(low, |(start, ..)| start))
    }

    /// The first CRI line that begins at or after `offset`: begin, time, end.
    fn line_after(&self, offset: u64) -> io::Result<Option<(u64, i64, u64)>> {
        let mut start = if offset == 0 { Some(0) } else { self.newline_after(offset - 1)? };
        while let Some(begin) = start {
            let mut head = [0; HEAD_BYTES];
            let n = fs::read_at(&self.file, &mut head, begin)?;
            let head = head.get(..n).unwrap_or_default();
            let line = memchr::memchr(b'\n', head).and_then(|end| head.get(..end)).unwrap_or(head);
            let next = self.newline_after(begin)?;
            if let (Some(line), Some(end)) = (cri::parse(line), next) {
                return Ok(Some((begin, line.time_ns, end)));
            }
            start = next;
        }
        Ok(None)
    }

    /// One past the first line end at or after `offset`.
    fn newline_after(&self, offset: u64) -> io::Result<Option<u64>> {
        let mut at = offset;
        let mut buffer = [0; 4096];
        loop {
            let n = fs::read_at(&self.file, &mut buffer, at)?;
            if n == 0 {
                return Ok(None);
            }
            if let Some(found) = memchr::memchr(b'\n', buffer.get(..n).unwrap_or_default()) {
                return Ok(Some(at + found as u64 + 1));
            }
            at += n as u64;
        }
    }

    /// Reads whole lines into `buffer`, at most `quantum` bytes; a longer line alone, its head up to `line_bytes`.
    /// `ended`: nobody writes any more, so what stands after the last line end is a line too.
    ///
    /// # Errors
    /// What `pread` says.
    pub fn read(
        &mut self,
        buffer: &mut Vec<u8>,
        quantum: usize,
        line_bytes: u64,
        ended: bool,
    ) -> io::Result<Piece> {
        if buffer.len() < quantum {
            buffer.resize(quantum, 0);
        }
        let offset = self.read;
        let Some(space) = buffer.get_mut(..quantum) else { return Ok(Piece::Nothing) };
        let n = fs::read_at(&self.file, space, offset)?;
        let full = n == quantum;
        let read = space.get(..n).unwrap_or_default();
        let whole = match memchr::memrchr(b'\n', read) {
            Some(last) => last + 1,
            None if full => return self.long(buffer, offset, line_bytes, ended),
            None if ended => n,
            None => 0,
        };
        if whole == 0 {
            return Ok(Piece::Nothing);
        }
        // An ended file's last line without an end comes with its next turn.
        self.read = offset + whole as u64;
        self.searched = self.read;
        Ok(Piece::Lines { bytes: whole, offset, more: full })
    }

    /// A line that fills the buffer: its end is searched a bounded way a turn, then its head is read.
    fn long(&mut self, buffer: &mut Vec<u8>, offset: u64, line_bytes: u64, ended: bool) -> io::Result<Piece> {
        let until = self.searched.max(offset) + SEARCH_BYTES;
        let mut at = self.searched.max(offset);
        let (end, has_newline) = loop {
            let n = fs::read_at(&self.file, buffer, at)?;
            if let Some(found) = memchr::memchr(b'\n', buffer.get(..n).unwrap_or_default()) {
                break (at + found as u64, true);
            }
            at += n as u64;
            self.searched = at;
            match n {
                0 if ended => break (at, false),
                0 => return Ok(Piece::Nothing),
                _ if at >= until => return Ok(Piece::Searching),
                _ => {}
            }
        };
        let text = end - offset;
        let head = usize::try_from(text.min(line_bytes + FRAME_BYTES)).unwrap_or(usize::MAX);
        if buffer.len() < head {
            buffer.resize(head, 0);
        }
        let bytes = fs::read_at(&self.file, buffer.get_mut(..head).unwrap_or_default(), offset)?;
        let raw_bytes = text + u64::from(has_newline);
        self.read = offset + raw_bytes;
        self.searched = self.read;
        let line = LongLine { raw_bytes, cut_bytes: text - bytes as u64 };
        Ok(Piece::Long { bytes, offset, line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn generation(bytes: &[u8]) -> (Generation, File) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut writer = File::create(&path).unwrap();
        writer.write_all(bytes).unwrap();
        (Generation::new(GenerationId(1), fs::open(&path).unwrap()).unwrap(), writer)
    }

    fn lines(g: &mut Generation, quantum: usize, ended: bool) -> Vec<String> {
        let mut buffer = Vec::new();
        let mut out = Vec::new();
        loop {
            match g.read(&mut buffer, quantum, 64, ended).unwrap() {
                Piece::Lines { bytes, .. } => {
                    out.push(String::from_utf8(buffer[..bytes].to_vec()).unwrap());
                }
                Piece::Long { bytes, line, .. } => out.push(format!("{bytes}+{}", line.cut_bytes)),
                Piece::Searching => {}
                Piece::Nothing => return out,
            }
        }
    }

    #[test]
    fn only_whole_lines_until_the_end() {
        let (mut g, mut writer) = generation(b"one\ntwo\nthr");
        assert_eq!(lines(&mut g, 100, false), ["one\ntwo\n"]);
        writer.write_all(b"ee\nfour").unwrap();
        assert_eq!(lines(&mut g, 100, false), ["three\n"]);
        assert_eq!(lines(&mut g, 100, true), ["four"]);
        assert_eq!(g.read, 18);
    }

    #[test]
    fn a_line_longer_than_the_buffer_comes_alone_and_cut() {
        let long = "x".repeat(1_000);
        let (mut g, _writer) = generation(format!("a\n{long}\nb\n").as_bytes());
        let kept = 64 + FRAME_BYTES;
        assert_eq!(
            lines(&mut g, 50, false),
            ["a\n".into(), format!("{kept}+{}", 1_000 - kept), "b\n".into()]
        );
    }

    #[test]
    fn a_long_line_without_end_waits() {
        let (mut g, mut writer) = generation("y".repeat(300).as_bytes());
        assert!(lines(&mut g, 50, false).is_empty());
        assert_eq!(g.read, 0);
        writer.write_all(b"\nz\n").unwrap();
        assert_eq!(lines(&mut g, 50, false), ["192+108", "z\n"]);
    }

    #[test]
    fn heads() {
        assert_eq!(generation(b"2026-11-23T08:01").0.head().unwrap(), None);
        let head = generation(b"2026-11-23T08:01:02.5Z stderr P x").0.head().unwrap().unwrap();
        assert_eq!((head.time_text(), head.stream), (&b"2026-11-23T08:01:02.5Z"[..], cri::Stream::Stderr));
        assert_eq!(generation(b"no cri line\n").0.head().unwrap().unwrap().time_len, 0);
    }
}
