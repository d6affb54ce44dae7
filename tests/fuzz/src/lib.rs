//! The layers of mtorrent that read what others wrote, compiled from its own files, and what must hold of them for any
//! bytes.
//!
//! Not a dependency on the whole crate: its runtime, store and command line take minutes to build with the
//! fuzzer's flags, and nothing here calls them.

#![allow(dead_code, reason = "the files hold more than what is fuzzed")]

// The files below and the checks say `crate::` and `mtorrent::`; both are this crate.
extern crate self as mtorrent;

#[path = "../../../src/bitfield.rs"]
pub mod bitfield;
pub mod checks;
pub mod console;
#[path = "../../../src/direction.rs"]
pub mod direction;
#[path = "../../../src/filename.rs"]
pub mod filename;
#[path = "../../../src/geometry.rs"]
pub mod geometry;
pub mod hash;
#[path = "../../../src/ids.rs"]
pub mod ids;
#[path = "../../../src/limits.rs"]
pub mod limits;
#[path = "../../../src/metainfo/mod.rs"]
pub mod metainfo;
pub mod node;
pub mod repl;
pub mod saved;
pub mod storage;
pub mod sync;
#[path = "../../../src/text.rs"]
pub mod text;
pub mod tracker;
#[path = "../../../src/wire/mod.rs"]
pub mod wire;
