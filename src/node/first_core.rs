//! The start of a node's cores: each gets a worker, and the first one also the listener and the supervisor.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::context::NodeContext;
use super::event::Event;
use super::instruction::Instruction;
use super::lists::ShareAndDownloadLists;
use super::persistence::Persistence;
use super::supervisor::Supervisor;
use super::worker::{NodeParts, Worker};
use crate::ids::Endpoint;
use crate::net::{Accepted, ConnectionLimits, Incoming, Listener};
use crate::rpc;
use crate::runtime::{Cores, StartError};

/// The parts that only the first core gets.
pub(super) struct FirstCore {
    /// The bound listener.
    pub listener: Listener,
    /// The queues by which the listener passes connections to the cores.
    pub handed_out: Vec<async_channel::Sender<Accepted>>,
    /// All shares and downloads.
    pub lists: Arc<ShareAndDownloadLists>,
    /// Writes the lists into the data folder.
    pub persistence: Weak<Persistence>,
    /// The instructions of plain threads.
    pub instructions: async_channel::Receiver<Instruction>,
    /// Sender of events to plain threads.
    pub events: async_channel::Sender<Event>,
    /// Limits on incoming connections.
    pub connections: Arc<ConnectionLimits>,
    /// Endpoint that is announced to trackers.
    pub endpoint: Endpoint,
}

/// Starts a worker on each core, and the parts of `first` on core 0. All cores end when core 0 ends.
pub(super) fn start_cores(parts: NodeParts, first: FirstCore, incoming: Vec<Incoming>) -> Result<Cores, StartError> {
    let (end, ended) = async_channel::bounded::<()>(1);
    let first = Arc::new(Mutex::new(Some((first, end))));
    Cores::start("mtorrent", parts.config.cores, move |core| {
        let (parts, incoming) = (parts.clone(), incoming[core.index].clone());
        let (first, ended) = (first.clone(), ended.clone());
        async move {
            let Some(worker) = Worker::start(core, parts, incoming).await else { return };
            let first =
                if core.index == 0 { first.lock().unwrap_or_else(PoisonError::into_inner).take() } else { None };
            match first {
                Some((first, end)) => {
                    first.run(worker).await;
                    drop(end);
                }
                None => {
                    // Returns an error when the first core drops the other end.
                    let _ = ended.recv().await;
                }
            }
        }
    })
}

impl FirstCore {
    /// Accepts connections and follows instructions until the node is closed.
    async fn run(self, worker: Worker) {
        let serve =
            self.listener.serve(worker.net.clone(), self.connections, self.handed_out, rpc::too_many_connections());
        crate::runtime::spawn_vital("listener", serve);
        let context = NodeContext::new(worker, self.lists, self.persistence, self.events, self.endpoint);
        Supervisor::new(context).run(self.instructions).await;
    }
}
