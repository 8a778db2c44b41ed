//! Delivery as a whole against an endpoint that fails on purpose: nothing lost, nothing doubled, all given back.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::retry::{Backoff, Jitter};
use super::testing::{Endpoint, Faults, frame, frame_of};
use super::*;
use crate::admin::metrics::{ByHeld, ByResult, ByStatus, DocumentResult, HeldReason};
use crate::runtime::budget::BytePool;
use crate::source::GenerationId;
use crate::source::tail::identity::IdPrefix;

const STREAMS: [&str; 2] = ["logs-a-default", "logs-b-default"];
const DEADLINE: Duration = Duration::from_secs(60);

/// One life of delivery, and what it works with.
struct Life {
    pool: Arc<BytePool>,
    ledger: Arc<AckLedger>,
    metrics: Metrics,
    sender: FrameSender,
    delivery: Delivery,
    dir: tempfile::TempDir,
    sent: u64,
}

fn settings(url: &str, dir: &tempfile::TempDir) -> Settings {
    Settings {
        endpoints: vec![url.into()],
        ca_file: None,
        auth: Auth::None,
        compression: Compression::Auto,
        batch: BatchLimits { bytes: 64 << 10, events: 200, age: Duration::from_millis(5) },
        in_flight: 4,
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(10),
        late_request: Duration::from_millis(5),
        backoff: Backoff { initial: Duration::from_millis(1), max: Duration::from_millis(5) },
        allow_plaintext: true,
        dead_letters: DeadLetterSettings { dir: dir.path().join("dead_letters"), max_bytes: 1 << 20 },
        user_agent: "fintail/test".into(),
        jitter_seed: 1,
    }
}

impl Life {
    fn start(url: &str, floors: HashMap<String, String>, change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(url, &dir);
        change(&mut settings);
        let (ledger, metrics) = (Arc::new(AckLedger::default()), Metrics::new().0);
        let deps = Deps {
            ledger: Arc::clone(&ledger),
            metrics: metrics.clone(),
            write_index_floors: floors,
            runtime: Handle::current(),
        };
        let (sender, delivery) = start(settings, deps).unwrap();
        Self { pool: BytePool::new(1 << 30), ledger, metrics, sender, delivery, dir, sent: 0 }
    }

    fn send(&mut self, frame: Frame) {
        for ack in &frame.acks {
            if self.ledger.marks(ack.span.generation).is_none() {
                self.ledger.register(ack.span.generation, IdPrefix::default(), [0, 0]);
            }
        }
        self.ledger.opened(u64::from(frame.docs));
        self.sent += u64::from(frame.docs);
        self.sender.send(frame).unwrap();
    }

    /// Documents of one file, `per` a frame.
    fn send_all(&mut self, stream: &str, encoding: Encoding, numbers: Range<u32>, per: u32) {
        for from in numbers.clone().step_by(per as usize) {
            self.send(frame(&self.pool.clone(), stream, encoding, from..(from + per).min(numbers.end)));
        }
    }

    fn count(&self, result: DocumentResult) -> u64 {
        self.metrics.output_documents.get_or_create(&ByResult { result }).get()
    }

    fn held(&self, reason: HeldReason) -> i64 {
        self.metrics.output_held.get_or_create(&ByHeld { reason }).get()
    }

    /// Waits until all is answered, and checks that nothing is kept.
    async fn drained(&self) {
        assert!(self.delivery.drain(Instant::now() + DEADLINE).await, "everything is answered in time");
        assert_eq!(self.ledger.in_flight(), 0);
        assert_eq!(self.pool.used(), 0, "all permits are back");
        assert!(!self.delivery.held());
        let results = [
            DocumentResult::created,
            DocumentResult::duplicate,
            DocumentResult::failure_store,
            DocumentResult::noop,
            DocumentResult::rejected,
        ];
        assert_eq!(results.into_iter().map(|result| self.count(result)).sum::<u64>(), self.sent);
    }

    fn dead_letters(&self) -> Vec<dead_letter::DeadLetter> {
        let text = std::fs::read_to_string(self.dir.path().join("dead_letters/dead_letters.ndjson")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

async fn until(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !met() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn once_each(numbers: impl Iterator<Item = u32>) -> BTreeMap<String, usize> {
    numbers.map(|number| (format!("id{number:010}"), 1)).collect()
}

/// Two files, each of its own data stream, through an endpoint with faults drawn from the seed.
async fn survive(seed: u64, faults: Faults, in_flight: usize) {
    const DOCS: u32 = 1500;
    let mut draw = Jitter::new(seed);
    let endpoint = Endpoint::start(seed, faults, None).await;
    let mut life = Life::start(&endpoint.url, HashMap::new(), |settings| {
        settings.in_flight = in_flight;
        settings.jitter_seed = seed;
    });
    life.delivery.replayed();
    for (generation, stream) in (0..).zip(STREAMS) {
        let mut from = 0;
        while from < DOCS {
            let to = (from + 1 + (draw.draw() % 60) as u32).min(DOCS);
            let encoding = [Encoding::Identity, Encoding::Gzip, Encoding::Zstd][(draw.draw() % 3) as usize];
            let mut frame = frame(&life.pool.clone(), stream, encoding, from..to);
            for ack in &mut frame.acks {
                ack.span.generation = GenerationId(generation);
            }
            life.send(frame);
            from = to;
        }
    }
    life.drained().await;
    let state = endpoint.state.lock().unwrap();
    for (generation, stream) in (0..).zip(STREAMS) {
        assert_eq!(state.copies(stream), once_each(0..DOCS), "seed {seed}, {faults:?}");
        assert_eq!(life.ledger.marks(GenerationId(generation)), Some([u64::from(DOCS), 0]), "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_faults_lose_and_double_nothing() {
    for seed in 1..=16 {
        let mut draw = Jitter::new(seed);
        let mut chance = |of_1000: u64| if draw.draw().is_multiple_of(2) { draw.draw() % of_1000 } else { 0 };
        let faults = Faults {
            item_429: chance(900),
            item_503_after: chance(200),
            busy_429: chance(300),
            error_503_before: chance(300),
            error_503_after: chance(300),
            cut_before: chance(300),
            cut_after: chance(300),
            too_few: chance(300),
            garbage: chance(300),
            refuses_zstd: chance(2) == 1,
            ..Faults::default()
        };
        survive(seed, faults, 4).await;
    }
}

/// One request at a time: the data stream rolls over between an attempt and the next, not between look-up and sending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollovers_between_attempts_double_nothing() {
    for seed in 1..=16 {
        let mut draw = Jitter::new(seed);
        let mut chance = |of_1000: u64| draw.draw() % of_1000;
        let faults = Faults {
            item_429: chance(200),
            item_503_after: chance(100),
            error_503_after: chance(300),
            cut_after: chance(300),
            too_few: chance(300),
            rollover: 100 + chance(300),
            ..Faults::default()
        };
        survive(seed, faults, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_blocked_stream_waits_without_loss_and_the_other_goes_on() {
    let faults = Faults { write_block: Some(STREAMS[0]), ..Faults::default() };
    let endpoint = Endpoint::start(1, faults, None).await;
    let mut life = Life::start(&endpoint.url, HashMap::new(), |_| {});
    life.send_all(STREAMS[0], Encoding::Gzip, 0..500, 50);
    until("write block seen", || life.held(HeldReason::write_block) == 1).await;
    life.send_all(STREAMS[1], Encoding::Gzip, 500..2500, 50);
    until("the other stream is delivered", || life.count(DocumentResult::created) == 2000).await;
    assert_eq!(life.held(HeldReason::write_block), 1);
    assert!(life.delivery.held());
    assert_eq!(life.metrics.dead_letters.get(), 0);
    assert_eq!(life.ledger.in_flight(), 500);
    endpoint.state.lock().unwrap().faults = Faults::default();
    life.drained().await;
    assert_eq!(endpoint.state.lock().unwrap().copies(STREAMS[0]), once_each(0..500));
    assert_eq!(life.held(HeldReason::write_block), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_shard_limit_and_a_wrong_password_hold() {
    for (faults, reason) in [
        (Faults { shard_limit: true, ..Faults::default() }, HeldReason::shard_limit),
        (Faults { unauthorized: true, ..Faults::default() }, HeldReason::auth),
    ] {
        let endpoint = Endpoint::start(1, faults, None).await;
        let mut life = Life::start(&endpoint.url, HashMap::new(), |_| {});
        life.send_all(STREAMS[0], Encoding::Gzip, 0..100, 50);
        until("it is held", || life.held(reason) == 1).await;
        assert_eq!((life.ledger.in_flight(), life.metrics.dead_letters.get()), (100, 0));
        endpoint.state.lock().unwrap().faults = Faults::default();
        life.drained().await;
        assert_eq!(endpoint.state.lock().unwrap().copies(STREAMS[0]), once_each(0..100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_are_refused_for_themselves_become_dead_letters_with_their_reason() {
    let endpoint = Endpoint::start(1, Faults { bad_every: 10, ..Faults::default() }, None).await;
    let mut life = Life::start(&endpoint.url, HashMap::new(), |_| {});
    life.send_all(STREAMS[0], Encoding::Gzip, 0..1000, 50);
    life.drained().await;
    assert_eq!(
        endpoint.state.lock().unwrap().copies(STREAMS[0]),
        once_each((0..1000).filter(|n| n % 10 != 0))
    );
    let letters = life.dead_letters();
    let ids: BTreeMap<_, _> = letters.iter().map(|letter| (letter.id.clone(), 1)).collect();
    assert_eq!((ids, letters.len()), (once_each((0..1000).step_by(10)), 100));
    let first = &letters[0];
    assert_eq!((first.status, first.error.as_str()), (400, "document_parsing_exception"));
    assert!(first.reason.contains("failed to parse field [n]"));
    assert!(first.document.get().starts_with("{\"n\":"));
    assert_eq!(life.count(DocumentResult::rejected), 100);
    assert_eq!(life.metrics.dead_letters.get(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_refuses_every_document_is_not_believed() {
    let endpoint = Endpoint::start(1, Faults { bad_every: 1, ..Faults::default() }, None).await;
    let mut life = Life::start(&endpoint.url, HashMap::new(), |_| {});
    life.send_all(STREAMS[0], Encoding::Gzip, 0..1000, 50);
    until("it is held", || life.held(HeldReason::other) == 1).await;
    until("it was tried more than once", || endpoint.state.lock().unwrap().items > 3000).await;
    assert_eq!((life.ledger.in_flight(), life.metrics.dead_letters.get()), (1000, 0));
    endpoint.state.lock().unwrap().faults = Faults::default();
    life.drained().await;
    assert_eq!(endpoint.state.lock().unwrap().copies(STREAMS[0]), once_each(0..1000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_dead_letter_store_holds() {
    let endpoint = Endpoint::start(1, Faults { bad_every: 10, ..Faults::default() }, None).await;
    let mut life =
        Life::start(&endpoint.url, HashMap::new(), |settings| settings.dead_letters.max_bytes = 4000);
    life.send_all(STREAMS[0], Encoding::Gzip, 0..1000, 50);
    until("it is held", || life.held(HeldReason::dead_letters_full) == 1).await;
    until("the good ones are delivered", || life.count(DocumentResult::created) == 900).await;
    let put_away = life.dead_letters().len() as u64;
    assert!(put_away < 100);
    until("what is settled is counted", || life.ledger.in_flight() == 100 - put_away).await;
    assert!(life.delivery.held());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_large_requests_are_split_down_to_the_one_event_that_is_too_large() {
    let endpoint = Endpoint::start(1, Faults { max_bytes: Some(4096), ..Faults::default() }, None).await;
    let mut life = Life::start(&endpoint.url, HashMap::new(), |_| {});
    // The first frames are accepted, so that the breaker believes the refusal of one document.
    life.send_all(STREAMS[0], Encoding::Gzip, 0..40, 20);
    until("some are accepted", || life.count(DocumentResult::created) == 40).await;
    let pool = life.pool.clone();
    for from in (40..1000).step_by(80) {
        let padding = |number| if number % 200 == 100 { 8000 } else { 0 };
        life.send(frame_of(&pool, STREAMS[0], Encoding::Zstd, from..from + 80, padding));
    }
    life.drained().await;
    let good = (0..1000).filter(|n| n % 200 != 100 || *n < 40);
    assert_eq!(endpoint.state.lock().unwrap().copies(STREAMS[0]), once_each(good));
    let letters = life.dead_letters();
    assert_eq!(letters.len(), 5);
    assert!(letters.iter().all(|letter| letter.status == 413));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_in_a_refused_encoding_are_sealed_anew() {
    let endpoint = Endpoint::start(1, Faults { refuses_zstd: true, ..Faults::default() }, None).await;
    let mut life = Life::start(&endpoint.url, HashMap::new(), |s| s.compression = Compression::Zstd);
    assert_eq!(life.delivery.encoding(), Encoding::Zstd);
    life.send_all(STREAMS[0], Encoding::Zstd, 0..1000, 50);
    life.drained().await;
    assert_eq!(endpoint.state.lock().unwrap().copies(STREAMS[0]), once_each(0..1000));
    assert_eq!(life.delivery.encoding(), Encoding::Gzip);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_is_down_at_start_gets_everything_when_it_is_up() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let mut life = Life::start(&format!("http://{address}"), HashMap::new(), |_| {});
    assert_eq!(life.delivery.encoding(), Encoding::Gzip, "until the product is known");
    life.send_all(STREAMS[0], Encoding::Gzip, 0..500, 50);
    assert!(!life.delivery.drain(Instant::now() + Duration::from_millis(300)).await);
    assert_eq!(life.ledger.in_flight(), 500);
    let endpoint = Endpoint::start_at(&address, 1, Faults::default(), None).await;
    life.drained().await;
    assert_eq!(endpoint.state.lock().unwrap().copies(STREAMS[0]), once_each(0..500));
    assert_eq!(life.metrics.output_uncertain.get(), 0, "what never left is not uncertain");
}

/// One of two endpoints is dead: the other takes everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_endpoint_is_passed_over() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let endpoint = Endpoint::start(1, Faults::default(), None).await;
    let mut life = Life::start(&endpoint.url, HashMap::new(), |settings| settings.endpoints.insert(0, dead));
    life.send_all(STREAMS[0], Encoding::Gzip, 0..2000, 20);
    life.drained().await;
    assert_eq!(endpoint.state.lock().unwrap().copies(STREAMS[0]), once_each(0..2000));
    let failed = life.metrics.output_requests.get_or_create(&ByStatus { status: 0 }).get();
    assert!(failed <= 4, "{failed} requests went to the dead one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_search_is_seen_to_take_zstd() {
    let endpoint = Endpoint::start(1, Faults::default(), None).await;
    let life = Life::start(&endpoint.url, HashMap::new(), |_| {});
    until("the product is known", || life.delivery.encoding() == Encoding::Zstd).await;
}

/// A life sends and dies without a mark; the stream rolls over; the next life sends everything again.
async fn replay(no_read: bool) -> (BTreeMap<String, usize>, u64, u64) {
    let endpoint = Endpoint::start(1, Faults::default(), None).await;
    let mut first = Life::start(&endpoint.url, HashMap::new(), |_| {});
    first.delivery.replayed();
    first.send_all(STREAMS[0], Encoding::Gzip, 0..1000, 50);
    first.drained().await;
    let floors = first.delivery.write_index_floors();
    {
        let mut state = endpoint.state.lock().unwrap();
        state.rollover(STREAMS[0]);
        state.faults.no_read = no_read;
    }
    let mut second = Life::start(&endpoint.url, floors, |_| {});
    for from in (0..1500).step_by(50) {
        let mut frame = frame(&second.pool.clone(), STREAMS[0], Encoding::Zstd, from..from + 50);
        frame.replay = true;
        second.send(frame);
    }
    second.drained().await;
    assert_eq!(second.ledger.marks(GenerationId(0)), Some([1500, 0]));
    let state = endpoint.state.lock().unwrap();
    (state.copies(STREAMS[0]), second.metrics.output_uncertain.get(), second.count(DocumentResult::duplicate))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_after_a_rollover_doubles_nothing_where_reading_is_allowed() {
    let (copies, uncertain, duplicates) = replay(false).await;
    assert_eq!(copies, once_each(0..1500));
    assert_eq!((uncertain, duplicates), (0, 1000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_without_the_right_to_read_is_counted() {
    let (copies, uncertain, duplicates) = replay(true).await;
    assert_eq!(copies.len(), 1500);
    assert_eq!((uncertain, duplicates), (1500, 0));
}

fn certificate(ca: &rcgen::Issuer<'_, rcgen::KeyPair>, name: &str) -> tokio_rustls::TlsAcceptor {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

fn authority() -> (String, rcgen::Issuer<'static, rcgen::KeyPair>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, rcgen::Issuer::new(params, key))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_delivers_and_bad_certificates_are_told_in_words() {
    let (pem, ca) = authority();
    let (other_pem, _) = authority();
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, pem).unwrap();
    let other_ca_file = dir.path().join("other.pem");
    std::fs::write(&other_ca_file, other_pem).unwrap();
    let good = Endpoint::start(1, Faults::default(), Some(certificate(&ca, "localhost"))).await;
    let misnamed = Endpoint::start(1, Faults::default(), Some(certificate(&ca, "elsewhere"))).await;

    let mut life = Life::start(&good.url, HashMap::new(), |settings| {
        settings.ca_file = Some(ca_file.clone());
        settings.allow_plaintext = false;
    });
    life.send_all(STREAMS[0], Encoding::Gzip, 0..100, 50);
    life.drained().await;
    assert_eq!(good.state.lock().unwrap().copies(STREAMS[0]), once_each(0..100));

    for (endpoint, ca_file, words) in [
        (&good, &other_ca_file, "not signed by a CA that we trust; name its CA in output.tls.ca_file"),
        (&misnamed, &ca_file, "is for another name"),
    ] {
        let mut settings = settings(&endpoint.url, &dir);
        settings.ca_file = Some(ca_file.clone());
        let client = http::Client::new(&settings).unwrap();
        let error = client.call(reqwest::Method::GET, "/", http::Content::None).await.unwrap_err();
        assert!(!error.sent && error.cause.contains(words), "{}", error.cause);
    }
}

#[tokio::test]
async fn what_is_wrong_in_the_settings_is_told_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let error = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings("http://localhost:1", &dir);
        change(&mut settings);
        let deps = Deps {
            ledger: Arc::default(),
            metrics: Metrics::new().0,
            write_index_floors: HashMap::new(),
            runtime: Handle::current(),
        };
        start(settings, deps).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(error(&|_| {}), "");
    assert!(error(&|s| s.allow_plaintext = false).contains("allow_plaintext"));
    assert!(error(&|s| s.endpoints.clear()).contains("at least one endpoint"));
    assert!(error(&|s| s.ca_file = Some("absent.pem".into())).contains("absent.pem"));
}
