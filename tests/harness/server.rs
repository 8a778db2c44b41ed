//! Owns one running search server: its JVM, port, folder and life.
//! Must not know what a test asks of it (that is `client`).
//!
//! Nothing survives a killed test: the launcher ends itself when its standard input, held open here, comes to its end.

use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    certs::Certs,
    client::{Auth, Client, Trust},
    parts::{self, Parts, Recipe},
    port, wait,
};

const START_DEADLINE: Duration = Duration::from_secs(120);
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// The JVM writes some 100 MB of archive before it ends.
const TRAINING_STOP_DEADLINE: Duration = Duration::from_secs(120);
const LOG_TAIL_LINES: usize = 40;
/// Elasticsearch refuses fewer than six characters.
const PASSWORD: &str = "correct-horse-battery";

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// OpenSearch 2.19.0: zstd bodies; no security beyond basic authentication, no ISM.
    OpenSearch,
    /// Elasticsearch 8.19.21 with security: API keys, rights per item; no zstd, ILM policies stored but never run.
    Elasticsearch,
}

/// Which certificate the server shows; all name `localhost` and 127.0.0.1 where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// One that the CA vouches for.
    #[default]
    Valid,
    /// One that is over.
    Expired,
    /// One for another host.
    WrongName,
    /// Plain HTTP.
    Off,
}

/// How a server is to be started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's certificate, or none.
    pub tls: Tls,
    /// Refuse clients without a certificate of the CA.
    pub client_certificates: bool,
    /// Size of the JVM's heap.
    pub heap_mib: u32,
    /// More settings, each `name=value`.
    pub settings: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { tls: Tls::Valid, client_certificates: false, heap_mib: 512, settings: Vec::new() }
    }
}

/// A node on a loopback port with a folder of its own; it ends with this value.
#[derive(Debug)]
pub struct Server {
    product: Product,
    options: Options,
    parts: Parts,
    home: TempDir,
    certs: Certs,
    port: u16,
    process: Option<Child>,
    client: Client,
}

impl Server {
    /// Starts a node and waits until it answers an authenticated request.
    pub fn start(product: Product, options: Options) -> Result<Self> {
        let parts = parts::ready(product.recipe(), |training| train(product, training))?;
        Self::start_from(parts, product, options)
    }

    fn start_from(parts: Parts, product: Product, options: Options) -> Result<Self> {
        let home =
            tempfile::Builder::new().prefix(&format!("fintail-{}-", product.recipe().name)).tempdir()?;
        let certs = Certs::write(&home.path().join("certs"))?;
        let port = port::free()?;
        let scheme = if options.tls == Tls::Off { "http" } else { "https" };
        let client = Client::new(
            &format!("{scheme}://127.0.0.1:{port}"),
            Auth::Basic(product.user().to_owned(), PASSWORD.to_owned()),
            Trust::Ca(&certs.ca),
            options.client_certificates.then_some(&certs.client),
        )?;
        let mut server = Self { product, options, parts, home, certs, port, process: None, client };
        server.write_tls_files()?;
        server.restart()?;
        Ok(server)
    }

    /// The node of this product that all tests of the process share, started on first use.
    pub fn shared(product: Product) -> &'static Self {
        static OPENSEARCH: OnceLock<Result<Server, String>> = OnceLock::new();
        static ELASTICSEARCH: OnceLock<Result<Server, String>> = OnceLock::new();
        let cell = match product {
            Product::OpenSearch => &OPENSEARCH,
            Product::Elasticsearch => &ELASTICSEARCH,
        };
        let started =
            cell.get_or_init(|| Self::start(product, Options::default()).map_err(|e| format!("{e:#}")));
        match started {
            Ok(server) => server,
            // the tests that share a server cannot go on without it; each says why
            #[expect(clippy::panic, reason = "called by tests only")]
            Err(error) => panic!("{product:?} does not start: {error}"),
        }
    }

    /// Which server this is.
    pub fn product(&self) -> Product {
        self.product
    }

    /// `https://127.0.0.1:PORT`, or `http://…` with [`Tls::Off`].
    pub fn url(&self) -> &str {
        self.client.url()
    }

    /// The certificates of this server and of its clients.
    pub fn certs(&self) -> &Certs {
        &self.certs
    }

    /// A user that may do everything.
    pub fn user(&self) -> &'static str {
        self.product.user()
    }

    /// Password of [`Server::user`].
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// A client with the right CA and password.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Process id of the JVM while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Ends the node as an operator would: SIGTERM, and SIGKILL where it hangs. Data, port and certificates stay.
    pub fn stop(&mut self) -> Result<()> {
        self.stop_within(STOP_DEADLINE)
    }

    fn stop_within(&mut self, deadline: Duration) -> Result<()> {
        if let Some(child) = &mut self.process {
            signal(child, Signal::TERM)?;
            let ended = wait::until("end of the server after SIGTERM", deadline, || {
                Ok(child.try_wait()?.map(|_status| ()))
            });
            if ended.is_err() {
                self.kill9()?;
            }
            // the pipe is closed only now, with the process gone: its end would tell a live one to delete its folder
            self.process = None;
        }
        Ok(())
    }

    /// Ends the node as a crash would.
    pub fn kill9(&mut self) -> Result<()> {
        if let Some(child) = &mut self.process {
            child.kill()?;
            child.wait()?;
            self.process = None;
        }
        Ok(())
    }

    /// Closes the pipe to the node, as the kernel does when the test process dies, and gives its process id and folder: both
    /// are to vanish without another word from us.
    pub fn abandon(mut self) -> Result<(u32, PathBuf)> {
        let mut child = self.process.take().context("the server does not run")?;
        drop(child.stdin.take());
        let (pid, home) = (child.id(), self.home.path().to_owned());
        self.home.disable_cleanup(true);
        // a child nobody waits for stays a zombie, with its entry in /proc
        std::thread::spawn(move || child.wait());
        Ok((pid, home))
    }

    /// Starts the node again on the same port and data, and waits until it answers.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.process = Some(self.spawn()?);
        let url = self.client.url().to_owned();
        // a certificate that clients must refuse is no reason for us not to see that the server is up
        let identity = self.options.client_certificates.then_some(&self.certs.client);
        let probe = Client::new(&url, self.client.auth().clone(), Trust::Anybody, identity)?;
        wait::until(&format!("{:?} at {url}", self.product), START_DEADLINE, || {
            if let Some(status) = self.process.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("{:?} ended with {status} while starting", self.product);
            }
            // refused connections and, while the security index opens, 401: both mean not yet
            Ok(probe.ready().then_some(()))
        })
        .with_context(|| format!("end of its log:\n{}", self.log_tail()))
    }

    /// The last lines of what the node logged.
    pub fn log_tail(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines.split_at(lines.len().saturating_sub(LOG_TAIL_LINES)).1.join("\n")
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("server.log")
    }

    fn spawn(&self) -> Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let java = java_command(self.product, &self.options, &self.parts, &self.home, self.port);
        start_java(java, log)
    }

    /// The launcher and Elasticsearch's settings name these files; they lie in `config`, the only folder a node may read.
    fn write_tls_files(&self) -> Result<()> {
        let config = self.home.path().join("config");
        fs::create_dir_all(&config)?;
        let leaf = match self.options.tls {
            Tls::Valid => &self.certs.server,
            Tls::Expired => &self.certs.expired,
            Tls::WrongName => &self.certs.wrong_name,
            Tls::Off => return Ok(()),
        };
        fs::copy(&leaf.cert, config.join("server.crt"))?;
        fs::copy(&leaf.key, config.join("server.key"))?;
        if self.options.client_certificates {
            fs::copy(&self.certs.ca, config.join("client-ca.crt"))?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // its data goes with it, so there is nothing that an orderly stop would save
        let _gone_either_way = self.kill9();
    }
}

impl Product {
    /// Both servers, for tests that must hold on each.
    pub const ALL: [Self; 2] = [Self::OpenSearch, Self::Elasticsearch];

    fn user(self) -> &'static str {
        "elastic"
    }

    fn recipe(self) -> &'static Recipe {
        match self {
            Self::OpenSearch => &OPENSEARCH,
            Self::Elasticsearch => &ELASTICSEARCH,
        }
    }
}

macro_rules! server_file {
    ($path:literal) => {
        include_str!(concat!("../servers/", $path))
    };
}

static OPENSEARCH: Recipe = Recipe {
    name: "opensearch",
    pom: server_file!("opensearch/pom.xml"),
    sources: &[
        ("Orphan.java", server_file!("common/Orphan.java")),
        ("OpenSearchNode.java", server_file!("opensearch/OpenSearchNode.java")),
        ("BasicAuth.java", server_file!("opensearch/BasicAuth.java")),
        ("PemTls.java", server_file!("opensearch/PemTls.java")),
    ],
    log_config: server_file!("common/log4j2.properties"),
};

static ELASTICSEARCH: Recipe = Recipe {
    name: "elasticsearch",
    pom: server_file!("elasticsearch/pom.xml"),
    sources: &[
        ("Orphan.java", server_file!("common/Orphan.java")),
        ("EsNode.java", server_file!("elasticsearch/EsNode.java")),
        ("ClassPathPlugins.java", server_file!("elasticsearch/ClassPathPlugins.java")),
        ("SecurityWithoutSaml.java", server_file!("elasticsearch/SecurityWithoutSaml.java")),
        ("Routes.java", server_file!("elasticsearch/Routes.java")),
        ("ClusterTask.java", server_file!("elasticsearch/ClusterTask.java")),
        ("MainRoute.java", server_file!("elasticsearch/MainRoute.java")),
        ("DataStreamRoutes.java", server_file!("elasticsearch/DataStreamRoutes.java")),
        ("LifecycleRoutes.java", server_file!("elasticsearch/LifecycleRoutes.java")),
        ("ProfileAnalysis.java", server_file!("elasticsearch/ProfileAnalysis.java")),
    ],
    log_config: server_file!("common/log4j2.properties"),
};

/// Takes a server once through what every test does, so that the classes for it get into the JVM's archive.
fn train(product: Product, parts: Parts) -> Result<()> {
    let mut server = Server::start_from(parts, product, Options::default())?;
    let client = server.client();
    client.put_data_stream_template("training", &json!({}))?;
    client
        .create("training", &[("a", json!({"@timestamp": "2026-11-23T08:01:02Z", "message": "trained"}))])?;
    client.refresh("training")?;
    client.all_documents("training", &["message"])?;
    server.stop_within(TRAINING_STOP_DEADLINE)
}

fn java_command(product: Product, options: &Options, parts: &Parts, home: &TempDir, port: u16) -> Command {
    let mut java = Command::new("java");
    java.args([format!("-Xms{}m", options.heap_mib), format!("-Xmx{}m", options.heap_mib)]);
    // short lives on few cores: the small compiler and the small collector start fastest
    java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dlog4j2.disable.jmx=true"]);
    // while it archives, the JVM lists a thousand classes that it leaves out: none of the log's business
    java.arg(&parts.archive_option).args(["-Xlog:disable", "-Xlog:all=error:stderr"]);
    java.arg(format!("-Dlog4j.configurationFile={}", parts.log_config.display()));
    java.arg("-cp").arg(&parts.class_path);
    java.arg(match product {
        Product::OpenSearch => "fintail.OpenSearchNode",
        Product::Elasticsearch => "org.elasticsearch.node.EsNode",
    });
    java.arg(home.path()).arg(port.to_string());
    match product {
        Product::OpenSearch => java.env("NODE_BASIC", format!("{}:{PASSWORD}", product.user())),
        Product::Elasticsearch => java.env("NODE_PASSWORD", PASSWORD).args(elasticsearch_tls(options)),
    };
    java.args(&options.settings);
    java
}

fn elasticsearch_tls(options: &Options) -> Vec<&'static str> {
    let mut settings = Vec::new();
    if options.tls != Tls::Off {
        settings.push("xpack.security.http.ssl.enabled=true");
        settings.push("xpack.security.http.ssl.certificate=server.crt");
        settings.push("xpack.security.http.ssl.key=server.key");
    }
    if options.client_certificates {
        settings.push("xpack.security.http.ssl.client_authentication=required");
        settings.push("xpack.security.http.ssl.certificate_authorities=client-ca.crt");
    }
    settings
}

fn start_java(mut java: Command, log: File) -> Result<Child> {
    java.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
    // Ctrl-C goes to the test's group: the node is to end by its pipe, in order
    java.process_group(0);
    match java.spawn() {
        Ok(child) => Ok(child),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(parts::missing(java.get_program(), "openjdk-17-jdk-headless"))
        }
        Err(error) => Err(error).context("java"),
    }
}

/// Sends a signal to a child that has not been waited for, so that its process id is still its own.
pub(crate) fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    ensure!(pid.is_some(), "process id {}", child.id());
    pid.map_or(Ok(()), |pid| kill_process(pid, signal)).context("signal")
}
