//! One transfer: a thread that sends a plan's chunks and a thread that receives and discards them, both measured from
//! the moment at which both are ready.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Barrier;
use std::time::Instant;

use mtorrent_bench::harness::Error;
use sha1::{Digest, Sha1};

use super::method::{Method, Sender};
use super::plan::{Plan, TAIL, head};
use super::sockets::Sockets;
use super::source::CHUNK_BYTES;
use super::source::Source;
use super::syscall;

/// Parameters of a transfer.
#[derive(Debug, Clone, Copy)]
pub struct Transfer<'a> {
    /// Source of the chunks.
    pub source: &'a Source,
    /// Order of the chunks.
    pub plan: &'a Plan,
    /// Way to send the chunks.
    pub method: Method,
    /// Whether each thread is pinned to its own core.
    pub pinned: bool,
    /// Whether the receiver hashes the received bytes; its times are then meaningless.
    pub hashed: bool,
}

/// Measurements of a transfer.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Bytes of the chunks divided by wall time, GB/s.
    pub rate: f64,
    /// CPU time of the sender, seconds a GB.
    pub sender_cpu: f64,
    /// CPU time of the receiver, seconds a GB.
    pub receiver_cpu: f64,
    /// The share of zero-copy calls that were copied after all, from 0 to 1, if any were made.
    pub copied: Option<f64>,
    /// SHA-1 of the stream, if it was hashed.
    pub digest: Option<[u8; 20]>,
}

struct Sent {
    start: Instant,
    cpu: f64,
    copied: Option<f64>,
}

struct Received {
    end: Instant,
    cpu: f64,
    digest: Option<[u8; 20]>,
}

impl Transfer<'_> {
    /// Sends all chunks over the connection and closes it.
    pub fn run(&self, sockets: Sockets) -> Result<Run, Error> {
        let barrier = Barrier::new(2);
        let Sockets { sender, receiver } = sockets;
        let (sent, received) = std::thread::scope(|scope| {
            // Each thread owns its end: if one fails, the other receives the end of the connection.
            let sending = scope.spawn(|| self.send(sender, &barrier));
            let receiving = scope.spawn(|| self.receive(receiver, &barrier));
            (sending.join(), receiving.join())
        });
        let sent = sent.unwrap_or_else(|_| Err(panicked())).map_err(|error| Error::io("send", error))?;
        let received = received.unwrap_or_else(|_| Err(panicked())).map_err(|error| Error::io("receive", error))?;
        let gigabytes = self.plan.data_bytes() as f64 / 1e9;
        Ok(Run {
            rate: gigabytes / received.end.duration_since(sent.start).as_secs_f64(),
            sender_cpu: sent.cpu / gigabytes,
            receiver_cpu: received.cpu / gigabytes,
            copied: sent.copied,
            digest: received.digest,
        })
    }

    fn send(&self, socket: TcpStream, barrier: &Barrier) -> io::Result<Sent> {
        let made = self.pin(0).and_then(|()| Sender::new(self.method, &socket, self.source));
        // Reached on failure too; otherwise the other side would wait for ever.
        barrier.wait();
        let mut sender = made?;
        let (start, cpu_before) = (Instant::now(), syscall::thread_cpu_seconds()?);
        for &index in self.plan.order() {
            send_more(&socket, &head(index))?;
            sender.send(index)?;
            (&socket).write_all(&TAIL)?;
        }
        let copied = sender.finish()?;
        Ok(Sent { start, cpu: syscall::thread_cpu_seconds()? - cpu_before, copied })
    }

    fn receive(&self, mut socket: TcpStream, barrier: &Barrier) -> io::Result<Received> {
        let pinned = self.pin(1);
        // Not zeroes: those pages would be first touched during the measurement.
        let mut buffer = vec![1; CHUNK_BYTES];
        let mut hasher = self.hashed.then(Sha1::new);
        barrier.wait();
        pinned?;
        let cpu_before = syscall::thread_cpu_seconds()?;
        let mut missing = self.plan.stream_bytes();
        while missing > 0 {
            let len = match socket.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            missing = missing.checked_sub(len as u64).ok_or(io::ErrorKind::InvalidData)?;
            if let Some(hasher) = &mut hasher {
                hasher.update(&buffer[..len]);
            }
        }
        let (end, cpu) = (Instant::now(), syscall::thread_cpu_seconds()? - cpu_before);
        Ok(Received { end, cpu, digest: hasher.map(|hasher| hasher.finalize().into()) })
    }

    fn pin(&self, nth: usize) -> io::Result<()> {
        if self.pinned { syscall::pin(nth) } else { Ok(()) }
    }
}

fn panicked() -> io::Error {
    io::Error::other("its thread panicked")
}

/// Sends all of `bytes`, which the kernel may join with those that follow.
fn send_more(socket: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        done += syscall::send(socket.as_fd(), &bytes[done..], libc::MSG_MORE)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::send::method::Method;
    use crate::send::place::Place;
    use crate::send::plan::Plan;
    use crate::send::source::Source;

    use super::Transfer;

    #[test]
    fn every_method_delivers_the_file() {
        let source = Source::create(&std::env::temp_dir(), 8).expect("a file of 8 MiB");
        let plan = Plan::shuffled(source.chunks(), 1);
        let right = plan.digest(&source).expect("the file is readable");
        for method in Method::ALL {
            let transfer = Transfer { source: &source, plan: &plan, method, pinned: false, hashed: true };
            let run = transfer.run(Place::Loopback.connect("reno").expect("a connection")).expect("a transfer");
            assert_eq!(run.digest, Some(right), "{method:?}");
            assert_eq!(run.copied.is_some(), method == Method::ZeroCopy);
        }
    }
}
