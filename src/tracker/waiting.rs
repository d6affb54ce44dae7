//! What the store holds from clocks that nobody has measured since the start.
//!
//! An entry was taken when its tracker's clock was known to be far ahead. After a restart that is not known yet, so it looks
//! like one from the future; it is put aside, and looked at again when clocks have been measured. Otherwise a removal that was
//! acknowledged would be lost, and the seeder be back.

use super::entry::Entry;
use super::table::{Merged, Table};
use crate::limits::{FRAME_SYNC_BYTES_MAX, WAITING_BYTES_MAX};
use crate::wire::{Message, Parsed, parse};

/// Entries that wait, as the frames that they are in the store.
#[derive(Default)]
pub(super) struct Waiting {
    frames: Vec<u8>,
    /// When whatever was given before the restart is over.
    until_ms: u64,
}

impl Table {
    /// Takes an entry from the store.
    pub fn restore(&mut self, entry: &Entry<'_>, now_ms: u64) -> Merged {
        let merged = self.merge(entry, now_ms);
        if matches!(merged, Merged::Ahead(_)) && self.waiting.frames.len() < WAITING_BYTES_MAX {
            Message::SyncEntry(*entry).encode(&mut self.waiting.frames);
            self.waiting.until_ms = now_ms + self.rules.lives.tombstone_ms;
        }
        merged
    }

    /// Looks again at what waits.
    pub(super) fn take_waiting(&mut self, now_ms: u64) {
        let Waiting { frames, until_ms } = std::mem::take(&mut self.waiting);
        if now_ms >= until_ms {
            return;
        }
        let mut rest = &frames[..];
        while let Ok(Parsed::Frame { frame, len }) = parse(rest, FRAME_SYNC_BYTES_MAX) {
            if let Ok(Message::SyncEntry(entry)) = Message::decode(frame) {
                self.restore(&entry, now_ms);
            }
            rest = &rest[len..];
        }
        self.waiting.until_ms = until_ms;
    }
}
