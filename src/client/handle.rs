//! The handle on a running client.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::core::{ClientCore, Pools, Shared};
use super::keeper::Keeper;
use super::manager::{Command, Manager};
use super::state::{DataDir, Saved, SavedIdentity, SavedShare};
use super::table::Table;
use super::{ClientConfig, ClientError, DownloadId, DownloadRequest, DownloadStatus, Event, ShareRequest, ShareStatus};
use crate::bitfield::{Bitfield, SharedBitfield};
use crate::download::{Driver, Request};
use crate::hash::hash_chunks;
use crate::ids::{Endpoint, PeerId};
use crate::limits::{
    CLIENT_COMMANDS_MAX, CLIENT_EVENTS_MAX, CLOSE_TIMEOUT, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX,
    METAINFO_BYTES_MAX,
};
use crate::metainfo::Metainfo;
use crate::net::listen::queues;
use crate::net::{ConnectionLimits, Listener, RateLimits};
use crate::peer::{Registry, Torrent};
use crate::runtime::Cores;
use crate::runtime::machine::connections_within;
use crate::runtime::mesh::MeshPlan;
use crate::storage::memory_plan::allowed_memory;
use crate::storage::{MemoryPlan, SeedFile};

/// A running client. Dropping it without [`Client::close`] leaves its entries at the trackers to expire.
#[derive(Debug)]
pub struct Client {
    config: Arc<ClientConfig>,
    address: SocketAddr,
    endpoint: Endpoint,
    table: Arc<Table>,
    registry: Arc<Registry>,
    limits: Arc<RateLimits>,
    memory: MemoryPlan,
    commands: async_channel::Sender<Command>,
    events: async_channel::Receiver<Event>,
    cores: Cores,
    keeper: Arc<Keeper>,
}

impl Client {
    /// Binds the listener, starts the cores, and takes up what the data folder keeps.
    pub fn start(config: ClientConfig) -> Result<Self, ClientError> {
        let data_dir = config.data_dir.as_deref().map(DataDir::open).transpose();
        let data_dir = data_dir.map_err(|error| ClientError::Refused(error.to_string()))?;
        let saved = data_dir.as_ref().map(DataDir::load).transpose();
        let saved = saved.map_err(|error| ClientError::Refused(error.to_string()))?;
        let listener = Listener::bind(config.listen).map_err(|error| ClientError::Listen(error.to_string()))?;
        let client = Self::start_cores(config, listener, data_dir)?;
        if let Some(saved) = saved {
            client.restore(saved);
        }
        Ok(client)
    }

    fn start_cores(config: ClientConfig, listener: Listener, data_dir: Option<DataDir>) -> Result<Self, ClientError> {
        let memory = MemoryPlan::new(config.cores, config.cache_bytes, config.chunk_bytes, allowed_memory())?;
        if memory.cores < config.cores {
            log::warn!(
                "{} of {} cores are used: the control group allows no memory for more",
                memory.cores,
                config.cores
            );
        }
        let config = Arc::new(ClientConfig { cores: memory.cores, ..config });
        let address = listener.address();
        let endpoint = config.advertise.or_else(|| advertised(address)).ok_or_else(|| refused("port 0"))?;
        let no_threads = |error| refused(format!("no threads can be started: {error}"));
        let shared = Shared {
            id: PeerId(rand::random()),
            registry: Arc::new(Registry::default()),
            uploads: Arc::default(),
            memory,
            limits: RateLimits::new(config.upload_limit, config.download_limit),
            pools: Pools::start().map_err(no_threads)?,
            plan: MeshPlan::new(config.cores),
            config: config.clone(),
        };
        let table = Arc::new(Table::default());
        let keeper = Keeper::new(table.clone(), data_dir);
        let (commands, received) = async_channel::bounded(CLIENT_COMMANDS_MAX);
        let (sender, events) = async_channel::bounded(CLIENT_EVENTS_MAX);
        let (registry, limits) = (shared.registry.clone(), shared.limits.clone());
        let (rows, kept) = (table.clone(), Arc::downgrade(&keeper));
        let (handed_out, incoming) = queues(config.cores);
        let (end, ended) = async_channel::bounded::<()>(1);
        let listener = Arc::new(Mutex::new(Some((listener, handed_out, end))));
        let cores = Cores::start("mtorrent", config.cores, move |core| {
            let (shared, incoming) = (shared.clone(), incoming[core.index].clone());
            let (rows, kept, sender, received) = (rows.clone(), kept.clone(), sender.clone(), received.clone());
            let (listener, ended) = (listener.clone(), ended.clone());
            async move {
                let Some(client) = ClientCore::start(core, shared, incoming).await else { return };
                // Core 0 finds the listener there; the others wait until core 0 has ended.
                let first =
                    if core.index == 0 { listener.lock().unwrap_or_else(PoisonError::into_inner).take() } else { None };
                match first {
                    Some((listener, handed_out, end)) => {
                        let limits = ConnectionLimits::new(
                            connections_within(CONNECTIONS_MAX, core.count),
                            CONNECTIONS_PER_ADDRESS_MAX,
                        );
                        crate::runtime::spawn_vital("listener", listener.serve(client.net.clone(), limits, handed_out));
                        Manager::new(client, rows, kept, sender, endpoint).run(received).await;
                        drop(end);
                    }
                    None => {
                        // Ends with an error, when core 0 lets go of the other end.
                        let _ = ended.recv().await;
                    }
                }
            }
        })?;
        Ok(Self { config, address, endpoint, table, registry, limits, memory, commands, events, cores, keeper })
    }

    /// Where peers connect, with the real port.
    pub fn listen_addr(&self) -> SocketAddr {
        self.address
    }

    /// What happens from now on. Every receiver shares the same queue.
    pub fn events(&self) -> async_channel::Receiver<Event> {
        self.events.clone()
    }

    /// How much is sent and received; what is set there holds at once.
    pub fn limits(&self) -> &RateLimits {
        &self.limits
    }

    /// Serves and announces a file that the caller has verified.
    pub fn share(&self, request: ShareRequest) -> Result<(), ClientError> {
        self.start_share(request)?;
        self.keeper.save();
        Ok(())
    }

    /// Starts a download and returns its number.
    pub fn get(&self, request: DownloadRequest) -> Result<DownloadId, ClientError> {
        let id = self.start_download(request)?;
        self.keeper.save();
        Ok(id)
    }

    fn start_share(&self, request: ShareRequest) -> Result<(), ClientError> {
        let file = SeedFile::open(&request.file)
            .map_err(|error| refused(format!("cannot read {}: {error}", request.file.display())))?;
        let geometry = request.metainfo.geometry();
        if file.identity().map(|identity| identity.bytes) != Some(geometry.length()) {
            return Err(refused(format!("{} has another length than the .mtorrent file says", request.file.display())));
        }
        let have = SharedBitfield::new(&Bitfield::full(geometry));
        let torrent = Arc::new(Torrent::new(request.metainfo.clone(), have, Some(file)));
        self.registry.insert(torrent.clone()).map_err(refused)?;
        let entry = self.table.rows().add_share(request, torrent);
        self.command(Command::Share(entry))
    }

    fn start_download(&self, request: DownloadRequest) -> Result<DownloadId, ClientError> {
        let info_hash = request.metainfo.info_hash();
        self.memory.check(request.metainfo.geometry().chunk_size() as usize)?;
        let driver = Driver::new(Request {
            metainfo: request.metainfo.clone(),
            dest: request.dest.clone(),
            force: request.force,
            wait: request.wait,
            strategy: self.config.strategy,
            stall_timeout: self.config.stall_timeout,
            endpoint: self.endpoint,
        });
        let entry = {
            let mut rows = self.table.rows();
            if let Some(running) = rows.running(info_hash) {
                return Err(refused(format!(
                    "{} is being downloaded already, as #{}",
                    running.request.metainfo.name(),
                    running.id
                )));
            }
            if let Some(share) = rows.share(info_hash).filter(|share| share.is_served() && request.dest.is_some()) {
                let file = share.request.file.display();
                return Err(refused(format!("{} is shared from {file}: copy it from there", request.metainfo.name())));
            }
            rows.add_download(request, driver)
        };
        let id = entry.id;
        self.command(Command::Get(entry))?;
        Ok(id)
    }

    /// Every download of this run, in the order of their numbers.
    pub fn downloads(&self) -> Vec<DownloadStatus> {
        self.table.rows().downloads.iter().map(|entry| entry.status()).collect()
    }

    /// Every share.
    pub fn shares(&self) -> Vec<ShareStatus> {
        self.table.rows().shares.iter().map(|entry| entry.status()).collect()
    }

    /// Serves the file of this `.mtorrent` (its path, or its file name) no more, and tells the trackers.
    pub fn remove(&self, name: &str) -> Result<(), ClientError> {
        let info_hash = {
            let mut rows = self.table.rows();
            let named = |path: &Path| path == Path::new(name) || path.file_name().is_some_and(|file| file == name);
            let index = rows.shares.iter().position(|entry| named(&entry.request.metainfo_path));
            let index = index.ok_or_else(|| refused(format!("{name} is not shared by this client")))?;
            rows.shares.remove(index).torrent.info_hash()
        };
        if let Some(torrent) = self.registry.remove(&info_hash) {
            torrent.stop("it was removed".to_owned());
        }
        self.command(Command::Unshare(info_hash))?;
        self.keeper.save();
        Ok(())
    }

    /// Ends a download; what is there stays for another `get`.
    pub fn cancel(&self, id: DownloadId) -> Result<(), ClientError> {
        let entry = self.table.rows().download(id).filter(|entry| !entry.has_ended()).cloned();
        let entry = entry.ok_or_else(|| refused(format!("no download #{id} is running")))?;
        entry.driver.cancelled.store(true, Ordering::Relaxed);
        self.keeper.save();
        Ok(())
    }

    /// Ends downloads where they can go on later, withdraws from the trackers, stops the cores.
    pub fn close(self) {
        self.keeper.save_and_close();
        if self.command(Command::Close).is_err() {
            log::warn!("the client had ended already");
        }
        if let Err(error) = self.cores.join_within(CLOSE_TIMEOUT + CLOSE_TIMEOUT + CLOSE_TIMEOUT) {
            log::error!("{error}");
        }
    }

    fn command(&self, command: Command) -> Result<(), ClientError> {
        self.commands.send_blocking(command).map_err(|_| refused("the client is closing"))
    }

    /// Takes up what an earlier run left. A share whose file changed meanwhile is hashed first. Nothing is saved
    /// on the way: who is killed while it hashes still finds all of it the next time.
    fn restore(&self, saved: Saved) {
        for share in saved.shares {
            if let Err(error) = self.restore_share(&share) {
                log::warn!("{} is not shared any more: {error}", share.file.display());
            }
        }
        for download in saved.downloads {
            let restored = read_metainfo(&download.metainfo).map_err(refused).and_then(|metainfo| {
                self.start_download(DownloadRequest {
                    metainfo: Arc::new(metainfo),
                    metainfo_path: download.metainfo.clone(),
                    dest: Some(download.dest.clone()),
                    force: download.force,
                    wait: None,
                    seed: true,
                })
            });
            if let Err(error) = restored {
                log::warn!("the download to {} is not resumed: {error}", download.dest.display());
            }
        }
    }

    fn restore_share(&self, share: &SavedShare) -> Result<(), ClientError> {
        let metainfo = Arc::new(read_metainfo(&share.metainfo).map_err(refused)?);
        if share.identity.is_none() || share.identity != SavedIdentity::at(&share.file) {
            self.check_whole(&metainfo, &share.file)?;
        }
        let (metainfo_path, file) = (share.metainfo.clone(), share.file.clone());
        self.start_share(ShareRequest { metainfo, metainfo_path, file })
    }

    fn check_whole(&self, metainfo: &Metainfo, path: &PathBuf) -> Result<(), ClientError> {
        let file = std::fs::File::open(path).map_err(refused)?;
        let (is_right, stop) = (AtomicBool::new(true), AtomicBool::new(false));
        hash_chunks(&file, metainfo.geometry(), &|_| true, self.config.cores, &stop, &|chunk, digest| {
            if !digest.is_ok_and(|digest| digest == *metainfo.chunk_hash(chunk)) {
                is_right.store(false, Ordering::Relaxed);
                stop.store(true, Ordering::Relaxed);
            }
        })
        .map_err(refused)?;
        if is_right.into_inner() { Ok(()) } else { Err(refused("the file has changed")) }
    }
}

fn refused(why: impl ToString) -> ClientError {
    ClientError::Refused(why.to_string())
}

/// What trackers are told: the listening address, or "where you see me" when that is every address.
fn advertised(address: SocketAddr) -> Option<Endpoint> {
    let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { address.ip() };
    Endpoint::new(ip, address.port())
}

fn read_metainfo(path: &Path) -> Result<Metainfo, String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    file.take(METAINFO_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Metainfo::parse(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}
