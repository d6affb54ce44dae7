//! Load on a server.

use std::net::{Ipv4Addr, SocketAddr};

use super::aquatic;
use super::options::Options;
use super::record::Figures;
use super::server::{Server, Speaks, Stage};
use super::workload::{What, Workload};
use crate::harness::Error;
use crate::load::{self, Protocol};

/// Number of files from which a load draws new ones: so many that repetitions are rare.
const NEW_FILES: u64 = 1 << 40;
/// Seconds of load before the measurement.
const WARM_UP_S: u64 = 1;

/// Loads the server for the time in the options of `stage`.
pub fn load(server: &Server, workload: Workload, seed: u64, stage: &Stage) -> Result<Figures, Error> {
    let Speaks::Tcp(protocol) = server.speaks else { return aquatic::load(server, stage) };
    let options = load_options(stage.options, workload, seed, server.address, protocol);
    let pid = Some(server.child.id());
    Ok(load::run(&load::Options { pid, ..options })?.into())
}

/// The options of our load.
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

/// The command line of our load as a user would type it.
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
