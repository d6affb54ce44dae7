//! Shared parts of all races: children that are measured and ended, required programs, selection of contestants, the
//! file to be downloaded, a network of the run's own, statistics, and the parts of a run's folder.
//!
//! This module must not know any contestant, nor what is measured.

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
