//! One file a command. Exit codes: 0 done, 1 failed, 2 wrong use or invalid configuration; errors on stderr.
//! The commands must not know the inside of any stage.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod check;
pub mod demo;
pub mod redact;
pub mod run;

/// Something went wrong at run time.
pub const FAILED: u8 = 1;
/// Wrong arguments or an invalid configuration; clap uses the same.
pub const WRONG_USE: u8 = 2;

/// Log agent for fintechs on Kubernetes: tails, redacts, delivers; nothing lost, nothing doubled.
#[derive(Debug, Parser)]
#[command(name = "fintail", version, about, max_term_width = 100)]
pub struct Fintail {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Redact(redact::RedactArgs),
    Demo(demo::Demo),
    /// Print the version.
    Version,
}

impl Fintail {
    /// Carries the command out.
    pub fn run(&self) -> ExitCode {
        match &self.command {
            Command::Run(run) => run.run(),
            Command::Check(check) => check.run(),
            Command::Redact(args) => args.run(),
            Command::Demo(demo) => demo.run(),
            Command::Version => print(&format_args!("fintail {}\n", env!("CARGO_PKG_VERSION"))),
        }
    }
}

/// Writes to stdout; a reader that went away is no failure of ours to shout about, but a failure.
fn print(text: &dyn Display) -> ExitCode {
    match std::io::stdout().write_all(text.to_string().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(FAILED),
    }
}

/// Says on stderr what is wrong.
fn complain(code: u8, what: &dyn Display) -> ExitCode {
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{what}");
    ExitCode::from(code)
}
