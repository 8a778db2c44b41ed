//! What delivery needs to be told. It must not know the configuration file.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::retry::Backoff;

/// Reads a secret anew; called again when the destination refuses the one before.
pub type ReadSecret = dyn Fn() -> io::Result<Zeroizing<String>> + Send + Sync;

/// Where a secret comes from. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct SecretSource(pub Arc<ReadSecret>);

impl SecretSource {
    /// The content of a file without the line end after it.
    #[must_use]
    pub fn file(path: PathBuf) -> Self {
        Self(Arc::new(move || {
            let mut text = Zeroizing::new(std::fs::read_to_string(&path)?);
            let end = text.trim_end_matches(['\r', '\n']).len();
            text.truncate(end);
            Ok(text)
        }))
    }

    /// A fixed text, for tests and the demo.
    #[must_use]
    pub fn fixed(text: &str) -> Self {
        let text = Zeroizing::new(text.to_owned());
        Self(Arc::new(move || Ok(text.clone())))
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Who we are to the destination.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// No header.
    #[default]
    None,
    /// `Authorization: Basic`.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: SecretSource,
    },
    /// `Authorization: ApiKey`, the encoded form.
    ApiKey(SecretSource),
}

/// Which compression frames are sealed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// zstd where the server is seen to take it, else gzip.
    #[default]
    Auto,
    /// zstd; re-encoded where the server refuses it.
    Zstd,
    /// gzip.
    Gzip,
    /// None.
    None,
}

/// Bounds of one request.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// NDJSON before compression.
    pub bytes: u64,
    /// Documents.
    pub events: u32,
    /// How long the oldest event may wait for the request to fill.
    pub age: Duration,
}

/// Where refused documents are kept.
#[derive(Clone, Debug)]
pub struct DeadLetterSettings {
    /// Folder, made with mode 0700.
    pub dir: PathBuf,
    /// Bytes of all files in it.
    pub max_bytes: u64,
}

/// Everything that delivery needs to be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `https://host:port`, optionally with a path before `/_bulk`.
    pub endpoints: Vec<String>,
    /// PEM file of the certificate authorities to trust; without it the system's.
    pub ca_file: Option<PathBuf>,
    /// Credentials.
    pub auth: Auth,
    /// Compression of frames.
    pub compression: Compression,
    /// Bounds of a request.
    pub batch: BatchLimits,
    /// Requests without an answer, all lanes together.
    pub in_flight: usize,
    /// Bound of DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Bound of a whole request.
    pub timeout: Duration,
    /// How long a request that got no answer may still be at work on the server: after a rollover, uncertain documents
    /// are looked up only then.
    pub late_request: Duration,
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// An `http://` endpoint is refused unless true.
    pub allow_plaintext: bool,
    /// Where refused documents are kept.
    pub dead_letters: DeadLetterSettings,
    /// `User-Agent`, e.g. `fintail/0.1.0`.
    pub user_agent: String,
    /// Seed of the back-off's jitter.
    pub jitter_seed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let auth = Auth::Basic { username: "u".into(), password: SecretSource::fixed("hunter2") };
        assert!(!format!("{auth:?}").contains("hunter2"));
    }

    #[test]
    fn a_secret_file_is_read_anew_without_its_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, "one\n").unwrap();
        let secret = SecretSource::file(path.clone());
        assert_eq!(*(secret.0)().unwrap(), "one");
        std::fs::write(&path, "two\r\n").unwrap();
        assert_eq!(*(secret.0)().unwrap(), "two");
    }
}
