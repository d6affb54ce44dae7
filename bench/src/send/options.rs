//! Command-line options. Nothing here accesses the machine.

use std::path::PathBuf;

use super::source::CHUNK_BYTES;

/// Compares ways to send a cached file over TCP; prints a markdown table. The veth rows need root.
#[derive(Debug, clap::Parser)]
#[command(name = "send")]
pub struct Options {
    /// Rounds of each method [default: 5, quick: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Size of the file and of each transfer, as 2G or 512M; whole MiB [default: 2G, quick: 256M]
    #[arg(long, value_parser = parse_chunks)]
    size: Option<usize>,
    /// One round of 256 MiB
    #[arg(long)]
    quick: bool,
    /// Folder for the file that is sent; it has no name there and goes with the run
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub dir: PathBuf,
    /// Lets the kernel place sender and receiver; otherwise each has its own core
    #[arg(long)]
    pub unpinned: bool,
}

impl Options {
    /// Rounds of each method.
    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 5 })
    }

    /// Number of chunks of the file, of 1 MiB each.
    pub fn chunks(&self) -> usize {
        self.size.unwrap_or(if self.quick { 256 } else { 2048 })
    }
}

/// Parses "2G" or "512M" as a number of chunks.
fn parse_chunks(text: &str) -> Result<usize, String> {
    let wrong = || format!("{text:?} is no size like 2G or 512M, from 1M to 64G");
    let (digits, chunks_each) = match text.strip_suffix('G') {
        Some(digits) => (digits, 1024),
        None => (text.strip_suffix('M').ok_or_else(wrong)?, (1 << 20) / CHUNK_BYTES),
    };
    let chunks = digits.parse::<usize>().ok().and_then(|count| count.checked_mul(chunks_each));
    chunks.filter(|chunks| (1..=64 << 10).contains(chunks)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::parse_chunks;

    #[test]
    fn sizes() {
        let rows = [("2G", Some(2048)), ("1M", Some(1)), ("64G", Some(65536)), ("65G", None), ("0M", None)];
        for (text, chunks) in rows.into_iter().chain([("", None), ("7", None), ("-1G", None), ("G", None)]) {
            assert_eq!(parse_chunks(text).ok(), chunks, "{text:?}");
        }
    }
}
