//! Figures that every process has.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::samples::{Labels, Samples, Value};
use crate::metrics::{self, Counter, Timing};
use crate::runtime::machine;

/// The start of this process.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) struct Process {
    started: Instant,
    started_at: SystemTime,
}

impl Process {
    /// A process that starts now.
    pub(in crate::control) fn starting() -> Self {
        Self { started: Instant::now(), started_at: SystemTime::now() }
    }

    /// Adds the figures; `role` is what the process runs, once it does.
    pub(super) fn add_to(&self, samples: &mut Samples, role: Option<&str>) {
        let labels =
            vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("role", role.unwrap_or("starting").to_owned())];
        samples.add("mtorrent_build_info", labels, Value::Count(1));
        samples.real("mtorrent_uptime_seconds", self.started.elapsed().as_secs_f64());
        let started_at = self.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        samples.real("process_start_time_seconds", started_at.as_secs_f64());
        add_system(samples);
        for beat in metrics::beats() {
            let core = |labels: &mut Labels| labels.push(("core", beat.core.to_string()));
            let (mut delay, mut silence) = (Labels::new(), Labels::new());
            core(&mut delay);
            core(&mut silence);
            let delays = metrics::timings_of_core(beat.core, Timing::CoreDelay);
            samples.add("mtorrent_core_delay_seconds", delay, Value::Durations(delays));
            samples.add("mtorrent_core_silence_seconds", silence, Value::Real(beat.age.as_secs_f64()));
        }
        samples.counter("mtorrent_log_lines_dropped", Counter::LogLinesDropped);
        samples.counter("mtorrent_log_lines_suppressed", Counter::LogLinesSuppressed);
        samples.counter("mtorrent_http_requests", Counter::HttpRequests);
        samples.counter("mtorrent_http_connections_refused", Counter::HttpRefused);
    }
}

/// Adds what the system knows of this process. What it does not tell is left out.
fn add_system(samples: &mut Samples) {
    if let Some(seconds) = cpu_seconds() {
        samples.real("process_cpu_seconds", seconds);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // The folder that is being read is open too.
        samples.count("process_open_fds", (open.count() as u64).saturating_sub(1));
    }
    if let Some(max) = machine::open_files_max() {
        samples.count("process_max_fds", max);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    for (name, key, unit) in [
        ("process_threads", "Threads", 1),
        ("process_resident_memory_bytes", "VmRSS", 1 << 10),
        ("process_virtual_memory_bytes", "VmSize", 1 << 10),
        ("mtorrent_memory_anon_bytes", "RssAnon", 1 << 10),
    ] {
        if let Some(number) = number(key) {
            samples.count(name, number * unit);
        }
    }
}

/// User and system time of this process, seconds.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may contain anything. Behind it, user and system time are fields 12 and 13.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(|field| field.parse::<u64>());
    let ticks = ticks.next()?.ok()? + ticks.next()?.ok()?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}
