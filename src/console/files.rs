//! The files that a person names: opened with clear refusals, written atomically.
//!
//! Every refusal says which file, what is wrong with it and what to do.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::exit::CommandError;
use crate::limits::METAINFO_BYTES_MAX;
use crate::metainfo::Metainfo;
use crate::storage::Identity;
use crate::storage::disk::{rename_to_new, take_over_rights};
use crate::storage::paths::{folder_of, follow_links};
use crate::text;

/// A regular file open for reading, as it was when it was opened.
#[derive(Debug)]
pub struct Source {
    /// The file.
    pub file: File,
    path: PathBuf,
    opened: Metadata,
}

impl Source {
    /// Opens a file that is to be shared or checked.
    pub fn open(path: &Path) -> Result<Self, CommandError> {
        // Without O_NONBLOCK a named pipe would wait here for its writer.
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
            let message = format!("{} is not a regular file: name one on a disk", text::path(path));
            return Err(CommandError::failed(message));
        }
        Ok(Self { file, path: path.to_owned(), opened })
    }

    /// Which file it was when it was opened: before anything of it was read.
    pub fn identity(&self) -> Identity {
        Identity::of(&self.opened)
    }

    /// Bytes of the file when it was opened.
    pub fn length(&self) -> u64 {
        self.opened.len()
    }

    /// Its path, as typed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its own name, if it is UTF-8.
    pub fn name(&self) -> Result<&str, CommandError> {
        let name = self.path.file_name().and_then(|name| name.to_str());
        name.ok_or_else(|| {
            let path = text::path(&self.path);
            CommandError::failed(format!(
                "the name of {path} is not UTF-8, as the format asks: rename or link the file"
            ))
        })
    }

    /// Refuses a file that changed since it was opened: what was read of it belongs to no version.
    pub fn check_unchanged(&self) -> Result<(), CommandError> {
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

/// Reads and checks a `.mtorrent` file.
pub fn read_metainfo(path: &Path) -> Result<Metainfo, CommandError> {
    let bytes = read_bounded(path)?;
    Metainfo::parse(&bytes).map_err(|error| CommandError::failed(format!("{}: {error}", text::path(path))))
}

/// Reads a `.mtorrent` file whose file shall be downloaded.
pub fn read_transferable(path: &Path) -> Result<Metainfo, CommandError> {
    let metainfo = read_metainfo(path)?;
    match metainfo.geometry().transferable() {
        Ok(_) => Ok(metainfo),
        Err(error) => Err(CommandError::failed(format!("{}: {error}", text::path(path)))),
    }
}

/// Reads what stands at a `.mtorrent` file's path, without a look at what it says.
pub fn read_bounded(path: &Path) -> Result<Vec<u8>, CommandError> {
    let source = match Source::open(path) {
        Ok(source) => source,
        Err(_) if path.is_dir() => {
            return Err(CommandError::failed(format!("{} is a directory, not a .mtorrent file", text::path(path))));
        }
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    let limit = METAINFO_BYTES_MAX as u64 + 1;
    source.file.take(limit).read_to_end(&mut bytes).map_err(|error| cannot_read(path, &error))?;
    if bytes.len() > METAINFO_BYTES_MAX {
        let message = format!("{} has over 8 MiB and so is not a .mtorrent file", text::path(path));
        return Err(CommandError::failed(message));
    }
    Ok(bytes)
}

/// Writes `bytes` to `path` so that at every moment the old file, none, or the whole new one is there. A link is
/// followed to its end; a file that is replaced hands on its owner and mode.
pub fn write_atomically(path: &Path, bytes: &[u8], replace: bool) -> Result<(), CommandError> {
    let target = follow_links(path);
    write_and_rename(&target, bytes, replace).map_err(|error| cannot_write(path, &error))
}

fn write_and_rename(path: &Path, bytes: &[u8], replace: bool) -> io::Result<()> {
    let (temporary, mut file) = make_temporary(folder_of(path))?;
    let written = file.write_all(bytes).and_then(|()| {
        if let Some(old) = fs::metadata(path).ok().filter(|old| replace && old.is_file()) {
            take_over_rights(&file, &old)?;
        }
        file.sync_all()?;
        if replace { fs::rename(&temporary, path) } else { rename_to_new(&temporary, path) }
    });
    if written.is_err() {
        // What cannot be removed is told by the error that came before.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(folder_of(path))?.sync_all()
}

/// A new, empty file in the folder, under a name that nobody can know.
fn make_temporary(folder: &Path) -> io::Result<(PathBuf, File)> {
    let path = folder.join(format!(".mtorrent-{:016x}{:016x}.tmp", rand::random::<u64>(), rand::random::<u64>()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).custom_flags(libc::O_NOFOLLOW);
    Ok((path.clone(), options.open(&path)?))
}

/// Refuses a place where no file can be made, before work is put into what shall stand there.
pub fn check_writable(path: &Path) -> Result<(), CommandError> {
    let target = follow_links(path);
    let failed = |error: io::Error| cannot_write(path, &error);
    if target.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    // A name that is too long for its file system shows, too.
    match target.symlink_metadata() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let (temporary, _file) = make_temporary(folder_of(&target)).map_err(failed)?;
    fs::remove_file(temporary).map_err(failed)
}

/// The file's path under its own name in a folder.
pub fn in_folder(folder: &Path, metainfo: &Metainfo) -> Result<PathBuf, CommandError> {
    metainfo.file_name().map(|name| folder.join(name)).map_err(|error| {
        let folder = text::path(folder);
        CommandError::failed(format!(
            "the .mtorrent file gives no name for a file in {folder}: {error}; name the file itself, {folder}/NAME"
        ))
    })
}

/// The file that DEST means: an existing folder gets the file under its own name, else it is its path.
pub fn resolve_dest(dest: &Path, metainfo: &Metainfo) -> Result<PathBuf, CommandError> {
    if dest.is_dir() {
        return in_folder(dest, metainfo);
    }
    let ends_as_folder = dest.as_os_str().as_encoded_bytes().ends_with(b"/") || dest.file_name().is_none();
    if ends_as_folder {
        return Err(CommandError::failed(format!("the folder {} does not exist: create it first", text::path(dest))));
    }
    // A link is a name of what it leads to, be that there or not.
    let followed = follow_links(dest);
    let folder = folder_of(&followed);
    match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(dest.to_owned()),
        Ok(_) => Err(CommandError::failed(format!("{} is not a folder: choose another DEST", text::path(folder)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(CommandError::failed(format!("the folder {} does not exist: create it first", text::path(folder))))
        }
        Err(error) => Err(cannot_write(dest, &error)),
    }
}

/// What it means that a file cannot be read.
pub fn cannot_read(path: &Path, error: &io::Error) -> CommandError {
    let path = text::path(path);
    CommandError::failed(match error.kind() {
        io::ErrorKind::NotFound => format!("there is no file {path}: check the path"),
        io::ErrorKind::PermissionDenied => {
            format!("no permission to read {path}: change its rights or use another user")
        }
        io::ErrorKind::NotADirectory => format!("{path} leads through a file that is no folder: check the path"),
        _ => format!("cannot read {path}: {error}"),
    })
}

/// What it means that a file cannot be written.
pub fn cannot_write(path: &Path, error: &io::Error) -> CommandError {
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
        io::ErrorKind::InvalidFilename => format!("the name of {path} is too long for its file system: choose another"),
        _ => format!("cannot write {path}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn destinations() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("file"), "").unwrap();
        let metainfo = metainfo_of("name");
        for (dest, resolved) in [
            ("", Some("name")),
            ("file", Some("file")),
            ("new", Some("new")),
            ("missing/", None),
            ("missing/new", None),
            ("file/new", None),
        ] {
            let found = resolve_dest(&root.join(dest), &metainfo).ok();
            assert_eq!(found, resolved.map(|path| root.join(path)), "{dest:?}");
        }
    }

    fn metainfo_of(name: &str) -> Metainfo {
        let info = format!("6:lengthi0e4:name{}:{name}12:piece lengthi16384e6:pieces0:", name.len());
        Metainfo::parse(format!("d4:infod{info}ee").as_bytes()).unwrap()
    }

    #[test]
    fn a_name_that_is_none_stays_out_of_folders() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", ".", "..", "/etc/passwd", "../x", "a/b", "a\0", &"n".repeat(256)] {
            let metainfo = metainfo_of(name);
            let error = resolve_dest(folder.path(), &metainfo).unwrap_err();
            assert!(error.message.contains("name the file itself"), "{error}");
            let dest = folder.path().join("chosen");
            assert_eq!(resolve_dest(&dest, &metainfo).ok(), Some(dest), "{name:?}");
        }
    }

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

    #[test]
    fn written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.mtorrent");
        write_atomically(&path, b"one", false).unwrap();
        assert!(write_atomically(&path, b"two", false).unwrap_err().message.contains("exists"));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write_atomically(&path, b"two", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("x.mtorrent", &link).unwrap();
        write_atomically(&link, b"three", true).unwrap();
        assert!(link.is_symlink() && fs::read(&path).unwrap() == b"three", "the link leads to the new file");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        check_writable(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
        assert!(check_writable(&folder.path().join("no/x")).unwrap_err().message.contains("create it first"));
        assert!(check_writable(folder.path()).unwrap_err().message.contains("is a directory"));
        assert!(
            write_atomically(&folder.path().join("no/x"), b"", false).unwrap_err().message.contains("create it first")
        );
    }
}
