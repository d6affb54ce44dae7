//! The attributes by which one state of a file differs from another.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// The attributes that show whether a file is still the one that was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The device that it is on.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// Its length.
    pub bytes: u64,
    /// When it was modified: seconds, and nanoseconds of the second.
    pub modified: (i64, i64),
    /// When its state changed, its content, name, owner or mode: as above. A program cannot choose it.
    pub changed: (i64, i64),
}

impl Identity {
    /// The file that the metadata is of.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the two differ by nothing but the change of a name, of the owner or of rights, if no program lies.
    pub fn has_same_content(&self, other: &Self) -> bool {
        Self { changed: self.changed, ..*other } == *self
    }
}
