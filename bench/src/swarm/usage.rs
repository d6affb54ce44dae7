//! CPU usage of the machine, from /proc.

use std::time::Instant;

/// CPU time of the machine at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    busy_ticks: u64,
    all_ticks: u64,
    at: Instant,
}

/// CPU time used between two moments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Used {
    /// Part of all CPUs' time that was not idle, 0 to 1.
    pub busy: f64,
    /// CPU seconds that were not idle.
    pub cpu_s: f64,
}

impl Usage {
    /// The current CPU time.
    pub fn now() -> Self {
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let (busy_ticks, all_ticks) = ticks(&text);
        Self { busy_ticks, all_ticks, at: Instant::now() }
    }

    /// CPU time used since `before`.
    pub fn since(self, before: Self) -> Used {
        let busy = self.busy_ticks.saturating_sub(before.busy_ticks) as f64;
        let all = self.all_ticks.saturating_sub(before.all_ticks) as f64;
        let hertz = rustix::param::clock_ticks_per_second() as f64;
        let busy_share = if all > 0.0 && self.at > before.at { busy / all } else { 0.0 };
        Used { busy: busy_share, cpu_s: busy / hertz }
    }
}

/// Busy and total ticks of the line of all CPUs: user, nice, system, idle, iowait, irq, softirq, steal.
fn ticks(text: &str) -> (u64, u64) {
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    let fields: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
    let all: u64 = fields.iter().sum();
    let idle: u64 = fields.iter().skip(3).take(2).sum();
    (all - idle, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_waiting_are_not_busy() {
        assert_eq!(ticks("cpu  10 1 20 100 50 0 5 4 0 0\ncpu0 1"), (40, 190));
        assert_eq!(ticks(""), (0, 0));
    }
}
