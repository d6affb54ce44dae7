//! A batch of one core's writes to the store: a run of bytes, so that filling it allocates nothing.
//!
//! ```text
//! an operation: key size u8 | value size u16 | key | value      no value: removes the key; no key: no effect
//! ```

use super::write_sequence::WriteSequence;
use crate::tracker::table::entry::{Body, Entry};
use crate::wire::Message;

/// Writes of one core, in order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) core: usize,
    /// The last write of the batch.
    pub(crate) last: WriteSequence,
    /// Highest clock reading in the batch.
    pub(crate) clock: u64,
    operations: Vec<u8>,
}

/// One write.
pub(crate) struct Operation<'a> {
    pub(crate) key: &'a [u8],
    /// Empty to remove the key.
    pub(crate) value: &'a [u8],
}

impl Batch {
    /// Creates an empty batch for a core's first write.
    pub(crate) fn of_core(core: usize) -> Self {
        Self { core, ..Self::default() }
    }

    /// Returns the batch, emptied, with write numbers that continue behind `last`.
    pub(crate) fn following(self, last: &Self) -> Self {
        debug_assert!(self.is_empty());
        Self { last: last.last, clock: last.clock, ..self }
    }

    /// Adds the write of an entry.
    pub(crate) fn put(&mut self, entry: &Entry<'_>) {
        self.add(entry, |value| Message::SyncEntry(*entry).encode(value));
    }

    /// Adds the removal of an entry.
    pub(crate) fn remove(&mut self, entry: &Entry<'_>) {
        self.add(entry, |_| ());
    }

    /// Adds a write without effect that has its own number: it is durable when all earlier writes are.
    pub(crate) fn mark(&mut self) {
        self.operations.extend_from_slice(&[0; 3]);
        self.last = self.last.next();
    }

    /// Bytes of the collected operations.
    pub(crate) fn len(&self) -> usize {
        self.operations.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.operations.clear();
    }

    /// The writes, except those without effect.
    pub(crate) fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        let mut bytes = self.operations.as_slice();
        let all = std::iter::from_fn(move || {
            let (&[key_len, high, low], rest) = bytes.split_first_chunk()?;
            let (key, rest) = rest.split_at_checked(key_len.into())?;
            let (value, rest) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
            bytes = rest;
            Some(Operation { key, value })
        });
        all.filter(|operation| !operation.key.is_empty())
    }

    fn add(&mut self, entry: &Entry<'_>, value: impl FnOnce(&mut Vec<u8>)) {
        let (start, mut endpoint_bytes) = (self.operations.len(), [0; 18]);
        let endpoint = match entry.body {
            Body::File(_) => &[],
            Body::Seeder(endpoint) | Body::Removed(endpoint) => endpoint.to_bytes(&mut endpoint_bytes),
        };
        let key_len = (entry.info_hash.0.len() + endpoint.len()) as u8;
        self.operations.extend_from_slice(&[key_len, 0, 0]);
        self.operations.extend_from_slice(&entry.info_hash.0);
        self.operations.extend_from_slice(endpoint);
        let value_start = self.operations.len();
        value(&mut self.operations);
        // An entry's frame has a name of at most 255 bytes.
        let value_len = (self.operations.len() - value_start) as u16;
        self.operations[start + 1..start + 3].copy_from_slice(&value_len.to_be_bytes());
        self.clock = self.clock.max(entry.version.clock);
        self.last = self.last.next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Endpoint, InfoHash, TrackerId, Version};

    #[test]
    fn writes_come_out_in_their_order_and_marks_do_not() {
        let endpoint = Endpoint::new([10, 0, 0, 1].into(), 7).unwrap();
        let version = Version { clock: 9, tracker: TrackerId(1) };
        let entry = Entry { info_hash: InfoHash([3; 20]), version, body: Body::Seeder(endpoint) };
        let mut batch = Batch::of_core(1);
        batch.mark();
        assert!(!batch.is_empty());
        batch.put(&entry);
        batch.mark();
        batch.remove(&entry);
        let fourth = (0..4).fold(WriteSequence::default(), |write, _| write.next());
        assert_eq!((batch.last, batch.clock), (fourth, 9));
        let operations: Vec<_> = batch.operations().map(|operation| (operation.key, operation.value)).collect();
        let mut frame = Vec::new();
        Message::SyncEntry(entry).encode(&mut frame);
        let mut key = vec![3; 20];
        key.extend_from_slice(&[10, 0, 0, 1, 0, 7]);
        assert_eq!(operations, [(&key[..], &frame[..]), (&key[..], &[][..])]);
    }
}
