//! All connections of a core: who has a turn, and for how long each may be silent.
//!
//! One task serves them ([`crate::net::socket_set`] says why). Connections with news have their turn in small groups: what
//! each of a group has sent is received, then each is answered. Nothing in a turn waits. A round that cannot end at
//! once goes to [`self::pending_replies`], and its connection has no turn before it has ended.

mod connection;
pub mod forward;
pub mod pending_replies;

use std::cell::RefCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use self::connection::{Connection, Received};
use self::forward::Forwarder;
use self::pending_replies::PendingReplies;
use super::links::peers::Peers;
use super::now_ms;
use super::shard::{Asker, Shard};
use crate::ids::InfoHash;
use crate::limits::{BUFFER_SMALL_BYTES, FLOOD_PAUSE, FRAME_TIMEOUT, IDLE_TIMEOUT, REPLIES_KEPT_BYTES_MAX};
use crate::net::{Accepted, Net, NetError, ReadyEvent, SocketSet};
use crate::rpc::RpcError;
use crate::runtime;

/// Connections that have their turn together: few, so that what was received of the first is still in the nearest
/// cache when it is answered.
const GROUP_MAX: usize = 16;
/// Groups after which the core's other tasks run.
const GROUPS_BETWEEN_YIELDS: usize = 8;
/// Groups after which files, timers and other sockets have their turn though there is more to do.
const GROUPS_IN_A_ROW_MAX: usize = 64;
/// How often it is looked for connections whose time is over.
const TICK: Duration = Duration::from_millis(250);

/// What a turn needs.
pub(crate) struct Service {
    pub(crate) net: Net,
    pub(crate) shard: Rc<Shard>,
    pub(crate) forwarder: Rc<Forwarder>,
    pub(crate) rounds: Rc<PendingReplies>,
    pub(crate) peers: Arc<Peers>,
}

/// The connections of one core.
pub(crate) struct Clients {
    service: Service,
    socket_set: SocketSet,
    turns: RefCell<Turns>,
}

#[derive(Default)]
struct Turns {
    /// By number.
    connections: Vec<Option<Connection>>,
    free: Vec<u32>,
    /// Who can have a further turn without further news.
    again: Vec<u32>,
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
    fn guarded(&self, work: impl FnOnce(&mut Turns)) -> bool {
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

impl Service {
    fn deadline(&self, limit: Duration) -> u64 {
        self.net.clock_ms() + limit.as_millis() as u64
    }
}

impl Turns {
    fn admit(&mut self, accepted: Accepted, socket_set: &SocketSet, service: &Service) -> std::io::Result<()> {
        let number = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() as u32 - 1
        });
        let asker = Asker { sender: service.shard.sender(accepted.peer().ip()), tracker: None };
        match socket_set.add(accepted, number) {
            Ok(member) => {
                let connection = Connection::new(member, asker, service.deadline(IDLE_TIMEOUT));
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
    fn take_in(&mut self, news: &mut Vec<ReadyEvent>, listed: &mut Vec<u32>) {
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
    fn serve(&mut self, group: &[u32], service: &Service) {
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

    fn close_silent(&mut self, service: &Service) {
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

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpStream;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::ids::{Endpoint, TrackerId};
    use crate::net::{ConnectionLimits, Incoming, Listener, queues};
    use crate::runtime::Cores;
    use crate::runtime::mesh::MeshPlan;
    use crate::tracker::replica::hello::GroupMember;
    use crate::tracker::store::Log;
    use crate::tracker::table::entry::BUCKETS;
    use crate::tracker::table::rights::AddressCounts;
    use crate::tracker::table::{Rules, Table};
    use crate::wire::{self, Message, Parsed, SeederChange, Status};

    const FILE: InfoHash = InfoHash([7; 20]);

    /// A core's clients, which nobody serves but the test.
    struct Fixture {
        clients: Rc<Clients>,
        incoming: Incoming,
        address: std::net::SocketAddr,
    }

    impl Fixture {
        async fn new(core: runtime::Core) -> Self {
            let net = Net::start().unwrap();
            let rules = Arc::new(Rules::default());
            let counts = Arc::new(AddressCounts::new(1 << 8, 1));
            let ttls = rules.ttls;
            let table = Table::new(rules, counts, 0..BUCKETS, TrackerId(1), [1, 2, 3]);
            let log = Log::start(None, || ());
            let serves = Arc::new(AtomicBool::new(true));
            let shard = Rc::new(Shard::new(table, 1, Arc::from([]), log.clone(), serves));
            let rounds = PendingReplies::new(net.socket_set(), log);
            let plan = MeshPlan::new(1);
            let forwarder = Forwarder::join(plan, core, shard.clone(), rounds.clone()).await.unwrap();
            let endpoint = Endpoint::new([127, 0, 0, 1].into(), 1).unwrap();
            let peers = Peers::new(GroupMember { tracker: TrackerId(1), ttls, endpoint, key: None }, &[], 1);
            let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = listener.address();
            let (queues, incoming) = queues(1);
            runtime::spawn("listener", listener.serve(net.clone(), ConnectionLimits::new(8, 8), queues, Vec::new()));
            let clients = Clients::new(Service { net, shard, forwarder, rounds, peers });
            Self { clients, incoming: incoming.into_iter().next().unwrap(), address }
        }

        /// A connection; the first has number 0.
        async fn connect(&self) -> TcpStream {
            let stream = TcpStream::connect(self.address).unwrap();
            stream.set_nonblocking(true).unwrap();
            self.clients.admit(self.incoming.next().await.unwrap());
            stream
        }

        /// A turn of connection 0.
        fn turn(&self) {
            let (mut news, mut listed) = (vec![ReadyEvent { socket: 0, ends: false }], Vec::new());
            let turns = &mut *self.clients.turns.borrow_mut();
            turns.take_in(&mut news, &mut listed);
            turns.serve(&listed, &self.clients.service);
        }

        /// Looks at connection 0.
        fn look<T>(&self, look: impl FnOnce(&mut Connection) -> T) -> T {
            look(self.clients.turns.borrow_mut().connections[0].as_mut().unwrap())
        }
    }

    fn on_a_core<T: Future<Output = ()> + 'static>(test: impl Fn(Fixture) -> T + Clone + Send + 'static) {
        let test = move |core| {
            let test = test.clone();
            async move { test(Fixture::new(core).await).await }
        };
        Cores::start("test", 1, test).unwrap().join().unwrap();
    }

    fn request() -> Vec<u8> {
        let endpoint = Endpoint::new([127, 0, 0, 1].into(), 5).unwrap();
        let mut frame = Vec::new();
        Message::AddSeeder(SeederChange { info_hash: FILE, endpoint, version: None }).encode(&mut frame);
        frame
    }

    /// The statuses of the replies that are there.
    fn replies(stream: &mut TcpStream) -> Vec<Status> {
        let (mut bytes, mut statuses) = (Vec::new(), Vec::new());
        let error = stream.read_to_end(&mut bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "the connection is open");
        let mut rest = bytes.as_slice();
        while let Parsed::Frame { frame, len } = wire::parse(rest, 1 << 10).unwrap() {
            let Message::Response(response) = Message::decode(frame).unwrap() else { panic!("{frame:?}") };
            statuses.push(response.status);
            rest = &rest[len..];
        }
        assert!(rest.is_empty());
        statuses
    }

    #[test]
    fn whoever_is_silent_for_too_long_is_closed() {
        on_a_core(|fixture| async move {
            let mut silent = fixture.connect().await;
            let mut other = fixture.connect().await;
            let close_silent = || fixture.clients.turns.borrow_mut().close_silent(&fixture.clients.service);
            close_silent();
            assert_eq!(replies(&mut silent), []);
            runtime::sleep(2 * TICK).await;
            assert!(fixture.clients.service.net.clock_ms() > 0);
            fixture.look(|connection| connection.deadline_ms = 0);
            close_silent();
            assert_eq!(silent.read(&mut [0]).unwrap(), 0);
            assert_eq!(replies(&mut other), []);
            assert_eq!(fixture.clients.turns.borrow().free, [0]);
        });
    }

    /// A byte now and then is no reason to wait for a frame for ever.
    #[test]
    fn only_whole_frames_lengthen_a_frames_time() {
        on_a_core(|fixture| async move {
            let mut stream = fixture.connect().await;
            let frame = request();
            let deadline = |fixture: &Fixture| fixture.look(|connection| connection.deadline_ms);
            stream.write_all(&frame[..10]).unwrap();
            fixture.turn();
            assert!(fixture.look(|connection| connection.is_within_a_frame()));
            assert!(deadline(&fixture) < IDLE_TIMEOUT.as_millis() as u64, "a frame has less time than an idle one");
            fixture.look(|connection| connection.deadline_ms = 7);
            stream.write_all(&frame[10..20]).unwrap();
            fixture.turn();
            assert_eq!(deadline(&fixture), 7);
            // The end of this one and the start of the next.
            stream.write_all(&frame[20..]).unwrap();
            stream.write_all(&frame[..10]).unwrap();
            fixture.turn();
            assert_eq!(replies(&mut stream), [Status::Ok]);
            assert!(deadline(&fixture) > 7 && fixture.look(|connection| connection.is_within_a_frame()));
            stream.write_all(&frame[10..]).unwrap();
            fixture.turn();
            assert_eq!(replies(&mut stream), [Status::Ok]);
            assert!(deadline(&fixture) >= IDLE_TIMEOUT.as_millis() as u64);
        });
    }

    /// Stale news may name a number twice, or one whose connection is another by now.
    #[test]
    fn a_turn_too_many_does_no_harm() {
        on_a_core(|fixture| async move {
            let mut stream = fixture.connect().await;
            stream.write_all(&request()[..30]).unwrap();
            let turns = || fixture.clients.turns.borrow_mut();
            let listed = &mut Vec::new();
            turns().take_in(&mut vec![ReadyEvent { socket: 0, ends: false }; 3], listed);
            turns().take_in(&mut vec![ReadyEvent { socket: 9, ends: true }], listed);
            assert_eq!(*listed, [0]);
            turns().serve(&[0, 0, 9], &fixture.clients.service);
            stream.write_all(&request()[30..]).unwrap();
            fixture.turn();
            fixture.turn();
            assert_eq!(replies(&mut stream), [Status::Ok]);
        });
    }

    #[test]
    fn a_panic_costs_its_group_only() {
        on_a_core(|fixture| async move {
            let mut stream = fixture.connect().await;
            assert!(!fixture.clients.guarded(|_| panic!("a fault of ours, made by this test")));
            stream.write_all(&request()).unwrap();
            fixture.turn();
            assert_eq!(replies(&mut stream), [Status::Ok]);
        });
    }

    #[test]
    fn a_large_frame_is_held_in_a_large_buffer() {
        on_a_core(|fixture| async move {
            let mut stream = fixture.connect().await;
            let mut large = Vec::from(*b"mTor\0\0\0\x04What");
            large.extend_from_slice(&40_004u32.to_be_bytes());
            large.extend_from_slice(&40_000u32.to_be_bytes());
            large.extend_from_slice(&[7; 40_000]);
            large.extend_from_slice(b"roTm");
            large.extend_from_slice(&request());
            for part in large.chunks(3000) {
                stream.write_all(part).unwrap();
                fixture.turn();
                // What filled its room was perhaps not all.
                while !std::mem::take(&mut fixture.clients.turns.borrow_mut().again).is_empty() {
                    fixture.look(|connection| _ = connection.takes_turn());
                    fixture.turn();
                }
            }
            assert_eq!(replies(&mut stream), [Status::UnknownType, Status::Ok]);
            assert!(fixture.look(|connection| !connection.is_within_a_frame()));
        });
    }
}
