//! One attempt to deliver a payload: look up what is uncertain, send, and do with each document what the answer
//! says. It must not know what else waits, or when the next attempt is.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::Method;
use tokio::sync::Semaphore;

use super::Encoding;
use super::ack::AckLedger;
use super::bulk::{self, FILTER, Refusal, ServerError, Verdict};
use super::dead_letter::{DeadLetter, DeadLetterError, DeadLetters};
use super::frame::{Debt, Documents, Piece};
use super::http::{CallError, Client, Content, Reply, segment};
use super::lane::{Breaker, Payload};
use super::retry::ShipError;
use super::write_index::{Indices, LOOK_UP_MAX_IDS, LookUpError, look_up};
use crate::admin::metrics::{ByResult, ByRetry, ByStatus, DocumentResult, HeldReason, Metrics, RetryReason};

/// What all attempts share.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) ledger: Arc<AckLedger>,
    pub(super) metrics: Metrics,
    pub(super) dead_letters: Arc<Mutex<DeadLetters>>,
    /// One frame at a time is decoded and cut, in memory that is not the readers'.
    pub(super) cutting: Semaphore,
    /// What new frames are to be sealed with.
    pub(super) encoding: AtomicU8,
    /// [`super::Settings::late_request`].
    pub(super) late_request: Duration,
}

impl Context {
    pub(super) fn encoding(&self) -> Encoding {
        const ZSTD: u8 = Encoding::Zstd as u8;
        const GZIP: u8 = Encoding::Gzip as u8;
        match self.encoding.load(Ordering::Relaxed) {
            ZSTD => Encoding::Zstd,
            GZIP => Encoding::Gzip,
            _ => Encoding::Identity,
        }
    }

    fn count(&self, result: DocumentResult, docs: u64) {
        if docs > 0 {
            self.metrics.output_documents.get_or_create(&ByResult { result }).inc_by(docs);
        }
    }
}

/// When a piece goes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Before younger ones.
    First,
    /// After all that wait: it was refused for itself, perhaps, and others must have their turn.
    Last,
}

/// What came of an attempt.
#[derive(Default)]
pub(super) struct Outcome {
    /// What must go again.
    pub(super) again: Vec<(Piece, Turn)>,
    /// Frames whose documents are all answered.
    pub(super) paid: Vec<Arc<Debt>>,
    /// Documents that are answered.
    pub(super) settled: u64,
    /// The worst of what went wrong, and its cause in words.
    pub(super) error: Option<(ShipError, String)>,
    /// The request was too large as a whole: its size in bytes of NDJSON.
    pub(super) too_large: Option<u64>,
}

impl Outcome {
    fn settle(&mut self, debt: &Arc<Debt>, docs: u32) {
        self.settled += u64::from(docs);
        if docs > 0 && debt.pay(docs) {
            self.paid.push(Arc::clone(debt));
        }
    }

    fn again(&mut self, mut piece: Piece, turn: Turn) {
        piece.failures = piece.failures.saturating_add(1);
        self.again.push((piece, turn));
    }

    /// Holding is worse than a retry: somebody has to act.
    fn fail(&mut self, error: ShipError, cause: impl Into<String>) {
        if !matches!(self.error, Some((ShipError::Hold { .. }, _))) {
            self.error = Some((error, cause.into()));
        }
    }

    fn all_again(&mut self, pieces: Vec<Piece>, error: ShipError, cause: impl Into<String>) {
        let sent_without_answer = matches!(error, ShipError::Retry { unknown: true, .. });
        for mut piece in pieces {
            if sent_without_answer {
                piece.uncertain = Some(Instant::now());
            }
            self.again(piece, Turn::First);
        }
        self.fail(error, cause);
    }
}

/// Sends a payload once and settles what is answered.
pub(super) async fn attempt(context: &Context, payload: Payload) -> Outcome {
    let mut outcome = Outcome::default();
    let Payload { stream, encoding, pieces, floors, breaker } = payload;
    let mut pieces = pieces;
    if pieces.iter().any(|piece| piece.uncertain.is_some()) {
        pieces = reconcile(context, &mut outcome, &stream, pieces, &floors).await;
    }
    if !pieces.is_empty() {
        let was_open = breaker.lock().unwrap_or_else(PoisonError::into_inner).is_open();
        let sent = Sent { context, stream: &stream, encoding, breaker: &breaker, was_open };
        sent.send(&mut outcome, pieces).await;
    }
    let acks: Vec<_> = outcome.paid.iter().flat_map(|debt| debt.acks.iter().copied()).collect();
    context.ledger.acknowledge(&acks);
    context.ledger.settled(outcome.settled);
    let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    for debt in &outcome.paid {
        let oldest_ns = u128::try_from(debt.oldest_ns).unwrap_or(now_ns);
        context.metrics.delivery_latency.observe(now_ns.saturating_sub(oldest_ns) as f64 / 1e9);
    }
    outcome
}

/// Settles uncertain documents that stand in the data stream already; what is returned may be sent.
async fn reconcile(
    context: &Context,
    outcome: &mut Outcome,
    stream: &str,
    pieces: Vec<Piece>,
    floors: &[Option<Arc<str>>],
) -> Vec<Piece> {
    let indices = match Indices::ask(&context.client, stream).await {
        Ok(indices) => indices,
        Err(error) => {
            let (error, cause) = look_up_error(error);
            outcome.all_again(pieces, error, cause);
            return Vec::new();
        }
    };
    // An attempt without an answer may still be at work on the server. Into the same index that would be a 409 for one
    // of the two; after a rollover the look-up has to come behind it.
    let rolled = pieces.iter().zip(floors).filter(|(_, floor)| indices.since(floor.as_deref()).len() > 1);
    if let Some(last) = rolled.filter_map(|(piece, _)| piece.uncertain).max() {
        tokio::time::sleep_until((last + context.late_request).into()).await;
    }
    let mut sendable = Vec::new();
    let mut pieces = pieces.into_iter().zip(floors);
    while let Some((piece, floor)) = pieces.next() {
        let candidates = indices.since(floor.as_deref());
        if piece.uncertain.is_some() && indices == Indices::Hidden {
            context.metrics.output_uncertain.inc_by(u64::from(piece.docs));
        }
        // Also where the write index is the only one: it may roll over before the server looks for it.
        if piece.uncertain.is_none() || candidates.is_empty() {
            sendable.push(piece);
            continue;
        }
        match absent(context, outcome, piece, candidates).await {
            Ok(Some(rest)) => sendable.push(rest),
            Ok(None) => {}
            Err(failed) => {
                let (piece, error) = *failed;
                sendable.push(piece);
                sendable.extend(pieces.map(|(piece, _)| piece));
                let (error, cause) = look_up_error(error);
                outcome.all_again(sendable, error, cause);
                return Vec::new();
            }
        }
    }
    sendable
}

/// Settles the documents of a piece that stand in one of the indices; the rest is returned.
async fn absent(
    context: &Context,
    outcome: &mut Outcome,
    mut piece: Piece,
    indices: &[Arc<str>],
) -> Result<Option<Piece>, Box<(Piece, LookUpError)>> {
    let send_unseen = |piece: Piece| {
        context.metrics.output_uncertain.inc_by(u64::from(piece.docs));
        Ok(Some(piece))
    };
    let _reserve = context.cutting.acquire().await;
    let Ok(documents) = Documents::of(&piece) else { return send_unseen(piece) };
    let ids: Option<Vec<&str>> = (0..piece.docs).map(|number| documents.id(number)).collect();
    let Some(ids) = ids else { return send_unseen(piece) };
    let mut missing: Vec<u32> = (0..piece.docs).collect();
    for index in indices.iter().rev() {
        let mut still = Vec::new();
        for numbers in missing.chunks(LOOK_UP_MAX_IDS) {
            let asked: Vec<&str> =
                numbers.iter().filter_map(|&number| ids.get(number as usize).copied()).collect();
            match look_up(&context.client, index, &asked).await {
                Ok(found) => {
                    let absent = numbers.iter().zip(found).filter(|(_, found)| !found);
                    still.extend(absent.map(|(&number, _)| number));
                }
                // In the write index itself a second `create` is refused with 409.
                Err(LookUpError::Forbidden) if indices.len() == 1 => return Ok(Some(piece)),
                Err(LookUpError::Forbidden) => return send_unseen(piece),
                Err(error) => return Err(Box::new((piece, error))),
            }
        }
        missing = still;
    }
    let found = piece.docs - u32::try_from(missing.len()).unwrap_or(piece.docs);
    let rest = match missing.len() {
        0 => None,
        _ if found == 0 => {
            piece.uncertain = None;
            return Ok(Some(piece));
        }
        _ => match piece.part(&documents, &missing, piece.encoding) {
            Ok(mut rest) => {
                rest.uncertain = None;
                Some(rest)
            }
            Err(_) => return send_unseen(piece),
        },
    };
    context.count(DocumentResult::duplicate, u64::from(found));
    outcome.settle(&piece.debt, found);
    Ok(rest)
}

pub(super) fn look_up_error(error: LookUpError) -> (ShipError, String) {
    let (error, cause) = match error {
        LookUpError::Call(error) => call_error(error),
        LookUpError::Refused(reply) => reply_error(&reply),
        LookUpError::Forbidden => {
            (ShipError::Hold { reason: HeldReason::forbidden }, "no right to read".into())
        }
    };
    // A look-up changes nothing: only what was sent before is uncertain.
    match error {
        ShipError::Retry { reason, after, .. } => (ShipError::Retry { reason, unknown: false, after }, cause),
        other => (other, cause),
    }
}

fn call_error(error: CallError) -> (ShipError, String) {
    let reason = match (error.sent, error.timeout) {
        (false, _) => RetryReason::connect,
        (true, true) => RetryReason::timeout,
        (true, false) => RetryReason::broken_answer,
    };
    (ShipError::Retry { reason, unknown: error.sent, after: None }, error.cause)
}

/// What an answer without items means. The server's reason is not repeated: it may quote a request.
fn reply_error(reply: &Reply) -> (ShipError, String) {
    let error = ServerError::of_body(&reply.body);
    let cause = match (reply.status, error.kind.as_str()) {
        (401, _) => "the destination does not know us (401): check output.auth".into(),
        (status, "") => format!("the destination answers {status}"),
        (status, kind) => format!("the destination answers {status} {kind}"),
    };
    let error = match bulk::judge(reply.status, error) {
        Verdict::Retry { reason, unknown } => ShipError::Retry { reason, unknown, after: reply.retry_after },
        Verdict::Hold { reason, .. } => ShipError::Hold { reason },
        _ if reply.status < 300 => {
            ShipError::Retry { reason: RetryReason::broken_answer, unknown: true, after: None }
        }
        _ => ShipError::Hold { reason: HeldReason::other },
    };
    (error, cause)
}

/// What is done with a document that is not settled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Again,
    AgainUncertain,
    Hold,
    Refused,
}

/// A payload that is being sent.
struct Sent<'a> {
    context: &'a Context,
    stream: &'a str,
    encoding: Encoding,
    breaker: &'a Mutex<Breaker>,
    /// The breaker when it was sent.
    was_open: bool,
}

impl Sent<'_> {
    async fn send(&self, outcome: &mut Outcome, pieces: Vec<Piece>) {
        let metrics = &self.context.metrics;
        let parts: Vec<_> = pieces.iter().map(|piece| piece.body.clone()).collect();
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        let path = format!("/{}/_bulk?{FILTER}", segment(self.stream));
        metrics.output_requests_in_flight.inc();
        let started = Instant::now();
        let reply = self.context.client.call(Method::POST, &path, Content::Bulk(parts, self.encoding)).await;
        metrics.output_requests_in_flight.dec();
        metrics.output_request_duration.observe(started.elapsed().as_secs_f64());
        let status = reply.as_ref().map_or(0, |reply| reply.status);
        metrics.output_requests.get_or_create(&ByStatus { status }).inc();
        match reply {
            Err(error) => {
                let (error, cause) = call_error(error);
                outcome.all_again(pieces, error, cause);
            }
            Ok(reply) => {
                metrics.output_bytes.inc_by(bytes);
                self.answered(outcome, pieces, &reply).await;
            }
        }
        for (piece, _) in &outcome.again {
            let reason = match &outcome.error {
                Some((ShipError::Retry { reason, .. }, _)) => *reason,
                _ if outcome.too_large.is_some() => RetryReason::too_large,
                _ => RetryReason::held,
            };
            metrics.output_retries.get_or_create(&ByRetry { reason }).inc_by(u64::from(piece.docs));
        }
    }

    async fn answered(&self, outcome: &mut Outcome, mut pieces: Vec<Piece>, reply: &Reply) {
        let docs = pieces.iter().map(|piece| piece.docs as usize).sum();
        match reply.status {
            200 => match bulk::read_answer(&reply.body, docs) {
                Ok(answer) => self.items(outcome, pieces, answer.others, docs).await,
                Err(error) => {
                    let broken =
                        ShipError::Retry { reason: RetryReason::broken_answer, unknown: true, after: None };
                    outcome.all_again(pieces, broken, error.to_string());
                }
            },
            // Elasticsearch does not know zstd and takes the body for a broken text (400).
            400 | 415 if self.encoding == Encoding::Zstd => {
                self.recode(outcome, pieces, Encoding::Gzip).await;
            }
            415 if self.encoding == Encoding::Gzip => self.recode(outcome, pieces, Encoding::Identity).await,
            413 if pieces.len() > 1 => {
                outcome.too_large = Some(pieces.iter().map(|piece| u64::from(piece.ndjson_bytes)).sum());
                for piece in pieces {
                    outcome.again(piece, Turn::First);
                }
            }
            413 if docs > 1 => {
                outcome.too_large = Some(0);
                if let Some(piece) = pieces.pop() {
                    self.halve(outcome, piece).await;
                }
            }
            413 => {
                let refusal = Refusal {
                    status: 413,
                    kind: "request_too_large".into(),
                    reason: "one event alone".into(),
                };
                self.items(outcome, pieces, vec![(0, Verdict::Refused(refusal))], docs).await;
            }
            _ => {
                let (error, cause) = reply_error(reply);
                outcome.all_again(pieces, error, cause);
            }
        }
    }

    async fn recode(&self, outcome: &mut Outcome, pieces: Vec<Piece>, encoding: Encoding) {
        self.context.encoding.store(encoding as u8, Ordering::Relaxed);
        tracing::warn!(stream = self.stream, refused = ?self.encoding, now = ?encoding,
            "the destination refuses the compression; frames are sealed anew");
        for mut piece in pieces {
            let _reserve = self.context.cutting.acquire().await;
            let all: Vec<u32> = (0..piece.docs).collect();
            let anew = Documents::of(&piece).and_then(|documents| piece.part(&documents, &all, encoding));
            match anew {
                Ok(anew) => outcome.again(anew, Turn::First),
                Err(error) => {
                    outcome.fail(ShipError::Hold { reason: HeldReason::other }, error.to_string());
                    outcome.again(piece, Turn::Last);
                }
            }
        }
    }

    async fn halve(&self, outcome: &mut Outcome, mut piece: Piece) {
        let _reserve = self.context.cutting.acquire().await;
        let half = piece.docs / 2;
        let (low, high): (Vec<u32>, Vec<u32>) = ((0..half).collect(), (half..piece.docs).collect());
        let halves = Documents::of(&piece).and_then(|documents| {
            let low = piece.part(&documents, &low, piece.encoding)?;
            Ok([low, piece.part(&documents, &high, piece.encoding)?])
        });
        match halves {
            Ok(halves) => halves.into_iter().for_each(|half| outcome.again(half, Turn::First)),
            Err(error) => {
                outcome.fail(ShipError::Hold { reason: HeldReason::other }, error.to_string());
                outcome.again(piece, Turn::Last);
            }
        }
    }

    /// Does with each document what the answer says.
    async fn items(
        &self,
        outcome: &mut Outcome,
        pieces: Vec<Piece>,
        others: Vec<(u32, Verdict)>,
        docs: usize,
    ) {
        let mut open: Vec<(u32, Fate)> = Vec::new();
        let mut refusals = Vec::new();
        let (mut duplicate, mut failure_store, mut noop) = (0, 0, 0);
        let created = (docs - others.len()) as u64;
        for (number, verdict) in others {
            match verdict {
                Verdict::Created => {}
                Verdict::Duplicate => duplicate += 1,
                Verdict::FailureStore => failure_store += 1,
                Verdict::Noop => noop += 1,
                Verdict::Retry { reason, unknown } => {
                    let fate = if unknown { Fate::AgainUncertain } else { Fate::Again };
                    open.push((number, fate));
                    outcome
                        .fail(ShipError::Retry { reason, unknown, after: None }, "some documents, not all");
                }
                Verdict::Hold { reason, kind } => {
                    open.push((number, Fate::Hold));
                    outcome.fail(ShipError::Hold { reason }, format!("documents are refused with {kind}"));
                }
                Verdict::Refused(refusal) => {
                    open.push((number, Fate::Refused));
                    refusals.push((number, refusal));
                }
            }
        }
        self.context.count(DocumentResult::created, created);
        self.context.count(DocumentResult::duplicate, duplicate);
        self.context.count(DocumentResult::failure_store, failure_store);
        self.context.count(DocumentResult::noop, noop);
        let accepted = created + duplicate + failure_store + noop;
        if accepted > 0 || !refusals.is_empty() {
            let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
            if breaker.holds(accepted, refusals.len() as u64, self.was_open) {
                let kind = refusals.first().map_or("", |(_, refusal)| refusal.kind.as_str());
                let cause = format!("no document is accepted, each is refused with {kind}");
                outcome.fail(ShipError::Hold { reason: HeldReason::other }, cause);
                open.iter_mut().filter(|(_, fate)| *fate == Fate::Refused).for_each(|o| o.1 = Fate::Hold);
                refusals.clear();
            }
        }
        let (mut open, mut refusals) = (open.as_slice(), refusals.into_iter().peekable());
        let mut first = 0;
        for piece in pieces {
            let end = first + piece.docs;
            let (here, rest) = open.split_at(open.partition_point(|(number, _)| *number < end));
            open = rest;
            let here: Vec<_> = here.iter().map(|(number, fate)| (number - first, *fate)).collect();
            let mut refused = Vec::new();
            while let Some((number, refusal)) = refusals.next_if(|(number, _)| *number < end) {
                refused.push((number - first, refusal));
            }
            first = end;
            self.piece(outcome, piece, &here, refused).await;
        }
    }

    /// `open`: the documents of a piece that are not settled.
    async fn piece(
        &self,
        outcome: &mut Outcome,
        mut piece: Piece,
        open: &[(u32, Fate)],
        refused: Vec<(u32, Refusal)>,
    ) {
        let open_docs = u32::try_from(open.len()).unwrap_or(piece.docs);
        let settled = piece.docs - open_docs;
        let Some((_, fate)) = open.first() else {
            outcome.settle(&piece.debt, settled);
            return;
        };
        if settled == 0 && *fate != Fate::Refused && open.iter().all(|(_, other)| other == fate) {
            if *fate == Fate::AgainUncertain {
                piece.uncertain = Some(Instant::now());
            }
            outcome.again(piece, turn(*fate));
            return;
        }
        let _reserve = self.context.cutting.acquire().await;
        let documents = match Documents::of(&piece) {
            Ok(documents) => documents,
            Err(error) => {
                // It was sealed wrongly and cannot be cut: nothing of it is settled, it goes again whole.
                outcome.fail(ShipError::Hold { reason: HeldReason::other }, error.to_string());
                outcome.again(piece, Turn::Last);
                return;
            }
        };
        outcome.settle(&piece.debt, settled);
        for fate in [Fate::Again, Fate::AgainUncertain, Fate::Hold] {
            let of_fate = |(number, other): &(u32, Fate)| (*other == fate).then_some(*number);
            let numbers: Vec<u32> = open.iter().filter_map(of_fate).collect();
            self.part(outcome, &mut piece, &documents, &numbers, fate);
        }
        if refused.is_empty() {
            return;
        }
        let letters: Vec<_> =
            refused.iter().map(|(number, refusal)| self.letter(&documents, *number, refusal)).collect();
        let numbers: Vec<u32> = refused.into_iter().map(|(number, _)| number).collect();
        match self.put_away(letters).await {
            Ok(()) => {
                self.context.count(DocumentResult::rejected, numbers.len() as u64);
                outcome.settle(&piece.debt, u32::try_from(numbers.len()).unwrap_or(u32::MAX));
            }
            Err(error) => {
                let reason = HeldReason::dead_letters_full;
                outcome.fail(ShipError::Hold { reason }, error.to_string());
                self.part(outcome, &mut piece, &documents, &numbers, Fate::Hold);
            }
        }
    }

    fn part(
        &self,
        outcome: &mut Outcome,
        piece: &mut Piece,
        documents: &Documents,
        numbers: &[u32],
        fate: Fate,
    ) {
        if numbers.is_empty() {
            return;
        }
        match piece.part(documents, numbers, self.encoding) {
            Ok(mut part) => {
                if fate == Fate::AgainUncertain {
                    part.uncertain = Some(Instant::now());
                }
                outcome.again(part, turn(fate));
            }
            Err(error) => outcome.fail(ShipError::Hold { reason: HeldReason::other }, error.to_string()),
        }
    }

    fn letter(&self, documents: &Documents, number: u32, refusal: &Refusal) -> DeadLetter {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        DeadLetter {
            time_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            data_stream: self.stream.to_owned(),
            id: documents.id(number).unwrap_or_default().to_owned(),
            status: refusal.status,
            error: refusal.kind.clone(),
            reason: refusal.reason.clone(),
            document: DeadLetter::document(documents.source(number)),
        }
    }

    async fn put_away(&self, letters: Vec<DeadLetter>) -> Result<(), DeadLetterError> {
        let store = Arc::clone(&self.context.dead_letters);
        let gauge = self.context.metrics.dead_letters.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            store.append(&letters)?;
            gauge.set(i64::try_from(store.count()).unwrap_or(i64::MAX));
            Ok(())
        });
        done.await.unwrap_or_else(|_| Err(DeadLetterError::Io(std::io::ErrorKind::Other.into())))
    }
}

fn turn(fate: Fate) -> Turn {
    if fate == Fate::Hold { Turn::Last } else { Turn::First }
}
