//! Owns the answer to a bulk request: items, their counts, `filter_path`.
//! Must not know: what was asked, HTTP.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Value, json};

/// `filter_path` as far as bulk answers have paths: `took`, `errors`, `items`, `items.*.FIELD`.
pub(super) struct Filter(Option<Vec<String>>);

impl Filter {
    pub(super) fn new(query: &str) -> Self {
        let value = query.split('&').find_map(|pair| pair.strip_prefix("filter_path="));
        Self(value.map(|value| {
            value
                .replace("%2C", ",")
                .replace("%2c", ",")
                .replace("%2A", "*")
                .split(',')
                .map(str::to_owned)
                .collect()
        }))
    }

    fn top(&self, name: &str) -> bool {
        self.0
            .as_ref()
            .is_none_or(|paths| paths.iter().any(|path| path == name || path == "*" || path == "**"))
    }

    pub(super) fn item(&self, name: &str) -> bool {
        let shows = |path: &String| {
            let mut parts = path.split('.');
            match (parts.next(), parts.next(), parts.next()) {
                (Some("items" | "*" | "**"), None, _) => true,
                (Some("items"), Some(op), field) => {
                    matches!(op, "*" | "**" | "create" | "index")
                        && field.is_none_or(|field| field == "*" || field == name)
                }
                _ => false,
            }
        };
        self.0.as_ref().is_none_or(|paths| paths.iter().any(shows))
    }
}

/// A bulk answer under way: one rendered piece an item, or only their number where all are alike.
pub(super) struct Answers {
    filter: Filter,
    pub(super) items: Vec<Cow<'static, str>>,
    /// created, duplicates, refused
    pub(super) counts: [u64; 3],
}

impl Answers {
    pub(super) fn new(filter: Filter) -> Self {
        Self { filter, items: Vec::new(), counts: [0; 3] }
    }

    pub(super) fn created(&mut self, count: u64) {
        self.counts[0] += count;
        if self.filter.item("status") {
            self.items.extend((0..count).map(|_| Cow::Borrowed(r#"{"create":{"status":201}}"#)));
        }
    }

    pub(super) fn item(&mut self, op: &str, index: &str, id: &str, status: u16, error: Option<Value>) {
        self.counts[match status {
            200..300 => 0,
            409 => 1,
            _ => 2,
        }] += 1;
        let mut shown = serde_json::Map::new();
        let mut show = |name: &str, value: Value| {
            if self.filter.item(name) {
                shown.insert(name.to_owned(), value);
            }
        };
        show("_index", json!(index));
        show("_id", json!(id));
        show("status", json!(status));
        match error {
            Some(error) => show("error", error),
            None => {
                show("_version", json!(1));
                show("result", json!("created"));
                show("_shards", json!({"total": 1, "successful": 1, "failed": 0}));
            }
        }
        if !shown.is_empty() {
            self.items.push(json!({op: shown}).to_string().into());
        }
    }

    pub(super) fn finish(&self) -> Bytes {
        let mut parts = Vec::new();
        if self.filter.top("took") {
            parts.push(r#""took":1"#.to_owned());
        }
        if self.filter.top("errors") {
            parts.push(format!(r#""errors":{}"#, self.counts[1] + self.counts[2] > 0));
        }
        if !self.items.is_empty() {
            parts.push(format!(r#""items":[{}]"#, self.items.join(",")));
        }
        Bytes::from(format!("{{{}}}", parts.join(",")))
    }
}
