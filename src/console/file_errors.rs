//! The messages for a file that cannot be read or written: its path, the fault and the remedy.

use std::io;
use std::path::Path;

use super::exit::CommandError;
use crate::storage::paths::{folder_of, follow_links};
use crate::text;

/// The error of a file that cannot be read.
pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> CommandError {
    let path = text::path(path);
    CommandError::failed(match error.kind() {
        io::ErrorKind::NotFound => format!("there is no file {path}: check the path"),
        io::ErrorKind::PermissionDenied => {
            format!("no permission to read {path}: change its rights or use another user")
        }
        io::ErrorKind::NotADirectory => format!("{path} leads through a file that is not a folder: check the path"),
        _ => format!("cannot read {path}: {error}"),
    })
}

/// The error of a file that cannot be written.
pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> CommandError {
    let followed = follow_links(path);
    let folder = text::path(folder_of(&followed));
    let path = text::path(path);
    CommandError::failed(match error.kind() {
        io::ErrorKind::NotFound if folder_of(&followed).is_dir() => {
            format!("{path} was removed while it was written: try again")
        }
        io::ErrorKind::NotFound => format!("the folder {folder} does not exist: create it first"),
        io::ErrorKind::PermissionDenied => {
            format!("no permission to write {path}: change the rights of {folder} or choose another place")
        }
        io::ErrorKind::ReadOnlyFilesystem => format!("{path} is on a read-only file system: choose another place"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("no space left for {path}: free some or choose another place")
        }
        io::ErrorKind::AlreadyExists => format!("{path} exists: choose another name, or --force to replace it"),
        io::ErrorKind::IsADirectory => format!("{path} is a directory: choose another name"),
        io::ErrorKind::NotADirectory => format!("{folder} is not a folder: choose another place"),
        io::ErrorKind::InvalidFilename => {
            format!("the name of {path} is too long for its file system: choose another name")
        }
        _ => format!("cannot write {path}: {error}"),
    })
}
