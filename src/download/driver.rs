//! One download from its request to its end, on core 0. The driver prepares the destination, runs the peers and the
//! shards, has batches made durable, and finishes the file.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures_lite::FutureExt as _;

use super::batches::{Batches, Durable};
use super::context::{DriverContext, Idle};
use super::job::{Job, Progress, Report, Target};
use super::meter::RateMeter;
use super::outcome::{DownloadState, Failure};
use super::peer_set::{NoProgress, PeerSet};
use super::prepare::{self, Found, Prepared};
use super::progress_reporter::ProgressReporter;
use super::session_driver::{Blame, SessionDriver};
use super::view::View;
use super::why::{Cause, Why};
use super::why_watch::{Tick, WhyWatch};
use crate::bitfield::{Bitfield, SharedBitfield};
use crate::hash::zero_chunks;
use crate::ids::Endpoint;
use crate::limits::{DRIVER_TICK, REPORTS_AT_ONCE_MAX, STALLED_AFTER, WITHDRAWAL_WAIT};
use crate::metainfo::Metainfo;
use crate::runtime::{deadline, sleep};
use crate::storage::allocate::DIRECT_ALIGN;
use crate::storage::{DestError, DiskFiles, Ledger, SeedFile};
use crate::swarm::{Strategy, Supply};
use crate::torrent::RegistryError;
use crate::torrent::Torrent;
use crate::tracker_client::{Announcement, Announcer};
use crate::wire::ProgressState;

/// Parameters of a download.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Metainfo of the file.
    pub metainfo: Arc<Metainfo>,
    /// Path of the finished file; `None` discards the data.
    pub dest: Option<PathBuf>,
    /// Whether an existing file may be replaced.
    pub force: bool,
    /// Whether an existing file is repaired where it is.
    pub in_place: bool,
    /// Whether chunks of zeros become holes instead of being downloaded.
    pub is_sparse: bool,
    /// Time without any peer after which the download gives up.
    pub wait: Option<Duration>,
    /// The same time once any data was received: sources may be away for a while.
    pub stall_timeout: Duration,
    /// Strategy by which chunks are chosen.
    pub strategy: Strategy,
    /// Endpoint at which this client serves its chunks.
    pub endpoint: Endpoint,
    /// Whether the tracker is told how far the download is.
    pub reports_progress: bool,
}

/// Handle of a running download, for its client.
#[derive(Debug)]
pub(crate) struct Driver {
    /// Parameters of the download.
    pub request: Request,
    /// Figures of the download; set once the shards run.
    pub progress: OnceLock<Arc<Progress>>,
    /// The file and its chunks; set with `progress`, and gone after the end.
    pub torrent: OnceLock<Weak<Torrent>>,
    /// Set to end the download early.
    pub cancelled: AtomicBool,
    /// Set while the download must not receive: it gives up its connections, and serves the chunks that it has.
    pub paused: AtomicBool,
}

struct Run {
    driver: Arc<Driver>,
    context: Rc<DriverContext>,
    announcer: Rc<Announcer>,
    job: Arc<Job>,
    peer_set: Rc<PeerSet>,
    session_driver: Rc<SessionDriver>,
    batches: Option<Rc<Batches>>,
    announced: Cell<bool>,
    reporter: ProgressReporter,
    not_direct_reported: Cell<bool>,
    /// Present while the download is paused.
    idle: RefCell<Option<Idle>>,
}

impl Driver {
    /// A download that has not started yet.
    pub(crate) fn new(request: Request) -> Arc<Self> {
        let (cancelled, paused) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { request, progress: OnceLock::new(), torrent: OnceLock::new(), cancelled, paused })
    }

    /// Downloads to the end. Without an `announcer` (no tracker is known) only an existing, right file is a success.
    /// Calls `state` with each state. The file continues to be served.
    pub(crate) async fn run(
        self: Arc<Self>,
        context: Rc<DriverContext>,
        announcer: Option<Rc<Announcer>>,
        state: impl Fn(DownloadState),
    ) -> Result<DownloadState, Failure> {
        state(DownloadState::Hashing);
        let found = self.is_finished(&context).await?;
        if found == Found::Whole {
            self.serve_finished(&context, announcer.as_deref())?;
            return Ok(DownloadState::Done { up_to_date: true });
        }
        let announcer = announcer.ok_or_else(|| self.no_tracker())?;
        let (durable, have) = self.open(&context, found).await?;
        let run = self.start(context, announcer, durable, have).await?;
        let worked = run.work(&state).await;
        let end = async {
            run.context.stop_shards().await;
            match worked {
                Ok(()) => run.finish().await,
                Err(failure) => Err(failure),
            }
        };
        let ended = end.or(run.watch_the_end()).await;
        if ended.is_err() {
            run.give_up().await;
        }
        ended.map(|()| DownloadState::Done { up_to_date: false })
    }

    fn check_cancelled(&self) -> Result<(), Failure> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Failure::cancelled()) } else { Ok(()) }
    }

    fn preparation(&self, threads: usize) -> prepare::Preparation<'_> {
        let Request { metainfo, force, in_place, is_sparse, .. } = &self.request;
        let (force, in_place, is_sparse) = (*force, *in_place, *is_sparse);
        prepare::Preparation { metainfo, force, in_place, is_sparse, threads, stop: &self.cancelled }
    }

    /// Inspects the destination.
    async fn is_finished(self: &Arc<Self>, context: &DriverContext) -> Result<Found, Failure> {
        let Some(dest) = self.request.dest.clone() else { return Ok(Found::Nothing) };
        let (this, threads) = (self.clone(), context.cores);
        let work = move || this.preparation(threads).inspect(&dest);
        context.blocking.run_long(work).await.map_err(Failure::local)?
    }

    /// Opens the destination; returns the state of its files.
    async fn open(
        self: &Arc<Self>,
        context: &DriverContext,
        found: Found,
    ) -> Result<(Option<Durable>, Bitfield), Failure> {
        let Some(dest) = self.request.dest.clone() else { return Ok((None, self.zeros())) };
        let (this, threads) = (self.clone(), context.cores);
        let (registry, info_hash) = (context.registry.clone(), self.request.metainfo.info_hash());
        let work = move || {
            // Right chunks of the file that will be replaced, or of a file shared from here, need not be downloaded.
            let torrent = registry.get(&info_hash).filter(|torrent| torrent.stopped().is_none());
            let shared = torrent.as_ref().and_then(|torrent| Some((torrent.content.as_ref()?.path()?, torrent.held())));
            let shared = shared.as_ref().map(|(path, chunks)| (path.as_path(), chunks));
            let preparation = this.preparation(threads);
            match found {
                Found::Different { right, identity } if preparation.in_place => {
                    if registry.serves((identity.device, identity.inode)) {
                        return Err(Failure::local(DestError::Shared(dest)));
                    }
                    preparation.open_in_place(&dest, right, identity, shared)
                }
                Found::Different { right, .. } => preparation.open(&dest, Some(&right), shared),
                Found::Nothing | Found::Whole => preparation.open(&dest, None, shared),
            }
        };
        let Prepared { ledger, files, have, notice } =
            context.blocking.run_long(work).await.map_err(Failure::local)??;
        notice.into_iter().for_each(|notice| (context.notice)(notice));
        Ok((Some((ledger, files)), have))
    }

    /// The chunks that are neither downloaded nor written.
    fn zeros(&self) -> Bitfield {
        let metainfo = &self.request.metainfo;
        if self.request.is_sparse { zero_chunks(metainfo) } else { Bitfield::empty(metainfo.geometry()) }
    }

    /// Serves a destination that was right already, like any other share.
    fn serve_finished(&self, context: &DriverContext, announcer: Option<&Announcer>) -> Result<(), Failure> {
        let Some(dest) = &self.request.dest else { return Ok(()) };
        let metainfo = self.request.metainfo.clone();
        let file = SeedFile::open(dest).map_err(|e| Failure::local(format!("cannot read {}: {e}", dest.display())))?;
        let have = SharedBitfield::new(&Bitfield::full(metainfo.geometry()));
        let torrent = Arc::new(Torrent::new(metainfo.clone(), have, Some(file)));
        match context.registry.insert(torrent) {
            // The same content is shared already, perhaps from the same path.
            Ok(()) | Err(RegistryError::Known) => {}
            Err(error) => return Err(Failure::local(error)),
        }
        if let Some(announcer) = announcer {
            announcer.add(Announcement { metainfo, endpoint: self.request.endpoint });
        }
        Ok(())
    }

    fn no_tracker(&self) -> Failure {
        let name = self.request.metainfo.name();
        Failure::local(format!("the .mtorrent file of {name} names no tracker: give one with --tracker HOST:PORT"))
    }

    async fn start(
        self: Arc<Self>,
        context: Rc<DriverContext>,
        announcer: Rc<Announcer>,
        durable: Option<Durable>,
        have: Bitfield,
    ) -> Result<Rc<Run>, Failure> {
        let target = durable.as_ref().and_then(|(_, files)| {
            let (part, record) = (files.part_path(), files.record_path());
            files.part().map(|file| Target { part, record, file: file.clone() })
        });
        let length = self.request.metainfo.geometry().length();
        let part = target.as_ref().map(|target| target.part.clone());
        let open = move || {
            let reserved = length.next_multiple_of(DIRECT_ALIGN);
            // Opened anew: the lock on the .part ends with the download, while connections may still hold this
            // descriptor.
            part.map(|part| File::open(part).and_then(|file| SeedFile::unfinished(file, reserved))).transpose()
        };
        let opened = context.blocking.run(open).await.map_err(Failure::local)?;
        let file = opened.map_err(|error| Failure::local(format!("cannot map the .part file: {error}")))?;
        let torrent = Arc::new(Torrent::new(self.request.metainfo.clone(), SharedBitfield::new(&have), file));
        let (reports, received) = async_channel::unbounded();
        let progress = Arc::new(Progress::default());
        progress.done_bytes.store(have.byte_count(), Ordering::Relaxed);
        progress.zero_bytes.store(self.zeros().byte_count(), Ordering::Relaxed);
        let is_first = self.progress.set(progress.clone()).is_ok();
        debug_assert!(is_first, "a download runs once");
        // Nothing else sets it.
        let _ = self.torrent.set(Arc::downgrade(&torrent));
        let (written_reported, failure) = (AtomicBool::new(false), OnceLock::new());
        let job = Arc::new(Job { torrent, target, progress, reports, received, written_reported, failure });
        let batches = durable.map(|durable| Batches::new(durable, job.clone(), context.blocking.clone()));
        if let Some(batches) = &batches
            && let Err(error @ RegistryError::Full) = context.registry.insert(job.torrent.clone())
        {
            batches.keep_for_later().await;
            return Err(Failure::local(error));
        }
        context.start_shards(&job).await;
        let session_driver = SessionDriver::new(context.clone(), &have, self.request.strategy);
        let peer_set = PeerSet::start(context.clone(), job.clone(), session_driver.clone(), announcer.group().clone());
        let view: Rc<dyn View> = peer_set.clone();
        *context.view.borrow_mut() = Some(Rc::downgrade(&view));
        let reporter = ProgressReporter::new(announcer.clone(), job.clone(), self.request.reports_progress);
        Ok(Rc::new(Run {
            driver: self,
            context,
            reporter,
            announcer,
            peer_set,
            session_driver,
            batches,
            announced: Cell::new(false),
            not_direct_reported: Cell::new(false),
            idle: RefCell::new(None),
            job,
        }))
    }
}

impl Run {
    /// Runs the download until all chunks are written.
    async fn work(self: &Rc<Self>, state: &impl Fn(DownloadState)) -> Result<(), Failure> {
        let mut rate = RateMeter::new(&self.job.progress);
        let mut watch = WhyWatch::new(&self.job.progress);
        loop {
            // Checked first: chunks that a failed sync lost must not count as done.
            if let Some(error) = self.job.failure.get() {
                return Err(self.write_failure(error));
            }
            if self.job.torrent.is_complete() {
                return Ok(());
            }
            self.driver.check_cancelled()?;
            if self.follow_pause() {
                rate.rest(&self.job.progress);
                watch = WhyWatch::new(&self.job.progress);
            }
            self.announce_once();
            if let Some(batches) = &self.batches {
                batches.commit_if_due();
            }
            if let Ok(Ok(report)) = deadline(DRIVER_TICK, self.job.received.recv()).await {
                self.act_on(report);
                // Further reports that have arrived are handled without another wait.
                for report in std::iter::from_fn(|| self.job.received.try_recv().ok()).take(REPORTS_AT_ONCE_MAX) {
                    self.act_on(report);
                }
            }
            if self.is_idle() {
                rate.rest(&self.job.progress);
                self.session_driver.tick();
                self.job.progress.set_why(Why::of(Cause::Paused));
                // The pause counts neither as a cause nor as time without progress.
                watch = WhyWatch::new(&self.job.progress);
                self.show(DownloadState::Paused, state);
            } else if rate.is_due() {
                rate.tick(&self.job.progress, self.session_driver.wait_reason());
                self.session_driver.tick();
                self.peer_set.retry();
                self.peer_set.check_deliveries();
                self.watch(&mut watch);
                self.show(self.check_progress(rate.still_for())?, state);
            }
        }
    }

    fn show(&self, now: DownloadState, state: &impl Fn(DownloadState)) {
        self.reporter.tick(&now);
        state(now);
    }

    /// Pauses or resumes as the user wants. Paused, the download keeps its files open, makes durable what arrives late,
    /// and serves what it has; nothing of it is hashed again. Returns whether it was resumed.
    fn follow_pause(&self) -> bool {
        match (self.driver.paused.load(Ordering::Relaxed), self.is_idle()) {
            (true, false) => {
                self.peer_set.pause();
                *self.idle.borrow_mut() = Some(self.context.idle());
            }
            (false, true) => {
                *self.idle.borrow_mut() = None;
                self.peer_set.resume();
                return true;
            }
            _ => {}
        }
        false
    }

    fn is_idle(&self) -> bool {
        self.idle.borrow().is_some()
    }

    fn act_on(&self, report: Report) {
        match report {
            Report::Written => drop(self.job.written_reported.swap(false, Ordering::AcqRel)),
            Report::NotDirect => self.report_not_direct(),
            // The loop checks `Job::failure` in any case.
            Report::Failed => {}
            report => match self.session_driver.report(report) {
                Blame::Nobody => {}
                Blame::Failed(slot) => self.peer_set.connection_failed(slot),
                Blame::WrongChunk(slot) => self.peer_set.bad_chunk(slot),
            },
        }
    }

    fn write_failure(&self, error: &std::io::Error) -> Failure {
        let dest = self.driver.request.dest.clone().unwrap_or_default();
        let length = self.job.torrent.metainfo.geometry().length();
        let again = |code| std::io::Error::from_raw_os_error(code);
        let error = error.raw_os_error().map_or_else(|| std::io::Error::other(error.to_string()), again);
        Failure::local(DestError::from_io(&dest, length, error))
    }

    fn report_not_direct(&self) {
        if !self.not_direct_reported.replace(true) {
            let dest = self.driver.request.dest.clone().unwrap_or_default();
            let text = "this file system has no O_DIRECT, so it is written through the page cache";
            (self.context.notice)(format!("{}: {text}", dest.display()));
        }
    }

    /// The state of the download; fails when there was no peer, or no progress, for too long.
    fn check_progress(&self, still_for: Duration) -> Result<DownloadState, Failure> {
        let (state, waited, why) = match self.peer_set.no_peers_since() {
            Some((alone_for, why)) => (DownloadState::Waiting, alone_for, why),
            None if still_for < STALLED_AFTER => return Ok(DownloadState::Running),
            None => (DownloadState::Stalled, still_for, NoProgress::Stalled),
        };
        let has_received = self.job.progress.fetched_bytes.load(Ordering::Relaxed) > 0;
        let patience = self.driver.request.wait;
        let patience =
            if has_received { patience.map(|wait| wait.max(self.driver.request.stall_timeout)) } else { patience };
        if patience.is_some_and(|patience| waited >= patience) {
            return Err(why.into_failure(self.job.torrent.metainfo.name()));
        }
        Ok(state)
    }

    /// Finds the cause for which the download waits, and reports it when there was no progress for long.
    fn watch(&self, watch: &mut WhyWatch) {
        let progress = &self.job.progress;
        let has_received = progress.fetched_bytes.load(Ordering::Relaxed) > 0;
        let no_peers = self.peer_set.no_peers_since().map(|(_, why)| why);
        let supply = self.session_driver.supply();
        let cause = watch.take(
            progress,
            Tick {
                chunks: self.job.torrent.metainfo.geometry().chunk_count(),
                is_capped: self.context.net.is_at_download_limit(),
                has_queue: self.peer_set.has_queue_at_own_link(),
                load: self.context.load.load(&self.context.load_threads),
                supply,
                no_peers: no_peers.as_ref().map(|why| why.cause(has_received)),
            },
        );
        let why = match (cause, no_peers) {
            (Cause::Tracker | Cause::NoPeers, Some(why)) => Why::with(cause, why.to_string()),
            (Cause::SlowPeer, _) => self.slow_peer(&supply),
            _ => Why::of(cause),
        };
        if let Some(report) = watch.report(progress, &why) {
            (self.context.report_progress)(report);
        }
        progress.set_why(why);
    }

    /// Reports if the disk takes long for the last chunks; never ends.
    async fn watch_the_end<T>(&self) -> T {
        let (progress, why) = (&self.job.progress, Why::with(Cause::Disk, "the last chunks are made durable"));
        let mut watch = WhyWatch::new(progress);
        progress.set_why(why.clone());
        loop {
            sleep(DRIVER_TICK).await;
            if let Some(report) = watch.report(progress, &why) {
                (self.context.report_progress)(report);
            }
        }
    }

    fn slow_peer(&self, supply: &Supply) -> Why {
        match supply.only_asked.and_then(|slot| self.peer_set.endpoint(slot)) {
            Some(peer) => {
                Why::with(Cause::SlowPeer, format!("{peer} alone has the last {} chunks, and is slow", supply.missing))
            }
            None => Why::of(Cause::SlowPeer),
        }
    }

    /// Announces the file: from the first chunk on, this client is a seeder too.
    fn announce_once(&self) {
        if self.job.target.is_some() && self.has_any() && !self.announced.replace(true) {
            let metainfo = self.job.torrent.metainfo.clone();
            self.announcer.add(Announcement { metainfo, endpoint: self.driver.request.endpoint });
        }
    }

    fn has_any(&self) -> bool {
        self.job.torrent.held_count() > 0 || self.job.torrent.is_complete()
    }

    async fn finish(&self) -> Result<(), Failure> {
        let Some(dest) = self.driver.request.dest.clone() else { return Ok(()) };
        let Some(batches) = &self.batches else { return Ok(()) };
        let (force, job) = (self.driver.request.force, self.job.clone());
        let length = job.torrent.metainfo.geometry().length();
        let work = move |ledger: &mut Ledger, files: &mut DiskFiles| {
            prepare::check_whole(&job.torrent.metainfo, files)?;
            let finished = ledger.finish(force, files).and_then(|()| match &job.torrent.content {
                Some(content) => content.finish(&dest),
                None => Ok(()),
            });
            finished.map_err(|error| DestError::from_io(&dest, length, error))
        };
        self.announce_once();
        batches.lend(work).await.map_err(Failure::local)?.map_err(Failure::from)?;
        self.reporter.end(ProgressState::Done);
        Ok(())
    }

    /// Keeps the received data for the next try.
    async fn give_up(&self) {
        self.job.torrent.stop("the download ended early".to_owned());
        if let Some(batches) = &self.batches {
            self.context.registry.remove(&self.job.torrent);
            batches.keep_for_later().await;
        }
        // The destination that was discarded may be shared from elsewhere.
        let served = || self.context.registry.get(&self.job.torrent.info_hash());
        let is_shared = || served().is_some_and(|torrent| torrent.stopped().is_none());
        if self.announced.get() && is_shared() {
            // Without a share, the withdrawal says the same.
            self.reporter.end(ProgressState::Ended);
        }
        if self.announced.get() && !is_shared() {
            let withdrawal = self.announcer.withdraw(self.job.torrent.info_hash());
            let (done, acknowledged) = async_channel::bounded::<()>(1);
            crate::runtime::spawn("withdrawal", async move {
                withdrawal.await;
                drop(done);
            });
            // A tracker that does not answer gets the withdrawal later, or its lease ends: both errors end the wait.
            let _ = deadline(WITHDRAWAL_WAIT, acknowledged.recv()).await;
        }
    }
}
