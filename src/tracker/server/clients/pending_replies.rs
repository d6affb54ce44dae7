//! PendingReplies whose replies could not be sent at once.
//!
//! A round is what a connection asked in one go. Its replies leave in one piece and in the order of asking, when the
//! last of them is there and what they acknowledge is safe. Most rounds end within their turn and never come here;
//! the others wait for another core's replies, for the store, or for room in the socket.
//!
//! Knows of a connection only its number. Which round has moved is told to [`crate::tracker::server::clients`], which goes on with it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use crate::limits::{REPLIES_KEPT_BYTES_MAX, ROUNDS_KEPT_MAX};
use crate::net::SocketSet;
use crate::runtime::Signal;
use crate::tracker::server::unsaved::{refuse_acknowledged, refused_len};
use crate::tracker::store::Log;

/// The waiting rounds of one core, by number.
pub(crate) struct PendingReplies {
    socket_set: SocketSet,
    log: Rc<Log>,
    inside: RefCell<Inside>,
    /// There is a round that waits for the store.
    unsaved: Signal,
}

#[derive(Default)]
struct Inside {
    rounds: Vec<PendingReply>,
    free: Vec<u32>,
    /// PendingReplies that may go on.
    moved: Vec<u32>,
    /// The rounds that wait for the store, and for which write: these never get smaller.
    unsaved: VecDeque<(u64, u32)>,
    scratch: Vec<u8>,
}

/// One round. Its buffers serve for the next one with its number.
#[derive(Default)]
struct PendingReply {
    member: u32,
    /// Late replies that are to come.
    awaited: u32,
    /// This core's write that must be safe.
    written: u64,
    /// The replies, at first without the late ones.
    replies: Vec<u8>,
    /// How many bytes of them have left.
    sent: usize,
    /// Late replies, in the order of coming.
    late: Vec<u8>,
    /// A place a late reply: after which byte of the others it belongs, and where in `late` it is.
    places: Vec<(usize, Range<usize>)>,
}

impl PendingReplies {
    pub(crate) fn new(socket_set: SocketSet, log: Rc<Log>) -> Rc<Self> {
        Rc::new(Self { socket_set, log, inside: RefCell::default(), unsaved: Signal::default() })
    }

    /// A number for a round of connection `member` that will wait.
    pub(crate) fn begin(&self, member: u32) -> u32 {
        let Inside { rounds, free, .. } = &mut *self.inside.borrow_mut();
        let number = free.pop().unwrap_or_else(|| {
            rounds.push(PendingReply::default());
            rounds.len() as u32 - 1
        });
        rounds[number as usize].member = member;
        number
    }

    /// Reserves the place of a late reply after the first `at` bytes of the round's other replies; returns the
    /// place's number.
    pub(crate) fn expect(&self, number: u32, at: usize) -> u32 {
        let round = &mut self.inside.borrow_mut().rounds[number as usize];
        round.places.push((at, 0..0));
        round.awaited += 1;
        round.places.len() as u32 - 1
    }

    /// A late reply is here.
    pub(crate) fn fill(&self, number: u32, place: u32, bytes: &[u8]) {
        let Inside { rounds, moved, .. } = &mut *self.inside.borrow_mut();
        let Some(round) = rounds.get_mut(number as usize) else { return };
        let start = round.late.len();
        round.late.extend_from_slice(bytes);
        if let Some((_, range)) = round.places.get_mut(place as usize) {
            *range = start..round.late.len();
        }
        round.awaited = round.awaited.saturating_sub(1);
        if round.awaited == 0 {
            moved.push(number);
            self.socket_set.wake();
        }
    }

    /// Takes the round's replies out of `replies`, the first `sent` bytes of which have left. They wait until this
    /// core's write `written` is safe.
    pub(crate) fn hold(&self, number: u32, replies: &mut Vec<u8>, sent: usize, written: u64) {
        let Inside { rounds, unsaved, .. } = &mut *self.inside.borrow_mut();
        let round = &mut rounds[number as usize];
        std::mem::swap(&mut round.replies, replies);
        (round.sent, round.written) = (sent, written);
        if !self.log.is_durable(written) {
            unsaved.push_back((written, number));
            self.unsaved.notify();
        }
    }

    /// Tells of the rounds whose writes have become safe; when the store fails, of all: they are refused.
    pub(crate) async fn follow_the_store(self: Rc<Self>) {
        loop {
            let first = || self.inside.borrow().unsaved.front().copied();
            let (written, _) = self.unsaved.until(first).await;
            let is_safe = self.log.durable(written).await;
            let Inside { moved, unsaved, .. } = &mut *self.inside.borrow_mut();
            let safe = unsaved.iter().take_while(|(written, _)| !is_safe || self.log.is_durable(*written)).count();
            moved.extend(unsaved.drain(..safe).map(|(_, number)| number));
            self.socket_set.wake();
        }
    }

    /// Moves the numbers of rounds that may go on behind those in `moved`. A number may come twice, or too late.
    pub(crate) fn take_moved(&self, moved: &mut Vec<u32>) {
        moved.append(&mut self.inside.borrow_mut().moved);
    }

    /// Sends by `send`, which returns how much of its bytes it sent, if all replies of the round are there and safe.
    /// Returns the connection's number once all have left.
    pub(crate) fn go_on<E>(
        &self,
        number: u32,
        send: impl FnOnce(u32, &[u8]) -> Result<usize, E>,
    ) -> Result<Option<u32>, E> {
        let Inside { rounds, scratch, .. } = &mut *self.inside.borrow_mut();
        let round = &mut rounds[number as usize];
        if round.awaited > 0 {
            return Ok(None);
        }
        if !self.log.is_durable(round.written) {
            let Some(why) = self.log.failing() else { return Ok(None) };
            // Nothing of it has left: what it says was done is not safe, and perhaps never will be.
            scratch.clear();
            refuse_acknowledged(&round.replies, &why, |_, reply| scratch.extend_from_slice(reply));
            let moved = round.places.iter().map(|(at, _)| refused_len(&round.replies[..*at], &why)).collect::<Vec<_>>();
            round.places.iter_mut().zip(moved).for_each(|((at, _), moved)| *at = moved);
            std::mem::swap(&mut round.replies, scratch);
            round.written = 0;
        }
        round.merge(scratch);
        if round.sent < round.replies.len() {
            round.sent += send(round.member, &round.replies[round.sent..])?;
        }
        Ok((round.sent == round.replies.len()).then_some(round.member))
    }

    /// Gives the round's number back; false while another core has it.
    pub(crate) fn end(&self, number: u32) -> bool {
        let Inside { rounds, free, .. } = &mut *self.inside.borrow_mut();
        let round = &mut rounds[number as usize];
        if round.awaited > 0 {
            return false;
        }
        round.clear();
        if free.len() >= ROUNDS_KEPT_MAX {
            // Many waited once: their buffers are not kept for the next time.
            *round = PendingReply::default();
        }
        free.push(number);
        true
    }
}

impl PendingReply {
    /// Puts the late replies among the others.
    fn merge(&mut self, scratch: &mut Vec<u8>) {
        if self.places.is_empty() {
            return;
        }
        scratch.clear();
        let mut done = 0;
        for (at, range) in self.places.drain(..) {
            scratch.extend_from_slice(&self.replies[done..at]);
            scratch.extend_from_slice(&self.late[range]);
            done = at;
        }
        scratch.extend_from_slice(&self.replies[done..]);
        std::mem::swap(&mut self.replies, scratch);
    }

    fn clear(&mut self) {
        for buffer in [&mut self.replies, &mut self.late] {
            buffer.clear();
            buffer.shrink_to(REPLIES_KEPT_BYTES_MAX);
        }
        self.places.clear();
        (self.sent, self.written) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::net::Net;
    use crate::runtime::Cores;
    use crate::wire::{self, Message, Parsed, Status};

    fn with_rounds(test: impl Fn(&PendingReplies) + Clone + Send + 'static) {
        let test = move |_| {
            let test = test.clone();
            async move { test(&PendingReplies::new(Net::start().unwrap().socket_set(), Log::start(None, || ()))) }
        };
        Cores::start("test", 1, test).unwrap().join().unwrap();
    }

    /// Goes on with the round, if it has moved, as often as it can; each send takes `step` bytes at most.
    fn go_on(rounds: &PendingReplies, number: u32, step: usize, sent: &mut Vec<u8>) -> Option<u32> {
        let mut moved = Vec::new();
        rounds.take_moved(&mut moved);
        moved.contains(&number).then_some(())?;
        loop {
            let sent_before = sent.len();
            let Ok(done) = rounds.go_on(number, |_, bytes| {
                sent.extend_from_slice(&bytes[..bytes.len().min(step)]);
                Ok::<_, Infallible>(bytes.len().min(step))
            });
            if done.is_some() || sent.len() == sent_before {
                return done;
            }
        }
    }

    #[test]
    fn late_replies_take_their_places() {
        with_rounds(|rounds| {
            for step in [usize::MAX, 3, 1] {
                let number = rounds.begin(40);
                let places = [0, 1, 1, 2].map(|at| rounds.expect(number, at));
                rounds.hold(number, &mut b"ad".to_vec(), 0, 0);
                let mut sent = Vec::new();
                for (place, bytes) in [(places[2], "c"), (places[3], "e"), (places[0], "_"), (places[1], "bb")] {
                    assert_eq!(go_on(rounds, number, step, &mut sent), None);
                    assert!(sent.is_empty() && !rounds.end(number), "another core has it");
                    rounds.fill(number, place, bytes.as_bytes());
                }
                assert_eq!(go_on(rounds, number, step, &mut sent), Some(40), "by {step} bytes");
                assert!(rounds.end(number));
                assert_eq!(String::from_utf8_lossy(&sent), "_abbcde", "by {step} bytes");
            }
        });
    }

    #[test]
    fn what_left_before_is_not_sent_again() {
        with_rounds(|rounds| {
            let number = rounds.begin(3);
            rounds.hold(number, &mut b"abc".to_vec(), 1, 0);
            let Ok(done) = rounds.go_on(number, |member, bytes| {
                assert_eq!((member, bytes), (3, &b"bc"[..]));
                Ok::<_, Infallible>(bytes.len())
            });
            assert_eq!(done, Some(3));
        });
    }

    /// What was said to be done is refused when the store fails; what was only told is told.
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
    fn numbers_are_used_again() {
        with_rounds(|rounds| {
            let (first, second) = (rounds.begin(1), rounds.begin(2));
            assert_ne!(first, second);
            rounds.hold(first, &mut b"x".to_vec(), 0, 0);
            assert!(rounds.end(first));
            assert_eq!(rounds.begin(3), first);
            let Ok(done) = rounds.go_on(first, |_, bytes| Ok::<_, Infallible>(bytes.len()));
            assert_eq!(done, Some(3), "nothing is left of the last one");
        });
    }
}
