//! Temporary folders and files of random bytes from a seed.

use std::path::{Path, PathBuf};

use rand::{RngExt as _, SeedableRng as _};

/// A temporary folder with files of random bytes, which are identical for the same seed.
#[derive(Debug)]
pub struct Folder {
    root: tempfile::TempDir,
    seed: u64,
}

impl Folder {
    /// Creates a folder. Its seed is printed, and taken from `MTORRENT_TEST_SEED` if that is set.
    pub fn new() -> Self {
        let given = std::env::var("MTORRENT_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| rand::rng().random());
        println!("MTORRENT_TEST_SEED={seed}");
        Self { root: tempfile::tempdir().expect("a temporary folder"), seed }
    }

    /// The seed of this run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Path of a file in the folder, as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().expect("UTF-8")
    }

    /// Names of the files in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.path()).expect("it is there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Writes a file of random bytes and returns its path.
    pub fn random_file(&self, name: &str, length: usize) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, random_bytes(self.seed, length)).expect("it can be written");
        path
    }

    /// Writes a file.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("it can be written");
        path
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        self.root.path()
    }
}

/// Random bytes of a seed.
pub fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand::rngs::StdRng::seed_from_u64(seed).fill(&mut bytes[..]);
    bytes
}
