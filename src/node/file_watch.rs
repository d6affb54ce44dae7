//! Core 0's watch over the files of shares and the folders of downloads that wait for their disk. It checks them and
//! passes the results to the supervisors.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::context::NodeContext;
use super::download_folder;
use super::download_supervisor::DownloadSupervisor;
use super::folder_mark::FolderMark;
use super::share_check;
use super::share_entry::ShareEntry;
use super::share_supervisor::ShareSupervisor;
use super::waiting_download::WaitingDownload;
use crate::limits::SEED_CHECK_INTERVAL;
use crate::metainfo::Metainfo;
use crate::runtime::{BlockingError, sleep, spawn};
use crate::storage::Identity;

/// The watch.
pub(super) struct FileWatch {
    context: Rc<NodeContext>,
    downloads: Rc<DownloadSupervisor>,
    shares: Rc<ShareSupervisor>,
}

impl FileWatch {
    /// Creates a watch that passes its results to the two supervisors.
    pub(super) fn new(
        context: Rc<NodeContext>,
        downloads: Rc<DownloadSupervisor>,
        shares: Rc<ShareSupervisor>,
    ) -> Rc<Self> {
        Rc::new(Self { context, downloads, shares })
    }

    /// Checks all files at once, and then once a second.
    pub(super) async fn run(self: Rc<Self>) {
        loop {
            self.check_all();
            sleep(SEED_CHECK_INTERVAL).await;
        }
    }

    /// Checks all files, separately for each device. A device whose last check has not ended, because its disk or mount
    /// hangs, is skipped, so that no other device waits for it.
    fn check_all(self: &Rc<Self>) {
        let mut by_device = HashMap::<u64, Vec<Watched>>::new();
        {
            let lists = self.context.lists.lock();
            let shares = lists.shares.iter().cloned().map(Watched::Share);
            for watched in shares.chain(lists.waiting.iter().cloned().map(Watched::Download)) {
                by_device.entry(watched.device()).or_default().push(watched);
            }
        }
        for (device, files) in by_device {
            let (this, checks) = (self.clone(), self.context.core.parts.pools.checks.on(device));
            let check = move || files.into_iter().map(Watched::check).collect::<Vec<_>>();
            spawn("file check", async move {
                match checks.run(check).await {
                    Ok(found) => found.into_iter().for_each(|found| this.act_on(found)),
                    Err(BlockingError::Busy | BlockingError::Closed) => {}
                    Err(error) => log::error!("cannot check the files of shares and downloads: {error}"),
                }
            });
        }
    }

    fn act_on(&self, found: Found) {
        match found {
            Found::Share(share, found) => self.shares.act_on(&share, &found),
            Found::Download(waiting, Ok((folder, metainfo))) => {
                self.downloads.begin(&waiting, folder, Arc::new(metainfo))
            }
            Found::Download(waiting, Err(why)) => self.downloads.report_waiting(&waiting, why),
        }
    }
}

/// A watched file or folder.
enum Watched {
    Share(Arc<ShareEntry>),
    Download(Arc<WaitingDownload>),
}

/// The result of a check.
enum Found {
    Share(Arc<ShareEntry>, io::Result<Identity>),
    Download(Arc<WaitingDownload>, Result<(FolderMark, Metainfo), String>),
}

impl Watched {
    /// The device of the file or folder.
    fn device(&self) -> u64 {
        match self {
            Self::Share(share) => share.device(),
            Self::Download(waiting) => waiting
                .saved
                .folder
                .map_or_else(|| download_folder::device_stand_in(&waiting.saved.dest.0), FolderMark::device),
        }
    }

    /// Checks the file or folder. Blocks for a moment.
    fn check(self) -> Found {
        match self {
            Self::Share(share) => {
                let found = find_share(&share);
                Found::Share(share, found)
            }
            Self::Download(waiting) => {
                let found = download_folder::check(&waiting.saved);
                let found =
                    found.and_then(|folder| Ok((folder, share_check::read_metainfo(&waiting.saved.metainfo.0)?)));
                Found::Download(waiting, found)
            }
        }
    }
}

/// Checks the share's file, and first reads its `.mtorrent` file if that was not read yet. Blocks for a moment.
fn find_share(share: &ShareEntry) -> io::Result<Identity> {
    let is_known = share.state().metainfo.is_some();
    if !is_known {
        let metainfo = share_check::read_metainfo(&share.metainfo_path).map_err(io::Error::other)?;
        let mut state = share.state();
        if state.info_hash.is_some_and(|known| known != metainfo.info_hash()) {
            // The file was verified against another `.mtorrent` file.
            state.verified = None;
        }
        state.info_hash = Some(metainfo.info_hash());
        state.metainfo = Some(Arc::new(metainfo));
    }
    share_check::stat(&share.file)
}
