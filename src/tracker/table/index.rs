//! Finds a bucket's records: an open-addressing hash table whose slots are sorted by tag.
//!
//! A tag is 32 bits of a keyed hash of the info hash, so that no client can target a slot: clients choose info hashes
//! freely. Slots are probed linearly, and kept sorted by tag, so a search ends early, and an iteration in tag order,
//! even with pauses, needs no sorting.

use super::arena::Handle;
use super::prefetch::prefetch;

/// One slot of 8 bytes, for one record.
#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    /// 0 for an empty slot.
    handle: u32,
}

const EMPTY: Slot = Slot { tag: 0, handle: 0 };
/// Slots beyond the last home, so that probing never wraps around.
const TAIL: usize = 8;
const HOMES_MIN: usize = 8;

/// The records of one bucket, by tag.
#[derive(Default)]
pub(crate) struct Index {
    /// `homes` slots and the tail; empty until the first record.
    slots: Vec<Slot>,
    homes: usize,
    len: usize,
}

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the slot of the record with this tag for which `is_it` is true.
    pub(crate) fn find(&self, tag: u32, is_it: impl Fn(Handle) -> bool) -> Option<usize> {
        let start = self.home(tag);
        let run = self.slots.get(start..)?.iter().take_while(|slot| slot.handle != 0 && slot.tag <= tag);
        let found = |(_, slot): &(usize, &Slot)| slot.tag == tag && is_it(Handle::from_raw(slot.handle));
        run.enumerate().find(found).map(|(distance, _)| start + distance)
    }

    /// Prefetches the slots in which a tag is searched.
    pub(crate) fn prefetch(&self, tag: u32) {
        if let Some(slot) = self.slots.get(self.home(tag)) {
            prefetch(slot);
        }
    }

    /// Returns the first record with this tag, most likely the requested one.
    pub(crate) fn guess(&self, tag: u32) -> Option<Handle> {
        self.find(tag, |_| true).map(|slot| Handle::from_raw(self.slots[slot].handle))
    }

    /// Returns the tag and the record in a slot.
    pub(crate) fn get(&self, slot: usize) -> Option<(u32, Handle)> {
        self.slots.get(slot).filter(|slot| slot.handle != 0).map(|slot| (slot.tag, Handle::from_raw(slot.handle)))
    }

    /// Replaces the record in a slot that [`Index::find`] returned.
    pub(crate) fn set(&mut self, slot: usize, handle: Handle) {
        self.slots[slot].handle = handle.get();
    }

    /// Adds a record.
    pub(crate) fn insert(&mut self, tag: u32, handle: Handle) {
        if (self.len + 1) * 5 > self.homes * 4 {
            self.grow();
        }
        self.place(Slot { tag, handle: handle.get() });
        self.len += 1;
    }

    /// Removes a record from its slot; the following ones may move one slot down.
    pub(crate) fn remove(&mut self, slot: usize) {
        let mut hole = slot;
        while let Some(next) = self.slots.get(hole + 1).copied() {
            // A record at its home, or whose home is behind the hole, stays.
            if next.handle == 0 || self.home(next.tag) > hole {
                break;
            }
            self.slots[hole] = next;
            hole += 1;
        }
        self.slots[hole] = EMPTY;
        self.len -= 1;
    }

    /// Returns the first slot that may have a tag of `tag` or above.
    pub(crate) fn first_slot(&self, tag: u32) -> usize {
        let mut slot = self.home(tag);
        while self.slots.get(slot).is_some_and(|found| found.handle != 0 && found.tag < tag) {
            slot += 1;
        }
        slot
    }

    /// Number of slots, empty ones and the tail included.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Bytes of the table.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.homes as u64) >> 32) as usize
    }

    /// Inserts a slot at its tag's position, and moves the slots above it up.
    fn place(&mut self, slot: Slot) {
        let mut at = self.home(slot.tag);
        while self.slots.get(at).is_some_and(|found| found.handle != 0 && found.tag <= slot.tag) {
            at += 1;
        }
        let run = self.slots[at..].iter().position(|found| found.handle == 0);
        let run = run.unwrap_or_else(|| {
            self.slots.extend([EMPTY; TAIL]);
            self.slots.len() - TAIL - at
        });
        self.slots.copy_within(at..at + run, at + 1);
        self.slots[at] = slot;
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.homes = (self.homes * 2).max(HOMES_MIN);
        self.slots = vec![EMPTY; self.homes + TAIL];
        // In tag order, each slot is inserted behind the previous one.
        let mut next = 0;
        for slot in old.iter().filter(|slot| slot.handle != 0) {
            next = self.home(slot.tag).max(next);
            if next == self.slots.len() {
                self.slots.extend([EMPTY; TAIL]);
            }
            self.slots[next] = *slot;
            next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Comparison with a map of tags to handles; few tags, so that they collide.
        #[test]
        fn holds_what_a_map_holds(
            spread in prop::sample::select(vec![1u32, 1 << 26, u32::MAX / 300]),
            steps in prop::collection::vec((0u32..300, any::<bool>()), 1..600),
        ) {
            let mut index = Index::default();
            let mut model: BTreeMap<(u32, u32), ()> = BTreeMap::new();
            for (number, (tag, insert)) in steps.into_iter().enumerate() {
                let tag = tag.wrapping_mul(spread);
                let handle = number as u32 + 1;
                if insert {
                    index.insert(tag, Handle::from_raw(handle));
                    model.insert((tag, handle), ());
                } else if let Some((&(tag, handle), ())) = model.range((tag, 0)..).next() {
                    let slot = index.find(tag, |found| found.get() == handle).unwrap();
                    index.remove(slot);
                    model.remove(&(tag, handle));
                }
                prop_assert_eq!(index.find(tag, |found| found.get() == u32::MAX), None);
            }
            prop_assert_eq!(index.len(), model.len());
            for (tag, handle) in model.keys() {
                prop_assert!(index.find(*tag, |found| found.get() == *handle).is_some());
            }
            let found: Vec<u32> = (index.first_slot(0)..index.slots()).filter_map(|slot| index.get(slot)).map(|(tag, _)| tag).collect();
            prop_assert_eq!(found, model.keys().map(|(tag, _)| *tag).collect::<Vec<_>>());
            for (tag, _) in model.keys() {
                let first = (index.first_slot(*tag)..).find_map(|slot| index.get(slot)).unwrap();
                prop_assert_eq!(first.0, *tag);
            }
        }
    }
}
