//! The file system as the tailer sees it: open without following links or blocking, read at an offset, list.
//! It must not know line formats, chains or offsets' meaning.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};

/// What `stat` says of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    /// Inode number; trusted only while the file is held open.
    pub inode: u64,
    /// Names that it still has; 0 = deleted.
    pub links: u64,
}

/// Opens a log file to read. Links are refused (a container could point one anywhere), and opening never blocks
/// (a FIFO would wait for a writer).
///
/// # Errors
/// `InvalidInput` for anything that is not a regular file; what the kernel says otherwise.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    let fd: OwnedFd = rustix::fs::open(path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&fd)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(File::from(fd))
}

/// Size, inode and link count of an open file.
///
/// # Errors
/// What the kernel says.
#[expect(clippy::useless_conversion, reason = "the width of these differs by platform")]
pub fn stat(file: &File) -> io::Result<Stat> {
    let stat = rustix::fs::fstat(file)?;
    Ok(Stat {
        size: u64::try_from(stat.st_size).unwrap_or(0),
        inode: stat.st_ino.into(),
        links: stat.st_nlink.into(),
    })
}

/// Reads at `offset` until `buf` is full or the file ends; returns the bytes read.
///
/// # Errors
/// What the kernel says; `EINTR` is tried again.
pub fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pread(file, rest, offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(done)
}

/// File names in a folder that are UTF-8 (names of the kubelet always are).
///
/// # Errors
/// What the kernel says.
pub fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}
