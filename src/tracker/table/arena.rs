//! Memory for the records of a table: blocks of bytes in large pages, addressed by 32-bit handles.
//!
//! A record has about a hundred bytes and there are millions, so the overhead per record must be small, and a steady
//! state must not call the allocator. Sizes are rounded to classes: steps of 16 bytes up to 1 KiB, eight steps per
//! doubling up to 256 KiB. A freed block is put on the free list of its class. A block above 256 KiB has a page of its
//! own, which is returned to the system when freed.
//!
//! The arena does not interpret the bytes. The caller must know a block's length; the record contains it.

use std::ops::{Deref, DerefMut};

/// The position of a block: page in the upper 16 bits, unit in the page in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle(u32);

/// Bytes of a unit.
const UNIT: usize = 16;
/// Bytes of a page: as many units as 16 bits can address.
const PAGE: usize = UNIT << 16;
/// Classes up to this size grow by one unit.
const FINE_UNITS: usize = 64;
/// Units of the largest block that shares a page.
const SHARED_UNITS: usize = 1 << 14;
/// Size classes per doubling, above [`FINE_UNITS`].
const STEPS: usize = 8;
const CLASSES: usize = FINE_UNITS + 1 + 8 * STEPS;
const PAGES_MAX: usize = 1 << 16;
/// No block: the first unit of the first page is never allocated.
const NONE: u32 = 0;

/// Bytes in whole memory pages. The program's allocator puts a run of [`PAGE`] bytes into huge pages, where the
/// processor finds any record without an additional memory access for its address translation.
#[derive(Default)]
struct Page {
    memory: Box<[MemoryPage]>,
}

const MEMORY_PAGE: usize = 4096;

#[derive(Clone)]
#[repr(C, align(4096))]
struct MemoryPage([u8; MEMORY_PAGE]);

impl Page {
    fn new(len: usize) -> Self {
        Self { memory: vec![MemoryPage([0; MEMORY_PAGE]); len.div_ceil(MEMORY_PAGE)].into() }
    }
}

impl Deref for Page {
    type Target = [u8];

    #[allow(unsafe_code)]
    fn deref(&self) -> &[u8] {
        // SAFETY: `memory` is contiguous memory pages, which consist of initialised bytes only.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast(), self.memory.len() * MEMORY_PAGE) }
    }
}

impl DerefMut for Page {
    #[allow(unsafe_code)]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_mut_ptr().cast(), self.memory.len() * MEMORY_PAGE) }
    }
}

/// The pages and the free lists.
pub(crate) struct Arena {
    pages: Vec<Page>,
    /// Numbers of pages whose memory was returned.
    free_pages: Vec<u16>,
    /// Head of the free list of each class; each free block stores the next one in its first four bytes.
    free: [u32; CLASSES],
    /// The unused part of the page that blocks are cut from: next unit and page.
    cut_page: usize,
    cut_unit: usize,
}

/// The arena can address no more memory: 64 GiB per table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArenaFull;

impl Arena {
    pub(crate) fn new() -> Self {
        Self { pages: Vec::new(), free_pages: Vec::new(), free: [NONE; CLASSES], cut_page: 0, cut_unit: PAGE / UNIT }
    }

    /// Allocates a block of at least `len` bytes with arbitrary content.
    pub(crate) fn allocate(&mut self, len: usize) -> Result<Handle, ArenaFull> {
        let Some(class) = class(len) else { return self.allocate_page(len) };
        let head = self.free[class];
        if head != NONE {
            let next = self.block(Handle(head), 4);
            self.free[class] = u32::from_le_bytes([next[0], next[1], next[2], next[3]]);
            return Ok(Handle(head));
        }
        let units = class_units(class);
        if PAGE / UNIT - self.cut_unit < units {
            self.next_page()?;
        }
        let handle = handle(self.cut_page, self.cut_unit);
        self.cut_unit += units;
        Ok(handle)
    }

    /// Frees a block that was allocated for `len` bytes.
    pub(crate) fn free(&mut self, handle: Handle, len: usize) {
        match class(len) {
            Some(class) => {
                let next = self.free[class];
                self.block_mut(handle, 4).copy_from_slice(&next.to_le_bytes());
                self.free[class] = handle.0;
            }
            None => {
                let page = page(handle);
                self.pages[page] = Page::default();
                self.free_pages.push(page as u16);
            }
        }
    }

    /// Returns whether blocks of these lengths have one size class, so that a record may grow or shrink in place.
    pub(crate) fn same_class(len: usize, other: usize) -> bool {
        class(len).is_some() && class(len) == class(other)
    }

    /// Returns the first `len` bytes of a block.
    pub(crate) fn block(&self, handle: Handle, len: usize) -> &[u8] {
        let start = start(handle);
        &self.pages[page(handle)][start..start + len]
    }

    /// Returns the first `len` bytes of a block.
    pub(crate) fn block_mut(&mut self, handle: Handle, len: usize) -> &mut [u8] {
        let start = start(handle);
        &mut self.pages[page(handle)][start..start + len]
    }

    /// Returns the bytes from the block's start to the end of its page: at least the block's own bytes.
    pub(crate) fn from(&self, handle: Handle) -> &[u8] {
        &self.pages[page(handle)][start(handle)..]
    }

    /// Total bytes of all pages.
    pub(crate) fn bytes(&self) -> usize {
        self.pages.iter().map(|page| page.len()).sum()
    }

    fn allocate_page(&mut self, len: usize) -> Result<Handle, ArenaFull> {
        self.add_page(Page::new(len)).map(|page| handle(page, 0))
    }

    /// Starts a new page to cut blocks from; the rest of the old page is added to the free lists.
    fn next_page(&mut self) -> Result<(), ArenaFull> {
        let page = self.add_page(Page::new(PAGE))?;
        while self.cut_unit < PAGE / UNIT {
            let units = (PAGE / UNIT - self.cut_unit).min(FINE_UNITS);
            self.free(handle(self.cut_page, self.cut_unit), units * UNIT);
            self.cut_unit += units;
        }
        (self.cut_page, self.cut_unit) = (page, usize::from(page == 0));
        Ok(())
    }

    fn add_page(&mut self, bytes: Page) -> Result<usize, ArenaFull> {
        // Page 0 must be a page for cutting, so that handle 0 is never allocated.
        if self.pages.is_empty() && bytes.len() != PAGE {
            self.next_page()?;
        }
        if let Some(page) = self.free_pages.pop() {
            self.pages[usize::from(page)] = bytes;
            return Ok(usize::from(page));
        }
        if self.pages.len() == PAGES_MAX {
            return Err(ArenaFull);
        }
        self.pages.push(bytes);
        Ok(self.pages.len() - 1)
    }
}

impl Handle {
    /// Returns the raw value, never 0, for an index that stores 0 for an empty slot.
    pub(crate) fn get(self) -> u32 {
        self.0
    }

    /// Creates the handle from a value of [`Handle::get`].
    pub(crate) fn from_raw(raw: u32) -> Self {
        Self(raw)
    }
}

fn handle(page: usize, unit: usize) -> Handle {
    Handle((page as u32) << 16 | unit as u32)
}

fn page(handle: Handle) -> usize {
    (handle.0 >> 16) as usize
}

fn start(handle: Handle) -> usize {
    (handle.0 & 0xffff) as usize * UNIT
}

/// Returns the size class for `len` bytes; `None` for a block with a page of its own.
fn class(len: usize) -> Option<usize> {
    let units = len.div_ceil(UNIT).max(1);
    if units <= FINE_UNITS {
        return Some(units);
    }
    if units > SHARED_UNITS {
        return None;
    }
    // units - 1 is at least 64: its highest bit selects the doubling, the next three bits the step.
    let exponent = (units - 1).ilog2() as usize;
    let step = (units - 1) >> (exponent - 3) & (STEPS - 1);
    Some(FINE_UNITS + 1 + (exponent - 6) * STEPS + step)
}

/// Units of a block of a class.
fn class_units(class: usize) -> usize {
    if class <= FINE_UNITS {
        return class;
    }
    let (exponent, step) = ((class - FINE_UNITS - 1) / STEPS + 6, (class - FINE_UNITS - 1) % STEPS);
    (STEPS + step + 1) << (exponent - 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn classes_hold_what_they_are_for_and_waste_little() {
        let mut last = 0;
        for units in 1..=SHARED_UNITS {
            let class = class(units * UNIT).unwrap();
            let room = class_units(class);
            assert!(class < CLASSES && class >= last, "{units} units");
            assert!(room >= units && room <= units + (units / STEPS).max(if units > FINE_UNITS { 8 } else { 0 }));
            last = class;
        }
        assert_eq!(class(SHARED_UNITS * UNIT + 1), None);
    }

    proptest! {
        /// Blocks keep their bytes while others are allocated and freed.
        #[test]
        fn blocks_do_not_overlap(steps in prop::collection::vec((any::<u8>(), 1usize..3000, any::<bool>()), 1..300)) {
            let mut arena = Arena::new();
            let mut held: Vec<(Handle, usize, u8)> = Vec::new();
            for (fill, len, free) in steps {
                let len = if len > 2900 { len * 200 } else { len };
                if free && !held.is_empty() {
                    let (handle, len, fill) = held.swap_remove(usize::from(fill) % held.len());
                    prop_assert!(arena.block(handle, len).iter().all(|byte| *byte == fill));
                    arena.free(handle, len);
                }
                let handle = arena.allocate(len).unwrap();
                prop_assert!(handle.get() != NONE);
                arena.block_mut(handle, len).fill(fill);
                held.push((handle, len, fill));
            }
            for (handle, len, fill) in held {
                prop_assert!(arena.block(handle, len).iter().all(|byte| *byte == fill));
            }
        }
    }

    #[test]
    fn freed_blocks_are_used_again() {
        let mut arena = Arena::new();
        let handles: Vec<_> = (0..10_000).map(|_| arena.allocate(100).unwrap()).collect();
        let bytes = arena.bytes();
        handles.into_iter().for_each(|handle| arena.free(handle, 100));
        (0..10_000).for_each(|_| assert!(arena.allocate(100).is_ok()));
        assert_eq!(arena.bytes(), bytes);
    }
}
