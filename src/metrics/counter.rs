//! The numbers that only grow.

use super::peer_class::PeerClass;

/// A number that only grows; an index into the cells of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Counter {
    /// Bytes of chunks that arrived from peers on this machine, used or not.
    ReceivedLoopback,
    /// The same from private networks.
    ReceivedLan,
    /// The same from all other addresses.
    ReceivedRemote,
    /// Bytes of chunks sent to peers on this machine.
    SentLoopback,
    /// The same to private networks.
    SentLan,
    /// The same to all other addresses.
    SentRemote,
    /// Chunks sent to peers.
    ChunksSent,
    /// Requests for chunks that were refused.
    ChunksRefused,
    /// Chunks that matched their hash.
    ChunksVerified,
    /// Chunks that did not match their hash.
    ChunksWrong,
    /// Right chunks that another peer had delivered before.
    ChunksDuplicate,
    /// Requests for chunks sent to peers.
    ChunkRequests,
    /// Chunks whose request ended without them: refused, cancelled by a broken connection, or wrong.
    ChunkRetries,
    /// Bytes of received chunks that were hashed.
    HashBytes,
    /// Time of that, nanoseconds.
    HashNanos,
    /// Bytes of files on this machine that were hashed.
    FileHashBytes,
    /// Bytes written to `.part` files.
    DiskWriteBytes,
    /// Time of that, nanoseconds, summed over writes that overlap.
    DiskWriteNanos,
    /// Bytes of chunks that were loaded from the disk to be sent.
    DiskReadBytes,
    /// Time of that, nanoseconds, summed over reads that overlap.
    DiskReadNanos,
    /// Requests that a tracker answered.
    TrackerAnswers,
    /// Requests that no tracker answered.
    TrackerFailures,
    /// Commits of a tracker's store that failed.
    StoreFailures,
    /// Entries that a tracker's store wrote or removed.
    StoreEntries,
    /// Lines of the log that were dropped because stderr was not read fast enough.
    LogLinesDropped,
    /// Lines of the log that were suppressed because their call site or address logged too many.
    LogLinesSuppressed,
    /// Requests for figures and pages that were answered.
    HttpRequests,
    /// Such connections that were refused because there were too many.
    HttpRefused,
}

impl Counter {
    /// Number of counters.
    pub(super) const COUNT: usize = Self::HttpRefused as usize + 1;

    /// Bytes of chunks that arrived from peers of this class.
    pub(crate) fn received(class: PeerClass) -> Self {
        match class {
            PeerClass::Loopback => Self::ReceivedLoopback,
            PeerClass::Lan => Self::ReceivedLan,
            PeerClass::Remote => Self::ReceivedRemote,
        }
    }

    /// Bytes of chunks sent to peers of this class.
    pub(crate) fn sent(class: PeerClass) -> Self {
        match class {
            PeerClass::Loopback => Self::SentLoopback,
            PeerClass::Lan => Self::SentLan,
            PeerClass::Remote => Self::SentRemote,
        }
    }
}
