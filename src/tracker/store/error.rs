//! Why there is no store, for the operator.

use std::path::{Path, PathBuf};

/// Why there is no store, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be used.
    #[error("cannot use the data folder {0}: {1}; give --data-dir another folder")]
    Folder(PathBuf, std::io::Error),
    /// Another tracker has it.
    #[error("the data folder {0} is in use by another mtorrent: stop that one, or choose another --data-dir")]
    Locked(PathBuf),
    /// The system does not let us read or write it.
    #[error("cannot use the store {0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// The store is damaged, or none of ours.
    #[error(
        "the store {0} is damaged or not ours ({1}): move it aside (mv {from} {to}) and start again: the table then comes from the other trackers",
        from = quoted(.0),
        to = quoted(&.0.with_extension("damaged"))
    )]
    Corrupt(PathBuf, String),
}

/// As a shell reads it.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    shlex::try_quote(&path).map_or_else(|_| path.to_string(), String::from)
}
