//! Whose turn it is: takes frames in, gives each lane its share of the requests, hands outcomes back to lanes.
//! It must not know bodies, answers or HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::Method;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};

use super::attempt::{Context, Outcome, Turn, attempt};
use super::frame::Piece;
use super::http::Content;
use super::lane::{INDICES_MAX_AGE, Lane};
use super::retry::{Jitter, ShipError};
use super::settings::{Compression, Settings};
use super::write_index::{Indices, LookUpError};
use super::{Encoding, Frame};
use crate::admin::metrics::{ByHeld, HeldReason, RetryReason};

/// How often one lane says the same thing in the log.
const SHOUT_EVERY: Duration = Duration::from_secs(60);

/// What the queue is told.
#[derive(Debug)]
pub(super) enum Message {
    Frame(Frame),
    Replayed,
    Drain(oneshot::Sender<()>),
}

/// What the queue tells without being asked.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) floors: HashMap<String, String>,
    /// Lanes that stand still.
    pub(super) held: usize,
}

/// A task's end.
enum Done {
    Attempt(Arc<str>, Box<Outcome>),
    Indices(Arc<str>, Result<Indices, LookUpError>),
    Product(Option<Encoding>),
}

pub(super) struct Queue {
    settings: Settings,
    context: Arc<Context>,
    shared: Arc<Mutex<Shared>>,
    lanes: Vec<Lane>,
    by_stream: HashMap<Arc<str>, usize>,
    turn: usize,
    tasks: JoinSet<Done>,
    /// The lanes of the tasks that send.
    sending: HashMap<Id, usize>,
    jitter: Jitter,
    replayed: bool,
    drains: Vec<oneshot::Sender<()>>,
    /// A panic took frames with it: nobody may be told that everything is answered.
    incomplete: bool,
    /// When the product is to be asked for; `None` = it is known, or asked for now.
    ask_product: Option<Instant>,
    product_failures: u32,
}

impl Queue {
    pub(super) fn new(settings: Settings, context: Arc<Context>, shared: Arc<Mutex<Shared>>) -> Self {
        let auto = settings.compression == Compression::Auto;
        Self {
            jitter: Jitter::new(settings.jitter_seed),
            settings,
            context,
            shared,
            lanes: Vec::new(),
            by_stream: HashMap::new(),
            turn: 0,
            tasks: JoinSet::new(),
            sending: HashMap::new(),
            replayed: false,
            drains: Vec::new(),
            incomplete: false,
            ask_product: auto.then(Instant::now),
            product_failures: 0,
        }
    }

    /// Runs until all senders are gone and everything is answered.
    pub(super) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        const TAKE: usize = 256;
        let mut taken = Vec::new();
        let mut open = true;
        while open || !self.is_idle() {
            let now = Instant::now();
            let flush = !self.drains.is_empty() || !open;
            self.start_tasks(now, flush);
            if self.is_idle() {
                for drain in self.drains.drain(..).filter(|_| !self.incomplete) {
                    // Who asked may have gone: its deadline is over.
                    let _ = drain.send(());
                }
            }
            let wake = self.wake_at(now, flush);
            let sleep = tokio::time::sleep_until(wake.unwrap_or(now + INDICES_MAX_AGE).into());
            tokio::select! {
                count = inbox.recv_many(&mut taken, TAKE), if open => {
                    open = count > 0;
                    taken.drain(..).for_each(|message| self.take(message));
                }
                Some(done) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => self.ended(done),
                () = sleep => {}
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.lanes.iter().all(Lane::is_empty)
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Frame(frame) => self.take_frame(frame),
            Message::Replayed => {
                self.replayed = true;
                for lane in &mut self.lanes {
                    lane.floors.replayed();
                    lane.floors.sweep(&self.context.ledger);
                }
                self.publish_floors();
            }
            Message::Drain(done) => self.drains.push(done),
        }
    }

    fn take_frame(&mut self, frame: Frame) {
        if frame.docs == 0 {
            self.context.ledger.acknowledge(&frame.acks);
            return;
        }
        let age = self.settings.batch.age;
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let waited_ns = now_ns.saturating_sub(u128::try_from(frame.oldest_ns).unwrap_or(now_ns));
        let waited = Duration::from_nanos(u64::try_from(waited_ns).unwrap_or(u64::MAX)).min(age);
        let due = Instant::now() + (age - waited);
        let at = match self.by_stream.get(&frame.stream) {
            Some(&at) => at,
            None => self.add_lane(&frame.stream),
        };
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.push(Piece::new(frame), due);
        }
    }

    fn add_lane(&mut self, stream: &Arc<str>) -> usize {
        let floor = {
            let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.floors.get(&**stream).map(|floor| Arc::from(floor.as_str()))
        };
        let mut lane = Lane::new(Arc::clone(stream), floor, &self.settings.batch);
        if self.replayed {
            lane.floors.replayed();
        }
        self.lanes.push(lane);
        self.by_stream.insert(Arc::clone(stream), self.lanes.len() - 1);
        self.lanes.len() - 1
    }

    /// A lane may take half of the requests where there are several: one that stands still leaves the other half.
    fn lane_share(&self) -> usize {
        let all = self.settings.in_flight.max(1);
        if self.lanes.len() > 1 { all.div_ceil(2) } else { all }
    }

    fn start_tasks(&mut self, now: Instant, flush: bool) {
        if self.ask_product.is_some_and(|at| at <= now) {
            self.ask_product = None;
            let context = Arc::clone(&self.context);
            self.tasks.spawn(async move { Done::Product(product(&context).await) });
        }
        let share = self.lane_share();
        let count = self.lanes.len();
        let mut passed = 0;
        // Round robin: who was served stands last, until a whole round finds nobody.
        while passed < count {
            let at = self.turn % count;
            self.turn = at + 1;
            passed += 1;
            let Some(lane) = self.lanes.get_mut(at) else { break };
            if lane.must_ask(now) {
                lane.asking = true;
                let (context, stream) = (Arc::clone(&self.context), Arc::clone(&lane.stream));
                self.tasks.spawn(async move {
                    let answer = Indices::ask(&context.client, &stream).await;
                    Done::Indices(stream, answer)
                });
            }
            if self.sending.len() >= self.settings.in_flight.max(1) || lane.in_flight >= share {
                continue;
            }
            if let Some(payload) = lane.next(&self.settings.batch, flush, now) {
                passed = 0;
                let context = Arc::clone(&self.context);
                let task = self.tasks.spawn(async move {
                    let stream = Arc::clone(&payload.stream);
                    Done::Attempt(stream, Box::new(attempt(&context, payload).await))
                });
                self.sending.insert(task.id(), at);
            }
        }
    }

    fn wake_at(&self, now: Instant, flush: bool) -> Option<Instant> {
        let free = self.sending.len() < self.settings.in_flight.max(1);
        let share = self.lane_share();
        let lanes = self.lanes.iter().filter(|lane| free && lane.in_flight < share && !lane.asking);
        let due = lanes.filter_map(|lane| lane.wake_at(&self.settings.batch, flush, now));
        due.chain(self.ask_product).min()
    }

    fn ended(&mut self, done: Result<(Id, Done), JoinError>) {
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        if let Some(lane) = self.sending.remove(&id).and_then(|at| self.lanes.get_mut(at)) {
            lane.in_flight -= 1;
        }
        match done {
            Ok((_, done)) => self.finish(done),
            Err(error) => {
                // A panic: frames are gone from memory without being acknowledged; a restart reads them again.
                tracing::error!(panicked = error.is_panic(), "a delivery task ended early");
                self.incomplete = true;
                self.lanes.iter_mut().for_each(|lane| lane.asking = false);
            }
        }
    }

    fn finish(&mut self, done: Done) {
        let now = Instant::now();
        match done {
            Done::Product(found) => self.found_product(found, now),
            Done::Attempt(stream, outcome) => self.finish_attempt(&stream, *outcome, now),
            Done::Indices(stream, answer) => self.finish_indices(&stream, answer, now),
        }
    }

    fn finish_attempt(&mut self, stream: &str, outcome: Outcome, now: Instant) {
        let Some(lane) = self.by_stream.get(stream).and_then(|&at| self.lanes.get_mut(at)) else { return };
        for debt in &outcome.paid {
            lane.floors.paid(debt);
        }
        match outcome.too_large {
            Some(bytes) if bytes > 0 => lane.too_large(bytes),
            _ if outcome.settled > 0 => lane.accepted(&self.settings.batch),
            _ => {}
        }
        let mut after = None;
        if let Some((error, _)) = &outcome.error {
            if let ShipError::Retry { after: Some(wait), .. } = error {
                after = Some(*wait);
            }
            if outcome.settled == 0 {
                lane.failures = lane.failures.saturating_add(1);
            }
            // Partly accepted: a short pause, so that an overloaded destination is not pressed further.
            let failures = if outcome.settled == 0 { lane.failures } else { 1 };
            lane.not_before = Some(now + self.settings.backoff.pause(failures, after, &mut self.jitter));
        } else {
            lane.failures = 0;
            lane.not_before = None;
        }
        for (piece, turn) in outcome.again {
            let failures = if outcome.error.is_some() { piece.failures } else { 1 };
            match turn {
                _ if outcome.error.is_none() => lane.push_again(piece, now),
                Turn::First => {
                    let pause = self.settings.backoff.pause(failures, after, &mut self.jitter);
                    lane.push_again(piece, now + pause);
                }
                Turn::Last => lane.push(piece, now),
            }
        }
        if let Some((ShipError::Retry { reason: RetryReason::connect, .. }, _)) = &outcome.error
            && self.settings.compression == Compression::Auto
            && self.ask_product.is_none()
        {
            // What comes back may be another server.
            self.ask_product = Some(now + self.settings.backoff.max);
        }
        self.tell(stream, outcome.error, now);
    }

    fn finish_indices(&mut self, stream: &str, answer: Result<Indices, LookUpError>, now: Instant) {
        let Some(lane) = self.by_stream.get(stream).and_then(|&at| self.lanes.get_mut(at)) else { return };
        lane.asking = false;
        match answer {
            Ok(indices) => {
                lane.observe(&indices, now);
                lane.floors.sweep(&self.context.ledger);
                self.publish_floors();
            }
            Err(error) => {
                let error = super::attempt::look_up_error(error);
                lane.failures = lane.failures.saturating_add(1);
                lane.not_before =
                    Some(now + self.settings.backoff.pause(lane.failures, None, &mut self.jitter));
                self.tell(stream, Some(error), now);
            }
        }
    }

    /// Metric and log: why a lane stands still, and that it goes on again.
    fn tell(&mut self, stream: &str, error: Option<(ShipError, String)>, now: Instant) {
        let Some(lane) = self.by_stream.get(stream).and_then(|&at| self.lanes.get_mut(at)) else { return };
        let held = match &error {
            Some((ShipError::Hold { reason }, _)) => Some(*reason),
            // The backend is away: what held before it went still counts until an answer says otherwise.
            Some(_) => lane.held,
            None => None,
        };
        let changed = held != lane.held;
        if changed {
            let gauge =
                |reason: HeldReason| self.context.metrics.output_held.get_or_create_owned(&ByHeld { reason });
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(before) = lane.held {
                gauge(before).dec();
                shared.held -= 1;
            }
            if let Some(reason) = held {
                gauge(reason).inc();
                shared.held += 1;
            }
            lane.held = held;
        }
        let Some((error, cause)) = error else {
            if changed {
                tracing::info!(stream, "delivery goes on");
            }
            lane.shouted = None;
            return;
        };
        if !changed && lane.shouted.is_some_and(|at| now.saturating_duration_since(at) < SHOUT_EVERY) {
            return;
        }
        lane.shouted = Some(now);
        match error {
            ShipError::Hold { reason } => {
                tracing::error!(stream, ?reason, cause, "delivery is held; nothing is dropped");
            }
            error => tracing::warn!(stream, %error, cause, "delivery is tried again"),
        }
    }

    fn publish_floors(&self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for lane in &self.lanes {
            match lane.floors.floor() {
                Some(floor) => shared.floors.insert(lane.stream.to_string(), floor.to_string()),
                None => shared.floors.remove(&*lane.stream),
            };
        }
    }

    fn found_product(&mut self, found: Option<Encoding>, now: Instant) {
        if let Some(encoding) = found {
            self.product_failures = 0;
            self.context.encoding.store(encoding as u8, std::sync::atomic::Ordering::Relaxed);
        } else {
            self.product_failures = self.product_failures.saturating_add(1);
            let pause = self.settings.backoff.pause(self.product_failures, None, &mut self.jitter);
            self.ask_product = Some(now + pause.max(self.settings.backoff.initial));
        }
    }
}

/// What the destination is seen to take: OpenSearch 2.19 takes zstd, Elasticsearch 8.19 refuses it (run). `None`
/// where it does not answer.
async fn product(context: &Context) -> Option<Encoding> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Root {
        version: Version,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Version {
        distribution: String,
        number: String,
    }
    let reply = context.client.call(Method::GET, "/", Content::None).await.ok()?;
    match reply.status {
        200 => {}
        // It answers, but will not say: gzip is taken everywhere.
        400..=499 if !matches!(reply.status, 401 | 429) => return Some(Encoding::Gzip),
        _ => return None,
    }
    let Root { version } = serde_json::from_slice(&reply.body).unwrap_or_default();
    let mut numbers = version.number.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let zstd = version.distribution == "opensearch" && number >= (2, 19);
    Some(if zstd { Encoding::Zstd } else { Encoding::Gzip })
}
