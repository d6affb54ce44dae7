//! The `.mtorrent` file: a BitTorrent version 1 metainfo (BEP 3) of a single file, with our trackers in it.
//!
//! ```text
//! root                 dictionary, keys sorted
//! ├─ info              dictionary; SHA-1 over its bytes as they stand in the file is the info hash
//! │  ├─ length         integer: bytes of the file
//! │  ├─ name           string: UTF-8, one path component of 1 to 255 bytes
//! │  ├─ piece length   integer: bytes of a chunk, a power of two from 16 KiB to 16 MiB
//! │  └─ pieces         string: SHA-1 of each chunk, 20 bytes each, in order
//! └─ mtorrent trackers list of strings HOST:PORT; may be absent
//! ```
//!
//! All other keys (`announce`, `private`, `created by`, the version 2 part of a hybrid, ...) mean nothing
//! to us and are kept as they are. Reading is strict and bounded: at most [`METAINFO_BYTES_MAX`] bytes, in
//! canonical bencode only, so that a file is written back as it was read.
//!
//! Pure: no files, no clock. Must never know the wire; must never panic on bytes from outside.

mod bencode;
mod error;
#[cfg(test)]
mod tests;
mod tracker_address;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use sha1::{Digest, Sha1};

use crate::filename;
use crate::geometry::{ChunkIndex, Geometry, GeometryError};
use crate::ids::InfoHash;
use crate::limits::{METAINFO_BYTES_MAX, TRACKERS_MAX};

use bencode::{Dictionary, Value, write_bytes, write_integer};

pub use bencode::{BencodeError, BencodeFault};
pub use error::MetainfoError;
pub use tracker_address::{TrackerAddressError, check_tracker_address};

const INFO: &str = "info";
const LENGTH: &str = "length";
const NAME: &str = "name";
const PIECE_LENGTH: &str = "piece length";
const PIECES: &str = "pieces";
const TRACKERS: &str = "mtorrent trackers";

/// Bytes of a SHA-1 hash.
const HASH_LEN: usize = 20;

/// What a `.mtorrent` file says. A clone is cheap: the bytes are shared.
#[derive(Clone)]
pub struct Metainfo {
    /// The whole file.
    bytes: Arc<[u8]>,
    /// Where in `bytes` the chunks' hashes stand.
    pieces: Range<usize>,
    info_hash: InfoHash,
    name: String,
    geometry: Geometry,
    trackers: Vec<String>,
}

impl Metainfo {
    /// Reads a `.mtorrent` file, strictly and with bounds.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetainfoError> {
        if bytes.len() > METAINFO_BYTES_MAX {
            return Err(MetainfoError::TooLarge(bytes.len()));
        }
        let value = bencode::parse(bytes)?;
        let root = value.as_dictionary().ok_or(MetainfoError::NotADictionary)?;
        let info_value = required(root, INFO)?;
        let info = info_value.as_dictionary().ok_or(wrong_type(INFO, "a dictionary"))?;
        check_single_file(info)?;
        let geometry = read_geometry(info)?;
        Ok(Self {
            bytes: bytes.into(),
            pieces: read_pieces(info, geometry)?,
            info_hash: InfoHash(Sha1::digest(info_value.raw).into()),
            name: read_name(info)?.to_owned(),
            geometry,
            trackers: read_trackers(root)?,
        })
    }

    /// The metainfo of a file; `pieces` holds the SHA-1 of each chunk, 20 bytes each, in order.
    pub fn new(name: &str, geometry: Geometry, pieces: Vec<u8>, trackers: Vec<String>) -> Result<Self, MetainfoError> {
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

    /// The same file with other trackers; with none of ours if there are none. The info hash stays.
    pub fn with_trackers(self, trackers: Vec<String>) -> Result<Self, MetainfoError> {
        let value = bencode::parse(&self.bytes)?;
        let root = value.as_dictionary().ok_or(MetainfoError::NotADictionary)?;
        let others = root.0.iter().filter(|(key, _)| *key != TRACKERS.as_bytes());
        Self::parse(&write_root(others.map(|(key, value)| (*key, value.raw)), &trackers))
    }

    /// The bytes of the `.mtorrent` file: those that were read, unless its trackers were changed.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }

    /// The file's name: one path component, see [`Metainfo::check_name`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the file is cut into chunks.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The file's identity.
    pub fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// SHA-1 of the chunk. The chunk is one of this file's [`Geometry`].
    pub fn chunk_hash(&self, chunk: ChunkIndex) -> &[u8; HASH_LEN] {
        // `parse` checked that there is one hash for each chunk of the geometry.
        let (hashes, _) = self.bytes[self.pieces.clone()].as_chunks();
        &hashes[chunk.as_usize()]
    }

    /// Our trackers, `HOST:PORT` each, in the order in which they are tried.
    pub fn trackers(&self) -> &[String] {
        &self.trackers
    }

    /// Checks that `name` is one path component of 1 to 255 bytes: what a file in a metainfo may be called.
    pub fn check_name(name: &str) -> Result<(), MetainfoError> {
        Ok(filename::check_name(name)?)
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

/// The root dictionary of sorted entries and, at its place among them, our trackers.
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

fn required<'d, 'a>(dictionary: &'d Dictionary<'a>, key: &'static str) -> Result<&'d Value<'a>, MetainfoError> {
    dictionary.get(key).ok_or(MetainfoError::Missing(key))
}

fn wrong_type(key: &'static str, expected: &'static str) -> MetainfoError {
    MetainfoError::WrongType { key, expected }
}

/// Refuses folders (BEP 3 `files`) and metainfo without a version 1 part (BEP 52 `file tree` alone).
fn check_single_file(info: &Dictionary<'_>) -> Result<(), MetainfoError> {
    if info.get("files").is_some() {
        return Err(MetainfoError::Directory);
    }
    if info.get("file tree").is_some() && info.get(PIECES).is_none() {
        return Err(MetainfoError::VersionTwo);
    }
    Ok(())
}

fn read_geometry(info: &Dictionary<'_>) -> Result<Geometry, MetainfoError> {
    let number = |key| required(info, key)?.as_u64().ok_or(wrong_type(key, "a number of bytes"));
    let (length, chunk_size) = (number(LENGTH)?, number(PIECE_LENGTH)?);
    let chunk_size = u32::try_from(chunk_size).map_err(|_| GeometryError::ChunkSize(chunk_size))?;
    Ok(Geometry::new(length, chunk_size)?)
}

/// Where in the file the hashes stand: one for each chunk.
fn read_pieces(info: &Dictionary<'_>, geometry: Geometry) -> Result<Range<usize>, MetainfoError> {
    let value = required(info, PIECES)?;
    let pieces = value.as_bytes().ok_or(wrong_type(PIECES, "a string"))?;
    let chunk_count = geometry.chunk_count();
    if pieces.len() != chunk_count as usize * HASH_LEN {
        return Err(MetainfoError::Pieces { bytes: pieces.len(), chunk_count });
    }
    Ok(value.end - pieces.len()..value.end)
}

fn read_name<'a>(info: &Dictionary<'a>) -> Result<&'a str, MetainfoError> {
    let name = required(info, NAME)?.as_bytes().ok_or(wrong_type(NAME, "a string"))?;
    let name = std::str::from_utf8(name).map_err(|_| wrong_type(NAME, "UTF-8"))?;
    filename::check_name(name)?;
    Ok(name)
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
