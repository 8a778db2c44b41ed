//! What container runtimes and the kubelet write: log lines and log paths. It must not know pods, joining or files.

pub mod cri;
pub mod path;
