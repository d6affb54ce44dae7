//! CPU usage of other processes during the run: figures of a busy machine are not reliable.

use std::fs;
use std::time::Instant;

use mtorrent_bench::harness::Error;

use super::syscall;

/// The counters at the start.
#[derive(Debug)]
pub struct Load {
    start: Instant,
    busy_s: f64,
    own_s: f64,
}

/// Means over the run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Means {
    /// Duration of the run, seconds.
    pub wall_s: f64,
    /// Cores used by others, including the kernel's own threads.
    pub others_cores: f64,
}

impl Load {
    /// Reads the counters.
    pub fn start() -> Result<Self, Error> {
        let (busy_s, own_s) = counters()?;
        Ok(Self { start: Instant::now(), busy_s, own_s })
    }

    /// Reads the counters again, and returns the means.
    pub fn end(&self) -> Result<Means, Error> {
        let (busy_s, own_s) = counters()?;
        let wall_s = self.start.elapsed().as_secs_f64();
        let others_s = (busy_s - self.busy_s) - (own_s - self.own_s);
        Ok(Means { wall_s, others_cores: others_s.max(0.0) / wall_s })
    }
}

fn counters() -> Result<(f64, f64), Error> {
    let fail = |source| Error::io("read the CPU counters", source);
    let stat = fs::read_to_string("/proc/stat").map_err(fail)?;
    let own_s = syscall::process_cpu_seconds().map_err(fail)?;
    Ok((busy_ticks(&stat) / syscall::ticks_per_second(), own_s))
}

/// All ticks of the first line except idle, iowait, and the guests' time, which is included in user.
fn busy_ticks(stat: &str) -> f64 {
    let counters = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    let counters = counters.enumerate().filter(|(at, _)| ![3, 4].contains(at));
    counters.filter_map(|(_, ticks)| ticks.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn idle_is_not_busy() {
        assert_eq!(super::busy_ticks("cpu  1 2 4 1000 2000 8 16 32 64 128\ncpu0 9 9"), 63.0);
    }
}
