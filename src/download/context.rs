//! Services of core 0 that a download uses.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::job::Job;
use super::shard::ShardMessage;
use super::view::View;
use super::why_watch::ProgressReport;
use crate::ids::PeerId;
use crate::limits::DATA_CONNECTIONS_MAX;
use crate::net::Net;
use crate::runtime::{Blocking, LoadMeter};
use crate::torrent::Registry;

/// Services of core 0 that the driver of one download uses.
pub(crate) struct DriverContext {
    /// Connections of core 0.
    pub net: Net,
    /// Threads that may block.
    pub blocking: Blocking,
    /// Id of this client.
    pub id: PeerId,
    /// Port under which the trackers know this client.
    pub port: u16,
    /// Files that this client serves.
    pub registry: Arc<Registry>,
    /// Number of cores.
    pub cores: usize,
    /// Sends a message to this download's shard on a core.
    pub send: Box<dyn Fn(usize, ShardMessage)>,
    /// Number of running downloads of this client.
    pub running: Rc<Cell<usize>>,
    /// Shows the user a notice.
    pub notice: Box<dyn Fn(String)>,
    /// The download while it runs, for display.
    pub view: RefCell<Option<Weak<dyn View>>>,
    /// Reports on the progress.
    pub report_progress: Box<dyn Fn(ProgressReport)>,
    /// Measures the load of the machine.
    pub load: Arc<LoadMeter>,
    /// Threads that measure it.
    pub load_threads: Blocking,
}

/// A download that is paused, so that others may use its share of the connections.
#[derive(Debug)]
pub(crate) struct Idle {
    running: Rc<Cell<usize>>,
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.running.set(self.running.get() + 1);
    }
}

impl DriverContext {
    /// Maximum number of data connections of one download: its share of the client's.
    pub(crate) fn connections_max(&self) -> usize {
        (DATA_CONNECTIONS_MAX / self.running.get().max(1)).max(1)
    }

    /// The download while it runs.
    pub(crate) fn view(&self) -> Option<Rc<dyn View>> {
        self.view.borrow().as_ref().and_then(Weak::upgrade)
    }

    /// Does not count this download among the running ones until the result is dropped.
    pub(crate) fn idle(&self) -> Idle {
        self.running.set(self.running.get().saturating_sub(1));
        Idle { running: self.running.clone() }
    }

    /// Sends a message to every shard of this download.
    pub(crate) fn post(&self, message: ShardMessage) {
        (0..self.cores).for_each(|core| (self.send)(core, message.clone()));
    }

    /// Starts the shards; returns when all are ready.
    pub(crate) async fn start_shards(&self, job: &Arc<Job>) {
        let (ready, all_ready) = async_channel::bounded(self.cores);
        self.post(ShardMessage::Start(job.clone(), ready));
        wait_for_all(&all_ready).await;
    }

    /// Ends the shards; returns when every write has ended.
    pub(crate) async fn stop_shards(&self) {
        let (done, all_done) = async_channel::bounded(self.cores);
        self.post(ShardMessage::Stop(done));
        wait_for_all(&all_done).await;
    }
}

/// Waits until every core has answered or dropped its sender.
async fn wait_for_all(answers: &async_channel::Receiver<()>) {
    while answers.recv().await.is_ok() {}
}
