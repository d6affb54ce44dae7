//! The way in which a destination is opened for a download.

use std::fs::File;

use crate::bitfield::Bitfield;

/// What a download may do with the files that it finds, and what it leaves out.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// Whether a `.part` or a record of something else is used or replaced.
    pub force: bool,
    /// Chunks of zeros, as their hashes show.
    pub zeros: &'a Bitfield,
    /// Whether chunks of zeros are holes, which need no space; otherwise they are written like all others.
    pub is_sparse: bool,
    /// The file that is replaced, and its right chunks: a new `.part` shares its blocks where the file system can.
    pub clone_from: Option<(&'a File, &'a Bitfield)>,
}

impl Opening<'_> {
    /// The chunks for which no space is reserved.
    pub(super) fn spared(&self) -> Bitfield {
        if self.is_sparse { self.zeros.clone() } else { Bitfield::empty(self.zeros.geometry()) }
    }
}
