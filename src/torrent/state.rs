//! The state of a file that this client has, in whole or in part, shared by all cores.

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
use crate::metrics::{self, Counter, PeerClass};
use crate::storage::{Layout, SeedFile, VerifiedChunk};
use crate::swarm::FileId;
use crate::wire::Status;

/// Id of the last torrent created.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// The chunks of one file, and where they are.
#[derive(Debug)]
pub(crate) struct Torrent {
    /// Metainfo of the file.
    pub metainfo: Arc<Metainfo>,
    /// Chunks that are verified and written.
    have: SharedBitfield,
    /// The file's bytes; `None` when received data is discarded.
    pub content: Option<Content>,
    /// Bytes of chunks sent to peers.
    pub sent_bytes: AtomicU64,
    /// The same by the class of the peer.
    sent_by_class: [AtomicU64; PeerClass::ALL.len()],
    /// Number of connections that subscribed to new chunks: while there are any, new chunks are kept in memory.
    pub subscribers: AtomicU32,
    unreadable: Unreadable,
    id: FileId,
    /// Index of the core that has each chunk in its memory, if any has.
    keepers: Box<[AtomicU8]>,
    /// Notified when chunks are added.
    grown: Event,
    stopped: OnceLock<String>,
}

impl Torrent {
    /// A torrent of which this client has the chunks in `have`.
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
            sent_by_class: Default::default(),
            subscribers: AtomicU32::new(0),
            unreadable: Unreadable::default(),
            stopped: OnceLock::new(),
        }
    }

    /// Info hash of the file.
    pub(crate) fn info_hash(&self) -> InfoHash {
        self.metainfo.info_hash()
    }

    /// Id of the torrent in this process.
    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// Counts a chunk that was sent to a peer of this class.
    pub(crate) fn count_sent(&self, class: PeerClass, bytes: u64) {
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.sent_by_class[class as usize].fetch_add(bytes, Ordering::Relaxed);
        metrics::add(Counter::sent(class), bytes);
        metrics::add(Counter::ChunksSent, 1);
    }

    /// Bytes of chunks sent to peers, by the class of the peer.
    pub(crate) fn sent_by_class(&self) -> [u64; PeerClass::ALL.len()] {
        self.sent_by_class.each_ref().map(|bytes| bytes.load(Ordering::Relaxed))
    }

    /// Adds a written chunk: from now on it is served. Returns whether it is new, and wakes the few listeners that have
    /// waited longest for new chunks.
    pub(crate) fn add(&self, chunk: &VerifiedChunk) -> bool {
        let is_new = self.have.insert(chunk.index());
        if is_new {
            self.grown.notify_additional(HAVE_CHUNKS_PROMPT_MAX);
        }
        is_new
    }

    /// Whether this client has the chunk.
    pub(crate) fn contains(&self, chunk: ChunkIndex) -> bool {
        self.have.contains(chunk)
    }

    /// Number of chunks that this client has.
    pub(crate) fn held_count(&self) -> u32 {
        self.have.count()
    }

    /// Whether this client has all chunks.
    pub(crate) fn is_complete(&self) -> bool {
        self.have.is_full()
    }

    /// A copy of the set of chunks that this client has now.
    pub(crate) fn held(&self) -> Bitfield {
        self.have.snapshot()
    }

    /// Adds to `known` up to `max` of this client's chunks that it lacks, and calls `each` with each of them.
    pub(crate) fn take_new(&self, known: &mut Bitfield, max: usize, each: impl FnMut(ChunkIndex)) {
        self.have.take_new(known, max, each);
    }

    /// Records that the chunk is in the memory of this core.
    pub(crate) fn set_keeper(&self, chunk: &VerifiedChunk, core: usize) {
        if let Some(keeper) = self.keepers.get(chunk.index().as_usize()) {
            keeper.store(u8::try_from(core + 1).unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// Index of the core that has, or recently had, the chunk in its memory.
    pub(crate) fn keeper(&self, chunk: ChunkIndex) -> Option<usize> {
        usize::from(self.keepers.get(chunk.as_usize())?.load(Ordering::Relaxed)).checked_sub(1)
    }

    /// Whether every new chunk wakes all subscribers.
    pub(crate) fn notifies_all_at_once(&self) -> bool {
        self.subscribers.load(Ordering::Relaxed) as usize <= HAVE_CHUNKS_PROMPT_MAX
    }

    /// Listens for the next chunk that is added after this call.
    pub(crate) fn growth(&self) -> EventListener {
        self.grown.listen()
    }

    /// Stops serving the file. Only the first reason is kept; returns whether it was this one.
    pub(crate) fn stop(&self, why: String) -> bool {
        self.stopped.set(why).is_ok()
    }

    /// The reason why the file is no longer served.
    pub(crate) fn stopped(&self) -> Option<&str> {
        self.stopped.get().map(String::as_str)
    }

    /// Whether a peer is likely to request newly received chunks soon.
    pub(crate) fn is_awaited(&self) -> bool {
        self.subscribers.load(Ordering::Relaxed) > 0
    }

    /// Whether a request for the chunk can be answered: this client has the chunk, and the disk has not refused it recently.
    pub(crate) fn serves(&self, chunk: ChunkIndex) -> bool {
        self.have.contains(chunk) && !self.unreadable.contains(chunk)
    }

    /// Handles a chunk that could not be read for sending. If the file ends before the chunk (`is_cut`), the whole file
    /// is no longer served; otherwise only this chunk is not served for a while. The status is for the peer that sent
    /// the request.
    pub(crate) fn cannot_read(&self, chunk: ChunkIndex, is_cut: bool, why: &dyn Display) -> Status {
        if is_cut {
            self.stop("it became shorter".to_owned());
            return Status::FileChanged;
        }
        log::debug!("chunk {chunk} of {} cannot be read: {why}", self.metainfo.name());
        self.set_unreadable(chunk);
        Status::ChunkAbsent
    }

    /// Stops serving the chunk until the disk is tried again.
    pub(crate) fn set_unreadable(&self, chunk: ChunkIndex) {
        self.unreadable.insert(chunk);
    }

    /// Chunks that the disk has refused recently, in order.
    pub(crate) fn unreadable(&self) -> Vec<ChunkIndex> {
        self.unreadable.all()
    }

    /// Returns the unreadable chunks that no earlier call returned.
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
    fn one_unreadable_chunk_is_refused_alone_and_reported_once() {
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
