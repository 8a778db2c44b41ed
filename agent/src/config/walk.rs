//! Walks the tree along the schema: finds every error at once and makes the values that serde turns into `Config`.
//! Must not know the typed configuration, nor how one key bears on another.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read;

use serde_json::{Map, Value};

use super::RuleAction;
use super::error::{Problem, did_you_mean};
use super::limits::{CONFIG_MAX_ERRORS, VALUE_FILE_MAX_BYTES};
use super::schema::{self, Absent, GAPS, KEYS, Key, Kind};
use super::tree::{self, Entry, Kind as Tree, Node, Span};
use super::value::{self, Endpoint, Template, size_text, time_text};
use crate::pipeline::redact::rules::{RULES, RuleId};

/// Looks up an environment variable.
pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The walk and what it found.
pub(super) struct Walk<'a> {
    env: Env<'a>,
    /// All that is wrong.
    pub(super) problems: Vec<Problem>,
    /// What no excerpt may show.
    pub(super) secrets: Vec<Span>,
    /// What was written: path → its place and what it means.
    pub(super) given: BTreeMap<String, (Span, Value)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(env: Env<'a>) -> Self {
        Self { env, problems: Vec::new(), secrets: Vec::new(), given: BTreeMap::new() }
    }

    /// The whole configuration, defaults filled in: sizes as bytes, times as serde's `Duration`, words as strings,
    /// one-of mappings as serde's externally tagged enums; keys of [`GAPS`] left out.
    pub(super) fn root(&mut self, root: &Node) -> Value {
        Value::Object(self.section("", "", root).unwrap_or_default())
    }

    pub(super) fn problem(
        &mut self,
        path: &str,
        span: &Span,
        cause: impl Into<String>,
        hint: Option<String>,
    ) {
        let (path, span, cause) = (path.to_owned(), span.clone(), cause.into());
        self.problems.push(Problem { path, span, cause, hint });
    }

    /// `schema` is the path with `[]`, `at` the one with numbers. None where a required key has no value.
    fn section(&mut self, schema: &str, at: &str, node: &Node) -> Option<Map<String, Value>> {
        let entries = self.entries(schema, at, node);
        self.strangers(schema, at, entries);
        let mut map = Map::new();
        let mut whole = true;
        for key in schema::children(schema) {
            let entry = entries.iter().find(|e| e.key == key.name());
            match self.key(key, &join(at, key.name()), entry, &node.span) {
                Some(value) => drop(map.insert(key.name().to_owned(), value)),
                None => whole &= key.absent != Absent::Error,
            }
        }
        whole.then_some(map)
    }

    fn entries<'n>(&mut self, schema: &str, at: &str, node: &'n Node) -> &'n [Entry] {
        match &node.kind {
            Tree::Map(entries) => entries,
            Tree::Null => &[],
            Tree::Scalar { .. } | Tree::List(_) => {
                self.hide_if_secret(schema, node);
                let names: Vec<_> = schema::children(schema).map(Key::name).collect();
                let hint = format!("its keys: {}", names.join(", "));
                self.problem(at, &node.span, "a mapping of keys is expected here", Some(hint));
                &[]
            }
        }
    }

    /// Keys that the schema has not, and keys that stand twice.
    fn strangers(&mut self, schema: &str, at: &str, entries: &[Entry]) {
        let mut seen = HashSet::new();
        for entry in entries {
            if !seen.insert(&entry.key) {
                self.hide(&entry.value);
                self.problem(&join(at, &entry.key), &entry.at, "this key stands here twice", None);
            } else if schema::children(schema).all(|k| k.name() != entry.key) {
                // It may be a misspelt `password`.
                self.hide(&entry.value);
                let names = schema::children(schema).map(Key::name);
                // Nobody reads the hints of a hundred errors, and each costs a search.
                let hint = || match (did_you_mean(&entry.key, names), elsewhere(&entry.key)) {
                    (Some(meant), _) => Some(format!("did you mean `{meant}`?")),
                    (None, Some(path)) => Some(format!("`{}` stands at `{path}`", entry.key)),
                    (None, None) => {
                        (entry.key == "<<").then(|| "YAML merge keys are not supported".to_owned())
                    }
                };
                let hint = if self.problems.len() < CONFIG_MAX_ERRORS { hint() } else { None };
                self.problem(&join(at, &entry.key), &entry.at, "unknown key", hint);
            }
        }
    }

    /// The value of one key, given or not. None: nothing of it is for the typed configuration.
    fn key(&mut self, key: &Key, at: &str, entry: Option<&Entry>, around: &Span) -> Option<Value> {
        let written = entry.filter(|e| !e.value.is_null() || null_is_a_word(key, &e.value));
        let value = match written {
            Some(entry) => self.written(key, at, entry),
            None if key.absent == Absent::Inner => {
                // Not by `fallback`: a required key below must be missed aloud.
                let nothing = Node { span: around.start..around.start, kind: Tree::Null };
                self.section(key.path, at, &nothing).map(Value::Object)
            }
            None => {
                if key.absent == Absent::Error {
                    let span = entry.map_or(around.start..around.start, |e| e.at.clone());
                    self.problem(at, &span, "this key is required", Some(key.doc.to_owned()));
                }
                self.fallback(key)
            }
        };
        value.filter(|_| !key.is_gap())
    }

    fn written(&mut self, key: &Key, at: &str, entry: &Entry) -> Option<Value> {
        let span = &entry.value.span;
        let value = self.value(key, at, &entry.value);
        self.given.insert(at.to_owned(), (span.clone(), value.clone().unwrap_or_default()));
        let Some(gap) = GAPS.iter().find(|g| g.path == key.path) else {
            return value.or_else(|| self.fallback(key));
        };
        let needed = match (&value, gap.word) {
            (None, word) => word.is_none(),
            (Some(value), Some(word)) => value == word,
            (Some(value), None) => {
                value != "off" && value != false && Some(value) != self.fallback(key).as_ref()
            }
        };
        if needed {
            let span = if gap.word.is_some() { span } else { &entry.at };
            self.problem(at, span, format!("not supported by this version: {}", gap.what), None);
        }
        value.filter(|_| !needed).or_else(|| self.fallback(key))
    }

    /// What holds where nothing (good) was written. Reports nothing.
    fn fallback(&self, key: &Key) -> Option<Value> {
        let mut quiet = Walk::new(self.env);
        match key.absent {
            Absent::Nothing => None,
            Absent::Error => matches!(key.kind, Kind::List).then(|| Value::Array(Vec::new())),
            Absent::Inner => quiet.section(key.path, key.path, &Node::empty()).map(Value::Object),
            Absent::Default(text) => quiet.value(key, key.path, &tree::parse(text).ok()?),
        }
    }

    fn value(&mut self, key: &Key, at: &str, node: &Node) -> Option<Value> {
        match (key.kind, &node.kind) {
            (Kind::Section, _) => self.section(key.path, at, node).map(Value::Object),
            (Kind::OneOf, _) => self.one_of(key, at, node),
            (Kind::List, _) => self.list(key, at, node),
            (Kind::Rules, _) => self.rules(at, node),
            (Kind::Labels, _) => self.labels(at, node),
            (Kind::Secret, _) => self.secret(at, node),
            (Kind::Word(_), Tree::Map(entries))
                if key.children().next().is_some() && reference(entries).is_none() =>
            {
                self.one_of(key, at, node)
            }
            _ => self.scalar(key, at, node),
        }
    }

    fn one_of(&mut self, key: &Key, at: &str, node: &Node) -> Option<Value> {
        let entries = self.entries(key.path, at, node);
        self.strangers(key.path, at, entries);
        let mut known = Vec::new();
        for child in key.children() {
            if let Some(entry) = entries.iter().find(|e| e.key == child.name()) {
                let at = join(at, child.name());
                if entry.value.is_null() {
                    self.problem(&at, &entry.at, "it has no value", Some(child.doc.to_owned()));
                }
                known.push((child.name(), self.key(child, &at, Some(entry), &node.span)));
            }
        }
        if known.len() != 1 {
            if known.len() > 1 || entries.is_empty() && matches!(node.kind, Tree::Map(_)) {
                let names: Vec<_> = key.children().map(Key::name).collect();
                self.problem(at, &node.span, format!("exactly one of: {}", names.join(", ")), None);
            }
            return None;
        }
        let (name, value) = known.pop()?;
        Some(Value::Object(Map::from_iter([(name.to_owned(), value?)])))
    }

    fn list(&mut self, key: &Key, at: &str, node: &Node) -> Option<Value> {
        let Tree::List(nodes) = &node.kind else {
            self.hide_if_secret(key.path, node);
            let hint = "write [first, second], or a line `- …` for each".to_owned();
            self.problem(at, &node.span, "a list is expected here", Some(hint));
            return None;
        };
        if nodes.is_empty() && key.absent == Absent::Error {
            self.problem(at, &node.span, "the list is empty, at least one entry is needed", None);
        }
        let element = key.element()?;
        let mut values = Vec::new();
        for (i, node) in nodes.iter().enumerate() {
            let at = format!("{at}[{i}]");
            let empty = matches!(&node.kind, Tree::Map(m) if m.is_empty());
            if node.is_null() || empty && matches!(element.kind, Kind::Section) {
                self.problem(&at, &node.span, "an empty entry", None);
                continue;
            }
            if let Some(value) = self.value(element, &at, node) {
                self.given.insert(at, (node.span.clone(), value.clone()));
                values.push(value);
            }
        }
        Some(Value::Array(values))
    }

    fn rules(&mut self, at: &str, node: &Node) -> Option<Value> {
        let Tree::Map(entries) = &node.kind else {
            let hint = Some("write {email: token, phone: off}".to_owned());
            self.problem(at, &node.span, "a mapping from rule ids to actions is expected here", hint);
            return None;
        };
        let mut map = Map::new();
        let mut seen = HashSet::new();
        for entry in entries {
            let at = join(at, &entry.key);
            if !seen.insert(&entry.key) {
                self.problem(&at, &entry.at, "this key stands here twice", None);
                continue;
            }
            let Some(rule) = RuleId::by_name(&entry.key).map(RuleId::rule) else {
                let meant = did_you_mean(&entry.key, RULES.iter().map(|r| r.id));
                let hint = meant.map(|m| format!("did you mean `{m}`?"));
                self.problem(&at, &entry.at, "there is no such rule", hint);
                continue;
            };
            let all: Vec<_> = RuleAction::ALL.iter().map(|a| a.as_str()).collect();
            let Some((text, plain, subject)) = self.text(&at, &entry.value, false) else { continue };
            let action = match word(&all, &text, plain) {
                Ok(action) => action,
                Err((cause, hint)) => {
                    self.problem(&at, &entry.value.span, format!("{subject}: {cause}"), hint);
                    continue;
                }
            };
            let allowed: Vec<_> = rule.allowed().iter().map(|a| a.as_str()).collect();
            if !allowed.contains(&action.as_str()) {
                let cause = format!("`{}` accepts {} only (PCI DSS 3.3.1)", rule.id, allowed.join(", "));
                self.problem(&at, &entry.value.span, cause, None);
            } else if action != "off" && !rule.implemented {
                let cause = format!("not supported by this version: rule `{}`", rule.id);
                self.problem(&at, &entry.at, cause, None);
            } else {
                let value = Value::String(action);
                self.given.insert(at, (entry.value.span.clone(), value.clone()));
                map.insert(rule.id.to_owned(), value);
            }
        }
        Some(Value::Object(map))
    }

    fn labels(&mut self, at: &str, node: &Node) -> Option<Value> {
        let Tree::Map(entries) = &node.kind else {
            let hint = Some("write {name: value}".to_owned());
            self.problem(at, &node.span, "a mapping of words is expected here", hint);
            return None;
        };
        let mut map = Map::new();
        for entry in entries {
            if let Some((text, ..)) = self.text(&join(at, &entry.key), &entry.value, false) {
                map.insert(entry.key.clone(), Value::String(text));
            }
        }
        Some(Value::Object(map))
    }

    /// The path of `{file: PATH}`. All else may be the secret itself.
    fn secret(&mut self, at: &str, node: &Node) -> Option<Value> {
        if let Tree::Map(entries) = &node.kind
            && let Some(("file", entry)) = reference(entries)
            && let Tree::Scalar { text, .. } = &entry.value.kind
            && !text.is_empty()
        {
            return Some(Value::String(text.clone()));
        }
        self.hide(node);
        let hint = Some("write {file: /path/of/the/secret}".to_owned());
        self.problem(at, &node.span, "a secret is given by file only", hint);
        None
    }

    fn scalar(&mut self, key: &Key, at: &str, node: &Node) -> Option<Value> {
        let from_outside = matches!(key.absent, Absent::Default(d) if d.starts_with("{env:"));
        let (text, plain, subject) = match (&node.kind, key.kind) {
            (Tree::Null, Kind::Word(_)) => ("null".to_owned(), true, "`null`".to_owned()),
            _ => self.text(at, node, from_outside)?,
        };
        let secret = matches!(key.kind, Kind::Endpoint) && text.contains('@');
        if secret {
            self.hide(node);
        }
        match scalar_value(key.kind, &text, plain) {
            Ok(value) => Some(value),
            Err((cause, hint)) => {
                let cause = if secret { cause } else { format!("{subject}: {cause}") };
                self.problem(at, &node.span, cause, hint);
                None
            }
        }
    }

    /// The text, whether it was written without quotes, and what an error calls it: values from outside are not
    /// repeated. `may_be_unset`: an environment variable that is not set is no error.
    fn text(&mut self, at: &str, node: &Node, may_be_unset: bool) -> Option<(String, bool, String)> {
        let fail = |walk: &mut Self, cause: String| {
            walk.problem(at, &node.span, cause, None);
            None
        };
        match &node.kind {
            Tree::Scalar { text, plain } => {
                let mut shown: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
                if shown.len() < text.len() {
                    shown.push('…');
                }
                Some((text.clone(), *plain, format!("`{shown}`")))
            }
            Tree::Map(entries) => match reference(entries) {
                Some(("env", Entry { value: Node { kind: Tree::Scalar { text: name, .. }, .. }, .. })) => {
                    match (self.env)(name) {
                        Some(text) => Some((text, true, format!("environment variable {name}"))),
                        None if may_be_unset => None,
                        None => fail(self, format!("environment variable {name} is not set")),
                    }
                }
                Some(("file", Entry { value: Node { kind: Tree::Scalar { text: path, .. }, .. }, .. })) => {
                    match value_file(path) {
                        Ok(text) => Some((text, true, format!("file {path}"))),
                        Err(e) => fail(self, format!("file {path}: {e}")),
                    }
                }
                _ => {
                    self.hide(node);
                    fail(self, "one value is expected here, or {env: NAME}, or {file: PATH}".to_owned())
                }
            },
            Tree::List(_) => {
                self.hide(node);
                fail(self, "one value is expected here, not a list".to_owned())
            }
            Tree::Null => fail(self, "it has no value".to_owned()),
        }
    }

    /// Excerpts will not show the values in `node`.
    fn hide(&mut self, node: &Node) {
        match &node.kind {
            Tree::Scalar { .. } => self.secrets.push(node.span.clone()),
            Tree::List(nodes) => nodes.iter().for_each(|n| self.hide(n)),
            Tree::Map(entries) => entries.iter().for_each(|e| self.hide(&e.value)),
            Tree::Null => {}
        }
    }

    /// The same, where a secret may stand under `schema` or a URL may hold a password.
    fn hide_if_secret(&mut self, schema: &str, node: &Node) {
        let below = |k: &Key| k.path.starts_with(schema) && matches!(k.kind, Kind::Secret | Kind::Endpoint);
        if KEYS.iter().any(below) {
            self.hide(node);
        }
    }
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// `json_numbers: null` means the word.
fn null_is_a_word(key: &Key, node: &Node) -> bool {
    matches!(key.kind, Kind::Word(words) if words.contains(&"null")) && !node.span.is_empty()
}

/// The only key of this name.
fn elsewhere(name: &str) -> Option<&'static str> {
    let mut there = KEYS.iter().filter(|k| k.name() == name && !k.path.contains('['));
    there.next().filter(|_| there.next().is_none()).map(|k| k.path)
}

/// `{env: NAME}` or `{file: PATH}`.
fn reference(entries: &[Entry]) -> Option<(&str, &Entry)> {
    match entries {
        [entry] if matches!(entry.key.as_str(), "env" | "file") => Some((&entry.key, entry)),
        _ => None,
    }
}

fn value_file(path: &str) -> Result<String, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    if !file.metadata().map_err(|e| e.to_string())?.is_file() {
        return Err("no regular file".to_owned());
    }
    let mut text = String::new();
    file.take(VALUE_FILE_MAX_BYTES as u64 + 1).read_to_string(&mut text).map_err(|e| e.to_string())?;
    if text.len() > VALUE_FILE_MAX_BYTES {
        return Err(format!("longer than {VALUE_FILE_MAX_BYTES} bytes"));
    }
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    Ok(text)
}

type Wrong = (String, Option<String>);

fn word(words: &[&str], text: &str, plain: bool) -> Result<String, Wrong> {
    if words.contains(&text) {
        return Ok(text.to_owned());
    }
    // Helm's YAML 1.1 turns a bare `off` into `false`.
    if plain && text == "false" && words.contains(&"off") {
        return Ok("off".to_owned());
    }
    let hint = did_you_mean(text, words.iter().copied()).map(|m| format!("did you mean `{m}`?"));
    Err((format!("not one of {}", words.join(", ")), hint))
}

fn scalar_value(kind: Kind, text: &str, plain: bool) -> Result<Value, Wrong> {
    let wrong = |cause: &str| (cause.to_owned(), None);
    let bounds = |value: u64, low: u64, high: u64, show: &dyn Fn(u64) -> String| {
        let fits = (low..=high).contains(&value);
        fits.then_some(()).ok_or_else(|| (format!("not within {} and {}", show(low), show(high)), None))
    };
    let string = || Value::String(text.to_owned());
    match kind {
        Kind::Bool => match (plain, text) {
            (true, "true") => Ok(Value::Bool(true)),
            (true, "false") => Ok(Value::Bool(false)),
            _ => Err(wrong("not true or false")),
        },
        Kind::Word(words) => word(words, text, plain).map(Value::String),
        Kind::Size(low, high) => {
            let bytes = value::size_bytes(text).map_err(|cause| {
                let meant = text.strip_suffix('B').and_then(|t| value::size_bytes(&format!("{t}iB")).ok());
                (cause.to_owned(), meant.map(|m| format!("did you mean `{}`?", size_text(m))))
            })?;
            bounds(bytes, low, high, &size_text)?;
            Ok(bytes.into())
        }
        Kind::Time(low, high) => {
            let time = value::time(text).map_err(|cause| {
                let meant = text.parse::<u64>().ok().map(|n| format!("did you mean `{n}s`?"));
                (cause.to_owned(), meant)
            })?;
            let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            bounds(ms, low, high, &|ms| time_text(std::time::Duration::from_millis(ms)))?;
            Ok(serde_json::json!({"secs": time.as_secs(), "nanos": time.subsec_nanos()}))
        }
        Kind::Count(low, high) => {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            let count = text.parse().ok().filter(|_| digits).ok_or_else(|| wrong("not a whole number"))?;
            bounds(count, low, high, &|n| n.to_string())?;
            Ok(count.into())
        }
        Kind::Share => match text.parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(share.into()),
            _ => Err(wrong("not a number from 0 to 1")),
        },
        Kind::Regex => match regex::Regex::new(text) {
            Ok(_) => Ok(string()),
            Err(e) => {
                let detail = e.to_string();
                let last = detail.lines().last().unwrap_or_default().trim_start_matches("error: ");
                Err((format!("no regular expression: {last}"), None))
            }
        },
        Kind::Endpoint => Endpoint::new(text).map(|_| string()).map_err(wrong),
        Kind::Template => Template::new(text).map(|_| string()).map_err(wrong),
        Kind::Dataset => value::dataset(text).map(|()| string()).map_err(wrong),
        Kind::KeyId => value::key_id(text).map(|()| string()).map_err(wrong),
        Kind::Listen => match text.parse::<std::net::SocketAddr>() {
            Ok(_) => Ok(string()),
            Err(_) => Err(wrong("not ADDRESS:PORT, as 0.0.0.0:9598 or [::]:9598")),
        },
        Kind::Text | Kind::Path | Kind::Glob => match text {
            "" => Err(wrong("it is empty")),
            _ if text.chars().any(char::is_control) => Err(wrong("it holds control characters")),
            _ => Ok(string()),
        },
        Kind::Section | Kind::OneOf | Kind::List | Kind::Rules | Kind::Labels | Kind::Secret => {
            Err(wrong("one value cannot stand here"))
        }
    }
}
