//! Messages on stderr for the node's events, while a command waits.

use std::path::Path;

use super::output_event::OutputEvent;
use super::stderr;
use crate::node::Event;

/// Reports an event that does not answer a command.
pub(crate) fn report(event: &Event) {
    match (event, OutputEvent::of(event)) {
        (Event::Announced { tracker, .. }, _) => log::info!("announced to {tracker}"),
        (_, Some(event)) => stderr::report_event(&event),
        (_, None) => {}
    }
}

/// The message for a file that is no longer seeded.
pub(crate) fn share_stopped(file: &Path, why: &str) -> String {
    OutputEvent::ShareStopped { file, why }.to_string()
}
