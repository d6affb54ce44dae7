//! One connection: one request, its answer, and the end.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::event_streams::{EventStreams, NewStream};
use super::gate::Pass;
use super::request::Request;
use super::response::{Response, event_stream_head};
use super::site::{Answer, Site};
use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEAD_TIMEOUT, HTTP_LINGER_TIMEOUT, HTTP_WRITE_TIMEOUT};
use crate::metrics::{self, Counter};

/// Serves the connection. Errors of the socket end it: whoever is at its other end is gone.
pub(super) fn serve(mut socket: TcpStream, pass: Pass, site: &Site, streams: &EventStreams) -> io::Result<()> {
    let request = match read_head(&mut socket)? {
        Ok(request) => request,
        Err(refusal) => {
            write(&mut socket, &refusal.into_bytes(false))?;
            return linger(&mut socket);
        }
    };
    metrics::add(Counter::HttpRequests, 1);
    let source = match site.answer(&request) {
        Answer::Whole(response) => return write(&mut socket, &response.into_bytes(request.is_head)),
        Answer::Events(_) if request.is_head => return write(&mut socket, &event_stream_head()),
        Answer::Events(source) => source,
    };
    if streams.is_full() {
        let refusal = Response::refusal(503, "too many streams of events are open: close another page");
        return write(&mut socket, &refusal.into_bytes(false));
    }
    write(&mut socket, &event_stream_head())?;
    streams.add(NewStream { socket, pass, source });
    Ok(())
}

/// Reads the head of a request within its time limit; what is no request is answered by the refusal.
fn read_head(socket: &mut TcpStream) -> io::Result<Result<Request, Response>> {
    let deadline = Instant::now() + HTTP_HEAD_TIMEOUT;
    let (mut buffer, mut length) = (vec![0; HTTP_HEAD_BYTES_MAX], 0);
    loop {
        let Some(rest) = rest_until(deadline) else {
            return Ok(Err(Response::refusal(408, "the request did not arrive in time")));
        };
        socket.set_read_timeout(Some(rest))?;
        match socket.read(&mut buffer[length..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => length += count,
            // The deadline decides.
            Err(error) if is_timeout(&error) => continue,
            Err(error) => return Err(error),
        }
        match Request::parse(&buffer[..length]) {
            Ok(None) => {}
            Ok(Some(request)) => return Ok(Ok(request)),
            Err(refusal) => return Ok(Err(*refusal)),
        }
    }
}

/// Writes all bytes within their time limit.
fn write(socket: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    let deadline = Instant::now() + HTTP_WRITE_TIMEOUT;
    while !bytes.is_empty() {
        let rest = rest_until(deadline).ok_or(io::ErrorKind::TimedOut)?;
        socket.set_write_timeout(Some(rest))?;
        match socket.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads what a refused request still sends, for a moment: closing before it is read would reset the connection, and
/// the refusal would be lost.
fn linger(socket: &mut TcpStream) -> io::Result<()> {
    socket.shutdown(Shutdown::Write)?;
    let deadline = Instant::now() + HTTP_LINGER_TIMEOUT;
    let mut rest_of_request = [0; 1024];
    while let Some(rest) = rest_until(deadline) {
        socket.set_read_timeout(Some(rest))?;
        match socket.read(&mut rest_of_request) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn rest_until(deadline: Instant) -> Option<Duration> {
    let rest = deadline.saturating_duration_since(Instant::now());
    (!rest.is_zero()).then_some(rest)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
