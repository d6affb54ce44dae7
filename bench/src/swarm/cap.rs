//! Rate of a link, and the parameters of its token bucket filter.

use std::fmt;
use std::str::FromStr;

/// Part of a capped link's bits available to a TCP payload at an MTU of 1500: 1448 bytes of a frame of 1514.
pub const PAYLOAD_SHARE: f64 = 0.956;

/// The smallest burst, bytes.
const BURST_MIN: u64 = 4_000;
/// Length of a segment of 64 KiB on the link, with the headers of all its packets, bytes.
const UNCUT_SEGMENT: u64 = 70_000;
/// The smallest queue, bytes.
const QUEUE_MIN: u64 = 32_000;

/// Bits a second that a node may send, and as many that it may receive; or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cap {
    /// Bits a second.
    Bits(u64),
    /// No filter.
    None,
}

impl Cap {
    /// A tenth of the cap.
    pub fn tenth(self) -> Self {
        match self {
            Self::Bits(bits) => Self::Bits((bits / 10).max(1)),
            Self::None => Self::None,
        }
    }

    /// Minimum time for `bytes` of payload, seconds; `None` without a cap.
    pub fn ideal_s(self, bytes: u64) -> Option<f64> {
        match self {
            Self::Bits(bits) => Some(bytes as f64 * 8.0 / (bits as f64 * PAYLOAD_SHARE)),
            Self::None => None,
        }
    }

    /// The arguments of `tbf`. The burst is the amount of 10 ms, but at least 4 kB and at most one segment of TCP that
    /// the kernel has not yet cut into packets (cutting it here would take more CPU time than everything else); it is
    /// larger only if 1 ms carries more. The queue behind it is 50 ms, at least 32 kB.
    pub fn filter(self) -> Option<String> {
        let Self::Bits(bits) = self else { return None };
        let bytes_per_s = bits / 8;
        let burst = (bytes_per_s / 100).clamp(BURST_MIN, UNCUT_SEGMENT).max(bytes_per_s / 1000);
        let limit = burst + (bytes_per_s / 20).max(QUEUE_MIN);
        Some(format!("tbf rate {bits}bit burst {burst} limit {limit}"))
    }
}

impl FromStr for Cap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "uncapped" {
            return Ok(Self::None);
        }
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..unit_at].parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
        let factor = match &text[unit_at..] {
            "bit" => 1,
            "kbit" => 1_000,
            "Mbit" | "mbit" => 1_000_000,
            "Gbit" | "gbit" => 1_000_000_000,
            unit => return Err(format!("unknown unit {unit:?}; use kbit, Mbit or Gbit, or the rate \"uncapped\"")),
        };
        let bits = number.checked_mul(factor).filter(|bits| (64_000..=100_000_000_000).contains(bits));
        bits.map(Self::Bits).ok_or_else(|| "a rate is 64kbit to 100Gbit".to_owned())
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::None => f.write_str("uncapped"),
            Self::Bits(bits) if bits % 1_000_000_000 == 0 => write!(f, "{}Gbit", bits / 1_000_000_000),
            Self::Bits(bits) if bits % 1_000_000 == 0 => write!(f, "{}Mbit", bits / 1_000_000),
            Self::Bits(bits) if bits % 1_000 == 0 => write!(f, "{}kbit", bits / 1_000),
            Self::Bits(bits) => write!(f, "{bits}bit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written_alike() {
        for text in ["200Mbit", "512kbit", "1Gbit", "64001bit", "uncapped"] {
            assert_eq!(text.parse::<Cap>().expect(text).to_string(), text);
        }
        for text in ["", "200", "Mbit", "1kbit", "1Tbit", "99999999999Gbit"] {
            assert!(text.parse::<Cap>().is_err(), "{text}");
        }
    }

    #[test]
    fn bursts_and_queues_follow_the_rate() {
        let filter = |text: &str| text.parse::<Cap>().expect(text).filter();
        assert_eq!(filter("512kbit").as_deref(), Some("tbf rate 512000bit burst 4000 limit 36000"));
        assert_eq!(filter("200Mbit").as_deref(), Some("tbf rate 200000000bit burst 70000 limit 1320000"));
        assert_eq!(filter("500Mbit").as_deref(), Some("tbf rate 500000000bit burst 70000 limit 3195000"));
        assert_eq!(filter("uncapped"), None);
    }

    #[test]
    fn the_ideal_counts_headers() {
        let ideal_s = "200Mbit".parse::<Cap>().expect("a rate").ideal_s(256 << 20).expect("a cap");
        assert!((ideal_s - 11.232).abs() < 0.001, "{ideal_s}");
    }
}
