//! The record of an unfinished download, and the identity of a file.

#[path = "../../../src/storage/identity.rs"]
pub mod identity;
#[path = "../../../src/storage/record.rs"]
pub mod record;

pub use identity::Identity;
