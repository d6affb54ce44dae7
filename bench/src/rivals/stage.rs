//! What a contestant finds when its turn comes: the source, empty folders, and where the copy shall go.

use std::path::{Path, PathBuf};

use crate::harness::Error;
use crate::harness::files::{make_folder, write};
use crate::harness::source::Source;

/// Where the bytes of a copy go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// A file on the disk.
    Disk,
    /// A file on a tmpfs.
    Memory,
    /// Nowhere: received, and by some verified, but not kept.
    Nothing,
}

impl Sink {
    /// The word in raw.csv.
    pub fn word(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::Nothing => "nothing",
        }
    }
}

/// One turn of one contestant.
#[derive(Debug)]
pub struct Stage<'a> {
    /// What is fetched. Its folder is the seeders' folder.
    pub source: &'a Source,
    /// Where the copy goes.
    pub sink: Sink,
    /// The mtorrent program.
    pub mtorrent: &'a Path,
    /// An empty folder on the disk for this turn: configuration, state, logs.
    pub scratch: PathBuf,
    /// An empty folder where the sink is.
    pub got: PathBuf,
}

impl Stage<'_> {
    /// The path of the copy.
    pub fn target(&self) -> PathBuf {
        self.got.join(self.source.name())
    }

    /// The folder that the source lies in.
    pub fn seed(&self) -> &Path {
        self.source.path.parent().unwrap_or(Path::new("/"))
    }

    /// Makes a folder in the scratch folder.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        make_folder(&self.scratch.join(name))
    }

    /// Writes a file into the scratch folder.
    pub fn file(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        write(&self.scratch, name, text)
    }
}
