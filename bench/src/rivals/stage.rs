//! What a contestant finds when its turn comes: the source, empty folders, and where the copy shall go.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::Error;
use super::source::Source;

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
        let path = self.scratch.join(name);
        std::fs::write(&path, text).map_err(|source| Error::io(format!("write {}", path.display()), source))?;
        Ok(path)
    }
}

/// Makes the folder `path` if it is not there yet.
pub fn make_folder(path: &Path) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(path).map_err(|source| Error::io(format!("make {}", path.display()), source))?;
    Ok(path.to_owned())
}

/// A TCP port that nothing in this namespace listens on.
pub fn free_port() -> Result<u16, Error> {
    free_ports(1).map(|ports| ports[0])
}

/// `count` different ones.
pub fn free_ports(count: usize) -> Result<Vec<u16>, Error> {
    let fail = |source| Error::io("find a free port", source);
    // All are held until the last is found, so that none is found twice.
    let bound: Result<Vec<_>, _> = (0..count).map(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))).collect();
    bound.map_err(fail)?.iter().map(|listener| Ok(listener.local_addr().map_err(fail)?.port())).collect()
}

/// When a server that is being started must be ready: it may have to hash the whole source first.
pub fn ready_deadline() -> Instant {
    Instant::now() + Duration::from_secs(180)
}
