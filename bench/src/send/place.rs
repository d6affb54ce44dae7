//! Placement of the two ends: both on loopback, or in two namespaces joined by a veth pair, which are created here and
//! removed when the value is dropped. A socket stays in the namespace of the thread that created it, so only that step
//! runs inside; no measuring thread is moved.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;

use mtorrent_bench::harness::Error;

use super::sockets::{Sockets, connect, listen};
use super::syscall;

/// A network for a connection.
#[derive(Debug)]
pub enum Place {
    /// The loopback device of the machine.
    Loopback,
    /// Two namespaces of the run's own.
    Veth(Veth),
}

impl Place {
    /// Creates the namespaces; returns the reason if that is not possible.
    pub fn veth() -> Result<Self, String> {
        Veth::create().map(Self::Veth)
    }

    /// Opens a connection whose sender uses the congestion control.
    pub fn connect(&self, control: &str) -> Result<Sockets, Error> {
        let fail = |source| Error::io(format!("connect with the congestion control {control}"), source);
        let (sender, receiver) = match self {
            Self::Loopback => pair(Ipv4Addr::LOCALHOST),
            Self::Veth(veth) => veth.pair(),
        }
        .map_err(fail)?;
        Sockets::new(sender, receiver, control).map_err(fail)
    }
}

fn pair(address: Ipv4Addr) -> io::Result<(TcpStream, TcpStream)> {
    let (listener, bound) = listen(address)?;
    // The connection waits in the backlog until it is accepted.
    let receiver = connect(bound)?;
    Ok((listener.accept()?.0, receiver))
}

/// Two namespaces and the veth pair between them.
#[derive(Debug)]
pub struct Veth {
    sender: Namespace,
    receiver: Namespace,
}

impl Veth {
    const SENDER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
    const RECEIVER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);

    fn create() -> Result<Self, String> {
        let sender = Namespace::create("a")?;
        let receiver = Namespace::create("b")?;
        let peer = ["peer", "name", "veth0", "netns", &receiver.name];
        ip(&[&["link", "add", "veth0", "netns", &sender.name, "type", "veth"], &peer[..]].concat())?;
        sender.bring_up(Self::SENDER)?;
        receiver.bring_up(Self::RECEIVER)?;
        Ok(Self { sender, receiver })
    }

    fn pair(&self) -> io::Result<(TcpStream, TcpStream)> {
        let (listener, bound) = self.sender.inside(|| listen(Self::SENDER))?;
        let receiver = self.receiver.inside(|| connect(bound))?;
        Ok((listener.accept()?.0, receiver))
    }
}

#[derive(Debug)]
struct Namespace {
    name: String,
}

impl Namespace {
    fn create(side: &str) -> Result<Self, String> {
        let name = format!("mtsend-{}-{side}", std::process::id());
        ip(&["netns", "add", &name])?;
        Ok(Self { name })
    }

    fn bring_up(&self, address: Ipv4Addr) -> Result<(), String> {
        ip(&["-n", &self.name, "address", "add", &format!("{address}/30"), "dev", "veth0"])?;
        ip(&["-n", &self.name, "link", "set", "veth0", "up"])
    }

    /// Runs `work` on a separate thread in the namespace.
    fn inside<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let namespace = File::open(format!("/run/netns/{}", self.name))?;
        let enter = || {
            syscall::enter_namespace(namespace.as_fd())?;
            work()
        };
        std::thread::scope(|scope| scope.spawn(enter).join())
            .unwrap_or_else(|_| Err(io::Error::other("a thread in a namespace panicked")))
    }
}

impl Drop for Namespace {
    /// The veth pair is removed with the first of the two.
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "delete", &self.name]) {
            eprintln!("send: {error}");
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let line = format!("ip {}", arguments.join(" "));
    let done = Command::new("ip").args(arguments).output().map_err(|error| format!("cannot run {line}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("{line} failed: {}", String::from_utf8_lossy(&done.stderr).trim()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Namespace;

    #[test]
    fn a_panic_removes_the_namespace() {
        // Without root there is nothing to remove.
        let Ok(namespace) = Namespace::create("test") else { return };
        let path = format!("/run/netns/{}", namespace.name);
        assert!(Path::new(&path).exists());
        let ended = std::thread::spawn(move || {
            let _held = namespace;
            panic!("on purpose");
        });
        assert!(ended.join().is_err());
        assert!(!Path::new(&path).exists());
    }
}
