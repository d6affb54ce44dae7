//! Replies that could not be sent at once.
//!
//! The requests of one turn are answered in one piece and in their order, once the last reply has arrived and the
//! acknowledged changes are durable. Most replies are sent within their turn and never come here. The others wait for
//! another core's replies, for the store, or for room in the socket.
//!
//! A pending reply stores only the id of its connection. The poll loop resumes the pending replies that may be sent.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use super::ids::{ConnectionId, PendingReplyId, SlotId};
use crate::limits::{PENDING_REPLIES_KEPT_MAX, REPLIES_KEPT_BYTES_MAX};
use crate::net::SocketSet;
use crate::runtime::Signal;
use crate::tracker::bug::report_bug;
use crate::tracker::server::unsaved::{refuse_acknowledged, refused_len};
use crate::tracker::store::{Log, WriteSequence};

/// The pending replies of one core, by id.
pub(crate) struct PendingReplies {
    socket_set: SocketSet,
    log: Rc<Log>,
    inside: RefCell<Inside>,
    /// Notified when a pending reply waits for the store.
    unsaved: Signal,
}

#[derive(Default)]
struct Inside {
    replies: Vec<PendingReply>,
    free: Vec<PendingReplyId>,
    /// Pending replies that may be sent.
    resumable: Vec<PendingReplyId>,
    /// The pending replies that wait for the store, each with its write; the writes never decrease.
    unsaved: VecDeque<(WriteSequence, PendingReplyId)>,
    scratch: Vec<u8>,
}

/// A pending reply. Its buffers are reused for the next one with the same id.
#[derive(Default)]
struct PendingReply {
    stage: Stage,
    /// The write of this core that must be durable first.
    written: Option<WriteSequence>,
    /// The replies, at first without the deferred parts.
    bytes: Vec<u8>,
    /// Number of these bytes already sent.
    sent: usize,
    /// A part takes long: what precedes it is sent without it.
    takes_long: bool,
    /// Bytes of the deferred parts, in the order of arrival.
    deferred: Vec<u8>,
    /// The deferred parts that are not among `bytes` yet.
    parts: Vec<DeferredPart>,
    /// Number of the deferred parts before these, which are.
    merged: usize,
}

/// The state of a pending reply, apart from its write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// The slot is free.
    #[default]
    Free,
    /// The connection `owner` waits for the reply, which waits for `awaited` deferred parts.
    Open { owner: ConnectionId, awaited: u32 },
    /// The connection is closed. `awaited` deferred parts, at least one, still arrive and name this id.
    Abandoned { awaited: u32 },
}

/// A reply that another core sends.
struct DeferredPart {
    /// Number of the other bytes that precede the part.
    at: usize,
    /// Range in `deferred`; empty until the part has arrived.
    bytes: Range<usize>,
}

impl PendingReplies {
    pub(crate) fn new(socket_set: SocketSet, log: Rc<Log>) -> Rc<Self> {
        Rc::new(Self { socket_set, log, inside: RefCell::default(), unsaved: Signal::default() })
    }

    /// Creates a pending reply for connection `owner`.
    pub(crate) fn begin(&self, owner: ConnectionId) -> PendingReplyId {
        let Inside { replies, free, .. } = &mut *self.inside.borrow_mut();
        let id = free.pop().unwrap_or_else(|| {
            replies.push(PendingReply::default());
            PendingReplyId(replies.len() as u32 - 1)
        });
        let reply = &mut replies[id.index()];
        debug_assert!(reply.stage == Stage::Free && reply.bytes.is_empty() && reply.parts.is_empty());
        reply.stage = Stage::Open { owner, awaited: 0 };
        id
    }

    /// Reserves the slot of a deferred part behind the first `at` bytes of the other replies.
    pub(crate) fn defer(&self, id: PendingReplyId, at: usize) -> SlotId {
        let reply = &mut self.inside.borrow_mut().replies[id.index()];
        match &mut reply.stage {
            Stage::Open { awaited, .. } => *awaited += 1,
            Stage::Free | Stage::Abandoned { .. } => report_bug("a part is deferred of no pending reply"),
        }
        reply.parts.push(DeferredPart { at, bytes: 0..0 });
        SlotId(reply.parts.len() as u32 - 1)
    }

    /// Like [`PendingReplies::defer`], for a part that takes seconds: what precedes it is sent without it.
    pub(crate) fn defer_for_long(&self, id: PendingReplyId, at: usize) -> SlotId {
        self.inside.borrow_mut().replies[id.index()].takes_long = true;
        self.defer(id, at)
    }

    /// Stores a deferred part that has arrived.
    pub(crate) fn fill(&self, id: PendingReplyId, slot: SlotId, bytes: &[u8]) {
        let inside = &mut *self.inside.borrow_mut();
        let Some(reply) = inside.replies.get_mut(id.index()) else {
            return report_bug("another core's reply belongs to no pending reply");
        };
        if !reply.fill(slot, bytes) {
            return report_bug("another core's reply comes to a slot where none is awaited");
        }
        match reply.stage {
            Stage::Abandoned { awaited: 0 } => inside.release(id),
            Stage::Open { awaited, .. } if awaited == 0 || reply.takes_long => {
                inside.resumable.push(id);
                self.socket_set.wake();
            }
            _ => {}
        }
    }

    /// Takes the replies out of `bytes`, the first `sent` of which are sent already. The rest waits until this core's
    /// write `written` is durable.
    pub(crate) fn hold(&self, id: PendingReplyId, bytes: &mut Vec<u8>, sent: usize, written: Option<WriteSequence>) {
        let Inside { replies, unsaved, resumable, .. } = &mut *self.inside.borrow_mut();
        let reply = &mut replies[id.index()];
        debug_assert!(sent <= bytes.len() && reply.bytes.is_empty());
        std::mem::swap(&mut reply.bytes, bytes);
        (reply.sent, reply.written) = (sent, written);
        if reply.takes_long {
            resumable.push(id);
        }
        if let Some(written) = written.filter(|written| !self.log.is_durable(Some(*written))) {
            unsaved.push_back((written, id));
            self.unsaved.notify();
        }
    }

    /// Lists the pending replies whose writes have become durable. If the store fails, lists all and refuses them.
    pub(crate) async fn follow_the_store(self: Rc<Self>) {
        loop {
            let first = || self.inside.borrow().unsaved.front().copied();
            let (written, _) = self.unsaved.until(first).await;
            let is_durable = self.log.durable(written).await;
            let Inside { resumable, unsaved, .. } = &mut *self.inside.borrow_mut();
            let ended = |written| !is_durable || self.log.is_durable(Some(written));
            let count = unsaved.iter().take_while(|(written, _)| ended(*written)).count();
            resumable.extend(unsaved.drain(..count).map(|(_, id)| id));
            self.socket_set.wake();
        }
    }

    /// Appends the pending replies that may be sent to `resumable`. One may be listed twice, or after it was sent.
    pub(crate) fn take_resumable(&self, resumable: &mut Vec<PendingReplyId>) {
        resumable.append(&mut self.inside.borrow_mut().resumable);
    }

    /// The connection that waits for the reply; `None` if the reply was sent or its connection is closed.
    pub(crate) fn owner(&self, id: PendingReplyId) -> Option<ConnectionId> {
        match self.inside.borrow().replies.get(id.index())?.stage {
            Stage::Open { owner, .. } => Some(owner),
            Stage::Free | Stage::Abandoned { .. } => None,
        }
    }

    /// Sends the reply if all parts have arrived and are durable, else what need not wait for them. `send` returns the number of bytes that it sent.
    /// Returns true once all bytes are sent.
    pub(crate) fn resume<E>(
        &self,
        id: PendingReplyId,
        send: impl FnOnce(&[u8]) -> Result<usize, E>,
    ) -> Result<bool, E> {
        let Inside { replies, scratch, .. } = &mut *self.inside.borrow_mut();
        let reply = &mut replies[id.index()];
        let Stage::Open { awaited, .. } = reply.stage else { return Ok(false) };
        if awaited > 0 && !reply.takes_long {
            return Ok(false);
        }
        if !self.log.is_durable(reply.written) {
            let Some(why) = self.log.failing().filter(|_| awaited == 0) else { return Ok(false) };
            reply.refuse(&why, scratch);
        }
        let ready = reply.merge(scratch);
        if reply.sent < ready {
            reply.sent += send(&reply.bytes[reply.sent..ready])?;
        }
        debug_assert!(reply.sent <= ready && ready <= reply.bytes.len());
        Ok(awaited == 0 && reply.sent == reply.bytes.len())
    }

    /// Frees the id of a reply that was sent completely.
    pub(crate) fn end(&self, id: PendingReplyId) {
        let inside = &mut *self.inside.borrow_mut();
        debug_assert!(matches!(inside.replies[id.index()].stage, Stage::Open { awaited: 0, .. }));
        inside.release(id);
    }

    /// Handles the end of the connection: the id is free once the outstanding deferred parts have arrived.
    pub(crate) fn abandon(&self, id: PendingReplyId) {
        let inside = &mut *self.inside.borrow_mut();
        let reply = &mut inside.replies[id.index()];
        match reply.stage {
            Stage::Open { awaited, .. } if awaited > 0 => reply.stage = Stage::Abandoned { awaited },
            Stage::Open { .. } => inside.release(id),
            Stage::Free | Stage::Abandoned { .. } => report_bug("a pending reply is abandoned that nobody waits for"),
        }
    }
}

impl Inside {
    fn release(&mut self, id: PendingReplyId) {
        let reply = &mut self.replies[id.index()];
        if self.free.len() >= PENDING_REPLIES_KEPT_MAX {
            // Many replies were pending at once: the buffers of the surplus ones are released.
            *reply = PendingReply::default();
        } else {
            reply.clear();
        }
        self.free.push(id);
    }
}

impl PendingReply {
    /// Stores a deferred part; returns false if none is awaited in the slot.
    fn fill(&mut self, slot: SlotId, bytes: &[u8]) -> bool {
        let (Stage::Open { awaited, .. } | Stage::Abandoned { awaited }) = &mut self.stage else { return false };
        let part = slot.index().checked_sub(self.merged).and_then(|at| self.parts.get_mut(at));
        let Some(part) = part.filter(|_| *awaited > 0) else { return false };
        debug_assert!(part.bytes.is_empty(), "a slot is filled once");
        let start = self.deferred.len();
        self.deferred.extend_from_slice(bytes);
        part.bytes = start..self.deferred.len();
        *awaited -= 1;
        true
    }

    /// Converts acknowledgements into refusals: the changes are not durable, and perhaps never will be. No byte was sent
    /// yet.
    fn refuse(&mut self, why: &str, scratch: &mut Vec<u8>) {
        debug_assert!(self.sent == 0);
        scratch.clear();
        refuse_acknowledged(&self.bytes, why, |_, reply| scratch.extend_from_slice(reply));
        for part in &mut self.parts {
            part.at = refused_len(&self.bytes[..part.at], why);
        }
        std::mem::swap(&mut self.bytes, scratch);
        self.written = None;
    }

    /// Inserts the deferred parts among the other replies, up to the first that has not arrived. Returns the number of
    /// bytes before that one.
    fn merge(&mut self, scratch: &mut Vec<u8>) -> usize {
        let arrived = self.parts.iter().take_while(|part| !part.bytes.is_empty()).count();
        if arrived > 0 {
            scratch.clear();
            let mut done = 0;
            for DeferredPart { at, bytes } in self.parts.drain(..arrived) {
                scratch.extend_from_slice(&self.bytes[done..at]);
                scratch.extend_from_slice(&self.deferred[bytes]);
                done = at;
            }
            let inserted = scratch.len() - done;
            self.parts.iter_mut().for_each(|part| part.at += inserted);
            self.merged += arrived;
            scratch.extend_from_slice(&self.bytes[done..]);
            std::mem::swap(&mut self.bytes, scratch);
        }
        self.parts.first().map_or(self.bytes.len(), |part| part.at)
    }

    fn clear(&mut self) {
        for buffer in [&mut self.bytes, &mut self.deferred] {
            buffer.clear();
            buffer.shrink_to(REPLIES_KEPT_BYTES_MAX);
        }
        self.parts.clear();
        (self.stage, self.sent, self.written) = (Stage::Free, 0, None);
        (self.takes_long, self.merged) = (false, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::net::Net;
    use crate::runtime::Cores;
    use crate::wire::{self, Message, Parsed, Status};

    fn with_replies(test: impl Fn(&PendingReplies) + Clone + Send + 'static) {
        let test = move |_| {
            let test = test.clone();
            async move { test(&PendingReplies::new(Net::start().unwrap().socket_set(), Log::start(None, || ()))) }
        };
        Cores::start("test", 1, test).unwrap().join().unwrap();
    }

    /// Resumes a listed reply as often as possible; each send takes `step` bytes at most. Returns true once it is sent.
    fn resume(replies: &PendingReplies, id: PendingReplyId, step: usize, sent: &mut Vec<u8>) -> bool {
        let mut resumable = Vec::new();
        replies.take_resumable(&mut resumable);
        if !resumable.contains(&id) {
            return false;
        }
        loop {
            let sent_before = sent.len();
            let Ok(done) = replies.resume(id, |bytes| {
                sent.extend_from_slice(&bytes[..bytes.len().min(step)]);
                Ok::<_, Infallible>(bytes.len().min(step))
            });
            if done || sent.len() == sent_before {
                return done;
            }
        }
    }

    #[test]
    fn deferred_parts_take_their_places() {
        with_replies(|replies| {
            for step in [usize::MAX, 3, 1] {
                let id = replies.begin(ConnectionId(40));
                let slots = [0, 1, 1, 2].map(|at| replies.defer(id, at));
                replies.hold(id, &mut b"ad".to_vec(), 0, None);
                let mut sent = Vec::new();
                for (slot, bytes) in [(slots[2], "c"), (slots[3], "e"), (slots[0], "_"), (slots[1], "bb")] {
                    assert!(!resume(replies, id, step, &mut sent) && sent.is_empty());
                    replies.fill(id, slot, bytes.as_bytes());
                }
                assert_eq!(replies.owner(id), Some(ConnectionId(40)));
                assert!(resume(replies, id, step, &mut sent), "by {step} bytes");
                replies.end(id);
                assert_eq!(replies.owner(id), None);
                assert_eq!(String::from_utf8_lossy(&sent), "_abbcde", "by {step} bytes");
            }
        });
    }

    #[test]
    fn what_precedes_a_part_that_takes_long_leaves_before_it() {
        with_replies(|replies| {
            for step in [usize::MAX, 1] {
                let id = replies.begin(ConnectionId(3));
                let slots = [replies.defer(id, 1), replies.defer_for_long(id, 2), replies.defer(id, 3)];
                replies.hold(id, &mut b"acef".to_vec(), 0, None);
                let mut sent = Vec::new();
                for (slot, bytes, early) in [(slots[2], "_", "a"), (slots[0], "bb", "abbc")] {
                    replies.fill(id, slot, bytes.as_bytes());
                    assert!(!resume(replies, id, step, &mut sent));
                    assert_eq!(String::from_utf8_lossy(&sent), early, "by {step} bytes");
                }
                replies.fill(id, slots[1], b"d");
                assert!(resume(replies, id, step, &mut sent), "by {step} bytes");
                replies.end(id);
                assert_eq!(String::from_utf8_lossy(&sent), "abbcde_f", "by {step} bytes");
            }
        });
    }

    #[test]
    fn what_left_before_is_not_sent_again() {
        with_replies(|replies| {
            let id = replies.begin(ConnectionId(3));
            replies.hold(id, &mut b"abc".to_vec(), 1, None);
            let Ok(done) = replies.resume(id, |bytes| {
                assert_eq!(bytes, &b"bc"[..]);
                Ok::<_, Infallible>(bytes.len())
            });
            assert!(done);
        });
    }

    /// The other core does not know that the connection has ended, and answers anyway.
    #[test]
    fn the_id_of_an_abandoned_reply_is_free_when_its_last_part_has_come() {
        with_replies(|replies| {
            let id = replies.begin(ConnectionId(1));
            let slots = [0, 0].map(|at| replies.defer(id, at));
            replies.abandon(id);
            assert_eq!(replies.owner(id), None);
            replies.fill(id, slots[1], b"late");
            assert_ne!(replies.begin(ConnectionId(2)), id, "a part is to come");
            replies.fill(id, slots[0], b"later");
            assert_eq!(replies.begin(ConnectionId(3)), id);
            let mut resumable = Vec::new();
            replies.take_resumable(&mut resumable);
            assert!(resumable.is_empty(), "nobody waits for it");
        });
    }

    /// Acknowledgements are refused when the store fails; other answers stay.
    #[test]
    fn acknowledgements_become_refusals() {
        let version = Some(crate::ids::Version { clock: 5, tracker: crate::ids::TrackerId(1) });
        let response = |status, version| Message::Response(crate::wire::Response::new(status, "", version));
        let all = [
            response(Status::Ok, version),
            response(Status::NotAllowed, None),
            Message::ChunkInfoRequest(crate::ids::InfoHash([7; 20])),
            response(Status::Ok, version),
        ];
        let (mut replies, mut lens) = (Vec::new(), Vec::new());
        for message in &all {
            message.encode(&mut replies);
            lens.push(message.encoded_len());
        }
        let (mut refused, mut seen) = (Vec::new(), Vec::new());
        refuse_acknowledged(&replies, "no space", |len, reply| {
            seen.push(len);
            refused.extend_from_slice(reply);
        });
        assert_eq!((seen, refused.len()), (lens, refused_len(&replies, "no space")));
        let mut rest = refused.as_slice();
        for message in all {
            let Ok(Parsed::Frame { frame, len }) = wire::parse(rest, 1 << 16) else { panic!("no frame") };
            match (message, Message::decode(frame).unwrap()) {
                (Message::Response(was), Message::Response(now)) if was.status.is_ok() => {
                    assert_eq!((now.status, now.version), (Status::Internal, None));
                    assert!(now.text.contains("no space"), "{}", now.text);
                }
                (was, now) => assert_eq!(was, now),
            }
            rest = &rest[len..];
        }
    }

    #[test]
    fn ids_are_used_again() {
        with_replies(|replies| {
            let (first, second) = (replies.begin(ConnectionId(1)), replies.begin(ConnectionId(2)));
            assert_ne!(first, second);
            replies.hold(first, &mut b"x".to_vec(), 0, None);
            replies.abandon(first);
            assert_eq!(replies.begin(ConnectionId(3)), first);
            let Ok(done) = replies.resume(first, |bytes| Ok::<_, Infallible>(bytes.len()));
            assert!(done, "nothing is left of the last one");
        });
    }
}
