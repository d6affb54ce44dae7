//! The handle on a running client.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::chunk_map::FileStatus;
use super::config::{NodeConfig, RateSetting};
use super::data_dir::DataDir;
use super::download_folder;
use super::error::NodeError;
use super::event::Event;
use super::first_core::{FirstCore, start_cores};
use super::instruction::Instruction;
use super::lists::ShareAndDownloadLists;
use super::observer::NodeObserver;
use super::peer_status::PeerStatus;
use super::persistence::Persistence;
use super::pools::Pools;
use super::request::{DownloadRequest, ShareRequest, Verified};
use super::saved::{Saved, SavedIdentity, SavedShare};
use super::share_entry::ShareEntry;
use super::status::{DownloadId, DownloadStatus, ShareStatus};
use super::tracker_status::TrackerStatus;
use super::worker::NodeParts;
use crate::bitfield::{Bitfield, SharedBitfield};
use crate::direction::Direction;
use crate::ids::{Endpoint, PeerId};
use crate::limits::{
    CLIENT_EVENTS_MAX, CLOSE_TIMEOUT, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, INSTRUCTIONS_QUEUED_MAX,
};
use crate::net::{ConnectionLimits, Listener, RateLimits, queues};
use crate::runtime::Cores;
use crate::runtime::machine::connections_within;
use crate::runtime::mesh::MeshPlan;
use crate::storage::memory_plan::allowed_memory;
use crate::storage::{MemoryPlan, SeedFile};
use crate::torrent::{Registry, Torrent};
use crate::upload::Receivers;
use crate::upload::UploadQueue;

/// A running client. Dropping it without [`Node::close`] leaves its entries at the trackers to expire.
#[derive(Debug)]
pub struct Node {
    config: Arc<NodeConfig>,
    pub(super) lists: Arc<ShareAndDownloadLists>,
    receivers: Arc<Receivers>,
    limits: Arc<RateLimits>,
    instructions: async_channel::Sender<Instruction>,
    address: SocketAddr,
    started: Instant,
    endpoint: Endpoint,
    registry: Arc<Registry>,
    uploads: Arc<UploadQueue>,
    connections: Arc<ConnectionLimits>,
    memory: MemoryPlan,
    events: async_channel::Receiver<Event>,
    cores: Cores,
    persistence: Arc<Persistence>,
}

impl Node {
    /// Binds the listener, starts the cores, and resumes the shares and downloads of the data folder.
    pub fn start(config: NodeConfig) -> Result<Self, NodeError> {
        let data_dir = config.data_dir.as_deref().map(DataDir::open).transpose();
        let data_dir = data_dir.map_err(|error| NodeError::Refused(error.to_string()))?;
        let saved = data_dir.as_ref().map(DataDir::load).transpose();
        let saved = saved.map_err(|error| NodeError::Refused(error.to_string()))?;
        let listener = Listener::bind(config.listen).map_err(|error| NodeError::Listen(error.to_string()))?;
        let client = Self::start_parts(config, listener, data_dir)?;
        if let Some(saved) = saved {
            client.restore(saved);
        }
        Ok(client)
    }

    fn start_parts(config: NodeConfig, listener: Listener, data_dir: Option<DataDir>) -> Result<Self, NodeError> {
        let memory = MemoryPlan::new(config.cores, config.cache_bytes, config.chunk_bytes, allowed_memory())?;
        if memory.cores < config.cores {
            log::warn!(
                "using {} of {} cores: the memory limit of the control group allows no more",
                memory.cores,
                config.cores
            );
        }
        let config = Arc::new(NodeConfig { cores: memory.cores, ..config });
        let address = listener.address();
        let endpoint =
            config.advertise.first().copied().or_else(|| advertised(address)).ok_or_else(|| refused("port 0"))?;
        let no_threads = |error| refused(format!("cannot start threads: {error}"));
        let parts = NodeParts {
            id: PeerId(rand::random()),
            registry: Arc::new(Registry::default()),
            uploads: Arc::default(),
            receivers: Arc::default(),
            memory,
            limits: RateLimits::new(config.upload_limit.given(), config.download_limit.given()),
            pools: Pools::start().map_err(no_threads)?,
            plan: MeshPlan::new(config.cores),
            config: config.clone(),
        };
        let lists = Arc::new(ShareAndDownloadLists::default());
        let persistence = Persistence::new(lists.clone(), data_dir);
        let (instructions, received) = async_channel::bounded(INSTRUCTIONS_QUEUED_MAX);
        let (sender, events) = async_channel::bounded(CLIENT_EVENTS_MAX);
        let (registry, limits, receivers) = (parts.registry.clone(), parts.limits.clone(), parts.receivers.clone());
        let uploads = parts.uploads.clone();
        let connections_max = connections_within(CONNECTIONS_MAX, config.cores);
        let connections = ConnectionLimits::new(connections_max, CONNECTIONS_PER_ADDRESS_MAX);
        let (handed_out, incoming) = queues(config.cores);
        let first = FirstCore {
            listener,
            handed_out,
            lists: lists.clone(),
            persistence: Arc::downgrade(&persistence),
            instructions: received,
            events: sender,
            connections: connections.clone(),
            endpoint,
        };
        let cores = start_cores(parts, first, incoming)?;
        Ok(Self {
            config,
            address,
            started: Instant::now(),
            endpoint,
            lists,
            registry,
            receivers,
            limits,
            uploads,
            connections,
            memory,
            instructions,
            events,
            cores,
            persistence,
        })
    }

    /// The listening address, with the real port.
    pub fn listen_addr(&self) -> SocketAddr {
        self.address
    }

    /// A view for threads that watch the client.
    pub(crate) fn observer(&self) -> NodeObserver {
        NodeObserver {
            config: self.config.clone(),
            lists: self.lists.clone(),
            receivers: self.receivers.clone(),
            instructions: self.instructions.clone(),
            registry: self.registry.clone(),
            limits: self.limits.clone(),
            uploads: self.uploads.clone(),
            connections: self.connections.clone(),
            memory: self.memory,
            listen: self.address,
            started: self.started,
        }
    }

    /// The events of the client. All receivers share one queue.
    pub fn events(&self) -> async_channel::Receiver<Event> {
        self.events.clone()
    }

    /// The rate limits of the client.
    pub fn limits(&self) -> &RateLimits {
        &self.limits
    }

    /// Sets the limit of one direction, bytes a second, at once and for later runs that are started without one.
    pub fn set_limit(&self, direction: Direction, bytes_s: Option<NonZeroU64>) {
        self.limits.set(direction, bytes_s);
        *self.lists.lock().limits.of(direction) = bytes_s;
        self.persistence.save();
    }

    /// Serves and announces a file that the caller has verified in its current state.
    pub fn share(&self, request: ShareRequest) -> Result<(), NodeError> {
        self.share_verified(request, None)
    }

    /// Serves and announces a file that the caller has verified in the state that `verified` gives. A file that has
    /// changed since then is hashed again first.
    pub fn share_verified(&self, request: ShareRequest, verified: Option<Verified>) -> Result<(), NodeError> {
        self.start_share(request, verified)?;
        self.persistence.save();
        Ok(())
    }

    /// Starts a download and returns its number.
    pub fn get(&self, request: DownloadRequest) -> Result<DownloadId, NodeError> {
        let id = self.start_download(request)?;
        self.persistence.save();
        Ok(id)
    }

    fn start_share(&self, request: ShareRequest, verified: Option<Verified>) -> Result<(), NodeError> {
        let file = SeedFile::open(&request.file)
            .map_err(|error| refused(format!("cannot read {}: {error}", request.file.display())))?;
        let geometry = request.metainfo.geometry().transferable().map_err(refused)?;
        let identity = file.identity();
        if identity.map(|identity| identity.bytes) != Some(geometry.length()) {
            return Err(refused(format!(
                "{} does not have the length that the .mtorrent file gives",
                request.file.display()
            )));
        }
        if verified.as_ref().is_some_and(|verified| Some(verified.identity) != identity) {
            // Core 0 detects the change and hashes the file.
            let paths = (request.metainfo_path, request.file);
            self.lists.lock().add_share(ShareEntry::waiting(paths, Some(request.metainfo), None, None));
            return Ok(());
        }
        let have = SharedBitfield::new(&Bitfield::full(geometry));
        let torrent = Arc::new(Torrent::new(request.metainfo.clone(), have, Some(file)));
        let unreadable = verified.into_iter().flat_map(|verified| verified.unreadable);
        unreadable.for_each(|chunk| torrent.set_unreadable(chunk));
        self.registry.insert(torrent.clone()).map_err(refused)?;
        let entry = self.lists.lock().add_share(ShareEntry::active(request, torrent, identity));
        self.instruct(Instruction::Share(entry))
    }

    fn start_download(&self, request: DownloadRequest) -> Result<DownloadId, NodeError> {
        let info_hash = request.metainfo.info_hash();
        let geometry = request.metainfo.geometry().transferable().map_err(refused)?;
        self.memory.check(geometry.chunk_size() as usize)?;
        let driver = request.driver(&self.config, self.endpoint);
        let folder = request.dest.as_deref().and_then(download_folder::mark);
        let entry = {
            let mut lists = self.lists.lock();
            if let Some(running) = lists.running(info_hash) {
                return Err(refused(format!(
                    "{} is already being downloaded, as #{}",
                    running.request.metainfo.name(),
                    running.id
                )));
            }
            // A new request for the same destination replaces a download that waits for its disk.
            lists.waiting.retain(|waiting| Some(&waiting.saved.dest.0) != request.dest.as_ref());
            lists.add_download(None, request, driver, folder)
        };
        let id = entry.id;
        self.instruct(Instruction::Get(entry))?;
        Ok(id)
    }

    /// All downloads of this run, ordered by number.
    pub fn downloads(&self) -> Vec<DownloadStatus> {
        self.lists.lock().statuses()
    }

    /// All shares.
    pub fn shares(&self) -> Vec<ShareStatus> {
        self.observer().shares()
    }

    /// The peers that send to this client and those that receive from it, those with the highest rate first.
    pub fn peers(&self) -> Result<Vec<PeerStatus>, NodeError> {
        self.observer().peers()
    }

    /// The trackers of this client and of its files, ordered by name.
    pub fn trackers(&self) -> Result<Vec<TrackerStatus>, NodeError> {
        self.observer().trackers()
    }

    /// The chunk maps, of at most `cells_max` cells each, of all downloads that have begun and of all shares that are
    /// served.
    pub fn files(&self, cells_max: usize) -> Result<Vec<FileStatus>, NodeError> {
        self.observer().files(cells_max)
    }

    /// Removes the share that `name` names: stops serving its file and withdraws it from the trackers. Without such a
    /// share, cancels a download of that `.mtorrent` file that waits for its disk. `name` is the path or the file name
    /// of the `.mtorrent` file, or the path of the shared file; it must match one share only.
    pub fn remove(&self, name: impl AsRef<Path>) -> Result<(), NodeError> {
        let name = name.as_ref();
        let removed = {
            let mut lists = self.lists.lock();
            let named: Vec<_> = lists.shares.iter().filter(|share| share.is_named(name)).cloned().collect();
            if let [first, second, ..] = named.as_slice() {
                let [first, second] = [first, second]
                    .map(|share| format!("{} of {}", share.metainfo_path.display(), share.file.display()));
                let why =
                    format!("{} matches {first} and {second}: give the path of one of these files", name.display());
                return Err(refused(why));
            }
            lists.shares.retain(|share| !share.is_named(name));
            named.into_iter().next()
        };
        match removed {
            Some(share) => self.end_share(&share)?,
            None => self.end_waiting(name)?,
        }
        self.persistence.save();
        Ok(())
    }

    fn end_share(&self, share: &ShareEntry) -> Result<(), NodeError> {
        share.removed.store(true, Ordering::Relaxed);
        let torrent = share.state().torrent.take();
        // A download of the same file, or another share, is still served.
        let was_served = torrent.filter(|torrent| self.registry.remove(torrent));
        let Some(torrent) = was_served else { return Ok(()) };
        torrent.stop("it was removed".to_owned());
        self.instruct(Instruction::Unshare(torrent.info_hash()))
    }

    fn end_waiting(&self, name: &Path) -> Result<(), NodeError> {
        let id = {
            let lists = self.lists.lock();
            let is_named = |path: &Path| path == name || path.file_name().is_some_and(|file| file == name);
            lists.waiting.iter().find(|waiting| is_named(&waiting.saved.metainfo.0)).map(|waiting| waiting.id)
        };
        let id = id.ok_or_else(|| refused(format!("{} is not shared by this client", name.display())))?;
        self.cancel_waiting(id).unwrap_or(Ok(()))
    }

    /// Cancels a download that waits for its disk; `None` if no such download has this number.
    fn cancel_waiting(&self, id: DownloadId) -> Option<Result<(), NodeError>> {
        let waiting = self.lists.lock().take_waiting(id)?;
        Some(self.instruct(Instruction::GiveUp(waiting)))
    }

    /// Cancels a download; the received data is kept for another `get`.
    pub fn cancel(&self, id: DownloadId) -> Result<(), NodeError> {
        let entry = self.lists.lock().download(id).filter(|entry| !entry.has_ended()).cloned();
        match entry {
            Some(entry) => {
                entry.given_up.store(true, Ordering::Relaxed);
                entry.driver.cancelled.store(true, Ordering::Relaxed);
            }
            None => {
                let none = || Err(no_download(id));
                self.cancel_waiting(id).unwrap_or_else(none)?;
            }
        }
        self.persistence.save();
        Ok(())
    }

    /// Pauses a download: within a second it receives nothing and has given up its connections. It goes on serving what
    /// it has, and a later run finds it paused. A paused download stays so.
    pub fn pause(&self, id: DownloadId) -> Result<(), NodeError> {
        self.set_paused(id, true)
    }

    /// Resumes a paused download without hashing again what it has. One that runs goes on.
    pub fn resume(&self, id: DownloadId) -> Result<(), NodeError> {
        self.set_paused(id, false)
    }

    fn set_paused(&self, id: DownloadId, paused: bool) -> Result<(), NodeError> {
        {
            let lists = self.lists.lock();
            let known = lists.download(id).map(|entry| (entry.has_ended(), &entry.driver.paused));
            match known.or_else(|| lists.waiting(id).map(|waiting| (false, &waiting.paused))) {
                Some((false, flag)) => flag.store(paused, Ordering::Relaxed),
                Some((true, _)) => return Err(refused(format!("#{id} has ended: get the file again"))),
                None => return Err(no_download(id)),
            }
        }
        self.persistence.save();
        Ok(())
    }

    /// Ends downloads in a state from which they can resume, withdraws all files from the trackers and stops the cores.
    pub fn close(self) {
        self.persistence.save_and_close();
        if self.instruct(Instruction::Close).is_err() {
            log::warn!("the client had ended already");
        }
        if let Err(error) = self.cores.join_within(CLOSE_TIMEOUT + CLOSE_TIMEOUT + CLOSE_TIMEOUT) {
            log::error!("{error}");
        }
    }

    pub(super) fn instruct(&self, instruction: Instruction) -> Result<(), NodeError> {
        self.instructions.send_blocking(instruction).map_err(|_| refused("the client is closing"))
    }

    /// Lists the shares and downloads of an earlier run, for core 0 to check; never waits. It does not save the lists,
    /// so that a process that is killed meanwhile finds all of them at the next start.
    fn restore(&self, saved: Saved) {
        let mut lists = self.lists.lock();
        for SavedShare { metainfo, file, info_hash, identity } in saved.shares {
            let info_hash = info_hash.and_then(|text| text.parse().ok());
            // A file that was verified against an unknown .mtorrent file counts as not verified.
            let verified = identity.and_then(SavedIdentity::identity).filter(|_| info_hash.is_some());
            lists.add_share(ShareEntry::waiting((metainfo.0, file.0), None, info_hash, verified));
        }
        let mut limits = saved.limits;
        (lists.last_id, lists.limits) = (saved.last_id, limits);
        saved.downloads.into_iter().for_each(|download| lists.restore(download));
        drop(lists);
        for (direction, given) in
            [(Direction::Up, self.config.upload_limit), (Direction::Down, self.config.download_limit)]
        {
            if given == RateSetting::Kept {
                self.limits.set(direction, *limits.of(direction));
            }
        }
    }
}

fn no_download(id: DownloadId) -> NodeError {
    refused(format!("there is no download #{id} that has not ended: `show downloads` lists all"))
}

fn refused(why: impl ToString) -> NodeError {
    NodeError::Refused(why.to_string())
}

/// The endpoint to announce: the listening address, or 0.0.0.0 in place of the IP address if that is unspecified.
fn advertised(address: SocketAddr) -> Option<Endpoint> {
    let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { address.ip() };
    Endpoint::new(ip, address.port())
}
