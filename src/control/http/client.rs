//! One question to a server of this kind, with a time limit for the whole of it.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::limits::{HTTP_ANSWER_BYTES_MAX, HTTP_HEADERS_MAX};

/// Asks for a path; returns the status code and the text of the answer.
pub(crate) fn ask(address: SocketAddr, path: &str, timeout: Duration) -> io::Result<(u16, String)> {
    let deadline = Instant::now() + timeout;
    let left = || deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
    let timed_out = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", timeout.as_secs()));
    let mut socket = TcpStream::connect_timeout(&address, timeout)?;
    socket.set_write_timeout(Some(left().ok_or_else(timed_out)?))?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    // The server closes the connection after its answer.
    while answer.len() < HTTP_ANSWER_BYTES_MAX {
        socket.set_read_timeout(Some(left().ok_or_else(timed_out)?))?;
        match socket.read(&mut part) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(timed_out()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its answer is not HTTP"))
}

fn parse(answer: &[u8]) -> Option<(u16, String)> {
    let mut headers = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = head.parse(answer).ok()? else { return None };
    Some((head.code?, String::from_utf8_lossy(&answer[end..]).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// What `ask` makes of a server that sends these bytes and closes, or keeps silent.
    fn answer_to(sent: Option<&'static [u8]>, timeout: Duration) -> io::Result<(u16, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a connection");
            let mut asked = [0; 1024];
            let length = socket.read(&mut asked).expect("a request");
            assert!(asked[..length].starts_with(b"GET /health HTTP/1.1\r\n"));
            match sent {
                Some(bytes) => socket.write_all(bytes).expect("it is read"),
                // Until the client gives up.
                None => assert_eq!(socket.read(&mut asked).expect("closed"), 0),
            }
        });
        let answer = ask(address, "/health", timeout);
        server.join().expect("no panic");
        answer
    }

    #[test]
    fn answers_are_read() {
        let long = Duration::from_secs(20);
        let answer = answer_to(Some(b"HTTP/1.1 503 x\r\nContent-Length: 4\r\n\r\nlate"), long);
        assert_eq!(answer.expect("an answer"), (503, "late".to_owned()));
        let answer = answer_to(Some(b"SSH-2.0-x\r\n"), long);
        assert_eq!(answer.expect_err("not HTTP").kind(), io::ErrorKind::InvalidData);
        let answer = answer_to(None, Duration::from_millis(20));
        assert_eq!(answer.expect_err("silence").kind(), io::ErrorKind::TimedOut);
    }
}
