//! Names under `/var/log/pods`: owns what the kubelet encodes in them. It must not know the filesystem.
//!
//! `<namespace>_<pod>_<uid>/<container>/<restart>.log`, from the kubelet's source: `kuberuntime/helpers.go`
//! (`BuildPodLogsDirectory`, `buildContainerLogsPath`) and `logs/container_log_manager.go` (rotation).

/// The three parts of a pod's log folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodDir<'a> {
    /// Namespace, an RFC 1123 label.
    pub namespace: &'a str,
    /// Pod name, an RFC 1123 subdomain.
    pub pod: &'a str,
    /// Pod UID: a UUID, for static pods a hash of their manifest.
    pub uid: &'a str,
}

/// One log file of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogName<'a> {
    /// How often the container had been restarted: each restart is another process with a chain of its own.
    pub restart: u32,
    /// Where in its rotation the file stands.
    pub kind: LogKind<'a>,
}

/// Where in its rotation a log file stands. A stamp is `YYYYMMDD-hhmmss` in the node's local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind<'a> {
    /// `0.log`: the one that the runtime writes.
    Current,
    /// `0.log.20261123-100000`: renamed at rotation.
    Rotated {
        /// Time of the rotation.
        stamp: &'a str,
    },
    /// `0.log.20261123-100000.gz`: the same generation, compressed.
    Compressed {
        /// Time of the rotation.
        stamp: &'a str,
    },
    /// `0.log.20261123-100000.tmp`: a compression in progress or left over, never to be read.
    Temporary,
}

/// Takes a pod's log folder apart; `None` where it is not of the kubelet's form.
///
/// No Kubernetes name can hold an underscore, so there is only one way to split.
#[must_use]
pub fn pod_dir(name: &str) -> Option<PodDir<'_>> {
    let mut parts = name.split('_');
    let dir = PodDir { namespace: parts.next()?, pod: parts.next()?, uid: parts.next()? };
    let valid = parts.next().is_none() && label(dir.namespace) && subdomain(dir.pod) && uid(dir.uid);
    valid.then_some(dir)
}

/// Takes a log file's name apart; `None` where it is not of the kubelet's form.
#[must_use]
pub fn log_name(file: &str) -> Option<LogName<'_>> {
    let (restart, rest) = file.split_once(".log")?;
    let plain = restart == "0" || !restart.starts_with('0');
    let digits = !restart.is_empty() && restart.bytes().all(|b| b.is_ascii_digit());
    if !plain || !digits {
        return None;
    }
    let kind = match rest.strip_prefix('.') {
        None if rest.is_empty() => LogKind::Current,
        None => return None,
        Some(rest) => match rest.split_once('.') {
            None => LogKind::Rotated { stamp: stamp(rest)? },
            Some((first, "gz")) => LogKind::Compressed { stamp: stamp(first)? },
            Some((first, "tmp")) => stamp(first).map(|_| LogKind::Temporary)?,
            Some(_) => return None,
        },
    };
    Some(LogName { restart: restart.parse().ok()?, kind })
}

/// `20060102-150405` of Go. Digits are checked, the calendar is not: order comes from the files' first lines.
fn stamp(text: &str) -> Option<&str> {
    let shape = text.len() == 15
        && text.bytes().enumerate().all(|(at, b)| if at == 8 { b == b'-' } else { b.is_ascii_digit() });
    shape.then_some(text)
}

fn label(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let edges = [name.bytes().next(), name.bytes().next_back()];
    name.len() <= 63
        && edges.iter().all(|b| b.is_some_and(plain))
        && name.bytes().all(|b| plain(b) || b == b'-')
}

fn subdomain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let part = |part: &str| {
        part.bytes().next().is_some_and(plain)
            && part.bytes().next_back().is_some_and(plain)
            && part.bytes().all(|b| plain(b) || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(part)
}

/// The API server makes UUIDs, but nothing forbids others: letters, digits, `-` and `.` are taken.
fn uid(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        && text != "."
        && text != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_kubelet() {
        for (name, namespace, pod, uid) in [
            (
                "payments_api-7d9f8b5c6d-x2x4z_0b6f5c1e-1c7b-4d6e-9a55-8f6e2a3b4c5d",
                "payments",
                "api-7d9f8b5c6d-x2x4z",
                "0b6f5c1e-1c7b-4d6e-9a55-8f6e2a3b4c5d",
            ),
            (
                "kube-system_etcd-node-1.example.com_8f6e2a3b4c5d0b6f5c1e1c7b4d6e9a55",
                "kube-system",
                "etcd-node-1.example.com",
                "8f6e2a3b4c5d0b6f5c1e1c7b4d6e9a55",
            ),
            ("a_b_c", "a", "b", "c"),
        ] {
            assert_eq!(pod_dir(name), Some(PodDir { namespace, pod, uid }), "{name}");
        }
    }

    #[test]
    fn folders_of_others() {
        let long = format!("{}_p_u", "n".repeat(64));
        for name in [
            "", "_", "__", "a_b", "a_b_", "_b_c", "a__c", "a_b_c_d", "A_b_c", "a.b_c_d", "-a_b_c", "a-_b_c",
            "a_b._c", "a_.b_c", "a_b..c_d", "a_B_c", "a_b_c/d", "a_b_..", "a_b_é", "a b_c_d", &long,
        ] {
            assert_eq!(pod_dir(name), None, "{name}");
        }
    }

    #[test]
    fn names_of_log_files() {
        let stamp = "20261123-100000";
        for (file, restart, kind) in [
            ("0.log", 0, LogKind::Current),
            ("17.log", 17, LogKind::Current),
            ("4294967295.log", u32::MAX, LogKind::Current),
            ("0.log.20261123-100000", 0, LogKind::Rotated { stamp }),
            ("2.log.20261123-100000.gz", 2, LogKind::Compressed { stamp }),
            ("0.log.20261123-100000.tmp", 0, LogKind::Temporary),
        ] {
            assert_eq!(log_name(file), Some(LogName { restart, kind }), "{file}");
        }
        for file in [
            "",
            ".log",
            "a.log",
            "+1.log",
            "00.log",
            "01.log",
            "4294967296.log",
            "0.log.",
            "0.logx",
            "0.log.gz",
            "0.log.20261123-100000.gz.tmp",
            "0.log.20261123-100000.xz",
            "0.log.20261123100000",
            "0.log.2026112-3100000",
            "0.log.20261123-10000é",
            "0.log.tmp",
            "0.log\u{0}",
        ] {
            assert_eq!(log_name(file), None, "{file}");
        }
    }
}
