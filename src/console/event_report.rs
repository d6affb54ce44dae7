//! Messages on stderr for the node's events, while a command waits.

use std::path::Path;

use super::output_event::OutputEvent;
use super::stderr;
use crate::node::Event;
use crate::text;

/// Reports an event that does not answer a command.
pub(crate) fn report(event: &Event) {
    match event {
        Event::Notice(notice) => stderr::report(text::plain(notice)),
        Event::ShareStopped { file, why } => stderr::report(share_stopped(file, why)),
        Event::SharePaused { file, why } => {
            let (file, why) = (text::path(file), text::plain(why));
            stderr::report(format_args!("{file} is not seeded for now: {why}; seeding resumes by itself"));
        }
        Event::ShareResumed { file } => stderr::report(format_args!("{} is seeded again", text::path(file))),
        Event::TrackerTrouble { tracker, why } => stderr::report(OutputEvent::tracker_trouble(tracker, why)),
        Event::Announced { tracker, .. } => log::info!("announced to {tracker}"),
        Event::Ended(_) => {}
    }
}

/// The message for a file that is no longer seeded.
pub(crate) fn share_stopped(file: &Path, why: &str) -> String {
    format!("{} is not seeded any more: {}", text::path(file), text::plain(why))
}
