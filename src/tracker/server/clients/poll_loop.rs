//! The poll loop of a core: it receives from ready connections, answers them, and resumes pending replies.
//!
//! One task serves all connections (the socket set in [`crate::net`] explains why). Ready connections are served in
//! small groups: the bytes of each connection in a group are received and cut into frames, the records of the named
//! files are prefetched together, and then each connection is answered. No step waits.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use super::connections::Connections;
use super::group_input::{Cut, GroupInput};
use super::ids::ConnectionId;
use super::service::Service;
use crate::limits::{
    FLOOD_PAUSE, GROUP_CONNECTIONS_MAX, GROUPS_BETWEEN_YIELDS, GROUPS_IN_A_ROW_MAX, REPLIES_KEPT_BYTES_MAX,
};
use crate::net::{Accepted, SocketSet};
use crate::runtime;
use crate::tracker::server::clock::now_ms;
use crate::tracker::server::request::RequestFrame;

/// Interval at which connections past their deadline are closed.
pub(super) const SILENCE_TICK: Duration = Duration::from_millis(250);

/// The connections of one core, and the tasks that serve them.
pub(crate) struct Clients {
    pub(super) service: Service,
    socket_set: SocketSet,
    pub(super) connections: RefCell<Connections>,
    buffers: RefCell<GroupBuffers>,
}

/// Buffers for serving a group; reused for the next group.
struct GroupBuffers {
    input: GroupInput,
    /// Empty between two groups: see [`recycled`].
    frames: Vec<RequestFrame<'static>>,
    cuts: Vec<Cut>,
    replies: Vec<u8>,
}

impl Clients {
    pub(crate) fn new(service: Service) -> Rc<Self> {
        let buffers =
            GroupBuffers { input: GroupInput::new(), frames: Vec::new(), cuts: Vec::new(), replies: Vec::new() };
        Rc::new(Self {
            socket_set: service.net.socket_set(),
            service,
            connections: RefCell::default(),
            buffers: RefCell::new(buffers),
        })
    }

    /// Starts the serving tasks.
    pub(crate) fn start(self: &Rc<Self>) {
        runtime::spawn_vital("clients", self.clone().serve());
        runtime::spawn_vital("time limits of clients", self.clone().keep_time());
        runtime::spawn_vital("pending replies", self.service.pending_replies.clone().follow_the_store());
    }

    /// Adds an accepted connection.
    pub(crate) fn admit(&self, accepted: Accepted) {
        let peer = accepted.peer();
        if let Err(error) = self.connections.borrow_mut().admit(accepted, &self.socket_set, &self.service) {
            log::debug!("closed {}: {error}", peer.ip());
        }
    }

    /// Closes all connections, whatever they wait for.
    pub(crate) fn close_all(&self) {
        self.connections.borrow_mut().close_all(&self.service);
    }

    async fn serve(self: Rc<Self>) {
        let (mut events, mut listed) = (Vec::new(), Vec::new());
        let mut in_a_row = 0;
        loop {
            if self.connections.borrow().runnable.is_empty() {
                self.socket_set.wait(&mut events).await;
                in_a_row = 0;
            } else if in_a_row < GROUPS_IN_A_ROW_MAX {
                runtime::yield_now().await;
                self.socket_set.take(&mut events);
            } else {
                // A client that sends without pause must not starve the rest of this core.
                runtime::sleep(FLOOD_PAUSE).await;
                self.socket_set.take(&mut events);
                in_a_row = 0;
            }
            self.guarded(|| self.connections.borrow_mut().take_ready(&mut events));
            std::mem::swap(&mut self.connections.borrow_mut().runnable, &mut listed);
            for group in listed.chunks(GROUP_CONNECTIONS_MAX) {
                if in_a_row > 0 && in_a_row % GROUPS_BETWEEN_YIELDS == 0 {
                    runtime::yield_now().await;
                    self.resume_replies();
                }
                in_a_row += 1;
                if !self.guarded(|| self.serve_group(group)) {
                    let connections = &mut *self.connections.borrow_mut();
                    group.iter().for_each(|id| connections.cut(*id, &self.service));
                }
            }
            listed.clear();
            self.resume_replies();
        }
    }

    /// Serves each connection of a group once.
    pub(super) fn serve_group(&self, group: &[ConnectionId]) {
        let (service, connections) = (&self.service, &mut *self.connections.borrow_mut());
        let GroupBuffers { input, frames, cuts, replies } = &mut *self.buffers.borrow_mut();
        connections.receive(group, input, service);
        let mut requests = std::mem::take(frames);
        input.cut(&mut requests, cuts);
        service.shard.prefetch(requests.iter().filter_map(|request| request.file));
        let now_ms = now_ms();
        for (turn, cut) in input.turns().iter().zip(&*cuts) {
            connections.answer(turn.id, &requests[cut.frames.clone()], now_ms, service, replies);
            replies.clear();
            replies.shrink_to(REPLIES_KEPT_BYTES_MAX);
        }
        *frames = recycled(requests);
        input.end_turns(cuts, service.net.buffers(), |id, cut, held, began_within| {
            connections.end_turn(id, cut, held, began_within, service);
        });
    }

    fn resume_replies(&self) {
        self.guarded(|| self.connections.borrow_mut().resume_replies(&self.service));
    }

    /// Runs `work`. A panic closes only the connections involved, not the core; then this returns false.
    pub(super) fn guarded(&self, work: impl FnOnce()) -> bool {
        let done = catch_unwind(AssertUnwindSafe(work)).is_ok();
        if !done {
            log::error!("internal error: serving connections panicked; please report it with the lines above");
            let GroupBuffers { input, cuts, replies, .. } = &mut *self.buffers.borrow_mut();
            input.clear();
            cuts.clear();
            replies.clear();
        }
        done
    }

    async fn keep_time(self: Rc<Self>) {
        loop {
            runtime::sleep(SILENCE_TICK).await;
            self.connections.borrow_mut().close_silent(&self.service);
        }
    }
}

/// Reuses the memory of a group's requests for the next group, whose bytes differ. The iterator has nothing to map;
/// collecting it in place keeps the allocation.
fn recycled(mut requests: Vec<RequestFrame<'_>>) -> Vec<RequestFrame<'static>> {
    requests.clear();
    requests.into_iter().map(|_| RequestFrame::EMPTY).collect()
}
