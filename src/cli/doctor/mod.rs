//! `mtorrent doctor`: looks whether this machine and a folder are fit, and names the remedy for what is not.

mod facts;
mod findings;

use super::resolved::Doctor;
use crate::console::exit::{CommandResult, Exit};
use crate::console::output::Output;
use crate::console::output_event::OutputEvent;

/// Runs the command: exit 1 if there is a problem.
pub(crate) fn run(args: &Doctor, output: &Output) -> CommandResult {
    let findings = findings::judge(&facts::Facts::gather(&args.folder));
    for finding in &findings {
        output.print(&OutputEvent::Finding(finding))?;
    }
    output.print(&OutputEvent::doctor(&findings))?;
    Ok(if findings::is_well(&findings) { Exit::Done } else { Exit::Failed })
}
