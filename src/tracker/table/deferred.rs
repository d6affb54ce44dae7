//! Entries of the store whose trackers' clocks were not measured since the start.
//!
//! The table took such an entry while it knew that the clock of the entry's tracker was far ahead. After a restart it
//! does not know that yet, so the entry seems to be from the future. It is kept here and retried each time clocks were
//! measured. Otherwise an acknowledged removal would be lost, and the removed seeder would be back.

use super::entry::Entry;
use crate::limits::DEFERRED_BYTES_MAX;
use crate::wire::Message;

/// Deferred entries, as frames in the store's format.
#[derive(Default)]
pub(crate) struct DeferredEntries {
    frames: Vec<u8>,
    /// Expiry time of all entries written before the restart, milliseconds since 1970.
    until_ms: u64,
}

impl DeferredEntries {
    /// Keeps an entry until `until_ms`; an entry without room is dropped, and is sent again by the other trackers.
    pub(crate) fn push(&mut self, entry: &Entry<'_>, until_ms: u64) {
        if self.frames.len() < DEFERRED_BYTES_MAX {
            Message::SyncEntry(*entry).encode(&mut self.frames);
            self.until_ms = until_ms;
        }
    }

    /// Takes all frames out; returns none once they have expired.
    pub(crate) fn take(&mut self, now_ms: u64) -> Vec<u8> {
        let frames = std::mem::take(&mut self.frames);
        if now_ms >= self.until_ms { Vec::new() } else { frames }
    }

    /// Expiry time of the entries, milliseconds since 1970.
    pub(crate) fn until_ms(&self) -> u64 {
        self.until_ms
    }

    /// Bytes of the entries.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }
}
