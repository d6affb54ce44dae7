//! A network of the test's own: hosts in namespaces, each pair of them joined by a veth pair, whose links can be set to
//! drop every packet silently. The machine's own network is not touched.
//!
//! A namespace exists as long as a process in it: here a `cat` that waits for our end of a pipe. The network is
//! therefore removed with the test, however the test ends.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::DEADLINE;
use super::skip::{has_programs, is_root};

/// A hardware address that no device on a link has.
const NOBODY: &str = "02:00:00:00:ff:ff";

/// Hosts `0..count` with the addresses from 10.77.0.1.
pub struct Network {
    hosts: Vec<Child>,
}

impl Network {
    /// Creates the network; `None`, with the test skipped, if that is not possible.
    pub fn new(count: usize) -> Option<Self> {
        if !is_root("network namespaces") || !has_programs(&["ip", "unshare", "nsenter"]) {
            return None;
        }
        let network = Self { hosts: (0..count).map(|_| host()).collect() };
        for a in 0..count {
            network.ip(a, &["link", "set", "lo", "up"]);
            for b in a + 1..count {
                network.join(a, b);
            }
        }
        Some(network)
    }

    /// A host's address.
    pub fn address(&self, host: usize) -> IpAddr {
        [10, 77, 0, host as u8 + 1].into()
    }

    /// A command that runs on a host.
    pub fn command<S: AsRef<OsStr>>(&self, host: usize, command: &[S]) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter.arg(format!("--net={}", self.namespace(host))).args(command).stdin(Stdio::null());
        nsenter
    }

    /// Connects from a host.
    pub fn connect(&self, host: usize, to: SocketAddr) -> TcpStream {
        let namespace = File::open(self.namespace(host)).expect("its process lives");
        let connect = move || {
            // SAFETY: setns takes an open descriptor, and moves this thread only, which ends below. A socket stays in
            // the namespace in which it was created.
            let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(entered, 0, "{}", std::io::Error::last_os_error());
            TcpStream::connect_timeout(&to, DEADLINE).expect("it listens")
        };
        std::thread::spawn(connect).join().expect("it connects")
    }

    /// Drops all packets between the two hosts from now on, without an error.
    pub fn swallow(&self, a: usize, b: usize) {
        self.set_neighbour(a, b, NOBODY);
        self.set_neighbour(b, a, NOBODY);
    }

    /// Drops what a host sends to others from a TCP port, as a firewall does that lets nothing in: no error, no answer.
    pub fn close_port(&self, host: usize, port: u16) {
        let port = port.to_string();
        self.ip(host, &["rule", "add", "ipproto", "tcp", "sport", &port, "type", "blackhole", "pref", "5"]);
    }

    /// Restores the link.
    pub fn heal(&self, a: usize, b: usize) {
        self.set_neighbour(a, b, &hardware(b, a));
        self.set_neighbour(b, a, &hardware(a, b));
    }

    fn join(&self, a: usize, b: usize) {
        let peer_process = self.hosts[b].id().to_string();
        let (at_a, at_b) = (device(b), device(a));
        let peer = ["peer", "name", &at_b, "address", &hardware(b, a), "netns", &peer_process];
        self.ip(a, &[&["link", "add", &at_a, "address", &hardware(a, b), "type", "veth"][..], &peer].concat());
        for (own, other) in [(a, b), (b, a)] {
            let (from, to) = (self.address(own).to_string(), format!("{}/32", self.address(other)));
            self.ip(own, &["address", "add", &from, "peer", &to, "dev", &device(other)]);
            self.ip(own, &["link", "set", &device(other), "up"]);
        }
        self.heal(a, b);
    }

    /// Sets the hardware address to which `host` sends packets for `other`.
    fn set_neighbour(&self, host: usize, other: usize, hardware: &str) {
        let to = self.address(other).to_string();
        self.ip(host, &["neighbour", "replace", &to, "lladdr", hardware, "dev", &device(other), "nud", "permanent"]);
    }

    fn ip(&self, host: usize, arguments: &[&str]) {
        let done = self.command(host, &[&["ip"], arguments].concat()).output().expect("nsenter runs");
        assert!(done.status.success(), "ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr));
    }

    fn namespace(&self, host: usize) -> String {
        format!("/proc/{}/ns/net", self.hosts[host].id())
    }
}

/// Hosts `0..count` with the addresses from 10.77.0.1 on one bridge, which is on host 0.
pub struct Star(Network);

impl Star {
    /// Creates the network; `None`, with the test skipped, if that is not possible.
    pub fn new(count: usize) -> Option<Self> {
        if !is_root("network namespaces") || !has_programs(&["ip", "unshare", "nsenter"]) {
            return None;
        }
        let network = Network { hosts: (0..count).map(|_| host()).collect() };
        network.ip(0, &["link", "add", "bridge", "type", "bridge"]);
        let hub = network.hosts[0].id().to_string();
        for host in 0..count {
            let (address, device) =
                (format!("{}/24", network.address(host)), if host == 0 { "bridge" } else { "eth0" });
            if host > 0 {
                let port = format!("port{host}");
                network.ip(host, &["link", "add", device, "type", "veth", "peer", "name", &port, "netns", &hub]);
                network.ip(0, &["link", "set", &port, "master", "bridge", "up"]);
            }
            network.ip(host, &["address", "add", &address, "dev", device]);
            network.ip(host, &["link", "set", device, "up"]);
            network.ip(host, &["link", "set", "lo", "up"]);
        }
        Some(Self(network))
    }

    /// A host's address.
    pub fn address(&self, host: usize) -> IpAddr {
        self.0.address(host)
    }

    /// A command that runs on a host.
    pub fn command<S: AsRef<OsStr>>(&self, host: usize, command: &[S]) -> Command {
        self.0.command(host, command)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in &mut self.hosts {
            let _ = host.kill();
            let _ = host.wait();
        }
    }
}

/// A process in a new namespace.
fn host() -> Child {
    let namespace = |path: &str| std::fs::read_link(path).ok();
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let child = unshare.spawn().expect("unshare runs");
    let theirs = format!("/proc/{}/ns/net", child.id());
    let deadline = Instant::now() + DEADLINE;
    while namespace(&theirs).is_none_or(|theirs| Some(theirs) == namespace("/proc/self/ns/net")) {
        assert!(Instant::now() < deadline, "there is no namespace");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

/// The device of a host that leads to another host.
fn device(to: usize) -> String {
    format!("to{to}")
}

fn hardware(host: usize, to: usize) -> String {
    format!("02:00:00:00:{host:02x}:{to:02x}")
}
