//! `HOST:PORT`, the form in which `.mtorrent` files and users name trackers. Validated, never resolved here.

use std::net::{Ipv4Addr, SocketAddrV6};

/// The reason why a text is not `HOST:PORT`. Its writer, the file's author or the user, is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrackerAddressError {
    /// The port is missing, or not 1 to 65535.
    #[error("tracker {0:?} is not HOST:PORT with a port from 1 to 65535")]
    Port(String),
    /// The host is neither an address nor a name.
    #[error(
        "tracker {0:?} is not HOST:PORT: the host is a name of letters, digits, dots and hyphens, an IPv4 address, \
         or an IPv6 address in brackets"
    )]
    Host(String),
}

/// Longest DNS name, bytes.
const NAME_BYTES_MAX: usize = 253;
/// Longest part of a name between dots, bytes.
const LABEL_BYTES_MAX: usize = 63;

/// Checks that `text` is `NAME:PORT`, `IPV4:PORT` or `[IPV6]:PORT` with a port from 1 to 65535.
pub fn check_tracker_address(text: &str) -> Result<(), TrackerAddressError> {
    // The text in an error is bounded: it may come from a hostile file.
    let shown = || text.chars().take(NAME_BYTES_MAX).collect();
    let (host, port) = text.rsplit_once(':').ok_or_else(|| TrackerAddressError::Port(shown()))?;
    if !is_port(port) {
        return Err(TrackerAddressError::Port(shown()));
    }
    let valid = if host.starts_with('[') { text.parse::<SocketAddrV6>().is_ok() } else { is_name_or_ipv4(host) };
    if valid { Ok(()) } else { Err(TrackerAddressError::Host(shown())) }
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0)
}

fn is_name_or_ipv4(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in [
            "tracker:1",
            "tracker-1.example.org:7000",
            "tracker.example.org.:7000",
            "my_tracker:65535",
            "127.0.0.1:7000",
            "[::1]:7000",
            "[2001:db8::1]:7000",
            "[fe80::1%2]:7000",
            "1a:7000",
        ] {
            assert_eq!(check_tracker_address(text), Ok(()), "{text}");
        }
        for text in ["", "tracker", "tracker:", "tracker:0", "tracker:65536", "tracker:+1", "tracker:a", "tracker: 1"] {
            assert_eq!(check_tracker_address(text), Err(TrackerAddressError::Port(text.into())), "{text}");
        }
        for text in [
            ":7000",
            ".:7000",
            "::1:7000",
            "[::1:7000",
            "[localhost]:7000",
            "[]:7000",
            "a..b:7000",
            "-a:7000",
            "a b:7000",
            "größe:7000",
            "256.0.0.1:7000",
            "1.2.3:7000",
            "http://tracker:7000",
            "a/b:7000",
            "a\n:7000",
        ] {
            assert_eq!(check_tracker_address(text), Err(TrackerAddressError::Host(text.into())), "{text}");
        }
    }

    #[test]
    fn what_an_error_shows_is_bounded() {
        let Err(TrackerAddressError::Port(shown)) = check_tracker_address(&"ä".repeat(10_000)) else {
            panic!("no port");
        };
        assert_eq!(shown.chars().count(), NAME_BYTES_MAX);
    }
}
