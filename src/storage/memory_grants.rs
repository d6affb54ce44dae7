//! Grants memory blocks to the chunks of limited peers, the slow and the unproven. Pure.
//!
//! A limited peer's chunk takes memory block by block, as its bytes arrive, out of a pool that is smaller than all such
//! chunks together. To prevent a deadlock between them, a block is granted only if afterwards all of them can still be
//! completed one after the other (the banker's algorithm): the one that needs least first, which then leaves its memory
//! to the next.

use std::collections::HashMap;

/// Id of a participating chunk.
pub(super) type GrantId = u64;

/// The chunks of limited peers, with the bytes granted to each.
#[derive(Debug, Default)]
pub(super) struct Grants {
    chunks: HashMap<GrantId, Part>,
    next: GrantId,
    held_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    held: usize,
    /// Bytes not granted yet.
    missing: usize,
}

impl Grants {
    /// Adds a chunk that will need `bytes`, and has none yet.
    pub(super) fn enter(&mut self, bytes: usize) -> GrantId {
        let id = self.next;
        self.next += 1;
        self.chunks.insert(id, Part { held: 0, missing: bytes });
        id
    }

    /// Grants `bytes` more to a chunk, if all chunks can still be completed within a pool of `pool_bytes`. The pool is
    /// at least as large as the largest chunk.
    pub(super) fn grant(&mut self, id: GrantId, bytes: usize, pool_bytes: usize) -> bool {
        let Some(part) = self.chunks.get(&id).copied() else { return false };
        let after = Part { held: part.held + bytes, missing: part.missing.saturating_sub(bytes) };
        self.chunks.insert(id, after);
        self.held_bytes += bytes;
        if self.can_all_complete(pool_bytes) {
            return true;
        }
        self.chunks.insert(id, part);
        self.held_bytes -= bytes;
        false
    }

    /// Removes a chunk, complete or given up; the others may try again.
    pub(super) fn leave(&mut self, id: GrantId) {
        if let Some(part) = self.chunks.remove(&id) {
            self.held_bytes -= part.held;
        }
    }

    /// Bytes granted to all chunks together.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    fn can_all_complete(&self, pool_bytes: usize) -> bool {
        let largest = self.chunks.values().map(|part| part.held + part.missing).max().unwrap_or(0);
        let Some(mut free) = pool_bytes.max(largest).checked_sub(self.held_bytes) else { return false };
        let mut parts: Vec<Part> = self.chunks.values().copied().collect();
        parts.sort_unstable_by_key(|part| part.missing);
        parts.iter().all(|part| {
            let completes = part.missing <= free;
            free += part.held;
            completes
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: usize = 1 << 20;

    /// Nine slow peers that have a block each leave enough for a fast one that comes later.
    #[test]
    fn slow_chunks_leave_room_for_one_that_moves() {
        let mut grants = Grants::default();
        let (chunk, pool) = (16 * BLOCK, 24 * BLOCK);
        for _ in 0..8 {
            let slow = grants.enter(chunk);
            assert!(grants.grant(slow, BLOCK, pool));
        }
        let quick = grants.enter(chunk);
        assert!((0..16).all(|_| grants.grant(quick, BLOCK, pool)));
        grants.leave(quick);
        assert_eq!(grants.held_bytes(), 8 * BLOCK);
    }

    #[test]
    fn one_chunk_fits_into_any_pool() {
        let mut grants = Grants::default();
        let chunk = grants.enter(16 * BLOCK);
        assert!((0..16).all(|_| grants.grant(chunk, BLOCK, 4 * BLOCK)));
        let other = grants.enter(16 * BLOCK);
        assert!(!grants.grant(other, BLOCK, 4 * BLOCK));
        grants.leave(chunk);
        assert!(grants.grant(other, BLOCK, 4 * BLOCK));
    }

    proptest! {
        /// Whatever the order in which chunks request blocks, one of them can always continue, and the pool's size is
        /// never exceeded.
        #[test]
        fn they_never_wait_for_each_other(
            sizes in prop::collection::vec(1usize..17, 1..20),
            order in prop::collection::vec(any::<prop::sample::Index>(), 1..200),
            pool in 1usize..40,
        ) {
            let mut grants = Grants::default();
            let mut open: Vec<(GrantId, usize)> = sizes.iter().map(|size| (grants.enter(size * BLOCK), *size)).collect();
            let pool_max = pool.max(*sizes.iter().max().unwrap()) * BLOCK;
            let mut order = order.into_iter();
            while !open.is_empty() {
                let first = order.next().map_or(0, |index| index.index(open.len()));
                let count = open.len();
                let next = (0..count).map(|n| (first + n) % count).find(|n| grants.grant(open[*n].0, BLOCK, pool * BLOCK));
                let next = next.expect("one of them can go on");
                prop_assert!(grants.held_bytes() <= pool_max);
                open[next].1 -= 1;
                if open[next].1 == 0 {
                    grants.leave(open.swap_remove(next).0);
                }
            }
            prop_assert_eq!(grants.held_bytes(), 0);
        }
    }
}
