//! Figures of a load.

use std::fmt::Write;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::options::Options;
use crate::harness::process_tree::Cpu;

/// Upper bound of recorded latencies, microseconds; longer ones count as this.
const LATENCY_US_MAX: u64 = 60_000_000;

/// The figures of one thread, or of all.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Duration of the measurement, seconds.
    pub seconds: f64,
    /// Time from sending a round to each of its answers, microseconds.
    pub latencies_us: Histogram<u64>,
    /// Refusals, and answers to another request.
    pub errors: u64,
    /// Answers that the file has no seeders: correct, but cheap.
    pub nobody: u64,
    /// CPU time of the server.
    pub server_cpu: Option<Cpu>,
}

impl Default for Figures {
    fn default() -> Self {
        Self::new()
    }
}

impl Figures {
    /// Figures without answers.
    pub fn new() -> Self {
        let latencies_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3);
        Self {
            seconds: 0.0,
            latencies_us: latencies_us.unwrap_or_else(|_| unreachable!("the bounds are constants in order")),
            errors: 0,
            nobody: 0,
            server_cpu: None,
        }
    }

    /// Counts `answers` that arrived after `latency`.
    pub fn record(&mut self, latency: Duration, answers: usize) {
        self.latencies_us.saturating_record_n((latency.as_micros() as u64).max(1), answers as u64);
    }

    /// Adds the figures of another thread that ran at the same time.
    pub fn and(mut self, other: Self) -> Self {
        // This cannot fail, because the bounds are the same.
        let _ = self.latencies_us.add(&other.latencies_us);
        self.seconds = self.seconds.max(other.seconds);
        self.errors += other.errors;
        self.nobody += other.nobody;
        self.server_cpu = self.server_cpu.or(other.server_cpu);
        self
    }

    /// Number of answers, wrong ones included.
    pub fn answers(&self) -> u64 {
        self.latencies_us.len()
    }

    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.answers() as f64 / self.seconds
    }

    /// The part of a core that the server used; 1 is all of one.
    pub fn server_cores(&self) -> Option<f64> {
        self.server_cpu.map(|cpu| cpu.all_s() / self.seconds)
    }

    /// CPU time of the server per answer, microseconds.
    pub fn cpu_us_per_answer(&self) -> Option<f64> {
        self.server_cpu.map(|cpu| 1e6 * cpu.all_s() / self.answers() as f64)
    }

    /// User CPU time of the server per answer, microseconds.
    pub fn user_us_per_answer(&self) -> Option<f64> {
        self.server_cpu.map(|cpu| 1e6 * cpu.user_s / self.answers() as f64)
    }

    /// One line, for people and for scripts.
    pub fn line(&self, options: &Options) -> String {
        let Options { protocol, connections, depth, files, .. } = options;
        let adds = if options.fill { 100 } else { options.adds };
        let mut line = format!(
            "{protocol:?} connections={connections} depth={depth} adds={adds}% files={files} answered/s={:.0} \
             p50_us={} p99_us={} max_us={} errors={} nobody={} seconds={:.2}",
            self.rate(),
            self.latencies_us.value_at_quantile(0.5),
            self.latencies_us.value_at_quantile(0.99),
            self.latencies_us.max(),
            self.errors,
            self.nobody,
            self.seconds,
        );
        if let Some((cores, cpu_us)) = self.server_cores().zip(self.cpu_us_per_answer()) {
            let _ = write!(line, " server_cpu={:.1}% cpu_us_per_answer={cpu_us:.2}", 100.0 * cores);
        }
        if let Some(user_us) = self.user_us_per_answer() {
            let _ = write!(line, " user_us_per_answer={user_us:.2}");
        }
        line
    }
}
