//! Sizes, durations and addresses in the notation of people. Pure.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::time::Duration;

use bytesize::ByteSize;

use crate::limits::{DURATION_S_MAX, RATE_LIMIT_BYTES_S_MIN};
use crate::metainfo::check_tracker_address;

/// Parses a SIZE: `1GiB`, `256 KiB`, `1.5MB`, `1048576`.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    match text.trim().parse::<ByteSize>() {
        Ok(size) if size.0 <= i64::MAX as u64 => Ok(size.0),
        _ => Err("write a size as a number and a unit, such as 256KiB, 1MiB or 1GiB".into()),
    }
}

/// A rate limit, bytes a second; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit(pub Option<NonZeroU64>);

/// Parses a RATE: `100Mbit`, `20MiB`, `20MiB/s`, `off`; bytes a second unless the unit is in bits.
pub(crate) fn parse_rate_limit(text: &str) -> Result<RateLimit, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("off") {
        return Ok(RateLimit(None));
    }
    let amount = text.strip_suffix("/s").unwrap_or(text).trim_end();
    let bytes_s = match strip_bits(amount) {
        Some(bits) => parse_size(bits).map(|bits| bits / 8),
        // In common usage `b` is a bit; parsed as a size it would count eight times as much.
        None if amount.ends_with('b') => Err(String::new()),
        None => parse_size(amount),
    };
    let shape =
        "write a rate as a number and a unit, such as 100Mbit, 20MB or 20MiB (bytes per second unless the unit is bit)";
    let bytes_s = bytes_s.map_err(|_| shape.to_owned())?;
    if bytes_s < RATE_LIMIT_BYTES_S_MIN {
        return Err(format!("the lowest rate limit is {}; write `off` for no limit", Rate(RATE_LIMIT_BYTES_S_MIN)));
    }
    Ok(RateLimit(NonZeroU64::new(bytes_s)))
}

/// The number and the prefix before `bit`.
fn strip_bits(amount: &str) -> Option<&str> {
    let at = amount.len().checked_sub("bit".len())?;
    amount.get(at..)?.eq_ignore_ascii_case("bit").then(|| &amount[..at])
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes_s) => Rate(bytes_s.get()).fmt(f),
            None => f.pad("off"),
        }
    }
}

/// Parses a DURATION: `30s`, `5m`, `1h 30m`; a bare number is in seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.trim().parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    match humantime::parse_duration(text.trim()) {
        Ok(duration) if duration < Duration::from_secs(DURATION_S_MAX) => Ok(duration),
        _ => Err("write a duration as a number and a unit, such as 30s, 5m or 2h".into()),
    }
}

/// Parses an ADDR to listen on: `IP:PORT`, port 0 for a free port.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let shape = "write an address to listen on as IP:PORT, such as 0.0.0.0:7000 or [::]:7000 (port 0 takes a free one)";
    text.trim().parse().map_err(|_| shape.into())
}

/// Parses the `IP:PORT` at which other peers reach this machine.
pub(crate) fn parse_advertise(text: &str) -> Result<SocketAddr, String> {
    match text.trim().parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 && !address.ip().is_unspecified() => Ok(address),
        _ => Err("write the address under which others reach this machine as IP:PORT, such as 192.0.2.7:7001".into()),
    }
}

/// Parses an IP address under which others reach this machine.
pub(crate) fn parse_own_address(text: &str) -> Result<IpAddr, String> {
    match text.trim().parse::<IpAddr>() {
        Ok(ip) if !ip.is_unspecified() && !ip.is_loopback() => Ok(ip),
        _ => Err("write an address under which others reach this machine, such as 192.0.2.7".into()),
    }
}

/// Parses a `HOST:PORT`; the name is resolved later, at each connect.
pub(crate) fn parse_host_port(text: &str) -> Result<String, String> {
    let text = text.trim();
    check_tracker_address(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// A number of bytes, displayed as `512 B` or `20.0 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        // 1023.95 would be displayed as 1024.0 of the smaller unit.
        while value >= 1023.95 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        f.pad(&format!("{value:.1} {}", UNITS[unit]))
    }
}

/// A rate in bytes a second, displayed as `1.4 GiB/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(pub u64);

impl Rate {
    /// The mean rate of `bytes` in `time`.
    pub(crate) fn mean(bytes: u64, time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        Self(if seconds > 0.0 { (bytes as f64 / seconds) as u64 } else { 0 })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/s", Size(self.0)))
    }
}

/// A duration, displayed as `14.2 s` or `3 min 07 s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Took(pub Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..100 => write!(f, "{:.1} s", self.0.as_secs_f64()),
            100..3600 => write!(f, "{} min {:02} s", seconds / 60, seconds % 60),
            _ => write!(f, "{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        }
    }
}

/// The remaining time, short enough for a column: `14s`, `2m05s`, `1h02m`, `3d04h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Eta(pub Duration);

impl fmt::Display for Eta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..60 => write!(f, "{seconds}s"),
            60..3600 => write!(f, "{}m{:02}s", seconds / 60, seconds % 60),
            3600..86_400 => write!(f, "{}h{:02}m", seconds / 3600, seconds / 60 % 60),
            _ => write!(f, "{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("1048576", Some(1 << 20)),
            ("1GiB", Some(1 << 30)),
            ("256 KiB", Some(256 << 10)),
            ("1.5MiB", Some(3 << 19)),
            ("2MB", Some(2_000_000)),
            ("", None),
            ("-1", None),
            ("lots", None),
            ("1 furlong", None),
            ("99999999999999999999", None),
            ("20000000TiB", None),
        ] {
            assert_eq!(parse_size(text).ok(), bytes, "{text:?}");
        }
    }

    #[test]
    fn rates_are_read() {
        for (text, bytes_s) in [
            ("100Mbit", Some(12_500_000)),
            ("100 Mbit/s", Some(12_500_000)),
            ("1.5Gbit", Some(187_500_000)),
            ("512kbit", Some(64_000)),
            ("8Mibit", Some(1 << 20)),
            ("80000bit", Some(10_000)),
            ("20MiB", Some(20 << 20)),
            ("20MiB/s", Some(20 << 20)),
            ("20 MB / s", None),
            ("20MB /s", Some(20_000_000)),
            ("1048576", Some(1 << 20)),
            ("10M", Some(10_000_000)),
            ("10Mb", None),
            ("10mib/s", None),
            ("0", None),
            ("1bit", None),
            ("bit", None),
            ("", None),
            ("fast", None),
            ("-5MiB", None),
        ] {
            let read = parse_rate_limit(text).ok().map(|limit| limit.0.map(NonZeroU64::get));
            assert_eq!(read, bytes_s.map(Some), "{text:?}");
        }
        assert_eq!(parse_rate_limit("off"), Ok(RateLimit(None)));
        let texts = ["off", "20MiB"].map(|text| parse_rate_limit(text).unwrap().to_string());
        assert_eq!(texts, ["off", "20.0 MiB/s"]);
    }

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [
            ("5m", Some(300)),
            ("1h 30m", Some(5400)),
            ("10", Some(10)),
            ("0s", Some(0)),
            ("", None),
            ("soon", None),
            ("-5s", None),
            ("999999999y", None),
        ] {
            assert_eq!(parse_duration(text).ok(), seconds.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn host_and_port_are_read() {
        for (text, good) in [
            ("tracker.example:7000", true),
            ("127.0.0.1:1", true),
            ("[::1]:65535", true),
            ("::1:7000", false),
            ("tracker", false),
            (":7000", false),
            ("a b:7000", false),
            ("host:0", false),
            ("host:65536", false),
            ("http://host:80", false),
            ("[127.0.0.1]:80", false),
        ] {
            assert_eq!(parse_host_port(text).is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn addresses_are_read() {
        assert!(parse_listen("[::]:0").is_ok() && parse_listen("127.0.0.1:7000").is_ok());
        assert!(parse_listen("localhost:7000").is_err() && parse_listen("7000").is_err());
        assert!(parse_advertise("192.0.2.7:7001").is_ok());
        assert!(parse_own_address("192.0.2.7").is_ok());
        assert!(parse_own_address("127.0.0.1").is_err() && parse_own_address("::").is_err());
        assert!(parse_advertise("0.0.0.0:7001").is_err() && parse_advertise("192.0.2.7:0").is_err());
    }

    #[test]
    fn figures_are_written() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (20 << 30, "20.0 GiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!(Rate::mean(3 << 30, Duration::from_secs(2)).to_string(), "1.5 GiB/s");
        assert_eq!(Rate::mean(1, Duration::ZERO).to_string(), "0 B/s");
        for (seconds, took, eta) in [
            (0.04, "0.0 s", "0s"),
            (14.24, "14.2 s", "14s"),
            (187.0, "3 min 07 s", "3m07s"),
            (7500.0, "2 h 05 min", "2h05m"),
        ] {
            let time = Duration::from_secs_f64(seconds);
            assert_eq!((Took(time).to_string().as_str(), Eta(time).to_string().as_str()), (took, eta));
        }
        assert_eq!(Eta(Duration::from_secs(90_000)).to_string(), "1d01h");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = parse_size(&text);
            let _ = (parse_duration(&text), parse_rate_limit(&text));
            let _ = parse_listen(&text);
            let _ = parse_advertise(&text);
            if let Ok(spelling) = parse_host_port(&text) {
                prop_assert_eq!(parse_host_port(&spelling), Ok(spelling.clone()));
            }
        }

        #[test]
        fn any_figure_is_written(bytes: u64, millis: u32) {
            let _ = (Size(bytes).to_string(), Rate(bytes).to_string());
            let time = Duration::from_millis(millis.into());
            let _ = (Took(time).to_string(), Eta(time).to_string());
        }
    }
}
