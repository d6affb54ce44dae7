//! The reasons why a store cannot be used, for the operator.

use std::path::{Path, PathBuf};

/// The reason why a store cannot be used, and its remedy.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be used.
    #[error("cannot use the data folder {0}: {1}; give --data-dir another folder")]
    Folder(PathBuf, std::io::Error),
    /// Another tracker uses the folder.
    #[error("the data folder {0} is in use by another mtorrent: stop that one, or choose another --data-dir")]
    Locked(PathBuf),
    /// The system refuses to read or write the store.
    #[error("cannot use the store {0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// The store is damaged, or is not an mtorrent store.
    #[error(
        "the store {0} is damaged or not ours ({1}): move it aside (mv {from} {to}) and start again: the table then comes from the other trackers",
        from = quoted(.0),
        to = quoted(&.0.with_extension("damaged"))
    )]
    Corrupt(PathBuf, String),
}

/// Returns the path quoted for a shell.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    shlex::try_quote(&path).map_or_else(|_| path.to_string(), String::from)
}
