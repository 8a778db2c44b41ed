//! The generations of one `<n>.log`, oldest first: `0.log.TIMESTAMP` …, `0.log`. Rotation renames a generation, so
//! it is known by its inode while it is held open, and by its identity after a restart.
//! It must not know records or the network.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use fintail_parsers::container::path::{LogKind, log_name};

use super::file::Generation;
use super::fs;
use super::identity::IdPrefix;
use crate::source::GenerationId;

static NEXT_GENERATION: AtomicU32 = AtomicU32::new(0);

/// Who owns a chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerKey {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Pod name.
    pub pod: String,
    /// Pod UID.
    pub uid: String,
    /// Container name.
    pub container: String,
}

/// The chain.
#[derive(Debug)]
pub struct Chain {
    /// Restart number: the `n` of `<n>.log`.
    pub restart: u32,
    generations: Vec<Generation>,
}

/// What a look at the folder changed.
#[derive(Debug, Default)]
pub struct Seen {
    /// Generations opened now.
    pub opened: Vec<GenerationId>,
    /// Files that could not be opened, with the reason.
    pub unreadable: Vec<(String, io::Error)>,
}

impl Chain {
    /// A chain with no generation yet.
    #[must_use]
    pub fn new(restart: u32) -> Self {
        Self { restart, generations: Vec::new() }
    }

    /// All generations, oldest first.
    #[must_use]
    pub fn generations(&self) -> &[Generation] {
        &self.generations
    }

    /// All generations, oldest first.
    pub fn generations_mut(&mut self) -> &mut [Generation] {
        &mut self.generations
    }

    /// The one that is read now: the oldest that is not passed.
    pub fn current(&mut self) -> Option<&mut Generation> {
        self.generations.iter_mut().find(|g| !g.passed)
    }

    /// Those that are still to be read and have no identity: their first line was not there when it was looked for.
    pub fn unidentified(&self) -> impl Iterator<Item = &Generation> {
        self.generations.iter().filter(|g| !g.passed && g.id_prefix.is_none())
    }

    /// The one after the current, once its first line is there.
    #[must_use]
    pub fn successor(&self) -> Option<GenerationId> {
        let mut rest = self.generations.iter().skip_while(|g| g.passed);
        rest.next()?;
        rest.next().filter(|g| g.id_prefix.is_some()).map(|g| g.id)
    }

    /// All that the files hold was read, but for a line without an end.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.generations.iter().filter(|g| !g.passed).all(Generation::is_read)
    }

    /// Opens what is new among the folder's `names`.
    pub fn look(&mut self, dir: &Path, names: &[String]) -> Seen {
        let mut mine: Vec<(&str, &String)> = names
            .iter()
            .filter_map(|name| {
                let log = log_name(name).filter(|log| log.restart == self.restart)?;
                match log.kind {
                    // Sorts after every time stamp.
                    LogKind::Current => Some(("~", name)),
                    LogKind::Rotated { stamp } => Some((stamp, name)),
                    LogKind::Compressed { .. } | LogKind::Temporary => None,
                }
            })
            .collect();
        mine.sort_unstable();
        let mut seen = Seen::default();
        for (_, name) in mine {
            match self.open_if_new(&dir.join(name)) {
                Ok(Some(id)) => seen.opened.push(id),
                Ok(None) => {}
                // Renamed or deleted between listing and opening: the next look tells.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => seen.unreadable.push((name.clone(), e)),
            }
        }
        seen
    }

    fn open_if_new(&mut self, path: &Path) -> io::Result<Option<GenerationId>> {
        // An inode is trusted only while its file is held open, which all in the chain are.
        let inode = rustix::fs::lstat(path)?.st_ino;
        if self.generations.iter().any(|g| g.inode == inode) {
            return Ok(None);
        }
        let file = fs::open(path)?;
        // The name may have gone over to a file that is open already since it was looked at.
        let inode = fs::stat(&file)?.inode;
        if self.generations.iter().any(|g| g.inode == inode) {
            return Ok(None);
        }
        let id = GenerationId(NEXT_GENERATION.fetch_add(1, Ordering::Relaxed));
        self.generations.push(Generation::new(id, file)?);
        Ok(Some(id))
    }

    /// Gives a generation its identity as soon as its first line is there, and its place in the order of first
    /// lines; returns the identity where it is new.
    ///
    /// # Errors
    /// What `pread` says.
    pub fn identify(&mut self, id: GenerationId, key: &ContainerKey) -> io::Result<Option<IdPrefix>> {
        let restart = self.restart;
        let Some(generation) = self.generations.iter_mut().find(|g| g.id == id && g.id_prefix.is_none())
        else {
            return Ok(None);
        };
        let Some(head) = generation.head()? else { return Ok(None) };
        let prefix = if head.time_len > 0 {
            IdPrefix::of_pod_log(
                &key.uid,
                &key.container,
                restart,
                head.time_text(),
                head.stream.as_str().as_bytes(),
            )
        } else {
            // The first line is unreadable: the file is known by what the file system says of it, which a
            // compression does not survive.
            let place = format!("{} {:?}", generation.inode, generation.birth_ns());
            IdPrefix::of_pod_log(&key.uid, &key.container, restart, place.as_bytes(), b"unreadable")
        };
        generation.id_prefix = Some(prefix);
        if head.time_len > 0 {
            generation.first_time_ns = head.time_ns;
        }
        let unread = self.generations.iter().position(|g| !g.passed && g.read == 0).unwrap_or(0);
        if let Some(unread) = self.generations.get_mut(unread..) {
            unread.sort_by_key(|g| g.first_time_ns);
        }
        Ok(Some(prefix))
    }

    /// Drops generations that `gone` says are over; returns their numbers.
    pub fn retire(&mut self, mut gone: impl FnMut(&Generation) -> bool) -> Vec<GenerationId> {
        let mut retired = Vec::new();
        self.generations.retain(|g| {
            let over = gone(g);
            if over {
                retired.push(g.id);
            }
            !over
        });
        retired
    }
}
