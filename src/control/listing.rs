//! Answers `show`.

use std::collections::BTreeSet;
use std::path::Path;

use super::command::{Listing, Target};
use crate::console::exit::CommandError;
use crate::console::files_list::FileFields;
use crate::console::output_event::OutputEvent;
use crate::console::peers_list::PeerFields;
use crate::console::shares_list::ShareFields;
use crate::console::trackers_list::TrackerFields;
use crate::ids::InfoHash;
use crate::limits::CHUNK_CELLS_DEFAULT;
use crate::node::{DownloadId, DownloadStatus, Node, ShareStatus};
use crate::text;

/// The downloads and files that a target means; all, without one.
struct Selection {
    ids: Option<BTreeSet<DownloadId>>,
    files: BTreeSet<[u8; 20]>,
}

/// Gives `answer` the list of what `target` means, or of everything.
pub(super) fn show(
    client: &Node,
    listing: Listing,
    target: Option<&Target>,
    answer: impl FnOnce(&OutputEvent<'_>) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    if let (Listing::Trackers, target) = (listing, target) {
        return show_trackers(client, target, answer);
    }
    let (mut downloads, mut shares) = (client.downloads(), client.shares());
    let selection = Selection::of(target, &downloads, &shares)?;
    match listing {
        Listing::Shares => {
            shares.retain(|share| selection.has_share(share, target));
            answer(&OutputEvent::Shares { shares: shares.iter().map(ShareFields).collect() })
        }
        Listing::Peers => {
            let mut peers = client.peers()?;
            peers.retain(|peer| selection.has(peer.download, peer.info_hash));
            answer(&OutputEvent::Peers { peers: peers.iter().map(PeerFields).collect() })
        }
        Listing::Files => {
            let mut files = client.files(CHUNK_CELLS_DEFAULT)?;
            files.retain(|file| selection.has(file.download, Some(file.info_hash)));
            answer(&OutputEvent::Files { files: files.iter().map(FileFields).collect() })
        }
        Listing::Downloads | Listing::Trackers => {
            downloads.retain(|status| selection.has(Some(status.id), status.info_hash));
            answer(&OutputEvent::downloads(&downloads))
        }
    }
}

fn show_trackers(
    client: &Node,
    target: Option<&Target>,
    answer: impl FnOnce(&OutputEvent<'_>) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let mut trackers = client.trackers()?;
    if let Some(Target::Name(name)) = target {
        trackers.retain(|tracker| Path::new(&tracker.name) == name);
        if trackers.is_empty() {
            return Err(unknown(name));
        }
    }
    answer(&OutputEvent::Trackers { trackers: trackers.iter().map(TrackerFields).collect() })
}

impl Selection {
    fn of(target: Option<&Target>, downloads: &[DownloadStatus], shares: &[ShareStatus]) -> Result<Self, CommandError> {
        let is_meant = |status: &&DownloadStatus| match target {
            None => false,
            Some(Target::Id(id)) => status.id == *id,
            Some(Target::Name(name)) => is_named(status, name),
        };
        let meant: Vec<_> = downloads.iter().filter(is_meant).collect();
        let named = shares.iter().filter(|share| is_share(share, target));
        let files: BTreeSet<_> = meant
            .iter()
            .filter_map(|status| status.info_hash)
            .chain(named.filter_map(|share| share.info_hash))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|InfoHash(bytes)| bytes)
            .collect();
        let is_any = !meant.is_empty() || shares.iter().any(|share| is_share(share, target));
        match target {
            None => Ok(Self { ids: None, files }),
            Some(_) if is_any => Ok(Self { ids: Some(meant.iter().map(|status| status.id).collect()), files }),
            Some(Target::Id(id)) => {
                Err(CommandError::failed(format!("there is no download #{id}: `show downloads` lists all")))
            }
            Some(Target::Name(name)) => Err(unknown(name)),
        }
    }

    /// Whether the selection has a row of this download, or of this file without a download.
    fn has(&self, id: Option<DownloadId>, file: Option<InfoHash>) -> bool {
        match (&self.ids, id) {
            (None, _) => true,
            (Some(ids), Some(id)) => ids.contains(&id),
            (Some(_), None) => file.is_some_and(|InfoHash(file)| self.files.contains(&file)),
        }
    }

    fn has_share(&self, share: &ShareStatus, target: Option<&Target>) -> bool {
        is_share(share, target) || self.has(None, share.info_hash)
    }
}

/// Whether the name means the download: its name, or the path or the file name of its destination.
fn is_named(status: &DownloadStatus, name: &Path) -> bool {
    let is_dest = |dest: &Path| dest == name || dest.file_name().is_some_and(|file| file == name);
    Path::new(&status.name) == name || status.dest.as_deref().is_some_and(is_dest)
}

/// Whether the target names the share: its `.mtorrent` file or its file, by path or by name.
fn is_share(share: &ShareStatus, target: Option<&Target>) -> bool {
    let Some(Target::Name(name)) = target else { return false };
    [&share.metainfo_path, &share.file]
        .into_iter()
        .any(|path| path == name || path.file_name().is_some_and(|file| file == name.as_os_str()))
}

fn unknown(name: &Path) -> CommandError {
    CommandError::failed(format!("there is nothing named {}: `show` without a name lists all", text::path(name)))
}
