//! The files that this process has, in whole or in part: the shared state of each, and the registry of all.
//!
//! This layer is below `download`, which fills a torrent, and `upload`, which serves it; neither of the two knows the
//! other.

mod activity;
mod content;
mod registry;
mod state;
mod unreadable;

pub use activity::PeerActivity;
pub(crate) use content::Content;
pub(crate) use registry::{Registry, RegistryError};
pub(crate) use state::Torrent;
