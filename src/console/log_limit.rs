//! Limits the log lines of one place in the program about one address. Pure: the caller passes the time.
//!
//! Remote peers must not be able to fill a disk. Lines beyond the limit are counted, and one line reports their number.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use crate::limits::{LOG_LINES_PER_ADDRESS_MAX, LOG_LINES_PER_SITE_MAX, LOG_SITES_MAX, LOG_WINDOW};
use crate::metrics::{self, Counter};

/// A place in the program that logs: file and line.
pub(crate) type Site = (&'static str, u32);

/// The counts of the current window of time.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    windows: HashMap<(Site, Option<IpAddr>), Window>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
    suppressed: u64,
    target: String,
}

/// Lines that were suppressed in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Suppressed {
    /// Target (module) of the lines.
    pub target: String,
    /// Number of suppressed lines.
    pub lines: u64,
    /// Address in the lines, if any.
    pub address: Option<IpAddr>,
}

impl LogLimit {
    /// Whether a line may be written now.
    pub(crate) fn allows(&mut self, site: Site, target: &str, message: &str, now: Instant) -> bool {
        let address = address_in(message);
        if address.is_some() && !self.count((site, address), target, LOG_LINES_PER_ADDRESS_MAX, now) {
            return false;
        }
        self.count((site, None), target, LOG_LINES_PER_SITE_MAX, now)
    }

    fn count(&mut self, key: (Site, Option<IpAddr>), target: &str, max: u32, now: Instant) -> bool {
        if self.windows.len() >= LOG_SITES_MAX && !self.windows.contains_key(&key) {
            // The table of addresses is full: only the limit of the place applies.
            return true;
        }
        let new = || Window { since: now, lines: 0, suppressed: 0, target: target.to_owned() };
        let window = self.windows.entry(key).or_insert_with(new);
        let allowed = window.lines < max;
        window.lines += u32::from(allowed);
        window.suppressed += u64::from(!allowed);
        metrics::add(Counter::LogLinesSuppressed, u64::from(!allowed));
        allowed
    }

    /// Ends the windows that are over, and returns their suppressed lines.
    pub(crate) fn end_windows(&mut self, now: Instant) -> Vec<Suppressed> {
        let mut ended = Vec::new();
        self.windows.retain(|(_, address), window| {
            let goes_on = now.saturating_duration_since(window.since) < LOG_WINDOW;
            if !goes_on && window.suppressed > 0 {
                let target = std::mem::take(&mut window.target);
                ended.push(Suppressed { target, lines: window.suppressed, address: *address });
            }
            goes_on
        });
        ended
    }
}

/// The first address in the text; for IPv6 the network of 64 bits, which belongs to one host.
fn address_in(text: &str) -> Option<IpAddr> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';' | '"' | '\''));
    words.map(|word| word.trim_end_matches([':', '.'])).find_map(|word| {
        let socket = word.parse::<SocketAddr>().map(|address| address.ip());
        let ip = socket.or_else(|_| word.parse::<IpAddr>()).ok()?;
        Some(match ip.to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
            ip => ip,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: Site = ("x.rs", 1);

    #[test]
    fn a_stranger_gets_a_few_lines_and_others_get_theirs() {
        let (mut limit, now) = (LogLimit::default(), Instant::now());
        let mut says = |who: &str| limit.allows(SITE, "x", &format!("{who} says: hello"), now);
        let lines = (0..3000).filter(|_| says("192.0.2.1:4")).count();
        assert_eq!(lines, LOG_LINES_PER_ADDRESS_MAX as usize);
        assert!(says("192.0.2.2:4"));
        let ended = limit.end_windows(now + LOG_WINDOW);
        let address = "192.0.2.1".parse().ok();
        assert_eq!(ended, [Suppressed { target: "x".into(), lines: 2990, address }]);
        assert!(limit.allows(SITE, "x", "192.0.2.1:4 says: hello", now + LOG_WINDOW));
    }

    #[test]
    fn many_strangers_together_have_a_limit_too() {
        let (mut limit, now) = (LogLimit::default(), Instant::now());
        let lines = (0..100_000u32).filter(|n| {
            let who = std::net::Ipv4Addr::from_bits(*n);
            limit.allows(SITE, "x", &format!("{who} says: hello"), now)
        });
        assert_eq!(lines.count(), LOG_LINES_PER_SITE_MAX as usize);
        assert!(limit.windows.len() <= LOG_SITES_MAX);
    }

    #[test]
    fn addresses_are_found() {
        for (text, address) in [
            ("refused a connection from 192.0.2.1:7: too many", Some("192.0.2.1")),
            ("peer [2001:db8::1:2:3:4]:80: silent", Some("2001:db8::")),
            ("peer ::ffff:192.0.2.9 (again)", Some("192.0.2.9")),
            ("nobody", None),
        ] {
            assert_eq!(address_in(text), address.map(|address| address.parse().unwrap()), "{text}");
        }
    }
}
