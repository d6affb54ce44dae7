//! Figures of a session that show what limits its download.

use super::state::Session;
use crate::swarm::slot::PeerSlot;

/// The state of a session's peers and chunks at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Supply {
    /// Peers that may be asked.
    pub peers: u32,
    /// Those of them that have every chunk.
    pub complete_peers: u32,
    /// Complete peers without an open request.
    pub idle_complete_peers: u32,
    /// Open requests, including those that are being answered.
    pub open_requests: u32,
    /// The peer to which all open requests were sent, if it is the only one.
    pub only_asked: Option<PeerSlot>,
    /// Chunks that are not verified.
    pub missing: u32,
    /// Chunks whose data has not begun to arrive.
    pub wanted: u32,
    /// Those of them that only complete peers have.
    pub without_copy: u32,
    /// Whether more answers at once were tried and did not raise the rate.
    pub is_settled: bool,
}

impl Session {
    /// The figures that show what limits the download.
    pub fn supply(&mut self) -> Supply {
        let asked = |slot: &PeerSlot| self.peers.get(*slot).is_some_and(|peer| peer.open_counts.open > 0);
        let idle_complete_peers = self.full_peers.iter().filter(|slot| !asked(slot)).count() as u32;
        let (peers, complete_peers) = (self.peers.len() as u32, self.full_peers.len() as u32);
        Supply {
            peers,
            complete_peers,
            idle_complete_peers,
            open_requests: self.open_counts.open,
            only_asked: self.only_asked(),
            missing: self.picker.missing(),
            wanted: self.picker.wanted(),
            without_copy: self.picker.only_complete_peers_have(),
            is_settled: self.inflow.is_settled(),
        }
    }

    fn only_asked(&self) -> Option<PeerSlot> {
        let mut asked =
            self.busy_connections.iter().filter_map(|id| self.connections.get(*id)).map(|connection| connection.peer);
        let first = asked.next()?;
        asked.all(|other| other == first).then_some(first)
    }
}
