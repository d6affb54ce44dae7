//! State of a client on disk.

#[path = "../../../src/node/folder_mark.rs"]
pub mod folder_mark;
#[path = "../../../src/node/saved.rs"]
pub mod saved;

/// What the files above take from the rest of the node.
pub mod status {
    /// Number of a download.
    pub type DownloadId = u32;
}
pub use status::DownloadId;
