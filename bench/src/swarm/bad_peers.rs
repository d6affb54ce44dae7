//! The bad peers of a row, each a [`hostile`](super::hostile) peer on a node of its own.

use clap::ValueEnum;

use super::cap::Cap;
use super::contestant::Servers;
use super::hostile::Failing;
use super::mtorrent;
use super::row::BAD_PEERS;
use super::stage::Stage;
use crate::harness::Error;
use crate::harness::child::{Child, ready_deadline};
use crate::harness::program::own_program;

/// The kinds of the bad peers of a row.
pub const FIELD: [Failing; BAD_PEERS] = [
    Failing::Wrong,
    Failing::Silent,
    Failing::Slow,
    Failing::Vanishing,
    Failing::Lying,
    Failing::Wrong,
    Failing::Silent,
    Failing::Slow,
    Failing::Vanishing,
];

/// Rate of the slow peer without a cap, bytes a second.
const SLOW_UNCAPPED: u64 = 1_000_000;

/// Starts all of them on their nodes, and waits until they are registered.
pub fn start(stage: &Stage, servers: &mut Servers) -> Result<(), Error> {
    let slow_bytes = match stage.row.cap {
        Cap::Bits(bits) => (bits / 800).max(1),
        Cap::None => SLOW_UNCAPPED,
    };
    for (number, failing) in FIELD.into_iter().enumerate() {
        let word = failing.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        let node = stage.bad(number);
        let mut command = node.command(own_program()?);
        command.args(["hostile", &word, "--listen", &mtorrent::endpoint(node), "--tracker", &mtorrent::tracker(stage)]);
        command.arg("--metainfo").args(&servers.metainfo).arg("--source").arg(&stage.source.path);
        command.args(["--slow-bytes", &slow_bytes.to_string()]);
        let mut child = Child::spawn(command, &format!("bad-{number}-{word}"), &stage.folder)?;
        child.wait_line("ready", ready_deadline())?;
        servers.others.push(child);
    }
    Ok(())
}
