//! The C library's heap, kept close to the size in use.
//!
//! glibc keeps freed memory in the middle of its heaps for ever, and raises its thresholds when large blocks are freed,
//! so memory that thousands of connections once needed stays with the process. Here the thresholds are fixed at the
//! start, and free pages are returned after much was freed. The bytes of chunks are not in these heaps.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::limits::{HEAP_COUNTED_BYTES_MIN, HEAP_TRIMMED_BYTES_MIN};

/// Bytes in large blocks that were freed since the free pages were last returned.
static FREED: AtomicUsize = AtomicUsize::new(0);

/// Records that a block of `bytes` was freed, or shrank by that much.
pub(crate) fn freed(bytes: usize) {
    if bytes >= HEAP_COUNTED_BYTES_MIN {
        FREED.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Returns the free pages to the system if much was freed since the last time. Runs on a thread of its own, because
/// each heap is locked for milliseconds.
pub(crate) fn trim() {
    if FREED.load(Ordering::Relaxed) < HEAP_TRIMMED_BYTES_MIN {
        return;
    }
    let freed = FREED.swap(0, Ordering::Relaxed);
    if thread::Builder::new().name("heap trim".to_owned()).spawn(give_back).is_err() {
        FREED.fetch_add(freed, Ordering::Relaxed);
    }
}

/// Fixes the thresholds. Must be called before threads are started.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub(crate) fn limit() {
    use crate::limits::HEAP_KEPT_BYTES_MAX;
    // SAFETY: both calls take a number, and nothing in this program depends on the previous values.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, HEAP_KEPT_BYTES_MAX);
        libc::mallopt(libc::M_MMAP_THRESHOLD, HEAP_KEPT_BYTES_MAX);
    }
}

#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
fn give_back() {
    // SAFETY: malloc_trim may be called from any thread at any time.
    unsafe { libc::malloc_trim(0) };
}

/// Other C libraries return freed memory by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn limit() {}

#[cfg(not(target_env = "gnu"))]
fn give_back() {}
