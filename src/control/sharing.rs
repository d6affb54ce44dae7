//! Executes `share`: the file is hashed beside other commands, and then served and announced.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::hashing_queue::NewShare;
use super::interpreter::{Interpreter, Progress, absolute, no_tracker};
use super::listener::Origin;
use super::listeners::Hears;
use super::pending_shares::PendingShare;
use crate::console::create_torrent;
use crate::console::create_torrent::Created;
use crate::console::exit::{CommandError, Exit};
use crate::console::output_event::OutputEvent;
use crate::console::source;
use crate::ids::InfoHash;
use crate::limits::TORRENTS_MAX;
use crate::node::{ShareRequest, Verified};
use crate::text;

impl Interpreter<'_> {
    pub(super) fn share(
        &mut self,
        origin: Origin,
        file: &Path,
        metainfo: &Path,
        force: bool,
        wait: Option<bool>,
    ) -> Result<Progress, CommandError> {
        if self.hashing.waiting() >= TORRENTS_MAX {
            let message = format!("{TORRENTS_MAX} files wait to be hashed: share the next when one is done");
            return Err(CommandError::failed(message));
        }
        let (file, metainfo) = (absolute(file)?, absolute(metainfo)?);
        // Errors that are known already are reported at once.
        source::Source::open(&file)?;
        let trackers = create_torrent::trackers_of(&self.settings.trackers, &metainfo);
        if trackers.as_ref().map_or(force, Vec::is_empty) {
            return Err(no_tracker(&metainfo));
        }
        let trackers = trackers.unwrap_or_default();
        let share = PendingShare { file: file.clone(), metainfo, trackers, force };
        let id = self.hashing.push(NewShare { origin, share });
        let waits = wait.unwrap_or_else(|| self.listeners.waits_by_default(origin));
        if waits {
            self.awaited.insert(id);
        }
        self.listeners.answer(origin, &OutputEvent::Hashing { file: &file })?;
        self.start_hashing();
        Ok(if waits { Progress::Waits } else { Progress::Ended })
    }

    /// Goes on with the shares that an earlier run had not hashed yet.
    pub(super) fn restore_shares(&mut self, pending: Vec<PendingShare>) {
        for share in pending {
            self.hashing.push(NewShare { origin: Origin::FRONT_END, share });
        }
        self.start_hashing();
    }

    pub(super) fn start_hashing(&mut self) {
        for (id, origin, refusal) in self.hashing.start_next() {
            self.refuse(origin, &refusal);
            self.end_share(id, origin, refusal.exit);
        }
    }

    /// Serves and announces a file that was hashed.
    pub(super) fn hashed(
        &self,
        file: &Path,
        metainfo_path: &Path,
        result: Result<Created, CommandError>,
    ) -> Result<InfoHash, CommandError> {
        let created = result?;
        if self.settings.trackers.is_empty() && created.metainfo.trackers().is_empty() {
            return Err(no_tracker(metainfo_path));
        }
        let (info_hash, metainfo) = (created.metainfo.info_hash(), Arc::new(created.metainfo));
        let request = ShareRequest { metainfo, metainfo_path: metainfo_path.to_owned(), file: file.to_owned() };
        let verified = Verified { identity: created.identity, unreadable: created.unreadable };
        self.client.share_verified(request, Some(verified))?;
        Ok(info_hash)
    }

    pub(super) fn report_share(
        &mut self,
        id: u64,
        origin: Origin,
        (file, metainfo_path): (&Path, PathBuf),
        shared: Result<InfoHash, CommandError>,
    ) -> Result<(), CommandError> {
        let exit = match shared {
            Ok(info_hash) => {
                let event = OutputEvent::Sharing { file, path: &metainfo_path, info_hash };
                self.listeners.result_and_tell(origin, &event)?;
                self.unannounced.insert(info_hash, metainfo_path);
                Exit::Done
            }
            Err(error) => {
                let message = format!("share {}: {error}", text::path(&metainfo_path));
                if self.listeners.is_there(origin) {
                    self.refuse(origin, &CommandError { message, ..error });
                } else {
                    self.listeners.event(Hears::News, &OutputEvent::Notice { text: &message })?;
                }
                error.exit
            }
        };
        self.end_share(id, origin, exit);
        Ok(())
    }

    /// Ends the command of a share, if it waits for the hashing.
    pub(super) fn end_share(&mut self, id: u64, origin: Origin, exit: Exit) {
        if self.awaited.remove(&id) {
            self.listeners.end(origin, exit);
        }
    }
}
