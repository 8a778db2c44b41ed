//! Owns the record of what a generator run wrote: enough to derive every event again, no event itself.
//! Must not know: how documents are judged.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use fintail::demo::bank::{Bank, Options};
use serde_json::{Value, json};

/// What a generator run wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Options of the bank.
    pub options: Options,
    /// One entry a pod, in order of the source number.
    pub sources: Vec<SourceEntry>,
}

/// What one pod wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceEntry {
    /// Path of `0.log` below the root: `<namespace>_<pod>_<uid>/<container>/0.log`.
    pub path: String,
    /// Pod name.
    pub pod: String,
    /// Number of events; their sequence numbers are 0 to this, exclusive.
    pub events: u64,
    /// CRI bytes written.
    pub bytes: u64,
    /// CRI lines written.
    pub lines: u64,
    /// How often `0.log` was renamed away.
    pub rotations: u64,
    /// Planted values.
    pub planted: u64,
}

impl Manifest {
    /// The pod's generator, from its first event.
    pub fn bank(&self, source: usize) -> Bank {
        Bank::new(self.options, source as u32)
    }

    /// Events of all sources.
    pub fn events(&self) -> u64 {
        self.sources.iter().map(|source| source.events).sum()
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        let sources: Vec<_> = self
            .sources
            .iter()
            .map(|source| {
                json!({"path": source.path, "pod": source.pod, "events": source.events, "bytes": source.bytes,
                    "lines": source.lines, "rotations": source.rotations, "planted": source.planted})
            })
            .collect();
        // A seed above 2^53 would not survive a reader that takes numbers for doubles.
        json!({"version": 1, "seed": self.options.seed.to_string(), "sensitive": self.options.sensitive,
            "sources": sources})
    }

    /// Writes it to a file.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(&self.to_json())? + "\n";
        std::fs::write(path, text).with_context(|| format!("write manifest {}", path.display()))
    }

    /// Reads what [`Manifest::save`] wrote.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("read manifest {}", path.display()))?;
        let value = serde_json::from_slice(&text).with_context(|| format!("manifest {}", path.display()))?;
        Self::from_json(&value).with_context(|| format!("manifest {}", path.display()))
    }

    /// Reads what [`Manifest::to_json`] gave.
    pub fn from_json(value: &Value) -> anyhow::Result<Self> {
        anyhow::ensure!(value["version"] == json!(1), "version 1 expected");
        let seed = value["seed"].as_str().and_then(|text| text.parse().ok()).context("seed")?;
        let sensitive = value["sensitive"].as_f64().context("sensitive")?;
        let entry = |entry: &Value| {
            let text = |name: &str| entry[name].as_str().map(str::to_owned).with_context(|| name.to_owned());
            let number = |name: &str| entry[name].as_u64().with_context(|| name.to_owned());
            anyhow::Ok(SourceEntry {
                path: text("path")?,
                pod: text("pod")?,
                events: number("events")?,
                bytes: number("bytes")?,
                lines: number("lines")?,
                rotations: number("rotations")?,
                planted: number("planted")?,
            })
        };
        let sources: Vec<_> =
            value["sources"].as_array().context("sources")?.iter().map(entry).collect::<Result<_, _>>()?;
        Ok(Self { options: Options { seed, sensitive, sources: sources.len() as u32 }, sources })
    }

    /// Source number by pod name.
    pub fn by_pod(&self) -> BTreeMap<String, usize> {
        self.sources.iter().enumerate().map(|(place, source)| (source.pod.clone(), place)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_json() {
        let entry =
            SourceEntry { path: "a_b_c/d/0.log".into(), pod: "b".into(), events: 3, ..Default::default() };
        let options = Options { seed: u64::MAX, sources: 1, sensitive: 0.5 };
        let manifest = Manifest { options, sources: vec![entry] };
        assert_eq!(Manifest::from_json(&manifest.to_json()).expect("valid"), manifest);
    }
}
