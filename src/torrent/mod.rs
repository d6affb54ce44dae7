//! The files that this process has, in whole or in part: what every core knows of one, and the list of all.
//!
//! It stands below `download`, which fills a torrent, and `upload`, which serves it; neither knows the other.

mod content;
mod registry;
mod state;
mod unreadable;

pub(crate) use content::Content;
pub(crate) use registry::{Registry, RegistryError};
pub(crate) use state::Torrent;
