//! The lower bound: as many bytes as the file has, by one plain TCP flow from each node to the next, so that every link
//! carries the file once each way.
//! the file once each way.

use super::contestant::{Contestant, Done, GetterPlan, Kind, Servers};
use super::row::Variant;
use super::stage::Stage;
use crate::harness::Error;
use crate::harness::child::Child;
use crate::harness::program::own_program;

/// Plain TCP.
pub const FLOOR: Kind = Kind {
    name: "floor",
    needs: &[],
    settings: "no program at all: one plain TCP flow from each node to the next, the seeder first, as many bytes as the \
               file has; nothing is read, hashed or written. Starts of processes are in the time, as with all",
    variants: &[Variant::Plain],
    serve,
    getter,
};

/// Port of a flow's receiver.
const PORT: u16 = 7700;

fn serve(stage: &Stage, _: &Contestant) -> Result<Servers, Error> {
    let mut command = stage.seeder().command(own_program()?);
    command.args(["flow", "--send", &endpoint(stage, 0), "--bytes", &stage.source.length.to_string()]);
    let seeder = Child::spawn(command, "flow-seeder", &stage.folder)?;
    Ok(Servers { others: Vec::new(), seeder, metainfo: None })
}

fn getter(stage: &Stage, _: &Contestant, _: &Servers, number: usize) -> Result<GetterPlan, Error> {
    let mut command = stage.getter(number).command(own_program()?);
    command.args(["flow", "--receive", &endpoint(stage, number), "--bytes", &stage.source.length.to_string()]);
    if number + 1 < stage.row.getters {
        command.args(["--send", &endpoint(stage, number + 1)]);
    }
    Ok(GetterPlan { command, done: Done::Line("done"), copy: None })
}

fn endpoint(stage: &Stage, getter: usize) -> String {
    format!("{}:{PORT}", stage.getter(getter).address())
}
