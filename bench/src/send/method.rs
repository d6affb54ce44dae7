//! The ways to send a chunk. Each must send exactly the requested bytes, or fail; none may read the map in user space.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::source::CHUNK_BYTES;
use super::source::Source;
use super::syscall;
use super::zerocopy::ZeroCopy;

/// A way to send a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// write(2) from the map.
    Write,
    /// sendfile(2).
    SendFile,
    /// splice(2) from the file into a pipe, and from there into the socket.
    Splice,
    /// vmsplice(2) of the map into a pipe, and splice(2) from there into the socket.
    VmSplice,
    /// send(2) from the map with MSG_ZEROCOPY, completions reaped.
    ZeroCopy,
}

impl Method {
    /// All methods, in the table's order.
    pub const ALL: [Self; 5] = [Self::Write, Self::SendFile, Self::Splice, Self::VmSplice, Self::ZeroCopy];

    /// Name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Write => "write from the map",
            Self::SendFile => "sendfile",
            Self::Splice => "splice file-pipe-socket",
            Self::VmSplice => "vmsplice map + splice",
            Self::ZeroCopy => "MSG_ZEROCOPY from the map",
        }
    }
}

/// A method in use on one connection.
#[derive(Debug)]
pub struct Sender<'a> {
    socket: &'a TcpStream,
    source: &'a Source,
    tools: Tools,
}

#[derive(Debug)]
enum Tools {
    Write,
    SendFile,
    Splice(Pipe),
    VmSplice(Pipe),
    ZeroCopy(ZeroCopy),
}

#[derive(Debug)]
struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
}

impl<'a> Sender<'a> {
    /// Creates the resources of the method; fails if the kernel does not support it.
    pub fn new(method: Method, socket: &'a TcpStream, source: &'a Source) -> io::Result<Self> {
        let tools = match method {
            Method::Write => Tools::Write,
            Method::SendFile => Tools::SendFile,
            Method::Splice => Tools::Splice(Pipe::new()?),
            Method::VmSplice => Tools::VmSplice(Pipe::new()?),
            Method::ZeroCopy => Tools::ZeroCopy(ZeroCopy::enable(socket.as_fd())?),
        };
        Ok(Self { socket, source, tools })
    }

    /// Sends chunk `index`.
    pub fn send(&mut self, index: u32) -> io::Result<()> {
        let (socket, mapped) = (self.socket.as_fd(), self.source.mapped(index));
        let mut offset = i64::from(index) * CHUNK_BYTES as i64;
        match &mut self.tools {
            Tools::Write => all(CHUNK_BYTES, |done| syscall::write(socket, &mapped[done..])),
            Tools::SendFile => {
                all(CHUNK_BYTES, |done| syscall::send_file(socket, self.source.file(), &mut offset, CHUNK_BYTES - done))
            }
            Tools::Splice(pipe) => all(CHUNK_BYTES, |done| {
                let file = self.source.file().as_fd();
                let filled = syscall::splice(file, Some(&mut offset), pipe.into.as_fd(), CHUNK_BYTES - done)?;
                pipe.empty_into(socket, filled)
            }),
            Tools::VmSplice(pipe) => all(CHUNK_BYTES, |done| {
                let filled = syscall::vmsplice(pipe.into.as_fd(), &mapped[done..])?;
                pipe.empty_into(socket, filled)
            }),
            Tools::ZeroCopy(zerocopy) => {
                all(CHUNK_BYTES, |done| zerocopy.send(socket, &mapped[done..]))?;
                zerocopy.reap(socket)
            }
        }
    }

    /// Waits until the kernel no longer uses the pages. Returns the share of the zero-copy calls that it copied after
    /// all, from 0 to 1, if the method uses such calls.
    pub fn finish(self) -> io::Result<Option<f64>> {
        match self.tools {
            Tools::ZeroCopy(zerocopy) => zerocopy.finish(self.socket.as_fd()).map(Some),
            _ => Ok(None),
        }
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (out, into) = syscall::pipe(CHUNK_BYTES)?;
        Ok(Self { out, into })
    }

    /// Moves the `len` bytes in the pipe to the socket.
    fn empty_into(&self, socket: BorrowedFd<'_>, len: usize) -> io::Result<usize> {
        all(len, |done| syscall::splice(self.out.as_fd(), None, socket, len - done))?;
        Ok(len)
    }
}

/// Calls `send` with the number of bytes done so far, until `len` are done.
fn all(len: usize, mut send: impl FnMut(usize) -> io::Result<usize>) -> io::Result<()> {
    let mut done = 0;
    while done < len {
        match send(done)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            sent => done += sent,
        }
    }
    Ok(())
}
