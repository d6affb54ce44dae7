//! Resource usage of a process and its descendants, read from /proc while they run.
//!
//! One sample is some ten small reads, so it must not be taken so often that it affects the figures.

use std::fs;

/// Memory of a process and its descendants at one moment, bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident: anonymous, and mapped file pages.
    pub resident: u64,
    /// Resident anonymous plus locked: private memory of the process.
    pub own: u64,
}

impl Memory {
    /// The maximum of each field.
    pub fn max(self, other: Self) -> Self {
        Self { resident: self.resident.max(other.resident), own: self.own.max(other.own) }
    }
}

/// Memory of `pid` and its live descendants; 0 for processes that have ended.
pub fn memory(pid: u32) -> Memory {
    let mut sum = Memory::default();
    for pid in members(pid) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        sum.resident += field_kib(&status, "VmRSS:") << 10;
        sum.own += (field_kib(&status, "RssAnon:") + field_kib(&status, "VmLck:") + field_kib(&status, "VmPin:")) << 10;
    }
    sum
}

/// CPU time.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Cpu {
    /// User time, seconds.
    pub user_s: f64,
    /// System time, seconds.
    pub kernel_s: f64,
}

impl Cpu {
    /// User and system time, seconds.
    pub fn all_s(self) -> f64 {
        self.user_s + self.kernel_s
    }

    /// The difference from `before`.
    pub fn since(self, before: Self) -> Self {
        Self { user_s: self.user_s - before.user_s, kernel_s: self.kernel_s - before.kernel_s }
    }
}

/// CPU time of `pid`, its live descendants and those that they have waited for.
pub fn cpu(pid: u32) -> Cpu {
    let [user, kernel] =
        members(pid).into_iter().map(cpu_ticks).fold([0, 0], |sum, more| [sum[0] + more[0], sum[1] + more[1]]);
    let seconds = |ticks: u64| ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Cpu { user_s: seconds(user), kernel_s: seconds(kernel) }
}

/// User and system time in ticks.
fn cpu_ticks(pid: u32) -> [u64; 2] {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may contain anything; fields 14 to 17 are utime, stime, cutime, cstime.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<u64> =
        after_name.split_whitespace().skip(11).take(4).map_while(|field| field.parse().ok()).collect();
    fields
        .first_chunk()
        .map_or([0, 0], |[user, kernel, waited_user, waited_kernel]| [user + waited_user, kernel + waited_kernel])
}

fn field_kib(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|value| value.split_whitespace().next()).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// `pid` and all its descendants.
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
        assert_eq!(cpu(u32::MAX), Cpu::default());
    }

    #[test]
    fn fields_of_status_are_found() {
        let status = "Name:\tx\nVmRSS:\t   12 kB\nRssAnon:\t 7 kB\n";
        assert_eq!((field_kib(status, "VmRSS:"), field_kib(status, "VmLck:")), (12, 0));
    }
}
