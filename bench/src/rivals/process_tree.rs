//! What a process and its descendants use, read from /proc while they live.
//!
//! It must never be called so often that it shows in the figures: one sample is some ten small reads.

use std::fs;

/// Memory of a process and its descendants at one moment, bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident: anonymous, and mapped file pages.
    pub resident: u64,
    /// Resident anonymous plus locked: what the process holds for itself.
    pub own: u64,
}

impl Memory {
    /// The larger of each.
    pub fn max(self, other: Self) -> Self {
        Self { resident: self.resident.max(other.resident), own: self.own.max(other.own) }
    }
}

/// Memory of `pid` and its living descendants; 0 for what has ended.
pub fn memory(pid: u32) -> Memory {
    let mut sum = Memory::default();
    for pid in members(pid) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        sum.resident += field_kib(&status, "VmRSS:") << 10;
        sum.own += (field_kib(&status, "RssAnon:") + field_kib(&status, "VmLck:") + field_kib(&status, "VmPin:")) << 10;
    }
    sum
}

/// User and system CPU seconds of `pid`, its living descendants and those that they have waited for.
pub fn cpu_s(pid: u32) -> f64 {
    let ticks: u64 = members(pid).into_iter().map(cpu_ticks).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold anything; fields 14 to 17 are utime, stime, cutime, cstime.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn field_kib(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|value| value.split_whitespace().next()).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// `pid` and all that descends from it.
fn members(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(children(parent));
        next += 1;
    }
    found
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_has_no_stranger_in_it() {
        let memory = memory(std::process::id());
        assert!(memory.resident > 0 && memory.own > 0);
        assert!(members(std::process::id()).contains(&std::process::id()));
    }

    #[test]
    fn a_process_that_is_gone_uses_nothing() {
        assert_eq!(memory(u32::MAX), Memory::default());
        assert_eq!(cpu_s(u32::MAX), 0.0);
    }

    #[test]
    fn fields_of_status_are_found() {
        let status = "Name:\tx\nVmRSS:\t   12 kB\nRssAnon:\t 7 kB\n";
        assert_eq!((field_kib(status, "VmRSS:"), field_kib(status, "VmLck:")), (12, 0));
    }
}
