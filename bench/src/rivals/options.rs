//! What the user typed, and what it comes to.

use std::path::{Path, PathBuf};

use clap::Parser;

/// mtorrent beside its rivals and the machine's limits: same file, same filesystem, same TCP settings.
#[derive(Debug, Clone, Parser)]
#[command(name = "rivals", version)]
pub struct Options {
    /// Size of the file that is fetched, e.g. 4GiB
    #[arg(long, default_value = "4GiB", value_parser = parse_size)]
    pub size: u64,
    /// Rounds of the fast contestants: the limits, mtorrent, rsync, curl, cp
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Rounds of the BitTorrent clients: they take part in the first ones, transmission in one only
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub slow_rounds: u32,
    /// Only these contestants, by name, comma-separated
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Congestion controls, comma-separated
    #[arg(long = "cc", value_delimiter = ',', default_value = "bbr,cubic")]
    pub congestion_controls: Vec<String>,
    /// Folder on the disk to measure; a folder in it is made and removed [default: bench/data]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Folder on a tmpfs for the table without the disk
    #[arg(long, default_value = "/dev/shm")]
    pub memory_dir: PathBuf,
    /// Folder that gets DATE-HOST/{README.md,raw.csv,summary.md,plot.svg}
    #[arg(long, default_value = "bench/runs")]
    pub out: PathBuf,
    /// The mtorrent program; without it the one of this source tree is built and used
    #[arg(long)]
    pub mtorrent: Option<PathBuf>,
    /// 64 MiB, two rounds, one of the slow ones: shows that everything works, measures nothing
    #[arg(long)]
    pub quick: bool,
    /// Install what is missing (apt-get as root; cargo for rqbit)
    #[arg(long)]
    pub install: bool,
    /// Only say what is there and what is missing
    #[arg(long)]
    pub check: bool,
    /// Prints how many bytes a second the sha1 crate hashes on one core; used by the run itself
    #[arg(long, hide = true)]
    pub sha1_limit_bytes: Option<u64>,
}

impl Options {
    /// The same with `--quick` and the default folder worked in.
    pub fn resolved(&self) -> Self {
        let mut resolved = self.clone();
        if self.quick {
            resolved.size = 64 << 20;
            resolved.rounds = 2;
            resolved.slow_rounds = 1;
        }
        resolved.slow_rounds = resolved.slow_rounds.min(resolved.rounds);
        resolved.dir.get_or_insert_with(|| workspace().join("bench/data"));
        resolved
    }

    /// The folder on the disk to measure.
    pub fn dir(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| workspace().join("bench/data"))
    }
}

/// The folder of the source tree that this program was built from.
pub fn workspace() -> &'static Path {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    bench.parent().unwrap_or(bench)
}

/// Reads "4GiB", "64M", "1000000": powers of 1024 with or without "iB", a plain number is bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
    let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        unit => return Err(format!("unknown unit {unit:?}; use KiB, MiB or GiB")),
    };
    let bytes = number.checked_mul(1 << shift).ok_or("too large")?;
    if bytes < 1 << 20 { Err("at least 1MiB".to_owned()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_powers_of_1024() {
        for (text, want) in [("4GiB", Some(4 << 30)), ("64M", Some(64 << 20)), ("1048577", Some((1 << 20) + 1))] {
            assert_eq!(parse_size(text).ok(), want, "{text}");
        }
        for text in ["", "GiB", "4TB", "12", "99999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }
}
