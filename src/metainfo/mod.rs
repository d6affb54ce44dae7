//! The `.mtorrent` file: a BitTorrent version 1 metainfo (BEP 3) of a single file, with our trackers in it.
//!
//! ```text
//! root                 dictionary
//! ├─ info              dictionary; SHA-1 over its bytes as they stand in the file is the info hash
//! │  ├─ length         integer: bytes of the file
//! │  ├─ name           string: UTF-8, one path component of 1 to 255 bytes
//! │  ├─ piece length   integer: bytes of a chunk, from 16 KiB to 256 MiB
//! │  └─ pieces         string: SHA-1 of each chunk, 20 bytes each, in order
//! └─ mtorrent trackers list of strings HOST:PORT; may be absent
//! ```
//!
//! So it is written, with sorted keys and a piece length that is a power of two from 256 KiB to 16 MiB. Of what others
//! write, all that means one file is read: keys in any order, bytes behind the end, a `files` list of one entry,
//! `name.utf-8`, a name that cannot be a file's (then [`Metainfo::file_name`] says why), and the version 1 part of a
//! hybrid whose version 2 part (BEP 52) describes the same file. What contradicts itself is refused.
//!
//! All other keys (`announce`, `private`, `created by`, ...) mean nothing to us and are kept as they are. Reading is
//! bounded: at most [`crate::limits::METAINFO_BYTES_MAX`] bytes.
//!
//! Pure: no files, no clock. Must never know the wire; must never panic on bytes from outside.

mod bencode;
mod error;
mod file;
mod hybrid;
mod keys;
#[cfg(test)]
mod tests;
mod torrent_file;
mod tracker_address;

pub use bencode::{BencodeError, BencodeFault};
pub use error::MetainfoError;
pub use torrent_file::Metainfo;
pub use tracker_address::{TrackerAddressError, check_tracker_address};
