//! Writes the bank's pod logs as files: a backlog at once, or live at a rate, with the kubelet's rename rotation.
//! Must not know: who reads them.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Parser;
use fintail::demo::bank::Options;
use fintail_bench::manifest::Manifest;
use fintail_bench::parse_bytes;
use fintail_bench::pods::{BUFFER_BYTES, Pod, Rotation};

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
    let rotation = Rotation {
        size_bytes: args.rotate_size.unwrap_or(u64::MAX),
        keep_files: args.keep.unwrap_or(usize::MAX),
    };
    let mut pods: Vec<_> = (0..args.sources)
        .map(|source| Pod::create(&args.root, options, source, rotation))
        .collect::<Result<_, _>>()?;
    let start = Instant::now();
    if args.live {
        live(&args, &mut pods)?;
    } else {
        backlog(&args, &mut pods)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let manifest = Manifest { options, sources: pods.into_iter().map(|pod| pod.written).collect() };
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
        let goal = (args.bytes as f64 * pod.weight()) as u64;
        let mut now_ns = args.start_s * 1_000_000_000;
        while pod.written.bytes < goal {
            // Fifty thousand events a minute; no round number, so that the width of times varies.
            now_ns += 1_201_337;
            pod.step(now_ns);
            if pod.unwritten_bytes() >= BUFFER_BYTES {
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
            let goal = (allowed * pod.weight()) as u64;
            while pod.written.bytes < goal {
                let now_ns = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
                pod.step(now_ns);
                if pod.unwritten_lines() >= args.lines_per_write {
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
