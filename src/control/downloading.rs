//! Executes `get` and `wait`, and ends the commands that wait for a download.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::interpreter::{Interpreter, Progress, absolute, no_tracker};
use super::listener::Origin;
use super::listeners::Hears;
use super::waits;
use crate::console::destination;
use crate::console::download_text;
use crate::console::exit::{CommandError, Exit};
use crate::console::metainfo_file;
use crate::console::output_event::OutputEvent;
use crate::node::{DownloadId, DownloadRequest, DownloadState, DownloadStatus, FailureKind};

impl Interpreter<'_> {
    pub(super) fn get(
        &mut self,
        origin: Origin,
        metainfo_path: &Path,
        dest: &Path,
        (force, in_place): (bool, bool),
        waits: Option<bool>,
    ) -> Result<Progress, CommandError> {
        let metainfo_path = absolute(metainfo_path)?;
        let metainfo = Arc::new(metainfo_file::read_transferable(&metainfo_path)?);
        let dest = absolute(&destination::resolve(dest, &metainfo)?)?;
        if self.settings.trackers.is_empty() && metainfo.trackers().is_empty() && !dest.exists() {
            return Err(no_tracker(&metainfo_path));
        }
        let (name, info_hash) = (metainfo.name().to_owned(), metainfo.info_hash());
        let wait = self.settings.wait;
        let request =
            DownloadRequest { metainfo, metainfo_path, dest: Some(dest.clone()), force, in_place, wait, seed: true };
        let id = self.client.get(request)?;
        self.open.insert(id, origin);
        self.listeners.answer_and_tell(origin, &OutputEvent::Started { id, name: &name, dest: &dest, info_hash })?;
        if waits != Some(true) {
            return Ok(Progress::Ended);
        }
        self.waits.push(origin, BTreeSet::from([id]), Exit::Done);
        Ok(Progress::Waits)
    }

    /// Waits for the end of a download, or of all that are listed. A failure counts until the same file is requested
    /// again; a download that the user has cancelled does not count, unless it is named.
    pub(super) fn wait(&mut self, origin: Origin, id: Option<DownloadId>) -> Result<Progress, CommandError> {
        let all = self.client.downloads();
        let is_meant = |status: &&DownloadStatus| match id {
            Some(id) => status.id == id,
            None => !is_cancelled(status) && !all.iter().any(|later| is_again(later, status)),
        };
        let meant: Vec<&DownloadStatus> = all.iter().filter(is_meant).collect();
        if let (Some(id), []) = (id, meant.as_slice()) {
            return Err(CommandError::failed(format!("there is no download #{id}: `show downloads` lists all")));
        }
        let (ended, open): (Vec<_>, Vec<_>) =
            meant.into_iter().partition(|status| download_text::is_over(&status.state));
        let exit = ended.iter().fold(Exit::Done, |exit, status| waits::worse(exit, exit_of(status)));
        for status in &ended {
            self.listeners.answer(origin, &OutputEvent::ended(status, true))?;
        }
        let left: BTreeSet<DownloadId> = open.iter().map(|status| status.id).collect();
        if left.is_empty() {
            self.failed |= origin == Origin::FRONT_END && exit != Exit::Done;
            return Ok(Progress::EndedWith(exit));
        }
        self.waits.push(origin, left, exit);
        Ok(Progress::Waits)
    }

    pub(super) fn ended(&mut self, status: &DownloadStatus) -> Result<(), CommandError> {
        let origin = self.open.remove(&status.id);
        // What the user has cancelled has not failed.
        let is_failure = matches!(status.state, DownloadState::Failed(_)) && !is_cancelled(status);
        self.failed |= origin == Some(Origin::FRONT_END) && is_failure;
        let event = OutputEvent::ended(status, true);
        self.listeners.event(Hears::News, &event)?;
        self.on_done.iter().for_each(|on_done| on_done.push(status));
        for origin in self.waits.of(status.id).filter(|origin| !self.listeners.hears_news(*origin)) {
            self.listeners.result(origin, &event)?;
        }
        for (origin, exit) in self.waits.ended(status.id, exit_of(status)) {
            self.failed |= origin == Origin::FRONT_END && exit != Exit::Done;
            self.listeners.end(origin, exit);
        }
        Ok(())
    }
}

/// The exit code for an ended download.
fn exit_of(status: &DownloadStatus) -> Exit {
    match &status.state {
        DownloadState::Failed(failure) => CommandError::from(failure.clone()).exit,
        _ => Exit::Done,
    }
}

fn is_cancelled(status: &DownloadStatus) -> bool {
    matches!(&status.state, DownloadState::Failed(failure) if failure.kind == FailureKind::Cancelled)
}

/// Whether `later` is another attempt at a failed download.
fn is_again(later: &DownloadStatus, earlier: &DownloadStatus) -> bool {
    let has_failed = matches!(earlier.state, DownloadState::Failed(_));
    has_failed && later.id > earlier.id && (later.dest == earlier.dest || later.info_hash == earlier.info_hash)
}
