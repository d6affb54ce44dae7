//! A file that this client holds, in whole or in part, as all cores see it.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use event_listener::{Event, EventListener};

use crate::bitfield::SharedBitfield;
use crate::geometry::ChunkIndex;
use crate::ids::InfoHash;
use crate::metainfo::Metainfo;
use crate::storage::SeedFile;
use crate::swarm::FileId;

/// The number of the last torrent made.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// One file's chunks and where they are.
#[derive(Debug)]
pub struct Torrent {
    /// What the file is.
    pub metainfo: Arc<Metainfo>,
    /// Chunks that are verified and in the file.
    pub have: SharedBitfield,
    /// The file; `None` when what is received is discarded.
    pub file: Option<SeedFile>,
    /// Bytes of chunks sent to peers.
    pub sent_bytes: AtomicU64,
    /// Connections that are told of new chunks: while there are any, new chunks are kept in memory.
    pub subscribers: AtomicU32,
    id: FileId,
    /// The core that has each chunk in its memory, if any has.
    keepers: Box<[AtomicU8]>,
    /// Tells of new chunks.
    grown: Event,
    stopped: OnceLock<String>,
}

impl Torrent {
    /// A file of which `have` is there.
    pub fn new(metainfo: Arc<Metainfo>, have: SharedBitfield, file: Option<SeedFile>) -> Self {
        let unfinished = if have.is_full() { 0 } else { metainfo.geometry().chunk_count() };
        Self {
            id: LAST_ID.fetch_add(1, Ordering::Relaxed),
            keepers: (0..unfinished).map(|_| AtomicU8::new(0)).collect(),
            grown: Event::new(),
            metainfo,
            have,
            file,
            sent_bytes: AtomicU64::new(0),
            subscribers: AtomicU32::new(0),
            stopped: OnceLock::new(),
        }
    }

    /// The file's identity.
    pub fn info_hash(&self) -> InfoHash {
        self.metainfo.info_hash()
    }

    /// Its number in this process.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// The chunk is in the memory of this core.
    pub fn keep(&self, chunk: ChunkIndex, core: usize) {
        if let Some(keeper) = self.keepers.get(chunk.as_usize()) {
            keeper.store(u8::try_from(core + 1).unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// The core in whose memory the chunk is, or was a while ago.
    pub fn keeper(&self, chunk: ChunkIndex) -> Option<usize> {
        usize::from(self.keepers.get(chunk.as_usize())?.load(Ordering::Relaxed)).checked_sub(1)
    }

    /// A chunk was added to those that are there.
    pub fn has_grown(&self) {
        self.grown.notify(usize::MAX);
    }

    /// Waits for the next chunk to be added, from this call on.
    pub fn growth(&self) -> EventListener {
        self.grown.listen()
    }

    /// Serves it no more. The first reason counts; says whether this is it.
    pub fn stop(&self, why: String) -> bool {
        self.stopped.set(why).is_ok()
    }

    /// Why it is not served any more.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.get().map(String::as_str)
    }

    /// Whether somebody will soon ask for chunks that were just received.
    pub fn is_awaited(&self) -> bool {
        self.subscribers.load(Ordering::Relaxed) > 0
    }
}
