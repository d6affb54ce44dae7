//! Reads a `.mtorrent` file that the user names, with clear refusals.

use std::io::Read as _;
use std::path::Path;

use super::exit::CommandError;
use super::file_errors::cannot_read;
use super::source::Source;
use crate::limits::METAINFO_BYTES_MAX;
use crate::metainfo::Metainfo;
use crate::text;

/// Reads and parses a `.mtorrent` file.
pub(crate) fn read(path: &Path) -> Result<Metainfo, CommandError> {
    let bytes = read_bounded(path)?;
    Metainfo::parse(&bytes).map_err(|error| CommandError::failed(format!("{}: {error}", text::path(path))))
}

/// Reads a `.mtorrent` file and checks that its file can be downloaded.
pub(crate) fn read_transferable(path: &Path) -> Result<Metainfo, CommandError> {
    let metainfo = read(path)?;
    match metainfo.geometry().transferable() {
        Ok(_) => Ok(metainfo),
        Err(error) => Err(CommandError::failed(format!("{}: {error}", text::path(path)))),
    }
}

/// Reads the bytes of a `.mtorrent` file without parsing them; at most [`METAINFO_BYTES_MAX`].
pub(crate) fn read_bounded(path: &Path) -> Result<Vec<u8>, CommandError> {
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
        let message = format!("{} is larger than 8 MiB, so it is not a .mtorrent file", text::path(path));
        return Err(CommandError::failed(message));
    }
    Ok(bytes)
}
