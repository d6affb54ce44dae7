//! The program's allocator: the system's, except that blocks of chunk memory lie in huge pages.
//!
//! glommio takes a DMA buffer from the global allocator, where glibc puts each block into a mapping of its own that is
//! not aligned to a huge page. In pages of 4 KiB a block takes 256 page faults once, and for every write the kernel
//! must find and pin 256 pages. Here two blocks of 1 MiB, or more smaller ones, share one huge page (PERF.md has the
//! difference).
//!
//! The allocator recognizes a block by its layout only: a power of two from `UNIT_BYTES` to [`BLOCK_BYTES`] long and
//! aligned to `BLOCK_ALIGN`, which no other code requests. Freed memory returns to the system at once: freeing a part
//! of a huge page breaks the page up, and its addresses are not used until all of it is free and is unmapped. So every
//! block that is handed out lies in a whole huge page. Chunk memory recycles its blocks itself and frees them rarely.
//! This code must not allocate or panic.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use crate::limits::BLOCK_BYTES;
use crate::runtime::heap;

/// Alignment of glommio's DMA buffers, bytes.
const BLOCK_ALIGN: usize = 4096;
/// Size of a huge page of x86-64, and of AArch64 with pages of 4 KiB, bytes. With other sizes a block is merely
/// aligned.
const HUGE_PAGE_BYTES: usize = 2 << 20;
/// Size of the smallest block, bytes; eight make a huge page, with one bit each.
const UNIT_BYTES: usize = 256 << 10;
/// Maximum number of huge pages: as much memory as a machine has. The table takes memory only where it is used.
const PAGES_MAX: usize = 1 << 20;

/// The type of the program's `#[global_allocator]`.
#[derive(Debug)]
pub struct Allocator {
    blocks: Mutex<Blocks>,
}

/// All huge pages.
#[derive(Debug)]
struct Blocks {
    /// Table with room for `PAGES_MAX`, mapped when the first page is needed.
    table: Option<NonNull<Page>>,
    count: usize,
}

/// A huge page in use.
#[derive(Clone, Copy, Debug)]
struct Page {
    start: NonNull<u8>,
    /// Units in use, one bit each, lowest address first.
    taken: u8,
    /// Units that were never handed out, one bit each.
    fresh: u8,
}

// SAFETY: the addresses are of memory that belongs to `Blocks` only.
#[allow(unsafe_code)]
unsafe impl Send for Blocks {}

impl Allocator {
    /// An allocator without blocks.
    pub const fn new() -> Self {
        Self { blocks: Mutex::new(Blocks { table: None, count: 0 }) }
    }

    fn take(&self, bytes: usize) -> Option<NonNull<u8>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).take(bytes)
    }

    fn give_back(&self, block: NonNull<u8>, bytes: usize) {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).give_back(block, bytes);
    }
}

impl Default for Allocator {
    fn default() -> Self {
        Self::new()
    }
}

fn is_block(layout: Layout) -> bool {
    let bytes = layout.size();
    layout.align() == BLOCK_ALIGN && (UNIT_BYTES..=BLOCK_BYTES).contains(&bytes) && bytes.is_power_of_two()
}

// SAFETY: a block is as long as its layout says, aligned to its own length, and in no other hands until it is freed
// with the same layout; all other layouts belong to the system allocator alone, since a reallocation from one kind to
// the other copies.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_block(layout) {
            return self.take(layout.size()).map_or(ptr::null_mut(), NonNull::as_ptr);
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_block(layout) {
            let block = self.take(layout.size()).map_or(ptr::null_mut(), NonNull::as_ptr);
            if !block.is_null() {
                // SAFETY: the block is this long.
                unsafe { ptr::write_bytes(block, 0, layout.size()) };
            }
            return block;
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        match NonNull::new(start) {
            Some(block) if is_block(layout) => self.give_back(block, layout.size()),
            _ => {
                heap::freed(layout.size());
                // SAFETY: the caller's promise; it is no block, so the system allocator made it.
                unsafe { System.dealloc(start, layout) }
            }
        }
    }

    unsafe fn realloc(&self, start: *mut u8, old: Layout, new_bytes: usize) -> *mut u8 {
        // SAFETY: the caller promises that `new_bytes`, rounded up to the alignment, is no overflow.
        let new = unsafe { Layout::from_size_align_unchecked(new_bytes, old.align()) };
        if !is_block(old) && !is_block(new) {
            heap::freed(old.size().saturating_sub(new_bytes));
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

/// The bits of a block of `bytes` whose first unit is `first`.
fn units(bytes: usize, first: usize) -> u8 {
    (((1u16 << (bytes / UNIT_BYTES)) - 1) << first) as u8
}

impl Page {
    /// The first unit where a block of `bytes` fits that was never handed out.
    fn room(&self, bytes: usize) -> Option<usize> {
        let mut places = (0..HUGE_PAGE_BYTES / UNIT_BYTES).step_by(bytes / UNIT_BYTES);
        places.find(|first| self.fresh & units(bytes, *first) == units(bytes, *first))
    }
}

#[allow(unsafe_code)]
impl Blocks {
    fn pages(&mut self) -> &mut [Page] {
        match self.table {
            // SAFETY: the table has room for all pages, of which the first `count` are written.
            Some(table) => unsafe { std::slice::from_raw_parts_mut(table.as_ptr(), self.count) },
            None => &mut [],
        }
    }

    fn take(&mut self, bytes: usize) -> Option<NonNull<u8>> {
        // The last pages are those with room, except those that trims left behind.
        let found = self.pages().iter().enumerate().rev().find_map(|(n, page)| Some((n, page.room(bytes)?)));
        let (n, first) = match found {
            Some(found) => found,
            None => (self.add_page()?, 0),
        };
        let page = &mut self.pages()[n];
        page.taken |= units(bytes, first);
        page.fresh &= !units(bytes, first);
        // SAFETY: the unit is one of the page's.
        Some(unsafe { page.start.add(first * UNIT_BYTES) })
    }

    /// Adds a page; returns its index.
    fn add_page(&mut self) -> Option<usize> {
        if self.table.is_none() {
            let (bytes, protection) = (PAGES_MAX * size_of::<Page>(), ProtFlags::READ | ProtFlags::WRITE);
            // SAFETY: a new mapping.
            let table =
                unsafe { mmap_anonymous(ptr::null_mut(), bytes, protection, MapFlags::PRIVATE | MapFlags::NORESERVE) };
            self.table = NonNull::new(table.ok()?.cast());
        }
        let table = self.table.filter(|_| self.count < PAGES_MAX)?;
        let page = Page { start: huge_page()?, taken: 0, fresh: u8::MAX };
        // SAFETY: the table has room for one more.
        unsafe { table.add(self.count).write(page) };
        self.count += 1;
        Some(self.count - 1)
    }

    fn give_back(&mut self, block: NonNull<u8>, bytes: usize) {
        let offset = block.as_ptr() as usize % HUGE_PAGE_BYTES;
        let start = block.as_ptr().wrapping_sub(offset);
        let pages = self.pages();
        let Some(n) = pages.iter().position(|page| page.start.as_ptr() == start) else { return };
        pages[n].taken &= !units(bytes, offset / UNIT_BYTES);
        if pages[n].taken == 0 {
            let page = pages[n];
            let last = pages.len() - 1;
            pages.swap(n, last);
            self.count = last;
            // SAFETY: the page is not used any more; if it cannot be unmapped the memory stays, unused.
            let _ = unsafe { munmap(page.start.as_ptr().cast(), HUGE_PAGE_BYTES) };
        } else {
            // SAFETY: the block is not used any more; if the advice fails the memory stays, unused.
            let _ = unsafe { madvise(block.as_ptr().cast(), bytes, Advice::LinuxDontNeed) };
        }
    }
}

/// A new range of addresses for one huge page, which gets memory when it is first touched.
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
        // A system without huge pages provides the same memory in small ones.
        let _ = madvise(page.cast(), HUGE_PAGE_BYTES, Advice::LinuxHugepage);
        NonNull::new(page)
    }
}

const _: () = assert!(HUGE_PAGE_BYTES == 8 * UNIT_BYTES && HUGE_PAGE_BYTES.is_multiple_of(BLOCK_BYTES));

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    use super::*;

    fn block() -> Layout {
        Layout::from_size_align(BLOCK_BYTES, BLOCK_ALIGN).unwrap()
    }

    /// Bytes of the block's huge page that are in memory.
    fn resident(start: *mut u8) -> usize {
        let page = start.wrapping_sub(start as usize % HUGE_PAGE_BYTES);
        let mut pages = [0u8; HUGE_PAGE_BYTES / 4096];
        // SAFETY: the vector has a byte for each page of the range.
        let result = unsafe { libc::mincore(page.cast(), HUGE_PAGE_BYTES, pages.as_mut_ptr()) };
        if result == 0 { pages.iter().filter(|page| **page & 1 == 1).count() * 4096 } else { 0 }
    }

    #[test]
    fn blocks_are_aligned_and_apart() {
        let allocator = Allocator::new();
        let sizes: Vec<_> = (0..24).map(|n| UNIT_BYTES << (n % 3)).collect();
        let layout = |bytes| Layout::from_size_align(bytes, BLOCK_ALIGN).unwrap();
        // SAFETY: what is written and freed was allocated with this layout.
        unsafe {
            let blocks: Vec<_> = sizes.iter().map(|bytes| (allocator.alloc(layout(*bytes)), *bytes)).collect();
            for (n, (start, bytes)) in blocks.iter().enumerate() {
                assert!(!start.is_null() && start.align_offset(*bytes) == 0);
                start.write_bytes(n as u8 + 1, *bytes);
            }
            let pages = allocator.blocks.lock().unwrap().count;
            assert!((7..=8).contains(&pages), "24 blocks of 14 MiB in all lie densely, in {pages} pages");
            for (n, (start, bytes)) in blocks.iter().enumerate() {
                let bytes = std::slice::from_raw_parts(*start, *bytes);
                assert!(bytes.iter().all(|byte| *byte == n as u8 + 1), "block {n}");
            }
            blocks.iter().for_each(|(start, bytes)| allocator.dealloc(*start, layout(*bytes)));
            assert_eq!(allocator.blocks.lock().unwrap().count, 0, "all is given back");
            let again = allocator.alloc_zeroed(block());
            assert!(std::slice::from_raw_parts(again, BLOCK_BYTES).iter().all(|byte| *byte == 0));
            allocator.dealloc(again, block());
        }
    }

    #[test]
    fn freed_memory_is_the_systems_and_its_page_is_not_used_in_part() {
        let allocator = Allocator::new();
        // SAFETY: what is written and freed was allocated with this layout.
        unsafe {
            let (first, second) = (allocator.alloc(block()), allocator.alloc(block()));
            first.write_bytes(1, BLOCK_BYTES);
            second.write_bytes(2, BLOCK_BYTES);
            assert_eq!(resident(first), HUGE_PAGE_BYTES);
            allocator.dealloc(first, block());
            assert_eq!(resident(second), BLOCK_BYTES);
            let third = allocator.alloc(block());
            let page = |start: *mut u8| start as usize / HUGE_PAGE_BYTES;
            assert_ne!(page(third), page(second), "half a page would be one of small pages");
            assert!(std::slice::from_raw_parts(second, BLOCK_BYTES).iter().all(|byte| *byte == 2));
            allocator.dealloc(second, block());
            allocator.dealloc(third, block());
            assert_eq!(allocator.blocks.lock().unwrap().count, 0);
        }
    }

    /// Reallocates between blocks and other layouts, in both directions.
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
