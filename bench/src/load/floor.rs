//! The lower bound for any server: answers `:0` to every request, and does nothing else.
//!
//! One thread with an edge-triggered epoll set, one receive and one send for each request, as the tracker does at depth
//! 1; nothing is parsed, stored or looked up. It is loaded like Redis, at depth 1 only.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::harness::Error;

/// Events per poll.
const BATCH: usize = 512;
/// Size of a receive buffer, bytes: more than the largest request.
const RECEIVE_BYTES: usize = 4096;
/// Redis's answer to a SADD of an existing member.
const ANSWER: &[u8] = b":0\r\n";

/// Serves `connections` connections until all of them have ended.
pub fn serve(address: SocketAddr, connections: usize) -> Result<(), Error> {
    let served = || -> io::Result<()> {
        let listener = TcpListener::bind(address)?;
        println!("ready listen={}", listener.local_addr()?);
        let accepted: io::Result<Vec<_>> = (0..connections).map(|_| Ok(listener.accept()?.0)).collect();
        answer(&accepted?)
    };
    served().map_err(|source| Error::io(format!("answer at {address}"), source))
}

fn answer(connections: &[TcpStream]) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    for (number, connection) in connections.iter().enumerate() {
        connection.set_nodelay(true)?;
        epoll::add(&epoll, connection, EventData::new_u64(number as u64), EventFlags::IN | EventFlags::ET)?;
    }
    let mut events: Vec<Event> = Vec::with_capacity(BATCH);
    let mut received = [0; RECEIVE_BYTES];
    let mut open = connections.len();
    while open > 0 {
        events.clear();
        match epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        for event in &events {
            let connection = &connections[event.data.u64() as usize];
            match recv(connection, &mut received, RecvFlags::DONTWAIT) {
                Ok((0, _)) | Err(Errno::CONNRESET) => {
                    epoll::delete(&epoll, connection)?;
                    open -= 1;
                }
                Ok(_) => match send(connection, ANSWER, SendFlags::NOSIGNAL) {
                    // The end of a closed connection arrives as a separate event.
                    Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => {}
                    Err(errno) => return Err(errno.into()),
                },
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    Ok(())
}
