//! The files that this process has, in whole or in part: what every core knows of one, and the list of all.
//!
//! It stands below `download`, which fills a torrent, and `upload`, which serves it; neither knows the other.

mod content;
mod registry;
mod state;
mod unreadable;

pub use content::Content;
pub use registry::{Registry, RegistryError};
pub use state::Torrent;
