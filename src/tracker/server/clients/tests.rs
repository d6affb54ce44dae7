//! Tests of the poll loop over real sockets, driven by the test itself.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::connection::Connection;
use super::forward::Forwarder;
use super::ids::ConnectionId;
use super::pending_replies::PendingReplies;
use super::poll_loop::{Clients, SILENCE_TICK};
use super::service::Service;
use crate::ids::{Endpoint, InfoHash, TrackerId};
use crate::limits::IDLE_TIMEOUT;
use crate::net::{self, ConnectionLimits, Listener, Net, ReadyEvent};
use crate::runtime::mesh::MeshPlan;
use crate::runtime::{self, Cores};
use crate::tracker::replica::hello::GroupMember;
use crate::tracker::server::links::group_members::GroupMembers;
use crate::tracker::server::shard::{AddressPolicy, Shard};
use crate::tracker::server::stats::Figures;
use crate::tracker::server::status::source::StatusSource;
use crate::tracker::store::Log;
use crate::tracker::table::entry::BUCKETS;
use crate::tracker::table::rights::AddressCounts;
use crate::tracker::table::{Rules, Table};
use crate::wire::{self, Message, Parsed, SeederChange, Status};

const FILE: InfoHash = InfoHash([7; 20]);

/// A core's clients, served only by the test.
struct Fixture {
    clients: Rc<Clients>,
    incoming: net::Incoming,
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
        let endpoint = Endpoint::new([127, 0, 0, 1].into(), 1).unwrap();
        let members = GroupMembers::new(GroupMember { tracker: TrackerId(1), ttls, endpoint, key: None }, &[], 1);
        let source = StatusSource {
            figures: Arc::new(Figures::new(1)),
            members: members.clone(),
            limits: ConnectionLimits::new(8, 8),
            listen: endpoint.socket_addr(),
            private: false,
            started_ms: 0,
        };
        let shard = Rc::new(Shard::new(table, 1, AddressPolicy::default(), log.clone(), serves, Arc::new(source)));
        let pending_replies = PendingReplies::new(net.socket_set(), log);
        let plan = MeshPlan::new(1);
        let forwarder = Forwarder::join(plan, core, shard.clone(), pending_replies.clone()).await.unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address();
        let (queues, incoming) = net::queues(1);
        runtime::spawn("listener", listener.serve(net.clone(), ConnectionLimits::new(8, 8), queues, Vec::new()));
        let reach_tests = Arc::default();
        let clients = Clients::new(Service { net, shard, forwarder, pending_replies, members, reach_tests });
        Self { clients, incoming: incoming.into_iter().next().unwrap(), address }
    }

    /// Opens a connection; the first has number 0.
    async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nonblocking(true).unwrap();
        self.clients.admit(self.incoming.next().await.unwrap());
        stream
    }

    /// Generates ready events of connection 0, and serves until no connection is runnable.
    fn turn(&self) {
        self.ready(&[0]);
        self.serve_runnable();
    }

    fn ready(&self, sockets: &[u32]) {
        let mut events = sockets.iter().map(|socket| ReadyEvent { socket: *socket, ends: false }).collect();
        self.clients.connections.borrow_mut().take_ready(&mut events);
    }

    fn serve_runnable(&self) {
        loop {
            let runnable = std::mem::take(&mut self.clients.connections.borrow_mut().runnable);
            if runnable.is_empty() {
                return;
            }
            self.clients.serve_group(&runnable);
        }
    }

    /// Calls `look` with connection 0.
    fn look<T>(&self, look: impl FnOnce(&mut Connection) -> T) -> T {
        look(self.clients.connections.borrow_mut().get_mut(ConnectionId(0)).unwrap())
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

/// The statuses of the replies received so far.
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
        let close_silent = || fixture.clients.connections.borrow_mut().close_silent(&fixture.clients.service);
        close_silent();
        assert_eq!(replies(&mut silent), []);
        runtime::sleep(2 * SILENCE_TICK).await;
        assert!(fixture.clients.service.net.clock_ms() > 0);
        fixture.look(|connection| connection.deadline_ms = 0);
        close_silent();
        assert_eq!(silent.read(&mut [0]).unwrap(), 0);
        assert_eq!(replies(&mut other), []);
        assert_eq!(fixture.clients.connections.borrow().free(), [ConnectionId(0)]);
    });
}

/// A client that sends a byte now and then does not extend the time limit of its frame.
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
        // The end of this frame and the start of the next.
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

/// Stale events may name an id twice, or one that is another connection's by now.
#[test]
fn a_turn_too_many_does_no_harm() {
    on_a_core(|fixture| async move {
        let mut stream = fixture.connect().await;
        stream.write_all(&request()[..30]).unwrap();
        fixture.ready(&[0, 0, 0, 9]);
        let runnable = std::mem::take(&mut fixture.clients.connections.borrow_mut().runnable);
        assert_eq!(runnable, [ConnectionId(0)]);
        fixture.clients.serve_group(&[0, 0, 9].map(ConnectionId));
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
        assert!(!fixture.clients.guarded(|| panic!("a fault of ours, made by this test")));
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
        }
        assert_eq!(replies(&mut stream), [Status::UnknownType, Status::Ok]);
        assert!(fixture.look(|connection| !connection.is_within_a_frame()));
    });
}
