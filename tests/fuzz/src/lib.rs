//! The layers of mtorrent that read external input, compiled from the program's own files, with the invariants that
//! must hold for arbitrary bytes.
//!
//! This crate does not depend on the whole program, whose runtime, store and command line take minutes to build with
//! the fuzzer's flags, and are not called here.

#![allow(dead_code, reason = "the files hold more than what is fuzzed")]

// The files below and the checks use `crate::` and `mtorrent::`; both are this crate.
extern crate self as mtorrent;

#[path = "../../../src/bitfield.rs"]
pub mod bitfield;
pub mod checks;
pub mod console;
pub mod control;
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
pub mod saved;
pub mod storage;
pub mod sync;
#[path = "../../../src/text.rs"]
pub mod text;
pub mod tracker;
#[path = "../../../src/wire/mod.rs"]
pub mod wire;
