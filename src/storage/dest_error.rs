//! Reasons why a destination cannot be used: one message each, with the remedy.

use std::io;
use std::path::{Path, PathBuf};

use super::paths::{folder_of, is_absent};

/// The reason why a destination cannot be used, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum DestError {
    /// The folder does not exist.
    #[error("the folder of {0} does not exist: create it first")]
    NoFolder(PathBuf),
    /// The parent is not a folder.
    #[error("the folder of {0} is not a folder: choose another destination")]
    NotAFolder(PathBuf),
    /// The unfinished download existed and has disappeared.
    #[error("{0}, or a file beside it, was removed meanwhile: start the download again")]
    Vanished(PathBuf),
    /// The user may not write there.
    #[error("no permission to write {0}: choose another destination or change its rights")]
    NotPermitted(PathBuf),
    /// The destination or its folder does not permit replacing the file.
    #[error("{path} cannot be replaced, because {why}: choose another destination or change that")]
    NotReplaceable {
        /// Path of the destination.
        path: PathBuf,
        /// The property that prevents it.
        why: &'static str,
    },
    /// Files can be created in the folder, but not renamed.
    #[error("files in the folder of {path} cannot be renamed ({error}): choose another destination")]
    NoRename {
        /// Path of the destination.
        path: PathBuf,
        /// Error of the system.
        error: io::Error,
    },
    /// The file system is read-only.
    #[error("{0} is on a read-only file system: choose another destination")]
    ReadOnly(PathBuf),
    /// The file system does not accept the name.
    #[error("the name of {0} is too long for its file system: give DEST as the path of a file with a shorter name")]
    NameTooLong(PathBuf),
    /// This process may open no more files.
    #[error("too many open files for {0}: raise the limit with `ulimit -n 1024` or LimitNOFILE= in a systemd unit")]
    TooManyFiles(PathBuf),
    /// The disk is full.
    #[error("no space for {bytes} bytes at {path}: free some or choose another destination")]
    NoSpace {
        /// Path of the destination.
        path: PathBuf,
        /// Length of the whole file, bytes.
        bytes: u64,
    },
    /// The user's share of the disk is used up.
    #[error("the disk quota does not allow {bytes} bytes at {path}: free some or choose another destination")]
    Quota {
        /// Path of the destination.
        path: PathBuf,
        /// Length of the whole file, bytes.
        bytes: u64,
    },
    /// The process, or the file system, has a limit on the size of one file.
    #[error(
        "a file of {bytes} bytes is too large for {path}: raise the file size limit (ulimit -f) if one is set, or choose \
         another file system"
    )]
    TooLarge {
        /// Path of the destination.
        path: PathBuf,
        /// Length of the whole file, bytes.
        bytes: u64,
    },
    /// Another download uses the destination.
    #[error("{0} is being written by another mtorrent: wait for it or choose another destination")]
    Busy(PathBuf),
    /// A `.part` without a record of this file, or a record of something else.
    #[error("{0} is not an unfinished download of this file: remove it, or use --force to overwrite it")]
    Foreign(PathBuf),
    /// A record of ours beside a file that is not ours.
    #[error(
        "{0} does not hold what its record says, so it may be another file: remove it, or use --force to keep what of it is right and overwrite the rest"
    )]
    NotOurs(PathBuf),
    /// A link, a pipe or a device, or a file with a second name, is at one of our paths.
    #[error("{path} is {what} and will not be written: remove it, or choose another destination")]
    Special {
        /// Path of the `.part` or its record.
        path: PathBuf,
        /// Description of the object, for the message.
        what: &'static str,
    },
    /// The file at the destination is a different one.
    #[error("{path} is there and different: {}; {}", differences(*wrong, *chunks, *extra_bytes), remedies(*is_in_repair))]
    Different {
        /// Path of the destination.
        path: PathBuf,
        /// Number of chunks that are wrong or missing.
        wrong: u32,
        /// Number of chunks of the file.
        chunks: u32,
        /// Bytes behind the last chunk.
        extra_bytes: u64,
        /// A repair in place was interrupted.
        is_in_repair: bool,
    },
    /// No chunk of the file that is to be repaired in place is right.
    #[error(
        "not one chunk of {0} is right, so it may be another file: choose another destination, or add --force to overwrite it in place"
    )]
    NothingToRepair(PathBuf),
    /// The file that is to be repaired in place is being shared.
    #[error(
        "{0} is shared by this client and cannot be repaired in place: remove the share first, or use --force to replace the file at the end"
    )]
    Shared(PathBuf),
    /// An unfinished download stands beside the file that is to be repaired in place.
    #[error("{0} is there, an unfinished download to replace the file: finish it without --in-place, or remove it")]
    PartBeside(PathBuf),
    /// The file that is to be repaired in place is a running program.
    #[error("{0} is a program that is running, and cannot be repaired in place: use --force to replace it")]
    Running(PathBuf),
    /// The file at the destination cannot be read, so it is unknown whether it is right.
    #[error("no permission to read {0}, which is there: change its rights or choose another destination")]
    Unreadable(PathBuf),
    /// A device, a pipe or a socket: replacing it is never meant.
    #[error("{0} is there and is not a regular file: choose another destination")]
    NotAFile(PathBuf),
    /// A file has appeared at the destination meanwhile.
    #[error("{0} exists: use --force to replace it")]
    Exists(PathBuf),
    /// The `.part` is not what this download has written.
    #[error("{0}")]
    Part(#[from] PartFault),
    /// Any other error of the file system.
    #[error("cannot write {path}: {error}")]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        error: io::Error,
    },
}

/// A change to a `.part` by another process while it is being written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartFault {
    /// The `.part` has lost its name.
    #[error("{0} was removed during the download: start it again")]
    Removed(PathBuf),
    /// The name of the `.part` leads to another file.
    #[error("{0} was replaced by another file during the download: move that away and start again")]
    Replaced(PathBuf),
    /// A part of the written or reserved data is missing.
    #[error("{0} was cut during the download: start again, and what is left of it is verified and kept")]
    Cut(PathBuf),
}

/// The differences between a file and the one that it should be.
fn differences(wrong: u32, chunks: u32, extra_bytes: u64) -> String {
    match (wrong, extra_bytes) {
        (0, bytes) => format!("every chunk is right, and {bytes} bytes follow that do not belong to the file"),
        (1, _) => format!("1 of {chunks} chunks is wrong"),
        (wrong, _) => format!("{wrong} of {chunks} chunks are wrong"),
    }
}

fn remedies(is_in_repair: bool) -> &'static str {
    if is_in_repair {
        "a repair of it was interrupted: use --in-place to go on with it, or --force to replace the file at the end"
    } else {
        "use --force to replace it at the end, --in-place to repair it where it is, or choose another destination"
    }
}

impl From<PartFault> for io::Error {
    fn from(fault: PartFault) -> Self {
        Self::other(fault)
    }
}

impl DestError {
    /// Converts an I/O error on `path` to its meaning.
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
            io::ErrorKind::ExecutableFileBusy => Self::Running(path),
            _ if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => Self::TooManyFiles(path),
            _ => Self::Io { path, error },
        }
    }

    /// Only a missing folder is reported as missing.
    fn absent(path: PathBuf) -> Self {
        match std::fs::metadata(folder_of(&path)) {
            Ok(folder) if !folder.is_dir() => Self::NotAFolder(path),
            Err(error) if is_absent(&error) => Self::NoFolder(path),
            _ => Self::Vanished(path),
        }
    }
}
