//! A bulk endpoint as a process: counts, checks or records what an agent delivers.
//! Must not know: the agent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use fintail::demo::bank::{Bank, Options, tokens, tokens_in};
use fintail::demo::endpoint::{
    Auth, Document, DocumentFn, Endpoint, EndpointOptions, Product, count_documents,
};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Take bulk requests and tell what came in. The first line on stdout is the URL, the last one the totals as JSON.
/// gzip and zstd bodies are decoded always: without it the items could not be counted, so not be answered.
#[derive(Parser)]
#[command(after_help = "Examples:\n  \
    sink --listen 127.0.0.1:9200\n  \
    sink --tls --ca-file /tmp/ca.pem --check --record /tmp/sink.tsv --docs\n  \
    sink --self-bench")]
struct Args {
    /// Address; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// TLS with an authority made at the start.
    #[arg(long)]
    tls: bool,
    /// Where the PEM of that authority goes.
    #[arg(long, requires = "tls")]
    ca_file: Option<PathBuf>,
    /// Ask for basic auth, USER:PASSWORD.
    #[arg(long)]
    basic: Option<String>,
    /// Say that we are Elasticsearch, which refuses zstd, not OpenSearch.
    #[arg(long)]
    elasticsearch: bool,
    /// Look at each document: ids once per backing index (409), tokens of each source counted.
    #[arg(long)]
    check: bool,
    /// Append a line a document: data stream, _id, status, start tokens, separated by tabs.
    #[arg(long)]
    record: Option<PathBuf>,
    /// Append the document to its line, as a fifth column.
    #[arg(long, requires = "record")]
    docs: bool,
    /// Worker threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Measure how many MB/s of NDJSON one thread takes, without network, and end.
    #[arg(long)]
    self_bench: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if args.self_bench {
        return self_bench();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.threads.max(1))
        .enable_all()
        .build()?;
    runtime.block_on(serve(args))
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let record = match &args.record {
        Some(path) => {
            let open = File::options().create(true).append(true).open(path);
            let file = open.with_context(|| format!("open {}", path.display()))?;
            Some(BufWriter::with_capacity(1 << 20, file))
        }
        None => None,
    };
    let watch = args.check || record.is_some();
    let ledger = Arc::new(Mutex::new(Ledger { record, docs: args.docs, ..Ledger::default() }));
    let taker = ledger.clone();
    let on_document: DocumentFn = Arc::new(move |document: &Document<'_>| {
        taker.lock().unwrap_or_else(PoisonError::into_inner).take(document);
    });
    let auth = match &args.basic {
        Some(pair) => {
            let (user, password) = pair.split_once(':').context("--basic: USER:PASSWORD expected")?;
            Some(Auth::Basic { user: user.to_owned(), password: password.to_owned() })
        }
        None => None,
    };
    let endpoint = Endpoint::start(EndpointOptions {
        listen: args.listen,
        tls: args.tls,
        product: if args.elasticsearch { Product::Elasticsearch } else { Product::OpenSearch },
        auth,
        dedupe: args.check,
        on_document: watch.then_some(on_document),
        fault: None,
    })
    .await?;
    if let (Some(path), Some(pem)) = (&args.ca_file, &endpoint.ca_pem) {
        std::fs::write(path, pem).with_context(|| format!("write {}", path.display()))?;
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{}", endpoint.url())?;
        stdout.flush()?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let stats = endpoint.stop().await;
    let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(record) = &mut ledger.record {
        record.flush().context("write record")?;
    }
    anyhow::ensure!(!ledger.failed, "the record could not be written");
    let mut totals = serde_json::to_value(stats)?;
    if watch {
        totals["sources"] = ledger
            .sources
            .iter()
            .map(|(source, (count, last))| {
                (format!("src{source}"), json!({"events": count, "max_seq": last}))
            })
            .collect();
    }
    writeln!(std::io::stdout(), "{totals}")?;
    Ok(())
}

/// What is told of each document.
#[derive(Default)]
struct Ledger {
    record: Option<BufWriter<File>>,
    docs: bool,
    failed: bool,
    /// Source number to the count of start tokens answered with 201 and the highest sequence number.
    sources: BTreeMap<u32, (u64, u64)>,
}

impl Ledger {
    fn take(&mut self, document: &Document<'_>) {
        let mut found = String::new();
        for token in tokens_in(document.source).filter(|token| !token.end) {
            if document.status == 201 {
                let (count, last) = self.sources.entry(token.source).or_default();
                (*count, *last) = (*count + 1, (*last).max(token.seq));
            }
            if self.record.is_some() {
                let comma = if found.is_empty() { "" } else { "," };
                found.push_str(&format!("{comma}{}", tokens(token.source, token.seq).0));
            }
        }
        if let Some(record) = &mut self.record {
            let Document { stream, id, status, source, .. } = document;
            let mut line = || -> std::io::Result<()> {
                write!(record, "{stream}\t{id}\t{status}\t{found}")?;
                if self.docs {
                    record.write_all(b"\t")?;
                    record.write_all(source)?;
                }
                record.write_all(b"\n")
            };
            self.failed |= line().is_err();
        }
    }
}

/// The bank's events as a bulk body with documents of about 800 bytes, then each way of taking it for a second.
fn self_bench() -> anyhow::Result<()> {
    let bank = Bank::new(Options { seed: 1, sources: 1, sensitive: 1.0 }, 0);
    let mut body = Vec::new();
    for seq in 0_u64.. {
        if body.len() > 32 << 20 {
            break;
        }
        let message = String::from_utf8(bank.text(seq, 1_795_420_800_000_000_000))?;
        let names = json!({"namespace": "payments", "pod": {"name": bank.pod().name, "uid": bank.pod().uid},
            "container": {"name": bank.pod().container}, "node": {"name": "node-1"}});
        let document = json!({"@timestamp": "2026-11-23T08:00:00.123456789Z", "message": message, "stream": "stdout",
            "kubernetes": names});
        writeln!(body, "{{\"create\":{{\"_id\":\"{seq:028}\"}}}}\n{document}")?;
    }
    let rate = |work: &mut dyn FnMut() -> u64| {
        let (start, mut bytes) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_secs(1) {
            std::hint::black_box(work());
            bytes += body.len();
        }
        (bytes as f64 / 1e6 / start.elapsed().as_secs_f64()).round()
    };
    let count = rate(&mut || count_documents(&body));
    let check = rate(&mut || {
        let mut ledger = Ledger::default();
        for source in body.split(|b| *b == b'\n').skip(1).step_by(2) {
            ledger.take(&Document { stream: "s", op: "create", id: "", status: 201, source });
        }
        ledger.sources.len() as u64
    });
    writeln!(
        std::io::stdout(),
        "{}",
        json!({"unit": "MB/s of NDJSON, one thread", "count": count, "tokens": check, "body_bytes": body.len(),
            "documents": count_documents(&body)})
    )?;
    Ok(())
}
