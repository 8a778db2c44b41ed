//! The binary: arguments → command → exit code. It must not know any stage.

use std::process::ExitCode;

use clap::Parser as _;
use fintail::cli::Fintail;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Fintail::parse().run()
}
