//! A shard: one plain thread that owns a set of containers and takes their bytes through all stages.
//! It must not know the inside of any stage, nor what becomes of a frame.
//!
//! ```text
//! commands, inotify, sweep → dirty logs → turns (a byte quantum each) → batch → pipeline → frames
//! ```

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};

use fintail_parsers::container::path::LogKind;

use super::budget::{BytePermit, BytePool};
use super::wake::{Waker, wait};
use crate::admin::metrics::{ByDrop, ByRule, BySource, DropReason, Metrics, SourceKind};
use crate::checkpoint::Resume;
use crate::deliver::ack::AckLedger;
use crate::deliver::{Encoding, Frame};
use crate::pipeline::Pipeline;
use crate::pipeline::batch::{Batch, Parts, Raw};
use crate::pipeline::decode::{self, Line};
use crate::pipeline::reassemble::{CUT_SLACK_BYTES, JoinLimits, Joiner};
use crate::source::discover::Found;
use crate::source::table::{SourceMeta, SourceTable};
use crate::source::tail::chain::{Chain, ContainerKey};
use crate::source::tail::file::Piece;
use crate::source::tail::fs;
use crate::source::tail::watch::{Watched, Watcher};
use crate::source::{Chunk, ChunkInfo, GenerationId, SourceId};

/// Bytes of one file in one turn. Small enough that batch, frame and tables stay in the core's cache.
const QUANTUM_BYTES: usize = 128 * 1024;
/// A batch goes on its way when it holds this much text.
const BATCH_BYTES: usize = 96 * 1024;
/// Taken from the pool before a turn: a quantum of JSON lines with their metadata, and the open frame it joins.
const TURN_BYTES: u64 = 1024 * 1024;
/// A file that is being written is looked at this often, without events.
const HOT: Duration = Duration::from_millis(20);
/// Looks at a hot file that find nothing before it is watched instead.
const HOT_LOOKS: u8 = 3;
/// Every file and folder is looked at once in this time, whatever events say.
const SWEEP: Duration = Duration::from_secs(5);
/// Without watches that is the only way to learn of new lines.
const SWEEP_WITHOUT_WATCHES: Duration = Duration::from_millis(200);
/// Timers of open events and frames.
const TIMER: Duration = Duration::from_millis(100);
/// A container runtime that reopens its log still drains the old pipe into the old file: with a piece open, the
/// successor waits this long after the old file's last growth.
const DRAIN_OLD: Duration = Duration::from_secs(1);

/// What a shard is told.
#[derive(Debug)]
pub enum Command {
    /// A container to read.
    Add(Found),
}

/// What all shards share.
pub struct Shared {
    /// Memory of everything in flight.
    pub pool: Arc<BytePool>,
    /// Marks.
    pub ledger: Arc<AckLedger>,
    /// Names by source.
    pub table: Arc<SourceTable>,
    /// Counters.
    pub metrics: Metrics,
    /// Where an earlier life stopped.
    pub resume: Arc<Resume>,
    /// Renders a container's metadata, given its redaction of single texts.
    pub render: Box<Render>,
    /// Takes sealed frames; never blocks.
    pub send: Box<dyn Fn(Frame) + Send + Sync>,
    /// How frames are to be compressed now.
    pub encoding: Box<dyn Fn() -> Encoding + Send + Sync>,
    /// Joining.
    pub join: JoinLimits,
    /// Open events of all shards together may take this much.
    pub open_bytes: u64,
    /// `limits.unacked.bytes`.
    pub unacked_bytes: u64,
    /// Where files first seen at start are begun.
    pub start: Start,
    /// Frames wait for company at most this long.
    pub frame_age: Duration,
    /// Set at the end: read no more, send what is open.
    pub stop: AtomicBool,
    /// What each shard tells of itself.
    pub pulses: Vec<Pulse>,
    /// Generations of which bytes that an earlier life may have sent are still to be read.
    pub replaying: AtomicI64,
}

/// What a shard tells of itself.
#[derive(Debug, Default)]
pub struct Pulse {
    /// When it last went round, ns since 1970.
    pub alive_ns: AtomicI64,
    /// Bytes in its files that are not answered for.
    pub lag_bytes: AtomicU64,
    /// Age of the oldest unread bytes, ms.
    pub lag_ms: AtomicU64,
    /// Files that it holds open.
    pub files: AtomicU64,
    /// Watches ran out.
    pub exhausted: AtomicBool,
}

/// Renders a container's metadata.
pub type Render =
    dyn Fn(&ContainerKey, u32, &mut dyn FnMut(&str, &str) -> String) -> SourceMeta + Send + Sync;

/// Where a file is begun that was there at the agent's first start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At its first byte.
    Beginning,
    /// At its end.
    End,
    /// At the first line that is not older than this, ns since 1970.
    Since(i64),
}

/// One `<n>.log` of a container.
struct Log {
    container: usize,
    source: SourceId,
    chain: Chain,
    joiner: Option<Joiner>,
    memory: decode::Memory,
    state: LogState,
    /// Last time that the current file grew.
    grown: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LogState {
    /// In the ready queue.
    Ready,
    /// Looked at each tick; so many looks found nothing.
    Hot(u8),
    /// Watched, or left to the sweep.
    Idle,
}

struct Container {
    key: ContainerKey,
    dir: PathBuf,
    at_start: bool,
    /// Its folder was listed at this time of change.
    listed: Option<SystemTime>,
    gone: bool,
}

/// What a turn found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// There may be more at once.
    More,
    /// All of it was read.
    Read,
    /// Nothing was there.
    Nothing,
}

/// The thread's state.
pub struct Shard {
    index: usize,
    shared: Arc<Shared>,
    pipeline: Pipeline,
    commands: mpsc::Receiver<Command>,
    waker: Arc<Waker>,
    watcher: Watcher<usize, usize>,
    containers: Vec<Container>,
    /// Places in `containers` whose container is gone with all its logs.
    free_containers: Vec<usize>,
    logs: Vec<Option<Log>>,
    ready: VecDeque<usize>,
    hot: Vec<usize>,
    buffer: Vec<u8>,
    lines: Vec<Line>,
    parts: Parts,
    sealed: Vec<Frame>,
    /// Covers open frames and open events.
    open: BytePermit,
    joined_bytes: u64,
    next_sweep: Instant,
    next_timer: Instant,
}

impl Shard {
    /// A shard with nothing to do yet.
    #[must_use]
    pub fn new(
        index: usize,
        shared: Arc<Shared>,
        pipeline: Pipeline,
        commands: mpsc::Receiver<Command>,
        waker: Arc<Waker>,
    ) -> Self {
        let now = Instant::now();
        Self {
            index,
            open: shared.pool.acquire_over(0),
            shared,
            pipeline,
            commands,
            waker,
            watcher: Watcher::new(),
            containers: Vec::new(),
            free_containers: Vec::new(),
            logs: Vec::new(),
            ready: VecDeque::new(),
            hot: Vec::new(),
            buffer: Vec::new(),
            lines: Vec::new(),
            parts: Parts::default(),
            sealed: Vec::new(),
            joined_bytes: 0,
            next_sweep: now,
            next_timer: now,
        }
    }

    /// Goes round until it is told to stop; then what is read goes out.
    pub fn run(mut self) {
        while !self.shared.stop.load(Ordering::Acquire) {
            self.waker.clear();
            if let Some(pulse) = self.shared.pulses.get(self.index) {
                pulse.alive_ns.store(now_ns(), Ordering::Relaxed);
            }
            self.listen();
            let now = Instant::now();
            if now >= self.next_sweep {
                self.sweep();
            }
            let starved = !self.turns();
            if Instant::now() >= self.next_timer {
                self.timers();
            }
            if starved {
                self.starve();
            } else if self.ready.is_empty() {
                let until = self.next_sweep.min(self.next_timer).saturating_duration_since(Instant::now());
                self.rest(if self.hot.is_empty() { until } else { until.min(HOT) });
                self.ready.extend(self.hot.drain(..));
            }
        }
        self.process();
        self.pipeline.encode.flush(i64::MAX, (self.shared.encoding)(), &mut self.sealed);
        self.send();
    }

    fn rest(&self, at_most: Duration) {
        let mut fds = vec![self.waker.fd()];
        fds.extend(self.watcher.fd());
        wait(&fds, at_most);
    }

    /// The pool is empty: what is open goes out, so that it can come back, and readers wait.
    fn starve(&mut self) {
        let began = Instant::now();
        self.pipeline.encode.flush(i64::MAX, (self.shared.encoding)(), &mut self.sealed);
        self.send();
        let _ = self.shared.pool.wait_for(TURN_BYTES, HOT);
        self.shared.metrics.backpressure.inc_by(began.elapsed().as_secs_f64());
    }

    // --- what exists ---

    fn listen(&mut self) {
        while let Ok(Command::Add(found)) = self.commands.try_recv() {
            let index = self.free_containers.pop().unwrap_or(self.containers.len());
            // Watch first, then list: what comes between is told by an event.
            let _ = self.watcher.folder(&found.dir, index);
            let container = Container {
                key: found.key,
                dir: found.dir,
                at_start: found.at_start,
                listed: None,
                gone: false,
            };
            match self.containers.get_mut(index) {
                Some(free) => *free = container,
                None => self.containers.push(container),
            }
            self.look(index);
        }
        let mut folders = Vec::new();
        let mut files = Vec::new();
        let complete = self.watcher.events(|watched| match watched {
            Watched::Folder(container) => folders.push(container),
            Watched::Idle(log) => files.push(log),
        });
        folders.sort_unstable();
        folders.dedup();
        for container in folders {
            self.look(container);
        }
        for log in files {
            self.wake_log(log);
        }
        if !complete {
            self.next_sweep = Instant::now();
        }
    }

    fn wake_log(&mut self, index: usize) {
        if let Some(log) = self.logs.get_mut(index).and_then(Option::as_mut)
            && log.state == LogState::Idle
        {
            log.state = LogState::Ready;
            self.ready.push_back(index);
        }
    }

    /// Lists a container's folder and opens what is new.
    fn look(&mut self, container: usize) {
        let Some(at) = self.containers.get_mut(container) else { return };
        let Container { key, dir, at_start, listed, gone } = at;
        let changed = std::fs::metadata(&*dir).and_then(|m| m.modified());
        let names = match changed.and_then(|changed| Ok((changed, fs::names(dir)?))) {
            Ok((changed, names)) => {
                *listed = Some(changed);
                names
            }
            Err(_) => {
                *gone = true;
                Vec::new()
            }
        };
        let mut restarts: Vec<u32> = names
            .iter()
            .filter_map(|name| fintail_parsers::container::path::log_name(name))
            .filter(|log| matches!(log.kind, LogKind::Current | LogKind::Rotated { .. }))
            .map(|log| log.restart)
            .collect();
        restarts.sort_unstable();
        restarts.dedup();
        let (first_life, is_gone) = (*at_start, *gone);
        let mut woken = Vec::new();
        for restart in restarts {
            let known = self.logs.iter().position(|log| {
                log.as_ref().is_some_and(|l| l.container == container && l.chain.restart == restart)
            });
            let index = known.unwrap_or_else(|| {
                let redact = &mut self.pipeline.redact;
                let render = &self.shared.render;
                let meta = render(key, restart, &mut |text, domain| redact.redact_text(text, domain));
                let log = Log {
                    container,
                    source: self.shared.table.add(meta),
                    chain: Chain::new(restart),
                    joiner: None,
                    memory: decode::Memory::default(),
                    state: LogState::Idle,
                    grown: Instant::now(),
                };
                match self.logs.iter().position(Option::is_none) {
                    Some(free) => {
                        self.logs[free] = Some(log);
                        free
                    }
                    None => {
                        self.logs.push(Some(log));
                        self.logs.len() - 1
                    }
                }
            });
            let Some(log) = self.logs.get_mut(index).and_then(Option::as_mut) else { continue };
            let before = log.chain.generations().len();
            let seen = log.chain.look(dir, &names);
            if before > 0 && !seen.opened.is_empty() {
                self.shared.metrics.source_rotations.inc_by(seen.opened.len() as u64);
            }
            for (name, error) in seen.unreadable {
                tracing::warn!(namespace = key.namespace, pod = key.pod, file = name, %error, "cannot open a log file; trying again");
            }
            let opened = !seen.opened.is_empty();
            for id in seen.opened {
                identify(log, key, id, first_life, &self.shared);
            }
            if opened {
                woken.push(index);
            }
        }
        if is_gone {
            let of_it = |log: &Option<Log>| log.as_ref().is_some_and(|l| l.container == container);
            woken = (0..self.logs.len()).filter(|&i| self.logs.get(i).is_some_and(of_it)).collect();
        }
        for index in woken {
            self.wake_log(index);
        }
    }

    /// Looks at everything once, whatever events said.
    fn sweep(&mut self) {
        let blind = self.watcher.exhausted();
        for container in 0..self.containers.len() {
            let Some(c) = self.containers.get(container) else { continue };
            let changed = std::fs::metadata(&c.dir).and_then(|m| m.modified());
            // A folder's time of change has the granularity of the kernel's tick: within a second of it the list
            // may be older than the change.
            let settled = |at: SystemTime| at.elapsed().is_ok_and(|age| age > Duration::from_secs(2));
            let same = changed.is_ok_and(|at| c.listed == Some(at) && settled(at));
            if !c.gone && !same {
                self.look(container);
            }
        }
        let mut lag_bytes = 0;
        let mut lag = Duration::ZERO;
        let mut files = 0;
        for index in 0..self.logs.len() {
            let Some(log) = self.logs.get_mut(index).and_then(Option::as_mut) else { continue };
            let mut unread = false;
            let mut late = Vec::new();
            for g in log.chain.generations() {
                let Ok(stat) = g.stat() else { continue };
                files += 1;
                let mark = self.shared.ledger.marks(g.id).map_or(0, |m| m[0].min(m[1]));
                lag_bytes += stat.size.saturating_sub(mark);
                if stat.size > g.read {
                    unread = true;
                    if g.passed {
                        late.push(g.id);
                    }
                }
            }
            if unread {
                lag = lag.max(log.grown.elapsed());
            }
            for id in late {
                self.read_late(index, id);
            }
            if unread || self.over(index) {
                self.wake_log(index);
            }
            self.retire(index);
        }
        if let Some(pulse) = self.shared.pulses.get(self.index) {
            pulse.lag_bytes.store(lag_bytes, Ordering::Relaxed);
            pulse.lag_ms.store(u64::try_from(lag.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            pulse.files.store(files, Ordering::Relaxed);
            pulse.exhausted.store(blind, Ordering::Relaxed);
        }
        self.next_sweep = Instant::now()
            + match () {
                () if blind => SWEEP_WITHOUT_WATCHES,
                () if self.logs.len() < 1_000 => SWEEP / 5,
                () => SWEEP,
            };
    }

    fn over(&self, index: usize) -> bool {
        let log = self.logs.get(index).and_then(Option::as_ref);
        log.and_then(|l| self.containers.get(l.container)).is_some_and(|c| c.gone)
    }

    /// Forgets generations that are deleted, read and answered for, and logs that have none left.
    fn retire(&mut self, index: usize) {
        let over = self.over(index);
        let Some(log) = self.logs.get_mut(index).and_then(Option::as_mut) else { return };
        let ledger = &self.shared.ledger;
        let retired = log.chain.retire(|g| {
            let deleted = g.stat().is_ok_and(|s| s.links == 0 && s.size <= g.read);
            let answered = ledger.marks(g.id).is_none_or(|m| m[0].min(m[1]) >= g.read);
            deleted && answered && (g.passed || (over && g.id_prefix.is_none()))
        });
        for id in retired {
            ledger.retire(id);
        }
        if over && log.chain.generations().is_empty() && log.state == LogState::Idle {
            self.shared.table.remove(log.source);
            let container = log.container;
            self.logs[index] = None;
            if !self.logs.iter().flatten().any(|log| log.container == container) {
                self.free_containers.push(container);
            }
        }
    }

    // --- reading ---

    /// Gives every ready log its turns; false where memory ran out.
    fn turns(&mut self) -> bool {
        let began = Instant::now();
        while let Some(index) = self.ready.pop_front() {
            let Some(_turn) = self.shared.pool.try_acquire(TURN_BYTES) else {
                self.ready.push_front(index);
                self.process();
                return false;
            };
            let turn = self.turn(index);
            self.after(index, turn);
            if self.parts.text.len() >= BATCH_BYTES || self.parts.records.len() > usize::from(u16::MAX) / 2 {
                self.process();
            }
            if began.elapsed() > HOT {
                break;
            }
        }
        self.process();
        true
    }

    fn turn(&mut self, index: usize) -> Turn {
        let over = self.over(index);
        let Some(log) = self.logs.get_mut(index).and_then(Option::as_mut) else { return Turn::Nothing };
        let Some(Container { key, at_start, .. }) = self.containers.get(log.container) else {
            return Turn::Nothing;
        };
        // Rotation leaves a new file empty for a moment: the successor is identified here as much as the current.
        let unidentified: Vec<GenerationId> = log.chain.unidentified().map(|g| g.id).collect();
        for id in unidentified {
            identify(log, key, id, *at_start, &self.shared);
        }
        let successor = log.chain.successor();
        let Some(current) = log.chain.current() else { return Turn::Nothing };
        let (Some(id_prefix), id) = (current.id_prefix, current.id) else {
            return self.end_if(index, over, None);
        };
        let mark = self.shared.ledger.marks(id).map_or(0, |m| m[0].min(m[1]));
        if current.read.saturating_sub(mark) > self.shared.unacked_bytes {
            return Turn::Nothing;
        }
        let ended = successor.is_some() || over;
        let line_bytes = (self.shared.join.event_bytes + CUT_SLACK_BYTES) as u64;
        let piece = match current.read(&mut self.buffer, QUANTUM_BYTES, line_bytes, ended) {
            Ok(piece) => piece,
            Err(error) => {
                tracing::warn!(namespace = key.namespace, pod = key.pod, %error, "cannot read a log file; trying again");
                return Turn::Nothing;
            }
        };
        let (bytes, offset, long_line, turn) = match piece {
            Piece::Nothing => return self.end_if(index, over, successor),
            Piece::Searching => return Turn::More,
            Piece::Lines { bytes, offset, more } => {
                (bytes, offset, None, if more || ended { Turn::More } else { Turn::Read })
            }
            Piece::Long { bytes, offset, line } => (bytes, offset, Some(line), Turn::More),
        };
        log.grown = Instant::now();
        if offset < current.replay_below && current.read >= current.replay_below {
            self.shared.replaying.fetch_sub(1, Ordering::AcqRel);
        }
        let chunk = Chunk {
            source: log.source,
            generation: id,
            offset,
            bytes: self.buffer.get(..bytes).unwrap_or_default(),
            long_line,
            ended,
            skip_below: current.skip_below,
            info: ChunkInfo { id_prefix, read_at_ns: now_ns(), replay: offset < current.replay_below },
        };
        let marks = current.skip_below;
        let joiner = log.joiner.get_or_insert_with(|| Joiner::new(id, marks));
        let open_before = joiner.open_bytes() as u64;
        let records_before = self.parts.records.len();
        self.lines.clear();
        decode::run(&chunk, &mut log.memory, &mut self.lines);
        joiner.push(&chunk, &self.lines, &self.shared.join, &mut self.parts);
        self.joined_bytes = (self.joined_bytes + joiner.open_bytes() as u64).saturating_sub(open_before);
        let events = (self.parts.records.len() - records_before) as u64;
        self.received(events, bytes as u64);
        turn
    }

    /// The current generation has nothing more: goes on to its successor, or ends the log.
    fn end_if(&mut self, index: usize, over: bool, successor: Option<GenerationId>) -> Turn {
        let Some(log) = self.logs.get_mut(index).and_then(Option::as_mut) else { return Turn::Nothing };
        let partial = log.joiner.as_ref().is_some_and(Joiner::in_partial);
        if let Some(next) = successor {
            if partial && log.grown.elapsed() < DRAIN_OLD {
                return Turn::Nothing;
            }
            let Some(current) = log.chain.current() else { return Turn::Nothing };
            current.passed = true;
            let (ended_at, id, skip) = (current.read, current.id, current.skip_below);
            let marks = log.chain.current().map_or([0; 2], |g| g.skip_below);
            let joiner = log.joiner.get_or_insert_with(|| Joiner::new(id, skip));
            joiner.next_generation(ended_at, next, marks, &mut self.parts);
            return Turn::More;
        }
        if over && let Some(current) = log.chain.current() {
            current.passed = true;
            let (ended_at, id, skip) = (current.read, current.id, current.skip_below);
            let mut joiner = log.joiner.take().unwrap_or_else(|| Joiner::new(id, skip));
            let records_before = self.parts.records.len();
            self.joined_bytes = self.joined_bytes.saturating_sub(joiner.open_bytes() as u64);
            joiner.flush_all(log.source, &mut self.parts);
            joiner.next_generation(ended_at, id, [ended_at; 2], &mut self.parts);
            let events = (self.parts.records.len() - records_before) as u64;
            self.received(events, 0);
        }
        Turn::Nothing
    }

    /// A generation that was passed has grown: the runtime drained an old pipe into it.
    fn read_late(&mut self, index: usize, id: GenerationId) {
        let Some(log) = self.logs.get_mut(index).and_then(Option::as_mut) else { return };
        let Some(g) = log.chain.generations_mut().iter_mut().find(|g| g.id == id) else { return };
        let Some(id_prefix) = g.id_prefix else { return };
        let from = g.read;
        let line_bytes = (self.shared.join.event_bytes + CUT_SLACK_BYTES) as u64;
        let Ok(Piece::Lines { bytes, offset, .. }) =
            g.read(&mut self.buffer, QUANTUM_BYTES, line_bytes, true)
        else {
            return;
        };
        let chunk = Chunk {
            source: log.source,
            generation: id,
            offset,
            bytes: self.buffer.get(..bytes).unwrap_or_default(),
            long_line: None,
            ended: true,
            skip_below: [from; 2],
            info: ChunkInfo { id_prefix, read_at_ns: now_ns(), replay: offset < g.replay_below },
        };
        let mut joiner = Joiner::new(id, [from; 2]);
        let records_before = self.parts.records.len();
        self.lines.clear();
        decode::run(&chunk, &mut log.memory, &mut self.lines);
        joiner.push(&chunk, &self.lines, &self.shared.join, &mut self.parts);
        joiner.flush_all(log.source, &mut self.parts);
        joiner.next_generation(g.read, id, [g.read; 2], &mut self.parts);
        let events = (self.parts.records.len() - records_before) as u64;
        self.received(events, bytes as u64);
        self.process();
    }

    fn received(&self, events: u64, bytes: u64) {
        let source = BySource { source: SourceKind::containers };
        self.shared.ledger.opened(events);
        self.shared.metrics.events_received.get_or_create(&source).inc_by(events);
        self.shared.metrics.bytes_received.get_or_create(&source).inc_by(bytes);
    }

    /// Where a log goes after its turn: on in the queue, among the hot, or to its watch.
    fn after(&mut self, index: usize, turn: Turn) {
        let Some(log) = self.logs.get_mut(index).and_then(Option::as_mut) else { return };
        log.state = match (turn, log.state) {
            (Turn::More, _) => {
                self.ready.push_back(index);
                LogState::Ready
            }
            (Turn::Read, _) => LogState::Hot(0),
            (Turn::Nothing, LogState::Hot(looks)) if looks < HOT_LOOKS => LogState::Hot(looks + 1),
            (Turn::Nothing, _) => LogState::Idle,
        };
        match log.state {
            LogState::Hot(_) => self.hot.push(index),
            LogState::Idle => {
                let Some(current) = log.chain.current() else { return };
                let (read, blocked) = (current.read, current.id_prefix.is_none());
                // Arm, then look once more: a write between the last read and the watch would be missed. What
                // cannot be watched is left to the sweep.
                if self.watcher.idle(current.file(), index).is_ok()
                    && !blocked
                    && current.stat().is_ok_and(|s| s.size > current.searched().max(read))
                {
                    log.state = LogState::Hot(0);
                    self.hot.push(index);
                }
                // The first write to a new file is what a log waits for whose old one is read to its end.
                let newer = log.chain.unidentified().skip(usize::from(blocked));
                let begun = newer.filter(|g| {
                    self.watcher.idle(g.file(), index).is_ok() && g.head().is_ok_and(|head| head.is_some())
                });
                if begun.count() > 0 && log.state == LogState::Idle {
                    log.state = LogState::Hot(0);
                    self.hot.push(index);
                }
            }
            LogState::Ready => {}
        }
    }

    // --- sending ---

    fn timers(&mut self) {
        let now = now_ns();
        let records_before = self.parts.records.len();
        for log in self.logs.iter_mut().flatten() {
            // While the file holds more, its next line decides; the clock only speaks where there is none.
            if !log.joiner.as_ref().is_some_and(|j| j.is_due(now, &self.shared.join)) || !log.chain.is_read()
            {
                continue;
            }
            let Some(joiner) = log.joiner.as_mut() else { continue };
            let open_before = joiner.open_bytes() as u64;
            joiner.flush_due(log.source, now, &self.shared.join, &mut self.parts);
            self.joined_bytes = (self.joined_bytes + joiner.open_bytes() as u64).saturating_sub(open_before);
        }
        self.received((self.parts.records.len() - records_before) as u64, 0);
        self.bound_open_events();
        self.process();
        for (rule, action, count) in self.pipeline.redact.take_counts() {
            let label = ByRule { rule: rule.rule().id.to_owned(), action: action.as_str().to_owned() };
            self.shared.metrics.redactions.get_or_create(&label).inc_by(count);
        }
        let age = i64::try_from(self.shared.frame_age.as_nanos()).unwrap_or(i64::MAX);
        self.pipeline.encode.flush(now.saturating_sub(age), (self.shared.encoding)(), &mut self.sealed);
        self.send();
        self.next_timer = Instant::now() + TIMER;
    }

    /// Open events may take a part of the pool; above it the oldest are forgotten: their file is the buffer.
    fn bound_open_events(&mut self) {
        let share = self.shared.open_bytes / self.shared.pulses.len().max(1) as u64;
        if self.joined_bytes <= share {
            return;
        }
        let mut by_age: Vec<(Instant, usize)> = Vec::new();
        for (index, log) in self.logs.iter().enumerate() {
            if let Some(log) = log.as_ref().filter(|l| l.joiner.as_ref().is_some_and(|j| j.open_bytes() > 0))
            {
                by_age.push((log.grown, index));
            }
        }
        by_age.sort_unstable();
        for (_, index) in by_age {
            if self.joined_bytes <= share / 2 {
                break;
            }
            let Some(log) = self.logs.get_mut(index).and_then(Option::as_mut) else { continue };
            let Some(joiner) = log.joiner.as_mut() else { continue };
            let open = joiner.open_bytes() as u64;
            if let (Some(marks), Some(current)) = (joiner.forget(), log.chain.current()) {
                current.rewind(marks);
                self.joined_bytes = self.joined_bytes.saturating_sub(open);
            }
        }
    }

    fn process(&mut self) {
        if self.parts.records.is_empty() {
            if !self.parts.acks.is_empty() {
                self.shared.ledger.acknowledge(&self.parts.acks);
                self.parts.clear();
            }
            return;
        }
        let batch = Batch::<Raw>::new(std::mem::take(&mut self.parts));
        let sources = self.shared.table.snapshot();
        self.parts = self.pipeline.process(batch, &sources, (self.shared.encoding)(), &mut self.sealed);
        if !self.parts.acks.is_empty() {
            self.shared.ledger.acknowledge(&self.parts.acks);
        }
        self.withheld();
        self.parts.clear();
        self.shared.metrics.flawed_events.inc_by(self.pipeline.encode.take_flawed());
        self.send();
    }

    /// Events that redaction could not finish: their bytes stay here, and are told of.
    fn withheld(&self) {
        let metrics = &self.shared.metrics;
        for record in self.parts.withheld.iter().filter_map(|&at| self.parts.records.get(at as usize)) {
            self.shared.ledger.settled(1);
            metrics.redaction_errors.inc();
            metrics.events_dropped.get_or_create(&ByDrop { reason: DropReason::withheld }).inc();
            tracing::error!(
                source = record.source.0,
                offset = record.start,
                bytes = record.raw_len,
                "an event is withheld: redaction could not finish it"
            );
        }
    }

    fn send(&mut self) {
        self.open.resize(self.pipeline.encode.open_bytes() + self.joined_bytes);
        for frame in self.sealed.drain(..) {
            (self.shared.send)(frame);
        }
    }
}

/// Gives a generation its identity, and with it the place where it goes on.
fn identify(log: &mut Log, key: &ContainerKey, id: GenerationId, at_start: bool, shared: &Shared) {
    let prefix = match log.chain.identify(id, key) {
        Ok(Some(prefix)) => prefix,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(namespace = key.namespace, pod = key.pod, %error, "cannot read the head of a log file; trying again");
            return;
        }
    };
    let Some(generation) = log.chain.generations_mut().iter_mut().find(|g| g.id == id) else { return };
    let size = generation.stat().map_or(0, |s| s.size);
    let marks = match (shared.resume.marks(&prefix), shared.start) {
        (Some(marks), _) => marks,
        (None, Start::End) if at_start && !shared.resume.exists() => {
            [generation.last_line_end().unwrap_or(0); 2]
        }
        (None, Start::Since(since_ns)) if at_start && !shared.resume.exists() => {
            [generation.first_line_since(since_ns).unwrap_or(0); 2]
        }
        (None, _) => [0; 2],
    };
    if at_start && shared.resume.exists() {
        generation.replay_below =
            size.min(marks[0].min(marks[1]).saturating_add(shared.unacked_bytes + QUANTUM_BYTES as u64));
    }
    generation.rewind(marks);
    if generation.read < generation.replay_below {
        shared.replaying.fetch_add(1, Ordering::AcqRel);
    }
    shared.ledger.register(id, prefix, marks);
}

/// Wall clock, ns since 1970.
#[must_use]
pub fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard")
            .field("index", &self.index)
            .field("logs", &self.logs.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
