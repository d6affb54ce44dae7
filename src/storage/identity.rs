//! Attributes that distinguish one state of a file from another.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// Attributes that show whether a file is still the one that was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Device number of its file system.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Length of the file, bytes.
    pub bytes: u64,
    /// Time of the last modification: seconds, and nanoseconds of the second.
    pub modified: (i64, i64),
    /// Time of the last change of its content, name, owner or mode: as `modified`. A program cannot set it.
    pub changed: (i64, i64),
}

impl Identity {
    /// Identity of the file that the metadata describes.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the content is the same: at most a name, the owner or the mode differs, unless a program forges times.
    pub fn has_same_content(&self, other: &Self) -> bool {
        Self { changed: self.changed, ..*other } == *self
    }
}
