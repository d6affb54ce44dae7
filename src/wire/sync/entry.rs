//! An entry: a tracker's record about a file, as sent to other trackers. SyncShare, SyncAddSeeder and SyncRemoveSeeder
//! contain one each.

use crate::filename::check_name;
use crate::geometry::Geometry;
use crate::ids::{Endpoint, InfoHash, Version};
use crate::wire::DecodeError;
use crate::wire::arguments::{Arguments, Payload, Sink};

/// Length of kind, info hash and version of an entry, bytes.
pub(super) const ENTRY_FIXED_LEN: usize = 1 + 20 + 16;

/// The description of a file in a Share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileInfo<'a> {
    /// Name of the file: one path component, 1 to 255 bytes of UTF-8.
    pub name: &'a str,
    /// Length of the file, bytes.
    pub length: u64,
    /// Chunk size, bytes, a power of two.
    pub chunk_size: u32,
}

/// The statement of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// The description of the file. It is never removed, but lapses.
    File(FileInfo<'a>),
    /// The endpoint seeds the file until its lease ends.
    Seeder(Endpoint),
    /// The endpoint was removed.
    Removed(Endpoint),
}

/// One statement about one file, which trackers store and send to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Identity of the file.
    pub info_hash: InfoHash,
    /// The time of the statement and the tracker that issued it: the later one wins.
    pub version: Version,
    /// The statement.
    pub body: Body<'a>,
}

impl<'a> Entry<'a> {
    /// Decodes the arguments of SyncShare.
    pub(in crate::wire) fn decode_share(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let info_hash = arguments.info_hash()?;
        let file =
            FileInfo { name: arguments.text()?, length: arguments.u64()?, chunk_size: arguments.u32()? }.checked()?;
        let version = arguments.version()?.ok_or(NO_VERSION)?;
        arguments.end()?;
        Ok(Self { info_hash, version, body: Body::File(file) })
    }

    /// Decodes the arguments of SyncAddSeeder and SyncRemoveSeeder.
    pub(in crate::wire) fn decode_seeder(mut arguments: Arguments<'a>, removed: bool) -> Result<Self, DecodeError> {
        let info_hash = arguments.info_hash()?;
        let endpoint = arguments.endpoint()?;
        let version = arguments.version()?.ok_or(NO_VERSION)?;
        arguments.end()?;
        Ok(Self { info_hash, version, body: if removed { Body::Removed(endpoint) } else { Body::Seeder(endpoint) } })
    }

    /// Decodes one argument of a SyncSeederListResponse.
    pub(super) fn from_bytes(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (&[kind], rest) = bytes.split_first_chunk().ok_or(ENTRY)?;
        let (info_hash, rest) = rest.split_first_chunk().ok_or(ENTRY)?;
        let (version, rest) = rest.split_first_chunk().ok_or(ENTRY)?;
        let endpoint = || Endpoint::from_bytes(rest).ok_or(ENTRY);
        let body = match kind {
            0 => Body::File(FileInfo::from_bytes(rest)?),
            1 => Body::Seeder(endpoint()?),
            2 => Body::Removed(endpoint()?),
            _ => return Err(ENTRY),
        };
        Ok(Self { info_hash: InfoHash(*info_hash), version: Version::from_bytes(*version), body })
    }

    /// Writes one argument of a SyncSeederListResponse, with its size.
    pub(super) fn write(&self, sink: &mut impl Sink) {
        let mut bytes = [0; 18];
        let (kind, len) = match self.body {
            Body::File(file) => (0, 12 + file.name.len()),
            Body::Seeder(endpoint) => (1, endpoint.to_bytes(&mut bytes).len()),
            Body::Removed(endpoint) => (2, endpoint.to_bytes(&mut bytes).len()),
        };
        sink.size(ENTRY_FIXED_LEN + len);
        sink.raw(&[kind]);
        sink.raw(&self.info_hash.0);
        sink.raw(&self.version.to_bytes());
        match self.body {
            Body::File(file) => {
                sink.raw(&file.length.to_be_bytes());
                sink.raw(&file.chunk_size.to_be_bytes());
                sink.raw(file.name.as_bytes());
            }
            Body::Seeder(_) | Body::Removed(_) => sink.raw(&bytes[..len]),
        }
    }
}

impl Payload for Entry<'_> {
    /// Writes the arguments of SyncShare, SyncAddSeeder or SyncRemoveSeeder.
    fn write(&self, sink: &mut impl Sink) {
        sink.bytes(&self.info_hash.0);
        match self.body {
            Body::File(file) => {
                sink.bytes(file.name.as_bytes());
                sink.bytes(&file.length.to_be_bytes());
                sink.u32(file.chunk_size);
            }
            Body::Seeder(endpoint) | Body::Removed(endpoint) => sink.endpoint(endpoint),
        }
        sink.version(Some(self.version));
    }
}

impl<'a> FileInfo<'a> {
    fn from_bytes(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (length, rest) = bytes.split_first_chunk().ok_or(ENTRY)?;
        let (chunk_size, name) = rest.split_first_chunk().ok_or(ENTRY)?;
        let name = std::str::from_utf8(name).map_err(|_| ENTRY)?;
        Self { name, length: u64::from_be_bytes(*length), chunk_size: u32::from_be_bytes(*chunk_size) }.checked()
    }

    fn checked(self) -> Result<Self, DecodeError> {
        check_name(self.name).map_err(|_| FILE)?;
        Geometry::new(self.length, self.chunk_size).and_then(Geometry::transferable).map_err(|_| FILE)?;
        Ok(self)
    }
}

const NO_VERSION: DecodeError = DecodeError::BadArguments("the version is missing");
const ENTRY: DecodeError = DecodeError::BadArguments("an entry is malformed");
const FILE: DecodeError = DecodeError::BadArguments("an entry's file cannot be");
