//! The two ends of one connection, configured as mtorrent configures its own. Every wait on them is bounded.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use super::syscall;

/// Longest time that an end may wait for the other.
pub const STALL_MAX: Duration = Duration::from_secs(10);

/// Both ends of a connection.
#[derive(Debug)]
pub struct Sockets {
    /// The seeder's end.
    pub sender: TcpStream,
    /// The getter's end.
    pub receiver: TcpStream,
}

impl Sockets {
    /// Sets both ends' options and the sender's congestion control.
    pub fn new(sender: TcpStream, receiver: TcpStream, control: &str) -> io::Result<Self> {
        for end in [&sender, &receiver] {
            end.set_nodelay(true)?;
            end.set_read_timeout(Some(STALL_MAX))?;
            end.set_write_timeout(Some(STALL_MAX))?;
            syscall::set_option(end.as_fd(), libc::IPPROTO_TCP, libc::TCP_CONGESTION, control.as_bytes())?;
        }
        Ok(Self { sender, receiver })
    }
}

/// Listens at a free port of `address` in the calling thread's namespace.
pub fn listen(address: Ipv4Addr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((address, 0))?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Connects from the calling thread's namespace.
pub fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&to, STALL_MAX)
}
