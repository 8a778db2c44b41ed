//! Owns the bank's pods at work: a thread that writes their log files at a rate, rotates them, brings a pod up late.
//! Must not know: who reads the files.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::bank::{Bank, Options, rfc3339_seconds};
use crate::runtime::shard::now_ns;

/// How often the writer looks how much is due.
const TICK: Duration = Duration::from_millis(10);
/// Each pod's log is rotated this often while the plan's time runs.
const ROTATIONS: u64 = 2;

/// What to write.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The fleet.
    pub options: Options,
    /// Pod log root, as `/var/log/pods`.
    pub root: PathBuf,
    /// CRI bytes a second over all pods.
    pub bytes_per_s: u64,
    /// For how long it is meant; the last pod comes up after a third of it.
    pub time: Duration,
}

/// What happened to a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A new pod writes its first line.
    Appeared {
        /// `namespace/pod`.
        pod: String,
    },
    /// `0.log` was renamed and begun again.
    Rotated {
        /// `namespace/pod`.
        pod: String,
        /// Size of the file that was set aside.
        bytes: u64,
    },
}

/// Totals of what was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Events by pod.
    pub by_pod: Vec<u64>,
    /// CRI bytes.
    pub bytes: u64,
    /// Sensitive values planted.
    pub planted: u64,
    /// Renames of `0.log`.
    pub rotations: u64,
}

impl Written {
    /// Events of all pods.
    pub fn events(&self) -> u64 {
        self.by_pod.iter().sum()
    }
}

/// Pods that write until [`Pods::stop`].
#[derive(Debug)]
pub struct Pods {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<io::Result<Written>>,
    bytes: Arc<AtomicU64>,
}

impl Pods {
    /// Makes the folders of all pods but the late one, then begins to write.
    ///
    /// # Errors
    /// A folder or file cannot be made.
    pub fn start(plan: Plan, told: impl Fn(Happening) + Send + 'static) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let bytes = Arc::new(AtomicU64::new(0));
        let mut fleet = Fleet::new(plan, Arc::clone(&bytes))?;
        let thread = thread::Builder::new().name("demo-pods".into()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
                fleet.write(&told)?;
            }
            Ok(fleet.written())
        })?;
        Ok(Self { stop, thread, bytes })
    }

    /// CRI bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Ends after the event under way and tells what was written.
    ///
    /// # Errors
    /// A file could not be written.
    pub fn stop(self) -> io::Result<Written> {
        // A writer that failed has gone; its thread tells why.
        let _ = self.stop.send(());
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the writer ended by a panic")))
    }
}

struct Fleet {
    plan: Plan,
    began: Instant,
    up: Vec<Pod>,
    late: Option<Bank>,
    bytes: Arc<AtomicU64>,
}

impl Fleet {
    fn new(plan: Plan, bytes: Arc<AtomicU64>) -> io::Result<Self> {
        let mut banks: Vec<Bank> = (0..plan.options.sources).map(|n| Bank::new(plan.options, n)).collect();
        let late = if banks.len() > 1 { banks.pop() } else { None };
        let up = banks
            .into_iter()
            .map(|bank| Pod::create(&plan, bank, Duration::ZERO))
            .collect::<Result<_, _>>()?;
        Ok(Self { plan, began: Instant::now(), up, late, bytes })
    }

    /// Writes what is due by now.
    fn write(&mut self, told: &impl Fn(Happening)) -> io::Result<()> {
        let elapsed = self.began.elapsed();
        if elapsed >= self.plan.time / 3
            && let Some(bank) = self.late.take()
        {
            let pod = Pod::create(&self.plan, bank, elapsed)?;
            told(Happening::Appeared { pod: pod.name() });
            self.up.push(pod);
        }
        for pod in &mut self.up {
            let goal = (elapsed.saturating_sub(pod.since).as_secs_f64() * pod.bytes_per_s) as u64;
            while pod.bytes < goal {
                let bytes = pod.step()?;
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            if pod.size >= pod.rotate_bytes
                && let Some(bytes) = pod.rotate()?
            {
                told(Happening::Rotated { pod: pod.name(), bytes });
            }
        }
        Ok(())
    }

    fn written(&self) -> Written {
        Written {
            by_pod: self
                .up
                .iter()
                .map(|pod| pod.bank.events())
                .chain(self.late.iter().map(Bank::events))
                .collect(),
            bytes: self.up.iter().map(|pod| pod.bytes).sum(),
            planted: self.up.iter().map(|pod| pod.planted).sum(),
            rotations: self.up.iter().map(|pod| pod.rotations).sum(),
        }
    }
}

/// One container's log on disk.
struct Pod {
    bank: Bank,
    folder: PathBuf,
    file: File,
    since: Duration,
    bytes_per_s: f64,
    rotate_bytes: u64,
    bytes: u64,
    planted: u64,
    rotations: u64,
    /// Of the present `0.log`.
    size: u64,
    buffer: Vec<u8>,
}

impl Pod {
    fn create(plan: &Plan, bank: Bank, since: Duration) -> io::Result<Self> {
        let folder = plan.root.join(bank.pod().log_dir());
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let path = folder.join("0.log");
        let file = File::create_new(&path).map_err(at(&path))?;
        let bytes_per_s = plan.bytes_per_s as f64 * bank.weight();
        let all = bytes_per_s * plan.time.as_secs_f64();
        Ok(Self {
            bank,
            folder,
            file,
            since,
            bytes_per_s,
            rotate_bytes: (all as u64 / (ROTATIONS + 1)).max(1),
            bytes: 0,
            planted: 0,
            rotations: 0,
            size: 0,
            buffer: Vec::new(),
        })
    }

    fn name(&self) -> String {
        format!("{}/{}", self.bank.pod().namespace, self.bank.pod().name)
    }

    /// Writes the next event, or two that interleave; returns their bytes.
    fn step(&mut self) -> io::Result<u64> {
        self.buffer.clear();
        let step = self.bank.next(now_ns().unsigned_abs(), &mut self.buffer);
        self.file.write_all(&self.buffer).map_err(at(&self.folder))?;
        let bytes = self.buffer.len() as u64;
        self.bytes += bytes;
        self.size += bytes;
        self.planted += u64::from(step.planted);
        Ok(bytes)
    }

    /// What the kubelet does: rename `0.log` to `0.log.YYYYMMDD-HHMMSS`, let the runtime open a new one. The names have
    /// whole seconds: `None` where this second's is taken. Returns the size of the file that was set aside.
    fn rotate(&mut self) -> io::Result<Option<u64>> {
        let current = self.folder.join("0.log");
        let aside =
            self.folder.join(format!("0.log.{}", compact_time(now_ns().unsigned_abs() / 1_000_000_000)));
        if aside.exists() {
            return Ok(None);
        }
        fs::rename(&current, &aside).map_err(at(&current))?;
        self.file = File::create_new(&current).map_err(at(&current))?;
        self.rotations += 1;
        Ok(Some(std::mem::take(&mut self.size)))
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> io::Error {
    let path = path.display().to_string();
    move |error| io::Error::new(error.kind(), format!("{path}: {error}"))
}

/// `20261123-080102`, UTC.
fn compact_time(seconds: u64) -> String {
    let mut text = Vec::new();
    rfc3339_seconds(seconds, &mut text);
    let digit_or_dash = |byte: u8| match byte {
        b'T' => Some('-'),
        b'0'..=b'9' => Some(char::from(byte)),
        _ => None,
    };
    text.into_iter().filter_map(digit_or_dash).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_what_is_told() {
        let dir = tempfile::tempdir().expect("folder");
        let options = Options { seed: 5, ..Options::default() };
        let plan = Plan {
            options,
            root: dir.path().to_owned(),
            bytes_per_s: 4 << 20,
            time: Duration::from_millis(300),
        };
        let (tell, told) = mpsc::channel();
        let pods = Pods::start(plan, move |happening| drop(tell.send(happening))).expect("start");
        let late = |h: &Happening| matches!(h, Happening::Appeared { .. });
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut seen = Vec::new();
        while !(seen.iter().any(late) && seen.len() > 1) {
            seen.push(
                told.recv_timeout(deadline.saturating_duration_since(Instant::now())).expect("in time"),
            );
        }
        let written = pods.stop().expect("written");
        let (mut bytes, mut files) = (0, 0);
        let mut open = vec![dir.path().to_owned()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("folder") {
                let entry = entry.expect("entry");
                match entry.file_type().expect("type").is_dir() {
                    true => open.push(entry.path()),
                    false => (bytes, files) = (bytes + entry.metadata().expect("size").len(), files + 1),
                }
            }
        }
        assert_eq!((bytes, files), (written.bytes, 8 + written.rotations));
        assert_eq!(written.by_pod.len(), 8);
        assert!(written.events() > 0 && written.planted > 0 && written.rotations > 0, "{written:?}");
    }
}
