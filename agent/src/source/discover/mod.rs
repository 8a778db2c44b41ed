//! Which container logs exist: walks `<root>/<namespace>_<pod>_<uid>/<container>/` and tells of new containers.
//! It must not know what is in the files, nor who reads them.
//!
//! `notify` watches the root, inotify the pods' folders; a sweep finds what events missed.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fintail_parsers::container::path::pod_dir;
use notify::{RecursiveMode, Watcher as _};

use super::tail::chain::ContainerKey;
use super::tail::fs;
use super::tail::watch::{Watched, Watcher};
use crate::runtime::wake::{Waker, wait};

/// With events at work the sweep only finds what they missed.
const SWEEP: Duration = Duration::from_secs(5);
/// Without watches it is all there is: a new pod is to be seen within 250 ms.
const SWEEP_WITHOUT_WATCHES: Duration = Duration::from_millis(200);

/// A container's log folder that was not known before.
#[derive(Clone, Debug)]
pub struct Found {
    /// Whose logs.
    pub key: ContainerKey,
    /// The folder with `<n>.log`.
    pub dir: PathBuf,
    /// It was there when the agent started.
    pub at_start: bool,
}

/// The walk over the tree.
pub struct Discovery<S> {
    root: PathBuf,
    selects: S,
    pods: HashMap<PathBuf, u32>,
    pod_dirs: HashMap<u32, PathBuf>,
    known: HashSet<PathBuf>,
    watcher: Watcher<u32, ()>,
    next_pod: u32,
    started: bool,
    warned: bool,
}

impl<S: Fn(&ContainerKey) -> bool> Discovery<S> {
    /// Looks below `root` for containers that `selects` takes.
    pub fn new(root: PathBuf, selects: S) -> Self {
        Self {
            root,
            selects,
            pods: HashMap::new(),
            pod_dirs: HashMap::new(),
            known: HashSet::new(),
            watcher: Watcher::new(),
            next_pod: 0,
            started: false,
            warned: false,
        }
    }

    /// Runs until `stop`; `found` is called for each new container, `exhausted` with what the watches say.
    pub fn run(
        mut self,
        waker: &Arc<Waker>,
        stop: &AtomicBool,
        mut found: impl FnMut(Found),
        exhausted: impl Fn(bool),
    ) {
        let root_events = self.watch_root(waker);
        let mut next_sweep = Instant::now();
        while !stop.load(Ordering::Acquire) {
            waker.clear();
            let mut dirty = Vec::new();
            let complete = self.watcher.events(|watched| {
                if let Watched::Folder(pod) = watched {
                    dirty.push(pod);
                }
            });
            self.root(&mut found);
            for pod in dirty {
                if let Some(dir) = self.pod_dirs.get(&pod).cloned() {
                    self.pod(&dir, &mut found);
                }
            }
            if !complete || Instant::now() >= next_sweep {
                self.sweep(&mut found);
                let blind = self.watcher.exhausted() || root_events.is_none();
                exhausted(blind);
                next_sweep = Instant::now() + if blind { SWEEP_WITHOUT_WATCHES } else { SWEEP };
            }
            self.started = true;
            let mut fds = vec![waker.fd()];
            fds.extend(self.watcher.fd());
            wait(&fds, next_sweep.saturating_duration_since(Instant::now()));
        }
    }

    /// `None` where the root cannot be watched (not there yet, or no watches): then the sweep finds all.
    fn watch_root(&self, waker: &Arc<Waker>) -> Option<notify::RecommendedWatcher> {
        let wake = Arc::clone(waker);
        // The mask of `notify` holds OPEN too: our own listing of the root must not wake us.
        let on_event = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|e| !matches!(e.kind, notify::EventKind::Access(_))) {
                wake.wake();
            }
        };
        let mut watcher = notify::recommended_watcher(on_event).ok()?;
        match watcher.watch(&self.root, RecursiveMode::NonRecursive) {
            Ok(()) => Some(watcher),
            Err(e) => {
                tracing::warn!(root = %self.root.display(), error = %e, "cannot watch the root of the pod logs; polling");
                None
            }
        }
    }

    fn root(&mut self, found: &mut impl FnMut(Found)) {
        let names = match fs::names(&self.root) {
            Ok(names) => names,
            Err(e) => {
                if !std::mem::replace(&mut self.warned, true) {
                    tracing::warn!(root = %self.root.display(), error = %e, "cannot list the pod logs; trying again");
                }
                return;
            }
        };
        self.warned = false;
        for name in names.iter().filter(|name| pod_dir(name).is_some()) {
            let dir = self.root.join(name);
            if !self.pods.contains_key(&dir) {
                let id = self.next_pod;
                self.next_pod += 1;
                self.pods.insert(dir.clone(), id);
                self.pod_dirs.insert(id, dir.clone());
                // Watch first, then list: what comes between is told by an event.
                let _ = self.watcher.folder(&dir, id);
                self.pod(&dir, found);
            }
        }
    }

    fn pod(&mut self, dir: &Path, found: &mut impl FnMut(Found)) {
        let name = dir.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let (Some(pod), Ok(containers)) = (pod_dir(name), fs::names(dir)) else { return };
        for container in containers {
            let dir = dir.join(&container);
            if self.known.contains(&dir) || !std::fs::symlink_metadata(&dir).is_ok_and(|m| m.is_dir()) {
                continue;
            }
            let key = ContainerKey {
                namespace: pod.namespace.to_owned(),
                pod: pod.pod.to_owned(),
                uid: pod.uid.to_owned(),
                container,
            };
            self.known.insert(dir.clone());
            if (self.selects)(&key) {
                found(Found { key, dir, at_start: !self.started });
            }
        }
    }

    /// Looks at every pod, and forgets those that are gone.
    fn sweep(&mut self, found: &mut impl FnMut(Found)) {
        let pods: Vec<(PathBuf, u32)> = self.pods.iter().map(|(dir, id)| (dir.clone(), *id)).collect();
        for (dir, id) in pods {
            if dir.exists() {
                self.pod(&dir, found);
            } else {
                self.pods.remove(&dir);
                self.pod_dirs.remove(&id);
                self.known.retain(|known| !known.starts_with(&dir));
            }
        }
    }
}

impl<S> std::fmt::Debug for Discovery<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Discovery")
            .field("root", &self.root)
            .field("pods", &self.pods.len())
            .finish_non_exhaustive()
    }
}
