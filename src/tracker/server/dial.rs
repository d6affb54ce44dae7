//! Links to other trackers, on the dialling side: one a core and peer, kept open as long as this tracker runs.
//!
//! What a link sends and what answers mean is [`crate::tracker::replica::link`]'s. This connects, waits, and
//! gives up on who does not answer.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use futures_lite::FutureExt;

use super::now_ms;
use super::peers::{Peer, Peers, Seat};
use super::shard::Shard;
use crate::ids::TrackerId;
use crate::limits::{
    FRAME_SYNC_BYTES_MAX, SYNC_ANSWER_TIMEOUT, SYNC_CONNECT_TIMEOUT, SYNC_FORGET_AFTER, SYNC_RETRY_MAX, SYNC_RETRY_MIN,
};
use crate::net::resolve::{ResolveError, resolve};
use crate::net::{FrameReader, Net, NetError, Stream};
use crate::runtime::{self, Blocking};
use crate::tracker::replica::hello::{Dialling, HelloError};
use crate::tracker::replica::link::{Link, LinkError, Times};
use crate::wire::{DecodeError, Entry, Message, SyncHello};

/// How often a core looks for new peers, and an idle link whether a repair is due.
const TICK: Duration = Duration::from_millis(50);

/// One core's link to one peer, and what wakes it.
pub(super) struct LinkSeat {
    pub(super) link: RefCell<Link>,
    peer: Arc<Peer>,
    waker: Cell<Option<Waker>>,
    woken: Cell<bool>,
}

impl LinkSeat {
    /// An entry for the peer.
    pub(super) fn push(&self, entry: &Entry<'_>) {
        self.link.borrow_mut().push(entry);
        self.woken.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Which peer it is among all.
    pub(super) fn number(&self) -> usize {
        self.peer.number()
    }

    async fn woken(&self) {
        poll_fn(|context| {
            if self.woken.replace(false) {
                return Poll::Ready(());
            }
            self.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// Why a link failed.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("the other tracker sent a bad message: {0}")]
    Decode(#[from] DecodeError),
    #[error("the other tracker refused the link: {0}")]
    Refused(String),
}

/// What all links of a core share.
pub(super) struct Dialler {
    pub(super) net: Net,
    pub(super) shard: Rc<Shard>,
    pub(super) peers: Arc<Peers>,
    pub(super) blocking: Blocking,
    pub(super) core: usize,
    pub(super) started: Instant,
    /// This core ends: links are not opened again.
    pub(super) ends: Cell<bool>,
}

/// Keeps a link to every peer that there is, new ones included.
pub(super) async fn keep_links(dialler: Rc<Dialler>) {
    let mut known = 0;
    loop {
        for peer in dialler.peers.since(known) {
            known += 1;
            let seat =
                Rc::new(LinkSeat { link: RefCell::default(), peer, waker: Cell::new(None), woken: Cell::new(false) });
            dialler.shard.add_link(seat.clone());
            runtime::spawn_vital("link", keep_link(dialler.clone(), seat));
        }
        runtime::sleep(TICK).await;
    }
}

async fn keep_link(dialler: Rc<Dialler>, seat: Rc<LinkSeat>) {
    let mut pause = SYNC_RETRY_MIN;
    let mut last_open = Instant::now();
    let mut told = false;
    while !seat.peer.is_retired() {
        let mut was_open = false;
        let Err(error) = dialler.run(&seat, &mut was_open).await else { break };
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
            seat.peer.retire();
        } else if !std::mem::replace(&mut told, true) && dialler.core == 0 {
            log::warn!("no link to tracker {}: {error}; trying again", seat.peer.name());
        }
        let state = if seat.peer.is_retired() { Seat::Away } else { Seat::Failed };
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
    async fn run(&self, seat: &LinkSeat, was_open: &mut bool) -> Result<(), DialError> {
        let mut stream = self.connect(seat.peer.name()).await?;
        stream.allow(SYNC_ANSWER_TIMEOUT);
        let mut frames = self.net.frames(FRAME_SYNC_BYTES_MAX);
        let (tracker, hello) = self.shake_hands(&mut stream, &mut frames).await?;
        self.peers.identified(&seat.peer, tracker);
        seat.peer.set_linked(true);
        *was_open = true;
        seat.link.borrow_mut().opened(tracker, self.times());
        self.peers.startup().set(seat.peer.number(), Some(self.core), Seat::Taking);
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

    async fn connect(&self, name: &str) -> Result<Stream, DialError> {
        let mut failed = NetError::Closed;
        for address in resolve(&self.blocking, name).await? {
            match self.net.connect(address, SYNC_CONNECT_TIMEOUT).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed.into())
    }

    async fn shake_hands(
        &self,
        stream: &mut Stream,
        frames: &mut FrameReader,
    ) -> Result<(TrackerId, SyncHello<'static>), DialError> {
        let dialling = Dialling::new(self.peers.member().clone(), stream.peer().ip(), rand::random())?;
        let first = dialling.hello();
        stream.send(&Message::SyncHello(first), self.net.buffers()).await?;
        let frame = frames.next(stream).await?.ok_or(NetError::Closed)?;
        let (tracker, proof) = match Message::decode(frame)? {
            Message::SyncHello(theirs) => dialling.answered(&theirs)?,
            other => return Err(refused(&other)),
        };
        let second = SyncHello { proof: proof.as_ref(), ..first };
        stream.send(&Message::SyncHello(second), self.net.buffers()).await?;
        let frame = frames.next(stream).await?.ok_or(NetError::Closed)?;
        match Message::decode(frame)? {
            Message::Response(response) if response.status.is_ok() => Ok((tracker, first)),
            other => Err(refused(&other)),
        }
    }

    async fn round(
        &self,
        seat: &LinkSeat,
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
                self.peers.startup().set(seat.peer.number(), Some(self.core), Seat::Taking);
            }
            if taken.is_some_and(|taken| taken.done) {
                if !was_repaired {
                    seat.peer.set_repaired();
                }
                self.peers.startup().set(seat.peer.number(), Some(self.core), Seat::Done);
            }
        }
        self.shard.log().room().await;
        // Clients have their turn between two pages.
        runtime::yield_now().await;
        Ok(())
    }

    fn times(&self) -> Times {
        Times { wall_ms: now_ms(), steady_ms: self.started.elapsed().as_millis() as u64 }
    }
}

fn refused(message: &Message<'_>) -> DialError {
    match message {
        Message::Response(response) => DialError::Refused(response.text.escape_debug().to_string()),
        other => LinkError::Unexpected(other.kind()).into(),
    }
}
