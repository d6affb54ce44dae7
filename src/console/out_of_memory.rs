//! The end of a program that gets no memory: a sentence and an exit code, in the place of an abort without either.

use std::alloc::{GlobalAlloc, Layout};

use super::exit::Exit;

/// An allocator that never gives back nothing. All of this program takes an allocation for granted.
#[derive(Debug)]
pub struct EndsWhenExhausted<A>(
    /// The allocator that is asked.
    pub A,
);

// SAFETY: every call is passed on as it is, and its result too unless the process ends.
#[allow(unsafe_code)]
unsafe impl<A: GlobalAlloc> GlobalAlloc for EndsWhenExhausted<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        or_end(unsafe { self.0.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        or_end(unsafe { self.0.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.0.dealloc(start, layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        or_end(unsafe { self.0.realloc(start, layout, new_bytes) })
    }
}

fn or_end(allocated: *mut u8) -> *mut u8 {
    if allocated.is_null() {
        end();
    }
    allocated
}

#[cold]
#[allow(unsafe_code)]
fn end() -> ! {
    const SENTENCE: &[u8] = b"mtorrent: out of memory: raise the limit (ulimit -v, or the memory of the container), \
        take fewer --cores, or let other programs use less\n";
    // Nothing here may allocate. If stderr is gone there is no better place to say so.
    // SAFETY: the bytes are there; the process ends without running anything of it, on whatever thread.
    unsafe {
        libc::write(libc::STDERR_FILENO, SENTENCE.as_ptr().cast(), SENTENCE.len());
        libc::_exit(Exit::Failed.code().into())
    }
}
