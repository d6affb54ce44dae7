//! The dialling side of links to other trackers: one link per core and peer, kept open as long as this tracker runs.
//!
//! [`crate::tracker::replica::link`] decides what a link sends and what the answers mean. This module connects, waits,
//! and closes links to trackers that do not answer.

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

/// Interval at which a core checks for new trackers, and an idle link checks whether a repair is due.
const TICK: Duration = Duration::from_millis(50);

/// The reason why a link failed.
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

/// State shared by all links of a core.
pub(crate) struct Dialler {
    pub(crate) net: Net,
    pub(crate) shard: Rc<Shard>,
    pub(crate) members: Arc<GroupMembers>,
    pub(crate) core: usize,
    /// This core is ending: links are not opened again.
    pub(crate) ends: Cell<bool>,
}

/// Keeps a link to every other tracker, including trackers that are added later.
pub(crate) async fn keep_links(dialler: Rc<Dialler>) {
    let mut known = 0;
    loop {
        for peer in dialler.members.since(known) {
            known += 1;
            let handle = Rc::new(LinkHandle::new(peer));
            dialler.shard.add_link(handle.clone());
            runtime::spawn_vital("link", keep_link(dialler.clone(), handle));
        }
        runtime::sleep(TICK).await;
    }
}

/// Resolves a configured name repeatedly. Without this, a tracker that found only itself under the name (because it was
/// the first, or because the name server knew no other) would never find the others, and a group could stay split into
/// parts that do not know of each other.
pub(crate) async fn follow_name(members: Arc<GroupMembers>, name: String) {
    loop {
        runtime::sleep(PEER_NAME_INTERVAL).await;
        // The link reports a name server that does not answer.
        if let Ok(addresses) = resolve(&name).await {
            members.add_addresses(addresses.into_iter());
        }
    }
}

async fn keep_link(dialler: Rc<Dialler>, handle: Rc<LinkHandle>) {
    let mut pause = SYNC_RETRY_MIN;
    let mut last_open = Instant::now();
    let mut reported = false;
    while !handle.peer.is_retired() {
        let mut was_open = false;
        let Err(error) = dialler.run(&handle, &mut was_open).await else { break };
        if matches!(error, DialError::OneOfOurs) {
            continue;
        }
        handle.link.borrow_mut().closed();
        if dialler.ends.get() {
            break;
        }
        if was_open {
            handle.peer.set_linked(false);
            (pause, last_open, reported) = (SYNC_RETRY_MIN, Instant::now(), false);
        }
        if matches!(error, DialError::Hello(HelloError::Itself)) {
            log::info!("peer {}: {error}", handle.peer.name());
            dialler.members.note_known(handle.peer.name(), dialler.members.member().tracker);
            handle.peer.retire();
        } else if !std::mem::replace(&mut reported, true) && dialler.core == 0 {
            log::warn!("no link to tracker {}: {error}; trying again", handle.peer.name());
        }
        let state = if handle.peer.is_retired() { SyncProgress::Away } else { SyncProgress::Failed };
        dialler.members.startup().set(handle.peer.number(), Some(dialler.core), state);
        if handle.peer.is_learnt() && last_open.elapsed() > SYNC_FORGET_AFTER {
            log::info!("tracker {} is forgotten until it opens a link again", handle.peer.name());
            handle.peer.retire();
        }
        runtime::sleep(pause).await;
        pause = (pause * 2).min(SYNC_RETRY_MAX);
    }
    dialler.shard.remove_link(&handle);
}

impl Dialler {
    /// Opens a link and runs it; returns `Ok` when the peer has retired.
    async fn run(&self, handle: &LinkHandle, was_open: &mut bool) -> Result<(), DialError> {
        let addresses = resolve(handle.peer.name()).await?;
        let others: Vec<_> = addresses.iter().copied().filter(|other| !handle.own.borrow().contains(other)).collect();
        let mut stream = self.connect(if others.is_empty() { &addresses } else { &others }).await?;
        stream.allow(SYNC_ANSWER_TIMEOUT);
        let mut frames = FrameReader::new(&self.net, FRAME_SYNC_BYTES_MAX);
        let (tracker, hello, clock) = match self.shake_hands(&mut stream, &mut frames).await {
            // The name may cover all members: the others are at its other addresses.
            Err(DialError::Hello(HelloError::Itself)) if others.len() > 1 => {
                handle.own.borrow_mut().push(stream.peer());
                return Err(DialError::OneOfOurs);
            }
            shaken => shaken?,
        };
        self.members.identified(&handle.peer, tracker);
        if self.core == 0 {
            self.members.add_addresses(others.into_iter().filter(|other| *other != stream.peer()));
        }
        if let Some((theirs_ms, now_ms)) = clock {
            self.members.measured(tracker, theirs_ms, now_ms);
            // The first entries received must be checked against these skews.
            self.shard.set_skews(self.members.skews(now_ms), now_ms);
        }
        handle.peer.set_linked(true);
        *was_open = true;
        handle.link.borrow_mut().opened(tracker, self.times());
        self.members.startup().set(handle.peer.number(), Some(self.core), SyncProgress::Taking);
        let mut out = Vec::new();
        let mut repair_requests = handle.peer.repair_requests();
        while !handle.peer.is_retired() {
            if repair_requests != handle.peer.repair_requests() {
                repair_requests = handle.peer.repair_requests();
                handle.link.borrow_mut().repair_now();
            }
            if handle.link.borrow().is_due(self.times()) {
                self.round(handle, &hello, &mut stream, &mut frames, &mut out).await?;
            } else {
                let closed = async { frames.fill(&mut stream).await.map(Some) };
                let woken = async {
                    handle.woken().or(runtime::sleep(TICK)).await;
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

    /// Returns the other tracker's id and the hello that opened the link. If the other side sent its clock, also
    /// returns both clocks' readings at one time.
    async fn shake_hands(
        &self,
        stream: &mut Stream,
        frames: &mut FrameReader,
    ) -> Result<(TrackerId, SyncHello<'static>, Option<(u64, u64)>), DialError> {
        let dialling = Dialling::new(self.members.member().clone(), stream.peer().ip(), rand::random())?;
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
        handle: &LinkHandle,
        hello: &SyncHello<'_>,
        stream: &mut Stream,
        frames: &mut FrameReader,
        out: &mut Vec<u8>,
    ) -> Result<(), DialError> {
        out.clear();
        let sent_ms = now_ms();
        self.shard.send_round(&mut handle.link.borrow_mut(), hello, self.times(), out);
        stream.allow(SYNC_ANSWER_TIMEOUT);
        stream.write_all(out).await?;
        while !handle.link.borrow().is_idle() {
            let frame = frames.next(stream).await?.ok_or(NetError::Closed)?;
            stream.allow(SYNC_ANSWER_TIMEOUT);
            let was_repaired = handle.link.borrow().repaired();
            let taken = self.shard.take_answer(handle, frame, now_ms())?;
            if taken.is_some() && !handle.link.borrow().repaired() {
                self.members.startup().set(handle.peer.number(), Some(self.core), SyncProgress::Taking);
            }
            if let Some(taken) = taken {
                handle.peer.count_repair(taken.news, taken.done);
            }
            if taken.is_some_and(|taken| taken.done) {
                if !was_repaired {
                    handle.peer.set_repaired();
                }
                self.members.startup().set(handle.peer.number(), Some(self.core), SyncProgress::Done);
            }
        }
        if !handle.link.borrow().has_more() {
            handle.peer.set_acknowledged(self.core, sent_ms);
        }
        self.shard.log().room().await;
        // Clients are served between two pages.
        runtime::yield_now().await;
        Ok(())
    }

    fn times(&self) -> Times {
        // This clock does not step either.
        Times { wall_ms: now_ms(), steady_ms: now_ms() }
    }
}

fn refused(message: &Message<'_>) -> DialError {
    match message {
        Message::Response(response) => DialError::Refused(text::plain(response.text)),
        other => LinkError::Unexpected(other.kind()).into(),
    }
}
