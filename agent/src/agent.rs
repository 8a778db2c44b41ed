//! The running agent: puts the parts together in the order of the data, and takes them apart again.
//! It must not know how any part works.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use crate::admin::metrics::{ByState, FileState, Metrics};
use crate::admin::process::Process;
use crate::admin::server::{self, Health};
use crate::checkpoint::store::{Store, Unreadable};
use crate::checkpoint::{Checkpoint, Resume};
use crate::config::Config;
use crate::deliver::ack::AckLedger;
use crate::deliver::{self, Delivery};
use crate::pipeline::Pipeline;
use crate::pipeline::document::DocumentSettings;
use crate::pipeline::encode::{Encoder, FRAME_CAPACITY_BYTES};
use crate::pipeline::parse::Parse;
use crate::pipeline::redact::Redactor;
use crate::runtime::budget::{BytePermit, BytePool};
use crate::runtime::buffers::BufferPool;
use crate::runtime::settings;
use crate::runtime::shard::{Command, Pulse, Shard, Shared, now_ns};
use crate::runtime::state_dir::{StateDir, StateDirError};
use crate::runtime::wake::Waker;
use crate::source::discover::Discovery;
use crate::source::meta;
use crate::source::table::SourceTable;
use crate::source::tail::chain::ContainerKey;
use crate::source::tail::identity::IdPrefix;

/// The checkpoint is written this often, where anything changed.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// A thread that has not gone round for so long hangs.
const HANGS_AFTER: Duration = Duration::from_secs(300);
/// Marks of files that an earlier life knew and this one has not met are kept so long.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);
/// A known file's tables (contract.md, limits.memory).
const FILE_BYTES: u64 = crate::config::limits::MEMORY_PER_FILE_BYTES;

/// Why the agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state folder.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The checkpoint.
    #[error(
        "{0}; the agent does not start from nothing, for that would send everything again: mend or remove the file"
    )]
    Checkpoint(#[from] Unreadable),
    /// The output.
    #[error(transparent)]
    Deliver(#[from] deliver::StartError),
    /// The token key.
    #[error("redaction.token_key: {0}")]
    TokenKey(#[from] crate::config::SecretError),
    /// Memory.
    #[error(transparent)]
    Memory(#[from] crate::config::limits::TooLittleMemory),
    /// The admin server's address.
    #[error("admin.listen {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Threads or descriptors.
    #[error("starting threads: {0}")]
    Threads(#[from] std::io::Error),
}

/// A running agent. Call [`Agent::stop`]; dropping it loses nothing, but leaves the rest to the next start.
pub struct Agent {
    shared: Arc<Shared>,
    delivery: Delivery,
    runtime: Runtime,
    shards: Vec<JoinHandle<()>>,
    wakers: Vec<Arc<Waker>>,
    discovery: Option<(JoinHandle<()>, Arc<Waker>)>,
    keeper: Keeper,
    status: Arc<Status>,
    admin: SocketAddr,
    drain: Duration,
    _state: StateDir,
}

impl Agent {
    /// Opens state and sockets, then starts the threads.
    ///
    /// # Errors
    /// What the operator has to mend.
    pub fn start(config: &Arc<Config>) -> Result<Self, StartError> {
        set_process_limits();
        // Huge pages make memory resident that nobody touched: a limit of 64 MiB would be a limit of 100.
        if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
            tracing::warn!(%error, "cannot turn huge pages off; more memory may be used than limits.memory");
        }
        let state = StateDir::open(&config.state_dir)?;
        let store = Store::new(&config.state_dir);
        let found =
            store.load(|e| tracing::warn!(error = %e, "checkpoint: the newer file cannot be used"))?;
        let resume = Arc::new(Resume::new(found.as_ref()));
        let pool = BytePool::new(settings::pool_bytes(config)?);
        let rules = settings::rules(config)?;
        let ledger = Arc::new(AckLedger::default());
        let (metrics, mut registry) = Metrics::new();
        let mut process_registry = Registry::default();
        let process = Process::register(&mut process_registry);

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(4)
            .thread_name("fintail-ship")
            .enable_all()
            .build()?;
        let listen = config.admin.listen;
        let listener =
            runtime.block_on(server::bind(listen)).map_err(|source| StartError::Listen { listen, source })?;
        let admin = listener.local_addr()?;
        let floors = found.map(|c| c.write_index).unwrap_or_default();
        let (sender, delivery) = deliver::start(
            settings::delivery(config),
            deliver::Deps {
                ledger: Arc::clone(&ledger),
                metrics: metrics.clone(),
                write_index_floors: floors,
                runtime: runtime.handle().clone(),
            },
        )?;

        let shard_count = settings::shards(config.limits.memory_bytes);
        let for_meta = Arc::clone(config);
        let for_encoding = delivery.clone();
        let shared = Arc::new(Shared {
            open_bytes: pool.size() / crate::config::limits::OPEN_EVENTS_POOL_PART,
            pool: Arc::clone(&pool),
            ledger: Arc::clone(&ledger),
            table: Arc::new(SourceTable::default()),
            metrics: metrics.clone(),
            resume: Arc::clone(&resume),
            render: Box::new(move |key, restart, redact| {
                let domain = meta::token_domain(&for_meta, key);
                meta::of_container(&for_meta, key, restart, |text| redact(text, domain))
            }),
            send: Box::new(move |frame| {
                if sender.send(frame).is_err() {
                    tracing::error!("delivery has ended; what is read now is read again at the next start");
                }
            }),
            encoding: Box::new(move || for_encoding.encoding()),
            join: settings::join(config),
            unacked_bytes: config.limits.unacked.bytes,
            start: settings::start(config, now_ns()),
            frame_age: config.output.batch.age / 2,
            stop: AtomicBool::new(false),
            pulses: (0..shard_count).map(|_| Pulse::default()).collect(),
            replaying: AtomicI64::new(0),
        });

        let document = Arc::new(DocumentSettings {
            event_bytes: shared.join.event_bytes,
            ruleset: Arc::from(settings::ruleset_hash(&rules)),
            rule_names: settings::rule_names(),
        });
        let keep = usize::try_from(pool.size()).unwrap_or(usize::MAX) / FRAME_CAPACITY_BYTES;
        let buffers = BufferPool::new(FRAME_CAPACITY_BYTES, keep);
        let mut shards = Vec::new();
        let mut wakers = Vec::new();
        let mut senders = Vec::new();
        for index in 0..shard_count {
            let (commands, inbox) = mpsc::channel();
            let waker = Waker::new()?;
            let pipeline = Pipeline {
                parse: Parse::new(config.parse.json.is_on()),
                redact: Redactor::new(&rules),
                encode: Encoder::new(Arc::clone(&pool), Arc::clone(&buffers), Arc::clone(&document))?,
            };
            let shard = Shard::new(index, Arc::clone(&shared), pipeline, inbox, Arc::clone(&waker));
            let thread = thread::Builder::new().name(format!("fintail-shard-{index}"));
            shards.push(thread.spawn(move || shard.run())?);
            wakers.push(waker);
            senders.push(commands);
        }

        let status = Arc::new(Status {
            shared: Arc::clone(&shared),
            metrics,
            registry: {
                registry.register("source_shards", "Shard threads", {
                    let gauge = prometheus_client::metrics::gauge::Gauge::<i64>::default();
                    gauge.set(i64::try_from(shard_count).unwrap_or(i64::MAX));
                    gauge
                });
                registry
            },
            process_registry,
            process,
            discovered: AtomicBool::new(!config.sources.containers.enabled),
            blind: AtomicBool::new(false),
            saved_ns: AtomicI64::new(now_ns()),
            file_reserve: Mutex::new(pool.acquire_over(0)),
        });
        runtime.spawn(server::serve(listener, Arc::clone(&status) as Arc<dyn Health>));
        let mut keeper = Keeper {
            store,
            ledger,
            delivery: delivery.clone(),
            resume,
            met: HashSet::new(),
            began: Instant::now(),
            unsaved: true,
            floors: None,
        };
        // Before the first byte is sent: a life that ends before its first mark must be known to the next one, for
        // what it sent may stand in a backing index that is no longer written to.
        if let Err(error) = keeper.save() {
            tracing::error!(%error, "the checkpoint cannot be written; trying again");
        }
        let discovery = match config.sources.containers.enabled {
            true => Some(discover(config, senders, &wakers, &status)?),
            false => None,
        };
        let agent = Self {
            shared,
            delivery,
            runtime,
            shards,
            wakers,
            discovery,
            keeper,
            status,
            admin,
            drain: config.shutdown.drain,
            _state: state,
        };
        tracing::info!(version = env!("CARGO_PKG_VERSION"), shards = shard_count, admin = %admin, "started");
        Ok(agent)
    }

    /// Where `/metrics` is served.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The metrics as `/metrics` shows them.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.status.metrics()
    }

    /// What the admin server shows, for those who look on while [`Agent::keep`] runs.
    #[must_use]
    pub fn health(&self) -> Arc<dyn Health> {
        Arc::clone(&self.status) as Arc<dyn Health>
    }

    /// Events that were read and not answered for.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.shared.ledger.in_flight()
    }

    /// Keeps the checkpoint until `until` says that it is time to stop.
    pub fn keep(&mut self, mut until: impl FnMut(Duration) -> bool) {
        let mut replay_over = None;
        loop {
            if until(CHECKPOINT_EVERY) {
                return;
            }
            self.save();
            self.status.reserve_files();
            // Frames of an earlier life may still wait in open events: a partial waits longest.
            let replaying = self.shared.replaying.load(Ordering::Acquire) > 0
                || !self.status.discovered.load(Ordering::Acquire);
            let quiet = self.shared.join.partial_age_ns.max(self.shared.join.multiline_age_ns);
            let quiet = Duration::from_nanos(u64::try_from(quiet).unwrap_or(0)) + Duration::from_secs(5);
            let quiet = if self.keeper.resume.exists() { quiet } else { Duration::ZERO };
            match (replaying, replay_over) {
                (true, _) => replay_over = None,
                (false, None) => replay_over = Some(Some(Instant::now() + quiet)),
                (false, Some(Some(at))) if Instant::now() >= at => {
                    self.delivery.replayed();
                    replay_over = Some(None);
                }
                (false, Some(_)) => {}
            }
        }
    }

    fn save(&mut self) {
        match self.keeper.save() {
            Ok(()) => self.status.saved_ns.store(now_ns(), Ordering::Relaxed),
            Err(error) => tracing::error!(%error, "the checkpoint cannot be written; trying again"),
        }
    }

    /// Reads no more, sends what was read, waits for its answers until `shutdown.drain` is over, saves the marks.
    /// True where everything was answered; what was not is read again at the next start.
    pub fn stop(mut self) -> bool {
        let deadline = Instant::now() + self.drain;
        self.shared.stop.store(true, Ordering::Release);
        if let Some((thread, waker)) = self.discovery.take() {
            waker.wake();
            let _ = thread.join();
        }
        self.wakers.iter().for_each(|waker| waker.wake());
        for shard in self.shards.drain(..) {
            if shard.join().is_err() {
                tracing::error!("a shard ended by a panic; what it held is read again at the next start");
            }
        }
        let answered = self.runtime.block_on(self.delivery.drain(deadline.into()));
        self.save();
        if answered {
            tracing::info!("stopped; everything that was read is answered for");
        } else {
            tracing::warn!(
                events = self.in_flight(),
                "stopped before everything was answered for; the rest is read again at the next start"
            );
        }
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        answered
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("admin", &self.admin).finish_non_exhaustive()
    }
}

/// Starts the walk over the pod logs; containers go to the shard that their names' hash says.
fn discover(
    config: &Arc<Config>,
    shards: Vec<mpsc::Sender<Command>>,
    shard_wakers: &[Arc<Waker>],
    status: &Arc<Status>,
) -> std::io::Result<(JoinHandle<()>, Arc<Waker>)> {
    let waker = Waker::new()?;
    let mine = Arc::clone(&waker);
    let shard_wakers = shard_wakers.to_vec();
    let (config, status) = (Arc::clone(config), Arc::clone(status));
    let thread = thread::Builder::new().name("fintail-discover".into()).spawn(move || {
        let selects =
            |key: &ContainerKey| config.sources.containers.selects(&key.namespace, &key.pod, &key.container);
        let discovery = Discovery::new(config.sources.containers.root.clone(), selects);
        let found = |found: crate::source::discover::Found| {
            let hash = xxhash_rust::xxh3::xxh3_64(found.dir.as_os_str().as_encoded_bytes());
            let shard = usize::try_from(hash % shards.len() as u64).unwrap_or(0);
            if let (Some(shard), Some(waker)) = (shards.get(shard), shard_wakers.get(shard)) {
                // A shard that has ended takes nothing more: the agent stops.
                let _ = shard.send(Command::Add(found));
                waker.wake();
            }
        };
        let swept = |blind: bool| {
            status.blind.store(blind, Ordering::Relaxed);
            status.discovered.store(true, Ordering::Release);
        };
        discovery.run(&mine, &status.shared.stop, found, swept);
    })?;
    Ok((thread, waker))
}

/// Writes the checkpoint.
struct Keeper {
    store: Store,
    ledger: Arc<AckLedger>,
    delivery: Delivery,
    resume: Arc<Resume>,
    /// Generations that this life has met.
    met: HashSet<IdPrefix>,
    began: Instant,
    /// Something is not on disk yet.
    unsaved: bool,
    /// Those on disk.
    floors: Option<HashMap<String, String>>,
}

impl Keeper {
    fn save(&mut self) -> std::io::Result<()> {
        // The floors first: older floors with younger marks are safe, the other way round is not.
        let write_index = self.delivery.write_index_floors();
        self.unsaved |= self.ledger.take_changed() || self.floors.as_ref() != Some(&write_index);
        if !self.unsaved {
            return Ok(());
        }
        let marks = self.ledger.all_marks();
        self.met.extend(marks.iter().map(|(id, _)| *id));
        // What an earlier life knew and this one has not met yet stays for a while: its folder may come back (a late
        // mount). What was met and is no longer in the ledger is gone.
        let patient = self.began.elapsed() < FORGET_AFTER;
        let unmet = self.resume.all().filter(|(id, _)| patient && !self.met.contains(id));
        let all = unmet.chain(marks.iter().map(|(id, marks)| (id, marks)));
        let marks = all.map(|(id, marks)| (id.as_str().to_owned(), *marks)).collect();
        self.store.save(&Checkpoint { marks, write_index: write_index.clone() })?;
        self.unsaved = false;
        self.floors = Some(write_index);
        Ok(())
    }
}

/// What the admin server shows.
struct Status {
    shared: Arc<Shared>,
    metrics: Metrics,
    registry: Registry,
    process_registry: Registry,
    process: Process,
    discovered: AtomicBool,
    blind: AtomicBool,
    saved_ns: AtomicI64,
    /// What tables of known files take from the pool.
    file_reserve: Mutex<BytePermit>,
}

impl Status {
    fn files(&self) -> u64 {
        self.shared.pulses.iter().map(|p| p.files.load(Ordering::Relaxed)).sum()
    }

    fn reserve_files(&self) {
        let bytes = self.files() * FILE_BYTES;
        self.file_reserve.lock().unwrap_or_else(PoisonError::into_inner).resize(bytes);
    }
}

impl Health for Status {
    fn metrics(&self) -> String {
        let m = &self.metrics;
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let pulses = &self.shared.pulses;
        let exhausted = pulses.iter().any(|p| p.exhausted.load(Ordering::Relaxed));
        m.events_in_flight.set(gauge(self.shared.ledger.in_flight()));
        m.source_lag_bytes.set(gauge(pulses.iter().map(|p| p.lag_bytes.load(Ordering::Relaxed)).sum()));
        let lag_ms = pulses.iter().map(|p| p.lag_ms.load(Ordering::Relaxed)).max().unwrap_or(0);
        m.source_lag_seconds.set(lag_ms as f64 / 1e3);
        m.source_files.get_or_create(&ByState { state: FileState::reading }).set(gauge(self.files()));
        m.inotify_exhausted.set(i64::from(exhausted || self.blind.load(Ordering::Relaxed)));
        m.checkpoint_age.set((now_ns() - self.saved_ns.load(Ordering::Relaxed)) as f64 / 1e9);
        self.process.refresh();
        let mut text = String::new();
        for registry in [&self.registry, &self.process_registry] {
            // Writing to a `String` cannot fail.
            let _ = prometheus_client::encoding::text::encode_registry(&mut text, registry);
        }
        let _ = prometheus_client::encoding::text::encode_eof(&mut text);
        text
    }

    fn live(&self) -> Result<(), String> {
        let now = now_ns();
        let hung = |p: &Pulse| {
            let alive = p.alive_ns.load(Ordering::Relaxed);
            alive > 0 && now.saturating_sub(alive) > i64::try_from(HANGS_AFTER.as_nanos()).unwrap_or(i64::MAX)
        };
        match self.shared.pulses.iter().position(hung) {
            Some(shard) => Err(format!("shard {shard} has not gone round for {} s", HANGS_AFTER.as_secs())),
            None => Ok(()),
        }
    }

    fn ready(&self) -> Result<(), String> {
        if self.discovered.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err("the pod logs have not been listed yet".to_owned())
        }
    }
}

/// A node's agent holds every log file open: the soft limit of 1,024 is raised to the hard one. A core dump would
/// hold raw log bytes: there is none.
fn set_process_limits() {
    let files = getrlimit(Resource::Nofile).maximum;
    for (resource, current, maximum) in [(Resource::Nofile, files, files), (Resource::Core, Some(0), Some(0))]
    {
        if let Err(error) = setrlimit(resource, Rlimit { current, maximum }) {
            tracing::warn!(%error, ?resource, "cannot set a limit of the process");
        }
    }
}
