//! The binary: arguments → command → exit code. It must not know any stage.

use std::process::ExitCode;

use clap::Parser as _;
use fintail::cli::Fintail;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    fintail::admin::log::hide_panic_messages();
    Fintail::parse().run()
}
