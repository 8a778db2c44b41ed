//! `fintail check`: every error of a configuration at once.
//! Must not know what is checked: `config` does.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::config::{self, Config, ConfigErrors};

/// Wrong use or invalid configuration.
const INVALID: u8 = 2;

/// Report every error of a configuration file at once.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  fintail check --config /etc/fintail/fintail.yaml\n\nExit codes: 0 valid, 2 invalid."
)]
pub struct Check {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// How errors are written to stderr and the summary to stdout.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl Check {
    /// Checks and reports.
    pub fn run(&self) -> ExitCode {
        self.report(&mut io::stdout().lock(), &mut io::stderr().lock())
    }

    fn report(&self, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
        let result = config::load(&self.config);
        let written = match (&result, self.format) {
            (Ok(config), Format::Text) => self.summary(config, out),
            (Ok(config), Format::Json) => writeln!(out, "{}", self.summary_json(config)),
            (Err(errors), Format::Text) => write!(err, "{errors}").and_then(|()| count(errors, err)),
            (Err(errors), Format::Json) => writeln!(err, "{}", errors.to_json()),
        };
        match (result, written) {
            (Ok(_), Ok(())) => ExitCode::SUCCESS,
            (Ok(_), Err(_)) => ExitCode::FAILURE,
            (Err(_), _) => ExitCode::from(INVALID),
        }
    }

    fn summary(&self, config: &Config, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "ok: {}", self.config.display())?;
        let endpoints: Vec<_> = config.output.endpoints.iter().map(ToString::to_string).collect();
        writeln!(out, "  endpoints: {}", endpoints.join(", "))?;
        config.notes().iter().try_for_each(|note| writeln!(out, "  note: {note}"))
    }

    fn summary_json(&self, config: &Config) -> serde_json::Value {
        let file = self.config.display().to_string();
        serde_json::json!({"file": file, "errors": [], "notes": config.notes()})
    }
}

fn count(errors: &ConfigErrors, err: &mut dyn Write) -> io::Result<()> {
    let n = errors.errors.len();
    writeln!(err, "\n{n} error{} in {}", if n == 1 { "" } else { "s" }, errors.file)
}
