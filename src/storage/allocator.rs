//! The program's allocator: the system's, except that blocks of chunk memory lie in huge pages.
//!
//! glommio takes a DMA buffer from the global allocator, where glibc puts each block into a mapping of its own that
//! is aligned to no huge page. In pages of 4 KiB a block costs 256 page faults once, and for every write 256 pages
//! that the kernel must find and hold. Here two blocks share one huge page (PERF.md has the difference).
//!
//! Only the layout tells a block: [`BLOCK_BYTES`] long and aligned to `BLOCK_ALIGN`, which nothing else
//! asks for. A freed block is given back to the system at once and its addresses are used again; chunk
//! memory recycles its blocks itself, so that this is rare. Nothing here may allocate or panic.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use crate::limits::BLOCK_BYTES;

/// What glommio aligns DMA buffers to, bytes.
const BLOCK_ALIGN: usize = 4096;
/// A huge page of x86-64, and of AArch64 with pages of 4 KiB, bytes. With others a block is merely aligned.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// What the program's `#[global_allocator]` is.
#[derive(Debug)]
pub struct Allocator {
    blocks: Mutex<Blocks>,
}

/// Addresses for blocks.
#[derive(Debug)]
struct Blocks {
    /// Given back; each begins with the next one's address.
    free: Option<NonNull<Free>>,
    /// The half of the last huge page that nobody has had yet.
    half: Option<NonNull<u8>>,
}

#[derive(Debug)]
struct Free {
    next: Option<NonNull<Free>>,
}

// SAFETY: the addresses are of memory that belongs to nobody but `Blocks`.
#[allow(unsafe_code)]
unsafe impl Send for Blocks {}

impl Allocator {
    /// An allocator without a block yet.
    pub const fn new() -> Self {
        Self { blocks: Mutex::new(Blocks { free: None, half: None }) }
    }

    fn take(&self) -> Option<NonNull<u8>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn give_back(&self, block: NonNull<u8>) {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).give_back(block);
    }
}

impl Default for Allocator {
    fn default() -> Self {
        Self::new()
    }
}

fn is_block(layout: Layout) -> bool {
    layout.size() == BLOCK_BYTES && layout.align() == BLOCK_ALIGN
}

// SAFETY: a block is BLOCK_BYTES long, aligned to its own length, and in no other hands until it is
// given back with the same layout; all other layouts are the system allocator's alone, since a
// reallocation from one kind to the other copies.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_block(layout) {
            return self.take().map_or(ptr::null_mut(), NonNull::as_ptr);
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_block(layout) {
            let block = self.take().map_or(ptr::null_mut(), NonNull::as_ptr);
            if !block.is_null() {
                // SAFETY: the block is this long.
                unsafe { ptr::write_bytes(block, 0, BLOCK_BYTES) };
            }
            return block;
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        match NonNull::new(start) {
            Some(block) if is_block(layout) => self.give_back(block),
            // SAFETY: the caller's promise; it is no block, so it came from there.
            _ => unsafe { System.dealloc(start, layout) },
        }
    }

    unsafe fn realloc(&self, start: *mut u8, old: Layout, new_bytes: usize) -> *mut u8 {
        // SAFETY: the caller promises that `new_bytes`, rounded up to the alignment, is no overflow.
        let new = unsafe { Layout::from_size_align_unchecked(new_bytes, old.align()) };
        if !is_block(old) && !is_block(new) {
            // SAFETY: the caller's promise.
            return unsafe { System.realloc(start, old, new_bytes) };
        }
        // SAFETY: both are valid for the bytes that both have, and they are not the same memory.
        unsafe {
            let moved = self.alloc(new);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(start, moved, old.size().min(new_bytes));
                self.dealloc(start, old);
            }
            moved
        }
    }
}

#[allow(unsafe_code)]
impl Blocks {
    fn take(&mut self) -> Option<NonNull<u8>> {
        if let Some(free) = self.free {
            // SAFETY: `give_back` wrote it there.
            self.free = unsafe { free.read() }.next;
            return Some(free.cast());
        }
        if let Some(half) = self.half.take() {
            return Some(half);
        }
        let page = huge_page()?;
        // SAFETY: the page has room for two.
        self.half = Some(unsafe { page.add(BLOCK_BYTES) });
        Some(page)
    }

    fn give_back(&mut self, block: NonNull<u8>) {
        // SAFETY: nobody uses the block any more; where the advice fails the memory stays, unused.
        unsafe {
            let _ = madvise(block.as_ptr().cast(), BLOCK_BYTES, Advice::LinuxDontNeed);
            block.cast().write(Free { next: self.free });
        }
        self.free = Some(block.cast());
    }
}

/// Fresh addresses of one huge page, which gets memory when it is first touched.
#[allow(unsafe_code)]
fn huge_page() -> Option<NonNull<u8>> {
    const MAPPED: usize = 2 * HUGE_PAGE_BYTES;
    // SAFETY: a new mapping, of which only the aligned page in the middle is kept.
    unsafe {
        let mapped = mmap_anonymous(ptr::null_mut(), MAPPED, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        let mapped = mapped.ok()?.cast::<u8>();
        let before = mapped.align_offset(HUGE_PAGE_BYTES);
        let page = mapped.add(before);
        if before > 0 {
            let _ = munmap(mapped.cast(), before);
        }
        let _ = munmap(page.add(HUGE_PAGE_BYTES).cast(), MAPPED - HUGE_PAGE_BYTES - before);
        // A system without huge pages has the same memory in small ones.
        let _ = madvise(page.cast(), HUGE_PAGE_BYTES, Advice::LinuxHugepage);
        NonNull::new(page)
    }
}

const _: () = assert!(HUGE_PAGE_BYTES == 2 * BLOCK_BYTES && BLOCK_BYTES.is_multiple_of(BLOCK_ALIGN));

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    use super::*;

    fn block() -> Layout {
        Layout::from_size_align(BLOCK_BYTES, BLOCK_ALIGN).unwrap()
    }

    #[test]
    fn blocks_are_aligned_apart_and_used_again() {
        let allocator = Allocator::new();
        // SAFETY: what is written and freed was allocated with this layout.
        unsafe {
            let blocks: Vec<_> = (0..9).map(|_| allocator.alloc(block())).collect();
            for (n, start) in blocks.iter().enumerate() {
                assert!(!start.is_null() && start.align_offset(BLOCK_BYTES) == 0);
                start.write_bytes(n as u8 + 1, BLOCK_BYTES);
            }
            for (n, start) in blocks.iter().enumerate() {
                let bytes = std::slice::from_raw_parts(*start, BLOCK_BYTES);
                assert!(bytes.iter().all(|byte| *byte == n as u8 + 1), "block {n}");
            }
            blocks.iter().for_each(|start| allocator.dealloc(*start, block()));
            let mut again: Vec<_> = (0..9).map(|_| allocator.alloc_zeroed(block())).collect();
            for start in &again {
                assert!(std::slice::from_raw_parts(*start, BLOCK_BYTES).iter().all(|byte| *byte == 0));
            }
            let mut before = blocks.clone();
            again.sort();
            before.sort();
            assert_eq!(again, before);
        }
    }

    /// Over the border between blocks and the rest, there and back.
    #[test]
    fn reallocation_keeps_the_bytes() {
        let allocator = Allocator::new();
        // SAFETY: the layouts are those of the allocations.
        unsafe {
            let layout = |bytes| Layout::from_size_align(bytes, BLOCK_ALIGN).unwrap();
            let mut start = allocator.alloc(layout(8192));
            (0..8192).for_each(|at| start.add(at).write((at % 251) as u8));
            for (from, to) in [(8192, BLOCK_BYTES), (BLOCK_BYTES, 16384), (16384, BLOCK_BYTES), (BLOCK_BYTES, 8192)] {
                start = allocator.realloc(start, layout(from), to);
                let right = (0..8192).all(|at| start.add(at).read() == (at % 251) as u8);
                assert!(right && start.align_offset(BLOCK_ALIGN) == 0, "{from} to {to}");
            }
            allocator.dealloc(start, layout(8192));
        }
    }

    #[test]
    fn threads_share_it() {
        let allocator = Allocator::new();
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let allocator = &allocator;
                scope.spawn(move || {
                    for _ in 0..200 {
                        // SAFETY: as above.
                        unsafe {
                            let (a, b) = (allocator.alloc(block()), allocator.alloc(block()));
                            a.write_bytes(thread, 4096);
                            b.write_bytes(thread, 4096);
                            assert!((0..4096).all(|at| a.add(at).read() == thread && b.add(at).read() == thread));
                            allocator.dealloc(a, block());
                            allocator.dealloc(b, block());
                        }
                    }
                });
            }
        });
    }
}
