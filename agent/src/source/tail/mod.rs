//! Reads container logs: chains of generations, each from its mark to its end.
//! It must not know the network or, beyond the time of a file's first line, line formats.
//!
//! | file | noun |
//! |---|---|
//! | [`identity`] | who a file is |
//! | [`file`](mod@file) | one generation: whole lines from an open file |
//! | [`chain`] | the generations of one `<n>.log`, oldest first |
//! | [`watch`] | inotify: which folder or idle file changed |
//! | [`fs`] | the calls to the kernel |
//!
//! Known limits: compressed generations (`.gz`) and generations that were deleted unread are not told yet.

pub mod chain;
pub mod file;
pub mod fs;
pub mod identity;
pub mod watch;
