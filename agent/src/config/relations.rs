//! What must hold between keys, each good in itself.
//! Must not know how keys are read.

use serde_json::Value;

use super::limits::{MEMORY_BASE_BYTES, OPEN_EVENTS_POOL_PART};
use super::value::size_text;
use super::walk::Walk;
use super::{Config, RuleAction};

/// Adds what is wrong to `walk`'s problems.
pub(super) fn check(config: &Config, walk: &mut Walk<'_>) {
    plaintext(config, walk);
    tokens_without_key(config, walk);
    dry_run(walk);
    overrides(config, walk);
    sizes(config, walk);
}

fn plaintext(config: &Config, walk: &mut Walk<'_>) {
    if config.output.allow_plaintext {
        return;
    }
    let hint = "use https://, or set output.allow_plaintext: true";
    for (path, text) in given_words(walk, "output.endpoints[") {
        if text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://")) {
            report(walk, &path, "http:// would send logs and credentials readable", Some(hint));
        }
    }
}

fn tokens_without_key(config: &Config, walk: &mut Walk<'_>) {
    if config.redaction.token_key.is_some() || walk.given.contains_key("redaction.token_key") {
        return;
    }
    let actions = ["redaction.rules.", "redaction.custom[", "redaction.fields[", "redaction.overrides["];
    for (path, word) in actions.iter().flat_map(|p| given_words(walk, p)).collect::<Vec<_>>() {
        let is_action = path.contains(".rules.") || path.ends_with(".action");
        if is_action && word == RuleAction::Token.as_str() {
            report(walk, &path, "`token` needs a key", Some("set redaction.token_key: {id: k1, file: PATH}"));
        }
    }
}

fn dry_run(walk: &mut Walk<'_>) {
    let on = |walk: &Walk<'_>, path| walk.given.get(path).is_some_and(|(_, v)| *v == Value::Bool(true));
    if on(walk, "redaction.dry_run") && !on(walk, "redaction.allow_unredacted") {
        let cause = "a dry run lets secrets leave the node";
        report(walk, "redaction.dry_run", cause, Some("set redaction.allow_unredacted: true beside it"));
    }
}

fn overrides(config: &Config, walk: &mut Walk<'_>) {
    for (path, word) in given_words(walk, "redaction.overrides[") {
        let Some((_, id)) = path.split_once("].rules.") else { continue };
        let action = RuleAction::ALL.into_iter().find(|a| a.as_str() == word);
        let base = config.redaction.action(id);
        if action.is_some_and(|a| a < base) {
            let cause = format!("laxer than `{}`, which holds elsewhere", base.as_str());
            report(walk, &path, &cause, Some("an override may only be stricter: off < mask < token < drop"));
        }
    }
}

fn sizes(config: &Config, walk: &mut Walk<'_>) {
    let (limits, output) = (&config.limits, &config.output);
    let pool_bytes = limits.memory_bytes.saturating_sub(MEMORY_BASE_BYTES);
    let open_bytes = pool_bytes / OPEN_EVENTS_POOL_PART;
    if limits.event_bytes > open_bytes {
        let cause =
            format!("one event could take more than {}, a quarter of the pool", size_text(open_bytes));
        report(walk, "limits.event", &cause, Some("raise limits.memory: the pool is that minus 24MiB"));
    }
    if output.batch.bytes > pool_bytes / 2 {
        let cause =
            format!("one request could take more than {}, half of the pool", size_text(pool_bytes / 2));
        report(walk, "output.batch.bytes", &cause, Some("raise limits.memory: the pool is that minus 24MiB"));
    }
    if limits.unacked.bytes < limits.event_bytes {
        report(walk, "limits.unacked.bytes", "less than one event (limits.event)", None);
    }
    if output.backoff.initial > output.backoff.max {
        report(walk, "output.backoff.initial", "longer than output.backoff.max", None);
    }
}

/// Texts that were written at paths which begin so.
fn given_words(walk: &Walk<'_>, prefix: &str) -> Vec<(String, String)> {
    let given = walk.given.iter().filter(|(path, _)| path.starts_with(prefix));
    given.filter_map(|(path, (_, v))| Some((path.clone(), v.as_str()?.to_owned()))).collect()
}

/// At `path`, or at the nearest mapping around it that was written.
fn report(walk: &mut Walk<'_>, path: &str, cause: &str, hint: Option<&str>) {
    let mut at = path;
    let span = loop {
        if let Some((span, _)) = walk.given.get(at) {
            break span.clone();
        }
        match at.rsplit_once('.') {
            Some((outer, _)) => at = outer,
            None => break 0..0,
        }
    };
    walk.problem(path, &span, cause, hint.map(str::to_owned));
}
