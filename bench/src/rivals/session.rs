//! A contestant that is ready: its servers run, and its getter's command line is complete.

use std::path::PathBuf;
use std::process::Command;

use super::peer_list::PeerList;
use crate::harness::child::Child;

/// Servers that run and one getter that was not started. Dropping it ends the servers.
#[derive(Debug)]
pub struct Session {
    /// Seeders, trackers, daemons: their CPU time counts as the sending side's.
    pub servers: Vec<Child>,
    /// The measured command.
    pub getter: Command,
    /// Criterion for the end of the getter.
    pub end: End,
    /// Source of the rate.
    pub rate: Rate,
    /// Check of the copy.
    pub proof: Proof,
    /// The BitTorrent tracker, for contestants that need one.
    pub peer_list: Option<PeerList>,
}

/// Criterion for the end of a getter.
#[derive(Debug)]
pub enum End {
    /// The getter exits with code 0.
    Exit,
    /// This file appears, for a getter that continues to seed. It is then ended.
    Marker(PathBuf),
}

/// Source of the rate of a run.
#[derive(Debug, Clone, Copy)]
pub enum Rate {
    /// The source's size divided by the wall time from exec to end.
    Wall,
    /// Bytes a second as reported in the getter's own output.
    Reported(fn(&str) -> Option<f64>),
}

/// Check of a copy.
#[derive(Debug)]
pub enum Proof {
    /// Every byte of this file is compared with the source.
    Bytes(PathBuf),
    /// No copy was kept, but the getter exits with 0 only if every chunk had the right SHA-1.
    Hashed,
    /// No copy was kept: the getter's output reports how many bytes it received.
    Count(fn(&str) -> Option<u64>),
    /// A limit, not a copy of the source.
    None,
}

impl Session {
    /// A session whose getter exits when it has downloaded the file to `copy`.
    pub fn copy(servers: Vec<Child>, getter: Command, copy: PathBuf) -> Self {
        Self { servers, getter, end: End::Exit, rate: Rate::Wall, proof: Proof::Bytes(copy), peer_list: None }
    }

    /// A session that measures a limit: the program's output reports the rate.
    pub fn limit(servers: Vec<Child>, program: Command, rate: fn(&str) -> Option<f64>) -> Self {
        Self {
            servers,
            getter: program,
            end: End::Exit,
            rate: Rate::Reported(rate),
            proof: Proof::None,
            peer_list: None,
        }
    }
}
