//! A regular file that the user names, opened for reading.

use std::fs::{self, File, Metadata, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::exit::CommandError;
use super::file_errors::cannot_read;
use crate::storage::Identity;
use crate::text;

/// The open file, and its identity at that time.
#[derive(Debug)]
pub(crate) struct Source {
    /// The open file.
    pub file: File,
    path: PathBuf,
    opened: Metadata,
}

impl Source {
    /// Opens a file; refuses directories, pipes and devices.
    pub(crate) fn open(path: &Path) -> Result<Self, CommandError> {
        // Without O_NONBLOCK, opening a named pipe would block until it has a writer.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(path).map_err(|error| cannot_read(path, &error))?;
        let opened = file.metadata().map_err(|error| cannot_read(path, &error))?;
        if opened.is_dir() {
            let message = format!(
                "{} is a directory, and a .mtorrent file describes a single file: pack it first, for example with tar",
                text::path(path)
            );
            return Err(CommandError::failed(message));
        }
        if !opened.is_file() {
            let message = format!("{} is not a regular file: choose a file on a disk", text::path(path));
            return Err(CommandError::failed(message));
        }
        Ok(Self { file, path: path.to_owned(), opened })
    }

    /// Identity of the file when it was opened, before any of it was read.
    pub(crate) fn identity(&self) -> Identity {
        Identity::of(&self.opened)
    }

    /// Size of the file when it was opened, bytes.
    pub(crate) fn length(&self) -> u64 {
        self.opened.len()
    }

    /// The path as it was typed.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file name; refuses a name that is not UTF-8.
    pub(crate) fn name(&self) -> Result<&str, CommandError> {
        let name = self.path.file_name().and_then(|name| name.to_str());
        name.ok_or_else(|| {
            let path = text::path(&self.path);
            CommandError::failed(format!(
                "the name of {path} is not UTF-8, which the .mtorrent format requires: rename or link the file"
            ))
        })
    }

    /// Refuses a file that changed since it was opened, because the data read belongs to no single version.
    pub(crate) fn check_unchanged(&self) -> Result<(), CommandError> {
        let now = fs::metadata(&self.path).map_err(|error| cannot_read(&self.path, &error))?;
        let mark = |metadata: &Metadata| {
            (metadata.dev(), metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
        };
        if mark(&now) == mark(&self.opened) {
            return Ok(());
        }
        let path = text::path(&self.path);
        Err(CommandError::failed(format!("{path} changed while it was read: wait until it is complete and try again")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_source() {
        let folder = tempfile::tempdir().unwrap();
        for (path, words) in [
            (folder.path().to_owned(), "is a directory"),
            (folder.path().join("missing"), "there is no file"),
            (PathBuf::from("/dev/null"), "not a regular file"),
        ] {
            let error = Source::open(&path).unwrap_err();
            assert!(error.message.contains(words), "{error}");
        }
    }

    #[test]
    fn a_changed_source_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let source = Source::open(&path).unwrap();
        source.check_unchanged().unwrap();
        fs::write(&path, "three").unwrap();
        assert!(source.check_unchanged().unwrap_err().message.contains("changed while it was read"));
    }
}
