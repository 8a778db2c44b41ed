//! From a file or text to `Config`: YAML → walk → serde → relations between keys.
//! Must not know what any key is for, but that an unnamed node takes the host's name.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::error::{ConfigErrors, Problem};
use super::limits::CONFIG_MAX_BYTES;
use super::tree::{self, Span};
use super::walk::{Env, Walk};
use super::{Config, relations};

/// Reads and checks the file.
///
/// # Errors
/// All that is wrong with it, at once.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|f| f.take(CONFIG_MAX_BYTES as u64 + 1).read_to_end(&mut bytes));
    if let Err(e) = read {
        return Err(ConfigErrors::unread(&name, format!("cannot read the file: {e}")));
    }
    match String::from_utf8(bytes) {
        Ok(text) => parse(&text, &name),
        Err(e) => {
            let at = e.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(e.as_bytes());
            let cause = "the file is not UTF-8".to_owned();
            let problem = Problem { path: String::new(), span: at..at + 1, cause, hint: None };
            Err(ConfigErrors::new(&name, &text, vec![problem], &likely_secrets(&text)))
        }
    }
}

/// Checks `text`; `name` stands in errors. `{env: …}` is looked up in this process's environment.
///
/// # Errors
/// All that is wrong with it, at once.
pub fn parse(text: &str, name: &str) -> Result<Config, ConfigErrors> {
    parse_with(text, name, &|variable| std::env::var(variable).ok())
}

/// [`parse`] with another environment.
///
/// # Errors
/// All that is wrong with it, at once.
pub fn parse_with(text: &str, name: &str, env: Env<'_>) -> Result<Config, ConfigErrors> {
    if text.len() > CONFIG_MAX_BYTES {
        return Err(ConfigErrors::unread(name, format!("longer than {CONFIG_MAX_BYTES} bytes")));
    }
    let tree = tree::parse(text).map_err(|e| {
        let problem =
            Problem { path: String::new(), span: e.span, cause: e.cause, hint: e.hint.map(str::to_owned) };
        ConfigErrors::new(name, text, vec![problem], &likely_secrets(text))
    })?;
    let mut walk = Walk::new(env);
    let mut values = walk.root(&tree);
    name_the_node(&mut values);
    match serde_json::from_value::<Config>(values) {
        Ok(config) => {
            relations::check(&config, &mut walk);
            if walk.problems.is_empty() {
                return Ok(config);
            }
        }
        // The walk lets nothing through that serde refuses; if it ever does, say so rather than go on.
        Err(e) if walk.problems.is_empty() => {
            walk.problem("", &(0..0), format!("the configuration does not fit its own schema: {e}"), None);
        }
        Err(_) => {}
    }
    Err(ConfigErrors::new(name, text, walk.problems, &walk.secrets))
}

fn name_the_node(values: &mut Value) {
    if let Some(Value::Object(node)) = values.get_mut("node") {
        node.entry("name").or_insert_with(|| {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let name = name.trim();
            if name.is_empty() { "localhost" } else { name }.into()
        });
    }
}

/// Text that is no YAML has no keys to go by: on lines that speak of secrets, all after the first such word.
fn likely_secrets(text: &str) -> Vec<Span> {
    const WORDS: [&str; 8] = ["pass", "secret", "token", "key", "bearer", "auth", "user", "://"];
    let mut offset = 0;
    let mut spans = Vec::new();
    for line in text.split_inclusive('\n') {
        let lower = line.to_ascii_lowercase();
        let word = WORDS.iter().filter_map(|w| lower.find(w).map(|i| i + w.len())).min();
        if let Some(at) = word {
            let value = lower.get(at..).and_then(|rest| rest.find([':', '='])).map_or(at, |i| at + i + 1);
            spans.push(offset + value..offset + line.len());
        }
        offset += line.len();
    }
    spans
}
