//! One node's part of the lower bound, as a separate program: it receives and sends a number of bytes by plain TCP.
//! Nothing is read, hashed or written.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use clap::Args;

/// Bytes per send and receive.
const BLOCK_BYTES: usize = 256 << 10;
/// Time during which a sender retries a receiver that may not listen yet.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause between two attempts.
const RETRY: Duration = Duration::from_millis(2);

/// One node's part of the floor.
#[derive(Debug, Clone, Args)]
pub struct FlowOptions {
    /// Address at which it receives
    #[arg(long)]
    pub receive: Option<SocketAddrV4>,
    /// Address to which it sends
    #[arg(long)]
    pub send: Option<SocketAddrV4>,
    /// Number of bytes
    #[arg(long)]
    pub bytes: u64,
}

/// Sends and receives, prints `done` when all bytes are received, and exits once all are sent.
pub fn run(options: &FlowOptions) -> std::io::Result<()> {
    let listener = options.receive.map(TcpListener::bind).transpose()?;
    let FlowOptions { send, bytes, .. } = *options;
    let sender = send.map(|to| std::thread::spawn(move || send_to(to, bytes)));
    if let Some(listener) = listener {
        receive(&listener, bytes)?;
        println!("done");
    }
    match sender.map(std::thread::JoinHandle::join) {
        Some(Err(_)) => Err(std::io::Error::other("the sender panicked")),
        Some(Ok(sent)) => sent,
        None => Ok(()),
    }
}

fn receive(listener: &TcpListener, bytes: u64) -> std::io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    let mut block = vec![0; BLOCK_BYTES];
    let mut left = bytes;
    while left > 0 {
        match stream.read(&mut block)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => left = left.saturating_sub(count as u64),
        }
    }
    Ok(())
}

fn send_to(to: SocketAddrV4, bytes: u64) -> std::io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut stream = loop {
        match TcpStream::connect(to) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused && Instant::now() < deadline => {
                std::thread::sleep(RETRY);
            }
            connected => break connected?,
        }
    };
    let block = vec![0x5a; BLOCK_BYTES];
    let mut left = bytes;
    while left > 0 {
        let count = left.min(BLOCK_BYTES as u64);
        stream.write_all(&block[..count as usize])?;
        left -= count;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_carries_its_bytes() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let std::net::SocketAddr::V4(to) = listener.local_addr().expect("an address") else { panic!("IPv4") };
        let bytes = BLOCK_BYTES as u64 + 17;
        let sender = std::thread::spawn(move || send_to(to, bytes));
        receive(&listener, bytes).expect("all bytes");
        sender.join().expect("no panic").expect("all sent");
    }

    #[test]
    fn a_flow_that_breaks_off_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let std::net::SocketAddr::V4(to) = listener.local_addr().expect("an address") else { panic!("IPv4") };
        let sender = std::thread::spawn(move || send_to(to, 5));
        assert!(receive(&listener, 6).is_err());
        sender.join().expect("no panic").expect("all sent");
    }
}
