//! Selection of the congestion control algorithm by distance.
//!
//! bbr sets a timer for every segment of at most 64 KiB, unless the queueing discipline fq does it instead. Over a path
//! of a fraction of a millisecond there is nothing to smooth, and the timers use as much CPU as sending does (PERF.md).
//! A connection that was paced once stays paced, whatever algorithm is set later. Therefore, where the system's default
//! is bbr, sockets start with cubic, and a connection whose handshake shows a distant peer switches to the default
//! before its first byte. Any other default is left alone.

use std::os::fd::AsFd;
use std::time::Duration;

use socket2::Socket;

use super::socket_options::rtt;
use crate::limits::NEAR_RTT_MAX;

/// Algorithms for near connections; the first one that this system permits is used.
const NEAR: [&[u8]; 2] = [b"cubic", b"reno"];

/// Algorithm for connections to distant peers, if sockets started with another one.
#[derive(Clone, Debug)]
pub(super) struct Congestion {
    far: Option<Vec<u8>>,
}

impl Congestion {
    /// Prepares a socket that will connect, or a listener whose sockets inherit the algorithm.
    pub(super) fn begin(socket: &Socket) -> Self {
        let system = socket.tcp_congestion().ok();
        let far = system.map(without_padding).filter(|name| paces(name));
        let is_near = far.is_some() && NEAR.iter().any(|name| socket.set_tcp_congestion(name).is_ok());
        Self { far: far.filter(|_| is_near) }
    }

    /// Selects the algorithm of a socket that has just connected.
    pub(super) fn settle(&self, socket: &Socket) {
        self.settle_beyond(NEAR_RTT_MAX, socket);
    }

    fn settle_beyond(&self, near_max: Duration, socket: &Socket) {
        let Some(far) = &self.far else { return };
        let is_near = rtt(socket.as_fd()).is_ok_and(|rtt| rtt.is_some_and(|rtt| rtt <= near_max));
        if !is_near && let Err(error) = socket.set_tcp_congestion(far) {
            log::debug!("a connection stays without pacing: {error}");
        }
    }
}

fn paces(name: &[u8]) -> bool {
    name.starts_with(b"bbr")
}

/// The name without the zeros by which the kernel pads its field.
pub(super) fn without_padding(mut name: Vec<u8>) -> Vec<u8> {
    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
    name
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn name(socket: &Socket) -> Vec<u8> {
        without_padding(socket.tcp_congestion().unwrap())
    }

    #[test]
    fn only_bbr_is_put_off() {
        for (name, far) in
            [(&b"bbr"[..], true), (b"bbr2", true), (b"cubic", false), (b"reno", false), (b"dctcp", false)]
        {
            assert_eq!(paces(name), far, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn a_system_without_pacing_is_left_alone() {
        let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_tcp_congestion(b"reno").unwrap();
        let congestion = Congestion::begin(&socket);
        congestion.settle_beyond(Duration::ZERO, &socket);
        assert_eq!((congestion.far, name(&socket)), (None, b"reno".to_vec()));
    }

    /// Both ends of a connection over loopback, whose round-trip time is above zero and below a minute.
    #[test]
    fn distance_decides() {
        let listener = Socket::from(TcpListener::bind("127.0.0.1:0").unwrap());
        let near = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let chosen = NEAR.iter().find(|name| near.set_tcp_congestion(name).is_ok()).unwrap();
        listener.set_tcp_congestion(chosen).unwrap();
        let client = Socket::from(TcpStream::connect(listener.local_addr().unwrap().as_socket().unwrap()).unwrap());
        client.set_tcp_congestion(chosen).unwrap();
        let (server, _) = listener.accept().unwrap();
        // Any other name can stand for the system's default; the available ones depend on the system.
        let other = if *chosen == b"reno" { return } else { b"reno".to_vec() };
        let congestion = Congestion { far: Some(other.clone()) };
        for socket in [&client, &server] {
            assert!(rtt(socket.as_fd()).unwrap().unwrap() < Duration::from_secs(60));
            congestion.settle_beyond(Duration::from_secs(60), socket);
            assert_eq!(name(socket), *chosen);
            congestion.settle_beyond(Duration::ZERO, socket);
            assert_eq!(name(socket), other);
        }
    }
}
