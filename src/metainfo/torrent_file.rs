//! The content of a `.mtorrent` file: reading it, and writing a new one.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use sha1::{Digest, Sha1};

use super::bencode::{self, Dictionary, Value, write_bytes, write_integer};
use super::error::MetainfoError;
use super::file::DescribedFile;
use super::hybrid;
use super::keys::{INFO, LENGTH, NAME, PIECE_LENGTH, PIECES, TRACKERS, number, required, wrong_type};
use super::tracker_address::check_tracker_address;
use crate::filename::{NameError, check_name, repair_name};
use crate::geometry::{ChunkIndex, Geometry, GeometryError};
use crate::ids::{ChunkHash, InfoHash};
use crate::limits::{METAINFO_BYTES_MAX, TRACKERS_MAX};

/// The content of a `.mtorrent` file. A clone is cheap: the bytes are shared.
#[derive(Clone)]
pub struct Metainfo {
    /// The whole file.
    bytes: Arc<[u8]>,
    /// Position of the chunks' hashes in `bytes`.
    pieces: Range<usize>,
    info_hash: InfoHash,
    /// The name as its author wrote it.
    written_name: String,
    /// One path component, derived from it.
    name: String,
    /// The reason why the written name is not a file name.
    name_error: Option<NameError>,
    geometry: Geometry,
    trackers: Vec<String>,
}

impl Metainfo {
    /// Reads a `.mtorrent` file, with bounds.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetainfoError> {
        if bytes.len() > METAINFO_BYTES_MAX {
            return Err(MetainfoError::TooLarge(bytes.len()));
        }
        let value = bencode::parse(bytes)?;
        let root = value.as_dictionary().ok_or(MetainfoError::NotADictionary)?;
        let info_value = required(root, INFO)?;
        let info = info_value.as_dictionary().ok_or(wrong_type(INFO, "a dictionary"))?;
        if info.get("file tree").is_some() && info.get(PIECES).is_none() {
            return Err(MetainfoError::VersionTwo);
        }
        let file = DescribedFile::read(info)?;
        let geometry = read_geometry(info, file.length)?;
        let pieces = read_pieces(info, geometry)?;
        hybrid::check(root, info, &file, geometry)?;
        Ok(Self {
            bytes: bytes.into(),
            pieces,
            info_hash: InfoHash(Sha1::digest(info_value.raw).into()),
            name: repair_name(&file.name),
            name_error: file.name_error,
            written_name: file.name,
            geometry,
            trackers: read_trackers(root)?,
        })
    }

    /// Creates the metainfo of a file; `pieces` has the SHA-1 of each chunk, 20 bytes each, in order.
    pub fn new(name: &str, geometry: Geometry, pieces: Vec<u8>, trackers: Vec<String>) -> Result<Self, MetainfoError> {
        check_name(name)?;
        let mut info = b"d".to_vec();
        write_bytes(&mut info, LENGTH.as_bytes());
        write_integer(&mut info, geometry.length());
        write_bytes(&mut info, NAME.as_bytes());
        write_bytes(&mut info, name.as_bytes());
        write_bytes(&mut info, PIECE_LENGTH.as_bytes());
        write_integer(&mut info, geometry.chunk_size().into());
        write_bytes(&mut info, PIECES.as_bytes());
        write_bytes(&mut info, &pieces);
        info.push(b'e');
        let entries = [(INFO.as_bytes(), &info[..])];
        Self::parse(&write_root(entries.into_iter(), &trackers))
    }

    /// The same file with other trackers; without the key if there are none. The info hash stays the same.
    pub fn with_trackers(self, trackers: Vec<String>) -> Result<Self, MetainfoError> {
        let value = bencode::parse(&self.bytes)?;
        let root = value.as_dictionary().ok_or(MetainfoError::NotADictionary)?;
        let others = root.0.iter().filter(|(key, _)| *key != TRACKERS.as_bytes());
        Self::parse(&write_root(others.map(|(key, value)| (*key, value.raw)), &trackers))
    }

    /// The bytes of the `.mtorrent` file: the original ones, unless its trackers were changed.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }

    /// The file's name for display and for trackers: one path component of 1 to 255 bytes. If the author's name is not
    /// valid, a similar one.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name as its author wrote it, for display: any text of any length. The parts of a path are joined by slashes;
    /// bytes that are not UTF-8 are replaced.
    pub fn written_name(&self) -> &str {
        &self.written_name
    }

    /// The name of the file in a folder. Returns an error if the author's name is not a valid file name, so that the
    /// user has to choose one.
    pub fn file_name(&self) -> Result<&str, NameError> {
        self.name_error.map_or(Ok(&self.name), Err)
    }

    /// Division of the file into chunks.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Identity of the file.
    pub fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// The hash of the chunk, which must belong to this file's [`Geometry`].
    pub fn chunk_hash(&self, chunk: ChunkIndex) -> ChunkHash {
        // `parse` checked that there is one hash for each chunk of the geometry.
        let (hashes, _) = self.bytes[self.pieces.clone()].as_chunks();
        ChunkHash(hashes[chunk.as_usize()])
    }

    /// Our trackers, `HOST:PORT` each, in the order in which they are tried.
    pub fn trackers(&self) -> &[String] {
        &self.trackers
    }
}

impl fmt::Debug for Metainfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metainfo")
            .field("info_hash", &self.info_hash)
            .field("name", &self.name)
            .field("geometry", &self.geometry)
            .field("trackers", &self.trackers)
            .finish_non_exhaustive()
    }
}

/// Writes the root dictionary of sorted entries, with our trackers at their place among them.
fn write_root<'a>(entries: impl Iterator<Item = (&'a [u8], &'a [u8])>, trackers: &[String]) -> Vec<u8> {
    let mut list = b"l".to_vec();
    trackers.iter().for_each(|tracker| write_bytes(&mut list, tracker.as_bytes()));
    list.push(b'e');
    let mut entries: Vec<(&[u8], &[u8])> = entries.collect();
    if !trackers.is_empty() {
        let at = entries.partition_point(|(key, _)| *key < TRACKERS.as_bytes());
        entries.insert(at, (TRACKERS.as_bytes(), &list));
    }
    let mut out = b"d".to_vec();
    for (key, value) in entries {
        write_bytes(&mut out, key);
        out.extend_from_slice(value);
    }
    out.push(b'e');
    out
}

fn read_geometry(info: &Dictionary<'_>, length: u64) -> Result<Geometry, MetainfoError> {
    let chunk_size = number(info, PIECE_LENGTH)?;
    let chunk_size = u32::try_from(chunk_size).map_err(|_| GeometryError::ChunkSize(chunk_size))?;
    Ok(Geometry::new(length, chunk_size)?)
}

/// Position of the hashes in the file: one for each chunk.
fn read_pieces(info: &Dictionary<'_>, geometry: Geometry) -> Result<Range<usize>, MetainfoError> {
    let value = required(info, PIECES)?;
    let pieces = value.as_bytes().ok_or(wrong_type(PIECES, "a string"))?;
    let chunk_count = geometry.chunk_count();
    if pieces.len() != chunk_count as usize * ChunkHash::LEN {
        return Err(MetainfoError::Pieces { bytes: pieces.len(), chunk_count });
    }
    Ok(value.end - pieces.len()..value.end)
}

fn read_trackers(root: &Dictionary<'_>) -> Result<Vec<String>, MetainfoError> {
    let Some(value) = root.get(TRACKERS) else { return Ok(Vec::new()) };
    let list = value.as_list().ok_or(wrong_type(TRACKERS, "a list of HOST:PORT"))?;
    if list.len() > TRACKERS_MAX {
        return Err(MetainfoError::TooManyTrackers(list.len()));
    }
    list.iter().map(read_tracker).collect()
}

fn read_tracker(value: &Value<'_>) -> Result<String, MetainfoError> {
    let bytes = value.as_bytes().ok_or(wrong_type(TRACKERS, "a list of HOST:PORT"))?;
    let text = std::str::from_utf8(bytes).map_err(|_| wrong_type(TRACKERS, "a list of HOST:PORT"))?;
    check_tracker_address(text)?;
    Ok(text.to_owned())
}
