//! The load of this process's cores, of its control group's CPU quota and of the machine's network devices, read from
//! the kernel's files.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::Blocking;
use crate::limits::LOAD_INTERVAL;

const CGROUPS: &str = "/sys/fs/cgroup";
/// Counters of a group's CPU quota.
const STAT: &str = "cpu.stat";
const DEVICES: &str = "/sys/class/net";
/// Start of the names of the threads that run executors.
const CORE_THREADS: &str = "core-";
/// Fewest periods of a CPU quota that show whether it is used up.
const PERIODS_MIN: u64 = 2;

/// Load of the last interval, each figure as a share of 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Load {
    /// Time for which the busiest core ran.
    pub core: f64,
    /// Time for which the core that ran or waited for a CPU most did so.
    pub runnable: f64,
    /// Periods of the CPU quota in which the process was stopped.
    pub throttled: f64,
    /// Share of its speed with which the busiest network device received.
    pub link: f64,
}

/// Measures the load while anybody asks for it.
#[derive(Debug)]
pub(crate) struct LoadMeter {
    started: Instant,
    due_ms: AtomicU64,
    is_running: AtomicBool,
    sources: Mutex<Option<Sources>>,
    load: Mutex<Load>,
}

/// The files, and the counters at the last reading.
#[derive(Debug)]
struct Sources {
    at: Instant,
    /// `schedstat` of each core's thread.
    cores: Vec<(PathBuf, ThreadTimes)>,
    /// `cpu.stat` of each control group.
    groups: Vec<Group>,
    /// `rx_bytes` and the speed in bytes a second of each device that has one.
    devices: Vec<(PathBuf, f64, u64)>,
}

/// Times of a thread so far, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ThreadTimes {
    ran: u64,
    waited: u64,
}

/// A control group that may have a CPU quota.
#[derive(Debug)]
struct Group {
    path: PathBuf,
    counted: Throttling,
    share: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Throttling {
    periods: u64,
    throttled: u64,
}

impl LoadMeter {
    /// A meter that has measured nothing.
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            due_ms: AtomicU64::new(0),
            is_running: AtomicBool::new(false),
            sources: Mutex::new(None),
            load: Mutex::new(Load::default()),
        }
    }

    /// The load of the last interval; starts another measurement in `pool` if one is due.
    pub(crate) fn load(self: &std::sync::Arc<Self>, pool: &Blocking) -> Load {
        let now_ms = self.started.elapsed().as_millis() as u64;
        if now_ms >= self.due_ms.load(Ordering::Relaxed) && !self.is_running.swap(true, Ordering::Relaxed) {
            self.due_ms.store(now_ms + LOAD_INTERVAL.as_millis() as u64, Ordering::Relaxed);
            let (meter, pool) = (self.clone(), pool.clone());
            super::spawn("load", async move {
                let measured = meter.clone();
                // Without a thread, the load counts as unknown.
                let load = pool.run(move || measured.measure()).await.unwrap_or_default();
                *meter.load.lock().unwrap_or_else(PoisonError::into_inner) = load;
                meter.is_running.store(false, Ordering::Relaxed);
            });
        }
        *self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self) -> Load {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        // After a pause, the first interval would be the whole pause.
        if sources.as_ref().is_none_or(|sources| sources.at.elapsed() > 4 * LOAD_INTERVAL) {
            *sources = Some(Sources::open());
            return Load::default();
        }
        sources.as_mut().map(Sources::read).unwrap_or_default()
    }
}

impl Sources {
    fn open() -> Self {
        let cores = children(Path::new("/proc/self/task")).into_iter().filter(|thread| {
            std::fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.starts_with(CORE_THREADS))
        });
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let devices = children(Path::new(DEVICES)).into_iter().filter_map(|device| {
            let megabits: i64 = std::fs::read_to_string(device.join("speed")).ok()?.trim().parse().ok()?;
            let bytes_s = (megabits > 0).then_some(megabits as f64 * 125_000.0)?;
            Some((device.join("statistics/rx_bytes"), bytes_s, 0))
        });
        let mut sources = Self {
            at: Instant::now(),
            cores: cores.map(|thread| (thread.join("schedstat"), ThreadTimes::default())).collect(),
            groups: group_files(&groups, Path::new(CGROUPS), STAT).into_iter().map(Group::new).collect(),
            devices: devices.collect(),
        };
        sources.read();
        // What was before does not count.
        sources.groups.iter_mut().for_each(|group| group.share = 0.0);
        sources
    }

    /// Reads all counters; returns the load since the last reading.
    fn read(&mut self) -> Load {
        let seconds = std::mem::replace(&mut self.at, Instant::now()).elapsed().as_secs_f64().max(1e-3);
        let most = |shares: &mut dyn Iterator<Item = f64>| shares.fold(0.0, f64::max);
        let share = |now_ns: u64, before_ns: u64| now_ns.saturating_sub(before_ns) as f64 / 1e9 / seconds;
        let (mut core, mut runnable) = (0.0, 0.0);
        for (path, before) in &mut self.cores {
            let Some(now) = std::fs::read_to_string(path).ok().and_then(|text| thread_times(&text)) else { continue };
            let before = std::mem::replace(before, now);
            let ran = share(now.ran, before.ran);
            (core, runnable) = (f64::max(core, ran), f64::max(runnable, ran + share(now.waited, before.waited)));
        }
        Load {
            core,
            runnable,
            throttled: most(&mut self.groups.iter_mut().filter_map(|group| {
                let now = throttling(&std::fs::read_to_string(&group.path).ok()?)?;
                Some(group.count(now))
            })),
            link: most(&mut self.devices.iter_mut().filter_map(|(path, bytes_s, before)| {
                let bytes: u64 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
                Some(bytes.saturating_sub(std::mem::replace(before, bytes)) as f64 / seconds / *bytes_s)
            })),
        }
    }
}

impl Group {
    fn new(path: PathBuf) -> Self {
        Self { path, counted: Throttling::default(), share: 0.0 }
    }

    /// Share of the periods in which the quota was used up; the last one until enough further periods have passed.
    fn count(&mut self, now: Throttling) -> f64 {
        let periods = now.periods.saturating_sub(self.counted.periods);
        if periods >= PERIODS_MIN {
            self.share = now.throttled.saturating_sub(self.counted.throttled) as f64 / periods as f64;
            self.counted = now;
        }
        self.share
    }
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// The times in a thread's `schedstat`.
fn thread_times(schedstat: &str) -> Option<ThreadTimes> {
    let mut fields = schedstat.split_whitespace().map(str::parse::<u64>);
    Some(ThreadTimes { ran: fields.next()?.ok()?, waited: fields.next()?.ok()? })
}

/// The periods in a `cpu.stat`; `None` for a group that cannot have a quota.
fn throttling(stat: &str) -> Option<Throttling> {
    let value = |key: &str| stat.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
    Some(Throttling { periods: value("nr_periods ")?, throttled: value("nr_throttled ")? })
}

/// CPU time that the control groups of this process allow, in CPUs; `None` without a quota.
pub(crate) fn cpu_quota() -> Option<f64> {
    quota_of(&std::fs::read_to_string("/proc/self/cgroup").ok()?, Path::new(CGROUPS))
}

fn quota_of(groups: &str, mounted: &Path) -> Option<f64> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let second = group_files(groups, mounted, "cpu.max").into_iter().filter_map(|file| quota(&read(&file)?));
    let first = group_files(groups, mounted, "cpu.cfs_quota_us").into_iter();
    let first = first.filter_map(|file| {
        let period = read(&file.with_file_name("cpu.cfs_period_us"))?;
        quota(&format!("{} {period}", read(&file)?))
    });
    second.chain(first).min_by(f64::total_cmp)
}

/// The quota in a line `QUOTA PERIOD`; `None` for `max` and -1.
fn quota(line: &str) -> Option<f64> {
    let mut fields = line.split_whitespace();
    let (quota, period): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

/// A file of each group from the lines of a `/proc/PID/cgroup`, and of the groups above them.
fn group_files(groups: &str, mounted: &Path, file: &str) -> Vec<PathBuf> {
    let files = groups.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let roots = match controllers {
            "" => vec![mounted.join("unified"), mounted.to_owned()],
            _ if controllers.split(',').any(|controller| controller == "cpu") => vec![mounted.join("cpu")],
            _ => Vec::new(),
        };
        let group = Path::new(group.trim_start_matches('/'));
        roots.into_iter().flat_map(move |root| group.ancestors().map(move |group| root.join(group).join(file)))
    });
    let mut files: Vec<PathBuf> = files.filter(|file| file.exists()).collect();
    files.dedup();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read() {
        assert_eq!(thread_times("878681 72348 1\n"), Some(ThreadTimes { ran: 878_681, waited: 72_348 }));
        assert_eq!(thread_times(""), None);
        let stat = |periods, throttled| {
            throttling(&format!("usage_usec 7\nnr_periods {periods}\nnr_throttled {throttled}\n")).unwrap()
        };
        let mut group = Group::new("x".into());
        assert_eq!(group.count(stat(10, 2)), 0.2);
        assert_eq!(group.count(stat(11, 3)), 0.2, "too few to tell");
        assert_eq!(group.count(stat(20, 7)), 0.5);
        assert_eq!(throttling("usage_usec 7\n"), None);
    }

    #[test]
    fn groups_are_found() {
        let folder = tempfile::tempdir().unwrap();
        for group in ["cpu/a/b", "cpu", "unified/a"] {
            std::fs::create_dir_all(folder.path().join(group)).unwrap();
            std::fs::write(folder.path().join(group).join("cpu.stat"), "").unwrap();
        }
        let found = |groups: &str| {
            let files = group_files(groups, folder.path(), STAT).into_iter();
            let names = files.map(|file| file.strip_prefix(folder.path()).unwrap().display().to_string());
            names.collect::<Vec<_>>()
        };
        assert_eq!(found("4:cpu,cpuacct:/a/b\n3:memory:/a"), ["cpu/a/b/cpu.stat", "cpu/cpu.stat"]);
        assert_eq!(found("0::/a\nnonsense"), ["unified/a/cpu.stat"]);
        assert_eq!(found("4:cpu:/of/the/host"), ["cpu/cpu.stat"], "only the top is to be seen");
    }

    #[test]
    fn quotas_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let quota = |groups: &str| quota_of(groups, folder.path());
        write("a/cpu.max", "50000 100000\n");
        write("a/b/cpu.max", "max 100000\n");
        write("cpu/c/cpu.cfs_quota_us", "-1\n");
        write("cpu/c/cpu.cfs_period_us", "100000\n");
        assert_eq!((quota("0::/a/b"), quota("3:cpu:/c"), quota("")), (Some(0.5), None, None));
        write("cpu/c/cpu.cfs_quota_us", "250000\n");
        assert_eq!(quota("3:cpu:/c"), Some(2.5));
    }

    #[test]
    fn this_process_has_a_load() {
        let mut sources = Sources::open();
        std::thread::sleep(std::time::Duration::from_millis(1));
        let load = sources.read();
        assert!(load.core >= 0.0 && load.throttled <= 1.0, "{load:?}");
    }
}
