//! The command-line options that all races share.

use std::path::{Path, PathBuf};

use clap::Args;

/// Options of every race.
#[derive(Debug, Clone, Args)]
pub struct CommonOptions {
    /// Only these contestants, by name, comma-separated
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Folder on the disk to use; a folder in it is made and removed [default: bench/data]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Folder that gets a folder named by date, host and race, with README.md, raw.csv, summary.md and what else there is
    #[arg(long, default_value = "bench/runs")]
    pub out: PathBuf,
    /// Install what is missing (apt-get as root; pip into a virtual environment below target; cargo)
    #[arg(long)]
    pub install: bool,
    /// Only say what is there and what is missing
    #[arg(long)]
    pub check: bool,
}

impl CommonOptions {
    /// The folder on the disk.
    pub fn dir(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| workspace().join("bench/data"))
    }
}

/// The folder of the source tree from which this program was built.
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
}
