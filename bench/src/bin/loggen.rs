//! Writes the bank's pod logs as files: a backlog at once, or live at a rate, with the kubelet's rename rotation.
//! Must not know: who reads them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Parser;
use fintail::demo::bank::{Bank, Options};
use fintail_bench::manifest::{Manifest, SourceEntry};
use fintail_bench::parse_bytes;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Write the pod logs of a small bank, the same bytes for the same seed and start.
#[derive(Parser)]
#[command(after_help = "Examples:\n  \
    loggen --bytes 256MiB --root /tmp/pods\n  \
    loggen --bytes 1GiB --root /tmp/pods --live --rate 50MiB/s --lines-per-write 1 --rotate-size 10MiB --keep 5")]
struct Args {
    /// Seed of everything that is written.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// CRI bytes over all pods; the last event of each pod may go over.
    #[arg(long, value_parser = parse_bytes, default_value = "256MiB")]
    bytes: u64,
    /// Number of pods; from 3 on each has a format of its own.
    #[arg(long, default_value_t = 8)]
    sources: u32,
    /// The pod log root to write below, as /var/log/pods.
    #[arg(long)]
    root: PathBuf,
    /// Factor on the shares of sensitive events.
    #[arg(long, default_value_t = 1.0)]
    sensitive: f64,
    /// Where the manifest goes; must not lie below the root. Default: ROOT.manifest.json
    #[arg(long)]
    manifest: Option<PathBuf>,
    /// Time of the first line of a backlog, seconds since 1970. Live writing uses the clock.
    #[arg(long, default_value_t = 1_795_420_800)]
    start_s: u64,
    /// Write at --rate by the clock instead of at once.
    #[arg(long)]
    live: bool,
    /// Bytes a second over all pods, with --live.
    #[arg(long, value_parser = parse_bytes, default_value = "10MiB/s")]
    rate: u64,
    /// Lines a write call carries, with --live; containerd writes one.
    #[arg(long, default_value_t = 1)]
    lines_per_write: usize,
    /// Rename 0.log and begin a new one when it has grown to this.
    #[arg(long, value_parser = parse_bytes)]
    rotate_size: Option<u64>,
    /// Files to keep a container, 0.log counted, older ones are removed. Default: all.
    #[arg(long)]
    keep: Option<usize>,
}

/// Bytes gathered before a write, for a backlog.
const BUFFER_BYTES: usize = 1 << 20;
/// How often live writing wakes up.
const TICK: Duration = Duration::from_millis(10);

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let manifest_path = args.manifest.clone().unwrap_or_else(|| {
        let mut name = args.root.clone().into_os_string();
        name.push(".manifest.json");
        name.into()
    });
    anyhow::ensure!(!manifest_path.starts_with(&args.root), "--manifest must not lie below --root");
    anyhow::ensure!(
        args.sources > 0 && args.lines_per_write > 0,
        "--sources and --lines-per-write must be above 0"
    );
    let options = Options { seed: args.seed, sources: args.sources, sensitive: args.sensitive };
    let mut pods: Vec<_> =
        (0..args.sources).map(|source| Pod::create(&args, options, source)).collect::<Result<_, _>>()?;
    let start = Instant::now();
    if args.live {
        live(&args, &mut pods)?;
    } else {
        backlog(&args, &mut pods)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let manifest = Manifest { options, sources: pods.into_iter().map(|pod| pod.entry).collect() };
    manifest.save(&manifest_path)?;
    let bytes: u64 = manifest.sources.iter().map(|source| source.bytes).sum();
    let planted: u64 = manifest.sources.iter().map(|source| source.planted).sum();
    writeln!(
        std::io::stdout(),
        "{bytes} bytes, {} events, {planted} planted values, {} pods, {:.1} MB/s; manifest {}",
        manifest.events(),
        manifest.sources.len(),
        bytes as f64 / 1e6 / seconds,
        manifest_path.display()
    )?;
    Ok(())
}

fn backlog(args: &Args, pods: &mut [Pod]) -> anyhow::Result<()> {
    for pod in pods {
        let goal = (args.bytes as f64 * pod.bank.weight()) as u64;
        let mut now_ns = args.start_s * 1_000_000_000;
        while pod.entry.bytes < goal {
            // Fifty thousand events a minute; no round number, so that the width of times varies.
            now_ns += 1_201_337;
            pod.step(now_ns);
            if pod.buffer.len() >= BUFFER_BYTES {
                pod.flush(usize::MAX, now_ns)?;
            }
        }
        pod.flush(usize::MAX, now_ns)?;
    }
    Ok(())
}

fn live(args: &Args, pods: &mut [Pod]) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let allowed = (start.elapsed().as_secs_f64() * args.rate as f64).min(args.bytes as f64);
        for pod in pods.iter_mut() {
            let goal = (allowed * pod.bank.weight()) as u64;
            while pod.entry.bytes < goal {
                let now_ns = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
                pod.step(now_ns);
                if pod.lines >= args.lines_per_write {
                    pod.flush(args.lines_per_write, now_ns)?;
                }
            }
        }
        if allowed >= args.bytes as f64 {
            break;
        }
        std::thread::sleep(TICK);
    }
    let now_ns = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    pods.iter_mut().try_for_each(|pod| pod.flush(args.lines_per_write, now_ns))
}

/// One container's log on disk.
struct Pod {
    bank: Bank,
    folder: PathBuf,
    file: File,
    size: u64,
    buffer: Vec<u8>,
    /// Lines in the buffer.
    lines: usize,
    rotate_size: u64,
    keep: usize,
    rotated: VecDeque<PathBuf>,
    last_rotation_s: u64,
    entry: SourceEntry,
}

impl Pod {
    fn create(args: &Args, options: Options, source: u32) -> anyhow::Result<Self> {
        let bank = Bank::new(options, source);
        let folder = args.root.join(bank.pod().log_dir());
        std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let path = folder.join("0.log");
        let file = File::create_new(&path).with_context(|| format!("create {}", path.display()))?;
        let entry = SourceEntry {
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
            rotate_size: args.rotate_size.unwrap_or(u64::MAX),
            keep: args.keep.unwrap_or(usize::MAX),
            rotated: VecDeque::new(),
            last_rotation_s: 0,
            entry,
        })
    }

    fn step(&mut self, now_ns: u64) {
        let before = self.buffer.len();
        let step = self.bank.next(now_ns, &mut self.buffer);
        self.entry.events += u64::from(step.events);
        self.entry.planted += u64::from(step.planted);
        self.entry.lines += u64::from(step.lines);
        self.entry.bytes += (self.buffer.len() - before) as u64;
        self.lines += step.lines as usize;
    }

    /// Writes the buffer, at most `lines_per_write` lines a call, and rotates between calls.
    fn flush(&mut self, lines_per_write: usize, now_ns: u64) -> anyhow::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let mut from = 0;
        while from < buffer.len() {
            let room = self.rotate_size.saturating_sub(self.size);
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
            if self.size >= self.rotate_size {
                self.rotate(now_ns)?;
            }
        }
        self.buffer = buffer;
        self.buffer.clear();
        self.lines = 0;
        Ok(())
    }

    /// What the kubelet does: rename 0.log to 0.log.YYYYMMDD-HHMMSS, let the runtime open a new one, remove the oldest.
    fn rotate(&mut self, now_ns: u64) -> anyhow::Result<()> {
        // The kubelet's names have whole seconds; two rotations in one second would overwrite each other.
        self.last_rotation_s = (now_ns / 1_000_000_000).max(self.last_rotation_s + 1);
        let current = self.folder.join("0.log");
        let aside = self.folder.join(format!("0.log.{}", compact_time(self.last_rotation_s)));
        std::fs::rename(&current, &aside).with_context(|| format!("rename {}", current.display()))?;
        self.file = File::create_new(&current).with_context(|| format!("create {}", current.display()))?;
        self.size = 0;
        self.entry.rotations += 1;
        self.rotated.push_back(aside);
        while self.rotated.len() + 1 > self.keep {
            let Some(oldest) = self.rotated.pop_front() else { break };
            std::fs::remove_file(&oldest).with_context(|| format!("remove {}", oldest.display()))?;
        }
        Ok(())
    }
}

/// `20261123-080102`, UTC.
fn compact_time(seconds: u64) -> String {
    let mut text = Vec::new();
    fintail::demo::bank::rfc3339_seconds(seconds, &mut text);
    let text = String::from_utf8_lossy(&text);
    text.chars().filter_map(|c| if c == 'T' { Some('-') } else { c.is_ascii_digit().then_some(c) }).collect()
}
