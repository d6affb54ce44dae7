//! The end of a program that runs out of memory: a message and an exit code, instead of an abort.

use std::alloc::{GlobalAlloc, Layout};

use super::exit::Exit;

/// An allocator that never returns null, because the whole program relies on allocations to succeed.
#[derive(Debug)]
pub struct EndsWhenExhausted<A>(
    /// The underlying allocator.
    pub A,
);

// SAFETY: every call is passed on unchanged, and its result too unless the process ends.
#[allow(unsafe_code)]
unsafe impl<A: GlobalAlloc> GlobalAlloc for EndsWhenExhausted<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract.
        or_end(unsafe { self.0.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract.
        or_end(unsafe { self.0.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract.
        unsafe { self.0.dealloc(start, layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        // SAFETY: the caller upholds the contract.
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
    const MESSAGE: &[u8] = b"mtorrent: out of memory: raise the limit (ulimit -v, or the memory of the container), \
        take fewer --cores, or let other programs use less\n";
    // Nothing here may allocate. If stderr is closed, there is no other place to report that.
    // SAFETY: the bytes are static; `_exit` ends the process from any thread and runs no further code of it.
    unsafe {
        libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len());
        libc::_exit(Exit::Failed.code().into())
    }
}
