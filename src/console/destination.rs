//! Resolves the DEST of a download to the path of the file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::exit::CommandError;
use super::file_errors::cannot_write;
use crate::metainfo::Metainfo;
use crate::storage::paths::{folder_of, follow_links};
use crate::text;

/// The path of the file under its own name in a folder.
pub(crate) fn in_folder(folder: &Path, metainfo: &Metainfo) -> Result<PathBuf, CommandError> {
    metainfo.file_name().map(|name| folder.join(name)).map_err(|error| {
        let folder = text::path(folder);
        CommandError::failed(format!(
            "the .mtorrent file holds no usable name for a file in {folder}: {error}; name the file itself, {folder}/NAME"
        ))
    })
}

/// The path of the file for DEST: in an existing folder the file has its own name, else DEST is the path.
pub(crate) fn resolve(dest: &Path, metainfo: &Metainfo) -> Result<PathBuf, CommandError> {
    if dest.is_dir() {
        return in_folder(dest, metainfo);
    }
    let ends_as_folder = dest.as_os_str().as_encoded_bytes().ends_with(b"/") || dest.file_name().is_none();
    if ends_as_folder {
        return Err(CommandError::failed(format!("the folder {} does not exist: create it first", text::path(dest))));
    }
    // A link stands for its target, whether that exists or not.
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

#[cfg(test)]
mod tests {
    use super::*;

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
            let found = resolve(&root.join(dest), &metainfo).ok();
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
            let error = resolve(folder.path(), &metainfo).unwrap_err();
            assert!(error.message.contains("name the file itself"), "{error}");
            let dest = folder.path().join("chosen");
            assert_eq!(resolve(&dest, &metainfo).ok(), Some(dest), "{name:?}");
        }
    }
}
