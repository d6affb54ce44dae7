//! The answer to `show files`: its table and its JSON. Pure.

use serde::{Serialize, Serializer};

use super::table::{self, dash};
use super::units::Size;
use crate::node::{Cell, DownloadId, FileStatus};
use crate::text;

/// All fields of a file.
///
/// | key | value |
/// |---|---|
/// | `id` (optional) | number of the download that fills the file |
/// | `name` | name of the file |
/// | `path` | path of the file, or of the finished file; null if the data is discarded |
/// | `info_hash` | info hash of the file |
/// | `bytes`, `chunk_size` | length of the file and of a chunk |
/// | `chunks` | number of chunks |
/// | `done`, `in_flight`, `missing` | number of chunks that are there, that arrive, and all others |
/// | `unreadable` | number of chunks that are there, and that the disk cannot read |
/// | `map` | the chunks in order, a character for each cell of them: `#` all are there, `+` some, `>` one arrives, `.` none, `!` one is unreadable |
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileFields<'a>(pub &'a FileStatus);

#[derive(Serialize)]
struct Fields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<DownloadId>,
    name: &'a str,
    path: Option<String>,
    info_hash: String,
    bytes: u64,
    chunk_size: u32,
    chunks: u32,
    done: u32,
    in_flight: u32,
    missing: u32,
    unreadable: u32,
    map: String,
}

impl Serialize for FileFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let file = self.0;
        let fields = Fields {
            id: file.download,
            name: &file.name,
            path: file.path.as_deref().map(|path| path.to_string_lossy().into_owned()),
            info_hash: file.info_hash.to_string(),
            bytes: file.length,
            chunk_size: file.chunk_size,
            chunks: file.chunks,
            done: file.done,
            in_flight: file.in_flight,
            missing: missing(file),
            unreadable: file.unreadable,
            map: map(file),
        };
        fields.serialize(serializer)
    }
}

fn missing(file: &FileStatus) -> u32 {
    file.chunks.saturating_sub(file.done).saturating_sub(file.in_flight)
}

fn map(file: &FileStatus) -> String {
    file.cells.iter().copied().map(Cell::symbol).collect()
}

/// The table of files.
pub(crate) fn table<'a>(all: impl Iterator<Item = &'a FileStatus>) -> String {
    const HEAD: [&str; 9] = ["ID", "DONE", "ARRIVING", "MISSING", "UNREADABLE", "CHUNK", "NAME", "PATH", "MAP"];
    let row = |file: &FileStatus| {
        [
            file.download.map_or_else(dash, |id| format!("#{id}")),
            file.done.to_string(),
            file.in_flight.to_string(),
            missing(file).to_string(),
            file.unreadable.to_string(),
            Size(file.chunk_size.into()).to_string(),
            text::plain(&file.name),
            file.path.as_deref().map_or_else(dash, text::path),
            map(file),
        ]
    };
    table::table(HEAD, all.map(row), "no files")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ids::InfoHash;

    /// A download of five chunks.
    pub(crate) fn file() -> FileStatus {
        FileStatus {
            info_hash: InfoHash([0xab; 20]),
            download: Some(3),
            name: "a".to_owned(),
            path: Some("/d/a".into()),
            length: 5 << 20,
            chunk_size: 1 << 20,
            chunks: 5,
            done: 2,
            in_flight: 1,
            unreadable: 1,
            cells: vec![Cell::Done, Cell::Unreadable, Cell::InFlight, Cell::Missing, Cell::Missing],
        }
    }

    #[test]
    fn rows() {
        let share = FileStatus { download: None, path: None, ..file() };
        let expected = [
            "ID  DONE  ARRIVING  MISSING  UNREADABLE  CHUNK    NAME  PATH  MAP",
            "#3  2     1         2        1           1.0 MiB  a     /d/a  #!>..",
            "-   2     1         2        1           1.0 MiB  a     -     #!>..",
        ];
        assert_eq!(table([file(), share].iter()).lines().collect::<Vec<_>>(), expected);
        assert_eq!(table([].iter()), "no files");
    }
}
