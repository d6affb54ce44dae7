//! What the work on one download needs of core 0.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::job::Job;
use super::shard::ShardMessage;
use crate::ids::PeerId;
use crate::limits::DATA_CONNECTIONS_MAX;
use crate::net::Net;
use crate::runtime::Blocking;
use crate::torrent::Registry;

/// What a driver needs of core 0 for one download.
pub(crate) struct DriverContext {
    /// Connections of core 0.
    pub net: Net,
    /// Threads that may block.
    pub blocking: Blocking,
    /// This client's id.
    pub id: PeerId,
    /// The port under which the trackers know us.
    pub port: u16,
    /// What is served.
    pub registry: Arc<Registry>,
    /// All cores.
    pub cores: usize,
    /// Hands a message to this download's shard on a core.
    pub send: Box<dyn Fn(usize, ShardMessage)>,
    /// Downloads of this client that run.
    pub running: Rc<Cell<usize>>,
    /// Shows the user a notice.
    pub notice: Box<dyn Fn(String)>,
}

impl DriverContext {
    /// Data connections that one download may have: its share of the client's.
    pub(crate) fn connections_max(&self) -> usize {
        (DATA_CONNECTIONS_MAX / self.running.get().max(1)).max(1)
    }

    /// Hands a message to every shard of this download.
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

/// Waits until every core has answered or let go of the channel.
async fn wait_for_all(answers: &async_channel::Receiver<()>) {
    while answers.recv().await.is_ok() {}
}
