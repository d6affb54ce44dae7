//! The server over real sockets.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::*;
use crate::limits::{HTTP_CONNECTIONS_MAX, HTTP_STREAMS_MAX};

struct Numbers(u32);

impl EventSource for Numbers {
    fn next(&mut self) -> Option<ServerEvent> {
        self.0 += 1;
        Some(ServerEvent { name: "number", data: self.0.to_string() })
    }
}

struct Flood;

impl EventSource for Flood {
    fn next(&mut self) -> Option<ServerEvent> {
        Some(ServerEvent { name: "flood", data: "x".repeat(200 << 10) })
    }
}

fn server() -> HttpServer {
    let site = Site::new()
        .machine("/metrics", |request| Response::text(200, format!("q={}", request.query)).into())
        .page("/", |_| Response::html("<p>", "default-src 'self'").into())
        .page("/numbers", |_| Answer::Events(Box::new(Numbers(0))))
        .page("/flood", |_| Answer::Events(Box::new(Flood)));
    HttpServer::start("127.0.0.1:0".parse().unwrap(), site).unwrap()
}

fn connect(server: &HttpServer) -> TcpStream {
    let socket = TcpStream::connect(server.address()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

fn ask(server: &HttpServer, head: &str) -> String {
    let mut socket = connect(server);
    socket.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

fn get(server: &HttpServer, path: &str, host: &str) -> String {
    ask(server, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

fn open_stream(server: &HttpServer, path: &str) -> TcpStream {
    let mut socket = connect(server);
    write!(socket, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    socket
}

fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let mut byte = [0];
        assert_eq!(socket.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&bytes));
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn routes_are_answered_with_headers_that_protect_them() {
    let server = server();
    let metrics = get(&server, "/metrics?a=b", "any.name");
    assert!(
        metrics.starts_with("HTTP/1.1 200 OK\r\n") && metrics.ends_with("\r\nContent-Length: 5\r\n\r\nq=a=b"),
        "{metrics}"
    );
    for header in
        ["X-Content-Type-Options: nosniff", "Cache-Control: no-store", "Content-Security-Policy: default-src 'none'"]
    {
        assert!(metrics.contains(header), "{metrics}");
    }
    assert!(get(&server, "/", "127.0.0.1:80").contains("Content-Security-Policy: default-src 'self'\r\n"));
    assert!(get(&server, "/", "evil.example").starts_with("HTTP/1.1 421 "));
    assert!(get(&server, "/etc", "localhost").contains("there are /metrics, /,"));
    let head = ask(&server, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.ends_with("Content-Length: 2\r\n\r\n"), "{head}");
    let refused =
        ask(&server, &format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n{}", "x".repeat(9000)));
    assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("Allow: GET, HEAD\r\n"), "{refused}");
}

#[test]
fn connections_are_bounded_and_a_slow_one_harms_no_other() {
    let server = server();
    let slow: Vec<TcpStream> = (1..HTTP_CONNECTIONS_MAX).map(|_| connect(&server)).collect();
    assert!(get(&server, "/metrics", "a").starts_with("HTTP/1.1 200 "));
    let last = connect(&server);
    let mut answer = String::new();
    connect(&server).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    drop((slow, last));
    let deadline = Instant::now() + Duration::from_secs(10);
    while !get(&server, "/metrics", "a").starts_with("HTTP/1.1 200 ") {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn streams_carry_events_and_are_bounded() {
    let server = server();
    let mut first = open_stream(&server, "/numbers");
    assert!(read_until(&mut first, "\r\n\r\n").contains("Content-Type: text/event-stream\r\n"));
    assert_eq!(read_until(&mut first, "\n\n"), "event: number\ndata: 1\n\n");
    assert_eq!(read_until(&mut first, "\n\n"), "event: number\ndata: 2\n\n");
    let mut others: Vec<TcpStream> = (1..HTTP_STREAMS_MAX).map(|_| open_stream(&server, "/flood")).collect();
    for other in &mut others {
        read_until(other, "\r\n\r\n");
    }
    // A stream is counted just after its head was sent.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !get(&server, "/metrics", "a").starts_with("HTTP/1.1 200 ") {
        assert!(Instant::now() < deadline);
    }
    // Readers of the others do not read, and this one goes on.
    assert_eq!(read_until(&mut first, "\n\n"), "event: number\ndata: 3\n\n");
    drop(server);
    let mut rest = Vec::new();
    // The end of the server ends the stream.
    let _ = first.read_to_end(&mut rest);
}
