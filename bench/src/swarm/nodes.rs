//! The nodes of a swarm: one namespace each, on a bridge in another namespace. The machine's own network is not
//! touched.
//!
//! Each link is a veth pair with the MTU of an Ethernet. The cap on what a node sends is at the node's end, that on
//! what it receives at the bridge's end. Neighbours are set explicitly, because some kernels do not let them find each
//! other.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde_json::Value;

use super::cap::{Cap, PAYLOAD_SHARE};
use super::namespace::Namespace;
use crate::harness::Error;
use crate::harness::program;

/// Largest IP packet, bytes.
const MTU: u32 = 1500;
/// Most nodes for which there are addresses.
const NODES_MAX: usize = 250;

/// All nodes and their bridge. Dropping it removes them.
#[derive(Debug)]
pub struct Nodes {
    nodes: Vec<Node>,
    _bridge: Namespace,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    namespace: Namespace,
    cap: Cap,
    tools: Tools,
    number: usize,
}

/// Paths of `ip` and `tc`.
#[derive(Debug, Clone)]
struct Tools {
    ip: PathBuf,
    tc: PathBuf,
}

impl Nodes {
    /// Creates one node for each of `caps`.
    pub fn new(caps: &[Cap]) -> Result<Self, Error> {
        if caps.len() > NODES_MAX {
            return Err(Error::Refused(format!("{} nodes are too many; {NODES_MAX} fit on the bridge", caps.len())));
        }
        let tools = Tools { ip: tool("ip")?, tc: tool("tc")? };
        let bridge = Namespace::new()?;
        bridge.batch(&tools.ip, "link add name br0 type bridge mcast_snooping 0\nlink set dev br0 up\n")?;
        let mut nodes = Vec::new();
        let mut links = String::new();
        let mut filters = String::new();
        for (number, &cap) in caps.iter().enumerate() {
            let node = Node { namespace: Namespace::new()?, cap, tools: tools.clone(), number };
            let (mac, target) = (mac(number), node.namespace.path());
            let _ = writeln!(
                links,
                "link add name port{number} mtu {MTU} type veth peer name eth0 mtu {MTU} address {mac} netns {target}\n\
                 link set dev port{number} master br0 up"
            );
            if let Some(filter) = cap.filter() {
                let _ = writeln!(filters, "qdisc add dev port{number} root {filter}");
            }
            nodes.push(node);
        }
        bridge.batch(&tools.ip, &links)?;
        bridge.batch(&tools.tc, &filters)?;
        for node in &nodes {
            node.set_up(caps.len())?;
        }
        Ok(Self { nodes, _bridge: bridge })
    }

    /// The node `number`.
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }
}

impl Node {
    /// Address of the node.
    pub fn address(&self) -> Ipv4Addr {
        address(self.number)
    }

    /// A command that will run on the node.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> std::process::Command {
        self.namespace.command(program)
    }

    /// Runs `work` on the node, and returns its result.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        self.namespace.inside(work)
    }

    /// Payload bytes that the node has sent, estimated from all bytes: retransmissions and the protocol's own messages
    /// count, network headers do not.
    pub fn sent_bytes(&self) -> Result<f64, Error> {
        match self.cap {
            // The filter counts the headers of every segment.
            Cap::Bits(_) => {
                let report = self.namespace.ask(&self.tools.tc, &["-s", "-j", "qdisc", "show", "dev", "eth0"])?;
                let bytes = number_in(&report, &["bytes"]);
                bytes.map(|bytes| bytes * PAYLOAD_SHARE).ok_or_else(|| no_counter("tc", &report))
            }
            // Without a filter most segments are counted as one, with one header.
            Cap::None => {
                let report = self.namespace.ask(&self.tools.ip, &["-s", "-j", "link", "show", "dev", "eth0"])?;
                number_in(&report, &["stats64", "tx", "bytes"]).ok_or_else(|| no_counter("ip", &report))
            }
        }
    }

    fn set_up(&self, count: usize) -> Result<(), Error> {
        let mut lines =
            format!("link set dev lo up\naddress add {}/24 dev eth0\nlink set dev eth0 up\n", self.address());
        for other in (0..count).filter(|other| *other != self.number) {
            let _ = writeln!(lines, "neighbour add {} lladdr {} dev eth0 nud permanent", address(other), mac(other));
        }
        self.namespace.batch(&self.tools.ip, &lines)?;
        match self.cap.filter() {
            Some(filter) => self.namespace.batch(&self.tools.tc, &format!("qdisc add dev eth0 root {filter}\n")),
            None => Ok(()),
        }
    }
}

/// The address of the node `number`.
pub fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 88, 0, number as u8 + 1)
}

fn mac(number: usize) -> String {
    format!("02:6d:54:00:00:{:02x}", number + 1)
}

fn tool(name: &str) -> Result<PathBuf, Error> {
    program::find(name).ok_or_else(|| Error::Refused(format!("no {name}: apt-get install iproute2")))
}

/// A number in the first object of a JSON list.
fn number_in(report: &str, path: &[&str]) -> Option<f64> {
    let report: Value = serde_json::from_str(report).ok()?;
    path.iter().try_fold(report.get(0)?, |value, key| value.get(key))?.as_f64()
}

fn no_counter(tool: &str, report: &str) -> Error {
    Error::Refused(format!("{tool} does not count bytes: {report}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found() {
        assert_eq!(number_in("[{\"kind\":\"tbf\",\"bytes\":7}]", &["bytes"]), Some(7.0));
        assert_eq!(number_in("[{\"stats64\":{\"tx\":{\"bytes\":9}}}]", &["stats64", "tx", "bytes"]), Some(9.0));
        for junk in ["", "[]", "[{}]", "{}"] {
            assert_eq!(number_in(junk, &["bytes"]), None, "{junk}");
        }
    }

    #[test]
    fn every_node_has_an_address_of_its_own() {
        assert_eq!(address(NODES_MAX - 1), Ipv4Addr::new(10, 88, 0, 250));
        assert_eq!(mac(NODES_MAX - 1), "02:6d:54:00:00:fa");
    }
}
