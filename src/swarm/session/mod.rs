//! A getter's side of one download: whom to ask for what, and what becomes of the answers. Pure.
//!
//! Events go in with the time, [`Action`]s come out; sockets, disk and hashes are elsewhere, and so the simulator
//! runs this very code.
//!
//! A *peer* may be asked from [`Session::peer_up`] on. Requests travel on *links*, each a connection for data alone,
//! whose answers come in the order of its requests. A request names several chunks and the peer sends one of them,
//! the one that it sent least often: so the first copy of every chunk leaves the seeder before the second of any.
//! Nothing is reserved by being named. When the data of a chunk begins to arrive, the other requests that name it
//! take it back ([`Action::Retract`]).
//!
//! What is open with a peer follows its rate: one request until it has delivered one right chunk, then what keeps
//! it busy over a round trip. A transfer that moves is never thrown away: when nothing else is left to ask for, a
//! chunk that arrives slowly is asked of a second peer too, and the first to deliver ends the other.

mod asking;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;

use super::inflow::Inflow;
use super::peer::{Arrival, Ask, Link, Tally};
use super::picker::{Choice, Picker, Strategy};
use super::rate::Rate;
use super::table::Table;
use crate::bitfield::Bitfield;
use crate::geometry::ChunkIndex;
use crate::limits::{
    BUSY_PAUSE_MAX, BUSY_PAUSE_MIN, DATA_CONNECTIONS_PER_PEER_MAX, LATE_AFTER_MIN, LINK_RETRY_PAUSE,
    REQUESTS_IN_FLIGHT_MAX, REQUESTS_PER_PEER_MAX,
};
use crate::wire::Status;

/// How many times slower than the fastest a slow peer is.
const SLOW_PEER_RATIO: f64 = 8.0;

/// Number of a peer within one download.
pub type PeerSlot = u32;

/// Number of a data connection within one download; never used again.
pub type LinkId = u32;

/// What the session wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a data connection to a peer; requests for it may follow at once.
    Open {
        /// Its number from now on.
        link: LinkId,
        /// To whom.
        peer: PeerSlot,
    },
    /// Close a data connection; nothing of it counts any more.
    Close {
        /// Which.
        link: LinkId,
    },
    /// Ask for one of the chunks.
    Ask {
        /// On which connection.
        link: LinkId,
        /// The chunks, the first choice first.
        chunks: Choice,
    },
    /// Tell the peer not to send the chunk in answer to a request that names it.
    Retract {
        /// On which connection.
        link: LinkId,
        /// The chunk.
        chunk: ChunkIndex,
    },
}

/// What to do with the data of an answer that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Receive it.
    Wanted,
    /// It is not needed: the link was closed by an action.
    Useless,
    /// No request of the link asked for it.
    Unasked,
}

/// Why no more arrives than does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// There is no peer.
    NoPeers,
    /// The peers have nothing that may be asked for.
    NothingNew,
    /// Requests are open.
    Asked,
}

/// One download as its getter sees it.
#[derive(Debug)]
pub struct Session {
    picker: Picker,
    peers: Table<Peer>,
    links: Table<Link>,
    /// What is open on all links together.
    tally: Tally,
    /// Peers that have everything.
    full_peers: Vec<PeerSlot>,
    /// Links on which something is open.
    busy_links: Vec<LinkId>,
    /// Places of peers that may be asked; kept for its memory.
    places: Vec<usize>,
    /// Links by the chunk that arrives on them, while it is not verified.
    arriving: BTreeMap<ChunkIndex, Vec<LinkId>>,
    actions: VecDeque<Action>,
    next_link: LinkId,
    links_max: usize,
    /// Time from a request to the beginning of its answer, smoothed.
    wait: Duration,
    inflow: Inflow,
    rng: StdRng,
}

#[derive(Debug)]
struct Peer {
    chunks: Bitfield,
    /// Counted in the picker's availability.
    is_partial: bool,
    links: Vec<LinkId>,
    /// What is open on them.
    tally: Tally,
    rate: Rate,
    rtt: Duration,
    /// It delivered a right chunk.
    is_proven: bool,
    /// Chunks of it that are being verified.
    unjudged: u32,
    not_before: Duration,
    busy_pause: Duration,
    open_after: Duration,
    /// It had nothing to be asked for when the picker's changes were these.
    exhausted_at: Option<u64>,
}

impl Session {
    /// A download of what is not `held`, with at most `links_max` data connections.
    pub fn new(held: &Bitfield, strategy: Strategy, links_max: usize, rng: StdRng) -> Self {
        Self {
            picker: Picker::new(held, strategy),
            peers: Table::default(),
            links: Table::default(),
            tally: Tally::default(),
            full_peers: Vec::new(),
            busy_links: Vec::new(),
            places: Vec::new(),
            arriving: BTreeMap::new(),
            actions: VecDeque::new(),
            next_link: 0,
            links_max,
            wait: Duration::ZERO,
            inflow: Inflow::default(),
            rng,
        }
    }

    /// The next thing to do.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Why no more arrives than does.
    pub fn wait_reason(&self) -> WaitReason {
        if self.peers.is_empty() {
            WaitReason::NoPeers
        } else if self.tally.open > 0 {
            WaitReason::Asked
        } else {
            WaitReason::NothingNew
        }
    }

    /// Chunks that are not verified yet.
    pub fn missing(&self) -> u32 {
        self.picker.missing()
    }

    /// Whether the peer delivered a right chunk.
    pub fn is_proven(&self, peer: PeerSlot) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.is_proven)
    }

    /// Whether the peer has not proven itself, or is much slower than the fastest: what it sends must not hold the memory
    /// that others need.
    pub fn is_limited(&self, slot: PeerSlot) -> bool {
        let rate = |peer: &Peer| peer.rate.bytes_s().unwrap_or(0.0);
        let fastest = self.peers.values().map(rate).fold(0.0, f64::max);
        self.peers.get(slot).is_none_or(|peer| !peer.is_proven || rate(peer) * SLOW_PEER_RATIO < fastest)
    }

    /// Changes how many data connections there may be.
    pub fn set_links_max(&mut self, links_max: usize) {
        self.links_max = links_max;
    }

    /// A peer may be asked for its chunks. `rtt` is the round trip to it.
    pub fn peer_up(&mut self, now: Duration, slot: PeerSlot, chunks: Bitfield, rtt: Duration) {
        self.peer_down(now, slot);
        let is_partial = !chunks.is_full();
        if is_partial {
            self.picker.add_peer(&chunks);
        } else {
            self.full_peers.push(slot);
        }
        let new = Peer {
            chunks,
            is_partial,
            links: Vec::new(),
            tally: Tally::default(),
            rate: Rate::default(),
            rtt,
            is_proven: false,
            unjudged: 0,
            not_before: Duration::ZERO,
            busy_pause: BUSY_PAUSE_MIN,
            open_after: Duration::ZERO,
            exhausted_at: None,
        };
        self.peers.insert(slot, new);
        self.open_links(now);
        self.ask_all(now);
    }

    /// A peer has further chunks.
    pub fn peer_has(&mut self, now: Duration, slot: PeerSlot, chunks: impl IntoIterator<Item = ChunkIndex>) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        for chunk in chunks {
            if peer.chunks.contains(chunk) {
                continue;
            }
            peer.chunks.insert(chunk);
            self.picker.count(chunk, true);
            if !self.picker.is_held(chunk) {
                peer.exhausted_at = None;
            }
        }
        self.ask(now, slot);
    }

    /// A peer may not be asked any more: what is open with it is wanted again.
    pub fn peer_down(&mut self, now: Duration, slot: PeerSlot) {
        let Some(peer) = self.peers.get(slot) else { return };
        for link in peer.links.clone() {
            self.close(link);
        }
        match self.peers.remove(slot) {
            Some(peer) if peer.is_partial => self.picker.remove_peer(&peer.chunks),
            Some(_) => self.full_peers.retain(|full| *full != slot),
            None => {}
        }
        self.open_links(now);
        self.ask_all(now);
    }

    /// A data connection could not be opened, or broke. Only its own chunks are wanted again. Says whether the peer has
    /// no other.
    pub fn link_failed(&mut self, now: Duration, link: LinkId) -> bool {
        let Some(slot) = self.forget(link) else { return false };
        let is_last = self.peers.get_mut(slot).is_some_and(|peer| {
            peer.open_after = now + LINK_RETRY_PAUSE;
            peer.links.is_empty()
        });
        self.ask_all(now);
        is_last
    }

    /// The head of an answer has arrived: `chunk` will follow.
    pub fn began(&mut self, now: Duration, id: LinkId, chunk: ChunkIndex) -> Beginning {
        let Some(link) = self.links.get(id) else { return Beginning::Useless };
        let Some(ask) = link.asks.front().filter(|ask| link.arrival.is_none() && ask.sent.contains(&chunk)) else {
            return Beginning::Unasked;
        };
        let is_second = ask.is_second && self.arriving.contains_key(&chunk);
        if !self.picker.is_wanted(chunk) && !is_second {
            return self.useless(now, id);
        }
        self.wait = (7 * self.wait + now.saturating_sub(ask.since)) / 8;
        self.edit(id, |link, picker, _| {
            link.arrival = Some(Arrival { chunk, since: now, bytes: 0, moved: now });
            let chunks = std::mem::take(&mut link.asks[0].chunks);
            let named = if link.asks[0].is_counted { chunks } else { Choice::new() };
            named.into_iter().for_each(|named| picker.name(named, false));
        });
        self.picker.begin(chunk);
        self.arriving.entry(chunk).or_default().push(id);
        self.retract(chunk, false);
        self.take_back(now);
        self.ask_all(now);
        Beginning::Wanted
    }

    fn useless(&mut self, now: Duration, link: LinkId) -> Beginning {
        let slot = self.close(link);
        self.open_links(now);
        slot.into_iter().for_each(|slot| self.ask(now, slot));
        Beginning::Useless
    }

    /// Of the answer that arrives on the link, `bytes` are there.
    pub fn moved(&mut self, now: Duration, link: LinkId, bytes: u64) {
        if let Some(arrival) = self.links.get_mut(link).and_then(|link| link.arrival.as_mut())
            && bytes > arrival.bytes
        {
            (arrival.bytes, arrival.moved) = (bytes, now);
        }
    }

    /// A chunk has arrived in whole and is to be verified.
    pub fn arrived(&mut self, now: Duration, id: LinkId) -> Option<ChunkIndex> {
        let (slot, arrival) = self.edit(id, |link, _, _| {
            let arrival = link.arrival.take();
            arrival.inspect(|_| drop(link.asks.pop_front())).map(|arrival| (link.peer, arrival))
        })??;
        let bytes = self.picker.geometry().chunk_len(arrival.chunk);
        self.inflow.delivered(now, bytes.into());
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.rate.delivered(now, bytes.into());
            peer.busy_pause = BUSY_PAUSE_MIN;
            peer.unjudged += 1;
        }
        self.open_further_link(now, slot);
        self.ask_all(now);
        Some(arrival.chunk)
    }

    /// The chunk matched its hash; says whether it is new.
    pub fn verified(&mut self, now: Duration, slot: PeerSlot, chunk: ChunkIndex) -> bool {
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.is_proven = true;
            peer.unjudged = peer.unjudged.saturating_sub(1);
        }
        let is_new = self.picker.hold(chunk);
        let links = self.arriving.remove(&chunk).unwrap_or_default();
        let still = |link: &LinkId| {
            self.links.get(*link).and_then(|link| link.arrival).is_some_and(|arrival| arrival.chunk == chunk)
        };
        let still: Vec<LinkId> = links.into_iter().filter(still).collect();
        if still.is_empty() {
            self.open_further_link(now, slot);
        }
        for link in &still {
            self.close(*link);
        }
        self.retract(chunk, true);
        if !still.is_empty() {
            self.open_links(now);
        }
        self.ask_all(now);
        is_new
    }

    /// What arrived on the link, which may be gone, did not match its hash: the chunk is wanted again, and the peer is
    /// not asked for any other until it comes up anew.
    pub fn wrong(&mut self, now: Duration, slot: PeerSlot, link: LinkId, chunk: ChunkIndex) {
        self.stopped_arriving(link, chunk);
        self.peer_down(now, slot);
        self.ask_all(now);
    }

    /// The peer answers the link's oldest request by a refusal. Says whether it is to be blamed: all but Busy and
    /// ChunkAbsent mean that it will not deliver others either.
    pub fn refused(&mut self, now: Duration, id: LinkId, status: Status) -> bool {
        let Some(ask) = self.edit(id, |link, _, _| link.asks.pop_front().map(|ask| (link.peer, ask))) else {
            return false;
        };
        let Some((slot, ask)) = ask else { return true };
        // A request whose chunks were all taken back is answered so, too.
        let was_retracted = ask.chunks.is_empty();
        self.unname(&ask);
        let Some(peer) = self.peers.get_mut(slot) else { return false };
        match status {
            _ if was_retracted => {}
            Status::Busy => {
                peer.not_before = now + peer.busy_pause;
                peer.busy_pause = (2 * peer.busy_pause).min(BUSY_PAUSE_MAX);
            }
            Status::ChunkAbsent => {
                for chunk in ask.chunks {
                    self.lacks(slot, chunk);
                }
            }
            _ => return true,
        }
        self.ask_all(now);
        false
    }

    /// Looks at what time alone changes: call it a few times a second.
    pub fn tick(&mut self, now: Duration) {
        self.stop_counting_late(now);
        // What arrives may have become late, and can then be asked of others too.
        self.peers.values_mut().for_each(|peer| peer.exhausted_at = None);
        let rtt = self.peers.values().map(|peer| peer.rtt).sum::<Duration>() / self.peers.len().max(1) as u32;
        self.inflow.tick(now, rtt, self.picker.geometry().chunk_size());
        self.open_links(now);
        self.ask_all(now);
    }

    /// A request that has waited for long does not keep others from naming its chunks.
    fn stop_counting_late(&mut self, now: Duration) {
        let late_after = LATE_AFTER_MIN.max(3 * self.wait);
        self.edit_all(|_, link, picker, _| {
            for ask in link.unanswered() {
                if ask.is_counted && now.saturating_sub(ask.since) > late_after {
                    ask.is_counted = false;
                    ask.chunks.iter().for_each(|chunk| picker.name(*chunk, false));
                }
            }
        });
    }

    /// Opens a first link to every peer, then further ones where one does not keep up.
    fn open_links(&mut self, now: Duration) {
        if self.picker.missing() == 0 {
            return;
        }
        for is_first in [true, false] {
            for place in 0..self.peers.len() {
                if let (Some(slot), Some(peer)) = (self.peers.number(place), self.peers.row(place))
                    && if is_first { peer.links.is_empty() } else { peer.lacks_link(&self.picker) }
                {
                    self.open_link(now, slot);
                }
            }
        }
    }

    /// Opens a further link to a peer that does not keep up.
    fn open_further_link(&mut self, now: Duration, slot: PeerSlot) {
        if self.picker.missing() > 0 && self.peers.get(slot).is_some_and(|peer| peer.lacks_link(&self.picker)) {
            self.open_link(now, slot);
        }
    }

    fn open_link(&mut self, now: Duration, slot: PeerSlot) {
        if let Some(peer) = self.peers.get_mut(slot)
            && self.links.len() < self.links_max
            && peer.open_after <= now
        {
            let link = self.next_link;
            self.next_link += 1;
            peer.links.push(link);
            self.links.insert(link, Link::new(slot));
            self.actions.push_back(Action::Open { link, peer: slot });
        }
    }

    /// Changes a link, and keeps count of what is open.
    fn edit<R>(
        &mut self,
        id: LinkId,
        change: impl FnOnce(&mut Link, &mut Picker, &mut VecDeque<Action>) -> R,
    ) -> Option<R> {
        let link = self.links.get_mut(id)?;
        let before = link.tally();
        let result = change(link, &mut self.picker, &mut self.actions);
        let after = link.tally();
        if after != before {
            for tally in self.peers.get_mut(link.peer).map(|peer| &mut peer.tally).into_iter().chain([&mut self.tally])
            {
                *tally += after;
                *tally -= before;
            }
        }
        match (before.open, after.open) {
            (0, 1..) => self.busy_links.push(id),
            (1.., 0) => self.busy_links.retain(|busy| *busy != id),
            _ => {}
        }
        Some(result)
    }

    /// The same for all links on which something is open.
    fn edit_all(&mut self, mut change: impl FnMut(LinkId, &mut Link, &mut Picker, &mut VecDeque<Action>)) {
        for place in (0..self.busy_links.len()).rev() {
            let id = self.busy_links[place];
            self.edit(id, |link, picker, actions| change(id, link, picker, actions));
        }
    }

    /// Takes the chunk back from every request that names it and is not being answered; from those that are to be
    /// faster than an answer on its way only when it is here (`is_here`).
    fn retract(&mut self, chunk: ChunkIndex, is_here: bool) {
        if self.picker.named(chunk) == 0 && self.tally.uncounted == 0 {
            return;
        }
        for place in (0..self.busy_links.len()).rev() {
            let id = self.busy_links[place];
            if self.links.get(id).is_some_and(|link| link.names(chunk)) {
                self.edit(id, |link, picker, actions| {
                    for ask in link.unanswered().filter(|ask| is_here || !ask.is_second) {
                        if ask.take_back(chunk) {
                            if ask.is_counted {
                                picker.name(chunk, false);
                            }
                            actions.push_back(Action::Retract { link: id, chunk });
                        }
                    }
                });
            }
        }
    }

    /// The peer does not have the chunk after all.
    fn lacks(&mut self, slot: PeerSlot, chunk: ChunkIndex) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if !peer.is_partial {
            peer.is_partial = true;
            self.full_peers.retain(|full| *full != slot);
            self.picker.add_peer(&peer.chunks);
        }
        if peer.chunks.contains(chunk) {
            peer.chunks.remove(chunk);
            self.picker.count(chunk, false);
        }
    }

    fn close(&mut self, link: LinkId) -> Option<PeerSlot> {
        let slot = self.forget(link)?;
        self.actions.push_back(Action::Close { link });
        Some(slot)
    }

    /// Takes a link out; its chunks are wanted again.
    fn forget(&mut self, id: LinkId) -> Option<PeerSlot> {
        let link = self.links.remove(id)?;
        self.tally -= link.tally();
        self.busy_links.retain(|busy| *busy != id);
        if let Some(peer) = self.peers.get_mut(link.peer) {
            peer.links.retain(|known| *known != id);
            peer.tally -= link.tally();
        }
        link.asks.iter().for_each(|ask| self.unname(ask));
        if let Some(arrival) = link.arrival {
            self.stopped_arriving(id, arrival.chunk);
        }
        Some(link.peer)
    }

    fn unname(&mut self, ask: &Ask) {
        if ask.is_counted {
            ask.chunks.iter().for_each(|chunk| self.picker.name(*chunk, false));
        }
    }

    fn stopped_arriving(&mut self, link: LinkId, chunk: ChunkIndex) {
        let Some(links) = self.arriving.get_mut(&chunk) else { return };
        links.retain(|known| *known != link);
        if links.is_empty() {
            self.arriving.remove(&chunk);
            self.picker.want_again(chunk);
        }
    }
}

impl Peer {
    fn requests_ahead(&self, picker: &Picker) -> usize {
        self.rate.requests_ahead(self.rtt, picker.geometry().chunk_size())
    }

    /// Whether it may be asked for more.
    fn has_room(&self, now: Duration, picker: &Picker) -> bool {
        let Tally { open, arriving, .. } = self.tally;
        let has_room = if self.is_proven {
            (open as usize) < REQUESTS_PER_PEER_MAX && ((open - arriving) as usize) < self.requests_ahead(picker)
        } else {
            open == 0 && self.unjudged == 0
        };
        has_room && self.not_before <= now && self.exhausted_at != Some(picker.changes())
    }

    /// Whether its links cannot hold the requests that keep it busy.
    fn lacks_link(&self, picker: &Picker) -> bool {
        self.is_proven
            && self.links.len() < DATA_CONNECTIONS_PER_PEER_MAX
            && self.requests_ahead(picker) >= REQUESTS_IN_FLIGHT_MAX * self.links.len()
    }
}
