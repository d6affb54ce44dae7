//! Redis, as a table of sets.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Instant;

use super::contestant::Contestant;
use super::server::{START_TIMEOUT, Server, Speaks, Stage};
use super::workload::What;
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::ports::free_port;
use crate::harness::program::Need;
use crate::load::Protocol;

/// Redis with its table in memory.
pub const MEMORY: Contestant = Contestant {
    name: "redis",
    needs: &[Need::Program { name: "redis-server", package: "redis-server" }],
    settings: "redis-server without snapshots and log; a set of endpoints a file, SADD and SRANDMEMBER with a count \
               of 50",
    workloads: &[What::Renew, What::Ask, What::Mixed, What::New],
    filled: true,
    pinned: true,
    start: |stage| start(stage, &["--appendonly", "no"]),
};

/// Redis with its log on the disk.
pub const DURABLE: Contestant = Contestant {
    name: "redis-durable",
    settings: "as redis, with `appendfsync always`: acknowledged when its fdatasync is done. The table is empty at \
               the start",
    workloads: &[What::New],
    filled: false,
    start: |stage| start(stage, &["--appendonly", "yes", "--appendfsync", "always"]),
    ..MEMORY
};

fn start(stage: &Stage, log: &[&str]) -> Result<Server, Error> {
    let port = free_port()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut command = stage.on_server_cpu(Path::new("redis-server"));
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]).args(log);
    let mut child = Child::spawn(command, "redis-server", &stage.folder)?;
    let deadline = Instant::now() + START_TIMEOUT;
    child.wait_until("it listens", deadline, || TcpStream::connect(address).is_ok())?;
    Ok(Server { child, speaks: Speaks::Tcp(Protocol::Redis), address })
}
