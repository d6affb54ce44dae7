//! What lies beside an unfinished download, and what tells one state of a file from another.

#[path = "../../../src/storage/identity.rs"]
pub mod identity;
#[path = "../../../src/storage/record.rs"]
pub mod record;

pub use identity::Identity;
