//! Threads, byte permits, supervision, shutdown. It must not know the inside of any stage.

pub mod budget;
pub mod buffers;
pub mod settings;
pub mod shard;
pub mod state_dir;
pub mod wake;
