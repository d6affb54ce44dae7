//! Errors of metainfo.

use crate::filename::NameError;
use crate::geometry::GeometryError;
use crate::limits::{METAINFO_BYTES_MAX, TRACKERS_MAX};

use super::{BencodeError, TrackerAddressError};

/// The error in a `.mtorrent` file. Its author is at fault or, when it is created, the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetainfoError {
    /// The file exceeds the size limit for reading and writing.
    #[error("the .mtorrent file has {0} bytes, more than {METAINFO_BYTES_MAX}; a larger chunk size makes it smaller")]
    TooLarge(usize),
    /// The file is not bencode.
    #[error("the .mtorrent file is damaged or is none: {0}")]
    Bencode(#[from] BencodeError),
    /// The root is not a dictionary.
    #[error("the .mtorrent file is damaged or is none: it holds no dictionary")]
    NotADictionary,
    /// A required key is missing.
    #[error("the .mtorrent file lacks {0:?}")]
    Missing(&'static str),
    /// The value of a key has the wrong type.
    #[error("the .mtorrent file has {key:?}, but it is not {expected}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// The expected type.
        expected: &'static str,
    },
    /// The file has `files` of a folder.
    #[error("the .mtorrent file describes a folder; only single files can be shared, so pack the folder into one")]
    Directory,
    /// The file has a `files` list of one entry whose `attr` marks it as something other than a file.
    #[error("the .mtorrent file describes no file but a {0}")]
    NotAFile(&'static str),
    /// The file has both `length` and `files`, and they differ.
    #[error("the .mtorrent file says {0} bytes by \"length\" and {1} by \"files\"")]
    TwoLengths(u64, u64),
    /// The version 2 part describes another file than the version 1 part.
    #[error("the .mtorrent file contradicts itself: its version 2 part {0}")]
    Hybrid(&'static str),
    /// The file has no version 1 part.
    #[error(
        "the .mtorrent file is of BitTorrent version 2 only, whose hashes are not SHA-1; create it as version 1 or hybrid"
    )]
    VersionTwo,
    /// The name for a new `.mtorrent` file is not a file name.
    #[error("the .mtorrent file has a bad \"name\": {0}")]
    Name(#[from] NameError),
    /// The chunk size or the number of chunks is out of range.
    #[error("the .mtorrent file has a bad \"piece length\": {0}")]
    Geometry(#[from] GeometryError),
    /// The number of hashes differs from the number of chunks.
    #[error("the .mtorrent file has {bytes} bytes of hashes where {chunk_count} chunks need {}", u64::from(*chunk_count) * 20)]
    Pieces {
        /// Length of `pieces`, bytes.
        bytes: usize,
        /// Number of chunks of the file.
        chunk_count: u32,
    },
    /// The file lists more trackers than a client would try.
    #[error("the .mtorrent file names {0} trackers, more than {TRACKERS_MAX}")]
    TooManyTrackers(usize),
    /// One of the trackers is not `HOST:PORT`.
    #[error("the .mtorrent file has a bad tracker: {0}")]
    Tracker(#[from] TrackerAddressError),
}
