//! The poll loop of a core: receives from ready connections, answers, and resumes pending replies.

use std::cell::RefCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use super::connection::{Connection, Received};
use super::service::Service;
use crate::ids::InfoHash;
use crate::limits::{BUFFER_SMALL_BYTES, FLOOD_PAUSE, FRAME_TIMEOUT, IDLE_TIMEOUT, REPLIES_KEPT_BYTES_MAX};
use crate::rpc::RpcError;
use crate::net::{Accepted, NetError, ReadyEvent, SocketSet};
use crate::runtime;
use crate::tracker::server::clock::now_ms;
use crate::tracker::server::request::Requester;

/// Connections that have their turn together: few, so that what was received of the first is still in the nearest
/// cache when it is answered.
const GROUP_MAX: usize = 16;
/// Groups after which the core's other tasks run.
const GROUPS_BETWEEN_YIELDS: usize = 8;
/// Groups after which files, timers and other sockets have their turn though there is more to do.
const GROUPS_IN_A_ROW_MAX: usize = 64;
/// How often it is looked for connections whose time is over.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// The connections of one core.
pub(crate) struct Clients {
    pub(super) service: Service,
    socket_set: SocketSet,
    pub(super) turns: RefCell<Turns>,
}

#[derive(Default)]
pub(super) struct Turns {
    /// By number.
    pub(super) connections: Vec<Option<Connection>>,
    pub(super) free: Vec<u32>,
    /// Who can have a further turn without further news.
    pub(super) again: Vec<u32>,
    /// PendingReplies that may go on.
    moved: Vec<u32>,
    /// What a group has sent, one after the other.
    received: Vec<u8>,
    /// Whose bytes are where in `received`.
    heard: Vec<(u32, Range<usize>)>,
    /// The files that a group asks for.
    files: Vec<InfoHash>,
    replies: Vec<u8>,
}

impl Clients {
    pub(crate) fn new(service: Service) -> Rc<Self> {
        let turns = Turns { received: vec![0; GROUP_MAX * BUFFER_SMALL_BYTES], ..Turns::default() };
        Rc::new(Self { socket_set: service.net.socket_set(), service, turns: RefCell::new(turns) })
    }

    /// Starts the tasks which serve.
    pub(crate) fn start(self: &Rc<Self>) {
        runtime::spawn_vital("clients", self.clone().serve());
        runtime::spawn_vital("time limits of clients", self.clone().keep_time());
        runtime::spawn_vital("rounds", self.service.rounds.clone().follow_the_store());
    }

    /// Takes a connection in.
    pub(crate) fn admit(&self, accepted: Accepted) {
        let peer = accepted.peer();
        if let Err(error) = self.turns.borrow_mut().admit(accepted, &self.socket_set, &self.service) {
            log::debug!("closed {}: {error}", peer.ip());
        }
    }

    /// Closes all connections, whatever they wait for.
    pub(crate) fn close_all(&self) {
        let Turns { connections, free, .. } = &mut *self.turns.borrow_mut();
        connections.clear();
        free.clear();
    }

    async fn serve(self: Rc<Self>) {
        let (mut news, mut listed) = (Vec::new(), Vec::new());
        let mut in_a_row = 0;
        loop {
            if listed.is_empty() {
                self.socket_set.wait(&mut news).await;
                in_a_row = 0;
            } else if in_a_row < GROUPS_IN_A_ROW_MAX {
                runtime::yield_now().await;
                self.socket_set.take(&mut news);
            } else {
                // Who sends without end does not keep the rest of this core waiting.
                runtime::sleep(FLOOD_PAUSE).await;
                self.socket_set.take(&mut news);
                in_a_row = 0;
            }
            self.guarded(|turns| turns.take_in(&mut news, &mut listed));
            for group in listed.chunks(GROUP_MAX) {
                if in_a_row > 0 && in_a_row % GROUPS_BETWEEN_YIELDS == 0 {
                    runtime::yield_now().await;
                    self.guarded(|turns| turns.go_on_with_rounds(&self.service));
                }
                in_a_row += 1;
                if !self.guarded(|turns| turns.serve(group, &self.service)) {
                    group.iter().for_each(|number| self.turns.borrow_mut().cut(*number, &self.service));
                }
            }
            listed.clear();
            self.guarded(|turns| {
                turns.go_on_with_rounds(&self.service);
                listed.append(&mut turns.again);
            });
        }
    }

    /// Does some work. A fault of ours costs the connections that it was about, not the core: false tells of one.
    pub(super) fn guarded(&self, work: impl FnOnce(&mut Turns)) -> bool {
        let done = catch_unwind(AssertUnwindSafe(|| work(&mut self.turns.borrow_mut()))).is_ok();
        if !done {
            log::error!("internal error: a turn ended by a panic; please report it with the lines above");
            let turns = &mut *self.turns.borrow_mut();
            turns.heard.clear();
            turns.replies.clear();
        }
        done
    }

    async fn keep_time(self: Rc<Self>) {
        loop {
            runtime::sleep(TICK).await;
            self.turns.borrow_mut().close_silent(&self.service);
        }
    }
}

impl Turns {
    fn admit(&mut self, accepted: Accepted, socket_set: &SocketSet, service: &Service) -> std::io::Result<()> {
        let number = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() as u32 - 1
        });
        let requester = Requester { sender: service.shard.sender(accepted.peer().ip()), tracker: None };
        match socket_set.add(accepted, number) {
            Ok(member) => {
                let connection = Connection::new(member, requester, service.deadline(IDLE_TIMEOUT));
                self.connections[number as usize] = Some(connection);
                Ok(())
            }
            Err(error) => {
                self.free.push(number);
                Err(error)
            }
        }
    }

    /// Puts the numbers of the connections which may have a turn now into `listed`.
    pub(super) fn take_in(&mut self, news: &mut Vec<ReadyEvent>, listed: &mut Vec<u32>) {
        for ReadyEvent { socket, ends } in news.drain(..) {
            let Some(Some(connection)) = self.connections.get_mut(socket as usize) else { continue };
            connection.ends |= ends;
            connection.has_news = true;
            // There may be room in the socket now.
            self.moved.extend(connection.round);
            if connection.enlist() {
                listed.push(socket);
            }
        }
    }

    /// Goes on with the rounds that have moved.
    fn go_on_with_rounds(&mut self, service: &Service) {
        service.rounds.take_moved(&mut self.moved);
        while let Some(round) = self.moved.pop() {
            self.go_on(round, service);
        }
    }

    /// Gives each connection of a group its turn.
    pub(super) fn serve(&mut self, group: &[u32], service: &Service) {
        let mut at = 0;
        for &number in group {
            let Some(Some(connection)) = self.connections.get_mut(number as usize) else { continue };
            if !connection.takes_turn() {
                continue;
            }
            match connection.receive(&mut self.received[at..at + BUFFER_SMALL_BYTES]) {
                Ok(Received::Bytes(len)) => {
                    self.heard.push((number, at..at + len));
                    at += len;
                }
                Ok(Received::Nothing) => {}
                Ok(Received::End) => self.close(number, service),
                Err(error) => self.fail(number, &error.into(), service),
            }
        }
        self.files.clear();
        for (number, bytes) in &self.heard {
            if let Some(Some(connection)) = self.connections.get(*number as usize) {
                connection.add_files_asked(&self.received[bytes.clone()], &mut self.files);
            }
        }
        service.shard.prefetch(&self.files);
        let now_ms = now_ms();
        let mut heard = std::mem::take(&mut self.heard);
        for (number, bytes) in heard.drain(..) {
            self.answer(number, bytes, now_ms, service);
        }
        self.heard = heard;
    }

    /// Answers what a connection has sent, and sends the replies if nothing must be waited for.
    fn answer(&mut self, number: u32, bytes: Range<usize>, now_ms: u64, service: &Service) {
        // The group's others have had their turn since it was received, and may have closed nobody but themselves.
        let Some(Some(connection)) = self.connections.get_mut(number as usize) else { return };
        let log = service.shard.log();
        let written_before = log.awaited();
        let was_within_a_frame = connection.is_within_a_frame();
        let taken = connection.take_frames(number, &self.received[bytes], service, now_ms, &mut self.replies);
        let written = if log.awaited() > written_before { log.awaited() } else { 0 };
        let frames = taken.as_ref().map_or(0, |taken| taken.frames);
        let mut sent = 0;
        let mut failed = taken.err();
        if connection.round.is_none() && log.is_durable(written) {
            match connection.member.send(&self.replies) {
                Ok(len) => sent = len,
                Err(error) => failed = Some(error.into()),
            }
        }
        let waits = sent < self.replies.len() || connection.round.is_some();
        if waits && !matches!(failed, Some(RpcError::Net(NetError::Io(_)))) {
            let round = *connection.round.get_or_insert_with(|| service.rounds.begin(number));
            service.rounds.hold(round, &mut self.replies, sent, written);
            connection.deadline_ms = service.deadline(FRAME_TIMEOUT);
        } else if !connection.is_within_a_frame() {
            connection.deadline_ms = service.deadline(IDLE_TIMEOUT);
        } else if frames > 0 || !was_within_a_frame {
            // A frame that has begun must end in its time, however slowly its bytes trickle in.
            connection.deadline_ms = service.deadline(FRAME_TIMEOUT);
        }
        self.replies.clear();
        self.replies.shrink_to(REPLIES_KEPT_BYTES_MAX);
        if let Some(error) = failed {
            self.fail(number, &error, service);
        } else if connection.enlist() {
            self.again.push(number);
        }
    }

    /// Goes on with a round; when it has ended, its connection can have its next turn.
    fn go_on(&mut self, round: u32, service: &Service) {
        let Self { connections, again, .. } = self;
        let mut whose = None;
        let done = service.rounds.go_on(round, |number, replies| {
            whose = Some(number);
            match connections.get(number as usize) {
                Some(Some(connection)) => connection.member.send(replies),
                _ => Err(std::io::ErrorKind::NotConnected.into()),
            }
        });
        match done {
            Ok(None) => {}
            Ok(Some(number)) => {
                let Some(Some(connection)) = connections.get_mut(number as usize) else { return };
                if connection.round != Some(round) {
                    return;
                }
                service.rounds.end(round);
                connection.round = None;
                let limit = if connection.is_within_a_frame() { FRAME_TIMEOUT } else { IDLE_TIMEOUT };
                connection.deadline_ms = service.deadline(limit);
                if connection.closes {
                    self.close(number, service);
                } else if connection.enlist() {
                    again.push(number);
                }
            }
            Err(error) => {
                if let Some(number) = whose {
                    self.fail(number, &error.into(), service);
                }
            }
        }
    }

    pub(super) fn close_silent(&mut self, service: &Service) {
        let now_ms = service.net.clock_ms();
        for number in 0..self.connections.len() as u32 {
            if let Some(Some(connection)) = self.connections.get(number as usize)
                && connection.deadline_ms < now_ms
            {
                self.fail(number, &NetError::Silent.into(), service);
            }
        }
    }

    /// Ends a connection for a reason. Who sent what is wrong gets the replies to what came before.
    fn fail(&mut self, number: u32, error: &RpcError, service: &Service) {
        let Some(Some(connection)) = self.connections.get(number as usize) else { return };
        let ip = connection.member.peer().ip();
        match error {
            RpcError::Frame(_) | RpcError::Misbehaved(_) => {
                log::info!("closed {ip}: {error}");
                self.close(number, service);
            }
            _ => {
                log::debug!("closed {ip}: {error}");
                self.cut(number, service);
            }
        }
    }

    /// Closes a connection as soon as its round has ended.
    fn close(&mut self, number: u32, service: &Service) {
        match self.connections.get_mut(number as usize) {
            Some(Some(connection)) if connection.round.is_some() => connection.closes = true,
            _ => self.cut(number, service),
        }
    }

    /// Closes a connection now. Its number is free only when no other core has its round.
    fn cut(&mut self, number: u32, service: &Service) {
        let Some(place) = self.connections.get_mut(number as usize) else { return };
        let Some(connection) = place else { return };
        if connection.round.is_some_and(|round| !service.rounds.end(round)) {
            connection.member.shut_down();
            connection.closes = true;
            connection.deadline_ms = u64::MAX;
            return;
        }
        *place = None;
        self.free.push(number);
    }
}
