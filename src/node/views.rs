//! What a client shows of itself: peers, trackers and chunk maps. A call reads atomics, and asks core 0 for the rest;
//! the wait for it is bounded.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Weak};

use super::chunk_map::{ChunkMap, FileStatus};
use super::error::NodeError;
use super::inspection::Inspection;
use super::instruction::Instruction;
use super::observer::NodeObserver;
use super::peer_status::{PeerClass, PeerStatus};
use super::share_entry::ShareEntry;
use super::status::DownloadId;
use super::tracker_status::TrackerStatus;
use crate::direction::Direction;
use crate::download::SourceView;
use crate::geometry::ChunkIndex;
use crate::ids::InfoHash;
use crate::limits::{CHUNK_CELLS_MAX, PEER_ROWS_MAX, SNAPSHOT_WAIT};
use crate::torrent::Torrent;
use crate::tracker_client::TrackerRecord;
use crate::upload::ReceiverView;

impl NodeObserver {
    /// The peers that send to this client and those that receive from it, those with the highest rate first.
    pub(crate) fn peers(&self) -> Result<Vec<PeerStatus>, NodeError> {
        let sources = self.ask(Inspection::Sources)?;
        let (downloads, shares) = (self.downloads(), self.shares());
        let by_id: HashMap<_, _> = downloads.iter().map(|status| (status.id, status)).collect();
        let mut names: HashMap<InfoHash, &str> = HashMap::new();
        let of_shares = shares.iter().filter_map(|share| Some((share.info_hash?, share.name.as_deref()?)));
        let of_downloads = downloads.iter().filter_map(|status| Some((status.info_hash?, status.name.as_str())));
        of_shares.chain(of_downloads).for_each(|(info_hash, name)| _ = names.insert(info_hash, name));
        let sending = sources.into_iter().filter_map(|(id, source)| {
            let status = by_id.get(&id)?;
            Some(of_source(id, status.info_hash, &status.name, source))
        });
        let name_of = |file: Option<InfoHash>| file.and_then(|file| names.get(&file)).map(|name| (*name).to_owned());
        let receiving = self.receivers.views().into_iter().map(|view| of_receiver(name_of(view.file), view));
        let mut rows: Vec<PeerStatus> = sending.chain(receiving).collect();
        rows.sort_by_key(|row| (std::cmp::Reverse((row.rate_bytes_s, row.activity)), row.ip, row.port));
        rows.truncate(PEER_ROWS_MAX);
        Ok(rows)
    }

    /// The trackers of this client and of its files, ordered by name.
    pub(crate) fn trackers(&self) -> Result<Vec<TrackerStatus>, NodeError> {
        let known = self.known_trackers().into_iter().map(TrackerRecord::new);
        let mut by_name = BTreeMap::<String, TrackerRecord>::new();
        for record in self.ask(Inspection::Trackers)?.into_iter().chain(known) {
            match by_name.get_mut(&record.name) {
                Some(known) => known.join(record),
                None => _ = by_name.insert(record.name.clone(), record),
            }
        }
        let row = |record: TrackerRecord| TrackerStatus {
            since: record.since.elapsed(),
            answered: record.answered_at.map(|at| at.elapsed()),
            name: record.name,
            state: record.state,
            files: record.files,
            latency: record.latency,
        };
        Ok(by_name.into_values().map(row).collect())
    }

    /// The trackers that are or will be used: those of the client, else those of its files.
    fn known_trackers(&self) -> Vec<String> {
        if !self.config.trackers.is_empty() {
            return self.config.trackers.clone();
        }
        let lists = self.lists.lock();
        let running = lists.downloads.iter().filter(|entry| !entry.has_ended());
        let of_downloads = running.flat_map(|entry| entry.request.metainfo.trackers().to_vec());
        let metainfo_of = |share: &Arc<ShareEntry>| share.state().metainfo.clone();
        let of_shares = lists.shares.iter().filter_map(metainfo_of).flat_map(|metainfo| metainfo.trackers().to_vec());
        of_downloads.chain(of_shares).collect()
    }

    /// The chunk maps, of at most `cells_max` cells each, of all downloads that have begun and of all shares that are
    /// served.
    pub(crate) fn files(&self, cells_max: usize) -> Result<Vec<FileStatus>, NodeError> {
        let mut rows = self.files_of_downloads(cells_max)?;
        let shares = self.lists.lock().shares.clone();
        for share in shares.iter().filter(|share| share.is_served()) {
            let torrent: Option<Arc<Torrent>> = share.state().torrent.clone();
            rows.extend(torrent.map(|torrent| FileStatus {
                path: Some(share.file.clone()),
                ..file_status(&torrent, &[], cells_max.min(CHUNK_CELLS_MAX))
            }));
        }
        Ok(rows)
    }

    /// The same of the downloads only, which are fewer than the shares as a rule.
    pub(crate) fn files_of_downloads(&self, cells_max: usize) -> Result<Vec<FileStatus>, NodeError> {
        let arriving = self.ask(Inspection::Arriving)?;
        let cells_max = cells_max.min(CHUNK_CELLS_MAX);
        let downloads = self.lists.lock().downloads.clone();
        let mut rows = Vec::new();
        for entry in downloads.iter().filter(|entry| !entry.has_ended()) {
            if let Some(torrent) = entry.driver.torrent.get().and_then(Weak::upgrade) {
                let arriving = arriving.get(&entry.id).map_or(&[][..], Vec::as_slice);
                let map = file_status(&torrent, arriving, cells_max);
                rows.push(FileStatus { download: Some(entry.id), path: entry.dest(), ..map });
            }
        }
        Ok(rows)
    }

    /// Asks core 0, which does other work first: the wait is bounded.
    fn ask<T>(&self, question: impl FnOnce(SyncSender<T>) -> Inspection) -> Result<T, NodeError> {
        let busy = || NodeError::Refused("the client is too busy to answer: ask again".to_owned());
        let (sender, answer) = sync_channel(1);
        self.instructions.try_send(Instruction::Show(question(sender))).map_err(|_| busy())?;
        answer.recv_timeout(SNAPSHOT_WAIT).map_err(|_| busy())
    }
}

fn of_source(id: DownloadId, info_hash: Option<InfoHash>, name: &str, source: SourceView) -> PeerStatus {
    PeerStatus {
        ip: source.endpoint.ip(),
        port: Some(source.endpoint.port()),
        class: PeerClass::of(source.endpoint.ip()),
        direction: Direction::Down,
        info_hash,
        name: Some(name.to_owned()),
        download: Some(id),
        activity: source.activity,
        why: source.why,
        received_bytes: source.received_bytes,
        sent_bytes: 0,
        rate_bytes_s: source.bytes_s,
        chunks: Some(source.chunks),
        open: source.open,
        connections: source.connections,
        congestion: source.congestion,
    }
}

fn of_receiver(name: Option<String>, view: ReceiverView) -> PeerStatus {
    PeerStatus {
        ip: view.address,
        port: None,
        class: PeerClass::of(view.address),
        direction: Direction::Up,
        info_hash: view.file,
        name,
        download: None,
        activity: view.activity,
        why: None,
        received_bytes: 0,
        sent_bytes: view.sent_bytes,
        rate_bytes_s: view.bytes_s,
        chunks: None,
        open: view.open,
        connections: view.connections,
        congestion: view.congestion,
    }
}

fn file_status(torrent: &Torrent, arriving: &[ChunkIndex], cells_max: usize) -> FileStatus {
    let (have, unreadable, metainfo) = (torrent.held(), torrent.unreadable(), &torrent.metainfo);
    // A chunk that was verified since it was asked for is there.
    let arriving: Vec<ChunkIndex> = arriving.iter().copied().filter(|chunk| !have.contains(*chunk)).collect();
    let map = ChunkMap { have: &have, arriving: &arriving, unreadable: &unreadable };
    FileStatus {
        info_hash: metainfo.info_hash(),
        download: None,
        name: metainfo.name().to_owned(),
        path: None,
        length: metainfo.geometry().length(),
        chunk_size: metainfo.geometry().chunk_size(),
        chunks: metainfo.geometry().chunk_count(),
        done: have.count(),
        in_flight: arriving.len() as u32,
        unreadable: unreadable.len() as u32,
        cells: map.cells(cells_max),
    }
}
