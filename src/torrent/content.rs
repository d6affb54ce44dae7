//! The bytes of a torrent on the disk, chunk by chunk, as they are served. Downloads write them by
//! [`crate::storage::Writer`], which asks the same [`Layout`].

use std::io;
use std::path::Path;

use crate::geometry::ChunkIndex;
use crate::net::{SendFileError, Stream};
use crate::storage::{Identity, Layout, SeedFile};

/// The file of a torrent, and where the chunks lie in it.
#[derive(Debug)]
pub(crate) struct Content {
    layout: Layout,
    file: SeedFile,
}

impl Content {
    /// Chunks that lie in `file` as `layout` says.
    pub(crate) fn new(layout: Layout, file: SeedFile) -> Self {
        Self { layout, file }
    }

    /// Path of the file once it is finished.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.path()
    }

    /// The finished file as it was when it was opened or finished.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.file.identity()
    }

    /// The download is finished, and its file stands at `path`: from now on every change counts.
    pub(crate) fn finish(&self, path: &Path) -> io::Result<()> {
        self.file.finish(path)
    }

    /// Device and inode of the file.
    pub(crate) fn device_and_inode(&self) -> (u64, u64) {
        self.file.device_and_inode()
    }

    /// Whether sending the chunk is known not to wait for the disk.
    pub(crate) fn is_resident(&self, chunk: ChunkIndex) -> bool {
        self.file.is_resident(self.layout.segment(chunk).range())
    }

    /// Brings the chunk into memory. Blocks while the disk works; fails where the file became shorter.
    pub(crate) fn populate(&self, chunk: ChunkIndex) -> io::Result<()> {
        self.file.populate(self.layout.segment(chunk).range())
    }

    /// Whether the file ends before the chunk does, as far as the disk says. Blocks for a moment.
    pub(crate) fn is_cut(&self, chunk: ChunkIndex) -> bool {
        self.file.length().is_ok_and(|bytes| bytes < self.layout.segment(chunk).end())
    }

    /// Sends the chunk's bytes. An error of the file leaves some of them unsent.
    pub(crate) async fn send(&self, chunk: ChunkIndex, stream: &mut Stream) -> Result<(), SendFileError> {
        let segment = self.layout.segment(chunk);
        let window = |offset, len| self.file.window(offset, len);
        stream.send_file(self.file.fd(), segment.offset, segment.len as usize, window).await
    }
}
