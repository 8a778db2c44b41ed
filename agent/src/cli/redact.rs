//! `fintail redact`: lines in, redacted lines out, same order and count; one line is one event.
//! It must not know how a finding is made, nor how a configuration is read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{FAILED, WRONG_USE, complain};
use crate::config;
use crate::pipeline::redact::{Finding, Redactor, RuleSettings};
use crate::runtime::settings;
use crate::source::meta::CLUSTER_DOMAIN;

/// Read and write buffers, bytes.
const BUFFER_BYTES: usize = 256 * 1024;
/// A line is held in memory whole; a longer one is refused, for what cannot be looked at whole cannot be let through.
const LINE_BYTES: usize = 64 << 20;

/// Redact lines as the agent would.
#[derive(Args, Debug)]
#[command(
    about = "Filter: lines in, redacted lines out, in the same order and number",
    after_help = "Examples:\n  kubectl logs api-7d4f | fintail redact\n  fintail redact --format json app.log | jq .findings\n\n\
        Tokens equal those the agent ships where redaction.token_domain is cluster: a line alone does not tell its \
        namespace.\n\nExit codes: 0 done, 1 a file cannot be read, 2 wrong use or invalid configuration."
)]
pub struct RedactArgs {
    /// Configuration whose `redaction` section is used; without it the defaults.
    #[arg(long, value_name = "F")]
    pub config: Option<PathBuf>,
    /// Plain lines, or one JSON object a line with the findings.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Files to read, in order; standard input where none is named.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// What is written for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The redacted line.
    Text,
    /// `{"line":…,"findings":[…]}`
    Json,
}

/// Why the command could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// A file that cannot be opened or read.
    #[error("{path}: {error}")]
    Read {
        /// The file, or `standard input`.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// A line above [`LINE_BYTES`]; nothing of it is written.
    #[error("{path}: line {line} is longer than {} MiB; nothing from it on is written", LINE_BYTES >> 20)]
    TooLong {
        /// The file, or `standard input`.
        path: String,
        /// Counted from 1.
        line: u64,
    },
    /// The output is gone.
    #[error("standard output: {0}")]
    Write(io::Error),
}

#[derive(Serialize)]
struct JsonLine<'a> {
    line: &'a str,
    findings: Vec<JsonFinding>,
}

#[derive(Serialize)]
struct JsonFinding {
    rule: &'static str,
    action: &'static str,
    field: Option<&'static str>,
    start: usize,
    end: usize,
}

impl RedactArgs {
    /// Filters. Exit code 1 where a file cannot be read, 2 for an invalid configuration.
    pub fn run(&self) -> ExitCode {
        let (mut rules, mut domain) = (RuleSettings::default(), "");
        if let Some(path) = &self.config {
            let config = match config::load(path) {
                Ok(config) => config,
                Err(errors) => return complain(WRONG_USE, &errors),
            };
            rules = match settings::rules(&config) {
                Ok(rules) => rules,
                Err(error) => {
                    return complain(FAILED, &format_args!("fintail redact: redaction.token_key: {error}"));
                }
            };
            if config.redaction.token_domain == config::TokenDomain::Cluster {
                domain = CLUSTER_DOMAIN;
            }
        }
        match run(self, &rules, domain, io::stdout().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(FAILED, &format_args!("fintail redact: {error}")),
        }
    }
}

/// Runs the command. `settings` come from the config that `args.config` names; `domain` is the token domain.
///
/// # Errors
/// A file that cannot be read, or an output that is closed (a closed pipe is no error).
pub fn run(
    args: &RedactArgs,
    settings: &RuleSettings,
    domain: &str,
    out: impl Write,
) -> Result<(), RedactError> {
    let mut filter = Filter {
        engine: Redactor::new(settings),
        domain,
        format: args.format,
        findings: Vec::new(),
        open: false,
        out: BufWriter::with_capacity(BUFFER_BYTES, out),
    };
    let done = if args.files.is_empty() {
        filter.lines("standard input", io::stdin())
    } else {
        args.files.iter().try_for_each(|path| filter.file(path))
    };
    // What came before an error is written too.
    let flushed = filter.out.flush().map_err(RedactError::Write);
    match done.and(flushed) {
        Err(RedactError::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

struct Filter<'a, W: Write> {
    engine: Redactor,
    domain: &'a str,
    format: Format,
    findings: Vec<Finding>,
    /// The last line written had no line end; one is due before the next.
    open: bool,
    out: BufWriter<W>,
}

impl<W: Write> Filter<'_, W> {
    fn file(&mut self, path: &Path) -> Result<(), RedactError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| RedactError::Read { path: name.clone(), error })?;
        self.lines(&name, file)
    }

    fn lines(&mut self, name: &str, input: impl Read) -> Result<(), RedactError> {
        let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            // One more for the line end.
            let read = input.by_ref().take(LINE_BYTES as u64 + 1).read_until(b'\n', &mut line);
            if read.map_err(|error| RedactError::Read { path: name.to_owned(), error })? == 0 {
                break;
            }
            if line.len() > LINE_BYTES && !line.ends_with(b"\n") {
                return Err(RedactError::TooLong { path: name.to_owned(), line: number });
            }
            let (body, end) = match line.strip_suffix(b"\n") {
                Some(body) => (body, &b"\n"[..]),
                None => (line.as_slice(), &b""[..]),
            };
            self.findings.clear();
            let redacted = self.engine.redact_line(body, self.domain, Some(&mut self.findings));
            self.write(&redacted, end).map_err(RedactError::Write)?;
        }
        Ok(())
    }

    fn write(&mut self, redacted: &[u8], end: &[u8]) -> io::Result<()> {
        match self.format {
            Format::Text => {
                if std::mem::replace(&mut self.open, end.is_empty()) {
                    self.out.write_all(b"\n")?;
                }
                self.out.write_all(redacted)?;
                self.out.write_all(end)
            }
            Format::Json => {
                let findings = self.findings.iter().map(|f| JsonFinding {
                    rule: f.rule.rule().id,
                    action: f.action.as_str(),
                    field: f.field,
                    start: f.start,
                    end: f.end,
                });
                let line =
                    JsonLine { line: &String::from_utf8_lossy(redacted), findings: findings.collect() };
                serde_json::to_writer(&mut self.out, &line)?;
                self.out.write_all(b"\n")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(format: Format, input: &[u8]) -> String {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(input).expect("written");
        let args = RedactArgs { config: None, format, files: vec![file.path().to_owned()] };
        let mut out = Vec::new();
        run(&args, &RuleSettings::default(), "", &mut out).expect("runs");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn same_lines_same_order() {
        assert_eq!(
            over(Format::Text, b"a\n\ncvv=123\r\nlast 4111111111111111"),
            "a\n\ncvv=[REDACTED:cvv]\r\nlast 411111******1111"
        );
    }

    #[test]
    fn findings_as_json() {
        let out = over(Format::Json, b"x cvv=123\n\xff\n");
        let mut lines = out.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).expect("json"));
        assert_eq!(
            lines.next(),
            Some(serde_json::json!({"line": "x cvv=[REDACTED:cvv]",
                "findings": [{"rule": "cvv", "action": "drop", "field": "cvv", "start": 6, "end": 9}]}))
        );
        assert_eq!(lines.next(), Some(serde_json::json!({"line": "\u{fffd}", "findings": []})));
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn a_missing_file_is_named() {
        let args = RedactArgs { config: None, format: Format::Text, files: vec!["/nowhere/x.log".into()] };
        let error = run(&args, &RuleSettings::default(), "", Vec::new()).expect_err("no such file");
        assert!(error.to_string().starts_with("/nowhere/x.log: "));
    }
}
