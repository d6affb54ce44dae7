//! Environment of a contestant's run: the source, empty folders, and the destination of the copy.

use std::path::{Path, PathBuf};

use crate::harness::Error;
use crate::harness::files::{make_folder, write};
use crate::harness::source::Source;

/// Destination of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// A file on the disk.
    Disk,
    /// A file on a tmpfs.
    Memory,
    /// No file: received, and by some verified, but not kept.
    Nothing,
}

impl Sink {
    /// Name of the destination in raw.csv.
    pub fn word(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::Nothing => "nothing",
        }
    }
}

/// One run of one contestant.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The file to be downloaded. Its folder is the seeders' folder.
    pub source: &'a Source,
    /// Destination of the copy.
    pub sink: Sink,
    /// The mtorrent program.
    pub mtorrent: &'a Path,
    /// An empty folder on the disk for this run: configuration, state, logs.
    pub scratch: PathBuf,
    /// An empty folder at the destination.
    pub got: PathBuf,
}

impl Stage<'_> {
    /// The path of the copy.
    pub fn target(&self) -> PathBuf {
        self.got.join(self.source.name())
    }

    /// The folder of the source.
    pub fn seed(&self) -> &Path {
        self.source.path.parent().unwrap_or(Path::new("/"))
    }

    /// Creates a folder in the scratch folder.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        make_folder(&self.scratch.join(name))
    }

    /// Writes a file into the scratch folder.
    pub fn file(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        write(&self.scratch, name, text)
    }
}
