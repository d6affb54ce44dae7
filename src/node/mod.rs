//! A running client: its shares, its downloads, and the cores that do the work.
//!
//! [`Node`] is a handle for plain threads (command line, REPL, signals). A call reads a snapshot, or sends an
//! instruction to core 0; no call waits for the network. Later results arrive as an [`Event`].
//!
//! Core 0 runs the supervisors of downloads and shares, and the watch over their files. Every core runs a worker, which
//! serves connections and its shards of all downloads. Code here must never print, exit or depend on the command line.

mod announcers;
mod chunk_map;
mod config;
mod context;
mod data_dir;
mod download_entry;
mod download_folder;
mod download_supervisor;
mod error;
mod event;
mod event_sender;
mod file_watch;
mod first_core;
mod folder_mark;
mod handle;
mod inspection;
mod instruction;
mod lists;
mod mover;
mod moving;
mod observer;
mod peer_status;
mod persistence;
mod pools;
mod request;
mod saved;
mod share_check;
mod share_entry;
mod share_state;
mod share_supervisor;
mod status;
mod supervisor;
mod tracker_status;
mod views;
mod waiting_download;
mod worker;

pub use crate::direction::Direction;
pub use crate::download::{Cause, DownloadState, Failure, FailureKind, TimeSpent, Why};
pub use crate::net::RateLimits;
pub use crate::swarm::Strategy;
pub use crate::tracker_client::{TrackerChange, TrackerTrouble};

pub use chunk_map::{Cell, FileStatus};
pub use config::{NodeConfig, RateSetting};
pub use error::NodeError;
pub use event::Event;
pub use handle::Node;
pub(crate) use observer::{ByClass, DownloadFigures, NodeObserver};
pub use peer_status::{PeerActivity, PeerClass, PeerStatus};
pub use request::{DownloadRequest, MoveTarget, Moving, ShareRequest, Verified};
pub use status::{DownloadId, DownloadStatus, ShareStatus};
pub use tracker_status::{TrackerState, TrackerStatus};
