//! The hot path makes no allocation a record: its memory grows in the first rounds and is used again.
//!
//! What is left is counted by frame: a sealed frame is handed to delivery, so the handle of its bytes and the list
//! of its spans are made anew.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use fintail::deliver::Encoding;
use fintail_bench::path::{Fleet, Path, Stage};

struct Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

fn count() {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
}

// SAFETY: forwards to the system allocator; only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The handle of the frame's bytes, and the list of its spans, which doubles as it grows.
const A_FRAME: u64 = 3;

#[test]
fn none_for_a_record() {
    let fleet = Fleet::new(4 << 20).unwrap();
    for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
        let mut path = Path::new(&fleet, encoding).unwrap();
        let mut round = || path.round(|| ALLOCATIONS.load(Ordering::Relaxed));
        for _ in 0..3 {
            round();
        }
        let steady = round();
        assert!(steady.records > 5_000 && steady.redacted > 1_000 && steady.frames > 10, "{steady:?}");
        for stage in Stage::ALL {
            let allowed = if stage == Stage::Encode { A_FRAME * steady.frames } else { 0 };
            let made = steady.cost[stage as usize];
            println!(
                "{encoding:?} {stage:?}: {made} for {} records in {} frames",
                steady.records, steady.frames
            );
            assert!(
                made <= allowed,
                "{encoding:?}, {stage:?}: {made} allocations, {allowed} allowed: {steady:?}"
            );
        }
    }
}
