//! A running server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::options::Options;
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::files::make_folder;
use crate::load::{self, Protocol};

/// Environment of a contestant's server.
#[derive(Debug)]
pub struct Stage<'a> {
    /// Command-line options.
    pub options: &'a Options,
    /// An empty folder on the disk: its table, configuration and logs.
    pub folder: PathBuf,
    /// The mtorrent program.
    pub mtorrent: &'a Path,
}

impl Stage<'_> {
    /// A command pinned to the server's CPU, with its own folder as the current one.
    pub fn on_server_cpu(&self, program: &Path) -> Command {
        self.on_cpus(&self.options.server_cpu.to_string(), program)
    }

    /// A command pinned to `cpus`.
    pub fn on_cpus(&self, cpus: &str, program: &Path) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", cpus]).arg(program).current_dir(&self.folder);
        command
    }

    /// Creates a folder in the server's folder.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        make_folder(&self.folder.join(name))
    }
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    /// The process.
    pub child: Child,
    /// Protocol of the server.
    pub speaks: Speaks,
    /// Address at which it listens.
    pub address: SocketAddr,
}

/// Protocol of a server.
#[derive(Debug, Clone, Copy)]
pub enum Speaks {
    /// A protocol of our load.
    Tcp(Protocol),
    /// BitTorrent's tracker protocol over UDP.
    Udp,
}

impl Server {
    /// Fills the server with the whole table.
    pub fn fill(&self, options: &Options) -> Result<(), Error> {
        let Speaks::Tcp(protocol) = self.speaks else { return Ok(()) };
        let defaults = load::Options::new(self.address);
        let filled = load::run(&load::Options { protocol, fill: true, depth: 16, files: options.files, ..defaults })?;
        let answers = filled.answers();
        if filled.errors > 0 || answers != 2 * options.files {
            return Err(Error::Contestant(format!("of {answers} additions {} were refused", filled.errors)));
        }
        Ok(())
    }
}

/// Environment of the contestant `name`, with its folder in `work`.
pub fn stage<'a>(options: &'a Options, work: &Path, mtorrent: &'a Path, name: &str) -> Result<Stage<'a>, Error> {
    Ok(Stage { options, folder: make_folder(&work.join(name))?, mtorrent })
}

/// Time limit of a server's start.
pub const START_TIMEOUT: Duration = Duration::from_secs(30);
