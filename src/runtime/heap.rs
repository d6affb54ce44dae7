//! The C library's heap, kept near what is in use.
//!
//! glibc keeps what is freed in the middle of its heaps for ever, and learns from large pieces that are freed to keep
//! ever larger ones: what thousands of connections needed once stays with the process. Here its thresholds are fixed at
//! the start, and its free pages are given back when much was freed. The bytes of chunks are not in these heaps.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::limits::{HEAP_COUNTED_BYTES_MIN, HEAP_TRIMMED_BYTES_MIN};

/// Bytes in large pieces that were freed since the free pages were last given back.
static FREED: AtomicUsize = AtomicUsize::new(0);

/// A piece of `bytes` was freed, or became smaller by so many.
pub(crate) fn freed(bytes: usize) {
    if bytes >= HEAP_COUNTED_BYTES_MIN {
        FREED.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Gives the free pages back if much was freed since the last time, on a thread of its own: each heap is locked
/// meanwhile, for milliseconds.
pub(crate) fn trim() {
    if FREED.load(Ordering::Relaxed) < HEAP_TRIMMED_BYTES_MIN {
        return;
    }
    let freed = FREED.swap(0, Ordering::Relaxed);
    if thread::Builder::new().name("heap trim".to_owned()).spawn(give_back).is_err() {
        FREED.fetch_add(freed, Ordering::Relaxed);
    }
}

/// Fixes the thresholds: call it before there are threads.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub(crate) fn limit() {
    use crate::limits::HEAP_KEPT_BYTES_MAX;
    // SAFETY: both take a number, and nothing of this program depends on what they were.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, HEAP_KEPT_BYTES_MAX);
        libc::mallopt(libc::M_MMAP_THRESHOLD, HEAP_KEPT_BYTES_MAX);
    }
}

#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
fn give_back() {
    // SAFETY: it may be called from any thread at any time.
    unsafe { libc::malloc_trim(0) };
}

/// Other C libraries give back what is freed by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn limit() {}

#[cfg(not(target_env = "gnu"))]
fn give_back() {}
