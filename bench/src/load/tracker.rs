//! A tracker to load, in this process.

use std::time::{Duration, Instant};

use mtorrent::tracker::server::{self, TrackerConfig};

use super::options::Options;
use crate::harness::Error;

/// Longest delay with which a tracker updates its figures.
const STATS_PAUSE: Duration = Duration::from_millis(300);

/// Serves until killed; prints when it is ready, and the size of its table then.
pub fn serve(options: &Options) -> Result<(), Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Contestant(format!("the tracker: {error}"));
    let start = Instant::now();
    let trust = vec!["127.0.0.0/8".parse().map_err(|error| failed(&error))?];
    let Options { server, cores, data_dir, peers, .. } = options.clone();
    let config = TrackerConfig { cores, data_dir, peers, trust, ..TrackerConfig::new(server) };
    let tracker = server::start(config).map_err(|error| failed(&error))?;
    println!("ready listen={} synced={} after={:?}", tracker.listen_addr(), tracker.synced(), start.elapsed());
    std::thread::sleep(STATS_PAUSE);
    println!("{:?}", tracker.stats());
    tracker.join().map_err(|error| failed(&error))
}
