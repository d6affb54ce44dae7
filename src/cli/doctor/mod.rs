//! `mtorrent doctor`: looks whether this machine and a folder are fit, and names the remedy for what is not. Trackers, if
//! any are named, tell how its clock compares with theirs, and whether they can connect to it.

mod facts;
mod findings;
mod tracker_findings;
mod trackers;

use super::resolved::Doctor;
use crate::console::exit::{CommandResult, Exit};
use crate::console::output::Output;
use crate::console::output_event::OutputEvent;

/// Runs the command: exit 1 if there is a problem.
pub(crate) fn run(args: &Doctor, output: &Output) -> CommandResult {
    let mut findings = findings::judge(&facts::Facts::gather(&args.folder));
    for finding in &findings {
        output.print(&OutputEvent::Finding(finding))?;
    }
    if !args.trackers.is_empty() {
        let further = tracker_findings::judge(&trackers::Answers::gather(&args.trackers, args.listen));
        for finding in &further {
            output.print(&OutputEvent::Finding(finding))?;
        }
        findings.extend(further);
    }
    output.print(&OutputEvent::doctor(&findings))?;
    Ok(if findings::is_well(&findings) { Exit::Done } else { Exit::Failed })
}
