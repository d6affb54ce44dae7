//! A map with slots as keys: a few hundred values, sorted by slot and contiguous in memory. Pure.

/// A map from slots `K` to values.
#[derive(Debug)]
pub(super) struct SlotMap<K, T> {
    slots: Vec<K>,
    values: Vec<T>,
}

impl<K, T> Default for SlotMap<K, T> {
    fn default() -> Self {
        Self { slots: Vec::new(), values: Vec::new() }
    }
}

impl<K: Copy + Ord, T> SlotMap<K, T> {
    /// Number of values.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether the map is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Inserts a value; replaces the one in the same slot. Fast for the highest slot.
    pub(super) fn insert(&mut self, slot: K, value: T) {
        match self.slots.binary_search(&slot) {
            Ok(position) => self.values[position] = value,
            Err(position) => {
                self.slots.insert(position, slot);
                self.values.insert(position, value);
            }
        }
    }

    /// Removes and returns the value in the slot.
    pub(super) fn remove(&mut self, slot: K) -> Option<T> {
        let position = self.slots.binary_search(&slot).ok()?;
        self.slots.remove(position);
        Some(self.values.remove(position))
    }

    /// The value in the slot.
    pub(super) fn get(&self, slot: K) -> Option<&T> {
        self.slots.binary_search(&slot).ok().map(|position| &self.values[position])
    }

    /// Mutable access to the value in the slot.
    pub(super) fn get_mut(&mut self, slot: K) -> Option<&mut T> {
        self.slots.binary_search(&slot).ok().map(|position| &mut self.values[position])
    }

    /// The slot and the value at a position, counted from the lowest slot.
    pub(super) fn at(&self, position: usize) -> Option<(K, &T)> {
        Some((*self.slots.get(position)?, self.values.get(position)?))
    }

    /// The values, in the order of their slots.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.values.iter()
    }

    /// Mutable access to the values, in the order of their slots.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.values.iter_mut()
    }
}
