//! Who used the CPUs of a run: us, the server among us, or others.

use std::fs;

use crate::harness::process_tree;

/// The CPUs and this process, with what it started, at one moment. Seconds since the machine started.
#[derive(Debug, Clone, Copy)]
pub struct CpuTime {
    /// Used, on the server's CPU and the load's.
    used_s: f64,
    /// Used by us.
    ours_s: f64,
    /// Not used, on the server's CPU.
    idle_s: f64,
    /// All of the server's CPU.
    all_s: f64,
}

/// What became of the CPUs between two moments.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// The part of the server's CPU that nobody used, 0 to 1.
    pub idle: f64,
    /// What others used of both CPUs, 0 to 2.
    pub others: f64,
}

impl CpuTime {
    /// Of the CPUs of the server and of the load.
    pub fn now(server_cpu: usize, load_cpu: usize) -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let [server, load] = [server_cpu, load_cpu].map(|number| Ticks::of(&stat, number).unwrap_or_default());
        let seconds = |ticks: u64| ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        Self {
            used_s: seconds(server.used + load.used),
            ours_s: process_tree::cpu(std::process::id()).all_s(),
            idle_s: seconds(server.idle),
            all_s: seconds(server.all),
        }
    }

    /// What happened from `self` to `later`.
    pub fn until(self, later: Self) -> Usage {
        let all_s = later.all_s - self.all_s;
        let others_s = (later.used_s - self.used_s) - (later.ours_s - self.ours_s);
        Usage { idle: (later.idle_s - self.idle_s) / all_s, others: others_s.max(0.0) / all_s }
    }
}

/// What a CPU has done since the machine started, in clock ticks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    used: u64,
    idle: u64,
    all: u64,
}

impl Ticks {
    /// Of the CPU `number`, from the text of /proc/stat.
    fn of(stat: &str, number: usize) -> Option<Self> {
        let name = format!("cpu{number} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
        let ticks: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
        // What guests had, at the end of the line, is in user already. Interrupts are nobody's.
        let [user, nice, system, idle, wait, interrupts, soft_interrupts, stolen] = *ticks.first_chunk()?;
        let (used, idle) = (user + nice + system + stolen, idle + wait);
        Some(Self { used, idle, all: used + idle + interrupts + soft_interrupts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_those_of_the_cpu_asked_for() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 1 2 4 8 16 32 64 128 7 7\n";
        assert_eq!(Ticks::of(stat, 1), Some(Ticks { used: 135, idle: 24, all: 255 }));
        assert_eq!(Ticks::of(stat, 2), None);
    }

    #[test]
    fn what_we_did_not_use_others_did() {
        let before = CpuTime { used_s: 0.0, ours_s: 0.0, idle_s: 0.0, all_s: 0.0 };
        let usage = before.until(CpuTime { used_s: 15.0, ours_s: 14.0, idle_s: 5.0, all_s: 10.0 });
        assert_eq!((usage.idle, usage.others), (0.5, 0.1));
    }
}
