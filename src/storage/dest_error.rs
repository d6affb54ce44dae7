//! Why a destination cannot be used: one message each, with what to do.

use std::io;
use std::path::{Path, PathBuf};

use super::paths::{folder_of, is_absent};

/// Why a destination cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DestError {
    /// No such folder.
    #[error("the folder of {0} does not exist: create it first")]
    NoFolder(PathBuf),
    /// The parent is not a folder.
    #[error("the folder of {0} is not a folder: choose another destination")]
    NotAFolder(PathBuf),
    /// The unfinished download was there and is not any more.
    #[error("{0}, or a file beside it, was removed meanwhile: start the download again")]
    Vanished(PathBuf),
    /// No right to write there.
    #[error("no permission to write {0}: choose another destination or change its rights")]
    NotPermitted(PathBuf),
    /// The file system refuses writes of every user.
    #[error("{path} cannot be replaced, because {why}: choose another destination or change that")]
    NotReplaceable {
        /// The destination.
        path: PathBuf,
        /// What is special about it.
        why: &'static str,
    },
    /// Files can be made in the folder, and not renamed.
    #[error("files in the folder of {path} cannot be renamed ({error}): choose another destination")]
    NoRename {
        /// The destination.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file system is read-only.
    #[error("{0} is on a read-only file system: choose another destination")]
    ReadOnly(PathBuf),
    /// The file system does not take the name.
    #[error("the name of {0} is too long for its file system: give DEST as the path of a file with a shorter name")]
    NameTooLong(PathBuf),
    /// This process may open no more files.
    #[error("too many open files for {0}: raise the limit with `ulimit -n 1024` or LimitNOFILE= in a systemd unit")]
    TooManyFiles(PathBuf),
    /// The disk is full.
    #[error("no space for {bytes} bytes at {path}: free some or choose another destination")]
    NoSpace {
        /// The destination.
        path: PathBuf,
        /// Bytes of the whole file.
        bytes: u64,
    },
    /// The user's share of the disk is used up.
    #[error("the disk quota does not allow {bytes} bytes at {path}: free some or choose another destination")]
    Quota {
        /// The destination.
        path: PathBuf,
        /// Bytes of the whole file.
        bytes: u64,
    },
    /// The process, or the file system, has a limit on the size of one file.
    #[error(
        "a file of {bytes} bytes is too large for {path}: raise the file size limit (ulimit -f) if one is set, or choose \
         another file system"
    )]
    TooLarge {
        /// The destination.
        path: PathBuf,
        /// Bytes of the whole file.
        bytes: u64,
    },
    /// Another download holds it.
    #[error("{0} is being written by another mtorrent: wait for it or choose another destination")]
    Busy(PathBuf),
    /// A `.part` that no record of this file explains, or a record of something else.
    #[error("{0} is not an unfinished download of this file: remove it, or use --force to overwrite it")]
    Foreign(PathBuf),
    /// A record of ours beside a file that is none of ours.
    #[error(
        "{0} does not hold what its record says, so it may be another file: remove it, or use --force to keep what of it is right and overwrite the rest"
    )]
    NotOurs(PathBuf),
    /// What stands where we would write is a link, a pipe or a device, or has a second name.
    #[error("{path} is {what} and will not be written: remove it, or choose another destination")]
    Special {
        /// The `.part` or its record.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// What stands at the destination is another file.
    #[error("{0} is there and different: use --force to replace it, or choose another destination")]
    Different(PathBuf),
    /// What stands at the destination cannot be read, so it is unknown whether it is right.
    #[error("no permission to read {0}, which is there: change its rights or choose another destination")]
    Unreadable(PathBuf),
    /// A device, a pipe or a socket: replacing it is never meant.
    #[error("{0} is there and is not a regular file: choose another destination")]
    NotAFile(PathBuf),
    /// Something came to stand at the destination meanwhile.
    #[error("{0} exists: use --force to replace it")]
    Exists(PathBuf),
    /// The `.part` is not what this download has written.
    #[error("{0}")]
    Part(#[from] PartFault),
    /// The file system can do no more.
    #[error("cannot write {path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// What somebody else did to a `.part` that is being written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartFault {
    /// Its name is gone.
    #[error("{0} was removed during the download: start it again")]
    Removed(PathBuf),
    /// Its name leads to another file.
    #[error("{0} was replaced by another file during the download: move that away and start again")]
    Replaced(PathBuf),
    /// Some of what was written, or reserved, is not there any more.
    #[error("{0} was cut during the download: start again, and what is left of it is verified and kept")]
    Cut(PathBuf),
}

impl From<PartFault> for io::Error {
    fn from(fault: PartFault) -> Self {
        Self::other(fault)
    }
}

impl DestError {
    /// Says what an error on `path` means.
    pub fn from_io(path: &Path, bytes: u64, error: io::Error) -> Self {
        if let Some(fault) = error.get_ref().and_then(|inner| inner.downcast_ref::<PartFault>()) {
            return Self::Part(fault.clone());
        }
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => Self::absent(path),
            io::ErrorKind::NotADirectory => Self::NotAFolder(path),
            io::ErrorKind::PermissionDenied => Self::NotPermitted(path),
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(path),
            io::ErrorKind::InvalidFilename => Self::NameTooLong(path),
            io::ErrorKind::StorageFull => Self::NoSpace { path, bytes },
            io::ErrorKind::QuotaExceeded => Self::Quota { path, bytes },
            io::ErrorKind::FileTooLarge => Self::TooLarge { path, bytes },
            io::ErrorKind::WouldBlock => Self::Busy(path),
            io::ErrorKind::AlreadyExists => Self::Exists(path),
            _ if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => Self::TooManyFiles(path),
            _ => Self::Io { path, error },
        }
    }

    /// The folder does not exist only if it does not exist.
    fn absent(path: PathBuf) -> Self {
        match std::fs::metadata(folder_of(&path)) {
            Ok(folder) if !folder.is_dir() => Self::NotAFolder(path),
            Err(error) if is_absent(&error) => Self::NoFolder(path),
            _ => Self::Vanished(path),
        }
    }
}
