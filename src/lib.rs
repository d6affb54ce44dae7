//! mtorrent: the fastest way to get one large file onto many Linux servers, every byte verified.
//!
//! # A chunk's journey
//!
//! `get` parses the `.mtorrent` file ([`metainfo`]), asks the trackers for the seeders and opens one
//! control connection to each ([`download`]). What the seeders hold fills the 2-D map *chunk -> peers*
//! of the picker, one picker a core: chunk `i` belongs to one core for good. The picker names a chunk
//! and a random peer that holds it; the owning core sends the request on a data connection of its own,
//! receives the answer from the socket straight into a DMA buffer ([`net`], [`wire`]), hashes it there
//! together with its neighbours ([`hash`]), writes the same buffer to the disk with O_DIRECT
//! ([`storage`]) and only then sets the chunk's bit. From the first bit on, [`peer`] serves the chunk
//! to others, from memory while it is there, else from the file. The disk thread turns written chunks
//! into a durable record in batches, and the finished file gets its name in one rename.
//!
//! # Layers (imports run downwards only; `tests/tidy.rs` checks)
//!
//! ```text
//! cli, repl                       what a person types; the only place that prints or exits
//! client                          a running client: shares, downloads, events; joins threads and cores
//! tracker::server | peer | announce | download::driver      effects: sockets, files, clocks
//! runtime, net, storage, hash     thin layers over glommio, sockets, files, SIMD
//! tracker (table, rules) | download (picker, session)     pure: take `now` and a seeded RNG
//! wire | metainfo                 formats; they do not know each other
//! ids, limits, filename, geometry, bitfield, text
//! ```
//!
//! # Invariants
//!
//! - A chunk is counted, served or recorded only after its SHA-1 matched the metainfo.
//! - A record on disk never claims a chunk that the disk does not hold.
//! - No lock is taken on the way of a byte; cores share atomics and messages only.
//! - Every queue, buffer, map and wait is bounded, and the bound stands in [`limits`].
//! - Nothing from outside panics a thread: it is parsed into a type, or answered by an error.

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod announce;
pub mod bitfield;
pub mod cli;
pub mod client;
pub mod download;
pub mod filename;
pub mod geometry;
pub mod hash;
pub mod ids;
pub mod limits;
pub mod metainfo;
pub mod net;
pub mod peer;
pub mod repl;
pub mod runtime;
pub mod storage;
pub mod swarm;
pub mod text;
pub mod tracker;
pub mod wire;
