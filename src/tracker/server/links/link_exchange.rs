//! The accepting side of a link: the exchange of hellos that opens it, and the tracker at its other end.

use std::net::IpAddr;
use std::sync::Arc;

use super::group_members::GroupMembers;
use crate::ids::{TrackerId, Version};
use crate::tracker::replica::hello::{Accepting, HelloError};
use crate::tracker::server::clock::now_ms;
use crate::wire::{Message, Response, Status, SyncHello};

/// The state of a connection that may become a link.
pub(crate) struct LinkExchange {
    members: Arc<GroupMembers>,
    from: IpAddr,
    state: State,
}

enum State {
    /// No valid hello has been received.
    Closed,
    /// The first hello has been received.
    Begun(Accepting),
    Open(TrackerId),
}

impl LinkExchange {
    pub(crate) fn new(members: Arc<GroupMembers>, from: IpAddr) -> Self {
        Self { members, from, state: State::Closed }
    }

    /// Id of the tracker at the other end, once the link is open.
    pub(crate) fn tracker(&self) -> Option<TrackerId> {
        match self.state {
            State::Open(tracker) => Some(tracker),
            State::Closed | State::Begun(_) => None,
        }
    }

    /// Answers a hello.
    pub(crate) fn hello(&mut self, hello: &SyncHello<'_>, out: &mut Vec<u8>) {
        if let Err(error) = self.take(hello, out) {
            log::warn!("refused the link of a tracker at {}: {error}", self.from);
            self.state = State::Closed;
            self.members.count_refused();
            Message::Response(Response::new(Status::NotAllowed, &error.to_string(), None)).encode(out);
        }
    }

    fn take(&mut self, hello: &SyncHello<'_>, out: &mut Vec<u8>) -> Result<(), HelloError> {
        let member = self.members.member();
        match &self.state {
            State::Closed => {
                let accepting = Accepting::new(member, self.from, hello, rand::random())?;
                let (answer, proof) = accepting.hello(member);
                Message::SyncHello(SyncHello { proof: proof.as_ref(), ..answer }).encode(out);
                self.state = State::Begun(accepting);
                return Ok(());
            }
            State::Begun(accepting) => {
                let (tracker, endpoint) = accepting.finish(member, hello)?;
                self.members.add_linked(tracker, endpoint.seen_from(self.from));
                self.state = State::Open(tracker);
            }
            State::Open(tracker) if hello.tracker == *tracker => self.members.request_repair(*tracker),
            State::Open(_) => return Err(HelloError::OutOfOrder),
        }
        let clock = Version { clock: now_ms() << 16, tracker: member.tracker };
        Message::Response(Response::new(Status::Ok, "", Some(clock))).encode(out);
        Ok(())
    }
}
