//! `fintail demo`: the bank's pods, the real agent and a server on this machine, and whether it all adds up.
//! It must not know how the agent works inside, nor how what happens is drawn: `show` does.

use std::fs;
use std::io::{self, IsTerminal as _, Read as _, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use clap::Args;

use super::run::Signals;
use super::{FAILED, complain};
use crate::admin::process::{self, resident_bytes};
use crate::admin::server::Health;
use crate::agent::{Agent, StartError};
use crate::config::{self, Config, ConfigErrors, SecretFile};
use crate::demo::bank::Options;
use crate::demo::endpoint::{Auth, Document, DocumentFn, Endpoint, EndpointError, EndpointOptions, Stats};
use crate::demo::judge::{Arrived, Judge, Pick, Verdict};
use crate::demo::pods::{Happening, Plan, Pods, Written};
use crate::runtime::shard::now_ns;

mod figures;
mod sample;
mod show;

pub use figures::Figures;
use show::Show;

/// What the pods write together.
const BYTES_PER_S: u64 = 3 << 19;
/// After the writer's end everything must have arrived in this time.
const ARRIVAL: Duration = Duration::from_secs(20);
/// How often the figures are taken.
const FIGURES_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked at whether all has arrived.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const USER: &str = "fintail";

/// Watch a small bank's logs being tailed, redacted and delivered: no cluster, no configuration, no root.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  fintail demo\n  fintail demo --for 2m --listen 127.0.0.1:9598\n\n\
    Exit codes: 0 everything written was delivered once and nothing leaked, 1 it was not.")]
pub struct Demo {
    /// How long the pods write.
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = config::parse_time)]
    time: Duration,
    /// Address of /metrics, /livez and /readyz; a free port on this machine where none is given.
    #[arg(long, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
}

impl Demo {
    /// Runs the demo. Exit code 1 where the sums do not add up.
    pub fn run(&self) -> ExitCode {
        if std::env::var_os("FINTAIL_LOG").is_some() {
            crate::admin::log::init();
        }
        let (stop, stopped) = mpsc::channel();
        let listening = Signals::listen().and_then(|signals| {
            let forward = move || while signals.stop_within(Duration::MAX) && stop.send(()).is_ok() {};
            std::thread::Builder::new().name("demo-signals".into()).spawn(forward)
        });
        if let Err(error) = listening {
            return complain(FAILED, &format_args!("fintail demo: signals: {error}"));
        }
        let stdout = io::stdout();
        let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let setup = Setup { time: self.time, listen: self.listen, ..Setup::default() };
        let mut show = Show::new(stdout.lock(), stdout.is_terminal(), colour);
        match run(&setup, &mut show, stopped) {
            Ok(summary) if summary.adds_up() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::from(FAILED),
            Err(error) => complain(FAILED, &format_args!("fintail demo: {error}")),
        }
    }
}

/// How a demonstration is to run.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How long the pods write.
    pub time: Duration,
    /// The agent's admin address.
    pub listen: SocketAddr,
    /// CRI bytes a second over all pods.
    pub bytes_per_s: u64,
    /// The fleet.
    pub options: Options,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            bytes_per_s: BYTES_PER_S,
            options: Options { seed: now_ns().unsigned_abs() / 1_000_000_000, ..Options::default() },
        }
    }
}

/// Why the demo could not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Files, threads or sockets.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server.
    #[error("the demo's server: {0}")]
    Endpoint(#[from] EndpointError),
    /// The agent.
    #[error("the agent: {0}")]
    Agent(#[from] StartError),
    /// Our own configuration; a fault of ours.
    #[error("the demo's configuration: {0}")]
    Config(#[from] ConfigErrors),
    /// The judge's thread; a fault of ours.
    #[error("the judge ended by a panic")]
    Judge,
}

/// What was written, what arrived, and what it took.
#[derive(Debug, Clone)]
pub struct Summary {
    /// What the pods wrote.
    pub written: Written,
    /// What was found in the documents.
    pub verdict: Verdict,
    /// The server's totals.
    pub server: Stats,
    /// The agent's own figures.
    pub agent: Figures,
    /// How long the pods wrote.
    pub time: Duration,
    /// CPU time of the agent's threads; `None` where /proc does not tell.
    pub cpu: Option<Duration>,
    /// Peak memory of the whole process: agent, pods, server and judge.
    pub rss_bytes: u64,
}

impl Summary {
    /// Events that were written and did not arrive whole.
    pub fn lost(&self) -> u64 {
        self.written.events().saturating_sub(self.verdict.whole)
    }

    /// What does not add up; empty where all is well.
    pub fn faults(&self) -> Vec<String> {
        let (w, v, s, a) = (&self.written, &self.verdict, &self.server, &self.agent);
        let mut faults = Vec::new();
        let mut check = |fault: bool, text: String| {
            if fault {
                faults.push(text);
            }
        };
        check(v.whole != w.events(), format!("{} events written, {} delivered whole", w.events(), v.whole));
        check(v.trace_lines.0 != v.trace_lines.1, {
            format!("{} lines of stack traces due, {} arrived", v.trace_lines.0, v.trace_lines.1)
        });
        check(v.doubled + v.duplicates > 0, {
            format!("{} events doubled, {} documents with a known _id", v.doubled, v.duplicates)
        });
        check(v.wrong > 0, format!("{} documents that are no single event", v.wrong));
        check(v.leaks() > 0, {
            let by_rule: Vec<_> = v.leaked.iter().map(|(rule, n)| format!("{rule} {n}")).collect();
            format!("{} planted secrets leaked: {}", v.leaks(), by_rule.join(", "))
        });
        check(v.checked != w.planted, format!("{} secrets planted, {} looked for", w.planted, v.checked));
        check(
            v.documents != s.created,
            format!("the server took {}, the judge saw {}", s.created, v.documents),
        );
        check(
            a.created != s.created,
            format!("the server took {}, the agent counts {}", s.created, a.created),
        );
        check(
            a.received != a.answered(),
            format!("the agent received {}, accounts for {}", a.received, a.answered()),
        );
        check(a.in_flight > 0, format!("{} events are in flight", a.in_flight));
        faults
    }

    /// Whether everything written was delivered once, and nothing leaked.
    pub fn adds_up(&self) -> bool {
        self.faults().is_empty()
    }
}

/// Something to show or to obey.
enum News {
    Pick(Pick),
    Happened(Happening),
    Stop,
}

/// Runs the whole demonstration; a message on `stop` ends it early.
///
/// # Errors
/// It could not be set up. Sums that do not add up are no error: [`Summary::faults`] tells.
pub fn run<W: Write>(
    setup: &Setup,
    show: &mut Show<W>,
    stop: mpsc::Receiver<()>,
) -> Result<Summary, DemoError> {
    let folder = Folder::create()?;
    let password = folder.secret("password", 12)?;
    folder.secret("token.key", 24)?;
    let (news_sender, news) = mpsc::channel();
    let (arrived, arrivals) = mpsc::channel();

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("demo-server")
        .enable_all()
        .build()?;
    let endpoint = runtime.block_on(Endpoint::start(EndpointOptions {
        tls: true,
        auth: Some(Auth::Basic { user: USER.to_owned(), password }),
        dedupe: true,
        on_document: Some(hand_over(arrived)),
        ..EndpointOptions::default()
    }))?;
    fs::write(folder.path("ca.pem"), endpoint.ca_pem.as_deref().unwrap_or_default())?;
    let told = news_sender.clone();
    let judge = Judge::start(setup.options, arrivals, move |pick| drop(told.send(News::Pick(pick))))?;

    let mut agent = Agent::start(&Arc::new(agent_config(&folder, &endpoint.url(), setup.listen)?))?;
    show.intro(setup, agent.admin(), &folder.path("pods"));
    let told = news_sender.clone();
    let plan = Plan {
        options: setup.options,
        root: folder.path("pods"),
        bytes_per_s: setup.bytes_per_s,
        time: setup.time,
    };
    let pods = Pods::start(plan, move |happening| drop(told.send(News::Happened(happening))))?;
    std::thread::Builder::new()
        .name("demo-stop".into())
        .spawn(move || while stop.recv().is_ok() && news_sender.send(News::Stop).is_ok() {})?;

    let mut session = Session {
        judge,
        health: agent.health(),
        news,
        show,
        phase: Phase::Writing(pods),
        began: Instant::now(),
        ends: Instant::now() + setup.time,
        next_figures: Instant::now() + FIGURES_EVERY,
        failed: None,
    };
    agent.keep(|at_most| session.go_on(at_most));
    let Session { judge, phase, failed, health, .. } = session;
    let cpu = process::cpu_of_threads("fintail-");
    let drained = agent.stop();
    let server = runtime.block_on(endpoint.stop());
    let figures = Figures::read(&health.metrics());
    if let Some(error) = failed {
        return Err(error.into());
    }
    let (written, time) = match phase {
        Phase::Arriving { written, time, .. } => (written, time),
        // `keep` ends in the second phase only.
        Phase::Writing(pods) => (pods.stop()?, setup.time),
    };
    tracing::debug!(drained, "the agent has stopped");
    let verdict = judge.finish().ok_or(DemoError::Judge)?;
    let rss_bytes = process::peak_resident_bytes().or_else(resident_bytes).unwrap_or(0);
    let summary = Summary { written, verdict, server, agent: figures, time, cpu, rss_bytes };
    drop(folder);
    show.summary(&summary);
    Ok(summary)
}

/// Hands each document to the judge's thread: the server must not wait for it.
fn hand_over(judge: mpsc::Sender<Arrived>) -> DocumentFn {
    Arc::new(move |document: &Document<'_>| {
        let arrived =
            Arrived { created: document.status == 201, at_ns: now_ns(), json: document.source.to_vec() };
        // A judge that ended by a panic is told at the end.
        let _ = judge.send(arrived);
    })
}

/// As an operator would write it, but for the folder: defaults wherever they serve.
fn agent_config(folder: &Folder, url: &str, listen: SocketAddr) -> Result<Config, ConfigErrors> {
    let mut config = Config::with_endpoints([url])?;
    config.node.name = "demo-node".to_owned();
    config.state_dir = folder.path("state");
    config.cluster.name = Some("demo".to_owned());
    config.cluster.environment = Some("demo".to_owned());
    config.sources.containers.root = folder.path("pods");
    config.redaction.token_key =
        Some(config::TokenKey { id: "demo".to_owned(), file: SecretFile::new(folder.path("token.key")) });
    config.output.tls.ca_file = Some(folder.path("ca.pem"));
    config.output.auth =
        config::Auth::Basic { username: USER.to_owned(), password: SecretFile::new(folder.path("password")) };
    // The last lines of the demo are not to be waited for longer than this.
    config.limits.multiline_age = Duration::from_secs(2);
    config.admin.listen = listen;
    Ok(config)
}

enum Phase {
    Writing(Pods),
    Arriving { written: Written, time: Duration, until: Instant },
}

struct Session<'a, W: Write> {
    judge: Judge,
    health: Arc<dyn Health>,
    news: mpsc::Receiver<News>,
    show: &'a mut Show<W>,
    phase: Phase,
    began: Instant,
    /// When the pods stop.
    ends: Instant,
    next_figures: Instant,
    failed: Option<io::Error>,
}

impl<W: Write> Session<'_, W> {
    /// Goes on for this long at most; true where the agent is to stop.
    fn go_on(&mut self, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        loop {
            let now = Instant::now();
            if self.next_figures <= now {
                self.figures();
                self.next_figures = now + FIGURES_EVERY;
            }
            let (mut wait, mut over) = (until.min(self.next_figures), false);
            match &self.phase {
                Phase::Writing(_) if self.ends <= now || self.show.is_gone() => self.stop_writing(),
                Phase::Writing(_) => wait = wait.min(self.ends),
                Phase::Arriving { written, until, .. } => {
                    let all = self.judge.has_all(written.events());
                    over = *until <= now || (all && Figures::read(&self.health.metrics()).in_flight == 0);
                    wait = wait.min(now + LOOK_EVERY);
                }
            }
            if over || self.failed.is_some() {
                return true;
            }
            if until <= now {
                return false;
            }
            match self.news.recv_timeout(wait.saturating_duration_since(now)) {
                Ok(News::Pick(pick)) => self.show.pick(&pick),
                Ok(News::Happened(happening)) => self.show.happening(&happening),
                Ok(News::Stop) => match &mut self.phase {
                    Phase::Writing(_) => self.stop_writing(),
                    Phase::Arriving { until, .. } => *until = now,
                },
                Err(_) => {}
            }
        }
    }

    fn stop_writing(&mut self) {
        let time = self.began.elapsed();
        let arriving = Phase::Arriving { written: Written::default(), time, until: Instant::now() + ARRIVAL };
        if let Phase::Writing(pods) = std::mem::replace(&mut self.phase, arriving) {
            match pods.stop() {
                Ok(all) => {
                    self.show.waiting(all.events());
                    self.phase = Phase::Arriving { written: all, time, until: Instant::now() + ARRIVAL };
                }
                Err(error) => self.failed = Some(error),
            }
        }
    }

    fn figures(&mut self) {
        let figures = Figures::read(&self.health.metrics());
        let written = match &self.phase {
            Phase::Writing(pods) => pods.bytes(),
            Phase::Arriving { written, .. } => written.bytes,
        };
        self.show.figures(self.began.elapsed(), &figures, written, resident_bytes().unwrap_or(0));
    }
}

/// A folder of our own that is gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn create() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("fintail-demo-{}", random_hex(6)?));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Self(path);
        for name in ["pods", "state"] {
            fs::create_dir(folder.path(name))?;
        }
        Ok(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file with this many random bytes in hexadecimal, and returns them.
    fn secret(&self, name: &str, bytes: usize) -> io::Result<String> {
        let secret = random_hex(bytes)?;
        let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(self.path(name))?;
        file.write_all(secret.as_bytes())?;
        Ok(secret)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's folder for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn random_hex(bytes: usize) -> io::Result<String> {
    let mut random = vec![0; bytes];
    fs::File::open(Path::new("/dev/urandom"))?.read_exact(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_add_up_and_nothing_leaks() {
        let setup = Setup {
            time: Duration::from_secs(2),
            options: Options { seed: 7, ..Options::default() },
            ..Setup::default()
        };
        let (_stop, stopped) = mpsc::channel();
        let mut shown = Vec::new();
        let summary = run(&setup, &mut Show::new(&mut shown, false, false), stopped).expect("it runs");
        assert_eq!(summary.faults(), [""; 0], "{summary:?}");
        assert_eq!((summary.lost(), summary.verdict.leaks(), summary.server.duplicates), (0, 0, 0));
        assert!(summary.written.events() > 1_000 && summary.written.rotations > 0, "{:?}", summary.written);
        assert!(summary.agent.redactions.len() > 5 && summary.agent.hidden() >= summary.written.planted);
        let shown = String::from_utf8(shown).expect("text");
        assert!(shown.contains("a new pod comes up") && shown.contains("It adds up"), "{shown}");
        assert!(shown.lines().any(|line| line.contains("  - ")) && !shown.contains('\x1b'), "{shown}");
        let folder =
            shown.lines().find_map(|line| line.trim().strip_prefix("logs ")).expect("the folder is named");
        let folder = folder.trim().split("  ").next().expect("a path");
        assert!(!Path::new(folder).exists(), "{folder}");
    }

    #[test]
    fn what_does_not_add_up_is_told() {
        let mut verdict = Verdict::default();
        (verdict.whole, verdict.documents, verdict.checked) = (7, 7, 2);
        let mut summary = Summary {
            written: Written { by_pod: vec![3, 4], bytes: 100, planted: 2, rotations: 0 },
            verdict,
            server: Stats { created: 7, ..Stats::default() },
            agent: Figures { received: 7, created: 7, ..Figures::default() },
            time: Duration::from_secs(1),
            cpu: None,
            rss_bytes: 1,
        };
        assert!(summary.adds_up(), "{:?}", summary.faults());
        summary.verdict.whole = 6;
        summary.verdict.leaked.insert("pan", 1);
        assert_eq!(
            summary.faults(),
            ["7 events written, 6 delivered whole", "1 planted secrets leaked: pan 1"]
        );
    }
}
