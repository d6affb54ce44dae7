//! A contestant that is ready: its servers run, its getter's command line is written.

use std::path::PathBuf;
use std::process::Command;

use super::peer_list::PeerList;
use crate::harness::child::Child;

/// Servers that are up and one getter that is not. Dropping it ends the servers.
#[derive(Debug)]
pub struct Session {
    /// Seeders, trackers, daemons: their CPU counts as the sending side's.
    pub servers: Vec<Child>,
    /// What the clock runs for.
    pub getter: Command,
    /// When the getter is done.
    pub end: End,
    /// Where its rate comes from.
    pub rate: Rate,
    /// How its copy is judged.
    pub proof: Proof,
    /// The BitTorrent tracker, for those that need one.
    pub peer_list: Option<PeerList>,
}

/// When a getter is done.
#[derive(Debug)]
pub enum End {
    /// When it exits with code 0.
    Exit,
    /// When this file appears: for a getter that goes on seeding. It is then ended.
    Marker(PathBuf),
}

/// Where the rate of a run comes from.
#[derive(Debug, Clone, Copy)]
pub enum Rate {
    /// The source's size by the wall time from exec to end.
    Wall,
    /// Bytes a second as the getter's own output says.
    Reported(fn(&str) -> Option<f64>),
}

/// How a copy is judged.
#[derive(Debug)]
pub enum Proof {
    /// Every byte of this file is compared with the source.
    Bytes(PathBuf),
    /// Nothing was kept, but the getter exits with 0 only if every chunk had the right SHA-1.
    Hashed,
    /// Nothing was kept: the getter's output says how many bytes it received.
    Count(fn(&str) -> Option<u64>),
    /// A limit, not a copy of the source.
    None,
}

impl Session {
    /// A session whose getter exits when it has fetched the file to `copy`.
    pub fn copy(servers: Vec<Child>, getter: Command, copy: PathBuf) -> Self {
        Self { servers, getter, end: End::Exit, rate: Rate::Wall, proof: Proof::Bytes(copy), peer_list: None }
    }

    /// A session that measures a limit: the rate is what the program's output says.
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
