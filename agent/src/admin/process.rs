//! The `process_*` metrics from /proc/self, under the names that every Prometheus client library gives them
//! (without a prefix of ours). It must not know anything of the agent.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::metrics::FloatGauge;

/// The kernel's clock ticks a second in /proc, fixed for user space (`USER_HZ`).
const TICKS: f64 = 100.0;

/// Resident memory, CPU time, descriptors and start time of this process.
#[derive(Debug, Default)]
pub struct Process {
    resident_bytes: Gauge,
    cpu_seconds: Counter<f64, AtomicU64>,
    open_fds: Gauge,
    start_seconds: FloatGauge,
    cpu_before: AtomicU64,
}

impl Process {
    /// Registers the metrics in a registry without a prefix.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let process = Self::default();
        registry.register("process_resident_memory_bytes", "Resident memory", process.resident_bytes.clone());
        registry.register("process_cpu_seconds", "CPU time, user and system", process.cpu_seconds.clone());
        registry.register("process_open_fds", "Open descriptors", process.open_fds.clone());
        registry.register("process_start_time_seconds", "Start, since 1970", process.start_seconds.clone());
        process
    }

    /// Reads /proc; what cannot be read keeps its value.
    pub fn refresh(&self) {
        if let Some(bytes) = resident_bytes() {
            self.resident_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        if let Ok(fds) = std::fs::read_dir("/proc/self/fd") {
            self.open_fds.set(i64::try_from(fds.count()).unwrap_or(i64::MAX));
        }
        if let Some((cpu_ticks, start_ticks)) = stat() {
            let before = self.cpu_before.swap(cpu_ticks, Ordering::Relaxed);
            self.cpu_seconds.inc_by(cpu_ticks.saturating_sub(before) as f64 / TICKS);
            if let Some(boot) = boot_seconds() {
                self.start_seconds.set(boot + start_ticks as f64 / TICKS);
            }
        }
    }
}

/// Resident memory of this process.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Highest resident memory of this process so far.
#[must_use]
pub fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// CPU time of this process's living threads whose names begin so, user and system.
#[must_use]
pub fn cpu_of_threads(name: &str) -> Option<std::time::Duration> {
    let mut ticks = 0;
    for task in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
        // A thread may end while we look.
        let Ok(text) = std::fs::read_to_string(task.path().join("stat")) else { continue };
        if text.split_once('(').is_some_and(|(_, comm)| comm.starts_with(name)) {
            ticks += ticks_of(&text)?.0;
        }
    }
    Some(std::time::Duration::from_secs_f64(ticks as f64 / TICKS))
}

/// CPU ticks used (fields 14 and 15 of proc(5) stat) and start in ticks after boot (field 22).
fn stat() -> Option<(u64, u64)> {
    ticks_of(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

fn ticks_of(stat: &str) -> Option<(u64, u64)> {
    // The name in field 2 may hold blanks: fields are counted from its closing parenthesis.
    let (_, rest) = stat.rsplit_once(')')?;
    let field = |n: usize| rest.split_whitespace().nth(n - 3)?.parse::<u64>().ok();
    Some((field(14)? + field(15)?, field(22)?))
}

fn boot_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}
