//! Entries and frames of the simulated world, owned and readable.

use std::fmt;

use mtorrent::ids::{Endpoint, InfoHash};
use mtorrent::limits::FRAME_SYNC_BYTES_MAX;
use mtorrent::tracker::table::entry::{Body, Entry};
use mtorrent::wire::{Frame, Message, Parsed, parse};

use super::START_MS;

/// An entry that owns its data.
#[derive(Clone, PartialEq)]
pub struct Owned {
    frame: Vec<u8>,
}

impl fmt::Debug for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = self.entry();
        write!(f, "{:?} at {}", entry.body, entry.version.time_ms() as i64 - START_MS as i64)
    }
}

impl Owned {
    pub fn new(entry: &Entry<'_>) -> Self {
        let mut frame = Vec::new();
        Message::SyncEntry(*entry).encode(&mut frame);
        Self { frame }
    }

    pub fn entry(&self) -> Entry<'_> {
        match message(&self.frame) {
            Message::SyncEntry(entry) => entry,
            other => panic!("{other:?}"),
        }
    }

    pub fn key(&self) -> (InfoHash, Option<Endpoint>) {
        key(&self.entry())
    }
}

pub fn key(entry: &Entry<'_>) -> (InfoHash, Option<Endpoint>) {
    match entry.body {
        Body::File(_) => (entry.info_hash, None),
        Body::Seeder(endpoint) | Body::Removed(endpoint) => (entry.info_hash, Some(endpoint)),
    }
}

pub fn frame(bytes: &[u8]) -> (Frame<'_>, usize) {
    match parse(bytes, FRAME_SYNC_BYTES_MAX) {
        Ok(Parsed::Frame { frame, len }) => (frame, len),
        other => panic!("{other:?}"),
    }
}

pub fn message(bytes: &[u8]) -> Message<'_> {
    Message::decode(frame(bytes).0).unwrap()
}
