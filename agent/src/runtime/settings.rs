//! From the configuration to what each part is told, so that no stage knows the configuration.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use xxhash_rust::xxh3::xxh3_64;
use zeroize::Zeroizing;

use super::shard::Start;
use crate::config::{self, Config};
use crate::deliver::{self, retry::Backoff};
use crate::pipeline::reassemble::JoinLimits;
use crate::pipeline::redact::rules::{JsonNumbers, PanForm, RULES, RuleId, RuleSettings, TokenKey};

/// Shards beyond this bring nothing that one node's logs need (architecture.md).
const MAX_SHARDS: usize = 2;
/// A server that is still at work on a request after this long is not waited for.
const LATE_REQUEST: Duration = Duration::from_secs(10);
/// A shard's buffers, compressors and tables.
const SHARD_BYTES: u64 = 12 * 1024 * 1024;

/// `limits` as the joiner needs them.
#[must_use]
pub fn join(config: &Config) -> JoinLimits {
    JoinLimits {
        event_bytes: usize::try_from(config.limits.event_bytes).unwrap_or(usize::MAX),
        event_lines: config.limits.multiline_lines,
        multiline_age_ns: nanos(config.limits.multiline_age),
        partial_age_ns: nanos(config.limits.partial_age),
        multiline: config.sources.containers.multiline == config::Multiline::Auto,
    }
}

/// Where files first seen at the first start are begun.
#[must_use]
pub fn start(config: &Config, now_ns: i64) -> Start {
    match config.sources.containers.start {
        config::Start::Beginning => Start::Beginning,
        config::Start::End => Start::End,
        config::Start::Since(age) => Start::Since(now_ns.saturating_sub(nanos(age))),
    }
}

/// `min(2, cores)`, never more than memory / 12 MiB.
#[must_use]
pub fn shards(memory_bytes: u64) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let by_memory = usize::try_from(memory_bytes / SHARD_BYTES).unwrap_or(usize::MAX);
    MAX_SHARDS.min(cores).min(by_memory).max(1)
}

/// The rules in force.
///
/// # Errors
/// The token key cannot be read or is too short.
pub fn rules(config: &Config) -> Result<RuleSettings, config::SecretError> {
    let redaction = &config.redaction;
    let mut rules = RuleSettings::default();
    rules.pan = match redaction.pan {
        config::PanMask::First6Last4 => PanForm::First6Last4,
        config::PanMask::Last4 => PanForm::Last4,
        config::PanMask::First8Last4 => PanForm::First8Last4,
    };
    rules.json_numbers = match redaction.json_numbers {
        config::JsonNumbers::String => JsonNumbers::String,
        config::JsonNumbers::Null => JsonNumbers::Null,
    };
    if let Some(key) = &redaction.token_key {
        let bytes = Zeroizing::new(key.read()?.expose().to_vec());
        rules.token_key = Some(TokenKey { id: key.id.clone(), bytes });
    }
    for (name, action) in &redaction.rules {
        if let Some(rule) = RuleId::by_name(name) {
            // The configuration was checked: it names no action that the rule does not allow.
            let _allowed = rules.set(rule, *action);
        }
    }
    Ok(rules)
}

/// Names of all rules by their index, for documents.
#[must_use]
pub fn rule_names() -> Arc<[Box<str>]> {
    RULES.iter().map(|rule| Box::from(rule.id)).collect()
}

/// Short hash of the rules in force (`fintail.ruleset`): evidence for an auditor of what was in force when a document
/// was made. The token key's id counts, the key does not.
#[must_use]
pub fn ruleset_hash(rules: &RuleSettings) -> String {
    let mut text = format!("{} {:?} {:?}", env!("CARGO_PKG_VERSION"), rules.pan, rules.json_numbers);
    text.extend(rules.token_key.iter().map(|key| format!(" key {}", key.id)));
    for (index, rule) in (0u16..).zip(RULES) {
        text.push_str(&format!(" {}={}", rule.id, rules.action(RuleId(index)).as_str()));
    }
    format!("{:016x}", xxh3_64(text.as_bytes())).chars().take(8).collect()
}

/// What delivery needs.
#[must_use]
pub fn delivery(config: &Config) -> deliver::Settings {
    let output = &config.output;
    let secret = |file: &config::SecretFile| {
        let file = file.clone();
        deliver::SecretSource(Arc::new(move || {
            let secret = file.read().map_err(|e| io::Error::other(e.to_string()))?;
            let text = secret.expose_str().ok_or_else(|| io::Error::other("the secret is not UTF-8"))?;
            Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
        }))
    };
    deliver::Settings {
        endpoints: output.endpoints.iter().map(|e| e.url().to_string()).collect(),
        ca_file: output.tls.ca_file.clone(),
        auth: match &output.auth {
            config::Auth::None => deliver::Auth::None,
            config::Auth::Basic { username, password } => {
                deliver::Auth::Basic { username: username.clone(), password: secret(password) }
            }
            config::Auth::ApiKey(key) => deliver::Auth::ApiKey(secret(key)),
        },
        compression: match output.compression {
            config::Compression::Auto => deliver::Compression::Auto,
            config::Compression::Zstd => deliver::Compression::Zstd,
            config::Compression::Gzip => deliver::Compression::Gzip,
            config::Compression::None => deliver::Compression::None,
        },
        batch: deliver::BatchLimits {
            bytes: output.batch.bytes,
            events: output.batch.events,
            age: output.batch.age,
        },
        in_flight: output.in_flight as usize,
        connect_timeout: output.connect_timeout,
        timeout: output.timeout,
        late_request: output.timeout.min(LATE_REQUEST),
        backoff: Backoff { initial: output.backoff.initial, max: output.backoff.max },
        allow_plaintext: output.allow_plaintext,
        dead_letters: deliver::DeadLetterSettings {
            dir: config.state_dir.join("dead_letters"),
            max_bytes: config.limits.dead_letters_bytes,
        },
        user_agent: concat!("fintail/", env!("CARGO_PKG_VERSION")).to_owned(),
        jitter_seed: RandomState::new().hash_one(SystemTime::now()),
    }
}

/// The bytes that the pool may lend, from `limits.memory` and the cgroup.
///
/// # Errors
/// Less than the smallest that works.
pub fn pool_bytes(config: &Config) -> Result<u64, config::limits::TooLittleMemory> {
    Ok(config::limits::MemoryPlan::new(config.limits.memory_bytes, Path::new("/"))?.pool_bytes(0))
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
