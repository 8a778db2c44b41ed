//! `fintail run`: the agent until SIGTERM. It must not know how the agent works inside.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{FAILED, WRONG_USE, complain};
use crate::agent::Agent;
use crate::{admin, config};

/// Tail, redact and deliver until SIGTERM or Ctrl-C.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  fintail run --config /etc/fintail/config.yaml")]
pub struct Run {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Run {
    /// Runs the agent. Exit code 0 after a drain in time, 1 where it could not start or something was left for the
    /// next start, 2 for an invalid configuration.
    pub fn run(&self) -> ExitCode {
        let config = match config::load(&self.config) {
            Ok(config) => Arc::new(config),
            Err(errors) => return complain(WRONG_USE, &errors),
        };
        admin::log::init();
        for note in config.notes() {
            tracing::warn!("{note}");
        }
        let signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => return complain(FAILED, &format_args!("fintail: signals: {error}")),
        };
        let mut agent = match Agent::start(&config) {
            Ok(agent) => agent,
            Err(error) => return complain(FAILED, &format_args!("fintail: {error}")),
        };
        agent.keep(|at_most| signals.stop_within(at_most));
        tracing::info!("stopping");
        if agent.stop() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
    }
}

/// SIGTERM and SIGINT, told to a plain thread; SIGHUP ends nothing.
#[derive(Debug)]
pub struct Signals {
    told: std::sync::mpsc::Receiver<()>,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// No thread or no handler could be had.
    pub fn listen() -> std::io::Result<Self> {
        let (tell, told) = std::sync::mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut term, mut int, mut hangup) = {
            let _entered = runtime.enter();
            (
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
                signal(SignalKind::hangup())?,
            )
        };
        std::thread::Builder::new().name("fintail-signals".into()).spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = term.recv() => {}
                        _ = int.recv() => {}
                        _ = hangup.recv() => {
                            tracing::warn!("SIGHUP: this version reads its configuration at the start only; restart it");
                            continue;
                        }
                    }
                    if tell.send(()).is_err() {
                        return;
                    }
                }
            });
        })?;
        Ok(Self { told })
    }

    /// Waits at most this long; true where a signal came.
    #[must_use]
    pub fn stop_within(&self, at_most: Duration) -> bool {
        self.told.recv_timeout(at_most).is_ok()
    }
}
