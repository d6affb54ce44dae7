//! Links to other trackers, on the dialling side: one a core and peer, kept open as long as this tracker runs.
//!
//! What a link sends and what answers mean is [`crate::tracker::replica::link`]'s. This connects, waits, and
//! gives up on who does not answer.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;

use super::group_members::GroupMembers;
use super::link_handle::LinkHandle;
use super::startup::SyncProgress;
use crate::ids::TrackerId;
use crate::limits::{
    FRAME_SYNC_BYTES_MAX, PEER_NAME_INTERVAL, SYNC_ANSWER_TIMEOUT, SYNC_CONNECT_TIMEOUT, SYNC_FORGET_AFTER,
    SYNC_RETRY_MAX, SYNC_RETRY_MIN,
};
use crate::net::resolve::{ResolveError, resolve};
use crate::net::{Net, NetError, Stream};
use crate::rpc::{self, FrameReader, RpcError};
use crate::runtime;
use crate::text;
use crate::tracker::replica::hello::{Dialling, HelloError};
use crate::tracker::replica::link::{LinkError, Times};
use crate::tracker::server::clock::now_ms;
use crate::tracker::server::shard::Shard;
use crate::wire::{DecodeError, Message, SyncHello};

/// How often a core looks for new peers, and an idle link whether a repair is due.
const TICK: Duration = Duration::from_millis(50);

/// Why a link failed.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("the other tracker sent a bad message: {0}")]
    Decode(#[from] DecodeError),
    #[error("the other tracker refused the link: {0}")]
    Refused(String),
    #[error("an address of the name is this tracker's own")]
    OneOfOurs,
}

/// What all links of a core share.
pub(crate) struct Dialler {
    pub(crate) net: Net,
    pub(crate) shard: Rc<Shard>,
    pub(crate) peers: Arc<GroupMembers>,
    pub(crate) core: usize,
    /// This core ends: links are not opened again.
    pub(crate) ends: Cell<bool>,
}

/// Keeps a link to every peer that there is, new ones included.
pub(crate) async fn keep_links(dialler: Rc<Dialler>) {
    let mut known = 0;
    loop {
        for peer in dialler.peers.since(known) {
            known += 1;
            let seat = Rc::new(LinkHandle::new(peer));
            dialler.shard.add_link(seat.clone());
            runtime::spawn_vital("link", keep_link(dialler.clone(), seat));
        }
        runtime::sleep(TICK).await;
    }
}

/// Looks again and again who is at a name that the operator gave: a member that finds nobody but itself there, because
/// it was the first, or because the name server knew no more, would be alone for good, and a group could stay in parts
/// that do not know of each other.
pub(crate) async fn follow_name(peers: Arc<GroupMembers>, name: String) {
    loop {
        runtime::sleep(PEER_NAME_INTERVAL).await;
        // A name server that is away is no news: the link says so.
        if let Ok(addresses) = resolve(&name).await {
            peers.also_at(addresses.into_iter());
        }
    }
}

async fn keep_link(dialler: Rc<Dialler>, seat: Rc<LinkHandle>) {
    let mut pause = SYNC_RETRY_MIN;
    let mut last_open = Instant::now();
    let mut told = false;
    while !seat.peer.is_retired() {
        let mut was_open = false;
        let Err(error) = dialler.run(&seat, &mut was_open).await else { break };
        if matches!(error, DialError::OneOfOurs) {
            continue;
        }
        seat.link.borrow_mut().closed();
        if dialler.ends.get() {
            break;
        }
        if was_open {
            seat.peer.set_linked(false);
            (pause, last_open, told) = (SYNC_RETRY_MIN, Instant::now(), false);
        }
        if matches!(error, DialError::Hello(HelloError::Itself)) {
            log::info!("peer {}: {error}", seat.peer.name());
            dialler.peers.found(seat.peer.name(), dialler.peers.member().tracker);
            seat.peer.retire();
        } else if !std::mem::replace(&mut told, true) && dialler.core == 0 {
            log::warn!("no link to tracker {}: {error}; trying again", seat.peer.name());
        }
        let state = if seat.peer.is_retired() { SyncProgress::Away } else { SyncProgress::Failed };
        dialler.peers.startup().set(seat.peer.number(), Some(dialler.core), state);
        if seat.peer.is_learnt() && last_open.elapsed() > SYNC_FORGET_AFTER {
            log::info!("tracker {} is forgotten until it says hello again", seat.peer.name());
            seat.peer.retire();
        }
        runtime::sleep(pause).await;
        pause = (pause * 2).min(SYNC_RETRY_MAX);
    }
    dialler.shard.remove_link(&seat);
}

impl Dialler {
    /// Opens a link and runs it; `Ok` when the peer has retired.
    async fn run(&self, seat: &LinkHandle, was_open: &mut bool) -> Result<(), DialError> {
        let addresses = resolve(seat.peer.name()).await?;
        let others: Vec<_> = addresses.iter().copied().filter(|other| !seat.own.borrow().contains(other)).collect();
        let mut stream = self.connect(if others.is_empty() { &addresses } else { &others }).await?;
        stream.allow(SYNC_ANSWER_TIMEOUT);
        let mut frames = FrameReader::new(&self.net, FRAME_SYNC_BYTES_MAX);
        let (tracker, hello, clock) = match self.shake_hands(&mut stream, &mut frames).await {
            // The name may be that of all members: the others are at its other addresses.
            Err(DialError::Hello(HelloError::Itself)) if others.len() > 1 => {
                seat.own.borrow_mut().push(stream.peer());
                return Err(DialError::OneOfOurs);
            }
            shaken => shaken?,
        };
        self.peers.identified(&seat.peer, tracker);
        if self.core == 0 {
            self.peers.also_at(others.into_iter().filter(|other| *other != stream.peer()));
        }
        if let Some((theirs_ms, now_ms)) = clock {
            self.peers.measured(tracker, theirs_ms, now_ms);
            // What comes first is to be judged by it already.
            self.shard.set_skews(self.peers.skews(now_ms), now_ms);
        }
        seat.peer.set_linked(true);
        *was_open = true;
        seat.link.borrow_mut().opened(tracker, self.times());
        self.peers.startup().set(seat.peer.number(), Some(self.core), SyncProgress::Taking);
        let mut out = Vec::new();
        let mut nudges = seat.peer.nudges();
        while !seat.peer.is_retired() {
            if nudges != seat.peer.nudges() {
                nudges = seat.peer.nudges();
                seat.link.borrow_mut().repair_now();
            }
            if seat.link.borrow().is_due(self.times()) {
                self.round(seat, &hello, &mut stream, &mut frames, &mut out).await?;
            } else {
                let closed = async { frames.fill(&mut stream).await.map(Some) };
                let woken = async {
                    seat.woken().or(runtime::sleep(TICK)).await;
                    Ok(None)
                };
                if closed.or(woken).await?.is_some() {
                    return Err(NetError::Closed.into());
                }
            }
        }
        Ok(())
    }

    async fn connect(&self, addresses: &[SocketAddr]) -> Result<Stream, DialError> {
        let mut failed = NetError::Closed;
        for address in addresses {
            match self.net.connect(*address, SYNC_CONNECT_TIMEOUT).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed.into())
    }

    /// Whose link it is, the hello that opened it, and, where the other side tells, what both clocks said at one time.
    async fn shake_hands(
        &self,
        stream: &mut Stream,
        frames: &mut FrameReader,
    ) -> Result<(TrackerId, SyncHello<'static>, Option<(u64, u64)>), DialError> {
        let dialling = Dialling::new(self.peers.member().clone(), stream.peer().ip(), rand::random())?;
        let first = dialling.hello();
        rpc::send(stream, &Message::SyncHello(first), self.net.buffers()).await?;
        let frame = frames.next(stream).await?.ok_or(NetError::Closed)?;
        let (tracker, proof) = match Message::decode(frame)? {
            Message::SyncHello(theirs) => dialling.answered(&theirs)?,
            other => return Err(refused(&other)),
        };
        let second = SyncHello { proof: proof.as_ref(), ..first };
        let asked_ms = now_ms();
        rpc::send(stream, &Message::SyncHello(second), self.net.buffers()).await?;
        let frame = frames.next(stream).await?.ok_or(NetError::Closed)?;
        match Message::decode(frame)? {
            Message::Response(response) if response.status.is_ok() => {
                let clock = response.version.map(|version| (version.time_ms(), (asked_ms + now_ms()) / 2));
                Ok((tracker, first, clock))
            }
            other => Err(refused(&other)),
        }
    }

    async fn round(
        &self,
        seat: &LinkHandle,
        hello: &SyncHello<'_>,
        stream: &mut Stream,
        frames: &mut FrameReader,
        out: &mut Vec<u8>,
    ) -> Result<(), DialError> {
        out.clear();
        self.shard.send_round(&mut seat.link.borrow_mut(), hello, self.times(), out);
        stream.allow(SYNC_ANSWER_TIMEOUT);
        stream.write_all(out).await?;
        while !seat.link.borrow().is_idle() {
            let frame = frames.next(stream).await?.ok_or(NetError::Closed)?;
            stream.allow(SYNC_ANSWER_TIMEOUT);
            let was_repaired = seat.link.borrow().repaired();
            let taken = self.shard.take_answer(seat, frame, now_ms())?;
            if taken.is_some() && !seat.link.borrow().repaired() {
                self.peers.startup().set(seat.peer.number(), Some(self.core), SyncProgress::Taking);
            }
            if taken.is_some_and(|taken| taken.done) {
                if !was_repaired {
                    seat.peer.set_repaired();
                }
                self.peers.startup().set(seat.peer.number(), Some(self.core), SyncProgress::Done);
            }
        }
        self.shard.log().room().await;
        // Clients have their turn between two pages.
        runtime::yield_now().await;
        Ok(())
    }

    fn times(&self) -> Times {
        // This one does not step either.
        Times { wall_ms: now_ms(), steady_ms: now_ms() }
    }
}

fn refused(message: &Message<'_>) -> DialError {
    match message {
        Message::Response(response) => DialError::Refused(text::plain(response.text)),
        other => LinkError::Unexpected(other.kind()).into(),
    }
}
