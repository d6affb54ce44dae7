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
//! This is the form in which the program writes it, with sorted keys and a piece length that is a power of two from 256
//! KiB to 16 MiB. From other programs it reads everything that describes one file: keys in any order, bytes after the
//! end, a `files` list of one entry, `name.utf-8`, a name that is not a valid file name (then [`Metainfo::file_name`]
//! returns the reason), and the version 1 part of a hybrid whose version 2 part (BEP 52) describes the same file. A
//! file that contradicts itself is refused.
//!
//! All other keys (`announce`, `private`, `created by`, ...) have no meaning here and are preserved. Reading is
//! bounded: at most [`crate::limits::METAINFO_BYTES_MAX`] bytes.
//!
//! Pure: no files, no clock. This module must never know the wire, and must never panic on external bytes.

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
