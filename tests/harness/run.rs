//! Owns one run: a pod log tree, an agent that reads it, and the data stream that its documents go to.
//! Must not know what is written or what is wrong with it: tests do.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use fintail_bench::{
    manifest::Manifest,
    verify::{Report, Verifier},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    agent::Agent,
    client::{Client, Document, unique_stream},
    fleet::size,
    metrics::Metrics,
    server::{Product, Server},
};

/// Longer than any delivery of a test's data takes, back-off counted, on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// The agent's own figures are from its last sweep: what holds for longer than one holds.
const QUIET: Duration = Duration::from_millis(1300);

/// See the module's head.
pub struct Run {
    /// The agent; [`Run::prepare`] does not start it.
    pub agent: Agent,
    client: Client,
    product: Product,
    /// `/var/log/pods`
    root: TempDir,
    namespace: String,
    stream: String,
}

/// What the agent is told of its output. Each test changes what it is about.
#[derive(Debug, Clone)]
pub struct Output {
    /// `output.endpoints`, one.
    pub url: String,
    /// `output.tls.ca_file`
    pub ca: PathBuf,
    /// YAML of `output.auth`.
    pub auth: String,
    /// `output.compression`
    pub compression: &'static str,
    /// More YAML below `output`, each line indented by two.
    pub more: String,
    /// More YAML at the top.
    pub top: String,
}

impl Run {
    /// A data stream with a template and an agent's folder; nothing runs yet. `mappings` are laid over those that the
    /// real template will have for `app`.
    pub fn prepare(server: &Server, word: &str, mappings: &Value) -> Result<Self> {
        // the part of a unique stream name that may stand in a data stream's namespace
        let unique = unique_stream(word);
        let namespace = unique.trim_start_matches("logs-").trim_end_matches("-test").to_owned();
        let stream = format!("logs-kubernetes.container_logs-{namespace}");
        let client = server.client().clone();
        let app = match server.product() {
            Product::Elasticsearch => "flattened",
            Product::OpenSearch => "flat_object",
        };
        let mut properties = json!({"@timestamp": {"type": "date_nanos"}, "app": {"type": app}});
        for (name, mapping) in mappings.as_object().into_iter().flatten() {
            properties[name] = mapping.clone();
        }
        client.put_data_stream_template(&stream, &json!({"mappings": {"properties": properties}}))?;
        let root = tempfile::Builder::new().prefix("fintail-pods-").tempdir()?;
        let run =
            Self { agent: Agent::prepare("")?, client, product: server.product(), root, namespace, stream };
        run.configure(&run.output(server)?)?;
        Ok(run)
    }

    /// What is right for this server: its CA, and its user with the password in a file of the agent's folder.
    pub fn output(&self, server: &Server) -> Result<Output> {
        let password = self.password_file();
        fs::write(&password, server.password())?;
        Ok(Output {
            url: server.url().to_owned(),
            ca: server.certs().ca.clone(),
            auth: format!(
                "{{basic: {{username: {}, password: {{file: {}}}}}}}",
                server.user(),
                password.display()
            ),
            compression: "auto",
            more: String::new(),
            top: String::new(),
        })
    }

    /// The file that holds the password.
    pub fn password_file(&self) -> PathBuf {
        self.agent.folder().join("password")
    }

    /// Writes the agent's configuration.
    pub fn configure(&self, output: &Output) -> Result<()> {
        let Output { url, ca, auth, compression, more, top } = output;
        self.agent.write_config(&format!(
            "node: {{name: node-1}}\n\
             sources: {{containers: {{root: {root}}}}}\n\
             limits: {{multiline_age: 2s}}\n\
             {top}\n\
             output:\n  \
               endpoints: [\"{url}\"]\n  \
               tls: {{ca_file: {ca}}}\n  \
               auth: {auth}\n  \
               compression: {compression}\n  \
               data_stream: {{namespace: {namespace}}}\n  \
               backoff: {{initial: 100ms, max: 1s}}\n\
             {more}",
            root = self.root().display(),
            ca = ca.display(),
            namespace = self.namespace,
        ))
    }

    /// Where pods' folders are made.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The data stream of its documents.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// A client of the server with all rights.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Which server it delivers to.
    pub fn product(&self) -> Product {
        self.product
    }

    /// Appends to a container's log, which is made where it is not there: `<root>/<pod>/<file>`, the pod as
    /// `namespace_name_uid/container`.
    pub fn append(&self, pod: &str, file: &str, bytes: &[u8]) -> Result<()> {
        let folder = self.root().join(pod);
        fs::create_dir_all(&folder)?;
        let mut log = fs::OpenOptions::new().create(true).append(true).open(folder.join(file))?;
        log.write_all(bytes).context("append")
    }

    /// Waits until every byte of every file is answered for and nothing is in flight; the figures of that moment. Their
    /// balance is exact then.
    pub fn settle(&mut self) -> Result<Metrics> {
        let mut since: Option<(Instant, f64)> = None;
        let mut last = Metrics::default();
        // The server indexes more than a MiB a second, whatever else runs.
        let deadline = DEADLINE + Duration::from_secs(size("FINTAIL_TEST_MIB", 0));
        let settled = self.agent.wait_metrics("delivery of everything", deadline, |metrics| {
            let quiet = metrics.sum("fintail_source_lag_bytes", &[]) == 0.0
                && metrics.sum("fintail_source_files", &[]) > 0.0
                && metrics.balance().in_flight == 0.0;
            let received = metrics.balance().received;
            if !quiet || since.is_some_and(|(_, before)| before != received) {
                since = None;
            }
            last = metrics.clone();
            quiet && since.get_or_insert((Instant::now(), received)).0.elapsed() > QUIET
        });
        settled.with_context(|| format!("its last figures: {last:?}"))?;
        let metrics = self.agent.metrics()?;
        let balance = metrics.balance();
        ensure!(balance.received == balance.accounted, "out of balance: {balance:?}");
        Ok(metrics)
    }

    /// Every document of all backing indices, whole.
    pub fn documents(&self) -> Result<Vec<Document>> {
        self.client.refresh(&self.stream)?;
        self.client.all_documents(&self.stream, &["*"])
    }

    /// Fetches every document of all backing indices and judges it by what was written.
    pub fn verdict(&self, manifest: &Manifest) -> Result<Report> {
        self.client.refresh(&self.stream)?;
        let mut verifier = Verifier::new(manifest.clone());
        self.client.each_document(&self.stream, &["*"], |document| {
            verifier.document(document.source.to_string().as_bytes());
            Ok(())
        })?;
        Ok(verifier.finish())
    }

    /// [`Run::verdict`], and wants nothing lost, doubled, out of order, leaked or wrong.
    pub fn must_be_clean(&self, manifest: &Manifest) -> Result<Report> {
        let report = self.verdict(manifest)?;
        ensure!(report.clean(), "{:#}\nthe agent printed:\n{}", report.to_json(), self.agent.stderr());
        Ok(report)
    }
}

/// Documents by result so far in this life of the agent.
pub fn results(metrics: &Metrics, result: &str) -> u64 {
    metrics.sum("fintail_output_documents_total", &[("result", result)]) as u64
}
