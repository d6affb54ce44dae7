//! Connections over loopback for the tests of this module.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use socket2::Socket;

/// Opens `count` connections over loopback; returns both ends of each.
pub(super) fn connections(count: usize) -> Vec<(Socket, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = || {
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Socket::from(listener.accept().unwrap().0), theirs)
    };
    (0..count).map(|_| connect()).collect()
}

/// Whether the remote end has closed the connection.
pub(super) fn has_ended(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    matches!(stream.read(&mut [0]), Ok(0))
}
