//! Starts the move of a file to another path: checks what can be known at once, and leaves the rest to core 0.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::download_entry::DownloadEntry;
use super::error::NodeError;
use super::handle::Node;
use super::instruction::Instruction;
use super::mover::ShareMove;
use super::request::{MoveTarget, Moving};
use super::share_entry::ShareEntry;
use super::status::DownloadId;
use crate::download::DownloadState;
use crate::storage::Paths;
use crate::storage::paths::folder_of;
use crate::storage::relocate::check_movable;

impl Node {
    /// Moves the file of a download or a share to another path, or under its own name into an existing folder; nothing
    /// there is replaced. A file that is seeded is served all the time. An unfinished download ends at a safe point and
    /// goes on at the new path. [`super::Event::Moved`] or [`super::Event::MoveFailed`] follows.
    pub fn move_to(&self, target: &MoveTarget, to: &Path) -> Result<Moving, NodeError> {
        match target {
            MoveTarget::Share(name) => self.move_share(None, self.named_share(name)?, to),
            MoveTarget::Download(id) => {
                let entry = self.lists.lock().download(*id).cloned();
                match entry {
                    Some(entry) => self.move_download(&entry, to),
                    None if self.lists.lock().waiting(*id).is_some() => {
                        Err(refused(format!("#{id} waits for its disk: move it when that is there")))
                    }
                    None => Err(refused(format!("there is no download #{id}: `show downloads` lists all"))),
                }
            }
        }
    }

    fn move_download(&self, entry: &DownloadEntry, to: &Path) -> Result<Moving, NodeError> {
        let id = entry.id;
        let from = entry.dest().ok_or_else(|| refused(format!("#{id} writes no file")))?;
        match entry.state() {
            DownloadState::Done { .. } => {
                let share = self.lists.lock().shares.iter().find(|share| share.file == from).cloned();
                let share = share.ok_or_else(|| refused(format!("{} is not seeded any more", from.display())))?;
                self.move_share(Some(id), share, to)
            }
            DownloadState::Failed(_) => Err(refused(format!("#{id} has failed: get the file again, to the new path"))),
            _ => {
                let to = resolve(&from, to)?;
                let mut moving_to = entry.moving_to.lock().unwrap_or_else(PoisonError::into_inner);
                if moving_to.is_some() || entry.driver.cancelled.load(Ordering::Relaxed) {
                    return Err(refused(format!("#{id} is being moved or cancelled")));
                }
                *moving_to = Some(to.clone());
                drop(moving_to);
                entry.driver.cancelled.store(true, Ordering::Relaxed);
                Ok(Moving { id: Some(id), from, to })
            }
        }
    }

    fn named_share(&self, name: &Path) -> Result<Arc<ShareEntry>, NodeError> {
        let lists = self.lists.lock();
        let named: Vec<_> = lists.shares.iter().filter(|share| share.is_named(name)).collect();
        match named.as_slice() {
            [] => Err(refused(format!("{} is not shared by this client", name.display()))),
            [first, others @ ..] if others.iter().all(|other| other.file == first.file) => Ok((*first).clone()),
            _ => Err(refused(format!("{} matches several shares: give the path of one file", name.display()))),
        }
    }

    fn move_share(&self, id: Option<DownloadId>, share: Arc<ShareEntry>, to: &Path) -> Result<Moving, NodeError> {
        let from = share.file.clone();
        let to = resolve(&from, to)?;
        if !share.is_served() {
            let why = share.state().stopped().unwrap_or_else(|| "it is not served".to_owned());
            return Err(refused(format!("{} cannot be moved now: {why}", from.display())));
        }
        check_movable(&from).map_err(|error| refused(format!("{}: {error}", from.display())))?;
        if share.is_moving.swap(true, Ordering::Relaxed) {
            return Err(refused(format!("{} is being moved already", from.display())));
        }
        let moving = Moving { id, from, to };
        self.instruct(Instruction::Move(ShareMove { share, moving: moving.clone() }))?;
        Ok(moving)
    }
}

/// The new path of the file: `to`, or its own name in that folder. Nothing may stand there.
fn resolve(from: &Path, to: &Path) -> Result<PathBuf, NodeError> {
    let to = if to.is_dir() { to.join(from.file_name().unwrap_or_default()) } else { to.to_owned() };
    let shown = to.display();
    if to.as_os_str().as_encoded_bytes().ends_with(b"/") || to.file_name().is_none() || !folder_of(&to).is_dir() {
        return Err(refused(format!("the folder of {shown} does not exist: create it first")));
    }
    let Paths { dest, part, record, .. } = Paths::new(&to);
    match [dest, part, record].into_iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(there) => Err(refused(format!("{} exists: move it away first, or choose another path", there.display()))),
        None => Ok(to),
    }
}

fn refused(why: String) -> NodeError {
    NodeError::Refused(why)
}
