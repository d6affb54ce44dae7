//! A row of the table: the number of getters, the rate of the links, the size of the file, and the faults.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::cap::Cap;
use crate::harness::options::parse_size;

/// One case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Number of getters, at least 1.
    pub getters: usize,
    /// Rate limit of each node, in each direction.
    pub cap: Cap,
    /// Size of the file, bytes.
    pub size: u64,
    /// Variant of the case.
    pub variant: Variant,
}

/// Variant of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// All getters start together and seed until the last is done.
    Plain,
    /// Their starts are spread over half the ideal time.
    Staggered,
    /// Each ends as soon as it is done.
    Leave,
    /// A quarter of the getters has a tenth of the rate.
    Slow,
    /// A quarter of the getters is killed at half the ideal time and started again.
    Restart,
    /// The seeder is killed once every chunk is on some getter.
    SeederDies,
    /// Nine bad peers run beside the seeder.
    Bad,
}

/// Number of hostile peers of [`Variant::Bad`].
pub const BAD_PEERS: usize = 9;

impl Variant {
    const ALL: [Self; 7] =
        [Self::Plain, Self::Staggered, Self::Leave, Self::Slow, Self::Restart, Self::SeederDies, Self::Bad];

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Staggered => "staggered",
            Self::Leave => "leave",
            Self::Slow => "slow",
            Self::Restart => "restart",
            Self::SeederDies => "seeder-dies",
            Self::Bad => "bad",
        }
    }
}

impl Row {
    /// The rows with goals, and those with faults.
    pub fn defaults() -> Vec<Self> {
        let texts = [
            "1:200Mbit:256MiB",
            "2:200Mbit:256MiB",
            "4:200Mbit:256MiB",
            "1:512kbit:4MiB",
            "8:200Mbit:256MiB",
            "8:500Mbit:1GiB",
            "16:50Mbit:128MiB",
            "32:20Mbit:64MiB",
            "8:200Mbit:256MiB:staggered",
            "8:200Mbit:256MiB:leave",
            "8:200Mbit:256MiB:slow",
            "16:50Mbit:128MiB:restart",
            "8:200Mbit:256MiB:seeder-dies",
            "1:200Mbit:256MiB:bad",
            "4:uncapped:1GiB",
        ];
        texts.into_iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// Minimum time for the file at the full rate, seconds; `None` without a cap.
    pub fn ideal_s(&self) -> Option<f64> {
        self.cap.ideal_s(self.size)
    }

    /// Time limit for all getters.
    pub fn patience(&self) -> Duration {
        let ideal_s = self.ideal_s().unwrap_or(self.size as f64 / 20e6);
        // The slow getters need ten times the ideal.
        let times = if self.variant == Variant::Slow { 20.0 } else { 6.0 };
        Duration::from_secs_f64(40.0 + times * ideal_s)
    }

    /// The caps of the getters.
    pub fn getter_caps(&self) -> Vec<Cap> {
        let slow = if self.variant == Variant::Slow { self.quarter() } else { 0 };
        (0..self.getters).map(|getter| if getter < slow { self.cap.tenth() } else { self.cap }).collect()
    }

    /// A quarter of the getters, at least one.
    pub fn quarter(&self) -> usize {
        (self.getters / 4).max(1)
    }

    /// The same row without a variant, for comparison.
    pub fn plain(self) -> Self {
        Self { variant: Variant::Plain, ..self }
    }
}

impl FromStr for Row {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (getters, cap, size, variant) = match parts[..] {
            [getters, cap, size] => (getters, cap, size, "plain"),
            [getters, cap, size, variant] => (getters, cap, size, variant),
            _ => return Err("a row is GETTERS:RATE:SIZE[:VARIANT], such as 8:200Mbit:256MiB:leave".to_owned()),
        };
        let getters = getters.parse().ok().filter(|getters| (1..=200).contains(getters));
        let words = Variant::ALL.map(Variant::word).join(", ");
        Ok(Self {
            getters: getters.ok_or("a row has 1 to 200 getters")?,
            cap: cap.parse()?,
            size: parse_size(size)?,
            variant: Variant::ALL
                .into_iter()
                .find(|known| known.word() == variant)
                .ok_or_else(|| format!("no variant is called {variant:?}; there are {words}"))?,
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { getters, cap, size, variant } = self;
        let (number, unit) = match *size {
            size if size % (1 << 30) == 0 => (size >> 30, "GiB"),
            size if size % (1 << 20) == 0 => (size >> 20, "MiB"),
            size if size % (1 << 10) == 0 => (size >> 10, "KiB"),
            size => (size, ""),
        };
        write!(f, "{getters}:{cap}:{number}{unit}:{}", variant.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_written_alike() {
        for text in ["8:200Mbit:256MiB:plain", "1:512kbit:4MiB:bad", "4:uncapped:1GiB:leave"] {
            assert_eq!(text.parse::<Row>().expect(text).to_string(), text);
        }
        for text in ["", "8", "0:1Mbit:4MiB", "8:1Mbit:4MiB:odd", "8:1Mbit:4MiB:leave:x", "8:fast:4MiB"] {
            assert!(text.parse::<Row>().is_err(), "{text}");
        }
        assert_eq!(Row::defaults().len(), 15);
    }

    #[test]
    fn a_quarter_is_slow() {
        let row: Row = "8:200Mbit:256MiB:slow".parse().expect("a row");
        let caps = row.getter_caps();
        assert_eq!(caps.iter().filter(|cap| **cap == Cap::Bits(20_000_000)).count(), 2);
        assert!(row.patience() > Duration::from_secs(200));
    }
}
