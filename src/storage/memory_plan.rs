//! Chunk memory of the cores of a process, within the limit of its control group.

use std::path::Path;

use crate::limits::{
    CHUNK_MEMORY_SHARE_OF_ALLOWED, CHUNKS_PER_CORE_MIN, FLIGHT_BYTES_PER_CORE_MAX, LIMITED_SHARE_OF_FLIGHT,
};

/// Folder where control groups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";
/// Lower bound of the values by which version 1 reports that there is no limit, bytes.
const NO_LIMIT_MIN: u64 = 1 << 62;

/// Memory of each core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Number of executors; fewer than requested if memory is short.
    pub cores: usize,
    /// Chunks in flight, bytes a core.
    pub flight_bytes: usize,
    /// Cached chunks, bytes a core.
    pub cache_bytes: usize,
    /// Largest chunk size for which the memory suffices, bytes.
    pub chunk_bytes_max: usize,
}

/// Error: there is less memory than chunks of this size need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the control group allows {} MiB of memory, and chunks of {} KiB need at least {} MiB: raise its limit (memory.max), \
     or make the .mtorrent file with smaller chunks", .allowed >> 20, .chunk_bytes >> 10, .needed.div_ceil(1 << 20)
)]
pub struct TooLittleMemory {
    allowed: u64,
    chunk_bytes: usize,
    needed: u64,
}

impl MemoryPlan {
    /// A plan for at most `cores` cores and a cache of `cache_bytes` over all of them, in a control group that allows
    /// `allowed` bytes, so that chunks of `chunk_bytes` can be received.
    pub fn new(
        cores: usize,
        cache_bytes: usize,
        chunk_bytes: usize,
        allowed: Option<u64>,
    ) -> Result<Self, TooLittleMemory> {
        let share = allowed.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let share = if allowed.is_some() { share / CHUNK_MEMORY_SHARE_OF_ALLOWED } else { share };
        let needed = CHUNKS_PER_CORE_MIN * chunk_bytes;
        let cores = cores.clamp(1, (share / needed.max(1)).max(1));
        let per_core = share / cores;
        if per_core < needed {
            let needed = (needed * CHUNK_MEMORY_SHARE_OF_ALLOWED) as u64;
            return Err(TooLittleMemory { allowed: allowed.unwrap_or(u64::MAX), chunk_bytes, needed });
        }
        // First one chunk of a proven peer and one of a limited peer; at most half of the rest is for the cache,
        // and all else for more chunks.
        let cache_bytes = (cache_bytes / cores).min((per_core - needed) / 2);
        let rest = per_core - cache_bytes;
        let by_share = rest / (LIMITED_SHARE_OF_FLIGHT + 1) * LIMITED_SHARE_OF_FLIGHT;
        let flight_bytes =
            if by_share / LIMITED_SHARE_OF_FLIGHT >= chunk_bytes { by_share } else { rest - chunk_bytes };
        let flight_bytes = flight_bytes.min(FLIGHT_BYTES_PER_CORE_MAX);
        let chunk_bytes_max = rest / CHUNKS_PER_CORE_MIN;
        Ok(Self { cores, flight_bytes, cache_bytes, chunk_bytes_max })
    }

    /// Checks that chunks of this size can be received.
    pub fn check(&self, chunk_bytes: usize) -> Result<(), TooLittleMemory> {
        if chunk_bytes <= self.chunk_bytes_max {
            return Ok(());
        }
        let needed = (CHUNKS_PER_CORE_MIN * chunk_bytes * self.cores * CHUNK_MEMORY_SHARE_OF_ALLOWED) as u64;
        Err(TooLittleMemory { allowed: allowed_memory().unwrap_or(u64::MAX), chunk_bytes, needed })
    }
}

/// Memory limit of this process, bytes: the least of its own control groups and those above them.
pub(crate) fn allowed_memory() -> Option<u64> {
    allowed_by(&std::fs::read_to_string("/proc/self/cgroup").ok()?, Path::new(CGROUPS))
}

/// Memory limit from the lines of a `/proc/PID/cgroup` and the folder where the groups are mounted, bytes.
fn allowed_by(groups: &str, mounted: &Path) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
        let version1 = controllers.split(',').any(|controller| controller == "memory");
        match controllers {
            "" => least(&mounted.join("unified"), group, "memory.max")
                .into_iter()
                .chain(least(mounted, group, "memory.max"))
                .min(),
            _ if version1 => least(&mounted.join("memory"), group, "memory.limit_in_bytes"),
            _ => None,
        }
    });
    limits.min()
}

/// The least limit of a group and those above it, bytes. In a container the group's path may be that of the host, and
/// only the container's own group is visible, at the top.
fn least(mounted: &Path, group: &str, file: &str) -> Option<u64> {
    let group = Path::new(group.trim_start_matches('/'));
    let limits = group.ancestors().filter_map(|group| {
        let text = std::fs::read_to_string(mounted.join(group).join(file)).ok()?;
        text.trim().parse::<u64>().ok().filter(|limit| *limit < NO_LIMIT_MIN)
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{CACHE_BYTES_DEFAULT, CHUNK_SIZE_MAX};
    use proptest::prelude::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn groups_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let allowed = |groups: &str| allowed_by(groups, folder.path());
        assert_eq!(allowed("0::/a/b\n"), None);
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "268435456\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(allowed("0::/a/b\n"), Some(256 << 20), "that of the group above");
        assert_eq!(allowed("0::/elsewhere\n"), None);
        write("memory.max", "1048576\n");
        assert_eq!(allowed("0::/of/the/host\n"), Some(1 << 20), "only the top is to be seen");
        assert_eq!(allowed("5:cpu,memory:/x/y\n4:cpuset:/a/b\n"), None);
        write("memory/x/memory.limit_in_bytes", "4096");
        assert_eq!(allowed("5:cpu,memory:/x/y\n0::/../a\nnonsense"), Some(4096));
    }

    #[test]
    fn without_a_limit_nothing_changes() {
        let plan = MemoryPlan::new(8, CACHE_BYTES_DEFAULT, CHUNK_SIZE_MAX as usize, None).unwrap();
        assert_eq!((plan.cores, plan.flight_bytes), (8, FLIGHT_BYTES_PER_CORE_MAX));
        assert_eq!(plan.cache_bytes, CACHE_BYTES_DEFAULT / 8);
        assert!(plan.check(CHUNK_SIZE_MAX as usize).is_ok());
    }

    #[test]
    fn a_small_container_has_fewer_cores_or_an_error() {
        let plan = MemoryPlan::new(8, CACHE_BYTES_DEFAULT, 16 * MIB, Some(256 << 20)).unwrap();
        assert_eq!(plan.cores, 4);
        let refused = MemoryPlan::new(8, CACHE_BYTES_DEFAULT, 16 * MIB, Some(48 << 20)).unwrap_err();
        assert!(refused.to_string().contains("allows 48 MiB") && refused.to_string().contains("at least 64 MiB"));
        assert!(MemoryPlan::new(8, CACHE_BYTES_DEFAULT, MIB, Some(48 << 20)).unwrap().check(16 * MIB).is_err());
    }

    proptest! {
        #[test]
        fn a_plan_keeps_to_what_is_allowed(
            cores in 1usize..64,
            cache in 0usize..1 << 30,
            chunk in 14u32..25,
            allowed in 1u64 << 20..1 << 36,
        ) {
            let chunk = 1usize << chunk;
            if let Ok(plan) = MemoryPlan::new(cores, cache, chunk, Some(allowed)) {
                let limited = (plan.flight_bytes / LIMITED_SHARE_OF_FLIGHT).max(chunk);
                let total = plan.cores * (plan.flight_bytes + limited + plan.cache_bytes);
                prop_assert!(total as u64 <= allowed / CHUNK_MEMORY_SHARE_OF_ALLOWED as u64, "{plan:?} takes {total}");
                prop_assert!(plan.flight_bytes >= chunk && plan.cores <= cores && plan.check(chunk).is_ok());
            }
        }
    }
}
