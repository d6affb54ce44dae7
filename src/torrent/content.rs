//! The bytes of a torrent on the disk, chunk by chunk, for serving. Downloads write them by [`crate::storage::Writer`],
//! which uses the same [`Layout`].

use std::io;
use std::path::{Path, PathBuf};

use crate::geometry::ChunkIndex;
use crate::net::{SendFileError, Stream};
use crate::storage::{Identity, Layout, SeedFile};

/// The file of a torrent, and the positions of the chunks in it.
#[derive(Debug)]
pub(crate) struct Content {
    layout: Layout,
    file: SeedFile,
}

impl Content {
    /// Content of chunks that lie in `file` as `layout` says.
    pub(crate) fn new(layout: Layout, file: SeedFile) -> Self {
        Self { layout, file }
    }

    /// Path of the file once it is finished.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.file.path()
    }

    /// Sets the path of the finished file, which has another name now.
    pub(crate) fn set_path(&self, path: &Path) {
        self.file.set_path(path);
    }

    /// Identity of the finished file when it was opened or finished.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.file.identity()
    }

    /// Marks the download finished, with its file at `path`: from now on every change counts.
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

    /// Loads the chunk into memory. Blocks while the disk works; fails if the file became shorter.
    pub(crate) fn populate(&self, chunk: ChunkIndex) -> io::Result<()> {
        self.file.populate(self.layout.segment(chunk).range())
    }

    /// Whether the file ends before the chunk does, according to the disk. Blocks for a moment.
    pub(crate) fn is_cut(&self, chunk: ChunkIndex) -> bool {
        self.file.length().is_ok_and(|bytes| bytes < self.layout.segment(chunk).end())
    }

    /// Sends the chunk's bytes. After an error of the file, some of them are unsent.
    pub(crate) async fn send(&self, chunk: ChunkIndex, stream: &mut Stream) -> Result<(), SendFileError> {
        let segment = self.layout.segment(chunk);
        let window = |offset, len| self.file.window(offset, len);
        stream.send_file(self.file.fd(), segment.offset, segment.len as usize, window).await
    }
}
