//! The connections that this process serves, for display. A connection is entered at its start; after that it only
//! stores into atomics of its own.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ids::InfoHash;
use crate::swarm::ConnectionId;
use crate::torrent::PeerActivity;

/// All connections of the process.
#[derive(Debug, Default)]
pub(crate) struct Receivers {
    connections: Mutex<HashMap<ConnectionId, Arc<Figures>>>,
}

/// The figures of one connection; it is listed until this is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    all: Arc<Receivers>,
    id: ConnectionId,
    figures: Arc<Figures>,
}

#[derive(Debug)]
struct Figures {
    address: IpAddr,
    congestion: Option<String>,
    file: Mutex<Option<InfoHash>>,
    activity: AtomicU8,
    requests: AtomicU32,
    sent_bytes: AtomicU64,
    sampled_bytes: AtomicU64,
    bytes_s: AtomicU64,
}

/// A peer that receives a file from this client, on all its connections together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReceiverView {
    /// Address of the peer.
    pub address: IpAddr,
    /// The file that it asked for last; `None` before its first request.
    pub file: Option<InfoHash>,
    /// What passes between it and this client.
    pub activity: PeerActivity,
    /// Bytes of chunks that were sent on its open connections.
    pub sent_bytes: u64,
    /// Mean rate of the last seconds, bytes a second.
    pub bytes_s: u64,
    /// Requests that wait or are being answered.
    pub open: u32,
    /// Number of its connections.
    pub connections: u32,
    /// Congestion control of one of them.
    pub congestion: Option<String>,
}

impl Receivers {
    /// Lists a connection.
    pub(crate) fn enter(self: &Arc<Self>, id: ConnectionId, address: IpAddr, congestion: Option<String>) -> Receiver {
        let figures = Arc::new(Figures {
            address,
            congestion,
            file: Mutex::default(),
            activity: AtomicU8::new(PeerActivity::Idle as u8),
            requests: AtomicU32::new(0),
            sent_bytes: AtomicU64::new(0),
            sampled_bytes: AtomicU64::new(0),
            bytes_s: AtomicU64::new(0),
        });
        self.lock().insert(id, figures.clone());
        Receiver { all: self.clone(), id, figures }
    }

    /// Measures all rates; `time` has passed since the last call.
    pub(crate) fn sample(&self, time: Duration) {
        for figures in self.lock().values() {
            let sent_bytes = figures.sent_bytes.load(Ordering::Relaxed);
            let before = figures.sampled_bytes.swap(sent_bytes, Ordering::Relaxed);
            let now = (sent_bytes - before) as f64 / time.as_secs_f64().max(1e-3);
            let mean = figures.bytes_s.load(Ordering::Relaxed).midpoint(now as u64);
            figures.bytes_s.store(mean, Ordering::Relaxed);
        }
    }

    /// The peers that receive, one row for each peer and file, those with the highest rate first.
    pub(crate) fn views(&self) -> Vec<ReceiverView> {
        let mut views = HashMap::<(IpAddr, Option<InfoHash>), ReceiverView>::new();
        for figures in self.lock().values() {
            let file = *figures.file.lock().unwrap_or_else(PoisonError::into_inner);
            let view = views.entry((figures.address, file)).or_insert_with(|| ReceiverView {
                address: figures.address,
                file,
                activity: PeerActivity::Idle,
                sent_bytes: 0,
                bytes_s: 0,
                open: 0,
                connections: 0,
                congestion: figures.congestion.clone(),
            });
            view.activity = view.activity.max(figures.activity());
            view.sent_bytes += figures.sent_bytes.load(Ordering::Relaxed);
            view.bytes_s += figures.bytes_s.load(Ordering::Relaxed);
            view.open += figures.requests.load(Ordering::Relaxed);
            view.connections += 1;
        }
        let mut views: Vec<_> = views.into_values().collect();
        views.sort_unstable_by_key(|view| (std::cmp::Reverse(view.bytes_s), view.address));
        views
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Figures>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Figures {
    fn activity(&self) -> PeerActivity {
        match self.activity.load(Ordering::Relaxed) {
            activity if activity == PeerActivity::Active as u8 => PeerActivity::Active,
            activity if activity == PeerActivity::Choked as u8 => PeerActivity::Choked,
            _ => PeerActivity::Idle,
        }
    }
}

impl Receiver {
    /// Stores the file that the peer asks for; to be called when it changes.
    pub(super) fn set_file(&self, file: InfoHash) {
        *self.figures.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
    }

    /// Stores what passes on the connection, and how many requests are not answered yet.
    pub(super) fn set_activity(&self, activity: PeerActivity, requests: usize) {
        self.figures.activity.store(activity as u8, Ordering::Relaxed);
        self.figures.requests.store(requests as u32, Ordering::Relaxed);
    }

    /// Counts bytes of chunks that were sent.
    pub(super) fn sent(&self, bytes: u64) {
        self.figures.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connections_of_a_peer_are_one_row_for_each_file() {
        let all = Arc::new(Receivers::default());
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let file = InfoHash([1; 20]);
        let connections: Vec<_> = [(one, file), (one, file), (one, InfoHash([2; 20])), (other, file)]
            .into_iter()
            .zip(0..)
            .map(|((address, file), id)| {
                let receiver = all.enter(id, address, Some("cubic".to_owned()));
                receiver.set_file(file);
                receiver
            })
            .collect();
        connections[0].sent(3 << 20);
        connections[1].sent(1 << 20);
        connections[1].set_activity(PeerActivity::Active, 2);
        all.sample(Duration::from_secs(1));
        all.sample(Duration::from_secs(1));
        let views = all.views();
        assert_eq!(views.len(), 3, "{views:?}");
        let first = &views[0];
        assert_eq!((first.address, first.file, first.connections, first.open), (one, Some(file), 2, 2));
        assert_eq!((first.sent_bytes, first.bytes_s, first.activity), (4 << 20, 1 << 20, PeerActivity::Active));
        drop(connections);
        assert!(all.views().is_empty());
    }
}
