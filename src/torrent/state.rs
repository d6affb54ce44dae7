//! A file that this client holds, in whole or in part, as all cores see it.

use std::fmt::Display;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use event_listener::{Event, EventListener};

use super::content::Content;
use super::unreadable::Unreadable;
use crate::bitfield::{Bitfield, SharedBitfield};
use crate::geometry::ChunkIndex;
use crate::ids::InfoHash;
use crate::limits::HAVE_CHUNKS_PROMPT_MAX;
use crate::metainfo::Metainfo;
use crate::storage::{Layout, SeedFile, VerifiedChunk};
use crate::swarm::FileId;
use crate::wire::Status;

/// The number of the last torrent made.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// One file's chunks and where they are.
#[derive(Debug)]
pub(crate) struct Torrent {
    /// What the file is.
    pub metainfo: Arc<Metainfo>,
    /// Chunks that are verified and in the file.
    have: SharedBitfield,
    /// The file's bytes; `None` when what is received is discarded.
    pub content: Option<Content>,
    /// Bytes of chunks sent to peers.
    pub sent_bytes: AtomicU64,
    /// Connections that subscribed to new chunks: while there are any, new chunks are kept in memory.
    pub subscribers: AtomicU32,
    unreadable: Unreadable,
    id: FileId,
    /// The core that has each chunk in its memory, if any has.
    keepers: Box<[AtomicU8]>,
    /// Notified with new chunks.
    grown: Event,
    stopped: OnceLock<String>,
}

impl Torrent {
    /// A file of which `have` is there.
    pub(crate) fn new(metainfo: Arc<Metainfo>, have: SharedBitfield, file: Option<SeedFile>) -> Self {
        let layout = Layout::one_file(metainfo.geometry());
        let unfinished = if have.is_full() { 0 } else { metainfo.geometry().chunk_count() };
        Self {
            id: LAST_ID.fetch_add(1, Ordering::Relaxed),
            keepers: (0..unfinished).map(|_| AtomicU8::new(0)).collect(),
            grown: Event::new(),
            metainfo,
            have,
            content: file.map(|file| Content::new(layout, file)),
            sent_bytes: AtomicU64::new(0),
            subscribers: AtomicU32::new(0),
            unreadable: Unreadable::default(),
            stopped: OnceLock::new(),
        }
    }

    /// The file's identity.
    pub(crate) fn info_hash(&self) -> InfoHash {
        self.metainfo.info_hash()
    }

    /// Its number in this process.
    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// The chunk is written: from now on it is served. Says whether it is new, and wakes the few who have waited
    /// longest for new chunks.
    pub(crate) fn add(&self, chunk: &VerifiedChunk) -> bool {
        let is_new = self.have.insert(chunk.index());
        if is_new {
            self.grown.notify_additional(HAVE_CHUNKS_PROMPT_MAX);
        }
        is_new
    }

    /// Whether the chunk is here.
    pub(crate) fn contains(&self, chunk: ChunkIndex) -> bool {
        self.have.contains(chunk)
    }

    /// Number of chunks that are here.
    pub(crate) fn held_count(&self) -> u32 {
        self.have.count()
    }

    /// Whether all chunks are here.
    pub(crate) fn is_complete(&self) -> bool {
        self.have.is_full()
    }

    /// A copy of the set of chunks that are here now.
    pub(crate) fn held(&self) -> Bitfield {
        self.have.snapshot()
    }

    /// Adds to `known` up to `max` chunks that it lacks and that are here, and calls `each` with them.
    pub(crate) fn take_new(&self, known: &mut Bitfield, max: usize, each: impl FnMut(ChunkIndex)) {
        self.have.take_new(known, max, each);
    }

    /// The chunk is in the memory of this core.
    pub(crate) fn set_keeper(&self, chunk: &VerifiedChunk, core: usize) {
        if let Some(keeper) = self.keepers.get(chunk.index().as_usize()) {
            keeper.store(u8::try_from(core + 1).unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// The core in whose memory the chunk is, or was a while ago.
    pub(crate) fn keeper(&self, chunk: ChunkIndex) -> Option<usize> {
        usize::from(self.keepers.get(chunk.as_usize())?.load(Ordering::Relaxed)).checked_sub(1)
    }

    /// Whether every new chunk wakes all subscribers.
    pub(crate) fn notifies_all_at_once(&self) -> bool {
        self.subscribers.load(Ordering::Relaxed) as usize <= HAVE_CHUNKS_PROMPT_MAX
    }

    /// Waits for the next chunk to be added, from this call on.
    pub(crate) fn growth(&self) -> EventListener {
        self.grown.listen()
    }

    /// Serves it no more. The first reason counts; says whether this is it.
    pub(crate) fn stop(&self, why: String) -> bool {
        self.stopped.set(why).is_ok()
    }

    /// Why it is not served any more.
    pub(crate) fn stopped(&self) -> Option<&str> {
        self.stopped.get().map(String::as_str)
    }

    /// Whether somebody will soon ask for chunks that were just received.
    pub(crate) fn is_awaited(&self) -> bool {
        self.subscribers.load(Ordering::Relaxed) > 0
    }

    /// Whether a peer that asks for the chunk gets it: it is there, and the disk did not refuse it lately.
    pub(crate) fn serves(&self, chunk: ChunkIndex) -> bool {
        self.have.contains(chunk) && !self.unreadable.contains(chunk)
    }

    /// The chunk could not be read to be sent. Where the file ends before it (`is_cut`) the whole file is served no
    /// more; else only this chunk is not, for a while. The status is for the peer that asked.
    pub(crate) fn cannot_read(&self, chunk: ChunkIndex, is_cut: bool, why: &dyn Display) -> Status {
        if is_cut {
            self.stop("it became shorter".to_owned());
            return Status::FileChanged;
        }
        log::debug!("chunk {chunk} of {} cannot be read: {why}", self.metainfo.name());
        self.set_unreadable(chunk);
        Status::ChunkAbsent
    }

    /// The chunk is not served until the disk is asked again.
    pub(crate) fn set_unreadable(&self, chunk: ChunkIndex) {
        self.unreadable.insert(chunk);
    }

    /// Chunks that could not be read and were not taken by this call before.
    pub(crate) fn take_unreadable(&self) -> Vec<ChunkIndex> {
        self.unreadable.take_unreported()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Geometry;

    fn torrent(path: &std::path::Path) -> Torrent {
        let geometry = Geometry::new(3 << 14, 1 << 14).unwrap();
        std::fs::write(path, vec![1; 3 << 14]).unwrap();
        let metainfo = Metainfo::new("file", geometry, vec![0; 60], Vec::new()).unwrap();
        let have = SharedBitfield::new(&Bitfield::full(geometry));
        Torrent::new(Arc::new(metainfo), have, Some(SeedFile::open(path).unwrap()))
    }

    #[test]
    fn one_chunk_that_cannot_be_read_is_refused_alone_and_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let torrent = torrent(&folder.path().join("file"));
        let [first, second] = [0, 1].map(|index| torrent.metainfo.geometry().chunk(index).unwrap());
        for _ in 0..2 {
            assert_eq!(torrent.cannot_read(second, false, &"EIO"), Status::ChunkAbsent);
        }
        assert!(torrent.serves(first) && !torrent.serves(second) && torrent.stopped().is_none());
        assert_eq!(torrent.take_unreadable(), [second]);
        torrent.cannot_read(second, false, &"EIO");
        assert!(torrent.take_unreadable().is_empty());
    }

    #[test]
    fn a_file_that_ends_before_the_chunk_is_served_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let torrent = torrent(&path);
        std::fs::File::options().write(true).open(&path).unwrap().set_len(100).unwrap();
        let chunk = torrent.metainfo.geometry().chunk(1).unwrap();
        assert_eq!(
            torrent.cannot_read(chunk, torrent.content.as_ref().unwrap().is_cut(chunk), &"EFAULT"),
            Status::FileChanged
        );
        assert!(torrent.stopped().is_some());
    }
}
