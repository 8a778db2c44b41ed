//! Judges what was delivered of a loggen run; exit code 1 unless nothing is lost, doubled, out of order, leaked or wrong.
//! Must not know: how it was delivered.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use fintail_bench::manifest::Manifest;
use fintail_bench::verify::Verifier;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Compare delivered documents with what loggen wrote.
#[derive(Parser)]
#[command(after_help = "Examples:\n  \
    verify --manifest /tmp/pods.manifest.json --record /tmp/sink.tsv\n  \
    verify --manifest /tmp/pods.manifest.json --ndjson /tmp/documents.ndjson")]
struct Args {
    /// The manifest that loggen wrote.
    #[arg(long)]
    manifest: PathBuf,
    /// What `sink --record FILE --docs` wrote; only documents answered with 201 count.
    #[arg(long, required_unless_present = "ndjson")]
    record: Option<PathBuf>,
    /// Documents (the `_source`), one JSON object a line; may be given several times.
    #[arg(long)]
    ndjson: Vec<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let mut verifier = Verifier::new(Manifest::load(&args.manifest)?);
    if let Some(record) = &args.record {
        each_line(record, |line| {
            // stream, _id, status, tokens, document
            let mut columns = line.splitn(5, |b| *b == b'\t');
            let status = columns.nth(2).context("five columns expected")?;
            let document = columns.nth(1).context("no documents in the record: run sink with --docs")?;
            if status == b"201" {
                verifier.document(document);
            }
            Ok(())
        })?;
    }
    for path in &args.ndjson {
        each_line(path, |line| {
            verifier.document(line);
            Ok(())
        })?;
    }
    let report = verifier.finish();
    writeln!(std::io::stdout(), "{:#}", report.to_json())?;
    Ok(if report.clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn each_line(path: &Path, mut take: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).with_context(|| format!("read {}", path.display()))? == 0 {
            break;
        }
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        if !line.is_empty() {
            take(line).with_context(|| format!("{}:{number}", path.display()))?;
        }
    }
    Ok(())
}
