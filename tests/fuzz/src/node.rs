//! State of a client on disk.

#[path = "../../../src/node/folder_mark.rs"]
pub mod folder_mark;
#[path = "../../../src/node/saved.rs"]
pub mod saved;
