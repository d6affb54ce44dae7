//! What trackers say to each other: the byte table of every Sync argument, and its codec.
//!
//! # Messages
//!
//! A link is a connection that one tracker dials to another. Its dialler sends requests and pushes its changes;
//! the other side answers each frame by exactly one, in order. Whoever accepted a link dials one back, so that
//! between two trackers there is a link in each direction.
//!
//! | type | arguments, in order | answered by |
//! |---|---|---|
//! | `SyncHello` | protocol u32, tracker id u64, lease u64, tombstone life u64, endpoint, nonce, proof | `SyncHello`, or `Response` |
//! | `SyncShare` | info hash, name, length u64, chunk size u32, version | `Response` |
//! | `SyncAddSeeder` | info hash, endpoint, version | `Response` |
//! | `SyncRemoveSeeder` | info hash, endpoint, version | `Response` |
//! | `SyncSeederListRequest` | cursor, cut-off u64, digests | `SyncSeederListResponse` |
//! | `SyncSeederListResponse` | status, next cursor, then one entry an argument, none or more | |
//!
//! | argument | bytes |
//! |---|---|
//! | protocol | u32: 1 |
//! | tracker id | u64: random, kept with the store |
//! | lease, tombstone life | u64: milliseconds that a seeder and the record of a removal live |
//! | endpoint, in `SyncHello` | where the sender listens, to be dialled back; the unspecified address means "where you see me" |
//! | nonce | 16 random bytes, new for each link |
//! | proof | 32: HMAC-SHA-256 by the group key, see below; or none |
//! | version | 16, never none: of the entry that is passed on |
//! | cursor | 10: bucket u16 (below 4,096), tag u32, skip u32. A bucket's start is tag 0, skip 0; tag and skip are the answering tracker's own, and are sent back as they came |
//! | next cursor | 10; or none when all buckets of the request are done |
//! | cut-off | u64: milliseconds since 1970. Entries that end at it or before are left out of the digests |
//! | digests | 16 each, 256 at most, in one argument: one a bucket, from the cursor's on, none behind bucket 4,095 |
//! | entry | as below |
//!
//! ```text
//!  0      1           21        37
//!  +------+-----------+---------+----------------------------------------------+
//!  | kind | info hash | version | kind 0, a file: length u64, chunk size u32,  |
//!  | u8   | 20        | 16      |     name (the rest)                          |
//!  |      |           |         | kind 1, a seeder: endpoint 6 or 18           |
//!  |      |           |         | kind 2, a removed seeder: endpoint 6 or 18   |
//!  +------+-----------+---------+----------------------------------------------+
//! ```
//!
//! - The bucket of an entry is the first 12 bits of its info hash. A bucket's digest is the XOR over its entries
//!   of the first 16 bytes of SHA-1 over: kind; info hash; for a file length, chunk size and name, for the others
//!   the endpoint; version. Where there is a group key, one block comes before it: HMAC-SHA-256, by that key, over
//!   `digests`, and 32 zeros.
//! - A response holds entries of buckets whose digests differ from those of the request. It may end anywhere, and
//!   hold none: the next request goes on at the next cursor, with digests from that bucket on. Responses are 1 MiB
//!   at most; all other messages of a link 64 KiB.
//! - `SyncSeederListRequest` without digests asks for nothing: it shows that both sides live, and by its cut-off what the
//!   sender's clock says. So does the version in the `Response` that opens a link.
//!
//! # Opening a link
//!
//! ```text
//!  dialler                                       acceptor
//!  SyncHello, no proof                  ->
//!                                       <-       SyncHello, proof A         (or Response 5: a mismatch)
//!  SyncHello, same nonce, proof D       ->
//!                                       <-       Response 0                 (or Response 5: a wrong proof)
//! ```
//!
//! A proof is HMAC-SHA-256, by the group key, over: one byte (`D` or `A`), the dialler's nonce, the acceptor's
//! nonce, then protocol, tracker id, lease and tombstone life of whoever proves, as they stand in its hello. A
//! tracker without a group key sends no proof, and links with loopback addresses only. Protocol, lease and
//! tombstone life must be the same on both sides. Any other Sync message before the link is open is answered by
//! `Response` 5. A dialler may send `SyncHello` without a proof again on an open link: it has changes that it
//! could not keep, and asks to be repaired from; the answer is `Response`.

use std::fmt;

use bytes::BufMut;

use crate::filename::check_name;
use crate::geometry::Geometry;
use crate::ids::{Endpoint, InfoHash, TrackerId, Version};
use crate::limits::{REPAIR_BUCKETS_MAX, SYNC_ENTRIES_MAX};

use super::arguments::{Arguments, Buffer, Payload, SIZE_LEN, Sink};
use super::{DecodeError, Status};

/// What this program speaks.
pub const SYNC_PROTOCOL: u32 = 1;
/// Buckets of a table: the first 12 bits of the info hash.
pub const SYNC_BUCKETS: usize = 4096;
/// Bytes of a proof.
pub const PROOF_LEN: usize = 32;

/// Opens a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncHello<'a> {
    /// What the sender speaks.
    pub protocol: u32,
    /// Who it is.
    pub tracker: TrackerId,
    /// Its life of a seeder, milliseconds.
    pub lease_ms: u64,
    /// Its life of a removal's record, milliseconds.
    pub tombstone_ms: u64,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Random, new for each link.
    pub nonce: [u8; 16],
    /// That it has the group's key.
    pub proof: Option<&'a [u8; PROOF_LEN]>,
}

impl<'a> SyncHello<'a> {
    pub(super) fn decode(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let hello = Self {
            protocol: arguments.u32()?,
            tracker: TrackerId(arguments.u64()?),
            lease_ms: arguments.u64()?,
            tombstone_ms: arguments.u64()?,
            endpoint: arguments.endpoint()?,
            nonce: arguments.id()?,
            proof: match arguments.bytes()? {
                [] => None,
                bytes => Some(bytes.try_into().map_err(|_| PROOF)?),
            },
        };
        arguments.end()?;
        Ok(hello)
    }
}

impl Payload for SyncHello<'_> {
    fn write(&self, sink: &mut impl Sink) {
        sink.u32(self.protocol);
        for value in [self.tracker.0, self.lease_ms, self.tombstone_ms] {
            sink.bytes(&value.to_be_bytes());
        }
        sink.endpoint(self.endpoint);
        sink.bytes(&self.nonce);
        sink.bytes(self.proof.map_or(&[], |proof| &proof[..]));
    }
}

/// What a Share says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileInfo<'a> {
    /// One path component, 1 to 255 bytes of UTF-8.
    pub name: &'a str,
    /// Bytes of the file.
    pub length: u64,
    /// Bytes of a chunk, a power of two.
    pub chunk_size: u32,
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// What the file is. Never removed; it lapses.
    File(FileInfo<'a>),
    /// The endpoint seeds the file until its lease ends.
    Seeder(Endpoint),
    /// The endpoint was removed.
    Removed(Endpoint),
}

/// One statement about one file: what trackers keep and tell each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The file.
    pub info_hash: InfoHash,
    /// When it was said, and by whom.
    pub version: Version,
    /// What is said.
    pub body: Body<'a>,
}

impl<'a> Entry<'a> {
    /// The arguments of SyncShare.
    pub(super) fn decode_share(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let info_hash = arguments.info_hash()?;
        let file =
            FileInfo { name: arguments.text()?, length: arguments.u64()?, chunk_size: arguments.u32()? }.checked()?;
        let version = arguments.version()?.ok_or(NO_VERSION)?;
        arguments.end()?;
        Ok(Self { info_hash, version, body: Body::File(file) })
    }

    /// The arguments of SyncAddSeeder and SyncRemoveSeeder.
    pub(super) fn decode_seeder(mut arguments: Arguments<'a>, removed: bool) -> Result<Self, DecodeError> {
        let info_hash = arguments.info_hash()?;
        let endpoint = arguments.endpoint()?;
        let version = arguments.version()?.ok_or(NO_VERSION)?;
        arguments.end()?;
        Ok(Self { info_hash, version, body: if removed { Body::Removed(endpoint) } else { Body::Seeder(endpoint) } })
    }

    /// One argument of a SyncSeederListResponse.
    fn from_bytes(bytes: &'a [u8]) -> Result<Self, DecodeError> {
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

    /// One argument of a SyncSeederListResponse, its size before it.
    fn write(&self, sink: &mut impl Sink) {
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
    /// The arguments of SyncShare, SyncAddSeeder or SyncRemoveSeeder.
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

/// Where a page starts: a bucket, and what to skip in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Number of the bucket.
    pub bucket: u16,
    /// The answering tracker's own order of records; 0 at the bucket's start.
    pub tag: u32,
    /// Entries to skip from there.
    pub skip: u32,
}

impl Cursor {
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes: [u8; 10] = bytes.try_into().map_err(|_| CURSOR)?;
        let [b0, b1, t0, t1, t2, t3, s0, s1, s2, s3] = bytes;
        let bucket = u16::from_be_bytes([b0, b1]);
        if usize::from(bucket) >= SYNC_BUCKETS {
            return Err(CURSOR);
        }
        Ok(Self { bucket, tag: u32::from_be_bytes([t0, t1, t2, t3]), skip: u32::from_be_bytes([s0, s1, s2, s3]) })
    }

    fn write(self, sink: &mut impl Sink) {
        sink.size(10);
        sink.raw(&self.bucket.to_be_bytes());
        sink.raw(&self.tag.to_be_bytes());
        sink.raw(&self.skip.to_be_bytes());
    }
}

/// Asks for what differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListRequest<'a> {
    /// Where to start.
    pub start: Cursor,
    /// What ends at this time or before is in no digest, milliseconds since 1970.
    pub cut_off_ms: u64,
    /// The asker's digests, from the start's bucket on.
    pub digests: Digests<'a>,
}

impl<'a> ListRequest<'a> {
    pub(super) fn decode(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let start = Cursor::decode(arguments.bytes()?)?;
        let cut_off_ms = arguments.u64()?;
        let (digests, []) = arguments.bytes()?.as_chunks() else { return Err(DIGESTS) };
        arguments.end()?;
        if digests.len() > REPAIR_BUCKETS_MAX || usize::from(start.bucket) + digests.len() > SYNC_BUCKETS {
            return Err(DIGESTS);
        }
        Ok(Self { start, cut_off_ms, digests: Digests(DigestsSource::Wire(digests)) })
    }
}

impl Payload for ListRequest<'_> {
    fn write(&self, sink: &mut impl Sink) {
        self.start.write(sink);
        sink.bytes(&self.cut_off_ms.to_be_bytes());
        sink.size(16 * self.digests.len());
        self.digests.iter().for_each(|digest| sink.raw(&digest.to_be_bytes()));
    }
}

/// Digests of neighbouring buckets: a view over a frame's bytes, or over a slice that is to be sent.
#[derive(Clone, Copy)]
pub struct Digests<'a>(DigestsSource<'a>);

#[derive(Clone, Copy)]
enum DigestsSource<'a> {
    Wire(&'a [[u8; 16]]),
    Slice(&'a [u128]),
}

impl<'a> Digests<'a> {
    /// The digests in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u128> + use<'a> {
        let source = self.0;
        (0..self.len()).map(move |at| match source {
            DigestsSource::Wire(digests) => u128::from_be_bytes(digests[at]),
            DigestsSource::Slice(digests) => digests[at],
        })
    }

    /// Number of digests.
    pub fn len(&self) -> usize {
        match self.0 {
            DigestsSource::Wire(digests) => digests.len(),
            DigestsSource::Slice(digests) => digests.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> From<&'a [u128]> for Digests<'a> {
    fn from(digests: &'a [u128]) -> Self {
        Self(DigestsSource::Slice(digests))
    }
}

impl PartialEq for Digests<'_> {
    fn eq(&self, other: &Digests<'_>) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Digests<'_> {}

impl fmt::Debug for Digests<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A page of what differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListResponse<'a> {
    /// How it went.
    pub status: Status,
    /// Where to go on; `None` when all buckets of the request are done.
    pub next: Option<Cursor>,
    /// The entries.
    pub entries: Entries<'a>,
}

impl<'a> ListResponse<'a> {
    pub(super) fn decode(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let status = arguments.status()?;
        let next = match arguments.bytes()? {
            [] => None,
            bytes => Some(Cursor::decode(bytes)?),
        };
        let entries = Entries::decode(arguments)?;
        if !status.is_ok() && (next.is_some() || !entries.is_empty()) {
            return Err(DecodeError::BadArguments("an error comes with entries"));
        }
        Ok(Self { status, next, entries })
    }
}

impl Payload for ListResponse<'_> {
    fn write(&self, sink: &mut impl Sink) {
        sink.status(self.status);
        match self.next {
            Some(next) => next.write(sink),
            None => sink.bytes(&[]),
        }
        sink.raw(self.entries.0.rest());
    }
}

/// The entries of a page: a view over the arguments of a frame or of a [`EntriesBuffer`]; all were checked.
#[derive(Clone, Copy)]
pub struct Entries<'a>(Arguments<'a>);

impl<'a> Entries<'a> {
    fn decode(arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let mut unchecked = arguments;
        let mut count = 0;
        while !unchecked.is_empty() {
            Entry::from_bytes(unchecked.bytes()?)?;
            count += 1;
        }
        if count > SYNC_ENTRIES_MAX {
            return Err(DecodeError::BadArguments("there are too many entries"));
        }
        Ok(Self(arguments))
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let mut arguments = self.0;
        // Only the end is an error here: the entries were checked.
        std::iter::from_fn(move || Entry::from_bytes(arguments.bytes().ok()?).ok())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Entries<'_> {
    fn eq(&self, other: &Entries<'_>) -> bool {
        self.0.rest() == other.0.rest()
    }
}

impl Eq for Entries<'_> {}

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Where a page is put together.
#[derive(Clone, Debug, Default)]
pub struct EntriesBuffer {
    bytes: Vec<u8>,
}

impl EntriesBuffer {
    /// One without entries.
    pub const NONE: Self = Self { bytes: Vec::new() };

    /// Adds an entry; its name and sizes are those of a file.
    pub fn push(&mut self, entry: &Entry<'_>) {
        entry.write(&mut Buffer(&mut self.bytes));
    }

    /// Bytes that the entries take in a frame.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Empties it, and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The entries, to be sent.
    pub fn entries(&self) -> Entries<'_> {
        Entries(Arguments::new(&self.bytes))
    }
}

/// What a proof is made over: who proves (`D` dialler, `A` acceptor), both nonces, and its hello.
pub fn proof_text(role: u8, dialler: [u8; 16], acceptor: [u8; 16], hello: &SyncHello<'_>) -> [u8; PROOF_TEXT_LEN] {
    let mut text = [0; PROOF_TEXT_LEN];
    let mut out = &mut text[..];
    out.put_u8(role);
    out.put_slice(&dialler);
    out.put_slice(&acceptor);
    out.put_u32(hello.protocol);
    out.put_u64(hello.tracker.0);
    out.put_u64(hello.lease_ms);
    out.put_u64(hello.tombstone_ms);
    text
}

/// Bytes of [`proof_text`].
pub const PROOF_TEXT_LEN: usize = 1 + 16 + 16 + 4 + 8 + 8 + 8;

/// Kind, info hash and version of an entry.
const ENTRY_FIXED_LEN: usize = 1 + 20 + 16;
/// Bytes of the smallest entry in a frame.
const ENTRY_LEN_MIN: usize = SIZE_LEN + ENTRY_FIXED_LEN + 6;

const _: () = assert!(SYNC_ENTRIES_MAX * ENTRY_LEN_MIN >= crate::limits::SYNC_PAGE_BYTES);

const PROOF: DecodeError = DecodeError::BadArguments("the proof does not have 32 or 0 bytes");
const NO_VERSION: DecodeError = DecodeError::BadArguments("the version is missing");
const ENTRY: DecodeError = DecodeError::BadArguments("an entry is malformed");
const FILE: DecodeError = DecodeError::BadArguments("an entry's file cannot be");
const CURSOR: DecodeError =
    DecodeError::BadArguments("the cursor does not have 10 bytes, or is behind the last bucket");
const DIGESTS: DecodeError =
    DecodeError::BadArguments("the digests do not have 16 bytes each, or are too many for one request");
