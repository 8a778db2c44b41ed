//! `fintail check`: every error of a configuration at once.
//! Must not know what is checked: `config` does.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::config::{self, Config, ConfigErrors};

const DONE: u8 = 0;
/// The report could not be written.
const FAILED: u8 = 1;
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
        ExitCode::from(self.report(&mut io::stdout().lock(), &mut io::stderr().lock()))
    }

    fn report(&self, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
        let result = config::load(&self.config);
        let written = match (&result, self.format) {
            (Ok(config), Format::Text) => self.summary(config, out),
            (Ok(config), Format::Json) => writeln!(out, "{}", self.summary_json(config)),
            (Err(errors), Format::Text) => write!(err, "{errors}").and_then(|()| count(errors, err)),
            (Err(errors), Format::Json) => writeln!(err, "{}", errors.to_json()),
        };
        match (result, written) {
            (Ok(_), Ok(())) => DONE,
            (Ok(_), Err(_)) => FAILED,
            (Err(_), _) => INVALID,
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
    let n = errors.errors.len() + errors.omitted;
    writeln!(err, "\n{n} error{} in {}", if n == 1 { "" } else { "s" }, errors.file)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        check: Check,
    }

    /// Exit code, stdout, stderr.
    fn run(text: &str, format: &str) -> (u8, String, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("fintail.yaml");
        std::fs::write(&file, text).unwrap();
        let line = ["check", "--config", file.to_str().unwrap(), "--format", format];
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = Line::try_parse_from(line).unwrap().check.report(&mut out, &mut err);
        let clean = |bytes| String::from_utf8(bytes).unwrap().replace(file.to_str().unwrap(), "F");
        (code, clean(out), clean(err))
    }

    #[test]
    fn valid() {
        let good = "output: {endpoints: [https://es:9200], auth: {api_key: {file: /k}}}";
        let (code, out, err) = run(good, "text");
        let note = "  note: redaction.token_key is not set: rules whose default is token act as drop\n";
        assert_eq!((code, err.as_str()), (DONE, ""));
        assert_eq!(out, format!("ok: F\n  endpoints: https://es:9200\n{note}"));
        let (code, out, _) = run(good, "json");
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, json.pointer("/errors")), (DONE, Some(&serde_json::json!([]))));
    }

    #[test]
    fn invalid() {
        let (code, out, err) = run("outptu: 1\n", "text");
        assert_eq!((code, out.as_str()), (INVALID, ""));
        assert!(err.contains("--> F:1:1") && err.contains("did you mean `output`?"), "{err}");
        assert!(err.ends_with("\n2 errors in F\n"), "{err}");
        let (code, _, err) = run("outptu: 1\n", "json");
        let json: serde_json::Value = serde_json::from_str(&err).unwrap();
        assert_eq!((code, json.pointer("/errors/1/line")), (INVALID, Some(&1.into())));
    }

    #[test]
    fn unknown_flags_are_refused() {
        assert!(Line::try_parse_from(["check", "--config", "x", "--online"]).is_err());
    }
}
