//! Owns the bank's pod logs of one test, written by the clock as far as the test asks for.
//! Must not know who reads them.

use std::{
    env,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use fintail::demo::bank::Options;
use fintail_bench::{
    manifest::Manifest,
    pods::{Pod, Rotation},
};

/// All pods of the bank.
pub struct Fleet {
    options: Options,
    pods: Vec<Pod>,
}

impl Fleet {
    /// `sources` pods below `root`, nothing written yet. From 3 on each pod has a format of its own.
    pub fn create(root: &Path, seed: u64, sources: u32) -> Result<Self> {
        let options = Options { seed, sources, ..Options::default() };
        let pods = (0..sources).map(|source| Pod::create(root, options, source, Rotation::BY_HAND));
        Ok(Self { options, pods: pods.collect::<Result<_>>()? })
    }

    /// Writes so many bytes more over all pods, each its share, whole events.
    pub fn write(&mut self, bytes: u64) -> Result<()> {
        let now_ns = now_ns()?;
        for pod in &mut self.pods {
            let goal = pod.written.bytes + (bytes as f64 * pod.weight()) as u64;
            while pod.written.bytes < goal {
                pod.step(now_ns);
            }
            pod.flush(usize::MAX, now_ns)?;
        }
        Ok(())
    }

    /// Renames one pod's `0.log` away and begins a new one.
    pub fn rotate(&mut self, pod: usize) -> Result<()> {
        let now_ns = now_ns()?;
        self.pods.get_mut(pod).context("no such pod")?.rotate(now_ns)
    }

    /// What was written so far.
    pub fn manifest(&self) -> Manifest {
        let sources = self.pods.iter().map(|pod| pod.written.clone()).collect();
        Manifest { options: self.options, sources }
    }
}

/// A number from the environment, else `default`: CI runs a size that fits its time, a nightly run a larger one.
pub fn size(variable: &str, default: u64) -> u64 {
    env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Nanoseconds since 1970.
pub fn now_ns() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?)
}
