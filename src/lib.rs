//! mtorrent: the fastest way to get one large file onto many Linux servers, every byte verified.
//!
//! # A chunk's journey
//!
//! `get` parses the `.mtorrent` file ([`metainfo`]), asks the trackers for the seeders ([`tracker_client`]) and opens a
//! control connection to each ([`download`]). What the peers have goes into the download's [`swarm`] session on core 0,
//! which is pure: it keeps the map *chunk -> peers* and decides which peer to ask for which chunk, how much to keep in
//! flight with a peer, and what to ask of a second one. A request travels on a data connection of one core. That core
//! receives the answer from the socket straight into a DMA buffer ([`net`], [`wire`]), hashes it there together with its
//! neighbours ([`hash`]), writes the same buffer to the disk with O_DIRECT ([`storage`]), and only then sets the chunk's
//! bit; `download::pipeline` holds these steps in one place, and only what its verifier has matched can take them. From
//! the first bit on, [`upload`] serves the chunk to other peers, from memory while it is there, else from the file;
//! [`swarm::uploads`] decides for the whole process which request is answered next. A blocking thread turns written
//! chunks into a durable record in batches, and the finished file gets its name by one rename.
//!
//! # A request's journey at the tracker
//!
//! [`tracker::server`] serves each connection on the core that accepted it. The poll loop receives from ready
//! connections in small groups, cuts what they sent into frames once, prefetches the records that these name, and
//! answers each connection in one piece. A request for a file of another core travels there in a batch, and its reply
//! joins the others of its connection. [`tracker::table`] is the file table with its rules; an acknowledgement leaves
//! when [`tracker::store`] has made the change durable.
//!
//! # Layers
//!
//! Imports run downwards only, and no files import each other in a circle; `tests/tidy.rs` reads this table and checks.
//! Rooms that a `|` divides do not know each other.
//!
//! ```text layers
//! cli                                       what a person types, flag by flag; a command a file
//! config                                    pure: the format of the configuration file
//! repl                                      the front ends of a running client: a terminal, a pipe
//! control                                   a running program from outside: its commands, whoever gives them; HTTP
//! console                                   what both share: the only place that prints or ends the process
//! node                                      a running client: shares, downloads, events, its cores
//! tracker::server | download, upload        effects around the pure parts: sockets, files, clocks
//! tracker::store | tracker_client, torrent  the table on the disk; talking to trackers; the files that are here
//! rpc                                       frames over connections
//! tracker | swarm                           pure: they take `now` and a seeded generator
//! storage, hash                             files, chunk memory, SIMD
//! wire | metainfo                           pure: formats
//! runtime, net                              thin layers over the executors and sockets; they know no format
//! ids, geometry, bitfield, filename, direction, text, metrics  plain values
//! limits                                    every bound
//! ```
//!
//! # Invariants
//!
//! - A chunk is counted, served or recorded only after its SHA-1 matched the metainfo.
//! - A record on disk never claims a chunk that the disk does not hold.
//! - No lock is taken on the way of a byte: cores share atomics and messages, and one short lock a chunk where the
//!   process decides what it sends next.
//! - Every queue, buffer, map and wait is bounded, and the bound stands in [`limits`].
//! - Nothing from outside panics a thread: it is parsed into a type, or answered by an error.

#![deny(unsafe_code)]
// The docs are for those who build this: they are made with --document-private-items.
#![allow(rustdoc::private_intra_doc_links)]
#![warn(missing_docs, unreachable_pub)]

pub mod bitfield;
pub mod cli;
pub(crate) mod config;
pub mod console;
pub(crate) mod control;
pub(crate) mod direction;
pub(crate) mod download;
pub mod filename;
pub mod geometry;
pub mod hash;
pub mod ids;
pub mod limits;
pub mod metainfo;
pub(crate) mod metrics;
pub(crate) mod net;
pub mod node;
pub(crate) mod repl;
pub(crate) mod rpc;
pub(crate) mod runtime;
pub mod storage;
pub mod swarm;
pub(crate) mod text;
pub(crate) mod torrent;
pub mod tracker;
pub(crate) mod tracker_client;
pub(crate) mod upload;
pub mod wire;
