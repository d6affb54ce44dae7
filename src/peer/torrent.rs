//! A file that this client holds, in whole or in part, as all cores see it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::bitfield::SharedBitfield;
use crate::ids::InfoHash;
use crate::metainfo::Metainfo;
use crate::storage::SeedFile;

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
    stopped: OnceLock<String>,
}

impl Torrent {
    /// A file of which `have` is there.
    pub fn new(metainfo: Arc<Metainfo>, have: SharedBitfield, file: Option<SeedFile>) -> Self {
        Self {
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
