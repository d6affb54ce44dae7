//! Reads a `.mtorrent` file that the user names, with clear refusals.

use std::io::{IsTerminal as _, Read};
use std::path::Path;
use std::sync::OnceLock;

use super::exit::CommandError;
use super::file_errors::cannot_read;
use super::source::Source;
use crate::limits::METAINFO_BYTES_MAX;
use crate::metainfo::Metainfo;
use crate::text;

/// Whether the path stands for standard input where a `.mtorrent` file is read, and for standard output where one is
/// written. A file of this name is written `./-`.
pub(crate) fn is_standard_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The path for display.
pub(crate) fn shown(path: &Path) -> String {
    if is_standard_stream(path) { "standard input".into() } else { text::path(path) }
}

/// Reads and parses a `.mtorrent` file.
pub(crate) fn read(path: &Path) -> Result<Metainfo, CommandError> {
    let bytes = read_bounded(path)?;
    Metainfo::parse(&bytes).map_err(|error| CommandError::failed(format!("{}: {error}", shown(path))))
}

/// Reads a `.mtorrent` file and checks that its file can be downloaded.
pub(crate) fn read_transferable(path: &Path) -> Result<Metainfo, CommandError> {
    let metainfo = read(path)?;
    match metainfo.geometry().transferable() {
        Ok(_) => Ok(metainfo),
        Err(error) => Err(CommandError::failed(format!("{}: {error}", shown(path)))),
    }
}

/// Reads the bytes of a `.mtorrent` file without parsing them; at most [`METAINFO_BYTES_MAX`].
pub(crate) fn read_bounded(path: &Path) -> Result<Vec<u8>, CommandError> {
    if is_standard_stream(path) {
        return standard_input();
    }
    let source = match Source::open(path) {
        Ok(source) => source,
        Err(_) if path.is_dir() => {
            return Err(CommandError::failed(format!("{} is a directory, not a .mtorrent file", text::path(path))));
        }
        Err(error) => return Err(error),
    };
    read_to_limit(source.file, &text::path(path), |error| cannot_read(path, &error))
}

/// The bytes of standard input, which is read once.
fn standard_input() -> Result<Vec<u8>, CommandError> {
    static BYTES: OnceLock<Result<Vec<u8>, CommandError>> = OnceLock::new();
    let read = || {
        let input = std::io::stdin();
        if input.is_terminal() {
            let message = "standard input is a terminal: pipe a .mtorrent file into it, or name one in place of -";
            return Err(CommandError::failed(message));
        }
        let failed = |error| CommandError::failed(format!("cannot read standard input: {error}"));
        let bytes = read_to_limit(input.lock(), "standard input", failed)?;
        if bytes.is_empty() {
            return Err(CommandError::failed("standard input is empty: pipe a .mtorrent file into it"));
        }
        Ok(bytes)
    };
    BYTES.get_or_init(read).clone()
}

fn read_to_limit(
    from: impl Read,
    shown: &str,
    failed: impl Fn(std::io::Error) -> CommandError,
) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    from.take(METAINFO_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > METAINFO_BYTES_MAX {
        let message = format!("{shown} is larger than 8 MiB, so it is not a .mtorrent file");
        return Err(CommandError::failed(message));
    }
    Ok(bytes)
}
