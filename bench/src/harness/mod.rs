//! What all races share: children that are measured and ended, what must be installed, who takes part, the file that is
//! fetched, a network of the run's own, statistics, and the parts of a run's folder.
//!
//! It must not know any contestant, nor what is measured.

pub mod child;
mod error;
pub mod files;
pub mod interrupt;
pub mod lock;
pub mod machine;
pub mod network;
pub mod options;
pub mod picture;
pub mod ports;
pub mod process_tree;
pub mod program;
pub mod python;
pub mod report;
pub mod selection;
pub mod source;
pub mod statistics;
pub mod torrent;

pub use error::Error;
