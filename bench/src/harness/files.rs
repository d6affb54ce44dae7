//! Folders and files of a run.

use std::path::{Path, PathBuf};

use super::Error;

/// Creates the folder `path` if it does not exist.
pub fn make_folder(path: &Path) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(path).map_err(|source| Error::io(format!("make {}", path.display()), source))?;
    Ok(path.to_owned())
}

/// Writes the file `name` of `folder` and returns its path.
pub fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> Result<PathBuf, Error> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).map_err(|source| Error::io(format!("write {}", path.display()), source))?;
    Ok(path)
}
