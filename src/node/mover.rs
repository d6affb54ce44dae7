//! Core 0's work on files that are moved while they are served.
//!
//! The order keeps the file at a path that the saved lists name: the file gets its new name (or a verified copy is made
//! durable), the lists change and are saved, and only then the old name goes.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::context::NodeContext;
use super::event::Event;
use super::request::Moving;
use super::share_check::{self, Checked};
use super::share_entry::ShareEntry;
use crate::bitfield::{Bitfield, SharedBitfield};
use crate::metainfo::Metainfo;
use crate::runtime::Blocking;
use crate::storage::relocate::{Relocated, relocate, remove_old, rename_or_copy};
use crate::storage::{Identity, Paths, SeedFile};
use crate::torrent::Torrent;

/// The move of a file that is served.
#[derive(Debug)]
pub(super) struct ShareMove {
    /// The share that the user named.
    pub share: Arc<ShareEntry>,
    /// The paths.
    pub moving: Moving,
}

/// A file at its new path.
struct Arrived {
    how: Relocated,
    /// Identity of the file before, and of the file at the new path.
    identities: (Identity, Identity),
    /// The copy, if it is one.
    copy: Option<SeedFile>,
}

/// Moves the file and reports the result.
pub(super) async fn move_share(context: Rc<NodeContext>, ShareMove { share, moving }: ShareMove) {
    let moved = try_move(&context, &share, &moving).await;
    share.is_moving.store(false, Ordering::Relaxed);
    let Moving { id, from, to } = moving;
    context.events.send(match moved {
        Ok(()) => Event::Moved { id, from, to },
        Err(why) => Event::MoveFailed { id, from, to, why },
    });
}

async fn try_move(context: &NodeContext, share: &Arc<ShareEntry>, moving: &Moving) -> Result<(), String> {
    let metainfo = share.state().metainfo.clone().ok_or("its .mtorrent file was not read yet")?;
    let threads = context.core.parts.config.cores;
    let disk = context.core.parts.pools.durable.at(&moving.to);
    let (paths, wanted, served) = (moving.clone(), share.clone(), metainfo.clone());
    let work = move || bring(&paths.from, &paths.to, &wanted, &served, threads);
    let arrived = flat(disk.run_long(work).await)?;
    let Arrived { how, identities, copy } = arrived;
    let torrent = copy.map(|file| whole(metainfo, file));
    if !replace(context, share, &moving.to, torrent.as_ref(), identities) {
        let (new, old) = (moving.to.clone(), moving.from.clone());
        // The user has removed the share meanwhile: the old name stays, and the new one goes.
        let undo = move || if how == Relocated::Renamed { Ok(()) } else { undo(&old, &new) };
        return flat(disk.run(undo).await).and(Err("it was removed meanwhile".to_owned()));
    }
    context.save().await;
    let (old, new) = (moving.from.clone(), moving.to.clone());
    let finish = move || {
        let removed = remove_old(&old, &new, how, identities.0);
        Ok((removed, share_check::stat(&new)?))
    };
    let (removed, last) = flat(disk.run(finish).await)?;
    note_verified(context, &moving.to, identities.1, last);
    context.save().await;
    if let Err(error) = removed {
        let from = moving.from.display();
        context
            .events
            .send(Event::Notice(format!("the old file {from} stays: {error}; remove it if it is not needed")));
    }
    Ok(())
}

/// Brings the file to its new path. Blocks.
fn bring(from: &Path, to: &Path, share: &ShareEntry, metainfo: &Metainfo, threads: usize) -> io::Result<Arrived> {
    let before = share_check::stat(from)?;
    let is_wanted = || !share.removed.load(Ordering::Relaxed);
    let check = |copy: &Path| match share_check::check(metainfo, copy, threads, &share.removed) {
        Checked::Right { unreadable, .. } if unreadable.is_empty() => Ok(()),
        Checked::Away(error) => Err(error),
        Checked::Stopped => Err(io::Error::other("it is not wanted any more")),
        Checked::Right { .. } | Checked::Different { .. } | Checked::Changing => {
            Err(io::Error::other("the copy is not right: check both disks"))
        }
    };
    let how = relocate(from, to, &is_wanted, &check)?;
    let copy = if how == Relocated::Copied { Some(SeedFile::open(to)?) } else { None };
    Ok(Arrived { how, identities: (before, share_check::stat(to)?), copy })
}

fn whole(metainfo: Arc<Metainfo>, file: SeedFile) -> Arc<Torrent> {
    let have = SharedBitfield::new(&Bitfield::full(metainfo.geometry()));
    Arc::new(Torrent::new(metainfo, have, Some(file)))
}

/// Lists every share of the file with its new path, and serves the copy, if it is one. `false` if the share was removed
/// meanwhile.
fn replace(
    context: &NodeContext,
    share: &Arc<ShareEntry>,
    to: &Path,
    copy: Option<&Arc<Torrent>>,
    identities: (Identity, Identity),
) -> bool {
    let mut lists = context.lists.lock();
    if !lists.shares.iter().any(|known| Arc::ptr_eq(known, share)) {
        return false;
    }
    let old = share.state().torrent.clone();
    for known in lists.shares.iter_mut().filter(|known| known.file == share.file) {
        let is_it =
            known.state().torrent.as_ref().zip(old.as_ref()).is_some_and(|(one, other)| Arc::ptr_eq(one, other));
        let moved = known.moved(to.to_owned(), copy.filter(|_| is_it).cloned(), identities);
        known.removed.store(true, Ordering::Relaxed);
        *known = Arc::new(moved);
    }
    for entry in lists.downloads.iter().filter(|entry| entry.has_ended() && entry.dest().as_ref() == Some(&share.file))
    {
        entry.set_moved(to.to_owned());
    }
    drop(lists);
    match (old, copy) {
        // Requests in flight are answered from the old file; all later ones find the copy.
        (Some(old), Some(copy)) if context.core.parts.registry.replace(&old, copy.clone()) => {
            old.stop("it was moved".to_owned());
        }
        (Some(old), None) => old.content.iter().for_each(|content| content.set_path(to)),
        _ => {}
    }
    true
}

/// Records the identity of the file once its old name is gone, which has changed its time of change.
fn note_verified(context: &NodeContext, path: &Path, arrived: Identity, last: Identity) {
    let lists = context.lists.lock();
    for share in lists.shares.iter().filter(|share| share.file == path) {
        let mut state = share.state();
        if state.verified == Some(arrived) && last.has_same_content(&arrived) {
            state.verified = Some(last);
        }
    }
}

fn undo(old: &Path, new: &Path) -> io::Result<()> {
    if old.symlink_metadata().is_ok() { std::fs::remove_file(new) } else { Ok(()) }
}

/// Moves the files of an unfinished download, which no driver uses.
pub(super) async fn move_unfinished(disk: &Blocking, from: PathBuf, to: PathBuf) -> Result<(), String> {
    flat(disk.run_long(move || bring_unfinished(&Paths::new(&from), &Paths::new(&to))).await)
}

/// The `.part` moves last: with the record alone at the new path, the old `.part` is still found at the old one.
fn bring_unfinished(from: &Paths, to: &Paths) -> io::Result<()> {
    let mut copied = Vec::new();
    for (old, new) in [(&from.record, &to.record), (&from.part, &to.part)] {
        let original = match std::fs::symlink_metadata(old) {
            Ok(found) => Identity::of(&found),
            // Nothing has arrived yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let how = rename_or_copy(old, new, &|| true, &|_| Ok(())).inspect_err(|_| {
            // What was moved before goes back; a record that cannot is only one of what the .part has.
            let _ = bring_back(from, to);
        })?;
        copied.push((old, new, how, original));
    }
    copied.into_iter().try_for_each(|(old, new, how, original)| remove_old(old, new, how, original))
}

fn bring_back(from: &Paths, to: &Paths) -> io::Result<()> {
    if from.record.symlink_metadata().is_ok() {
        return std::fs::remove_file(&to.record);
    }
    rename_or_copy(&to.record, &from.record, &|| true, &|_| Ok(())).map(drop)
}

/// The result of blocking work, with any error as a text.
fn flat<T>(done: Result<io::Result<T>, crate::runtime::BlockingError>) -> Result<T, String> {
    match done {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
