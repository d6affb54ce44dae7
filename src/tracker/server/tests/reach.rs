//! The tests by which a tracker finds out whether a client can be reached.

use std::net::TcpListener;

use super::*;
use crate::limits::REACH_TESTS_MAX;

/// The client's own port, at the address from which the tracker sees it.
fn reach(port: u16) -> Message<'static> {
    Message::ReachRequest(Endpoint::new([0, 0, 0, 0].into(), port).unwrap())
}

/// A port of this machine that answers nothing, because its queue of connections is full, until that is emptied.
struct SilentPort {
    listener: socket2::Socket,
    port: u16,
    _queued: Vec<socket2::Socket>,
}

impl SilentPort {
    fn new() -> Self {
        let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let listener = socket();
        listener.bind(&SocketAddr::from(([0, 0, 0, 0], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let port = listener.local_addr().unwrap().as_socket().unwrap().port();
        let fill = |_| {
            let queued = socket();
            queued.set_nonblocking(true).unwrap();
            let _ = queued.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into());
            queued
        };
        let queued = (0..4).map(fill).collect();
        Self { listener, port, _queued: queued }
    }

    /// Accepts whatever comes from now on.
    fn wake(&self) {
        let listener = self.listener.try_clone().unwrap();
        std::thread::spawn(move || while listener.accept().is_ok() {});
    }
}

impl Drop for SilentPort {
    fn drop(&mut self) {
        let _ = self.listener.shutdown(std::net::Shutdown::Both);
    }
}

#[test]
fn an_own_port_is_tested_and_nothing_is_sent() {
    let tracker = start(config()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut client = Client::new(&tracker);
    let accepted = Reply::Response(Status::Ok, format!("127.0.0.1:{port} accepts connections"), None);
    assert_eq!(client.ask(&reach(port)), accepted);
    let (mut tested, _) = listener.accept().unwrap();
    assert_eq!(tested.read(&mut [0; 16]).unwrap(), 0, "it is closed, and nothing was sent");
    drop(listener);
    // An address has one test a second; this one is another's.
    let mut client = Client::from(&tracker, 2);
    let refused = Reply::Response(Status::NotFound, format!("127.0.0.2:{port} refused the connection"), None);
    assert_eq!(client.ask(&reach(port)), refused);
    let foreign = client.ask(&Message::ReachRequest(endpoint(3, port)));
    assert!(matches!(&foreign, Reply::Response(Status::NotAllowed, text, None) if text.contains("own")), "{foreign:?}");
}

#[test]
fn a_test_delays_no_other_client_and_keeps_the_order() {
    let tracker = start(config()).unwrap();
    let silent = SilentPort::new();
    let (mut client, file) = (Client::new(&tracker), hash(1));
    let change = SeederChange { info_hash: file, endpoint: endpoint(1, 70), version: None };
    let mut frames = Vec::new();
    for message in
        [Message::AddSeeder(change), reach(silent.port), reach(silent.port), Message::SeederInfoRequest(file)]
    {
        message.encode(&mut frames);
    }
    client.stream.write_all(&frames).unwrap();
    // Each core has connections of its own: these are on both, and some on that of the test.
    let start = Instant::now();
    for host in 2..10 {
        let info = Client::from(&tracker, host).ask(&Message::SeederInfoRequest(file));
        assert!(matches!(info, Reply::Info(..)), "{info:?}");
    }
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    // What was asked before the test is answered before it.
    let first = client.reply().unwrap();
    client.stream.set_nonblocking(true).unwrap();
    let early = client.stream.peek(&mut [0; 1]);
    assert!(early.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "{early:?}");
    client.stream.set_nonblocking(false).unwrap();
    silent.wake();
    let replies: Vec<_> = std::iter::once(first).chain((0..3).map(|_| client.reply().unwrap())).collect();
    let statuses: Vec<_> = replies.iter().map(Reply::status).collect();
    assert_eq!(statuses, [Status::Ok, Status::Ok, Status::OverLimit, Status::Ok], "{replies:?}");
    assert!(matches!(&replies[1], Reply::Response(_, text, None) if text.ends_with("accepts connections")));
    assert_eq!(replies[3], Reply::Info(file, Status::Ok, vec![endpoint(1, 70)]));
}

#[test]
fn few_tests_run_at_once_and_those_of_closed_connections_end() {
    let tracker = start(config()).unwrap();
    let silent = SilentPort::new();
    let others = 2..2 + REACH_TESTS_MAX as u8;
    let mut waiting: Vec<_> = others.map(|host| Client::from(&tracker, host)).collect();
    waiting.iter_mut().for_each(|client| client.send(&reach(silent.port)));
    // The requests of the others may still be on their way; each of these comes from an address of its own.
    let mut others = 100..=255;
    let asked = |host| Client::from(&tracker, host).ask(&reach(1)).status();
    assert!(others.any(|host| asked(host) == Status::Busy), "nothing is refused");
    drop(waiting.pop());
    silent.wake();
    for client in &mut waiting {
        assert_eq!(client.reply().unwrap().status(), Status::Ok);
    }
    assert!(others.any(|host| asked(host) == Status::NotFound), "no test runs any more");
}
