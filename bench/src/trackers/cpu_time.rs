//! CPU usage during a run: by this process with its server, and by others.

use std::fs;

use crate::harness::process_tree;

/// CPU times of the CPUs and of this process with its children, at one moment. Seconds since the machine started.
#[derive(Debug, Clone, Copy)]
pub struct CpuTime {
    /// Busy time of the server's CPU and the load's.
    used_s: f64,
    /// Time used by this process and its children.
    ours_s: f64,
    /// Idle time of the server's CPU.
    idle_s: f64,
    /// Total time of the server's CPU.
    all_s: f64,
}

/// CPU usage between two moments.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// The idle part of the server's CPU, 0 to 1.
    pub idle: f64,
    /// CPU usage by others on both CPUs, 0 to 2.
    pub others: f64,
}

impl CpuTime {
    /// The current times of the CPUs of the server and of the load.
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

    /// Usage from `self` to `later`.
    pub fn until(self, later: Self) -> Usage {
        let all_s = later.all_s - self.all_s;
        let others_s = (later.used_s - self.used_s) - (later.ours_s - self.ours_s);
        Usage { idle: (later.idle_s - self.idle_s) / all_s, others: others_s.max(0.0) / all_s }
    }
}

/// Ticks of a CPU since the machine started.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    used: u64,
    idle: u64,
    all: u64,
}

impl Ticks {
    /// Ticks of the CPU `number`, from the text of /proc/stat.
    fn of(stat: &str, number: usize) -> Option<Self> {
        let name = format!("cpu{number} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
        let ticks: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
        // The time of guests, at the end of the line, is included in user. Interrupts belong to no process.
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
