//! The names under which pages are shown: the defence against DNS rebinding.
//!
//! A page of another site cannot read this one, unless its own name is resolved to this address while it runs. Then the
//! Host header carries that name, and that is refused. An IP address needs no check: no name is resolved for it. Nor does
//! a name without a dot: no site of others has one.

use std::net::{IpAddr, Ipv6Addr};

/// The host names of this machine.
#[derive(Clone, Debug)]
pub(super) struct OwnHost {
    /// The system's host name, in lower case.
    name: String,
}

impl Default for OwnHost {
    fn default() -> Self {
        Self { name: rustix::system::uname().nodename().to_string_lossy().to_lowercase() }
    }
}

impl OwnHost {
    /// The system's host name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a Host header is an IP address, a name without a dot, below `.localhost` or `.local`, or the system's host
    /// name.
    pub(super) fn accepts(&self, host: &str) -> bool {
        let host = host.trim();
        if let Some((address, after)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            return address.parse::<Ipv6Addr>().is_ok() && (after.is_empty() || is_port(after));
        }
        let name = match host.rfind(':') {
            Some(colon) if is_port(&host[colon..]) => &host[..colon],
            Some(_) => return false,
            None => host,
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_lowercase();
        let local = name.strip_suffix(".localhost").or(name.strip_suffix(".local")).unwrap_or(&name);
        name.parse::<IpAddr>().is_ok()
            || (!local.is_empty() && !local.contains(['.', ':']))
            || (!name.is_empty() && name == self.name)
    }
}

/// Whether the text is a colon and a port.
fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.len() <= 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_own_names_are_accepted() {
        let own = OwnHost { name: "box.example.org".to_owned() };
        for host in [
            "127.0.0.1",
            "127.0.0.1:9000",
            "[::1]",
            "[::1]:9000",
            "10.1.2.3:80",
            "localhost",
            "LOCALHOST:80",
            "a.localhost",
            "box",
            "Box:9000",
            "box.local",
            "tracker:9100",
            "box.example.org",
            "box.example.org.:9000",
        ] {
            assert!(own.accepts(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "evil.org",
            "box.evil.org",
            "127.0.0.1.evil.org",
            "localhost.evil.org",
            "[evil]:80",
            "[::1]x",
            "a:b",
            "box:9:9",
            ".local",
            "a.b.local",
        ] {
            assert!(!own.accepts(host), "{host}");
        }
        assert!(!OwnHost { name: String::new() }.accepts(""));
    }
}
