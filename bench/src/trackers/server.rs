//! A server that is up, and how it is loaded.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::aquatic;
use super::contestant::Contestant;
use super::options::Options;
use super::record::Figures;
use super::workload::{What, Workload};
use crate::load::{self, Protocol};
use crate::rivals::Error;
use crate::rivals::child::Child;
use crate::rivals::stage::make_folder;

/// Files that a load draws new ones from: so many that it hardly draws one twice.
const NEW_FILES: u64 = 1 << 40;
/// Seconds before a run is measured.
pub const WARM_UP_S: u64 = 1;

/// What a contestant finds when it starts.
#[derive(Debug)]
pub struct Stage<'a> {
    /// What the user chose.
    pub options: &'a Options,
    /// An empty folder on the disk: its table, configuration and logs.
    pub folder: PathBuf,
    /// The mtorrent program.
    pub mtorrent: &'a Path,
}

impl Stage<'_> {
    /// A command that is pinned to the server's CPU, its own folder the current one.
    pub fn on_server_cpu(&self, program: &Path) -> Command {
        self.on_cpus(&self.options.server_cpu.to_string(), program)
    }

    /// A command that is pinned to `cpus`.
    pub fn on_cpus(&self, cpus: &str, program: &Path) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", cpus]).arg(program).current_dir(&self.folder);
        command
    }

    /// Makes a folder in the own one.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        make_folder(&self.folder.join(name))
    }
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    /// Its process.
    pub child: Child,
    /// What it understands.
    pub speaks: Speaks,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What a server understands.
#[derive(Debug, Clone, Copy)]
pub enum Speaks {
    /// What our load speaks.
    Tcp(Protocol),
    /// BitTorrent's tracker protocol over UDP.
    Udp,
}

impl Server {
    /// Gives it the whole table.
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

    /// Loads it for the time that `stage`'s options say.
    pub fn load(&self, workload: Workload, seed: u64, stage: &Stage) -> Result<Figures, Error> {
        let Speaks::Tcp(protocol) = self.speaks else { return aquatic::load(self, stage) };
        let options = load_options(stage.options, workload, seed, self.address, protocol);
        let pid = Some(self.child.id());
        Ok(load::run(&load::Options { pid, ..options })?.into())
    }
}

/// What our load is told.
fn load_options(
    options: &Options,
    workload: Workload,
    seed: u64,
    server: SocketAddr,
    protocol: Protocol,
) -> load::Options {
    load::Options {
        protocol,
        connections: options.connections,
        depth: workload.depth,
        files: if workload.what == What::New { NEW_FILES } else { options.files },
        adds: workload.what.adds(),
        seconds: options.seconds,
        warm_up: WARM_UP_S,
        seed,
        ..load::Options::new(server)
    }
}

/// The same as one would type it.
pub fn load_line(options: &Options, workload: Workload, protocol: Protocol) -> String {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let load::Options { connections, depth, files, adds, seconds, warm_up, .. } =
        load_options(options, workload, 0, any, protocol);
    let protocol = format!("{protocol:?}").to_lowercase();
    format!(
        "taskset -c {} load SERVER --protocol {protocol} --connections {connections} --depth {depth} --files {files} \
         --adds {adds} --seconds {seconds} --warm-up {warm_up} --seed ROUND --pid PID",
        options.load_cpu
    )
}

/// The folder of `contestant` in `work`.
pub fn stage<'a>(
    options: &'a Options,
    work: &Path,
    mtorrent: &'a Path,
    contestant: &Contestant,
) -> Result<Stage<'a>, Error> {
    Ok(Stage { options, folder: make_folder(&work.join(contestant.name))?, mtorrent })
}

/// How long a server that is being started may take.
pub const START_TIMEOUT: Duration = Duration::from_secs(30);
