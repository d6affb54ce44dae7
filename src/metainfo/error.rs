//! Why bytes are no metainfo that we can use.

use crate::filename::NameError;
use crate::geometry::GeometryError;
use crate::limits::{METAINFO_BYTES_MAX, TRACKERS_MAX};

use super::{BencodeError, TrackerAddressError};

/// What is wrong with a `.mtorrent` file: its author is at fault, or, when it is created, the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetainfoError {
    /// Larger than any that is read or written.
    #[error("the .mtorrent file has {0} bytes, more than {METAINFO_BYTES_MAX}; a larger chunk size makes it smaller")]
    TooLarge(usize),
    /// Not even bencode.
    #[error("the .mtorrent file is damaged or is none: {0}")]
    Bencode(#[from] BencodeError),
    /// Bencode of something else than a dictionary.
    #[error("the .mtorrent file is damaged or is none: it holds no dictionary")]
    NotADictionary,
    /// A key that must be there is not.
    #[error("the .mtorrent file lacks {0:?}")]
    Missing(&'static str),
    /// A key's value is not of its type.
    #[error("the .mtorrent file has {key:?}, but it is not {expected}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// What its value should be.
        expected: &'static str,
    },
    /// It has `files`: a folder.
    #[error("the .mtorrent file describes a folder; only single files can be shared, so pack the folder into one")]
    Directory,
    /// It has a `files` list of one entry whose `attr` says that it is no file.
    #[error("the .mtorrent file describes no file but a {0}")]
    NotAFile(&'static str),
    /// It has both `length` and `files`, and they differ.
    #[error("the .mtorrent file says {0} bytes by \"length\" and {1} by \"files\"")]
    TwoLengths(u64, u64),
    /// Its version 2 part describes another file than its version 1 part.
    #[error("the .mtorrent file contradicts itself: its version 2 part {0}")]
    Hybrid(&'static str),
    /// It has no version 1 part.
    #[error(
        "the .mtorrent file is of BitTorrent version 2 only, whose hashes are not SHA-1; create it as version 1 or hybrid"
    )]
    VersionTwo,
    /// The name for a new one is no file name.
    #[error("the .mtorrent file has a bad \"name\": {0}")]
    Name(#[from] NameError),
    /// Its chunk size or its number of chunks is out of range.
    #[error("the .mtorrent file has a bad \"piece length\": {0}")]
    Geometry(#[from] GeometryError),
    /// Not one hash a chunk.
    #[error("the .mtorrent file has {bytes} bytes of hashes where {chunk_count} chunks need {}", u64::from(*chunk_count) * 20)]
    Pieces {
        /// Bytes of `pieces`.
        bytes: usize,
        /// Chunks of the file.
        chunk_count: u32,
    },
    /// More trackers than a client would try.
    #[error("the .mtorrent file names {0} trackers, more than {TRACKERS_MAX}")]
    TooManyTrackers(usize),
    /// One of its trackers is no `HOST:PORT`.
    #[error("the .mtorrent file has a bad tracker: {0}")]
    Tracker(#[from] TrackerAddressError),
}
