//! Every bound that the configuration checks against or that no operator may move, with its unit in the name.
//! Must not know how a stage keeps to its bound.

use std::fs;
use std::path::{Component, Path};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// A longer configuration file is refused unread.
pub const CONFIG_MAX_BYTES: usize = 1024 * 1024;
/// The parsed file, aliases expanded: an alias of an alias of … must not fill the memory.
pub const CONFIG_TREE_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Errors that are told at once; the rest are counted.
pub const CONFIG_MAX_ERRORS: usize = 100;
/// Nesting of the parsed file; the contract's deepest key has 6 levels.
pub const CONFIG_MAX_DEPTH: usize = 32;
/// What `{file: PATH}` may hold for a value that is no secret.
pub const VALUE_FILE_MAX_BYTES: usize = 64 * 1024;
/// A secret file; the longest known secret, a service account's token, is under 4 KiB.
pub const SECRET_MAX_BYTES: usize = 64 * 1024;
/// HMAC-SHA-256 has no use for more and no full strength with less (RFC 2104, section 3).
pub const TOKEN_KEY_MIN_BYTES: usize = 32;
/// Below this `check` refuses `limits.memory`.
pub const MEMORY_MIN_BYTES: u64 = 40 * MIB;
/// Code, stacks, allocator, TLS and HTTP: what the process takes with no byte in flight.
pub const MEMORY_BASE_BYTES: u64 = 24 * MIB;
/// A known file's state in all tables.
pub const MEMORY_PER_FILE_BYTES: u64 = 3 * KIB;
/// Open partials and multi-line events together may take one part in this many of the pool.
pub const OPEN_EVENTS_POOL_PART: u64 = 4;
/// A part of a data stream's name (Elasticsearch's data stream naming scheme).
pub const STREAM_PART_MAX_BYTES: usize = 100;

/// The process's memory and what of it bytes in flight may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// `limits.memory`, or the cgroup's limit where that is smaller.
    pub memory_bytes: u64,
}

/// The cgroup leaves too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{memory_bytes} bytes of memory (the smaller of limits.memory and the cgroup's limit), at least {MEMORY_MIN_BYTES} are needed"
)]
pub struct TooLittleMemory {
    /// What there is.
    pub memory_bytes: u64,
}

impl MemoryPlan {
    /// `root` is the file system's root, `/`, where `proc` and `sys` are looked for.
    ///
    /// # Errors
    /// Under [`MEMORY_MIN_BYTES`].
    pub fn new(limit_bytes: u64, root: &Path) -> Result<Self, TooLittleMemory> {
        let memory_bytes = cgroup_memory_bytes(root).map_or(limit_bytes, |c| c.min(limit_bytes));
        if memory_bytes < MEMORY_MIN_BYTES {
            return Err(TooLittleMemory { memory_bytes });
        }
        Ok(Self { memory_bytes })
    }

    /// Permits for bytes in flight; 0 where the files alone take what there is.
    pub fn pool_bytes(self, known_files: u64) -> u64 {
        self.memory_bytes
            .saturating_sub(MEMORY_BASE_BYTES)
            .saturating_sub(known_files.saturating_mul(MEMORY_PER_FILE_BYTES))
    }
}

/// The smallest memory limit on our way up the cgroup tree, v2 (`memory.max`) or v1 (`memory.limit_in_bytes`).
/// In a container the tree begins at our own group, on a host `/proc/self/cgroup` says where we stand (cgroups(7)).
pub fn cgroup_memory_bytes(root: &Path) -> Option<u64> {
    let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut limits = Vec::new();
    for (mount, file, controller) in
        [("sys/fs/cgroup", "memory.max", ""), ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory")]
    {
        let mount = root.join(mount);
        limits.extend(limit_in(&mount.join(file)));
        // One line a hierarchy: `id:controllers:path`; v2 is `0::path`.
        let path = own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            controllers.split(',').any(|c| c == controller).then_some(path)
        });
        let mut folder = mount;
        for part in Path::new(path.unwrap_or_default()).components() {
            match part {
                Component::Normal(name) => folder.push(name),
                Component::RootDir => continue,
                // `/..` stands for a group outside our cgroup namespace: not to be seen from here.
                _ => break,
            }
            limits.extend(limit_in(&folder.join(file)));
        }
    }
    limits.into_iter().min()
}

/// `max` (v2) is none; v1 says none by a number near 2^63, which no machine has and `min` passes over.
fn limit_in(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn put(root: &Path, file: &str, text: &str) {
        let file = root.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    #[test]
    fn pool_is_what_base_and_files_leave() {
        let root = tempfile::tempdir().unwrap();
        let plan = MemoryPlan::new(64 * MIB, root.path()).unwrap();
        assert_eq!(plan.pool_bytes(0), 40 * MIB);
        assert_eq!(plan.pool_bytes(1024), 37 * MIB);
        assert_eq!(plan.pool_bytes(u64::MAX), 0);
    }

    #[test]
    fn smaller_cgroup_v2_limit_wins() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "proc/self/cgroup", "0::/kubepods/pod1\n");
        put(root.path(), "sys/fs/cgroup/kubepods/memory.max", "50331648\n");
        put(root.path(), "sys/fs/cgroup/kubepods/pod1/memory.max", "max\n");
        assert_eq!(cgroup_memory_bytes(root.path()), Some(48 * MIB));
        assert_eq!(MemoryPlan::new(64 * MIB, root.path()).unwrap().pool_bytes(0), 24 * MIB);
        put(root.path(), "sys/fs/cgroup/kubepods/pod1/memory.max", "41943039\n");
        let error = MemoryPlan::new(64 * MIB, root.path()).unwrap_err();
        assert_eq!(error.memory_bytes, 40 * MIB - 1);
    }

    #[test]
    fn container_sees_its_own_group_at_the_mount() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "proc/self/cgroup", "0::/\n");
        put(root.path(), "sys/fs/cgroup/memory.max", "100000000\n");
        assert_eq!(cgroup_memory_bytes(root.path()), Some(100_000_000));
    }

    #[test]
    fn cgroup_v1() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/a\n");
        put(root.path(), "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        put(root.path(), "sys/fs/cgroup/memory/a/memory.limit_in_bytes", "60000000\n");
        assert_eq!(cgroup_memory_bytes(root.path()), Some(60_000_000));
    }

    #[test]
    fn no_cgroup_no_limit() {
        assert_eq!(cgroup_memory_bytes(tempfile::tempdir().unwrap().path()), None);
    }
}
