//! How much of a CPU nobody used: what tells a server that waited for its load from one that had neighbours.

use std::fs;

/// What a CPU has done since the machine started, in clock ticks.
#[derive(Debug, Clone, Copy)]
pub struct CpuTime {
    idle: u64,
    all: u64,
}

impl CpuTime {
    /// Of the CPU `number`; `None` if the kernel does not tell.
    pub fn now(number: usize) -> Option<Self> {
        Self::of(&fs::read_to_string("/proc/stat").ok()?, number)
    }

    /// The idle part of the time from `self` to `later`, 0 to 1.
    pub fn idle_until(self, later: Self) -> f64 {
        let (idle, all) = (later.idle.saturating_sub(self.idle), later.all.saturating_sub(self.all));
        idle as f64 / all.max(1) as f64
    }

    fn of(stat: &str, number: usize) -> Option<Self> {
        let name = format!("cpu{number} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
        // user, nice, system, idle, iowait, irq, softirq, steal; what guests had is in user already.
        let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
        let idle = ticks.get(3)? + ticks.get(4)?;
        Some(Self { idle, all: ticks.iter().sum() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idle_part_is_that_of_the_cpu_asked_for() {
        let of = |idle, busy| {
            format!("cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 {busy} 0 0 {idle} 5 0 0 0 0 0\n")
        };
        let [before, after] = [of(100, 100), of(125, 175)].map(|stat| CpuTime::of(&stat, 1).expect("a line of cpu1"));
        assert_eq!(before.idle_until(after), 0.25);
        assert!(CpuTime::of(&of(1, 1), 2).is_none());
    }
}
