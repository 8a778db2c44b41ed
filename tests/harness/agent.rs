//! Owns one running `fintail`: its folder, configuration, process and what it prints.
//! Must not know what the configuration means, but for the two keys it adds.

use std::{
    env,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::blocking::Client as Http;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{client, metrics::Metrics, port, server, wait};

const SCRAPE_TIMEOUT: Duration = Duration::from_secs(5);

/// An agent with a folder of its own; it ends with this value, and with the thread that started it.
#[derive(Debug)]
pub struct Agent {
    folder: TempDir,
    admin_port: u16,
    process: Option<Child>,
    http: Http,
}

impl Agent {
    /// Writes `config` (YAML) and starts `fintail run` on it. `state_dir` and `admin` are added where the text has no such
    /// keys; relative paths in it are the caller's affair.
    pub fn start(config: &str) -> Result<Self> {
        let mut agent = Self::prepare(config)?;
        agent.restart()?;
        Ok(agent)
    }

    /// As [`Agent::start`], without starting it.
    pub fn prepare(config: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("fintail-agent-").tempdir()?;
        let agent =
            Self { folder, admin_port: port::free()?, process: None, http: client::loopback_http().build()? };
        agent.write_config(config)?;
        Ok(agent)
    }

    /// Replaces the configuration file; a running agent sees it change.
    pub fn write_config(&self, config: &str) -> Result<()> {
        let has = |key: &str| config.lines().any(|line| line.starts_with(key));
        let mut text = config.to_owned();
        if !has("state_dir:") {
            text.push_str(&format!("\nstate_dir: {}\n", self.state_dir().display()));
        }
        if !has("admin:") {
            text.push_str(&format!("\nadmin: {{listen: \"127.0.0.1:{}\"}}\n", self.admin_port));
        }
        // beside and renamed, as Kubernetes and editors do it: no reader sees half of it
        let beside = self.folder().join("config.yaml.new");
        fs::write(&beside, text)?;
        fs::rename(&beside, self.config_path()).context("configuration")
    }

    /// Starts the agent again on the same folder; what it prints is appended.
    pub fn restart(&mut self) -> Result<()> {
        self.kill9()?;
        fs::create_dir_all(self.state_dir())?;
        let log = |name: &str| OpenOptions::new().create(true).append(true).open(self.folder().join(name));
        let mut command = tied_to_this_thread(&binary()?);
        command.arg("run").arg("--config").arg(self.config_path());
        command.stdin(Stdio::null()).stdout(log("stdout.log")?).stderr(log("stderr.log")?);
        command.process_group(0);
        self.process = Some(command.spawn().with_context(|| format!("{command:?}"))?);
        Ok(())
    }

    /// The folder of this agent: config.yaml, state, stdout.log, stderr.log; tests may put files of their own there.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.folder().join("config.yaml")
    }

    /// Its `state_dir`, unless the configuration names another.
    pub fn state_dir(&self) -> PathBuf {
        self.folder().join("state")
    }

    /// Its process id, while it has not been waited for.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Everything it has printed to stderr so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder().join("stderr.log")).unwrap_or_default()).into_owned()
    }

    /// Everything it has printed to stdout so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder().join("stdout.log")).unwrap_or_default()).into_owned()
    }

    /// Asks it to drain and end.
    pub fn sigterm(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Sends any signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        server::signal(self.process.as_ref().context("the agent does not run")?, signal)
    }

    /// Ends it as a crash or the OOM killer would; returns once it is gone.
    pub fn kill9(&mut self) -> Result<()> {
        if let Some(child) = &mut self.process {
            child.kill()?;
            child.wait()?;
            self.process = None;
        }
        Ok(())
    }

    /// Waits for its end; one that goes on beyond the deadline is killed and an error.
    pub fn wait_exit(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let child = self.process.as_mut().context("the agent does not run")?;
        let ended = wait::until("end of the agent", deadline, || Ok(child.try_wait()?));
        if ended.is_err() {
            self.kill9()?;
        }
        self.process = None;
        ended.with_context(|| self.stderr())
    }

    /// Drains and ends it, and wants exit code 0.
    pub fn drain(&mut self, deadline: Duration) -> Result<()> {
        self.sigterm()?;
        let status = self.wait_exit(deadline)?;
        ensure!(status.success(), "the agent ended with {status}\n{}", self.stderr());
        Ok(())
    }

    /// Status and body of a path of its admin server.
    pub fn admin(&self, path: &str) -> Result<(u16, String)> {
        let url = format!("http://127.0.0.1:{}{path}", self.admin_port);
        let answer = self.http.get(url).timeout(SCRAPE_TIMEOUT).send()?;
        Ok((answer.status().as_u16(), answer.text()?))
    }

    /// One scrape of its metrics.
    pub fn metrics(&self) -> Result<Metrics> {
        let (status, text) = self.admin("/metrics")?;
        ensure!(status == 200, "/metrics answers {status}: {text}");
        Ok(Metrics::parse(&text))
    }

    /// Asks `condition` until it holds. An agent that ends meanwhile is an error, with what it printed.
    pub fn wait_until(
        &mut self,
        what: &str,
        deadline: Duration,
        mut condition: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        let waited = wait::until(what, deadline, || {
            if let Some(status) = self.process.as_mut().context("the agent does not run")?.try_wait()? {
                bail!("the agent ended with {status}");
            }
            Ok(condition(self)?.then_some(()))
        });
        waited.with_context(|| format!("{what}; the agent printed:\n{}", self.stderr()))
    }

    /// Waits until a condition holds on a scrape; refused connections mean not yet.
    pub fn wait_metrics(
        &mut self,
        what: &str,
        deadline: Duration,
        mut condition: impl FnMut(&Metrics) -> bool,
    ) -> Result<()> {
        self.wait_until(what, deadline, |agent| Ok(agent.metrics().is_ok_and(|metrics| condition(&metrics))))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // SIGKILL cannot be refused; what is left to go wrong is a child that is gone already
        let _gone_either_way = self.kill9();
    }
}

/// Runs the binary once with these arguments and this input, to its end.
pub fn run(arguments: &[&str], input: &[u8]) -> Result<Output> {
    let mut command = tied_to_this_thread(&binary()?);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
    let mut stdin = child.stdin.take().context("no pipe")?;
    // written beside the reading: a filter that answers while it reads would otherwise block against us
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || stdin.write_all(input));
        let output = child.wait_with_output()?;
        // a program that ends before it has read all of its input has the right to
        let _broken_pipe = writer.join();
        Ok(output)
    })
}

/// The binary under test: `FINTAIL_BIN`, else `fintail` of the profile that this test was built in.
pub fn binary() -> Result<PathBuf> {
    let path = match env::var_os("FINTAIL_BIN") {
        Some(path) => PathBuf::from(path),
        None => {
            // target/PROFILE/deps/suite-HASH
            let test = env::current_exe()?;
            let profile =
                test.parent().and_then(Path::parent).context("a test outside of a target folder")?;
            profile.join("fintail")
        }
    };
    ensure!(path.exists(), "{} is not built: cargo build -p fintail, or set FINTAIL_BIN", path.display());
    Ok(path)
}

/// A command that the kernel kills when the calling thread ends: a test that is killed leaves no agent behind. `setpriv`
/// (util-linux, on every Debian) sets the signal and then becomes the program, so the process id is the program's own.
fn tied_to_this_thread(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}
